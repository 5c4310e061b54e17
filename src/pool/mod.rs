//! A pool of scoring threads, one per core, each with a bounded lock-free ring.
//!
//! A host with one thread per core scores inline with a [`Scorer`], which costs less. The pool is
//! for hosts whose threads move, and for throughput: a worker takes up to 64 rows from its ring at
//! once and scores them as a batch, so that it gets faster under load.

mod call;
mod reply;

pub use call::{Call, Pending};

use crate::engine::{Engine, Scorer};
use crate::epoch::NoSlot;
use crate::limits::{BATCH_ROWS_MAX, RING_MAX};
use crate::row::Row;
use crate::score::{NotScored, Reason, Verdict};
use crate::stats::ScorerStats;
use call::{Job, Sender};
use crossbeam_queue::ArrayQueue;
use reply::Reply;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::mpsc;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

/// The options of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolOptions {
    /// Cores to work on, by number, one worker each. Empty means all that this process may use.
    pub cores: Vec<usize>,
    /// Requests that a worker's ring holds, 1 to [`RING_MAX`]. A request that finds it full is
    /// `Overloaded`.
    pub ring: usize,
    /// Turns that an idle worker spins before it parks. Waking a parked worker costs the next
    /// submit a system call; a worker that always spins (`u32::MAX`) occupies its core.
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

/// Error of [`Pool::start`]. No thread of the pool is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A core that this process may not use, or that does not exist.
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
        /// The number asked for.
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
                    "core {core} cannot be used: this process may use the cores {allowed:?}"
                )
            }
            PoolError::Affinity { core } => {
                write!(f, "cannot bind a thread to core {core}: the system refused")
            }
            PoolError::Ring { got } => {
                write!(f, "expected a ring of 1 to {RING_MAX} requests, got {got}")
            }
            PoolError::Spawn(error) => write!(f, "cannot spawn a worker thread: {error}"),
            PoolError::NoSlot(full) => full.fmt(f),
        }
    }
}

impl std::error::Error for PoolError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PoolError::Spawn(error) => Some(error),
            PoolError::NoSlot(full) => Some(full),
            PoolError::Core { .. } | PoolError::Affinity { .. } | PoolError::Ring { .. } => None,
        }
    }
}

impl From<NoSlot> for PoolError {
    fn from(full: NoSlot) -> PoolError {
        PoolError::NoSlot(full)
    }
}

/// Scoring threads, one per core. A dropped pool answers the requests that it accepted, and ends.
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

/// The state of one worker. The rows that it scored are in [`Engine::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

/// The parts that a worker's thread and the submitting threads share.
#[derive(Debug)]
struct Shared {
    ring: ArrayQueue<Job>,
    /// Set by a worker that is about to park.
    parked: AtomicBool,
    /// No longer accepts.
    closed: AtomicBool,
    /// No longer reads its ring.
    ended: AtomicBool,
    /// Requests that found the ring full.
    overloaded: AtomicU64,
    /// Of the worker's scorer.
    stats: Arc<ScorerStats>,
    thread: std::sync::OnceLock<Thread>,
}

impl Pool {
    /// Starts one worker per core, each bound to its core.
    ///
    /// # Errors
    /// See [`PoolError`].
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

    /// Returns the cores of the workers, by number.
    pub fn cores(&self) -> Vec<usize> {
        self.workers.iter().map(|worker| worker.core).collect()
    }

    /// Makes a place for one request at a time, on the next worker in turn. Returns `None` if the
    /// pool has no workers, which [`start`](Pool::start) does not allow.
    pub fn call(&self) -> Option<Call> {
        // Relaxed: which worker comes next orders nothing.
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(self.workers.len())?;
        self.workers
            .get(at)
            .map(|worker| Call::new(worker.shared.clone()))
    }

    /// Returns the state of each worker now.
    pub fn stats(&self) -> Vec<WorkerStats> {
        let stats = |worker: &Worker| WorkerStats {
            core: worker.core,
            queued: worker.shared.ring.len(),
            // Relaxed: a counter orders nothing.
            overloaded: worker.shared.overloaded.load(Ordering::Relaxed),
        };
        self.workers.iter().map(stats).collect()
    }

    /// Stops accepting, answers the requests that were accepted, and ends the threads. Dropping the
    /// pool does the same.
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

/// Returns the cores named, or all that this process may use.
fn chosen_cores(named: &[usize]) -> Result<Vec<usize>, PoolError> {
    let set = sched_getaffinity(None).unwrap_or_default();
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|core| set.is_set(*core))
        .collect();
    let missing = match named {
        [] if allowed.is_empty() => Some(0),
        [] => return Ok(allowed),
        named => named.iter().copied().find(|core| !allowed.contains(core)),
    };
    match missing {
        Some(core) => Err(PoolError::Core { core, allowed }),
        None => Ok(named.to_vec()),
    }
}

/// Binds this thread to a core. Returns `false` if the system refuses.
fn bind(core: usize) -> bool {
    let mut set = CpuSet::new();
    if core < CpuSet::MAX_CPU {
        set.set(core);
    }
    sched_setaffinity(None, &set).is_ok()
}

impl Worker {
    fn start(engine: &Engine, core: usize, options: &PoolOptions) -> Result<Worker, PoolError> {
        let scorer = engine.scorer()?;
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
            let ok = bind(core);
            let _ = bound.send(ok);
            if ok {
                run(&of_thread, scorer, spins);
            }
        };
        let name = format!("hedgerow-{}", core);
        let thread = thread::Builder::new()
            .name(name)
            .spawn(work)
            .map_err(PoolError::Spawn)?;
        let worker = Worker {
            core,
            shared,
            thread: Some(thread),
        };
        match is_bound.recv() {
            Ok(true) => Ok(worker),
            _ => Err(PoolError::Affinity { core }),
        }
    }
}

/// Runs when a worker's thread ends, also by a panic: a request that was accepted always gets a
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

    /// Answers the requests in the ring of a worker that has ended.
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
            // Requests that enter the ring from now on are answered by Ends, or by the submitter.
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

    /// Takes up to 64 requests. Returns `true` if there was one.
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
            // Before the reply: the host may read the counters once it has the verdict.
            let nanos = u64::try_from(submitted.elapsed().as_nanos()).unwrap_or(u64::MAX);
            scorer.stats().latency.record(nanos);
            reply.put(verdict);
        }
        self.rows.clear();
        self.senders.clear();
    }
}
