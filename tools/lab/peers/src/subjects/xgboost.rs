//! XGBoost through the C API of its wheel, and the crate gbdt, which reads its models.

use super::{Entry, Places, Shape, TOLERANCE, c_path, function, open};
use crate::Result;
use crate::measure::{Rows, Runs, Subject};
use crate::results::Measure;
use gbdt::decision_tree::{Data, DataVec, VALUE_TYPE_UNKNOWN};
use gbdt::gradient_boost::GBDT;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

const IN_PLACE: &str = "XGBoosterPredictFromDense of the wheel's library, in place, nthread=1, \
                        margins; the array interface string is made once for the caller's memory";
const GBDT_CRATE: &str = "the crate gbdt 0.1.3 (pure Rust), GBDT::predict on the trees of \
                          XGBoost's JSON dump, objective reg:linear so that it returns margins; \
                          missing as its own mark";

const CONFIG: &CStr = c"{\"type\": 1, \"training\": false, \"iteration_begin\": 0, \
    \"iteration_end\": 0, \"missing\": NaN, \"strict_shape\": true, \"cache_id\": 0}";

type Create = unsafe extern "C" fn(*const *mut c_void, u64, *mut *mut c_void) -> c_int;
type Load = unsafe extern "C" fn(*mut c_void, *const c_char) -> c_int;
type SetParam = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int;
type Predict = unsafe extern "C" fn(
    *mut c_void,
    *const c_char,
    *const c_char,
    *mut c_void,
    *mut *const u64,
    *mut u64,
    *mut *const f32,
) -> c_int;

struct InPlace {
    predict: Predict,
    booster: *mut c_void,
    rows: Vec<f32>,
    interface: CString,
    count: usize,
    results: *const f32,
}

impl Subject for InPlace {
    fn rows(&self) -> usize {
        self.count
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        self.rows.copy_from_slice(rows.slice(first, self.count));
    }

    fn call(&mut self) -> i32 {
        let (mut shape, mut dimensions) = (null(), 0);
        // SAFETY: the booster is XGBoost's own and lives on; `interface` names `rows`, whose
        // memory does not move, and its shape.
        unsafe {
            (self.predict)(
                self.booster,
                self.interface.as_ptr(),
                CONFIG.as_ptr(),
                null_mut(),
                &mut shape,
                &mut dimensions,
                &mut self.results,
            )
        }
    }

    fn margins(&mut self, to: &mut [f64]) {
        // SAFETY: XGBoost keeps the last call's results, one a row, until the next call.
        let results = unsafe { std::slice::from_raw_parts(self.results, self.count) };
        for (to, from) in to.iter_mut().zip(results) {
            *to = f64::from(*from);
        }
    }
}

pub fn entries(folder: &Path, places: &Places, shape: Shape) -> Result<Vec<Entry>> {
    let library = open(&places.package_file("xgboost/lib/libxgboost.so")?)?;
    let path = c_path(&folder.join("model.json"))?;
    let mut booster = null_mut();
    // SAFETY: the types are those of XGBoost's c_api.h, and every pointer is to a live value.
    let (failed, predict) = unsafe {
        let create: Create = function(library, "XGBoosterCreate")?;
        let load: Load = function(library, "XGBoosterLoadModel")?;
        let set: SetParam = function(library, "XGBoosterSetParam")?;
        let failed = create(null(), 0, &mut booster) != 0
            || load(booster, path.as_ptr()) != 0
            || set(booster, c"nthread".as_ptr(), c"1".as_ptr()) != 0;
        (failed, function(library, "XGBoosterPredictFromDense")?)
    };
    if failed {
        return Err(format!("XGBoost does not load {}", folder.display()).into());
    }
    let entry = |count: usize| -> Result<Entry> {
        let rows = vec![0f32; count * shape.features];
        let interface = format!(
            "{{\"data\": [{}, true], \"shape\": [{count}, {}], \"typestr\": \"<f4\", \
             \"version\": 3}}",
            rows.as_ptr() as usize,
            shape.features
        );
        let subject = InPlace {
            predict,
            booster,
            rows,
            interface: CString::new(interface)?,
            count,
            results: null(),
        };
        Ok(Entry {
            name: "XGBoost 3.2.0, C API in place".into(),
            measure: Measure::of(count),
            kernel: None,
            tolerance: TOLERANCE,
            how: IN_PLACE,
            runs: Runs::Here(Box::new(subject)),
        })
    };
    [1, 64, shape.rows].into_iter().map(entry).collect()
}

struct Gbdt {
    model: GBDT,
    rows: DataVec,
    margins: Vec<f32>,
}

impl Subject for Gbdt {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        for (at, row) in self.rows.iter_mut().enumerate() {
            for (to, from) in row.feature.iter_mut().zip(rows.slice(first + at, 1)) {
                *to = match from.is_nan() {
                    true => VALUE_TYPE_UNKNOWN,
                    false => *from,
                };
            }
        }
    }

    fn call(&mut self) -> i32 {
        self.margins = self.model.predict(&self.rows);
        i32::from(self.margins.len() != self.rows.len())
    }

    fn margins(&mut self, to: &mut [f64]) {
        for (to, from) in to.iter_mut().zip(&self.margins) {
            *to = f64::from(*from);
        }
    }
}

pub fn gbdt(folder: &Path, shape: Shape) -> Result<Vec<Entry>> {
    let path = folder.join("gbdt.model");
    let path = path.to_str().ok_or("a path that is not UTF-8")?;
    let entry = |count: usize| -> Result<Entry> {
        let model = GBDT::from_xgboost_dump(path, "reg:linear");
        let model = model.map_err(|error| format!("the crate gbdt: {error}"))?;
        let row = Data::new_test_data(vec![0.0; shape.features], None);
        let subject = Gbdt {
            model,
            rows: vec![row; count],
            margins: Vec::new(),
        };
        Ok(Entry {
            name: "gbdt 0.1.3, crate".into(),
            measure: Measure::of(count),
            kernel: None,
            tolerance: TOLERANCE,
            how: GBDT_CRATE,
            runs: Runs::Here(Box::new(subject)),
        })
    };
    [1, 64].into_iter().map(entry).collect()
}
