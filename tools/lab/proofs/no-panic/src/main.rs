//! Two proofs that the hot path cannot panic, about its optimised machine code.
//!
//! 1. Functions marked `#[no_panic]` link only if the optimiser has found that nothing in them
//!    unwinds: else a call to a function that does not exist is left over.
//! 2. Functions named `hot_…` are what `tests/hot_path_no_panic.rs` looks for in the assembly: it
//!    follows their calls and finds none of a panic. This one covers [`Scorer::score`] as a
//!    whole, where the kernel is called by a pointer, which the first proof cannot look behind.

use hedgerow::epoch::{Barrier, Reader, Swap};
use hedgerow::host::{HostOptions, RequestScorer};
use hedgerow::http::{Header, HeadersKnown, Request, extract};
use hedgerow::traffic::{ClientKey, Facts, HTTP_BASE, Windows};
use hedgerow::{
    Client, DEFAULT_TABLE, Engine, FeatureKind, KERNELS, PreparedTable, Row, Schema, Scorer,
    Source, Table, Verdict,
};
use no_panic::no_panic;
use std::hint::black_box;

#[no_panic]
#[inline(never)]
fn enter_and_leave(reader: &mut Reader<u64>) -> u64 {
    reader.enter().map_or(0, |value| *value)
}

#[no_panic]
#[inline(never)]
fn score_of_margin(prepared: &PreparedTable, margin: i64) -> u8 {
    prepared.score(margin).get()
}

#[no_panic]
#[inline(never)]
fn matches(prepared: &PreparedTable, row: &Row) -> u64 {
    prepared.matches(row).bits()
}

#[no_panic]
#[inline(never)]
fn verified(prepared: &PreparedTable, client: &Client<'_>) -> bool {
    prepared.verified(client, 1).is_some()
}

#[no_panic]
#[inline(never)]
fn extract_row(request: &Request<'_>, row: &mut Row) {
    extract(request, row);
}

#[no_panic]
#[inline(never)]
fn traffic_row(windows: &mut Windows, request: &Request<'_>, now: u64, row: &mut Row) {
    traffic(windows, request, now, row);
}

#[inline(always)]
fn traffic(windows: &mut Windows, request: &Request<'_>, now: u64, row: &mut Row) {
    let agent = request.headers.first().map(|header| header.value);
    for key in [
        request.peer.map(ClientKey::address),
        agent.map(ClientKey::bytes),
    ] {
        if let Some(key) = key {
            let seen = windows.observe(&key, &Facts::of(request), now);
            seen.fill(row, HTTP_BASE);
            windows.finish(seen.id(), now as u16);
        }
    }
}

#[no_panic]
#[inline(never)]
fn margin<const KERNEL: usize>(prepared: &PreparedTable, row: &Row) -> Option<i64> {
    prepared.margin_on(KERNELS.get(KERNEL)?, row)
}

#[no_panic]
#[inline(never)]
fn margins<const KERNEL: usize>(
    prepared: &PreparedTable,
    rows: &[Row],
    margins: &mut [i64],
) -> bool {
    KERNELS
        .get(KERNEL)
        .is_some_and(|kernel| prepared.margins_on(kernel, rows, margins))
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_score(scorer: &mut Scorer, row: &Row) -> Verdict {
    scorer.score(row)
}

/// The same with a panic planted that links: following the calls from here must find it.
#[unsafe(no_mangle)]
#[inline(never)]
fn planted_score(scorer: &mut Scorer, row: &Row) -> Verdict {
    black_box(row.values()[black_box(7)]);
    scorer.score(row)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_score_client(scorer: &mut Scorer, row: &Row, client: &Client<'_>) -> Verdict {
    scorer.score_client(row, client)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_score_batch_clients(
    scorer: &mut Scorer,
    rows: &[Row],
    clients: &[Client<'_>],
    verdicts: &mut [Verdict],
) -> usize {
    scorer.score_batch_clients(rows, clients, verdicts)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_score_batch(scorer: &mut Scorer, rows: &[Row], verdicts: &mut [Verdict]) -> usize {
    scorer.score_batch(rows, verdicts)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_extract(request: &Request<'_>, row: &mut Row) {
    extract(request, row);
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_traffic(windows: &mut Windows, request: &Request<'_>, now: u64, row: &mut Row) {
    traffic(windows, request, now, row);
}

/// From a request to a verdict, without the clock and the fence for panics of the host's own.
#[unsafe(no_mangle)]
#[inline(never)]
fn hot_request(host: &mut RequestScorer, request: &Request<'_>, now: u64) -> Verdict {
    let headers = request.headers.iter().copied();
    let (verdict, client) = host.judge_at(request, headers, |own| own.fill(1.0), now);
    host.finish(client, now as u16);
    verdict
}

#[unsafe(no_mangle)]
#[inline(never)]
fn hot_enter_and_leave(reader: &mut Reader<u64>) -> u64 {
    reader.enter().map_or(0, |value| *value)
}

/// Both ways of every kernel: what [`Scorer::score`] calls by a pointer.
#[unsafe(no_mangle)]
#[inline(never)]
fn hot_kernels(prepared: &PreparedTable, rows: &[Row], to: &mut [i64]) -> i64 {
    fn one<const KERNEL: usize>(prepared: &PreparedTable, rows: &[Row], to: &mut [i64]) -> i64 {
        let Some(kernel) = KERNELS.get(KERNEL) else {
            return 0;
        };
        prepared.margins_on(kernel, rows, to);
        let margin = rows.first().and_then(|row| prepared.margin_on(kernel, row));
        margin.unwrap_or_default()
    }
    one::<0>(prepared, rows, to)
        ^ one::<1>(prepared, rows, to)
        ^ one::<2>(prepared, rows, to)
        ^ one::<3>(prepared, rows, to)
}

/// Kernels that are proven; the registry has no more.
const KERNELS_PROVEN: usize = 4;

/// Every kernel of this machine gives the rows this margin, alone and together.
fn check_kernels(table: impl Fn() -> Table, rows: &[Row; 2], expected: i64) {
    for kernel in KERNELS.iter().filter(|kernel| kernel.available()) {
        let own = PreparedTable::with_kernel(table(), &Schema::http(), kernel.name);
        let own = own.expect("a prepared table");
        let mut to = [0; 2];
        let alone = [
            margin::<0>(&own, &rows[0]),
            margin::<1>(&own, &rows[0]),
            margin::<2>(&own, &rows[0]),
            margin::<3>(&own, &rows[0]),
        ];
        let batched = [
            margins::<0>(&own, rows, &mut to),
            margins::<1>(&own, rows, &mut to),
            margins::<2>(&own, rows, &mut to),
            margins::<3>(&own, rows, &mut to),
        ];
        // One of the four is the kernel that the table is prepared for.
        assert_eq!(alone.iter().flatten().collect::<Vec<_>>(), [&expected]);
        assert_eq!(batched.iter().filter(|ran| **ran).count(), 1);
        assert_eq!(to, [expected; 2]);
        black_box(hot_kernels(&own, rows, &mut to));
    }
}

fn main() {
    assert!(KERNELS.len() <= KERNELS_PROVEN, "prove the new kernel, too");
    let headers = [Header::new(b"User-Agent", b"curl/8.5.0")];
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    let mut rows = [Row::MISSING, Row::MISSING];
    extract_row(black_box(&request), &mut rows[0]);
    hot_extract(black_box(&request), &mut rows[1]);

    let mut windows = Windows::new(8, black_box(1)).expect("windows");
    let mut seen = Row::MISSING;
    traffic_row(&mut windows, black_box(&request), black_box(1), &mut seen);
    hot_traffic(&mut windows, black_box(&request), black_box(2), &mut seen);
    assert_eq!(seen.get(HTTP_BASE), 2.0);

    let table = || Table::from_bytes(DEFAULT_TABLE).expect("the default table");
    let prepared = PreparedTable::new(table(), &Schema::http()).expect("a prepared table");
    let rows = black_box(&rows);
    let expected = prepared.margin(&rows[0]);
    check_kernels(table, rows, expected);

    let swap = Swap::with_barrier(1, black_box(Barrier::Membarrier));
    swap.publish(|generation| Box::new(generation))
        .expect("room");
    let mut reader = swap.reader().expect("a slot");
    assert_eq!(
        enter_and_leave(&mut reader),
        hot_enter_and_leave(&mut reader)
    );

    let engine = Engine::new(Schema::http());
    engine.publish(table()).expect("the default table");
    let mut scorer = engine.scorer().expect("a slot");
    let verdict = hot_score(&mut scorer, &rows[0]);
    assert_eq!(planted_score(&mut scorer, &rows[0]), verdict);
    let mut verdicts = [verdict; 2];
    assert_eq!(hot_score_batch(&mut scorer, rows, &mut verdicts), 2);
    assert_eq!(verdicts[0], verdict);
    let schema = Schema::http_with_traffic().with("own", FeatureKind::Flag);
    let host = Engine::new(schema.expect("a schema"));
    host.publish(table()).expect("the default table");
    let mut host = host.request_scorer(HostOptions::default()).expect("a slot");
    let known = black_box(request.peer(std::net::Ipv4Addr::LOCALHOST.into()));
    let first = hot_request(&mut host, &known, 1);
    assert_eq!(hot_request(&mut host, &known, 2), first);
    assert_eq!(host.row().get(HTTP_BASE), 2.0);
    let client = Client::new(std::net::Ipv4Addr::LOCALHOST.into(), b"curl/8.5.0");
    let client = black_box(client);
    assert_eq!(hot_score_client(&mut scorer, &rows[0], &client), verdict);
    let clients = [client; 2];
    let count = hot_score_batch_clients(&mut scorer, rows, &clients, &mut verdicts);
    assert_eq!((count, verdicts[0]), (2, verdict));
    assert!(!verified(&prepared, &client) && matches(&prepared, &rows[0]).count_ones() <= 64);
    // A row that no detection decides has the score of its margin.
    let plain = black_box(Row::MISSING);
    let score = score_of_margin(&prepared, prepared.margin(&plain));
    let Verdict::Scored(scored) = hot_score(&mut scorer, &plain) else {
        panic!("a row without a score");
    };
    assert_eq!(scored.source, Source::Ensemble);
    assert_eq!(scored.score.get(), score);
    println!("{} kernels, score {score}", KERNELS.len());
}
