//! The parts that both threads of a watch use: engine, directory, options, and the report.

use super::state_folder::StateFolder;
use crate::engine::Engine;
use crate::ids::ContentId;
use crate::refusal::{Refusal, RefusalKind, bounded};
use crate::watch::directory::{Directory, Origin};
use crate::watch::ledger::{Event, Record};
use crate::watch::options::WatchOptions;
use crate::watch::status::{Refused, WatchStatus};
use crate::watch::time;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_128;

/// Distinct artefacts that are remembered as logged. With more, the oldest is logged again.
const LOGGED_MAX: usize = 4_096;

/// The interval in which a changed fill of the reservoirs, or a status that could not be written,
/// is saved.
const SAVE_POLL: Duration = Duration::from_secs(1);

/// Refused artefacts in a status, at most.
const REFUSED_MAX: usize = 16;

/// The parts that both threads of a watch use.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) engine: Engine,
    pub(super) directory: Directory,
    pub(super) options: WatchOptions,
    pub(super) origin: Origin,
    pub(super) folder: StateFolder,
    pub(super) stop: AtomicBool,
    report: Mutex<Report>,
}

/// The published status, and what was logged. Threads write it; no decision about tables or
/// switches reads it.
#[derive(Debug)]
struct Report {
    status: WatchStatus,
    /// Distinct refused artefacts that were logged, oldest first.
    logged: VecDeque<(u16, u128)>,
    /// The status was not saved since its last change.
    unsaved: bool,
    /// The state folder could not be written.
    failed: bool,
    /// When [`SAVE_POLL`] began.
    polled: Instant,
}

/// A refused artefact.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Artefact {
    /// XXH3-128 of its bytes; 0 if there are none.
    pub(super) hash: u128,
    pub(super) generation: Option<u64>,
    pub(super) content_id: Option<ContentId>,
}

impl Context {
    pub(super) fn new(
        engine: &Engine,
        directory: Directory,
        options: WatchOptions,
        folder: StateFolder,
    ) -> Context {
        let origin = Origin::here(&options.name);
        let report = Mutex::new(Report {
            status: WatchStatus::new(directory.root(), origin.clone()),
            logged: VecDeque::new(),
            unsaved: true,
            failed: false,
            polled: Instant::now(),
        });
        Context {
            engine: engine.clone(),
            directory,
            options,
            origin,
            folder,
            stop: AtomicBool::new(false),
            report,
        }
    }

    fn locked(&self) -> MutexGuard<'_, Report> {
        // A thread that panicked left a status that lacks a change at worst.
        self.report
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Returns the status now.
    pub(super) fn status(&self) -> WatchStatus {
        let reservoir = self.engine.stats().reservoir;
        let mut status = self.locked().status.clone();
        status.reservoir = reservoir;
        status
    }

    /// Changes the published status.
    pub(super) fn publish(&self, change: impl FnOnce(&mut WatchStatus)) {
        change(&mut self.locked().status);
    }

    /// Has the status saved at the end of this look.
    pub(super) fn save_soon(&self) {
        self.locked().unsaved = true;
    }

    /// Runs one look of a thread. A panic in it is reported, and the next look comes.
    pub(super) fn guarded(&self, area: &str, look: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(look)) {
            let said = payload.downcast_ref::<&str>().copied();
            let said = said.or(payload.downcast_ref::<String>().map(String::as_str));
            let got = said.unwrap_or("a panic").to_string();
            std::mem::forget(payload);
            let refusal = RefusalKind::Internal.at(area, "no panic", got);
            self.refuse(Artefact::default(), &refusal);
        }
    }

    /// Counts a refusal. Logs and notes it if the artefact is a new one.
    pub(super) fn refuse(&self, artefact: Artefact, refusal: &Refusal) {
        self.locked().count(artefact, refusal);
        let content = artefact.content_id;
        let key = match artefact.hash {
            0 => xxh3_128(format!("{content:?}{refusal}").as_bytes()),
            hash => hash,
        };
        if !self.is_new(refusal, key) {
            return;
        }
        let shown = match artefact.generation {
            Some(generation) => format!("generation {generation} refused: {refusal}"),
            None => refusal.to_string(),
        };
        log::warn!(
            "{}: {}; the running table stays, and this is logged once",
            self.directory.root().display(),
            bounded(shown)
        );
        self.note(Record {
            generation: artefact.generation,
            content_id: content,
            reason: Some(refusal.clone()),
            ..Record::new(Event::Refuse, &self.origin)
        });
    }

    /// Returns whether an artefact was not logged under this code. It is from now on.
    pub(super) fn is_new(&self, refusal: &Refusal, key: u128) -> bool {
        let key = (refusal.code(), key);
        let mut report = self.locked();
        if report.logged.contains(&key) {
            return false;
        }
        if report.logged.len() >= LOGGED_MAX {
            report.logged.pop_front();
        }
        report.logged.push_back(key);
        true
    }

    /// Appends a record to the engine's own ledger.
    pub(super) fn note(&self, record: Record) {
        let noted = self.folder.record(&record);
        self.problem("state", noted.err());
    }

    /// Sets what is wrong in an area, or that nothing is.
    pub(super) fn problem(&self, area: &str, refusal: Option<Refusal>) {
        if area == "state" && refusal.is_none() && !self.folder.is_settled() {
            return;
        }
        let mut report = self.locked();
        if area == "state" {
            report.failed = refusal.is_some();
        }
        if report.status.problems.get(area) == refusal.as_ref() {
            return;
        }
        report.unsaved = true;
        let Some(refusal) = refusal else {
            report.status.problems.remove(area);
            return;
        };
        let line = bounded(refusal.to_string());
        report.status.problems.insert(area.into(), refusal);
        drop(report);
        log::warn!("{}: {line}", self.directory.root().display());
    }

    /// Writes the status to the engine's state folder.
    pub(super) fn save(&self) {
        let reservoir = self.engine.stats().reservoir;
        let status = {
            let mut report = self.locked();
            report.unsaved = false;
            report.status.reservoir = reservoir;
            report.status.clone()
        };
        let saved = self.folder.save(&status);
        self.problem("state", saved.err());
    }

    /// Saves the status if it changed, or if the last save failed a while ago.
    pub(super) fn save_if_due(&self) {
        let now = Instant::now();
        let reservoir = self.engine.stats().reservoir;
        let due = {
            let mut report = self.locked();
            let polls = now.duration_since(report.polled) >= SAVE_POLL;
            if polls {
                report.polled = now;
            }
            let differs = report.failed || report.status.reservoir != reservoir;
            report.unsaved || polls && differs
        };
        if due || !self.folder.is_settled() {
            self.save();
        }
    }
}

impl Report {
    /// Counts a refusal, by its name and among the last ones.
    fn count(&mut self, artefact: Artefact, refusal: &Refusal) {
        self.unsaved = true;
        let now = time::now();
        let count = self
            .status
            .refusals
            .entry(refusal.name().into())
            .or_default();
        *count = count.saturating_add(1);
        let content = artefact.content_id;
        let all = &mut self.status.last_refusals;
        let known = all
            .iter_mut()
            .find(|refused| refused.reason == *refusal && refused.content_id == content);
        if let Some(known) = known {
            known.count = known.count.saturating_add(1);
            (known.last_at, known.generation) = (now, artefact.generation);
            return;
        }
        let refused = Refused {
            first_at: now.clone(),
            last_at: now,
            count: 1,
            generation: artefact.generation,
            content_id: content,
            reason: refusal.clone(),
        };
        all.insert(0, refused);
        all.truncate(REFUSED_MAX);
    }
}
