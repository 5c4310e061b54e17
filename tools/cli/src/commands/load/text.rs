//! A run's result for people.

use crate::harness::run::{Curve, Distribution, Run, Totals};
use crate::harness::statistics::median;
use std::fmt::Write;

/// The whole result.
pub fn text(run: &Run) -> String {
    let mut text = String::new();
    head(&mut text, run);
    published(&mut text, run);
    alone(&mut text, run);
    run.sweep.iter().for_each(|curve| sweep(&mut text, curve));
    if !run.ok {
        text.push_str("FAILED: a request was lost, a verdict wrong, or a table mistreated\n");
    }
    text
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{name:<22} {value}");
}

fn head(text: &mut String, run: &Run) {
    let (asked, totals) = (&run.asked, &run.totals);
    if let Some(busy) = run.machine.busy() {
        line(text, "BUSY MACHINE", busy);
    }
    let who = match asked.mode.as_str() {
        "pool" => format!(
            "a pool on cores {:?}, {} feeders",
            asked.cores, asked.feeders
        ),
        _ => format!(
            "inline on cores {:?}, up to {} at once",
            asked.cores, asked.batch
        ),
    };
    line(
        text,
        "table",
        format!("{}, {} trees", asked.table, asked.trees),
    );
    line(
        text,
        "input",
        format!("{} of {}, over and over", asked.inputs, asked.input),
    );
    let pace = match asked.arrivals.as_str() {
        "saturate" => "as fast as verdicts come".to_string(),
        other => format!("{other}, {} a second", asked.rate),
    };
    line(text, "arrivals", format!("{pace}; {who}"));
    let share = 100.0 * totals.answered as f64 / totals.offered.max(1) as f64;
    line(
        text,
        "requests answered",
        format!(
            "{} of {} ({share:.2} %) in {:.2} s",
            totals.answered, totals.offered, totals.seconds
        ),
    );
    line(text, "rate", format!("{:.0} a second", totals.rate));
    line(
        text,
        "latency, µs",
        format!("{} (due to verdict)", micros(&run.latency)),
    );
    line(
        text,
        "service, µs",
        format!("{} (begun to verdict)", micros(&run.service)),
    );
    counted(text, totals);
}

/// What says how far the figures can be believed, and whether anything went wrong.
fn counted(text: &mut String, totals: &Totals) {
    line(
        text,
        "queued",
        format!("{} came due while their thread was busy", totals.queued),
    );
    line(
        text,
        "late starts",
        format!(
            "{} of a thread that waited, by more than 10 µs",
            totals.late
        ),
    );
    line(
        text,
        "the generator's most",
        format!("{:.0} a second on one thread", totals.generator_max),
    );
    if totals.unbound > 0 {
        line(text, "threads not bound", totals.unbound);
    }
    line(text, "never begun", totals.unserved);
    line(text, "requests lost", totals.lost);
    line(text, "wrong verdicts", totals.wrong);
}

fn micros(times: &Distribution) -> String {
    let of = |nanos: u64| nanos as f64 / 1e3;
    format!(
        "p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2}",
        of(times.p50),
        of(times.p90),
        of(times.p99),
        of(times.p999),
        of(times.max)
    )
}

fn published(text: &mut String, run: &Run) {
    let totals = &run.totals;
    line(text, "generations published", totals.generations);
    if totals.held_back > 0 {
        line(
            text,
            "publishing held back",
            format!("{} times", totals.held_back),
        );
    }
    line(text, "tables refused", totals.refused);
    for refused in &run.refusals {
        line(
            text,
            "",
            format!("{:>6}  {} {}", refused.count, refused.code, refused.name),
        );
    }
    line(text, "tables not reclaimed", totals.not_reclaimed);
    let missed = run.not_scored.iter().filter(|(_, count)| **count > 0);
    let missed: Vec<String> = missed
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    line(
        text,
        "verdicts not scored",
        if missed.is_empty() {
            "0".into()
        } else {
            missed.join(", ")
        },
    );
    for shadow in &run.shadows {
        line(
            text,
            &shadow.name,
            format!("scored {} sampled rows since the last publish", shadow.rows),
        );
    }
    for surprise in &run.unexpected {
        line(text, "UNEXPECTED", surprise);
    }
}

fn alone(text: &mut String, run: &Run) {
    if !run.kernels.is_empty() {
        let _ = writeln!(
            text,
            "\n{:<10} {:>12} {:>12} {:>12}  (ns a row, medians of rounds)",
            "kernel", "one row", "batch of 64", "one, cold"
        );
    }
    for kernel in &run.kernels {
        let _ = writeln!(
            text,
            "{:<10} {:>12.0} {:>12.0} {:>12.0}",
            kernel.name,
            median(&kernel.row),
            median(&kernel.batch_row),
            median(&kernel.cold_row)
        );
    }
}

fn sweep(text: &mut String, curve: &Curve) {
    let _ = writeln!(
        text,
        "\n{} {}: {}; at most {:.0} a second",
        curve.axis, curve.value, curve.about, curve.saturation
    );
    for (at, point) in curve.points.iter().enumerate() {
        let _ = writeln!(
            text,
            "{:>12.0} offered {:>12.0} answered   p50 {:>9.2}  p99 {:>9.2} µs{}",
            point.offered,
            point.answered,
            point.p50 as f64 / 1e3,
            point.p99 as f64 / 1e3,
            if curve.knee == Some(at) {
                "  <- knee"
            } else {
                ""
            }
        );
    }
}
