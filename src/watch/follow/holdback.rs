//! Reasons to hold a sound table back: an older running number, or drift from the running table.

use super::context::Context;
use super::state::WatchState;
use crate::score::PreparedTable;
use crate::table::Table;
use crate::watch::admission::{Rejected, replayed};
use crate::watch::directory::Pointer;
use crate::watch::drift::Drift;
use crate::watch::status::{KnownGood, Quarantined, Source};
use crate::watch::time;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Passes a candidate whose own running number is not below that of the last taken table. A writer
/// of the directory could name an old file that is well signed; only a rollback may do so.
pub(super) fn not_replayed(
    prepared: Arc<PreparedTable>,
    pointer: &Pointer,
    last: Option<&KnownGood>,
) -> Result<Arc<PreparedTable>, Box<Rejected>> {
    let table = prepared.table();
    let last = last.map_or(0, |last| last.table_generation);
    match replayed(table, last, pointer.content_id) {
        Some(refusal) if pointer.from_generation.is_none() => Err(Box::new(Rejected {
            refusal,
            artefact: xxh3_128(table.bytes()),
            transient: false,
        })),
        _ => Ok(prepared),
    }
}

/// The result of the comparison of a candidate with the running table.
#[derive(Debug)]
pub(super) enum Compared {
    /// The candidate may run; `None` if there was nothing to compare.
    Passes(Option<Drift>),
    /// The candidate differs too much.
    Held(Quarantined),
}

/// Compares a candidate with the running table. A rollback always passes, unless its table is in
/// quarantine. The first table after the bundled one is only asked not to score all rows alike:
/// nobody published the bundled table.
pub(super) fn compare(
    context: &Context,
    state: &WatchState,
    prepared: &PreparedTable,
    pointer: &Pointer,
) -> Compared {
    let options = &context.options.drift;
    let held = state.is_table_quarantined(pointer.content_id);
    let rolls_back = pointer.from_generation.is_some() && !held;
    if !options.enabled || pointer.forced || rolls_back {
        return Compared::Passes(None);
    }
    let Some((running, against)) = to_compare_with(context, state, pointer) else {
        return Compared::Passes(None);
    };
    let unbounded = options.unbounded();
    let options = match state.source() {
        Source::Bundled => &unbounded,
        _ => options,
    };
    let drift = Drift::of(options, &context.engine, &running, prepared);
    if drift.over.is_empty() {
        return Compared::Passes(Some(drift));
    }
    Compared::Held(Quarantined {
        at: time::now(),
        generation: pointer.generation,
        content_id: pointer.content_id,
        against,
        drift,
    })
}

/// Returns the running table, or at a start the engine's copy of the last good one; `None` if it is
/// the candidate's own.
fn to_compare_with(
    context: &Context,
    state: &WatchState,
    pointer: &Pointer,
) -> Option<(Arc<PreparedTable>, u64)> {
    if state.source() != Source::None {
        let (prepared, generation) = context.engine.live()?;
        let other = prepared.table().content_id() != pointer.content_id;
        return other.then_some((prepared, generation));
    }
    let good = state.good().first()?;
    if good.content_id == pointer.content_id {
        return None;
    }
    let table = Table::open(context.folder.kept(good.content_id)?).ok()?;
    let kernel = context.options.admission.kernel.as_deref();
    let prepared = PreparedTable::with_kernel(table, context.engine.schema(), kernel).ok()?;
    // The copy may be damaged into another table.
    let other = prepared.table().content_id() != pointer.content_id;
    other.then(|| (Arc::new(prepared), good.generation))
}
