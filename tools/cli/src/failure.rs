//! The error of a command: a refusal or another failure, and one sentence for people.

use hedgerow::model::BuildError;
use hedgerow::refusal::printable;
use hedgerow::{PublishError, Refusal, RefusalKind, SchemaError};
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

const USAGE: &str = "usage";
const CLOSED_PIPE: &str = "closed-pipe";

/// Why a command failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    refusal: Refusal,
    message: String,
}

impl Failure {
    /// Returns a failure without a code, with a name for its area.
    pub fn new(
        name: &'static str,
        at: impl ToString,
        expected: impl ToString,
        got: impl ToString,
    ) -> Failure {
        Refusal::uncoded(name, at, expected, got).into()
    }

    /// Returns the failure of an argument that makes no sense.
    pub fn usage(at: &str, expected: impl ToString, got: impl ToString) -> Failure {
        Failure::new(USAGE, at, expected, got)
    }

    /// Returns the failure of a file that cannot be read or written.
    pub fn io(path: &Path, expected: &str, error: std::io::Error) -> Failure {
        let name = match error.kind() {
            std::io::ErrorKind::BrokenPipe => CLOSED_PIPE,
            _ => "io",
        };
        Failure::new(name, path.display(), expected, error)
    }

    /// Returns the failure of a file that was refused; its sentence names the file.
    pub fn refused(file: impl AsRef<Path>, refusal: Refusal) -> Failure {
        let file = file.as_ref().display().to_string();
        let failure = Failure::from(refusal);
        if failure.refusal.at().starts_with(&file) {
            return failure;
        }
        let message = format!("{file}: {}", failure.message);
        failure.with_message(message)
    }

    /// Returns it with another sentence.
    pub fn with_message(mut self, message: String) -> Failure {
        self.message = message;
        self
    }

    /// Returns the facts.
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Returns `true` for a refusal of the kind.
    pub fn is(&self, kind: RefusalKind) -> bool {
        self.refusal.is(kind)
    }

    /// Returns `true` if the reader of a pipe went away.
    pub fn is_closed_pipe(&self) -> bool {
        self.refusal.name() == CLOSED_PIPE
    }

    /// Returns the exit status: 1 refused or failed, 2 usage.
    pub fn status(&self) -> u8 {
        if self.refusal.name() == USAGE { 2 } else { 1 }
    }

    /// Returns it as machines read it.
    pub fn json(&self) -> Value {
        json!({
            "ok": false,
            "code": self.refusal.code(),
            "name": self.refusal.name(),
            "message": self.message,
            "at": self.refusal.at(),
            "expected": self.refusal.expected(),
            "got": self.refusal.got(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.message))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure {
            message: refusal.to_string(),
            refusal,
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        Failure::new("build", "model", "an ensemble that fits a table", &error)
            .with_message(format!("the model cannot become a table: {error}"))
    }
}

/// Returns the failure of a table that was not published.
pub fn unpublished(file: impl AsRef<Path>, error: PublishError) -> Failure {
    match error {
        PublishError::Refused(refused) => Failure::refused(file, refused),
        other => Failure::new(
            "publish",
            file.as_ref().display(),
            "a table to be published",
            other,
        ),
    }
}

/// Returns the failure of a list of features that is no schema.
pub fn schema(at: impl ToString, error: &SchemaError) -> Failure {
    let message = format!("{}: {error}", at.to_string());
    Failure::new("schema", at, "a list of features", error).with_message(message)
}
