//! Imported XGBoost models score every row as XGBoost itself does.

mod common;

use common::{Expected, expected, fixture, npy, oracles, reference_models};
use hedgerow::model::Test;
use hedgerow::{Refusal, RefusalKind};
use hedgerow_import::{Imported, import};
use std::path::Path;

/// The largest difference of a margin from XGBoost's, which is a sum in `f32`.
const MARGIN_ERROR_MAX: f64 = 1e-5;

/// The largest difference of a margin from the sum of the same leaves in `f64`.
const EXACT_ERROR_MAX: f64 = 1e-6;

/// What `parity/make_xgboost.py` makes.
const MODELS: &[&str] = &[
    "depth6",
    "depth6-nan-named",
    "exact-pruned",
    "approx",
    "lossguide-255",
    "depth12",
    "dart",
    "base-score-given",
    "regression",
    "poisson",
    "logitraw",
    "stumps",
    "single-leaves",
    "forest",
    "denormal",
    "edited",
    "base-score-least",
    "base-score-most",
    "base-score-zero",
    "base-score-tiny",
    "old-form-scalar",
    "old-form-plain",
    "categories",
    "categories-one-hot",
    "categories-pruned",
    "categories-dart",
    "categories-approx",
    "categories-lossguide",
    "categories-frame",
    "categories-old-form",
    "wide-200x500",
];

/// Models of the same script that must be refused, with the key that says why.
const REFUSED: &[(&str, &str)] = &[
    ("refused-linear", "learner.gradient_booster.name"),
    ("refused-classes", "learner.learner_model_param.num_class"),
    ("refused-targets", "learner.learner_model_param.num_target"),
    ("refused-vectors", "learner.learner_model_param.num_target"),
    ("refused-strings", "model.cats.enc[0]"),
    ("refused-recoded", "model.cats.enc[0]"),
];

fn read(folder: &Path, form: &str) -> Result<Imported, Refusal> {
    let bytes = std::fs::read(folder.join(form)).expect("the model");
    import(&bytes)
}

/// Compares every oracle with XGBoost: leaves equal, and margins near both XGBoost's and, where
/// they are known, the exact ones.
fn compare(model: &str, imported: &Imported, expected: &Expected, exact: Option<&[f64]>) {
    let ensemble = &imported.ensemble;
    let mut said = Vec::new();
    let exact = exact.unwrap_or(&expected.margins);
    assert_eq!(expected.rows.len(), exact.len(), "{model}");
    assert_eq!(expected.rows.len(), expected.margins.len(), "{model}");
    for oracle in oracles(model, ensemble) {
        let name = oracle.name();
        let mut errors = (0.0_f64, 0.0_f64);
        let margins = oracle.margins(&expected.rows);
        assert_eq!(margins.len(), expected.rows.len(), "{model}, {name}");
        for (row, margin) in margins.iter().enumerate() {
            let error = (margin - expected.margins[row]).abs();
            let want = expected.margins[row];
            assert!(
                error <= MARGIN_ERROR_MAX,
                "{model}, {name}: margin of row {row} is {margin}, XGBoost's is {want}"
            );
            errors = (
                errors.0.max(error),
                errors.1.max((margin - exact[row]).abs()),
            );
        }
        assert!(errors.1 <= EXACT_ERROR_MAX, "{model}, {name}: {errors:?}");
        for (index, row) in expected.rows.iter().enumerate() {
            let Some(leaves) = oracle.leaves(row) else {
                break;
            };
            let leaves = leaves.into_iter().enumerate();
            let leaves: Vec<u32> = leaves
                .map(|(tree, leaf)| imported.library_leaf(tree, leaf))
                .collect();
            assert_eq!(leaves, expected.leaves[index], "{model}, {name}: {row:?}");
        }
        said.push(format!("{name} {:.1e} and {:.1e}", errors.0, errors.1));
    }
    println!(
        "{model}: {} rows, {} trees, largest margin errors against XGBoost and the exact sum: {}",
        expected.rows.len(),
        ensemble.trees.len(),
        said.join(", ")
    );
}

#[test]
fn reference_models_score_as_in_xgboost() {
    let mut names = MODELS.to_vec();
    names.extend(REFUSED.iter().map(|(name, _)| *name));
    let Some(root) = reference_models("xgboost", &names) else {
        return;
    };
    for name in MODELS {
        let folder = root.join(name);
        let json = read(&folder, "model.json").unwrap_or_else(|error| panic!("{name}: {error}"));
        let ubj = read(&folder, "model.ubj").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(json.ensemble, ubj.ensemble, "{name}");
        assert_eq!(json.source.library, "xgboost");
        // The file in the old form is an edited one; the binary one beside it is not.
        let old = name.ends_with("old-form") || name.starts_with("old-form");
        let version = if old { "2.1.4" } else { "3.2.0" };
        assert_eq!(json.source.version.as_deref(), Some(version));
        assert!(old || json == ubj, "{name}");
        let mut splits = json.ensemble.trees.iter().flat_map(|tree| tree.splits());
        let categorical = splits.any(|split| matches!(split.test, Test::Within(_)));
        assert_eq!(categorical, name.starts_with("categories"), "{name}");
        let expected = expected(&folder);
        assert_eq!(json.ensemble.features.len(), expected.rows[0].len());
        let first = json.ensemble.features[0].name.as_str();
        let named = name.ends_with("named");
        assert_eq!(first, if named { "feature 0" } else { "f0" });
        let (exact, _) = npy(&folder.join("exact.npy"), "<f8", f64::from_le_bytes);
        compare(name, &json, &expected, Some(&exact));
    }
    for (name, key) in REFUSED {
        for form in ["model.json", "model.ubj"] {
            let error = read(&root.join(name), form).expect_err(name);
            assert_eq!(error.kind(), Some(RefusalKind::ModelUnsupported), "{error}");
            assert!(error.at().contains(key), "{error}");
            println!("{name}: refused, as it should be: {error}");
        }
    }
}

#[test]
fn checked_in_models_score_as_in_xgboost() {
    let (json, expected) = fixture("xgboost", "json");
    let bytes = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/xgboost.ubj"
    ));
    let ubj = import(&bytes.expect("the model")).expect("a model");
    assert_eq!(json, ubj);
    compare("xgboost", &json, &expected, None);
    let (imported, expected) = fixture("xgboost-categories", "json");
    compare("xgboost-categories", &imported, &expected, None);
    for (name, score) in [("xgboost-3.1", 0.4995_f32), ("xgboost-1.0", 0.25)] {
        let (imported, expected) = fixture(name, "json");
        assert_eq!(
            imported.ensemble.bias,
            f64::from(-(1.0 / score - 1.0).ln()),
            "{name}"
        );
        compare(name, &imported, &expected, None);
    }
}
