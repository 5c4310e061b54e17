//! An engine's own folder: its status, its ledger and copies of its good tables. One engine writes
//! to it.
//!
//! ```text
//! STATE/status           the engine's status, replaced whole          [`WatchStatus`]
//! STATE/health           recent requests, replaced each second        [`Health`]
//! STATE/ledger.jsonl     tables and switches that it took or refused
//! STATE/good/<id>.hedge  copies of the last good tables
//! STATE/lock             held by the engine while it lives
//! ```
//!
//! A folder that cannot be used only matters at the next start: the watch continues without it.

use crate::ids::ContentId;
use crate::refusal::{Refusal, RefusalKind};
use crate::watch::directory::Origin;
use crate::watch::disk::{Lock, create, create_folders, remove_if_there, remove_partials, replace};
use crate::watch::ledger::{Ledger, Record};
use crate::watch::status::{self, KnownGood, WatchStatus};
use crate::watch::watchdog::Health;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The interval in which a folder that could not be used is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// An engine's folder, or none.
#[derive(Debug)]
pub(super) struct StateFolder {
    folder: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    lock: Option<Lock>,
    /// When it is tried again.
    retry: Option<Instant>,
}

impl StateFolder {
    pub(super) fn of(folder: Option<PathBuf>) -> StateFolder {
        StateFolder {
            folder,
            held: Mutex::default(),
        }
    }

    /// Returns the status that the engine before this one wrote.
    pub(super) fn last(&self) -> Option<WatchStatus> {
        status::read(self.folder.as_deref()?)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Both fields are set by single assignments.
        self.held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns the folder with its lock held; `None` without a folder, or before the next try.
    fn ready(&self, origin: &Origin) -> Result<Option<&Path>, Refusal> {
        let Some(folder) = self.folder.as_deref() else {
            return Ok(None);
        };
        let mut held = self.held();
        if held.lock.is_some() {
            return Ok(Some(folder));
        }
        let now = Instant::now();
        if held.retry.is_some_and(|retry| now < retry) {
            return Ok(None);
        }
        held.retry = now.checked_add(RETRY);
        let prepared = || -> io::Result<()> {
            create_folders(&folder.join("good"))?;
            remove_partials(&folder.join("good"))
        };
        let expected = "a folder that this engine can write to";
        prepared().map_err(|error| Refusal::directory(folder, expected, error))?;
        let lock = Lock::take(folder, Duration::ZERO, origin).map_err(|refused| {
            let kind = match refused.is(RefusalKind::Busy) {
                true => RefusalKind::State,
                false => RefusalKind::Directory,
            };
            kind.at(refused.at(), expected, refused.got())
        })?;
        held.lock = Some(lock);
        Ok(Some(folder))
    }

    /// Returns whether this engine holds the folder, or has none.
    pub(super) fn is_settled(&self) -> bool {
        self.folder.is_none() || self.held().lock.is_some()
    }

    /// Writes the status.
    pub(super) fn save(&self, status: &WatchStatus) -> Result<(), Refusal> {
        let Some(folder) = self.ready(&status.origin)? else {
            return Ok(());
        };
        let path = folder.join("status");
        let text = serde_json::to_vec(status)
            .map_err(|error| RefusalKind::State.caused(path.display(), "JSON", error))?;
        replace(&path, &text)?.map_or(Ok(()), Err)
    }

    /// Writes the health. It is of the moment: nothing waits for a disk, and a file that cannot be
    /// written grows old.
    pub(super) fn write_health(&self, health: &Health) {
        let Some(folder) = self.folder.as_deref().filter(|_| self.is_settled()) else {
            return;
        };
        let (path, new) = (folder.join("health"), folder.join(".health.new"));
        if let Ok(text) = serde_json::to_vec(health) {
            let written = remove_if_there(&new).and_then(|()| create(&new)?.write_all(&text));
            let _ = written.and_then(|()| fs::rename(&new, &path));
        }
    }

    /// Appends to the engine's ledger.
    pub(super) fn record(&self, record: &Record) -> Result<(), Refusal> {
        let Some(folder) = self.ready(&record.origin)? else {
            return Ok(());
        };
        let ledger = Ledger::of(folder);
        let appended = ledger.append(record).map(|_| ());
        appended.map_err(|error| Refusal::directory(&ledger.path(), "room for a line", error))
    }

    /// Returns the file of a kept copy.
    pub(super) fn kept(&self, content_id: ContentId) -> Option<PathBuf> {
        let folder = self.folder.as_deref()?;
        Some(folder.join("good").join(format!("{content_id}.hedge")))
    }

    /// Keeps a copy of a good table. Returns `false` if it is to be tried again. Copies of tables
    /// that are not in `good` are removed once all of `good` are there: until then a restart needs
    /// them.
    pub(super) fn keep(
        &self,
        content_id: ContentId,
        bytes: &[u8],
        good: &[KnownGood],
        origin: &Origin,
    ) -> Result<bool, Refusal> {
        let Some(path) = self.kept(content_id) else {
            return Ok(true);
        };
        let Some(folder) = self.ready(origin)? else {
            return Ok(false);
        };
        if !fs::read(&path).is_ok_and(|there| there == bytes) {
            replace(&path, bytes)?.map_or(Ok(()), Err)?;
        }
        let there = |good: &KnownGood| {
            self.kept(good.content_id)
                .is_some_and(|path| path.is_file())
        };
        if !good.iter().all(there) {
            return Ok(true);
        }
        let folder = folder.join("good");
        let tidied = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?.path();
                let name = entry.file_stem().and_then(|stem| stem.to_str());
                let id = name.and_then(|name| name.parse().ok());
                if !good.iter().any(|good| Some(good.content_id) == id) {
                    remove_if_there(&entry)?;
                }
            }
            Ok(())
        };
        tidied()
            .map(|()| true)
            .map_err(|error| Refusal::directory(&folder, "a writable folder", error))
    }
}
