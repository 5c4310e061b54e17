//! The latency of a score while tables are swapped: not at all, ten a second, as fast as can be.
//!
//! The three take turns in slices, so that what else the machine does hits all alike. Ten seconds
//! for each by default; `HEDGEROW_LATENCY_SECONDS` says otherwise. Each score is timed by the
//! clock, whose own cost is in the figures.

#[path = "../tests/common/hot.rs"]
mod hot;

use hdrhistogram::Histogram;
use hedgerow::epoch::{Barrier, Swap};
use hedgerow::{PreparedTable, Row};
use hot::Hot;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often tables are swapped.
#[derive(Debug, Clone, Copy)]
enum Swaps {
    None,
    TenASecond,
    AllThatCanBe,
    /// No table is made: a number is published beside a table that stays, which shows what the
    /// swap itself costs, without the making and unmapping of tables beside it.
    BareOnFence,
    BareOnMembarrier,
}

const ALL: [Swaps; 5] = [
    Swaps::None,
    Swaps::TenASecond,
    Swaps::AllThatCanBe,
    Swaps::BareOnFence,
    Swaps::BareOnMembarrier,
];

/// Slices that each gets in turn.
const SLICES: u32 = 10;

struct Measured {
    latency: Histogram<u64>,
    swaps: u64,
}

fn main() {
    // `cargo test --benches` runs this without `--bench`: small, for the checks alone.
    let small = !std::env::args().any(|arg| arg == "--bench");
    let seconds = std::env::var("HEDGEROW_LATENCY_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok());
    let each = seconds.unwrap_or(if small { 0.2 } else { 10.0 });
    let slice = Duration::from_secs_f64(each) / SLICES;

    let hot = Hot::new();
    let rows = hot::rows(&hot.requests);
    let empty = || Measured {
        latency: Histogram::new_with_bounds(1, 10_000_000_000, 3).expect("a histogram"),
        swaps: 0,
    };
    let mut measured = ALL.map(|_| empty());
    for _ in 0..SLICES {
        for (swaps, measured) in ALL.into_iter().zip(&mut measured) {
            run(&hot, &rows, swaps, slice, measured);
        }
    }
    println!("| swaps | a second | scores | p50 ns | p99 ns | p99.9 ns |");
    println!("|---|---|---|---|---|---|");
    for (
        swaps,
        Measured {
            latency,
            swaps: count,
        },
    ) in ALL.into_iter().zip(&measured)
    {
        let at = |quantile| latency.value_at_quantile(quantile);
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        let rate = *count as f64 / each;
        println!(
            "| {swaps:?} | {rate:.0} | {} | {p50} | {p99} | {p999} |",
            latency.len()
        );
    }
}

fn run(hot: &Hot, rows: &[Row], swaps: Swaps, slice: Duration, measured: &mut Measured) {
    let bare = match swaps {
        Swaps::BareOnFence => Some(Barrier::Fence),
        Swaps::BareOnMembarrier => Some(Barrier::Membarrier),
        _ => None,
    };
    match bare {
        Some(barrier) => run_bare(hot, rows, barrier, slice, measured),
        None => {
            let mut scorer = hot.engine.scorer().expect("a slot");
            let publish = || hot.engine.publish(hot::table()).is_ok();
            let score = |row: &Row| scorer.score(row).score().is_some();
            beside(rows, swaps, slice, publish, score, measured);
        }
    }
}

fn run_bare(hot: &Hot, rows: &[Row], barrier: Barrier, slice: Duration, measured: &mut Measured) {
    let prepared = PreparedTable::new(hot::table(), hot.engine.schema()).expect("a prepared table");
    let prepared = &prepared;
    let swap = Swap::with_barrier(1, barrier);
    let publish = || swap.publish(Box::new).is_ok();
    assert!(publish());
    let mut reader = swap.reader().expect("a slot");
    let score = |row: &Row| match reader.enter() {
        Some(generation) => *generation > 0 && prepared.score(prepared.margin(row)).get() > 0,
        None => false,
    };
    beside(rows, Swaps::AllThatCanBe, slice, publish, score, measured);
}

/// Scores on this thread, and publishes on another.
fn beside(
    rows: &[Row],
    swaps: Swaps,
    slice: Duration,
    publish: impl Fn() -> bool + Send + Sync,
    mut score: impl FnMut(&Row) -> bool,
    measured: &mut Measured,
) {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        // Relaxed, here and below: a flag and a count that nothing else depends on.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                match swaps {
                    Swaps::None => std::thread::sleep(Duration::from_millis(10)),
                    _ => _ = count.fetch_add(u64::from(publish()), Ordering::Relaxed),
                }
                if let Swaps::TenASecond = swaps {
                    std::thread::sleep(Duration::from_millis(100).min(slice));
                }
            }
        });
        let until = Instant::now() + slice;
        let mut from = Instant::now();
        'slice: loop {
            for row in rows {
                let right = score(row);
                let now = Instant::now();
                assert!(right, "a score");
                let nanos = now.duration_since(from).as_nanos() as u64;
                measured.latency.saturating_record(nanos);
                if now > until {
                    break 'slice;
                }
                from = Instant::now();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    measured.swaps += count.load(Ordering::Relaxed);
}
