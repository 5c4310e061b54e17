//! Who is measured: hedgerow's kernels, and each peer in the way that serves it best.

mod catboost;
mod hedgerow;
mod lightgbm;
mod onnx;
mod python;
mod treelite;
mod xgboost;

use crate::Result;
use crate::measure::Runs;
use crate::results::Measure;
use libloading::Library;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The largest distance of a peer's margin from hedgerow's.
pub const TOLERANCE: f64 = 1e-5;

/// The same for peers that keep CatBoost's leaves in f32 and add a thousand of them in f32. On R1,
/// at a margin of -7.37, ONNX Runtime and the crate catboost are both 1.03e-5 off, by the same
/// bits. CatBoost's exported C++, which adds in f64, is within 1e-7.
pub const TOLERANCE_F32: f64 = 5e-5;

/// A model that `models.py` made.
#[derive(Debug, Clone, Deserialize)]
pub struct Model {
    pub name: String,
    pub library: String,
    pub about: String,
    pub folder: PathBuf,
    pub borders_used: Option<usize>,
    pub features_used: Option<usize>,
}

/// Where everything lies.
pub struct Places {
    /// What `models.py` made.
    pub models: PathBuf,
    /// The Python environment with the peers.
    pub venv: PathBuf,
    /// The script beside this crate that times what exists in Python only.
    pub script: PathBuf,
}

impl Places {
    /// A file of a package in the Python environment.
    pub fn package_file(&self, file: &str) -> Result<PathBuf> {
        let libs = std::fs::read_dir(self.venv.join("lib"))?;
        for python in libs.flatten() {
            let path = python.path().join("site-packages").join(file);
            if path.exists() {
                return Ok(path);
            }
        }
        Err(format!("{file} is not in {}", self.venv.display()).into())
    }
}

/// One way of calling one subject.
pub struct Entry {
    /// The row of the table.
    pub name: String,
    /// One row, or a batch.
    pub measure: Measure,
    /// The kernel's name; none for a peer.
    pub kernel: Option<&'static str>,
    /// How far its margins may be from hedgerow's.
    pub tolerance: f64,
    /// How it is called.
    pub how: &'static str,
    pub runs: Runs,
}

/// Everything that is measured on a model, hedgerow first.
pub fn of(model: &Model, places: &Places, features: usize, rows: usize) -> Result<Vec<Entry>> {
    let folder = places.models.join(&model.folder);
    let mut entries = hedgerow::entries(&folder, features)?;
    let shape = Shape { features, rows };
    match (model.library.as_str(), model.name.as_str()) {
        ("catboost", "R1") => {
            entries.extend(catboost::entries(&folder, shape)?);
            entries.extend(onnx::entries(&folder, places, shape)?);
            entries.extend(python::entries(&folder, places, shape)?);
        }
        ("catboost", _) => {}
        ("lightgbm", _) => {
            entries.extend(lightgbm::entries(&folder, places, shape)?);
            entries.extend(treelite::entries::<f64>(&folder, shape)?);
            entries.extend(lightgbm::lleaves(&folder, shape)?);
            entries.extend(onnx::entries(&folder, places, shape)?);
        }
        ("xgboost", _) => {
            entries.extend(xgboost::entries(&folder, places, shape)?);
            entries.extend(treelite::entries::<f32>(&folder, shape)?);
            entries.extend(xgboost::gbdt(&folder, shape)?);
            entries.extend(onnx::entries(&folder, places, shape)?);
        }
        (other, name) => return Err(format!("{name}: unknown library {other}").into()),
    }
    Ok(entries)
}

/// Values a row, and rows in all.
#[derive(Clone, Copy)]
pub struct Shape {
    pub features: usize,
    pub rows: usize,
}

/// Opens a shared library for as long as the process lives.
fn open(path: &Path) -> Result<&'static Library> {
    // SAFETY: the libraries are those that this harness installed or compiled; their
    // constructors are those of ordinary C++ libraries.
    let library = unsafe { Library::new(path) };
    let library = library.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Box::leak(Box::new(library)))
}

/// A function of a library.
///
/// # Safety
/// `F` is the function's type.
unsafe fn function<F: Copy>(library: &Library, name: &str) -> Result<F> {
    // SAFETY: by the caller's promise.
    let symbol = unsafe { library.get::<F>(name.as_bytes()) };
    Ok(*symbol.map_err(|error| format!("{name}: {error}"))?)
}

/// A path for a C library.
fn c_path(path: &Path) -> Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::CString::new(path.as_os_str().as_bytes())?)
}
