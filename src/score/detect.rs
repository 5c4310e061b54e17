//! Detections on the hot path: which of a table's conjunctions a row matches.
//!
//! Every condition is one range test: the value lies within `low` and `high`, or, negated, it does
//! not; a missing value lies within nothing. The first conditions of eight detections are
//! tested side by side, without a branch; further ones only where the first holds. So a detection
//! whose first condition is rare costs half a nanosecond.

use super::verdict::{Matches, Score};
use crate::limits::{CONDITIONS_MAX, DETECTIONS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::table::View;
use crate::table::detections::{ConditionTest, own};

/// Detections whose first conditions are tested side by side.
const GROUP: usize = 8;

/// One condition: the value at a row position lies within a range, or does not.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f32,
    high: f32,
    position: u8,
    negated: bool,
}

/// A range that no value lies within.
const NOTHING: Range = Range {
    low: f32::INFINITY,
    high: f32::NEG_INFINITY,
    position: 0,
    negated: false,
};

/// A table's detections, bound to row positions.
#[derive(Debug)]
pub(super) struct Detectors {
    /// Groups in use.
    groups: usize,
    /// Bits of those that decide.
    active: u64,
    /// Bits of those whose first condition is negated.
    negated: u64,
    /// Bits of those that have further conditions.
    several: u64,
    positions: [u8; DETECTIONS_MAX],
    lows: [f32; DETECTIONS_MAX],
    highs: [f32; DETECTIONS_MAX],
    /// Where the further conditions of each start and end in `more`.
    further: [(u16, u16); DETECTIONS_MAX],
    more: [Range; CONDITIONS_MAX],
    scores: [Score; DETECTIONS_MAX],
    ids: [u32; DETECTIONS_MAX],
}

impl Range {
    /// The range in which a test holds. A strict bound becomes the next number: comparisons with
    /// it are the same for every `f32`.
    fn of(test: ConditionTest, position: u8) -> Range {
        let (low, high) = match test {
            ConditionTest::Above(bound) => (bound.next_up(), f32::INFINITY),
            ConditionTest::AtMost(bound) => (f32::NEG_INFINITY, bound),
            ConditionTest::Equals(bound) => (bound, bound),
            ConditionTest::Missing | ConditionTest::Present => (f32::NEG_INFINITY, f32::INFINITY),
        };
        Range {
            low,
            high,
            position,
            negated: matches!(test, ConditionTest::Missing),
        }
    }

    #[inline]
    fn holds(&self, row: &Row) -> bool {
        let value = row.get(self.position);
        ((value >= self.low) & (value <= self.high)) != self.negated
    }
}

/// Eight bytes of 0 or 1 as eight bits, the first byte lowest.
#[inline]
fn bits(bytes: [u8; GROUP]) -> u64 {
    // Each bit of the product's highest byte is the sum of exactly one input bit.
    u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Detectors {
    /// The detections of a table whose features stand at these row positions.
    pub(super) fn of(view: &View<'_>, positions: &[u8; FEATURES_MAX]) -> Detectors {
        let mut made = Detectors {
            groups: view.detections.len().div_ceil(GROUP),
            active: 0,
            negated: 0,
            several: 0,
            positions: [0; DETECTIONS_MAX],
            lows: [NOTHING.low; DETECTIONS_MAX],
            highs: [NOTHING.high; DETECTIONS_MAX],
            further: [(0, 0); DETECTIONS_MAX],
            more: [NOTHING; CONDITIONS_MAX],
            scores: [Score::MIN; DETECTIONS_MAX],
            ids: [0; DETECTIONS_MAX],
        };
        for (at, record) in view.detections.iter().enumerate().take(DETECTIONS_MAX) {
            let bit = 1u64.wrapping_shl(at as u32);
            let start = record.start as u16;
            let end = start.saturating_add(u16::from(record.conditions));
            let conditions = own(record, view.conditions);
            let of = |condition: &crate::table::format::ConditionRecord| {
                let position = positions.get(usize::from(condition.feature)).copied();
                let test = ConditionTest::from_parts(condition.operator, condition.value);
                test.map_or(NOTHING, |test| {
                    Range::of(test, position.unwrap_or_default())
                })
            };
            let first = conditions.first().map_or(NOTHING, of);
            made.active |= if record.active != 0 { bit } else { 0 };
            made.negated |= if first.negated { bit } else { 0 };
            made.several |= if record.conditions > 1 { bit } else { 0 };
            put(&mut made.positions, at, first.position);
            put(&mut made.lows, at, first.low);
            put(&mut made.highs, at, first.high);
            put(&mut made.further, at, (start.saturating_add(1), end));
            let score = Score::from_steps(usize::from(record.score).saturating_sub(1));
            put(&mut made.scores, at, score);
            put(&mut made.ids, at, record.id);
            for (place, condition) in (usize::from(start)..).zip(conditions) {
                put(&mut made.more, place, of(condition));
            }
        }
        made
    }

    /// The detections that a row matches, shadows included.
    #[inline]
    pub(super) fn matches(&self, row: &Row) -> Matches {
        if self.groups == 0 {
            return Matches::NONE;
        }
        Matches::from_bits(self.found(row))
    }

    fn found(&self, row: &Row) -> u64 {
        let mut found = 0u64;
        let bounds = self
            .lows
            .chunks_exact(GROUP)
            .zip(self.highs.chunks_exact(GROUP));
        let groups = self.positions.chunks_exact(GROUP).zip(bounds);
        let mut shift = 0u32;
        for (positions, (lows, highs)) in groups.take(self.groups) {
            let mut values = [0f32; GROUP];
            for (value, position) in values.iter_mut().zip(positions) {
                *value = row.get(*position);
            }
            let mut within = [0u8; GROUP];
            let bounds = lows.iter().zip(highs);
            for ((within, value), (low, high)) in within.iter_mut().zip(values).zip(bounds) {
                *within = u8::from((value >= *low) & (value <= *high));
            }
            found |= bits(within).wrapping_shl(shift);
            shift = shift.wrapping_add(GROUP as u32);
        }
        found ^= self.negated;
        let mut open = found & self.several;
        while open != 0 {
            let at = open.trailing_zeros();
            open &= open.wrapping_sub(1);
            let (start, end) = self.further.get(at as usize).copied().unwrap_or_default();
            let further = self.more.get(usize::from(start)..usize::from(end));
            let holds = further
                .unwrap_or_default()
                .iter()
                .all(|range| range.holds(row));
            found &= !(u64::from(!holds).wrapping_shl(at));
        }
        found
    }

    /// The active detection that decides among those that match: the lowest score, and among
    /// equals the smallest id. Its score and its id.
    #[inline]
    pub(super) fn decides(&self, matches: Matches) -> Option<(Score, u32)> {
        let mut open = matches.bits() & self.active;
        let mut best: Option<(Score, u32)> = None;
        while open != 0 {
            let at = open.trailing_zeros() as usize;
            open &= open.wrapping_sub(1);
            if let (Some(score), Some(id)) = (self.scores.get(at), self.ids.get(at))
                && best.is_none_or(|(lowest, _)| *score < lowest)
            {
                best = Some((*score, *id));
            }
        }
        best
    }
}

fn put<T>(places: &mut [T], at: usize, value: T) {
    if let Some(place) = places.get_mut(at) {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_where_its_test_does() {
        let values = [
            f32::NAN,
            f32::NEG_INFINITY,
            f32::MIN,
            -1.0,
            -1e-45,
            -0.0,
            0.0,
            1e-45,
            f32::MIN_POSITIVE,
            1.0,
            1.0000001,
            f32::MAX,
            f32::INFINITY,
        ];
        let mut seen = [0; 2];
        for bound in values.into_iter().filter(|value| value.is_finite()) {
            for operator in 0..5 {
                let test = ConditionTest::from_parts(operator, bound).unwrap();
                for value in values {
                    let row = Row::from_slice(&[9.0, value]);
                    let holds = Range::of(test, 1).holds(&row);
                    assert_eq!(holds, test.holds(value), "{value} is {test}");
                    seen[usize::from(holds)] += 1;
                }
            }
        }
        assert!(seen[0] > 100 && seen[1] > 100, "{seen:?}");
    }

    #[test]
    fn eight_bytes_become_eight_bits() {
        for word in 0..=255u8 {
            let bytes = std::array::from_fn(|at| (word >> at) & 1);
            assert_eq!(bits(bytes), u64::from(word));
        }
    }
}
