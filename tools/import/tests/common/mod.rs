//! What the parity tests share: the libraries' own results, and the comparison with them.

#![allow(dead_code, reason = "each test crate uses a part")]

use hedgerow::model::{BuildOptions, Ensemble, build};
use hedgerow::{KERNELS, PreparedTable, Row, Schema, Table};
use hedgerow_import::Imported;
use hedgerow_import::reference::Reference;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The largest difference of a margin from the library's.
pub const MARGIN_ERROR_MAX: f64 = 1e-6;

/// Something that scores rows with an imported ensemble. A further oracle implements this and is
/// added to [`oracles`].
pub trait Oracle {
    /// What failures call it.
    fn name(&self) -> String;

    /// The margin of each row.
    fn margins(&self, rows: &[Vec<f32>]) -> Vec<f64>;

    /// The leaf that a row reaches in each tree, where the oracle knows them.
    fn leaves(&self, row: &[f32]) -> Option<Vec<u32>>;
}

impl Oracle for Reference<'_> {
    fn name(&self) -> String {
        "reference".into()
    }

    fn margins(&self, rows: &[Vec<f32>]) -> Vec<f64> {
        rows.iter().map(|row| self.evaluate(row).0).collect()
    }

    fn leaves(&self, row: &[f32]) -> Option<Vec<u32>> {
        Some(self.evaluate(row).1)
    }
}

/// The compiled table on one kernel, row by row or in batches.
struct Compiled {
    prepared: PreparedTable,
    batched: bool,
    /// Leaves do not depend on the kernel: they are asked for once.
    has_leaves: bool,
}

impl Oracle for Compiled {
    fn name(&self) -> String {
        let how = if self.batched { "in batches" } else { "alone" };
        format!("{} {how}", self.prepared.kernel().name)
    }

    fn margins(&self, rows: &[Vec<f32>]) -> Vec<f64> {
        let rows: Vec<Row> = rows.iter().map(|row| self.prepared.row(row)).collect();
        let mut margins = vec![0; rows.len()];
        if self.batched {
            // Whole batches, and a rest that fills none.
            self.prepared.margins(&rows, &mut margins);
        } else {
            for (row, margin) in rows.iter().zip(&mut margins) {
                *margin = self.prepared.margin(row);
            }
        }
        let table = self.prepared.table();
        margins.iter().map(|m| table.margin_f64(*m)).collect()
    }

    fn leaves(&self, row: &[f32]) -> Option<Vec<u32>> {
        let row = self.prepared.row(row);
        self.has_leaves.then(|| self.prepared.leaf_indexes(&row))
    }
}

/// The oracles that every ensemble is tried with: the plain walk, and the compiled table on every
/// kernel that runs here. A model by the name `…beyond-capacity` must be refused by
/// the table, and is walked only.
pub fn oracles<'a>(model: &str, ensemble: &'a Ensemble) -> Vec<Box<dyn Oracle + 'a>> {
    let built = build(ensemble, &BuildOptions::default());
    if model.ends_with("beyond-capacity") {
        let refused = built.expect_err("a table has no room for it").to_string();
        assert!(refused.contains("(capacity)"), "{refused}");
        println!("{model}: the walk alone: {refused}");
        return vec![Box::new(Reference::new(ensemble))];
    }
    let built = built.unwrap_or_else(|error| panic!("{model} becomes no table: {error}"));
    let schema = Schema::new(ensemble.features.clone()).expect("a model's features are a schema");
    let mut all: Vec<Box<dyn Oracle + 'a>> = vec![Box::new(Reference::new(ensemble))];
    for kernel in KERNELS {
        for batched in [false, true] {
            let table = Table::from_bytes(&built.bytes);
            let table = table.unwrap_or_else(|refused| panic!("{model}: {refused}"));
            if !kernel.available() {
                unavailable(kernel.name);
                continue;
            }
            let prepared = PreparedTable::with_kernel(table, &schema, kernel.name);
            all.push(Box::new(Compiled {
                prepared: prepared.unwrap_or_else(|refused| panic!("{model}: {refused}")),
                batched,
                has_leaves: all.len() == 1,
            }));
        }
    }
    assert!(all.len() >= 3, "{model}: no kernel runs");
    all
}

/// Says once that a kernel is not tried.
fn unavailable(name: &'static str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(name) {
        past_the_harness(&format!("SKIPPED: kernel {name} is not available here"));
    }
}

/// Says something past the test harness, which keeps the output of tests that pass.
fn past_the_harness(what: &str) {
    let line = format!("\n\n*** {what} ***\n\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("stderr");
}

/// A library's own results for some rows.
pub struct Expected {
    pub rows: Vec<Vec<f32>>,
    pub margins: Vec<f64>,
    pub leaves: Vec<Vec<u32>>,
}

/// Compares every oracle with the library: leaves equal, margins within [`MARGIN_ERROR_MAX`]. Says
/// the largest margin error of each, and that all kernels agree bit for bit.
pub fn compare(model: &str, imported: &Imported, expected: &Expected) {
    assert!(!expected.rows.is_empty(), "{model}: no rows");
    assert_eq!(expected.rows.len(), expected.margins.len(), "{model}");
    assert_eq!(expected.rows.len(), expected.leaves.len(), "{model}");
    let mut said = Vec::new();
    let mut kernels: Vec<Vec<f64>> = Vec::new();
    for oracle in oracles(model, &imported.ensemble) {
        let name = oracle.name();
        let margins = oracle.margins(&expected.rows);
        assert_eq!(margins.len(), expected.rows.len(), "{model}, {name}");
        let mut error_max = 0.0_f64;
        for (index, (got, want)) in margins.iter().zip(&expected.margins).enumerate() {
            let error = (got - want).abs();
            assert!(
                error <= MARGIN_ERROR_MAX,
                "{model}, {name}: margin of row {index} is {got}, the library's is {want}"
            );
            error_max = error_max.max(error);
        }
        for (index, row) in expected.rows.iter().enumerate() {
            let Some(leaves) = oracle.leaves(row) else {
                break;
            };
            assert_eq!(leaves.len(), expected.leaves[index].len(), "{model}: trees");
            for (tree, (got, want)) in leaves.iter().zip(&expected.leaves[index]).enumerate() {
                assert_eq!(
                    imported.library_leaf(tree, *got),
                    *want,
                    "{model}, {name}: leaf of row {index} in tree {tree}; row: {row:?}"
                );
            }
        }
        said.push(format!("{name} {error_max:.1e}"));
        if name != "reference" {
            assert!(
                kernels.iter().all(|other| *other == margins),
                "{model}, {name}"
            );
            kernels.push(margins);
        }
    }
    println!(
        "{model}: {} rows, {} trees, largest margin errors: {}",
        expected.rows.len(),
        imported.ensemble.trees.len(),
        said.join(", ")
    );
}

/// The folder of a library's reference models, made now if the library is installed, and made anew
/// where the scripts or the library are others than those that made them.
///
/// Without the library there is nothing to compare with: that is said loudly, and it is a failure
/// where `HEDGEROW_REQUIRE_PEERS=1`.
pub fn reference_models(library: &str, models: &[&str]) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("target/parity").join(library);
    let complete = |name: &&str| folder.join(name).join("leaves.npy").is_file();
    let maker = Maker::of(&root, library);
    let kept = std::fs::read_to_string(folder.join(MADE_BY)).unwrap_or_default();
    if models.iter().all(complete) && maker.made(&kept) {
        return Some(folder);
    }
    let python = root.join("target/peers/bin/python");
    let script = root.join(format!("tools/import/parity/make_{library}.py"));
    if python.is_file() {
        // Models of an earlier run are none of the script's now.
        let _ = std::fs::remove_dir_all(&folder);
        let output = Command::new(python).arg(script).output();
        let output = output.expect("the script starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "make_{library}.py: {said}");
        let missing: Vec<_> = models.iter().filter(|name| !complete(name)).collect();
        assert!(missing.is_empty(), "make_{library}.py made no {missing:?}");
        std::fs::write(folder.join(MADE_BY), maker.text()).expect("a writable folder");
        return Some(folder);
    }
    let skipped =
        format!("SKIPPED: no {library} to compare with: run tools/import/parity/setup.sh");
    let required = std::env::var("HEDGEROW_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{skipped}");
    past_the_harness(&skipped);
    None
}

/// What makes a library's reference models.
struct Maker {
    /// The scripts, word by word.
    scripts: String,
    /// The library's release, where it is installed.
    release: Option<String>,
}

/// The file beside the models that holds a [`Maker`]'s text.
const MADE_BY: &str = "made-by.txt";

impl Maker {
    fn of(root: &Path, library: &str) -> Maker {
        let script = |name: &str| {
            let path = root.join("tools/import/parity").join(name);
            std::fs::read_to_string(path).expect(name)
        };
        let folders = |path: &Path| {
            let entries = std::fs::read_dir(path).into_iter().flatten();
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.sort();
            paths
        };
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let packages = folders(&root.join("target/peers/lib"));
        let packages = packages.iter().map(|python| python.join("site-packages"));
        let prefix = format!("{library}-");
        Maker {
            scripts: script("common.py") + &script(&format!("make_{library}.py")),
            release: packages
                .flat_map(|path| folders(&path))
                .filter_map(|path| name(&path))
                .find(|name| name.starts_with(&prefix) && name.ends_with(".dist-info")),
        }
    }

    fn text(&self) -> String {
        let release = self.release.as_deref().unwrap_or_default();
        format!("{}\n{release}\n", self.scripts)
    }

    /// Whether it made the models beside a text. Where the library is not installed, whatever
    /// release made them is taken.
    fn made(&self, kept: &str) -> bool {
        match self.release {
            Some(_) => kept == self.text(),
            None => kept.starts_with(&self.scripts),
        }
    }
}

/// The results in a model's folder.
pub fn expected(folder: &Path) -> Expected {
    let (rows, columns) = npy(&folder.join("rows.npy"), "<f4", f32::from_le_bytes);
    let (margins, _) = npy(&folder.join("margins.npy"), "<f8", f64::from_le_bytes);
    let (leaves, trees) = npy(&folder.join("leaves.npy"), "<i4", u32::from_le_bytes);
    Expected {
        rows: rows.chunks(columns).map(<[f32]>::to_vec).collect(),
        margins,
        leaves: leaves.chunks(trees).map(<[u32]>::to_vec).collect(),
    }
}

/// A checked-in model, imported, and the library's results for it.
pub fn fixture(name: &str, suffix: &str) -> (Imported, Expected) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let bytes = std::fs::read(folder.join(format!("{name}.{suffix}"))).expect("the model");
    let imported = hedgerow_import::import(&bytes).expect("the model imports");
    let text = std::fs::read_to_string(folder.join(format!("{name}.expected.json")));
    let json: serde_json::Value =
        serde_json::from_str(&text.expect("results")).expect("results are JSON");
    let bits: Vec<Vec<u32>> = serde_json::from_value(json["rows"].clone()).expect("rows");
    let rows = bits
        .iter()
        .map(|row| row.iter().copied().map(f32::from_bits));
    let expected = Expected {
        rows: rows.map(Iterator::collect).collect(),
        margins: serde_json::from_value(json["margins"].clone()).expect("margins"),
        leaves: serde_json::from_value(json["leaves"].clone()).expect("leaves"),
    };
    (imported, expected)
}

/// The values of a NumPy file in C order, and the length of its last axis.
pub fn npy<T, const N: usize>(path: &Path, kind: &str, from: fn([u8; N]) -> T) -> (Vec<T>, usize) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"), "{path:?}");
    let body = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..body]).expect("the header is text");
    assert!(header.contains(&format!("'descr': '{kind}'")), "{header}");
    assert!(header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").expect("a shape").1;
    let shape = shape.split_once(')').expect("a shape").0;
    let axes: Vec<usize> = shape
        .split(',')
        .filter_map(|axis| axis.trim().parse().ok())
        .collect();
    let (values, rest) = bytes[body..].as_chunks::<N>();
    assert!(rest.is_empty(), "{path:?}");
    assert_eq!(values.len(), axes.iter().product::<usize>(), "{path:?}");
    (
        values.iter().copied().map(from).collect(),
        axes[axes.len() - 1],
    )
}
