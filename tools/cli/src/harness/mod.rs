//! What the commands that put an engine to work share: inputs, tables good and bad, threads that
//! score, what they count, and how long that takes.

pub mod arrivals;
pub mod cache_pressure;
pub mod clock;
pub mod drive;
pub mod faults;
mod feeder;
pub mod machine;
pub mod profile;
pub mod publisher;
pub mod run;
pub mod source;
mod span;
pub mod stage;
pub mod statistics;
mod synthetic;
pub mod tally;
pub mod view;

use crate::failure::Failure;
use core_affinity::CoreId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Whether a closed terminal must not end the process: it runs under `nohup`.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Numbers above 0.
pub fn above_0(max: f64) -> RangeInclusive<f64> {
    f64::MIN_POSITIVE..=max
}

/// Refuses a number outside its range.
pub fn number(
    at: &str,
    value: f64,
    range: RangeInclusive<f64>,
    expected: &str,
) -> Result<(), Failure> {
    match range.contains(&value) {
        true => Ok(()),
        false => Err(Failure::usage(at, expected, value)),
    }
}

/// How soon an interruption is seen.
const INTERRUPTION: Duration = Duration::from_millis(50);

/// A flag that is raised if the user wants to end the run.
pub struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Listens to the user: the first interruption raises the flag, the second ends the process.
    pub fn listen() -> Result<Interruption, Failure> {
        let raised = Arc::new(AtomicBool::new(false));
        let hangup = (!ignores_hangup()).then_some(SIGHUP);
        for signal in [SIGINT, SIGTERM].into_iter().chain(hangup) {
            flag::register_conditional_shutdown(signal, 1, Arc::clone(&raised))
                .and_then(|_| flag::register(signal, Arc::clone(&raised)))
                .map_err(|error| Failure::new("harness", "signals", "a handler", error))?;
        }
        Ok(Interruption(raised))
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        // Relaxed: a flag, on which nothing else depends.
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps, and wakes soon after an interruption.
    pub fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.is_raised() {
                return;
            }
            thread::sleep(left.min(INTERRUPTION));
        }
    }
}

/// The cores to work on: those named, or all that this process may use.
pub fn cores(named: &[usize]) -> Result<Vec<CoreId>, Failure> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    if allowed.is_empty() {
        let expected = "cores to bind threads to";
        return Err(Failure::new("harness", "cores", expected, "none"));
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
            return Err(Failure::usage(
                "--cores",
                "each core once",
                format!("{id} twice"),
            ));
        }
        cores.push(*core);
    }
    Ok(cores)
}
