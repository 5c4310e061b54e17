//! The thread that keeps an engine's table as the directory says, or the last good one.

use super::holdback::{drifts, is_held_back, is_kept_out, is_reverted, not_replayed, went_back};
use super::{Artefact, Shared, runs};
use crate::refusal::{Refusal, RefusalKind};
use crate::score::PreparedTable;
use crate::table::{DEFAULT_TABLE, Table};
use crate::watch::directory::{Pointer, parse_pointer, read_small};
use crate::watch::ledger::{Event, Ledger, Record};
use crate::watch::options::Fallback;
use crate::watch::publish::generations;
use crate::watch::status::{KnownGood, Source, Waiting};
use crate::watch::watchdog::{Former, Watchdog};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_128;

/// Good tables that an engine keeps to go back to.
const GOOD: usize = 2;

/// Generations of the directory's ledger that a start tries, at most.
const LEDGER_TRIES: usize = 8;

/// How long a file that the system refused to read is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// What the thread remembers.
#[derive(Debug)]
pub(super) struct Tables {
    /// The pointer's file as it was last read, and what was wrong with it.
    seen: Option<(Vec<u8>, Option<Refusal>)>,
    /// Whether there ever was a pointer that named something.
    named: bool,
    candidate: Option<Candidate>,
    /// The last generation that was taken; none is taken that is not above it.
    last: Option<KnownGood>,
    watchdog: Watchdog,
    /// Good tables of which no copy is kept yet, newest first, and when that is tried again.
    unkept: Vec<Arc<PreparedTable>>,
    keep_at: Option<Instant>,
}

/// What the pointer names, and does not run yet.
#[derive(Debug)]
struct Candidate {
    pointer: Pointer,
    /// The file when it was last looked at, and since when it is so.
    file: Option<FileId>,
    since: Instant,
    /// It was refused as it is.
    refused: bool,
    /// A file of the right length was refused, and that was told.
    told: bool,
    /// When it is tried again as it is.
    retry: Option<Instant>,
    /// It passed, and waits for room among the retired tables.
    passed: Option<Arc<PreparedTable>>,
}

/// Tells whether a file is still the same: device, number, length, and times in nanoseconds.
type FileId = (u64, u64, u64, (i64, i64), (i64, i64));

fn file_id(path: &Path) -> Option<FileId> {
    let meta = std::fs::metadata(path).ok()?;
    let changed = (meta.ctime(), meta.ctime_nsec());
    let modified = (meta.mtime(), meta.mtime_nsec());
    Some((meta.dev(), meta.ino(), meta.len(), modified, changed))
}

impl Tables {
    pub(super) fn new() -> Tables {
        Tables {
            seen: None,
            named: false,
            candidate: None,
            last: None,
            watchdog: Watchdog::default(),
            unkept: Vec::new(),
            keep_at: None,
        }
    }

    /// The first look: whatever is there, the engine has a table afterwards.
    pub(super) fn start(&mut self, shared: &Shared) {
        let good = shared.desk().status.good.clone();
        self.last = good.first().cloned();
        self.look(shared);
        let runs = || shared.desk().status.source != Source::None;
        if runs() {
            return;
        }
        for good in good {
            let kept = shared.state.kept(&good.content_id);
            if kept.is_some_and(|path| self.fall_back(shared, &good, &path, Source::Kept)) {
                return;
            }
        }
        for good in self.of_ledger(shared) {
            let path = shared.directory.table(&good.content_id);
            if self.fall_back(shared, &good, &path, Source::Ledger) {
                return;
            }
        }
        if shared.options.fallback == Fallback::Bundled {
            self.bundled(shared);
        }
    }

    /// The last generations of the directory's ledger, newest first, each table once.
    fn of_ledger(&self, shared: &Shared) -> Vec<KnownGood> {
        let ledger = Ledger::of(shared.directory.root());
        let history = match ledger.read() {
            Ok(history) => history,
            Err(error) => {
                let refused = Refusal::directory(&ledger.path(), "a readable file", error);
                shared.problem("ledger", Some(refused));
                return Vec::new();
            }
        };
        let pointer = self.candidate.as_ref().map(|candidate| &candidate.pointer);
        let mut found: Vec<KnownGood> = Vec::new();
        for past in generations(&history.records, pointer).into_iter().rev() {
            let named = pointer.is_some_and(|pointer| pointer.content_id == past.content_id);
            let there = found.iter().any(|good| good.content_id == past.content_id);
            let held = is_kept_out(shared, &past.content_id);
            if !named && !there && !held && found.len() < LEDGER_TRIES {
                found.push(KnownGood {
                    generation: past.generation,
                    content_id: past.content_id,
                    table_generation: 0,
                });
            }
        }
        found
    }

    fn fall_back(
        &mut self,
        shared: &Shared,
        good: &KnownGood,
        path: &Path,
        source: Source,
    ) -> bool {
        let admission = &shared.options.admission;
        let prepared = match admission.admit(&shared.engine, path, Some(&good.content_id)) {
            Ok(prepared) => prepared,
            Err(rejected) => {
                let artefact = Artefact {
                    hash: rejected.artefact,
                    generation: Some(good.generation),
                    content_id: Some(&good.content_id),
                };
                shared.refuse(artefact, &rejected.refusal);
                return false;
            }
        };
        if shared
            .engine
            .publish_as(prepared.clone(), good.generation)
            .is_err()
        {
            return false;
        }
        if self.last.is_none() {
            self.last = Some(KnownGood {
                table_generation: prepared.table().header().generation,
                ..good.clone()
            });
        }
        runs(shared, &prepared, good.generation, source, None);
        let generation = good.generation;
        log::warn!(
            "{}: runs the last known good, generation {generation}",
            shared.directory.root().display()
        );
        shared.note(Record {
            generation: Some(generation),
            content_id: Some(good.content_id.clone()),
            note: Some(format!("last known good, {}", source.name())),
            ..Record::new(Event::Fallback, &shared.origin)
        });
        true
    }

    fn bundled(&self, shared: &Shared) {
        let kernel = shared.options.admission.kernel.as_deref();
        let prepared = Table::from_bytes(DEFAULT_TABLE)
            .and_then(|table| PreparedTable::with_kernel(table, shared.engine.schema(), kernel));
        match prepared.map(Arc::new) {
            Ok(prepared) => {
                if shared.engine.publish_as(prepared.clone(), 0).is_ok() {
                    runs(shared, &prepared, 0, Source::Bundled, None);
                    shared.note(Record {
                        generation: Some(0),
                        note: Some("the bundled table".into()),
                        ..Record::new(Event::Fallback, &shared.origin)
                    });
                }
            }
            // A host of another schema has no use for the bundled table.
            Err(refused) => {
                shared.engine.count(&refused);
                shared.refuse(Artefact::default(), &refused);
            }
        }
    }

    /// Looks at the pointer, and at the file that it names where that does not run yet.
    pub(super) fn look(&mut self, shared: &Shared) {
        let path = shared.directory.active();
        match read_small(&path) {
            Err(refused) => shared.problem("pointer", Some(refused)),
            Ok(None) => {
                let gone = || {
                    let expected = "the pointer that was there";
                    RefusalKind::Pointer.at(path.display(), expected, "no file")
                };
                let missing = self.named || self.last.is_some();
                shared.problem("pointer", missing.then(gone));
            }
            Ok(Some(bytes)) => self.read(shared, &path, bytes),
        }
        self.try_candidate(shared);
        self.watch(shared);
        if self.keep_at.is_some_and(|at| Instant::now() >= at) {
            self.keep(shared);
        }
    }

    /// Keeps copies of good tables. Where there is no room for one, it is tried again and again: a
    /// restart may have nothing else.
    fn keep(&mut self, shared: &Shared) {
        let good = shared.desk().status.good.clone();
        let mut failed = None;
        self.unkept.retain(|prepared| {
            let (id, bytes) = (prepared.table().content_id(), prepared.table().bytes());
            if !good.iter().any(|good| good.content_id == id) {
                return false;
            }
            match shared.state.keep(&id, bytes, &good, &shared.origin) {
                Ok(kept) => !kept,
                Err(refused) => {
                    failed = Some(refused);
                    true
                }
            }
        });
        self.keep_at = match self.unkept.is_empty() {
            true => None,
            false => Instant::now().checked_add(RETRY),
        };
        // Of a state that another engine holds, all copies wait: one problem is enough.
        if shared.state.is_settled() {
            shared.problem("copies", failed);
        } else if failed.is_some() {
            shared.problem("state", failed);
        }
    }

    fn read(&mut self, shared: &Shared, path: &Path, bytes: Vec<u8>) {
        if let Some((seen, wrong)) = &self.seen
            && *seen == bytes
        {
            return shared.problem("pointer", wrong.clone());
        }
        let wrong = match parse_pointer(&bytes, path) {
            Ok(pointer) => {
                self.named = true;
                self.consider(shared, pointer);
                None
            }
            Err(refused) => {
                let artefact = Artefact {
                    hash: xxh3_128(&bytes),
                    ..Artefact::default()
                };
                shared.refuse(artefact, &refused);
                Some(refused)
            }
        };
        shared.problem("pointer", wrong.clone());
        self.seen = Some((bytes, wrong));
    }

    /// A pointer that is another one than before.
    fn consider(&mut self, shared: &Shared, pointer: Pointer) {
        self.candidate = None;
        let last = self.last.as_ref();
        let is_last = last.is_some_and(|last| {
            (last.generation, &last.content_id) == (pointer.generation, &pointer.content_id)
        });
        let running = {
            let mut desk = shared.desk();
            desk.status.waiting = None;
            desk.dirty = true;
            matches!(desk.status.source, Source::Directory | Source::Kept)
                && desk.status.generation == pointer.generation
        };
        if is_last && running {
            return;
        }
        if !is_last && last.is_some_and(|last| pointer.generation <= last.generation) {
            let last = last.map(|last| last.generation).unwrap_or_default();
            let expected = format!(
                "a generation above {last}, which this engine took (publish --above {last})"
            );
            let (path, kind) = (shared.directory.active(), RefusalKind::Generation);
            let refused = kind.at(path.display(), expected, pointer.generation);
            shared.refuse(artefact(0, &pointer), &refused);
            waits(shared, &pointer, true);
            return;
        }
        if is_reverted(shared, &pointer) || !pointer.forced && is_held_back(shared, &pointer) {
            waits(shared, &pointer, true);
            return;
        }
        waits(shared, &pointer, false);
        self.candidate = Some(Candidate {
            pointer,
            file: None,
            since: Instant::now(),
            refused: false,
            told: false,
            retry: None,
            passed: None,
        });
    }

    fn try_candidate(&mut self, shared: &Shared) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        let path = shared.directory.table(&candidate.pointer.content_id);
        let (file, now) = (file_id(&path), Instant::now());
        if file != candidate.file {
            (candidate.file, candidate.since) = (file, now);
            (candidate.refused, candidate.retry) = (false, None);
            // Somebody writes to it: the next look sees whether that goes on.
            if candidate.told {
                return;
            }
        }
        let due = candidate.retry.is_some_and(|retry| now >= retry);
        if candidate.refused && !due {
            return;
        }
        let expected = candidate.pointer.bytes;
        if file.is_none_or(|file| file.2 != expected) {
            if now.duration_since(candidate.since) < shared.options.settle {
                return;
            }
            let got = match file {
                Some(file) => format!("{} bytes", file.2),
                None => "no file that can be read".into(),
            };
            let expected = format!("{expected} bytes");
            let refusal = RefusalKind::PointerContent.at(path.display(), expected, got);
            (candidate.refused, candidate.retry) = (true, None);
            shared.refuse(artefact(0, &candidate.pointer), &refusal);
            waits(shared, &candidate.pointer, true);
            return;
        }
        let pointer = candidate.pointer.clone();
        if let Some(prepared) = candidate.passed.take() {
            return self.publish(shared, prepared, &pointer);
        }
        let admission = &shared.options.admission;
        let last = self.last.as_ref();
        let admitted = admission
            .admit(&shared.engine, &path, Some(&pointer.content_id))
            .and_then(|prepared| not_replayed(prepared, &pointer, last));
        match admitted {
            Ok(prepared) if drifts(shared, &prepared, &pointer) => {
                candidate.refused = true;
                waits(shared, &pointer, true);
            }
            Ok(prepared) => self.publish(shared, prepared, &pointer),
            Err(rejected) => {
                candidate.refused = true;
                // One of which the bytes still arrive is told again once it is still.
                let still = candidate.since.checked_add(shared.options.settle);
                let arrives = !rejected.transient && still.is_some_and(|still| now < still);
                if candidate.told && arrives {
                    candidate.retry = still;
                    return;
                }
                candidate.told = true;
                candidate.retry = rejected.transient.then(|| now.checked_add(RETRY)).flatten();
                shared.refuse(artefact(rejected.artefact, &pointer), &rejected.refusal);
                waits(shared, &pointer, true);
            }
        }
    }

    /// Makes a candidate live that has passed everything.
    fn publish(&mut self, shared: &Shared, prepared: Arc<PreparedTable>, pointer: &Pointer) {
        let generation = pointer.generation;
        let former = shared.engine.live();
        let source = shared.desk().status.source;
        match shared.engine.publish_as(prepared.clone(), generation) {
            Ok(()) => {
                let former = former.map(|(prepared, generation)| Former {
                    prepared,
                    generation,
                });
                self.watch_from(shared, &prepared, former, source, pointer);
                self.taken(shared, prepared, pointer);
            }
            // The next look tries again.
            Err(_) => {
                if let Some(candidate) = &mut self.candidate {
                    candidate.passed = Some(prepared);
                }
            }
        }
    }

    /// A candidate is live: it is watched from now on, where there is something to go back to.
    fn watch_from(
        &mut self,
        shared: &Shared,
        prepared: &PreparedTable,
        former: Option<Former>,
        source: Source,
        pointer: &Pointer,
    ) {
        let options = &shared.options.watchdog;
        let watched = !options.lasts.is_zero() && pointer.from_generation.is_none();
        let scores = source != Source::Bundled && !pointer.forced;
        let new = (prepared, pointer.generation);
        let watching = match former.filter(|_| watched) {
            None => {
                self.watchdog.forget(&shared.engine);
                None
            }
            Some(former) => {
                let dog = &mut self.watchdog;
                dog.begin(options, &shared.engine, former, new, scores)
            }
        };
        shared.desk().status.watchdog = watching;
    }

    /// Looks at what the running table gives, and goes back where it is over a bound.
    fn watch(&mut self, shared: &Shared) {
        let options = &shared.options.watchdog;
        let generation = shared.desk().status.generation;
        if let Some(health) = self.watchdog.health(options, generation) {
            shared.state.tell(&health);
        }
        let Some((watching, back)) = self.watchdog.look(options, &shared.engine) else {
            return;
        };
        {
            let mut desk = shared.desk();
            desk.status.watchdog = Some(watching.clone());
            desk.dirty = true;
        }
        let Some(former) = back else {
            return;
        };
        let (prepared, generation) = (former.prepared.clone(), former.generation);
        // Where too many retired tables wait, the next look tries again.
        if shared
            .engine
            .publish_as(prepared.clone(), generation)
            .is_ok()
        {
            self.watchdog.forget(&shared.engine);
            went_back(shared, &prepared, generation, watching);
        }
    }

    /// A candidate is live: it is the last known good from now on.
    fn taken(&mut self, shared: &Shared, prepared: Arc<PreparedTable>, pointer: &Pointer) {
        self.candidate = None;
        let good = KnownGood {
            generation: pointer.generation,
            content_id: pointer.content_id.clone(),
            table_generation: prepared.table().header().generation,
        };
        self.last = Some(good.clone());
        let origin = pointer.origin.bounded();
        log::info!(
            "{}: runs generation {}, published by {origin}",
            shared.directory.root().display(),
            pointer.generation
        );
        let (generation, by) = (pointer.generation, Some(origin));
        runs(shared, &prepared, generation, Source::Directory, by);
        {
            let mut desk = shared.desk();
            let held = &mut desk.status.quarantined;
            held.retain(|held| held.content_id != good.content_id);
            let all = &mut desk.status.good;
            // The newest of each table: two that are the same are one to go back to.
            all.retain(|other| other.content_id != good.content_id);
            all.insert(0, good);
            all.truncate(GOOD);
        }
        let others = |other: &Arc<PreparedTable>| other.table().content_id() != pointer.content_id;
        self.unkept.retain(others);
        self.unkept.insert(0, prepared);
        self.keep(shared);
        shared.note(Record {
            generation: Some(pointer.generation),
            content_id: Some(pointer.content_id.clone()),
            ..Record::new(Event::Admit, &shared.origin)
        });
        shared.save();
    }
}

fn artefact(hash: u128, pointer: &Pointer) -> Artefact<'_> {
    Artefact {
        hash,
        generation: Some(pointer.generation),
        content_id: Some(&pointer.content_id),
    }
}

/// Writes down what the pointer names and does not run.
fn waits(shared: &Shared, pointer: &Pointer, refused: bool) {
    let quarantined = refused && is_held_back(shared, pointer);
    let mut desk = shared.desk();
    desk.status.waiting = Some(Waiting {
        generation: pointer.generation,
        content_id: pointer.content_id.clone(),
        refused,
        quarantined,
    });
    desk.dirty = true;
}
