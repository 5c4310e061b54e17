//! The watched directory: its files, and what each of them says.
//!
//! ```text
//! DIR/tables/<content id>.hedge   tables, each written once
//! DIR/active                      the table that is to run, and its generation  [`Pointer`]
//! DIR/switches                    the selectors that are switched off  [`SwitchesFile`]
//! DIR/shadows                     tables that are tried on live rows  [`ShadowsFile`]
//! DIR/ledger.jsonl                the history; ledger.000001.jsonl and so on before
//! DIR/lock                        held by the process that changes the directory
//! DIR/engines/NAME/               the state of an engine that keeps it here
//! ```
//!
//! `active`, `switches` and `shadows` are replaced by renaming a whole new file into place: a
//! reader sees the old file or the new one. Readers need no lock, and no permission to write.

use super::disk::{create_folders, read_small};
use crate::ids::ContentId;
use crate::limits::{SHADOWS_MAX, TABLE_BYTES_MAX};
use crate::refusal::{Refusal, RefusalKind, bounded};
use crate::switches::{Selector, Switches};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The version of `active`, `switches`, `shadows` and an engine's `status`.
pub const FILES_VERSION: u32 = 1;

/// The author of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The name of a person or a program, as it was given.
    pub who: String,
    /// The name of the machine.
    pub host: String,
    /// The process id.
    pub pid: u32,
}

impl Origin {
    /// Returns this process, under this name.
    pub fn here(who: &str) -> Origin {
        let host = rustix::system::uname().nodename().to_string_lossy().into();
        Origin {
            who: bounded(who),
            host,
            pid: std::process::id(),
        }
    }

    /// Returns it with texts that are printable and short.
    pub(super) fn bounded(&self) -> Origin {
        Origin {
            who: bounded(&self.who),
            host: bounded(&self.host),
            pid: self.pid,
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{} (process {})", self.who, self.host, self.pid)
    }
}

/// The contents of `active`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The number of this publish, above all numbers before it.
    pub generation: u64,
    /// The content hash of the table, which names its file.
    pub content_id: ContentId,
    /// The length of the table's file in bytes.
    pub bytes: u64,
    /// The generation that a rollback took the table from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_generation: Option<u64>,
    /// `true` if engines take the table even if it differs much from the running one. Every other
    /// check holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced: bool,
    /// RFC 3339 time of the publish. Informational.
    pub at: String,
    /// User, host and process that published.
    pub origin: Origin,
}

/// The contents of `switches`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchesFile {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The number of this change, above all numbers before it.
    pub change: u64,
    /// The selectors that are switched off.
    pub off: Vec<String>,
    /// RFC 3339 time of the change. Informational.
    pub at: String,
    /// User, host and process that changed it.
    pub origin: Origin,
}

impl SwitchesFile {
    /// Returns the switches.
    ///
    /// # Errors
    /// `Switches` if a text is not a selector, or occurs twice.
    pub fn switches(&self, at: &Path) -> Result<Switches, Refusal> {
        let mut switches = Switches::default();
        for text in &self.off {
            let refused =
                |expected: &str, got: String| RefusalKind::Switches.at(at.display(), expected, got);
            let selector: Selector = text.parse().map_err(|error| {
                let crate::switches::SelectorError { got } = error;
                refused(crate::switches::SELECTORS, format!("{got:?}"))
            })?;
            if !switches.kill(selector) {
                return Err(refused("each selector once", format!("{text:?} twice")));
            }
        }
        Ok(switches)
    }
}

/// A table in shadow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowEntry {
    /// Its name among the shadows.
    pub name: String,
    /// The content hash of the table, which names its file.
    pub content_id: ContentId,
    /// The length of the table's file in bytes.
    pub bytes: u64,
    /// The share of an engine's sampled rows that it scores, above 0 and at most 1.
    pub share: f64,
}

/// The contents of `shadows`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowsFile {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The number of this change, above all numbers before it.
    pub change: u64,
    /// The shadows, at most [`SHADOWS_MAX`].
    pub shadows: Vec<ShadowEntry>,
    /// RFC 3339 time of the change. Informational.
    pub at: String,
    /// User, host and process that changed it.
    pub origin: Origin,
}

/// The most bytes of a shadow's name.
const SHADOW_NAME_BYTES_MAX: usize = 40;

impl ShadowsFile {
    /// Checks the rules that the types do not express.
    pub(crate) fn check(&self, path: &Path) -> Result<(), Refusal> {
        let refused = |field: &str, expected: &str, got: String| {
            let at = format!("{}: {field}", path.display());
            Err(RefusalKind::Shadow.at(at, expected, got))
        };
        if self.version != FILES_VERSION {
            let expected = FILES_VERSION.to_string();
            return refused("version", &expected, self.version.to_string());
        }
        if self.shadows.len() > SHADOWS_MAX {
            let expected = format!("at most {SHADOWS_MAX}");
            return refused("shadows", &expected, self.shadows.len().to_string());
        }
        let mut names = std::collections::BTreeSet::new();
        for shadow in &self.shadows {
            let name = shadow.name.as_str();
            let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            let length = 1..=SHADOW_NAME_BYTES_MAX;
            if !length.contains(&name.len()) || !name.bytes().all(sound) {
                let expected = "1 to 40 letters, digits, `-`, `_` or `.`";
                return refused("name", expected, format!("{name:?}"));
            }
            if !names.insert(name) {
                return refused("name", "each name once", format!("{name:?} twice"));
            }
            if !(shadow.share > 0.0 && shadow.share <= 1.0) {
                return refused("share", "above 0 and at most 1", shadow.share.to_string());
            }
        }
        Ok(())
    }
}

/// The paths of a watched directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Returns the directory of this path, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Directory {
        Directory { root: root.into() }
    }

    /// Creates the directory and its folder of tables, if they are not there: as open to readers as
    /// the folder that it is made in, whatever the umask.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(&self) -> std::io::Result<()> {
        create_folders(&self.tables())
    }

    /// Returns the path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder of tables.
    pub fn tables(&self) -> PathBuf {
        self.root.join("tables")
    }

    /// Returns the file of a table.
    pub fn table(&self, content_id: ContentId) -> PathBuf {
        self.tables().join(format!("{content_id}.hedge"))
    }

    /// Returns the file of the pointer.
    pub fn active(&self) -> PathBuf {
        self.root.join("active")
    }

    /// Returns the file of the switches.
    pub fn switches(&self) -> PathBuf {
        self.root.join("switches")
    }

    /// Returns the file of the shadows.
    pub fn shadows(&self) -> PathBuf {
        self.root.join("shadows")
    }

    /// Returns the folder of engines that keep their state here.
    pub fn engines(&self) -> PathBuf {
        self.root.join("engines")
    }

    /// Reads the pointer; `None` if nothing was published.
    ///
    /// # Errors
    /// `Pointer` or `Directory`.
    pub fn read_pointer(&self) -> Result<Option<Pointer>, Refusal> {
        let path = self.active();
        match read_small(&path)? {
            Some(bytes) => parse_pointer(&bytes, &path).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the switches; `None` if nothing was ever switched.
    ///
    /// # Errors
    /// `Switches` or `Directory`.
    pub fn read_switches(&self) -> Result<Option<SwitchesFile>, Refusal> {
        let path = self.switches();
        match read_small(&path)? {
            Some(bytes) => parse_switches(&bytes, &path).map(|(file, _)| Some(file)),
            None => Ok(None),
        }
    }

    /// Reads the shadows; `None` if there never was one.
    ///
    /// # Errors
    /// `Shadow` or `Directory`.
    pub fn read_shadows(&self) -> Result<Option<ShadowsFile>, Refusal> {
        let path = self.shadows();
        match read_small(&path)? {
            Some(bytes) => parse_shadows(&bytes, &path).map(Some),
            None => Ok(None),
        }
    }
}

/// Parses the shadows.
pub(crate) fn parse_shadows(bytes: &[u8], path: &Path) -> Result<ShadowsFile, Refusal> {
    let file: ShadowsFile = parse_small(bytes, path, RefusalKind::Shadow)?;
    file.check(path)?;
    Ok(file)
}

/// Parses a pointer.
pub(crate) fn parse_pointer(bytes: &[u8], path: &Path) -> Result<Pointer, Refusal> {
    let pointer: Pointer = parse_small(bytes, path, RefusalKind::Pointer)?;
    let refused = |field: &str, expected: &str, got: &dyn std::fmt::Display| {
        let at = format!("{}: {field}", path.display());
        Err(RefusalKind::Pointer.at(at, expected, got))
    };
    let most = format!("1 to {TABLE_BYTES_MAX} bytes");
    if pointer.version != FILES_VERSION {
        return refused("version", &FILES_VERSION.to_string(), &pointer.version);
    }
    if pointer.generation == 0 || pointer.generation == u64::MAX {
        return refused("generation", "a number from 1 on", &pointer.generation);
    }
    if !(1..=TABLE_BYTES_MAX as u64).contains(&pointer.bytes) {
        return refused("bytes", &most, &pointer.bytes);
    }
    Ok(pointer)
}

/// Parses the switches.
pub(crate) fn parse_switches(
    bytes: &[u8],
    path: &Path,
) -> Result<(SwitchesFile, Switches), Refusal> {
    let file: SwitchesFile = parse_small(bytes, path, RefusalKind::Switches)?;
    if file.version != FILES_VERSION {
        let at = format!("{}: version", path.display());
        return Err(RefusalKind::Switches.at(at, FILES_VERSION, file.version));
    }
    let switches = file.switches(path)?;
    Ok((file, switches))
}

fn parse_small<T: DeserializeOwned>(
    bytes: &[u8],
    path: &Path,
    kind: RefusalKind,
) -> Result<T, Refusal> {
    serde_json::from_slice(bytes)
        .map_err(|error| kind.caused(path.display(), "what `hedgerow` writes", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::time;

    fn pointer() -> Pointer {
        Pointer {
            version: FILES_VERSION,
            generation: 3,
            content_id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            bytes: 4_096,
            from_generation: None,
            forced: false,
            at: time::now(),
            origin: Origin::here("me"),
        }
    }

    #[test]
    fn a_pointer_is_taken_as_it_is_written_and_nothing_like_it() {
        let path = Path::new("active");
        let parse = |text: &str| parse_pointer(text.as_bytes(), path);
        let written = pointer();
        let good = serde_json::to_string(&written).unwrap();
        assert_eq!(parse(&good), Ok(written));
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"generation\":3", "\"generation\":0"),
            ("\"generation\":3", "\"generation\":-1"),
            ("\"generation\":3", "\"generation\":18446744073709551615"),
            ("\"generation\":3", "\"generations\":3"),
            ("\"generation\":3", "\"generation\":3,\"generation\":4"),
            ("\"bytes\":4096", "\"bytes\":0"),
            ("\"bytes\":4096", "\"bytes\":1e9"),
            ("\"bytes\":4096", "\"bytes\":134217729"),
            ("0123456789abcdef0", "0123456789ABCDEF0"),
            ("0123456789abcdef0", "../../../../etc/p"),
            ("0123456789abcdef0", ""),
            ("{\"version", "{\"extra\":1,\"version"),
        ] {
            let bad = good.replace(from, to);
            assert_ne!(bad, good);
            let refused = parse(&bad).unwrap_err();
            assert!(refused.is(RefusalKind::Pointer), "{bad}: {refused}");
        }
        for end in 0..good.len() {
            assert!(parse(&good[..end]).is_err(), "{}", &good[..end]);
        }
    }

    #[test]
    fn switches_hold_selectors_once_each() {
        let path = Path::new("switches");
        let text = |off: &str| {
            let origin = serde_json::to_string(&Origin::here("me")).unwrap();
            format!(r#"{{"version":1,"change":2,"off":{off},"at":"x","origin":{origin}}}"#)
        };
        let parse = |off: &str| parse_switches(text(off).as_bytes(), path);
        assert!(parse("[]").unwrap().1.is_empty());
        let (_, two) = parse(r#"["engine","feature:a.b"]"#).unwrap();
        assert_eq!(two.len(), 2);
        for off in [
            r#"[""]"#,
            r#"["all"]"#,
            r#"["*"]"#,
            r#"["engine","engine"]"#,
            "null",
            "\"engine\"",
            "[null]",
            "{}",
            "[1]",
            r#"["feature:"]"#,
        ] {
            assert!(parse(off).unwrap_err().is(RefusalKind::Switches), "{off}");
        }
        assert!(parse_switches(b"", path).is_err());
        let next = text("[]").replace("\"version\":1", "\"version\":2");
        assert!(parse_switches(next.as_bytes(), path).is_err());
    }
}
