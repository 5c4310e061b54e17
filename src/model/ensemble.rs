//! A trained ensemble in no library's own terms: what importers make and `build` writes.

use crate::limits::{OBLIVIOUS_DEPTH_MAX, TREE_DEPTH_MAX, TREE_NODES_MAX};
use crate::schema::Feature;
use crate::table::format::ZERO_MAX;
use std::sync::Arc;

/// A trained ensemble: features, trees, and the constant that is added to the sum of leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Ensemble {
    /// The features that the trees test; [`Split::feature`] indexes this list.
    pub features: Vec<Feature>,
    /// The trees, in the source's order.
    pub trees: Vec<Tree>,
    /// Margin of a row = `bias` + the sum of its leaves, in the source's units (log-odds for a
    /// binary classifier).
    pub bias: f64,
}

/// One tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Every level has one split for all its nodes.
    Oblivious {
        /// One split a level; level `i` decides bit `i` of the leaf index (1 = right).
        splits: Vec<Split>,
        /// `2^splits.len()` leaves.
        leaves: Vec<f64>,
        /// How many training rows reached each leaf, or their weight; empty where the source does
        /// not say. It tunes the layout and changes no margin.
        weights: Vec<f64>,
    },
    /// A tree of any shape. The root is node 0; every other node has exactly one parent.
    Any {
        /// Splits and leaves, in any order.
        nodes: Vec<Node>,
    },
}

/// A node of a tree of any shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Tests a row and goes to one of two nodes.
    Split {
        /// The test.
        split: Split,
        /// Index of the node where the test fails.
        left: u32,
        /// Index of the node where the test holds.
        right: u32,
    },
    /// Ends the walk with a value.
    Leaf {
        /// What it adds to the margin.
        value: f64,
    },
}

/// A test on one feature: a row goes right where the test holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Index in [`Ensemble::features`].
    pub feature: u16,
    /// The test of the value.
    pub test: Test,
    /// Where a missing value goes.
    pub missing: Missing,
    /// Whether values within ±1e-35 count as missing (LightGBM's missing type "zero").
    pub zero_is_missing: bool,
}

/// A split's test of a value, in `f32`.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// Holds where the value is above a finite border.
    Above(f32),
    /// Holds where the value is above an odd number of these edges, which are finite and ascend:
    /// a set of intervals, such as the categories of a categorical split. With no edges it holds
    /// for no value, and only a missing one can go right.
    Within(Arc<[f32]>),
}

impl Test {
    /// Whether it holds for a value that is not missing.
    pub fn holds(&self, value: f32) -> bool {
        match self {
            Test::Above(border) => value > *border,
            Test::Within(edges) => edges.iter().filter(|edge| value > **edge).count() % 2 == 1,
        }
    }

    /// The border, or the edges.
    pub fn edges(&self) -> &[f32] {
        match self {
            Test::Above(border) => std::slice::from_ref(border),
            Test::Within(edges) => edges,
        }
    }
}

/// Where a row goes whose value is missing (NaN).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Missing {
    /// Left, whatever the border.
    Left,
    /// Right, whatever the border.
    Right,
    /// Where the value 0.0 goes.
    AsZero,
}

impl Split {
    /// Whether a row with this value goes right.
    pub fn goes_right(&self, value: f32) -> bool {
        if value.is_nan() || (self.zero_is_missing && value.abs() <= ZERO_MAX) {
            return match self.missing {
                Missing::Left => false,
                Missing::Right => true,
                Missing::AsZero => self.test.holds(0.0),
            };
        }
        self.test.holds(value)
    }
}

/// A node of a tree of any shape, in breadth-first order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrderedNode {
    /// The test; none in a leaf.
    pub(super) split: Option<Split>,
    /// Position of the left child; the right one is next to it.
    pub(super) child: usize,
    /// The value of a leaf.
    pub(super) value: f64,
}

impl Tree {
    /// Checks the form: capacities, the number of leaves, and that nodes form one tree.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Tree::Oblivious {
                splits,
                leaves,
                weights,
            } => {
                let depth = splits.len();
                if depth > OBLIVIOUS_DEPTH_MAX {
                    return Err(format!(
                        "expected a depth of at most {OBLIVIOUS_DEPTH_MAX}, got {depth}"
                    ));
                }
                let expected = 1usize << depth;
                if leaves.len() != expected {
                    return Err(format!("expected {expected} leaves, got {}", leaves.len()));
                }
                if !weights.is_empty() && weights.len() != expected {
                    let got = weights.len();
                    return Err(format!("expected no weights or {expected}, got {got}"));
                }
                let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
                if let Some(got) = weights.iter().find(|weight| !is_weight(weight)) {
                    return Err(format!("expected finite weights of at least 0, got {got}"));
                }
                Ok(())
            }
            Tree::Any { nodes } => check_nodes(nodes),
        }
    }

    /// Splits from the root to the deepest leaf. Meaningful where [`check`](Tree::check) passes.
    pub fn depth(&self) -> usize {
        match self {
            Tree::Oblivious { splits, .. } => splits.len(),
            Tree::Any { nodes } => {
                let mut deepest = 0;
                walk(nodes, |_, depth| deepest = deepest.max(depth));
                deepest
            }
        }
    }

    /// All splits, in no particular order.
    pub fn splits(&self) -> impl Iterator<Item = &Split> + '_ {
        let (oblivious, any) = match self {
            Tree::Oblivious { splits, .. } => (splits.as_slice(), [].as_slice()),
            Tree::Any { nodes } => ([].as_slice(), nodes.as_slice()),
        };
        let of_nodes = any.iter().filter_map(|node| match node {
            Node::Split { split, .. } => Some(split),
            Node::Leaf { .. } => None,
        });
        oblivious.iter().chain(of_nodes)
    }

    /// All leaves: by leaf index in an oblivious tree, by position in a tree of any shape.
    pub fn leaves(&self) -> impl Iterator<Item = f64> + '_ {
        let (oblivious, any) = match self {
            Tree::Oblivious { leaves, .. } => (leaves.as_slice(), [].as_slice()),
            Tree::Any { nodes } => ([].as_slice(), nodes.as_slice()),
        };
        let of_nodes = any.iter().filter_map(|node| match node {
            Node::Split { .. } => None,
            Node::Leaf { value } => Some(*value),
        });
        oblivious.iter().copied().chain(of_nodes)
    }

    /// The value of the leaf that a row reaches, by a plain walk: the oracle that golden rows and
    /// tests come from. Values beyond the row count as missing. Needs a tree that
    /// [`check`](Tree::check) passes; in any other the value is NaN.
    pub fn value(&self, row: &[f32]) -> f64 {
        let right = |split: &Split| {
            let value = row.get(usize::from(split.feature)).copied();
            split.goes_right(value.unwrap_or(f32::NAN))
        };
        match self {
            Tree::Oblivious { splits, leaves, .. } => {
                let bits = splits
                    .iter()
                    .enumerate()
                    .map(|(at, split)| usize::from(right(split)) << at);
                leaves.get(bits.sum::<usize>()).copied().unwrap_or(f64::NAN)
            }
            Tree::Any { nodes } => {
                let mut at = 0;
                for _ in 0..=TREE_DEPTH_MAX {
                    match nodes.get(at as usize) {
                        Some(Node::Leaf { value }) => return *value,
                        Some(Node::Split {
                            split,
                            left,
                            right: to,
                        }) => {
                            at = if right(split) { *to } else { *left };
                        }
                        None => return f64::NAN,
                    }
                }
                f64::NAN
            }
        }
    }

    /// The same tree as one of any shape; its leaves are, from left to right, in the order of
    /// their leaf indexes.
    pub(super) fn to_any(&self) -> Tree {
        let Tree::Oblivious { splits, leaves, .. } = self else {
            return self.clone();
        };
        let mut nodes = Vec::new();
        // Breadth first: the highest level, which decides the highest bit, is the root.
        for (level, split) in splits.iter().rev().enumerate() {
            for _ in 0..1usize << level {
                let left = (nodes.len() as u32).saturating_mul(2).saturating_add(1);
                nodes.push(Node::Split {
                    split: split.clone(),
                    left,
                    right: left.saturating_add(1),
                });
            }
        }
        nodes.extend(leaves.iter().map(|value| Node::Leaf { value: *value }));
        Tree::Any { nodes }
    }

    pub(super) fn node_count(&self) -> usize {
        match self {
            Tree::Oblivious { .. } => 0,
            Tree::Any { nodes } => nodes.len(),
        }
    }

    /// The nodes, root first, children of one node side by side and behind it.
    pub(super) fn breadth_first(&self) -> Vec<OrderedNode> {
        let Tree::Any { nodes } = self else {
            return Vec::new();
        };
        let mut queue = vec![0u32];
        let mut ordered = Vec::with_capacity(nodes.len());
        while let Some(node) = queue
            .get(ordered.len())
            .and_then(|at| nodes.get(*at as usize))
        {
            let next = queue.len();
            ordered.push(match node {
                Node::Leaf { value } => OrderedNode {
                    split: None,
                    child: 0,
                    value: *value,
                },
                Node::Split { split, left, right } => {
                    queue.extend([*left, *right]);
                    OrderedNode {
                        split: Some(split.clone()),
                        child: next,
                        value: 0.0,
                    }
                }
            });
        }
        ordered
    }
}

/// Visits every node that can be reached, with its depth; stops where there are more visits than
/// nodes, as in a cycle.
fn walk(nodes: &[Node], mut visit: impl FnMut(u32, usize)) {
    let mut open = vec![(0u32, 0usize)];
    let mut visits = 0usize;
    while let Some((at, depth)) = open.pop() {
        visits = visits.saturating_add(1);
        if visits > nodes.len() {
            return;
        }
        visit(at, depth);
        if let Some(Node::Split { left, right, .. }) = nodes.get(at as usize) {
            let deeper = depth.saturating_add(1);
            open.extend([(*left, deeper), (*right, deeper)]);
        }
    }
}

fn check_nodes(nodes: &[Node]) -> Result<(), String> {
    if nodes.is_empty() {
        return Err("expected at least 1 node, got none".into());
    }
    if nodes.len() > TREE_NODES_MAX {
        return Err(format!(
            "expected at most {TREE_NODES_MAX} nodes, got {}",
            nodes.len()
        ));
    }
    let mut seen = vec![false; nodes.len()];
    let mut problem = None;
    let mut deepest = 0;
    walk(nodes, |at, depth| {
        deepest = deepest.max(depth);
        match seen.get_mut(at as usize) {
            None => {
                problem.get_or_insert(format!("expected a node below {}, got {at}", nodes.len()));
            }
            Some(seen) if *seen => {
                problem.get_or_insert(format!("node {at} has two parents, or is its own ancestor"));
            }
            Some(seen) => *seen = true,
        }
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    if let Some(orphan) = seen.iter().position(|seen| !seen) {
        return Err(format!("node {orphan} cannot be reached from the root"));
    }
    if deepest > TREE_DEPTH_MAX {
        return Err(format!(
            "expected a depth of at most {TREE_DEPTH_MAX}, got {deepest}"
        ));
    }
    Ok(())
}
