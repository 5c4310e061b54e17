//! Why a command failed: what, where, what was expected, and what came.

use hedgerow::model::BuildError;
use hedgerow::{PublishError, Refusal, RefusalKind, SchemaError};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

const USAGE: &str = "usage";
const CLOSED_PIPE: &str = "closed-pipe";

/// A failed command.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The stable number of a refusal; 0 for other failures.
    pub code: u16,
    /// The refusal's name in kebab case, or the failure's area.
    pub name: &'static str,
    /// One sentence.
    pub message: String,
    /// Where: file, line, field.
    pub at: String,
    /// What would have been accepted.
    pub expected: String,
    /// What came.
    pub got: String,
}

impl Failure {
    /// A failure that is no refusal of a table.
    pub fn new(
        name: &'static str,
        at: impl ToString,
        expected: impl ToString,
        got: impl ToString,
    ) -> Failure {
        let (at, expected, got) = (at.to_string(), expected.to_string(), got.to_string());
        let message = format!("{at}: expected {expected}, got {got}");
        Failure {
            code: 0,
            name,
            message,
            at,
            expected,
            got,
        }
    }

    /// An argument that makes no sense.
    pub fn usage(at: &str, expected: impl ToString, got: impl ToString) -> Failure {
        Failure::new(USAGE, at, expected, got)
    }

    /// A file that cannot be read or written.
    pub fn io(path: &Path, expected: &str, error: std::io::Error) -> Failure {
        let name = match error.kind() {
            std::io::ErrorKind::BrokenPipe => CLOSED_PIPE,
            _ => "io",
        };
        Failure::new(name, path.display(), expected, error)
    }

    /// Whether the reader of a pipe went away.
    pub fn is_closed_pipe(&self) -> bool {
        self.name == CLOSED_PIPE
    }

    /// The exit status that says so: 1 refused or failed, 2 usage.
    pub fn status(&self) -> u8 {
        if self.name == USAGE { 2 } else { 1 }
    }

    /// A refused table, and the file it came from.
    pub fn refused(file: &str, refused: &Refusal) -> Failure {
        let mut failure = Failure::of(refused);
        if !refused.at().starts_with(file) {
            failure.message = format!("{file}: {refused}");
        }
        failure
    }

    /// What a directory, a key or a candidate was refused for.
    pub fn of(refusal: &Refusal) -> Failure {
        Failure {
            code: refusal.code(),
            name: refusal.kind().map_or("refused", RefusalKind::name),
            message: refusal.to_string(),
            at: refusal.at().into(),
            expected: refusal.expected().into(),
            got: refusal.got().into(),
        }
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let Failure {
            code,
            name,
            message,
            at,
            expected,
            got,
        } = self;
        json!({
            "ok": false,
            "code": code,
            "name": name,
            "message": message,
            "at": at,
            "expected": expected,
            "got": got,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&harmless(&self.message))
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        let mut failure = Failure::new("build", "model", "an ensemble that fits a table", &error);
        failure.message = format!("the model cannot become a table: {error}");
        failure
    }
}

/// A table that was not published.
pub fn unpublished(file: &str, error: PublishError) -> Failure {
    match error {
        PublishError::Refused(refused) => Failure::refused(file, &refused),
        other => Failure::new("publish", file, "a table to be published", other),
    }
}

/// What a file says, for a terminal, which must not take any of it for commands.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

/// A list of features that is no schema.
pub fn schema(at: impl ToString, error: &SchemaError) -> Failure {
    let mut failure = Failure::new("schema", at, "a list of features", error);
    failure.message = format!("{}: {error}", failure.at);
    failure
}
