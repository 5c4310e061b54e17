//! Distributions of scores: 99 counters, and the difference of two distributions.

use super::counter::Counter;
use crate::score::Score;

/// The number of different scores, 1 to 99.
pub const SCORES: usize = 99;

/// The groups of ten scores in which distributions are compared: 1 to 9, 10 to 19, up to 90 to 99.
const GROUPS: usize = 10;

/// Counters of scores. One thread counts, any thread may read.
#[derive(Debug)]
pub(super) struct ScoreCounters([Counter; SCORES]);

impl Default for ScoreCounters {
    fn default() -> ScoreCounters {
        ScoreCounters([const { Counter::new() }; SCORES])
    }
}

impl ScoreCounters {
    /// Counts a score.
    #[inline]
    pub(super) fn count(&self, score: Score) {
        if let Some(counter) = self.0.get(usize::from(score.get()).wrapping_sub(1)) {
            counter.add(1);
        }
    }

    /// Adds the counts to a sum.
    pub(super) fn add_to(&self, sum: &mut ScoreCounts) {
        for (sum, counter) in sum.0.iter_mut().zip(&self.0) {
            *sum = sum.saturating_add(counter.get());
        }
    }
}

/// The number of rows that got each score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScoreCounts([u64; SCORES]);

impl Default for ScoreCounts {
    fn default() -> ScoreCounts {
        ScoreCounts([0; SCORES])
    }
}

impl ScoreCounts {
    /// Counts a score.
    pub fn count(&mut self, score: Score) {
        if let Some(count) = self.0.get_mut(usize::from(score.get()).wrapping_sub(1)) {
            *count = count.saturating_add(1);
        }
    }

    /// Returns the counts of the scores 1 to 99, in order.
    pub fn counts(&self) -> &[u64; SCORES] {
        &self.0
    }

    /// Returns whether every row got the same score; `false` without rows.
    pub(crate) fn is_one_score(&self) -> bool {
        self.0.iter().filter(|count| **count > 0).count() == 1
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> u64 {
        self.0
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Returns the counts since an earlier snapshot.
    pub fn since(&self, before: &ScoreCounts) -> ScoreCounts {
        let mut since = self.clone();
        for (count, before) in since.0.iter_mut().zip(&before.0) {
            *count = count.saturating_sub(*before);
        }
        since
    }

    /// Returns the population stability index of two distributions, by groups of ten: 0 if they are
    /// the same, above 0.1 for a small shift, above 0.25 for a large one. Each group counts half a
    /// row more than it has, so that an empty one is no division by 0.
    pub fn stability(&self, other: &ScoreCounts) -> f64 {
        let (all, others) = (self.rows() as f64, other.rows() as f64);
        let share = |count: u64, rows: f64| (count as f64 + 0.5) / (rows + GROUPS as f64 * 0.5);
        let pairs = self.groups().into_iter().zip(other.groups());
        pairs.fold(0.0, |sum, (one, two)| {
            let (one, two) = (share(one, all), share(two, others));
            sum + (one - two) * (one / two).ln()
        })
    }

    fn groups(&self) -> [u64; GROUPS] {
        let mut groups = [0u64; GROUPS];
        for (score, count) in (1usize..).zip(&self.0) {
            if let Some(group) = groups.get_mut(score / GROUPS) {
                *group = group.saturating_add(*count);
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(usize, u64)]) -> ScoreCounts {
        let mut counts = ScoreCounts::default();
        for (score, count) in of {
            counts.0[score - 1] += count;
        }
        counts
    }

    #[test]
    fn each_score_has_its_counter() {
        let (counters, mut sum) = (ScoreCounters::default(), ScoreCounts::default());
        for steps in [0, 0, 50, 98, 500] {
            counters.count(Score::from_steps(steps));
            sum.count(Score::from_steps(steps));
        }
        let mut read = ScoreCounts::default();
        counters.add_to(&mut read);
        assert_eq!(read, counts(&[(1, 2), (51, 1), (99, 2)]));
        assert_eq!((&read, read.rows()), (&sum, 5));
        assert_eq!(read.since(&counts(&[(1, 2)])), counts(&[(51, 1), (99, 2)]));
    }

    #[test]
    fn the_index_is_the_textbooks() {
        let one = counts(&[(5, 600), (50, 400)]);
        assert_eq!(one.stability(&one), 0.0);
        // Within a group of ten nothing is told apart; ten times as many rows are the same shares.
        assert!(one.stability(&counts(&[(9, 6_000), (59, 4_000)])) < 0.01);
        let two = counts(&[(5, 400), (50, 600)]);
        let share = |count: f64| (count + 0.5) / 1_005.0;
        let want = 2.0 * (share(600.0) - share(400.0)) * (share(600.0) / share(400.0)).ln();
        assert!((one.stability(&two) - want).abs() < 1e-12);
        assert_eq!(one.stability(&two), two.stability(&one));
        assert!(one.stability(&counts(&[(99, 1_000)])) > 5.0);
    }
}
