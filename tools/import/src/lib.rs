//! Importers: models of other libraries to hedgerow ensembles.
//!
//! [`import`] tells by its content what a file is, and brings it over exactly: an importer refuses
//! what it does not carry over bit for bit, naming the construct and where it stands, and never
//! approximates silently. [`reference`](mod@reference) walks an [`Ensemble`] the slow and obvious
//! way, as the oracle of every parity test.
//!
//! | model | file | |
//! |---|---|---|
//! | CatBoost | `save_model("model.json", format="json")` | imported |
//! | LightGBM | `save_model("model.txt")`, versions v2 to v4 | imported |
//! | XGBoost | `save_model("model.json")` or `"model.ubj"`, versions 1 to 3 | imported |
//! | all others that are recognised | ONNX and more, see [`Format`] | refused, with a hint |
//!
//! What comes over of each:
//! - CatBoost: oblivious trees and trees of any shape; numerical splits, with NaN least, greatest
//!   or forbidden; one-hot splits on categories that are whole numbers. Refused: counters (CTR),
//!   categories that are other strings, text and embedding features.
//! - LightGBM: numerical splits of every missing type, with infinite thresholds; categorical
//!   splits; `gbdt`, `dart` and `rf`. Refused: linear trees, thresholds that are NaN or below
//!   every `f32`, and categories of data frames that LightGBM recodes.
//! - XGBoost: `gbtree` and `dart`, numerical and categorical splits. Refused: `gblinear`, vector
//!   leaves, and data frames' containers of categories by which XGBoost recodes values.
//! - Models of several outputs are refused in all.
//!
//! A host gives a category as a number. Whole numbers from 0 to 2^24 - 1 mean the same to all
//! three; how each takes negative numbers and fractions is said where it is imported, and carried
//! over. A byte order mark before a text model is skipped.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod catboost;
mod category;
mod features;
mod format;
mod importers;
mod json;
mod lightgbm;
pub mod reference;
mod ubj;
mod xgboost;

pub use format::Format;
pub use importers::{IMPORTERS, Importer, Sign};

use format::Recognised;
use hedgerow::Refusal;
use hedgerow::RefusalKind::ModelTooLarge;
use hedgerow::limits::{LEAVES_MAX, PROVENANCE_BYTES_MAX};
use hedgerow::model::{Ensemble, Node, Tree};
use serde_json::{Value, json};

/// Bytes of a model file, 256 MiB: ten times the largest model that fits a table. Parsing takes a
/// small multiple of the file in memory, so this bounds the memory too.
pub const MODEL_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A model that came over, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// The features and trees.
    pub ensemble: Ensemble,
    /// The library and the training run.
    pub source: Source,
    /// For each tree the library's own numbers of its leaves, from left to right; an empty list
    /// where they are numbered so, as in all CatBoost models. (The process that trained a
    /// non-symmetric CatBoost model may number them differently until it loads the file itself.)
    pub leaf_order: Vec<Vec<u32>>,
}

/// Where a model came from, as far as its file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The library, in lower case: `catboost`, `lightgbm` or `xgboost`.
    pub library: &'static str,
    /// What the objective makes of a margin.
    pub link: Link,
    /// The library's version, where the file has it (LightGBM's does not).
    pub version: Option<String>,
    /// The training parameters that matter, by the library's own names; an empty object if the
    /// file holds none.
    pub parameters: Value,
}

/// What a margin is, as far as the file says: whoever turns margins into scores has to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Log-odds of the positive class, in units of the library's own.
    LogOdds {
        /// The log-odds of a margin of 1: LightGBM's `sigmoid`, and else 1.
        per_margin: f64,
    },
    /// No log-odds: the objective's name, as the file has it.
    Other(String),
    /// The file has no objective.
    Unknown,
}

impl Link {
    /// Log-odds as they are.
    const LOG_ODDS: Link = Link::LogOdds { per_margin: 1.0 };

    /// What is no log-odds.
    fn other(objective: &str) -> Link {
        Link::Other(objective.chars().take(80).collect())
    }
}

/// Imports a model; `bytes` are the whole file.
///
/// # Errors
/// A refusal from 901 on: the file is no model of a known format, is malformed, is over a capacity
/// of [`hedgerow::limits`], or uses a construct without an exact equivalent. Its place is a JSON
/// path such as `oblivious_trees[3].splits[0].border`, or a line and column.
pub fn import(bytes: &[u8]) -> Result<Imported, Refusal> {
    if bytes.len() > MODEL_BYTES_MAX {
        let expected = format!("at most {MODEL_BYTES_MAX} bytes");
        let got = format!("{} bytes", bytes.len());
        return Err(ModelTooLarge.at("the whole file", expected, got));
    }
    let text = bytes.strip_prefix(format::BYTE_ORDER_MARK).unwrap_or(bytes);
    match format::recognise(text)? {
        // UBJSON is not text: a mark does not belong in front of it.
        Recognised::Model(importer) if importer.sign == Sign::Ubj => (importer.import)(bytes),
        Recognised::Model(importer) => (importer.import)(text),
        Recognised::Other(format) => Err(format.refusal()),
    }
}

impl Imported {
    /// The library's own number of a leaf that [`Reference`](reference::Reference) names.
    pub fn library_leaf(&self, tree: usize, leaf: u32) -> u32 {
        let order = self.leaf_order.get(tree);
        let number = order.and_then(|order| order.get(leaf as usize));
        number.copied().unwrap_or(leaf)
    }

    /// The provenance of a table made from this model: source library, version and parameters, and
    /// the counts of trees, features, splits and leaves. It stays within
    /// [`PROVENANCE_BYTES_MAX`]: parameters that are too long are left out, and that is said.
    pub fn provenance(&self) -> Value {
        let mut parameters = self.source.parameters.clone();
        let bytes = parameters.to_string().len();
        // Half of the capacity is left to whoever adds the training run and row counts.
        if bytes > PROVENANCE_BYTES_MAX / 2 {
            parameters = json!({ "left_out": format!("{bytes} bytes of parameters") });
        }
        let counts = Counts::of(&self.ensemble);
        json!({
            "source": {
                "library": self.source.library,
                "version": self.source.version,
                "parameters": parameters,
            },
            "features": self.ensemble.features.len(),
            "trees": self.ensemble.trees.len(),
            "splits": counts.splits,
            "leaves": counts.leaves,
        })
    }
}

/// How much an ensemble holds.
struct Counts {
    splits: usize,
    leaves: usize,
}

impl Counts {
    fn of(ensemble: &Ensemble) -> Counts {
        let mut counts = Counts {
            splits: 0,
            leaves: 0,
        };
        for tree in &ensemble.trees {
            let (splits, leaves) = match tree {
                Tree::Oblivious { splits, leaves, .. } => (splits.len(), leaves.len()),
                Tree::Any { nodes } => {
                    let is_leaf = |node: &&Node| matches!(node, Node::Leaf { .. });
                    let leaves = nodes.iter().filter(is_leaf).count();
                    (nodes.len().saturating_sub(leaves), leaves)
                }
            };
            counts.splits = counts.splits.saturating_add(splits);
            counts.leaves = counts.leaves.saturating_add(leaves);
        }
        counts
    }
}

const _: () = assert!(
    MODEL_BYTES_MAX >= 8 * LEAVES_MAX,
    "the leaves alone must fit"
);
