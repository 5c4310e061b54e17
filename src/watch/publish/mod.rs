//! The publisher's side: everything that changes a watched directory, one process at a time.
//!
//! Each change is announced in the ledger, made durable there, and then made visible by one
//! rename. A process that is killed in between leaves an announcement, which the next publisher
//! marks as abandoned: the ledger never lacks what happened, and never claims what did not.

mod mirror;
mod shadows;
mod switches;

pub use shadows::Shadowed;

use super::directory::{Directory, FILES_VERSION, Origin, Pointer, SwitchesFile, is_content_id};
use super::disk::{Lock, remove_if_there, remove_partials, replace, sync_folder};
use super::ledger::{Event, FROM_POINTER, Ledger, Record};
use super::status;
use super::time;
use crate::refusal::{Refusal, RefusalKind};
use crate::table::Table;
use crate::table::format::{HEADER_BYTES, SIGNATURE_OFFSET};
use crate::table::sealed::Sealed;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Generations of which the tables are kept, unless told otherwise.
pub const KEEP: usize = 8;

/// Generations of which the tables are kept at least: the running one, and one to go back to.
pub const KEEP_MIN: usize = 2;

/// The right to change a directory, as long as this lives.
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

/// How to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishOptions {
    /// The new generation is above this one. For a directory that was made anew, where engines
    /// remember a higher one.
    pub above: u64,
    /// Generations of which the tables are kept, at least [`KEEP_MIN`].
    pub keep: usize,
    /// Whether engines take the table however much it differs from the running one.
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

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// What engines will take up.
    pub pointer: Pointer,
    /// The content hashes of tables that were removed.
    pub pruned: Vec<String>,
    /// What is worth a look, and did not keep it from being done.
    pub warnings: Vec<String>,
}

/// What was switched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switched {
    /// What is off now.
    pub file: SwitchesFile,
    /// What is worth a look, and did not keep it from being done.
    pub warnings: Vec<String>,
}

/// A generation that a ledger knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its line in the ledger.
    pub record: Record,
    /// Its number.
    pub generation: u64,
    /// Its table.
    pub content_id: String,
    /// The generation that first had this table: its own, or the one that was gone back to.
    pub source: u64,
}

impl Publisher {
    /// Takes the right to change a directory that is there, waiting for it no longer than `wait`.
    /// Puts right what a killed publisher left behind.
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

    /// As [`open`](Publisher::open), and makes the directory where it is not there.
    ///
    /// # Errors
    /// As `open`.
    pub fn create(root: &Path, wait: Duration, who: &str) -> Result<Publisher, Refusal> {
        let made = fs::create_dir_all(root.join("tables"));
        made.map_err(|error| Refusal::directory(root, "a directory that can be made", error))?;
        Publisher::open(root, wait, who)
    }

    /// The directory.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    fn recover(&mut self) -> Result<(), Refusal> {
        let root = self.directory.root().to_path_buf();
        let tables = self.directory.tables();
        let tidy = || -> io::Result<()> {
            fs::create_dir_all(&tables)?;
            remove_partials(&root)?;
            remove_partials(&tables)
        };
        tidy().map_err(|error| Refusal::directory(&root, "a writable directory", error))?;
        let history = self.ledger.read();
        let path = self.ledger.path();
        let history =
            history.map_err(|error| Refusal::directory(&path, "a readable file", error))?;
        self.warnings.extend(history.problems);
        self.records = history.records;
        match self.directory.read_pointer() {
            Ok(pointer) => self.pointer = pointer,
            Err(refused) => self.warnings.push(refused.to_string()),
        }
        self.note_pointer()?;
        let change = self.switches_change()?;
        self.abandon(change)
    }

    /// A pointer of which the ledger knows nothing: the ledger was lost.
    fn note_pointer(&mut self) -> Result<(), Refusal> {
        let Some(pointer) = self.pointer.clone() else {
            return Ok(());
        };
        let known = |record: &Record| record.generation == Some(pointer.generation);
        if self.records.iter().any(known) {
            return Ok(());
        }
        let event = Event::of(&pointer);
        self.append(Record {
            at: pointer.at,
            generation: Some(pointer.generation),
            content_id: Some(pointer.content_id),
            from_generation: pointer.from_generation,
            note: Some(FROM_POINTER.into()),
            ..Record::new(event, &pointer.origin)
        })
    }

    /// Marks what was announced and did not come about.
    fn abandon(&mut self, change: u64) -> Result<(), Refusal> {
        let active = self
            .pointer
            .as_ref()
            .map_or(0, |pointer| pointer.generation);
        let abandoned = abandoned(&self.records);
        let shadows = self.shadows_change().unwrap_or(u64::MAX);
        let mut marks = Vec::new();
        for record in &self.records {
            let mark = Record::new(Event::Abandon, &self.origin);
            match (record.event, record.generation, record.change) {
                (Event::Publish | Event::Rollback, Some(generation), _)
                    if generation > active && !abandoned.0.contains(&generation) =>
                {
                    marks.push(Record {
                        generation: Some(generation),
                        content_id: record.content_id.clone(),
                        ..mark
                    });
                }
                (Event::Kill | Event::Restore, _, Some(number))
                    if number > change && !abandoned.1.contains(&number) =>
                {
                    marks.push(Record {
                        change: Some(number),
                        selector: record.selector.clone(),
                        ..mark
                    });
                }
                (Event::Shadow | Event::Unshadow, _, Some(number))
                    if number > shadows && !abandoned.1.contains(&number) =>
                {
                    marks.push(Record {
                        change: Some(number),
                        content_id: record.content_id.clone(),
                        note: record.note.clone(),
                        ..mark
                    });
                }
                _ => {}
            }
        }
        // Without a pointer that can be read nobody knows which generation was the last. Each open
        // marks what is stale, so that of several only the last can be: the pointer was lost.
        let open = marks.iter().filter(|mark| mark.generation.is_some());
        let lost = open.clone().count() > 1 || open.clone().any(|mark| self.is_taken(mark));
        if self.pointer.is_none() && (lost || self.directory.active().exists()) {
            marks.retain(|mark| mark.change.is_some());
            if lost {
                let path = self.directory.active();
                let note = "the pointer was lost: publish or roll back to have one again";
                self.warnings.push(format!("{}: {note}", path.display()));
            }
        }
        marks.into_iter().try_for_each(|mark| self.append(mark))
    }

    /// Whether an engine that keeps its state here has taken what was announced.
    fn is_taken(&self, announced: &Record) -> bool {
        let engines = status::engines(&self.directory);
        let mut good = engines.iter().flat_map(|(_, engine)| &engine.good);
        good.any(|good| {
            Some(good.generation) == announced.generation
                && Some(&good.content_id) == announced.content_id.as_ref()
        })
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

    /// The generations that came about, oldest first.
    pub fn generations(&self) -> Vec<Generation> {
        generations(&self.records, self.pointer.as_ref())
    }

    /// The content of the table that is to run: the pointer's, or where that was lost the last one
    /// of the history. None before the first publish.
    fn newest(&self) -> Option<String> {
        let named = self.pointer.as_ref();
        let named = named.map(|pointer| pointer.content_id.clone());
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
    /// `Directory`, where something cannot be written, and `Replayed`, where the table's own number
    /// is below the active one's: nothing has changed for engines then.
    pub fn publish(
        mut self,
        table: &Table,
        options: &PublishOptions,
    ) -> Result<Published, Refusal> {
        let content_id = table.content_id();
        self.check_number(table, &content_id)?;
        self.write_table(table, &content_id)?;
        let generation = self.next_generation(options.above);
        let pointer = self.next(generation, content_id, None, options.forced)?;
        self.activate(Event::Publish, pointer, options.keep)
    }

    /// Publishes the table of a generation again, or of the active one, and has engines take it
    /// however much it differs from what they run.
    ///
    /// # Errors
    /// As [`rollback`](Publisher::rollback), and `Replayed`, as [`publish`](Publisher::publish).
    pub fn force(mut self, generation: Option<u64>, keep: usize) -> Result<Published, Refusal> {
        let all = self.generations();
        let target = match generation {
            Some(to) => all.iter().find(|past| past.generation == to),
            None => all.last(),
        };
        let (target, table) = self.known(&all, target, generation)?;
        let content_id = target.content_id;
        self.check_number(&table, &content_id)?;
        let pointer = self.next(self.next_generation(0), content_id, None, true)?;
        self.activate(Event::Publish, pointer, keep)
    }

    /// Publishes the table of an older generation again: of this one, or of the one before. One
    /// that an engine holds in quarantine is passed over, unless it is asked for by its number.
    ///
    /// # Errors
    /// `NoGeneration`, a refusal of the table, or `Directory`: nothing has changed then.
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

    /// A generation whose table is there and whole, and that.
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
        let path = self.directory.table(&target.content_id);
        let table = Table::open(&path)?;
        if table.content_id() != target.content_id {
            let (path, got) = (path.display(), table.content_id());
            return Err(RefusalKind::PointerContent.at(path, target.content_id, got));
        }
        Ok((target, table))
    }

    /// The tables that engines of this directory hold in quarantine.
    fn held_back(&self) -> BTreeSet<String> {
        let engines = status::engines(&self.directory);
        let held = engines
            .into_iter()
            .flat_map(|(_, engine)| engine.quarantined);
        held.map(|held| held.content_id).collect()
    }

    /// The pointer to a table whose file is there.
    fn next(
        &self,
        generation: u64,
        content_id: String,
        from_generation: Option<u64>,
        forced: bool,
    ) -> Result<Pointer, Refusal> {
        let path = self.directory.table(&content_id);
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
            content_id: Some(pointer.content_id.clone()),
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

    /// Replaces a file that engines look at.
    fn write_json(&mut self, path: &Path, value: &impl serde::Serialize) -> Result<(), Refusal> {
        let mut text = serde_json::to_vec(value)
            .map_err(|error| RefusalKind::Directory.caused(path.display(), "JSON", error))?;
        text.push(b'\n');
        let undurable = replace(path, &text)?;
        self.warnings.extend(undurable.map(|told| told.to_string()));
        Ok(())
    }

    /// Puts a table's file in its place. One that is there and whole stays, unless this one is
    /// signed otherwise.
    fn write_table(&mut self, table: &Table, content_id: &str) -> Result<(), Refusal> {
        let path = self.directory.table(content_id);
        if let Ok(there) = Sealed::from_file(&path) {
            let same = there.bytes() == table.bytes();
            let signed = there.bytes().get(SIGNATURE_OFFSET..HEADER_BYTES);
            let signed = signed.is_some_and(|field| field.iter().any(|byte| *byte != 0));
            let whole = || Table::from_bytes(there.bytes());
            let keeps = || signed && table.signed_by().is_none() && whole().is_ok();
            if same || keeps() {
                // Who wrote it may have been killed before it was durable, or be no publisher.
                let file = File::open(&path).and_then(|file| file.sync_all());
                let synced = file.and_then(|()| sync_folder(&self.directory.tables()));
                let expected = "a file that can be synced";
                return synced.map_err(|error| Refusal::directory(&path, expected, error));
            }
        }
        // Durable before anything refers to it.
        replace(&path, table.bytes())?.map_or(Ok(()), Err)
    }

    /// Removes the tables of generations before the last `keep`. Those of the last two stay in any
    /// case, and those that an engine names as good; so do as many of the newest others as make
    /// `keep` together, should the ledger know less than there is.
    fn prune(&mut self, keep: usize) -> Result<Vec<String>, Refusal> {
        let keep = keep.max(KEEP_MIN);
        let tables = self.directory.tables();
        let mut kept: BTreeSet<String> = BTreeSet::new();
        let all = self.generations();
        for (back, past) in all.iter().rev().enumerate() {
            if back < keep || kept.len() < KEEP_MIN {
                kept.insert(past.content_id.clone());
            }
        }
        kept.extend(
            self.pointer
                .iter()
                .map(|pointer| pointer.content_id.clone()),
        );
        let shadows = self.shadows();
        kept.extend(shadows.into_iter().map(|shadow| shadow.content_id));
        for (_, engine) in status::engines(&self.directory) {
            kept.extend(engine.good.into_iter().map(|good| good.content_id));
        }
        let mut others = Vec::new();
        let listed = || -> io::Result<Vec<(std::time::SystemTime, String, PathBuf)>> {
            for entry in fs::read_dir(&tables)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                let id = name.and_then(|name| name.strip_suffix(".hedge"));
                let Some(id) = id.filter(|id| is_content_id(id) && !kept.contains(*id)) else {
                    continue;
                };
                others.push((fs::symlink_metadata(&path)?.modified()?, id.into(), path));
            }
            Ok(others)
        };
        let failed = |error: io::Error| Refusal::directory(&tables, "a writable folder", error);
        let mut others = listed().map_err(failed)?;
        others.sort();
        let too_many = kept.len().saturating_add(others.len()).saturating_sub(keep);
        let mut pruned = Vec::new();
        for (_, id, path) in others.into_iter().take(too_many) {
            remove_if_there(&path).map_err(failed)?;
            pruned.push(id);
        }
        if !pruned.is_empty() {
            let note = match pruned.len() {
                1..=16 => pruned.join(" "),
                many => format!("{many} tables"),
            };
            self.append(Record {
                note: Some(note),
                ..Record::new(Event::Prune, &self.origin)
            })?;
        }
        Ok(pruned)
    }
}

/// The generations and the changes that are marked as abandoned, and were not announced again.
fn abandoned(records: &[Record]) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut generations, mut changes) = (BTreeSet::new(), BTreeSet::new());
    for record in records {
        if record.event == Event::Abandon {
            generations.extend(record.generation);
            changes.extend(record.change);
            continue;
        }
        if matches!(record.event, Event::Publish | Event::Rollback) {
            record.generation.map(|again| generations.remove(&again));
        }
        record.change.map(|again| changes.remove(&again));
    }
    (generations, changes)
}

/// The generations that came about, oldest first: announced, not abandoned, and not above the
/// pointer, which an announcement precedes.
pub fn generations(records: &[Record], pointer: Option<&Pointer>) -> Vec<Generation> {
    let (abandoned, _) = abandoned(records);
    let last = pointer.map_or(u64::MAX, |pointer| pointer.generation);
    let mut sources: BTreeMap<u64, u64> = BTreeMap::new();
    let mut all = Vec::new();
    for record in records {
        let (Event::Publish | Event::Rollback, Some(generation), Some(content_id)) =
            (record.event, record.generation, &record.content_id)
        else {
            continue;
        };
        if generation > last || abandoned.contains(&generation) || !is_content_id(content_id) {
            continue;
        }
        let from = record.from_generation.unwrap_or(generation);
        let source = sources.get(&from).copied().unwrap_or(from);
        if sources.insert(generation, source).is_none() {
            all.push(Generation {
                record: record.clone(),
                generation,
                content_id: content_id.clone(),
                source,
            });
        }
    }
    all
}

/// The generation to go back to from the last one. After a rollback it is one before the one that
/// was gone back to: rolling back twice does not come back to where it started.
fn before<'a>(all: &'a [Generation], held_back: &BTreeSet<String>) -> Option<&'a Generation> {
    let last = all.last()?;
    let earlier = |past: &&Generation| {
        let held = held_back.contains(&past.content_id);
        past.generation < last.source && past.content_id != last.content_id && !held
    };
    all.iter().rev().find(earlier)
}
