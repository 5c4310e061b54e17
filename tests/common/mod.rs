//! Ensembles and rows for tests, made from a seed.
#![allow(dead_code, reason = "each test takes what it needs")]

pub mod special;

use hedgerow::model::{Ensemble, Missing, Node, Split, Test, Tree};
use hedgerow::{Feature, FeatureKind, Schema};

/// SplitMix64: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

const SPECIAL: [f32; 14] = [
    0.0,
    -0.0,
    1e-35,
    -1e-35,
    1.1e-35,
    f32::MIN_POSITIVE,
    -1e-45,
    1e-45,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
    1.0,
];

/// Borders come from a small grid, so that rows hit them exactly.
pub fn border(random: &mut Random) -> f32 {
    match random.below(12) {
        0 => 0.0,
        1 => -0.0,
        2 => 1e-35,
        3 => -1e-45,
        _ => (random.below(400) as f32 - 200.0) / 8.0,
    }
}

pub fn split(features: u64, random: &mut Random) -> Split {
    let missing = [Missing::Left, Missing::Right, Missing::AsZero][random.below(3) as usize];
    Split {
        feature: random.below(features) as u16,
        test: Test::Above(border(random)),
        missing,
        zero_is_missing: random.below(8) == 0,
    }
}

fn any_tree(features: u64, splits: u64, random: &mut Random) -> Tree {
    let leaf = |random: &mut Random| Node::Leaf {
        value: random.unit() - 0.5,
    };
    let mut nodes = vec![leaf(random)];
    let mut leaves = vec![0usize];
    for _ in 0..splits {
        let at = leaves.swap_remove(random.below(leaves.len() as u64) as usize);
        let (left, right) = (nodes.len() as u32, nodes.len() as u32 + 1);
        nodes.extend([leaf(random), leaf(random)]);
        leaves.extend([left as usize, right as usize]);
        nodes[at] = Node::Split {
            split: split(features, random),
            left,
            right,
        };
    }
    Tree::Any { nodes }
}

fn oblivious_tree(features: u64, depth: u64, random: &mut Random) -> Tree {
    Tree::Oblivious {
        splits: (0..depth).map(|_| split(features, random)).collect(),
        leaves: (0..1u64 << depth).map(|_| random.unit() - 0.5).collect(),
        weights: Vec::new(),
    }
}

/// Up to 40 features and 150 trees of both forms and of many depths.
pub fn random_ensemble(random: &mut Random) -> Ensemble {
    let features = 1 + random.below(40);
    let trees = (0..1 + random.below(150))
        .map(|_| match random.below(3) {
            0 => any_tree(features, random.below(40), random),
            _ => oblivious_tree(features, random.below(9), random),
        })
        .collect();
    let bias = random.unit() * 8.0 - 4.0;
    Ensemble {
        features: named(features as usize),
        trees,
        bias,
    }
}

/// Oblivious trees alone, all of one depth.
pub fn oblivious_ensemble(features: usize, trees: usize, depth: u64, seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let tree = |_| oblivious_tree(features as u64, depth, random);
    let trees = (0..trees).map(tree).collect();
    Ensemble {
        features: named(features),
        trees,
        bias: 0.25,
    }
}

/// Trees of any shape alone.
pub fn any_ensemble(features: usize, trees: usize, splits: u64, seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let tree = |_| any_tree(features as u64, splits, random);
    let trees = (0..trees).map(tree).collect();
    Ensemble {
        features: named(features),
        trees,
        bias: -0.75,
    }
}

/// Features `f0`, `f1`, …
pub fn named(count: usize) -> Vec<Feature> {
    (0..count)
        .map(|i| Feature {
            name: format!("f{i}"),
            kind: FeatureKind::Number,
        })
        .collect()
}

/// A row that often hits borders, zeros, missing and infinite values.
pub fn random_row(ensemble: &Ensemble, random: &mut Random) -> Vec<f32> {
    let value = |random: &mut Random| match random.below(5) {
        0 => SPECIAL[random.below(SPECIAL.len() as u64) as usize],
        1 => border(random).next_up(),
        2 => border(random).next_down(),
        _ => border(random),
    };
    ensemble.features.iter().map(|_| value(random)).collect()
}

pub fn schema_of(ensemble: &Ensemble) -> Schema {
    Schema::new(ensemble.features.clone()).expect("a schema")
}

/// Chains: every split has a leaf on one side, at random which.
pub fn chain_ensemble(features: usize, trees: usize, depth: usize, seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let chain = |random: &mut Random| {
        let mut nodes = Vec::new();
        for level in 0..depth as u32 {
            let mut ends = [2 * level + 1, 2 * level + 2];
            if random.below(2) == 0 {
                ends.swap(0, 1);
            }
            let split = split(features as u64, random);
            let (left, right) = (ends[0], ends[1]);
            nodes.push(Node::Split { split, left, right });
            let value = random.unit() - 0.5;
            nodes.push(Node::Leaf { value });
        }
        nodes.push(Node::Leaf { value: 1.0 });
        Tree::Any { nodes }
    };
    let trees = (0..trees).map(|_| chain(random)).collect();
    Ensemble {
        features: named(features),
        trees,
        bias: 0.0,
    }
}

/// Trees of both forms over exactly this many lanes, each used.
pub fn lanes_ensemble(lanes: usize, seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let on = |feature: usize, random: &mut Random| Split {
        feature: feature as u16,
        test: Test::Above(border(random)),
        missing: Missing::Left,
        zero_is_missing: false,
    };
    let mut trees = Vec::new();
    for feature in 0..lanes {
        let depth = 1 + random.below(7) as usize;
        let splits = (0..depth).map(|step| on((feature + step * 37) % lanes, random));
        let splits: Vec<_> = splits.collect();
        let leaves = (0..1 << depth).map(|_| random.unit() - 0.5).collect();
        trees.push(Tree::Oblivious {
            splits,
            leaves,
            weights: Vec::new(),
        });
        let split = on(lanes - 1 - feature, random);
        let leaf = |value| Node::Leaf { value };
        let (left, right) = (1, 2);
        let nodes = vec![
            Node::Split { split, left, right },
            leaf(random.unit()),
            leaf(-0.5),
        ];
        trees.push(Tree::Any { nodes });
    }
    Ensemble {
        features: named(lanes),
        trees,
        bias: 0.5,
    }
}

/// Lanes of up to 255 borders, some features with several, all missing directions.
pub fn long_lanes_ensemble(features: usize, seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let trees = (0..300).map(|_| {
        let wide = |random: &mut Random| Split {
            test: Test::Above((random.below(4_000) as f32 - 2_000.0) / 80.0),
            missing: Missing::Left,
            zero_is_missing: false,
            ..split(features as u64, random)
        };
        let splits = (0..6).map(|_| wide(random)).collect();
        let leaves = (0..64).map(|_| random.unit() - 0.5).collect();
        Tree::Oblivious {
            splits,
            leaves,
            weights: Vec::new(),
        }
    });
    let trees = trees.collect();
    Ensemble {
        features: named(features),
        trees,
        bias: 0.0,
    }
}
