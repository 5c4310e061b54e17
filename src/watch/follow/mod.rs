//! The engine's side: threads that follow a directory, and keep the last good tables running.

mod holdback;
mod shadows;
mod state_folder;
mod switches;
mod tables;

use super::directory::{Directory, Origin};
use super::ledger::{Event, Record};
use super::options::WatchOptions;
use super::status::{Headroom, Quarantined, Refused, Source, WatchStatus};
use super::time;
use crate::engine::Engine;
use crate::refusal::{Refusal, RefusalKind, TEXT_BYTES_MAX, printable};
use crate::score::PreparedTable;
use state_folder::StateFolder;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Watches a directory for an engine, on two threads: one for tables, and one for switches, which
/// do not wait for a large table's checks. When it is dropped, the threads end; the engine keeps
/// what it runs.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads of a watch share.
#[derive(Debug)]
struct Shared {
    engine: Engine,
    directory: Directory,
    options: WatchOptions,
    origin: Origin,
    state: StateFolder,
    desk: Mutex<Desk>,
    stop: AtomicBool,
}

/// What they write down.
#[derive(Debug)]
struct Desk {
    status: WatchStatus,
    /// Distinct refused artefacts that were logged, oldest first.
    logged: VecDeque<(u16, u128)>,
    /// The status has changed since it was saved.
    dirty: bool,
    /// When the reservoirs were last looked at.
    looked: Instant,
}

/// Distinct artefacts that are remembered as logged, at most: with more, the oldest would be logged
/// again.
const LOGGED_MAX: usize = 4_096;

/// How often the fill of the reservoirs is saved, where it changes.
const RESERVOIR_POLL: Duration = Duration::from_secs(1);

/// Refused artefacts, and quarantined tables, in a status, at most.
const REFUSED_MAX: usize = 16;

impl Watcher {
    /// Looks at the directory once, on this thread, and then from threads of its own. Whatever is
    /// in the directory, and even if it is not there, the engine has a table when this returns: the
    /// one that the pointer names, else the last known good, else the [`Fallback`].
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(
        engine: &Engine,
        directory: impl Into<PathBuf>,
        options: WatchOptions,
    ) -> std::io::Result<Watcher> {
        let directory = Directory::new(directory);
        let origin = Origin::here(&options.name);
        let mut status = WatchStatus::new(directory.root(), origin.clone());
        let state = StateFolder::of(options.state.clone());
        // Before the first save: a process that is killed right after it loses nothing.
        let last = state.last();
        last.iter().for_each(|last| status.remember(last));
        let desk = Mutex::new(Desk {
            status,
            logged: VecDeque::new(),
            dirty: true,
            looked: Instant::now(),
        });
        let shared = Arc::new(Shared {
            engine: engine.clone(),
            directory,
            options,
            origin,
            state,
            desk,
            stop: AtomicBool::new(false),
        });
        let mut watcher = Watcher {
            shared: shared.clone(),
            threads: Vec::new(),
        };
        let mut switching = switches::Switching::new(&shared, last.as_ref());
        let mut tables = tables::Tables::new();
        // Switches before tables: no row is scored under a table whose switches are not known.
        shared.guarded("switches", || switching.look(&shared));
        shared.guarded("tables", || tables.start(&shared));
        shared.save();
        let of_tables = shared.clone();
        let mut shadows = shadows::Shadows::default();
        let pause = shared.options.poll;
        watcher.spawn("hedgerow-watch", pause, move || {
            of_tables.guarded("tables", || tables.look(&of_tables));
            of_tables.guarded("shadows", || shadows.look(&of_tables));
            of_tables.save_if_due();
        })?;
        let sooner = pause.checked_div(2).unwrap_or(pause);
        watcher.spawn("hedgerow-switch", sooner, move || {
            shared.guarded("switches", || switching.look(&shared));
        })?;
        Ok(watcher)
    }

    fn spawn(
        &mut self,
        name: &str,
        pause: Duration,
        mut look: impl FnMut() + Send + 'static,
    ) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let work = move || {
            // Relaxed: unpark orders it.
            while !shared.stop.load(Ordering::Relaxed) {
                look();
                thread::park_timeout(pause);
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }

    /// What runs, since when, and what was refused.
    pub fn status(&self) -> WatchStatus {
        let reservoir = self.shared.engine.stats().reservoir;
        let mut status = self.shared.desk().status.clone();
        status.reservoir = reservoir;
        status
    }

    /// The engine that is watched for.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Relaxed: unpark orders it.
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.shared.save();
    }
}

/// What is refused, besides why.
#[derive(Debug, Clone, Copy, Default)]
struct Artefact<'a> {
    hash: u128,
    generation: Option<u64>,
    content_id: Option<&'a str>,
}

impl Desk {
    /// Whether an artefact was not logged yet; it is from now on.
    fn is_new(&mut self, key: (u16, u128)) -> bool {
        if self.logged.contains(&key) {
            return false;
        }
        if self.logged.len() >= LOGGED_MAX {
            self.logged.pop_front();
        }
        self.logged.push_back(key);
        true
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        // A thread that panicked left a status that is at worst a change behind.
        self.desk
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Runs one look of a thread. A bug in it is told, and the next look comes.
    fn guarded(&self, area: &str, look: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(look)) {
            let said = payload.downcast_ref::<&str>().copied();
            let said = said.or(payload.downcast_ref::<String>().map(String::as_str));
            let got = said.unwrap_or("a panic").to_string();
            std::mem::forget(payload);
            let refusal = RefusalKind::Internal.at(area, "no panic", got);
            self.refuse(Artefact::default(), &refusal);
        }
    }

    /// Counts a refusal, and logs and notes it where the artefact is a new one.
    fn refuse(&self, artefact: Artefact<'_>, refusal: &Refusal) {
        let now = time::now();
        let mut desk = self.desk();
        desk.dirty = true;
        let count = desk
            .status
            .refusals
            .entry(refusal.name().into())
            .or_default();
        *count = count.saturating_add(1);
        let content = artefact.content_id.map(str::to_string);
        let seen =
            |refused: &&mut Refused| refused.reason == *refusal && refused.content_id == content;
        let known = desk.status.last_refusals.iter_mut().find(seen);
        match known {
            Some(known) => {
                known.count = known.count.saturating_add(1);
                (known.last_at, known.generation) = (now, artefact.generation);
            }
            None => {
                let refused = Refused {
                    first_at: now.clone(),
                    last_at: now,
                    count: 1,
                    generation: artefact.generation,
                    content_id: content.clone(),
                    reason: refusal.clone(),
                };
                desk.status.last_refusals.insert(0, refused);
                desk.status.last_refusals.truncate(REFUSED_MAX);
            }
        }
        let key = match artefact.hash {
            0 => xxhash_rust::xxh3::xxh3_128(format!("{content:?}{refusal}").as_bytes()),
            hash => hash,
        };
        if !desk.is_new((refusal.code(), key)) {
            return;
        }
        drop(desk);
        let shown = match artefact.generation {
            Some(generation) => format!("generation {generation} refused: {refusal}"),
            None => refusal.to_string(),
        };
        log::warn!(
            "{}: {}; what runs stays, and this is logged once",
            self.directory.root().display(),
            printable(&shown, TEXT_BYTES_MAX)
        );
        self.note(Record {
            generation: artefact.generation,
            content_id: content,
            reason: Some(refusal.clone()),
            ..Record::new(Event::Refuse, &self.origin)
        });
    }

    /// Counts a table that is held back, and logs and notes it where it is a new one.
    fn quarantine(&self, held: Quarantined) {
        let refusal = held.drift.refusal(held.generation, held.against);
        let (generation, content_id) = (held.generation, held.content_id.clone());
        let key = xxhash_rust::xxh3::xxh3_128(content_id.as_bytes());
        let is_new = {
            let mut desk = self.desk();
            desk.dirty = true;
            desk.status.quarantines = desk.status.quarantines.saturating_add(1);
            let others = |other: &Quarantined| other.content_id != content_id;
            desk.status.quarantined.retain(others);
            desk.status.quarantined.insert(0, held);
            desk.status.quarantined.truncate(REFUSED_MAX);
            desk.is_new((refusal.code(), key))
        };
        if !is_new {
            return;
        }
        log::warn!(
            "{}: generation {generation} quarantined: {}; what runs stays until a person forces \
             it, and this is logged once",
            self.directory.root().display(),
            printable(&refusal.to_string(), TEXT_BYTES_MAX)
        );
        self.note(Record {
            generation: Some(generation),
            content_id: Some(content_id),
            reason: Some(refusal),
            ..Record::new(Event::Quarantine, &self.origin)
        });
    }

    /// Notes something in the engine's own ledger.
    fn note(&self, record: Record) {
        let noted = self.state.record(&record);
        self.problem("state", noted.err());
    }

    /// What is wrong in an area at the moment, or that nothing is.
    fn problem(&self, area: &str, refusal: Option<Refusal>) {
        let mut desk = self.desk();
        let before = desk.status.problems.get(area);
        match refusal {
            None if before.is_none() => {}
            None if area == "state" && !self.state.is_settled() => {}
            None => {
                desk.status.problems.remove(area);
                desk.dirty = true;
            }
            Some(refusal) => {
                if before == Some(&refusal) {
                    return;
                }
                let line = printable(&refusal.to_string(), TEXT_BYTES_MAX);
                desk.status.problems.insert(area.into(), refusal);
                desk.dirty = true;
                drop(desk);
                log::warn!("{}: {line}", self.directory.root().display());
            }
        }
    }

    /// Writes the status to the engine's state.
    fn save(&self) {
        let reservoir = self.engine.stats().reservoir;
        let status = {
            let mut desk = self.desk();
            desk.dirty = false;
            desk.status.reservoir = reservoir;
            desk.status.clone()
        };
        let saved = self.state.save(&status);
        self.problem("state", saved.err());
    }

    fn save_if_due(&self) {
        let now = Instant::now();
        let (due, failed, told) = {
            let mut desk = self.desk();
            let due = now.duration_since(desk.looked) >= RESERVOIR_POLL;
            if due {
                desk.looked = now;
            }
            // What could not be written is tried again.
            let failed = desk.status.problems.contains_key("state");
            (due, failed, desk.status.reservoir)
        };
        let again = due && (failed || told != self.engine.stats().reservoir);
        if again || self.desk().dirty || !self.state.is_settled() {
            self.save();
        }
    }
}

/// Writes down what runs.
fn runs(
    shared: &Shared,
    prepared: &PreparedTable,
    generation: u64,
    source: Source,
    publisher: Option<Origin>,
) {
    let usage = prepared.table().usage().into_iter();
    let headroom = usage.map(|usage| Headroom {
        name: usage.name.into(),
        used: usage.used,
        max: usage.max,
    });
    let mut desk = shared.desk();
    let status = &mut desk.status;
    (status.source, status.generation) = (source, generation);
    status.content_id = prepared.table().content_id();
    (status.since, status.publisher) = (time::now(), publisher);
    status.headroom = headroom.collect();
    if source == Source::Directory {
        status.waiting = None;
    }
    desk.dirty = true;
}
