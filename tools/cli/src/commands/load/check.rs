//! Whether the arguments of a load make sense, and within what bounds.

use super::Args;
use crate::failure::Failure;
use crate::files;
use crate::harness::arrivals::Shape;
use crate::harness::faults;
use crate::harness::stage::Mode;
use hedgerow::limits::{BATCH_ROWS_MAX, SHADOWS_MAX};
use std::path::Path;

/// Requests a second, at most: no thread could offer more.
const RATE_MAX: f64 = 1e9;

/// Feeders, at most.
const FEEDERS_MAX: usize = 64;

/// MiB of other work's buffer, at most.
const EVICT_MAX: f64 = 1024.0;

/// Refuses what makes no sense.
pub fn check(args: &Args) -> Result<(), Failure> {
    let number = |at, value: f64, ok: bool, expected: &str| match ok {
        true => Ok(()),
        false => Err(Failure::usage(at, expected, value)),
    };
    let above = |value: f64, max: f64| value > 0.0 && value <= max;
    number(
        "--rate",
        args.rate,
        above(args.rate, RATE_MAX),
        "above 0, at most 1000000000",
    )?;
    number(
        "--seconds",
        args.seconds,
        above(args.seconds, 86_400.0),
        "above 0, at most 86400",
    )?;
    let warm_up = (0.0..=3_600.0).contains(&args.warm_up);
    number("--warm-up", args.warm_up, warm_up, "0 to 3600")?;
    number(
        "--swap-rate",
        args.swap_rate,
        (0.0..=1e4).contains(&args.swap_rate),
        "0 to 10000",
    )?;
    number("--bad", args.bad, (0.0..=1.0).contains(&args.bad), "0 to 1")?;
    let sweep = (1.0..=3_600.0).contains(&args.sweep_seconds);
    number("--sweep-seconds", args.sweep_seconds, sweep, "1 to 3600")?;
    let evict = (0.0..=EVICT_MAX).contains(&args.evict);
    number("--evict", args.evict, evict, "0 to 1024 MiB")?;
    let count = |at, value: usize, max: usize| match (1..=max).contains(&value) {
        true => Ok(()),
        false => Err(Failure::usage(at, format!("1 to {max}"), value)),
    };
    count("--batch", args.batch, BATCH_ROWS_MAX)?;
    count("--feeders", args.feeders, FEEDERS_MAX)?;
    count("--burst", args.burst as usize, 1_000_000)?;
    unused(args)?;
    if args.shadows > SHADOWS_MAX {
        return Err(Failure::usage(
            "--shadows",
            format!("0 to {SHADOWS_MAX}"),
            args.shadows,
        ));
    }
    for (at, path) in [("--report", &args.report), ("--hgrm", &args.hgrm)] {
        if path.as_deref().is_some_and(files::is_stream) {
            return Err(Failure::usage(at, "a file", "-"));
        }
        // What a minute of load was for must not be lost at its end.
        let read = [
            Some(Path::new(&args.table)),
            args.input.as_deref(),
            args.peers.as_deref(),
        ];
        let read: Vec<&Path> = read.into_iter().flatten().collect();
        path.as_deref()
            .map_or(Ok(()), |path| files::check_output(path, &read))?;
    }
    for kind in &args.bad_kinds {
        let names: Vec<&str> = faults::all().iter().map(|fault| fault.name).collect();
        if !names.contains(&kind.as_str()) {
            let expected = format!("some of {}", names.join(", "));
            return Err(Failure::usage("--bad-kinds", expected, kind));
        }
    }
    Ok(())
}

/// Refuses what would be left alone: a run must be what its arguments say.
fn unused(args: &Args) -> Result<(), Failure> {
    let (pool, bursts) = (args.mode == Mode::Pool, args.arrivals == Shape::Bursts);
    let alone = |at, value: usize, usual: usize, used: bool, needs: &str| match used {
        false if value != usual => {
            let expected = format!("{usual}, or {needs} beside it");
            Err(Failure::usage(at, expected, value))
        }
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
