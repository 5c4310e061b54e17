//! Trees of any shape for batches: a tree is a list of steps, each of which partitions the rows
//! that reach a split.

use super::{push, put};
use crate::table::View;
use crate::table::format::{NEVER, NodeRecord, TreeRecord};

/// The most splits of a tree that is laid out so: its leaves are numbered by six bits.
pub const STEPS_MAX: usize = 63;

/// Trees as lists of steps.
#[derive(Debug, Default)]
pub struct Partition {
    /// The trees.
    pub trees: Vec<SteppedTree>,
    /// Their steps, one tree after the other.
    pub steps: Vec<Step>,
    /// The trees with more splits, deepest first.
    pub rest: Vec<TreeRecord>,
}

/// One tree.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct SteppedTree {
    /// Each leaf's value.
    pub values: [i32; 64],
    /// Where its steps start.
    pub start: u32,
    /// Where they end.
    pub end: u32,
}

/// One split. The rows that reach split `i` are in place `i`, those that reach leaf `l` in place
/// `64 + l`. The root is place 0, and a split follows the one that leads to it.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The split's lane.
    pub lane: u8,
    /// Its threshold.
    pub threshold: u8,
    /// The place of the rows that go left.
    pub left: u8,
    /// The place of the rows that go right.
    pub right: u8,
    /// [`NodeRecord::value`].
    pub value: i32,
}

impl Partition {
    /// The layout of trees; `None` if there is no memory.
    pub fn of(view: &View<'_>, trees: &[TreeRecord]) -> Option<Partition> {
        let mut partition = Partition::default();
        for tree in trees {
            if tree.nodes as usize / 2 <= STEPS_MAX {
                partition.add(view.nodes_of(tree))?;
            } else {
                push(&mut partition.rest, *tree)?;
            }
        }
        Some(partition)
    }

    fn add(&mut self, nodes: &[NodeRecord]) -> Option<()> {
        let mut tree = SteppedTree {
            values: [0; 64],
            start: self.steps.len() as u32,
            end: 0,
        };
        let (mut split, mut leaf) = (0u8, 64u8);
        let places = nodes.iter().map(|node| {
            let next = if node.threshold == NEVER {
                &mut leaf
            } else {
                &mut split
            };
            let place = *next;
            *next = next.saturating_add(1);
            place
        });
        let places: Vec<u8> = places.collect();
        let place = |at: usize| places.get(at).copied().unwrap_or_default();
        for (at, node) in nodes.iter().enumerate() {
            if node.threshold == NEVER {
                put(&mut tree.values, usize::from(place(at) & 63), node.value);
                continue;
            }
            let child = usize::from(node.child);
            let step = Step {
                lane: node.lane,
                threshold: node.threshold,
                left: place(child),
                right: place(child.saturating_add(1)),
                value: node.value,
            };
            push(&mut self.steps, step)?;
        }
        tree.end = self.steps.len() as u32;
        push(&mut self.trees, tree)
    }
}
