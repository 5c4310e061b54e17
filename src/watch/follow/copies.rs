//! Copies of the last good tables in the engine's state folder: what a restart can rely on.

use super::context::Context;
use crate::score::PreparedTable;
use crate::watch::status::KnownGood;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the folder is left alone if there was no room for a copy.
const RETRY: Duration = Duration::from_secs(1);

/// Good tables without a copy yet.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// Newest first.
    missing: Vec<Arc<PreparedTable>>,
    retry: Option<Instant>,
}

impl Copies {
    /// Adds a table that is to be copied.
    pub(super) fn add(&mut self, prepared: Arc<PreparedTable>) {
        let id = prepared.table().content_id();
        let others = |other: &Arc<PreparedTable>| other.table().content_id() != id;
        self.missing.retain(others);
        self.missing.insert(0, prepared);
    }

    /// Tries again to copy the tables for which there was no room.
    pub(super) fn keep_if_due(&mut self, context: &Context, good: &[KnownGood]) {
        if self.retry.is_some_and(|retry| Instant::now() >= retry) {
            self.keep(context, good);
        }
    }

    /// Copies the good tables. A copy that fails is tried again until it is there.
    pub(super) fn keep(&mut self, context: &Context, good: &[KnownGood]) {
        let mut failed = None;
        self.missing.retain(|prepared| {
            let (id, bytes) = (prepared.table().content_id(), prepared.table().bytes());
            if !good.iter().any(|good| good.content_id == id) {
                return false;
            }
            match context.folder.keep(id, bytes, good, &context.origin) {
                Ok(kept) => !kept,
                Err(refused) => {
                    failed = Some(refused);
                    true
                }
            }
        });
        self.retry = match self.missing.is_empty() {
            true => None,
            false => Instant::now().checked_add(RETRY),
        };
        // If another engine holds the state folder, all copies wait: one problem is enough.
        if context.folder.is_settled() {
            context.problem("copies", failed);
        } else if failed.is_some() {
            context.problem("state", failed);
        }
    }
}
