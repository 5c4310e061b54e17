//! The swap under loom: every interleaving, within bounds, of publish, enter, leave and reclaim.
//!
//! The source text of `src/epoch` is compiled here once more, on atomics that this file weakens in
//! one place at a time: a model that does not notice is no proof. Nothing weakened, it is the
//! library's swap.

#[path = "../src/epoch/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the models take what they need")]
mod epoch;

mod limits {
    pub use hedgerow::limits::{READERS_MAX, RETIRED_MAX};
}

/// Points for tracers, which a model has no use for.
mod probe {
    pub fn enter(_: u64) {}
    pub fn leave() {}
    pub fn publish(_: u64) {}
    pub fn reclaim(_: usize) {}
}

/// The atomics that the swap runs on: loom's, less one promise.
mod sync {
    pub use loom::sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    };
    use std::cell::Cell;
    /// Counts references only, so that loom need not see it; its own cannot be a method's receiver.
    pub use std::sync::Arc;

    /// The promise that is taken away.
    ///
    /// The release of the epoch's store is not among them: loom's fences acquire from every store
    /// that the thread may have seen, more than the language promises, so that a sequentially
    /// consistent fence in `enter` hides a relaxed store from the model (loom 0.7.3; without the
    /// fence it shows). E1 needs the release all the same.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Weakened {
        Nothing,
        FenceOfEnter,
        FenceOfReclaim,
        EnterOfSlot,
        ClearOfSlot,
        ScanOfSlots,
        LoadOfCurrent,
        SwapOfCurrent,
    }

    thread_local! {
        /// Of one test: loom runs all threads of a model on the thread of the test.
        static WEAKENED: Cell<Weakened> = const { Cell::new(Weakened::Nothing) };
    }

    pub fn weaken(what: Weakened) {
        WEAKENED.set(what);
    }

    fn is(what: Weakened) -> bool {
        WEAKENED.get() == what
    }

    fn unless(what: Weakened, order: Ordering) -> Ordering {
        if is(what) { Ordering::Relaxed } else { order }
    }

    loom::thread_local! {
        /// Whether this thread reads; the others publish.
        pub static READS: Cell<bool> = Cell::new(false);
    }

    pub fn fence(order: Ordering) {
        let reads = READS.with(|reads| reads.get());
        let dropped = [Weakened::FenceOfReclaim, Weakened::FenceOfEnter][usize::from(reads)];
        if !is(dropped) {
            loom::sync::atomic::fence(order);
        }
    }

    #[derive(Debug)]
    pub struct AtomicU64(loom::sync::atomic::AtomicU64);

    impl AtomicU64 {
        pub fn new(value: u64) -> AtomicU64 {
            AtomicU64(loom::sync::atomic::AtomicU64::new(value))
        }

        pub fn load(&self, order: Ordering) -> u64 {
            let reads = READS.with(|reads| reads.get());
            let order = if reads {
                order
            } else {
                unless(Weakened::ScanOfSlots, order)
            };
            self.0.load(order)
        }

        /// Only a reader that leaves stores 0, and only publishers store the epoch.
        pub fn store(&self, value: u64, order: Ordering) {
            let reads = READS.with(|reads| reads.get());
            let order = match (value, reads) {
                (0, _) => unless(Weakened::ClearOfSlot, order),
                (_, true) => unless(Weakened::EnterOfSlot, order),
                (_, false) => order,
            };
            self.0.store(value, order);
        }
    }

    #[derive(Debug)]
    pub struct AtomicPtr<T>(loom::sync::atomic::AtomicPtr<T>);

    impl<T> AtomicPtr<T> {
        pub fn new(value: *mut T) -> AtomicPtr<T> {
            AtomicPtr(loom::sync::atomic::AtomicPtr::new(value))
        }

        pub fn load(&self, order: Ordering) -> *mut T {
            self.0.load(unless(Weakened::LoadOfCurrent, order))
        }

        pub fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
            self.0.swap(value, unless(Weakened::SwapOfCurrent, order))
        }
    }

    /// loom knows fences only.
    pub mod membarrier {
        pub use std::sync::atomic::compiler_fence;

        pub fn register() -> bool {
            false
        }

        pub fn everywhere() -> bool {
            false
        }
    }
}

/// A value that loom watches: a read that does not follow its making, or that its drop does not
/// follow, is a data race; a read after its drop finds it dropped.
mod value {
    use loom::cell::UnsafeCell;

    const DROPPED: u64 = u64::MAX;

    /// Aligned like nothing else here: see [`Keep`].
    #[derive(Debug)]
    #[repr(align(512))]
    pub struct Value {
        generation: UnsafeCell<u64>,
    }

    // SAFETY: the cell is read by guards, and written in `new` and `drop` only, which the swap
    // orders before and after them (E1). Where it does not, loom stops the model.
    unsafe impl Sync for Value {}

    impl Value {
        pub fn new(generation: u64) -> Box<Value> {
            let value = Box::new(Value {
                generation: UnsafeCell::new(0),
            });
            // SAFETY: loom checks every access. The value is not shared yet.
            value.generation.with_mut(|at| unsafe { *at = generation });
            value
        }

        pub fn read(&self) -> u64 {
            // SAFETY: loom checks every access.
            let generation = self.generation.with(|at| unsafe { *at });
            assert_ne!(generation, DROPPED, "a guard's value was dropped");
            generation
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            if std::thread::panicking() {
                return; // loom has stopped this model
            }
            // SAFETY: loom checks every access. The value is its owner's alone.
            self.generation.with_mut(|at| unsafe { *at = DROPPED });
        }
    }

    /// Never frees a [`Value`]'s memory, so that a weakened swap which reads one after its drop
    /// finds a mark, not a crash.
    struct Keep;

    // SAFETY: the system's allocator, which may keep what it gave out.
    unsafe impl std::alloc::GlobalAlloc for Keep {
        unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
            // SAFETY: the caller's promise is handed on.
            unsafe { std::alloc::System.alloc(layout) }
        }

        unsafe fn dealloc(&self, at: *mut u8, layout: std::alloc::Layout) {
            if layout.align() < std::mem::align_of::<Value>() {
                // SAFETY: the caller's promise is handed on.
                unsafe { std::alloc::System.dealloc(at, layout) }
            }
        }
    }

    #[global_allocator]
    static KEEP: Keep = Keep;
}

mod models {
    use crate::value::Value;
    use loom::thread;
    use std::sync::Arc;

    type Swap = crate::epoch::Swap<Value>;

    /// Enters a number of times; every value is whole, and no generation comes after a later
    /// one.
    fn read(swap: &Arc<Swap>, times: usize) -> thread::JoinHandle<()> {
        let mut reader = swap.reader().expect("a slot");
        thread::spawn(move || {
            crate::sync::READS.with(|reads| reads.set(true));
            let mut last = 0;
            for _ in 0..times {
                if let Some(value) = reader.enter() {
                    let generation = value.read();
                    assert!(generation >= last, "{generation} after {last}");
                    last = generation;
                    // Still there, and the same.
                    assert_eq!(value.read(), generation);
                }
            }
        })
    }

    fn publish(swap: &Swap, times: usize) {
        for _ in 0..times {
            swap.publish(Value::new).expect("room for retired values");
        }
    }

    /// One reader and one publisher, the first value in place.
    pub fn one_reader() {
        let swap = Swap::new(1);
        publish(&swap, 1);
        let reader = read(&swap, 2);
        publish(&swap, 2);
        reader.join().expect("a reader");
        assert_eq!(swap.reclaim(), 0, "no reader is left");
    }

    /// One reader that comes while the very first value is published.
    pub fn first_value() {
        let swap = Swap::new(1);
        let reader = read(&swap, 1);
        publish(&swap, 2);
        reader.join().expect("a reader");
    }

    /// Two readers and one publisher.
    pub fn two_readers() {
        let swap = Swap::new(2);
        publish(&swap, 1);
        let readers = [read(&swap, 1), read(&swap, 1)];
        publish(&swap, 1);
        swap.reclaim();
        for reader in readers {
            reader.join().expect("a reader");
        }
        assert_eq!(swap.reclaim(), 0, "no reader is left");
    }

    /// One reader and two publishers.
    pub fn two_publishers() {
        let swap = Swap::new(1);
        publish(&swap, 1);
        let reader = read(&swap, 1);
        let other = {
            let swap = swap.clone();
            thread::spawn(move || publish(&swap, 1))
        };
        publish(&swap, 1);
        other.join().expect("a publisher");
        reader.join().expect("a reader");
        assert_eq!(swap.reclaim(), 0, "no reader is left");
    }

    /// A slot goes from one reader to the next while values are replaced.
    pub fn slot_handed_on() {
        let swap = Swap::new(1);
        publish(&swap, 1);
        let first = read(&swap, 1);
        let second = {
            let swap = swap.clone();
            thread::spawn(move || {
                if let Ok(mut reader) = swap.reader() {
                    crate::sync::READS.with(|reads| reads.set(true));
                    reader.enter().expect("a value").read();
                }
            })
        };
        publish(&swap, 1);
        first.join().expect("a reader");
        second.join().expect("a reader");
        assert_eq!(swap.reclaim(), 0, "no reader is left");
    }
}

/// Explores a model, with at most this many preemptions in one execution.
fn explore(preemptions: usize, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// Nothing weakened: nothing may go wrong.
mod library {
    use crate::models;

    #[test]
    fn one_reader_never_sees_a_dropped_value() {
        crate::explore(4, models::one_reader);
    }

    #[test]
    fn a_reader_may_come_before_the_first_value() {
        crate::explore(4, models::first_value);
    }

    #[test]
    fn two_readers_never_see_a_dropped_value() {
        crate::explore(3, models::two_readers);
    }

    #[test]
    fn two_publishers_agree() {
        crate::explore(3, models::two_publishers);
    }

    #[test]
    fn a_slot_is_handed_on_clean() {
        crate::explore(3, models::slot_handed_on);
    }
}

/// Weakened atomics: each weakness must be noticed.
mod mutants {
    use crate::models;
    use crate::sync::{Weakened, weaken};
    use std::panic::catch_unwind;

    /// What stopped the models, if anything did.
    fn stopped(what: Weakened) -> Option<String> {
        weaken(what);
        let all: [fn(); 5] = [
            models::one_reader,
            models::first_value,
            models::two_readers,
            models::two_publishers,
            models::slot_handed_on,
        ];
        let failure = all.into_iter().find_map(|model| {
            catch_unwind(|| crate::explore(3, model))
                .err()
                .map(|failed| {
                    let text = failed.downcast_ref::<String>().cloned();
                    text.or_else(|| failed.downcast_ref::<&str>().map(ToString::to_string))
                        .unwrap_or_default()
                })
        });
        weaken(Weakened::Nothing);
        failure
    }

    #[test]
    fn every_weakened_order_is_noticed() {
        assert_eq!(stopped(Weakened::Nothing), None, "the swap itself is sound");
        let mut unnoticed: Vec<Weakened> = Vec::new();
        for what in [
            Weakened::FenceOfEnter,
            Weakened::FenceOfReclaim,
            Weakened::EnterOfSlot,
            Weakened::ClearOfSlot,
            Weakened::ScanOfSlots,
            Weakened::LoadOfCurrent,
            Weakened::SwapOfCurrent,
        ] {
            let found = stopped(what);
            println!("{what:?}: {found:?}");
            if found.is_none() {
                unnoticed.push(what);
            }
        }
        assert_eq!(unnoticed, [], "went unnoticed");
    }
}
