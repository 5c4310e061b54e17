//! The columns of a CatBoost model, and the splits that test them.

use super::category::CategoryColumns;
use super::raw;
use super::{Place, counters};
use crate::features;
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelDuplicate, ModelOverCapacity, ModelUnsupported, ModelValue};
use hedgerow::limits::FEATURES_MAX;
use hedgerow::model::{Missing, Split, Test};
use hedgerow::schema::{Feature, FeatureKind, SchemaError, check_features};
use std::collections::HashMap;

/// The features of the ensemble, in the order of the columns that the model takes.
pub(super) struct Columns {
    pub features: Vec<Feature>,
    /// By `feature_index`, which counts float features only and is what splits name.
    floats: HashMap<u64, FloatColumn>,
    categories: CategoryColumns,
}

struct FloatColumn {
    /// The column: an index in `features`.
    feature: u16,
    missing: Missing,
    /// How many borders the float features before this one have: splits are numbered through.
    borders_before: u64,
    /// The position of each border, by the bits of its [`key`].
    borders: HashMap<u32, u64>,
}

impl Columns {
    /// Reads the features. A column that the file does not list (older versions list the used ones
    /// only) becomes a number; a split on it is refused.
    pub fn new(raw: raw::Features) -> Result<Columns, Refusal> {
        for (key, list) in [
            ("text", &raw.text_features),
            ("embedding", &raw.embedding_features),
        ] {
            if let Some(count) = list.as_ref().map(Vec::len).filter(|count| *count > 0) {
                let at = format!("features_info.{key}_features");
                let got = format!("{count} {key} features");
                return Err(ModelUnsupported.at(at, "numerical features only", got));
            }
        }
        let floats = raw.float_features.unwrap_or_default();
        let categories = raw.categorical_features.unwrap_or_default();
        let features = read_features(&floats, &categories)?;
        let borders = floats.iter().flat_map(|feature| &feature.borders);
        let borders = borders.map(|borders| borders.len() as u64).sum();
        Ok(Columns {
            features,
            categories: CategoryColumns::new(categories, raw.cat_features_hash, borders)?,
            floats: float_columns(floats)?,
        })
    }

    /// The canonical form of a split.
    pub fn split(&self, raw: &raw::Split, place: &Place<'_>) -> Result<Split, Refusal> {
        match raw.split_type.as_str() {
            "FloatFeature" => self.float_split(raw, place),
            "OneHotFeature" => self.categories.split(raw, place),
            other => {
                let at = place.key("split_type");
                let expected = "FloatFeature or OneHotFeature";
                Err(ModelUnsupported
                    .at(at, expected, other)
                    .with_hint(counters()))
            }
        }
    }

    /// Right where `value > border`, in `f32`.
    fn float_split(&self, raw: &raw::Split, place: &Place<'_>) -> Result<Split, Refusal> {
        let index = place.required("float_feature_index", raw.float_feature_index)?;
        let wide = place.required("border", raw.border)?;
        let column = self.floats.get(&index).ok_or_else(|| {
            ModelValue.at(
                place.key("float_feature_index"),
                "the feature_index of one of features_info.float_features",
                index,
            )
        })?;
        let border = border(wide, || place.key("border"))?;
        column.check_numbering(border, raw.split_index, place)?;
        Ok(Split {
            feature: column.feature,
            test: Test::Above(border),
            missing: column.missing,
            zero_is_missing: false,
        })
    }
}

impl FloatColumn {
    /// Checks that the file says the same thing twice: CatBoost itself reads a split's
    /// `split_index`, a number among all borders, and not the border and feature beside it. A file
    /// in which they differ was edited, and would score differently there and here.
    fn check_numbering(
        &self,
        border: f32,
        split_index: Option<u64>,
        place: &Place<'_>,
    ) -> Result<(), Refusal> {
        let Some(at) = self.borders.get(&key(border)) else {
            return Err(ModelValue.at(
                place.key("border"),
                "one of the borders that features_info lists for this feature",
                border,
            ));
        };
        let number = self.borders_before.saturating_add(*at);
        match split_index {
            Some(index) if index != number => Err(ModelValue.at(
                place.key("split_index"),
                format!("{number}, the number of this feature and border"),
                index,
            )),
            _ => Ok(()),
        }
    }
}

/// The feature of every column.
fn read_features(
    floats: &[raw::FloatFeature],
    categories: &[raw::CategoricalFeature],
) -> Result<Vec<Feature>, Refusal> {
    let columns: Vec<Column> = floats
        .iter()
        .enumerate()
        .map(|(index, raw)| Column {
            at: format!("features_info.float_features[{index}]"),
            flat: raw.flat_feature_index,
            name: name(raw.feature_id.as_deref(), raw.flat_feature_index),
            kind: FeatureKind::Number,
        })
        .chain(categories.iter().enumerate().map(|(index, raw)| Column {
            at: format!("features_info.categorical_features[{index}]"),
            flat: raw.flat_feature_index,
            name: name(raw.feature_id.as_deref(), raw.flat_feature_index),
            kind: FeatureKind::Category,
        }))
        .collect();
    // A doubled list is that first of all, whatever its indices are.
    let listed: Vec<Feature> = columns.iter().map(Column::feature).collect();
    if let Err(error @ SchemaError::Duplicate { .. }) = check_features(&listed) {
        return Err(features::refusal(error, &listed, LIST, |index| {
            place(&columns, index)
        }));
    }
    let mut by_flat: Vec<&Column> = columns.iter().collect();
    by_flat.sort_by_key(|column| column.flat);
    let mut features = Vec::with_capacity(columns.len());
    let mut places = Vec::with_capacity(columns.len());
    for column in by_flat {
        let at = format!("{}.flat_feature_index", column.at);
        // The bound is for gaps: a list that is over capacity is counted below.
        let gap_max = columns.len().saturating_add(FEATURES_MAX) as u64;
        if column.flat > gap_max {
            return Err(ModelOverCapacity.at(at, format!("at most {gap_max}"), column.flat));
        }
        if column.flat < features.len() as u64 {
            let expected = "each column once";
            let got = format!("column {} twice", column.flat);
            return Err(ModelDuplicate.at(at, expected, got));
        }
        while (features.len() as u64) < column.flat {
            let flat = features.len() as u64;
            let gap = Column::gap(flat);
            features.push(gap.feature());
            places.push(gap);
        }
        features.push(column.feature());
        places.push(column.clone());
    }
    features::check(&features, LIST, |index| place(&places, index))?;
    Ok(features)
}

/// The list of all features.
const LIST: &str = "features_info";

/// One column as it is listed.
#[derive(Clone)]
struct Column {
    at: String,
    flat: u64,
    name: String,
    kind: FeatureKind,
}

impl Column {
    /// A column that the file does not list.
    fn gap(flat: u64) -> Column {
        Column {
            at: "features_info".to_owned(),
            flat,
            name: name(None, flat),
            kind: FeatureKind::Number,
        }
    }

    fn feature(&self) -> Feature {
        Feature {
            name: self.name.clone(),
            kind: self.kind,
        }
    }
}

/// A feature's name: its own, or `f` and its column where the model was trained without names.
fn name(listed: Option<&str>, flat: u64) -> String {
    match listed {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => format!("f{flat}"),
    }
}

/// Where the name of a column stands.
fn place(columns: &[Column], index: usize) -> String {
    match columns.get(index) {
        Some(column) => format!("{}.feature_id", column.at),
        None => "features_info".to_owned(),
    }
}

/// The float features by their index.
fn float_columns(raw: Vec<raw::FloatFeature>) -> Result<HashMap<u64, FloatColumn>, Refusal> {
    let mut columns = HashMap::with_capacity(raw.len());
    let mut borders_before = 0;
    for (position, raw) in raw.into_iter().enumerate() {
        let at = |key: &str| format!("features_info.float_features[{position}].{key}");
        let feature = u16::try_from(raw.flat_feature_index).map_err(|_| {
            ModelValue.at(at("flat_feature_index"), "a column", raw.flat_feature_index)
        })?;
        let listed = raw.borders.unwrap_or_default();
        let count = listed.len() as u64;
        let mut borders = HashMap::with_capacity(listed.len());
        for (index, wide) in (0..).zip(listed) {
            let border = border(wide, || at(&format!("borders[{index}]")))?;
            // A border that is listed twice is the first.
            borders.entry(key(border)).or_insert(index);
        }
        // CatBoost replaces NaN only where training saw it; a plain comparison with NaN is false.
        let right = raw.has_nans && raw.nan_value_treatment == raw::NanValueTreatment::True;
        let column = FloatColumn {
            feature,
            missing: if right { Missing::Right } else { Missing::Left },
            borders_before,
            borders,
        };
        borders_before = borders_before.saturating_add(count);
        if columns.insert(raw.feature_index, column).is_some() {
            let got = format!("index {} twice", raw.feature_index);
            let at = at("feature_index");
            let expected = "each index once";
            return Err(ModelDuplicate.at(at, expected, got));
        }
    }
    Ok(columns)
}

/// The bits of a border, the same for -0.0 and 0.0, its equal.
fn key(border: f32) -> u32 {
    (border + 0.0).to_bits()
}

/// A border as CatBoost has it: JSON holds all digits of an `f32`, or ten of them in files of
/// before 0.14, which name it, too. No other number is rounded here.
fn border(wide: f64, at: impl Fn() -> String) -> Result<f32, Refusal> {
    let narrow = wide as f32;
    let exact = f64::from(narrow) == wide;
    if narrow.is_finite() && (exact || format!("{narrow:.9e}").parse() == Ok(wide)) {
        Ok(narrow)
    } else {
        let expected = "a finite number that f32 holds exactly";
        Err(ModelValue.at(at(), expected, format!("{wide:?}")))
    }
}
