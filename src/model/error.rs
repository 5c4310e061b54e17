//! The error of the compile side, and the checks that every part of it uses.

use crate::schema::SchemaError;
use std::fmt;

/// The reason why an ensemble cannot become a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// The feature list is not a schema.
    Features(SchemaError),
    /// There are no trees.
    NoTrees,
    /// Something is over capacity.
    OverCapacity {
        /// What is counted, and where.
        what: String,
        /// The capacity.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// A number is NaN, infinite, or too large for fixed point.
    Number {
        /// Which number.
        what: String,
        /// What is accepted.
        expected: &'static str,
        /// The number.
        got: f64,
    },
    /// A tree is malformed.
    Tree {
        /// Position of the tree.
        tree: usize,
        /// What is wrong.
        problem: String,
    },
    /// A golden row has not one value a feature.
    GoldenRow {
        /// Position of the row.
        row: usize,
        /// Features of the ensemble.
        expected: usize,
        /// Values of the row.
        got: usize,
    },
    /// A detection is malformed.
    Detection {
        /// Its number.
        id: u32,
        /// What is wrong.
        problem: String,
    },
    /// A verified bot is malformed, or shares addresses with another.
    Bot {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The score map descends.
    ScoreMap {
        /// Position of the first entry below its predecessor.
        index: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Features(error) => error.fmt(f),
            BuildError::NoTrees => write!(f, "expected at least 1 tree, got none"),
            BuildError::OverCapacity { what, max, got } => {
                write!(f, "expected at most {max} {what} (capacity), got {got}")
            }
            BuildError::Number {
                what,
                expected,
                got,
            } => {
                write!(f, "{what}: expected {expected}, got {got}")
            }
            BuildError::Tree { tree, problem } => write!(f, "tree {tree}: {problem}"),
            BuildError::GoldenRow { row, expected, got } => {
                write!(f, "golden row {row}: expected {expected} values, got {got}")
            }
            BuildError::Detection { id, problem } => write!(f, "detection {id}: {problem}"),
            BuildError::Bot { name, problem } => write!(f, "bot \"{name}\": {problem}"),
            BuildError::ScoreMap { index } => {
                write!(
                    f,
                    "score map: expected ascending margins, entry {index} descends"
                )
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Checks a count against a capacity.
pub(super) fn at_most(what: impl Into<String>, max: usize, got: usize) -> Result<(), BuildError> {
    if got > max {
        return Err(BuildError::OverCapacity {
            what: what.into(),
            max,
            got,
        });
    }
    Ok(())
}

/// Checks that a number is finite; `what` names it.
pub(super) fn finite(what: impl Fn() -> String, got: f64) -> Result<(), BuildError> {
    if got.is_finite() {
        return Ok(());
    }
    Err(BuildError::Number {
        what: what(),
        expected: "a finite number",
        got,
    })
}
