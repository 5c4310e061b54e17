//! Imported LightGBM models score every row as LightGBM itself does.

mod common;

use common::{compare, expected, fixture, reference_models};
use hedgerow::RefusalKind;
use hedgerow::model::Test;
use hedgerow_import::Imported;

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
    "500x31",
    "edited",
    "categories",
    "categories-one-hot",
    "categories-zero",
    "categories-none",
    "categories-dart",
    "categories-beyond-capacity",
    "categories-far",
    "categories-frame",
    "categories-edited",
    "wide-128x1000",
];

/// Those in which LightGBM parts missing values from all others by `x <= inf`.
const INFINITE: &[&str] = &["nan", "deep-255", "regression", "edited", "wide-128x1000"];

/// Models of the same script that must be refused: data frames whose categories are recoded.
const REFUSED: &[&str] = &["refused-strings", "refused-recoded", "refused-ordered"];

#[test]
fn reference_models_score_as_in_lightgbm() {
    let names = [MODELS, REFUSED].concat();
    let Some(folder) = reference_models("lightgbm", &names) else {
        return;
    };
    for name in REFUSED {
        let bytes = std::fs::read(folder.join(name).join("model.txt")).expect("the model");
        let error = hedgerow_import::import(&bytes).expect_err(name);
        assert_eq!(error.kind(), Some(RefusalKind::ModelUnsupported), "{error}");
        assert!(error.at().ends_with("pandas_categorical[0]"), "{error}");
        println!("{name}: refused, as it should be: {error}");
    }
    for name in MODELS {
        let folder = folder.join(name);
        let bytes = std::fs::read(folder.join("model.txt")).expect("the model");
        let imported = hedgerow_import::import(&bytes);
        let imported = imported.unwrap_or_else(|error| panic!("{error}"));
        let expected = expected(&folder);
        assert_eq!(imported.ensemble.features.len(), expected.rows[0].len());
        let sets = sets(&imported);
        let wanted = match *name {
            "categories-edited" => [true, true],
            _ => [INFINITE.contains(name), name.starts_with("categories")],
        };
        // The model shows what it was made for.
        let found = [
            sets.iter().any(|edges| edges.is_empty()),
            sets.iter().any(|edges| !edges.is_empty()),
        ];
        assert!(wanted[0] <= found[0], "{name}: no infinite threshold");
        assert_eq!(wanted[1], found[1], "{name}: categorical splits");
        compare(name, &imported, &expected);
    }
}

/// The edges of all splits that have a set of them.
fn sets(imported: &Imported) -> Vec<&[f32]> {
    let splits = imported
        .ensemble
        .trees
        .iter()
        .flat_map(|tree| tree.splits());
    let sets = splits.filter(|split| matches!(split.test, Test::Within(_)));
    sets.map(|split| split.test.edges()).collect()
}

#[test]
fn checked_in_models_score_as_in_lightgbm() {
    for name in ["lightgbm", "lightgbm-categories"] {
        let (imported, expected) = fixture(name, "txt");
        compare(name, &imported, &expected);
    }
}
