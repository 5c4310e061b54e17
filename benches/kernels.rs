//! Every kernel on ensembles like those that libraries train: ns a row, alone and in batches.
//!
//! `cargo bench --bench kernels`; `cargo test --benches` runs everything once and checks it.
//!
//! Record, ns a row, minima. 2026-11-23, Xeon, AVX-512 VBMI, 2 cores, KVM, shared. Models trained
//! by the libraries on the same 20,000 rows of 200 features, table by `hedgerow compile`:
//!
//! | | avx512 | in batches of 64 | avx2 | portable | the library |
//! |---|---|---|---|---|---|
//! | CatBoost 1.2.10, 1,000 trees of depth 6 | 688 | 251 | 1,588 | 2,749 | 4,105 (C++ export) |
//! | LightGBM 4.7.0, 500 trees of 31 leaves, 63 bins | 1,531 | as one row | 5,083 | 5,481 | |
//! | LightGBM 4.7.0, 500 trees of 64 leaves and depth 6 | 1,468 | as one row | 3,938 | 4,479 | |
//!
//! CatBoost's own batch of 20,000 rows, one thread, took 2,040 a row, 45 minutes
//! earlier; its C++ export is built with g++ 12 -O3 -march=native. Before the
//! vectors, portable took 2,930, 6,740 and 6,900.
//!
//! Batches of trees of any shape on AVX2 and portable came after this table. On an EPYC without
//! AVX-512, 2 cores with some 20 processes waiting, so that only the order counts, minima of 60,
//! 64 rows against one: leafwise 1,143 against 31,858 (avx2) and 2,319 against 25,894 (portable),
//! complete 2,302 against 13,805 and 3,302 against 25,471. The AVX-512 form has yet to be measured.
//!
//! Tried, and lost (same day and machine, on the first of these unless it says otherwise):
//! - AVX-512, scalar leaf loads instead of gathers: 850 to 880 ns against 700.
//! - AVX-512, copying a group's values one by one instead of a gather: 695 ns against 639, and
//!   267 against 231 in batches.
//! - AVX-512 batches, thresholds from a table of 256 splats: 264 ns against 236 with a broadcast.
//! - AVX-512, walking complete trees one by one with the predicate word: 2,700 ns on the third
//!   against 1,520 with eight trees in a register; walking nodes 3,850.
//! - Levels by weight: the two most biased splits of a tree choose its line of 16 leaves, the rest
//!   stand by lane. CatBoost 1.2.10, 1,000 trees of depth 6, a tenth of the rows positive; by its
//!   own leaf weights the best half of a tree holds 92 % of the rows, the best line 78 %. By
//!   `hedgerow bench --cold` on 2,000 of the rows it was trained on, EPYC (Zen 3, AVX2, 2 cores,
//!   KVM), 2026-11-26, two runs, first by lane alone, then by weight: portable 10,283 and 11,029
//!   against 8,148 and 7,580 ns warm, 14,187 and 14,688 against 9,868 and 10,529 cold; avx2 21,466
//!   and 18,725 against 26,307 and 34,987 warm, 32,701 and 32,201 against 29,034 and 41,959 cold.
//!   A file has one order for all kernels, and AVX2 wants the one by lane, so it is not in. These
//!   and the next figures come from an incremental build without LTO, in which avx2 is slower than
//!   portable (the cause was not looked for): they say nothing about avx2 in a full build,
//!   and both are worth a second look there.
//! - AVX2, prefetching a block's leaves and summing those of the block before: same runs, by lane,
//!   26,527 and 19,632 ns warm, 21,871 and 26,661 cold. Better cold, worse warm, undecided.
//! - Portable: leaf addresses in an array first, 3,180 ns against 2,660; with `get_unchecked`
//!   3,040; sixteen walks side by side, 7,730 ns on the second
//!   against 6,680 with eight; thirty-two, 12,310.

#![allow(missing_docs, reason = "criterion's macros write functions without")]

mod made;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hedgerow::table::build::{BuildOptions, build};
use hedgerow::table::ensemble::Ensemble;
use hedgerow::{Bound, KERNELS, Row, Table};
use made::{FEATURES, ensemble, leafwise, oblivious, schema_of};
use std::hint::black_box;
use std::time::Duration;

/// Rows that are scored in turn, so that the branch predictor cannot learn them.
const ROWS: usize = if cfg!(debug_assertions) { 130 } else { 1_024 };

fn bench(criterion: &mut Criterion, name: &str, ensemble: &Ensemble) {
    let bytes = build(ensemble, &BuildOptions::default())
        .expect("a table")
        .bytes;
    let schema = schema_of(ensemble);
    let bind = |kernel| {
        let table = Table::from_bytes(&bytes).expect("a valid table");
        Bound::new(table, &schema, Some(kernel)).expect("a bound table")
    };
    let portable = bind("portable");
    let values = made::rows(ROWS);
    let rows: Vec<Row> = values.iter().map(|values| portable.row(values)).collect();
    let expected: Vec<i64> = rows.iter().map(|row| portable.margin(row)).collect();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ROWS as u64));
    for kernel in KERNELS {
        if !kernel.available() || !kernel.supports(portable.table()) {
            println!("SKIPPED: kernel {} on {name}", kernel.name);
            continue;
        }
        let bound = bind(kernel.name);
        for batch in [1, 8, 64] {
            let mut margins = vec![0; ROWS];
            group.bench_function(BenchmarkId::new(kernel.name, batch), |bencher| {
                bencher.iter(|| match batch {
                    1 => {
                        for (row, to) in black_box(&rows).iter().zip(&mut margins) {
                            *to = bound.margin(row);
                        }
                    }
                    _ => {
                        let batches = black_box(&rows).chunks(batch);
                        for (rows, to) in batches.zip(margins.chunks_mut(batch)) {
                            bound.margins(rows, to);
                        }
                    }
                });
            });
            // A benchmark that was filtered out has not run.
            if margins.iter().any(|margin| *margin != 0) {
                assert_eq!(margins, expected, "{name}: {} of {batch}", kernel.name);
            }
        }
    }
    group.finish();
}

fn kernels(criterion: &mut Criterion) {
    let by_form = [
        (
            "oblivious",
            ensemble(1_000, |random| oblivious(FEATURES, random)),
        ),
        ("leafwise", ensemble(500, |random| leafwise(31, 19, random))),
        ("complete", ensemble(500, |random| leafwise(64, 6, random))),
        // Next to nothing but bins: what binarising costs on each kernel.
        ("borders", made::borders_alone()),
        // Features that no tree uses cost nothing.
        (
            "unused",
            ensemble(1_000, |random| oblivious(FEATURES / 5, random)),
        ),
    ];
    for (name, ensemble) in &by_form {
        bench(criterion, name, ensemble);
    }
    for trees in [100, 250, 500, 2_000, 4_000] {
        let ensemble = ensemble(trees, |random| oblivious(FEATURES, random));
        bench(criterion, &format!("oblivious-{trees}"), &ensemble);
    }
}

fn config() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
}

criterion_group! {
    name = benches;
    config = config();
    targets = kernels
}
criterion_main!(benches);
