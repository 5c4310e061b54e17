//! Imported CatBoost models score every row as CatBoost itself does.

mod common;

use common::{compare, expected, fixture, reference_models};

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
        compare(name, &imported, &expected);
    }
}

#[test]
fn checked_in_models_score_as_in_catboost() {
    for name in ["catboost-oblivious", "catboost-nonsymmetric"] {
        let (imported, expected) = fixture(name, "json");
        compare(name, &imported, &expected);
    }
}
