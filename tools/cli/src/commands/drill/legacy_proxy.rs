//! A stand-in of the design that failed, after the two proxies of that day's report.
//!
//! Its loader keeps a file of features as it comes. For each request the names of the file are
//! looked up and their values appended to a buffer that is preallocated for 200, which is where the
//! bound is checked. The newer proxy unwraps the error in a worker thread, which dies; a supervisor
//! starts another one a second later, and what is sent to a dead thread, or waits for it, is lost.
//! The older proxy takes the error for the score 0, which a rule `score < 30` matches.

use crate::failure::Failure;
use crate::harness::source::Work;
use crate::harness::tally::{BLOCKED_BELOW, Expected};
use hedgerow::table::format::{FeatureRecord, HEADER_BYTES, Header};
use hedgerow::{PreparedTable, Row, Schema, Table};
use serde::Serialize;
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
    pub positions: Vec<Option<u8>>,
    pub model: Arc<PreparedTable>,
}

impl Loaded {
    /// Takes the file as it is. The model is the file's own if it has a usable one, else the one
    /// that ran before.
    pub fn unchecked(
        bytes: &[u8],
        schema: &Schema,
        before: Option<&Arc<PreparedTable>>,
    ) -> Option<Loaded> {
        let own = Table::from_bytes(bytes).and_then(|table| PreparedTable::new(table, schema));
        let model = own.map(Arc::new).ok().or(before.cloned())?;
        let header: Header = bytemuck::pod_read_unaligned(bytes.get(..HEADER_BYTES)?);
        let records = bytes.get(header.offsets[0] as usize..)?;
        let records = records.chunks_exact(size_of::<FeatureRecord>());
        let position = |record: &[u8]| {
            let record: FeatureRecord = bytemuck::pod_read_unaligned(record);
            let name = record.name.get(..usize::from(record.name_bytes))?;
            schema.index_of(std::str::from_utf8(name).ok()?)
        };
        let positions = records
            .take(header.counts[0] as usize)
            .map(position)
            .collect();
        Some(Loaded { positions, model })
    }
}

/// The first file that both designs run on.
pub fn first(bytes: &[u8], schema: &Schema) -> Result<Arc<Loaded>, Failure> {
    let loaded = Loaded::unchecked(bytes, schema, None);
    let refused = || Failure::new("drill", "table", "one that the stand-in can run", "another");
    loaded.map(Arc::new).ok_or_else(refused)
}

/// The buffer is full.
#[derive(Debug)]
#[expect(dead_code, reason = "the message of the panic shows it")]
struct TooManyFeatures {
    capacity: usize,
}

/// Appends a value, if there is room.
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
        append(
            buffer,
            position.map_or(f32::NAN, |position| row.get(position)),
        )?;
    }
    let row = loaded.model.row(buffer);
    let margin = loaded.model.margin(&row);
    Ok(loaded.model.scored(&row, margin, 0).score.get())
}

/// What became of requests, and of threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that got an answer.
    pub requests_served: u64,
    /// Those that a dead thread took with it, or that were sent to one.
    pub requests_lost: u64,
    pub threads_died: u64,
    pub threads_restarted: u64,
    /// Requests with the score 0 in place of an error.
    pub scored_zero: u64,
    /// Humans whom the rule blocked, and would not block under either good table.
    pub humans_blocked: u64,
}

impl Counts {
    /// What was added since.
    pub fn since(&self, before: &Counts) -> Counts {
        Counts {
            requests_served: self.requests_served - before.requests_served,
            requests_lost: self.requests_lost - before.requests_lost,
            threads_died: self.threads_died - before.threads_died,
            threads_restarted: self.threads_restarted - before.threads_restarted,
            scored_zero: self.scored_zero - before.scored_zero,
            humans_blocked: self.humans_blocked - before.humans_blocked,
        }
    }
}

/// One of the two designs at work.
pub struct StandIn {
    design: Design,
    loaded: Mutex<Arc<Loaded>>,
    counts: Mutex<Counts>,
}

/// A worker, or the place of a dead one.
struct Worker<'scope> {
    alive: Option<(Sender<usize>, ScopedJoinHandle<'scope, ()>)>,
    died: Instant,
    sent: u64,
    answered: Arc<AtomicU64>,
}

/// Nothing panics while a value is held.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl StandIn {
    /// With a first file.
    pub fn new(design: Design, loaded: Arc<Loaded>) -> StandIn {
        StandIn {
            design,
            loaded: Mutex::new(loaded),
            counts: Mutex::default(),
        }
    }

    /// Takes a new file.
    pub fn load(&self, loaded: Arc<Loaded>) {
        *held(&self.loaded) = loaded;
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        *held(&self.counts)
    }

    /// Sends requests to so many workers, and starts those again that died, until the flag is
    /// raised.
    pub fn run<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        work: &'env Work,
        expected: &'env Expected,
        workers: usize,
        stop: &AtomicBool,
    ) {
        let start = || self.start(scope, work, expected);
        let mut workers: Vec<Worker<'scope>> = (0..workers).map(|_| start()).collect();
        let mut next = (0..work.count()).cycle();
        while !stop.load(Ordering::Relaxed) {
            for worker in &mut workers {
                for index in next.by_ref().take(BURST) {
                    self.send(worker, index);
                }
                match &worker.alive {
                    Some((_, handle)) if handle.is_finished() => self.bury(worker),
                    None if worker.died.elapsed() >= RESTART => {
                        *worker = start();
                        held(&self.counts).threads_restarted += 1;
                    }
                    _ => {}
                }
            }
            thread::sleep(PACE);
        }
        workers.iter_mut().for_each(|worker| self.bury(worker));
    }

    fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        work: &'env Work,
        expected: &'env Expected,
    ) -> Worker<'scope> {
        let (sender, requests) = channel();
        let answered = Arc::new(AtomicU64::new(0));
        let count = answered.clone();
        let serve = move || self.serve(work, expected, &requests, &count);
        let handle = thread::Builder::new()
            .name(THREAD.into())
            .spawn_scoped(scope, serve);
        Worker {
            // If the system gives no thread, this one is dead for another second.
            alive: handle.ok().map(|handle| (sender, handle)),
            died: Instant::now(),
            sent: 0,
            answered,
        }
    }

    /// The thread that scores.
    fn serve(
        &self,
        work: &Work,
        expected: &Expected,
        requests: &Receiver<usize>,
        answered: &AtomicU64,
    ) {
        let mut row = Row::MISSING;
        let mut buffer = Vec::with_capacity(CAPACITY);
        for index in requests {
            let loaded = held(&self.loaded).clone();
            work.fill(index, &mut row);
            let scored = score(&loaded, &row, &mut buffer);
            let is_error = scored.is_err();
            let score = match self.design {
                // The line of that day.
                Design::New => scored.unwrap(),
                Design::Old => scored.unwrap_or_default(),
            };
            let mut counts = held(&self.counts);
            counts.scored_zero += u64::from(is_error);
            let blocked = score < BLOCKED_BELOW && expected.innocent[index];
            counts.humans_blocked += u64::from(blocked);
            counts.requests_served += 1;
            // Relaxed: read after the thread was joined.
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn send(&self, worker: &mut Worker<'_>, index: usize) {
        match &worker.alive {
            Some((sender, _)) if sender.send(index).is_ok() => worker.sent += 1,
            _ => held(&self.counts).requests_lost += 1,
        }
    }

    /// Waits for a thread's end; what it was sent and did not answer is lost.
    fn bury(&self, worker: &mut Worker<'_>) {
        let Some((sender, handle)) = worker.alive.take() else {
            return;
        };
        drop(sender);
        let died = handle.join().is_err();
        let mut counts = held(&self.counts);
        counts.threads_died += u64::from(died);
        counts.requests_lost += worker.sent - worker.answered.load(Ordering::Relaxed);
        worker.died = Instant::now();
    }
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send + 'static>;

/// As long as it lives, panics of the stand-in's threads are kept instead of printed; those of all
/// other threads are reported as before.
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
            let said = info.payload().downcast_ref::<String>().cloned();
            held(&kept).get_or_insert_with(|| said.unwrap_or_else(|| "a panic".into()));
        }));
        Quiet { previous, first }
    }

    /// The message of the first one.
    pub fn first(&self) -> Option<String> {
        held(&self.first).clone()
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
