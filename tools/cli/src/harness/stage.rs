//! One measured stretch of time: threads under load, a control side that publishes, and their sums.

use super::arrivals::{Arrivals, Shape};
use super::cache_pressure::{By, Evict};
use super::drive::{self, Counters, Part, Shared};
use super::publisher::{Outcome, Publisher};
use super::run::{Event, Interval};
use super::source::{Source, Work};
use super::span::Span;
use super::tally::{Counts, Expected, Tally, histogram};
use super::view::View;
use super::{Interruption, faults, feeder};
use crate::failure::{self, Failure};
use crate::tables;
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use hedgerow::pool::{Call, Pool, PoolOptions};
use hedgerow::{Engine, PublishError, Scorer};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// A table that is live, what is scored with it, and what must come out.
pub struct Stage {
    pub source: Source,
    pub engine: Engine,
    pub publisher: Publisher,
    expected: Expected,
}

/// Who scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// The threads that the requests come to.
    Inline,
    /// A pool of workers behind rings.
    Pool,
}

/// What a stretch is like.
#[derive(Debug, Clone)]
pub struct Plan {
    pub mode: Mode,
    pub cores: Vec<CoreId>,
    /// Threads that feed the pool.
    pub feeders: usize,
    /// Requests that a feeder has under way on each worker, at most.
    pub calls: usize,
    pub shape: Shape,
    pub rate: f64,
    pub burst: u32,
    pub batch: usize,
    pub seconds: f64,
    pub warm_up: f64,
    pub pieces: usize,
    /// Time before the first table, and between two; none if it is `None`.
    pub swaps: Option<[Duration; 2]>,
    pub evict_mib: f64,
    pub evict_by: By,
}

impl Plan {
    /// Each core scores inline, one request after the other without a pause, for so many seconds.
    pub fn saturating(cores: Vec<CoreId>, seconds: f64) -> Plan {
        Plan {
            mode: Mode::Inline,
            cores,
            feeders: 1,
            calls: 128,
            shape: Shape::Saturate,
            rate: 1.0,
            burst: 1,
            batch: 1,
            seconds,
            warm_up: 0.0,
            pieces: 1,
            swaps: None,
            evict_mib: 0.0,
            evict_by: By::Between,
        }
    }
}

/// The sums of a stretch.
pub struct Sums {
    pub counts: Counts,
    pub latency: Histogram<u64>,
    pub service: Histogram<u64>,
    pub intervals: Vec<Interval>,
    pub events: Vec<Event>,
    /// Measured seconds, until the last verdict if that came later.
    pub seconds: f64,
    /// Requests that were taken up and got no verdict.
    pub lost: u64,
    pub unbound: usize,
    /// Threads that did not come to their end.
    pub dead: usize,
}

impl Sums {
    /// Verdicts per second.
    pub fn rate(&self) -> f64 {
        self.counts.answered as f64 / self.seconds
    }
}

/// What the control side sees of the threads.
pub struct Threads<'a> {
    pub span: &'a Span,
    counters: &'a [Counters],
    handles: &'a [ScopedJoinHandle<'a, Option<Tally>>],
}

impl Threads<'_> {
    /// Requests that got a verdict, and those that a thread took with it when it ended too soon.
    pub fn finished_and_lost(&self) -> (u64, u64) {
        // Relaxed: counters for show, or of threads that are joined.
        let of = |counters: &Counters| {
            let finished = counters.finished.load(Ordering::Relaxed);
            (
                counters.started.load(Ordering::Relaxed) - finished,
                finished,
            )
        };
        let (mut all, mut lost) = (0, 0);
        for (counters, handle) in self.counters.iter().zip(self.handles) {
            let (under_way, finished) = of(counters);
            all += finished;
            lost += if handle.is_finished() { under_way } else { 0 };
        }
        (all, lost)
    }
}

/// Has threads score while `control` runs, and returns their sums and its result. It also says
/// whether it ran to the plan's end, where threads stop on their own.
pub fn run<T>(
    engine: &Engine,
    work: &Work,
    expected: &Expected,
    plan: &Plan,
    view: Option<&View>,
    control: impl FnOnce(&Threads<'_>) -> (bool, T),
) -> Result<(Sums, T), Failure> {
    let nanos = |seconds: f64| (seconds * 1e9) as u64;
    let pool = match plan.mode {
        Mode::Inline => None,
        Mode::Pool => Some(start_pool(engine, plan)?),
    };
    let hows = hows(engine, pool.as_ref(), plan)?;
    let counters: Vec<Counters> = hows.iter().map(|_| Counters::default()).collect();
    let stop = AtomicBool::new(false);
    let warm = nanos(plan.warm_up);
    let end = warm + nanos(plan.seconds);
    let shared = Shared {
        work,
        expected,
        span: Span {
            start: Instant::now(),
            warm,
            end,
        },
        pieces: plan.pieces,
        stop: &stop,
        batch: plan.batch,
    };
    let (tallies, whole, result) = thread::scope(|scope| {
        let handles = start(scope, &shared, plan, hows, &counters, view)?;
        let threads = Threads {
            span: &shared.span,
            counters: &counters,
            handles: &handles,
        };
        let (whole, result) = control(&threads);
        // Relaxed, here and below: the threads that score are joined; the others only read it.
        stop.store(!whole, Ordering::Relaxed);
        let ended = handles
            .into_iter()
            .map(|handle| handle.join().ok().flatten());
        let ended: Vec<Option<Tally>> = ended.collect();
        stop.store(true, Ordering::Relaxed);
        Ok::<_, Failure>((ended, whole, result))
    })?;
    Ok((sum(&shared, whole, tallies, &counters)?, result))
}

fn start_pool(engine: &Engine, plan: &Plan) -> Result<Pool, Failure> {
    let options = PoolOptions {
        cores: plan.cores.iter().map(|core| core.id).collect(),
        ..PoolOptions::default()
    };
    let refused = |error| Failure::new("harness", "pool", "a worker per core", error);
    Pool::start(engine, &options).map_err(refused)
}

/// How a thread gets its verdicts.
enum How {
    Inline(Scorer, CoreId),
    Feed(Vec<Call>),
}

fn hows(engine: &Engine, pool: Option<&Pool>, plan: &Plan) -> Result<Vec<How>, Failure> {
    if let Some(pool) = pool {
        let calls = || std::iter::repeat_with(|| pool.call()).take(plan.cores.len() * plan.calls);
        return Ok((0..plan.feeders)
            .map(|_| How::Feed(calls().flatten().collect()))
            .collect());
    }
    let how = |core: &CoreId| Ok(How::Inline(scorer(engine)?, *core));
    plan.cores.iter().map(how).collect()
}

/// A scorer of the engine's.
pub fn scorer(engine: &Engine) -> Result<Scorer, Failure> {
    let full = |full| Failure::new("harness", "scorer", "a free slot", format!("{full:?}"));
    engine.scorer().map_err(full)
}

/// Starts all threads. If one cannot start, none works on.
fn start<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    shared: &'env Shared<'_>,
    plan: &Plan,
    hows: Vec<How>,
    counters: &'env [Counters],
    view: Option<&'env View>,
) -> Result<Vec<ScopedJoinHandle<'scope, Option<Tally>>>, Failure> {
    let failed = |error| {
        shared.stop.store(true, Ordering::Relaxed);
        Failure::new("harness", "thread", "a thread per core", error)
    };
    let of = hows.len();
    let mut handles = Vec::with_capacity(of);
    for (place, (how, counters)) in hows.into_iter().zip(counters).enumerate() {
        let part = Part {
            core: match &how {
                How::Inline(_, core) => Some(*core),
                How::Feed(_) => None,
            },
            arrivals: Arrivals::new(plan.shape, plan.rate, plan.burst, place, of),
            counters,
            live: view.and_then(|view| view.latency(place)),
            evict: match plan.evict_by {
                By::Between => Evict::new(plan.evict_mib),
                By::Thread => None,
            },
            first: shared.work.count() * place / of.max(1),
        };
        let lines = plan.cores.len();
        let work = move || match how {
            How::Inline(scorer, _) => drive::inline(shared, part, scorer),
            How::Feed(calls) => feeder::feed(shared, part, calls, lines),
        };
        let named = thread::Builder::new().name(format!("load-{place}"));
        handles.push(named.spawn_scoped(scope, work).map_err(failed)?);
    }
    let by_thread = plan.cores.iter().filter(|_| plan.evict_by == By::Thread);
    for core in by_thread.copied() {
        let Some(evict) = Evict::new(plan.evict_mib) else {
            continue;
        };
        let walk = move || evict.beside(core, shared.stop);
        let named = thread::Builder::new().name(format!("evict-{}", core.id));
        named.spawn_scoped(scope, walk).map_err(failed)?;
    }
    Ok(handles)
}

/// Adds up what the threads hand over.
fn sum(
    shared: &Shared<'_>,
    ran_whole: bool,
    tallies: Vec<Option<Tally>>,
    counters: &[Counters],
) -> Result<Sums, Failure> {
    let Span { warm, end, .. } = shared.span;
    let under_way =
        |of: &Counters| of.started.load(Ordering::Relaxed) - of.finished.load(Ordering::Relaxed);
    let dead = tallies.iter().filter(|tally| tally.is_none()).count();
    let tallies: Vec<Tally> = tallies.into_iter().flatten().collect();
    let measured = (end - warm) as f64 / 1e9;
    let ended = tallies
        .iter()
        .map(|tally| tally.ended)
        .max()
        .unwrap_or_default();
    let over = ended.saturating_sub(warm) as f64 / 1e9;
    // A run that was interrupted ends with its last verdict.
    let seconds = if ran_whole { measured.max(over) } else { over };
    let mut sums = Sums {
        counts: Counts::ZERO,
        latency: histogram()?,
        service: histogram()?,
        intervals: Vec::new(),
        events: Vec::new(),
        seconds: seconds.max(1e-9),
        lost: counters.iter().map(under_way).sum(),
        unbound: tallies.iter().filter(|tally| !tally.bound).count(),
        dead,
    };
    tallies
        .iter()
        .for_each(|tally| sums.counts.add(&tally.counts));
    let pieces = shared.pieces.max(1);
    for at in 0..pieces {
        let (mut latency, mut service) = (histogram()?, histogram()?);
        for piece in tallies.iter().filter_map(|tally| tally.pieces.get(at)) {
            pour(&piece.latency, &mut latency);
            pour(&piece.service, &mut service);
        }
        let from = measured * at as f64 / pieces as f64;
        sums.intervals.push(interval(from, &latency, &service));
        // Histograms of one shape always add up.
        let _ = sums.latency.add(&latency);
        let _ = sums.service.add(&service);
    }
    Ok(sums)
}

fn pour(from: &Histogram<u32>, into: &mut Histogram<u64>) {
    for value in from.iter_recorded() {
        let count = u64::from(value.count_at_value());
        into.saturating_record_n(value.value_iterated_to(), count);
    }
}

fn interval(at: f64, latency: &Histogram<u64>, service: &Histogram<u64>) -> Interval {
    Interval {
        at,
        answered: service.len(),
        p50: latency.value_at_quantile(0.5),
        p99: latency.value_at_quantile(0.99),
        p999: latency.value_at_quantile(0.999),
        max: latency.max(),
        service_p50: service.value_at_quantile(0.5),
        service_mean: service.mean(),
    }
}

/// Events that are kept, at most: a page with more marks would be black.
const EVENTS_MAX: usize = 10_000;

impl Stage {
    /// Writes good and bad tables, publishes the first, and computes what every verdict must be.
    pub fn new(source: Source, kernel: Option<&str>) -> Result<Stage, Failure> {
        let engine = Engine::new(source.schema.clone());
        let mut publisher = Publisher::write(&source.table)?;
        publisher.adjust(0.5, &[], kernel)?;
        { publisher.publish_good(&engine) }.map_err(|error| match error {
            PublishError::Refused(refused) => {
                tables::refused(&source.name, refused, &source.schema)
            }
            other => failure::unpublished(&source.name, other),
        })?;
        let good = [&faults::shifted(&source.table), source.table.bytes()];
        // Good tables take turns, and nothing else has a generation.
        let expected = Expected::of(&source, good, |generation| Some((generation % 2) as usize))?;
        Ok(Stage {
            source,
            engine,
            publisher,
            expected,
        })
    }

    /// Runs for the plan's time, or until it is interrupted, and publishes meanwhile.
    pub fn run(
        &mut self,
        plan: &Plan,
        interruption: &Interruption,
        view: Option<&View>,
    ) -> Result<Sums, Failure> {
        let (engine, publisher) = (&self.engine, &mut self.publisher);
        let mut events = Vec::new();
        let control = |threads: &Threads<'_>| {
            let span = threads.span;
            let all = Duration::from_nanos(span.end);
            let [mut due, gap] = plan.swaps.unwrap_or([Duration::MAX; 2]);
            loop {
                let now = span.start.elapsed();
                if now >= all || interruption.is_raised() {
                    return (now >= all, ());
                }
                if now >= due {
                    let event = publish(engine, publisher, span);
                    if events.len() < EVENTS_MAX {
                        events.push(event);
                    }
                    // If publishing takes longer than the gap, nothing is caught up.
                    due = now.max(due).saturating_add(gap);
                }
                if let Some(view) = view {
                    view.show(now, &publisher.published);
                }
                let next = due.min(all).saturating_sub(span.start.elapsed());
                thread::sleep(next.min(super::INTERRUPTION));
            }
        };
        let (work, expected) = (&self.source.work, &self.expected);
        let (mut sums, ()) = run(engine, work, expected, plan, view, control)?;
        sums.events = events;
        Ok(sums)
    }
}

fn publish(engine: &Engine, publisher: &mut Publisher, span: &Span) -> Event {
    let begun = span.now();
    let (what, why) = match publisher.next(engine) {
        Outcome::Published => ("published", None),
        Outcome::HeldBack => ("held-back", None),
        Outcome::Surprise => ("unexpected", None),
        Outcome::Refused(name) => ("refused", Some(name.to_string())),
    };
    Event {
        at: (begun as f64 - span.warm as f64) / 1e9,
        what: what.into(),
        why,
        ms: span.now().saturating_sub(begun) as f64 / 1e6,
    }
}
