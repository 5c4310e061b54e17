//! Imported CatBoost models score every row as CatBoost itself does.

mod common;

use common::{Expected, compare, expected, reference_models};
use std::path::Path;

/// What `parity/make_catboost.py` makes.
const MODELS: &[&str] = &[
    "depth1",
    "depth4-nan-min-named",
    "depth6-nan-max",
    "depth8-forbidden",
    "depthwise-nan-max",
    "lossguide-nan-min-named",
    "wide-200x1000",
    "regression-bias",
    "many-borders",
    "denormal-borders",
    "scale-and-bias",
    "lossguide-scale-and-bias",
    "mixed-depths",
    "constant-tree",
    "constant-lossguide",
];

#[test]
fn reference_models_score_as_in_catboost() {
    let Some(folder) = reference_models("catboost", MODELS) else {
        return;
    };
    for name in MODELS {
        let folder = folder.join(name);
        let bytes = std::fs::read(folder.join("model.json")).expect("the model");
        let imported = hedgerow_import::import(&bytes, name).expect("the model imports");
        let expected = expected(&folder);
        assert_eq!(imported.ensemble.features.len(), expected.rows[0].len());
        // A sum of models keeps no version.
        let version = (*name != "mixed-depths").then_some("1.2.10");
        assert_eq!(imported.source.version.as_deref(), version);
        let first = imported.ensemble.features[0].name.as_str();
        let named = name.ends_with("named");
        assert_eq!(first, if named { "feature 0" } else { "f0" });
        let error = compare(name, &imported.ensemble, &expected);
        println!(
            "{name}: {} rows, {} trees, largest margin error {error:.1e}",
            expected.rows.len(),
            imported.ensemble.trees.len()
        );
    }
}

#[test]
fn checked_in_models_score_as_in_catboost() {
    for name in ["catboost-oblivious", "catboost-nonsymmetric"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let bytes = std::fs::read(folder.join(format!("{name}.json"))).expect("the model");
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
        compare(name, &imported.ensemble, &expected);
    }
}
