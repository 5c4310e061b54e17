//! One scoring thread of the replay, and what it counts.

use crate::failure::Failure;
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use hedgerow::http::{Request, extract};
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::pool::{Call, Pool};
use hedgerow::{Engine, Reason, Row, Scorer, Verdict};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Instant;

/// What all workers share.
pub struct Job<'a> {
    /// The requests, over and over.
    pub requests: &'a [Request<'a>],
    /// Whether each is a bot's, where labelled.
    pub bots: &'a [Option<bool>],
    /// Whether each is a human's that no good table lets a rule `score < 30` match.
    pub innocent: &'a [bool],
    /// Each request's margin under either good table.
    pub expected: [Vec<f64>; 2],
    /// Which of the two a generation is; none where that generation must never give a verdict.
    pub table_of: fn(u64) -> Option<usize>,
}

/// What a worker shows while it runs. Each has cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Requests taken up.
    pub started: AtomicU64,
    /// Requests that got a verdict.
    pub finished: AtomicU64,
}

/// What a worker hands over at its end.
pub struct Outcome {
    /// Whether the thread was bound to its core.
    pub bound: bool,
    /// From request to verdict, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Requests with a score.
    pub scored: u64,
    /// Requests without, by position in [`Reason::ALL`].
    pub not_scored: [u64; Reason::ALL.len()],
    /// Margins that are not those of the generation that the verdict names.
    pub wrong: u64,
    /// Verdicts that such a rule would have matched, for humans that it should let through.
    pub blocked: u64,
    /// How often each score was given: to humans, to bots.
    pub scores: [[u64; 100]; 2],
}

/// The rule of the outage: `score < 30` is blocked.
pub const BLOCKED_BELOW: u8 = 30;

/// Longest latency that is told apart: ten seconds.
pub const LATENCY_MAX: u64 = 10_000_000_000;

/// How a thread gets its verdicts.
pub enum How {
    /// It scores itself, bound to a core.
    Inline(Scorer, CoreId),
    /// It hands rows to a pool's workers, as many at once as there are calls.
    Calls(Vec<Call>),
}

/// Extracts, and scores or has scored, until it is told to stop.
pub fn run(job: &Job<'_>, how: How, counters: &Counters, stop: &AtomicBool) -> Option<Outcome> {
    let mut outcome = Outcome::new()?;
    match how {
        How::Inline(scorer, core) => {
            outcome.bound = core_affinity::set_for_current(core);
            score(job, scorer, counters, stop, &mut outcome);
        }
        How::Calls(calls) => feed(job, calls, counters, stop, &mut outcome),
    }
    Some(outcome)
}

// Relaxed, in both: counters are read for show, or after the thread was joined.

fn score(
    job: &Job<'_>,
    mut scorer: Scorer,
    counters: &Counters,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) {
    let mut row = Row::MISSING;
    let mut count = 0;
    loop {
        for (index, request) in job.requests.iter().enumerate() {
            // At each request: a pass over many takes longer than a short replay.
            if stop.load(Ordering::Relaxed) {
                return;
            }
            count += 1;
            counters.started.store(count, Ordering::Relaxed);
            let start = Instant::now();
            extract(request, &mut row);
            let verdict = scorer.score(&row);
            outcome.record(start);
            outcome.count(job, index, &verdict);
            counters.finished.store(count, Ordering::Relaxed);
        }
    }
}

fn feed(
    job: &Job<'_>,
    mut calls: Vec<Call>,
    counters: &Counters,
    stop: &AtomicBool,
    outcome: &mut Outcome,
) {
    let mut row = Row::MISSING;
    let (mut started, mut finished) = (0, 0);
    let indexes: Vec<usize> = (0..job.requests.len()).collect();
    loop {
        for indexes in indexes.chunks(calls.len().max(1)) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            started += indexes.len() as u64;
            counters.started.store(started, Ordering::Relaxed);
            let mut pending = Vec::with_capacity(indexes.len());
            for (call, index) in calls.iter_mut().zip(indexes) {
                let start = Instant::now();
                extract(&job.requests[*index], &mut row);
                pending.push((call.submit(&row), start, *index));
            }
            for (pending, start, index) in pending {
                let verdict = pending.wait();
                outcome.record(start);
                outcome.count(job, index, &verdict);
                finished += 1;
                counters.finished.store(finished, Ordering::Relaxed);
            }
        }
    }
}

impl Outcome {
    /// Nothing counted; none where there is no memory for it.
    pub fn new() -> Option<Outcome> {
        Some(Outcome {
            bound: true,
            latency: Histogram::new_with_bounds(1, LATENCY_MAX, 3).ok()?,
            scored: 0,
            not_scored: [0; Reason::ALL.len()],
            wrong: 0,
            blocked: 0,
            scores: [[0; 100]; 2],
        })
    }

    fn record(&mut self, start: Instant) {
        let nanos = start.elapsed().as_nanos() as u64;
        self.latency.saturating_record(nanos);
    }

    /// Counts a verdict on the request at a position, and holds it against what is expected.
    pub fn count(&mut self, job: &Job<'_>, index: usize, verdict: &Verdict) {
        match verdict {
            Verdict::Scored(scored) => {
                self.scored += 1;
                let table = (job.table_of)(scored.generation);
                let expected = table.map(|table| job.expected[table][index]);
                self.wrong += u64::from(expected != Some(scored.margin));
                let innocent = job.innocent.get(index).is_some_and(|innocent| *innocent);
                self.blocked += u64::from(innocent && scored.score.get() < BLOCKED_BELOW);
                if let Some(bot) = job.bots[index] {
                    self.scores[usize::from(bot)][usize::from(scored.score.get())] += 1;
                }
            }
            // No request here says where it comes from.
            Verdict::VerifiedBot(_) => self.wrong += 1,
            Verdict::NotScored(not) => {
                let reason = Reason::ALL.iter().position(|reason| *reason == not.reason);
                self.not_scored[reason.unwrap_or_default()] += 1;
            }
        }
    }
}

/// Starts a thread for each way to get verdicts. Where one cannot start, none works on.
pub fn start_workers<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    job: &'env Job<'_>,
    hows: Vec<How>,
    counters: &'env [Counters],
    stop: &'env AtomicBool,
) -> Result<Vec<ScopedJoinHandle<'scope, Option<Outcome>>>, Failure> {
    let start = |(at, (how, counters)): (usize, (How, &'env Counters))| {
        let work = move || run(job, how, counters, stop);
        let spawned = thread::Builder::new()
            .name(format!("replay-{at}"))
            .spawn_scoped(scope, work);
        spawned.map_err(|error| {
            stop.store(true, Ordering::Relaxed);
            Failure::new("replay", "worker", "a thread a core", error)
        })
    };
    let each = hows.into_iter().zip(counters);
    each.enumerate().map(start).collect()
}

/// How one thread gets its verdicts.
pub fn how(engine: &Engine, pool: Option<&Pool>, core: CoreId) -> Result<How, Failure> {
    let Some(pool) = pool else {
        let scorer = engine.scorer().map_err(|full| {
            let got = format!("{} slots", full.max);
            Failure::new("replay", "scorers", "a free slot a core", got)
        })?;
        return Ok(How::Inline(scorer, core));
    };
    let calls = std::iter::repeat_with(|| pool.call()).take(BATCH_ROWS_MAX);
    Ok(How::Calls(calls.flatten().collect()))
}
