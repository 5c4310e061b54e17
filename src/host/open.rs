//! A host's engine: from the bundled table, a file, or a watched directory.

use crate::engine::{Engine, PublishError};
use crate::refusal::Refusal;
use crate::schema::Schema;
use crate::table::sealed::Sealed;
use crate::table::{DEFAULT_TABLE, Table};
use crate::watch::{Keys, PublicKey, WatchOptions, Watcher};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fmt, io};

/// Where a host's tables come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TableSource {
    /// The table that is part of the library.
    #[default]
    Bundled,
    /// One file, which is read once.
    File(PathBuf),
    /// A directory that a [`Publisher`](crate::watch::Publisher) writes to. It need not exist yet:
    /// a host that takes its path from a person refuses one that [`TableSource::of`] does not take
    /// for a directory.
    Directory(PathBuf),
}

impl TableSource {
    /// Reads the form that users write: `default`, a file, or a directory, which exists or ends
    /// with a slash.
    pub fn of(text: impl Into<PathBuf>) -> TableSource {
        let path: PathBuf = text.into();
        if path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/") {
            TableSource::Directory(path)
        } else if path.as_os_str() == "default" {
            TableSource::Bundled
        } else {
            TableSource::File(path)
        }
    }

    /// Returns the directory, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            TableSource::Directory(directory) => Some(directory),
            TableSource::Bundled | TableSource::File(_) => None,
        }
    }
}

/// How a host's engine is opened. Written as `OpenOptions { …, ..OpenOptions::default() }`.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Where tables come from; the bundled one by default.
    pub table: TableSource,
    /// What the host fills into rows; the built-in HTTP and traffic features by default.
    pub schema: Schema,
    /// Files of public keys, as `hedgerow key` writes them. With at least one, a table that none
    /// of them signed is refused, except the bundled one. They replace the keys of
    /// [`watch`](OpenOptions::watch).
    pub keys: Vec<PathBuf>,
    /// How a directory is watched: the engine's name, its state folder and all else.
    pub watch: WatchOptions,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions {
            table: TableSource::default(),
            schema: Schema::http_with_traffic(),
            keys: Vec::new(),
            watch: WatchOptions::default(),
        }
    }
}

/// A host's engine, and what watches its directory.
#[derive(Debug)]
pub struct Opened {
    /// The engine.
    pub engine: Engine,
    /// The watch of a directory: it ends when this is dropped.
    pub watcher: Option<Watcher>,
    /// The keys whose tables are taken.
    pub keys: Keys,
}

/// Why a host's engine was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenFailure {
    /// The file of a key was refused.
    Key(Refusal),
    /// The table was refused.
    Table(PublishError),
    /// The system gave no thread for the watch.
    Watch(io::Error),
}

impl fmt::Display for OpenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenFailure::Key(refusal) => refusal.fmt(f),
            OpenFailure::Table(refused) => refused.fmt(f),
            OpenFailure::Watch(error) => write!(f, "no thread to watch the directory: {error}"),
        }
    }
}

impl std::error::Error for OpenFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenFailure::Key(refusal) => Some(refusal),
            OpenFailure::Table(refused) => Some(refused),
            OpenFailure::Watch(error) => Some(error),
        }
    }
}

/// Opens a host's engine.
///
/// With a directory, the engine opens whatever is in it, and two threads watch it. A process that
/// forks opens its engine in the child.
///
/// # Errors
/// If a key or the table of a file is refused, or the system gives no thread.
pub fn open(options: OpenOptions) -> Result<Opened, OpenFailure> {
    let keys = options.keys.iter().map(|file| PublicKey::read(file));
    let keys: Vec<PublicKey> = keys.collect::<Result<_, _>>().map_err(OpenFailure::Key)?;
    let required = !keys.is_empty();
    let mut opened = Opened {
        engine: Engine::new(options.schema),
        watcher: None,
        keys: Keys::new(keys, required),
    };
    match options.table {
        TableSource::Bundled => {
            let table = Table::from_bytes(DEFAULT_TABLE).map_err(PublishError::Refused);
            let published = table.and_then(|table| opened.engine.publish(table));
            published.map_err(OpenFailure::Table)?;
        }
        TableSource::File(file) => {
            opened.publish_file(file).map_err(OpenFailure::Table)?;
        }
        TableSource::Directory(directory) => {
            let mut watch = options.watch;
            watch.admission.keys = opened.keys.clone();
            let started = Watcher::start(&opened.engine, directory, watch);
            opened.watcher = Some(started.map_err(OpenFailure::Watch)?);
        }
    }
    Ok(opened)
}

impl Opened {
    /// Publishes the table of a file; with keys, one of them must have signed it. Returns its
    /// generation.
    ///
    /// # Errors
    /// As [`Engine::publish_file`], and if no trusted key signed it. The running table stays.
    pub fn publish_file(&self, file: impl AsRef<Path>) -> Result<u64, PublishError> {
        if self.keys.trusted().is_empty() {
            return self.engine.publish_file(file);
        }
        let table = Sealed::from_file(file.as_ref())
            .and_then(|sealed| Table::from_sealed_with(sealed, |file| self.keys.check(file)));
        match table {
            Ok(table) => self.engine.publish(table),
            Err(refused) => {
                self.engine.count(&refused);
                Err(PublishError::Refused(refused))
            }
        }
    }
}
