//! The traffic windows: observe, fill and finish, with clients that fit the caches and that do not.
//!
//! `cargo bench --bench traffic`; `cargo test --benches` runs everything once and checks it.

#![allow(missing_docs, reason = "criterion's macros write functions without")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::Random;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hedgerow::Row;
use hedgerow::http::{Header, HeadersKnown, Request, Version};
use hedgerow::traffic::{ClientKey, Facts, HTTP_BASE, Windows, position};
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Duration;

/// Requests that are made ahead, so that the branch predictor cannot learn them.
const REQUESTS: usize = if cfg!(debug_assertions) { 512 } else { 65_536 };

const AGENT: &[u8] = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";

const PATHS: [&[u8]; 4] = [
    b"/",
    b"/static/application.css?v=17",
    b"/category/garden/tools",
    b"/product/8123/hedge-trimmer.html?from=search&page=2",
];

fn keys(clients: u64, random: &mut Random) -> Vec<ClientKey<'static>> {
    let key = |_| {
        let client = 0x0a00_0000 + random.below(clients) as u32;
        ClientKey::address(IpAddr::from(client.to_be_bytes()))
    };
    (0..REQUESTS).map(key).collect()
}

fn observe(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("traffic");
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    group.sample_size(50);
    group.throughput(Throughput::Elements(1));
    let headers = [
        Header::new(b"Host", b"example.org"),
        Header::new(b"User-Agent", AGENT),
        Header::new(b"Accept", b"*/*"),
        Header::new(b"Accept-Encoding", b"gzip, deflate, br, zstd"),
        Header::new(b"Accept-Language", b"en-GB,en;q=0.9"),
        Header::new(b"Referer", b"https://example.org/category/garden"),
    ];
    let request = |path| {
        Request::new(b"GET", path, &headers, HeadersKnown::Complete).version(Version::Http11)
    };
    let requests = PATHS.map(request);
    // Room, and clients that come: one; a core's; more memory than L2; newcomers alone.
    for (name, room, clients) in [
        ("one client", 8_192, 1),
        ("1,000 of 8,192", 8_192, 1_000),
        ("4,000 of 8,192", 8_192, 4_000),
        ("30,000 of 65,536", 65_536, 30_000),
        ("a flood of new keys", 8_192, 1 << 31),
    ] {
        let random = &mut Random::new(5);
        let mut windows = Windows::new(room, 17).expect("windows");
        let keys = keys(clients, random);
        let (mut at, mut now) = (0, 0_u64);
        let mut row = Row::MISSING;
        let mut step = |windows: &mut Windows, row: &mut Row| {
            // 50,000 requests a second.
            now += 20_000;
            at = (at + 1) % REQUESTS;
            let facts = Facts::of(black_box(&requests[at % PATHS.len()]));
            let client = windows.observe(black_box(&keys[at]), &facts, now);
            client.fill(row, HTTP_BASE);
            windows.finish(client.id(), 200);
        };
        for _ in 0..2 * REQUESTS {
            step(&mut windows, &mut row);
        }
        // The bench is of what it says: the last request's client is known, or is new.
        let minute = position("traffic_requests_60s").expect("a feature") + HTTP_BASE;
        match clients {
            0..=1_000 => {
                assert!(row.get(minute) >= REQUESTS.min(60_000) as f32 / clients as f32 / 2.0)
            }
            1_001..=30_000 => {}
            _ => assert!(windows.stats().entered >= REQUESTS as u64),
        }
        group.bench_function(BenchmarkId::new("observe, fill, finish", name), |bencher| {
            bencher.iter(|| {
                step(&mut windows, &mut row);
                black_box(&row);
            });
        });
    }
    let facts = BenchmarkId::new("facts of a request", "4 paths");
    group.bench_function(facts, |bencher| {
        let mut at = 0;
        bencher.iter(|| {
            at = (at + 1) % PATHS.len();
            black_box(Facts::of(black_box(&requests[at])))
        });
    });
    group.finish();
}

criterion_group!(benches, observe);
criterion_main!(benches);
