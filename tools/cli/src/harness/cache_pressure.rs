//! Other work's memory traffic: what a proxy does between two requests to the caches.

use core_affinity::CoreId;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Who walks the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// The scoring thread, between two requests.
    Between,
    /// Another thread on the same core, which walks, sleeps a millisecond, and walks again.
    Thread,
}

/// A buffer that is read line by line.
pub struct Evict(Vec<u8>);

impl Evict {
    /// A buffer of so many MiB; `None` of 0.
    pub fn new(mib: f64) -> Option<Evict> {
        let bytes = (mib * 1024.0 * 1024.0) as usize;
        // Not zero, or the system would give one and the same page for all of it.
        (bytes > 0).then(|| Evict(vec![1; bytes]))
    }

    /// Reads a byte of each cache line.
    #[inline(never)]
    pub fn walk(&self) {
        let lines = black_box(&self.0).iter().step_by(64);
        black_box(lines.map(|byte| u64::from(*byte)).sum::<u64>());
    }

    /// Walks on a core until the flag is raised.
    pub fn beside(self, core: CoreId, stop: &AtomicBool) {
        core_affinity::set_for_current(core);
        while !stop.load(Ordering::Relaxed) {
            self.walk();
            thread::sleep(Duration::from_millis(1));
        }
    }
}
