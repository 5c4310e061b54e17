//! One measured stretch of time: threads under load, a control side that publishes, and their sums.

use super::INTERRUPTION;
use super::arrivals::{Arrivals, Shape};
use super::cache_pressure::{By, Evict};
use super::drive::{self, Part, Piece, Shared, Tally};
use super::feeder;
use super::publisher::{Outcome, Publisher};
use super::run::{Event, Interval};
use super::source::Source;
use super::view::View;
use super::worker::{Counters, Job, LATENCY_MAX};
use crate::failure::{self, Failure};
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use hedgerow::pool::{Call, Pool, PoolOptions};
use hedgerow::{Engine, Reason, Scorer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

/// A table that is live, what is scored with it, and what must come out.
pub struct Stage {
    pub source: Source,
    pub engine: Engine,
    pub publisher: Publisher,
    expected: [Vec<f64>; 2],
    bots: Vec<Option<bool>>,
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
    pub shape: Shape,
    pub rate: f64,
    pub burst: u32,
    pub batch: usize,
    pub seconds: f64,
    pub warm_up: f64,
    pub pieces: usize,
    pub swap_rate: f64,
    pub evict_mib: f64,
    pub evict_by: By,
}

/// The sums of a stretch.
pub struct Sums {
    pub latency: Histogram<u64>,
    pub service: Histogram<u64>,
    pub intervals: Vec<Interval>,
    pub events: Vec<Event>,
    pub refusals: BTreeMap<u16, (&'static str, u64)>,
    pub not_scored: [u64; Reason::ALL.len()],
    /// To humans, to bots, to the unlabelled.
    pub scores: [[u64; 100]; 3],
    /// Measured seconds, until the last verdict where that came later.
    pub seconds: f64,
    pub offered: u64,
    pub answered: u64,
    pub unserved: u64,
    pub queued: u64,
    pub late: u64,
    pub lost: u64,
    pub wrong: u64,
    pub unbound: usize,
    /// Whether every thread came to its end.
    pub whole: bool,
}

/// Nanoseconds of seconds.
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl Stage {
    /// Writes good and bad tables, publishes the first, and computes what every verdict must be.
    pub fn new(source: Source, kernel: Option<&str>) -> Result<Stage, Failure> {
        let engine = Engine::new(source.schema.clone());
        let mut publisher = Publisher::write(&source.table)?;
        publisher.adjust(0.5, &[], kernel)?;
        publisher
            .publish_good(&engine)
            .map_err(|error| failure::unpublished(&source.name, error))?;
        let bots = source.bots();
        let headers = source.headers();
        let work = source.work(&headers);
        let fill = |at: usize, row: &mut hedgerow::Row| work.fill(at, row);
        let expected = publisher.expected_of(&source.schema, source.count(), fill)?;
        drop(work);
        drop(headers);
        Ok(Stage {
            source,
            engine,
            publisher,
            expected,
            bots,
        })
    }

    /// Runs for the plan's time, or until it is interrupted.
    pub fn run(
        &mut self,
        plan: &Plan,
        interrupted: &AtomicBool,
        view: Option<&View>,
    ) -> Result<Sums, Failure> {
        let headers = self.source.headers();
        let work = self.source.work(&headers);
        let job = Job {
            requests: &[],
            bots: &self.bots,
            innocent: &[],
            expected: self.expected.clone(),
            // Good tables take turns, and nothing else has a generation.
            table_of: |generation| Some((generation % 2) as usize),
        };
        let pool = match plan.mode {
            Mode::Inline => None,
            Mode::Pool => Some(start_pool(&self.engine, plan)?),
        };
        let hows = hows(&self.engine, pool.as_ref(), plan)?;
        let counters: Vec<Counters> = hows.iter().map(|_| Counters::default()).collect();
        let stop = AtomicBool::new(false);
        let warm = nanos(plan.warm_up);
        let shared = Shared {
            work: &work,
            job: &job,
            start: Instant::now(),
            warm,
            end: warm + nanos(plan.seconds),
            pieces: plan.pieces,
            stop: &stop,
            batch: plan.batch,
        };
        let mut control = Control {
            engine: &self.engine,
            publisher: &mut self.publisher,
            events: Vec::new(),
            refusals: BTreeMap::new(),
        };
        let (tallies, whole) = thread::scope(|scope| {
            let threads = start(scope, &shared, plan, hows, &counters, view)?;
            let whole = control.run(&shared, plan, interrupted, view);
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().ok().flatten());
            let ended: Vec<Option<Tally>> = ended.collect();
            // Relaxed: the threads that score are joined; the others only look at it.
            stop.store(true, Ordering::Relaxed);
            Ok::<_, Failure>((ended, whole))
        })?;
        let Control {
            events, refusals, ..
        } = control;
        let mut sums = sum(&shared, whole, tallies, &counters)?;
        (sums.events, sums.refusals) = (events, refusals);
        Ok(sums)
    }
}

fn start_pool(engine: &Engine, plan: &Plan) -> Result<Pool, Failure> {
    let options = PoolOptions {
        cores: plan.cores.iter().map(|core| core.id).collect(),
        ..PoolOptions::default()
    };
    let refused = |error| Failure::new("load", "pool", "a worker a core", error);
    Pool::start(engine, &options).map_err(refused)
}

/// How a thread gets its verdicts.
enum How {
    Inline(Scorer, CoreId),
    Feed(Vec<Call>),
}

fn hows(engine: &Engine, pool: Option<&Pool>, plan: &Plan) -> Result<Vec<How>, Failure> {
    if let Some(pool) = pool {
        return Ok((0..plan.feeders)
            .map(|_| How::Feed(feeder::calls(pool)))
            .collect());
    }
    let how = |core: &CoreId| {
        let scorer = engine.scorer().map_err(|full| {
            let got = format!("{} slots", full.max);
            Failure::new("load", "scorers", "a free slot a core", got)
        });
        scorer.map(|scorer| How::Inline(scorer, *core))
    };
    plan.cores.iter().map(how).collect()
}

type Thread<'scope> = thread::ScopedJoinHandle<'scope, Option<Tally>>;

/// Starts all threads. Where one cannot start, none works on.
fn start<'scope, 'env: 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    shared: &'env Shared<'_>,
    plan: &Plan,
    hows: Vec<How>,
    counters: &'env [Counters],
    view: Option<&'env View>,
) -> Result<Vec<Thread<'scope>>, Failure> {
    let failed = |error| {
        shared.stop.store(true, Ordering::Relaxed);
        Failure::new("load", "thread", "a thread a core", error)
    };
    let of = hows.len();
    let mut threads = Vec::with_capacity(of);
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
        let name = format!("load-{place}");
        let spawned = thread::Builder::new().name(name).spawn_scoped(scope, work);
        threads.push(spawned.map_err(failed)?);
    }
    if plan.evict_by == By::Thread {
        for core in &plan.cores {
            let Some(evict) = Evict::new(plan.evict_mib) else {
                continue;
            };
            let (core, name) = (*core, format!("evict-{}", core.id));
            let walk = move || evict.beside(core, shared.stop);
            let spawned = thread::Builder::new().name(name).spawn_scoped(scope, walk);
            spawned.map_err(failed)?;
        }
    }
    Ok(threads)
}

/// The control side: publishes at its rate, and shows how it goes.
struct Control<'a> {
    engine: &'a Engine,
    publisher: &'a mut Publisher,
    events: Vec<Event>,
    refusals: BTreeMap<u16, (&'static str, u64)>,
}

/// Events that are kept, at most: a page with more marks would be black.
const EVENTS_MAX: usize = 10_000;

impl Control<'_> {
    /// Whether it ran until the end, and was not interrupted.
    fn run(
        &mut self,
        shared: &Shared<'_>,
        plan: &Plan,
        interrupted: &AtomicBool,
        view: Option<&View>,
    ) -> bool {
        let gap = match plan.swap_rate > 0.0 {
            true => Duration::from_secs_f64(1.0 / plan.swap_rate),
            false => Duration::MAX,
        };
        let all = Duration::from_nanos(shared.end);
        let mut due = gap;
        loop {
            let now = shared.start.elapsed();
            if now >= all || interrupted.load(Ordering::Relaxed) {
                // Relaxed: a flag. At the end the threads stop by themselves.
                shared.stop.store(now < all, Ordering::Relaxed);
                return now >= all;
            }
            if now >= due {
                self.publish(shared);
                // Where publishing takes longer than the gap, nothing is caught up.
                due = now.max(due).saturating_add(gap);
            }
            if let Some(view) = view {
                view.show(now, &self.publisher.published);
            }
            let next = due.min(all).saturating_sub(shared.start.elapsed());
            thread::sleep(next.min(INTERRUPTION));
        }
    }

    fn publish(&mut self, shared: &Shared<'_>) {
        let begun = shared.now();
        let outcome = self.publisher.next(self.engine);
        let took = shared.now().saturating_sub(begun);
        let (what, why) = match outcome {
            Outcome::Published => ("published", None),
            Outcome::HeldBack => ("held-back", None),
            Outcome::Surprise => ("unexpected", None),
            Outcome::Refused(code, name) => {
                self.refusals.entry(code).or_insert((name, 0)).1 += 1;
                ("refused", Some(name.to_string()))
            }
        };
        if self.events.len() < EVENTS_MAX {
            self.events.push(Event {
                at: (begun as f64 - shared.warm as f64) / 1e9,
                what: what.into(),
                why,
                ms: took as f64 / 1e6,
            });
        }
    }
}

/// Adds up what the threads hand over.
fn sum(
    shared: &Shared<'_>,
    ran_whole: bool,
    tallies: Vec<Option<Tally>>,
    counters: &[Counters],
) -> Result<Sums, Failure> {
    let count = |of: fn(&Counters) -> u64| counters.iter().map(of).sum::<u64>();
    let started = count(|counters| counters.started.load(Ordering::Relaxed));
    let finished = count(|counters| counters.finished.load(Ordering::Relaxed));
    let whole = tallies.iter().all(Option::is_some);
    let tallies: Vec<Tally> = tallies.into_iter().flatten().collect();
    let measured = (shared.end - shared.warm) as f64 / 1e9;
    let ended = tallies
        .iter()
        .map(|tally| tally.ended)
        .max()
        .unwrap_or_default();
    let over = ended.saturating_sub(shared.warm) as f64 / 1e9;
    // A run that was interrupted ends with its last verdict.
    let seconds = match ran_whole {
        true => measured.max(over),
        false => over,
    };
    let mut sums = Sums {
        latency: histogram()?,
        service: histogram()?,
        intervals: Vec::new(),
        events: Vec::new(),
        refusals: BTreeMap::new(),
        not_scored: [0; Reason::ALL.len()],
        scores: [[0; 100]; 3],
        seconds: seconds.max(1e-9),
        offered: 0,
        answered: 0,
        unserved: 0,
        queued: 0,
        late: 0,
        lost: started - finished,
        wrong: 0,
        unbound: 0,
        whole,
    };
    for tally in &tallies {
        sums.add(tally);
    }
    let pieces = shared.pieces.max(1);
    for at in 0..pieces {
        let parts: Vec<&Piece> = tallies
            .iter()
            .filter_map(|tally| tally.pieces.get(at))
            .collect();
        let (mut latency, mut service) = (histogram()?, histogram()?);
        for part in parts {
            pour(&part.latency, &mut latency);
            pour(&part.service, &mut service);
        }
        sums.intervals.push(interval(
            measured * at as f64 / pieces as f64,
            &latency,
            &service,
        ));
        // Histograms of one shape always add up.
        let _ = sums.latency.add(&latency);
        let _ = sums.service.add(&service);
    }
    Ok(sums)
}

fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3)
        .map_err(|error| Failure::new("load", "histogram", "a histogram", error))
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

impl Sums {
    fn add(&mut self, tally: &Tally) {
        self.offered += tally.offered;
        self.answered += tally.answered;
        self.unserved += tally.unserved;
        self.queued += tally.queued;
        self.late += tally.late;
        self.wrong += tally.outcome.wrong;
        self.unbound += usize::from(!tally.outcome.bound);
        for (all, count) in self.not_scored.iter_mut().zip(tally.outcome.not_scored) {
            *all += count;
        }
        let [humans, bots] = &tally.outcome.scores;
        for (all, counts) in self
            .scores
            .iter_mut()
            .zip([humans, bots, &tally.unlabelled])
        {
            for (all, count) in all.iter_mut().zip(counts) {
                *all += count;
            }
        }
    }

    /// Verdicts a second.
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }
}
