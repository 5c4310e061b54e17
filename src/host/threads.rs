//! One scorer of requests per thread, behind one handle that all threads share.

use super::counters::{HostCounters, HostSnapshot};
use super::options::HostOptions;
use super::request_scorer::RequestScorer;
use super::scored::{PassReason, ScoredRequest};
use crate::engine::Engine;
use crate::table::Catalog;
use crate::traffic::{ClientId, random_seed};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Gives each thread that asks a [`RequestScorer`] of its own, for hosts whose framework makes the
/// threads. A thread keeps its scorer until it ends, or until it makes another one after the last
/// clone of this handle is gone.
///
/// Where requests move between threads, as on a work-stealing runtime, the windows of each thread
/// see a client in part: the manual's chapter on [traffic](crate::manual::traffic) has another way.
///
/// A thread's first call makes the scorer: it allocates and takes locks. No other call does.
#[derive(Debug, Clone)]
pub struct ThreadScorers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Engine,
    options: HostOptions,
    counters: Mutex<Counters>,
    /// Requests that came to no scorer, by position in [`PassReason::ALL`].
    passed: [AtomicU64; PassReason::ALL.len()],
}

/// The scorers of one thread, each with the handle that it is for.
type Scorers = Vec<(Weak<Shared>, RequestScorer)>;

/// What the threads count.
#[derive(Debug, Default)]
struct Counters {
    running: Vec<Arc<HostCounters>>,
    /// What scorers counted that are gone.
    gone: HostSnapshot,
}

thread_local! {
    /// Usually one: a process may have several handles.
    static SCORERS: RefCell<Scorers> = const { RefCell::new(Vec::new()) };
}

impl ThreadScorers {
    /// Makes a handle. Whether an engine can be asked with these options, as
    /// [`Engine::request_scorer`] says it, shows at each thread's first call: trouble there is
    /// [`PassReason::NoScorer`].
    pub fn new(engine: Engine, mut options: HostOptions) -> ThreadScorers {
        // One for all threads: a client that one of them scored may be finished on another.
        options.seed.get_or_insert_with(random_seed);
        ThreadScorers {
            shared: Arc::new(Shared {
                engine,
                options,
                counters: Mutex::default(),
                passed: Default::default(),
            }),
        }
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.shared.engine
    }

    /// Scores a request by one of the calls of this thread's scorer. Counts a request that comes
    /// to no scorer, and a panic of `call` outside of the scorer.
    pub fn score(&self, call: impl FnOnce(&mut RequestScorer) -> ScoredRequest) -> ScoredRequest {
        self.with(call).unwrap_or_else(|reason| {
            if let Some(counter) = self.shared.passed.get(reason as usize) {
                // Relaxed: a counter orders nothing.
                counter.fetch_add(1, Ordering::Relaxed);
            }
            ScoredRequest::from(reason)
        })
    }

    /// Notes the status that a client was answered with, on this thread.
    pub fn finish(&self, client: Option<ClientId>, status: u16) {
        if client.is_some() {
            let _ = self.with(|scorer| scorer.finish(client, status));
        }
    }

    /// Returns the known values of the row of this thread's last request, as
    /// [`facts`](super::facts) writes them; `None` if the thread has no scorer.
    pub fn last_facts(&self) -> Option<String> {
        let found = self.with(|scorer| super::facts(scorer.engine().schema(), scorer.row()));
        found.ok()
    }

    /// Returns the names behind a verdict; `None` if there are none.
    pub fn catalog_of(&self, scored: &ScoredRequest) -> Option<Arc<Catalog>> {
        let verdict = scored.verdict()?;
        let found = self.with(|scorer| scorer.catalog_of(verdict).cloned());
        found.ok().flatten()
    }

    /// Returns what all threads counted.
    pub fn stats(&self) -> HostSnapshot {
        let counters = self.shared.counters();
        let mut sum = counters.gone;
        counters.running.iter().for_each(|one| sum.add(one));
        for (passed, counter) in sum.passed.iter_mut().zip(&self.shared.passed) {
            let more = counter.load(Ordering::Relaxed);
            *passed = passed.saturating_add(more);
            sum.requests = sum.requests.saturating_add(more);
        }
        sum
    }

    /// Runs something on this thread's scorer, which is made where there is none.
    fn with<T>(&self, run: impl FnOnce(&mut RequestScorer) -> T) -> Result<T, PassReason> {
        let found = SCORERS.try_with(|scorers| {
            let mut scorers = scorers.try_borrow_mut().ok()?;
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let scorer = self.scorer(&mut scorers)?;
                Some(run(scorer))
            }));
            match caught {
                Ok(ran) => ran.map(Ok),
                Err(payload) => {
                    // To drop what a panic carries could panic again.
                    std::mem::forget(payload);
                    Some(Err(PassReason::Panic))
                }
            }
        });
        found.ok().flatten().unwrap_or(Err(PassReason::NoScorer))
    }

    fn scorer<'a>(&self, scorers: &'a mut Scorers) -> Option<&'a mut RequestScorer> {
        let shared = Arc::as_ptr(&self.shared);
        let at = match scorers.iter().position(|(of, _)| of.as_ptr() == shared) {
            Some(at) => at,
            None => self.add(scorers)?,
        };
        scorers.get_mut(at).map(|(_, scorer)| scorer)
    }

    /// Makes this thread's scorer; its position.
    #[cold]
    fn add(&self, scorers: &mut Scorers) -> Option<usize> {
        // A weak pointer keeps its address from being used again, until here.
        scorers.retain(|(of, _)| of.strong_count() > 0);
        let shared = &self.shared;
        let scorer = RequestScorer::new(&shared.engine, &shared.options).ok()?;
        let mut counters = shared.counters();
        counters.fold();
        counters.running.push(scorer.counters().clone());
        drop(counters);
        scorers.push((Arc::downgrade(shared), scorer));
        scorers.len().checked_sub(1)
    }
}

impl Counters {
    /// Adds up the counts of scorers that are gone, so that threads may come and go for ever.
    fn fold(&mut self) {
        let gone = &mut self.gone;
        self.running.retain_mut(|counters| {
            let last = Arc::get_mut(counters);
            if let Some(counters) = &last {
                gone.add(counters);
            }
            last.is_none()
        });
    }
}

impl Shared {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        // A scorer's counts are in one of the two places, or in both for as long as `fold` takes.
        let counters = self.counters.lock();
        counters.unwrap_or_else(PoisonError::into_inner)
    }
}
