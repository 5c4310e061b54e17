//! `load`: requests that come as they really do, whether or not the engine keeps up.

mod check;
mod hgrm;
mod shadows;
mod sweep;
mod text;

use crate::Report;
use crate::failure::Failure;
use crate::harness::arrivals::Shape;
use crate::harness::cache_pressure::By;
use crate::harness::profile::{kernels, profile};
use crate::harness::run::{Asked, Distribution, FORM, Run, Scores, Totals};
use crate::harness::source::Source;
use crate::harness::stage::{Mode, Plan, Stage, Sums};
use crate::harness::view::View;
use crate::harness::{Interruption, cores, drive, machine};
use crate::page;
use core_affinity::CoreId;
use hedgerow::Reason;
use hedgerow::watch::time;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Put an engine under requests that come by themselves, and measure each from when it was due
///
/// Example: hedgerow load default --rate 50000 --seconds 5
///
/// Requests come at a rate, whether or not those before have their verdicts (open loop), and their
/// latency counts from the moment that they were due: a stall is in the figures of every request
/// that it delays. Good and bad tables are published meanwhile. Every verdict is held against what
/// the table that it names must give. Exit status 1 where a request was lost or a verdict wrong.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, `default`, or `made:N` for one of N trees that is made from a seed
    #[arg(default_value = "default")]
    table: OsString,
    /// Rows (CSV or NPY) or recorded requests (NDJSON), over and over; else the bundled requests,
    /// or the table's golden rows where it has other features
    input: Option<PathBuf>,
    /// Requests a second, over all cores
    #[arg(long, value_name = "N", default_value_t = 20_000.0)]
    rate: f64,
    /// How they come
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: Shape,
    /// Requests that come at one moment, of `--arrivals bursts`
    #[arg(long, value_name = "N", default_value_t = 32)]
    burst: u32,
    /// How long to measure, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// How long to run before that, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5)]
    warm_up: f64,
    /// Who scores: `inline` a thread a core that the requests come to, or `pool` workers behind
    /// rings, which feeders hand them to
    #[arg(long, value_enum, default_value = "inline")]
    mode: Mode,
    /// Cores to score on, by number, as in 0,2; else all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cores: Vec<usize>,
    /// Threads that feed the pool; they are not bound to cores
    #[arg(long, value_name = "N", default_value_t = 1)]
    feeders: usize,
    /// Requests that an inline thread scores at once where so many are due, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 1)]
    batch: usize,
    /// Tables a second, good and bad
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    swap_rate: f64,
    /// The share of them that are bad, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    bad: f64,
    /// Kinds of bad tables, by name, as replay lists them; else all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    bad_kinds: Vec<String>,
    /// Tables in shadow, which score samples of the requests next to the live one
    #[arg(long, value_name = "N", default_value_t = 0)]
    shadows: usize,
    /// Have other work read so many MiB, as a proxy does between two requests
    #[arg(long, value_name = "MIB", default_value_t = 0.0)]
    evict: f64,
    /// Who does that other work
    #[arg(long, value_enum, default_value = "between")]
    evict_by: By,
    /// Score with this kernel; else with the best
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Measure throughput against latency too, over cores, batch limits, swap rates and table sizes
    #[arg(long)]
    sweep: bool,
    /// How long the sweep may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    sweep_seconds: f64,
    /// Draw everything, a sweep included, as one page of HTML that needs nothing else
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Also show the figures of peers: a record of tools/lab/peers in JSON; else the newest in
    /// benches/record, where that is
    #[arg(long, value_name = "FILE", requires = "report")]
    peers: Option<PathBuf>,
    /// Write latencies as an HdrHistogram percentile distribution, in microseconds
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
}

/// Puts under load.
pub fn run(args: &Args) -> Result<Report, Failure> {
    check::check(args)?;
    let peers = match &args.report {
        Some(_) => page::record(args.peers.as_deref())?,
        None => None,
    };
    let interruption = Interruption::listen()?;
    let (mut run, sums, mut stage) = args.measured(&interruption)?;
    if let Some(path) = &args.hgrm {
        hgrm::write(path, &sums.latency)?;
    }
    if (args.sweep || args.report.is_some()) && !interruption.is_raised() {
        let kernel = args.kernel.as_deref();
        stage.publisher.adjust(0.5, &[], kernel)?;
        let cores = cores(&args.cores)?;
        sweep::sweep(
            &mut stage,
            cores,
            kernel,
            args.sweep_seconds,
            &interruption,
            &mut run,
        )?;
    }
    let totals = &run.totals;
    run.ok = totals.lost == 0
        && totals.wrong == 0
        && totals.not_reclaimed == 0
        && run.unexpected.is_empty()
        && sums.dead == 0
        && (interruption.is_raised() || scored(&run));
    let mut text = text::text(&run);
    if let Some(path) = &args.report {
        page::write(&run, path, peers.as_ref())?;
        text += &format!("\nreport                 {}\n", path.display());
    }
    let json = serde_json::to_value(&run)
        .map_err(|error| Failure::new("load", "result", "a result in JSON", error))?;
    Ok(Report::checked(text, json, run.ok))
}

impl Args {
    /// The run itself, with shadows and a live view, and kernels alone before and after it.
    fn measured(&self, interruption: &Interruption) -> Result<(Run, Sums, Stage), Failure> {
        let (machine, at) = (machine::machine(), time::now());
        let source = Source::open(self.table.as_ref(), self.input.as_deref())?;
        let kernel = self.kernel.as_deref();
        // Seconds for kernels, twice, and for the profile.
        let alone = (self.seconds * 0.15).min(1.5);
        // Before all else: its bytes are growth of the process, and what the run frees would be
        // taken again without growth.
        let profile = profile(&source, kernel, alone)?;
        let plan = self.plan(cores(&self.cores)?);
        let mut stage = Stage::new(source, kernel)?;
        stage.publisher.adjust(self.bad, &self.bad_kinds, kernel)?;
        // Kernels before and after: what changes with time is then within the run, too.
        let mut rounds = kernels(&stage.source, kernel, alone)?;
        let shadows = shadows::Shadows::start(&stage, self.shadows)?;
        let threads = plan.cores.len().max(self.feeders);
        let view = View::new(threads, self.seconds + self.warm_up);
        let sums = stage.run(&plan, interruption, view.as_ref())?;
        drop(view);
        let shadows = shadows.map(shadows::Shadows::end).unwrap_or_default();
        for (rounds, after) in rounds
            .iter_mut()
            .zip(kernels(&stage.source, kernel, alone)?)
        {
            rounds.row.extend(after.row);
            rounds.batch_row.extend(after.batch_row);
            rounds.cold_row.extend(after.cold_row);
        }
        let [humans, bots, unlabelled] = sums.counts.scores.map(|counts| counts.to_vec());
        let not_scored = sums.counts.not_scored().into_iter();
        let published = &stage.publisher.published;
        let run = Run {
            form: FORM,
            ok: false,
            at,
            command: machine::command(),
            machine,
            asked: self.asked(&stage, &plan),
            totals: totals(&stage, &sums),
            latency: Distribution::of(&sums.latency),
            service: Distribution::of(&sums.service),
            intervals: sums.intervals.clone(),
            events: sums.events.clone(),
            refusals: published.refusals.values().cloned().collect(),
            not_scored: not_scored
                .map(|(reason, count)| (reason.into(), count))
                .collect(),
            scores: Scores {
                humans,
                bots,
                unlabelled,
            },
            shadows,
            unexpected: published.surprises.clone(),
            profile: Some(profile),
            kernels: rounds,
            sweep: Vec::new(),
        };
        Ok((run, sums, stage))
    }

    fn plan(&self, cores: Vec<CoreId>) -> Plan {
        let gap = Duration::try_from_secs_f64(1.0 / self.swap_rate);
        Plan {
            mode: self.mode,
            feeders: self.feeders,
            shape: self.arrivals,
            rate: self.rate,
            burst: self.burst,
            batch: self.batch,
            warm_up: self.warm_up,
            // A quarter of a second each, as far as that makes 8 to 60.
            pieces: (self.seconds * 4.0).round().clamp(8.0, 60.0) as usize,
            swaps: gap.ok().map(|gap| [gap, gap]),
            evict_mib: self.evict,
            evict_by: self.evict_by,
            ..Plan::saturating(cores, self.seconds)
        }
    }

    fn asked(&self, stage: &Stage, plan: &Plan) -> Asked {
        let table = &stage.source.table;
        let (mode, feeders) = match self.mode {
            Mode::Inline => ("inline", 0),
            Mode::Pool => ("pool", self.feeders),
        };
        Asked {
            table: self.table.display().to_string(),
            table_id: table.content_id().to_string(),
            table_bytes: table.byte_count(),
            trees: table.tree_count(),
            features: table.features().len(),
            kernel: self.kernel.clone().unwrap_or_else(|| "best".into()),
            input: stage.source.input.clone(),
            inputs: stage.source.work.count(),
            mode: mode.into(),
            cores: plan.cores.iter().map(|core| core.id).collect(),
            feeders,
            arrivals: match self.arrivals {
                Shape::Bursts => format!("bursts of {}", self.burst),
                other => other.name().into(),
            },
            rate: self.rate,
            batch: self.batch,
            seconds: self.seconds,
            warm_up: self.warm_up,
            swap_rate: self.swap_rate,
            bad_share: self.bad,
            evict_mib: self.evict,
            evict_by: match self.evict_by {
                By::Between => "between requests".into(),
                By::Thread => "a thread beside".into(),
            },
            shadows: self.shadows,
        }
    }
}

fn totals(stage: &Stage, sums: &Sums) -> Totals {
    let (counts, published) = (&sums.counts, &stage.publisher.published);
    stage.engine.reclaim();
    Totals {
        seconds: sums.seconds,
        offered: counts.offered,
        answered: counts.answered,
        unserved: counts.unserved,
        lost: sums.lost,
        wrong: counts.wrong,
        queued: counts.queued,
        late: counts.late,
        rate: sums.rate(),
        generator_max: drive::generator_max(),
        generations: published.generation,
        refused: published.refused,
        held_back: published.held_back,
        unbound: sums.unbound,
        not_reclaimed: stage.engine.stats().retired,
    }
}

/// Whether what came due had verdicts, and verdicts scores: only a full ring excuses one without.
fn scored(run: &Run) -> bool {
    let full = Reason::Overloaded.name();
    let excused = |(reason, count): (&String, &u64)| *count == 0 || reason == full;
    (run.totals.offered == 0 || run.totals.answered > 0) && run.not_scored.iter().all(excused)
}
