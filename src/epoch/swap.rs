//! The publisher's side of the swap: publishing, retiring, reclaiming.

use crate::limits::{READERS_MAX, RETIRED_MAX};
use crate::probe;
use crate::sync::{
    Arc, AtomicBool, AtomicPtr, AtomicU64, Mutex, MutexGuard, Ordering, fence, membarrier,
};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::ptr;

/// The value of a slot whose reader is outside.
pub(super) const OUTSIDE: u64 = 0;

/// A value that readers use while it is being replaced.
#[derive(Debug)]
pub struct Swap<T> {
    pub(super) live: CachePadded<Live<T>>,
    pub(super) slots: Box<[CachePadded<Slot>]>,
    pub(super) barrier: Barrier,
    /// Values that were replaced, each with the epoch that it was retired under. The lock is
    /// between publishers; no reader takes it, or reads its cache line.
    retired: CachePadded<Mutex<Retired<T>>>,
}

type Retired<T> = Vec<(u64, Box<T>)>;

/// The fields that a publish changes: one cache line, so that a reader misses once for each
/// publish.
#[derive(Debug)]
pub(super) struct Live<T> {
    pub(super) epoch: AtomicU64,
    pub(super) current: AtomicPtr<T>,
}

/// One reader's place.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) entered: AtomicU64,
    pub(super) taken: AtomicBool,
}

/// How a reclaim makes sure that it sees every reader that is inside. Decided once for a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Barrier {
    /// Readers run a fence when they enter (E1). Works everywhere.
    Fence,
    /// The reclaim makes the kernel run a barrier in every thread (E2). Linux; readers run none.
    Membarrier,
}

/// Error of a publish while too many replaced values are still in use. The running value stays. A
/// reader that the system preempted during a request is inside, too: publish again a little later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredFull {
    /// The bound, [`RETIRED_MAX`].
    pub max: usize,
}

impl fmt::Display for RetiredFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        write!(
            f,
            "cannot publish: {max} replaced values are still in use (a reader is stuck, or \
             membarrier failed); retry later"
        )
    }
}

impl std::error::Error for RetiredFull {}

impl<T> Swap<T> {
    /// Creates a swap without a value, with room for this many readers (at most [`READERS_MAX`])
    /// and the barrier that costs readers least here.
    pub fn new(readers: usize) -> Arc<Swap<T>> {
        Swap::with_barrier(readers, Barrier::Membarrier)
    }

    /// Creates a swap with this barrier, or with the fence if the kernel has no other. For tests,
    /// measurements, and hosts that enter a sandbox without `membarrier` later.
    pub fn with_barrier(readers: usize, barrier: Barrier) -> Arc<Swap<T>> {
        let barrier = match barrier {
            Barrier::Membarrier if membarrier::register() => Barrier::Membarrier,
            _ => Barrier::Fence,
        };
        let slot = || {
            CachePadded::new(Slot {
                entered: AtomicU64::new(OUTSIDE),
                taken: AtomicBool::new(false),
            })
        };
        Arc::new(Swap {
            live: CachePadded::new(Live {
                epoch: AtomicU64::new(1),
                current: AtomicPtr::new(ptr::null_mut()),
            }),
            slots: (0..readers.min(READERS_MAX)).map(|_| slot()).collect(),
            barrier,
            retired: CachePadded::new(Mutex::new(Vec::with_capacity(RETIRED_MAX))),
        })
    }

    /// Publishes the value that `make` builds for its epoch, and reclaims retired values. Returns
    /// the epoch. Readers that enter from now on get the value.
    ///
    /// # Errors
    /// `RetiredFull` if [`RETIRED_MAX`] values are retired; `make` is not called then.
    pub fn publish(&self, make: impl FnOnce(u64) -> Box<T>) -> Result<u64, RetiredFull> {
        let mut retired = self.lock();
        if retired.len() >= RETIRED_MAX {
            self.drop_unseen(&mut retired);
        }
        if retired.len() >= RETIRED_MAX {
            return Err(RetiredFull { max: RETIRED_MAX });
        }
        // Relaxed: only publishers write it, and they hold the lock.
        let epoch = self.live.epoch.load(Ordering::Relaxed);
        let value = Box::into_raw(make(epoch));
        // Release: the value's contents before its address; pairs with the Acquire in enter.
        let old = self.live.current.swap(value, Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: E1. `old` came from Box::into_raw in an earlier publish, and the swap above
            // took it out of `current`, so that this is its only owner; it is not dropped before
            // drop_unseen finds that no reader can hold it.
            retired.push((epoch, unsafe { Box::from_raw(old) }));
        }
        // Release: pairs with the Acquire in enter; whoever sees this epoch sees the swap.
        let next = epoch.saturating_add(1);
        self.live.epoch.store(next, Ordering::Release);
        probe::publish(next);
        self.drop_unseen(&mut retired);
        Ok(epoch)
    }

    /// Drops the retired values that no reader can hold. Returns the number that still wait.
    pub fn reclaim(&self) -> usize {
        let mut retired = self.lock();
        self.drop_unseen(&mut retired);
        retired.len()
    }

    /// Returns the number of retired values that were not reclaimed.
    pub fn retired(&self) -> usize {
        self.lock().len()
    }

    /// Returns the barrier in use.
    pub fn barrier(&self) -> Barrier {
        self.barrier
    }

    fn lock(&self) -> MutexGuard<'_, Retired<T>> {
        // A publisher that panicked in `make` or in a value's drop left the list whole.
        self.retired
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn drop_unseen(&self, retired: &mut Retired<T>) {
        if retired.is_empty() {
            return;
        }
        match self.barrier {
            // SeqCst: pairs with the fence in enter, see E1.
            Barrier::Fence => fence(Ordering::SeqCst),
            // Pairs with the compiler's fence in enter, see E2.
            Barrier::Membarrier if membarrier::everywhere() => {}
            Barrier::Membarrier => return,
        }
        let mut least = u64::MAX;
        for slot in &self.slots {
            // Acquire: pairs with the Releases in Guard::drop and enter, so that a reader's last
            // use of a value comes before its drop.
            let entered = slot.entered.load(Ordering::Acquire);
            if entered != OUTSIDE {
                least = least.min(entered);
            }
        }
        retired.retain(|(epoch, _)| *epoch >= least);
        probe::reclaim(retired.len());
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        // Relaxed: readers hold the swap by Arc, so that none is left.
        let current = self.live.current.swap(ptr::null_mut(), Ordering::Relaxed);
        if !current.is_null() {
            // SAFETY: E1. `current` came from Box::into_raw in publish, and no reader is left.
            drop(unsafe { Box::from_raw(current) });
        }
    }
}

// SAFETY: E1. The raw pointer in `current` is an owned box of T, shared with readers on other
// threads as &T (hence T: Sync) and dropped on the publisher's (hence T: Send).
unsafe impl<T: Send + Sync> Sync for Swap<T> {}
// SAFETY: E1, as above: the swap owns its values.
unsafe impl<T: Send + Sync> Send for Swap<T> {}
