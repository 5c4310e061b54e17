//! Splits of oblivious trees as bytes of the row's predicates.
//!
//! A **predicate** is a border that a value exceeds or not: 0 or 1 in a byte, in the order of the
//! border section, sixteen per rank. A kernel compares the row with every border once, stores the
//! results, and looks up a leaf index bit by bit, without a comparison per split.

use crate::table::View;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LevelRecord, NEVER};

/// The most predicates of a row that this layout serves: they are on the stack, are cleared for
/// each row, and should stay in the first cache. Tables with more are scored by bins.
pub const PREDICATES_MAX: usize = 8_192;

/// The splits of oblivious trees.
#[derive(Debug, Default)]
pub struct Predicates {
    /// The number of a row's predicates, and one more that never holds; 0 if that is more than
    /// [`PREDICATES_MAX`].
    pub count: usize,
    /// The splits of each tree, lowest level first, two per word: the even level's in the lowest
    /// bits, the odd level's in the highest, each in [`id_bits`] bits. Every tree of a block has
    /// as many words as the deepest.
    pub splits: Vec<u32>,
}

impl Predicates {
    /// The layout of a table's oblivious trees; `None` if there is no memory.
    pub fn of(view: &View<'_>) -> Option<Predicates> {
        let mut predicates = Predicates::default();
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

    fn add_splits(&mut self, view: &View<'_>) {
        let never = self.count.saturating_sub(1) as u32;
        let shift = u32::BITS.saturating_sub(id_bits(self.count));
        for block in view.blocks {
            let levels = view.levels_of(block);
            for tree in 0..BLOCK_TREES {
                for pair in levels.chunks(2) {
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

/// The number of words of a tree with `levels` levels.
pub fn words(levels: u32) -> usize {
    levels.div_ceil(2) as usize
}

/// Bits of an id among `count` predicates: kernels have arrays of 2^11, 2^12 and 2^13 bytes.
fn id_bits(count: usize) -> u32 {
    match count {
        0..=2_048 => 11,
        2_049..=4_096 => 12,
        _ => 13,
    }
}
