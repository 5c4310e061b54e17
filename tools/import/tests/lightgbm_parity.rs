//! Imported LightGBM models score every row as LightGBM itself does.

mod common;

use common::{compare, expected, fixture, reference_models};

/// What `parity/make_lightgbm.py` makes.
const MODELS: &[&str] = &[
    "none",
    "none-nan-unused",
    "zero-named",
    "nan",
    "nan-finite",
    "stumps",
    "deep-255",
    "deep-255-finite",
    "sigmoid-2",
    "regression",
    "regression-finite",
    "forest",
    "dart",
    "constant",
    "tiny",
    "tiny-zero",
    "wide-128x1000",
    "wide-128x1000-finite",
];

/// Those that must be refused, and only these: LightGBM parted missing values from all others by
/// `x <= inf` there, which no finite border does, as +inf itself goes left. Of each there is a
/// second model with the largest f32 in that place, which must pass.
const REFUSED: &[&str] = &["nan", "deep-255", "regression", "wide-128x1000"];

#[test]
fn reference_models_score_as_in_lightgbm() {
    let Some(folder) = reference_models("lightgbm", MODELS) else {
        return;
    };
    for name in MODELS {
        let folder = folder.join(name);
        let bytes = std::fs::read(folder.join("model.txt")).expect("the model");
        let imported = hedgerow_import::import(&bytes, name);
        if REFUSED.contains(name) {
            let error = imported.expect_err("a split at infinity is refused");
            assert_eq!(error.got, "inf", "{error}");
            assert!(error.at.contains("threshold["), "{error}");
            println!("{name}: refused, as it should be: {error}");
            continue;
        }
        let imported = imported.unwrap_or_else(|error| panic!("{error}"));
        let expected = expected(&folder);
        assert_eq!(imported.ensemble.features.len(), expected.rows[0].len());
        compare(name, &imported, &expected);
    }
}

#[test]
fn the_checked_in_model_scores_as_in_lightgbm() {
    let (imported, expected) = fixture("lightgbm", "txt");
    compare("lightgbm", &imported, &expected);
}
