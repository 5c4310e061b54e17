//! The thread that keeps an engine's table as the directory says, or the last good one.

use super::candidate::{Candidate, Step};
use super::context::{Artefact, Context};
use super::copies::Copies;
use super::file::{Look, WatchedFile};
use super::holdback::{Compared, compare, not_replayed};
use super::state::WatchState;
use crate::refusal::{Refusal, RefusalKind, bounded};
use crate::score::PreparedTable;
use crate::watch::directory::{Pointer, parse_pointer};
use crate::watch::ledger::{Event, Record};
use crate::watch::status::{KnownGood, Quarantined, Source};
use crate::watch::watchdog::{Former, Watchdog, Watching};
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The thread's own state.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) context: Arc<Context>,
    pub(super) state: WatchState,
    pointer: WatchedFile,
    pub(super) candidate: Option<Candidate>,
    watchdog: Watchdog,
    copies: Copies,
}

impl Tables {
    pub(super) fn new(context: Arc<Context>, state: WatchState) -> Tables {
        let gone = (RefusalKind::Pointer, "the pointer that was there");
        let path = context.directory.active();
        Tables {
            context,
            state,
            pointer: WatchedFile::lasting("pointer", path, gone, false),
            candidate: None,
            watchdog: Watchdog::default(),
            copies: Copies::default(),
        }
    }

    /// Looks at the pointer, and at the file that it names if that does not run yet. Publishes and
    /// saves the status if anything changed.
    pub(super) fn look(&mut self) {
        self.take_up();
        if self.publish_status() {
            self.context.save();
        }
    }

    /// Derives the published status from the state. Returns whether it changed.
    pub(super) fn publish_status(&mut self) -> bool {
        let changed = self.state.take_changed();
        if changed {
            self.context.publish(|status| self.state.write_to(status));
        }
        changed
    }

    /// Does what the pointer says, as far as that is possible now.
    pub(super) fn take_up(&mut self) {
        if self.state.last().is_some() {
            self.pointer.expect();
        }
        if let Look::New(pointer) = self.pointer.look(&self.context, parse_pointer) {
            self.consider(pointer);
        }
        self.try_candidate();
        self.watch();
        self.copies.keep_if_due(&self.context, self.state.good());
    }

    /// Decides whether a new pointer names a candidate.
    fn consider(&mut self, pointer: Pointer) {
        self.candidate = None;
        self.state.waits_no_longer();
        let is_last = self.state.is_last(&pointer);
        if is_last && self.state.is_running(&pointer) {
            return;
        }
        let last = self.state.last().map(|last| last.generation);
        if let Some(last) = last.filter(|last| !is_last && pointer.generation <= *last) {
            let expected = format!(
                "a generation above {last}, which this engine took (publish --above {last})"
            );
            let (path, kind) = (self.context.directory.active(), RefusalKind::Generation);
            let refused = kind.at(path.display(), expected, pointer.generation);
            self.context.refuse(artefact(0, &pointer), &refused);
            return self.state.waits(&pointer, true);
        }
        let held = !pointer.forced && self.state.is_quarantined(&pointer);
        if held || self.state.is_reverted(&pointer) {
            return self.state.waits(&pointer, true);
        }
        self.state.waits(&pointer, false);
        self.candidate = Some(Candidate::new(pointer));
    }

    fn try_candidate(&mut self) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        let path = self.context.directory.table(candidate.pointer.content_id);
        let step = candidate.step(&path, self.context.options.settle);
        let pointer = candidate.pointer.clone();
        match step {
            Step::Wait => {}
            Step::Refuse(refusal) => self.refuse(0, &pointer, &refusal),
            Step::Check => self.check(&path, &pointer),
            Step::Publish(prepared) => self.publish(prepared, &pointer),
        }
    }

    fn refuse(&mut self, hash: u128, pointer: &Pointer, refusal: &Refusal) {
        self.context.refuse(artefact(hash, pointer), refusal);
        self.state.waits(pointer, true);
    }

    /// Runs every check on the candidate, and publishes it if it passes.
    fn check(&mut self, path: &Path, pointer: &Pointer) {
        let (context, last) = (&self.context, self.state.last());
        let admission = &context.options.admission;
        let admitted = admission
            .admit(&context.engine, path, Some(pointer.content_id))
            .and_then(|prepared| not_replayed(prepared, pointer, last));
        let prepared = match admitted {
            Ok(prepared) => prepared,
            Err(rejected) => {
                let settle = context.options.settle;
                let reports = |it: &mut Candidate| it.reject(&rejected, settle);
                if self.candidate.as_mut().is_some_and(reports) {
                    self.refuse(rejected.artefact, pointer, &rejected.refusal);
                }
                return;
            }
        };
        match compare(context, &self.state, &prepared, pointer) {
            Compared::Passes(drift) => {
                self.state.compared(drift);
                self.publish(prepared, pointer);
            }
            Compared::Held(held) => {
                self.state.compared(None);
                self.quarantine(held);
                self.candidate.iter_mut().for_each(Candidate::refuse);
                self.state.waits(pointer, true);
            }
        }
    }

    /// Holds a table back. Logs and notes it if it is a new one.
    fn quarantine(&mut self, held: Quarantined) {
        let context = &self.context;
        let refusal = held.drift.refusal(held.generation, held.against);
        let (generation, content_id) = (held.generation, held.content_id);
        self.state.quarantines(held);
        if !context.is_new(&refusal, xxh3_128(&content_id.0)) {
            return;
        }
        log::warn!(
            "{}: generation {generation} quarantined: {}; the running table stays until a person \
             forces the other, and this is logged once",
            context.directory.root().display(),
            bounded(refusal.to_string())
        );
        context.note(Record {
            generation: Some(generation),
            content_id: Some(content_id),
            reason: Some(refusal),
            ..Record::new(Event::Quarantine, &context.origin)
        });
    }

    /// Makes a candidate live that passed every check.
    fn publish(&mut self, prepared: Arc<PreparedTable>, pointer: &Pointer) {
        let engine = &self.context.engine;
        let former = engine.live().map(|(prepared, generation)| Former {
            prepared,
            generation,
        });
        let published = engine.publish_as(prepared.clone(), pointer.generation);
        if published.is_err() {
            // Too many retired tables wait: the next look tries again.
            self.candidate
                .iter_mut()
                .for_each(|it| it.keep(prepared.clone()));
            return;
        }
        self.watch_from(&prepared, former, pointer);
        self.take(prepared, pointer);
    }

    /// Watches a table that is live from now on, if there is one to go back to.
    fn watch_from(&mut self, prepared: &PreparedTable, former: Option<Former>, pointer: &Pointer) {
        let (engine, options) = (&self.context.engine, &self.context.options.watchdog);
        let watched = !options.lasts.is_zero() && pointer.from_generation.is_none();
        let scores = self.state.source() != Source::Bundled && !pointer.forced;
        let new = (prepared, pointer.generation);
        let watching = match former.filter(|_| watched) {
            None => {
                self.watchdog.forget(engine);
                None
            }
            Some(former) => self.watchdog.begin(options, engine, former, new, scores),
        };
        self.state.watched(watching);
    }

    /// A candidate is live: it is the last good table from now on.
    fn take(&mut self, prepared: Arc<PreparedTable>, pointer: &Pointer) {
        self.candidate = None;
        let context = &self.context;
        let (generation, origin) = (pointer.generation, pointer.origin.bounded());
        log::info!(
            "{}: runs generation {generation}, published by {origin}",
            context.directory.root().display()
        );
        self.state
            .runs(&prepared, generation, Source::Directory, Some(origin));
        self.state.takes(KnownGood {
            generation,
            content_id: pointer.content_id,
            table_generation: prepared.table().header().generation,
        });
        self.copies.add(prepared);
        self.copies.keep(context, self.state.good());
        context.note(Record {
            generation: Some(generation),
            content_id: Some(pointer.content_id),
            ..Record::new(Event::Admit, &context.origin)
        });
    }

    /// Watches the verdicts of the running table, and reverts it if it exceeds a bound.
    fn watch(&mut self) {
        let (engine, options) = (&self.context.engine, &self.context.options.watchdog);
        if let Some(health) = self.watchdog.health(options, self.state.generation()) {
            self.context.folder.write_health(&health);
        }
        let Some((watching, back)) = self.watchdog.look(options, engine) else {
            return;
        };
        let back = back.map(|former| (former.prepared.clone(), former.generation));
        self.state.watched(Some(watching.clone()));
        let Some((prepared, generation)) = back else {
            return;
        };
        // If too many retired tables wait, the next look tries again.
        if engine.publish_as(prepared.clone(), generation).is_ok() {
            self.watchdog.forget(engine);
            self.revert(&prepared, generation, watching);
        }
    }

    /// The table before runs again.
    fn revert(&mut self, to: &PreparedTable, generation: u64, mut watching: Watching) {
        watching.ended = true;
        let (refusal, from) = (watching.refusal(), watching.generation);
        let content_id = self.state.reverts(to, generation, watching);
        let context = &self.context;
        log::warn!(
            "{}: reverted from generation {from} to {generation}: {refusal}",
            context.directory.root().display()
        );
        context.note(Record {
            generation: Some(from),
            content_id,
            reason: Some(refusal),
            note: Some(format!("runs generation {generation}")),
            ..Record::new(Event::Revert, &context.origin)
        });
    }
}

fn artefact(hash: u128, pointer: &Pointer) -> Artefact {
    Artefact {
        hash,
        generation: Some(pointer.generation),
        content_id: Some(pointer.content_id),
    }
}
