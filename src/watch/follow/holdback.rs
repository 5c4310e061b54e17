//! What keeps a sound table from running: its drift, a quarantine, or that the engine went back.

use super::{REFUSED_MAX, Shared, runs};
use crate::score::PreparedTable;
use crate::table::Table;
use crate::watch::admission::{Rejected, replayed};
use crate::watch::directory::Pointer;
use crate::watch::drift::Drift;
use crate::watch::ledger::{Event, Record};
use crate::watch::status::{KnownGood, Quarantined, Reverted, Source, Waiting};
use crate::watch::time;
use crate::watch::watchdog::Watching;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Lets a candidate through that is not older than the last table that was taken, by the running
/// number in its own header. Whoever can write to the directory can name an old file that is signed
/// well; only a rollback may.
pub(super) fn not_replayed(
    prepared: Arc<PreparedTable>,
    pointer: &Pointer,
    last: Option<&KnownGood>,
) -> Result<Arc<PreparedTable>, Box<Rejected>> {
    let table = prepared.table();
    let last = last.map_or(0, |last| last.table_generation);
    match replayed(table, last, &pointer.content_id) {
        Some(refusal) if pointer.from_generation.is_none() => Err(Box::new(Rejected {
            refusal,
            artefact: xxh3_128(table.bytes()),
            transient: false,
        })),
        _ => Ok(prepared),
    }
}

/// Whether a candidate differs too much from the running table, and is held back. A table that is
/// gone back to is not asked, unless it was held back before: the way back is always open. The
/// first one of a host is asked only whether it scores all rows alike: the bundled table is a
/// stand-in that nobody has published.
pub(super) fn drifts(shared: &Shared, prepared: &PreparedTable, pointer: &Pointer) -> bool {
    let options = &shared.options.drift;
    shared.desk().status.drift = None;
    let goes_back = pointer.from_generation.is_some() && !was_held_back(shared, pointer);
    if !options.enabled || pointer.forced || goes_back {
        return false;
    }
    let Some((running, against)) = to_compare_with(shared, pointer) else {
        return false;
    };
    let first = shared.desk().status.source == Source::Bundled;
    let unbounded = options.unbounded();
    let options = if first { &unbounded } else { options };
    let drift = Drift::of(options, &shared.engine, &running, prepared);
    if drift.over.is_empty() {
        shared.desk().status.drift = Some(drift);
        return false;
    }
    shared.quarantine(Quarantined {
        at: time::now(),
        generation: pointer.generation,
        content_id: pointer.content_id.clone(),
        against,
        drift,
    });
    true
}

/// Writes down that the engine went back by itself.
pub(super) fn went_back(
    shared: &Shared,
    prepared: &PreparedTable,
    to: u64,
    mut watching: Watching,
) {
    watching.ended = true;
    let refusal = watching.refusal();
    let generation = watching.generation;
    let content_id = shared.desk().status.content_id.clone();
    runs(shared, prepared, to, Source::Reverted, None);
    {
        let mut desk = shared.desk();
        let status = &mut desk.status;
        status.good.retain(|good| good.content_id != content_id);
        status.reverts = status.reverts.saturating_add(1);
        let reverted = Reverted {
            at: time::now(),
            generation,
            content_id: content_id.clone(),
            to,
            watching: watching.clone(),
        };
        status.reverted.insert(0, reverted);
        status.reverted.truncate(REFUSED_MAX);
        status.watchdog = Some(watching);
        status.waiting = Some(Waiting {
            generation,
            content_id: content_id.clone(),
            refused: true,
            quarantined: false,
        });
    }
    log::warn!(
        "{}: went back by itself from generation {generation} to {to}: {refusal}",
        shared.directory.root().display()
    );
    shared.note(Record {
        generation: Some(generation),
        content_id: Some(content_id),
        reason: Some(refusal),
        note: Some(format!("runs generation {to}")),
        ..Record::new(Event::Revert, &shared.origin)
    });
    shared.save();
}

/// The running table, or, at a start, the engine's own copy of the last good one. None where it is
/// the same as the candidate.
fn to_compare_with(shared: &Shared, pointer: &Pointer) -> Option<(Arc<PreparedTable>, u64)> {
    let (source, good) = {
        let desk = shared.desk();
        (desk.status.source, desk.status.good.first().cloned())
    };
    let compared = match source {
        Source::None => {
            let good = good.filter(|good| good.content_id != pointer.content_id)?;
            let table = Table::open(shared.state.kept(&good.content_id)?).ok()?;
            let kernel = shared.options.admission.kernel.as_deref();
            let prepared =
                PreparedTable::with_kernel(table, shared.engine.schema(), kernel).ok()?;
            Some((Arc::new(prepared), good.generation))
        }
        Source::Bundled | Source::Directory | Source::Kept | Source::Ledger | Source::Reverted => {
            shared.engine.live()
        }
    };
    compared.filter(|(prepared, _)| prepared.table().content_id() != pointer.content_id)
}

/// Whether the pointer's table is held back at the moment, under whatever generation.
fn was_held_back(shared: &Shared, pointer: &Pointer) -> bool {
    let desk = shared.desk();
    let mut held = desk.status.quarantined.iter();
    held.any(|held| held.content_id == pointer.content_id)
}

/// Whether a table is held back, or was gone back from.
pub(super) fn is_kept_out(shared: &Shared, content_id: &str) -> bool {
    let desk = shared.desk();
    let held = desk.status.quarantined.iter().map(|held| &held.content_id);
    let reverted = desk.status.reverted.iter().map(|back| &back.content_id);
    let is_good = desk
        .status
        .good
        .iter()
        .any(|good| good.content_id == content_id);
    !is_good && held.chain(reverted).any(|other| other == content_id)
}

/// Whether the engine went back from the pointer's generation.
pub(super) fn is_reverted(shared: &Shared, pointer: &Pointer) -> bool {
    let desk = shared.desk();
    let mut reverted = desk.status.reverted.iter();
    reverted.any(|reverted| {
        (reverted.generation, &reverted.content_id) == (pointer.generation, &pointer.content_id)
    })
}

/// Whether the pointer's generation was held back, by this engine or by the one before a restart.
pub(super) fn is_held_back(shared: &Shared, pointer: &Pointer) -> bool {
    let desk = shared.desk();
    let mut held = desk.status.quarantined.iter();
    held.any(|held| {
        (held.generation, &held.content_id) == (pointer.generation, &pointer.content_id)
    })
}
