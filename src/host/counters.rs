//! What request scorers count: each written by one thread, summed by any other.

use super::scored::PassReason;
use crate::stats::Counter;

/// What one [`RequestScorer`](super::RequestScorer) counts, besides what its engine counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct HostCounters {
    /// Requests that came to the scorer.
    pub requests: Counter,
    /// Requests that went on without asking the engine, by position in [`PassReason::ALL`].
    pub passed: [Counter; PassReason::ALL.len()],
    /// Calls that took longer than the breaker's budget.
    pub late: Counter,
    /// How often the breaker opened.
    pub opened: Counter,
}

impl HostCounters {
    /// Counts a request that went on without asking the engine.
    #[cold]
    pub(super) fn pass(&self, reason: PassReason) {
        if let Some(counter) = self.passed.get(reason as usize) {
            counter.add(1);
        }
    }
}

/// A sum of [`HostCounters`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// Scorers that were summed, including those of threads that ended.
    pub scorers: usize,
    /// Requests that came to them.
    pub requests: u64,
    /// Requests that went on without asking the engine, by position in [`PassReason::ALL`].
    pub passed: [u64; PassReason::ALL.len()],
    /// Calls that took longer than the breaker's budget.
    pub late: u64,
    /// How often a breaker opened.
    pub opened: u64,
}

impl HostSnapshot {
    /// Adds the counts of one scorer.
    pub fn add(&mut self, counters: &HostCounters) {
        self.scorers = self.scorers.saturating_add(1);
        self.requests = self.requests.saturating_add(counters.requests.get());
        for (sum, counter) in self.passed.iter_mut().zip(&counters.passed) {
            *sum = sum.saturating_add(counter.get());
        }
        self.late = self.late.saturating_add(counters.late.get());
        self.opened = self.opened.saturating_add(counters.opened.get());
    }

    /// Returns each reason that is counted, and its count. Nobody counts
    /// [`NotAsked`](PassReason::NotAsked).
    pub fn passed(&self) -> impl Iterator<Item = (PassReason, u64)> {
        let counted = PassReason::ALL.iter().copied().zip(self.passed);
        counted.filter(|(reason, _)| *reason != PassReason::NotAsked)
    }
}
