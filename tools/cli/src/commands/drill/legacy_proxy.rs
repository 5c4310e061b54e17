//! A stand-in of the design that failed, after the two proxies of that day's report.
//!
//! Its loader keeps a file of features as it comes. For each request the names of the file are
//! looked up and their values appended to a buffer that is preallocated for 200, which is where the
//! bound is checked. The newer proxy unwraps the error in a worker thread, which dies; a supervisor
//! starts another one a second later, and what is sent to a dead thread, or waits for it, is lost.
//! The older proxy takes the error for the score 0, which a rule `score < 30` matches.

use crate::failure::Failure;
use crate::harness::worker::{BLOCKED_BELOW, Job};
use hedgerow::http::extract;
use hedgerow::table::format::{FeatureRecord, HEADER_BYTES, Header};
use hedgerow::{PreparedTable, Row, Schema, Table};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Features that it has room for.
pub const CAPACITY: usize = 200;

/// How long a dead thread stays dead.
const RESTART: Duration = Duration::from_secs(1);

/// Requests sent to each worker, every so often.
const BURST: usize = 4;
const PACE: Duration = Duration::from_millis(2);

/// The name of its threads, by which the panic hook knows them.
const THREAD: &str = "stand-in";

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// It unwraps.
    New,
    /// It scores 0.
    Old,
}

/// A feature file as the loader keeps it, and the model that runs on it.
pub struct Loaded {
    /// Where the host finds the value of each feature of the file, in its order.
    positions: Vec<Option<u8>>,
    model: Arc<PreparedTable>,
}

impl Loaded {
    /// Takes the file as it is. The model is the file's own where it has a usable one, else the
    /// one that ran before.
    pub fn unchecked(
        bytes: &[u8],
        schema: &Schema,
        before: Option<&Arc<PreparedTable>>,
    ) -> Option<Loaded> {
        let own = Table::from_bytes(bytes).and_then(|table| PreparedTable::new(table, schema));
        let model = own.map(Arc::new).ok().or(before.cloned())?;
        let header: Header = bytemuck::pod_read_unaligned(bytes.get(..HEADER_BYTES)?);
        let records = bytes.get(header.offsets[0] as usize..)?;
        let size = size_of::<FeatureRecord>();
        let names = records
            .chunks_exact(size)
            .take(header.counts[0] as usize)
            .map(|record| {
                let record: FeatureRecord = bytemuck::pod_read_unaligned(record);
                let name = record.name.get(..usize::from(record.name_bytes))?;
                schema.index_of(std::str::from_utf8(name).ok()?)
            });
        Some(Loaded {
            positions: names.collect(),
            model,
        })
    }

    /// Features of the file.
    pub fn features(&self) -> usize {
        self.positions.len()
    }

    /// The model.
    pub fn model(&self) -> &Arc<PreparedTable> {
        &self.model
    }
}

/// The buffer is full.
#[derive(Debug)]
#[expect(dead_code, reason = "the message of the panic shows it")]
struct TooManyFeatures {
    capacity: usize,
}

/// Appends a value, where there is room.
fn append(buffer: &mut Vec<f32>, value: f32) -> Result<(), TooManyFeatures> {
    if buffer.len() == CAPACITY {
        return Err(TooManyFeatures { capacity: CAPACITY });
    }
    buffer.push(value);
    Ok(())
}

fn score(loaded: &Loaded, row: &Row, buffer: &mut Vec<f32>) -> Result<u8, TooManyFeatures> {
    buffer.clear();
    for position in &loaded.positions {
        let value = position.map_or(f32::NAN, |position| row.get(position));
        append(buffer, value)?;
    }
    let row = loaded.model.row(buffer);
    let margin = loaded.model.margin(&row);
    Ok(loaded.model.scored(&row, margin, 0).score.get())
}

/// What became of requests, and of threads.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that were sent.
    pub sent: AtomicU64,
    /// Those that got an answer.
    pub answered: AtomicU64,
    /// Those that a dead thread took with it, or that were sent to one.
    pub lost: AtomicU64,
    /// Those with the score 0 in place of an error.
    pub zeros: AtomicU64,
    /// Humans whom the rule blocked, and would not block under either good table.
    pub blocked: AtomicU64,
    /// Threads that died.
    pub panics: AtomicU64,
    /// Threads that were started again.
    pub restarts: AtomicU64,
}

/// The numbers at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// As in [`Counts`].
    pub answered: u64,
    /// As in [`Counts`].
    pub lost: u64,
    /// As in [`Counts`].
    pub zeros: u64,
    /// As in [`Counts`].
    pub blocked: u64,
    /// As in [`Counts`].
    pub panics: u64,
    /// As in [`Counts`].
    pub restarts: u64,
}

impl Counts {
    /// The numbers now.
    pub fn now(&self) -> Snapshot {
        // Relaxed, here and below: counters for show, or read after the threads were joined.
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Snapshot {
            answered: of(&self.answered),
            lost: of(&self.lost),
            zeros: of(&self.zeros),
            blocked: of(&self.blocked),
            panics: of(&self.panics),
            restarts: of(&self.restarts),
        }
    }
}

impl Snapshot {
    /// What came since.
    pub fn since(&self, before: &Snapshot) -> Snapshot {
        Snapshot {
            answered: self.answered - before.answered,
            lost: self.lost - before.lost,
            zeros: self.zeros - before.zeros,
            blocked: self.blocked - before.blocked,
            panics: self.panics - before.panics,
            restarts: self.restarts - before.restarts,
        }
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// One of the two designs at work.
pub struct StandIn {
    design: Design,
    loaded: Mutex<Arc<Loaded>>,
    /// What happened so far.
    pub counts: Counts,
}

/// A worker, or the place of a dead one.
struct Worker<'scope> {
    alive: Option<(Sender<usize>, ScopedJoinHandle<'scope, ()>)>,
    died: Instant,
    sent: u64,
    answered: Arc<AtomicU64>,
}

impl StandIn {
    /// With a first file.
    pub fn new(design: Design, loaded: Arc<Loaded>) -> StandIn {
        StandIn {
            design,
            loaded: Mutex::new(loaded),
            counts: Counts::default(),
        }
    }

    /// A new file has come.
    pub fn load(&self, loaded: Arc<Loaded>) {
        *self.current() = loaded;
    }

    fn current(&self) -> MutexGuard<'_, Arc<Loaded>> {
        // Nothing panics while it is held.
        self.loaded
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Sends requests to as many workers, and starts those again that died, until it is told to
    /// stop.
    pub fn run<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        job: &'env Job<'env>,
        workers: usize,
        stop: &AtomicBool,
    ) {
        let mut workers: Vec<Worker<'scope>> =
            (0..workers).map(|_| self.start(scope, job)).collect();
        let mut next = (0..job.requests.len()).cycle();
        while !stop.load(Ordering::Relaxed) {
            for worker in &mut workers {
                for index in next.by_ref().take(BURST) {
                    self.send(worker, index);
                }
                self.supervise(worker, scope, job);
            }
            thread::sleep(PACE);
        }
        for worker in &mut workers {
            self.bury(worker);
        }
    }

    fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        job: &'env Job<'env>,
    ) -> Worker<'scope> {
        let (sender, requests) = channel();
        let answered = Arc::new(AtomicU64::new(0));
        let count = answered.clone();
        let work = move || self.serve(job, &requests, &count);
        let named = thread::Builder::new().name(THREAD.into());
        let handle = named.spawn_scoped(scope, work);
        Worker {
            // Where the system gives no thread, this one is dead for another second.
            alive: handle.ok().map(|handle| (sender, handle)),
            died: Instant::now(),
            sent: 0,
            answered,
        }
    }

    /// The thread that scores.
    fn serve(&self, job: &Job<'_>, requests: &Receiver<usize>, answered: &AtomicU64) {
        let mut row = Row::MISSING;
        let mut buffer = Vec::with_capacity(CAPACITY);
        for index in requests {
            let loaded = self.current().clone();
            extract(&job.requests[index], &mut row);
            let scored = score(&loaded, &row, &mut buffer);
            let score = match self.design {
                // The line of that day.
                Design::New => scored.unwrap(),
                Design::Old => scored.unwrap_or_else(|_| {
                    add(&self.counts.zeros, 1);
                    0
                }),
            };
            if score < BLOCKED_BELOW && job.innocent[index] {
                add(&self.counts.blocked, 1);
            }
            add(&self.counts.answered, 1);
            add(answered, 1);
        }
    }

    fn send(&self, worker: &mut Worker<'_>, index: usize) {
        add(&self.counts.sent, 1);
        match &worker.alive {
            Some((sender, _)) if sender.send(index).is_ok() => worker.sent += 1,
            _ => add(&self.counts.lost, 1),
        }
    }

    fn supervise<'scope, 'env>(
        &'env self,
        worker: &mut Worker<'scope>,
        scope: &'scope Scope<'scope, 'env>,
        job: &'env Job<'env>,
    ) {
        match &worker.alive {
            Some((_, handle)) if handle.is_finished() => self.bury(worker),
            None if worker.died.elapsed() >= RESTART => {
                *worker = self.start(scope, job);
                add(&self.counts.restarts, 1);
            }
            _ => {}
        }
    }

    /// Waits for a thread's end; what it was sent and did not answer is lost.
    fn bury(&self, worker: &mut Worker<'_>) {
        let Some((sender, handle)) = worker.alive.take() else {
            return;
        };
        drop(sender);
        if handle.join().is_err() {
            add(&self.counts.panics, 1);
        }
        let answered = worker.answered.load(Ordering::Relaxed);
        add(&self.counts.lost, worker.sent - answered);
        worker.died = Instant::now();
    }
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send + 'static>;

/// As long as it lives, panics of the stand-in's threads are kept in place of being printed; those
/// of all other threads are told as before.
pub struct Quiet {
    previous: Arc<Hook>,
    first: Arc<Mutex<Option<String>>>,
}

impl Quiet {
    /// Sets the hook.
    pub fn new() -> Quiet {
        let previous: Arc<Hook> = Arc::new(panic::take_hook());
        let first = Arc::new(Mutex::new(None));
        let (others, kept) = (previous.clone(), first.clone());
        panic::set_hook(Box::new(move |info| {
            if thread::current().name() != Some(THREAD) {
                return others(info);
            }
            if let Ok(mut kept) = kept.lock() {
                let said = info.payload().downcast_ref::<String>().cloned();
                kept.get_or_insert_with(|| said.unwrap_or_else(|| "a panic".into()));
            }
        }));
        Quiet { previous, first }
    }

    /// What the first one said.
    pub fn first(&self) -> Option<String> {
        self.first.lock().ok()?.clone()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        let previous = self.previous.clone();
        panic::set_hook(Box::new(move |info| previous(info)));
    }
}

/// The first file that both designs run on.
pub fn first(bytes: &[u8], schema: &Schema) -> Result<Arc<Loaded>, Failure> {
    let loaded = Loaded::unchecked(bytes, schema, None);
    let refused = || Failure::new("drill", "table", "one that the stand-in can run", "another");
    loaded.map(Arc::new).ok_or_else(refused)
}
