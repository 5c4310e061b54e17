//! The state of an engine's tables: what runs, what is good, and what is kept out. The thread that
//! follows the tables owns it; the published status is derived from it once per look.

use crate::ids::ContentId;
use crate::score::PreparedTable;
use crate::watch::directory::{Origin, Pointer};
use crate::watch::drift::Drift;
use crate::watch::status::{
    Headroom, KnownGood, Quarantined, Reverted, Source, Waiting, WatchStatus,
};
use crate::watch::time;
use crate::watch::watchdog::Watching;

/// Good tables that an engine keeps to go back to.
const GOOD_MAX: usize = 2;

/// Quarantined and reverted tables that are remembered, each at most.
const KEPT_OUT_MAX: usize = 16;

/// The state of an engine's tables.
#[derive(Debug)]
pub(super) struct WatchState {
    running: Running,
    /// The table that the pointer names, if it does not run.
    waiting: Option<Waiting>,
    /// The last table that was taken. A generation that is not above it is refused.
    last: Option<KnownGood>,
    /// Tables to go back to, newest first.
    good: Vec<KnownGood>,
    quarantined: Vec<Quarantined>,
    quarantines: u64,
    reverted: Vec<Reverted>,
    reverts: u64,
    /// How the last taken table compares with the one before it.
    drift: Option<Drift>,
    watching: Option<Watching>,
    /// `true` if the status was not derived since the last change.
    changed: bool,
}

/// The running table.
#[derive(Debug)]
struct Running {
    source: Source,
    generation: u64,
    content_id: Option<ContentId>,
    since: String,
    publisher: Option<Origin>,
    headroom: Vec<Headroom>,
}

impl WatchState {
    /// Starts without a table, with the memory of the engine before this one.
    pub(super) fn new(last: Option<&WatchStatus>) -> WatchState {
        let good = last.map(|last| last.good.clone()).unwrap_or_default();
        WatchState {
            running: Running {
                source: Source::None,
                generation: 0,
                content_id: None,
                since: time::now(),
                publisher: None,
                headroom: Vec::new(),
            },
            waiting: None,
            last: good.first().cloned(),
            good,
            quarantined: last.map_or_else(Vec::new, |last| last.quarantined.clone()),
            quarantines: last.map_or(0, |last| last.quarantines),
            reverted: last.map_or_else(Vec::new, |last| last.reverted.clone()),
            reverts: last.map_or(0, |last| last.reverts),
            drift: None,
            watching: None,
            changed: true,
        }
    }

    /// Writes the state to a status.
    pub(super) fn write_to(&self, status: &mut WatchStatus) {
        let running = &self.running;
        (status.source, status.generation) = (running.source, running.generation);
        status.content_id = running.content_id;
        status.since.clone_from(&running.since);
        status.publisher.clone_from(&running.publisher);
        status.headroom.clone_from(&running.headroom);
        status.waiting.clone_from(&self.waiting);
        status.good.clone_from(&self.good);
        status.quarantined.clone_from(&self.quarantined);
        status.reverted.clone_from(&self.reverted);
        (status.quarantines, status.reverts) = (self.quarantines, self.reverts);
        status.drift.clone_from(&self.drift);
        status.watchdog.clone_from(&self.watching);
    }

    /// Returns whether the state changed since the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Returns where the running table came from.
    pub(super) fn source(&self) -> Source {
        self.running.source
    }

    /// Returns the running generation.
    pub(super) fn generation(&self) -> u64 {
        self.running.generation
    }

    /// Returns the last table that was taken.
    pub(super) fn last(&self) -> Option<&KnownGood> {
        self.last.as_ref()
    }

    /// Returns the tables to go back to, newest first.
    pub(super) fn good(&self) -> &[KnownGood] {
        &self.good
    }

    /// Returns whether the pointer names the last table that was taken.
    pub(super) fn is_last(&self, pointer: &Pointer) -> bool {
        let named = (pointer.generation, pointer.content_id);
        let last = self.last.as_ref();
        last.is_some_and(|last| (last.generation, last.content_id) == named)
    }

    /// Returns whether the pointer's generation runs, as the directory's or as the last good one.
    pub(super) fn is_running(&self, pointer: &Pointer) -> bool {
        matches!(self.running.source, Source::Directory | Source::Kept)
            && self.running.generation == pointer.generation
    }

    /// Returns whether the pointer's generation is in quarantine, also by the engine before this
    /// one.
    pub(super) fn is_quarantined(&self, pointer: &Pointer) -> bool {
        let named = (pointer.generation, pointer.content_id);
        let mut held = self.quarantined.iter();
        held.any(|held| (held.generation, held.content_id) == named)
    }

    /// Returns whether a table is in quarantine, under any generation.
    pub(super) fn is_table_quarantined(&self, content_id: ContentId) -> bool {
        let mut held = self.quarantined.iter();
        held.any(|held| held.content_id == content_id)
    }

    /// Returns whether the engine reverted from the pointer's generation.
    pub(super) fn is_reverted(&self, pointer: &Pointer) -> bool {
        let named = (pointer.generation, pointer.content_id);
        let mut reverted = self.reverted.iter();
        reverted.any(|reverted| (reverted.generation, reverted.content_id) == named)
    }

    /// Returns whether a table is in quarantine or was reverted, and is not good.
    pub(super) fn is_kept_out(&self, content_id: ContentId) -> bool {
        let is_good = self.good.iter().any(|good| good.content_id == content_id);
        let mut reverted = self.reverted.iter();
        let bad = self.is_table_quarantined(content_id)
            || reverted.any(|reverted| reverted.content_id == content_id);
        bad && !is_good
    }

    /// A table runs from now on.
    pub(super) fn runs(
        &mut self,
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
        self.running = Running {
            source,
            generation,
            content_id: Some(prepared.table().content_id()),
            since: time::now(),
            publisher,
            headroom: headroom.collect(),
        };
        if source == Source::Directory {
            self.waiting = None;
        }
        self.changed = true;
    }

    /// The pointer names a table that does not run.
    pub(super) fn waits(&mut self, pointer: &Pointer, refused: bool) {
        self.waiting = Some(Waiting {
            generation: pointer.generation,
            content_id: pointer.content_id,
            refused,
            quarantined: refused && self.is_quarantined(pointer),
        });
        self.changed = true;
    }

    /// The pointer changed, or names the running table.
    pub(super) fn waits_no_longer(&mut self) {
        self.waiting = None;
        self.changed = true;
    }

    /// A table of the last good ones runs at a start. Later generations are counted from it.
    pub(super) fn counts_from(&mut self, good: KnownGood) {
        if self.last.is_none() {
            self.last = Some(good);
        }
    }

    /// A table was taken: it is good, and released from quarantine.
    pub(super) fn takes(&mut self, good: KnownGood) {
        self.last = Some(good.clone());
        let others = |held: &Quarantined| held.content_id != good.content_id;
        self.quarantined.retain(others);
        // The newest generation of each table: two of one table are one to go back to.
        let others = |other: &KnownGood| other.content_id != good.content_id;
        self.good.retain(others);
        self.good.insert(0, good);
        self.good.truncate(GOOD_MAX);
        self.changed = true;
    }

    /// A table differs too much from the running one.
    pub(super) fn quarantines(&mut self, held: Quarantined) {
        self.quarantines = self.quarantines.saturating_add(1);
        let others = |other: &Quarantined| other.content_id != held.content_id;
        self.quarantined.retain(others);
        self.quarantined.insert(0, held);
        self.quarantined.truncate(KEPT_OUT_MAX);
        self.changed = true;
    }

    /// The engine reverts from the running table to the one before. Returns the content hash of
    /// the running one.
    pub(super) fn reverts(
        &mut self,
        to: &PreparedTable,
        generation: u64,
        watching: Watching,
    ) -> Option<ContentId> {
        let reverted = self.running.content_id;
        self.runs(to, generation, Source::Reverted, None);
        self.watching = Some(watching.clone());
        let content_id = reverted?;
        self.waiting = Some(Waiting {
            generation: watching.generation,
            content_id,
            refused: true,
            quarantined: false,
        });
        self.good.retain(|good| good.content_id != content_id);
        self.reverts = self.reverts.saturating_add(1);
        let reverted = Reverted {
            at: time::now(),
            generation: watching.generation,
            content_id,
            to: generation,
            watching,
        };
        self.reverted.insert(0, reverted);
        self.reverted.truncate(KEPT_OUT_MAX);
        Some(content_id)
    }

    /// Sets how the candidate compares with the running table; `None` if it was not compared.
    pub(super) fn compared(&mut self, drift: Option<Drift>) {
        self.drift = drift;
        self.changed = true;
    }

    /// Sets how the watched table compares with the one before it; `None` if none is watched.
    pub(super) fn watched(&mut self, watching: Option<Watching>) {
        self.watching = watching;
        self.changed = true;
    }
}
