//! The time of a run, in nanoseconds from its start.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A thread that has longer than this to wait sleeps, so that others have its core.
const SLEEP: u64 = 300_000;

/// How much before the time it wakes: the system wakes late.
const WAKE: u64 = 150_000;

/// A stretch of time.
pub struct Span {
    /// When time began.
    pub start: Instant,
    /// From when on, in nanoseconds, requests are measured.
    pub warm: u64,
    /// When the last request comes due.
    pub end: u64,
}

impl Span {
    /// Nanoseconds since time began.
    #[inline]
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// When what is still not begun is given up.
    pub fn give_up(&self) -> u64 {
        self.end + ((self.end - self.warm) / 10).min(500_000_000)
    }

    /// Waits until a time; returns the time that it is then. A long wait is slept through.
    #[inline]
    pub fn wait(&self, due: u64, stop: &AtomicBool) -> u64 {
        let mut now = self.now();
        while now < due {
            let left = due - now;
            if left > SLEEP {
                // A raised flag is seen soon.
                thread::sleep(Duration::from_nanos((left - WAKE).min(50_000_000)));
                if stop.load(Ordering::Relaxed) {
                    return now;
                }
            } else {
                spin_loop();
            }
            now = self.now();
        }
        now
    }
}
