//! LightGBM through the C API of its wheel, and lleaves' compiled function of the same model.

use super::{Entry, Places, Shape, TOLERANCE, c_path, function, open};
use crate::Result;
use crate::measure::{Rows, Runs, Subject};
use crate::results::Measure;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;

const FAST: &str = "LGBM_BoosterPredictForMatSingleRowFast of the wheel's library, f32 row, raw \
                    score, num_threads=1; the FastConfig is made once";
const MAT: &str = "LGBM_BoosterPredictForMat, f32 rows one after the other, raw score, \
                   num_threads=1";
const LLEAVES: &str = "the function that lleaves 1.3.0 compiles (LLVM, its default flags), linked \
                       and called natively; rows as f64, which is not timed";

const RAW_SCORE: c_int = 1;
const FLOAT32: c_int = 0;
const PARAMETERS: &CStr = c"num_threads=1";

type Create = unsafe extern "C" fn(*const c_char, *mut c_int, *mut *mut c_void) -> c_int;
type FastInit = unsafe extern "C" fn(
    *mut c_void,
    c_int,
    c_int,
    c_int,
    c_int,
    i32,
    *const c_char,
    *mut *mut c_void,
) -> c_int;
type Fast = unsafe extern "C" fn(*mut c_void, *const c_void, *mut i64, *mut f64) -> c_int;
type ForMat = unsafe extern "C" fn(
    *mut c_void,
    *const c_void,
    c_int,
    i32,
    i32,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_char,
    *mut i64,
    *mut f64,
) -> c_int;

struct Single {
    fast: Fast,
    config: *mut c_void,
    row: Vec<f32>,
    margin: f64,
}

impl Subject for Single {
    fn rows(&self) -> usize {
        1
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        self.row.copy_from_slice(rows.slice(first, 1));
    }

    fn call(&mut self) -> i32 {
        let mut length = 0;
        // SAFETY: the config is LightGBM's own and lives on; the row has as many values as the
        // config was made for; one margin is written.
        unsafe {
            (self.fast)(
                self.config,
                self.row.as_ptr().cast(),
                &mut length,
                &mut self.margin,
            )
        }
    }

    fn margins(&mut self, to: &mut [f64]) {
        to[0] = self.margin;
    }
}

struct Batch {
    for_mat: ForMat,
    booster: *mut c_void,
    rows: Vec<f32>,
    features: usize,
    margins: Vec<f64>,
}

impl Subject for Batch {
    fn rows(&self) -> usize {
        self.margins.len()
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        self.rows
            .copy_from_slice(rows.slice(first, self.margins.len()));
    }

    fn call(&mut self) -> i32 {
        let mut length = 0;
        // SAFETY: the booster is LightGBM's own and lives on; `rows` has the stated shape, and
        // `margins` a place for each row.
        unsafe {
            (self.for_mat)(
                self.booster,
                self.rows.as_ptr().cast(),
                FLOAT32,
                self.margins.len() as i32,
                self.features as i32,
                1,
                RAW_SCORE,
                0,
                -1,
                PARAMETERS.as_ptr(),
                &mut length,
                self.margins.as_mut_ptr(),
            )
        }
    }

    fn margins(&mut self, to: &mut [f64]) {
        to.copy_from_slice(&self.margins);
    }
}

pub fn entries(folder: &Path, places: &Places, shape: Shape) -> Result<Vec<Entry>> {
    let library = open(&places.package_file("lightgbm/lib/lib_lightgbm.so")?)?;
    let path = c_path(&folder.join("model.txt"))?;
    let (mut booster, mut config) = (null_mut(), null_mut());
    // SAFETY: the types are those of LightGBM's c_api.h, and every pointer is to a live value.
    let (status, fast, for_mat) = unsafe {
        let create: Create = function(library, "LGBM_BoosterCreateFromModelfile")?;
        let init: FastInit = function(library, "LGBM_BoosterPredictForMatSingleRowFastInit")?;
        let mut iterations = 0;
        let mut status = create(path.as_ptr(), &mut iterations, &mut booster);
        if status == 0 {
            status = init(
                booster,
                RAW_SCORE,
                0,
                -1,
                FLOAT32,
                shape.features as i32,
                PARAMETERS.as_ptr(),
                &mut config,
            );
        }
        (
            status,
            function(library, "LGBM_BoosterPredictForMatSingleRowFast")?,
            function(library, "LGBM_BoosterPredictForMat")?,
        )
    };
    if status != 0 {
        return Err(format!("LightGBM does not load {}", folder.display()).into());
    }
    let entry = |measure, how, subject| Entry {
        name: "LightGBM 4.7.0, C API".into(),
        measure,
        kernel: None,
        tolerance: TOLERANCE,
        how,
        runs: Runs::Here(subject),
    };
    let single = Single {
        fast,
        config,
        row: vec![0.0; shape.features],
        margin: 0.0,
    };
    let batch = |rows: usize| Batch {
        for_mat,
        booster,
        rows: vec![0.0; rows * shape.features],
        features: shape.features,
        margins: vec![0.0; rows],
    };
    Ok(vec![
        entry(Measure::One, FAST, Box::new(single)),
        entry(Measure::Batch(64), MAT, Box::new(batch(64))),
        entry(Measure::Batch(shape.rows), MAT, Box::new(batch(shape.rows))),
    ])
}

type Root = unsafe extern "C" fn(*const f64, *mut f64, c_int, c_int);

struct Lleaves {
    root: Root,
    rows: Vec<f64>,
    margins: Vec<f64>,
}

impl Subject for Lleaves {
    fn rows(&self) -> usize {
        self.margins.len()
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        let values = rows.slice(first, self.margins.len());
        for (to, from) in self.rows.iter_mut().zip(values) {
            *to = f64::from(*from);
        }
    }

    fn call(&mut self) -> i32 {
        // SAFETY: rows from 0 up to the count are read, and as many margins are written.
        unsafe {
            (self.root)(
                self.rows.as_ptr(),
                self.margins.as_mut_ptr(),
                0,
                self.margins.len() as c_int,
            );
        }
        0
    }

    fn margins(&mut self, to: &mut [f64]) {
        to.copy_from_slice(&self.margins);
    }
}

pub fn lleaves(folder: &Path, shape: Shape) -> Result<Vec<Entry>> {
    let library = open(&folder.join("lleaves.so"))?;
    // SAFETY: the type is that of the function which lleaves generates.
    let root: Root = unsafe { function(library, "forest_root")? };
    let counts = [1, 64, shape.rows];
    Ok(Vec::from(counts.map(|rows| Entry {
        name: "lleaves 1.3.0".into(),
        measure: Measure::of(rows),
        kernel: None,
        tolerance: TOLERANCE,
        how: LLEAVES,
        runs: Runs::Here(Box::new(Lleaves {
            root,
            rows: vec![0.0; rows * shape.features],
            margins: vec![0.0; rows],
        })),
    })))
}
