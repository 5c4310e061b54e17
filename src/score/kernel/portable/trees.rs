//! Trees of any shape in plain Rust, one row.

use super::bins::bin;
use crate::score::layout::{Bins, Complete, NodeArrays, Prepared};
use crate::table::View;
use crate::table::format::{MISSING_LEFT, NodeRecord, OWN_BIN, TreeRecord};

/// Trees that are walked together, to hide the latency of each step.
const WALKS: usize = 8;

/// The sum of the leaves of the trees that have a [`NodeWalk`](crate::score::layout::NodeWalk), and
/// of all special ones.
#[inline]
pub fn sum(prepared: &Prepared, bins: &Bins) -> i64 {
    let (view, plain) = (prepared.view(), &prepared.layouts().node_walk);
    sum_of_complete(&plain.complete, bins)
        .wrapping_add(sum_of_arrays(&plain.narrow, bins))
        .wrapping_add(sum_of_arrays(&plain.wide, bins))
        .wrapping_add(sum_of_arrays(&plain.widest, bins))
        .wrapping_add(walk::<false>(view, &plain.unwalked, bins))
        .wrapping_add(walk::<true>(view, prepared.special_trees(), bins))
}

/// The sum of the leaves of trees as the table has them, special ones or not. They are sorted
/// deepest first, so that eight neighbours are about equally deep. A walk that has reached its
/// leaf stays there.
#[inline]
pub fn walk<const SPECIAL: bool>(view: &View<'_>, trees: &[TreeRecord], bins: &Bins) -> i64 {
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

/// Returns `true` if a row goes right at a node; never in a leaf.
#[inline]
pub fn goes_right<const SPECIAL: bool>(view: &View<'_>, node: &NodeRecord, bins: &Bins) -> bool {
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

/// Returns `true` if a set has a bin.
#[inline]
pub fn is_in(set: &[u64; 4], bin: u8) -> bool {
    let word = set.get(usize::from(bin >> 6)).copied().unwrap_or_default();
    (word >> (bin & 63)) & 1 == 1
}

/// The sum of the leaves of trees of one size.
fn sum_of_arrays<const SIZE: usize>(trees: &[NodeArrays<SIZE>], bins: &Bins) -> i64 {
    let (eights, last) = trees.as_chunks::<WALKS>();
    let eights = eights.iter().map(|trees| walk_arrays(trees, bins));
    let last = last
        .as_chunks::<1>()
        .0
        .iter()
        .map(|tree| walk_arrays(tree, bins));
    eights.chain(last).fold(0, i64::wrapping_add)
}

/// The sum of the leaves of trees that are walked together. A leaf's child is itself, and no bin
/// is above its threshold: a walk that has reached it stays.
#[inline(always)]
fn walk_arrays<const SIZE: usize, const COUNT: usize>(
    trees: &[NodeArrays<SIZE>; COUNT],
    bins: &Bins,
) -> i64 {
    // A power of two: a number that is cut to its bits needs no check.
    let mask = const { SIZE - 1 };
    let mut at = [0usize; COUNT];
    for _ in 0..trees.first().map_or(0, |tree| tree.depth) {
        for (at, tree) in at.iter_mut().zip(trees) {
            let own = *at & mask;
            let lane = tree.lanes.get(own).copied().unwrap_or_default();
            let threshold = tree.thresholds.get(own).copied().unwrap_or_default();
            let child = tree.children.get(own).copied().unwrap_or_default();
            let bin = bins.get(usize::from(lane)).copied().unwrap_or_default();
            *at = usize::from(child).wrapping_add(usize::from(bin > threshold));
        }
    }
    let values = at.iter().zip(trees).map(|(at, tree)| {
        let value = tree.values.get(at & mask).copied();
        i64::from(value.unwrap_or_default())
    });
    values.fold(0, i64::wrapping_add)
}

/// The sum of the leaves of complete trees, whose children need no numbers.
fn sum_of_complete(trees: &[Complete], bins: &Bins) -> i64 {
    let (eights, last) = trees.as_chunks::<WALKS>();
    let eights = eights.iter().map(|trees| walk_complete(trees, bins));
    let last = last.as_chunks::<1>().0.iter();
    let last = last.map(|tree| walk_complete(tree, bins));
    eights.chain(last).fold(0, i64::wrapping_add)
}

#[inline(always)]
fn walk_complete<const COUNT: usize>(trees: &[Complete; COUNT], bins: &Bins) -> i64 {
    let mut at = [1usize; COUNT];
    for _ in 0..6 {
        for (at, tree) in at.iter_mut().zip(trees) {
            let own = *at & 63;
            let lane = tree.splits.lanes.get(own).copied().unwrap_or_default();
            let threshold = tree.splits.thresholds.get(own).copied();
            let bin = bins.get(usize::from(lane)).copied().unwrap_or_default();
            let right = bin > threshold.unwrap_or_default();
            *at = at.wrapping_add(*at).wrapping_add(usize::from(right));
        }
    }
    // Six steps from 1 end at 64 to 127: leaf `l` is 64 + l.
    let values = at.iter().zip(trees).map(|(at, tree)| {
        let value = tree.values.get(at & 63).copied();
        i64::from(value.unwrap_or_default())
    });
    values.fold(0, i64::wrapping_add)
}
