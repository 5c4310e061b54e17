//! Explanations add up: base and contributions are the margin, to the last bit, on every kernel.

mod common;
#[path = "gate/tables.rs"]
mod tables;

use common::{Random, random_ensemble, random_row, schema_of};
use hedgerow::model::{BuildOptions, Ensemble, Node, Tree, build};
use hedgerow::{KERNELS, PreparedTable, Row, Table};
use tables::{fork, leaf, split};

fn prepared(ensemble: &Ensemble, options: &BuildOptions, kernel: Option<&str>) -> PreparedTable {
    let built = build(ensemble, options).expect("a table");
    let table = Table::from_bytes(&built.bytes).expect("a good table");
    PreparedTable::with_kernel(table, &schema_of(ensemble), kernel).expect("a prepared table")
}

#[test]
fn base_and_contributions_are_the_margin() {
    let mut random = Random::new(21);
    let mut moved = 0;
    for _ in 0..150 {
        let ensemble = random_ensemble(&mut random);
        let kernels = KERNELS.iter().filter(|kernel| kernel.available());
        let tables: Vec<PreparedTable> = kernels
            .map(|kernel| prepared(&ensemble, &BuildOptions::default(), Some(kernel.name)))
            .collect();
        let mut base = None;
        for _ in 0..20 {
            let values = random_row(&ensemble, &mut random);
            for prepared in &tables {
                let row = prepared.row(&values);
                let explained = prepared.explain(&row);
                assert_eq!(explained.margin, prepared.margin(&row));
                assert_eq!(explained.contributions.len(), ensemble.features.len());
                let sum: i64 = explained.contributions.iter().sum();
                assert_eq!(explained.base + sum, explained.margin);
                assert_eq!(*base.get_or_insert(explained.base), explained.base);
                moved += explained
                    .contributions
                    .iter()
                    .filter(|moved| **moved != 0)
                    .count();
            }
        }
    }
    assert!(moved > 1_000, "{moved} contributions");
}

/// Two trees whose means can be told by hand, with leaves on whole numbers.
#[test]
fn contributions_are_the_moves_of_the_mean() {
    let mut ensemble = tables::plain();
    ensemble.bias = 10.0;
    let nodes = vec![
        fork(split(0, 1.0), 1, 2),
        leaf(4.0),
        fork(split(2, 2.0), 3, 4),
        leaf(8.0),
        leaf(0.0),
    ];
    let oblivious = Tree::Oblivious {
        splits: vec![split(1, 0.5), split(0, 1.0)],
        leaves: vec![1.0, 2.0, 3.0, 6.0],
        weights: Vec::new(),
    };
    ensemble.trees = vec![oblivious, Tree::Any { nodes }];
    let prepared = prepared(&ensemble, &BuildOptions::default(), None);
    let explained = prepared.explain(&prepared.row(&[2.0, 1.0, 0.0]));
    let shown = |fixed: &i64| prepared.table().margin_f64(*fixed);
    // The means: 3, then 4.5 (leaves 3 and 6: the table asks for feature 0 first), then 6; and 4,
    // then 4, then 8.
    assert_eq!(shown(&explained.base), 10.0 + 3.0 + 4.0);
    let contributions: Vec<f64> = explained.contributions.iter().map(shown).collect();
    assert_eq!(contributions, [1.5, 1.5, 4.0]);
    assert_eq!(shown(&explained.margin), 24.0);
}

/// A feature that no split on the row's way tests adds nothing.
#[test]
fn a_feature_beside_the_way_adds_nothing() {
    let mut ensemble = tables::plain();
    let nodes: Vec<Node> = vec![
        fork(split(0, 1.0), 1, 2),
        leaf(0.5),
        fork(split(1, 0.5), 3, 4),
        leaf(0.25),
        leaf(-1.0),
    ];
    ensemble.trees = vec![Tree::Any { nodes }];
    let prepared = prepared(&ensemble, &BuildOptions::default(), None);
    let explained = prepared.explain(&prepared.row(&[0.0, 1.0, 1.0]));
    assert!(explained.contributions[0] != 0);
    assert_eq!(explained.contributions[1..], [0, 0]);
}

#[test]
fn detections_are_held_against_the_row() {
    let ensemble = tables::plain();
    let prepared = prepared(&ensemble, &tables::with_everything(&ensemble), None);
    let mut random = Random::new(3);
    let mut matched = 0;
    for _ in 0..200 {
        let row: Row = prepared.row(&random_row(&ensemble, &mut random));
        let explained = prepared.explain(&row);
        let bits = explained.detections.iter().enumerate();
        let bits: u64 = bits.map(|(at, one)| u64::from(one.matches()) << at).sum();
        assert_eq!(bits, prepared.matches(&row).bits());
        matched += u64::from(bits != 0);
    }
    assert!((10..190).contains(&matched), "{matched}");
    let explained = prepared.explain(&prepared.row(&[2.0, f32::NAN, 2.0]));
    let [first, second, _] = &explained.detections[..] else {
        panic!("three detections");
    };
    assert_eq!(
        (first.detection.id, first.matches(), second.matches()),
        (10, false, true)
    );
    assert_eq!(first.conditions[0], (2.0, true));
    assert!(first.conditions[1].0.is_nan() && !first.conditions[1].1);
}
