//! Swaps a shared value under readers that never wait: per-reader epoch slots.
//!
//! ## Definitions
//! - The **epoch** is a number that starts at 1 and grows by one with every publish. It is also
//!   the published value's generation.
//! - A **slot** belongs to one reader. It is 0 while the reader is outside, and else an epoch that
//!   was current when the reader entered, or earlier.
//! - A value is **retired** under the epoch that was current when another value took its place,
//!   and **reclaimed** (dropped) once no slot holds that epoch or an older one.
//!
//! ## Operations
//! ```text
//! enter                                publish(value)                     reclaim
//!   e = epoch                            old = current.swap(value)          fence
//!   slot = e                             retire old under epoch             least = the smallest
//!   fence                                epoch = epoch + 1                          slot but 0
//!   value = current                      reclaim                            drop what is retired
//! leave                                                                     under less than least
//!   slot = 0
//! ```
//!
//! ## Why no reader holds a value that was dropped (E1)
//! Take a reader that got the value `v` from `current`, and a reclaim that runs after `v` was
//! retired under epoch `r`. The two fences stand in one total order.
//! 1. The reclaim's fence comes first. The swap that took `v` away stands before that fence, so
//!    the reader's load after its own fence sees that swap or a later one: it did not get `v`.
//! 2. The reader's fence comes first. Its store to the slot stands before that fence, so the
//!    reclaim sees that store or a later one of the same slot. A later one means that the reader
//!    left, and no longer holds `v`. The store itself has some `e`. Had the reader read an epoch
//!    above `r`, it would have seen the increment that follows the swap, and with it (release,
//!    acquire) the swap: it would not have got `v`. So `e ≤ r`, `least ≤ r`, and `v` stays.
//!
//! Readers write only their own slot, a cache line of its own, and read two lines that change
//! only with a publish. Values are dropped only in [`Swap::publish`], [`Swap::reclaim`] and when
//! the whole swap goes: never by a reader, never by a time-out.

use crate::limits::{READERS_MAX, RETIRED_MAX};
use crate::sync::{Arc, AtomicBool, AtomicPtr, AtomicU64, Mutex, Ordering, fence};
use crossbeam_utils::CachePadded;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

/// The value of a slot whose reader is outside.
const OUTSIDE: u64 = 0;

/// A value that readers use while it is being replaced.
#[derive(Debug)]
pub struct Swap<T> {
    epoch: CachePadded<AtomicU64>,
    current: CachePadded<AtomicPtr<T>>,
    slots: Box<[CachePadded<Slot>]>,
    /// Values that were replaced, each with the epoch that it was retired under. The lock is
    /// between publishers; no reader takes it.
    retired: Mutex<Vec<(u64, Box<T>)>>,
}

#[derive(Debug)]
struct Slot {
    entered: AtomicU64,
    taken: AtomicBool,
}

/// Why a value could not be published: so many retired values wait for readers that stay inside
/// that the bound is reached. The running value stays.
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

impl<T> Swap<T> {
    /// A swap without a value, with room for this many readers (at most [`READERS_MAX`]).
    pub fn new(readers: usize) -> Arc<Swap<T>> {
        let slot = || {
            CachePadded::new(Slot {
                entered: AtomicU64::new(OUTSIDE),
                taken: AtomicBool::new(false),
            })
        };
        Arc::new(Swap {
            epoch: CachePadded::new(AtomicU64::new(1)),
            current: CachePadded::new(AtomicPtr::new(ptr::null_mut())),
            slots: (0..readers.min(READERS_MAX)).map(|_| slot()).collect(),
            retired: Mutex::new(Vec::new()),
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
                    not_sync: PhantomData,
                });
            }
        }
        Err(NoSlot {
            max: self.slots.len(),
        })
    }

    /// Publishes the value that `make` builds for its generation, and reclaims what can be.
    /// Returns the generation. Readers that enter from now on get it.
    ///
    /// # Errors
    /// Where the list of retired values is full; `make` is not called then.
    pub fn publish(&self, make: impl FnOnce(u64) -> Box<T>) -> Result<u64, RetiredFull> {
        let mut retired = self.lock();
        self.drop_unseen(&mut retired);
        if retired.len() >= RETIRED_MAX {
            return Err(RetiredFull { max: RETIRED_MAX });
        }
        // Relaxed: only publishers write it, and they hold the lock.
        let epoch = self.epoch.load(Ordering::Relaxed);
        let value = Box::into_raw(make(epoch));
        // Release: the value's contents before its address; pairs with the Acquire in enter.
        let old = self.current.swap(value, Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: E1. `old` came from Box::into_raw in an earlier publish, and the swap above
            // took it out of `current`, so that this is its only owner; it is not dropped before
            // drop_unseen finds that no reader can hold it.
            retired.push((epoch, unsafe { Box::from_raw(old) }));
        }
        // Release: pairs with the Acquire in enter; whoever sees this epoch sees the swap.
        self.epoch.store(epoch.saturating_add(1), Ordering::Release);
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

    fn lock(&self) -> crate::sync::MutexGuard<'_, Vec<(u64, Box<T>)>> {
        // A publisher that panicked in `make` or in a value's drop left the list whole.
        self.retired
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn drop_unseen(&self, retired: &mut Vec<(u64, Box<T>)>) {
        if retired.is_empty() {
            return;
        }
        // SeqCst: pairs with the fence in enter, see E1.
        fence(Ordering::SeqCst);
        let mut least = u64::MAX;
        for slot in &self.slots {
            // Acquire: pairs with the Release in Guard::drop, so that a reader's last use of a
            // value comes before its drop.
            let entered = slot.entered.load(Ordering::Acquire);
            if entered != OUTSIDE {
                least = least.min(entered);
            }
        }
        retired.retain(|(epoch, _)| *epoch >= least);
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        // Relaxed: readers hold the swap by Arc, so that none is left.
        let current = self.current.swap(ptr::null_mut(), Ordering::Relaxed);
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
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl<T> Reader<T> {
    /// Enters: as long as the guard lives, the value that is current now stays. Wait-free: a fixed
    /// number of steps whatever publishers do. `None` where nothing was published yet.
    #[inline]
    pub fn enter(&mut self) -> Option<Guard<'_, T>> {
        let slot = self.swap.slots.get(self.index)?;
        // Acquire: pairs with the Release in publish, see E1.
        let epoch = self.swap.epoch.load(Ordering::Acquire);
        // Relaxed: ordered by the fence.
        slot.entered.store(epoch, Ordering::Relaxed);
        // SeqCst: pairs with the fence in drop_unseen, see E1.
        fence(Ordering::SeqCst);
        // Acquire: pairs with the swap in publish: the value's contents.
        let value = self.swap.current.load(Ordering::Acquire);
        if value.is_null() {
            // Release: pairs with the Acquire in drop_unseen.
            slot.entered.store(OUTSIDE, Ordering::Release);
            return None;
        }
        // SAFETY: E1. The slot holds an epoch that keeps `value` from being dropped until the
        // guard clears it; there is one guard a slot, because enter borrows the reader mutably.
        let value = unsafe { &*value };
        Some(Guard { value, slot })
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
    }
}
