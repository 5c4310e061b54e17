//! What the proxy's threads and its control threads share.

use crate::counters::Registry;
use crate::filter::Filter;
use crate::lines::LineWriter;
use crate::policies::Policies;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// What the proxy's threads and its control threads share.
#[derive(Debug)]
pub struct Shared {
    /// Who is asked; none where the proxy runs without scoring.
    pub filter: Option<Filter>,
    /// The running policy.
    pub policies: Policies,
    /// What threads count.
    pub registry: Registry,
    /// Where lines go, where they do.
    pub log: Option<LineWriter>,
    /// Scores below which a line has the request's features.
    pub facts_below: u8,
    /// Whether threads are bound to cores.
    pub bind: bool,
    /// Threads that were bound so far.
    bound: AtomicUsize,
    /// When the proxy started.
    pub start: Instant,
    live: Mutex<Live>,
}

/// Since when a generation is live, for the table's age.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// The generation.
    pub generation: u64,
    /// When it was first seen.
    pub since: Instant,
}

impl Shared {
    /// What a proxy's threads share at its start.
    pub fn new(
        filter: Option<Filter>,
        policies: Policies,
        log: Option<LineWriter>,
        facts_below: u8,
        bind: bool,
    ) -> Shared {
        let generation = { filter.as_ref() }.map_or(0, |filter| filter.engine().stats().generation);
        let start = Instant::now();
        Shared {
            filter,
            policies,
            registry: Registry::default(),
            log,
            facts_below,
            bind,
            bound: AtomicUsize::new(0),
            start,
            live: Mutex::new(Live {
                generation,
                since: start,
            }),
        }
    }

    /// Lines that the access log had no room for, or could not write.
    pub fn unlogged(&self) -> u64 {
        let threads = self.registry.threads();
        let dropped: u64 = threads.iter().map(|thread| thread.unlogged.get()).sum();
        let unwritten = self.log.as_ref().map_or(0, LineWriter::unwritten);
        dropped.saturating_add(unwritten)
    }

    /// Notes since when the live generation is.
    pub fn see_generation(&self) {
        let Some(filter) = &self.filter else { return };
        let generation = filter.engine().stats().generation;
        let mut live = self.lock_live();
        if live.generation != generation {
            let since = Instant::now();
            *live = Live { generation, since };
        }
    }

    /// The live generation, and since when it is.
    pub fn live(&self) -> Live {
        *self.lock_live()
    }

    fn lock_live(&self) -> MutexGuard<'_, Live> {
        // An assignment is whole or not there.
        self.live
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Binds this thread to a core, where that is asked for; which one.
    pub(crate) fn core(&self) -> Option<usize> {
        if !self.bind {
            return None;
        }
        let cores = core_affinity::get_core_ids()?;
        // Relaxed: a number, and nothing else.
        let number = self.bound.fetch_add(1, Ordering::Relaxed);
        let core = cores.get(number.checked_rem(cores.len())?)?;
        core_affinity::set_for_current(*core).then_some(core.id)
    }
}
