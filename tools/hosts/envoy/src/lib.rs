//! hedgerow in Envoy: an HTTP filter that scores requests, and blocks where it is told to.
//!
//! Envoy calls the hooks below from its workers' threads. Each thread has a scorer of its own for
//! each configuration. Whatever goes wrong with scoring, a request passes: a panic is caught at the
//! border, and where the table is refused, only the configuration that names it is.

mod abi;
mod config;
mod hooks;
mod score;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a hook's body; none where it panics.
fn contained<T>(body: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(done) => Some(done),
        Err(payload) => {
            // To drop what a panic carries could panic again.
            std::mem::forget(payload);
            None
        }
    }
}
