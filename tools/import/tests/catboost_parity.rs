//! Imported CatBoost models score every row as CatBoost itself does.

mod common;

use common::{compare, expected, fixture, reference_models};
use hedgerow::RefusalKind;
use hedgerow::model::Test;

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
    "one-hot",
    "one-hot-mixed",
    "one-hot-lossguide",
    "one-hot-depth1",
    "one-hot-far",
];

/// Models of the same script that must be refused, with what is said of them.
const REFUSED: &[(&str, &str)] = &[
    ("refused-strings", "the category \""),
    ("refused-unnamed", "and no such list"),
    ("refused-counters", "OnlineCtr"),
];

#[test]
fn reference_models_score_as_in_catboost() {
    let refused = REFUSED.iter().map(|(name, _)| *name);
    let names: Vec<&str> = MODELS.iter().copied().chain(refused).collect();
    let Some(folder) = reference_models("catboost", &names) else {
        return;
    };
    for (name, said) in REFUSED {
        let bytes = std::fs::read(folder.join(name).join("model.json")).expect("the model");
        let error = hedgerow_import::import(&bytes).expect_err(name);
        assert_eq!(error.kind(), Some(RefusalKind::ModelUnsupported), "{error}");
        assert!(error.got().contains(said), "{error}");
        assert!(error.hint().is_some(), "{error}");
        println!("{name}: refused, as it should be: {error}");
    }
    for name in MODELS {
        let folder = folder.join(name);
        let bytes = std::fs::read(folder.join("model.json")).expect("the model");
        let imported = hedgerow_import::import(&bytes).expect("the model imports");
        let expected = expected(&folder);
        assert_eq!(imported.ensemble.features.len(), expected.rows[0].len());
        // A sum of models keeps no version.
        let version = (*name != "mixed-depths").then_some("1.2.10");
        assert_eq!(imported.source.version.as_deref(), version);
        let first = imported.ensemble.features[0].name.as_str();
        let first_name = match *name {
            name if name.ends_with("named") => "feature 0",
            // CatBoost has the columns' names of its own data frames.
            name if name.starts_with("one-hot") => "0",
            _ => "f0",
        };
        assert_eq!(first, first_name);
        let mut splits = imported
            .ensemble
            .trees
            .iter()
            .flat_map(|tree| tree.splits());
        let one_hot = splits.any(|split| matches!(split.test, Test::Within(_)));
        assert_eq!(one_hot, name.starts_with("one-hot"), "{name}");
        compare(name, &imported, &expected);
    }
}

#[test]
fn checked_in_models_score_as_in_catboost() {
    for name in [
        "catboost-oblivious",
        "catboost-nonsymmetric",
        "catboost-one-hot",
    ] {
        let (imported, expected) = fixture(name, "json");
        compare(name, &imported, &expected);
    }
}
