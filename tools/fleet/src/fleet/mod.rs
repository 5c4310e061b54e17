//! A fleet: publishing, agents, and what they report.

pub mod agent;
mod health;
mod progress;
pub mod prune;
pub mod publish;
pub mod record;
pub mod rights;
pub mod rollout;
mod status;
pub mod store;
pub mod switch;
mod waiting;

pub use status::{ForgetArgs, HistoryArgs, InitArgs, NodeArgs, StatusArgs};
pub use status::{forget, history, init, node, status};

use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use std::future::Future;

/// Runs a command that waits for others, on this thread.
///
/// # Errors
/// As the command.
pub fn block_on(command: impl Future<Output = Result<Report, Failure>>) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", "threads", "what tokio needs", error))?;
    let done = runtime.block_on(command);
    // A file that is being written on another thread is not waited for longer.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    done
}
