//! A trained ensemble in no library's own terms: what importers make and `build` writes.

use crate::schema::Feature;

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
    },
    /// A tree of any shape. The root is node 0; every other node has exactly one parent.
    Any {
        /// Splits and leaves, in any order.
        nodes: Vec<Node>,
    },
}

/// A node of a tree of any shape.
#[derive(Debug, Clone, Copy, PartialEq)]
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

/// A test on one feature: a row goes right where `value > border`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Index in [`Ensemble::features`].
    pub feature: u16,
    /// Finite. Compared in `f32`.
    pub border: f32,
    /// Where a missing value goes.
    pub missing: Missing,
    /// Whether values within ±1e-35 count as missing (LightGBM's missing type "zero").
    pub zero_is_missing: bool,
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
