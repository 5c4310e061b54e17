//! The keys of an XGBoost model that are read, as they stand in both forms of the file. What is not
//! listed here does not change a margin, and is skipped.
//!
//! A key whose place depends on the booster is optional here, so that a booster that is refused is
//! refused by its name, not for a missing key.

use crate::json::Bounded;
use hedgerow::limits::{FEATURES_MAX, TREES_MAX};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, SeqAccess, Unexpected, Visitor};
use std::fmt;

/// Names are read up to twice the capacity, so that a list that was joined to itself is said to be
/// that.
const NAMES_MAX: usize = 2 * FEATURES_MAX;

/// The top level.
#[derive(Deserialize)]
pub(super) struct Model {
    pub learner: Learner,
    pub version: [u32; 3],
}

#[derive(Deserialize)]
pub(super) struct Learner {
    pub attributes: Option<Attributes>,
    pub feature_names: Option<Bounded<String, NAMES_MAX>>,
    pub feature_types: Option<Bounded<String, NAMES_MAX>>,
    pub gradient_booster: Booster,
    pub learner_model_param: Parameters,
    pub objective: Objective,
}

/// What the Python package keeps of early stopping.
#[derive(Deserialize)]
pub(super) struct Attributes {
    pub best_iteration: Option<String>,
    pub best_score: Option<String>,
}

/// `gbtree` has its model here; `dart` wraps a `gbtree`.
#[derive(Deserialize)]
pub(super) struct Booster {
    pub name: String,
    pub model: Option<Forest>,
    pub gbtree: Option<Wrapped>,
    pub weight_drop: Option<Bounded<Float, TREES_MAX>>,
}

#[derive(Deserialize)]
pub(super) struct Wrapped {
    pub model: Option<Forest>,
}

#[derive(Deserialize)]
pub(super) struct Forest {
    /// From 3.1 on.
    pub cats: Option<Container>,
    pub gbtree_model_param: Option<ForestParameters>,
    pub iteration_indptr: Option<Vec<i32>>,
    pub tree_info: Option<Bounded<i32, TREES_MAX>>,
    pub trees: Option<Bounded<Tree, TREES_MAX>>,
}

#[derive(Deserialize)]
pub(super) struct ForestParameters {
    pub num_trees: Count,
    pub num_parallel_tree: Option<Count>,
}

#[derive(Deserialize)]
pub(super) struct Parameters {
    pub base_score: String,
    pub num_class: Option<Count>,
    pub num_feature: Count,
    pub num_target: Option<Count>,
}

#[derive(Deserialize)]
pub(super) struct Objective {
    pub name: String,
}

/// A tree as one list a property, of one entry a node.
#[derive(Deserialize)]
pub(super) struct Tree {
    pub tree_param: TreeParameters,
    pub left_children: Vec<i32>,
    pub right_children: Vec<i32>,
    pub split_indices: Vec<i32>,
    pub split_conditions: Vec<Float>,
    pub default_left: Vec<Flag>,
    /// Not written by versions before 1.3, which have numerical splits only.
    pub split_type: Option<Vec<u8>>,
    pub categories: Option<Vec<i32>>,
    pub categories_nodes: Option<Vec<i32>>,
    pub categories_segments: Option<Vec<i32>>,
    pub categories_sizes: Option<Vec<i32>>,
}

/// The categories of the columns of a data frame.
#[derive(Deserialize)]
pub(super) struct Container {
    pub enc: Option<Bounded<Encoding, NAMES_MAX>>,
}

/// The categories of one column: numbers, or the bytes of strings that end at the offsets.
#[derive(Deserialize)]
pub(super) struct Encoding {
    pub offsets: Option<Length>,
    pub values: Option<Codes>,
}

/// How long a list is, of which nothing else is read.
pub(super) struct Length(pub usize);

/// A list of numbers that should be 0, 1, 2 and so on.
pub(super) struct Codes {
    /// The first that is not, and its position.
    pub stray: Option<(usize, f64)>,
}

#[derive(Deserialize)]
pub(super) struct TreeParameters {
    pub num_nodes: Count,
    pub size_leaf_vector: Option<Count>,
}

/// A count, which XGBoost writes as text.
#[derive(Clone, Copy)]
pub(super) struct Count(pub u64);

/// A number that `f32` holds exactly, or infinity or NaN, which UBJSON can hold.
#[derive(Clone, Copy)]
pub(super) struct Float(pub f32);

/// Yes or no: a boolean up to 1.5, and a number since.
#[derive(Clone, Copy)]
pub(super) struct Flag(pub bool);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count as text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Count, E> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                match text.parse() {
                    Ok(count) if digits => Ok(Count(count)),
                    _ => Err(E::invalid_value(Unexpected::Other("other text"), &self)),
                }
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Float, D::Error> {
        struct Number;
        impl<'de> Visitor<'de> for Number {
            type Value = Float;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number that f32 holds exactly")
            }

            fn visit_none<E: Error>(self) -> Result<Float, E> {
                Ok(Float(f32::NAN))
            }

            fn visit_some<D: Deserializer<'de>>(self, number: D) -> Result<Float, D::Error> {
                // The JSON parser rounds decimals to `f32` at once for this, not to `f64` before.
                number.deserialize_f32(self)
            }

            fn visit_f32<E: Error>(self, number: f32) -> Result<Float, E> {
                Ok(Float(number))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Float, E> {
                let narrow = number as f32;
                if f64::from(narrow) == number || number.is_nan() {
                    Ok(Float(narrow))
                } else {
                    Err(E::invalid_value(Unexpected::Float(number), &self))
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Float, E> {
                match u32::try_from(number) {
                    Ok(number) => self.visit_f64(f64::from(number)),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Float, E> {
                match i32::try_from(number) {
                    Ok(number) => self.visit_f64(f64::from(number)),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }
        }
        // Null is no number: see `json::without_nan`.
        deserializer.deserialize_option(Number)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Length, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Length;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Length, A::Error> {
                let mut count = 0_usize;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    count = count.saturating_add(1);
                }
                Ok(Length(count))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Codes, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Codes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Codes, A::Error> {
                let mut stray = None;
                let mut position = 0_usize;
                while let Some(code) = list.next_element::<f64>()? {
                    if code != position as f64 {
                        stray.get_or_insert((position, code));
                    }
                    position = position.saturating_add(1);
                }
                Ok(Codes { stray })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Flag, D::Error> {
        struct YesOrNo;
        impl Visitor<'_> for YesOrNo {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0, 1 or a boolean")
            }

            fn visit_bool<E: Error>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Flag, E> {
                match number {
                    0 => Ok(Flag(false)),
                    1 => Ok(Flag(true)),
                    other => Err(E::invalid_value(Unexpected::Unsigned(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(YesOrNo)
    }
}
