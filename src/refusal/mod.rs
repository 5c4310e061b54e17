//! The one error of everything that can be refused: tables, directories, models, fleet records.

mod kind;

pub use kind::{RefusalKind, UnknownKind};

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Why something was refused: the kind, the place, what was expected and what was found.
///
/// The texts may come from hostile input. They are [`bounded`]. Two refusals are equal if their
/// code, place, expected and found texts are.
///
/// It serializes as `code`, `name`, `message`, `at`, `expected` and `got`. A record with the code
/// of a newer version can be read; its [`kind`](Refusal::kind) is unknown.
///
/// ```
/// use hedgerow::{RefusalKind, Table};
///
/// let refused = Table::from_bytes(b"no table").unwrap_err();
/// assert_eq!(refused.kind(), Some(RefusalKind::Magic));
/// assert_eq!((refused.code(), refused.at()), (202, "header.magic"));
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(
    feature = "serde",
    derive(Serialize, Deserialize),
    serde(from = "Facts")
)]
pub struct Refusal(Box<Facts>);

#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
struct Facts {
    code: u16,
    name: Cow<'static, str>,
    message: Cow<'static, str>,
    at: String,
    expected: String,
    got: String,
    #[cfg_attr(feature = "serde", serde(skip))]
    hint: Option<&'static str>,
    #[cfg_attr(feature = "serde", serde(skip))]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl RefusalKind {
    /// Returns a refusal of this kind; `at` is a file, a section, a record or a field, as in
    /// `lanes[3].feature`.
    pub fn at(self, at: impl ToString, expected: impl ToString, got: impl ToString) -> Refusal {
        Refusal(Box::new(Facts {
            code: self.code(),
            name: self.name().into(),
            message: self.message().into(),
            at: bounded(at.to_string()),
            expected: bounded(expected.to_string()),
            got: bounded(got.to_string()),
            hint: None,
            source: None,
        }))
    }

    /// Returns a refusal of this kind with its cause: as the text that was found, and as
    /// [`Error::source`].
    pub fn caused<E>(self, at: impl ToString, expected: impl ToString, cause: E) -> Refusal
    where
        E: Error + Send + Sync + 'static,
    {
        let mut refusal = self.at(at, expected, &cause);
        refusal.0.source = Some(Arc::new(cause));
        refusal
    }
}

impl Refusal {
    /// Returns a failure that has no code in the table, as of a tool: code 0, and a name for its
    /// area.
    pub fn uncoded(
        name: &'static str,
        at: impl ToString,
        expected: impl ToString,
        got: impl ToString,
    ) -> Refusal {
        let mut failure = Refusal(Box::new(Facts {
            code: 0,
            name: name.into(),
            message: "".into(),
            at: bounded(at.to_string()),
            expected: bounded(expected.to_string()),
            got: bounded(got.to_string()),
            hint: None,
            source: None,
        }));
        failure.0.message = bounded(failure.detail()).into();
        failure
    }

    /// Returns a refusal of a directory for a file or folder in it that cannot be used.
    pub(crate) fn directory(path: &Path, expected: &str, error: io::Error) -> Refusal {
        RefusalKind::Directory.caused(path.display(), expected, error)
    }

    /// Returns it with advice, which is displayed in brackets and not serialized.
    pub fn with_hint(mut self, hint: &'static str) -> Refusal {
        self.0.hint = Some(hint);
        self
    }

    /// Returns it with another place.
    pub fn with_place(mut self, at: impl ToString) -> Refusal {
        self.0.at = bounded(at.to_string());
        self
    }

    /// Returns the kind, or `None` for code 0 or a code of a newer version.
    pub fn kind(&self) -> Option<RefusalKind> {
        RefusalKind::from_code(self.0.code)
    }

    /// Returns whether this is a refusal of the kind.
    pub fn is(&self, kind: RefusalKind) -> bool {
        self.0.code == kind.code()
    }

    /// Returns the stable number, or 0 for a failure without one.
    pub fn code(&self) -> u16 {
        self.0.code
    }

    /// Returns the stable name, in kebab case.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the meaning of the kind in a few words.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the place: a file, a section, a record or a field.
    pub fn at(&self) -> &str {
        &self.0.at
    }

    /// Returns what would have been accepted.
    pub fn expected(&self) -> &str {
        &self.0.expected
    }

    /// Returns what was found.
    pub fn got(&self) -> &str {
        &self.0.got
    }

    /// Returns advice, if there is any.
    pub fn hint(&self) -> Option<&'static str> {
        self.0.hint
    }

    /// Returns the place, what was expected and what was found, as one text.
    pub fn detail(&self) -> String {
        let Facts {
            at, expected, got, ..
        } = &*self.0;
        format!("{at}: expected {expected}, got {got}")
    }
}

impl From<Facts> for Refusal {
    fn from(facts: Facts) -> Refusal {
        Refusal(Box::new(Facts {
            code: facts.code,
            name: bounded(facts.name.into_owned()).into(),
            message: bounded(facts.message.into_owned()).into(),
            at: bounded(facts.at),
            expected: bounded(facts.expected),
            got: bounded(facts.got),
            hint: facts.hint,
            source: facts.source,
        }))
    }
}

impl PartialEq for Refusal {
    fn eq(&self, other: &Refusal) -> bool {
        let (one, two) = (&*self.0, &*other.0);
        let texts = one.at == two.at && one.expected == two.expected && one.got == two.got;
        one.code == two.code && texts
    }
}

impl Eq for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code() != 0 {
            write!(f, "{} ({}): ", self.message(), self.name())?;
        }
        f.write_str(&self.detail())?;
        match self.hint() {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = self.0.source.as_deref()?;
        Some(source)
    }
}

/// Bytes of one text of a refusal, at most.
pub const TEXT_BYTES_MAX: usize = 1_024;

/// Returns a text as it can be shown in terminals, logs and records. Control characters are
/// escaped, so that they start no line and command no terminal.
pub fn printable(text: &str) -> String {
    escaped(text, usize::MAX)
}

/// Returns a [`printable`] text of at most [`TEXT_BYTES_MAX`] bytes. A longer text ends with `…`.
pub fn bounded(text: impl Into<String>) -> String {
    let text = text.into();
    match text.len() <= TEXT_BYTES_MAX && !text.contains(char::is_control) {
        true => text,
        false => escaped(&text, TEXT_BYTES_MAX),
    }
}

fn escaped(text: &str, bytes_max: usize) -> String {
    const CUT: char = '…';
    let mut shown = String::with_capacity(text.len().min(bytes_max));
    // The length to cut to if the text is too long.
    let mut room = 0;
    for char in text.chars() {
        match char.is_control() {
            true => shown.extend(char.escape_default()),
            false => shown.push(char),
        }
        if shown.len() > bytes_max {
            shown.truncate(room);
            shown.push(CUT);
            break;
        }
        if shown.len().saturating_add(CUT.len_utf8()) <= bytes_max {
            room = shown.len();
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_was_found() {
        let refused = RefusalKind::Threshold.at("nodes[3].threshold", "below 7", 200);
        assert_eq!(refused.code(), 315);
        assert_eq!(refused.kind(), Some(RefusalKind::Threshold));
        assert!(refused.is(RefusalKind::Threshold) && !refused.is(RefusalKind::Io));
        assert_eq!(
            refused.to_string(),
            "a split's threshold is out of range (threshold): nodes[3].threshold: \
             expected below 7, got 200"
        );
        assert!(refused.source().is_none());
    }

    #[test]
    fn a_cause_stays_and_does_not_count_for_equality() {
        let cause = || std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let refused = RefusalKind::Io.caused("a.hedge", "a readable file", cause());
        let source = refused.source().expect("a cause");
        let source = source
            .downcast_ref::<std::io::Error>()
            .expect("of its type");
        assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
        assert_eq!(refused.got(), cause().to_string());
        let same = RefusalKind::Io.at("a.hedge", "a readable file", cause());
        assert_eq!(refused, same);
        for other in [
            RefusalKind::Io.at("b.hedge", "a readable file", cause()),
            RefusalKind::Io.at("a.hedge", "a file", cause()),
            RefusalKind::Io.at("a.hedge", "a readable file", "nothing"),
            RefusalKind::Seal.at("a.hedge", "a readable file", cause()),
        ] {
            assert_ne!(refused, other);
        }
    }

    #[cfg(feature = "watch")]
    #[test]
    fn json_has_six_fields_and_comes_back() {
        let refused = RefusalKind::Io.caused("a.hedge", "a file", std::fmt::Error);
        let text = serde_json::to_string(&refused).expect("JSON");
        let expected = concat!(
            r#"{"code":101,"name":"io","message":"the file cannot be read","#,
            r#""at":"a.hedge","expected":"a file","#,
            r#""got":"an error occurred when formatting an argument"}"#
        );
        assert_eq!(text, expected);
        let back: Refusal = serde_json::from_str(&text).expect("a refusal");
        assert_eq!(back, refused);
        assert_eq!(back.kind(), Some(RefusalKind::Io));
    }

    #[cfg(feature = "watch")]
    #[test]
    fn a_code_of_a_newer_version_is_read_and_written_as_it_was() {
        let text = concat!(
            r#"{"code":699,"name":"later","message":"unheard of","#,
            r#""at":"a","expected":"b","got":"c"}"#
        );
        let refused: Refusal = serde_json::from_str(text).expect("a refusal");
        assert_eq!((refused.kind(), refused.code()), (None, 699));
        assert_eq!(
            refused.to_string(),
            "unheard of (later): a: expected b, got c"
        );
        assert_eq!(serde_json::to_string(&refused).expect("JSON"), text);
    }

    #[test]
    fn a_failure_without_a_code_says_the_same_in_one_sentence() {
        let failed = Refusal::uncoded("rows", "x.csv:3", "a number", "none");
        assert_eq!(
            (failed.kind(), failed.code(), failed.name()),
            (None, 0, "rows")
        );
        assert_eq!(failed.to_string(), "x.csv:3: expected a number, got none");
        assert_eq!(failed.message(), failed.to_string());
    }

    #[test]
    fn advice_is_displayed_and_a_place_can_be_named_later() {
        let refused = RefusalKind::ModelShape
            .at("here", "a list", "none")
            .with_hint("export it");
        let refused = refused.with_place("there");
        assert_eq!((refused.at(), refused.hint()), ("there", Some("export it")));
        assert!(
            refused
                .to_string()
                .ends_with(": there: expected a list, got none (export it)")
        );
        assert_eq!(
            refused,
            RefusalKind::ModelShape.at("there", "a list", "none")
        );
    }

    #[test]
    fn texts_that_are_made_are_printable() {
        let made = RefusalKind::Key.at("a\nb", "\u{1b}[2J", "x".repeat(2_000));
        let shown = (made.at(), made.expected(), made.got().len());
        assert_eq!(shown, (r"a\nb", r"\u{1b}[2J", TEXT_BYTES_MAX));
    }

    #[cfg(feature = "watch")]
    #[test]
    fn texts_that_are_read_are_printable() {
        let text = r#"{"code":1,"name":"\n","message":"\r","at":"\t","expected":"","got":""}"#;
        let read: Refusal = serde_json::from_str(text).expect("a refusal");
        assert_eq!(read.to_string(), r"\r (\n): \t: expected , got ");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_controls_nothing() {
        let short = |text: &str| bounded(text);
        let forged = "a\n[2J: \u{1b}[31mé\u{85}\r\u{7f}\0";
        assert_eq!(short(forged), r"a\n[2J: \u{1b}[31mé\u{85}\r\u{7f}\u{0}");
        assert_eq!(short(&"x".repeat(1_024)), "x".repeat(1_024));
        assert_eq!(short(&"x".repeat(1_025)), format!("{}…", "x".repeat(1_021)));
        assert_eq!(short(&"é".repeat(1_000)), format!("{}…", "é".repeat(510)));
        assert_eq!(short(&format!("x{}", "é".repeat(1_000))).len(), 1_024);
        assert_eq!(
            short(&"\u{1}".repeat(4_096)),
            format!("{}…", r"\u{1}".repeat(204))
        );
        assert_eq!(short(""), "");
        assert_eq!(printable(&"x\n".repeat(5_000)).len(), 15_000);
    }
}
