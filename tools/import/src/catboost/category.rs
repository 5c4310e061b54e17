//! One-hot splits of CatBoost: equality of a category, which is a hash there and a number here.

use super::{Place, raw};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelDuplicate, ModelUnsupported, ModelValue};
use hedgerow::model::{Missing, Split, Test};
use std::collections::HashMap;

/// The categorical features, and the strings of their categories.
pub(super) struct CategoryColumns {
    /// By `feature_index`, which counts categorical features only and is what splits name.
    columns: HashMap<u64, CategoryColumn>,
    /// The strings by hash; none where the file does not list them.
    names: Option<HashMap<u32, String>>,
}

struct CategoryColumn {
    /// The column: an index in the ensemble's features.
    feature: u16,
    /// How many borders and hashes stand before this feature's: splits are numbered through, float
    /// features first.
    values_before: u64,
    /// The hashes that splits may test for, and the position of each.
    values: HashMap<i32, u64>,
}

impl CategoryColumns {
    /// Reads the features. `borders` is the number of all borders of float features.
    pub fn new(
        raw: Vec<raw::CategoricalFeature>,
        names: Option<Vec<raw::CategoryName>>,
        borders: u64,
    ) -> Result<CategoryColumns, Refusal> {
        let mut columns = HashMap::with_capacity(raw.len());
        let mut values_before = borders;
        for (position, raw) in raw.into_iter().enumerate() {
            let at = |key: &str| format!("features_info.categorical_features[{position}].{key}");
            let flat = raw.flat_feature_index;
            let feature = u16::try_from(flat)
                .map_err(|_| ModelValue.at(at("flat_feature_index"), "a column", flat))?;
            let listed = raw.values.unwrap_or_default();
            let count = listed.len() as u64;
            let mut values = HashMap::with_capacity(listed.len());
            for (position, hash) in (0..).zip(listed) {
                // A hash that is listed twice is the first.
                values.entry(hash).or_insert(position);
            }
            let column = CategoryColumn {
                feature,
                values_before,
                values,
            };
            values_before = values_before.saturating_add(count);
            let Some(index) = raw.feature_index else {
                continue;
            };
            if columns.insert(index, column).is_some() {
                let got = format!("index {index} twice");
                let expected = "each index once";
                let at = at("feature_index");
                return Err(ModelDuplicate.at(at, expected, got));
            }
        }
        Ok(CategoryColumns {
            columns,
            names: names.map(read_names).transpose()?,
        })
    }

    /// The canonical form of a one-hot split: right where the value is this one number.
    pub fn split(&self, raw: &raw::Split, place: &Place<'_>) -> Result<Split, Refusal> {
        let index = place.required("cat_feature_index", raw.cat_feature_index)?;
        let hash = place.required("value", raw.value)?;
        let column = self.columns.get(&index).ok_or_else(|| {
            let expected = "the feature_index of one of features_info.categorical_features";
            ModelValue.at(place.key("cat_feature_index"), expected, index)
        })?;
        // What a split's number says, and CatBoost reads, must be what the keys beside it say.
        let Some(at) = column.values.get(&hash) else {
            let expected = "one of the values that features_info lists for this feature";
            return Err(ModelValue.at(place.key("value"), expected, hash));
        };
        let number = column.values_before.saturating_add(*at);
        if let Some(index) = raw.split_index.filter(|index| *index != number) {
            let expected = format!("{number}, the number of this feature and value");
            return Err(ModelValue.at(place.key("split_index"), expected, index));
        }
        let category = self.category(hash, place)?;
        Ok(Split {
            feature: column.feature,
            test: Test::Within([category.next_down(), category].into()),
            missing: Missing::Left,
            zero_is_missing: false,
        })
    }

    /// The category of a hash, which must be the string of a whole number.
    fn category(&self, hash: i32, place: &Place<'_>) -> Result<f32, Refusal> {
        let unknown = |expected: &str, got: String| {
            ModelUnsupported
                .at(place.key("value"), expected, got)
                .with_hint(
                    "save the model with the data it was trained on: \
                 model.save_model(\"model.json\", format=\"json\", pool=pool)",
                )
        };
        let Some(names) = &self.names else {
            let expected = "a hash whose category features_info.cat_features_hash tells";
            return Err(unknown(expected, format!("{hash}, and no such list")));
        };
        let name = names.get(&(hash as u32)).ok_or_else(|| {
            unknown(
                "a hash of features_info.cat_features_hash",
                hash.to_string(),
            )
        })?;
        let shown: String = name.chars().take(40).collect();
        let Some(number) = whole_number(name) else {
            let expected = format!(
                "a category that is a whole number from -{WHOLE_MAX} to {WHOLE_MAX}, all of which \
                 f32 holds"
            );
            let at = place.key("value");
            let got = format!("the category {shown:?}");
            return Err(ModelUnsupported
                .at(at, expected, got)
                .with_hint("encode the categories as whole numbers and train again"));
        };
        Ok(number as f32)
    }
}

/// The strings by their hashes.
fn read_names(raw: Vec<raw::CategoryName>) -> Result<HashMap<u32, String>, Refusal> {
    let mut names = HashMap::with_capacity(raw.len());
    let twice = |at: String, got: String| {
        let expected = "each hash and each category once";
        ModelDuplicate.at(at, expected, got)
    };
    const LIST: &str = "features_info.cat_features_hash";
    for (index, raw::CategoryName { hash, value }) in raw.into_iter().enumerate() {
        if names.insert(hash, value).is_some() {
            let at = format!("{LIST}[{index}]");
            return Err(twice(at, format!("hash {hash} twice")));
        }
    }
    let mut categories: Vec<&String> = names.values().collect();
    categories.sort_unstable();
    let mut pairs = categories.iter().zip(categories.iter().skip(1));
    if let Some((category, _)) = pairs.find(|(one, other)| one == other) {
        return Err(twice(LIST.to_owned(), format!("{category:?} twice")));
    }
    Ok(names)
}

/// The number whose decimal form a string is, if `f32` holds it and all between it and 0.
fn whole_number(text: &str) -> Option<i32> {
    let number: i32 = text.parse().ok()?;
    let bounded = (-WHOLE_MAX..=WHOLE_MAX).contains(&number);
    // "03", "+3" and "-0" are other strings to CatBoost than what it makes of a number.
    (bounded && number.to_string() == text).then_some(number)
}

/// `f32` holds every whole number up to this one, 2^24.
const WHOLE_MAX: i32 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::whole_number;

    #[test]
    fn only_what_a_number_is_written_as_is_one() {
        for (text, number) in [("0", 0), ("-7", -7), ("16777216", 1 << 24)] {
            assert_eq!(whole_number(text), Some(number));
        }
        for text in [
            "",
            "-",
            "-0",
            "03",
            "+3",
            "3.0",
            " 3",
            "16777217",
            "-16777217",
            "nan",
            "1e3",
        ] {
            assert_eq!(whole_number(text), None, "{text}");
        }
    }
}
