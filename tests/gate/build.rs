//! What the writer refuses: an ensemble with a number that is not finite never becomes a table.

use super::tables::{fork, leaf, mixed, plain, schema, split};
use hedgerow::limits::*;
use hedgerow::model::{
    BuildError, BuildOptions, Ensemble, Missing, Node, Split, Test, Tree, build,
};
use hedgerow::{PreparedTable, SchemaError, Table};

fn refused(edit: impl FnOnce(&mut Ensemble, &mut BuildOptions)) -> BuildError {
    let (mut ensemble, mut options) = (plain(), BuildOptions::default());
    edit(&mut ensemble, &mut options);
    build(&ensemble, &options).expect_err("a refusal")
}

fn any(nodes: Vec<Node>) -> Tree {
    Tree::Any { nodes }
}

#[test]
fn features_that_are_no_schema() {
    let error = refused(|ensemble, _| ensemble.features.clear());
    assert_eq!(error, BuildError::Features(SchemaError::Empty));
    let error = refused(|ensemble, _| ensemble.features[2].name = "f0".into());
    let (name, first, second, duplicates) = ("f0".to_string(), 0, 2, 1);
    let duplicate = SchemaError::Duplicate {
        name,
        first,
        second,
        duplicates,
    };
    assert_eq!(error, BuildError::Features(duplicate));
    let error = refused(|ensemble, _| ensemble.features = crate::common::named(257));
    assert_eq!(
        error,
        BuildError::Features(SchemaError::TooMany { got: 257 })
    );
    for (name, problem) in [
        ("", "is empty"),
        (" f", "starts or ends with a space"),
        (
            "a,b",
            "holds a control character, a comma or a double quote",
        ),
        (&"x".repeat(57), "is longer than 56 bytes"),
    ] {
        let error = refused(|ensemble, _| ensemble.features[1].name = name.into());
        assert_eq!(
            error,
            BuildError::Features(SchemaError::Name { index: 1, problem })
        );
    }
}

#[test]
fn no_trees() {
    assert_eq!(
        refused(|ensemble, _| ensemble.trees.clear()),
        BuildError::NoTrees
    );
}

fn over(what: &str, max: usize, got: usize) -> BuildError {
    let what = what.into();
    BuildError::OverCapacity { what, max, got }
}

#[test]
fn over_capacity() {
    let stump = any(vec![leaf(0.0)]);
    let error = refused(|ensemble, _| ensemble.trees = vec![stump; TREES_MAX + 1]);
    assert_eq!(error, over("trees", TREES_MAX, TREES_MAX + 1));
    let error = refused(|_, options| options.golden = vec![vec![0.0; 3]; GOLDEN_ROWS_MAX + 1]);
    assert_eq!(
        error,
        over("golden rows", GOLDEN_ROWS_MAX, GOLDEN_ROWS_MAX + 1)
    );
    let max = PROVENANCE_BYTES_MAX;
    let error = refused(|_, options| options.provenance = "x".repeat(max + 1));
    assert_eq!(error, over("bytes of provenance", max, max + 1));
    let borders = 255 * FEATURES_MAX + 1;
    let stump = |border| {
        any(vec![
            fork(split(0, border as f32), 1, 2),
            leaf(0.0),
            leaf(0.0),
        ])
    };
    let tree = |first: usize| {
        let chain = (first..(first + 250).min(borders)).enumerate();
        let nodes = chain.flat_map(|(at, border)| {
            let at = 2 * at as u32;
            [fork(split(0, border as f32), at + 1, at + 2), leaf(0.0)]
        });
        any(nodes.chain([leaf(0.0)]).collect())
    };
    let trees = (0..borders)
        .step_by(250)
        .map(tree)
        .chain([stump(0)])
        .collect();
    match refused(|ensemble, _| ensemble.trees = trees) {
        BuildError::OverCapacity { what, max, got } => {
            assert!(what.starts_with("lanes"), "{what}");
            assert_eq!((max, got), (FEATURES_MAX, FEATURES_MAX + 1));
        }
        other => panic!("{other}"),
    }
    let full = Tree::Oblivious {
        splits: vec![split(0, 1.0); 16],
        leaves: vec![0.0; 1 << 16],
        weights: Vec::new(),
    };
    let error = refused(|ensemble, _| ensemble.trees = vec![full; 256]);
    assert_eq!(
        error,
        over("leaves of oblivious trees", LEAVES_MAX - 1, LEAVES_MAX)
    );
}

#[test]
fn numbers_that_are_not_finite() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let narrow = number as f32;
        let errors = [
            ("bias", refused(|ensemble, _| ensemble.bias = number)),
            (
                "border in tree 0",
                refused(|ensemble, _| {
                    ensemble.trees = vec![any(vec![
                        fork(split(0, narrow), 1, 2),
                        leaf(0.0),
                        leaf(0.0),
                    ])]
                }),
            ),
            (
                "border in tree 1",
                refused(|ensemble, _| {
                    ensemble.trees[1] = Tree::Oblivious {
                        splits: vec![split(0, narrow)],
                        leaves: vec![0.0; 2],
                        weights: Vec::new(),
                    }
                }),
            ),
            (
                "leaf in tree 0",
                refused(|ensemble, _| ensemble.trees = vec![any(vec![leaf(number)])]),
            ),
            (
                "leaf in tree 2",
                refused(|ensemble, _| {
                    ensemble.trees[2] = Tree::Oblivious {
                        splits: vec![],
                        leaves: vec![number],
                        weights: Vec::new(),
                    }
                }),
            ),
            (
                "score map entry 5",
                refused(|_, options| options.score_map[5] = number),
            ),
        ];
        for (place, error) in errors {
            let BuildError::Number {
                what,
                expected,
                got,
            } = error
            else {
                panic!("{place}: {error}");
            };
            assert_eq!((what.as_str(), expected), (place, "a finite number"));
            assert_eq!(got.to_bits(), number.to_bits());
        }
    }
}

#[test]
fn numbers_too_large_for_fixed_point() {
    let stump = |value| vec![any(vec![leaf(value)])];
    let limit = (MARGIN_MAX / 4) as f64;
    for (edit, size) in [
        (
            refused(|e, _| e.trees = stump(f64::from(i32::MAX) + 1.0)),
            f64::from(i32::MAX),
        ),
        (refused(|e, _| e.bias = limit + 2.0), limit),
        // Each number fits; together they leave no room for the small one.
        (
            refused(|e, _| e.trees = [stump(1e9), stump(0.3)].concat()),
            1e9,
        ),
    ] {
        let BuildError::Number { what, got, .. } = edit else {
            panic!("{edit}");
        };
        assert_eq!(what, "largest leaf, or sum of largest leaves and bias");
        assert!(got > size, "{got}");
    }
}

/// "Never 99" is a common wish; its margin is beyond any row's, and costs the leaves no precision.
#[test]
fn a_score_map_entry_that_no_row_attains_costs_nothing() {
    let ensemble = mixed(3, 5);
    let mut options = BuildOptions::default();
    let plain = build(&ensemble, &options).expect("a table");
    options.score_map[97] = 1e15;
    let never = build(&ensemble, &options).expect("a table");
    assert_eq!(never.margin_error_max, plain.margin_error_max);
    let table = Table::from_bytes(&never.bytes).expect("a good table");
    let most = table.header().margin_max;
    let prepared = PreparedTable::new(table, &schema(&ensemble)).expect("a prepared table");
    assert!(prepared.score(most).get() < 99);
}

#[test]
fn a_row_takes_a_bounded_number_of_steps() {
    let chain = |depth: u32| {
        let nodes =
            (0..depth).flat_map(|at| [fork(split(0, 1.0), 2 * at + 1, 2 * at + 2), leaf(0.0)]);
        any(nodes.chain([leaf(0.0)]).collect())
    };
    let most = STEPS_MAX / 255;
    let mut ensemble = plain();
    ensemble.trees = vec![chain(255); most];
    let built = build(&ensemble, &BuildOptions::default()).expect("a table");
    let table = Table::from_bytes(&built.bytes).expect("a good table");
    let steps = table
        .usage()
        .into_iter()
        .find(|usage| usage.name == "steps");
    assert_eq!(steps.map(|usage| usage.used), Some(most as u64 * 255));
    ensemble.trees.push(chain(255));
    let error = build(&ensemble, &BuildOptions::default()).expect_err("a refusal");
    assert!(
        matches!(error, BuildError::OverCapacity { max: STEPS_MAX, .. }),
        "{error}"
    );
}

#[test]
fn malformed_trees() {
    let stump = || leaf(0.0);
    let chain = |depth: u32| {
        let nodes =
            (0..depth).flat_map(|at| [fork(split(0, 1.0), 2 * at + 1, 2 * at + 2), leaf(0.0)]);
        any(nodes.chain([leaf(0.0)]).collect())
    };
    let oblivious = |depth: usize, leaves: usize| Tree::Oblivious {
        splits: vec![split(0, 1.0); depth],
        leaves: vec![0.0; leaves],
        weights: Vec::new(),
    };
    let cases = [
        (any(vec![]), "expected at least 1 node, got none"),
        (
            any(vec![stump(); 65_536]),
            "expected at most 65535 nodes, got 65536",
        ),
        (
            any(vec![fork(split(0, 1.0), 1, 9), stump()]),
            "expected a node below 2, got 9",
        ),
        (
            any(vec![fork(split(0, 1.0), 1, 0), stump()]),
            "node 0 has two parents, or is its own ancestor",
        ),
        (
            any(vec![fork(split(0, 1.0), 1, 1), stump(), stump()]),
            "node 1 has two parents, or is its own ancestor",
        ),
        (
            any(vec![stump(), stump()]),
            "node 1 cannot be reached from the root",
        ),
        (chain(256), "expected a depth of at most 255, got 256"),
        (
            oblivious(17, 1 << 17),
            "expected a depth of at most 16, got 17",
        ),
        (oblivious(2, 3), "expected 4 leaves, got 3"),
        (
            any(vec![fork(split(3, 1.0), 1, 2), stump(), stump()]),
            "expected a feature below 3, got 3",
        ),
    ];
    for (malformed, problem) in cases {
        let error = refused(|ensemble, _| ensemble.trees[1] = malformed);
        let problem = problem.to_string();
        assert_eq!(error, BuildError::Tree { tree: 1, problem });
    }
    let mut ensemble = plain();
    ensemble.trees[1] = chain(255);
    assert!(
        build(&ensemble, &BuildOptions::default()).is_ok(),
        "255 levels are allowed"
    );
}

#[test]
fn sets_that_cannot_be_written() {
    let within = |feature, edges: Vec<f32>| Split {
        test: Test::Within(edges.into()),
        ..split(feature, 0.0)
    };
    let stump = |split| any(vec![fork(split, 1, 2), leaf(0.0), leaf(1.0)]);
    for edges in [[2.0, 1.0], [1.0, 1.0], [-0.0, 0.0]] {
        let error = refused(|ensemble, _| ensemble.trees[1] = stump(within(0, edges.to_vec())));
        let [before, edge] = edges;
        let problem = format!("expected ascending edges, got {edge} behind {before}");
        assert_eq!(error, BuildError::Tree { tree: 1, problem });
    }
    let error = refused(|ensemble, _| {
        ensemble.trees[1] = stump(within(0, vec![1.0, f32::NAN]));
    });
    assert!(matches!(error, BuildError::Number { .. }), "{error}");
    let long = |count: u16| (0..count).map(f32::from).collect::<Vec<_>>();
    let mut ensemble = plain();
    ensemble.trees[1] = stump(within(2, long(255)));
    let built = build(&ensemble, &BuildOptions::default()).expect("a full lane of edges");
    Table::from_bytes(&built.bytes).expect("a good table");
    let error = refused(|ensemble, _| ensemble.trees[1] = stump(within(2, long(256))));
    assert_eq!(
        error,
        over("edges of sets of feature 2 (all in one lane)", 255, 256)
    );
    let own = |edges| Split {
        missing: Missing::Right,
        ..within(2, edges)
    };
    let error = refused(|ensemble, _| {
        ensemble.trees = vec![stump(own(long(255))), stump(own(long(4)))];
    });
    assert_eq!(
        error,
        over("edges of sets of feature 2 (all in one lane)", 254, 255)
    );
    let oblivious = |depth| Tree::Oblivious {
        splits: vec![within(0, vec![1.0, 2.0]); depth],
        leaves: vec![0.5; 1 << depth],
        weights: Vec::new(),
    };
    let mut ensemble = plain();
    ensemble.trees[2] = oblivious(15);
    build(&ensemble, &BuildOptions::default()).expect("as many nodes as a tree may have");
    let error = refused(|ensemble, _| ensemble.trees[2] = oblivious(16));
    let what = "nodes of oblivious tree 2 (sets, marks: written in any shape)";
    assert_eq!(error, over(what, 65_535, 131_071));
    let error = refused(|ensemble, _| {
        // 16 edges of which a subset each: more different sets than a table holds.
        let subset = |bits: u32| {
            (0..18)
                .filter(move |at| bits >> at & 1 == 1)
                .map(|at| at as f32)
        };
        let chunk = |first: u32| {
            let chain = (first..first + 250).enumerate().flat_map(|(at, bits)| {
                let at = 2 * at as u32;
                let edges = subset(bits).collect();
                [fork(within(0, edges), at + 1, at + 2), leaf(0.0)]
            });
            any(chain.chain([leaf(1.0)]).collect())
        };
        ensemble.trees = (0..66_000).step_by(250).map(chunk).collect();
    });
    assert!(
        matches!(error, BuildError::OverCapacity { max: SETS_MAX, .. }),
        "{error}"
    );
}

#[test]
fn golden_row_of_another_length() {
    let error = refused(|_, options| options.golden = vec![vec![0.0; 3], vec![0.0; 2]]);
    let (row, expected, got) = (1, 3, 2);
    assert_eq!(error, BuildError::GoldenRow { row, expected, got });
}

#[test]
fn score_map_that_descends() {
    let error = refused(|_, options| options.score_map[40] = -50.0);
    assert_eq!(error, BuildError::ScoreMap { index: 40 });
}
