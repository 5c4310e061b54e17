//! Feeders: threads that hand what comes due to a pool's workers, and never wait for one verdict
//! before the next request.

use super::drive::{LATE, Part, Shared, Tally, Times};
use super::source::Work;
use hedgerow::pool::{Call, Pool};
use hedgerow::{Row, Verdict};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Calls of a feeder on each worker: requests that it has under way there at most.
const CALLS: usize = 128;

/// Turns without anything to do after which a feeder lets others have its core.
const SPINS: u32 = 1_000;

/// Where a feeder puts a request for a call, and finds its verdict.
#[derive(Default)]
struct Desk {
    due: Cell<Option<usize>>,
    verdict: Cell<Option<Verdict>>,
}

/// One call's life: takes a request, submits it, and brings the verdict.
async fn clerk(mut call: Call, desk: &Desk, work: &Work<'_>) {
    let mut row = Row::MISSING;
    loop {
        let at = poll_fn(|_| desk.due.take().map_or(Poll::Pending, Poll::Ready)).await;
        work.fill(at, &mut row);
        let pending = call.submit(&row);
        let verdict = poll_fn(|_| pending.try_get().map_or(Poll::Pending, Poll::Ready)).await;
        desk.verdict.set(Some(verdict));
    }
}

/// A request under way.
struct Under {
    place: usize,
    due: u64,
    begun: u64,
    clerk: usize,
}

/// The calls on one worker. It answers in the order of the requests, so only the first can be
/// ready.
#[derive(Default)]
struct Line {
    free: Vec<usize>,
    under: VecDeque<Under>,
}

/// The calls of one feeder, made before the time starts.
pub fn calls(pool: &Pool) -> Vec<Call> {
    let count = pool.cores().len() * CALLS;
    std::iter::repeat_with(|| pool.call())
        .take(count)
        .flatten()
        .collect()
}

/// Feeds the workers. `lines` is how many there are: the calls go round them.
pub fn feed(shared: &Shared<'_>, part: Part<'_>, calls: Vec<Call>, lines: usize) -> Option<Tally> {
    let desks: Vec<Desk> = calls.iter().map(|_| Desk::default()).collect();
    let mut lines: Vec<Line> = (0..lines.max(1)).map(|_| Line::default()).collect();
    let mut clerks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    let of = lines.len();
    for (at, (call, desk)) in calls.into_iter().zip(&desks).enumerate() {
        clerks.push(Box::pin(clerk(call, desk, shared.work)));
        lines[at % of].free.push(at);
    }
    let feeder = Feeder {
        shared,
        tally: Tally::new(shared.pieces)?,
        at: part.first,
        part,
        desks: &desks,
        clerks,
        lines,
        turn: 0,
        started: 0,
        finished: 0,
        idle: 0,
    };
    Some(feeder.run())
}

/// One feeder's state.
struct Feeder<'a> {
    shared: &'a Shared<'a>,
    part: Part<'a>,
    tally: Tally,
    desks: &'a [Desk],
    clerks: Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    lines: Vec<Line>,
    /// The worker that got the last request.
    turn: usize,
    /// Where in the input the next one is.
    at: usize,
    started: u64,
    finished: u64,
    /// Turns since there was something to do.
    idle: u32,
}

impl Feeder<'_> {
    fn run(mut self) -> Tally {
        let shared = self.shared;
        let saturating = self.part.arrivals.is_saturating();
        let mut due = self.part.arrivals.next();
        loop {
            let now = shared.now();
            if saturating {
                due = now;
            }
            // Relaxed, here and below: flags and counters, which order nothing.
            let over = shared.stop.load(Ordering::Relaxed) || due >= shared.end;
            if over && self.started == self.finished {
                return self.tally;
            }
            let mut busy = false;
            if !over && now >= shared.give_up() {
                self.tally
                    .abandon(shared, &mut self.part.arrivals, due, now);
                due = shared.end;
            } else if !over && due <= now && self.submit(due, now) {
                due = self.part.arrivals.next();
                busy = true;
            }
            busy |= self.collect();
            self.idle = if busy { 0 } else { self.idle + 1 };
            if self.idle > SPINS && self.started == self.finished {
                shared.wait(due.min(shared.end));
                self.idle = 0;
            } else if self.idle > SPINS {
                thread::yield_now();
            }
        }
    }

    /// Hands the next request to the next worker with room; where there is none, it waits here.
    fn submit(&mut self, due: u64, now: u64) -> bool {
        let of = self.lines.len();
        let free = (1..=of).find_map(|step| {
            let line = (self.turn + step) % of;
            Some((line, self.lines[line].free.pop()?))
        });
        let Some((line, clerk)) = free else {
            return false;
        };
        self.turn = line;
        if due >= self.shared.warm {
            self.tally.offered += 1;
            self.tally.late += u64::from(self.idle > 0 && now - due > LATE);
            self.tally.queued += u64::from(self.idle == 0);
        }
        self.started += 1;
        let counters = self.part.counters;
        counters.started.store(self.started, Ordering::Relaxed);
        self.desks[clerk].due.set(Some(self.at));
        self.poll(clerk);
        self.lines[line].under.push_back(Under {
            place: self.at,
            due,
            begun: now,
            clerk,
        });
        self.at = self.shared.work.after(self.at);
        true
    }

    /// Takes the verdicts that are there; whether there was one.
    fn collect(&mut self) -> bool {
        let before = self.finished;
        for line in 0..self.lines.len() {
            let Some(clerk) = self.lines[line].under.front().map(|under| under.clerk) else {
                continue;
            };
            self.poll(clerk);
            let Some(verdict) = self.desks[clerk].verdict.take() else {
                continue;
            };
            let Some(under) = self.lines[line].under.pop_front() else {
                continue;
            };
            self.lines[line].free.push(clerk);
            let times = Times {
                due: under.due,
                begun: under.begun,
                done: self.shared.now(),
            };
            self.tally.record(self.shared, times, self.part.live);
            self.tally.judge(self.shared.job, under.place, &verdict);
            self.finished += 1;
            let counters = self.part.counters;
            counters.finished.store(self.finished, Ordering::Relaxed);
        }
        self.finished > before
    }

    fn poll(&mut self, clerk: usize) {
        // A clerk never ends.
        let context = &mut Context::from_waker(Waker::noop());
        let _ = self.clerks[clerk].as_mut().poll(context);
    }
}
