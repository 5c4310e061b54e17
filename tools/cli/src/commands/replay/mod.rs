//! `replay`: the main job. Workers on every core score recorded real requests while good and bad
//! tables are published under them.

mod report;

use crate::Report;
use crate::failure::Failure;
use crate::harness::publisher::{Published, Publisher};
use crate::harness::source::{REQUESTS, is_bot};
use crate::harness::worker::{Counters, How, Job, Outcome, how, start_workers};
use crate::harness::{INTERRUPTION, cores, interruption};
use crate::requests;
use crate::tables;
use core_affinity::CoreId;
use hedgerow::pool::{Pool, PoolOptions};
use hedgerow::{Engine, Schema};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Score recorded real requests on every core while good and bad tables are published
///
/// Example: hedgerow replay --seconds 3 --json
///
/// Each worker extracts features and scores, over and over, the recorded requests; a control
/// thread publishes good tables, and every kind of bad one in turn. Exit status 1 where a request
/// was lost or a verdict was wrong. Ctrl-C ends the run early, with its report.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    #[arg(long, default_value = "default")]
    table: String,
    /// Requests, one JSON object a line; else the bundled recordings
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// How long, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        allow_negative_numbers = true
    )]
    seconds: f64,
    /// Cores to work on, by number, as in 0,2; else all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Who scores: `inline` the threads that extract, as in a proxy with a thread a core, or `pool`
    /// a pool of workers behind rings, fed by as many threads
    #[arg(long, value_enum, default_value = "inline")]
    mode: Mode,
    /// Time between two tables, good or bad, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 10.0,
        allow_negative_numbers = true
    )]
    every: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    Inline,
    Pool,
}

/// Replays.
pub fn run(args: &Args, json: bool) -> Result<Report, Failure> {
    check(args)?;
    let cores = cores(&args.cores)?;
    let recorded = match &args.requests {
        Some(path) => requests::read(path)?,
        None => requests::parse(REQUESTS, "bundled requests")?,
    };
    let engine = Engine::new(Schema::http());
    let table = tables::open(&args.table)?;
    let interrupted = interruption()?;
    let mut publisher = Publisher::start(&engine, &table, &args.table)?;
    let headers: Vec<_> = recorded.iter().map(|request| request.headers()).collect();
    let views: Vec<_> = recorded
        .iter()
        .zip(&headers)
        .map(|(request, headers)| request.view(headers))
        .collect();
    let bots: Vec<_> = recorded.iter().map(is_bot).collect();
    let job = Job {
        requests: &views,
        bots: &bots,
        innocent: &[],
        expected: publisher.expected(&views)?,
        // Good tables take turns, and nothing else has a generation.
        table_of: |generation| Some((generation % 2) as usize),
    };

    let pool = match args.mode {
        Mode::Inline => None,
        Mode::Pool => Some(start_pool(&engine, &cores)?),
    };
    let hows: Vec<How> = cores
        .iter()
        .map(|core| how(&engine, pool.as_ref(), *core))
        .collect::<Result<_, _>>()?;
    let stop = AtomicBool::new(false);
    let counters: Vec<Counters> = cores.iter().map(|_| Counters::default()).collect();
    let started = Instant::now();
    let outcomes = thread::scope(|scope| {
        let workers = start_workers(scope, &job, hows, &counters, &stop)?;
        let show = Show {
            counters: &counters,
            started,
            json,
        };
        control(args, &engine, &mut publisher, &show, &interrupted);
        // Relaxed: the threads are joined.
        stop.store(true, Ordering::Relaxed);
        let ended = workers.into_iter().map(|worker| worker.join().ok());
        Ok::<Vec<_>, Failure>(ended.collect())
    })?;
    let elapsed = started.elapsed();
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().flatten().collect();
    let run = report::Run {
        cores: &cores,
        requests: views.len(),
        elapsed,
        counters: &counters,
        outcomes: &outcomes,
        published: &publisher.published,
        stats: {
            engine.reclaim();
            engine.stats()
        },
    };
    Ok(run.report())
}

fn check(args: &Args) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.seconds <= 86_400.0) {
        let expected = "above 0, at most 86400";
        return Err(Failure::usage("--seconds", expected, args.seconds));
    }
    if !(args.every >= 0.0 && args.every <= 60_000.0) {
        return Err(Failure::usage("--every", "0 to 60000", args.every));
    }
    Ok(())
}

fn start_pool(engine: &Engine, cores: &[CoreId]) -> Result<Pool, Failure> {
    let cores = cores.iter().map(|core| core.id).collect();
    let options = PoolOptions {
        cores,
        ..PoolOptions::default()
    };
    let refused = |error| Failure::new("replay", "pool", "a worker a core", error);
    Pool::start(engine, &options).map_err(refused)
}

/// What the live view needs.
struct Show<'a> {
    counters: &'a [Counters],
    started: Instant,
    json: bool,
}

/// Publishes a table every so often, and shows how it goes, until the time is over.
fn control(
    args: &Args,
    engine: &Engine,
    publisher: &mut Publisher,
    show: &Show<'_>,
    interrupted: &AtomicBool,
) {
    let Show {
        counters,
        started,
        json,
    } = *show;
    let time = Duration::from_secs_f64(args.seconds);
    let pause = Duration::from_secs_f64(args.every / 1000.0);
    // Not for a moment only.
    let bar = if json || time <= Duration::from_secs(1) {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(time.as_millis() as u64)
    };
    if let Ok(style) = ProgressStyle::with_template("{bar:24} {elapsed} {msg}") {
        bar.set_style(style);
    }
    let mut shown = Instant::now();
    let mut next = started;
    // Relaxed: a flag, which nothing else hangs on.
    while started.elapsed() < time && !interrupted.load(Ordering::Relaxed) {
        // However long the pause, an interruption is seen soon.
        let wait = next.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            let left = time.saturating_sub(started.elapsed());
            thread::sleep(wait.min(left).min(INTERRUPTION));
            continue;
        }
        publisher.next(engine);
        if shown.elapsed() > Duration::from_millis(100) {
            shown = Instant::now();
            bar.set_position(started.elapsed().as_millis() as u64);
            bar.set_message(progress(counters, &publisher.published, started.elapsed()));
        }
        next = Instant::now() + pause;
    }
    bar.finish_and_clear();
}

fn progress(counters: &[Counters], published: &Published, elapsed: Duration) -> String {
    let done: u64 = counters
        .iter()
        .map(|c| c.finished.load(Ordering::Relaxed))
        .sum();
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-9) / 1e3;
    format!(
        "{done} requests, {rate:.0}k/s, generation {}, {} tables refused",
        published.generation, published.refused
    )
}
