//! A pool of scoring threads, one a core, each behind a bounded lock-free ring.
//!
//! A host that has a thread a core scores inline with a [`Scorer`], which costs
//! less. The pool is for hosts whose threads move, and for throughput: a worker takes up to 64
//! rows out of its ring at once and scores them as a batch, so that it gets faster under load.

mod call;

pub use call::{Call, Pending};

use crate::engine::{Engine, Scorer};
use crate::epoch::NoSlot;
use crate::limits::{BATCH_ROWS_MAX, RING_MAX};
use crate::row::Row;
use crate::score::{NotScored, Reason, Verdict};
use crate::stats::ScorerStats;
use call::{Job, Reply, Sender};
use core_affinity::CoreId;
use crossbeam_queue::ArrayQueue;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::mpsc;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// How a pool is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Cores to work on, by number, one worker each; empty means all that this process may use.
    pub cores: Vec<usize>,
    /// Requests that a worker's ring holds, 1 to [`RING_MAX`]. A request that finds it full is
    /// `Overloaded`.
    pub ring: usize,
    /// Turns that an idle worker spins before it parks. A parked worker costs the next submit a
    /// system call; one that always spins (`u32::MAX`) costs a core.
    pub spins: u32,
}

impl Default for PoolOptions {
    fn default() -> PoolOptions {
        PoolOptions {
            cores: Vec::new(),
            ring: 256,
            spins: 2_000,
        }
    }
}

/// Why a pool did not start. Nothing of it is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A core that this process may not use, or that is not there.
    Core {
        /// The core asked for.
        core: usize,
        /// The cores that may be used.
        allowed: Vec<usize>,
    },
    /// The system refused to bind a thread to its core.
    Affinity {
        /// The core.
        core: usize,
    },
    /// A ring must hold 1 to [`RING_MAX`] requests.
    Ring {
        /// What was asked for.
        got: usize,
    },
    /// No thread could be made.
    Spawn(std::io::Error),
    /// All reader slots are taken.
    NoSlot(NoSlot),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::Core { core, allowed } => {
                write!(
                    f,
                    "expected cores of {allowed:?}, which this process may use, got {core}"
                )
            }
            PoolError::Affinity { core } => {
                write!(f, "the system refused to bind a thread to core {core}")
            }
            PoolError::Ring { got } => {
                write!(f, "expected a ring of 1 to {RING_MAX} requests, got {got}")
            }
            PoolError::Spawn(error) => write!(f, "expected a thread a core, got: {error}"),
            PoolError::NoSlot(full) => full.fmt(f),
        }
    }
}

impl std::error::Error for PoolError {}

/// Scoring threads, one a core. When it is dropped, it answers what it has accepted, and ends.
///
/// Threads do not survive a fork: a process that forks starts its pool afterwards, as it does with
/// its [`Engine`]. In a child of a pool's process no call is ever answered, and dropping the pool
/// there ends nothing.
#[derive(Debug)]
pub struct Pool {
    /// The process that the threads are in.
    process: u32,
    workers: Vec<Worker>,
    next: AtomicUsize,
}

/// The state of one worker. What it scored is in [`Engine::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStats {
    /// The core that it is bound to.
    pub core: usize,
    /// Requests in its ring.
    pub queued: usize,
    /// Requests that found the ring full.
    pub overloaded: u64,
}

#[derive(Debug)]
struct Worker {
    core: usize,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker's thread and those that submit to it share.
#[derive(Debug)]
struct Shared {
    ring: ArrayQueue<Job>,
    /// Set by a worker that is about to park.
    parked: AtomicBool,
    /// No longer accepts.
    closed: AtomicBool,
    /// No longer looks into its ring.
    ended: AtomicBool,
    /// Requests that found the ring full.
    overloaded: AtomicU64,
    /// Of the worker's scorer.
    stats: Arc<ScorerStats>,
    thread: std::sync::OnceLock<Thread>,
}

impl Pool {
    /// Starts one worker a core, each bound to its core.
    ///
    /// # Errors
    /// Where a core may not be used, the ring is empty, a thread cannot be made or bound, or no
    /// reader slot is free.
    pub fn start(engine: &Engine, options: &PoolOptions) -> Result<Pool, PoolError> {
        let got = options.ring;
        if !(1..=RING_MAX).contains(&got) {
            return Err(PoolError::Ring { got });
        }
        let mut pool = Pool {
            process: std::process::id(),
            workers: Vec::new(),
            next: AtomicUsize::new(0),
        };
        for core in chosen_cores(&options.cores)? {
            pool.workers.push(Worker::start(engine, core, options)?);
        }
        Ok(pool)
    }

    /// The cores that are worked on, by number.
    pub fn cores(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.core).collect()
    }

    /// A place for one request at a time, on the next worker in turn. `None` where the pool has
    /// no workers, which [`start`](Pool::start) does not allow.
    pub fn call(&self) -> Option<Call> {
        // Relaxed: which worker comes next orders nothing.
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(self.workers.len())?;
        self.workers
            .get(at)
            .map(|worker| Call::new(worker.shared.clone()))
    }

    /// The state of each worker now.
    pub fn stats(&self) -> Vec<WorkerStats> {
        let stats = |worker: &Worker| WorkerStats {
            core: worker.core,
            queued: worker.shared.ring.len(),
            // Relaxed: a counter orders nothing.
            overloaded: worker.shared.overloaded.load(Ordering::Relaxed),
        };
        self.workers.iter().map(stats).collect()
    }

    /// Stops accepting, answers what was accepted, and ends the threads. The same as to drop it.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // The threads are the parent's, and are not here to be joined.
            self.workers.drain(..).for_each(std::mem::forget);
        }
        for worker in &self.workers {
            worker.shared.close();
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                // A worker that panicked has answered its ring all the same.
                let _ = thread.join();
            }
        }
    }
}

/// The cores named, or all that this process may use.
fn chosen_cores(named: &[usize]) -> Result<Vec<CoreId>, PoolError> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    if named.is_empty() && !allowed.is_empty() {
        return Ok(allowed);
    }
    let find = |core: &usize| {
        allowed
            .iter()
            .find(|id| id.id == *core)
            .copied()
            .ok_or_else(|| PoolError::Core {
                core: *core,
                allowed: allowed.iter().map(|id| id.id).collect(),
            })
    };
    match named {
        [] => Err(PoolError::Core {
            core: 0,
            allowed: Vec::new(),
        }),
        named => named.iter().map(find).collect(),
    }
}

impl Worker {
    fn start(engine: &Engine, core: CoreId, options: &PoolOptions) -> Result<Worker, PoolError> {
        let scorer = engine.scorer().map_err(PoolError::NoSlot)?;
        let shared = Arc::new(Shared {
            ring: ArrayQueue::new(options.ring),
            parked: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            overloaded: AtomicU64::new(0),
            stats: scorer.counters(),
            thread: std::sync::OnceLock::new(),
        });
        let (bound, is_bound) = mpsc::channel();
        let (of_thread, spins) = (shared.clone(), options.spins);
        let work = move || {
            let _ends = Ends(&of_thread);
            let _ = of_thread.thread.set(thread::current());
            let ok = core_affinity::set_for_current(core);
            let _ = bound.send(ok);
            if ok {
                run(&of_thread, scorer, spins);
            }
        };
        let name = format!("hedgerow-{}", core.id);
        let thread = thread::Builder::new()
            .name(name)
            .spawn(work)
            .map_err(PoolError::Spawn)?;
        let worker = Worker {
            core: core.id,
            shared,
            thread: Some(thread),
        };
        match is_bound.recv() {
            Ok(true) => Ok(worker),
            _ => Err(PoolError::Affinity { core: core.id }),
        }
    }
}

/// Runs when a worker's thread ends, in whatever way: a request that was accepted always gets a
/// verdict.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        // Relaxed: ordered by the fence.
        self.0.closed.store(true, Ordering::Relaxed);
        self.0.ended.store(true, Ordering::Relaxed);
        // SeqCst: pairs with the fence in Call::submit. Either this thread sees a request, or the
        // one that submitted it sees that this thread has ended.
        fence(Ordering::SeqCst);
        self.0.answer_closed();
    }
}

impl Shared {
    fn closed(&self) -> bool {
        // Relaxed: whether a request just before the end is still accepted orders nothing.
        self.closed.load(Ordering::Relaxed)
    }

    fn ended(&self) -> bool {
        // Relaxed: ordered by the fences in Ends::drop and Call::submit.
        self.ended.load(Ordering::Relaxed)
    }

    fn count_overloaded(&self) {
        // Relaxed: a counter orders nothing.
        self.overloaded.fetch_add(1, Ordering::Relaxed);
        self.stats.count_turned_away();
    }

    fn close(&self) {
        // Relaxed: unpark orders it for a worker that is parked; one that is not looks again.
        self.closed.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Answers whatever is in the ring of a worker that has ended.
    fn answer_closed(&self) {
        while let Some(job) = self.ring.pop() {
            let reason = Reason::Closed;
            job.reply.put(&Verdict::NotScored(NotScored {
                reason,
                generation: 0,
            }));
        }
    }

    /// Wakes the worker if it is parked. Called behind a SeqCst fence that follows the push.
    fn wake(&self) {
        // Relaxed: ordered by the fences in Call::submit and rest.
        if self.parked.load(Ordering::Relaxed)
            && self.parked.swap(false, Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Parks the worker until there is something to do, or a tenth of a second.
    fn rest(&self) {
        self.parked.store(true, Ordering::Relaxed);
        // SeqCst: pairs with the fence in Call::submit. Either this thread sees the request, or
        // the one that submits sees that it is parked.
        fence(Ordering::SeqCst);
        if self.ring.is_empty() && !self.closed() {
            thread::park_timeout(Duration::from_millis(100));
        }
        self.parked.store(false, Ordering::Relaxed);
    }
}

/// A worker's life: drains its ring in batches until it is closed and empty.
fn run(shared: &Shared, mut scorer: Scorer, spins: u32) {
    let mut batch = Batch::new();
    let mut idle = 0u32;
    loop {
        if batch.fill(&shared.ring) {
            idle = 0;
            batch.score(&mut scorer);
        } else if shared.closed() {
            // What comes into the ring from now on is answered by Ends, or by who submits it.
            return;
        } else if idle < spins {
            idle = idle.saturating_add(1);
            std::hint::spin_loop();
        } else {
            shared.rest();
            idle = 0;
        }
    }
}

/// The rows that a worker scores together. Made once, when the worker starts.
struct Batch {
    rows: Vec<Row>,
    senders: Vec<Sender>,
    replies: Vec<(Arc<Reply>, Instant)>,
    verdicts: Vec<Verdict>,
}

impl Batch {
    fn new() -> Batch {
        let closed = Verdict::NotScored(NotScored {
            reason: Reason::Closed,
            generation: 0,
        });
        Batch {
            rows: Vec::with_capacity(BATCH_ROWS_MAX),
            senders: Vec::with_capacity(BATCH_ROWS_MAX),
            replies: Vec::with_capacity(BATCH_ROWS_MAX),
            verdicts: vec![closed; BATCH_ROWS_MAX],
        }
    }

    /// Takes up to 64 requests; whether there was one.
    fn fill(&mut self, ring: &ArrayQueue<Job>) -> bool {
        while self.rows.len() < BATCH_ROWS_MAX
            && let Some(Job {
                row,
                sender,
                submitted,
                reply,
            }) = ring.pop()
        {
            self.rows.push(row);
            self.senders.push(sender);
            self.replies.push((reply, submitted));
        }
        !self.rows.is_empty()
    }

    fn score(&mut self, scorer: &mut Scorer) {
        let sender = |at: usize| self.senders.get(at).and_then(Sender::client);
        scorer.score_batch_known(&self.rows, sender, &mut self.verdicts);
        for ((reply, submitted), verdict) in self.replies.drain(..).zip(&self.verdicts) {
            // Before the reply: whoever has the verdict may look at the counters.
            let nanos = u64::try_from(submitted.elapsed().as_nanos()).unwrap_or(u64::MAX);
            scorer.stats().latency.record(nanos);
            reply.put(verdict);
        }
        self.rows.clear();
        self.senders.clear();
    }
}
