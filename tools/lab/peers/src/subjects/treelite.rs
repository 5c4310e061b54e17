//! tl2cgen: the model as C, compiled to a shared library.

use super::{Entry, Shape, TOLERANCE, function, open};
use crate::Result;
use crate::measure::{Rows, Runs, Subject};
use crate::results::Measure;
use std::ffi::c_int;
use std::path::Path;

const HOW: &str = "`predict` of the library that tl2cgen 1.0.0 writes from treelite 4.8.1 \
                   (gcc -O3 -march=native, not quantised: that overwrites the row), called \
                   natively; its output is zeroed before each call, because it adds; missing is \
                   the bit pattern -1; the layout is not timed";

/// The type of the values that a model's generated code takes and returns.
pub trait Value: Copy + 'static {
    const ZERO: Self;
    /// All bits set: tl2cgen looks at the first four bytes.
    const MISSING: Self;
    fn from_f32(value: f32) -> Self;
    fn into_f64(self) -> f64;
}

impl Value for f32 {
    const ZERO: f32 = 0.0;
    const MISSING: f32 = f32::from_bits(u32::MAX);

    fn from_f32(value: f32) -> f32 {
        value
    }

    fn into_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Value for f64 {
    const ZERO: f64 = 0.0;
    const MISSING: f64 = f64::from_bits(u64::MAX);

    fn from_f32(value: f32) -> f64 {
        f64::from(value)
    }

    fn into_f64(self) -> f64 {
        self
    }
}

type Predict<T> = unsafe extern "C" fn(*mut T, c_int, *mut T);

struct Compiled<T> {
    predict: Predict<T>,
    row: Vec<T>,
    margin: T,
}

impl<T: Value> Subject for Compiled<T> {
    fn rows(&self) -> usize {
        1
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        self.margin = T::ZERO;
        for (to, from) in self.row.iter_mut().zip(rows.slice(first, 1)) {
            *to = match from.is_nan() {
                true => T::MISSING,
                false => T::from_f32(*from),
            };
        }
    }

    fn call(&mut self) -> i32 {
        // SAFETY: the row has a value for every feature of the model, and one margin is written.
        unsafe { (self.predict)(self.row.as_mut_ptr(), 1, &mut self.margin) };
        0
    }

    fn margins(&mut self, to: &mut [f64]) {
        to[0] = self.margin.into_f64();
    }
}

pub fn entries<T: Value>(folder: &Path, shape: Shape) -> Result<Vec<Entry>> {
    let library = open(&folder.join("tl2cgen.so"))?;
    // SAFETY: the types are those of the generated header: entries and results are f64 for
    // LightGBM's models and f32 for XGBoost's, and the caller chose `T` so.
    let predict: Predict<T> = unsafe { function(library, "predict")? };
    Ok(vec![Entry {
        name: "tl2cgen 1.0.0, compiled".into(),
        measure: Measure::One,
        kernel: None,
        tolerance: TOLERANCE,
        how: HOW,
        runs: Runs::Here(Box::new(Compiled {
            predict,
            row: vec![T::ZERO; shape.features],
            margin: T::ZERO,
        })),
    }])
}
