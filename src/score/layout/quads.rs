//! Trees of any shape for narrow registers: the predicate words of four trees at a time.
//!
//! A lookup passes over all groups of lanes from a register's lowest to its highest one, so it pays
//! to have neighbouring lanes in one register. A tree's splits are sorted by lane and cut in four
//! **octets**. Four trees share four registers: the first register has their first octets, and so
//! on. A register's lookup gives four bytes, one of each tree's predicate word.

use super::predicate_words::Paths;
use super::spans::Span;
use super::{push, put};
use crate::table::View;
use crate::table::format::{GROUP_LANES, NEVER, NodeRecord, TreeRecord};

/// The most splits of a tree that is laid out so. The highest bit of a word belongs to none.
const SPLITS_MAX: usize = 31;

/// The fewest splits on the way to a tree's deepest leaf: walks are faster below. A walk takes
/// about as long at seven (benches/kernels.rs).
const DEPTH_MIN: u32 = 7;

/// The most trees of a [`Quads`]: its words are on the stack.
pub const QUADS_TREES: usize = 512;

/// Trees that share registers.
const TREES: usize = 4;

/// Splits of one tree in one register.
const OCTET: usize = 8;

/// Groups of a row, and one: no register has none.
const GROUPS: usize = 17;

/// Up to [`QUADS_TREES`] trees, in fours.
#[derive(Debug)]
pub struct Quads {
    /// By the number of groups that they look up: a loop for each number has no branch to guess.
    pub registers: Vec<Register>,
    /// Where the registers of each number of groups end.
    pub ends: [usize; GROUPS],
    /// The trees, padded to fours. `values` are in the order in which packing of four registers
    /// leaves their elements.
    pub paths: Vec<Paths>,
}

/// An octet of each of four trees.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(32))]
pub struct Register {
    /// Each split's lane.
    pub lanes: [u8; 32],
    /// Each split's threshold; [`NEVER`] in padding.
    pub thresholds: [u8; 32],
    /// The groups of the lanes.
    pub span: Span,
    /// Its position in its [`Quads`] before they were sorted.
    pub place: u16,
}

/// Whether a plain tree is scored sooner by its predicate word than by a walk.
pub fn is_deep(tree: &TreeRecord) -> bool {
    tree.nodes as usize / 2 <= SPLITS_MAX && tree.depth >= DEPTH_MIN
}

/// The layout of the deep ones of plain trees; `None` if there is no memory.
pub fn quads(view: &View<'_>, trees: &[TreeRecord]) -> Option<Vec<Quads>> {
    let mut deep = Vec::new();
    for tree in trees.iter().filter(|tree| is_deep(tree)) {
        push(&mut deep, view.nodes_of(tree))?;
    }
    // Trees with similar lanes share registers.
    deep.sort_by_cached_key(|nodes| {
        let splits = nodes.iter().filter(|node| node.threshold != NEVER);
        let (sum, count) = splits.fold((0u32, 0u32), |(sum, count), node| {
            (
                sum.saturating_add(u32::from(node.lane)),
                count.saturating_add(1),
            )
        });
        sum.saturating_mul(16).checked_div(count)
    });
    let mut all = Vec::new();
    for trees in deep.chunks(QUADS_TREES) {
        push(&mut all, Quads::of(trees)?)?;
    }
    Some(all)
}

impl Quads {
    fn of(trees: &[&[NodeRecord]]) -> Option<Quads> {
        let mut quads = Quads {
            registers: Vec::new(),
            ends: [0; GROUPS],
            paths: Vec::new(),
        };
        for four in trees.chunks(TREES) {
            let none = Register {
                lanes: [0; 32],
                thresholds: [NEVER; 32],
                span: Span::default(),
                place: 0,
            };
            let mut registers = [none; TREES];
            for tree in 0..TREES {
                let nodes = four.get(tree).copied().unwrap_or_default();
                push(&mut quads.paths, add(&mut registers, tree, nodes))?;
            }
            for mut register in registers {
                register.place = quads.registers.len() as u16;
                register.close();
                push(&mut quads.registers, register)?;
            }
        }
        let groups = |register: &Register| register.span.groups();
        quads.registers.sort_by_key(groups);
        for (most, end) in quads.ends.iter_mut().enumerate() {
            *end = quads.registers.partition_point(|one| groups(one) <= most);
        }
        Some(quads)
    }
}

impl Register {
    /// Sets the span; padding looks up its first group.
    fn close(&mut self) {
        self.span = Span::of(&self.lanes, &self.thresholds);
        for (lane, threshold) in self.lanes.iter_mut().zip(&self.thresholds) {
            if *threshold == NEVER {
                *lane = self.span.first.saturating_mul(GROUP_LANES as u8);
            }
        }
    }
}

/// Writes a tree's splits to its octets of four registers, and returns the way to each leaf.
fn add(registers: &mut [Register; TREES], tree: usize, nodes: &[NodeRecord]) -> Paths {
    let mut paths = Paths::NONE;
    let split = |(at, node): (usize, &NodeRecord)| {
        (node.threshold != NEVER).then_some((node.lane, node.threshold, at))
    };
    let mut splits: Vec<_> = nodes.iter().enumerate().filter_map(split).collect();
    splits.sort_unstable();
    let mut bits = vec![0u32; nodes.len()];
    for (number, (lane, threshold, at)) in splits.iter().enumerate() {
        // The octets are about equally long, and the last one has room to spare.
        let octet = number.saturating_mul(TREES).checked_div(splits.len());
        let octet = octet.unwrap_or_default();
        let first = octet.saturating_mul(splits.len()).div_ceil(TREES);
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

/// The place of an element of four registers of eight after they are packed to bytes: packing works
/// within the halves of a register.
fn packed(element: usize) -> usize {
    let (register, element) = (element / 8, element % 8);
    let half = (element / 4).saturating_mul(16);
    let within = register.saturating_mul(4).saturating_add(element % 4);
    half.saturating_add(within)
}
