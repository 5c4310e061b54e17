//! Checks a model's features, and says in one way for all importers what is wrong with them.

use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelDuplicate, ModelOverCapacity, ModelShape, ModelValue};
use hedgerow::limits::FEATURES_MAX;
use hedgerow::schema::{Feature, SchemaError, check_features};

/// Checks features: `list` is where they stand, and `place` where the feature at a position does.
///
/// # Errors
/// None or too many features, or names that cannot be.
pub(crate) fn check(
    features: &[Feature],
    list: &str,
    place: impl Fn(usize) -> String,
) -> Result<(), Refusal> {
    check_features(features).map_err(|error| refusal(error, features, list, place))
}

/// What is wrong with features, as [`check`] says it.
pub(crate) fn refusal(
    error: SchemaError,
    features: &[Feature],
    list: &str,
    place: impl Fn(usize) -> String,
) -> Refusal {
    match error {
        SchemaError::Empty => ModelShape.at(list, "at least 1 feature", "none"),
        SchemaError::TooMany { got } => ModelOverCapacity.at(
            list,
            format!("at most {FEATURES_MAX} features (capacity)"),
            got.to_string(),
        ),
        SchemaError::Duplicate {
            name,
            first,
            second,
            duplicates,
        } => ModelDuplicate.at(
            place(second),
            "unique feature names",
            format!(
                "{name:?} at positions {first} and {second} ({duplicates} names stand more than \
                 once)"
            ),
        ),
        SchemaError::Name { index, problem } => {
            let name = features.get(index).map_or("", |feature| &feature.name);
            let shown: String = name.chars().take(80).collect();
            let got = format!("{shown:?}, which {problem}");
            ModelValue.at(place(index), "a feature name", got)
        }
    }
}
