//! Feeders: threads that hand what comes due to a pool's workers, and never wait for one verdict
//! before the next request.

use super::drive::{LATE, Part, Shared};
use super::source::Work;
use super::tally::{Tally, Times};
use hedgerow::pool::Call;
use hedgerow::{Row, Verdict};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Turns without anything to do after which a feeder lets others have its core.
const SPINS: u32 = 1_000;

/// Where a feeder puts a request for a call, and finds its verdict.
#[derive(Default)]
struct Slot {
    due: Cell<Option<usize>>,
    verdict: Cell<Option<Verdict>>,
}

/// Serves one call for good: takes a request, submits it, and brings the verdict.
async fn serve(mut call: Call, slot: &Slot, work: &Work) {
    let mut row = Row::MISSING;
    loop {
        let at = poll_fn(|_| slot.due.take().map_or(Poll::Pending, Poll::Ready)).await;
        work.fill(at, &mut row);
        let pending = call.submit(&row);
        let verdict = poll_fn(|_| pending.try_get().map_or(Poll::Pending, Poll::Ready)).await;
        slot.verdict.set(Some(verdict));
    }
}

/// A request under way.
struct Under {
    place: usize,
    due: u64,
    begun: u64,
    call: usize,
}

/// The calls on one worker. It answers in the order of the requests, so only the first can be
/// ready.
#[derive(Default)]
struct Line {
    free: Vec<usize>,
    under: VecDeque<Under>,
}

/// Feeds the workers. `lines` is how many there are: the calls go round them.
pub fn feed(shared: &Shared<'_>, part: Part<'_>, calls: Vec<Call>, lines: usize) -> Option<Tally> {
    let slots: Vec<Slot> = calls.iter().map(|_| Slot::default()).collect();
    let mut lines: Vec<Line> = (0..lines.max(1)).map(|_| Line::default()).collect();
    let mut calls_served: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    let of = lines.len();
    for (at, (call, slot)) in calls.into_iter().zip(&slots).enumerate() {
        calls_served.push(Box::pin(serve(call, slot, shared.work)));
        lines[at % of].free.push(at);
    }
    let feeder = Feeder {
        shared,
        tally: Tally::new(shared.pieces)?,
        at: part.first,
        part,
        slots: &slots,
        calls: calls_served,
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
    slots: &'a [Slot],
    calls: Vec<Pin<Box<dyn Future<Output = ()> + 'a>>>,
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
        let Shared { span, stop, .. } = self.shared;
        let saturating = self.part.arrivals.is_saturating();
        let mut due = self.part.arrivals.next();
        loop {
            let now = span.now();
            if saturating {
                due = now;
            }
            // Relaxed, here and below: flags and counters, which order nothing.
            let over = stop.load(Ordering::Relaxed) || due >= span.end;
            if over && self.started == self.finished {
                return self.tally;
            }
            let mut busy = false;
            if !over && now >= span.give_up() {
                self.tally.abandon(span, &mut self.part.arrivals, due, now);
                due = span.end;
            } else if !over && due <= now && self.submit(due, now) {
                due = self.part.arrivals.next();
                busy = true;
            }
            busy |= self.collect();
            self.idle = if busy { 0 } else { self.idle + 1 };
            if self.idle > SPINS && self.started == self.finished {
                span.wait(due.min(span.end), stop);
                self.idle = 0;
            } else if self.idle > SPINS {
                thread::yield_now();
            }
        }
    }

    /// Hands the next request to the next worker with room; if there is none, it waits here.
    fn submit(&mut self, due: u64, now: u64) -> bool {
        let of = self.lines.len();
        let free = (1..=of).find_map(|step| {
            let line = (self.turn + step) % of;
            Some((line, self.lines[line].free.pop()?))
        });
        let Some((line, call)) = free else {
            return false;
        };
        self.turn = line;
        if due >= self.shared.span.warm {
            let counts = &mut self.tally.counts;
            counts.offered += 1;
            counts.late += u64::from(self.idle > 0 && now - due > LATE);
            counts.queued += u64::from(self.idle == 0);
        }
        self.started += 1;
        self.part
            .counters
            .started
            .store(self.started, Ordering::Relaxed);
        self.slots[call].due.set(Some(self.at));
        self.poll(call);
        let (place, begun) = (self.at, now);
        self.lines[line].under.push_back(Under {
            place,
            due,
            begun,
            call,
        });
        self.at = self.shared.work.after(self.at);
        true
    }

    /// Takes the verdicts that are there. Returns `true` if there was one.
    fn collect(&mut self) -> bool {
        let before = self.finished;
        for line in 0..self.lines.len() {
            let Some(call) = self.lines[line].under.front().map(|under| under.call) else {
                continue;
            };
            self.poll(call);
            let Some(verdict) = self.slots[call].verdict.take() else {
                continue;
            };
            let Some(Under {
                place, due, begun, ..
            }) = self.lines[line].under.pop_front()
            else {
                continue;
            };
            self.lines[line].free.push(call);
            let done = self.shared.span.now();
            self.tally.record(
                &self.shared.span,
                Times { due, begun, done },
                self.part.live,
            );
            self.tally
                .counts
                .judge(self.shared.expected, place, &verdict);
            self.finished += 1;
            self.part
                .counters
                .finished
                .store(self.finished, Ordering::Relaxed);
        }
        self.finished > before
    }

    fn poll(&mut self, call: usize) {
        // It never ends.
        let context = &mut Context::from_waker(Waker::noop());
        let _ = self.calls[call].as_mut().poll(context);
    }
}
