//! `replay`: the main job. Workers on every core score recorded real requests while good and bad
//! tables are published under them.

use crate::Report;
use crate::failure::Failure;
use crate::harness::source::Source;
use crate::harness::stage::{Mode, Plan, Stage, Sums};
use crate::harness::view::View;
use crate::harness::{Interruption, above_0, cores, number};
use crate::text::{Columns, listed};
use hedgerow::limits::BATCH_ROWS_MAX;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Score recorded real requests on every core while good and bad tables are published
///
/// Example: hedgerow replay --seconds 3 --json
///
/// Each worker extracts features and scores, over and over, the recorded requests; a control
/// thread publishes good tables, and every kind of bad one in turn. Exit status 1 where a request
/// was lost or a verdict was wrong. Ctrl-C ends the run early, with its report.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    #[arg(long, default_value = "default")]
    table: OsString,
    /// Requests, one JSON object a line; else the bundled recordings
    #[arg(long, value_name = "FILE")]
    requests: Option<PathBuf>,
    /// How long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// Cores to work on, by number, as in 0,2; else all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Who scores: `inline` the threads that extract, as in a proxy with a thread a core, or `pool`
    /// a pool of workers behind rings, fed by as many threads
    #[arg(long, value_enum, default_value = "inline")]
    mode: Mode,
    /// Time between two tables, good or bad, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10.0)]
    every: f64,
}

/// Replays.
pub fn run(args: &Args) -> Result<Report, Failure> {
    number(
        "--seconds",
        args.seconds,
        above_0(86_400.0),
        "above 0, at most 86400",
    )?;
    number("--every", args.every, 0.0..=60_000.0, "0 to 60000")?;
    let cores = cores(&args.cores)?;
    let source = Source::recorded(args.table.as_ref(), args.requests.as_deref())?;
    let interruption = Interruption::listen()?;
    let mut stage = Stage::new(source, None)?;
    let plan = Plan {
        mode: args.mode,
        feeders: cores.len(),
        calls: BATCH_ROWS_MAX.div_ceil(cores.len()),
        swaps: Some([Duration::ZERO, Duration::from_secs_f64(args.every / 1e3)]),
        ..Plan::saturating(cores, args.seconds)
    };
    let view = View::new(plan.cores.len(), args.seconds);
    let sums = stage.run(&plan, &interruption, view.as_ref())?;
    Ok(report(&stage, &plan, &sums))
}

/// Everything a finished replay knows.
struct Run<'a> {
    stage: &'a Stage,
    plan: &'a Plan,
    sums: &'a Sums,
    retired: usize,
    scored: u64,
    /// Requests per second and core.
    rate: f64,
    /// Shares of the latency, in nanoseconds.
    latency: [(&'static str, u64); 4],
}

/// The report. The run failed if a request was lost or had no score, a verdict was wrong, or a
/// table was not treated as it should be.
fn report(stage: &Stage, plan: &Plan, sums: &Sums) -> Report {
    stage.engine.reclaim();
    let scored = sums.counts.scored();
    let shares = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    let run = Run {
        stage,
        plan,
        sums,
        retired: stage.engine.stats().retired,
        scored,
        rate: scored as f64 / sums.seconds / plan.cores.len() as f64,
        latency: shares.map(|(name, share)| (name, sums.latency.value_at_quantile(share))),
    };
    let not_scored = sums.counts.not_scored();
    // No request finds a full ring: fewer are under way than it holds.
    let ok = sums.lost == 0
        && sums.counts.wrong == 0
        && scored > 0
        && not_scored.iter().all(|(_, count)| *count == 0)
        && run.retired == 0
        && stage.publisher.published.surprises.is_empty()
        && sums.dead == 0;
    Report::checked(run.text(ok), run.json(ok), ok)
}

impl Run<'_> {
    fn text(&self, ok: bool) -> String {
        let (sums, published) = (self.sums, &self.stage.publisher.published);
        let (scored, rate, cores) = (self.scored, self.rate, self.plan.cores.len());
        let recorded = self.stage.source.work.count();
        let mut text = Columns::new(22);
        let scored = format!("{scored} ({recorded} recorded, over and over)");
        text.line("requests scored", scored);
        text.line(
            "rate a core",
            format!("{rate:.0} a second on each of {cores}"),
        );
        if sums.unbound > 0 {
            let unbound = format!("{}: the system refused affinity", sums.unbound);
            text.line("threads not bound", unbound);
        }
        let micros = |(name, nanos)| format!("{name} {:.2}", nanos as f64 / 1e3);
        let micros = self.latency.map(micros).join("  ");
        text.line("latency, µs", format!("{micros} (request to verdict)"));
        text.line("generations published", published.generation);
        if published.held_back > 0 {
            text.line(
                "publishing held back",
                format!("{} times", published.held_back),
            );
        }
        text.line("tables refused", published.refused);
        text.lines("", published.refusals.values());
        let missed = sums.counts.not_scored().into_iter();
        let missed = missed.map(|(name, count)| format!("{count} {name}"));
        text.line("verdicts not scored", listed(missed, "0"));
        text.line("wrong verdicts", sums.counts.wrong);
        text.line("requests lost", sums.lost);
        text.line("tables not reclaimed", self.retired);
        text.lines("UNEXPECTED", &published.surprises);
        let [humans, bots, _] = &sums.counts.scores;
        text.add(&distribution(humans, bots));
        if !ok {
            let what = "a request was lost or not scored, a verdict wrong, or a table mistreated";
            text.add(&format!("FAILED: {what}\n"));
        }
        text.end()
    }

    fn json(&self, ok: bool) -> Value {
        let (sums, published) = (self.sums, &self.stage.publisher.published);
        let [humans, bots, _] = sums.counts.scores.map(|counts| counts.to_vec());
        let cores = self.plan.cores.iter().map(|core| core.id);
        json!({
            "ok": ok,
            "seconds": sums.seconds,
            "cores": cores.collect::<Vec<_>>(),
            "threads_not_bound": sums.unbound,
            "requests_recorded": self.stage.source.work.count(),
            "requests_scored": self.scored,
            "rate_per_core": self.rate,
            "latency_ns": BTreeMap::from(self.latency),
            "generations_published": published.generation,
            "publishes_held_back": published.held_back,
            "tables_refused": published.refused,
            "refusals": published.refusals.values().collect::<Vec<_>>(),
            "faults_tried": published.tried,
            "not_scored": BTreeMap::from_iter(sums.counts.not_scored()),
            "wrong_verdicts": sums.counts.wrong,
            "requests_lost": sums.lost,
            "tables_not_reclaimed": self.retired,
            "unexpected": published.surprises,
            "scores": { "humans": humans, "bots": bots },
        })
    }
}

/// How often each score was given to humans and to bots, as bars.
fn distribution(humans: &[u64; 100], bots: &[u64; 100]) -> String {
    let (all_humans, all_bots) = (humans.iter().sum::<u64>(), bots.iter().sum::<u64>());
    if all_humans + all_bots == 0 {
        return String::from("scores                 the requests have no labels\n");
    }
    let mut text = String::from("\nscores      bots                                humans\n");
    for low in (0..100).step_by(10) {
        let share = |side: &[u64; 100], all: u64| {
            let count: u64 = side[low..low + 10].iter().sum();
            let share = 100.0 * count as f64 / all.max(1) as f64;
            (share, "#".repeat((share / 4.0).round() as usize))
        };
        let ((bots, bar), (humans, human_bar)) = (share(bots, all_bots), share(humans, all_humans));
        let (first, last) = (low.max(1), low + 9);
        text += &format!(
            "{first:>2} to {last:>2}  {bots:>5.1} % {bar:<25}  {humans:>5.1} % {human_bar}\n"
        );
    }
    text
}
