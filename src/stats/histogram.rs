//! A latency histogram of fixed size: to record is one add.

use super::add;
use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets a power of two: bounds are at most 1/32 apart.
const STEPS_LOG2: u32 = 5;
const STEPS: usize = 1 << STEPS_LOG2;

/// The largest exponent told apart: 2^36 ns, 69 seconds. What takes longer counts as that.
const EXPONENT_MAX: u32 = 36;

const BUCKETS: usize = STEPS * (EXPONENT_MAX - STEPS_LOG2 + 1) as usize;

/// Latencies in nanoseconds. One thread records, any thread may read.
#[derive(Debug)]
pub struct Latency {
    buckets: [AtomicU64; BUCKETS],
}

impl Default for Latency {
    fn default() -> Latency {
        Latency {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// The bucket of a number of nanoseconds: below 32 each has its own, above the leading bit and
/// the five bits behind it tell.
#[inline]
fn bucket(nanos: u64) -> usize {
    let exponent = nanos.checked_ilog2().unwrap_or_default();
    if exponent < STEPS_LOG2 {
        return nanos as usize;
    }
    let shift = exponent.wrapping_sub(STEPS_LOG2);
    let step = (nanos >> shift) as usize;
    let bucket = (shift as usize).wrapping_mul(STEPS).wrapping_add(step);
    bucket.min(BUCKETS.wrapping_sub(1))
}

/// The largest number of nanoseconds of a bucket.
fn highest(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = (bucket / STEPS).saturating_sub(1) as u32;
    let step = (bucket % STEPS).saturating_add(STEPS) as u64;
    step.saturating_add(1).wrapping_shl(shift).saturating_sub(1)
}

impl Latency {
    /// Records one latency in nanoseconds.
    #[inline]
    pub fn record(&self, nanos: u64) {
        if let Some(counter) = self.buckets.get(bucket(nanos)) {
            add(counter, 1);
        }
    }

    /// Adds the counts to a sum.
    pub fn add_to(&self, sum: &mut LatencySnapshot) {
        sum.counts.resize(BUCKETS, 0);
        for (sum, counter) in sum.counts.iter_mut().zip(&self.buckets) {
            // Relaxed: counters order nothing.
            *sum = sum.saturating_add(counter.load(Ordering::Relaxed));
        }
    }
}

/// Counts of a latency histogram at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LatencySnapshot {
    counts: Vec<u64>,
}

impl LatencySnapshot {
    /// What was recorded since an earlier moment.
    pub fn since(&self, before: &LatencySnapshot) -> LatencySnapshot {
        let earlier = before.counts.iter().chain(std::iter::repeat(&0));
        let pairs = self.counts.iter().zip(earlier);
        let counts = pairs.map(|(count, before)| count.saturating_sub(*before));
        LatencySnapshot {
            counts: counts.collect(),
        }
    }

    /// How many latencies were recorded.
    pub fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The latency in nanoseconds that this share (0.0 to 1.0) of the recorded ones does not
    /// exceed, rounded up to the bound of its bucket (at most 1/32 more); 0 where there are none.
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

    /// Each bucket that holds something: its largest number of nanoseconds, and its count.
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
    fn every_number_lies_within_its_bucket_and_buckets_are_narrow() {
        let mut last = 0;
        for exponent in 0..=36u32 {
            for step in 0..64u64 {
                let nanos = (1u64 << exponent) + (step << exponent >> 6);
                let at = bucket(nanos);
                assert!(at >= last && at < BUCKETS, "{nanos}");
                last = at;
                let bound = highest(at);
                if exponent < EXPONENT_MAX {
                    assert!(
                        bound >= nanos && bound <= nanos + nanos / 32,
                        "{nanos} {bound}"
                    );
                }
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

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
