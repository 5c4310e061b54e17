//! What a row's margin is made of: off the hot path, for people and for proofs.

use super::bound::Bound;
use super::portable::{any_node, binarise, oblivious_index};
use crate::limits::OBLIVIOUS_DEPTH_MAX;
use crate::row::Row;
use crate::table::format::{NEVER, NodeRecord};

impl Bound {
    /// The leaf that a row reaches in each tree, in the source's order of trees: the leaf index in
    /// an oblivious tree, the leaf's place from left to right in a tree of any shape.
    pub fn leaf_indexes(&self, row: &Row) -> Vec<u32> {
        let view = self.view();
        let bins = binarise(self, row);
        let mut found = vec![0; self.table().tree_count()];
        let mut put = |source: u32, leaf: u32| {
            if let Some(place) = found.get_mut(source as usize) {
                *place = leaf;
            }
        };
        for (slot, source) in view.sources.iter().enumerate() {
            let index = oblivious_index(view, slot, &bins);
            put(*source, in_source(index, view.orders.get(slot)));
        }
        for tree in view.trees {
            let end = tree.start.saturating_add(tree.nodes) as usize;
            let nodes = view.nodes.get(tree.start as usize..end).unwrap_or_default();
            put(
                tree.source,
                place_from_left(nodes, any_node(view, nodes, &bins)),
            );
        }
        found
    }
}

/// The source's leaf index: each bit goes to the level of the source that it decides.
fn in_source(index: u32, order: Option<&u64>) -> u32 {
    let Some(order) = order else { return index };
    let levels = 0..OBLIVIOUS_DEPTH_MAX as u32;
    let bits = levels.map(|level| {
        let bit = index.wrapping_shr(level) & 1;
        let to = order.wrapping_shr(level.saturating_mul(4)) & 0xf;
        bit.wrapping_shl(to as u32)
    });
    bits.fold(0, |joined, bit| joined | bit)
}

/// How many leaves stand left of a leaf.
fn place_from_left(nodes: &[NodeRecord], leaf: u16) -> u32 {
    let mut place = 0;
    let mut open = vec![0u16];
    while let Some(at) = open.pop() {
        match nodes.get(usize::from(at)) {
            Some(node) if node.threshold != NEVER => {
                open.extend([node.child.saturating_add(1), node.child]);
            }
            _ if at == leaf => return place,
            _ => place = place.saturating_add(1),
        }
    }
    place
}
