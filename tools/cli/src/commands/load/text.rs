//! A run's result for people.

use crate::harness::run::{Curve, Distribution, Run};
use crate::harness::statistics::median;
use crate::text::{Columns, listed};

/// The whole result.
pub fn text(run: &Run) -> String {
    let mut text = Columns::new(22);
    text.some("BUSY MACHINE", run.machine.busy());
    asked(&mut text, run);
    measured(&mut text, run);
    published(&mut text, run);
    alone(&mut text, run);
    run.sweep.iter().for_each(|curve| text.add(&sweep(curve)));
    if !run.ok {
        text.add("FAILED: a request was lost, a verdict wrong, or a table mistreated\n");
    }
    text.end()
}

fn asked(text: &mut Columns, run: &Run) {
    let asked = &run.asked;
    let (cores, batch) = (&asked.cores, asked.batch);
    let who = match asked.mode.as_str() {
        "pool" => format!("a pool on cores {cores:?}, {} feeders", asked.feeders),
        _ => format!("inline on cores {cores:?}, up to {batch} at once"),
    };
    let pace = match asked.arrivals.as_str() {
        "saturate" => "as fast as verdicts come".to_string(),
        other => format!("{other}, {} a second", asked.rate),
    };
    text.line("table", format!("{}, {} trees", asked.table, asked.trees));
    text.line(
        "input",
        format!("{} of {}, over and over", asked.inputs, asked.input),
    );
    text.line("arrivals", format!("{pace}; {who}"));
}

fn measured(text: &mut Columns, run: &Run) {
    let totals = &run.totals;
    let (answered, offered, seconds) = (totals.answered, totals.offered, totals.seconds);
    let share = 100.0 * answered as f64 / offered.max(1) as f64;
    let answered = format!("{answered} of {offered} ({share:.2} %) in {seconds:.2} s");
    text.line("requests answered", answered);
    text.line("rate", format!("{:.0} a second", totals.rate));
    text.line(
        "latency, µs",
        format!("{} (due to verdict)", micros(&run.latency)),
    );
    text.line(
        "service, µs",
        format!("{} (begun to verdict)", micros(&run.service)),
    );
    // What says how far the figures can be believed, and whether anything went wrong.
    text.line(
        "queued",
        format!("{} came due while their thread was busy", totals.queued),
    );
    let late = format!(
        "{} of a thread that waited, by more than 10 µs",
        totals.late
    );
    text.line("late starts", late);
    let most = format!("{:.0} a second on one thread", totals.generator_max);
    text.line("the generator's most", most);
    text.some(
        "threads not bound",
        (totals.unbound > 0).then_some(totals.unbound),
    );
    text.line("never begun", totals.unserved);
    text.line("requests lost", totals.lost);
    text.line("wrong verdicts", totals.wrong);
}

fn micros(times: &Distribution) -> String {
    let Distribution {
        p50,
        p90,
        p99,
        p999,
        max,
        ..
    } = times;
    let [p50, p90, p99, p999, max] = [p50, p90, p99, p999, max].map(|nanos| *nanos as f64 / 1e3);
    format!("p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}  p99.9 {p999:.2}  max {max:.2}")
}

fn published(text: &mut Columns, run: &Run) {
    let totals = &run.totals;
    text.line("generations published", totals.generations);
    if totals.held_back > 0 {
        text.line(
            "publishing held back",
            format!("{} times", totals.held_back),
        );
    }
    text.line("tables refused", totals.refused);
    text.lines("", &run.refusals);
    text.line("tables not reclaimed", totals.not_reclaimed);
    let missed = run.not_scored.iter().filter(|(_, count)| **count > 0);
    let missed = missed.map(|(reason, count)| format!("{count} {reason}"));
    text.line("verdicts not scored", listed(missed, "0"));
    for shadow in &run.shadows {
        let rows = format!("scored {} sampled rows since the last publish", shadow.rows);
        text.line(&shadow.name, rows);
    }
    text.lines("UNEXPECTED", &run.unexpected);
}

fn alone(text: &mut Columns, run: &Run) {
    if !run.kernels.is_empty() {
        text.add(&format!(
            "\n{:<10} {:>12} {:>12} {:>12}  (ns a row, medians of rounds)\n",
            "kernel", "one row", "batch of 64", "one, cold"
        ));
    }
    for kernel in &run.kernels {
        let (row, batch) = (median(&kernel.row), median(&kernel.batch_row));
        let (name, cold) = (&kernel.name, median(&kernel.cold_row));
        text.add(&format!(
            "{name:<10} {row:>12.0} {batch:>12.0} {cold:>12.0}\n"
        ));
    }
}

fn sweep(curve: &Curve) -> String {
    let Curve {
        axis,
        value,
        about,
        saturation,
        ..
    } = curve;
    let mut text = format!("\n{axis} {value}: {about}; at most {saturation:.0} a second\n");
    for (at, point) in curve.points.iter().enumerate() {
        let (offered, answered) = (point.offered, point.answered);
        let [p50, p99] = [point.p50, point.p99].map(|nanos| nanos as f64 / 1e3);
        let knee = if curve.knee == Some(at) {
            "  <- knee"
        } else {
            ""
        };
        text += &format!(
            "{offered:>12.0} offered {answered:>12.0} answered   p50 {p50:>9.2}  p99 {p99:>9.2} \
             µs{knee}\n"
        );
    }
    text
}
