//! Ensembles like those that libraries train, made from a seed.
#![allow(dead_code, reason = "each bench takes what it needs")]

#[path = "../../tests/common/mod.rs"]
mod common;

pub use common::{Random, named, schema_of};
use hedgerow::model::{Ensemble, Missing, Node, Split, Test, Tree};

/// Features of every ensemble here.
pub const FEATURES: usize = 200;

/// Borders of a feature.
const BORDERS: u64 = 8;

/// Most splits are near an end of their feature's values, so that most rows go one way.
fn split(features: usize, random: &mut Random) -> Split {
    let skewed = random.unit().powi(3) / 2.0;
    let rank = (skewed * BORDERS as f64) as u64;
    let rank = if random.below(2) == 0 {
        rank
    } else {
        BORDERS - 1 - rank
    };
    Split {
        feature: random.below(features as u64) as u16,
        test: Test::Above((rank as f32 + 0.5) / BORDERS as f32),
        missing: Missing::Left,
        zero_is_missing: false,
    }
}

/// An oblivious tree of six levels over the first so many features.
pub fn oblivious(features: usize, random: &mut Random) -> Tree {
    Tree::Oblivious {
        splits: (0..6).map(|_| split(features, random)).collect(),
        leaves: (0..64).map(|_| random.unit() - 0.5).collect(),
        weights: Vec::new(),
    }
}

/// Splits a random leaf of those that are not too deep, and a late one rather than an early one.
pub fn leafwise(leaves: usize, depth_max: usize, random: &mut Random) -> Tree {
    let mut nodes = vec![Node::Leaf { value: 0.0 }];
    let mut open = vec![(0usize, 0usize)];
    for _ in 1..leaves {
        let pick = open.len() - 1 - (random.unit().powi(2) * open.len() as f64) as usize;
        let (at, depth) = open.swap_remove(pick);
        let (left, right) = (nodes.len() as u32, nodes.len() as u32 + 1);
        nodes[at] = Node::Split {
            split: split(FEATURES, random),
            left,
            right,
        };
        for child in [left, right] {
            nodes.push(Node::Leaf {
                value: random.unit() - 0.5,
            });
            if depth + 1 < depth_max {
                open.push((child as usize, depth + 1));
            }
        }
    }
    Tree::Any { nodes }
}

/// So many trees over [`FEATURES`] features.
pub fn ensemble(trees: usize, mut tree: impl FnMut(&mut Random) -> Tree) -> Ensemble {
    let random = &mut Random::new(1);
    Ensemble {
        features: named(FEATURES),
        trees: (0..trees).map(|_| tree(random)).collect(),
        bias: 0.0,
    }
}

/// Complete trees of depth 6 that ask each border of each feature once, or in the last tree again:
/// as few trees as can use all borders, so that a row's time goes to its bins.
pub fn borders_alone() -> Ensemble {
    let splits = FEATURES * BORDERS as usize;
    let tree = |at: usize, random: &mut Random| {
        let inner = |node: usize| {
            let place = (at * 63 + node) % splits;
            let rank = (place / FEATURES) as f32;
            Node::Split {
                split: Split {
                    feature: (place % FEATURES) as u16,
                    test: Test::Above((rank + 0.5) / BORDERS as f32),
                    missing: Missing::Left,
                    zero_is_missing: false,
                },
                left: 2 * node as u32 + 1,
                right: 2 * node as u32 + 2,
            }
        };
        let leaves = (0..64).map(|_| Node::Leaf {
            value: random.unit() - 0.5,
        });
        let nodes = (0..63).map(inner).chain(leaves);
        Tree::Any {
            nodes: nodes.collect(),
        }
    };
    let mut at = 0..;
    ensemble(splits.div_ceil(63), |random| {
        tree(at.next().unwrap_or_default(), random)
    })
}

/// So many rows, each value even between 0 and 1.
pub fn rows(count: usize) -> Vec<Vec<f32>> {
    let random = &mut Random::new(2);
    let mut row = |_| (0..FEATURES).map(|_| random.unit() as f32).collect();
    (0..count).map(&mut row).collect()
}
