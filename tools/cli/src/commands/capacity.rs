//! `capacity`: from what one thread was measured to do, the cores and the memory that a rate needs.

use crate::Report;
use crate::drawing::{grouped, time};
use crate::failure::Failure;
use crate::harness::profile::profile;
use crate::harness::run::{FORM, Machine, Moments, Profile, Run, read};
use crate::harness::source::Source;
use crate::harness::{above_0, machine, number};
use hedgerow::limits::{BATCH_ROWS_MAX, RETIRED_MAX};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;

/// Say how many cores and how much memory a rate of requests needs, and under what assumptions
///
/// Example: hedgerow capacity --rate 63000000 --p99 100
///
/// Computed from a profile of this machine, measured within some seconds, or from one of another
/// that `hedgerow load --json` has written. It is an estimate, and says by which formula. The exit
/// status is 1 where no way to score keeps the budget.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Requests a second, over all machines
    #[arg(long, value_name = "N")]
    rate: f64,
    /// The table, `default`, or `made:N`
    #[arg(
        long,
        value_name = "TABLE",
        default_value = "default",
        conflicts_with = "profile"
    )]
    table: OsString,
    /// Rows or recorded requests, as `load` takes them
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    input: Option<PathBuf>,
    /// What 99 of 100 requests may take at most, waiting included, in microseconds
    #[arg(long, value_name = "US", default_value_t = 100.0)]
    p99: f64,
    /// How much of a core's time scoring may take at most, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.7)]
    busy: f64,
    /// Cores of a machine, for memory, which each machine needs once
    #[arg(long, value_name = "N", default_value_t = 64)]
    machine_cores: u64,
    /// A run of `load --json` to take the profile from; else it is measured here
    #[arg(long, value_name = "FILE.json")]
    profile: Option<PathBuf>,
    /// How long to measure, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    seconds: f64,
}

/// What a way to score needs.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Need {
    /// Requests per second that a core can take at most.
    #[serde(rename = "core_max_rate")]
    most: f64,
    /// Requests per second that a core is given.
    #[serde(rename = "core_rate")]
    given: f64,
    /// How busy it is then.
    busy: f64,
    /// The estimated p99 there, in nanoseconds.
    #[serde(rename = "p99_us", serialize_with = "micros")]
    p99: f64,
    /// Rows at once on average.
    #[serde(rename = "rows_at_once")]
    rows: f64,
    cores: u64,
    machines: u64,
}

fn micros<S: Serializer>(nanos: &f64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(nanos / 1e3)
}

/// Estimates.
pub fn run(args: &Args) -> Result<Report, Failure> {
    check(args)?;
    let (profile, machine) = match &args.profile {
        Some(path) => {
            let Run {
                profile, machine, ..
            } = read(path)?;
            let Some(profile) = profile else {
                let expected = "a run with a profile";
                return Err(Failure::new("profile", path.display(), expected, "none"));
            };
            (profile, machine)
        }
        None => {
            let machine = machine::machine();
            let source = Source::open(args.table.as_ref(), args.input.as_deref())?;
            (profile(&source, None, args.seconds)?, machine)
        }
    };
    let one = |moments: Moments| {
        let at = |rate: f64| (rate * moments.mean / 1e9, single_p99(rate, &moments), 1.0);
        need(args, 1e9 / moments.mean, at)
    };
    let batched = |sizes: &[(usize, f64)]| {
        let cost = Cost::of(sizes)?;
        need(args, cost.most(), |rate| cost.at(rate))
    };
    let mut needs: Vec<(&'static str, Option<Need>)> = vec![
        ("inline, warm caches", one(profile.one)),
        ("inline, cold caches", one(profile.one_cold)),
        ("batched, up to 64 at once", batched(&profile.batches)),
    ];
    // A profile from before it was measured has none.
    if !profile.ring.is_empty() {
        needs.push(("the same through a ring", batched(&profile.ring)));
    }
    let memory = Memory::of(args, &profile);
    let text = text(args, &profile, &machine, &needs, &memory);
    let shown = needs.iter().map(|(name, need)| {
        let mut shown = need.as_ref().map_or(json!({}), |need| json!(need));
        (shown["name"], shown["possible"]) = (json!(name), json!(need.is_some()));
        shown
    });
    let shown: Vec<Value> = shown.collect();
    let possible = needs.iter().any(|(_, need)| need.is_some());
    let json = json!({
        "ok": possible,
        "form": FORM,
        "rate": args.rate,
        "p99_us": args.p99,
        "busy_max": args.busy,
        "machine": machine,
        "profile": profile,
        "needs": shown,
        "memory": {
            "machine_cores": args.machine_cores,
            "usual_bytes": memory.usual,
            "most_bytes": memory.most,
        },
        "assumptions": ASSUMPTIONS,
    });
    Ok(Report::checked(text, json, possible))
}

fn check(args: &Args) -> Result<(), Failure> {
    number("--rate", args.rate, above_0(1e15), "above 0, at most 1e15")?;
    number("--p99", args.p99, above_0(1e9), "above 0, at most 1e9")?;
    number("--busy", args.busy, 0.01..=0.99, "0.01 to 0.99")?;
    number(
        "--seconds",
        args.seconds,
        above_0(600.0),
        "above 0, at most 600",
    )?;
    let cores = args.machine_cores as f64;
    number("--machine-cores", cores, 1.0..=4_096.0, "1 to 4096")
}

/// The largest rate for a core that keeps both the budget and the share of its time, and what comes
/// of it; none where even a single request takes longer than the budget. `at` tells of a rate how
/// busy a core is, its p99, and its rows at once; all of them grow with it.
fn need(args: &Args, most: f64, at: impl Fn(f64) -> (f64, f64, f64)) -> Option<Need> {
    let fits = |rate: f64| {
        let (busy, p99, _) = at(rate);
        busy <= args.busy && p99 <= args.p99 * 1e3
    };
    let (mut low, mut high) = (most * 1e-6, most);
    if !fits(low) {
        return None;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match fits(middle) {
            true => low = middle,
            false => high = middle,
        }
    }
    let cores = (args.rate / low).ceil().max(1.0);
    let given = args.rate / cores;
    let (busy, p99, rows) = at(given);
    let cores = cores as u64;
    Some(Need {
        most,
        given,
        busy,
        p99,
        rows,
        cores,
        machines: cores.div_ceil(args.machine_cores),
    })
}

/// The p99 of a core that takes requests one by one as they come at random: Pollaczek and Khinchine
/// give the mean wait, and the waits of those that wait at all are taken as exponential.
fn single_p99(rate: f64, of: &Moments) -> f64 {
    let busy = rate * of.mean / 1e9;
    if busy >= 1.0 {
        return f64::INFINITY;
    }
    let wait = rate / 1e9 * of.square / (2.0 * (1.0 - busy));
    let tail = (busy / 0.01).ln().max(0.0);
    of.p99 + wait / busy.max(1e-12) * tail
}

/// What so many rows at once cost: a fixed part and a part a row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    fixed: f64,
    row: f64,
}

impl Cost {
    /// The line through measured sizes, by least squares of relative distance.
    fn of(sizes: &[(usize, f64)]) -> Option<Cost> {
        let (mut w, mut wx, mut wy, mut wxx, mut wxy) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (rows, nanos) in sizes
            .iter()
            .filter(|(rows, nanos)| *rows > 0 && *nanos > 0.0)
        {
            let (x, weight) = (*rows as f64, 1.0 / (nanos * nanos));
            w += weight;
            wx += weight * x;
            wy += weight * nanos;
            wxx += weight * x * x;
            wxy += weight * x * nanos;
        }
        let determinant = w * wxx - wx * wx;
        let row = (w * wxy - wx * wy) / determinant;
        let fixed = ((wy - row * wx) / w).max(0.0);
        (row.is_finite() && row > 0.0).then_some(Cost { fixed, row })
    }

    fn nanos(&self, rows: f64) -> f64 {
        self.fixed + self.row * rows
    }

    /// Requests a second in full batches without a pause.
    fn most(&self) -> f64 {
        BATCH_ROWS_MAX as f64 * 1e9 / self.nanos(BATCH_ROWS_MAX as f64)
    }

    /// How busy a core is, its p99, and its rows at once: while a batch is scored the next one
    /// gathers, so its size settles where it takes as long as its successor needs to come. A
    /// request waits for the batch before it, and for its own; the sizes vary as a count of random
    /// arrivals does.
    fn at(&self, rate: f64) -> (f64, f64, f64) {
        let each = rate / 1e9;
        let settled = match each * self.row {
            busy if busy >= 1.0 => f64::INFINITY,
            busy => each * self.fixed / (1.0 - busy),
        };
        let rows = settled.max(1.0);
        // 2.33 deviations: 99 of 100.
        let large = rows + 2.33 * rows.sqrt();
        let most = BATCH_ROWS_MAX as f64;
        let p99 = if large > most {
            f64::INFINITY
        } else {
            2.0 * self.nanos(large)
        };
        // As a share of what full batches could do: an idle turn of a smaller one is no loss.
        (rate / self.most(), p99, rows)
    }
}

/// Bytes of a machine.
struct Memory {
    /// With the live table, the one before it, and every scorer.
    usual: u64,
    /// With as many retired tables as there may be.
    most: u64,
}

impl Memory {
    fn of(args: &Args, profile: &Profile) -> Memory {
        let table = profile.engine_bytes.max(profile.table_bytes as u64);
        let scorers = profile.scorer_bytes.saturating_mul(args.machine_cores);
        Memory {
            usual: table.saturating_mul(2).saturating_add(scorers),
            most: table
                .saturating_mul(RETIRED_MAX as u64 + 1)
                .saturating_add(scorers),
        }
    }
}

const ASSUMPTIONS: [&str; 9] = [
    "A request's cost is from its input (a parsed request, or a row of values) to its verdict; \
     parsing HTTP, TLS and everything else that a proxy does is not in it.",
    "Requests are spread evenly over cores, and come to each independently of each other \
     (Poisson). A proxy that spreads connections, not requests, needs room for the uneven core.",
    "One by one: an M/G/1 queue. The mean wait is by Pollaczek and Khinchine from the measured \
     mean and mean square; waits are taken as exponential behind the share that does not wait. \
     p99 is the sum of both p99s, which is too much rather than too little.",
    "Batched: a worker scores what came while it scored the batch before, up to 64 rows; the cost \
     is the line a + b × rows through the measured sizes. p99 is twice the time of a batch that is \
     2.33 deviations larger than usual.",
    "Through a ring: the same, from the processor time of whoever submits and of the worker \
     together, which sleep while they wait: it is what the machine spends, whoever's core it is.",
    "A core that scores has nothing else to do in the share of its time that is given here. Two \
     hyperthreads are not two cores.",
    "Cold caches: 4 MiB of other memory are read before each request. A proxy lies in between.",
    "The slowest thousandth of measured times counts as slow as its fastest: on a shared machine \
     it is the machine's.",
    "Memory is a machine's, measured as growth of the process: two tables and a scorer a core as a \
     rule; at most all retired tables that may wait. Windows of traffic are not in it.",
];

fn text(
    args: &Args,
    profile: &Profile,
    machine: &Machine,
    needs: &[(&'static str, Option<Need>)],
    memory: &Memory,
) -> String {
    let mut text = format!(
        "{} requests a second, p99 at most {} µs, a core at most {:.0} % busy with it\n\
         table {}, kernel {}, measured on {}\n\n",
        grouped(args.rate as u64),
        args.p99,
        100.0 * args.busy,
        profile.table,
        profile.kernel,
        machine.processor
    );
    text.extend(
        machine
            .busy()
            .map(|busy| format!("BUSY MACHINE: {busy}\n\n")),
    );
    let [warm, cold] = [&profile.one, &profile.one_cold].map(|moments| time(moments.mean));
    let last = profile.batches.last();
    let each = last.map_or("–".into(), |(rows, nanos)| time(nanos / *rows as f64));
    text += &format!("a request: {warm} warm, {cold} cold; 64 at once: {each} each\n\n");
    text += &format!(
        "{:<27} {:>9} {:>9} {:>14} {:>6} {:>10} {:>10}\n",
        "", "cores", "machines", "per core and s", "busy", "p99", "batch size"
    );
    for (name, need) in needs {
        text += &match need {
            None => format!("{name:<27} not within the budget: one request takes longer\n"),
            Some(need) => format!(
                "{name:<27} {:>9} {:>9} {:>14} {:>4.0} % {:>10} {:>10.1}\n",
                grouped(need.cores),
                grouped(need.machines),
                grouped(need.given as u64),
                100.0 * need.busy,
                time(need.p99),
                need.rows
            ),
        };
    }
    let [usual, most] = [memory.usual, memory.most].map(|bytes| bytes as f64 / 1024.0 / 1024.0);
    let cores = args.machine_cores;
    text += &format!(
        "\nmemory of a machine of {cores} cores: {usual:.1} MiB as a rule, {most:.1} MiB at most\n\
         \nassumptions\n"
    );
    text.extend(ASSUMPTIONS.map(|assumption| format!("- {assumption}\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_through_batches_is_found() {
        let sizes: Vec<(usize, f64)> = [1, 2, 8, 64].map(|n| (n, 700.0 + 300.0 * n as f64)).into();
        let cost = Cost::of(&sizes).unwrap();
        assert!(
            (cost.fixed - 700.0).abs() < 1.0 && (cost.row - 300.0).abs() < 1.0,
            "{cost:?}"
        );
        assert!(Cost::of(&[]).is_none() && Cost::of(&[(4, 100.0)]).is_none());
    }

    #[test]
    fn waits_are_those_of_the_textbook() {
        // Deterministic service of 1 µs at half load: mean wait 0.5 µs.
        let even = Moments {
            mean: 1_000.0,
            square: 1e6,
            p99: 1_000.0,
        };
        let half = single_p99(5e5, &even);
        assert!(
            (half - (1_000.0 + 500.0 / 0.5 * 50f64.ln())).abs() < 1.0,
            "{half}"
        );
        assert_eq!(single_p99(1.0, &even), 1_000.0);
        assert!(single_p99(1e6, &even).is_infinite());
    }

    #[test]
    fn batches_settle_and_grow_with_the_rate() {
        let cost = Cost {
            fixed: 700.0,
            row: 300.0,
        };
        let (_, idle, rows) = cost.at(1_000.0);
        assert_eq!(rows, 1.0);
        let (_, loaded, rows) = cost.at(3e6);
        assert!((rows - 21.0).abs() < 0.1 && loaded > idle, "{rows}");
        assert!(cost.at(3.3e6).1.is_infinite());
    }
}
