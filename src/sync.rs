//! The atomics of the swap. `tests/swap_loom.rs` puts loom's in their place.

pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence},
};

/// The kernel's process-wide barrier, where there is one.
pub(crate) mod membarrier {
    /// Keeps the compiler from moving memory accesses across; the kernel does the rest.
    pub(crate) use std::sync::atomic::compiler_fence;

    /// Announces that this process will use the barrier. Returns `false` where it cannot: an
    /// old kernel, a sandbox, another system.
    pub(crate) fn register() -> bool {
        #[cfg(target_os = "linux")]
        {
            use rustix::thread::{MembarrierCommand, membarrier};
            return membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
        }
        #[allow(unreachable_code, reason = "the other systems' answer")]
        false
    }

    /// Makes every thread of this process pass a full barrier before it returns true.
    pub(crate) fn everywhere() -> bool {
        #[cfg(target_os = "linux")]
        {
            use rustix::thread::{MembarrierCommand, membarrier};
            let barrier = || membarrier(MembarrierCommand::PrivateExpedited).is_ok();
            // The second attempt is for a process that has lost the registration.
            return barrier() || (register() && barrier());
        }
        #[allow(unreachable_code, reason = "the other systems' answer")]
        false
    }
}
