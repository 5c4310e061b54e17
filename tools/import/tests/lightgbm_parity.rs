//! Imported LightGBM models score every row as LightGBM itself does.

mod common;

use common::{compare, expected, fixture, reference_models};

/// What `parity/make_lightgbm.py` makes.
const MODELS: &[&str] = &[
    "none",
    "none-nan-unused",
    "zero-named",
    "nan",
    "stumps",
    "deep-255",
    "sigmoid-2",
    "regression",
    "forest",
    "dart",
    "constant",
    "tiny",
    "tiny-zero",
    "wide-200x1000",
];

#[test]
fn reference_models_score_as_in_lightgbm() {
    let Some(folder) = reference_models("lightgbm", MODELS) else {
        return;
    };
    let mut refused = 0;
    for name in MODELS {
        let folder = folder.join(name);
        let bytes = std::fs::read(folder.join("model.txt")).expect("the model");
        let imported = match hedgerow_import::import(&bytes, name) {
            Ok(imported) => imported,
            // LightGBM parts missing values from all others by `x <= inf`, which no finite border
            // does: +inf itself goes left there.
            Err(error) if error.got == "inf" => {
                assert!(error.at.contains("threshold["), "{error}");
                println!("{name}: refused: {error}");
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let expected = expected(&folder);
        assert_eq!(imported.ensemble.features.len(), expected.rows[0].len());
        let error = compare(name, &imported, &expected);
        println!(
            "{name}: {} rows, {} trees, largest margin error {error:.1e}",
            expected.rows.len(),
            imported.ensemble.trees.len()
        );
    }
    assert!(refused * 2 < MODELS.len(), "{refused} models were refused");
}

#[test]
fn the_checked_in_model_scores_as_in_lightgbm() {
    let (imported, expected) = fixture("lightgbm", "txt");
    compare("lightgbm", &imported, &expected);
}
