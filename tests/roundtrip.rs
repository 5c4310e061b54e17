//! A table gives the margins of the ensemble that it was built from.

mod common;

use common::{Random, oblivious_ensemble, random_ensemble, random_row, schema_of};
use hedgerow::table::build::{BuildOptions, build};
use hedgerow::{Bound, Table};

#[test]
fn margins_equal_the_plain_walk_of_the_ensemble() {
    let mut random = Random::new(1);
    for round in 0..200 {
        let ensemble = random_ensemble(&mut random);
        let golden = (0..8).map(|_| random_row(&ensemble, &mut random)).collect();
        let options = BuildOptions {
            golden,
            ..BuildOptions::default()
        };
        let built = build(&ensemble, &options).expect("a table");
        let table = Table::from_bytes(&built.bytes).expect("a valid table");
        let bound = Bound::new(table, &schema_of(&ensemble), None).expect("a bound table");
        for _ in 0..50 {
            let row = random_row(&ensemble, &mut random);
            let expected = ensemble
                .trees
                .iter()
                .map(|tree| tree.value(&row))
                .sum::<f64>()
                + ensemble.bias;
            let margin = bound.table().margin_f64(bound.margin(&bound.row(&row)));
            let error = (margin - expected).abs();
            let bound = built.margin_error_max + expected.abs() * 1e-12;
            assert!(error <= bound, "round {round}: {margin} is not {expected}");
        }
    }
}

/// Above 4 MiB the bytes lie in other memory.
#[test]
fn a_large_table_gives_the_same_margins() {
    let ensemble = oblivious_ensemble(30, 300, 12, 9);
    let built = build(&ensemble, &BuildOptions::default()).expect("a table");
    assert!(built.bytes.len() > 4 << 20);
    let table = Table::from_bytes(&built.bytes).expect("a valid table");
    assert!(table.bytes() == built.bytes);
    let bound = Bound::new(table, &schema_of(&ensemble), None).expect("a bound table");
    let mut random = Random::new(10);
    for _ in 0..100 {
        let row = random_row(&ensemble, &mut random);
        let expected = ensemble
            .trees
            .iter()
            .map(|tree| tree.value(&row))
            .sum::<f64>()
            + ensemble.bias;
        let margin = bound.table().margin_f64(bound.margin(&bound.row(&row)));
        assert!((margin - expected).abs() <= built.margin_error_max + expected.abs() * 1e-12);
    }
}
