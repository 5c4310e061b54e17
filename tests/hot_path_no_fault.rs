//! Invariant H: scoring takes no page fault, neither minor nor major, while new tables (fresh
//! mappings, which no reader has touched) are published as fast as possible.

#[path = "common/hot.rs"]
mod hot;

use hot::{Hot, PUBLISHES, SCORES};
use std::hint::black_box;

/// Minor and major page faults of this thread so far.
fn faults() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a rusage, which the call fills.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    assert_eq!(failed, 0);
    // SAFETY: filled above; all zeroes are a rusage, too.
    let usage = unsafe { usage.assume_init() };
    usage.ru_minflt + usage.ru_majflt
}

#[test]
fn a_million_scores_under_a_storm_of_publishes_take_no_page_fault() {
    let hot = Hot::full();
    let mut scorer = hot.engine.scorer().expect("a slot");
    hot.warm_up(&mut scorer);
    std::thread::scope(|scope| {
        scope.spawn(|| hot.storm());
        // Once, for the test's own pages.
        faults();
        hot.warm_up(&mut scorer);
        let before = faults();
        let outcome = hot.score(&mut scorer);
        let faults = faults() - before;
        hot.stop();
        println!("{outcome:?}, {faults} page faults");
        assert!(outcome.scores >= SCORES && outcome.last > PUBLISHES);
        assert_eq!(outcome.wrong, 0, "wrong margins");
        assert_eq!(faults, 0, "page faults of the scoring thread");
    });
}

#[test]
fn a_million_requests_under_a_storm_of_publishes_take_no_page_fault() {
    let hot = Hot::full();
    let mut host = hot.host();
    std::thread::scope(|scope| {
        scope.spawn(|| hot.storm());
        // Once, for the test's own pages.
        faults();
        hot.warm_up_requests(&mut host);
        let before = faults();
        let outcome = hot.score_requests(&mut host);
        let faults = faults() - before;
        hot.stop();
        println!("{outcome:?}, {faults} page faults");
        assert!(outcome.scores >= SCORES && outcome.last > PUBLISHES);
        assert_eq!(outcome.wrong, 0, "wrong margins");
        assert_eq!(faults, 0, "page faults of the scoring thread");
    });
}

#[test]
fn a_first_touch_is_noticed() {
    const PAGES: usize = 16;
    const PAGE: usize = 4096;
    // SAFETY: a private anonymous mapping at an address of the kernel's choice.
    let map = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            PAGES * PAGE,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(map, libc::MAP_FAILED);
    faults();
    let before = faults();
    for page in 0..PAGES {
        // SAFETY: within the mapping made above.
        black_box(unsafe { map.cast::<u8>().add(page * PAGE).read_volatile() });
    }
    let after = faults();
    // SAFETY: the mapping made above; no reference into it is left.
    unsafe { libc::munmap(map, PAGES * PAGE) };
    assert!(after > before, "{PAGES} first touches went unnoticed");
}
