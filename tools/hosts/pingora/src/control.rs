//! What runs beside the traffic: the policy's file, and signals.

use crate::memory::Memory;
use crate::shared::Shared;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Starts the control thread.
///
/// # Errors
/// Where the system gives no thread.
pub fn start(shared: Arc<Shared>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("hedgerow-control".into());
    thread.spawn(move || runtime.block_on(run(&shared)))?;
    Ok(())
}

async fn run(shared: &Shared) {
    let mut hang_up = signal(SignalKind::hangup()).ok();
    let mut memory = Memory::new();
    loop {
        let hung_up = async {
            match &mut hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        let asked = tokio::time::timeout(crate::policies::POLL, hung_up).await;
        if asked.is_ok() {
            shared.policies.hang_up();
            if let Some(log) = &shared.log {
                log.reopen();
            }
        }
        shared.policies.look();
        shared.see_generation();
        memory.look();
    }
}
