//! The threads of a load: each scores, or has scored, what comes due, and times it from then.

use super::arrivals::{Arrivals, Shape};
use super::cache_pressure::Evict;
use super::source::Work;
use super::span::Span;
use super::tally::{Expected, Tally, Times};
use core_affinity::CoreId;
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::stats::Latency;
use hedgerow::{NotScored, Reason, Row, Scorer, Verdict};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Starts of a thread that waited are counted if they are later than this: ten microseconds. To
/// read the clock and look again takes a hundredth of it.
pub const LATE: u64 = 10_000;

/// What all threads share.
pub struct Shared<'a> {
    pub work: &'a Work,
    pub expected: &'a Expected,
    pub span: Span,
    /// Pieces that the measured time is cut into.
    pub pieces: usize,
    pub stop: &'a AtomicBool,
    /// Requests at once, at most.
    pub batch: usize,
}

/// What a thread shows while it runs. Each has cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Requests taken up.
    pub started: AtomicU64,
    /// Requests that got a verdict.
    pub finished: AtomicU64,
}

/// A thread's own part.
pub struct Part<'a> {
    pub core: Option<CoreId>,
    pub arrivals: Arrivals,
    pub counters: &'a Counters,
    /// What the live view shows.
    pub live: Option<&'a Latency>,
    pub evict: Option<Evict>,
    /// Where in the input it begins.
    pub first: usize,
}

/// Requests that are scored together, and their verdicts.
struct Batch {
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
    /// Where in the input each is, and when it was due.
    taken: Vec<(usize, u64)>,
}

impl Batch {
    #[inline]
    fn score(&mut self, work: &Work, scorer: &mut Scorer) {
        for ((place, _), row) in self.taken.iter().zip(&mut self.rows) {
            work.fill(*place, row);
        }
        let count = self.taken.len();
        if count == 1 {
            self.verdicts[0] = scorer.score(&self.rows[0]);
        } else {
            scorer.score_batch(&self.rows[..count], &mut self.verdicts[..count]);
        }
    }
}

/// Scores on this thread what comes due, up to the batch limit at once.
pub fn inline(shared: &Shared<'_>, mut part: Part<'_>, mut scorer: Scorer) -> Option<Tally> {
    let span = &shared.span;
    let mut tally = Tally::new(shared.pieces)?;
    tally.bound = part.core.is_none_or(core_affinity::set_for_current);
    let limit = shared.batch.clamp(1, BATCH_ROWS_MAX);
    let mut batch = Batch {
        rows: vec![Row::MISSING; limit],
        verdicts: vec![NONE; limit],
        taken: Vec::with_capacity(limit),
    };
    let mut at = part.first;
    let saturating = part.arrivals.is_saturating();
    let mut due = part.arrivals.next();
    let mut started = 0;
    // Relaxed, here and below: flags and counters, which order nothing.
    while !shared.stop.load(Ordering::Relaxed) {
        let mut now = span.now();
        if saturating {
            due = now;
        } else if now < due {
            now = span.wait(due, shared.stop);
            if now < due {
                break;
            }
            tally.counts.late += u64::from(due >= span.warm && now - due > LATE);
        } else {
            tally.counts.queued += u64::from(due >= span.warm);
        }
        if due >= span.end {
            break;
        }
        if now >= span.give_up() {
            tally.abandon(span, &mut part.arrivals, due, now);
            break;
        }
        batch.taken.clear();
        while batch.taken.len() < limit && due <= now && due < span.end {
            tally.counts.offered += u64::from(due >= span.warm);
            batch.taken.push((at, due));
            at = shared.work.after(at);
            due = if saturating {
                due
            } else {
                part.arrivals.next()
            };
        }
        started += batch.taken.len() as u64;
        part.counters.started.store(started, Ordering::Relaxed);
        batch.score(shared.work, &mut scorer);
        let (begun, done) = (now, span.now());
        for ((place, due), verdict) in batch.taken.iter().zip(&batch.verdicts) {
            let due = *due;
            tally.record(span, Times { due, begun, done }, part.live);
            tally.counts.judge(shared.expected, *place, verdict);
        }
        part.counters.finished.store(started, Ordering::Relaxed);
        if let Some(evict) = &mut part.evict {
            evict.walk();
        }
    }
    Some(tally)
}

/// A place for a verdict.
pub const NONE: Verdict = Verdict::NotScored(NotScored {
    reason: Reason::NoTable,
    generation: 0,
});

/// Requests per second that one thread could offer if scoring took no time: all that a generator
/// does, the clock and the histograms included.
pub fn generator_max() -> f64 {
    const TURNS: u64 = 10_000;
    let Some(mut tally) = Tally::new(1) else {
        return 0.0;
    };
    let work = Work::Rows(Vec::new());
    let span = Span {
        start: Instant::now(),
        warm: 0,
        end: u64::MAX / 4,
    };
    // Due long ago at every turn: nothing is waited for.
    let mut arrivals = Arrivals::new(Shape::Poisson, 1e12, 1, 0, 1);
    let mut row = Row::MISSING;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for turn in 0..TURNS {
            let (due, begun) = (arrivals.next(), span.now());
            work.fill(turn as usize, black_box(&mut row));
            let done = span.now();
            tally.record(&span, Times { due, begun, done }, None);
        }
        best = best.min(start.elapsed().as_secs_f64() / TURNS as f64);
    }
    1.0 / best
}
