//! ONNX Runtime through the C API of its wheel.

use super::{Entry, Places, Shape, TOLERANCE_F32, c_path, function, open};
use crate::Result;
use crate::measure::{Rows, Runs, Subject};
use crate::results::Measure;
use ort_sys::*;
use std::ffi::{CStr, c_char};
use std::path::Path;
use std::ptr::{null, null_mut};

const HOW: &str = "OrtApi::Run of the wheel's library, one TreeEnsembleRegressor without \
                   post-transform, one thread, sequential, all optimisations; input and output \
                   tensors are made once over the caller's memory";

struct Session {
    api: &'static OrtApi,
    session: *mut OrtSession,
    input: *mut OrtValue,
    output: *mut OrtValue,
    rows: Vec<f32>,
    margins: Vec<f32>,
}

impl Subject for Session {
    fn rows(&self) -> usize {
        self.margins.len()
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        self.rows
            .copy_from_slice(rows.slice(first, self.margins.len()));
    }

    fn call(&mut self) -> i32 {
        let inputs = [c"x".as_ptr()];
        let outputs = [c"margin".as_ptr()];
        let input: *const OrtValue = self.input;
        // SAFETY: session and tensors live on; the tensors lie over `rows` and `margins`, whose
        // memory does not move.
        let status = unsafe {
            (self.api.Run)(
                self.session,
                null(),
                inputs.as_ptr(),
                &input,
                1,
                outputs.as_ptr(),
                1,
                &mut self.output,
            )
        };
        i32::from(!status.0.is_null())
    }

    fn margins(&mut self, to: &mut [f64]) {
        for (to, from) in to.iter_mut().zip(&self.margins) {
            *to = f64::from(*from);
        }
    }
}

/// An error of ONNX Runtime's as one of ours.
fn check(api: &OrtApi, status: OrtStatusPtr) -> Result<()> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null has a message.
    let message = unsafe { CStr::from_ptr((api.GetErrorMessage)(status.0)) };
    Err(format!("ONNX Runtime: {}", message.to_string_lossy()).into())
}

/// A tensor over memory of the caller's.
fn tensor(api: &OrtApi, values: &mut [f32], shape: [i64; 2]) -> Result<*mut OrtValue> {
    let (mut memory, mut value) = (null_mut(), null_mut());
    // SAFETY: the pointers are to live values; the memory outlives the tensor, by the callers.
    unsafe {
        check(
            api,
            (api.CreateCpuMemoryInfo)(
                OrtAllocatorType::OrtDeviceAllocator,
                OrtMemType::OrtMemTypeDefault,
                &mut memory,
            ),
        )?;
        check(
            api,
            (api.CreateTensorWithDataAsOrtValue)(
                memory,
                values.as_mut_ptr().cast(),
                size_of_val(values),
                shape.as_ptr(),
                shape.len(),
                ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
                &mut value,
            ),
        )?;
    }
    Ok(value)
}

fn session(api: &OrtApi, model: &CStr) -> Result<*mut OrtSession> {
    let (mut environment, mut options, mut session) = (null_mut(), null_mut(), null_mut());
    let model: *const c_char = model.as_ptr();
    // SAFETY: the pointers are to live values. Environment and options are never released.
    unsafe {
        let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR;
        check(
            api,
            (api.CreateEnv)(level, c"peers".as_ptr(), &mut environment),
        )?;
        check(api, (api.CreateSessionOptions)(&mut options))?;
        check(api, (api.SetIntraOpNumThreads)(options, 1))?;
        check(api, (api.SetInterOpNumThreads)(options, 1))?;
        let mode = ExecutionMode::ORT_SEQUENTIAL;
        check(api, (api.SetSessionExecutionMode)(options, mode))?;
        let level = GraphOptimizationLevel::ORT_ENABLE_ALL;
        check(api, (api.SetSessionGraphOptimizationLevel)(options, level))?;
        check(
            api,
            (api.CreateSession)(environment, model, options, &mut session),
        )?;
    }
    Ok(session)
}

pub fn entries(folder: &Path, places: &Places, shape: Shape) -> Result<Vec<Entry>> {
    let library = open(&places.package_file("onnxruntime/capi/libonnxruntime.so.1.32.0")?)?;
    // SAFETY: the types are those of ONNX Runtime's C API, of which each version contains the
    // earlier ones; what it returns lives as long as the library.
    let api = unsafe {
        let base: unsafe extern "C" fn() -> *const OrtApiBase = function(library, "OrtGetApiBase")?;
        let api = ((*base()).GetApi)(ORT_API_VERSION);
        api.as_ref().ok_or("ONNX Runtime has no such API version")?
    };
    let session = session(api, &c_path(&folder.join("model.onnx"))?)?;
    let entry = |count: usize| -> Result<Entry> {
        let mut rows = vec![0f32; count * shape.features];
        let mut margins = vec![0f32; count];
        let subject = Session {
            api,
            session,
            input: tensor(api, &mut rows, [count as i64, shape.features as i64])?,
            output: tensor(api, &mut margins, [count as i64, 1])?,
            rows,
            margins,
        };
        Ok(Entry {
            name: "ONNX Runtime 1.32.0, C API".into(),
            measure: Measure::of(count),
            kernel: None,
            tolerance: TOLERANCE_F32,
            how: HOW,
            runs: Runs::Here(Box::new(subject)),
        })
    };
    [1, 64, shape.rows].into_iter().map(entry).collect()
}
