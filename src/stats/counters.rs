//! The counters of one scorer: written by its thread, read by any thread.

use super::counter::Counter;
use super::latency::Latency;
use super::reservoir::Reservoir;
use super::scores::ScoreCounters;
use super::snapshot::ScorerSnapshot;
use crate::limits::{DETECTION_COUNTERS_MAX, DETECTIONS_MAX};
use crate::score::{Matches, Reason, Source, Verdict};
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of one scorer. One thread writes them, any thread may read them; a reader takes no
/// lock that a writer could wait for, and writes nothing.
#[derive(Debug)]
#[repr(align(128))]
pub struct ScorerStats {
    /// The number of the scorer in its engine, from 1; numbers are not used again.
    pub(crate) number: u64,
    scored: Counter,
    scores: ScoreCounters,
    by_detection: Counter,
    verified_bots: Counter,
    matched: Matched,
    not_scored: [Counter; Reason::ALL.len()],
    /// Latencies from request to verdict, if the host records them.
    pub latency: Latency,
    /// The rows of every n-th request.
    pub(crate) reservoir: Reservoir,
    /// Requests that never reached the scorer. Any thread counts, on a cache line of its own.
    turned_away: CachePadded<AtomicU64>,
}

/// Matches of detections, by the counter that the engine gave each. The last counter is for all
/// detections beyond the capacity.
#[derive(Debug)]
struct Matched([Counter; DETECTION_COUNTERS_MAX + 1]);

impl Default for Matched {
    fn default() -> Matched {
        Matched([const { Counter::new() }; DETECTION_COUNTERS_MAX + 1])
    }
}

/// The counter of each detection of a table, by its position.
pub(crate) type Counters = [u16; DETECTIONS_MAX];

impl ScorerStats {
    /// Creates counters at 0 and an empty reservoir, for rows of this many features.
    pub(crate) fn new(number: u64, features: usize) -> ScorerStats {
        ScorerStats {
            number,
            scored: Counter::default(),
            scores: ScoreCounters::default(),
            by_detection: Counter::default(),
            verified_bots: Counter::default(),
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
                self.scored.add(1);
                self.scores.count(scored.score);
                if let Source::Detection(_) = scored.source {
                    self.by_detection.add(1);
                }
            }
            Verdict::VerifiedBot(_) => self.verified_bots.add(1),
            Verdict::NotScored(not) => {
                if let Some(counter) = self.not_scored.get(not.reason as usize) {
                    counter.add(1);
                }
            }
        }
    }

    /// Counts a request that was turned away before it could be scored, as
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
                counter.add(1);
            }
        }
    }

    /// Adds this scorer's counts to a sum.
    pub fn add_to(&self, sum: &mut ScorerSnapshot) {
        sum.scored = sum.scored.saturating_add(self.scored.get());
        sum.by_detection = sum.by_detection.saturating_add(self.by_detection.get());
        sum.verified_bots = sum.verified_bots.saturating_add(self.verified_bots.get());
        sum.matched.resize(self.matched.0.len(), 0);
        for (sum, counter) in sum.matched.iter_mut().zip(&self.matched.0) {
            *sum = sum.saturating_add(counter.get());
        }
        for (sum, counter) in sum.not_scored.iter_mut().zip(&self.not_scored) {
            *sum = sum.saturating_add(counter.get());
        }
        // Relaxed: a counter orders nothing.
        if let Some(sum) = sum.not_scored.get_mut(Reason::Overloaded as usize) {
            *sum = sum.saturating_add(self.turned_away.load(Ordering::Relaxed));
        }
        self.latency.add_to(&mut sum.latency);
        self.scores.add_to(&mut sum.scores);
    }
}
