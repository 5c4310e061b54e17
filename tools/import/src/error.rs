//! Why a model is refused: one error for all importers.

use std::fmt;

/// Why a model is refused, where in its file, and what was expected and found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportError {
    /// The kind of trouble.
    pub problem: Problem,
    /// The file's name, as it was given to [`import`](crate::import).
    pub file: String,
    /// Where: a JSON path such as `oblivious_trees[3].splits[0].border`, or a line and column.
    pub at: String,
    /// What belongs there.
    pub expected: String,
    /// What stands there.
    pub got: String,
    /// What to do about it, where there is something to do.
    pub hint: Option<&'static str>,
}

/// Kinds of trouble. The numbers are stable: programs may match them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Problem {
    /// The file is larger than [`MODEL_BYTES_MAX`](crate::MODEL_BYTES_MAX).
    TooLarge = 1,
    /// The file is of another kind than the models that are imported.
    Format = 2,
    /// The file is cut off or is not well-formed.
    Malformed = 3,
    /// Something is missing, or is of another type or length than it must be.
    Shape = 4,
    /// A number, an index or a name is outside of what it may be.
    Value = 5,
    /// The model uses a construct that is not carried over exactly.
    Unsupported = 6,
    /// The model exceeds a capacity of [`hedgerow::limits`].
    Capacity = 7,
    /// The same feature stands twice.
    Duplicate = 8,
}

impl ImportError {
    /// An error in a file that is yet to be named.
    pub(crate) fn new(
        problem: Problem,
        at: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> ImportError {
        ImportError {
            problem,
            file: String::new(),
            at: bounded(at.into()),
            expected: bounded(expected.into()),
            got: bounded(got.into()),
            hint: None,
        }
    }

    /// With advice.
    pub(crate) fn with_hint(mut self, hint: &'static str) -> ImportError {
        self.hint = Some(hint);
        self
    }

    /// With the file's name.
    pub(crate) fn in_file(mut self, file: &str) -> ImportError {
        self.file = file.to_owned();
        self
    }

    /// The stable number of the problem.
    pub fn code(&self) -> u16 {
        self.problem as u16
    }
}

/// A part of a message: a parser may quote a whole file in it.
fn bounded(mut part: String) -> String {
    if let Some((end, _)) = part.char_indices().nth(PART_CHARS_MAX) {
        part.truncate(end);
        part.push('…');
    }
    part
}

/// Characters of a part of a message that are kept.
const PART_CHARS_MAX: usize = 400;

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ImportError {
            file,
            at,
            expected,
            got,
            ..
        } = self;
        write!(f, "{file}: {at}: expected {expected}, got {got}")?;
        match self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ImportError {}
