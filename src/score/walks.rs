//! Trees of any shape, laid out to be walked: a step is two lookups and a comparison.
//!
//! The layout is derived from a validated table when it is bound. Nodes are numbered within their
//! tree, and their fields stand in arrays of their own, so that a step loads a lane and a bin,
//! compares with a threshold and adds the outcome to a child's number. What is in the arrays cannot
//! lead a kernel out of them.

use super::portable::Bins;
use super::words::{Complete, push};
use crate::table::format::NodeRecord;

/// Trees that are walked side by side, to hide the latency of each step.
const WALKS: usize = 8;

/// Trees by their number of nodes, deepest first.
#[derive(Debug, Default)]
pub(super) struct Walks {
    narrow: Vec<Walk<64>>,
    wide: Vec<Walk<128>>,
    widest: Vec<Walk<256>>,
}

/// Nodes of a tree that is laid out so, at most: their numbers are bytes.
pub(super) const NODES: usize = 256;

/// A tree of up to so many nodes, as the table numbers them.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
struct Walk<const SIZE: usize> {
    lanes: [u8; SIZE],
    thresholds: [u8; SIZE],
    /// The left child, or a leaf's own number.
    children: [u8; SIZE],
    values: [i32; SIZE],
    depth: u32,
}

impl Walks {
    /// Adds a tree without marks and sets, of at most [`NODES`] nodes; none where there is no
    /// memory.
    pub(super) fn add(&mut self, nodes: &[NodeRecord], depth: u32) -> Option<()> {
        match nodes.len() {
            0..=64 => push(&mut self.narrow, Walk::of(nodes, depth)),
            65..=128 => push(&mut self.wide, Walk::of(nodes, depth)),
            _ => push(&mut self.widest, Walk::of(nodes, depth)),
        }
    }

    /// The sum of the trees' leaves.
    #[inline]
    pub(super) fn sum(&self, bins: &Bins) -> i64 {
        let narrow = sum_of(&self.narrow, bins);
        let wide = sum_of(&self.wide, bins);
        let widest = sum_of(&self.widest, bins);
        narrow.wrapping_add(wide).wrapping_add(widest)
    }
}

impl<const SIZE: usize> Walk<SIZE> {
    fn of(nodes: &[NodeRecord], depth: u32) -> Walk<SIZE> {
        let mut walk = Walk {
            lanes: [0; SIZE],
            thresholds: [0; SIZE],
            children: [0; SIZE],
            values: [0; SIZE],
            depth,
        };
        let splits = walk.lanes.iter_mut().zip(&mut walk.thresholds);
        let places = splits.zip(walk.children.iter_mut().zip(&mut walk.values));
        for (((lane, threshold), (child, value)), node) in places.zip(nodes) {
            (*lane, *threshold) = (node.lane, node.threshold);
            (*child, *value) = (node.child as u8, node.value);
        }
        walk
    }
}

/// The sum of the leaves of trees of one size.
fn sum_of<const SIZE: usize>(trees: &[Walk<SIZE>], bins: &Bins) -> i64 {
    let (eights, last) = trees.as_chunks::<WALKS>();
    let eights = eights.iter().map(|trees| walk(trees, bins));
    let last = last.as_chunks::<1>().0.iter().map(|tree| walk(tree, bins));
    eights.chain(last).fold(0, i64::wrapping_add)
}

/// The sum of the leaves of trees side by side. A leaf's child is itself, and no bin is above its
/// threshold: a walk that has arrived stays.
#[inline(always)]
fn walk<const SIZE: usize, const COUNT: usize>(trees: &[Walk<SIZE>; COUNT], bins: &Bins) -> i64 {
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
pub(super) fn complete(trees: &[Complete], bins: &Bins) -> i64 {
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
