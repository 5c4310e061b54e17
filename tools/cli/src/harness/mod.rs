//! What runs under the commands that put an engine to work: requests, tables good and bad, threads
//! that score, and what they count.

pub mod arrivals;
pub mod cache_pressure;
pub mod clock;
pub mod drive;
pub mod faults;
pub mod feeder;
pub mod machine;
pub mod profile;
pub mod publisher;
pub mod run;
pub mod source;
pub mod stage;
pub mod statistics;
pub mod synthetic;
pub mod view;
pub mod worker;

use crate::failure::Failure;
use core_affinity::CoreId;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How soon an interruption is seen.
pub const INTERRUPTION: Duration = Duration::from_millis(50);

/// A flag that is raised where the user wants to end the run; the second time the process ends.
pub fn interruption() -> Result<Arc<AtomicBool>, Failure> {
    let raised = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&raised))
            .and_then(|_| flag::register(signal, Arc::clone(&raised)))
            .map_err(|error| Failure::new("replay", "signals", "a handler", error))?;
    }
    Ok(raised)
}

/// The cores to work on: those named, or all that this process may use.
pub fn cores(named: &[usize]) -> Result<Vec<CoreId>, Failure> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    if allowed.is_empty() {
        return Err(Failure::new(
            "replay",
            "cores",
            "cores to bind threads to",
            "none",
        ));
    }
    if named.is_empty() {
        return Ok(allowed);
    }
    let mut cores: Vec<CoreId> = Vec::with_capacity(named.len());
    for id in named {
        let Some(core) = allowed.iter().find(|core| core.id == *id) else {
            let list: Vec<_> = allowed.iter().map(|core| core.id.to_string()).collect();
            let expected = format!("some of {}", list.join(","));
            return Err(Failure::usage("--cores", expected, id));
        };
        if cores.contains(core) {
            let got = format!("{id} twice");
            return Err(Failure::usage("--cores", "each core once", got));
        }
        cores.push(*core);
    }
    Ok(cores)
}
