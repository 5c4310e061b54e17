//! The atomics of the swap: the standard library's, or loom's where the protocol is model-checked.

/// Counts references only, so that loom need not see it; loom's own cannot be a method's receiver.
pub(crate) use std::sync::Arc;

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering, fence},
};

/// The kernel's process-wide barrier, where there is one.
pub(crate) mod membarrier {
    /// Keeps the compiler from moving memory accesses across; the kernel does the rest.
    pub(crate) use std::sync::atomic::compiler_fence;

    /// Announces that this process will use the barrier. False where it cannot: an old kernel, a
    /// sandbox, another system, or loom, which knows fences only.
    pub(crate) fn register() -> bool {
        #[cfg(all(target_os = "linux", not(loom)))]
        {
            use rustix::thread::{MembarrierCommand, membarrier};
            return membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok();
        }
        #[allow(unreachable_code, reason = "the other systems' answer")]
        false
    }

    /// Makes every thread of this process pass a full barrier before it returns true.
    pub(crate) fn everywhere() -> bool {
        #[cfg(all(target_os = "linux", not(loom)))]
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
