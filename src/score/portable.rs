//! The reference kernel: plain Rust for every machine and every table.

use super::bound::Bound;
use crate::limits::{FEATURES_MAX, TREE_DEPTH_MAX};
use crate::row::Row;
use crate::table::View;
use crate::table::ensemble::ZERO_MAX;
use crate::table::format::{
    BLOCK_TREES, GROUP_LANES, LaneRecord, LevelRecord, MISSING_LEFT, NEVER, NodeRecord, OWN_BIN,
    TreeRecord,
};

/// A binarised row: one bin a lane.
pub(super) type Bins = [u8; FEATURES_MAX];

/// Trees of any shape that are walked side by side, to hide the latency of each step.
const WALKS: usize = 8;

/// A row's margin, fixed point.
pub(super) fn margin(bound: &Bound, row: &Row) -> i64 {
    let view = bound.view();
    let bins = binarise(view, bound.lane_positions(), row);
    view.bias
        .wrapping_add(oblivious(view, &bins))
        .wrapping_add(any(bound, &bins))
}

/// Counts, for each lane, the borders below its value.
pub(super) fn binarise(view: &View<'_>, positions: &[u8; FEATURES_MAX], row: &Row) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let lanes = view.lanes.chunks_exact(GROUP_LANES);
    let places = positions
        .chunks_exact(GROUP_LANES)
        .zip(bins.chunks_exact_mut(GROUP_LANES));
    for ((group, lanes), (positions, bins)) in view.groups.iter().zip(lanes).zip(places) {
        let mut values = [0.0; GROUP_LANES];
        for (value, position) in values.iter_mut().zip(positions) {
            *value = row.get(*position);
        }
        // T4 holds the range within the section; an empty slice never comes.
        let end = group.start.wrapping_add(group.ranks) as usize;
        let ranks = view
            .borders
            .get(group.start as usize..end)
            .unwrap_or_default();
        // Counted in f32: the compiler narrows integer counts to bytes, and then no vector
        // holds both them and the comparison.
        let mut counts = [0f32; GROUP_LANES];
        for rank in ranks {
            for ((count, value), border) in counts.iter_mut().zip(&values).zip(rank) {
                *count += if value > border { 1.0 } else { 0.0 };
            }
        }
        for (((bin, lane), value), count) in bins.iter_mut().zip(lanes).zip(values).zip(counts) {
            *bin = if is_missing(lane, value) {
                lane.missing_bin
            } else {
                count as u8
            };
        }
    }
    bins
}

/// A lane's bin: one byte indexes 256, so that the check is gone from the machine code.
#[inline]
fn bin(bins: &Bins, lane: u8) -> u8 {
    bins.get(usize::from(lane)).copied().unwrap_or_default()
}

#[inline]
fn is_missing(lane: &LaneRecord, value: f32) -> bool {
    value.is_nan() | ((lane.zero_is_missing != 0) & (value.abs() <= ZERO_MAX))
}

/// The sum of the oblivious trees' leaves.
pub(super) fn oblivious(view: &View<'_>, bins: &Bins) -> i64 {
    let mut sum = 0i64;
    let starts = view.leaf_starts.chunks_exact(BLOCK_TREES);
    for (block, starts) in view.blocks.iter().zip(starts) {
        let end = block.start.wrapping_add(block.levels) as usize;
        // T5 holds the range within the section.
        let levels = view
            .levels
            .get(block.start as usize..end)
            .unwrap_or_default();
        let (low, high) = levels.split_at_checked(8).unwrap_or((levels, &[]));
        let (low, high) = (index_bytes(low, bins), index_bytes(high, bins));
        for (start, (low, high)) in starts.iter().zip(low.into_iter().zip(high)) {
            let index = u32::from(u16::from_le_bytes([low, high]));
            let at = start.wrapping_add(index) as usize;
            // T6 holds the index within the section.
            sum = sum.wrapping_add(i64::from(view.leaves.get(at).copied().unwrap_or_default()));
        }
    }
    sum
}

/// Eight bits of the leaf indices of 64 trees.
#[inline]
fn index_bytes(levels: &[LevelRecord], bins: &Bins) -> [u8; BLOCK_TREES] {
    let mut indexes = [0u8; BLOCK_TREES];
    let mut bit = 1u8;
    for level in levels {
        let mut found = [0u8; BLOCK_TREES];
        for (found, lane) in found.iter_mut().zip(&level.lanes) {
            *found = bin(bins, *lane);
        }
        for ((index, bin), threshold) in indexes.iter_mut().zip(found).zip(&level.thresholds) {
            *index |= if bin > *threshold { bit } else { 0 };
        }
        bit <<= 1;
    }
    indexes
}

/// The sum of the leaves of trees of any shape.
#[inline]
pub(super) fn any(bound: &Bound, bins: &Bins) -> i64 {
    let view = bound.view();
    let plain = view.trees.get(..bound.plain_trees()).unwrap_or_default();
    let special = view.trees.get(bound.plain_trees()..).unwrap_or_default();
    walk::<false>(view, plain, bins).wrapping_add(walk::<true>(view, special, bins))
}

/// The sum of the leaves of some of them, special ones or not. Trees of a kind stand deepest
/// first, so that eight neighbours are about equally deep; a walk that has arrived at its leaf
/// stays there.
#[inline]
pub(super) fn walk<const SPECIAL: bool>(view: &View<'_>, trees: &[TreeRecord], bins: &Bins) -> i64 {
    let mut sum = 0i64;
    for trees in trees.chunks(WALKS) {
        let mut at = [0u16; WALKS];
        let depth = trees.first().map_or(0, |tree| tree.depth);
        for _ in 0..depth {
            for (at, tree) in at.iter_mut().zip(trees) {
                // T7 holds the index within the section.
                let node = tree.start.wrapping_add(u32::from(*at)) as usize;
                if let Some(node) = view.nodes.get(node) {
                    let right = goes_right::<SPECIAL>(view, node, bins);
                    *at = node.child.wrapping_add(u16::from(right));
                }
            }
        }
        for (at, tree) in at.iter().zip(trees) {
            let node = tree.start.wrapping_add(u32::from(*at)) as usize;
            let value = view.nodes.get(node).map_or(0, |node| node.value);
            sum = sum.wrapping_add(i64::from(value));
        }
    }
    sum
}

/// Whether a row goes right at a node; never in a leaf.
#[inline]
fn goes_right<const SPECIAL: bool>(view: &View<'_>, node: &NodeRecord, bins: &Bins) -> bool {
    let bin = bin(bins, node.lane);
    let above = bin > node.threshold;
    if !SPECIAL {
        return above;
    }
    if node.is_special() & (node.value > 0) {
        let at = (node.value as usize).wrapping_sub(1);
        // T7 holds the set within the section.
        return view.sets.get(at).is_some_and(|set| is_in(set, bin));
    }
    above & ((node.value != MISSING_LEFT) | (bin != OWN_BIN))
}

/// Whether a set has a bin.
#[inline]
pub(super) fn is_in(set: &[u64; 4], bin: u8) -> bool {
    let word = set.get(usize::from(bin >> 6)).copied().unwrap_or_default();
    (word >> (bin & 63)) & 1 == 1
}

/// The leaf index of the oblivious tree in one slot of one block.
pub(super) fn oblivious_index(view: &View<'_>, slot: usize, bins: &Bins) -> u32 {
    let Some(block) = view.blocks.get(slot / BLOCK_TREES) else {
        return 0;
    };
    let end = block.start.wrapping_add(block.levels) as usize;
    let levels = view
        .levels
        .get(block.start as usize..end)
        .unwrap_or_default();
    let mut index = 0u32;
    for (bit, level) in (0u32..).zip(levels) {
        let lane = level
            .lanes
            .get(slot % BLOCK_TREES)
            .copied()
            .unwrap_or_default();
        let threshold = level
            .thresholds
            .get(slot % BLOCK_TREES)
            .copied()
            .unwrap_or(NEVER);
        index |= u32::from(self::bin(bins, lane) > threshold).wrapping_shl(bit);
    }
    index
}

/// The position of the leaf that a row reaches in one tree of any shape.
pub(super) fn any_node(view: &View<'_>, nodes: &[NodeRecord], bins: &Bins) -> u16 {
    let mut at = 0u16;
    for _ in 0..TREE_DEPTH_MAX {
        if let Some(node) = nodes.get(usize::from(at)) {
            let right = goes_right::<true>(view, node, bins);
            at = node.child.wrapping_add(u16::from(right));
        }
    }
    at
}
