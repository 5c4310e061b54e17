//! Ensembles with sets, with missing values both ways, and of all forms at once.

use super::{Random, border, named, split};
use hedgerow::model::{Ensemble, Missing, Node, Split, Test, Tree};

/// Up to 12 edges of the small grid, ascending.
fn edges(random: &mut Random) -> Vec<f32> {
    let count = random.below(13);
    let mut edges: Vec<f32> = (0..count).map(|_| border(random) + 0.0).collect();
    edges.sort_by(f32::total_cmp);
    edges.dedup();
    edges
}

/// A split that may have a set, and sends missing values any way.
pub fn any_split(features: u64, random: &mut Random) -> Split {
    let plain = split(features, random);
    if random.below(4) > 0 {
        return plain;
    }
    let test = Test::Within(edges(random).into());
    Split { test, ..plain }
}

/// A tree with so many splits; the later a leaf was made, the sooner it is split again, the more
/// so the steeper.
pub fn tree(
    splits: u64,
    steep: bool,
    random: &mut Random,
    mut split: impl FnMut(&mut Random) -> Split,
) -> Tree {
    let leaf = |random: &mut Random| Node::Leaf {
        value: random.unit() - 0.5,
    };
    let mut nodes = vec![leaf(random)];
    let mut open = vec![(0usize, 0usize)];
    for _ in 0..splits {
        let pick = match steep {
            true => open.len() - 1 - random.below(open.len().min(2) as u64) as usize,
            false => random.below(open.len() as u64) as usize,
        };
        let (at, depth) = open.swap_remove(pick);
        let (left, right) = (nodes.len() as u32, nodes.len() as u32 + 1);
        nodes.extend([leaf(random), leaf(random)]);
        if depth < 254 {
            open.extend([(left as usize, depth + 1), (right as usize, depth + 1)]);
        }
        let split = split(random);
        nodes[at] = Node::Split { split, left, right };
    }
    Tree::Any { nodes }
}

/// Trees of both forms and of every size, a third of them with sets.
pub fn special_ensemble(seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let features = 1 + random.below(30);
    let trees = (0..1 + random.below(90)).map(|_| {
        let sets = random.below(3) == 0;
        let split = |random: &mut Random| match sets {
            true => any_split(features, random),
            false => split(features, random),
        };
        if random.below(4) == 0 {
            let depth = random.below(8);
            return Tree::Oblivious {
                splits: (0..depth).map(|_| split(random)).collect(),
                leaves: (0..1 << depth).map(|_| random.unit() - 0.5).collect(),
                weights: Vec::new(),
            };
        }
        let sizes = [1, 4, 31, 33, 64, 70, 300];
        let most = sizes[random.below(7) as usize];
        let splits = random.below(most);
        tree(splits, random.below(3) == 0, random, split)
    });
    Ensemble {
        trees: trees.collect(),
        features: named(features as usize),
        bias: random.unit() * 8.0 - 4.0,
    }
}

/// So many features, the splits of each of which send missing values both ways.
pub fn both_ways_ensemble(features: usize, oblivious: bool, seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let on = |feature: usize, missing, random: &mut Random| Split {
        feature: feature as u16,
        test: Test::Above(border(random)),
        missing,
        zero_is_missing: false,
    };
    let mut trees: Vec<Tree> = (0..features)
        .flat_map(|feature| {
            [Missing::Left, Missing::Right].map(|missing| {
                let splits = 1 + random.below(50);
                let mut first = Some(on(feature, missing, random));
                tree(splits, false, random, |random| {
                    first.take().unwrap_or_else(|| {
                        let missing = [Missing::Left, Missing::Right][random.below(2) as usize];
                        on(random.below(features as u64) as usize, missing, random)
                    })
                })
            })
        })
        .collect();
    if oblivious {
        for feature in 0..features {
            let missing = [Missing::Left, Missing::Right];
            let splits = missing.map(|missing| on(feature, missing, random)).to_vec();
            let leaves = (0..4).map(|_| random.unit()).collect();
            let weights = Vec::new();
            trees.push(Tree::Oblivious {
                splits,
                leaves,
                weights,
            });
        }
    }
    Ensemble {
        features: named(features),
        trees,
        bias: 0.125,
    }
}

/// One feature whose lane is full, tested by thresholds and by sets, in trees of any size: 255
/// borders, or 254 and a bin for missing values.
pub fn full_lane_ensemble(borders: usize, missing: [Missing; 2], seed: u64) -> Ensemble {
    let random = &mut Random::new(seed);
    let grid: Vec<f32> = (0..borders).map(|at| (at as f32 - 128.0) / 8.0).collect();
    let mut unused = grid.clone();
    let split = |random: &mut Random| {
        let missing = missing[random.below(2) as usize];
        let test = match unused.pop() {
            Some(border) => Test::Above(border),
            None if random.below(2) == 0 => {
                Test::Above(grid[random.below(borders as u64) as usize])
            }
            None => {
                // An odd number of edges, so that sets alone ask for no bin of their own.
                let edges = grid.iter().copied().filter(|_| random.below(3) == 0);
                let mut edges: Vec<f32> = edges.collect();
                if edges.len().is_multiple_of(2) {
                    edges.pop();
                }
                Test::Within(edges.into())
            }
        };
        Split {
            feature: 0,
            test,
            missing,
            zero_is_missing: false,
        }
    };
    let mut split = split;
    let sizes = [63, 70, 70, 30, 31, 32, 64, 5, 1, 0, 300];
    let trees = sizes.map(|splits| tree(splits, false, random, &mut split));
    Ensemble {
        features: named(1),
        trees: trees.to_vec(),
        bias: 0.0,
    }
}
