//! The threads of a load: each scores, or has scored, what comes due, and times it from then.

use super::arrivals::Arrivals;
use super::cache_pressure::Evict;
use super::source::Work;
use super::worker::{Counters, Job, LATENCY_MAX, Outcome};
use core_affinity::CoreId;
use hdrhistogram::Histogram;
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::stats::Latency;
use hedgerow::{NotScored, Reason, Row, Scorer, Verdict};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Starts that are later than this, of a thread that waited, are counted: ten microseconds. Reading
/// the clock and looking again takes a hundredth of it.
pub const LATE: u64 = 10_000;

/// A thread that has longer than this to wait sleeps, so that others have its core.
const SLEEP: u64 = 300_000;

/// How much before the time it wakes: the system wakes late.
const WAKE: u64 = 150_000;

/// What all threads share.
pub struct Shared<'a> {
    pub work: &'a Work<'a>,
    /// What replay's threads share, of which the expectations serve here.
    pub job: &'a Job<'a>,
    /// When time began.
    pub start: Instant,
    /// From when on, in nanoseconds, requests are measured.
    pub warm: u64,
    /// When the last request comes due.
    pub end: u64,
    /// Pieces that the measured time is cut into.
    pub pieces: usize,
    pub stop: &'a AtomicBool,
    /// Requests at once, at most.
    pub batch: usize,
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

/// What a thread hands over.
pub struct Tally {
    /// Verdicts, as replay counts them.
    pub outcome: Outcome,
    /// Scores of what has no label.
    pub unlabelled: [u64; 100],
    /// A histogram of latency and one of service for each piece.
    pub pieces: Vec<Piece>,
    pub offered: u64,
    pub answered: u64,
    pub unserved: u64,
    pub queued: u64,
    pub late: u64,
    /// When the last verdict came, in nanoseconds.
    pub ended: u64,
}

/// A piece of a thread's time.
#[derive(Clone)]
pub struct Piece {
    pub latency: Histogram<u32>,
    pub service: Histogram<u32>,
}

impl Piece {
    fn new() -> Option<Piece> {
        let mut fresh = Histogram::new_with_bounds(1, LATENCY_MAX, 3).ok()?;
        // Writes all of it, so that no page of it is missing later.
        fresh.reset();
        Some(Piece {
            latency: fresh.clone(),
            service: fresh,
        })
    }
}

impl Tally {
    /// Nothing counted; none where there is no memory for it.
    pub fn new(pieces: usize) -> Option<Tally> {
        let piece = Piece::new()?;
        Some(Tally {
            outcome: Outcome::new()?,
            unlabelled: [0; 100],
            pieces: vec![piece; pieces.max(1)],
            offered: 0,
            answered: 0,
            unserved: 0,
            queued: 0,
            late: 0,
            ended: 0,
        })
    }

    /// The piece of a time; none in the warm-up.
    #[inline]
    fn piece(&mut self, shared: &Shared<'_>, due: u64) -> Option<&mut Piece> {
        let since = due.checked_sub(shared.warm)?;
        let whole = shared.end.saturating_sub(shared.warm).max(1);
        let at = (u128::from(since) * self.pieces.len() as u128 / u128::from(whole)) as usize;
        let last = self.pieces.len() - 1;
        self.pieces.get_mut(at.min(last))
    }

    /// Records one verdict: when the request was due, begun and answered.
    #[inline]
    pub fn record(&mut self, shared: &Shared<'_>, times: Times, live: Option<&Latency>) {
        let Times { due, begun, done } = times;
        let Some(piece) = self.piece(shared, due) else {
            return;
        };
        piece.latency.saturating_record(done.saturating_sub(due));
        piece.service.saturating_record(done.saturating_sub(begun));
        self.answered += 1;
        self.ended = done;
        if let Some(live) = live {
            live.record(done.saturating_sub(due));
        }
    }

    /// Counts a verdict on the input at a place.
    #[inline]
    pub fn judge(&mut self, job: &Job<'_>, at: usize, verdict: &Verdict) {
        self.outcome.count(job, at, verdict);
        if let (Verdict::Scored(scored), Some(None)) = (verdict, job.bots.get(at)) {
            self.unlabelled[usize::from(scored.score.get())] += 1;
        }
    }

    /// Everything that would still have come: it has waited until now at least, and to leave it
    /// out would be to measure only those that were lucky.
    pub fn abandon(&mut self, shared: &Shared<'_>, arrivals: &mut Arrivals, due: u64, now: u64) {
        // One by one while they are few; a backlog of millions by its mean gap, in steps.
        const FEW: usize = 100_000;
        const STEPS: u64 = 1_000;
        let mut due = due;
        for _ in 0..FEW {
            if due >= shared.end {
                return;
            }
            self.miss(shared, due, now, 1);
            due = arrivals.next();
        }
        let step = (shared.end.saturating_sub(due) / STEPS).max(1);
        while due < shared.end {
            let length = step.min(shared.end - due);
            self.miss(shared, due, now, (length as f64 / arrivals.gap()) as u64);
            due += length;
        }
    }

    /// So many requests that were due at a time and were never begun.
    fn miss(&mut self, shared: &Shared<'_>, due: u64, now: u64, count: u64) {
        if let Some(piece) = self.piece(shared, due) {
            piece.latency.saturating_record_n(
                now.saturating_sub(due),
                u32::try_from(count).unwrap_or(u32::MAX),
            );
            self.offered += count;
            self.unserved += count;
        }
    }
}

/// A request's times, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub due: u64,
    pub begun: u64,
    pub done: u64,
}

impl Shared<'_> {
    /// Nanoseconds since time began.
    #[inline]
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// When what is still not begun is given up.
    pub fn give_up(&self) -> u64 {
        self.end + ((self.end - self.warm) / 10).min(500_000_000)
    }

    /// Waits until a time; returns the time that it is then. A long wait is slept through.
    #[inline]
    pub fn wait(&self, due: u64) -> u64 {
        let mut now = self.now();
        while now < due {
            let left = due - now;
            if left > SLEEP {
                // A raised flag is seen soon.
                thread::sleep(Duration::from_nanos((left - WAKE).min(50_000_000)));
                if self.stop.load(Ordering::Relaxed) {
                    return now;
                }
            } else {
                std::hint::spin_loop();
            }
            now = self.now();
        }
        now
    }
}

/// Requests that are scored together, and their verdicts.
struct Batch {
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
    /// Where in the input each is, and when it was due.
    taken: Vec<(usize, u64)>,
}

impl Batch {
    fn new(rows: usize) -> Batch {
        Batch {
            rows: vec![Row::MISSING; rows],
            verdicts: vec![NONE; rows],
            taken: Vec::with_capacity(rows),
        }
    }

    #[inline]
    fn score(&mut self, work: &Work<'_>, scorer: &mut Scorer) {
        for ((place, _), row) in self.taken.iter().zip(&mut self.rows) {
            work.fill(*place, row);
        }
        match (
            self.taken.len(),
            self.rows.first(),
            self.verdicts.first_mut(),
        ) {
            (1, Some(row), Some(verdict)) => *verdict = scorer.score(row),
            (count, _, _) => {
                scorer.score_batch(&self.rows[..count], &mut self.verdicts[..count]);
            }
        }
    }
}

/// Scores on this thread what comes due, up to the batch limit at once.
pub fn inline(shared: &Shared<'_>, mut part: Part<'_>, mut scorer: Scorer) -> Option<Tally> {
    let mut tally = Tally::new(shared.pieces)?;
    tally.outcome.bound = part.core.is_none_or(core_affinity::set_for_current);
    let limit = shared.batch.clamp(1, BATCH_ROWS_MAX);
    let mut batch = Batch::new(limit);
    let mut at = part.first;
    let saturating = part.arrivals.is_saturating();
    let mut due = part.arrivals.next();
    let mut started = 0;
    // Relaxed, here and below: flags and counters, which order nothing.
    while !shared.stop.load(Ordering::Relaxed) {
        let mut now = shared.now();
        if saturating {
            due = now;
        } else if now < due {
            now = shared.wait(due);
            if now < due {
                break;
            }
            tally.late += u64::from(due >= shared.warm && now - due > LATE);
        } else {
            tally.queued += u64::from(due >= shared.warm);
        }
        if due >= shared.end {
            break;
        }
        if now >= shared.give_up() {
            tally.abandon(shared, &mut part.arrivals, due, now);
            break;
        }
        batch.taken.clear();
        while batch.taken.len() < limit && due <= now && due < shared.end {
            tally.offered += u64::from(due >= shared.warm);
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
        let (begun, done) = (now, shared.now());
        for ((place, due), verdict) in batch.taken.iter().zip(&batch.verdicts) {
            let due = *due;
            tally.record(shared, Times { due, begun, done }, part.live);
            tally.judge(shared.job, *place, verdict);
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

/// Requests a second that one thread could offer if scoring took no time: all that a generator
/// does, the clock and the histograms included.
pub fn generator_max() -> f64 {
    let Some(mut tally) = Tally::new(1) else {
        return 0.0;
    };
    let stop = AtomicBool::new(false);
    let work = Work::Rows(&[]);
    let job = Job {
        requests: &[],
        bots: &[],
        innocent: &[],
        expected: [Vec::new(), Vec::new()],
        table_of: |_| None,
    };
    let shared = Shared {
        work: &work,
        job: &job,
        start: Instant::now(),
        warm: 0,
        end: u64::MAX / 4,
        pieces: 1,
        stop: &stop,
        batch: 1,
    };
    // Due long ago at every turn: nothing is waited for.
    let mut arrivals = Arrivals::new(super::arrivals::Shape::Poisson, 1e12, 1, 0, 1);
    let mut row = Row::MISSING;
    let mut best = f64::MAX;
    for _ in 0..5 {
        const TURNS: u64 = 10_000;
        let start = Instant::now();
        for turn in 0..TURNS {
            let due = arrivals.next();
            let begun = shared.now();
            shared
                .work
                .fill(turn as usize, std::hint::black_box(&mut row));
            let done = shared.now();
            tally.record(&shared, Times { due, begun, done }, None);
        }
        best = best.min(start.elapsed().as_secs_f64() / TURNS as f64);
    }
    1.0 / best
}
