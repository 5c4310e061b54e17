//! What the parity tests share: the libraries' own results, and the comparison with them.

#![allow(dead_code, reason = "each test crate uses a part")]

use hedgerow::table::ensemble::Ensemble;
use hedgerow_import::Imported;
use hedgerow_import::reference::Reference;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The largest difference of a margin from the library's.
pub const MARGIN_ERROR_MAX: f64 = 1e-6;

/// Something that scores rows with an imported ensemble. A further oracle implements this and is
/// added to the test's list.
pub trait Oracle {
    /// What failures call it.
    fn name(&self) -> &'static str;

    /// The margin of a row and, where the oracle knows them, the leaf in each tree.
    fn score(&self, row: &[f32]) -> (f64, Option<Vec<u32>>);
}

impl Oracle for Reference<'_> {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn score(&self, row: &[f32]) -> (f64, Option<Vec<u32>>) {
        let (margin, leaves) = self.evaluate(row);
        (margin, Some(leaves))
    }
}

/// The oracles that every ensemble is tried with: the compiled table's kernels go here too.
pub fn oracles(ensemble: &Ensemble) -> Vec<Box<dyn Oracle + '_>> {
    vec![Box::new(Reference::new(ensemble))]
}

/// A library's own results for some rows.
pub struct Expected {
    pub rows: Vec<Vec<f32>>,
    pub margins: Vec<f64>,
    pub leaves: Vec<Vec<u32>>,
}

/// Compares every oracle with the library: leaves equal, margins within [`MARGIN_ERROR_MAX`].
/// Returns the largest margin error.
pub fn compare(model: &str, imported: &Imported, expected: &Expected) -> f64 {
    let mut error_max = 0.0_f64;
    assert!(!expected.rows.is_empty(), "{model}: no rows");
    assert_eq!(expected.rows.len(), expected.margins.len(), "{model}");
    assert_eq!(expected.rows.len(), expected.leaves.len(), "{model}");
    for oracle in oracles(&imported.ensemble) {
        let name = oracle.name();
        for (index, row) in expected.rows.iter().enumerate() {
            let (margin, leaves) = oracle.score(row);
            if let Some(leaves) = leaves {
                assert_eq!(leaves.len(), expected.leaves[index].len(), "{model}: trees");
                for (tree, (got, want)) in leaves.iter().zip(&expected.leaves[index]).enumerate() {
                    assert_eq!(
                        imported.library_leaf(tree, *got),
                        *want,
                        "{model}, {name}: leaf of row {index} in tree {tree}; row: {row:?}"
                    );
                }
            }
            let error = (margin - expected.margins[index]).abs();
            assert!(
                error <= MARGIN_ERROR_MAX,
                "{model}, {name}: margin of row {index} is {margin}, the library's is {}",
                expected.margins[index]
            );
            error_max = error_max.max(error);
        }
    }
    error_max
}

/// The folder of a library's reference models, made now if the library is installed.
///
/// Without the library there is nothing to compare with: that is said loudly, and it is a failure
/// where `HEDGEROW_REQUIRE_PEERS=1`.
pub fn reference_models(library: &str, models: &[&str]) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("target/parity").join(library);
    let complete = |name: &&str| folder.join(name).join("leaves.npy").is_file();
    if models.iter().all(complete) {
        return Some(folder);
    }
    let python = root.join("target/peers/bin/python");
    let script = root.join(format!("tools/import/parity/make_{library}.py"));
    if python.is_file() {
        let output = Command::new(python).arg(script).output();
        let output = output.expect("the script starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "make_{library}.py: {said}");
        let missing: Vec<_> = models.iter().filter(|name| !complete(name)).collect();
        assert!(missing.is_empty(), "make_{library}.py made no {missing:?}");
        return Some(folder);
    }
    let skipped =
        format!("SKIPPED: no {library} to compare with: run tools/import/parity/setup.sh");
    let required = std::env::var("HEDGEROW_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{skipped}");
    // Past the test harness, which keeps the output of tests that pass.
    let line = format!("\n\n*** {skipped} ***\n\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("stderr");
    None
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
    let imported = hedgerow_import::import(&bytes, name).expect("the model imports");
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
fn npy<T, const N: usize>(path: &Path, kind: &str, from: fn([u8; N]) -> T) -> (Vec<T>, usize) {
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
