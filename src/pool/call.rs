//! One request on its way through a worker, and the two ways to wait for its verdict.

use super::Shared;
use crate::limits::AGENT_BYTES_MAX;
use crate::row::Row;
use crate::score::{
    Client, Matches, NotScored, Reason, Score, Scored, Source, Verdict, VerifiedBot,
};
use crate::table::bots::Category;
use atomic_waker::AtomicWaker;
use std::future::Future;
use std::net::IpAddr;
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
    /// A score, or 100 and a reason, or 200 for a verified bot.
    outcome: AtomicU8,
    margin: AtomicU64,
    generation: AtomicU64,
    matches: AtomicU64,
    /// Of a score, 0 or one more than the id of the detection that decided; of a bot, its position
    /// and, 16 bits above, its category.
    origin: AtomicU64,
    waker: AtomicWaker,
}

/// A request in a worker's ring.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) row: Row,
    pub(super) sender: Sender,
    pub(super) submitted: Instant,
    pub(super) reply: Arc<Reply>,
}

/// A client, with a copy of the bytes of its agent that count. Without an address, nobody.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    address: Option<IpAddr>,
    agent_bytes: u16,
    agent: [u8; AGENT_BYTES_MAX],
}

impl Sender {
    fn of(client: Option<&Client<'_>>) -> Sender {
        let mut sender = Sender {
            address: client.map(|client| client.address),
            agent_bytes: 0,
            agent: [0; AGENT_BYTES_MAX],
        };
        let agent = client.map_or(&[][..], |client| client.agent);
        for (to, from) in sender.agent.iter_mut().zip(agent) {
            *to = *from;
            sender.agent_bytes = sender.agent_bytes.saturating_add(1);
        }
        sender
    }

    pub(super) fn client(&self) -> Option<Client<'_>> {
        let agent = self.agent.get(..usize::from(self.agent_bytes));
        let agent = agent.unwrap_or_default();
        self.address.map(|address| Client { address, agent })
    }
}

/// Above every score.
const REASONS_FROM: u8 = 100;

/// Above every reason.
const VERIFIED: u8 = 200;

impl Reply {
    fn new() -> Reply {
        Reply {
            state: AtomicU8::new(IDLE),
            outcome: AtomicU8::new(REASONS_FROM),
            margin: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            matches: AtomicU64::new(0),
            origin: AtomicU64::new(0),
            waker: AtomicWaker::new(),
        }
    }

    /// Puts the verdict, and wakes whoever waits.
    pub(super) fn put(&self, verdict: &Verdict) {
        let (outcome, origin) = match verdict {
            Verdict::Scored(scored) => {
                let origin = match scored.source {
                    Source::Ensemble => 0,
                    Source::Detection(id) => u64::from(id).saturating_add(1),
                };
                // Relaxed, here and below: the state orders them.
                let margin = scored.margin.to_bits();
                self.margin.store(margin, Ordering::Relaxed);
                let matches = scored.detections.bits();
                self.matches.store(matches, Ordering::Relaxed);
                (scored.score.get(), origin)
            }
            Verdict::VerifiedBot(verified) => {
                let category = (verified.category as u64) << 16;
                (VERIFIED, category | u64::from(verified.bot))
            }
            Verdict::NotScored(not) => (REASONS_FROM.saturating_add(not.reason as u8), 0),
        };
        self.outcome.store(outcome, Ordering::Relaxed);
        self.origin.store(origin, Ordering::Relaxed);
        self.generation
            .store(verdict.generation(), Ordering::Relaxed);
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
        let origin = self.origin.load(Ordering::Relaxed);
        if outcome == VERIFIED {
            let category = Category::from_u8((origin >> 16) as u8);
            return Some(Verdict::VerifiedBot(VerifiedBot {
                bot: origin as u16,
                category: category.unwrap_or(Category::Other),
                generation,
            }));
        }
        Some(match outcome.checked_sub(REASONS_FROM) {
            Some(reason) => {
                let reason = Reason::ALL.get(usize::from(reason)).copied();
                let reason = reason.unwrap_or(Reason::Closed);
                Verdict::NotScored(NotScored { reason, generation })
            }
            None => Verdict::Scored(Scored {
                score: Score::from_steps(usize::from(outcome.saturating_sub(1))),
                source: match origin.checked_sub(1) {
                    Some(id) => Source::Detection(id as u32),
                    None => Source::Ensemble,
                },
                margin: f64::from_bits(self.margin.load(Ordering::Relaxed)),
                generation,
                detections: Matches::from_bits(self.matches.load(Ordering::Relaxed)),
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
        self.submit_known(row, None)
    }

    /// As [`submit`](Call::submit), of a client whose address is known: a verified bot gets a
    /// verdict of its own.
    #[inline]
    pub fn submit_client(&mut self, row: &Row, client: &Client<'_>) -> Pending<'_> {
        self.submit_known(row, Some(client))
    }

    fn submit_known(&mut self, row: &Row, client: Option<&Client<'_>>) -> Pending<'_> {
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
            sender: Sender::of(client),
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

    /// Hands a row of a client to the worker, and waits for the verdict.
    #[inline]
    pub fn score_client(&mut self, row: &Row, client: &Client<'_>) -> Verdict {
        self.submit_client(row, client).wait()
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
