//! What a host can fill into a row: the names and kinds of its features, in row order.

use crate::limits::{FEATURE_NAME_BYTES_MAX, FEATURES_MAX};
use std::fmt;

/// What a feature's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FeatureKind {
    /// A quantity: any finite `f32`, or NaN where it is not known.
    Number = 0,
    /// Yes or no: 1.0 or 0.0, or NaN where it is not known.
    Flag = 1,
    /// One of a list of codes: a non-negative integer, or NaN where it is not known. The order of
    /// codes means nothing.
    Category = 2,
}

impl FeatureKind {
    /// The kind with this number in a table file.
    pub fn from_u8(value: u8) -> Option<FeatureKind> {
        match value {
            0 => Some(FeatureKind::Number),
            1 => Some(FeatureKind::Flag),
            2 => Some(FeatureKind::Category),
            _ => None,
        }
    }

    /// The kind's name in schema files: `number`, `flag` or `category`.
    pub fn name(self) -> &'static str {
        match self {
            FeatureKind::Number => "number",
            FeatureKind::Flag => "flag",
            FeatureKind::Category => "category",
        }
    }

    /// The kind with this name in schema files.
    pub fn from_name(name: &str) -> Option<FeatureKind> {
        [
            FeatureKind::Number,
            FeatureKind::Flag,
            FeatureKind::Category,
        ]
        .into_iter()
        .find(|kind| kind.name() == name)
    }
}

/// A feature's name and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Feature {
    /// Unique within its list: 1 to [`FEATURE_NAME_BYTES_MAX`] bytes, see [`check_name`].
    pub name: String,
    /// What its values are.
    pub kind: FeatureKind,
}

/// Why a list of features is no schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaError {
    /// The list is empty.
    Empty,
    /// More features than [`FEATURES_MAX`].
    TooMany {
        /// How many came.
        got: usize,
    },
    /// The same name twice: a doubled list shows here, whether or not it fits the capacity.
    Duplicate {
        /// The first name that stands twice.
        name: String,
        /// Its first position, from 0.
        first: usize,
        /// Its second position, from 0.
        second: usize,
        /// How many names stand more than once.
        duplicates: usize,
    },
    /// A name that is empty, too long, or holds a character that no name may hold.
    Name {
        /// The position, from 0.
        index: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaError::Empty => write!(f, "expected at least 1 feature, got none"),
            SchemaError::TooMany { got } => {
                write!(
                    f,
                    "expected at most {FEATURES_MAX} features (capacity), got {got}"
                )
            }
            SchemaError::Duplicate {
                name,
                first,
                second,
                duplicates,
            } => write!(
                f,
                "expected unique feature names, got \"{name}\" at positions {first} and {second} \
                 ({duplicates} names stand more than once)"
            ),
            SchemaError::Name { index, problem } => {
                write!(f, "the name of the feature at position {index} {problem}")
            }
        }
    }
}

impl std::error::Error for SchemaError {}

/// The features that a host fills, in row order: position `i` of a [`Row`](crate::Row) holds the
/// value of feature `i`.
///
/// A table names the features that it needs; binding it to a schema resolves the names to row
/// positions once, when the table is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    features: Vec<Feature>,
}

impl Schema {
    /// A schema of these features, in row order.
    ///
    /// # Errors
    /// Where the list is empty, over capacity, has a name twice, or has a malformed name.
    pub fn new(features: Vec<Feature>) -> Result<Schema, SchemaError> {
        check_features(&features)?;
        Ok(Schema { features })
    }

    /// The schema of a list that is part of the program; a test holds it to the same rules.
    pub(crate) fn built_in(features: Vec<Feature>) -> Schema {
        Schema { features }
    }

    /// The same schema with one more feature behind the others: a host's own, beside the built-in
    /// ones. Its row position is [`index_of`](Schema::index_of) its name; those of the others stay.
    ///
    /// ```
    /// use hedgerow::{FeatureKind, Schema};
    /// let schema = Schema::http().with("shop_logged_in", FeatureKind::Flag)?;
    /// assert!(schema.index_of("shop_logged_in") > schema.index_of("ua_missing"));
    /// # Ok::<(), hedgerow::SchemaError>(())
    /// ```
    ///
    /// # Errors
    /// Where the name is malformed or there already, or the schema is full.
    pub fn with(mut self, name: &str, kind: FeatureKind) -> Result<Schema, SchemaError> {
        self.features.push(Feature {
            name: name.to_owned(),
            kind,
        });
        check_features(&self.features)?;
        Ok(self)
    }

    /// The features, in row order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The row position of a feature.
    pub fn index_of(&self, name: &str) -> Option<u8> {
        let at = self
            .features
            .iter()
            .position(|feature| feature.name == name)?;
        u8::try_from(at).ok()
    }
}

/// Checks a list of features: neither empty nor over capacity, well-formed unique names.
///
/// # Errors
/// The first thing that is wrong; duplicates before the capacity, because a doubled list is both.
pub fn check_features(features: &[Feature]) -> Result<(), SchemaError> {
    if features.is_empty() {
        return Err(SchemaError::Empty);
    }
    for (index, feature) in features.iter().enumerate() {
        if let Err(problem) = check_name(feature.name.as_bytes()) {
            return Err(SchemaError::Name { index, problem });
        }
    }
    let mut positions = std::collections::HashMap::with_capacity(features.len());
    let mut first_found = None;
    let mut duplicates = 0usize;
    for (index, feature) in features.iter().enumerate() {
        if let Some(first) = positions.insert(feature.name.as_str(), index) {
            duplicates = duplicates.saturating_add(1);
            first_found.get_or_insert((feature.name.clone(), first, index));
        }
    }
    if let Some((name, first, second)) = first_found {
        return Err(SchemaError::Duplicate {
            name,
            first,
            second,
            duplicates,
        });
    }
    if features.len() > FEATURES_MAX {
        return Err(SchemaError::TooMany {
            got: features.len(),
        });
    }
    Ok(())
}

/// Checks a feature's name: UTF-8 without control characters or the characters `,` and `"` (names
/// head the columns of CSV files), no space at either end, 1 to [`FEATURE_NAME_BYTES_MAX`] bytes.
///
/// # Errors
/// What is wrong, as the end of a sentence about the name.
pub fn check_name(name: &[u8]) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("is empty");
    }
    if name.len() > FEATURE_NAME_BYTES_MAX {
        return Err("is longer than 56 bytes");
    }
    let Ok(text) = std::str::from_utf8(name) else {
        return Err("is not UTF-8");
    };
    if text.trim() != text {
        return Err("starts or ends with a space");
    }
    if text.chars().any(|c| c.is_control() || c == ',' || c == '"') {
        return Err("holds a control character, a comma or a double quote");
    }
    Ok(())
}

const _: () = assert!(FEATURE_NAME_BYTES_MAX == 56, "check_name names the figure");
