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
//! - Layouts tuned by the model's own leaf weights, on the model R1 of tools/lab/peers and its
//!   rows, by a prototype of the two steps after binarising (not kept), EPYC (Zen 3, AVX2, 2 cores,
//!   KVM), 2026-11-26, 128 rows, variants in turn, minima warm, medians after 4 MiB of other
//!   memory: levels by lane, as they are, look up 5.2 groups a level; with the two most biased
//!   splits of a tree on top, which choose its line of 16 leaves (72 % of the weight in the best
//!   one), 8.2; with the three most biased ones on top and the eight best leaves of each tree
//!   apart, two trees a line (53 % of the weight), 8.4. AVX2 1,567 ns by lane, 1,791 by weight,
//!   1,764 with hot leaves apart; cold 6.2, 6.6 and 6.9 µs. Portable 2,661 by lane, 2,665 by
//!   weight; cold 9.0 to 9.7 and 9.8 to 9.9 µs. The loads of the leaves alone: 739 ns by lane, 734
//!   by weight, 683 with hot leaves apart, 610 if every other row goes through them backwards
//!   besides; AVX2's lookups alone: 542 by lane, 737 in the other orders. So the gain is at most
//!   130 ns of a machine that has AVX-512, where lookups cost the same in every order, and was not
//!   measured there.
//! - Prefetching a line a tree before a block's indexes are looked up, same prototype: AVX2 2,010
//!   against 1,567 ns warm, 6.1 against 6.2 µs cold.
//! - AVX2, how many blocks' indexes before their leaves: one 1,567 ns, two 1,641, four 1,472,
//!   sixteen 1,593; cold 6.2, 6.1, 6.0 to 6.2 and 5.6 to 6.0 µs. Four it is.
//! - AVX2, trees of any shape, same day and machine, model R2: walking nodes of eight bytes, as it
//!   was, 6,960 ns, by arrays of fields and children 4,670 (sixteen side by side 5,000, four
//!   7,210); predicate words of four trees, a tree's splits over four registers with a loop over as
//!   many groups as each needs 3,890, with the same constant number for all four 3,850, with
//!   registers sorted by their number 3,310, of which 1,330 for the words (6.6 ns a tree, against
//!   1.0 ns a level by walking); walking the words by a table of children 4,970 and more. Model R3:
//!   walking nodes 5,085, complete trees by position 2,700 (sixteen side by side 3,140, four
//!   3,800); words and children 5,490.
//! - Portable: leaf addresses in an array first, 3,180 ns against 2,660; with `get_unchecked`
//!   3,040; sixteen walks side by side, 7,730 ns on the second
//!   against 6,680 with eight; thirty-two, 12,310. The index by Horner's rule, a shift and an add a
//!   split, compiles to the same instructions (callgrind, rustc 1.95): 36 a tree of depth 6.

#![allow(missing_docs, reason = "criterion's macros write functions without")]

mod made;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hedgerow::model::{BuildOptions, Ensemble, build};
use hedgerow::{KERNELS, PreparedTable, Row, Table};
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
        PreparedTable::with_kernel(table, &schema, kernel).expect("a prepared table")
    };
    let portable = bind("portable");
    let values = made::rows(ROWS);
    let rows: Vec<Row> = values.iter().map(|values| portable.row(values)).collect();
    let expected: Vec<i64> = rows.iter().map(|row| portable.margin(row)).collect();
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ROWS as u64));
    for kernel in KERNELS {
        if !kernel.available() {
            println!("SKIPPED: kernel {} on {name}", kernel.name);
            continue;
        }
        let prepared = bind(kernel.name);
        for batch in [1, 8, 64] {
            let mut margins = vec![0; ROWS];
            group.bench_function(BenchmarkId::new(kernel.name, batch), |bencher| {
                bencher.iter(|| match batch {
                    1 => {
                        for (row, to) in black_box(&rows).iter().zip(&mut margins) {
                            *to = prepared.margin(row);
                        }
                    }
                    _ => {
                        let batches = black_box(&rows).chunks(batch);
                        for (rows, to) in batches.zip(margins.chunks_mut(batch)) {
                            prepared.margins(rows, to);
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
