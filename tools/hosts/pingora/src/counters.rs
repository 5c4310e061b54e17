//! What threads count: each its own cache lines, summed by whoever asks.

use crate::filter::Trouble;
use crate::policy::Action;
use hedgerow::stats::Latency;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A counter that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    #[inline]
    pub fn one(&self) {
        // Relaxed: a counter orders nothing. A load and a store, no locked instruction: one thread
        // writes it.
        let count = self.0.load(Ordering::Relaxed);
        self.0.store(count.wrapping_add(1), Ordering::Relaxed);
    }

    /// How many there were.
    pub fn get(&self) -> u64 {
        // Relaxed: a counter orders nothing.
        self.0.load(Ordering::Relaxed)
    }
}

/// What one thread of a [`Filter`](crate::Filter) counts beside its scorer.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct FilterCounters {
    /// Requests that came to the filter.
    pub requests: Counter,
    /// Requests that went on without being scored, by position in [`Trouble::ALL`].
    pub troubles: [Counter; Trouble::ALL.len()],
    /// Calls that took longer than the budget.
    pub late: Counter,
    /// How often the breaker opened.
    pub opened: Counter,
}

/// A sum of [`FilterCounters`], and of the requests that found no scorer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilterSnapshot {
    /// Threads that have judged a request.
    pub threads: usize,
    /// Requests that came to the filter.
    pub requests: u64,
    /// Requests that went on without being scored, by position in [`Trouble::ALL`].
    pub troubles: [u64; Trouble::ALL.len()],
    /// Calls that took longer than the budget.
    pub late: u64,
    /// How often a breaker opened.
    pub opened: u64,
}

impl FilterSnapshot {
    /// Adds a thread's counts.
    pub fn add(&mut self, counters: &FilterCounters) {
        self.threads = self.threads.saturating_add(1);
        self.requests = self.requests.saturating_add(counters.requests.get());
        for (sum, counter) in self.troubles.iter_mut().zip(&counters.troubles) {
            *sum = sum.saturating_add(counter.get());
        }
        self.late = self.late.saturating_add(counters.late.get());
        self.opened = self.opened.saturating_add(counters.opened.get());
    }

    /// Each trouble that a filter can count, and how often it was.
    pub fn troubles(&self) -> impl Iterator<Item = (Trouble, u64)> {
        let counted = Trouble::ALL.iter().copied().zip(self.troubles);
        counted.filter(|(trouble, _)| *trouble != Trouble::NotAsked)
    }
}

/// What one thread of the proxy counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ThreadCounters {
    /// The thread's number among those of the proxy.
    pub number: u64,
    /// The core that the thread is bound to, where it is.
    pub core: Option<usize>,
    /// Answered requests by the hundreds of their status; at 0 those that got none.
    pub statuses: [Counter; STATUSES],
    /// Lines that the access log had no room for.
    pub unlogged: Counter,
    /// From the request's head to the end of its answer.
    pub latency: Latency,
}

/// Hundreds of a status, and 0 for none.
pub const STATUSES: usize = 6;

impl ThreadCounters {
    /// Counts an answer; 0 is none.
    #[inline]
    pub fn status(&self, status: u16) {
        let hundreds = usize::from(status / 100);
        let place = self.statuses.get(hundreds).or(self.statuses.first());
        if let Some(counter) = place {
            counter.one();
        }
    }
}

/// What one thread counts of one route.
#[derive(Debug, Default)]
pub struct RouteCounters {
    /// Decisions by position in [`Action::ALL`].
    pub actions: [Counter; Action::ALL.len()],
}

/// What all threads of a proxy count.
#[derive(Debug, Default)]
pub struct Registry {
    threads: Mutex<Vec<Arc<ThreadCounters>>>,
    /// By the route's name and the thread's number.
    routes: Mutex<BTreeMap<(String, u64), Arc<RouteCounters>>>,
}

impl Registry {
    /// Counters for a thread.
    pub fn thread(&self, core: Option<usize>) -> Arc<ThreadCounters> {
        let mut threads = locked(&self.threads);
        let counters = Arc::new(ThreadCounters {
            number: threads.len() as u64,
            core,
            ..ThreadCounters::default()
        });
        threads.push(counters.clone());
        counters
    }

    /// Counters of one thread for a route: the same for each policy that has one of this name, so
    /// that policies may come for ever.
    pub fn route(&self, name: &str, thread: u64) -> Arc<RouteCounters> {
        let mut routes = locked(&self.routes);
        routes.entry((name.into(), thread)).or_default().clone()
    }

    /// The counters of all threads.
    pub fn threads(&self) -> Vec<Arc<ThreadCounters>> {
        locked(&self.threads).clone()
    }

    /// Decisions by route, over all threads.
    pub fn routes(&self) -> BTreeMap<String, [u64; Action::ALL.len()]> {
        let mut sums = BTreeMap::new();
        for ((name, _), route) in locked(&self.routes).iter() {
            let sum = sums.entry(name.clone()).or_insert([0u64; _]);
            for (sum, counter) in sum.iter_mut().zip(&route.actions) {
                *sum = sum.saturating_add(counter.get());
            }
        }
        sums
    }
}

/// A push or an entry is whole or not there, whoever panicked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_one_name_are_counted_on_for_each_thread() {
        let registry = Registry::default();
        for _ in 0..100 {
            for (name, thread) in [("a", 0), ("a", 1), ("b", 0)] {
                registry.route(name, thread).actions[0].one();
            }
        }
        assert_eq!(locked(&registry.routes).len(), 3);
        let sums: Vec<_> = registry.routes().into_iter().collect();
        let [(a, of_a), (b, of_b)] = &sums[..] else {
            panic!("{sums:?}");
        };
        assert_eq!(
            (a.as_str(), of_a[0], b.as_str(), of_b[0]),
            ("a", 200, "b", 100)
        );
    }
}
