//! The tables that the gate's tests start from.
#![allow(dead_code, reason = "each test takes what it needs")]

use crate::common::{Random, any_ensemble, oblivious_ensemble, random_row};
use hedgerow::model::{BuildOptions, Ensemble, Missing, Node, Split, Test, Tree, build};
use hedgerow::table::bots::{AddressRange, Bot, Category};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::table::format::rehash;
use hedgerow::table::format::{HEADER_BYTES, Header, MISSING_LEFT, Section};
use hedgerow::{Feature, FeatureKind, Schema};

pub fn split(feature: u16, border: f32) -> Split {
    Split {
        feature,
        test: Test::Above(border),
        missing: Missing::Left,
        zero_is_missing: false,
    }
}

pub fn leaf(value: f64) -> Node {
    Node::Leaf { value }
}

pub fn fork(split: Split, left: u32, right: u32) -> Node {
    Node::Split { split, left, right }
}

/// Three features of the three kinds; two oblivious trees of depth 2 and 1, two trees of any
/// shape of depth 2 and 1. Small enough that every figure in a refusal can be told by hand: lane 0
/// is `f0` with two borders, lanes 1 and 2 are `f1` and `f2` with one; the binary point is 30.
pub fn plain() -> Ensemble {
    let feature = |name: &str, kind| Feature {
        name: name.into(),
        kind,
    };
    let features = vec![
        feature("f0", FeatureKind::Number),
        feature("f1", FeatureKind::Flag),
        feature("f2", FeatureKind::Category),
    ];
    let trees = vec![
        Tree::Oblivious {
            splits: vec![split(0, 1.0), split(1, 0.5)],
            leaves: vec![0.5, -0.5, 0.25, -0.25],
            weights: Vec::new(),
        },
        Tree::Any {
            nodes: vec![
                fork(split(0, 3.0), 1, 2),
                leaf(0.125),
                fork(split(2, 2.0), 3, 4),
                leaf(-0.125),
                leaf(0.75),
            ],
        },
        Tree::Oblivious {
            splits: vec![split(0, 3.0)],
            leaves: vec![1.0, -1.0],
            weights: Vec::new(),
        },
        Tree::Any {
            nodes: vec![fork(split(1, 0.5), 1, 2), leaf(0.5), leaf(-0.25)],
        },
    ];
    Ensemble {
        features,
        trees,
        bias: 0.25,
    }
}

/// Golden rows for an ensemble, and a provenance.
pub fn with_golden(ensemble: &Ensemble, rows: usize) -> BuildOptions {
    let mut random = Random::new(7);
    BuildOptions {
        generation: 3,
        created_at: 1_763_463_900,
        golden: (0..rows)
            .map(|_| random_row(ensemble, &mut random))
            .collect(),
        provenance: String::from(r#"{"source":"hand-made","rows":5}"#),
        ..BuildOptions::default()
    }
}

pub fn condition(feature: u16, test: ConditionTest) -> Condition {
    let feature = FeatureRef::Index(feature);
    Condition { feature, test }
}

/// Three detections over three features: the first and the last decide, the second is a shadow.
pub fn detections() -> Vec<Detection> {
    let detection = |id, name: &str, score, active, conditions| Detection {
        id,
        name: name.into(),
        score,
        active,
        conditions,
    };
    vec![
        detection(
            10,
            "above and present",
            2,
            true,
            vec![
                condition(0, ConditionTest::Above(1.0)),
                condition(1, ConditionTest::Present),
            ],
        ),
        detection(
            20,
            "equal",
            50,
            false,
            vec![condition(2, ConditionTest::Equals(2.0))],
        ),
        detection(
            30,
            "missing and at most",
            1,
            true,
            vec![
                condition(1, ConditionTest::Missing),
                condition(0, ConditionTest::AtMost(-1.0)),
            ],
        ),
    ]
}

/// Two bots, one of them with an agent token, with three ranges of both families.
pub fn bots() -> Vec<Bot> {
    let ranges = |all: &[&str]| {
        let parse = |text: &&str| AddressRange::parse(text).expect("a range");
        all.iter().map(parse).collect()
    };
    vec![
        Bot {
            name: "Example Search".into(),
            category: Category::SearchEngine,
            agent: Some("ExampleBot".into()),
            ranges: ranges(&["2001:db8::/48", "192.0.2.0/28"]),
        },
        Bot {
            name: "Example Monitor".into(),
            category: Category::Monitor,
            agent: None,
            ranges: ranges(&["198.51.100.7"]),
        },
    ]
}

/// Golden rows, detections and bots.
pub fn with_everything(ensemble: &Ensemble) -> BuildOptions {
    BuildOptions {
        detections: detections(),
        bots: bots(),
        ..with_golden(ensemble, 2)
    }
}

/// The plain ensemble's table, with detections and bots besides.
pub fn full_table() -> Vec<u8> {
    let ensemble = plain();
    table(&ensemble, &with_everything(&ensemble))
}

/// The plain ensemble's table, with two golden rows and a provenance.
pub fn plain_table() -> Vec<u8> {
    let ensemble = plain();
    table(&ensemble, &with_golden(&ensemble, 2))
}

pub fn table(ensemble: &Ensemble, options: &BuildOptions) -> Vec<u8> {
    build(ensemble, options).expect("a table").bytes
}

pub fn schema(ensemble: &Ensemble) -> Schema {
    Schema::new(ensemble.features.clone()).expect("a schema")
}

/// Trees of both forms, over so many features.
pub fn mixed(features: usize, trees: usize) -> Ensemble {
    let mut mixed = oblivious_ensemble(features, trees, 3, 11);
    mixed
        .trees
        .extend(oblivious_ensemble(features, trees / 2, 1, 12).trees);
    mixed
        .trees
        .extend(any_ensemble(features, trees, 6, 13).trees);
    mixed.trees.extend(any_ensemble(features, 2, 0, 14).trees);
    mixed
}

/// A plain tree and two special ones. Lane 0 is `f0` where missing values go right, with borders 1,
/// 2 and 3 and a bin of its own for what is missing; lane 1 is `f1` with the same borders; lane 2
/// is `f0` where missing values go left, with border 1.
pub fn special() -> Ensemble {
    let right = |test| Split {
        test,
        missing: Missing::Right,
        ..split(0, 0.0)
    };
    let within = |edges: &[f32]| Test::Within(edges.into());
    let set = Split {
        test: within(&[1.0, 2.0, 3.0]),
        ..split(1, 0.0)
    };
    let trees = vec![
        Tree::Any {
            nodes: vec![
                fork(right(within(&[1.0, 3.0])), 1, 2),
                fork(right(within(&[])), 3, 4),
                fork(right(Test::Above(2.0)), 5, 6),
                leaf(0.5),
                leaf(-0.5),
                leaf(0.25),
                leaf(-0.25),
            ],
        },
        Tree::Any {
            nodes: vec![
                fork(set.clone(), 1, 2),
                leaf(0.125),
                fork(set, 3, 4),
                leaf(0.75),
                leaf(1.0),
            ],
        },
        Tree::Any {
            nodes: vec![fork(split(0, 1.0), 1, 2), leaf(0.5), leaf(-0.25)],
        },
    ];
    Ensemble {
        features: crate::common::named(2),
        trees,
        bias: 0.0,
    }
}

/// The special ensemble's table, with a mark on the split at 2 in lane 0: marks are written only
/// where there are too many lanes, which no small table has.
pub fn special_table() -> Vec<u8> {
    let mut bytes = table(&special(), &BuildOptions::default());
    let header: Header = bytemuck::pod_read_unaligned(&bytes[..HEADER_BYTES]);
    // Behind the three nodes of the plain tree, the third one.
    let value = header.offsets[Section::Nodes as usize] as usize + 8 * 5 + 4;
    assert_eq!(bytes[value - 4..value + 4], [0, 1, 5, 0, 0, 0, 0, 0]);
    bytes[value..value + 4].copy_from_slice(&MISSING_LEFT.to_le_bytes());
    rehash(&mut bytes);
    bytes
}

/// Small tables of every form, by name.
pub fn small_tables() -> Vec<(&'static str, Ensemble, Vec<u8>)> {
    let bare = BuildOptions::default();
    let oblivious = oblivious_ensemble(4, 6, 3, 1);
    let any = any_ensemble(5, 7, 5, 2);
    let (both, golden) = (mixed(6, 5), plain());
    let full = oblivious_ensemble(3, 64, 2, 3);
    let stump = any_ensemble(1, 1, 0, 4);
    let with = |ensemble: &Ensemble, rows| table(ensemble, &with_golden(ensemble, rows));
    let (many, all) = (plain(), with_everything(&plain()));
    vec![
        ("everything", many.clone(), table(&many, &all)),
        ("oblivious", oblivious.clone(), table(&oblivious, &bare)),
        ("any", any.clone(), table(&any, &bare)),
        ("mixed", both.clone(), with(&both, 3)),
        ("golden", golden.clone(), with(&golden, 2)),
        ("full block", full.clone(), table(&full, &bare)),
        ("one leaf", stump.clone(), table(&stump, &bare)),
        ("special", special(), special_table()),
    ]
}
