//! Trees of any shape, laid out so that all splits of a tree are decided at once.
//!
//! A tree's splits give one bit each: its **predicate word**. Which leaf the word means is found
//! without another look at the row. The layout is derived from a validated table when it is
//! bound, on the control plane; what is in the arrays cannot lead a kernel out of them.

use super::fours::{self, Part};
use super::steps::{STEPS, Stepped};
use super::walks::{NODES, Walks};
use crate::table::View;
use crate::table::format::{MISSING_LEFT, NEVER, NodeRecord, TreeRecord};

/// Trees laid out for predicate words. Those with marks or sets are apart, so that the others pay
/// nothing for them.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Trees without marks and sets.
    pub(super) plain: Lists,
    /// Trees with some.
    pub(super) special: Lists,
}

/// Trees of one kind, by size, and those that have too many splits for a word.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Trees of up to 31 splits, two to a record.
    pub(super) pairs: Vec<Pair>,
    /// Trees of 32 to 63 splits on up to six levels, as if they were complete.
    pub(super) complete: Vec<Complete>,
    /// Other trees of 32 to 63 splits.
    pub(super) wide: Vec<Wide>,
    /// Trees with more splits, deepest first.
    pub(super) rest: Vec<TreeRecord>,
    /// What the splits of each pair say besides; empty in plain trees, as are the next three.
    pub(super) pair_marks: Vec<Marks>,
    /// Of each complete tree.
    pub(super) complete_marks: Vec<Marks>,
    /// Of each wide tree.
    pub(super) wide_marks: Vec<Marks>,
    /// The splits with sets.
    pub(super) sets: Vec<SetSplit>,
    /// All of these trees but `rest` once more, for batches.
    pub(super) stepped: Stepped,
    /// All plain trees but the complete and the deep ones once more, for kernels that walk them;
    /// none of the special ones.
    pub(super) walks: Walks,
    /// Plain trees of few splits and many levels, likewise.
    pub(super) deep: Walks,
    /// The deep ones once more, for predicate words in narrow registers.
    pub(super) fours: Vec<Part>,
    /// Plain trees that have too many nodes even for that, deepest first.
    pub(super) unwalked: Vec<TreeRecord>,
}

/// What up to 64 splits say besides lane and threshold.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    /// The splits that send missing values left, though their bin is above every threshold.
    pub(super) lefts: u64,
    /// Where the splits with sets start in [`Lists::sets`].
    pub(super) start: u32,
    /// Where they end.
    pub(super) end: u32,
}

/// A split with a set. In its place in [`Splits`] the threshold is [`NEVER`].
#[derive(Debug, Clone, Copy)]
pub(super) struct SetSplit {
    /// The bins that go right.
    pub(super) set: [u64; 4],
    /// Its bit in the predicate word.
    pub(super) bit: u8,
    /// Its lane.
    pub(super) lane: u8,
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
    pub(super) fn of(view: &View<'_>, plain_trees: usize) -> Option<Words> {
        let plain = view.trees.get(..plain_trees).unwrap_or_default();
        let special = view.trees.get(plain_trees..).unwrap_or_default();
        Some(Words {
            plain: Lists::of(view, plain, true)?,
            special: Lists::of(view, special, false)?,
        })
    }
}

impl Lists {
    fn of(view: &View<'_>, trees: &[TreeRecord], plain: bool) -> Option<Lists> {
        let mut lists = Lists::default();
        let (mut small, mut deep) = (Vec::new(), Vec::new());
        for tree in trees {
            let nodes = nodes_of(view, tree);
            if tree.nodes as usize / 2 <= STEPS {
                lists.stepped.add(nodes)?;
            }
            let is_complete = (32..=63).contains(&(tree.nodes / 2)) && tree.depth <= 6;
            if plain && !is_complete {
                lists.add_walk(tree, nodes)?;
            }
            if plain && is_deep(tree) {
                push(&mut deep, nodes)?;
            }
            let mut maker = Maker::new(view, &mut lists.sets)?;
            match tree.nodes / 2 {
                0..=31 => push(&mut small, nodes)?,
                32..=63 if is_complete => {
                    push(&mut lists.complete, Complete::of(nodes, &mut maker))?;
                    push(&mut lists.complete_marks, maker.finish())?;
                }
                32..=63 => {
                    push(&mut lists.wide, Wide::of(nodes, tree.depth, &mut maker))?;
                    push(&mut lists.wide_marks, maker.finish())?;
                }
                _ => push(&mut lists.rest, *tree)?,
            }
        }
        lists.fours = fours::parts(deep)?;
        for pair in small.chunks(2) {
            let mut maker = Maker::new(view, &mut lists.sets)?;
            push(&mut lists.pairs, Pair::of(pair, &mut maker))?;
            push(&mut lists.pair_marks, maker.finish())?;
        }
        Some(lists)
    }
}

fn nodes_of<'a>(view: &View<'a>, tree: &TreeRecord) -> &'a [NodeRecord] {
    let end = tree.start.saturating_add(tree.nodes) as usize;
    view.nodes.get(tree.start as usize..end).unwrap_or_default()
}

/// Whether a plain tree is scored sooner by its predicate word than by walking it.
fn is_deep(tree: &TreeRecord) -> bool {
    tree.nodes as usize / 2 <= fours::SPLITS && tree.depth >= fours::DEPTH_MIN
}

impl Lists {
    fn add_walk(&mut self, tree: &TreeRecord, nodes: &[NodeRecord]) -> Option<()> {
        match nodes.len() {
            ..=NODES if is_deep(tree) => self.deep.add(nodes, tree.depth),
            ..=NODES => self.walks.add(nodes, tree.depth),
            _ => push(&mut self.unwalked, *tree),
        }
    }
}

/// Collects the splits of up to 64, and what they say besides lane and threshold.
struct Maker<'a> {
    view: &'a View<'a>,
    sets: &'a mut Vec<SetSplit>,
    marks: Marks,
}

impl<'a> Maker<'a> {
    fn new(view: &'a View<'a>, sets: &'a mut Vec<SetSplit>) -> Option<Maker<'a>> {
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

/// As `Vec::push`; none where there is no memory.
pub(super) fn push<T>(list: &mut Vec<T>, item: T) -> Option<()> {
    list.try_reserve(1).ok()?;
    list.push(item);
    Some(())
}

impl Splits {
    const NONE: Splits = Splits {
        lanes: [0; 64],
        thresholds: [NEVER; 64],
    };
}

impl Pair {
    fn of(trees: &[&[NodeRecord]], maker: &mut Maker<'_>) -> Pair {
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
                maker.put(&mut pair.splits, split.saturating_add(first), node);
                split = split.saturating_add(1);
            }
        }
        pair
    }
}

impl Complete {
    fn of(nodes: &[NodeRecord], maker: &mut Maker<'_>) -> Complete {
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
                None => maker.put(&mut tree.splits, name, node),
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
