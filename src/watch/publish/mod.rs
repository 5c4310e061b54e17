//! The publisher's side: all changes of a watched directory, by one process at a time.
//!
//! Each change is announced in the ledger, made durable there, and then made visible by one rename.
//! A process that is killed in between leaves an announcement, which the next publisher marks as
//! abandoned: the ledger lacks nothing that happened, and claims nothing that did not.

mod history;
mod mirror;
mod recover;
mod shadows;
mod switches;
mod tables;

pub use history::{Generation, before, generations};
pub use shadows::Shadowed;

use super::directory::{Directory, FILES_VERSION, Origin, Pointer, SwitchesFile};
use super::disk::{Lock, replace};
use super::ledger::{Event, Ledger, Record};
use super::status;
use super::time;
use crate::ids::ContentId;
use crate::refusal::{Refusal, RefusalKind};
use crate::table::Table;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The default number of generations whose tables are kept.
pub const KEEP: usize = 8;

/// The least number of generations whose tables are kept: the running one, and one to go back to.
pub const KEEP_MIN: usize = 2;

/// The right to change a directory, held until this is dropped.
#[derive(Debug)]
pub struct Publisher {
    directory: Directory,
    ledger: Ledger,
    origin: Origin,
    records: Vec<Record>,
    pointer: Option<Pointer>,
    warnings: Vec<String>,
    _lock: Lock,
}

/// The options of a publish. Build them with `..PublishOptions::default()`: fields may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishOptions {
    /// The new generation is above this one. For a new directory whose engines remember a higher
    /// generation.
    pub above: u64,
    /// The number of generations whose tables are kept, at least [`KEEP_MIN`].
    pub keep: usize,
    /// `true` if engines take the table even if it differs much from the running one.
    pub forced: bool,
}

impl Default for PublishOptions {
    fn default() -> PublishOptions {
        PublishOptions {
            above: 0,
            keep: KEEP,
            forced: false,
        }
    }
}

/// The result of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// The pointer that engines will follow.
    pub pointer: Pointer,
    /// The content hashes of tables that were removed.
    pub pruned: Vec<ContentId>,
    /// Problems that did not prevent the publish.
    pub warnings: Vec<String>,
}

/// The result of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Switched {
    /// The switches now.
    pub file: SwitchesFile,
    /// Problems that did not prevent the switch.
    pub warnings: Vec<String>,
}

impl Publisher {
    /// Takes the right to change an existing directory, waiting for it no longer than `wait`. Puts
    /// right what a killed publisher left.
    ///
    /// # Errors
    /// `Directory` or `Busy`.
    pub fn open(root: &Path, wait: Duration, who: &str) -> Result<Publisher, Refusal> {
        let expected = "a directory that is there: publish makes it";
        let directory = Directory::new(root);
        let failed = |error: io::Error| Refusal::directory(root, expected, error);
        match fs::metadata(root) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(failed(io::ErrorKind::NotADirectory.into())),
            Err(error) => return Err(failed(error)),
        }
        let origin = Origin::here(who);
        let lock = Lock::take(root, wait, &origin)?;
        let ledger = Ledger::of(root);
        let mut publisher = Publisher {
            directory,
            ledger,
            origin,
            records: Vec::new(),
            pointer: None,
            warnings: Vec::new(),
            _lock: lock,
        };
        publisher.recover()?;
        Ok(publisher)
    }

    /// Creates the directory if it does not exist, and opens it.
    ///
    /// # Errors
    /// Those of [`open`](Publisher::open).
    pub fn create(root: &Path, wait: Duration, who: &str) -> Result<Publisher, Refusal> {
        let made = Directory::new(root).create();
        made.map_err(|error| Refusal::directory(root, "a directory that can be made", error))?;
        Publisher::open(root, wait, who)
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    fn append(&mut self, record: Record) -> Result<(), Refusal> {
        let path = self.ledger.path();
        let torn = self
            .ledger
            .append(&record)
            .map_err(|error| Refusal::directory(&path, "room for a line", error))?;
        self.records.push(record);
        if torn > 0 {
            let note = format!("ended a line that stopped after {torn} bytes");
            self.append(Record {
                note: Some(note),
                ..Record::new(Event::Repair, &self.origin)
            })?;
        }
        Ok(())
    }

    /// Returns the generations that were published, oldest first.
    pub fn generations(&self) -> Vec<Generation> {
        generations(&self.records, self.pointer.as_ref())
    }

    /// Returns the content hash of the table that is to run: the pointer's, or the last one of the
    /// history if the pointer was lost. `None` before the first publish.
    fn newest(&self) -> Option<ContentId> {
        let named = self.pointer.as_ref();
        let named = named.map(|pointer| pointer.content_id);
        named.or_else(|| self.generations().pop().map(|past| past.content_id))
    }

    fn next_generation(&self, above: u64) -> u64 {
        let known = self.records.iter().filter_map(|record| record.generation);
        let active = self.pointer.as_ref().map(|pointer| pointer.generation);
        let last = known.chain(active).max().unwrap_or_default();
        last.max(above).saturating_add(1)
    }

    /// Publishes a table under the next generation.
    ///
    /// # Errors
    /// `Directory` if something cannot be written, `Replayed` if the table's own running number is
    /// below the active one's. Nothing has changed for engines then.
    pub fn publish(
        mut self,
        table: &Table,
        options: &PublishOptions,
    ) -> Result<Published, Refusal> {
        let content_id = table.content_id();
        self.check_number(table, content_id)?;
        self.write_table(table, content_id)?;
        let generation = self.next_generation(options.above);
        let pointer = self.next(generation, content_id, None, options.forced)?;
        self.activate(Event::Publish, pointer, options.keep)
    }

    /// Publishes the table of a generation again, or of the active one. Engines take it even if it
    /// differs much from what they run.
    ///
    /// # Errors
    /// Those of [`rollback`](Publisher::rollback) and [`publish`](Publisher::publish).
    pub fn force(mut self, generation: Option<u64>, keep: usize) -> Result<Published, Refusal> {
        let all = self.generations();
        let target = match generation {
            Some(to) => all.iter().find(|past| past.generation == to),
            None => all.last(),
        };
        let (target, table) = self.known(&all, target, generation)?;
        let content_id = target.content_id;
        self.check_number(&table, content_id)?;
        let pointer = self.next(self.next_generation(0), content_id, None, true)?;
        self.activate(Event::Publish, pointer, keep)
    }

    /// Publishes the table of an older generation again: of generation `to`, or of the one before.
    /// A table that an engine holds in quarantine is skipped, unless it is named by its number.
    ///
    /// # Errors
    /// `NoGeneration`, a refusal of the table, or `Directory`. Nothing has changed then.
    pub fn rollback(mut self, to: Option<u64>, keep: usize) -> Result<Published, Refusal> {
        let all = self.generations();
        let target = match to {
            Some(to) => all.iter().find(|past| past.generation == to),
            None => before(&all, &self.held_back()),
        };
        let (target, _) = self.known(&all, target, to)?;
        let (generation, from) = (self.next_generation(0), Some(target.source));
        let pointer = self.next(generation, target.content_id, from, false)?;
        self.activate(Event::Rollback, pointer, keep)
    }

    /// Returns a generation and its table, which must be there and whole.
    fn known(
        &self,
        all: &[Generation],
        target: Option<&Generation>,
        asked: Option<u64>,
    ) -> Result<(Generation, Table), Refusal> {
        let Some(target) = target.cloned() else {
            let known: Vec<String> = all.iter().map(|past| past.generation.to_string()).collect();
            let known = match known.join(", ") {
                none if none.is_empty() => "a generation to go back to".into(),
                known => format!("one of {known}, with another table before it"),
            };
            let nothing = "nothing before the running one";
            let got = asked.map_or(nothing.into(), |asked| asked.to_string());
            let active = self.directory.active();
            return Err(RefusalKind::NoGeneration.at(active.display(), known, got));
        };
        let path = self.directory.table(target.content_id);
        let table = Table::open(&path)?;
        if table.content_id() != target.content_id {
            let (path, got) = (path.display(), table.content_id());
            return Err(RefusalKind::PointerContent.at(path, target.content_id, got));
        }
        Ok((target, table))
    }

    /// Returns the tables that engines of this directory hold in quarantine.
    fn held_back(&self) -> BTreeSet<ContentId> {
        let engines = status::engines(&self.directory);
        let held = engines
            .into_iter()
            .flat_map(|(_, engine)| engine.quarantined);
        held.map(|held| held.content_id).collect()
    }

    /// Returns a pointer to a table whose file is there.
    fn next(
        &self,
        generation: u64,
        content_id: ContentId,
        from_generation: Option<u64>,
        forced: bool,
    ) -> Result<Pointer, Refusal> {
        let path = self.directory.table(content_id);
        let bytes = fs::metadata(&path).map(|meta| meta.len());
        let bytes = bytes.map_err(|error| Refusal::directory(&path, "a readable file", error))?;
        Ok(Pointer {
            version: FILES_VERSION,
            generation,
            content_id,
            bytes,
            from_generation,
            forced,
            at: time::now(),
            origin: self.origin.clone(),
        })
    }

    fn activate(
        &mut self,
        event: Event,
        pointer: Pointer,
        keep: usize,
    ) -> Result<Published, Refusal> {
        self.append(Record {
            at: pointer.at.clone(),
            generation: Some(pointer.generation),
            content_id: Some(pointer.content_id),
            from_generation: pointer.from_generation,
            note: pointer.forced.then(|| "forced".into()),
            ..Record::new(event, &self.origin)
        })?;
        self.write_json(&self.directory.active(), &pointer)?;
        self.pointer = Some(pointer.clone());
        let pruned = self.prune(keep).unwrap_or_else(|error| {
            self.warnings
                .push(format!("old tables were not removed: {error}"));
            Vec::new()
        });
        Ok(Published {
            pointer,
            pruned,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    /// Replaces a file that engines read.
    fn write_json(&mut self, path: &Path, value: &impl serde::Serialize) -> Result<(), Refusal> {
        let mut text = serde_json::to_vec(value)
            .map_err(|error| RefusalKind::Directory.caused(path.display(), "JSON", error))?;
        text.push(b'\n');
        let undurable = replace(path, &text)?;
        self.warnings.extend(undurable.map(|told| told.to_string()));
        Ok(())
    }
}
