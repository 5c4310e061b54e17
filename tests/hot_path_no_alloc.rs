//! Invariant H: from a request to a verdict nothing is allocated and nothing is freed, while
//! tables are published as fast as possible.

#[path = "common/hot.rs"]
mod hot;

use hedgerow::Row;
use hedgerow::traffic::{ClientKey, Facts, HTTP_BASE, Windows};
use hot::{Hot, PUBLISHES, SCORES};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    /// Whether this thread's calls count. Constant and without a destructor: reading it
    /// allocates nothing.
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts the calls of armed threads.
struct Counting;

fn count() {
    if ARMED.get() {
        CALLS.set(CALLS.get() + 1);
    }
}

// SAFETY: the system's allocator; counting touches two cells of the calling thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `work` called the allocator.
fn calls<R>(work: impl FnOnce() -> R) -> (u64, R) {
    CALLS.set(0);
    ARMED.set(true);
    let result = work();
    ARMED.set(false);
    (CALLS.get(), result)
}

#[test]
fn a_million_scores_under_a_storm_of_publishes_call_no_allocator() {
    let hot = Hot::full();
    let mut scorer = hot.engine.scorer().expect("a slot");
    hot.warm_up(&mut scorer);
    std::thread::scope(|scope| {
        scope.spawn(|| hot.storm());
        let (calls, outcome) = calls(|| hot.score(&mut scorer));
        hot.stop();
        println!("{outcome:?}, {calls} calls of the allocator");
        assert!(outcome.scores >= SCORES && outcome.last > PUBLISHES);
        assert_eq!(outcome.wrong, 0, "wrong margins");
        assert_eq!(calls, 0, "calls of the allocator");
    });
}

#[test]
fn a_million_requests_under_a_storm_of_publishes_call_no_allocator() {
    let hot = Hot::full();
    let mut host = hot.host();
    hot.warm_up_requests(&mut host);
    std::thread::scope(|scope| {
        scope.spawn(|| hot.storm());
        let (calls, outcome) = calls(|| hot.score_requests(&mut host));
        hot.stop();
        println!("{outcome:?}, {calls} calls of the allocator");
        assert!(outcome.scores >= SCORES && outcome.last > PUBLISHES);
        assert_eq!(outcome.wrong, 0, "wrong margins");
        assert_eq!(calls, 0, "calls of the allocator");
    });
}

#[test]
fn a_million_requests_in_the_windows_call_no_allocator() {
    let requests = hot::requests();
    let mut windows = Windows::new(1_024, 7).expect("windows");
    let mut row = Row::MISSING;
    let (calls, found) = calls(|| {
        let (mut known, mut now) = (0_u64, 0_u64);
        for at in 0..SCORES {
            // Old clients and new ones, more than there is room for; a clock that jumps at times.
            let client = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (32 + at % 32);
            now = if at % 10_007 == 0 { at } else { now + 50_000 };
            let request = &requests[at as usize % requests.len()];
            let name = client.to_le_bytes();
            let seen = windows.observe(&ClientKey::bytes(&name), &Facts::of(request), now);
            seen.fill(&mut row, HTTP_BASE);
            windows.finish(seen.id(), at as u16);
            known += u64::from(!row.get(HTTP_BASE).is_nan());
        }
        known
    });
    let stats = windows.stats();
    println!("{found} requests of known clients, {stats:?}, {calls} calls of the allocator");
    assert!(found > SCORES / 10 && stats.entered > SCORES / 10 && stats.dropped > SCORES / 20);
    assert_eq!(calls, 0, "calls of the allocator");
}

#[test]
fn a_planted_allocation_is_counted() {
    let (calls, ()) = calls(|| drop(black_box(Box::new(black_box(7)))));
    assert_eq!(calls, 2, "one allocation and one free");
    let (calls, text) = self::calls(|| black_box(String::from("planted")));
    assert_eq!(calls, 1, "{text}");
}
