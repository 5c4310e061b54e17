//! LightGBM models in text form, versions v2 to v4: numerical splits with every missing type, and
//! categorical splits.
//!
//! Refused by name: models of several outputs, linear trees, categories from 2^24 on, data frames
//! whose categories LightGBM recodes, and thresholds that are NaN or below every `f32`. A threshold
//! is `f64` there and `f32` here: rounded down, `x <= threshold` holds for the same `f32` values.
//! With the threshold infinity, which parts missing values from all others, it holds for every
//! value. Rows are `f32` as well: what `f64` tells apart and `f32` does not is refused
//! (`precision`).
//!
//! A category is the whole part of a value, so all above -1 and below 1 are category 0. Categories
//! in a split's set go left there, and all others, with negative, huge and missing values, go
//! right, whatever the missing type. Here a test holds on the right: children are swapped.
//!
//! LightGBM takes dense rows with values within ±1e-35 as 0 (its own sparse and single-value ways
//! do not differ otherwise). [`border`] moves thresholds within that range to its edge, so that
//! every value of the range goes where 0 goes.

mod precision;
mod sets;
mod text;

use crate::{Imported, Link, Source, features};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelOverCapacity, ModelShape, ModelUnsupported, ModelValue};
use hedgerow::limits::{LEAVES_MAX, TREE_DEPTH_MAX, TREE_NODES_MAX};
use hedgerow::model::{Ensemble, Missing, Node, Split, Test, Tree};
use hedgerow::schema::{Feature, FeatureKind};
use precision::Precision;
use serde_json::{Map, Value};
use sets::Sets;
use std::sync::Arc;
use text::{Block, Model};

/// Imports a model.
pub(crate) fn import(bytes: &[u8]) -> Result<Imported, Refusal> {
    let model = text::read(bytes, PARAMETERS)?;
    check_header(&model.header)?;
    let mut features = read_features(&model.header)?;
    let mut precision = Precision::new(&model.header, features.len());
    let count = model.trees.len();
    // The margin is the average of the trees in a random forest, and else their sum.
    let divisor = if model.header.flag("average_output") {
        count as f64
    } else {
        1.0
    };
    let mut trees = Vec::with_capacity(count);
    let mut leaf_order = Vec::with_capacity(count);
    let mut nodes_total = 0_usize;
    let mut edges_total = 0_usize;
    for block in &model.trees {
        let (nodes, order) = tree(
            block,
            &mut features,
            &mut precision,
            &mut edges_total,
            divisor,
        )?;
        nodes_total = nodes_total.saturating_add(nodes.len());
        if nodes_total > LEAVES_MAX {
            let expected = format!("at most {LEAVES_MAX} nodes in all trees (capacity)");
            return Err(block.refusal(ModelOverCapacity, "", expected, nodes_total));
        }
        trees.push(Tree::Any { nodes });
        leaf_order.push(order);
    }
    Ok(Imported {
        ensemble: Ensemble {
            features,
            trees,
            bias: 0.0,
        },
        source: source(&model),
        leaf_order,
    })
}

/// Version, number of outputs and of trees.
fn check_header(header: &Block<'_>) -> Result<(), Refusal> {
    let version = header.get("version")?;
    if !["v2", "v3", "v4"].contains(&version) {
        return Err(header.refusal(ModelUnsupported, "version", "v2, v3 or v4", version));
    }
    for key in ["num_class", "num_tree_per_iteration"] {
        let outputs = header.count(key)?;
        if outputs != 1 {
            let got = format!("{outputs} outputs (a multi-class model)");
            return Err(header
                .refusal(ModelUnsupported, key, "one output", got)
                .with_hint("train a binary classifier or a regressor"));
        }
    }
    Ok(())
}

fn read_features(header: &Block<'_>) -> Result<Vec<Feature>, Refusal> {
    const KEY: &str = "feature_names";
    let features: Vec<Feature> = header
        .get(KEY)?
        .split_ascii_whitespace()
        .map(|name| Feature {
            name: name.to_owned(),
            kind: FeatureKind::Number,
        })
        .collect();
    let wanted = header.count("max_feature_idx")?.saturating_add(1);
    if features.len() != wanted {
        let got = format!("{} names", features.len());
        let expected = format!("{wanted} names, one more than max_feature_idx");
        return Err(header.refusal(ModelShape, KEY, expected, got));
    }
    let place = |_| header.place(KEY);
    features::check(&features, &header.place(KEY), place)?;
    Ok(features)
}

/// The nodes of a tree, splits first, and its leaves' numbers from left to right.
///
/// A feature that it tests for categories becomes one.
fn tree(
    block: &Block<'_>,
    features: &mut [Feature],
    precision: &mut Precision,
    edges_total: &mut usize,
    divisor: f64,
) -> Result<(Vec<Node>, Vec<u32>), Refusal> {
    if block.count_or("is_linear", 0)? != 0 {
        let got = "a linear tree";
        return Err(block
            .refusal(ModelUnsupported, "is_linear", "0", got)
            .with_hint("train with linear_tree=false"));
    }
    let leaves = block.count("num_leaves")?;
    let splits = leaves.saturating_sub(1);
    let max = TREE_NODES_MAX.div_ceil(2);
    if !(1..=max).contains(&leaves) {
        let expected = format!("1 to {max} leaves (capacity)");
        return Err(block.refusal(
            ModelOverCapacity,
            "num_leaves",
            expected,
            leaves.to_string(),
        ));
    }
    let values: Vec<f64> = block.numbers("leaf_value", leaves)?;
    let mut nodes = Vec::with_capacity(leaves.saturating_add(splits));
    if splits > 0 {
        split_nodes(block, features, precision, edges_total, &mut nodes)?;
    }
    for (leaf, value) in values.into_iter().enumerate() {
        let value = value / divisor;
        if !value.is_finite() {
            let key = format!("leaf_value[{leaf}]");
            let got = value.to_string();
            return Err(block.refusal(ModelValue, &key, "a finite leaf", got));
        }
        nodes.push(Node::Leaf { value });
    }
    let order = leaf_order(block, &nodes, splits)?;
    Ok((nodes, order))
}

/// Adds the split nodes. Node `i` is split `i`, and node `splits + k` is leaf `k`.
fn split_nodes(
    block: &Block<'_>,
    features: &mut [Feature],
    precision: &mut Precision,
    edges_total: &mut usize,
    nodes: &mut Vec<Node>,
) -> Result<(), Refusal> {
    let leaves = block.count("num_leaves")?;
    let splits = leaves.saturating_sub(1);
    let columns: Vec<u32> = block.numbers("split_feature", splits)?;
    let thresholds: Vec<f64> = block.numbers("threshold", splits)?;
    let decisions: Vec<u8> = block.numbers("decision_type", splits)?;
    let lefts: Vec<i64> = block.numbers("left_child", splits)?;
    let rights: Vec<i64> = block.numbers("right_child", splits)?;
    let mut sets = Sets::read(block)?;
    let tests = columns.iter().zip(thresholds).zip(decisions);
    for (index, (((column, threshold), decision), (left, right))) in
        tests.zip(lefts.into_iter().zip(rights)).enumerate()
    {
        let at = |key: &str| format!("{key}[{index}]");
        let count = features.len();
        let feature = u16::try_from(*column).ok();
        let known = feature.and_then(|feature| features.get_mut(usize::from(feature)));
        let (Some(feature), Some(known)) = (feature, known) else {
            let expected = format!("a feature below {count}");
            let (key, got) = (at("split_feature"), column.to_string());
            return Err(block.refusal(ModelValue, &key, expected, got));
        };
        let (missing, zero_is_missing) = missing(decision)
            .map_err(|got| block.refusal(ModelValue, &at("decision_type"), "0 to 11", got))?;
        let child = |key: &str, child: i64| {
            node_of(child, splits, leaves).ok_or_else(|| {
                let expected =
                    format!("a split below {splits}, or the complement of a leaf below {leaves}");
                block.refusal(ModelValue, &at(key), expected, child)
            })
        };
        let (left, right) = (child("left_child", left)?, child("right_child", right)?);
        nodes.push(if decision & 1 == 1 {
            known.kind = FeatureKind::Category;
            let edges = set(threshold, index, &mut sets, edges_total, block)?;
            let split = Split {
                feature,
                test: Test::Within(edges),
                missing: Missing::Left,
                zero_is_missing: false,
            };
            // What is in the set goes left there, and the test holds on the right here.
            let (left, right) = (right, left);
            Node::Split { split, left, right }
        } else {
            let place = || block.place(&at("threshold"));
            let test = threshold_test(threshold, place)?;
            if let Test::Above(border) = test
                && threshold.abs() > f64::from(ZERO)
            {
                precision.note(feature, threshold, border, place)?;
            }
            let split = Split {
                feature,
                test,
                missing,
                zero_is_missing,
            };
            Node::Split { split, left, right }
        });
    }
    Ok(())
}

/// The edges of the set that a categorical split names: its threshold is the set's number.
fn set(
    threshold: f64,
    index: usize,
    sets: &mut Sets,
    edges_total: &mut usize,
    block: &Block<'_>,
) -> Result<Arc<[f32]>, Refusal> {
    // LightGBM takes a tree for one of numerical splits only where it has no sets.
    if sets.count() == 0 {
        let (key, expected) = (
            format!("decision_type[{index}]"),
            "a numerical split in a tree of num_cat=0",
        );
        return Err(block.refusal(ModelValue, &key, expected, "a categorical split"));
    }
    let number = threshold as usize;
    if number as f64 != threshold || number >= sets.count() {
        let key = format!("threshold[{index}]");
        let expected = format!("the number of one of num_cat={} sets", sets.count());
        return Err(block.refusal(ModelValue, &key, expected, threshold));
    }
    sets.edges(number, edges_total, block)
}

/// The node of a child: a split as it is, or a leaf as its bitwise complement.
fn node_of(child: i64, splits: usize, leaves: usize) -> Option<u32> {
    let node = match usize::try_from(child) {
        Ok(split) if split < splits => split,
        Ok(_) => return None,
        Err(_) => {
            let leaf = usize::try_from(!child).ok()?;
            splits.checked_add(leaf).filter(|_| leaf < leaves)?
        }
    };
    u32::try_from(node).ok()
}

/// Checks that the nodes are one tree, and numbers its leaves from left to right.
fn leaf_order(block: &Block<'_>, nodes: &[Node], splits: usize) -> Result<Vec<u32>, Refusal> {
    let broken = |got: String| {
        let expected = "every node below exactly one parent, from split 0 down";
        block.refusal(ModelShape, "left_child and right_child", expected, got)
    };
    let mut seen = vec![false; nodes.len()];
    let mut order = Vec::new();
    let mut waiting = vec![(0_u32, 0_usize)];
    while let Some((at, depth)) = waiting.pop() {
        let index = at as usize;
        match seen.get_mut(index) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(broken(format!("node {at} twice"))),
        }
        if depth > TREE_DEPTH_MAX {
            let expected = format!("at most {TREE_DEPTH_MAX} levels (capacity)");
            return Err(block.refusal(ModelOverCapacity, "left_child", expected, "more"));
        }
        match nodes.get(index) {
            Some(Node::Split { left, right, .. }) => {
                let below = depth.saturating_add(1);
                waiting.extend([(*right, below), (*left, below)]);
            }
            _ => order.push(index.saturating_sub(splits) as u32),
        }
    }
    match seen.iter().position(|seen| !*seen) {
        Some(node) => Err(broken(format!("no way to node {node}"))),
        None => Ok(order),
    }
}

/// Where missing values go: bit 1 is the default side (1 = left), bits 2 and 3 the missing type (0
/// none, 1 zero, 2 NaN). Bit 0, a categorical split, is looked at elsewhere.
fn missing(decision: u8) -> Result<(Missing, bool), u8> {
    let side = if decision & 2 == 2 {
        Missing::Left
    } else {
        Missing::Right
    };
    match decision >> 2 {
        0 => Ok((Missing::AsZero, false)),
        1 => Ok((side, true)),
        2 => Ok((side, false)),
        _ => Err(decision),
    }
}

/// The test that holds where a value that is not missing goes right.
fn threshold_test(threshold: f64, at: impl Fn() -> String) -> Result<Test, Refusal> {
    // All values are at most infinity: +inf too goes left.
    if threshold == f64::INFINITY {
        return Ok(Test::Within(Arc::new([])));
    }
    border(threshold).map(Test::Above).ok_or_else(|| {
        let expected = "infinity, or a number not below the lowest f32";
        ModelValue.at(at(), expected, threshold)
    })
}

/// The `f32` border of a threshold: `x > border` for the same `f32` values as `x > threshold`,
/// after values within ±1e-35 became 0. None where no finite border does that.
fn border(threshold: f64) -> Option<f32> {
    if !threshold.is_finite() {
        return None;
    }
    if (0.0..=f64::from(ZERO)).contains(&threshold) {
        return Some(ZERO);
    }
    if (-f64::from(ZERO)..0.0).contains(&threshold) {
        return Some((-ZERO).next_down());
    }
    let nearest = threshold as f32;
    let down = if f64::from(nearest) > threshold {
        nearest.next_down()
    } else {
        nearest
    };
    down.is_finite().then_some(down)
}

/// LightGBM's `kZeroThreshold`: the `f32` nearest to 1e-35.
const ZERO: f32 = 1e-35;

/// What a margin is: the objective that the file names makes a probability of it, or none.
fn link(header: &Block<'_>) -> Link {
    // LightGBM writes none where the objective was a function of the caller's.
    let Ok(objective) = header.get("objective") else {
        return Link::Unknown;
    };
    let mut words = objective.split_ascii_whitespace();
    let name = words.next();
    let sigmoid = words.find_map(|word| word.strip_prefix("sigmoid:")?.parse().ok());
    match (name, sigmoid) {
        (Some("cross_entropy"), _) => Link::LOG_ODDS,
        (Some("binary"), Some(per_margin)) if f64::is_normal(per_margin) && per_margin > 0.0 => {
            Link::LogOdds { per_margin }
        }
        _ => Link::other(objective),
    }
}

/// The library, and the parameters of the run that are not at rest in another value.
fn source(model: &Model<'_>) -> Source {
    let mut parameters = Map::new();
    for key in ["version", "objective"] {
        if let Ok(value) = model.header.get(key) {
            parameters.insert(key.to_owned(), Value::from(value));
        }
    }
    let kept = model.parameters.iter();
    let given: Map<String, Value> = kept
        .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
        .collect();
    parameters.insert("given".to_owned(), Value::Object(given));
    Source {
        library: "lightgbm",
        link: link(&model.header),
        // The file has the version of its format only.
        version: None,
        parameters: Value::Object(parameters),
    }
}

/// The parameters that are kept as provenance.
const PARAMETERS: &[&str] = &[
    "boosting",
    "num_iterations",
    "learning_rate",
    "num_leaves",
    "max_depth",
    "min_data_in_leaf",
    "bagging_fraction",
    "bagging_freq",
    "feature_fraction",
    "lambda_l1",
    "lambda_l2",
    "max_bin",
    "use_missing",
    "zero_as_missing",
    "seed",
    "is_unbalance",
    "scale_pos_weight",
    "sigmoid",
    "early_stopping_round",
];
