//! One request on its way through a worker, and the two ways to wait for its verdict.

use super::Shared;
use super::reply::Reply;
use crate::limits::AGENT_BYTES_MAX;
use crate::row::Row;
use crate::score::{Client, NotScored, Reason, Verdict};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

/// Turns of spinning before a waiting thread parks: about as long as a batch takes.
const SPINS: u32 = 2_000;

/// A request in a worker's ring.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) row: Row,
    pub(super) sender: Sender,
    pub(super) submitted: Instant,
    pub(super) reply: Arc<Reply>,
}

/// A client, with a copy of the first bytes of its agent. Without an address there is no client.
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

    /// Hands a copy of the row to the worker, and never blocks. If the ring is full, the verdict is
    /// `NotScored(Overloaded)` at once.
    ///
    /// A request whose [`Pending`] was dropped keeps the call busy until the worker has answered
    /// it; until then the verdict is `NotScored(Overloaded)`, too.
    #[inline]
    pub fn submit(&mut self, row: &Row) -> Pending<'_> {
        self.submit_known(row, None)
    }

    /// Hands a row of a client whose address is known to the worker: a verified bot gets a verdict
    /// of its own. See [`submit`](Call::submit).
    #[inline]
    pub fn submit_client(&mut self, row: &Row, client: &Client<'_>) -> Pending<'_> {
        self.submit_known(row, Some(client))
    }

    fn submit_known(&mut self, row: &Row, client: Option<&Client<'_>>) -> Pending<'_> {
        let refused = self.hand_over(row, client).err();
        Pending {
            call: self,
            refused,
        }
    }

    fn hand_over(&self, row: &Row, client: Option<&Client<'_>>) -> Result<(), Reason> {
        if self.reply.is_pending() {
            return Err(Reason::Overloaded);
        }
        if self.worker.closed() {
            return Err(Reason::Closed);
        }
        self.reply.begin();
        let job = Job {
            submitted: Instant::now(),
            row: row.clone(),
            sender: Sender::of(client),
            reply: self.reply.clone(),
        };
        if self.worker.ring.push(job).is_err() {
            self.reply.cancel();
            self.worker.count_overloaded();
            return Err(Reason::Overloaded);
        }
        // SeqCst: pairs with the fences in Ends::drop and Shared::rest. Either this thread sees
        // that the worker has ended, and answers the requests in the ring, or the worker sees this
        // request; the same for a worker that is about to park.
        fence(Ordering::SeqCst);
        if self.worker.ended() {
            self.worker.answer_closed();
        } else {
            self.worker.wake();
        }
        Ok(())
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

/// A request under way. It is a future; a thread may also wait for it.
#[derive(Debug)]
#[must_use = "the verdict is lost otherwise"]
pub struct Pending<'a> {
    call: &'a Call,
    refused: Option<Reason>,
}

impl Pending<'_> {
    /// Returns the verdict if it has come.
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
            // A thread that ends may have lost its waker: it polls then.
            let registered = UNPARK.try_with(|waker| self.call.reply.register(waker));
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
        self.call.reply.register(context.waker());
        // The verdict may have come before the waker was registered.
        self.try_get().map_or(Poll::Pending, Poll::Ready)
    }
}

thread_local! {
    /// Unparks this thread. Made once, so that waiting does not allocate.
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
