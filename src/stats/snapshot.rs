//! Sums of counters at one moment, for metrics, the watchdog and reports.

use super::latency::{Latency, highest};
use super::scores::ScoreCounts;
use crate::score::Reason;

/// The sum of scorers' counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScorerSnapshot {
    /// Rows that got a score.
    pub scored: u64,
    /// Rows whose score comes from a detection.
    pub by_detection: u64,
    /// Rows of verified bots.
    pub verified_bots: u64,
    /// Matches by the counter that the engine gave each detection; `EngineStats::detections` has
    /// them by id.
    pub(crate) matched: Vec<u64>,
    /// Rows without a score, by position in [`Reason::ALL`].
    pub(super) not_scored: [u64; Reason::ALL.len()],
    /// Recorded latencies.
    pub latency: LatencySnapshot,
    /// The number of rows that got each score.
    pub scores: ScoreCounts,
}

impl ScorerSnapshot {
    /// Returns the number of rows that got no score for this reason.
    pub fn not_scored(&self, reason: Reason) -> u64 {
        let count = self.not_scored.get(reason as usize);
        count.copied().unwrap_or_default()
    }
}

/// The counts of a latency histogram at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    counts: Vec<u64>,
}

impl Latency {
    /// Adds the counts to a sum.
    pub fn add_to(&self, sum: &mut LatencySnapshot) {
        sum.counts.resize(self.buckets.len(), 0);
        for (sum, counter) in sum.counts.iter_mut().zip(&self.buckets) {
            *sum = sum.saturating_add(counter.get());
        }
    }
}

impl LatencySnapshot {
    /// Returns the latencies recorded since an earlier snapshot.
    pub fn since(&self, before: &LatencySnapshot) -> LatencySnapshot {
        let earlier = before.counts.iter().chain(std::iter::repeat(&0));
        let pairs = self.counts.iter().zip(earlier);
        let counts = pairs.map(|(count, before)| count.saturating_sub(*before));
        LatencySnapshot {
            counts: counts.collect(),
        }
    }

    /// Returns the number of recorded latencies.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns the latency in nanoseconds that this share (0.0 to 1.0) of the recorded ones does
    /// not exceed, rounded up to the bound of its bucket (at most 1/32 more); 0 if there are none.
    pub fn quantile(&self, share: f64) -> u64 {
        let all = self.count();
        let wanted = (share.clamp(0.0, 1.0) * all as f64).ceil().max(1.0) as u64;
        let mut seen = 0u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                return highest(bucket);
            }
        }
        0
    }

    /// Returns the buckets that are not empty: the largest number of nanoseconds, and the count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self
            .counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0);
        filled.map(|(bucket, count)| (highest(bucket), *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let latency = Latency::default();
        for nanos in 1..=1000 {
            latency.record(nanos);
        }
        let mut sum = LatencySnapshot::default();
        latency.add_to(&mut sum);
        assert_eq!(sum.count(), 1000);
        for (share, exact) in [(0.0, 1), (0.01, 10), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let got = sum.quantile(share);
            assert!(got >= exact && got <= exact + exact / 32, "{share}: {got}");
        }
        assert_eq!(LatencySnapshot::default().quantile(0.5), 0);
        assert_eq!(sum.since(&LatencySnapshot::default()), sum);
        let before = sum.clone();
        latency.record(7);
        let mut sum = LatencySnapshot::default();
        latency.add_to(&mut sum);
        let since = sum.since(&before);
        assert_eq!((since.count(), since.quantile(1.0)), (1, 7));
    }
}
