//! Whether the arguments of a load make sense, and within what bounds.

use super::Args;
use crate::failure::Failure;
use crate::files;
use crate::harness::arrivals::Shape;
use crate::harness::stage::Mode;
use crate::harness::{above_0, faults, number};
use hedgerow::limits::{BATCH_ROWS_MAX, SHADOWS_MAX};
use std::path::Path;

/// Feeders, at most.
const FEEDERS_MAX: usize = 64;

/// Refuses what makes no sense.
pub fn check(args: &Args) -> Result<(), Failure> {
    // No thread could offer more.
    number(
        "--rate",
        args.rate,
        above_0(1e9),
        "above 0, at most 1000000000",
    )?;
    number(
        "--seconds",
        args.seconds,
        above_0(86_400.0),
        "above 0, at most 86400",
    )?;
    number("--warm-up", args.warm_up, 0.0..=3_600.0, "0 to 3600")?;
    number("--swap-rate", args.swap_rate, 0.0..=1e4, "0 to 10000")?;
    number("--bad", args.bad, 0.0..=1.0, "0 to 1")?;
    number(
        "--sweep-seconds",
        args.sweep_seconds,
        1.0..=3_600.0,
        "1 to 3600",
    )?;
    number("--evict", args.evict, 0.0..=1_024.0, "0 to 1024 MiB")?;
    let count = |at, value: usize, min: usize, max: usize| match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(Failure::usage(at, format!("{min} to {max}"), value)),
    };
    count("--batch", args.batch, 1, BATCH_ROWS_MAX)?;
    count("--feeders", args.feeders, 1, FEEDERS_MAX)?;
    count("--burst", args.burst as usize, 1, 1_000_000)?;
    unused(args)?;
    count("--shadows", args.shadows, 0, SHADOWS_MAX)?;
    for (at, path) in [("--report", &args.report), ("--hgrm", &args.hgrm)] {
        let Some(path) = path else {
            continue;
        };
        if files::is_stream(path) {
            return Err(Failure::usage(at, "a file", "-"));
        }
        // What a minute of load was for must not be lost at its end.
        let mut read = vec![Path::new(&args.table)];
        read.extend(args.input.as_deref());
        read.extend(args.peers.as_deref());
        files::check_output(path, &read)?;
    }
    let names: Vec<&str> = faults::ALL.iter().map(|fault| fault.name).collect();
    match args
        .bad_kinds
        .iter()
        .find(|kind| !names.contains(&kind.as_str()))
    {
        None => Ok(()),
        Some(kind) => {
            let expected = format!("some of {}", names.join(", "));
            Err(Failure::usage("--bad-kinds", expected, kind))
        }
    }
}

/// Refuses what would have no effect: a run must be what its arguments say.
fn unused(args: &Args) -> Result<(), Failure> {
    let (pool, bursts) = (args.mode == Mode::Pool, args.arrivals == Shape::Bursts);
    let alone = |at, value: usize, usual: usize, used: bool, needs: &str| match used {
        false if value != usual => Err(Failure::usage(
            at,
            format!("{usual}, or {needs} beside it"),
            value,
        )),
        _ => Ok(()),
    };
    alone("--batch", args.batch, 1, !pool, "--mode inline")?;
    alone("--feeders", args.feeders, 1, pool, "--mode pool")?;
    alone(
        "--burst",
        args.burst as usize,
        32,
        bursts,
        "--arrivals bursts",
    )
}
