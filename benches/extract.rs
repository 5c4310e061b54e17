//! From a request to a row: requests of browsers, of tools, and hostile ones.
//!
//! `cargo bench --bench extract`. Each case checks what it measures. Figures stand with the record
//! in `benches/record`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hedgerow::Row;
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract, position};
use std::hint::black_box;
use std::time::{Duration, Instant};

#[path = "../tests/common/requests.rs"]
mod requests;

const CHROME: [(&str, &str); 17] = [
    ("Host", "shop.example"),
    ("Connection", "keep-alive"),
    ("Cache-Control", "max-age=0"),
    (
        "sec-ch-ua",
        r#""Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24""#,
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Windows\""),
    ("Upgrade-Insecure-Requests", "1"),
    (
        "User-Agent",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/131.0.0.0 Safari/537.36",
    ),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,\
         */*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    ),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "https://shop.example/c/chairs"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Cookie", "sid=1f0c9a; consent=yes; theme=dark"),
];

const CURL: [(&str, &str); 3] = [
    ("Host", "shop.example"),
    ("User-Agent", "curl/8.5.0"),
    ("Accept", "*/*"),
];

fn headers(pairs: &'static [(&str, &str)]) -> Vec<Header<'static>> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()))
        .collect()
}

fn request<'a>(headers: &'a [Header<'a>]) -> Request<'a> {
    Request::new(
        b"GET",
        b"/p/1042?ref=list&page=2",
        headers,
        HeadersKnown::Complete,
    )
    .version(Version::Http11)
    .scheme(Scheme::Https)
}

/// The value of a feature after one extraction.
fn value(request: &Request<'_>, name: &str) -> f32 {
    let mut row = Row::MISSING;
    extract(request, &mut row);
    row.get(position(name).expect("a feature"))
}

/// The fastest of many short rounds, which other loads on the machine do not reach into.
fn floor(name: &str, request: &Request<'_>) {
    let rounds = if std::env::args().any(|argument| argument == "--bench") {
        20_000
    } else {
        2
    };
    let mut row = Row::MISSING;
    let mut least = Duration::MAX;
    for _ in 0..rounds {
        let from = Instant::now();
        for _ in 0..64 {
            extract(black_box(request), &mut row);
        }
        least = least.min(from.elapsed());
    }
    println!("{name}: {} ns in the fastest round", least.as_nanos() / 64);
}

fn known_clients(c: &mut Criterion) {
    let mut group = c.benchmark_group("extract");
    for (name, pairs, browser) in [("chrome", &CHROME[..], 1.0), ("curl", &CURL[..], 0.0)] {
        let headers = headers(pairs);
        let request = request(&headers);
        assert_eq!(value(&request, "ua_browser"), browser);
        assert_eq!(value(&request, "ua_tool_word"), 1.0 - browser);
        floor(name, &request);
        let mut row = Row::MISSING;
        group.bench_function(name, |b| b.iter(|| extract(black_box(&request), &mut row)));
    }
    // All recorded requests in turn: branches are not learned by heart.
    let recorded = requests::requests();
    assert!(recorded.len() > 1_000);
    group.throughput(Throughput::Elements(recorded.len() as u64));
    let mut row = Row::MISSING;
    group.bench_function("recorded", |b| {
        b.iter(|| {
            for request in &recorded {
                extract(black_box(request), &mut row);
            }
        });
    });
    group.finish();
}

fn hostile(c: &mut Criterion) {
    let mut group = c.benchmark_group("hostile");
    for count in [128, 10_000] {
        let names: Vec<String> = (0..count).map(|at| format!("X-Header-{at}")).collect();
        let headers: Vec<Header<'_>> = names
            .iter()
            .map(|name| Header::new(name.as_bytes(), b"value"))
            .collect();
        let request = request(&headers);
        assert_eq!(value(&request, "ua_missing"), 1.0);
        let mut row = Row::MISSING;
        group.bench_with_input(
            BenchmarkId::new("headers", count),
            &request,
            |b, request| {
                b.iter(|| extract(black_box(request), &mut row));
            },
        );
    }
    for bytes in [1_024, 65_536] {
        let long = "(".repeat(bytes);
        let headers: Vec<Header<'_>> = CHROME
            .iter()
            .map(|(name, _)| Header::new(name.as_bytes(), long.as_bytes()))
            .collect();
        let request = request(&headers);
        assert_eq!(value(&request, "ua_unbalanced"), 1.0);
        let mut row = Row::MISSING;
        group.bench_with_input(
            BenchmarkId::new("value_bytes", bytes),
            &request,
            |b, request| {
                b.iter(|| extract(black_box(request), &mut row));
            },
        );
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    targets = known_clients, hostile
}
criterion_main!(benches);
