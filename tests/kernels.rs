//! Every kernel gives every row the same bits, alone and in batches of any size.

mod common;
#[path = "gate/edit.rs"]
mod edit;
#[cfg(target_arch = "x86_64")]
#[path = "gate/instructions.rs"]
mod instructions;

use common::special::*;
use common::*;
use hedgerow::model::{BuildOptions, Ensemble, Missing, Node, Split, Test, Tree, build};
use hedgerow::table::format::Section;
use hedgerow::{DEFAULT_TABLE, KERNELS, Kernel, PreparedTable, Row, Schema, Table};
use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex};

/// Batch sizes around every boundary of a kernel.
const BATCHES: [usize; 19] = [
    1, 2, 3, 5, 7, 8, 15, 16, 17, 19, 20, 31, 33, 63, 64, 65, 84, 127, 130,
];

/// The margins of rows by a plain walk of each tree, every leaf rounded to the table's scale.
fn walked(ensemble: &Ensemble, table: &Table, rows: &[Vec<f32>]) -> Vec<i64> {
    let scale = f64::from(table.header().margin_shift).exp2();
    let fixed = |value: f64| (value * scale).round_ties_even() as i64;
    let leaves = |row: &Vec<f32>| -> i64 {
        let trees = ensemble.trees.iter();
        trees.map(|tree| fixed(tree.value(row))).sum()
    };
    let sum = |row| leaves(row) + fixed(ensemble.bias);
    rows.iter().map(sum).collect()
}

/// The kernel that the environment asks for, which must be there, and nothing else: what an
/// emulated machine has time for. `ci/avx512.sh` sets it.
static ONLY: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("HEDGEROW_KERNEL").ok());

/// The kernels to test. Those that this machine has not are skipped, unless asked for.
fn kernels() -> Vec<&'static Kernel> {
    let asked = |kernel: &&Kernel| ONLY.as_deref().is_none_or(|only| only == kernel.name);
    let kernels: Vec<_> = KERNELS.iter().filter(asked).collect();
    assert!(!kernels.is_empty(), "no kernel is called {ONLY:?}");
    let here = |kernel: &&Kernel| {
        let name = kernel.name;
        let here = kernel.available();
        assert!(here || ONLY.is_none(), "kernel {name} is not available");
        if !here {
            skipped(name);
        }
        here
    };
    kernels.into_iter().filter(here).collect()
}

/// Says once that a kernel is not tested, past the test harness, which keeps the output of tests
/// that pass.
fn skipped(name: &'static str) {
    static SAID: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(name) {
        let line = format!("\n\n*** SKIPPED: kernel {name} is not available here ***\n\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("stderr");
    }
}

/// How many rounds of random ensembles: a fifth of them where only one kernel is tested.
fn rounds(all: u64) -> u64 {
    if ONLY.is_some() { all / 5 } else { all }
}

/// Compares every kernel with the plain walk; `name` says which ensemble failed.
fn check(name: &str, ensemble: &Ensemble, seed: u64) {
    let mut random = Random::new(seed);
    let bytes = build(ensemble, &BuildOptions::default())
        .expect("a table")
        .bytes;
    let schema = schema_of(ensemble);
    let values: Vec<_> = (0..130)
        .map(|_| random_row(ensemble, &mut random))
        .collect();
    let table = Table::from_bytes(&bytes).expect("a valid table");
    let expected = walked(ensemble, &table, &values);
    for kernel in kernels() {
        let table = Table::from_bytes(&bytes).expect("a valid table");
        let prepared =
            PreparedTable::with_kernel(table, &schema, kernel.name).expect("a prepared table");
        let rows: Vec<Row> = values.iter().map(|values| prepared.row(values)).collect();
        let alone: Vec<i64> = rows.iter().map(|row| prepared.margin(row)).collect();
        assert_eq!(alone, expected, "{name}: {} alone", kernel.name);
        for size in BATCHES {
            let mut margins = vec![i64::MIN; size];
            prepared.margins(&rows[..size], &mut margins);
            assert_eq!(
                margins,
                expected[..size],
                "{name}: {} of {size}",
                kernel.name
            );
        }
        if ONLY.is_some() {
            println!("agrees: {} on {name}", kernel.name);
        }
    }
}

#[test]
fn kernels_agree_on_the_default_table() {
    let schema = Schema::http();
    let bind = |kernel: &Kernel| {
        let table = Table::from_bytes(DEFAULT_TABLE).expect("the default table");
        PreparedTable::with_kernel(table, &schema, kernel.name).expect("a prepared table")
    };
    let random = &mut Random::new(21);
    let features = Ensemble {
        features: schema.features().to_vec(),
        trees: Vec::new(),
        bias: 0.0,
    };
    let values: Vec<_> = (0..200).map(|_| random_row(&features, random)).collect();
    let reference = bind(KERNELS.last().expect("the portable kernel"));
    let rows: Vec<Row> = values.iter().map(|row| reference.row(row)).collect();
    let expected: Vec<i64> = rows.iter().map(|row| reference.margin(row)).collect();
    let distinct: std::collections::BTreeSet<_> = expected.iter().collect();
    assert!(distinct.len() > 100, "{} margins", distinct.len());
    for kernel in kernels() {
        let prepared = bind(kernel);
        let alone: Vec<i64> = rows.iter().map(|row| prepared.margin(row)).collect();
        assert_eq!(alone, expected, "{} alone", kernel.name);
        for size in BATCHES {
            let mut margins = vec![i64::MIN; size];
            prepared.margins(&rows[..size], &mut margins);
            assert_eq!(margins, expected[..size], "{} of {size}", kernel.name);
        }
        if ONLY.is_some() {
            println!("agrees: {} on the default table", kernel.name);
        }
    }
}

#[test]
fn leaf_indexes_are_those_of_the_source() {
    let mut random = Random::new(11);
    let mut moved = 0;
    for depth in 0..=16 {
        let ensemble = oblivious_ensemble(20, 70, depth, depth + 100);
        let bytes = build(&ensemble, &BuildOptions::default())
            .expect("a table")
            .bytes;
        let table = Table::from_bytes(&bytes).expect("a valid table");
        let prepared = PreparedTable::new(table, &schema_of(&ensemble)).expect("a prepared table");
        for _ in 0..20 {
            let values = random_row(&ensemble, &mut random);
            let found = prepared.leaf_indexes(&prepared.row(&values));
            assert_eq!(found.len(), ensemble.trees.len());
            for (tree, index) in ensemble.trees.iter().zip(found) {
                let right = |split: &Split| split.goes_right(values[usize::from(split.feature)]);
                let bits: Vec<bool> = tree.splits().map(right).collect();
                let walked = (0..).zip(&bits).map(|(at, bit)| u32::from(*bit) << at);
                assert_eq!(index, walked.sum::<u32>(), "depth {depth}");
                moved += usize::from(bits.windows(2).any(|pair| pair[0] != pair[1]));
            }
        }
    }
    assert!(moved > 1_000, "{moved} rows whose levels differ");
}

#[test]
fn kernels_agree_without_orders_of_levels() {
    // As tables were built before there were orders.
    let ensemble = oblivious_ensemble(9, 130, 6, 12);
    let bytes = build(&ensemble, &BuildOptions::default())
        .expect("a table")
        .bytes;
    let mut edit = edit::Edit::new(&bytes);
    edit.section(Section::Orders, Vec::clear);
    let schema = schema_of(&ensemble);
    let bind = |bytes: &[u8]| {
        let table = Table::from_bytes(bytes).expect("a valid table");
        PreparedTable::new(table, &schema).expect("a prepared table")
    };
    let (with, without) = (bind(&bytes), bind(&edit.finish()));
    let mut random = Random::new(13);
    for _ in 0..50 {
        let row = with.row(&random_row(&ensemble, &mut random));
        assert_eq!(with.margin(&row), without.margin(&row));
    }
}

#[test]
fn kernels_agree_on_random_ensembles() {
    let mut random = Random::new(2);
    for round in 0..rounds(60) {
        let ensemble = random_ensemble(&mut random);
        check(&format!("random {round}"), &ensemble, round);
    }
}

#[test]
fn kernels_agree_on_oblivious_trees_of_every_depth() {
    for depth in 0..=16 {
        let trees = if depth > 10 { 5 } else { 70 };
        check(
            &format!("depth {depth}"),
            &oblivious_ensemble(30, trees, depth, depth),
            depth,
        );
    }
}

#[test]
fn kernels_agree_around_the_size_of_a_block() {
    for trees in [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129] {
        check(
            &format!("{trees} oblivious"),
            &oblivious_ensemble(9, trees, 6, 3),
            3,
        );
        check(
            &format!("{trees} of any shape"),
            &any_ensemble(9, trees, 20, 4),
            4,
        );
    }
}

#[test]
fn kernels_agree_on_any_number_of_splits() {
    for splits in [
        0, 1, 2, 15, 16, 30, 31, 32, 33, 62, 63, 64, 65, 66, 127, 255, 256, 600,
    ] {
        check(
            &format!("{splits} splits"),
            &any_ensemble(20, 37, splits, splits),
            splits,
        );
    }
}

#[test]
fn kernels_agree_on_chains() {
    for depth in [1, 7, 19, 62, 63, 64, 65, 66, 128, 254, 255] {
        check(
            &format!("chains of {depth}"),
            &chain_ensemble(12, 11, depth, depth as u64),
            5,
        );
    }
}

/// More trees than a kernel sums, or has words of, before it carries; over many lanes.
#[test]
fn many_trees_give_the_same_bits_on_all_kernels() {
    check("many trees", &any_ensemble(60, 1_030, 31, 9), 9);
    check(
        "many oblivious trees",
        &oblivious_ensemble(60, 600, 6, 10),
        10,
    );
}

#[test]
fn kernels_agree_on_any_number_of_lanes() {
    for lanes in [
        1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 191, 192, 193, 255, 256,
    ] {
        check(
            &format!("{lanes} lanes"),
            &lanes_ensemble(lanes, lanes as u64),
            6,
        );
    }
}

#[test]
fn kernels_agree_on_constant_trees() {
    check("constant oblivious", &oblivious_ensemble(3, 70, 0, 7), 7);
    check("constant of any shape", &any_ensemble(3, 70, 0, 8), 8);
}

#[test]
fn kernels_agree_on_long_lanes() {
    check("long oblivious lanes", &long_lanes_ensemble(40, 9), 9);
    check("one long lane", &long_lanes_ensemble(1, 10), 10);
}

#[test]
fn kernels_agree_on_sets_and_both_missing_directions() {
    for seed in 0..rounds(40) {
        check(&format!("special {seed}"), &special_ensemble(seed), seed);
    }
}

#[test]
fn kernels_agree_where_missing_values_have_bins_of_their_own() {
    for (features, oblivious) in [(100, false), (129, false), (200, false), (256, true)] {
        let ensemble = both_ways_ensemble(features, oblivious, features as u64);
        check(&format!("{features} both ways"), &ensemble, 13);
        let built = build(&ensemble, &BuildOptions::default()).expect("a table");
        let table = Table::from_bytes(&built.bytes).expect("a valid table");
        // Two lanes a feature while there is room.
        let lanes = (2 * features).min(256) as u32;
        assert_eq!(table.header().lanes_used, lanes);
    }
}

#[test]
fn kernels_agree_on_full_lanes() {
    let (left, right) = ([Missing::Left; 2], [Missing::Right; 2]);
    let both = [Missing::Left, Missing::Right];
    for (borders, missing) in [
        (255, left),
        (255, right),
        (254, left),
        (255, both),
        (254, both),
    ] {
        let ensemble = full_lane_ensemble(borders, missing, 17);
        check(&format!("{borders} borders, {missing:?}"), &ensemble, 14);
    }
}

/// Splits that only missing values pass, and splits that no value passes: alone, and among others.
#[test]
fn kernels_agree_on_splits_without_edges() {
    for missing in [Missing::Left, Missing::Right, Missing::AsZero] {
        for zero_is_missing in [false, true] {
            let none = Split {
                feature: 0,
                test: Test::Within([].into()),
                missing,
                zero_is_missing,
            };
            let leaf = |value| Node::Leaf { value };
            let split = none.clone();
            let (left, right) = (1, 2);
            let nodes = vec![Node::Split { split, left, right }, leaf(0.5), leaf(-0.25)];
            let oblivious = Tree::Oblivious {
                splits: vec![none],
                leaves: vec![1.0, 3.0],
                weights: Vec::new(),
            };
            let mut ensemble = Ensemble {
                features: named(2),
                trees: vec![Tree::Any { nodes }, oblivious],
                bias: 0.0,
            };
            let name = format!("{missing:?}, {zero_is_missing}");
            check(&name, &ensemble, 15);
            ensemble.trees.extend(any_ensemble(2, 30, 12, 16).trees);
            check(&format!("{name}, among others"), &ensemble, 16);
        }
    }
}

/// An oblivious tree with sets is written in another shape; its leaves keep their numbers.
#[test]
fn leaf_indexes_of_oblivious_trees_with_sets_are_the_oblivious_ones() {
    for seed in 0..40 {
        let random = &mut Random::new(seed);
        let mut ensemble = oblivious_ensemble(5, 20, seed % 7, seed);
        for tree in &mut ensemble.trees {
            if let Tree::Oblivious { splits, .. } = tree {
                splits
                    .iter_mut()
                    .for_each(|split| *split = any_split(5, random));
            }
        }
        let bytes = build(&ensemble, &BuildOptions::default())
            .expect("a table")
            .bytes;
        let table = Table::from_bytes(&bytes).expect("a valid table");
        let prepared = PreparedTable::new(table, &schema_of(&ensemble)).expect("a prepared table");
        for _ in 0..30 {
            let row = random_row(&ensemble, random);
            let index = |tree: &Tree| -> u32 {
                let Tree::Oblivious { splits, .. } = tree else {
                    return 0;
                };
                let right = |split: &Split| split.goes_right(row[usize::from(split.feature)]);
                let bits = splits.iter().enumerate();
                bits.map(|(at, split)| u32::from(right(split)) << at).sum()
            };
            let expected: Vec<u32> = ensemble.trees.iter().map(index).collect();
            assert_eq!(
                prepared.leaf_indexes(&prepared.row(&row)),
                expected,
                "seed {seed}"
            );
        }
    }
}
