//! Why something was refused, by whatever step, in one form: for counters, logs and the ledger.

use crate::error::{Detail, OpenError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::path::Path;

macro_rules! kinds {
    ($(
        $(#[doc = $doc:literal])+
        $kind:ident = $code:literal, $name:literal, $message:literal;
    )+) => {
        /// What can be wrong with a watched directory, beside the [tables](OpenError) in it. Codes
        /// are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RefusalKind {
            $($(#[doc = $doc])+ $kind = $code,)+
        }

        impl RefusalKind {
            /// Every kind, ascending by code.
            pub const ALL: &'static [RefusalKind] = &[$(RefusalKind::$kind,)+];

            /// The stable name, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(RefusalKind::$kind => $name,)+ }
            }

            /// What it means, in a few words.
            pub fn message(self) -> &'static str {
                match self { $(RefusalKind::$kind => $message,)+ }
            }
        }
    };
}

kinds! {
    /// The file `active` is not one that a publisher writes.
    Pointer = 601, "pointer", "the pointer to the active table is malformed";
    /// The file that the pointer names is another one, or not whole.
    PointerContent = 602, "pointer-content", "the file is not the one that the pointer names";
    /// A generation that is not above the one before. To go back is to publish the older table as
    /// a new generation.
    Generation = 603, "generation", "the generation does not go forward";
    /// The file `switches` is not one that a publisher writes.
    Switches = 604, "switches", "the switches are malformed";
    /// Another process publishes.
    Busy = 605, "busy", "the directory is locked";
    /// A file or a folder of the directory cannot be read or written.
    Directory = 606, "directory", "the directory cannot be used";
    /// There is no such generation, or none to go back to.
    NoGeneration = 607, "no-generation", "there is no such generation";
    /// Nothing has that name, so that nothing can be switched.
    Selector = 608, "selector", "nothing like that can be switched";
    /// The text of a key is malformed, or its file can be read by others.
    Key = 609, "key", "the key cannot be used";
    /// The ledger lacks something, or has something that nobody understands.
    Ledger = 610, "ledger", "the ledger is damaged";
    /// The engine's state belongs to another process at the moment.
    State = 611, "state", "the engine's state cannot be used";
    /// The control thread met a bug of its own, and went on.
    Internal = 612, "internal", "the control thread failed, and goes on";
    /// The table shifts the scores, or is another one in size, by more than the bounds. A person
    /// can force it.
    Quarantined = 613, "quarantined", "the table differs too much from the running one";
    /// The engine went back by itself: what it gave under the new table was too different.
    Reverted = 614, "reverted", "the engine went back to the table before";
    /// The file `shadows` is not one that a publisher writes, or there is no such shadow, or no
    /// room for one.
    Shadow = 615, "shadow", "that cannot be tried in shadow";
    /// The table's own running number is below that of the last one that was taken, and it is no
    /// rollback.
    Replayed = 616, "replayed", "the table is older than the one before";
}

/// One refusal: which kind, where, what was expected, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable number.
    pub code: u16,
    /// The stable name, in kebab case.
    pub name: &'static str,
    /// What it means, in a few words.
    pub message: &'static str,
    /// Where, expected, got.
    pub detail: Detail,
}

impl Refusal {
    /// A refusal of the directory's own.
    pub fn new(
        kind: RefusalKind,
        at: impl ToString,
        expected: impl ToString,
        got: impl ToString,
    ) -> Refusal {
        Refusal {
            code: kind as u16,
            name: kind.name(),
            message: kind.message(),
            detail: *Detail::new(at, expected, got),
        }
    }

    /// A file or folder that cannot be used.
    pub(crate) fn io(path: &Path, expected: &str, error: &io::Error) -> Refusal {
        Refusal::new(RefusalKind::Directory, path.display(), expected, error)
    }

    /// Whether this is a refusal of this kind.
    pub fn is(&self, kind: RefusalKind) -> bool {
        self.code == kind as u16
    }
}

impl From<&OpenError> for Refusal {
    fn from(refused: &OpenError) -> Refusal {
        Refusal {
            code: refused.code(),
            name: refused.name(),
            message: refused.message(),
            detail: refused.detail().clone(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { at, expected, got } = &self.detail;
        write!(
            f,
            "{} ({}): {at}: expected {expected}, got {got}",
            self.message, self.name
        )
    }
}

impl std::error::Error for Refusal {}

/// A refusal as it stands in ledgers and reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The stable number.
    pub code: u16,
    /// The stable name.
    pub name: String,
    /// What it means.
    pub message: String,
    /// Where.
    pub at: String,
    /// What would have been accepted.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// Bytes of one text of a refusal in a ledger, a status or a line of a log, at most.
const TOLD_BYTES_MAX: usize = 1_024;

impl From<&Refusal> for Told {
    fn from(refusal: &Refusal) -> Told {
        let Detail { at, expected, got } = &refusal.detail;
        Told {
            code: refusal.code,
            name: refusal.name.into(),
            message: refusal.message.into(),
            at: bounded(at),
            expected: bounded(expected),
            got: bounded(got),
        }
    }
}

/// A text without what is too much of it. Control characters are escaped: what came from outside
/// begins no line of a log, and has the terminal do nothing.
pub(crate) fn bounded(text: &str) -> String {
    let mut told = String::new();
    for char in text.chars() {
        let before = told.len();
        match char.is_control() {
            true => told.extend(char.escape_default()),
            false => told.push(char),
        }
        if told.len() > TOLD_BYTES_MAX {
            told.truncate(before);
            break;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_no_table_and_names_are_unique() {
        let tables = OpenError::ALL.iter().copied();
        let own = RefusalKind::ALL
            .iter()
            .map(|kind| (*kind as u16, kind.name()));
        let mut all: Vec<(u16, &str)> = tables.chain(own).collect();
        assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "{all:?}");
        all.sort_by_key(|(_, name)| *name);
        assert!(all.windows(2).all(|pair| pair[0].1 != pair[1].1), "{all:?}");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_controls_nothing() {
        let forged = "a\n[2J: \u{1b}[31mé\u{85}\r\u{7f}\0";
        assert_eq!(bounded(forged), r"a\n[2J: \u{1b}[31mé\u{85}\r\u{7f}\u{0}");
        assert_eq!(bounded(&"x".repeat(1_025)), "x".repeat(1_024));
        assert_eq!(bounded(&"é".repeat(1_000)).len(), 1_024);
        assert_eq!(bounded(&format!("x{}", "é".repeat(1_000))).len(), 1_023);
        assert_eq!(bounded(&"\u{1}".repeat(4_096)), r"\u{1}".repeat(204));
        assert_eq!(bounded(""), "");
    }
}
