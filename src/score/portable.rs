//! The reference kernel: plain Rust for every machine and every table.

use super::predicates::{PREDICATES_MAX, words};
use super::prepared::PreparedTable;
use super::walks;
use crate::limits::{FEATURES_MAX, TREE_DEPTH_MAX};
use crate::row::Row;
use crate::table::View;
use crate::table::format::{
    BLOCK_TREES, GROUP_LANES, LevelRecord, MISSING_LEFT, NEVER, NodeRecord, OWN_BIN, TreeRecord,
};

/// A binarised row: one bin a lane.
pub(super) type Bins = [u8; FEATURES_MAX];

/// Trees of any shape that are walked side by side, to hide the latency of each step.
const WALKS: usize = 8;

/// A row's margin, fixed point.
pub(super) fn margin(prepared: &PreparedTable, row: &Row) -> i64 {
    let view = prepared.view();
    let by_predicates = match prepared.predicates().count {
        0 => None,
        1..=2_048 => Some(oblivious_by_predicates::<2_048>(prepared, row)),
        2_049..=4_096 => Some(oblivious_by_predicates::<4_096>(prepared, row)),
        _ => Some(oblivious_by_predicates::<PREDICATES_MAX>(prepared, row)),
    };
    if let (Some(sum), []) = (by_predicates, view.trees) {
        return view.bias.wrapping_add(sum);
    }
    let bins = binarise(prepared, row);
    let oblivious = by_predicates.unwrap_or_else(|| oblivious(view, &bins));
    view.bias
        .wrapping_add(oblivious)
        .wrapping_add(any(prepared, &bins))
}

/// Counts, for each lane, the borders below its value.
pub(super) fn binarise(prepared: &PreparedTable, row: &Row) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let groups = bins.as_chunks_mut::<GROUP_LANES>().0.iter_mut();
    let missing = prepared
        .predicates()
        .missing_bins
        .as_chunks::<GROUP_LANES>();
    for ((bins, missing), group) in groups.zip(missing.0).zip(groups_of(prepared, row)) {
        let (values, present, ranks) = group;
        // Counted in f32: the compiler narrows integer counts to bytes, and then no vector
        // holds both them and the comparison.
        let mut counts = [0f32; GROUP_LANES];
        for rank in ranks {
            for ((count, value), border) in counts.iter_mut().zip(&values).zip(rank) {
                *count += if value > border { 1.0 } else { 0.0 };
            }
        }
        for (((bin, count), present), missing) in
            bins.iter_mut().zip(counts).zip(present).zip(missing)
        {
            // 2^23 and above, floats are as far apart as integers: the count stands in the lowest
            // bits. A conversion would be done one by one.
            let count = (count + 8_388_608.0).to_bits();
            *bin = ((count & present) | (u32::from(*missing) & !present)) as u8;
        }
    }
    bins
}

/// For each group of lanes: their values, with what stands for a missing one; which are there (all
/// bits, or none); and their ranks.
#[inline(always)]
fn groups_of<'a>(
    prepared: &'a PreparedTable,
    row: &'a Row,
) -> impl Iterator<
    Item = (
        [f32; GROUP_LANES],
        [u32; GROUP_LANES],
        &'a [[f32; GROUP_LANES]],
    ),
> {
    let (view, layout) = (prepared.view(), prepared.predicates());
    let positions = prepared
        .lane_positions()
        .as_chunks::<GROUP_LANES>()
        .0
        .iter();
    let zero_max = layout.zero_max.as_chunks::<GROUP_LANES>().0.iter();
    let substitutes = layout.substitutes.as_chunks::<GROUP_LANES>().0.iter();
    let places = positions.zip(zero_max.zip(substitutes));
    let groups = view.groups.iter().zip(places);
    groups.map(move |(group, (positions, (zero_max, substitutes)))| {
        let mut values = [0.0; GROUP_LANES];
        for (value, position) in values.iter_mut().zip(positions) {
            *value = row.get(*position);
        }
        let mut present = [0; GROUP_LANES];
        let fill = values.iter_mut().zip(&mut present);
        for (((value, present), zero_max), substitute) in fill.zip(zero_max).zip(substitutes) {
            // NaN is above nothing. In bits: the compiler makes branches of floats.
            *present = u32::from(value.abs() > *zero_max).wrapping_neg();
            let bits = (value.to_bits() & *present) | (substitute.to_bits() & !*present);
            *value = f32::from_bits(bits);
        }
        // T4 holds the range within the section; an empty slice never comes.
        let end = group.start.wrapping_add(group.ranks) as usize;
        let ranks = view.borders.get(group.start as usize..end);
        (values, present, ranks.unwrap_or_default())
    })
}

/// A lane's bin: one byte indexes 256, so that the check is gone from the machine code.
#[inline]
fn bin(bins: &Bins, lane: u8) -> u8 {
    bins.get(usize::from(lane)).copied().unwrap_or_default()
}

/// The sum of the oblivious trees' leaves, split by split a predicate of the row.
#[inline(never)]
fn oblivious_by_predicates<const SIZE: usize>(prepared: &PreparedTable, row: &Row) -> i64 {
    let view = prepared.view();
    let layout = prepared.predicates();
    let mut predicates = [0; SIZE];
    decide(prepared, row, &mut predicates);
    let mut sum = 0i64;
    let mut splits = layout.splits.as_slice();
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (block, starts) in view.blocks.iter().zip(starts) {
        let words = words(block.levels);
        let (own, after) = splits
            .split_at_checked(words.wrapping_mul(BLOCK_TREES))
            .unwrap_or((splits, &[]));
        splits = after;
        let leaves = match words {
            0 => roots(view, starts),
            1 => block_leaves::<1, SIZE>(view, own, starts, &predicates),
            2 => block_leaves::<2, SIZE>(view, own, starts, &predicates),
            3 => block_leaves::<3, SIZE>(view, own, starts, &predicates),
            4 => block_leaves::<4, SIZE>(view, own, starts, &predicates),
            5 => block_leaves::<5, SIZE>(view, own, starts, &predicates),
            6 => block_leaves::<6, SIZE>(view, own, starts, &predicates),
            7 => block_leaves::<7, SIZE>(view, own, starts, &predicates),
            _ => block_leaves::<8, SIZE>(view, own, starts, &predicates),
        };
        sum = sum.wrapping_add(leaves);
    }
    sum
}

/// Compares the row with every border; the last predicate stays 0.
#[inline]
fn decide<const SIZE: usize>(prepared: &PreparedTable, row: &Row, predicates: &mut [u8; SIZE]) {
    let mut to = predicates.as_chunks_mut::<GROUP_LANES>().0.iter_mut();
    for (values, _, ranks) in groups_of(prepared, row) {
        for (rank, to) in ranks.iter().zip(&mut to) {
            for ((to, value), border) in to.iter_mut().zip(&values).zip(rank) {
                *to = u8::from(value > border);
            }
        }
    }
}

/// The sum of the leaves of 64 trees without a split.
fn roots(view: &View<'_>, starts: &[u32; BLOCK_TREES]) -> i64 {
    let leaves = starts
        .iter()
        .filter_map(|start| view.leaves.get(*start as usize));
    leaves.fold(0, |sum, leaf| sum.wrapping_add(i64::from(*leaf)))
}

/// The sum of the leaves of 64 trees of `WORDS` words each.
#[inline]
fn block_leaves<const WORDS: usize, const SIZE: usize>(
    view: &View<'_>,
    splits: &[u32],
    starts: &[u32; BLOCK_TREES],
    predicates: &[u8; SIZE],
) -> i64 {
    // An id has as many bits as there are predicates: no check is left in the machine code.
    let shift = const { u32::BITS - SIZE.ilog2() };
    let mask = const { SIZE - 1 };
    let decided = |id: usize| u32::from(predicates.get(id).copied().unwrap_or_default());
    let mut sum = 0i64;
    for (words, start) in splits.as_chunks::<WORDS>().0.iter().zip(starts) {
        let mut index = 0u32;
        for word in words.iter().rev() {
            let odd = decided((word >> shift) as usize);
            let even = decided(*word as usize & mask);
            let pair = even.wrapping_add(odd << 1);
            index = pair.wrapping_add(index << 2);
        }
        // T6 holds the index within the section.
        let at = start.wrapping_add(index) as usize;
        sum = sum.wrapping_add(i64::from(view.leaves.get(at).copied().unwrap_or_default()));
    }
    sum
}

/// The sum of the oblivious trees' leaves, by bins.
fn oblivious(view: &View<'_>, bins: &Bins) -> i64 {
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
fn any(prepared: &PreparedTable, bins: &Bins) -> i64 {
    let deep = prepared.words().plain.deep.sum(bins);
    any_but_deep(prepared, bins).wrapping_add(deep)
}

/// The sum of the leaves of trees of any shape, but for plain ones of few splits and many levels.
#[inline]
pub(super) fn any_but_deep(prepared: &PreparedTable, bins: &Bins) -> i64 {
    let view = prepared.view();
    let plain = &prepared.words().plain;
    let special = view.trees.get(prepared.plain_trees()..).unwrap_or_default();
    walks::complete(&plain.complete, bins)
        .wrapping_add(plain.walks.sum(bins))
        .wrapping_add(walk::<false>(view, &plain.unwalked, bins))
        .wrapping_add(walk::<true>(view, special, bins))
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
pub(super) fn goes_right<const SPECIAL: bool>(
    view: &View<'_>,
    node: &NodeRecord,
    bins: &Bins,
) -> bool {
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
