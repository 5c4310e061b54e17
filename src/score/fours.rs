//! Trees of any shape, laid out for predicate words where registers are narrow.
//!
//! A lookup passes over all groups of lanes from a register's lowest to its highest one, so it pays
//! to have lanes that stand together in one register. A tree's splits are sorted by lane and cut
//! in four **octets**; four trees share four registers, the first of which has their first octets,
//! and so on. What a register finds is four bytes, one of each tree's predicate word.
//!
//! The layout is derived from a validated table when it is bound, on the control plane.

use super::predicates::Span;
use super::words::{Paths, push};
use crate::table::format::{GROUP_LANES, NEVER, NodeRecord};

/// Splits of a tree that is laid out so, at most. The highest bit of a word is of none of them.
pub(super) const SPLITS: usize = 31;

/// Splits on the way to a tree's deepest leaf, at least: others are walked faster. Walking takes
/// about as long as this at seven (benches/kernels.rs).
pub(super) const DEPTH_MIN: u32 = 7;

/// Trees of a part: its words lie on the stack.
pub(super) const PART: usize = 512;

/// Trees that share registers.
const FOUR: usize = 4;

/// Splits of one tree in one register.
const OCTET: usize = 8;

/// Up to [`PART`] trees.
#[derive(Debug)]
pub(super) struct Part {
    /// By the number of groups that they look up: a loop for each number has no branch to guess.
    pub(super) registers: Vec<Register>,
    /// Where the registers of so many groups end.
    pub(super) ends: [usize; GROUPS],
    /// The trees, filled up to four; `values` stand in the order in which packing of four registers
    /// leaves their elements.
    pub(super) paths: Vec<Paths>,
}

/// Groups of a row, and one: no register has none.
const GROUPS: usize = 17;

/// An octet of each of four trees.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Register {
    /// Each split's lane.
    pub(super) lanes: [u8; 32],
    /// Each split's threshold; [`NEVER`] in padding.
    pub(super) thresholds: [u8; 32],
    /// The groups of the lanes.
    pub(super) span: Span,
    /// Which register of its part it is.
    pub(super) place: u16,
}

/// The layout of trees of at most [`SPLITS`] splits; none where there is no memory for it.
pub(super) fn parts(mut trees: Vec<&[NodeRecord]>) -> Option<Vec<Part>> {
    // Trees with like lanes share registers.
    trees.sort_by_cached_key(|nodes| {
        let splits = nodes.iter().filter(|node| node.threshold != NEVER);
        let (sum, count) = splits.fold((0u32, 0u32), |(sum, count), node| {
            (
                sum.saturating_add(u32::from(node.lane)),
                count.saturating_add(1),
            )
        });
        sum.saturating_mul(16).checked_div(count)
    });
    let mut parts = Vec::new();
    for trees in trees.chunks(PART) {
        push(&mut parts, Part::of(trees)?)?;
    }
    Some(parts)
}

impl Part {
    fn of(trees: &[&[NodeRecord]]) -> Option<Part> {
        let mut part = Part {
            registers: Vec::new(),
            ends: [0; GROUPS],
            paths: Vec::new(),
        };
        for four in trees.chunks(FOUR) {
            let none = Register {
                lanes: [0; 32],
                thresholds: [NEVER; 32],
                span: Span { first: 0, end: 0 },
                place: 0,
            };
            let mut registers = [none; FOUR];
            for tree in 0..FOUR {
                let nodes = four.get(tree).copied().unwrap_or_default();
                push(&mut part.paths, add(&mut registers, tree, nodes))?;
            }
            for mut register in registers {
                register.place = part.registers.len() as u16;
                register.close();
                push(&mut part.registers, register)?;
            }
        }
        part.registers.sort_by_key(|register| register.groups());
        for (groups, end) in part.ends.iter_mut().enumerate() {
            *end = part.registers.partition_point(|one| one.groups() <= groups);
        }
        Some(part)
    }
}

impl Register {
    /// Says which groups it looks up; padding is in one of them.
    fn close(&mut self) {
        let splits = self.lanes.iter().zip(&self.thresholds);
        let used = splits.filter(|(_, threshold)| **threshold != NEVER);
        let groups = used.map(|(lane, _)| lane >> GROUP_LANES.trailing_zeros());
        let first = groups.clone().min().unwrap_or_default();
        let end = groups.max().unwrap_or(first).saturating_add(1);
        self.span = Span { first, end };
        for (lane, threshold) in self.lanes.iter_mut().zip(&self.thresholds) {
            if *threshold == NEVER {
                *lane = first.saturating_mul(GROUP_LANES as u8);
            }
        }
    }

    fn groups(&self) -> usize {
        usize::from(self.span.end.saturating_sub(self.span.first))
    }
}

/// Puts a tree's splits into its octets of four registers, and says which lead to each leaf.
fn add(registers: &mut [Register; FOUR], tree: usize, nodes: &[NodeRecord]) -> Paths {
    // No word leads to a leaf that is not there.
    let mut paths = Paths {
        masks: [1 << 31; 32],
        bits: [1 << 31; 32],
        values: [0; 32],
    };
    let split = |(at, node): (usize, &NodeRecord)| {
        (node.threshold != NEVER).then_some((node.lane, node.threshold, at))
    };
    let mut splits: Vec<_> = nodes.iter().enumerate().filter_map(split).collect();
    splits.sort_unstable();
    let mut bits = vec![0u32; nodes.len()];
    for (number, (lane, threshold, at)) in splits.iter().enumerate() {
        // The octets are about equally long, and the last one has room to spare.
        let octet = number.saturating_mul(FOUR).checked_div(splits.len());
        let octet = octet.unwrap_or_default();
        let first = octet.saturating_mul(splits.len()).div_ceil(FOUR);
        let bit = number.saturating_sub(first);
        if let Some(register) = registers.get_mut(octet) {
            let slot = tree.saturating_mul(OCTET).saturating_add(bit);
            put(&mut register.lanes, slot, *lane);
            put(&mut register.thresholds, slot, *threshold);
        }
        let bit = octet.saturating_mul(OCTET).saturating_add(bit);
        put(&mut bits, *at, 1u32.wrapping_shl(bit as u32));
    }
    let mut ways = vec![(0u32, 0u32); nodes.len()];
    let mut leaf = 0usize;
    for (at, node) in nodes.iter().enumerate() {
        let (mask, right) = ways.get(at).copied().unwrap_or_default();
        if node.threshold == NEVER {
            put(&mut paths.masks, leaf, mask);
            put(&mut paths.bits, leaf, right);
            put(&mut paths.values, packed(leaf), node.value);
            leaf = leaf.saturating_add(1);
            continue;
        }
        let own = bits.get(at).copied().unwrap_or_default();
        let child = usize::from(node.child);
        put(&mut ways, child, (mask | own, right));
        put(
            &mut ways,
            child.saturating_add(1),
            (mask | own, right | own),
        );
    }
    paths
}

/// Where an element of four registers of eight stands after they are packed to bytes: packing works
/// within the halves of a register.
fn packed(element: usize) -> usize {
    let (register, element) = (element / 8, element % 8);
    let half = (element / 4).saturating_mul(16);
    let within = register.saturating_mul(4).saturating_add(element % 4);
    half.saturating_add(within)
}

fn put<T>(values: &mut [T], at: usize, value: T) {
    if let Some(place) = values.get_mut(at) {
        *place = value;
    }
}
