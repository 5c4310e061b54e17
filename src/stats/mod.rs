//! Counters and latencies of scoring threads: each written by one thread, summed by whoever asks.

mod histogram;
mod reservoir;
mod scores;

pub use histogram::{Latency, LatencySnapshot};
pub(crate) use reservoir::Reservoir;
pub use scores::{SCORES, ScoreCounts};

use crate::limits::{DETECTION_COUNTERS_MAX, DETECTIONS_MAX};
use crate::score::{Matches, Reason, Source, Verdict};
use crossbeam_utils::CachePadded;
use scores::ScoreCounters;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one scorer counts. One thread writes it, any thread may read it; a reader takes no lock
/// that a writer could wait for, and writes nothing.
#[derive(Debug)]
#[repr(align(128))]
pub struct ScorerStats {
    /// Which of the engine's scorers it is, from 1 on; none has a number that another had.
    pub(crate) number: u64,
    scored: AtomicU64,
    scores: ScoreCounters,
    by_detection: AtomicU64,
    verified_bots: AtomicU64,
    matched: Matched,
    not_scored: [AtomicU64; Reason::ALL.len()],
    /// From request to verdict, as far as the host records it.
    pub latency: Latency,
    /// Rows of every n-th request.
    pub(crate) reservoir: Reservoir,
    /// Requests that never came to the scorer. Any thread counts, on a cache line of its own.
    turned_away: CachePadded<AtomicU64>,
}

/// Matches of detections, by the counter that the engine gave each; the last is for all that are
/// beyond the capacity.
#[derive(Debug)]
struct Matched([AtomicU64; DETECTION_COUNTERS_MAX + 1]);

impl Default for Matched {
    fn default() -> Matched {
        Matched([const { AtomicU64::new(0) }; DETECTION_COUNTERS_MAX + 1])
    }
}

/// The counter of each detection of a table, by its position.
pub(crate) type Counters = [u16; DETECTIONS_MAX];

/// The sum of what scorers counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScorerSnapshot {
    /// Rows that got a score, by whatever source.
    pub scored: u64,
    /// Those of them whose score is a detection's.
    pub by_detection: u64,
    /// Rows of verified bots.
    pub verified_bots: u64,
    /// Matches by the counter that the engine gave each detection; `EngineStats::detections` tells
    /// them by id.
    pub(crate) matched: Vec<u64>,
    /// Rows that did not, by position in [`Reason::ALL`].
    pub not_scored: [u64; Reason::ALL.len()],
    /// Recorded latencies.
    pub latency: LatencySnapshot,
    /// How often each score was given.
    pub scores: ScoreCounts,
}

impl ScorerStats {
    /// Counters at 0 and an empty reservoir, for rows of so many features.
    pub(crate) fn new(number: u64, features: usize) -> ScorerStats {
        ScorerStats {
            number,
            scored: AtomicU64::default(),
            scores: ScoreCounters::default(),
            by_detection: AtomicU64::default(),
            verified_bots: AtomicU64::default(),
            matched: Matched::default(),
            not_scored: Default::default(),
            latency: Latency::default(),
            reservoir: Reservoir::new(features),
            turned_away: CachePadded::default(),
        }
    }

    /// Counts a verdict.
    #[inline]
    pub(crate) fn count(&self, verdict: &Verdict) {
        match verdict {
            Verdict::Scored(scored) => {
                add(&self.scored, 1);
                self.scores.count(scored.score);
                if let Source::Detection(_) = scored.source {
                    add(&self.by_detection, 1);
                }
            }
            Verdict::VerifiedBot(_) => add(&self.verified_bots, 1),
            Verdict::NotScored(not) => {
                if let Some(counter) = self.not_scored.get(not.reason as usize) {
                    add(counter, 1);
                }
            }
        }
    }

    /// Counts a request that found no room, or no time, to be scored: as
    /// [`Reason::Overloaded`]. Any thread may call it.
    #[inline]
    pub fn count_turned_away(&self) {
        // Relaxed: a counter orders nothing.
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the detections that a row matches.
    #[inline]
    pub(crate) fn count_matches(&self, matches: Matches, counters: &Counters) {
        for position in matches.positions() {
            let counter = counters.get(position).copied().unwrap_or(u16::MAX);
            if let Some(counter) = self.matched.0.get(usize::from(counter)) {
                add(counter, 1);
            }
        }
    }

    /// Adds this scorer's counts to a sum.
    pub fn add_to(&self, sum: &mut ScorerSnapshot) {
        // Relaxed, here and below: counters order nothing.
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        sum.scored = sum.scored.saturating_add(load(&self.scored));
        sum.by_detection = sum.by_detection.saturating_add(load(&self.by_detection));
        sum.verified_bots = sum.verified_bots.saturating_add(load(&self.verified_bots));
        sum.matched.resize(self.matched.0.len(), 0);
        for (sum, counter) in sum.matched.iter_mut().zip(&self.matched.0) {
            *sum = sum.saturating_add(load(counter));
        }
        for (sum, counter) in sum.not_scored.iter_mut().zip(&self.not_scored) {
            *sum = sum.saturating_add(load(counter));
        }
        if let Some(sum) = sum.not_scored.get_mut(Reason::Overloaded as usize) {
            *sum = sum.saturating_add(load(&self.turned_away));
        }
        self.latency.add_to(&mut sum.latency);
        self.scores.add_to(&mut sum.scores);
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
