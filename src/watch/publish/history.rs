//! The history of a directory: the generations that its ledger has, and the one to go back to.

use crate::ids::ContentId;
use crate::watch::directory::Pointer;
use crate::watch::ledger::{Event, Record};
use std::collections::{BTreeMap, BTreeSet};

/// A generation of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// Its record in the ledger.
    pub record: Record,
    /// Its number.
    pub generation: u64,
    /// The content hash of its table.
    pub content_id: ContentId,
    /// The generation that first had this table: its own, or the one that a rollback took it from.
    pub source: u64,
}

/// Returns the generations and the changes that are marked as abandoned, and were not announced
/// again.
pub(super) fn abandoned(records: &[Record]) -> (BTreeSet<u64>, BTreeSet<u64>) {
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

/// Returns the generations that were published, oldest first: announced, not abandoned, and not
/// above the pointer, which an announcement precedes.
pub fn generations(records: &[Record], pointer: Option<&Pointer>) -> Vec<Generation> {
    let (abandoned, _) = abandoned(records);
    let last = pointer.map_or(u64::MAX, |pointer| pointer.generation);
    let mut sources: BTreeMap<u64, u64> = BTreeMap::new();
    let mut all = Vec::new();
    for record in records {
        let (Event::Publish | Event::Rollback, Some(generation), Some(content_id)) =
            (record.event, record.generation, record.content_id)
        else {
            continue;
        };
        if generation > last || abandoned.contains(&generation) {
            continue;
        }
        let from = record.from_generation.unwrap_or(generation);
        let source = sources.get(&from).copied().unwrap_or(from);
        if sources.insert(generation, source).is_none() {
            all.push(Generation {
                record: record.clone(),
                generation,
                content_id,
                source,
            });
        }
    }
    all
}

/// Returns the generation to go back to from the last one. After a rollback it is the one before
/// the rollback's target: rolling back twice goes two back.
pub fn before<'a>(
    all: &'a [Generation],
    held_back: &BTreeSet<ContentId>,
) -> Option<&'a Generation> {
    let last = all.last()?;
    let earlier = |past: &&Generation| {
        let held = held_back.contains(&past.content_id);
        past.generation < last.source && past.content_id != last.content_id && !held
    };
    all.iter().rev().find(earlier)
}
