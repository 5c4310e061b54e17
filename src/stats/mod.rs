//! Counters and latencies of scoring threads: each written by one thread, summed by whoever asks.

mod histogram;

pub use histogram::{Latency, LatencySnapshot};

use crate::score::{Reason, Verdict};
use std::sync::atomic::{AtomicU64, Ordering};

/// What one scorer counts. One thread writes it, any thread may read it; a reader takes no lock
/// that a writer could wait for, and writes nothing.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ScorerStats {
    scored: AtomicU64,
    not_scored: [AtomicU64; Reason::ALL.len()],
    /// From request to verdict, as far as the host records it.
    pub latency: Latency,
}

/// The sum of what scorers counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScorerSnapshot {
    /// Rows that got a score.
    pub scored: u64,
    /// Rows that did not, by position in [`Reason::ALL`].
    pub not_scored: [u64; Reason::ALL.len()],
    /// Recorded latencies.
    pub latency: LatencySnapshot,
}

impl ScorerStats {
    /// Counts a verdict.
    #[inline]
    pub(crate) fn count(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Scored(_) => add(&self.scored, 1),
            Verdict::NotScored(not) => {
                if let Some(counter) = self.not_scored.get(not.reason as usize) {
                    add(counter, 1);
                }
            }
        }
    }

    /// Adds this scorer's counts to a sum.
    pub fn add_to(&self, sum: &mut ScorerSnapshot) {
        // Relaxed, here and below: counters order nothing.
        let scored = self.scored.load(Ordering::Relaxed);
        sum.scored = sum.scored.saturating_add(scored);
        for (sum, counter) in sum.not_scored.iter_mut().zip(&self.not_scored) {
            *sum = sum.saturating_add(counter.load(Ordering::Relaxed));
        }
        self.latency.add_to(&mut sum.latency);
    }
}

/// Adds to a counter that one thread alone writes: a load and a store, no locked instruction.
#[inline]
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(more),
        Ordering::Relaxed,
    );
}
