//! Compares two runs, or two groups of runs.

use super::noise::{CONFIDENCE, Ratio, VALUES_MIN, ratio};
use crate::Report;
use crate::failure::Failure;
use crate::harness::number;
use crate::harness::run::{Interval, Manner, Run, read};
use crate::harness::statistics::median;
use hedgerow::refusal::printable;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Say what changed between two runs of `load` beyond noise
///
/// Example: hedgerow report compare before.json after.json --check
///
/// A run is what `hedgerow load --json` printed. Each measure has a value for each piece of a run
/// (latency), or each round (kernels); the ratio of their medians has an interval of 99 %, and a
/// measure has changed where that interval lies beyond the floor. Runs at two moments differ by
/// what else the machine did then: give several runs of each, made by turns, with commas between.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The run before, or several with commas between
    #[arg(value_delimiter = ',', required = true, num_args = 1)]
    before: Vec<PathBuf>,
    /// The run after, or several
    #[arg(value_delimiter = ',', required = true, num_args = 1)]
    after: Vec<PathBuf>,
    /// Changes of less than this many percent are none
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    floor: f64,
    /// Compare only measures whose names begin so
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    only: Vec<String>,
    /// Exit with status 1 where anything has become worse, or where nothing, or not what --only
    /// names, could be compared
    #[arg(long)]
    check: bool,
}

/// A measure of a run: name, values in time, and whether less of it is better.
struct Measure {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
    less_is_better: bool,
}

/// What became of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Worse,
    Better,
    None,
    Unknown,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Change::Worse => "worse",
            Change::Better => "better",
            Change::None => "no change beyond noise",
            Change::Unknown => "too few values",
        }
    }
}

/// Compares.
pub fn run(args: &Args) -> Result<Report, Failure> {
    number("--floor", args.floor, 0.0..=1_000.0, "0 to 1000")?;
    let all = |paths: &[PathBuf]| -> Result<Vec<Run>, Failure> {
        paths.iter().map(|path| read(path)).collect()
    };
    let (before, after) = (all(&args.before)?, all(&args.after)?);
    let (first, second) = (measures(&before), measures(&after));
    let (mut rows, mut absent) = (Vec::new(), Vec::new());
    for measure in first {
        let wanted = |name: &String| measure.name.starts_with(name.as_str());
        if !args.only.is_empty() && !args.only.iter().any(wanted) {
            continue;
        }
        let Some(other) = second.iter().find(|other| other.name == measure.name) else {
            absent.push(measure.name);
            continue;
        };
        let ratio = ratio(&measure.values, &other.values);
        let change = judge(ratio, measure.less_is_better, args.floor);
        rows.push(Row {
            before: median(&measure.values),
            after: median(&other.values),
            name: measure.name,
            unit: measure.unit,
            ratio,
            change,
        });
    }
    if rows.is_empty() {
        let expected = "runs with a measure in common";
        let got = match args.only.is_empty() {
            true => "none".to_string(),
            false => format!("none named {}", args.only.join(", ")),
        };
        return Err(Failure::new("compare", "runs", expected, got));
    }
    let differences = differences(&before, &after);
    let worse = rows
        .iter()
        .filter(|row| row.change == Change::Worse)
        .count();
    let failed = before.iter().chain(&after).any(|run| !run.ok);
    let compared = is_compared(args, &rows, &absent);
    let ok = !args.check || (worse == 0 && !failed && compared);
    let mut text = text(args, &rows, &differences, failed);
    if !absent.is_empty() {
        text += &format!("not in the run after: {}\n", absent.join(", "));
    }
    if args.check && !compared {
        text.push_str("the check FAILED: what it is for could not be compared\n");
    }
    let json = json!({
        "ok": ok,
        "worse": worse,
        "failed_run": failed,
        "absent": absent,
        "compared": compared,
        "confidence_percent": CONFIDENCE,
        "floor_percent": args.floor,
        "differ_in": differences,
        "measures": rows.iter().map(Row::json).collect::<Vec<_>>(),
    });
    Ok(Report::checked(text, json, ok))
}

/// Whether what a check is for was compared: anything, or all that was named.
fn is_compared(args: &Args, rows: &[Row], absent: &[String]) -> bool {
    let known = |row: &Row| row.change != Change::Unknown;
    match args.only.is_empty() {
        true => rows.iter().any(known),
        false => rows.iter().all(known) && absent.is_empty(),
    }
}

struct Row {
    name: String,
    unit: &'static str,
    before: f64,
    after: f64,
    ratio: Option<Ratio>,
    change: Change,
}

impl Row {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "unit": self.unit,
            "before": self.before,
            "after": self.after,
            "ratio": self.ratio.map(|it| it.ratio),
            "low": self.ratio.map(|it| it.low),
            "high": self.ratio.map(|it| it.high),
            "change": self.change.name(),
        })
    }
}

/// A change is beyond noise where the whole interval lies on one side, and beyond the floor where
/// its middle does, too.
fn judge(ratio: Option<Ratio>, less_is_better: bool, floor: f64) -> Change {
    let Some(Ratio { ratio, low, high }) = ratio else {
        return Change::Unknown;
    };
    let grew = low > 1.0 && ratio > 1.0 + floor / 100.0;
    let fell = high < 1.0 && ratio < 1.0 / (1.0 + floor / 100.0);
    match (grew, fell, less_is_better) {
        (true, _, true) | (_, true, false) => Change::Worse,
        (true, _, false) | (_, true, true) => Change::Better,
        _ => Change::None,
    }
}

/// The measures of a run, or those of several runs, each run's middle a value if there are enough
/// of them.
fn measures(runs: &[Run]) -> Vec<Measure> {
    let mut all: Vec<Measure> = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        for mut measure in measures_of(run) {
            if runs.len() >= VALUES_MIN {
                measure.values = vec![median(&measure.values)];
            }
            match all.iter_mut().find(|same| same.name == measure.name) {
                Some(same) => same.values.extend(measure.values),
                None if at == 0 => all.push(measure),
                None => {}
            }
        }
    }
    all
}

fn measures_of(run: &Run) -> Vec<Measure> {
    let measure = |name: &str, values, less_is_better| {
        let name = name.to_string();
        Measure {
            name,
            // What is better where it is less is a time.
            unit: if less_is_better { "ns" } else { "1/s" },
            values,
            less_is_better,
        }
    };
    let pieces: Vec<_> = run
        .intervals
        .iter()
        .filter(|it| it.had_requests())
        .collect();
    let of = |value: fn(&Interval) -> f64| pieces.iter().map(|it| value(it)).collect::<Vec<f64>>();
    let length = run.asked.seconds / run.intervals.len().max(1) as f64;
    let served = pieces.iter().filter(|it| it.answered > 0);
    let mut all = vec![
        measure("answered", of(|it| it.answered as f64), false),
        measure("latency.p50", of(|it| it.p50 as f64), true),
        measure("latency.p99", of(|it| it.p99 as f64), true),
        measure(
            "service.p50",
            served.map(|it| it.service_p50 as f64).collect(),
            true,
        ),
    ];
    all[0]
        .values
        .iter_mut()
        .for_each(|answered| *answered /= length);
    let manners: [(&str, Manner); 3] = [
        ("row", |it| &it.row),
        ("batch", |it| &it.batch_row),
        ("cold", |it| &it.cold_row),
    ];
    // Under no kernel's name: the one that scores, whatever it is called; and each by its name.
    let chosen = run.profile.as_ref().map(|profile| &profile.kernel);
    for kernel in &run.kernels {
        let name = &kernel.name;
        let mut add = |of: &str| {
            for (manner, rounds) in manners {
                all.push(measure(
                    &format!("kernel.{of}{manner}"),
                    rounds(kernel).clone(),
                    true,
                ));
            }
        };
        if Some(name) == chosen {
            add("");
        }
        add(&format!("{name}."));
    }
    all
}

/// What the runs were asked that is not the same.
fn differences(before: &[Run], after: &[Run]) -> Vec<String> {
    let asked = |run: &Run| {
        let mut asked = serde_json::to_value(&run.asked).unwrap_or_default();
        asked["processor"] = Value::String(run.machine.processor.clone());
        asked
    };
    let (Some(one), Some(other)) = (before.first().map(asked), after.first().map(asked)) else {
        return Vec::new();
    };
    let fields = one.as_object().into_iter().flatten();
    let differ = fields.filter(|(name, value)| other[name.as_str()] != **value);
    differ
        .map(|(name, value)| format!("{name}: {value} and {}", other[name.as_str()]))
        .collect()
}

fn text(args: &Args, rows: &[Row], differences: &[String], failed: bool) -> String {
    let mut text = String::new();
    for difference in differences {
        text += &format!("the runs differ in {}\n", printable(difference));
    }
    if failed {
        text.push_str("one of the runs FAILED: see its own report\n");
    }
    text += &format!(
        "{:<24} {:>4} {:>12} {:>12} {:>9}   interval of {CONFIDENCE} %\n",
        "measure", "unit", "before", "after", "change"
    );
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    for Row {
        name,
        unit,
        before,
        after,
        ratio,
        change,
    } in rows
    {
        let ratio = match ratio {
            None => format!("{:>9}   {:<22}", "", ""),
            Some(Ratio { ratio, low, high }) => {
                let interval = format!("{:+.1} to {:+.1} %", percent(*low), percent(*high));
                format!("{:>+7.1} %   {interval:<22}", percent(*ratio))
            }
        };
        let change = change.name();
        text += &format!("{name:<24} {unit:>4} {before:>12.1} {after:>12.1} {ratio} {change}\n");
    }
    let count = |change| rows.iter().filter(|row| row.change == change).count();
    let [worse, better, none] = [Change::Worse, Change::Better, Change::None].map(count);
    let (floor, all) = (args.floor, rows.len());
    let chance = all as f64 * (100.0 - CONFIDENCE) / 100.0;
    text + &format!(
        "{worse} worse, {better} better, {none} without a change beyond noise and {floor} %; by \
         chance alone about {chance:.1} of {all} would leave their interval\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_beyond_the_interval_and_beyond_the_floor() {
        let of = |ratio, low, high| Some(Ratio { ratio, low, high });
        assert_eq!(judge(of(1.2, 1.1, 1.3), true, 5.0), Change::Worse);
        assert_eq!(judge(of(1.2, 1.1, 1.3), false, 5.0), Change::Better);
        assert_eq!(judge(of(0.8, 0.7, 0.9), true, 5.0), Change::Better);
        assert_eq!(judge(of(0.8, 0.7, 0.9), false, 5.0), Change::Worse);
        assert_eq!(judge(of(1.2, 0.9, 1.5), true, 5.0), Change::None);
        assert_eq!(judge(of(1.04, 1.03, 1.05), true, 5.0), Change::None);
        assert_eq!(judge(of(1.04, 1.03, 1.05), true, 1.0), Change::Worse);
        assert_eq!(judge(None, true, 5.0), Change::Unknown);
    }
}
