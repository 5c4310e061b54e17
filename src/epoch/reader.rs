//! The readers' side of the swap: entering and leaving, wait-free.

use super::swap::{Barrier, OUTSIDE, Slot, Swap};
use crate::probe;
use crate::sync::{Arc, Ordering, fence, membarrier};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// Error of [`Swap::reader`] while all slots are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSlot {
    /// The number of slots.
    pub max: usize,
}

impl fmt::Display for NoSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot add a reader: all {} slots are taken", self.max)
    }
}

impl std::error::Error for NoSlot {}

impl<T> Swap<T> {
    /// Takes a free slot for a reader.
    ///
    /// # Errors
    /// `NoSlot` if all slots are taken.
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
}

/// A reader: the owner of one slot. It can be sent to another thread, and cannot be shared.
#[derive(Debug)]
pub struct Reader<T> {
    swap: Arc<Swap<T>>,
    index: usize,
    barrier: Barrier,
    not_sync: PhantomData<std::cell::Cell<()>>,
}

impl<T> Reader<T> {
    /// Enters: as long as the guard lives, the value that is current now stays. Wait-free: a fixed
    /// number of steps, independent of publishers. Returns `None` if nothing was published yet.
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
