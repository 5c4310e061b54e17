//! Trees of any shape, laid out for batches: a tree is a list of steps, each of which parts the
//! rows that come to a split.

use super::words::push;
use crate::table::format::{NEVER, NodeRecord};

/// Splits of a tree that is laid out so, at most: its leaves are numbered by six bits.
pub(super) const STEPS: usize = 63;

/// Trees as lists of steps.
#[derive(Debug, Default)]
pub(super) struct Stepped {
    /// The trees.
    pub(super) trees: Vec<SteppedTree>,
    /// Their steps, one tree after the other.
    pub(super) steps: Vec<Step>,
}

/// One tree.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct SteppedTree {
    /// Each leaf's value.
    pub(super) values: [i32; 64],
    /// Where its steps start.
    pub(super) start: u32,
    /// Where they end.
    pub(super) end: u32,
}

/// One split. The rows that come to split `i` are in place `i`, to leaf `l` in place `64 + l`; the
/// root is place 0, and a split stands behind the one that leads to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// The split's lane.
    pub(super) lane: u8,
    /// Its threshold.
    pub(super) threshold: u8,
    /// The place of the rows that go left.
    pub(super) left: u8,
    /// The place of the rows that go right.
    pub(super) right: u8,
    /// [`NodeRecord::value`].
    pub(super) value: i32,
}

impl Stepped {
    /// Adds a tree of at most [`STEPS`] splits; none where there is no memory.
    pub(super) fn add(&mut self, nodes: &[NodeRecord]) -> Option<()> {
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
                if let Some(value) = tree.values.get_mut(usize::from(place(at) & 63)) {
                    *value = node.value;
                }
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
