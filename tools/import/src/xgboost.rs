//! XGBoost models in JSON and UBJSON, of versions 1 to 3: `gbtree` and `dart` with one output,
//! with numerical and categorical splits.
//!
//! XGBoost goes left where `x < threshold`, in `f32`; here a row goes right where `x > border`, so
//! the border is the next `f32` below the threshold. Leaves are the file's `f32`, times the tree's
//! weight in a `dart` model, in `f32` as XGBoost does it.
//!
//! A category is the whole part of a value. Values of a split's categories go right, all others and
//! those that are no category (negative, or 2^24 and more) left, and missing ones where the split
//! says. Models that were trained on data frames have a container of categories, by which XGBoost
//! recodes data frames: only one in which each category is its own code is taken. Files of versions
//! before 3.1 hold no container, and do not tell: XGBoost scored there by the codes of each data
//! frame as it came, and the host of such a model has to give the codes of the training frame.
//!
//! Refused by name: linear boosters, models of several outputs, containers that recode, and
//! objectives whose `base_score` has no known margin.
//!
//! XGBoost adds the margins up in `f32`, and so differs from the real sum by about 1e-6; the sum
//! here is the nearer one. All trees count: `best_iteration` is applied by XGBoost's scikit-learn
//! wrapper alone, and stands in the provenance here. A value is missing where it is NaN; a model
//! that was trained with another `missing` needs rows in which that value is NaN.

mod category;
mod margin;
mod raw;
mod tree;

use crate::{Imported, Link, Source, features, json, ubj};
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelOverCapacity, ModelShape, ModelUnsupported};
use hedgerow::limits::{FEATURES_MAX, LEAVES_MAX};
use hedgerow::model::{Ensemble, Node, Split, Test, Tree};
use hedgerow::schema::{Feature, FeatureKind};
use serde_json::{Map, Value};

/// Imports a model in JSON.
pub(crate) fn import_json(bytes: &[u8]) -> Result<Imported, Refusal> {
    import(json::parse(&json::without_nan(bytes))?)
}

/// Imports a model in UBJSON.
pub(crate) fn import_ubj(bytes: &[u8]) -> Result<Imported, Refusal> {
    import(ubj::parse(bytes)?)
}

fn import(model: raw::Model) -> Result<Imported, Refusal> {
    let version = model.version;
    if !(1..=3).contains(&version[0]) {
        let got = format!("{version:?}");
        return Err(ModelUnsupported.at("version", "version 1, 2 or 3", got));
    }
    let learner = model.learner;
    let source = source(version, &learner);
    check_outputs(&learner.learner_model_param)?;
    let mut features = read_features(&learner)?;
    let bias = margin::bias(&learner, version)?;
    let forest = forest(learner.gradient_booster)?;
    let mut trees = Vec::with_capacity(forest.trees.len());
    let mut leaf_order = Vec::with_capacity(forest.trees.len());
    let mut nodes_total = 0_usize;
    let weights = forest.weights.iter().copied().map(Some);
    let weights = weights.chain(std::iter::repeat(None));
    for ((index, raw), weight) in forest.trees.iter().enumerate().zip(weights) {
        let at = format!("{}.trees[{index}]", forest.at);
        let (nodes, order) = tree::read(raw, &at, features.len(), weight)?;
        nodes_total = nodes_total.saturating_add(nodes.len());
        if nodes_total > LEAVES_MAX {
            let expected = format!("at most {LEAVES_MAX} nodes in all trees (capacity)");
            return Err(ModelOverCapacity.at(at, expected, nodes_total));
        }
        mark_categories(&nodes, &mut features);
        trees.push(Tree::Any { nodes });
        leaf_order.push(order);
    }
    Ok(Imported {
        ensemble: Ensemble {
            features,
            trees,
            bias,
        },
        source,
        leaf_order,
    })
}

fn check_outputs(parameters: &raw::Parameters) -> Result<(), Refusal> {
    let classes = ("num_class", parameters.num_class, "a multi-class model");
    let targets = ("num_target", parameters.num_target, "a multi-target model");
    for (key, count, kind) in [classes, targets] {
        if let Some(raw::Count(count @ 2..)) = count {
            let at = format!("{PARAMETERS}.{key}");
            return Err(several_outputs(at, format!("{count} outputs ({kind})")));
        }
    }
    Ok(())
}

/// The features: by their names, or `f0`, `f1` and so on where the model was trained without.
fn read_features(learner: &raw::Learner) -> Result<Vec<Feature>, Refusal> {
    let count = learner.learner_model_param.num_feature.0;
    let names = learner
        .feature_names
        .as_ref()
        .map_or(&[][..], |list| &list.0);
    let types = learner
        .feature_types
        .as_ref()
        .map_or(&[][..], |list| &list.0);
    if names.is_empty() && count > FEATURES_MAX as u64 {
        let expected = format!("at most {FEATURES_MAX} features (capacity)");
        return Err(ModelOverCapacity.at(format!("{PARAMETERS}.num_feature"), expected, count));
    }
    for (list, key) in [(names, "feature_names"), (types, "feature_types")] {
        if !list.is_empty() && list.len() as u64 != count {
            let expected = format!("none, or num_feature = {count}");
            return Err(ModelShape.at(format!("learner.{key}"), expected, list.len()));
        }
    }
    let count = count as usize;
    let mut features = Vec::with_capacity(count.min(FEATURES_MAX));
    for index in 0..count {
        let name = names.get(index).cloned();
        let is_category = types.get(index).is_some_and(|kind| kind == "c");
        features.push(Feature {
            name: name.unwrap_or_else(|| format!("f{index}")),
            kind: if is_category {
                FeatureKind::Category
            } else {
                FeatureKind::Number
            },
        });
    }
    let list = match names {
        [] => format!("{PARAMETERS}.num_feature"),
        _ => "learner.feature_names".to_owned(),
    };
    features::check(&features, &list, |index| {
        format!("learner.feature_names[{index}]")
    })?;
    Ok(features)
}

/// Makes the features categories that a tree tests for some: a model that was trained without
/// types does not say so elsewhere.
fn mark_categories(nodes: &[Node], features: &mut [Feature]) {
    for node in nodes {
        if let Node::Split {
            split:
                Split {
                    feature,
                    test: Test::Within(_),
                    ..
                },
            ..
        } = node
            && let Some(feature) = features.get_mut(usize::from(*feature))
        {
            feature.kind = FeatureKind::Category;
        }
    }
}

/// The trees of a booster, and what they weigh.
struct Forest {
    /// The JSON path of the model that holds them.
    at: &'static str,
    trees: Vec<raw::Tree>,
    /// One weight a tree in a `dart` model, and none in others.
    weights: Vec<f32>,
}

fn forest(booster: raw::Booster) -> Result<Forest, Refusal> {
    const BOOSTER: &str = "learner.gradient_booster";
    let (at, model) = match booster.name.as_str() {
        "gbtree" => ("learner.gradient_booster.model", booster.model),
        "dart" => {
            let inner = booster.gbtree.and_then(|inner| inner.model);
            ("learner.gradient_booster.gbtree.model", inner)
        }
        other => {
            let at = format!("{BOOSTER}.name");
            let error = ModelUnsupported.at(at, "gbtree or dart", shown(other));
            return Err(error.with_hint("train with booster=gbtree"));
        }
    };
    let model = model.ok_or_else(|| missing(at))?;
    if let Some(cats) = &model.cats {
        category::check_container(cats, at)?;
    }
    let trees = model
        .trees
        .ok_or_else(|| missing(&format!("{at}.trees")))?
        .0;
    if let Some(parameters) = &model.gbtree_model_param
        && parameters.num_trees.0 != trees.len() as u64
    {
        let expected = format!("num_trees = {} trees", parameters.num_trees.0);
        return Err(ModelShape.at(format!("{at}.trees"), expected, trees.len()));
    }
    if trees.is_empty() {
        return Err(ModelShape.at(format!("{at}.trees"), "at least 1 tree", "none"));
    }
    let groups = model.tree_info;
    let groups = groups.ok_or_else(|| missing(&format!("{at}.tree_info")))?.0;
    if groups.len() != trees.len() {
        let expected = format!("{} entries, one a tree", trees.len());
        return Err(ModelShape.at(format!("{at}.tree_info"), expected, groups.len()));
    }
    if let Some(index) = groups.iter().position(|group| *group != 0) {
        let at = format!("{at}.tree_info[{index}]");
        return Err(several_outputs(at, "a tree of another output".to_owned()));
    }
    if let Some(rounds) = model.iteration_indptr
        && (rounds.first() != Some(&0) || rounds.last().copied() != i32::try_from(trees.len()).ok())
    {
        let expected = format!("rounds from tree 0 up to {}", trees.len());
        return Err(ModelShape.at(format!("{at}.iteration_indptr"), expected, "others"));
    }
    let weights = match booster.weight_drop {
        Some(weights) if booster.name == "dart" => weights.0.iter().map(|w| w.0).collect(),
        None if booster.name == "dart" => {
            return Err(missing("learner.gradient_booster.weight_drop"));
        }
        _ => Vec::new(),
    };
    if booster.name == "dart" && weights.len() != trees.len() {
        let expected = format!("{} weights, one a tree", trees.len());
        return Err(ModelShape.at(format!("{BOOSTER}.weight_drop"), expected, weights.len()));
    }
    Ok(Forest { at, trees, weights })
}

/// The library, and what the file has of the training run, which is little.
fn source(version: [u32; 3], learner: &raw::Learner) -> Source {
    let booster = &learner.gradient_booster;
    let forest = match &booster.gbtree {
        Some(inner) => inner.model.as_ref(),
        None => booster.model.as_ref(),
    };
    let parallel = forest
        .and_then(|forest| forest.gbtree_model_param.as_ref())
        .and_then(|parameters| parameters.num_parallel_tree)
        .map(|count| Value::from(count.0));
    let text = |text: &String| Value::from(text.chars().take(80).collect::<String>());
    let attributes = learner.attributes.as_ref();
    let mut parameters = Map::new();
    for (key, value) in [
        ("objective", Some(text(&learner.objective.name))),
        ("booster", Some(text(&booster.name))),
        (
            "base_score",
            Some(text(&learner.learner_model_param.base_score)),
        ),
        ("num_parallel_tree", parallel),
        (
            "best_iteration",
            attributes.and_then(|a| a.best_iteration.as_ref()).map(text),
        ),
        (
            "best_score",
            attributes.and_then(|a| a.best_score.as_ref()).map(text),
        ),
    ] {
        if let Some(value) = value {
            parameters.insert(key.to_owned(), value);
        }
    }
    let [major, minor, patch] = version;
    let link = match learner.objective.name.as_str() {
        "binary:logistic" | "binary:logitraw" | "reg:logistic" => Link::LOG_ODDS,
        // It stands there too where the objective was a function of the caller's.
        other => Link::other(other),
    };
    Source {
        library: "xgboost",
        link,
        version: Some(format!("{major}.{minor}.{patch}")),
        parameters: Value::Object(parameters),
    }
}

const PARAMETERS: &str = "learner.learner_model_param";

/// A text of the file, shortened.
fn shown(text: &str) -> String {
    let text: String = text.chars().take(80).collect();
    format!("{text:?}")
}

fn several_outputs(at: String, got: String) -> Refusal {
    ModelUnsupported
        .at(at, "one output", got)
        .with_hint("train a binary classifier or a regressor")
}

fn missing(key: &str) -> Refusal {
    ModelShape.at(key.to_owned(), "this key", "nothing")
}
