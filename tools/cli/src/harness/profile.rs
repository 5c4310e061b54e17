//! What one thread can do, alone: every kernel in rounds, and a request's cost one by one and at
//! once.

use super::cache_pressure::Evict;
use super::clock;
use super::drive::NONE;
use super::run::{KernelRounds, Moments, Profile};
use super::source::{Source, Work};
use crate::failure::{self, Failure};
use hdrhistogram::Histogram;
use hedgerow::limits::{BATCH_ROWS_MAX, RESERVOIR_EVERY, RESERVOIR_ROWS};
use hedgerow::pool::{Call, Pool, PoolOptions};
use hedgerow::{Engine, KERNELS, PreparedTable, Row, Scorer, Table};
use std::fs;
use std::future::Future;
use std::hint::black_box;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Rounds that each kernel is measured in at one time, by turns: what disturbs one moment disturbs
/// all alike.
const ROUNDS: usize = 8;

/// Rows that kernels are measured on, at most: few enough that some passes over them go by without
/// the system taking the core away.
const ROWS: usize = 256;

/// Buffer of other work, in MiB: more than first and second caches hold.
const COLD_MIB: f64 = 4.0;

/// The table again, from its bytes.
fn again(source: &Source) -> Result<Table, Failure> {
    Table::from_bytes(source.table.bytes())
        .map_err(|refused| Failure::refused(&source.name, &refused))
}

/// Every kernel that runs here, or the one named, for about so many seconds in all.
pub fn kernels(
    source: &Source,
    work: &Work<'_>,
    only: Option<&str>,
    seconds: f64,
) -> Result<Vec<KernelRounds>, Failure> {
    let mut rows = vec![Row::MISSING; work.count().min(ROWS)];
    rows.iter_mut()
        .enumerate()
        .for_each(|(at, row)| work.fill(at, row));
    let mut tables = Vec::new();
    for kernel in KERNELS {
        let wanted = only.is_none_or(|name| name == kernel.name);
        if wanted && kernel.available() {
            let prepared = PreparedTable::with_kernel(again(source)?, &source.schema, kernel.name);
            let refused = |refused| Failure::refused(&source.name, &refused);
            tables.push((kernel.name, prepared.map_err(refused)?));
        }
    }
    let named = |(name, _): &(&str, _)| KernelRounds {
        name: name.to_string(),
        row: Vec::new(),
        batch_row: Vec::new(),
        cold_row: Vec::new(),
    };
    let mut results: Vec<KernelRounds> = tables.iter().map(named).collect();
    let each = seconds / (ROUNDS * tables.len().max(1) * 3) as f64;
    for _ in 0..ROUNDS {
        for ((_, prepared), result) in tables.iter().zip(&mut results) {
            let best = clock::best(each, || {
                for row in &rows {
                    black_box(prepared.score(prepared.margin(black_box(row))));
                }
            });
            result.row.push(best.as_nanos() as f64 / rows.len() as f64);
            result
                .batch_row
                .push(clock::batch_row_ns(prepared, &rows, each));
            result
                .cold_row
                .push(clock::cold_row_ns(prepared, &rows, each) as f64);
        }
    }
    Ok(results)
}

/// What one thread can do with a table, measured for about so many seconds.
pub fn profile_of(table: &str, input: Option<&Path>, seconds: f64) -> Result<Profile, Failure> {
    let source = Source::open(table, input)?;
    let headers = source.headers();
    profile(&source, &source.work(&headers), None, seconds)
}

/// A request's cost to a thread that does nothing else, for about so many seconds in all.
pub fn profile(
    source: &Source,
    work: &Work<'_>,
    kernel: Option<&str>,
    seconds: f64,
) -> Result<Profile, Failure> {
    let refused = |error| failure::unpublished(&source.name, error);
    let before = resident();
    let engine = Engine::new(source.schema.clone());
    let name = match kernel {
        Some(kernel) => engine
            .publish_on(again(source)?, kernel)
            .map(|_| kernel.to_string()),
        None => engine.publish(again(source)?).map(|_| String::new()),
    };
    let mut name = name.map_err(refused)?;
    if name.is_empty() {
        let prepared = PreparedTable::new(again(source)?, &source.schema);
        let refused = |refused| Failure::refused(&source.name, &refused);
        name = prepared.map_err(refused)?.kernel().name.to_string();
    }
    let mut scorer = scorer(&engine)?;
    one(work, &mut scorer, None, 0.02)?;
    let engine_bytes = resident().saturating_sub(before);
    let scorer_bytes = scorer_bytes(&engine, work)?;
    Ok(Profile {
        table: source.name.clone(),
        table_bytes: source.table.byte_count(),
        kernel: name,
        one: one(work, &mut scorer, None, seconds * 0.4)?,
        one_cold: one(work, &mut scorer, Evict::new(COLD_MIB), seconds * 0.2)?,
        batches: batches(work, &mut scorer, seconds * 0.25),
        ring: ring(work, &engine, seconds * 0.15).unwrap_or_default(),
        engine_bytes,
        scorer_bytes,
    })
}

fn scorer(engine: &Engine) -> Result<Scorer, Failure> {
    let full = |full| Failure::new("load", "scorer", "a free slot", format!("{full:?}"));
    engine.scorer().map_err(full)
}

/// The service times of single requests: of several rounds, the one with the smallest mean, which
/// was disturbed least.
fn one(
    work: &Work<'_>,
    scorer: &mut Scorer,
    mut other: Option<Evict>,
    seconds: f64,
) -> Result<Moments, Failure> {
    const TAKES: usize = 7;
    let mut best: Option<Moments> = None;
    let mut at = 0;
    for _ in 0..TAKES {
        let mut times: Histogram<u64> = Histogram::new_with_bounds(1, 10_000_000_000, 3)
            .map_err(|error| Failure::new("load", "histogram", "a histogram", error))?;
        let mut row = Row::MISSING;
        let end = Instant::now() + Duration::from_secs_f64(seconds / TAKES as f64);
        loop {
            if let Some(other) = &mut other {
                other.walk();
            }
            let start = Instant::now();
            work.fill(at, &mut row);
            black_box(scorer.score(black_box(&row)));
            let done = Instant::now();
            at = work.after(at);
            times.saturating_record(done.duration_since(start).as_nanos() as u64);
            if done >= end && times.len() >= 100 {
                break;
            }
        }
        let take = moments(&times);
        if best.is_none_or(|best| take.mean < best.mean) {
            best = Some(take);
        }
    }
    Ok(best.unwrap_or_default())
}

/// The moments, with the thousandth that took longest taken as just as long: what the system takes
/// away now and then is not the engine's.
fn moments(times: &Histogram<u64>) -> Moments {
    let most = times.value_at_quantile(0.999);
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for value in times.iter_recorded() {
        let time = value.value_iterated_to().min(most) as f64;
        let of = value.count_at_value() as f64;
        sum += of * time;
        squares += of * time * time;
        count += of;
    }
    Moments {
        mean: sum / count,
        square: squares / count,
        p99: times.value_at_quantile(0.99) as f64,
    }
}

/// How many at once are measured.
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, BATCH_ROWS_MAX];

/// The median cost of so many at once.
fn batches(work: &Work<'_>, scorer: &mut Scorer, seconds: f64) -> Vec<(usize, f64)> {
    let mut rows = vec![Row::MISSING; BATCH_ROWS_MAX];
    let mut verdicts = vec![NONE; BATCH_ROWS_MAX];
    let mut measured = Vec::new();
    let mut at = 0;
    for size in SIZES {
        let end = Instant::now() + Duration::from_secs_f64(seconds / SIZES.len() as f64);
        let mut times = Vec::new();
        while times.len() < 5 || Instant::now() < end {
            let start = Instant::now();
            for row in rows.iter_mut().take(size) {
                work.fill(at, row);
                at = work.after(at);
            }
            scorer.score_batch(black_box(&rows[..size]), &mut verdicts[..size]);
            times.push(start.elapsed().as_nanos() as f64);
        }
        times.sort_by(f64::total_cmp);
        measured.push((size, times[times.len() / 2]));
    }
    measured
}

/// Processor time of both sides for so many at once through a worker's ring and back: the times by
/// the clock overlap. Nothing where the system does not count it, or binds no threads.
fn ring(work: &Work<'_>, engine: &Engine, seconds: f64) -> Option<Vec<(usize, f64)>> {
    let core = core_affinity::get_core_ids()?.pop()?;
    let options = PoolOptions {
        cores: vec![core.id],
        // Spinning is time that nobody needs.
        spins: 0,
        ..PoolOptions::default()
    };
    let pool = Pool::start(engine, &options).ok()?;
    let calls = std::iter::repeat_with(|| pool.call()).take(BATCH_ROWS_MAX);
    let mut calls: Vec<Call> = calls.flatten().collect();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut measured = Vec::new();
    let (mut row, mut at) = (Row::MISSING, 0);
    for size in SIZES {
        let end = Instant::now() + Duration::from_secs_f64(seconds / SIZES.len() as f64);
        let (before, mut rounds) = (processor_time()?, 0.0);
        while rounds < 5.0 || Instant::now() < end {
            let mut last = None;
            for call in calls.iter_mut().take(size) {
                work.fill(at, &mut row);
                at = work.after(at);
                last = Some(call.submit(&row));
            }
            // A worker answers in the order of the requests.
            let mut context = Context::from_waker(&waker);
            while last
                .as_mut()
                .is_some_and(|last| Pin::new(last).poll(&mut context).is_pending())
            {
                thread::park();
            }
            rounds += 1.0;
        }
        let spent = processor_time()?.saturating_sub(before);
        measured.push((size, spent as f64 / rounds));
    }
    pool.close();
    Some(measured)
}

/// Wakes whoever waits for a verdict.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

/// Nanoseconds that all threads of the process have run.
fn processor_time() -> Option<u64> {
    // The system adds up a thread's time when it leaves its core.
    thread::yield_now();
    let of = |task: std::io::Result<fs::DirEntry>| {
        let told = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse::<u64>().ok()
    };
    fs::read_dir("/proc/self/task").ok()?.map(of).sum()
}

/// Bytes by which the process grows with each scorer that works.
fn scorer_bytes(engine: &Engine, work: &Work<'_>) -> Result<u64, Failure> {
    const SCORERS: u64 = 2;
    /// Enough that its reservoir is full.
    const ROWS: usize = RESERVOIR_ROWS * RESERVOIR_EVERY as usize;
    let before = resident();
    let mut scorers = Vec::new();
    let mut row = Row::MISSING;
    for _ in 0..SCORERS {
        let mut scorer = scorer(engine)?;
        for at in 0..ROWS {
            work.fill(at % work.count().max(1), &mut row);
            black_box(scorer.score(&row));
        }
        scorers.push(scorer);
    }
    Ok(resident().saturating_sub(before) / SCORERS)
}

/// Bytes of the process that are in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kilobytes: u64 = kilobytes
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    kilobytes.saturating_mul(1024)
}
