//! A table gives the margins of the ensemble that it was built from.

mod common;

use common::{Random, random_ensemble, random_row, schema_of};
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
