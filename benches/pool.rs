//! A row through a worker's ring, against the same row scored inline: 1, 8 and 64 in flight.
//!
//! `cargo bench --bench pool`. One thread submits and waits, one worker scores; figures are a
//! row. Inline is one thread alone, single rows and batches of 64.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hedgerow::http::{Header, HeadersKnown, Request, extract};
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::pool::{Call, Pool, PoolOptions};
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table, Verdict};
use std::hint::black_box;

fn engine() -> Engine {
    let engine = Engine::new(Schema::http());
    let table = Table::from_bytes(DEFAULT_TABLE).expect("the bundled table");
    engine.publish(table).expect("a published table");
    engine
}

fn row() -> Row {
    let headers = [
        Header::new(b"Host", b"shop.example"),
        Header::new(b"User-Agent", b"curl/8.5"),
        Header::new(b"Accept", b"*/*"),
    ];
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    row
}

fn rows(criterion: &mut Criterion) {
    let (engine, row) = (engine(), row());
    let mut scorer = engine.scorer().expect("a slot");
    let expected = scorer.score(&row);
    assert!(matches!(expected, Verdict::Scored(_)));

    let mut group = criterion.benchmark_group("row");
    group.throughput(Throughput::Elements(1));
    group.bench_function("inline", |bencher| {
        bencher.iter(|| assert_eq!(scorer.score(black_box(&row)), expected));
    });
    let batch = vec![row.clone(); BATCH_ROWS_MAX];
    let mut verdicts = vec![expected; BATCH_ROWS_MAX];
    group.throughput(Throughput::Elements(BATCH_ROWS_MAX as u64));
    group.bench_function("inline, batch of 64", |bencher| {
        bencher.iter(|| scorer.score_batch(black_box(&batch), &mut verdicts));
    });
    assert!(verdicts.iter().all(|verdict| *verdict == expected));

    // The last core: a small machine's interrupts and other work prefer the first.
    let all = Pool::start(&engine, &PoolOptions::default()).expect("a pool");
    let cores = all.cores().into_iter().rev().take(1).collect();
    all.close();
    let options = PoolOptions {
        cores,
        spins: u32::MAX,
        ..PoolOptions::default()
    };
    let pool = Pool::start(&engine, &options).expect("a pool");
    for in_flight in [1, 8, 64] {
        let mut calls: Vec<Call> = (0..in_flight).flat_map(|_| pool.call()).collect();
        assert_eq!(calls.len(), in_flight);
        group.throughput(Throughput::Elements(in_flight as u64));
        group.bench_function(format!("worker, {in_flight} in flight"), |bencher| {
            bencher.iter(|| {
                let pending: Vec<_> = calls.iter_mut().map(|call| call.submit(&row)).collect();
                for pending in pending {
                    assert_eq!(pending.wait(), expected);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, rows);
criterion_main!(benches);
