//! Oblivious trees, laid out so that each of their splits is one byte of the row's predicates.
//!
//! A **predicate** is a border that a value exceeds or not: 0 or 1 in a byte, in the order of the
//! border section, sixteen a rank. A kernel compares the row with every border once, stores the
//! results, and looks up a leaf index bit by bit, without a comparison a split. The layout is
//! derived from a validated table when it is bound, on the control plane; what is in the arrays
//! cannot lead a kernel out of them.

use crate::limits::FEATURES_MAX;
use crate::table::View;
use crate::table::format::ZERO_MAX;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LevelRecord, NEVER};

/// Predicates of a row, at most, that this layout serves: they lie on the stack, are cleared for
/// each row, and should stay in the first cache. Tables with more are scored by bins.
pub(super) const PREDICATES_MAX: usize = 8_192;

/// Oblivious trees laid out for predicates.
#[derive(Debug)]
pub(super) struct Predicates {
    /// The magnitude up to which each lane's value counts as missing; negative where only NaN
    /// does.
    pub(super) zero_max: [f32; FEATURES_MAX],
    /// The bin of each lane's missing value.
    pub(super) missing_bins: [u8; FEATURES_MAX],
    /// What each lane compares with its borders in place of a missing value.
    pub(super) substitutes: [f32; FEATURES_MAX],
    /// How many predicates a row has, and one more that never holds; 0 where that is more than
    /// [`PREDICATES_MAX`].
    pub(super) count: usize,
    /// The groups of lanes that each level of the level section uses.
    pub(super) spans: Vec<Span>,
    /// The splits of each tree, lowest level first, two a word: the even level's in the lowest
    /// bits, the odd level's in the highest, each in [`id_bits`] bits. Every tree of a block has
    /// as many words as the deepest.
    pub(super) splits: Vec<u32>,
}

/// Groups of lanes, from the first up to the end, not included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: u8,
    pub(super) end: u8,
}

impl Span {
    /// The groups of a level's lanes. Padding always leads left, whatever its lane's bin.
    fn of(level: &LevelRecord) -> Span {
        let used = level.lanes.iter().zip(&level.thresholds);
        let used = used.filter(|(_, threshold)| **threshold != NEVER);
        let groups = used.map(|(lane, _)| lane >> GROUP_LANES.trailing_zeros());
        let first = groups.clone().min().unwrap_or_default();
        let end = groups.max().map_or(first, |last| last.saturating_add(1));
        Span { first, end }
    }
}

impl Predicates {
    /// The layout of a table's oblivious trees; none where there is no memory for it.
    pub(super) fn of(view: &View<'_>) -> Option<Predicates> {
        let mut predicates = Predicates {
            zero_max: [-1.0; FEATURES_MAX],
            missing_bins: [0; FEATURES_MAX],
            substitutes: [0.0; FEATURES_MAX],
            count: 0,
            spans: Vec::new(),
            splits: Vec::new(),
        };
        predicates.spans.try_reserve_exact(view.levels.len()).ok()?;
        predicates.spans.extend(view.levels.iter().map(Span::of));
        predicates.set_missing(view);
        let count = view.borders.len().saturating_mul(GROUP_LANES);
        let words = view.blocks.iter().map(|block| words(block.levels));
        let words: usize = words.sum::<usize>().saturating_mul(BLOCK_TREES);
        if count < PREDICATES_MAX && words > 0 && all_are_borders(view) {
            predicates.count = count.saturating_add(1);
            predicates.splits.try_reserve_exact(words).ok()?;
            predicates.add_splits(view);
        }
        Some(predicates)
    }

    /// A missing value has the bin `missing_bin`. So has the border of that rank: it exceeds as
    /// many borders; above the last one there is infinity, which decides as a bin of its own does.
    fn set_missing(&mut self, view: &View<'_>) {
        let places = self.zero_max.iter_mut().zip(&mut self.substitutes);
        let places = places.zip(&mut self.missing_bins);
        for (at, (((zero_max, substitute), missing_bin), lane)) in
            places.zip(view.lanes).enumerate()
        {
            *missing_bin = lane.missing_bin;
            if lane.zero_is_missing != 0 {
                *zero_max = ZERO_MAX;
            }
            let group = view.groups.get(at / GROUP_LANES);
            let first = group.map_or(0, |group| group.start as usize);
            let rank = first.saturating_add(usize::from(lane.missing_bin));
            let within = lane.missing_bin < lane.borders;
            let border = view.borders.get(rank).filter(|_| within);
            *substitute = border
                .and_then(|rank| rank.get(at % GROUP_LANES))
                .copied()
                .unwrap_or(f32::INFINITY);
        }
    }

    fn add_splits(&mut self, view: &View<'_>) {
        let never = self.count.saturating_sub(1) as u32;
        let shift = u32::BITS.saturating_sub(id_bits(self.count));
        for block in view.blocks {
            let end = block.start.saturating_add(block.levels) as usize;
            let levels = view.levels.get(block.start as usize..end);
            for tree in 0..BLOCK_TREES {
                for pair in levels.unwrap_or_default().chunks(2) {
                    let id = |level: usize| {
                        let level = pair.get(level)?;
                        let lane = usize::from(*level.lanes.get(tree)?);
                        let threshold = *level.thresholds.get(tree)?;
                        let group = view.groups.get(lane / GROUP_LANES)?;
                        let rank = group.start.saturating_add(u32::from(threshold));
                        let first = rank.saturating_mul(GROUP_LANES as u32);
                        let id = first.saturating_add((lane % GROUP_LANES) as u32);
                        (threshold != NEVER).then_some(id)
                    };
                    let [even, odd] = [0, 1].map(|level| id(level).unwrap_or(never));
                    self.splits.push(even | odd << shift);
                }
            }
        }
    }
}

/// Whether each split of oblivious trees is a border of its lane.
fn all_are_borders(view: &View<'_>) -> bool {
    let is_border = |(lane, threshold): (&u8, &u8)| {
        let lane = view.lanes.get(usize::from(*lane));
        *threshold == NEVER || lane.is_some_and(|lane| *threshold < lane.borders)
    };
    let all = |level: &LevelRecord| level.lanes.iter().zip(&level.thresholds).all(is_border);
    view.levels.iter().all(all)
}

/// Words of a tree of so many levels.
pub(super) fn words(levels: u32) -> usize {
    levels.div_ceil(2) as usize
}

/// Bits of an id where there are so many: kernels have arrays of 2^11, 2^12 and 2^13 bytes.
pub(super) fn id_bits(count: usize) -> u32 {
    match count {
        0..=2_048 => 11,
        2_049..=4_096 => 12,
        _ => 13,
    }
}
