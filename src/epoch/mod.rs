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

mod reader;
mod swap;

pub use reader::{Guard, NoSlot, Reader};
pub use swap::{Barrier, RetiredFull, Swap};
