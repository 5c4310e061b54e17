//! What one thread can do, alone: every kernel in rounds, and a request's cost one by one and at
//! once.

use super::cache_pressure::Evict;
use super::clock::{self, COLD_MIB};
use super::drive::NONE;
use super::run::{KernelRounds, Moments, Profile};
use super::source::Source;
use super::stage::scorer;
use super::tally::histogram;
use crate::failure::{self, Failure};
use hdrhistogram::Histogram;
use hedgerow::limits::{BATCH_ROWS_MAX, RESERVOIR_EVERY, RESERVOIR_ROWS};
use hedgerow::pool::{Call, Pool, PoolOptions};
use hedgerow::{Engine, KERNELS, PreparedTable, Refusal, Row, Scorer, Table};
use std::fs;
use std::future::Future;
use std::hint::black_box;
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

/// A source, whose inputs are taken one after the other, over and over.
struct Inputs<'a> {
    source: &'a Source,
    at: usize,
}

impl Inputs<'_> {
    #[inline]
    fn fill(&mut self, row: &mut Row) {
        self.source.work.fill(self.at, row);
        self.at = self.source.work.after(self.at);
    }
}

impl Source {
    /// The table again, from its bytes, on a kernel.
    fn prepared(&self, kernel: Option<&str>) -> Result<PreparedTable, Failure> {
        let table = Table::from_bytes(self.table.bytes());
        let prepared =
            table.and_then(|table| PreparedTable::with_kernel(table, &self.schema, kernel));
        prepared.map_err(|refused: Refusal| Failure::refused(&self.name, refused))
    }
}

/// Every kernel that runs here, or the one named, for about so many seconds in all.
pub fn kernels(
    source: &Source,
    only: Option<&str>,
    seconds: f64,
) -> Result<Vec<KernelRounds>, Failure> {
    let mut rows = vec![Row::MISSING; source.work.count().min(ROWS)];
    let mut inputs = Inputs { source, at: 0 };
    rows.iter_mut().for_each(|row| inputs.fill(row));
    let mut results = Vec::new();
    for kernel in KERNELS {
        if only.is_none_or(|name| name == kernel.name) && kernel.available() {
            let rounds = KernelRounds {
                name: kernel.name.into(),
                ..KernelRounds::default()
            };
            results.push((source.prepared(Some(kernel.name))?, rounds));
        }
    }
    let each = seconds / (ROUNDS * results.len().max(1) * 3) as f64;
    for _ in 0..ROUNDS {
        for (table, rounds) in &mut results {
            let best = clock::best(each, || {
                for row in &rows {
                    black_box(table.score(table.margin(black_box(row))));
                }
            });
            rounds.row.push(best.as_nanos() as f64 / rows.len() as f64);
            rounds
                .batch_row
                .push(clock::batch_row_ns(table, &rows, each));
            rounds
                .cold_row
                .push(clock::cold_row_ns(table, &rows, each) as f64);
        }
    }
    Ok(results.into_iter().map(|(_, rounds)| rounds).collect())
}

/// A request's cost to a thread that does nothing else, for about so many seconds in all.
pub fn profile(source: &Source, kernel: Option<&str>, seconds: f64) -> Result<Profile, Failure> {
    let before = resident();
    let engine = Engine::new(source.schema.clone());
    let prepared = source.prepared(kernel)?;
    let name = prepared.kernel().name;
    drop(prepared);
    let table = Table::from_bytes(source.table.bytes());
    let table = table.map_err(|refused| Failure::refused(&source.name, refused))?;
    { engine.publish_on(table, name) }
        .map_err(|error| failure::unpublished(&source.name, error))?;
    let mut scorer = scorer(&engine)?;
    let inputs = &mut Inputs { source, at: 0 };
    one(inputs, &mut scorer, None, 0.02)?;
    let engine_bytes = resident().saturating_sub(before);
    let scorer_bytes = scorer_bytes(&engine, inputs)?;
    Ok(Profile {
        table: source.name.clone(),
        table_bytes: source.table.byte_count(),
        kernel: name.to_string(),
        one: one(inputs, &mut scorer, None, seconds * 0.4)?,
        one_cold: one(inputs, &mut scorer, Evict::new(COLD_MIB), seconds * 0.2)?,
        batches: batches(inputs, &mut scorer, seconds * 0.25),
        ring: ring(inputs, &engine, seconds * 0.15).unwrap_or_default(),
        engine_bytes,
        scorer_bytes,
    })
}

/// The service times of single requests: of several rounds, the one with the smallest mean, which
/// was disturbed least.
fn one(
    inputs: &mut Inputs<'_>,
    scorer: &mut Scorer,
    other: Option<Evict>,
    seconds: f64,
) -> Result<Moments, Failure> {
    const TAKES: usize = 7;
    let mut best: Option<Moments> = None;
    for _ in 0..TAKES {
        let (mut times, mut row) = (histogram()?, Row::MISSING);
        let end = Instant::now() + Duration::from_secs_f64(seconds / TAKES as f64);
        loop {
            other.iter().for_each(Evict::walk);
            let start = Instant::now();
            inputs.source.work.fill(inputs.at, &mut row);
            let _ = black_box(scorer.score(black_box(&row)));
            let done = Instant::now();
            inputs.at = inputs.source.work.after(inputs.at);
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
    let p99 = times.value_at_quantile(0.99) as f64;
    Moments {
        mean: sum / count,
        square: squares / count,
        p99,
    }
}

/// How many at once are measured.
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, BATCH_ROWS_MAX];

/// The median cost of so many at once.
fn batches(inputs: &mut Inputs<'_>, scorer: &mut Scorer, seconds: f64) -> Vec<(usize, f64)> {
    let mut rows = vec![Row::MISSING; BATCH_ROWS_MAX];
    let mut verdicts = vec![NONE; BATCH_ROWS_MAX];
    let mut measured = Vec::new();
    for size in SIZES {
        let end = Instant::now() + Duration::from_secs_f64(seconds / SIZES.len() as f64);
        let mut times = Vec::new();
        while times.len() < 5 || Instant::now() < end {
            let start = Instant::now();
            rows.iter_mut().take(size).for_each(|row| inputs.fill(row));
            scorer.score_batch(black_box(&rows[..size]), &mut verdicts[..size]);
            times.push(start.elapsed().as_nanos() as f64);
        }
        times.sort_by(f64::total_cmp);
        measured.push((size, times[times.len() / 2]));
    }
    measured
}

/// Processor time of both sides for so many at once through a worker's ring and back: the times by
/// the clock overlap. `None` if the system does not count it, or binds no threads.
fn ring(inputs: &mut Inputs<'_>, engine: &Engine, seconds: f64) -> Option<Vec<(usize, f64)>> {
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
    let mut context = Context::from_waker(&waker);
    let (mut measured, mut row) = (Vec::new(), Row::MISSING);
    for size in SIZES {
        let end = Instant::now() + Duration::from_secs_f64(seconds / SIZES.len() as f64);
        let (before, mut rounds) = (processor_time()?, 0.0);
        while rounds < 5.0 || Instant::now() < end {
            let mut last = None;
            for call in calls.iter_mut().take(size) {
                inputs.fill(&mut row);
                last = Some(call.submit(&row));
            }
            // A worker answers in the order of the requests.
            if let Some(last) = &mut last {
                while Pin::new(&mut *last).poll(&mut context).is_pending() {
                    thread::park();
                }
            }
            rounds += 1.0;
        }
        let spent = processor_time()?.saturating_sub(before);
        measured.push((size, spent as f64 / rounds));
    }
    pool.close();
    Some(measured)
}

/// Wakes the thread that waits for a verdict.
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
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    fs::read_dir("/proc/self/task").ok()?.map(of).sum()
}

/// Bytes by which the process grows with each scorer that works.
fn scorer_bytes(engine: &Engine, inputs: &mut Inputs<'_>) -> Result<u64, Failure> {
    const SCORERS: u64 = 2;
    /// Enough that its reservoir is full.
    const ROWS: usize = RESERVOIR_ROWS * RESERVOIR_EVERY as usize;
    let before = resident();
    let (mut scorers, mut row) = (Vec::new(), Row::MISSING);
    for _ in 0..SCORERS {
        let mut scorer = scorer(engine)?;
        for _ in 0..ROWS {
            inputs.fill(&mut row);
            let _ = black_box(scorer.score(&row));
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
    let kilobytes: Option<u64> = kilobytes.and_then(|text| text.parse().ok());
    kilobytes.unwrap_or_default().saturating_mul(1024)
}
