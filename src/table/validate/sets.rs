//! Checks what only splits of trees of any shape say: marks for missing values, and sets of bins.

use super::lanes::check_split;
use super::{Check, Sections, exactly};
use crate::refusal::RefusalKind;
use crate::table::format::*;
use std::collections::HashSet;

/// The sets of a table, and how many nodes have named so far.
pub(super) struct Sets<'a> {
    records: &'a [[u64; 4]],
    named: usize,
    different: HashSet<[u64; 4]>,
}

impl<'a> Sets<'a> {
    pub(super) fn of(sections: &Sections<'a>) -> Check<Sets<'a>> {
        Ok(Sets {
            records: sections.records(Section::Sets)?,
            named: 0,
            different: HashSet::new(),
        })
    }

    /// Checks the split of a node; returns whether there is one.
    pub(super) fn check_split(
        &mut self,
        lanes: &[LaneRecord],
        node: &NodeRecord,
        at: impl Fn() -> String,
    ) -> Check<bool> {
        let lane = lanes.get(usize::from(node.lane));
        let missing_only = |lane: &&LaneRecord| {
            lane.has_own_bin() && node.threshold == lane.borders && node.value == 0
        };
        if lane.is_some_and(|lane| missing_only(&lane)) {
            return Ok(true);
        }
        if !check_split(lanes, node.lane, node.threshold, &at)? {
            return Ok(false);
        }
        let Some(lane) = lane.filter(|_| node.value != 0) else {
            return Ok(true);
        };
        match usize::try_from(node.value) {
            Ok(name) => self.check_set(lane, node, name.saturating_sub(1), at)?,
            Err(_) if node.value == MISSING_LEFT && lane.has_own_bin() => {}
            Err(_) => {
                let expected = match lane.has_own_bin() {
                    true => "at least -1",
                    false => "no mark in a lane without a bin for missing values",
                };
                return Err(RefusalKind::MissingMark.at(at(), expected, node.value));
            }
        }
        Ok(true)
    }

    fn check_set(
        &mut self,
        lane: &LaneRecord,
        node: &NodeRecord,
        index: usize,
        at: impl Fn() -> String,
    ) -> Check<()> {
        let wrong = |expected: String, got: String| Err(RefusalKind::Set.at(at(), expected, got));
        if node.threshold != 0 {
            return wrong("threshold 0 with a set".into(), node.threshold.to_string());
        }
        let Some(set) = self.records.get(index) else {
            let below = format!("a set below {}", self.records.len());
            return wrong(below, index.to_string());
        };
        if index > self.named {
            return wrong(
                format!("set {}, the next one", self.named),
                index.to_string(),
            );
        }
        if index == self.named {
            self.named = self.named.saturating_add(1);
            if !self.different.insert(*set) {
                return wrong(
                    "a set of its own".into(),
                    format!("set {index}, there before"),
                );
            }
        }
        let (bins, missing) = split_off_missing(lane, set);
        let lane_bins = up_to(lane.borders);
        if bins
            .iter()
            .zip(lane_bins)
            .any(|(bits, all)| bits & !all != 0)
        {
            let expected = format!("bins up to {}", lane.borders);
            return wrong(expected, format!("set {index} with others"));
        }
        if is_threshold(lane, &bins, missing) {
            let expected = "a set that no threshold says".into();
            return wrong(expected, format!("set {index}"));
        }
        Ok(())
    }

    /// Every set is some node's.
    pub(super) fn finish(self) -> Check<()> {
        exactly("sets", self.named, self.records.len())
    }
}

/// The set without a missing value's own bin, and whether that was in it.
fn split_off_missing(lane: &LaneRecord, set: &[u64; 4]) -> ([u64; 4], bool) {
    let [a, b, c, d] = *set;
    if lane.has_own_bin() {
        ([a, b, c, d & !(1 << 63)], d >> 63 == 1)
    } else {
        (*set, false)
    }
}

/// The set of all bins from 0 to this one.
fn up_to(bin: u8) -> [u64; 4] {
    let mut first = 0u32;
    [0; 4].map(|_: u64| {
        let bits = u32::from(bin).saturating_add(1).saturating_sub(first);
        first = first.saturating_add(64);
        match bits {
            0..=63 => !(u64::MAX << bits),
            _ => u64::MAX,
        }
    })
}

/// Whether a split without a set could send the same bins right.
fn is_threshold(lane: &LaneRecord, bins: &[u64; 4], missing: bool) -> bool {
    let all = up_to(lane.borders);
    let least = bins
        .iter()
        .zip([0u32, 64, 128, 192])
        .find(|(word, _)| **word != 0)
        .map(|(word, first)| word.trailing_zeros().saturating_add(first));
    match least {
        // None goes right but what is missing; or nothing does, which no threshold says.
        None => missing,
        Some(0) => false,
        Some(least) => {
            let below = up_to(least.saturating_sub(1) as u8);
            let above = all.iter().zip(below).map(|(all, below)| all & !below);
            bins.iter().zip(above).all(|(bins, above)| *bins == above)
        }
    }
}
