//! Memory of connections that are gone: the allocator keeps it until it is asked to return it.

use std::time::{Duration, Instant};

/// How often open files are counted.
const PAUSE: Duration = Duration::from_secs(2);

/// Open files below which nothing is returned: memory of so few connections is used again.
const MANY: usize = 500;

/// Returns memory to the system when most of many connections are gone.
#[derive(Debug)]
pub(crate) struct Memory {
    next: Instant,
    most: usize,
}

impl Memory {
    /// Creates one that has seen no connection.
    pub fn new() -> Memory {
        let (next, most) = (Instant::now(), 0);
        Memory { next, most }
    }

    /// Counts open files if it is time, and returns memory if half of many are closed.
    pub fn look(&mut self) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now.checked_add(PAUSE).unwrap_or(now);
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.most = self.most.max(open);
        if self.most >= MANY && open <= self.most / 2 {
            self.most = open;
            give_back();
        }
    }
}

#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: A4 (declared by `libc`): it takes no pointer, and any thread may call it.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
fn give_back() {}
