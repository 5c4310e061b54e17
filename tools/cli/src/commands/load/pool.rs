//! Feeders: threads that hand what comes due to a pool's workers, and never wait for one verdict
//! before the next request.

use super::source::Work;
use super::work::{LATE, Part, Shared, Tally, Times};
use hedgerow::worker::{Call, Pool};
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
pub fn feed(
    shared: &Shared<'_>,
    mut part: Part<'_>,
    calls: Vec<Call>,
    lines: usize,
) -> Option<Tally> {
    let mut tally = Tally::new(shared.pieces)?;
    let desks: Vec<Desk> = calls.iter().map(|_| Desk::default()).collect();
    let mut clerks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    let mut all: Vec<Line> = Vec::new();
    all.resize_with(lines.max(1), Line::default);
    for (at, (call, desk)) in calls.into_iter().zip(&desks).enumerate() {
        clerks.push(Box::pin(clerk(call, desk, shared.work)));
        all[at % lines.max(1)].free.push(at);
    }
    let context = &mut Context::from_waker(Waker::noop());
    let mut at = part.first;
    let mut turn = 0;
    let mut due = part.arrivals.next();
    let (mut started, mut finished) = (0u64, 0u64);
    let mut idle = 0;
    let saturating = part.arrivals.is_saturating();
    loop {
        let now = shared.now();
        if saturating {
            due = now;
        }
        let over = shared.stop.load(Ordering::Relaxed) || due >= shared.end;
        if over && started == finished {
            return Some(tally);
        }
        let mut busy = false;
        if !over && now >= shared.give_up() {
            tally.abandon(shared, &mut part.arrivals, due, now);
            due = shared.end;
        } else if !over && due <= now {
            turn = (turn + 1) % all.len();
            // The next worker with room; where there is none, the request waits here.
            let lines = all.len();
            let free = (0..lines).find_map(|step| {
                let line = (turn + step) % lines;
                Some((line, all[line].free.pop()?))
            });
            if let Some((line, clerk)) = free {
                let measured = u64::from(due >= shared.warm);
                tally.offered += measured;
                tally.late += u64::from(idle > 0 && now - due > LATE) * measured;
                tally.queued += u64::from(idle == 0) * measured;
                started += 1;
                part.counters.started.store(started, Ordering::Relaxed);
                desks[clerk].due.set(Some(at));
                let _ = clerks[clerk].as_mut().poll(context);
                let under = Under {
                    place: at,
                    due,
                    begun: now,
                    clerk,
                };
                all[line].under.push_back(under);
                at = if at + 1 < shared.work.count() {
                    at + 1
                } else {
                    0
                };
                due = if saturating {
                    due
                } else {
                    part.arrivals.next()
                };
                busy = true;
            }
        }
        for line in &mut all {
            let Some(first) = line.under.front() else {
                continue;
            };
            let _ = clerks[first.clerk].as_mut().poll(context);
            let Some(verdict) = desks[first.clerk].verdict.take() else {
                continue;
            };
            let Some(under) = line.under.pop_front() else {
                continue;
            };
            line.free.push(under.clerk);
            let times = Times {
                due: under.due,
                begun: under.begun,
                done: shared.now(),
            };
            tally.record(shared, times, part.live);
            tally.judge(shared.job, under.place, &verdict);
            finished += 1;
            part.counters.finished.store(finished, Ordering::Relaxed);
            busy = true;
        }
        idle = if busy { 0 } else { idle + 1 };
        if idle > SPINS && started == finished {
            shared.wait(due.min(shared.end));
            idle = 0;
        } else if idle > SPINS {
            thread::yield_now();
        }
    }
}
