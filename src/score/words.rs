//! Trees of any shape, laid out so that all splits of a tree are decided at once.
//!
//! A tree's splits give one bit each: its **predicate word**. Which leaf the word means is found
//! without another look at the row. The layout is derived from a validated table when it is
//! bound, on the control plane; what is in the arrays cannot lead a kernel out of them.

use crate::table::View;
use crate::table::format::{NEVER, NodeRecord, TreeRecord};

/// Trees laid out for predicate words, and those that have too many splits for one.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Trees of up to 31 splits, two to a record.
    pub(super) pairs: Vec<Pair>,
    /// Trees of 32 to 63 splits on up to six levels, as if they were complete.
    pub(super) complete: Vec<Complete>,
    /// Other trees of 32 to 63 splits.
    pub(super) wide: Vec<Wide>,
    /// Trees with more splits, deepest first.
    pub(super) rest: Vec<TreeRecord>,
}

/// Up to 64 splits that are decided at once.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Splits {
    /// Each split's lane.
    pub(super) lanes: [u8; 64],
    /// Each split's threshold; [`NEVER`] in padding.
    pub(super) thresholds: [u8; 64],
}

/// Two trees of up to 31 splits each; the second one's splits start at 32.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Pair {
    pub(super) splits: Splits,
    pub(super) trees: [Paths; 2],
}

/// The leaves of a tree, each with the splits that lead to it. A word leads to the one leaf with
/// `(word ^ bits) & mask == 0`.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Paths {
    /// The splits on the way to each leaf.
    pub(super) masks: [u32; 32],
    /// How they decide.
    pub(super) bits: [u32; 32],
    /// Each leaf's value.
    pub(super) values: [i32; 32],
}

/// A tree of up to six levels: split `i` leads to `2i` and `2i + 1`, the root is split 1, and
/// leaf `l` is `64 + l`.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Complete {
    pub(super) splits: Splits,
    pub(super) values: [i32; 64],
}

/// A tree of up to 63 splits: split `i` leads to `children[2i]` or `children[2i + 1]`, the root
/// is split 0, and leaf `l` is `64 + l` and leads to itself.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Wide {
    pub(super) splits: Splits,
    pub(super) children: [u8; 256],
    pub(super) values: [i32; 64],
    pub(super) depth: u32,
}

impl Words {
    /// The layout of a table's trees of any shape; none where there is no memory for it. It may
    /// take several times the memory of the table, so that to abort for want of it would be the
    /// table's doing.
    pub(super) fn of(view: &View<'_>) -> Option<Words> {
        let mut words = Words::default();
        let mut small = Vec::new();
        for tree in view.trees {
            let end = tree.start.saturating_add(tree.nodes) as usize;
            let nodes = view.nodes.get(tree.start as usize..end).unwrap_or_default();
            match tree.nodes / 2 {
                0..=31 => push(&mut small, nodes)?,
                32..=63 if tree.depth <= 6 => push(&mut words.complete, Complete::of(nodes))?,
                32..=63 => push(&mut words.wide, Wide::of(nodes, tree.depth))?,
                _ => push(&mut words.rest, *tree)?,
            }
        }
        for pair in small.chunks(2) {
            push(&mut words.pairs, Pair::of(pair))?;
        }
        Some(words)
    }
}

/// As `Vec::push`; none where there is no memory.
fn push<T>(list: &mut Vec<T>, item: T) -> Option<()> {
    list.try_reserve(1).ok()?;
    list.push(item);
    Some(())
}

impl Splits {
    const NONE: Splits = Splits {
        lanes: [0; 64],
        thresholds: [NEVER; 64],
    };

    fn set(&mut self, at: usize, node: &NodeRecord) {
        put(&mut self.lanes, at, node.lane);
        put(&mut self.thresholds, at, node.threshold);
    }
}

impl Pair {
    fn of(trees: &[&[NodeRecord]]) -> Pair {
        // No word leads to a leaf that is not there: it wants a bit that splits 31 and 63 never
        // give.
        let none = Paths {
            masks: [1 << 31; 32],
            bits: [1 << 31; 32],
            values: [0; 32],
        };
        let mut pair = Pair {
            splits: Splits::NONE,
            trees: [none.clone(), none],
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
                pair.splits.set(split.saturating_add(first), node);
                split = split.saturating_add(1);
            }
        }
        pair
    }
}

impl Complete {
    fn of(nodes: &[NodeRecord]) -> Complete {
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
            tree.splits.set(place, node);
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
    fn of(nodes: &[NodeRecord], depth: u32) -> Wide {
        let mut tree = Wide {
            splits: Splits::NONE,
            children: [0; 256],
            values: [0; 64],
            depth,
        };
        let (mut split, mut leaf) = (0u8, 64u8);
        let name = |node: &NodeRecord| {
            let next = if node.threshold == NEVER {
                &mut leaf
            } else {
                &mut split
            };
            let name = *next;
            *next = next.saturating_add(1);
            name
        };
        let names: Vec<u8> = nodes.iter().map(name).collect();
        for (node, name) in nodes.iter().zip(&names) {
            let leaf = node.threshold == NEVER;
            let (child, right) = (usize::from(node.child), usize::from(!leaf));
            let name = usize::from(*name);
            match name.checked_sub(64) {
                Some(leaf) => put(&mut tree.values, leaf, node.value),
                None => tree.splits.set(name, node),
            }
            for (side, child) in [child, child.saturating_add(right)].into_iter().enumerate() {
                let to = names.get(child).copied().unwrap_or(64);
                put(&mut tree.children, name.saturating_mul(2) | side, to);
            }
        }
        tree
    }
}

fn put<T>(values: &mut [T], at: usize, value: T) {
    if let Some(place) = values.get_mut(at) {
        *place = value;
    }
}
