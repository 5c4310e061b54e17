//! Swaps a shared value under readers that never wait: per-reader epoch slots.
//!
//! ## Definitions
//! - The **epoch** is a number that starts at 1 and grows by one with every publish. Each
//!   value has the one that it was published at; what a host calls a generation is another number.
//! - A **slot** belongs to one reader. It is 0 while the reader is outside, and else an epoch that
//!   was current when the reader entered, or earlier.
//! - A value is **retired** under the epoch that was current when another value took its place,
//!   and **reclaimed** (dropped) once no slot holds that epoch or an older one.
//!
//! ## Operations
//! ```text
//! enter                                publish(value)                     reclaim
//!   e = epoch                            old = current.swap(value)          barrier
//!   slot = e                             retire old under epoch             least = the smallest
//!   barrier                              epoch = epoch + 1                          slot but 0
//!   value = current                      reclaim                            drop what is retired
//! leave                                                                     under less than least
//!   slot = 0
//! ```
//!
//! ## Why no reader holds a value that was dropped (E1)
//! Take a reader that got the value `v` from `current`, and a reclaim that runs after `v` was
//! retired under epoch `r`. With [`Barrier::Fence`], both barriers are sequentially consistent
//! fences, which stand in one total order.
//! 1. The reclaim's fence comes first. The swap that took `v` away stands before that fence, so
//!    the reader's load after its own fence sees that swap or a later one: it did not get `v`.
//! 2. The reader's fence comes first. Its store to the slot stands before that fence, so the
//!    reclaim sees that store or a later one of the same slot. A later one means that the reader
//!    left, and no longer holds `v`. The store itself has some `e`. Had the reader read an epoch
//!    above `r`, it would have seen the increment that follows the swap, and with it (release,
//!    acquire) the swap: it would not have got `v`. So `e ≤ r`, `least ≤ r`, and `v` stays.
//!
//! ## The barrier that readers do not pay for (E2)
//! With [`Barrier::Membarrier`], the reader's barrier is the compiler's alone: its store to the
//! slot and its load of `current` stand in this order in the machine code, and the core may still
//! swap them. The reclaim's barrier is the system call `membarrier` (private, expedited): before
//! it returns, every thread of the process has passed a full barrier, by an interrupt where the
//! thread runs, by the scheduler's own barrier where it does not. So in each reader's
//! program there is a point `p`, within the call, with two properties: what the publisher did
//! before the call is seen by whatever the reader does after `p`, and what the reader did before
//! `p` is seen by whatever the publisher does after the call.
//! 1. `p` comes before the reader's load of `current`. The load sees the swap that took `v` away:
//!    the reader did not get `v`. This is case 1 of E1.
//! 2. `p` comes after that load, and so after the store to the slot. The reclaim sees that store
//!    or a later one of the same slot. This is case 2 of E1; the rest is the same.
//!
//! There is no third case: the point is a place between two instructions. A reclaim whose barrier
//! fails (a sandbox that came later and refuses the call) drops nothing: values pile up, visible
//! in [`Swap::retired`], until publishing is refused; no reader sees anything of it. Publishing
//! pays one interrupt for each core that runs a thread of the process; entering and leaving costs
//! a twelfth of what it costs with a fence, 1.4 against 17.6 ns (Xeon, 2 cores, KVM, 2026-11-23,
//! `cargo bench --bench swap`).
//!
//! Readers write only their own slot, a cache line of its own, and read two lines: one changes
//! only with a publish, the other never. Values are dropped only in [`Swap::publish`],
//! [`Swap::reclaim`] and when the whole swap goes: never by a reader, never by a time-out.
//!
//! ## What the compiler refuses
//! A reader belongs to one thread at a time: it can be sent, not shared.
//! ```
//! fn send<T: Send>() {}
//! send::<hedgerow::epoch::Reader<u8>>();
//! ```
//! ```compile_fail,E0277
//! fn share<T: Sync>() {}
//! share::<hedgerow::epoch::Reader<u8>>();
//! ```
//! A guard stays on the thread that entered.
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! send::<hedgerow::epoch::Guard<'static, u8>>();
//! ```
//! It does not outlive its reader,
//! ```compile_fail,E0505
//! let swap = hedgerow::epoch::Swap::<u8>::new(1);
//! let mut reader = swap.reader().unwrap();
//! let guard = reader.enter();
//! drop(reader);
//! drop(guard);
//! ```
//! a reader has one guard at a time,
//! ```compile_fail,E0499
//! let swap = hedgerow::epoch::Swap::<u8>::new(1);
//! let mut reader = swap.reader().unwrap();
//! let first = reader.enter();
//! let second = reader.enter();
//! drop((first, second));
//! ```
//! and no reference to the value outlives the guard.
//! ```compile_fail,E0597
//! let swap = hedgerow::epoch::Swap::<u8>::new(1);
//! let mut reader = swap.reader().unwrap();
//! let value: &u8 = {
//!     let guard = reader.enter().unwrap();
//!     &*guard
//! };
//! println!("{value}");
//! ```
//! Values that other threads may not see, or may not drop, cannot be shared at all.
//! ```compile_fail,E0277
//! fn share<T: Sync>() {}
//! share::<hedgerow::epoch::Swap<std::cell::Cell<u8>>>();
//! ```
//! ```compile_fail,E0277
//! fn send<T: Send>() {}
//! send::<hedgerow::epoch::Reader<std::rc::Rc<u8>>>();
//! ```

use crate::limits::{READERS_MAX, RETIRED_MAX};
use crate::probe;
use crate::sync::{
    Arc, AtomicBool, AtomicPtr, AtomicU64, Mutex, MutexGuard, Ordering, fence, membarrier,
};
use crossbeam_utils::CachePadded;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

/// The value of a slot whose reader is outside.
const OUTSIDE: u64 = 0;

/// A value that readers use while it is being replaced.
#[derive(Debug)]
pub struct Swap<T> {
    live: CachePadded<Live<T>>,
    slots: Box<[CachePadded<Slot>]>,
    barrier: Barrier,
    /// Values that were replaced, each with the epoch that it was retired under. The lock is
    /// between publishers; no reader takes it, or reads its cache line.
    retired: CachePadded<Mutex<Retired<T>>>,
}

type Retired<T> = Vec<(u64, Box<T>)>;

/// What a publish changes: one cache line, so that a reader misses once for each publish.
#[derive(Debug)]
struct Live<T> {
    epoch: AtomicU64,
    current: AtomicPtr<T>,
}

/// How a reclaim makes sure that it sees every reader that is inside. Decided once for a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// Readers run a fence when they enter (E1). Works everywhere.
    Fence,
    /// The reclaim makes the kernel run a barrier in every thread (E2). Linux; readers run none.
    Membarrier,
}

#[derive(Debug)]
struct Slot {
    entered: AtomicU64,
    taken: AtomicBool,
}

/// Why a value could not be published: so many retired values wait for readers that stay inside
/// that the bound is reached. The running value stays. A reader that the system has put off its
/// core in the middle of a request is inside too: publish again a little later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredFull {
    /// The bound, [`RETIRED_MAX`].
    pub max: usize,
}

/// Why no reader could be made: all slots are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSlot {
    /// The number of slots.
    pub max: usize,
}

impl fmt::Display for RetiredFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        write!(
            f,
            "expected fewer than {max} retired values, got {max}: a reader stays inside, or the \
             system refuses the barrier that tells; try again"
        )
    }
}

impl std::error::Error for RetiredFull {}

impl fmt::Display for NoSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a free reader slot, got {} taken ones",
            self.max
        )
    }
}

impl std::error::Error for NoSlot {}

impl<T> Swap<T> {
    /// A swap without a value, with room for this many readers (at most [`READERS_MAX`]), on the
    /// barrier that costs readers least here.
    pub fn new(readers: usize) -> Arc<Swap<T>> {
        Swap::with_barrier(readers, Barrier::Membarrier)
    }

    /// As [`new`](Swap::new), on this barrier; on the fence where the kernel has no other. For
    /// tests, measurements, and hosts that enter a sandbox without `membarrier` later on.
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

    /// Takes a free slot for a reader.
    ///
    /// # Errors
    /// Where all slots are taken.
    pub fn reader(self: &Arc<Self>) -> Result<Reader<T>, NoSlot> {
        for (index, slot) in self.slots.iter().enumerate() {
            // Acquire: pairs with the Release in Reader::drop, so that the slot is OUTSIDE.
            let free =
                slot.taken
                    .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
            if free.is_ok() {
                return Ok(Reader {
                    swap: self.clone(),
                    index,
                    barrier: self.barrier,
                    not_sync: PhantomData,
                });
            }
        }
        Err(NoSlot {
            max: self.slots.len(),
        })
    }

    /// Publishes the value that `make` builds for its epoch, and reclaims what can be. Returns the
    /// epoch. Readers that enter from now on get it.
    ///
    /// # Errors
    /// Where the list of retired values is full; `make` is not called then.
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

    /// Drops the retired values that no reader can hold; returns how many still wait.
    pub fn reclaim(&self) -> usize {
        let mut retired = self.lock();
        self.drop_unseen(&mut retired);
        retired.len()
    }

    /// How many retired values have not been reclaimed.
    pub fn retired(&self) -> usize {
        self.lock().len()
    }

    /// The barrier that was decided on.
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

/// A reader: the owner of one slot. It can be sent to another thread, not shared between two.
#[derive(Debug)]
pub struct Reader<T> {
    swap: Arc<Swap<T>>,
    index: usize,
    barrier: Barrier,
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl<T> Reader<T> {
    /// Enters: as long as the guard lives, the value that is current now stays. Wait-free: a fixed
    /// number of steps whatever publishers do. `None` where nothing was published yet.
    #[inline]
    pub fn enter(&mut self) -> Option<Guard<'_, T>> {
        let slot = self.swap.slots.get(self.index)?;
        // Acquire: pairs with the Release in publish, see E1.
        let epoch = self.swap.live.epoch.load(Ordering::Acquire);
        // Release: pairs with the Acquire in drop_unseen, as the store in Guard::drop does, which
        // this one may hide from it: the uses of the value before come before its drop. The load
        // below is ordered by the barrier.
        slot.entered.store(epoch, Ordering::Release);
        match self.barrier {
            // SeqCst: pairs with the fence in drop_unseen, see E1.
            Barrier::Fence => fence(Ordering::SeqCst),
            // SeqCst, for the compiler: pairs with the system call in drop_unseen, see E2.
            Barrier::Membarrier => membarrier::compiler_fence(Ordering::SeqCst),
        }
        // Acquire: pairs with the swap in publish: the value's contents.
        let value = self.swap.live.current.load(Ordering::Acquire);
        if value.is_null() {
            // Release: pairs with the Acquire in drop_unseen.
            slot.entered.store(OUTSIDE, Ordering::Release);
            return None;
        }
        // SAFETY: E1. The slot holds an epoch that keeps `value` from being dropped until the
        // guard clears it; there is one guard a slot, because enter borrows the reader mutably.
        let value = unsafe { &*value };
        probe::enter(epoch);
        Some(Guard {
            value,
            slot,
            not_send: PhantomData,
        })
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        if let Some(slot) = self.swap.slots.get(self.index) {
            // Release, twice: no guard is left (one that was forgotten lent nothing any more);
            // pairs with the Acquires in drop_unseen and Swap::reader.
            slot.entered.store(OUTSIDE, Ordering::Release);
            slot.taken.store(false, Ordering::Release);
        }
    }
}

/// Proof that a reader is inside; lends the value.
#[derive(Debug)]
pub struct Guard<'a, T> {
    value: &'a T,
    slot: &'a Slot,
    not_send: PhantomData<*const ()>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // Release: pairs with the Acquire in drop_unseen.
        self.slot.entered.store(OUTSIDE, Ordering::Release);
        probe::leave();
    }
}
