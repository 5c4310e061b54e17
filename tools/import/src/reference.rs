//! The slow and obvious way to score a row with an [`Ensemble`]: the oracle of the parity tests.

use hedgerow::model::{Ensemble, Missing, Node, Split, Tree};

/// An ensemble that is walked node by node, in `f64`.
///
/// It trusts nothing: an ensemble that breaks its own rules (an index out of range, a cycle) gives
/// the margin NaN, never a panic.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    ensemble: &'a Ensemble,
    /// For each tree of any shape, the rank of each node among the leaves; empty for oblivious
    /// trees.
    ranks: Vec<Vec<u32>>,
}

impl<'a> Reference<'a> {
    /// Numbers the leaves of the trees.
    pub fn new(ensemble: &'a Ensemble) -> Reference<'a> {
        let ranks = ensemble.trees.iter().map(leaf_ranks).collect();
        Reference { ensemble, ranks }
    }

    /// The margin of a row and the leaf that it reaches in each tree. `row[i]` is the value of
    /// feature `i`; NaN, or the row's end, is a missing value.
    ///
    /// A leaf is its index in an oblivious tree, and its rank from left to right in a tree of any
    /// shape.
    pub fn evaluate(&self, row: &[f32]) -> (f64, Vec<u32>) {
        let mut sum = 0.0;
        let mut leaves = Vec::with_capacity(self.ensemble.trees.len());
        for (tree, ranks) in self.ensemble.trees.iter().zip(&self.ranks) {
            let (value, leaf) = match tree {
                Tree::Oblivious { splits, leaves, .. } => oblivious(splits, leaves, row),
                Tree::Any { nodes } => any(nodes, ranks, row),
            };
            sum += value;
            leaves.push(leaf);
        }
        (self.ensemble.bias + sum, leaves)
    }
}

/// The margin of one row and the leaf of each tree; see [`Reference`], which is faster for many.
pub fn evaluate(ensemble: &Ensemble, row: &[f32]) -> (f64, Vec<u32>) {
    Reference::new(ensemble).evaluate(row)
}

/// Whether a row goes right.
pub fn goes_right(split: &Split, row: &[f32]) -> bool {
    let value = row
        .get(usize::from(split.feature))
        .copied()
        .unwrap_or(f32::NAN);
    // LightGBM's own bound; its literal is a float.
    let missing = value.is_nan() || (split.zero_is_missing && value.abs() <= 1e-35_f32);
    match (missing, split.missing) {
        (false, _) => split.test.holds(value),
        (true, Missing::Left) => false,
        (true, Missing::Right) => true,
        (true, Missing::AsZero) => split.test.holds(0.0),
    }
}

fn oblivious(splits: &[Split], leaves: &[f64], row: &[f32]) -> (f64, u32) {
    let mut leaf = 0_u32;
    for (level, split) in (0..u32::BITS).zip(splits) {
        leaf |= u32::from(goes_right(split, row)) << level;
    }
    let value = leaves.get(leaf as usize).copied().unwrap_or(f64::NAN);
    (value, leaf)
}

fn any(nodes: &[Node], ranks: &[u32], row: &[f32]) -> (f64, u32) {
    let mut at = 0;
    // A path visits no node twice, so this many steps reach a leaf unless there is a cycle.
    for _ in nodes {
        match nodes.get(at) {
            Some(Node::Leaf { value }) => {
                return (*value, ranks.get(at).copied().unwrap_or(u32::MAX));
            }
            Some(Node::Split { split, right, .. }) if goes_right(split, row) => {
                at = *right as usize;
            }
            Some(Node::Split { left, .. }) => at = *left as usize,
            None => break,
        }
    }
    (f64::NAN, u32::MAX)
}

/// The rank of each node among the leaves, from left to right.
fn leaf_ranks(tree: &Tree) -> Vec<u32> {
    let Tree::Any { nodes } = tree else {
        return Vec::new();
    };
    let mut ranks = vec![u32::MAX; nodes.len()];
    let mut next = 0_u32;
    let mut waiting = vec![0];
    for _ in nodes {
        let Some(at) = waiting.pop() else { break };
        match nodes.get(at as usize) {
            Some(Node::Leaf { .. }) => {
                if let Some(rank) = ranks.get_mut(at as usize) {
                    *rank = next;
                }
                next = next.saturating_add(1);
            }
            Some(Node::Split { left, right, .. }) => waiting.extend([*right, *left]),
            None => {}
        }
    }
    ranks
}
