//! The keys of a CatBoost JSON model that are read, as they stand in the file. What is not listed
//! here does not change a margin, and is skipped.

use crate::json::Bounded;
use hedgerow::limits::{OBLIVIOUS_DEPTH_MAX, TREES_MAX};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// The top level. CatBoost writes empty lists as null.
#[derive(Deserialize)]
pub(super) struct Model<'a> {
    #[serde(borrow)]
    pub model_info: Option<&'a RawValue>,
    pub features_info: Features,
    pub oblivious_trees: Option<Bounded<Oblivious, TREES_MAX>>,
    pub trees: Option<Bounded<Nested, TREES_MAX>>,
    #[serde(default)]
    pub scale_and_bias: ScaleAndBias,
}

#[derive(Deserialize)]
pub(super) struct Features {
    pub float_features: Option<Vec<FloatFeature>>,
    pub categorical_features: Option<Vec<CategoricalFeature>>,
    /// The strings of the categories, where the model was saved with the pool it was trained on.
    pub cat_features_hash: Option<Vec<CategoryName>>,
    pub text_features: Option<Vec<IgnoredAny>>,
    pub embedding_features: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
pub(super) struct FloatFeature {
    pub feature_index: u64,
    pub flat_feature_index: u64,
    pub feature_id: Option<String>,
    pub has_nans: bool,
    pub nan_value_treatment: NanValueTreatment,
    pub borders: Option<Vec<f64>>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
pub(super) enum NanValueTreatment {
    #[serde(rename = "AsIs")]
    Compare,
    #[serde(rename = "AsFalse")]
    False,
    #[serde(rename = "AsTrue")]
    True,
}

#[derive(Deserialize)]
pub(super) struct CategoricalFeature {
    /// Only splits ask for it.
    pub feature_index: Option<u64>,
    pub flat_feature_index: u64,
    pub feature_id: Option<String>,
    /// The hashes that one-hot splits test for, as `i32`.
    pub values: Option<Vec<i32>>,
}

#[derive(Deserialize)]
pub(super) struct CategoryName {
    pub hash: u32,
    pub value: String,
}

#[derive(Deserialize)]
pub(super) struct Oblivious {
    pub splits: Option<Bounded<Split, OBLIVIOUS_DEPTH_MAX>>,
    pub leaf_values: Bounded<f64, LEAVES_MAX>,
    /// How many training rows, or how much of their weight, each leaf has.
    pub leaf_weights: Option<Bounded<f64, LEAVES_MAX>>,
}

/// Leaves of a tree of the greatest depth.
const LEAVES_MAX: usize = 1 << OBLIVIOUS_DEPTH_MAX;

/// A split of any type: the keys of the types that are refused are not read.
#[derive(Deserialize)]
pub(super) struct Split {
    pub split_type: String,
    pub float_feature_index: Option<u64>,
    /// `border_id` in files of before 0.14.
    #[serde(alias = "border_id")]
    pub border: Option<f64>,
    pub cat_feature_index: Option<u64>,
    /// The hash of a one-hot split's category.
    pub value: Option<i32>,
    pub split_index: Option<u64>,
}

/// A node of a non-symmetric tree.
#[derive(Deserialize)]
#[serde(try_from = "NestedKeys")]
pub(super) enum Nested {
    Leaf(LeafValue),
    Split(Box<(Split, Nested, Nested)>),
}

#[derive(Deserialize)]
struct NestedKeys {
    value: Option<LeafValue>,
    split: Option<Split>,
    left: Option<Box<Nested>>,
    right: Option<Box<Nested>>,
}

impl TryFrom<NestedKeys> for Nested {
    type Error = &'static str;

    fn try_from(keys: NestedKeys) -> Result<Nested, &'static str> {
        match (keys.value, keys.split, keys.left, keys.right) {
            (Some(value), None, None, None) => Ok(Nested::Leaf(value)),
            (None, Some(split), Some(left), Some(right)) => {
                Ok(Nested::Split(Box::new((split, *left, *right))))
            }
            (Some(_), ..) => Err("both, expected either `value` or `split`, `left`, `right`"),
            (None, ..) => Err("an incomplete node, expected `value` or `split`, `left`, `right`"),
        }
    }
}

/// A leaf: one number, or a list of them in models of several outputs.
#[derive(Clone, Copy)]
pub(super) enum LeafValue {
    One(f64),
    Several(usize),
}

/// Scale, and as many biases as the model has outputs. Older versions write one number where newer
/// ones write a list; none is 0, and so is null, which is how an empty list is written.
pub(super) struct ScaleAndBias {
    pub scale: f64,
    pub biases: Vec<f64>,
}

impl Default for ScaleAndBias {
    /// What a file without the key means.
    fn default() -> ScaleAndBias {
        ScaleAndBias {
            scale: 1.0,
            biases: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for ScaleAndBias {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ScaleAndBias, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = ScaleAndBias;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[scale, [bias]]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ScaleAndBias, A::Error> {
                let too_short = |got| A::Error::invalid_length(got, &Pair);
                let scale = list.next_element()?.ok_or_else(|| too_short(0))?;
                let biases = list
                    .next_element::<Option<Numbers>>()?
                    .ok_or_else(|| too_short(1))?
                    .map_or(Vec::new(), |numbers| numbers.0);
                match list.next_element::<IgnoredAny>()? {
                    Some(_) => Err(A::Error::invalid_length(3, &self)),
                    None => Ok(ScaleAndBias { scale, biases }),
                }
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

impl<'de> Deserialize<'de> for LeafValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LeafValue, D::Error> {
        let numbers = Numbers::deserialize(deserializer)?;
        match numbers.0.as_slice() {
            [one] if !numbers.1 => Ok(LeafValue::One(*one)),
            [] => Err(D::Error::invalid_value(Unexpected::Seq, &"a number")),
            several => Ok(LeafValue::Several(several.len())),
        }
    }
}

/// A number or a list of numbers, and whether it was a list.
struct Numbers(Vec<f64>, bool);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Numbers, D::Error> {
        struct OneOrMore;
        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Numbers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or a list of numbers")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Numbers, E> {
                Ok(Numbers(vec![number], false))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Numbers, E> {
                self.visit_f64(number as f64)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Numbers, E> {
                self.visit_f64(number as f64)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element()? {
                    numbers.push(number);
                }
                Ok(Numbers(numbers, true))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
