//! What two series of measurements say about each other, beyond their noise.

use crate::harness::statistics::{Random, median};

/// Resamplings. The bounds of an interval of 99 % are the 20th from either end.
const RESAMPLES: usize = 4_000;

/// The confidence of every interval, in percent.
pub const CONFIDENCE: f64 = 99.0;

/// Values of a series, at least: with fewer nothing can be said.
pub const VALUES_MIN: usize = 4;

/// The ratio of two medians, and the interval that holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

/// The ratio of the medians of `after` and `before`; none where there are too few values, or
/// values that have no ratio.
///
/// By bootstrap of blocks: neighbours in time are alike, and to draw them one by one would take
/// them for more evidence than they are. Medians, because what the system takes away now and then
/// goes into some values and not into others.
pub fn ratio(before: &[f64], after: &[f64]) -> Option<Ratio> {
    let usable = |values: &[f64]| {
        values.len() >= VALUES_MIN && values.iter().all(|value| value.is_finite() && *value > 0.0)
    };
    if !usable(before) || !usable(after) {
        return None;
    }
    let random = &mut Random::new(0x006e_6f69_7365);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| median(&resample(after, random)) / median(&resample(before, random)))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = (RESAMPLES as f64 * (100.0 - CONFIDENCE) / 200.0) as usize;
    Some(Ratio {
        ratio: median(after) / median(before),
        low: *ratios.get(tail)?,
        high: *ratios.get(RESAMPLES - 1 - tail)?,
    })
}

/// As many values, drawn in blocks of neighbours, round the end.
fn resample(values: &[f64], random: &mut Random) -> Vec<f64> {
    let count = values.len();
    let block = (count as f64).cbrt().round().max(1.0) as usize;
    let mut drawn = Vec::with_capacity(count + block);
    while drawn.len() < count {
        let start = random.below(count as u64) as usize;
        drawn.extend((0..block).map(|at| values[(start + at) % count]));
    }
    drawn.truncate(count);
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values around a middle: each like the one before it, with some far above.
    fn series(middle: f64, count: usize, random: &mut Random) -> Vec<f64> {
        let mut drift = 0.0;
        let mut value = |_| {
            drift = 0.5 * drift + (random.unit() - 0.5);
            let stolen = if random.below(20) == 0 { 3.0 } else { 1.0 };
            middle * (1.0 + 0.04 * drift) * stolen
        };
        (0..count).map(&mut value).collect()
    }

    #[test]
    fn noise_alone_is_seldom_a_change_and_a_change_seldom_hides() {
        let random = &mut Random::new(7);
        let (mut alarms, mut seen) = (0, 0);
        for _ in 0..200 {
            let before = series(100.0, 40, random);
            let same = ratio(&before, &series(100.0, 40, random)).unwrap();
            alarms += usize::from(same.low > 1.0 || same.high < 1.0);
            let slower = ratio(&before, &series(115.0, 40, random)).unwrap();
            seen += usize::from(slower.low > 1.0);
        }
        // 1 % would be 2; neighbours that are alike make it a few more.
        assert!(alarms <= 12, "{alarms} false alarms of 200");
        assert!(seen >= 190, "{seen} of 200 seen");
    }

    #[test]
    fn the_interval_holds_the_ratio_and_few_values_say_nothing() {
        let random = &mut Random::new(8);
        let (before, after) = (series(10.0, 40, random), series(20.0, 40, random));
        let found = ratio(&before, &after).unwrap();
        assert!(found.low <= found.ratio && found.ratio <= found.high);
        assert!(found.low > 1.5 && found.high < 2.5, "{found:?}");
        assert_eq!(ratio(&before, &before).map(|same| same.ratio), Some(1.0));
        assert_eq!(ratio(&before, &after[..3]), None);
        assert_eq!(ratio(&before, &[0.0; 9]), None);
        assert_eq!(ratio(&before, &[f64::NAN; 9]), None);
    }
}
