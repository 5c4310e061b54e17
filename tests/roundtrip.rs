//! A table gives the margins of the ensemble that it was built from.

mod common;

use common::{Random, oblivious_ensemble, random_ensemble, random_row, schema_of};
use hedgerow::model::{BuildOptions, Ensemble, build};
use hedgerow::{PreparedTable, Table};

/// Builds a table of an ensemble, and holds its margins on so many rows against the plain walk.
fn hold_to_the_plain_walk(ensemble: &Ensemble, bytes_min: usize, random: &mut Random, rows: usize) {
    let golden = (0..8).map(|_| random_row(ensemble, random)).collect();
    let options = BuildOptions {
        golden,
        ..BuildOptions::default()
    };
    let built = build(ensemble, &options).expect("a table");
    assert!(built.bytes.len() >= bytes_min);
    let table = Table::from_bytes(&built.bytes).expect("a valid table");
    assert!(table.bytes() == built.bytes);
    let prepared = PreparedTable::new(table, &schema_of(ensemble)).expect("a prepared table");
    for _ in 0..rows {
        let row = random_row(ensemble, random);
        let leaves = ensemble.trees.iter().map(|tree| tree.value(&row));
        let expected = leaves.sum::<f64>() + ensemble.bias;
        let margin = prepared
            .table()
            .margin_f64(prepared.margin(&prepared.row(&row)));
        let allowed = built.margin_error_max + expected.abs() * 1e-12;
        assert!(
            (margin - expected).abs() <= allowed,
            "{margin} is not {expected}"
        );
    }
}

#[test]
fn margins_equal_the_plain_walk_of_the_ensemble() {
    let mut random = Random::new(1);
    for _ in 0..200 {
        let ensemble = random_ensemble(&mut random);
        hold_to_the_plain_walk(&ensemble, 0, &mut random, 50);
    }
}

/// From 4 MiB on the bytes lie in other memory.
#[test]
fn a_large_table_gives_the_same_margins() {
    let ensemble = oblivious_ensemble(30, 300, 12, 9);
    hold_to_the_plain_walk(&ensemble, 4 << 20, &mut Random::new(10), 100);
}
