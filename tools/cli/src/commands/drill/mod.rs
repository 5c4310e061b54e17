//! `drill`: an outage, practised. The files of that day arrive under load, beside a stand-in of the
//! design that they took down.

mod legacy_proxy;
mod publisher;
mod report;

use crate::Report;
use crate::failure::Failure;
use crate::harness::source::{REQUESTS, is_bot};
use crate::harness::worker::{BLOCKED_BELOW, Counters, Job, Outcome, how, start_workers};
use crate::harness::{INTERRUPTION, cores, interruption};
use crate::requests;
use hedgerow::http::{Request, extract};
use hedgerow::watch::{Source, WatchStatus};
use hedgerow::{Engine, PreparedTable, Row, Schema, Table, WatchOptions, Watcher};
use legacy_proxy::{Design, Loaded, Quiet, StandIn};
use publisher::{FIRST, Kind, Place, TURNS, Tables};
use report::{Run, Tick, Treatment};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Practise an outage: the files that caused it arrive under load
///
/// Example: hedgerow drill outage-2025-11-18 --seconds 5
///
/// A thread a core extracts features and scores the bundled recorded requests; a watched directory
/// receives by turns a good table, one whose list of features came twice (under every cap), one
/// that is over every cap, and a valid one that scores everybody 1. Beside it runs a stand-in of
/// the design that failed on that day. Exit status 1 where a request was lost or got a wrong
/// verdict or none, or where a bad table was not refused or quarantined.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Which outage
    #[arg(value_enum, value_name = "OUTAGE")]
    outage: Outage,
    /// How long, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        allow_negative_numbers = true
    )]
    seconds: f64,
    /// Time between two tables, good or bad, in milliseconds
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 250.0,
        allow_negative_numbers = true
    )]
    every: f64,
    /// The directory to make, and to keep afterwards; else one in the temporary folder, which goes
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Outage {
    /// A file of features that doubled
    #[value(name = "outage-2025-11-18")]
    November,
}

/// How long the watch may take over a table before that is a failure.
const TREATED_WITHIN: Duration = Duration::from_secs(10);

/// How often the watch is asked.
const ASK: Duration = Duration::from_millis(5);

/// Drills.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let Outage::November = args.outage;
    if !(args.every >= 50.0 && args.every <= 60_000.0) {
        return Err(Failure::usage("--every", "50 to 60000", args.every));
    }
    let least = TURNS.len() as f64 * args.every / 1000.0;
    if !(args.seconds >= least && args.seconds <= 86_400.0) {
        let expected = format!("{least} (each table once) to 86400");
        return Err(Failure::usage("--seconds", expected, args.seconds));
    }
    let interrupted = interruption()?;
    let recorded = requests::parse(REQUESTS, "bundled requests")?;
    let headers: Vec<_> = recorded.iter().map(|request| request.headers()).collect();
    let pairs = recorded.iter().zip(&headers);
    let views: Vec<_> = pairs
        .map(|(request, headers)| request.view(headers))
        .collect();
    let bots: Vec<_> = recorded.iter().map(is_bot).collect();
    let bundled = Table::from_bytes(hedgerow::DEFAULT_TABLE)
        .map_err(|refused| Failure::refused("default", &refused))?;
    let tables = Tables::of(&bundled)?;
    let (expected, innocent) = judge(&tables, &views, &bots)?;
    let job = Job {
        requests: &views,
        bots: &bots,
        innocent: &innocent,
        expected,
        table_of: publisher::table_of,
    };
    let place = Place::new(args.dir.as_deref())?;
    place.publish(&tables.good[0])?;
    Drill {
        args,
        tables: &tables,
        place: &place,
        interrupted: &interrupted,
    }
    .run(&job)
}

/// Each request's margin under either good table, and whether it is a human's that a rule on the
/// score lets through under both. Computed before anything starts, on the portable kernel.
fn judge(
    tables: &Tables,
    requests: &[Request<'_>],
    bots: &[Option<bool>],
) -> Result<([Vec<f64>; 2], Vec<bool>), Failure> {
    let mut innocent: Vec<bool> = bots.iter().map(|bot| *bot == Some(false)).collect();
    let mut expected = [Vec::new(), Vec::new()];
    for (bytes, expected) in tables.good.iter().zip(&mut expected) {
        let prepared = Table::from_bytes(bytes)
            .and_then(|table| PreparedTable::with_kernel(table, &Schema::http(), "portable"))
            .map_err(|refused| Failure::refused("table", &refused))?;
        for (request, innocent) in requests.iter().zip(&mut innocent) {
            let mut row = Row::MISSING;
            extract(request, &mut row);
            let scored = prepared.scored(&row, prepared.margin(&row), 0);
            *innocent &= scored.score.get() >= BLOCKED_BELOW;
            expected.push(scored.margin);
        }
    }
    Ok((expected, innocent))
}

/// What the parts of a drill share.
struct Drill<'a> {
    args: &'a Args,
    tables: &'a Tables,
    place: &'a Place,
    interrupted: &'a AtomicBool,
}

/// The threads that score in hedgerow.
type Workers<'scope> = Vec<ScopedJoinHandle<'scope, Option<Outcome>>>;

impl Drill<'_> {
    fn run(&self, job: &Job<'_>) -> Result<Report, Failure> {
        let engine = Engine::new(Schema::http());
        let options = WatchOptions::default();
        let watcher = Watcher::start(&engine, self.place.root(), options)
            .map_err(|error| Failure::new("drill", "watch", "two threads", error))?;
        let cores = cores(&[])?;
        let hows = cores.iter().map(|core| how(&engine, None, *core));
        let hows = hows.collect::<Result<Vec<_>, _>>()?;
        let counters: Vec<Counters> = cores.iter().map(|_| Counters::default()).collect();
        let first = legacy_proxy::first(&self.tables.good[0], engine.schema())?;
        let designs = [Design::New, Design::Old];
        let stand_ins = designs.map(|design| StandIn::new(design, first.clone()));
        let quiet = Quiet::new();
        let stop = AtomicBool::new(false);
        let started = Instant::now();
        let (ticks, outcomes) = thread::scope(|scope| {
            let workers = start_workers(scope, job, hows, &counters, &stop)?;
            for stand_in in &stand_ins {
                let (stop, count) = (&stop, cores.len());
                scope.spawn(move || stand_in.run(scope, job, count, stop));
            }
            let ticks = self.ticks(&watcher, &stand_ins, first, &counters, &workers, started);
            // Relaxed: the threads are joined.
            stop.store(true, Ordering::Relaxed);
            let ended = workers
                .into_iter()
                .map(|worker| worker.join().ok().flatten());
            let outcomes: Vec<Outcome> = ended.flatten().collect();
            Ok::<_, Failure>((ticks?, outcomes))
        })?;
        let run = Run {
            elapsed: started.elapsed(),
            every: Duration::from_secs_f64(self.args.every / 1000.0),
            cores: cores.len(),
            requests: job.requests.len(),
            innocent: job.innocent.iter().filter(|innocent| **innocent).count(),
            counters: &counters,
            outcomes: &outcomes,
            ticks: &ticks,
            status: watcher.status(),
            stand_ins: stand_ins.each_ref().map(|stand_in| stand_in.counts.now()),
            said: quiet.first(),
            kept: self.place.kept(),
        };
        Ok(run.report())
    }

    /// A table at every tick, until the time is over.
    fn ticks(
        &self,
        watcher: &Watcher,
        stand_ins: &[StandIn; 2],
        first: Arc<Loaded>,
        counters: &[Counters],
        workers: &Workers<'_>,
        started: Instant,
    ) -> Result<Vec<Tick>, Failure> {
        let time = Duration::from_secs_f64(self.args.seconds);
        let every = Duration::from_secs_f64(self.args.every / 1000.0);
        let mut loaded = first;
        let mut ticks: Vec<Tick> = Vec::new();
        let mut before = seen(counters, workers, stand_ins);
        // The first tick comes when there is some traffic to compare tables on.
        self.sleep(every);
        // Relaxed: a flag, which nothing else hangs on.
        while !self.interrupted.load(Ordering::Relaxed) {
            // Where the machine is slow, each table still comes once.
            if started.elapsed() >= time && ticks.len() >= TURNS.len() {
                break;
            }
            let at = Instant::now();
            let kind = TURNS[ticks.len() % TURNS.len()];
            let generation = FIRST + 1 + ticks.len() as u64;
            let bytes = self.tables.bytes(kind, generation);
            let given = match kind {
                // What is valid passes the publisher's checks too.
                Kind::Good | Kind::Constant => self.place.publish(bytes)?,
                Kind::Under | Kind::Over => self.place.place(bytes, generation)?,
            };
            if given != generation {
                return Err(Failure::new("drill", "publisher", generation, given));
            }
            let schema = watcher.engine().schema();
            if let Some(new) = Loaded::unchecked(bytes, schema, Some(loaded.model())) {
                loaded = Arc::new(new);
                for stand_in in stand_ins {
                    stand_in.load(loaded.clone());
                }
            }
            let (treatment, after) = treated(watcher, generation);
            self.sleep(every.saturating_sub(at.elapsed()));
            let now = seen(counters, workers, stand_ins);
            ticks.push(Tick {
                at: at.duration_since(started),
                generation,
                kind,
                features: loaded.features(),
                treatment,
                after,
                live: watcher.status().generation,
                served: now.served - before.served,
                lost: now.lost - before.lost,
                new: now.new.since(&before.new),
                old: now.old.since(&before.old),
            });
            before = now;
        }
        Ok(ticks)
    }

    /// However long, an interruption is seen soon.
    fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.interrupted.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(INTERRUPTION));
        }
    }
}

/// All numbers at a moment.
struct Seen {
    served: u64,
    lost: u64,
    new: legacy_proxy::Snapshot,
    old: legacy_proxy::Snapshot,
}

fn seen(counters: &[Counters], workers: &Workers<'_>, stand_ins: &[StandIn; 2]) -> Seen {
    let finished = |of: &Counters| of.finished.load(Ordering::Relaxed);
    let dead = counters.iter().zip(workers);
    // A thread that has ended too soon will not answer what it has taken up.
    let dead = dead.filter(|(_, worker)| worker.is_finished());
    let lost = dead.map(|(of, _)| of.started.load(Ordering::Relaxed) - finished(of));
    let [new, old] = stand_ins.each_ref().map(|stand_in| stand_in.counts.now());
    Seen {
        served: counters.iter().map(finished).sum(),
        lost: lost.sum(),
        new,
        old,
    }
}

/// What the watch made of a generation, and how soon.
fn treated(watcher: &Watcher, generation: u64) -> (Treatment, Duration) {
    let started = Instant::now();
    loop {
        let found = treatment(&watcher.status(), generation);
        if found != Treatment::None || started.elapsed() > TREATED_WITHIN {
            return (found, started.elapsed());
        }
        thread::sleep(ASK);
    }
}

fn treatment(status: &WatchStatus, generation: u64) -> Treatment {
    if status.source == Source::Directory && status.generation == generation {
        return Treatment::Live;
    }
    let waiting = status.waiting.as_ref();
    match waiting.filter(|waiting| waiting.generation == generation && waiting.refused) {
        None => Treatment::None,
        Some(waiting) if waiting.quarantined => Treatment::Quarantined,
        Some(_) => {
            let mut last = status.last_refusals.iter();
            let last = last.find(|refused| refused.generation == Some(generation));
            match last {
                Some(refused) => Treatment::Refused {
                    code: refused.reason.code,
                    name: refused.reason.name.clone(),
                },
                // The engine went back from it by itself.
                None => Treatment::Reverted,
            }
        }
    }
}
