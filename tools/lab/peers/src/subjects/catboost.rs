//! CatBoost's exported C++, compiled and called natively, and the crate catboost.

use super::{Entry, Shape, TOLERANCE, TOLERANCE_F32, function, open};
use crate::Result;
use crate::measure::{Rows, Runs, Subject};
use crate::results::Measure;
use ::catboost::CatBoost;
use std::ffi::{c_ulong, c_void};
use std::path::Path;

const EXPORT: &str = "ApplyCatboostModel of save_model(format='cpp'), g++ -O3 -march=native; the \
                      vector is made once and filled in place";
const CRATE: &str = "the crate catboost 0.1.3 (pure Rust), CatBoost::predict_raw on the model's \
                     JSON (null borders as empty lists, which it needs)";

struct Export {
    apply: unsafe extern "C" fn(*const c_void) -> f64,
    vector: *mut c_void,
    values: *mut f32,
    margin: f64,
}

impl Subject for Export {
    fn rows(&self) -> usize {
        1
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        let row = rows.slice(first, 1);
        // SAFETY: `values` are those of a vector that was made with as many as a row has.
        unsafe {
            self.values
                .copy_from_nonoverlapping(row.as_ptr(), row.len())
        };
    }

    fn call(&mut self) -> i32 {
        // SAFETY: the vector lives on.
        self.margin = unsafe { (self.apply)(self.vector) };
        0
    }

    fn margins(&mut self, to: &mut [f64]) {
        to[0] = self.margin;
    }
}

struct Crate {
    model: CatBoost,
    row: Vec<f32>,
    margin: f32,
}

impl Subject for Crate {
    fn rows(&self) -> usize {
        1
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        self.row.copy_from_slice(rows.slice(first, 1));
    }

    fn call(&mut self) -> i32 {
        match self.model.predict_raw(&self.row) {
            Ok(margin) => {
                self.margin = margin;
                0
            }
            Err(_) => 1,
        }
    }

    fn margins(&mut self, to: &mut [f64]) {
        to[0] = f64::from(self.margin);
    }
}

pub fn entries(folder: &Path, shape: Shape) -> Result<Vec<Entry>> {
    let library = open(&folder.join("export.so"))?;
    // SAFETY: the types are those of catboost_export.cpp beside this crate.
    let export = unsafe {
        let make: unsafe extern "C" fn(c_ulong) -> *mut c_void = function(library, "export_row")?;
        let values: unsafe extern "C" fn(*mut c_void) -> *mut f32 =
            function(library, "export_values")?;
        let vector = make(shape.features as c_ulong);
        Export {
            apply: function(library, "export_apply")?,
            vector,
            values: values(vector),
            margin: 0.0,
        }
    };
    let model = CatBoost::load(&folder.join("no-null.json"))?;
    let rust = Crate {
        model,
        row: vec![0.0; shape.features],
        margin: 0.0,
    };
    let entry = |name: &str, tolerance, how, subject| Entry {
        name: name.into(),
        measure: Measure::One,
        kernel: None,
        tolerance,
        how,
        runs: Runs::Here(subject),
    };
    Ok(vec![
        entry(
            "CatBoost 1.2.10, exported C++",
            TOLERANCE,
            EXPORT,
            Box::new(export),
        ),
        entry(
            "catboost 0.1.3, crate",
            TOLERANCE_F32,
            CRATE,
            Box::new(rust),
        ),
    ])
}
