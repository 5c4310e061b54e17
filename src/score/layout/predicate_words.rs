//! Trees of any shape for wide registers: all splits of a tree are decided at once.
//!
//! A tree's splits give one bit each: its **predicate word**. The word determines the leaf without
//! another access to the row.

use super::{push, put};
use crate::table::View;
use crate::table::format::{MISSING_LEFT, NEVER, NodeRecord, TreeRecord};

/// Trees of up to 63 splits, by size. Trees with more have no words: they are in
/// [`Partition::rest`](super::Partition::rest).
#[derive(Debug, Default)]
pub struct PredicateWords {
    /// Trees of up to 31 splits, two to a record.
    pub pairs: Vec<Pair>,
    /// Trees of 32 to 63 splits on up to six levels, as if they were complete.
    pub complete: Vec<Complete>,
    /// Other trees of 32 to 63 splits.
    pub wide: Vec<Wide>,
    /// The marks and sets of each pair's splits; no bits in plain trees, as in the next two.
    pub pair_marks: Vec<Marks>,
    /// Of each complete tree.
    pub complete_marks: Vec<Marks>,
    /// Of each wide tree.
    pub wide_marks: Vec<Marks>,
    /// The splits with sets.
    pub sets: Vec<SetSplit>,
}

/// The marks and sets of up to 64 splits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Marks {
    /// The splits that send missing values left, though their bin is above every threshold.
    pub lefts: u64,
    /// Where the splits with sets start in [`PredicateWords::sets`].
    pub start: u32,
    /// Where they end.
    pub end: u32,
}

/// A split with a set. In its place in [`Splits`] the threshold is [`NEVER`].
#[derive(Debug, Clone, Copy)]
pub struct SetSplit {
    /// The bins that go right.
    pub set: [u64; 4],
    /// Its bit in the predicate word.
    pub bit: u8,
    /// Its lane.
    pub lane: u8,
}

/// Up to 64 splits that are decided at once.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Splits {
    /// Each split's lane.
    pub lanes: [u8; 64],
    /// Each split's threshold; [`NEVER`] in padding.
    pub thresholds: [u8; 64],
}

/// Two trees of up to 31 splits each; the second one's splits start at 32.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Pair {
    /// The splits of both.
    pub splits: Splits,
    /// The leaves of each.
    pub trees: [Paths; 2],
}

/// The leaves of a tree, each with the splits that lead to it. A word leads to the one leaf with
/// `(word ^ bits) & mask == 0`.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Paths {
    /// The splits on the way to each leaf.
    pub masks: [u32; 32],
    /// How they decide.
    pub bits: [u32; 32],
    /// Each leaf's value.
    pub values: [i32; 32],
}

/// A tree of up to six levels: split `i` leads to `2i` and `2i + 1`, the root is split 1, and
/// leaf `l` is `64 + l`.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Complete {
    /// The splits.
    pub splits: Splits,
    /// Each leaf's value.
    pub values: [i32; 64],
}

/// A tree of up to 63 splits: split `i` leads to `children[2i]` or `children[2i + 1]`, the root
/// is split 0, and leaf `l` is `64 + l` and leads to itself.
#[derive(Debug, Clone)]
#[repr(C)]
pub struct Wide {
    /// The splits.
    pub splits: Splits,
    /// The children of each split, and of each leaf.
    pub children: [u8; 256],
    /// Each leaf's value.
    pub values: [i32; 64],
    /// Splits from the root to the deepest leaf.
    pub depth: u32,
}

impl PredicateWords {
    /// The layout of plain trees, or of special ones; `None` if there is no memory. It may take
    /// several times the memory of the table, so a table must not be able to abort the process.
    pub fn of(view: &View<'_>, trees: &[TreeRecord]) -> Option<PredicateWords> {
        let mut words = PredicateWords::default();
        let mut small = Vec::new();
        for tree in trees {
            let nodes = view.nodes_of(tree);
            let mut maker = Maker::new(view, &mut words.sets)?;
            match tree.nodes / 2 {
                0..=31 => push(&mut small, nodes)?,
                _ if Complete::fits(tree) => {
                    push(&mut words.complete, Complete::of(nodes, &mut maker))?;
                    push(&mut words.complete_marks, maker.finish())?;
                }
                32..=63 => {
                    push(&mut words.wide, Wide::of(nodes, tree.depth, &mut maker))?;
                    push(&mut words.wide_marks, maker.finish())?;
                }
                _ => {}
            }
        }
        for pair in small.chunks(2) {
            let mut maker = Maker::new(view, &mut words.sets)?;
            push(&mut words.pairs, Pair::of(pair, &mut maker))?;
            push(&mut words.pair_marks, maker.finish())?;
        }
        Some(words)
    }
}

/// Collects up to 64 splits, and their marks and sets.
pub(super) struct Maker<'a> {
    view: &'a View<'a>,
    sets: &'a mut Vec<SetSplit>,
    marks: Marks,
}

impl<'a> Maker<'a> {
    pub(super) fn new(view: &'a View<'a>, sets: &'a mut Vec<SetSplit>) -> Option<Maker<'a>> {
        sets.try_reserve(64).ok()?;
        let start = sets.len() as u32;
        let marks = Marks {
            start,
            ..Marks::default()
        };
        Some(Maker { view, sets, marks })
    }

    fn put(&mut self, splits: &mut Splits, at: usize, node: &NodeRecord) {
        put(&mut splits.lanes, at, node.lane);
        put(&mut splits.thresholds, at, node.threshold);
        if !node.is_special() {
            return;
        }
        if node.value == MISSING_LEFT {
            self.marks.lefts |= 1 << (at & 63);
            return;
        }
        let set = self.view.sets.get((node.value as usize).saturating_sub(1));
        self.sets.push(SetSplit {
            set: set.copied().unwrap_or_default(),
            bit: at as u8 & 63,
            lane: node.lane,
        });
        put(&mut splits.thresholds, at, NEVER);
    }

    fn finish(self) -> Marks {
        Marks {
            end: self.sets.len() as u32,
            ..self.marks
        }
    }
}

impl Splits {
    const NONE: Splits = Splits {
        lanes: [0; 64],
        thresholds: [NEVER; 64],
    };
}

impl Paths {
    /// No leaves. No word leads to a leaf that does not exist: it needs the highest bit, which
    /// belongs to no split.
    pub(super) const NONE: Paths = Paths {
        masks: [1 << 31; 32],
        bits: [1 << 31; 32],
        values: [0; 32],
    };
}

impl Pair {
    fn of(trees: &[&[NodeRecord]], maker: &mut Maker<'_>) -> Pair {
        let mut pair = Pair {
            splits: Splits::NONE,
            trees: [Paths::NONE, Paths::NONE],
        };
        for ((first, nodes), paths) in [0, 32].into_iter().zip(trees).zip(&mut pair.trees) {
            let mut ways = vec![(0u32, 0u32); nodes.len()];
            let (mut split, mut leaf) = (0usize, 0usize);
            for (at, node) in nodes.iter().enumerate() {
                let (mask, bits) = ways.get(at).copied().unwrap_or_default();
                if node.threshold == NEVER {
                    put(&mut paths.masks, leaf, mask);
                    put(&mut paths.bits, leaf, bits);
                    put(&mut paths.values, leaf, node.value);
                    leaf = leaf.saturating_add(1);
                    continue;
                }
                let own = 1 << (split & 31);
                let child = usize::from(node.child);
                put(&mut ways, child, (mask | own, bits));
                put(&mut ways, child.saturating_add(1), (mask | own, bits | own));
                maker.put(&mut pair.splits, split.saturating_add(first), node);
                split = split.saturating_add(1);
            }
        }
        pair
    }
}

impl Complete {
    /// Whether a tree is laid out so.
    pub(super) fn fits(tree: &TreeRecord) -> bool {
        (32..=63).contains(&(tree.nodes / 2)) && tree.depth <= 6
    }

    pub(super) fn of(nodes: &[NodeRecord], maker: &mut Maker<'_>) -> Complete {
        let mut tree = Complete {
            splits: Splits::NONE,
            values: [0; 64],
        };
        let mut open = vec![(0usize, 1usize)];
        while let Some((at, place)) = open.pop() {
            let Some(node) = nodes.get(at) else { continue };
            if let Some(leaf) = place.checked_sub(64) {
                put(&mut tree.values, leaf, node.value);
                continue;
            }
            // A leaf that is not deep enough is a split that always leads left, to itself.
            maker.put(&mut tree.splits, place, node);
            let (child, left) = (usize::from(node.child), place.saturating_mul(2));
            open.push((child, left));
            if node.threshold != NEVER {
                open.push((child.saturating_add(1), left.saturating_add(1)));
            }
        }
        tree
    }
}

impl Wide {
    fn of(nodes: &[NodeRecord], depth: u32, maker: &mut Maker<'_>) -> Wide {
        let mut tree = Wide {
            splits: Splits::NONE,
            children: [0; 256],
            values: [0; 64],
            depth,
        };
        let (mut split, mut leaf) = (0u8, 64u8);
        let number = |node: &NodeRecord| {
            let next = if node.threshold == NEVER {
                &mut leaf
            } else {
                &mut split
            };
            let number = *next;
            *next = next.saturating_add(1);
            number
        };
        let numbers: Vec<u8> = nodes.iter().map(number).collect();
        for (node, number) in nodes.iter().zip(&numbers) {
            let leaf = node.threshold == NEVER;
            let (child, right) = (usize::from(node.child), usize::from(!leaf));
            let number = usize::from(*number);
            match number.checked_sub(64) {
                Some(leaf) => put(&mut tree.values, leaf, node.value),
                None => maker.put(&mut tree.splits, number, node),
            }
            for (side, child) in [child, child.saturating_add(right)].into_iter().enumerate() {
                let to = numbers.get(child).copied().unwrap_or(64);
                put(&mut tree.children, number.saturating_mul(2) | side, to);
            }
        }
        tree
    }
}
