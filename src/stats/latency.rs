//! A latency histogram of fixed size: recording is one add.

use super::counter::Counter;

/// Buckets per power of two: bounds are at most 1/32 apart.
const STEPS_LOG2: u32 = 5;
const STEPS: usize = 1 << STEPS_LOG2;

/// The largest exponent with buckets: 2^36 ns, 69 seconds. Longer latencies count as that.
const EXPONENT_MAX: u32 = 36;

const BUCKETS: usize = STEPS * (EXPONENT_MAX - STEPS_LOG2 + 1) as usize;

/// Latencies in nanoseconds. One thread records, any thread may read.
#[derive(Debug)]
pub struct Latency {
    pub(super) buckets: [Counter; BUCKETS],
}

impl Default for Latency {
    fn default() -> Latency {
        Latency {
            buckets: [const { Counter::new() }; BUCKETS],
        }
    }
}

/// Returns the bucket of a number of nanoseconds: below 32 each has its own; above, the leading bit
/// and the five bits after it decide.
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

/// Returns the largest number of nanoseconds of a bucket.
pub(super) fn highest(bucket: usize) -> u64 {
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
            counter.add(1);
        }
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
}
