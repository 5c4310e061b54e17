//! What a new table costs: open, validate, bind, publish; and until the last reader sees it.

#[path = "../tests/common/mod.rs"]
mod common;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use hedgerow::model::{BuildOptions, build};
use hedgerow::{Engine, Row, Table};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Name, trees and depth. An oblivious tree of depth 10 has 1,024 leaves of four bytes.
const SIZES: [(&str, usize, u64); 4] = [
    ("100KB", 360, 6),
    ("1MB", 240, 10),
    ("10MB", 2_400, 10),
    ("50MB", 3_000, 12),
];

fn file(trees: usize, depth: u64) -> (std::path::PathBuf, hedgerow::Schema, usize) {
    let ensemble = common::oblivious_ensemble(12, trees, depth, 7);
    let random = &mut common::Random::new(8);
    let golden = (0..64).map(|_| common::random_row(&ensemble, random));
    let options = BuildOptions {
        golden: golden.collect(),
        ..BuildOptions::default()
    };
    let built = build(&ensemble, &options).expect("a table");
    let name = format!(
        "hedgerow-bench-{}-{trees}-{depth}.hedge",
        std::process::id()
    );
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, &built.bytes).expect("a file");
    (path, common::schema_of(&ensemble), built.bytes.len())
}

fn open(criterion: &mut Criterion) {
    for (name, trees, depth) in SIZES {
        let (path, schema, bytes) = file(trees, depth);
        let mut group = criterion.benchmark_group(format!("open/{name}"));
        group.throughput(criterion::Throughput::Bytes(bytes as u64));
        group.bench_function("open-and-validate", |bencher| {
            bencher.iter_with_large_drop(|| Table::open(&path).expect("a table"));
        });
        let engine = Engine::new(schema);
        let mut scorer = engine.scorer().expect("a slot");
        group.bench_function("bind-and-publish", |bencher| {
            let table = || Table::open(&path).expect("a table");
            let publish = |table| engine.publish(table).expect("a generation");
            bencher.iter_batched(table, publish, BatchSize::PerIteration);
            let generation = scorer.score(&Row::MISSING).generation();
            assert!(generation > 0, "published");
        });
        group.bench_function("publish-until-the-last-reader-sees-it", |bencher| {
            bencher.iter_custom(|rounds| seen(&engine, &path, rounds));
        });
        group.finish();
        std::fs::remove_file(&path).expect("the file's end");
    }
}

/// From the call of publish until both of two scoring threads have given a verdict by the new
/// table.
fn seen(engine: &Engine, path: &std::path::Path, rounds: u64) -> Duration {
    let (stop, last) = (
        AtomicBool::new(false),
        [AtomicU64::new(0), AtomicU64::new(0)],
    );
    std::thread::scope(|scope| {
        for last in &last {
            let (mut scorer, stop) = (engine.scorer().expect("a slot"), &stop);
            scope.spawn(move || {
                // Relaxed: numbers for show, and a flag that nothing else depends on.
                while !stop.load(Ordering::Relaxed) {
                    let generation = scorer.score(&Row::MISSING).generation();
                    last.store(generation, Ordering::Relaxed);
                }
            });
        }
        let mut total = Duration::ZERO;
        for _ in 0..rounds {
            let table = Table::open(path).expect("a table");
            let from = Instant::now();
            let generation = engine.publish(table).expect("a generation");
            while last
                .iter()
                .any(|last| last.load(Ordering::Relaxed) < generation)
            {
                std::thread::yield_now();
            }
            total += from.elapsed();
        }
        stop.store(true, Ordering::Relaxed);
        total
    })
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = open
}
criterion_main!(benches);
