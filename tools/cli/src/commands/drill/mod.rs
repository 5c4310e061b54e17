//! `drill`: an outage, practised. The files of that day arrive under load, and at a stand-in of the
//! design that they took down.

mod exporter;
mod legacy_proxy;
mod report;

use crate::Report;
use crate::failure::Failure;
use crate::harness::source::Source;
use crate::harness::stage::{self, Plan, Threads};
use crate::harness::tally::Expected;
use crate::harness::{Interruption, cores, number};
use exporter::{FIRST, Kind, Place, TURNS, Tables};
use hedgerow::watch::{Source as Origin, WatchStatus};
use hedgerow::{Engine, WatchOptions, Watcher};
use legacy_proxy::{Design, Loaded, Quiet, StandIn};
use report::{Run, Tick, Treatment};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
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
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    seconds: f64,
    /// Time between two tables, good or bad, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 250.0)]
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

/// Longer than any drill: its control side ends it.
const ENDLESS: f64 = 1e6;

/// Drills.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let Outage::November = args.outage;
    number("--every", args.every, 50.0..=60_000.0, "50 to 60000")?;
    let least = TURNS.len() as f64 * args.every / 1e3;
    let expected = format!("{least} (each table once) to 86400");
    number("--seconds", args.seconds, least..=86_400.0, &expected)?;
    let interruption = Interruption::listen()?;
    let source = Source::recorded("default".as_ref(), None)?;
    let tables = Tables::of(&source.table)?;
    let good = tables.good.each_ref().map(Vec::as_slice);
    let expected = Expected::of(&source, good, exporter::table_of)?;
    let place = Place::new(args.dir.as_deref())?;
    place.publish(&tables.good[0])?;

    let engine = Engine::new(source.schema.clone());
    let watcher = Watcher::start(&engine, place.root(), WatchOptions::default())
        .map_err(|error| Failure::new("drill", "watch", "two threads", error))?;
    let cores = cores(&[])?;
    let first = legacy_proxy::first(&tables.good[0], engine.schema())?;
    let stand_ins = [Design::New, Design::Old].map(|design| StandIn::new(design, first.clone()));
    let quiet = Quiet::new();
    let every = Duration::from_secs_f64(args.every / 1e3);
    let drill = Drill {
        tables: &tables,
        place: &place,
        interruption: &interruption,
        watcher: &watcher,
        stand_ins: &stand_ins,
        time: Duration::from_secs_f64(args.seconds),
        every,
    };
    let (stop, count) = (AtomicBool::new(false), cores.len());
    let control = |threads: &Threads<'_>| {
        let ticks = thread::scope(|scope| {
            for stand_in in &stand_ins {
                let (work, expected, stop) = (&source.work, &expected, &stop);
                scope.spawn(move || stand_in.run(scope, work, expected, count, stop));
            }
            let ticks = drill.ticks(threads, first);
            // Relaxed: the threads are joined.
            stop.store(true, Ordering::Relaxed);
            ticks
        });
        (false, ticks)
    };
    let started = Instant::now();
    let plan = Plan::saturating(cores, ENDLESS);
    let (sums, ticks) = stage::run(&engine, &source.work, &expected, &plan, None, control)?;
    let run = Run {
        elapsed: started.elapsed(),
        interrupted: interruption.is_raised(),
        every,
        cores: count,
        requests: source.work.count(),
        innocent: expected
            .innocent
            .iter()
            .filter(|innocent| **innocent)
            .count(),
        sums: &sums,
        ticks: &ticks?,
        status: watcher.status(),
        stand_ins: stand_ins.each_ref().map(StandIn::counts),
        panic: quiet.first(),
        kept: place.kept(),
    };
    Ok(run.report())
}

/// What the control side of a drill needs.
struct Drill<'a> {
    tables: &'a Tables,
    place: &'a Place,
    interruption: &'a Interruption,
    watcher: &'a Watcher,
    stand_ins: &'a [StandIn; 2],
    time: Duration,
    every: Duration,
}

impl Drill<'_> {
    /// A table at every tick, until the time is over.
    fn ticks(&self, threads: &Threads<'_>, first: Arc<Loaded>) -> Result<Vec<Tick>, Failure> {
        let started = Instant::now();
        let mut loaded = first;
        let mut ticks: Vec<Tick> = Vec::new();
        let seen = || {
            (
                threads.finished_and_lost(),
                self.stand_ins.each_ref().map(StandIn::counts),
            )
        };
        let mut before = seen();
        // The first tick comes when there is some traffic to compare tables on.
        self.interruption.sleep(self.every);
        while !self.interruption.is_raised() {
            // On a slow machine each table still comes once.
            if started.elapsed() >= self.time && ticks.len() >= TURNS.len() {
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
            let schema = self.watcher.engine().schema();
            if let Some(new) = Loaded::unchecked(bytes, schema, Some(&loaded.model)) {
                loaded = Arc::new(new);
                self.stand_ins
                    .iter()
                    .for_each(|stand_in| stand_in.load(loaded.clone()));
            }
            let (treatment, after) = treated(self.watcher, generation);
            self.interruption
                .sleep(self.every.saturating_sub(at.elapsed()));
            let now = seen();
            let (((served, lost), [new, old]), ((served_before, lost_before), then)) =
                (now, before);
            ticks.push(Tick {
                at: at.duration_since(started),
                generation,
                kind,
                features: loaded.positions.len(),
                treatment,
                after,
                live: self.watcher.status().generation,
                served: served - served_before,
                lost: lost - lost_before,
                new: new.since(&then[0]),
                old: old.since(&then[1]),
            });
            before = now;
        }
        Ok(ticks)
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
    if status.source == Origin::Directory && status.generation == generation {
        return Treatment::Live;
    }
    let waiting = status.waiting.as_ref();
    match waiting.filter(|waiting| waiting.generation == generation && waiting.refused) {
        None => Treatment::None,
        Some(waiting) if waiting.quarantined => Treatment::Quarantined,
        Some(_) => {
            let mut last = status.last_refusals.iter();
            match last.find(|refused| refused.generation == Some(generation)) {
                Some(refused) => Treatment::Refused {
                    code: refused.reason.code(),
                    name: refused.reason.name().into(),
                },
                // The engine went back from it.
                None => Treatment::Reverted,
            }
        }
    }
}
