//! Trees of any shape for walking: a step is two lookups and a comparison.
//!
//! Nodes are numbered within their tree, and each of their fields has an array of its own, so that
//! a step loads a lane and a bin, compares with a threshold, and adds the outcome to a child's
//! number.

use super::predicate_words::{Complete, Maker};
use super::push;
use crate::table::View;
use crate::table::format::{NodeRecord, TreeRecord};

/// Trees without marks and sets, by how they are walked.
#[derive(Debug, Default)]
pub struct NodeWalk {
    /// Trees of 32 to 63 splits on up to six levels, whose children need no numbers.
    pub complete: Vec<Complete>,
    /// Other trees of up to 64 nodes, deepest first, as are the next three.
    pub narrow: Vec<NodeArrays<64>>,
    /// Of up to 128 nodes.
    pub wide: Vec<NodeArrays<128>>,
    /// Of up to 256 nodes.
    pub widest: Vec<NodeArrays<256>>,
    /// Trees with more nodes, which are walked as the table has them.
    pub unwalked: Vec<TreeRecord>,
}

/// A tree of up to `SIZE` nodes, as the table numbers them.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct NodeArrays<const SIZE: usize> {
    /// Each node's lane.
    pub lanes: [u8; SIZE],
    /// Each node's threshold.
    pub thresholds: [u8; SIZE],
    /// The left child, or a leaf's own number.
    pub children: [u8; SIZE],
    /// [`NodeRecord::value`].
    pub values: [i32; SIZE],
    /// Splits from the root to the deepest leaf.
    pub depth: u32,
}

impl NodeWalk {
    /// The layout of plain trees; `None` if there is no memory.
    pub fn of<'a>(
        view: &View<'_>,
        trees: impl Iterator<Item = &'a TreeRecord>,
    ) -> Option<NodeWalk> {
        let mut walk = NodeWalk::default();
        // Plain trees have no splits with sets: it stays empty.
        let mut sets = Vec::new();
        for tree in trees {
            let nodes = view.nodes_of(tree);
            match nodes.len() {
                _ if Complete::fits(tree) => {
                    let mut maker = Maker::new(view, &mut sets)?;
                    push(&mut walk.complete, Complete::of(nodes, &mut maker))?;
                }
                0..=64 => push(&mut walk.narrow, NodeArrays::of(nodes, tree.depth))?,
                65..=128 => push(&mut walk.wide, NodeArrays::of(nodes, tree.depth))?,
                129..=256 => push(&mut walk.widest, NodeArrays::of(nodes, tree.depth))?,
                _ => push(&mut walk.unwalked, *tree)?,
            }
        }
        Some(walk)
    }
}

impl<const SIZE: usize> NodeArrays<SIZE> {
    fn of(nodes: &[NodeRecord], depth: u32) -> NodeArrays<SIZE> {
        let mut tree = NodeArrays {
            lanes: [0; SIZE],
            thresholds: [0; SIZE],
            children: [0; SIZE],
            values: [0; SIZE],
            depth,
        };
        let splits = tree.lanes.iter_mut().zip(&mut tree.thresholds);
        let places = splits.zip(tree.children.iter_mut().zip(&mut tree.values));
        for (((lane, threshold), (child, value)), node) in places.zip(nodes) {
            (*lane, *threshold) = (node.lane, node.threshold);
            (*child, *value) = (node.child as u8, node.value);
        }
        tree
    }
}
