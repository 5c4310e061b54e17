//! What threads count: each its own cache lines, summed by whoever asks.

use crate::policy::Action;
use hedgerow::stats::{Counter, Latency};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

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
            counter.add(1);
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
                registry.route(name, thread).actions[0].add(1);
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
