//! Detections on the hot path: the conjunctions of a table that a row matches.
//!
//! Every condition is one range test: the value lies within `low` and `high`, or, negated, it does
//! not; a missing value lies within nothing. The first conditions of eight detections are tested
//! side by side, without a branch, then their second ones where one of the eight still holds, and
//! so on. So a detection whose first condition is rare costs about half a nanosecond.

use super::verdict::{Matches, Score};
use crate::limits::{DETECTION_CONDITIONS_MAX, DETECTIONS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::table::View;
use crate::table::detections::{ConditionTest, own};
use crate::table::format::ConditionRecord;

/// Detections whose conditions are tested side by side.
const GROUP: usize = 8;

/// One condition: the value at a row position lies within a range, or does not.
#[derive(Debug, Clone, Copy)]
struct Range {
    low: f32,
    high: f32,
    position: u8,
    negated: bool,
}

/// Holds for every value: what a detection has in place of a condition that it does not have.
const ALWAYS: Range = Range {
    low: f32::INFINITY,
    high: f32::NEG_INFINITY,
    position: 0,
    negated: true,
};

/// The conditions of one place: the first of each detection, the second of each, and so on.
#[derive(Debug, Clone, Copy)]
struct Conditions {
    positions: [u8; DETECTIONS_MAX],
    lows: [f32; DETECTIONS_MAX],
    highs: [f32; DETECTIONS_MAX],
    /// Bits of those that are negated.
    negated: u64,
}

/// A table's detections, bound to row positions.
#[derive(Debug)]
pub(super) struct Detectors {
    /// Bits of those that there are.
    all: u64,
    /// Bits of those that decide.
    active: u64,
    /// Places in use: as many as the longest conjunction has conditions.
    depth: usize,
    places: [Conditions; DETECTION_CONDITIONS_MAX],
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
}

impl Conditions {
    const NONE: Conditions = Conditions {
        positions: [ALWAYS.position; DETECTIONS_MAX],
        lows: [ALWAYS.low; DETECTIONS_MAX],
        highs: [ALWAYS.high; DETECTIONS_MAX],
        negated: u64::MAX,
    };

    fn put(&mut self, at: usize, range: Range) {
        let bit = 1u64.wrapping_shl(at as u32);
        put(&mut self.positions, at, range.position);
        put(&mut self.lows, at, range.low);
        put(&mut self.highs, at, range.high);
        self.negated = self.negated & !bit | if range.negated { bit } else { 0 };
    }

    /// Of those in `open`, the ones whose condition holds. A group with none of them costs nothing.
    #[inline]
    fn hold(&self, row: &Row, open: u64) -> u64 {
        let mut within = 0u64;
        let bounds = self
            .lows
            .chunks_exact(GROUP)
            .zip(self.highs.chunks_exact(GROUP));
        let groups = self.positions.chunks_exact(GROUP).zip(bounds);
        for (group, (positions, (lows, highs))) in (0u32..).zip(groups) {
            let shift = group.wrapping_mul(GROUP as u32);
            let ahead = open.wrapping_shr(shift);
            if ahead == 0 {
                break;
            }
            if ahead & 0xff == 0 {
                continue;
            }
            let mut values = [0f32; GROUP];
            for (value, position) in values.iter_mut().zip(positions) {
                *value = row.get(*position);
            }
            let mut bytes = [0u8; GROUP];
            let bounds = lows.iter().zip(highs);
            for ((byte, value), (low, high)) in bytes.iter_mut().zip(values).zip(bounds) {
                *byte = u8::from((value >= *low) & (value <= *high));
            }
            within |= bits(bytes).wrapping_shl(shift);
        }
        open & (within ^ self.negated)
    }
}

/// Eight bytes of 0 or 1 as eight bits, the first byte lowest.
#[inline]
fn bits(bytes: [u8; GROUP]) -> u64 {
    // Each bit of the product's highest byte is the sum of exactly one input bit.
    u64::from_le_bytes(bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Detectors {
    /// The detections of a table whose features have these row positions.
    pub(super) fn of(view: &View<'_>, positions: &[u8; FEATURES_MAX]) -> Detectors {
        let mut made = Detectors {
            all: 0,
            active: 0,
            depth: 0,
            places: [Conditions::NONE; DETECTION_CONDITIONS_MAX],
            scores: [Score::MIN; DETECTIONS_MAX],
            ids: [0; DETECTIONS_MAX],
        };
        let range = |condition: &ConditionRecord| {
            let position = positions.get(usize::from(condition.feature)).copied();
            let test = ConditionTest::from_parts(condition.operator, condition.value)?;
            Some(Range::of(test, position?))
        };
        for (at, record) in view.detections.iter().enumerate().take(DETECTIONS_MAX) {
            let bit = 1u64.wrapping_shl(at as u32);
            made.all |= bit;
            made.active |= if record.active != 0 { bit } else { 0 };
            let score = Score::from_steps(usize::from(record.score).saturating_sub(1));
            put(&mut made.scores, at, score);
            put(&mut made.ids, at, record.id);
            let conditions = own(record, view.conditions);
            made.depth = made.depth.max(conditions.len());
            for (place, condition) in made.places.iter_mut().zip(conditions) {
                // T9 holds operator and feature within range.
                place.put(at, range(condition).unwrap_or(ALWAYS));
            }
        }
        made
    }

    /// The detections that a row matches, shadows included.
    #[inline]
    pub(super) fn matches(&self, row: &Row) -> Matches {
        if self.all == 0 {
            return Matches::NONE;
        }
        Matches::from_bits(self.found(row))
    }

    fn found(&self, row: &Row) -> u64 {
        let mut found = self.all;
        for place in self.places.iter().take(self.depth) {
            found = place.hold(row, found);
            if found == 0 {
                break;
            }
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
                    let mut conditions = Conditions::NONE;
                    conditions.put(13, Range::of(test, 1));
                    let holds = conditions.hold(&row, u64::MAX);
                    assert_eq!(holds | 1 << 13, u64::MAX, "what is not there holds");
                    let holds = holds >> 13 & 1 == 1;
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
