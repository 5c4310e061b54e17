//! One request on its way through a worker, and the two ways to wait for its verdict.

use super::Shared;
use crate::row::Row;
use crate::score::{NotScored, Reason, Score, Scored, Verdict};
use atomic_waker::AtomicWaker;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Nothing is under way.
const IDLE: u8 = 0;
/// A worker has the request, or will.
const PENDING: u8 = 1;
/// The verdict is there.
const DONE: u8 = 2;

/// Turns of spinning before a waiting thread parks: about as long as a batch takes.
const SPINS: u32 = 2_000;

/// Where a worker puts a verdict.
#[derive(Debug)]
pub(super) struct Reply {
    state: AtomicU8,
    /// A score, or 100 and a reason.
    outcome: AtomicU8,
    margin: AtomicU64,
    generation: AtomicU64,
    waker: AtomicWaker,
}

/// A request in a worker's ring.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) row: Row,
    pub(super) submitted: Instant,
    pub(super) reply: Arc<Reply>,
}

/// Above every score.
const REASONS_FROM: u8 = 100;

impl Reply {
    fn new() -> Reply {
        Reply {
            state: AtomicU8::new(IDLE),
            outcome: AtomicU8::new(REASONS_FROM),
            margin: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Puts the verdict, and wakes whoever waits.
    pub(super) fn put(&self, verdict: &Verdict) {
        let (outcome, margin, generation) = match verdict {
            Verdict::Scored(scored) => (scored.score.get(), scored.margin, scored.generation),
            Verdict::NotScored(not) => (
                REASONS_FROM.saturating_add(not.reason as u8),
                0.0,
                not.generation,
            ),
        };
        // Relaxed: the state orders them.
        self.outcome.store(outcome, Ordering::Relaxed);
        self.margin.store(margin.to_bits(), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
        // Release: pairs with the Acquire in get.
        self.state.store(DONE, Ordering::Release);
        // A host's waker may panic: the worker, and the requests behind this one, go on.
        let woken = catch_unwind(AssertUnwindSafe(|| self.waker.wake()));
        if let Err(payload) = woken {
            std::mem::forget(payload);
        }
    }

    fn get(&self) -> Option<Verdict> {
        // Acquire: pairs with the Release in put.
        if self.state.load(Ordering::Acquire) != DONE {
            return None;
        }
        let generation = self.generation.load(Ordering::Relaxed);
        let outcome = self.outcome.load(Ordering::Relaxed);
        Some(match outcome.checked_sub(REASONS_FROM) {
            Some(reason) => {
                let reason = Reason::ALL.get(usize::from(reason)).copied();
                let reason = reason.unwrap_or(Reason::Closed);
                Verdict::NotScored(NotScored { reason, generation })
            }
            None => Verdict::Scored(Scored {
                score: Score::from_steps(usize::from(outcome.saturating_sub(1))),
                margin: f64::from_bits(self.margin.load(Ordering::Relaxed)),
                generation,
            }),
        })
    }
}

/// A place for one request at a time, bound to one worker. Making it allocates; using it does not.
#[derive(Debug)]
pub struct Call {
    worker: Arc<Shared>,
    reply: Arc<Reply>,
}

impl Call {
    pub(super) fn new(worker: Arc<Shared>) -> Call {
        Call {
            worker,
            reply: Arc::new(Reply::new()),
        }
    }

    /// Hands a copy of the row to the worker, and never blocks. Where the ring is full the verdict
    /// is `NotScored(Overloaded)`, at once.
    ///
    /// A request whose [`Pending`] was dropped keeps the call busy until the worker has seen it;
    /// until then the verdict is `NotScored(Overloaded)` too.
    #[inline]
    pub fn submit(&mut self, row: &Row) -> Pending<'_> {
        // Acquire: pairs with the Release in put, so that the reply is no longer written.
        if self.reply.state.load(Ordering::Acquire) == PENDING {
            return Pending {
                call: self,
                refused: Some(Reason::Overloaded),
            };
        }
        if self.worker.closed() {
            return Pending {
                call: self,
                refused: Some(Reason::Closed),
            };
        }
        // Relaxed: the ring orders it.
        self.reply.state.store(PENDING, Ordering::Relaxed);
        let submitted = Instant::now();
        let job = Job {
            row: row.clone(),
            submitted,
            reply: self.reply.clone(),
        };
        if self.worker.ring.push(job).is_err() {
            self.reply.state.store(IDLE, Ordering::Relaxed);
            self.worker.count_overloaded();
            return Pending {
                call: self,
                refused: Some(Reason::Overloaded),
            };
        }
        // SeqCst: pairs with the fences in Ends::drop and Shared::rest. Either this thread sees
        // that the worker has ended, and answers what is in the ring, or the worker sees this
        // request; the same for a worker that is about to park.
        fence(Ordering::SeqCst);
        if self.worker.ended() {
            self.worker.answer_closed();
        } else {
            self.worker.wake();
        }
        Pending {
            call: self,
            refused: None,
        }
    }

    /// Hands a row to the worker, and waits for the verdict.
    #[inline]
    pub fn score(&mut self, row: &Row) -> Verdict {
        self.submit(row).wait()
    }
}

/// A request under way. It is a future, and can be waited for by blocking.
#[derive(Debug)]
#[must_use = "the verdict is lost otherwise"]
pub struct Pending<'a> {
    call: &'a Call,
    refused: Option<Reason>,
}

impl Pending<'_> {
    /// The verdict, if it is there already.
    #[inline]
    pub fn try_get(&self) -> Option<Verdict> {
        match self.refused {
            Some(reason) => Some(Verdict::NotScored(NotScored {
                reason,
                generation: 0,
            })),
            None => self.call.reply.get(),
        }
    }

    /// Waits for the verdict: spins for some microseconds, then parks the thread.
    pub fn wait(self) -> Verdict {
        for _ in 0..SPINS {
            if let Some(verdict) = self.try_get() {
                return verdict;
            }
            std::hint::spin_loop();
        }
        loop {
            // While a thread ends its waker may be gone already: it polls then.
            let registered = UNPARK.try_with(|waker| self.call.reply.waker.register(waker));
            if let Some(verdict) = self.try_get() {
                return verdict;
            }
            match registered {
                Ok(()) => thread::park(),
                Err(_) => thread::yield_now(),
            }
        }
    }
}

impl Future for Pending<'_> {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdict> {
        if let Some(verdict) = self.try_get() {
            return Poll::Ready(verdict);
        }
        self.call.reply.waker.register(context.waker());
        // The verdict may have come before the waker was in its place.
        self.try_get().map_or(Poll::Pending, Poll::Ready)
    }
}

thread_local! {
    /// Unparks this thread; made once, so that waiting does not allocate.
    static UNPARK: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
