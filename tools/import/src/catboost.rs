//! CatBoost models in JSON: oblivious and non-symmetric trees over numerical features, and one-hot
//! splits on categories that are whole numbers.
//!
//! Carried over exactly: borders (`f32`), leaves (`f64`, times the model's scale), the bias, and
//! where missing values go. Refused by name: models of several outputs, categories that are other
//! strings than whole numbers, counters of categories (CTR), text and embedding features, and
//! numbers that are not finite. A categorical feature that no split uses stays in the list as a
//! category, so that the columns keep their positions.
//!
//! `leaf_weights` of oblivious trees come along: they tune the table's layout and change no margin.
//! A tree may have none; but weights that do not match its leaves, or that are negative or not
//! finite, are refused, since they tell of a damaged file.
//!
//! CatBoost takes a category as a string, of which it keeps a hash of 32 bits: `3` is trained and
//! scored as "3". Here the host gives the number, and a split holds for that number alone. What
//! CatBoost has no string for goes left: a number with a fraction, an infinite or a missing one.
//! A number that training never saw goes left too, where CatBoost would send one in about four
//! thousand million to the right, because its hash happens to be that of another category.

mod category;
mod columns;
mod raw;
mod source;

use crate::{Imported, json};
use columns::Columns;
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelOverCapacity, ModelShape, ModelUnsupported, ModelValue};
use hedgerow::limits::{LEAVES_MAX, TREE_DEPTH_MAX, TREE_NODES_MAX};
use hedgerow::model::{Ensemble, Node, Tree};

/// Imports a model.
pub(crate) fn import(bytes: &[u8]) -> Result<Imported, Refusal> {
    let raw: raw::Model<'_> = json::parse(bytes)?;
    let columns = Columns::new(raw.features_info)?;
    let (scale, bias) = scale_and_bias(&raw.scale_and_bias)?;
    let leaves = Leaves {
        scale,
        total: std::cell::Cell::new(0),
    };
    let trees = match (raw.oblivious_trees, raw.trees) {
        (Some(trees), None) => oblivious_trees(&trees.0, &columns, &leaves)?,
        (None, Some(trees)) => nested_trees(&trees.0, &columns, &leaves)?,
        (Some(_), Some(_)) => {
            let expected = "either `oblivious_trees` or `trees`";
            return Err(ModelShape.at("the top level", expected, "both"));
        }
        (None, None) => Vec::new(),
    };
    if trees.is_empty() {
        let expected = "`oblivious_trees` or `trees` with at least 1 tree";
        return Err(ModelShape.at("the top level", expected, "none"));
    }
    Ok(Imported {
        leaf_order: vec![Vec::new(); trees.len()],
        ensemble: Ensemble {
            features: columns.features,
            trees,
            bias,
        },
        source: source::read(raw.model_info),
    })
}

/// Scales leaves and counts them.
struct Leaves {
    scale: f64,
    total: std::cell::Cell<usize>,
}

impl Leaves {
    /// What a leaf adds to the margin.
    fn value(&self, leaf: f64, at: impl Fn() -> String) -> Result<f64, Refusal> {
        let scaled = leaf * self.scale;
        if scaled.is_finite() {
            return Ok(scaled);
        }
        let got = format!("{leaf:?} times the scale {:?}", self.scale);
        Err(ModelValue.at(at(), "a finite leaf", got))
    }

    /// Counts entries (leaves of oblivious trees, nodes of others) against the capacity.
    fn count(&self, more: usize, at: impl Fn() -> String) -> Result<(), Refusal> {
        let total = self.total.get().saturating_add(more);
        self.total.set(total);
        if total <= LEAVES_MAX {
            return Ok(());
        }
        let expected = format!("at most {LEAVES_MAX} leaves or nodes in all trees (capacity)");
        Err(ModelOverCapacity.at(at(), expected, format!("{total} up to here")))
    }
}

/// One finite scale and one finite bias.
fn scale_and_bias(raw: &raw::ScaleAndBias) -> Result<(f64, f64), Refusal> {
    let bias = match raw.biases.as_slice() {
        [] => 0.0,
        [bias] => *bias,
        several => return Err(several_outputs("scale_and_bias[1]".into(), several.len())),
    };
    for (index, number) in [raw.scale, bias].into_iter().enumerate() {
        if !number.is_finite() {
            let at = format!("scale_and_bias[{index}]");
            return Err(ModelValue.at(at, "a finite number", number));
        }
    }
    Ok((raw.scale, bias))
}

fn oblivious_trees(
    raw: &[raw::Oblivious],
    columns: &Columns,
    leaves: &Leaves,
) -> Result<Vec<Tree>, Refusal> {
    let mut trees = Vec::with_capacity(raw.len());
    for (tree, raw) in raw.iter().enumerate() {
        let mut splits = Vec::new();
        for (level, split) in raw.splits.iter().flat_map(|list| &list.0).enumerate() {
            splits.push(columns.split(split, &Place::Level { tree, level })?);
        }
        let at = || format!("oblivious_trees[{tree}].leaf_values");
        let expected = 1_usize << splits.len();
        let got = raw.leaf_values.0.len();
        if got != expected {
            let outputs = got.checked_div(expected).unwrap_or(0);
            if outputs > 1 && outputs.checked_mul(expected) == Some(got) {
                return Err(several_outputs(at(), outputs));
            }
            let expected = format!("{expected} leaves below {} splits", splits.len());
            return Err(ModelShape.at(at(), expected, got));
        }
        leaves.count(got, at)?;
        let values = raw.leaf_values.0.iter().enumerate().map(|(leaf, value)| {
            leaves.value(*value, || {
                format!("oblivious_trees[{tree}].leaf_values[{leaf}]")
            })
        });
        let leaves = values.collect::<Result<_, _>>()?;
        trees.push(Tree::Oblivious {
            splits,
            leaves,
            weights: weights(tree, raw, expected)?,
        });
    }
    Ok(trees)
}

/// The weights of a tree's leaves, or none.
fn weights(tree: usize, raw: &raw::Oblivious, leaves: usize) -> Result<Vec<f64>, Refusal> {
    let weights = raw.leaf_weights.as_ref().map_or(&[][..], |all| &all.0);
    let at = format!("oblivious_trees[{tree}].leaf_weights");
    if !weights.is_empty() && weights.len() != leaves {
        let expected = format!("no weights, or {leaves}, one a leaf");
        return Err(ModelShape.at(at, expected, weights.len()));
    }
    let is_weight = |weight: &f64| weight.is_finite() && *weight >= 0.0;
    if let Some(leaf) = weights.iter().position(|weight| !is_weight(weight)) {
        let got = weights.get(leaf).copied().unwrap_or_default();
        let expected = "a finite weight of at least 0";
        return Err(ModelValue.at(format!("{at}[{leaf}]"), expected, got));
    }
    Ok(weights.to_vec())
}

fn nested_trees(
    raw: &[raw::Nested],
    columns: &Columns,
    leaves: &Leaves,
) -> Result<Vec<Tree>, Refusal> {
    let mut trees = Vec::with_capacity(raw.len());
    for (tree, root) in raw.iter().enumerate() {
        let mut flat = Flat {
            columns,
            leaves,
            tree,
            nodes: Vec::new(),
            path: Vec::new(),
        };
        flat.add(root)?;
        trees.push(Tree::Any { nodes: flat.nodes });
    }
    Ok(trees)
}

/// Makes a list of the nodes of a nested tree: parents first, left before right.
struct Flat<'a> {
    columns: &'a Columns,
    leaves: &'a Leaves,
    tree: usize,
    nodes: Vec<Node>,
    /// The way to the node at hand; true is right.
    path: Vec<bool>,
}

impl Flat<'_> {
    /// Adds a node and all below it. The parser has bounded the recursion.
    fn add(&mut self, raw: &raw::Nested) -> Result<u32, Refusal> {
        let place = |path| Place::Node {
            tree: self.tree,
            path,
        };
        let index = self.nodes.len();
        if index >= TREE_NODES_MAX {
            let expected = format!("at most {TREE_NODES_MAX} nodes in a tree (capacity)");
            return Err(ModelOverCapacity.at(place(&self.path).key(""), expected, "more"));
        }
        if self.path.len() > TREE_DEPTH_MAX {
            let expected = format!("at most {TREE_DEPTH_MAX} levels in a tree (capacity)");
            return Err(ModelOverCapacity.at(place(&self.path).key(""), expected, "more"));
        }
        self.leaves.count(1, || place(&self.path).key(""))?;
        let number = index as u32;
        match raw {
            raw::Nested::Leaf(raw::LeafValue::Several(outputs)) => {
                Err(several_outputs(place(&self.path).key("value"), *outputs))
            }
            raw::Nested::Leaf(raw::LeafValue::One(raw)) => {
                let value = self.leaves.value(*raw, || place(&self.path).key("value"))?;
                self.nodes.push(Node::Leaf { value });
                Ok(number)
            }
            raw::Nested::Split(raw) => {
                let (split, left, right) = raw.as_ref();
                let split = self.columns.split(split, &place(&self.path))?;
                // Holds the place; the children's numbers are known once they are added.
                self.nodes.push(Node::Leaf { value: 0.0 });
                self.path.push(false);
                let left = self.add(left)?;
                self.path.pop();
                self.path.push(true);
                let right = self.add(right)?;
                self.path.pop();
                if let Some(node) = self.nodes.get_mut(index) {
                    *node = Node::Split { split, left, right };
                }
                Ok(number)
            }
        }
    }
}

/// Where a split or node stands; its path is written only for an error.
enum Place<'a> {
    Level { tree: usize, level: usize },
    Node { tree: usize, path: &'a [bool] },
}

impl Place<'_> {
    /// The value of a key of the split that must be there.
    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, Refusal> {
        value.ok_or_else(|| ModelShape.at(self.key(""), format!("the key `{key}`"), "nothing"))
    }

    /// The JSON path of a key of the split, or, with an empty key, of the split or node itself.
    fn key(&self, key: &str) -> String {
        let mut at = match self {
            Place::Level { tree, level } => format!("oblivious_trees[{tree}].splits[{level}]"),
            Place::Node { tree, path } => {
                let mut at = format!("trees[{tree}]");
                for right in *path {
                    at.push_str(if *right { ".right" } else { ".left" });
                }
                if !["", "value"].contains(&key) {
                    at.push_str(".split");
                }
                at
            }
        };
        if !key.is_empty() {
            at.push('.');
            at.push_str(key);
        }
        at
    }
}

fn several_outputs(at: String, outputs: usize) -> Refusal {
    let got = format!("{outputs} outputs (a multi-class or multi-target model)");
    ModelUnsupported
        .at(at, "one output", got)
        .with_hint("train a binary classifier or a regressor")
}

fn counters() -> &'static str {
    "train with one_hot_max_size above the number of categories, or encode the feature as numbers"
}
