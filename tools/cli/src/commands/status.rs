//! `status` and `history`: what runs, what was refused and why, and what happened before.

use crate::Report;
use crate::failure::Failure;
use crate::text::{Columns, listed, printable_lines};
use hedgerow::Refusal;
use hedgerow::watch::directory::{Directory, Pointer, ShadowsFile, SwitchesFile};
use hedgerow::watch::ledger::{Ledger, Record};
use hedgerow::watch::publish::generations;
use hedgerow::watch::status::{
    self, Headroom, Quarantined, Refused, Reverted, ShadowStatus, WatchStatus,
};
use hedgerow::watch::watchdog::Watching;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what a directory's engines run, what they refused, and what is switched off
///
/// Engines that keep their state in DIR/engines are shown, and those of --state.
///
/// Example: hedgerow status /var/lib/hedgerow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The directory
    directory: PathBuf,
    /// An engine's state folder elsewhere; may be given several times
    #[arg(long, value_name = "DIR")]
    state: Vec<PathBuf>,
}

/// What a file holds, if anything; `None` if it cannot be read, which is not "nothing".
type Read<T> = Option<Option<T>>;

/// What was found.
struct Found {
    pointer: Read<Pointer>,
    switches: Read<SwitchesFile>,
    shadows: Read<ShadowsFile>,
    engines: Vec<(PathBuf, WatchStatus, bool)>,
    problems: Vec<String>,
}

impl Found {
    fn of(args: &Args) -> Result<Found, Failure> {
        let (root, directory) = (&args.directory, Directory::new(&args.directory));
        let expected = "a directory that tables were published to";
        let meta = std::fs::metadata(root);
        let meta = meta.map_err(|error| Failure::io(root, expected, error))?;
        if !meta.is_dir() {
            return Err(Failure::new("io", root.display(), expected, "a file"));
        }
        let mut problems = Vec::new();
        let pointer = read(directory.read_pointer(), &mut problems);
        let switches = read(directory.read_switches(), &mut problems);
        let shadows = read(directory.read_shadows(), &mut problems);
        match Ledger::of(root).read() {
            Ok(history) => {
                problems.extend(history.problems);
                let active = pointer.as_ref().and_then(Option::as_ref);
                let generation = active.map(|pointer| pointer.generation);
                let mut records = history.records.iter();
                if let Some(active) = generation
                    && !records.any(|record| record.generation == generation)
                {
                    problems.push(format!("the ledger has no line of generation {active}"));
                }
            }
            Err(error) => problems.push(format!("the ledger cannot be read: {error}")),
        }
        let mut engines = status::engines(&directory);
        for folder in &args.state {
            let Some(found) = status::read(folder) else {
                let expected = "the state of an engine";
                return Err(Failure::new("state", folder.display(), expected, "none"));
            };
            engines.push((folder.clone(), found));
        }
        let alive = |(folder, found): (PathBuf, WatchStatus)| {
            let alive = status::is_alive(&folder);
            (folder, found, alive)
        };
        let engines = engines.into_iter().map(alive).collect();
        Ok(Found {
            pointer,
            switches,
            shadows,
            engines,
            problems,
        })
    }

    fn active(&self) -> String {
        match &self.pointer {
            None => UNKNOWN.into(),
            Some(None) => "nothing was published".into(),
            Some(Some(pointer)) => {
                let Pointer {
                    generation,
                    at,
                    origin,
                    content_id,
                    ..
                } = pointer;
                let forced = if pointer.forced { ", forced" } else { "" };
                let from = pointer.from_generation;
                let from = from.map(|from| format!(", rolled back to generation {from}"));
                let from = from.unwrap_or_default();
                format!(
                    "generation {generation} since {at}, by {origin}{forced}\n           \
                     table {content_id}{from}"
                )
            }
        }
    }

    fn off(&self) -> String {
        match &self.switches {
            None => UNKNOWN.into(),
            Some(Some(SwitchesFile {
                off, at, origin, ..
            })) if !off.is_empty() => {
                format!("off: {}, since {at}, by {origin}", off.join(", "))
            }
            Some(_) => "nothing is off".into(),
        }
    }
}

const UNKNOWN: &str = "not known: its file cannot be read; engines keep what they have";

fn read<T>(read: Result<Option<T>, Refusal>, problems: &mut Vec<String>) -> Read<T> {
    read.map_err(|refusal| problems.push(refusal.to_string()))
        .ok()
}

const NO_ENGINES: &str = "an engine is shown once its host keeps a state there: \
    WatchOptions::state in Rust, bot_score_state in nginx, \"state\" in Envoy; \
    --state DIR shows one elsewhere";

/// Shows the state of a directory.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let found = Found::of(args)?;
    let mut text = Columns::new(10);
    text.line("directory", args.directory.display());
    text.line("active", found.active());
    text.line("switches", found.off());
    let shadows = found.shadows.iter().flatten();
    for file in shadows.filter(|file| !file.shadows.is_empty()) {
        let named = file.shadows.iter().map(|entry| {
            format!(
                "{} on {} % of sampled rows",
                entry.name,
                100.0 * entry.share
            )
        });
        let (all, at, origin) = (listed(named, ""), &file.at, &file.origin);
        text.line("shadows", format!("{all}, since {at}, by {origin}"));
    }
    if found.engines.is_empty() {
        text.line(
            "engines",
            format!(
                "none keeps its state in {}",
                args.directory.join("engines").display()
            ),
        );
        text.line("", NO_ENGINES);
    }
    for (folder, engine, alive) in &found.engines {
        let state = if *alive { "alive" } else { "not running" };
        let folder = folder.display();
        text.line("engine", format!("{} ({state}), {folder}", engine.origin));
        text.add(&shown(engine));
    }
    text.lines("problem", &found.problems);
    let engine = |(folder, engine, alive): &(PathBuf, WatchStatus, bool)| {
        let mut value = json!(engine);
        value["state"] = json!(folder.display().to_string());
        value["alive"] = json!(alive);
        value
    };
    let json = json!({
        "ok": true,
        "directory": args.directory.display().to_string(),
        "active": found.pointer,
        "switches": found.switches,
        "shadows": found.shadows,
        "engines": found.engines.iter().map(engine).collect::<Vec<Value>>(),
        "problems": found.problems,
    });
    Ok(Report::done(printable_lines(&text.end()), json))
}

/// What one engine does, some lines.
fn shown(engine: &WatchStatus) -> String {
    let mut text = Columns::new(12);
    let (generation, since) = (engine.generation, &engine.since);
    let from = engine.source.name();
    text.line(
        "  runs",
        format!("generation {generation} since {since}, from {from}"),
    );
    if let Some(waiting) = &engine.waiting {
        let how = match (waiting.refused, waiting.quarantined) {
            (_, true) => "  held back",
            (true, _) => "  refused",
            _ => "  awaited",
        };
        text.line(
            how,
            format!("generation {}, which is to run", waiting.generation),
        );
    }
    if !engine.switches.is_empty() {
        text.line("  off", engine.switches.join(", "));
    }
    text.lines(
        "  quarantine",
        engine.quarantined.iter().take(5).map(quarantine),
    );
    text.lines("  went back", engine.reverted.iter().take(5).map(reverted));
    text.lines(
        "  refusal",
        engine.last_refusals.iter().take(5).map(refusal),
    );
    let problem = |(area, refusal): (&String, &Refusal)| {
        format!("{area}: {}: {}", refusal.message(), refusal.detail())
    };
    text.lines("  problem", engine.problems.iter().map(problem));
    text.line("  capacity", format!("fullest: {}", fullest(engine)));
    let drift = engine.drift.as_ref();
    let drift = drift.map_or(String::new(), |drift| format!("; last taken: {drift}"));
    text.line(
        "  reservoir",
        format!("{} live rows{drift}", engine.reservoir),
    );
    text.line("  watchdog", watchdog(engine.watchdog.as_ref()));
    text.lines("  shadow", engine.shadows.iter().map(shadow));
    text.end()
}

fn quarantine(held: &Quarantined) -> String {
    let (generation, at, drift) = (held.generation, &held.at, &held.drift);
    let (against, over) = (held.against, drift.over.join(", "));
    format!(
        "generation {generation} since {at}, beside {against}: {drift}; expected {over} (a person \
         can force it: hedgerow force DIR {generation})"
    )
}

fn reverted(back: &Reverted) -> String {
    let (generation, to, at) = (back.generation, back.to, &back.at);
    let (watching, over) = (&back.watching, back.watching.over.join(", "));
    format!("from generation {generation} to {to} at {at}: {watching}; expected {over}")
}

fn watchdog(watching: Option<&Watching>) -> String {
    let Some(watching) = watching else {
        return "watches nothing".into();
    };
    let (generation, against, since) = (watching.generation, watching.against, &watching.since);
    let state = match (watching.over.is_empty(), watching.ended) {
        (false, _) => "took it back",
        (true, true) => "was content",
        (true, false) => "watches",
    };
    let scores = match watching.scores {
        true => "",
        false => "; its scores are not held against it",
    };
    format!("{state}: generation {generation} after {against}, since {since}: {watching}{scores}")
}

fn shadow(shadow: &ShadowStatus) -> String {
    let (name, against, rows) = (&shadow.name, shadow.against, shadow.rows);
    if !shadow.runs {
        return format!("{name}: refused");
    }
    if rows == 0 {
        return format!("{name}: no rows yet");
    }
    let share = |count: u64| 100.0 * count as f64 / rows as f64;
    let crossed = shadow.crossed.iter();
    let crossed = crossed.map(|(at, count)| format!("{:.1} % across {at}", share(*count)));
    format!(
        "{name}: {rows} rows beside generation {against}; {:.1} % are 10 or more apart, {}, index \
         {:.3}; medians {} and {}",
        share(shadow.far),
        listed(crossed, ""),
        shadow.psi,
        median(&shadow.scores),
        median(&shadow.running_scores)
    )
}

/// The score that half of the rows do not exceed.
fn median(counts: &[u64]) -> usize {
    let all: u64 = counts.iter().sum();
    let mut seen = 0;
    let half = |count: &u64| {
        seen += count;
        2 * seen >= all
    };
    counts.iter().position(half).map_or(0, |at| at + 1)
}

fn refusal(refused: &Refused) -> String {
    let generation = refused.generation;
    let generation = generation.map_or(String::new(), |g| format!("generation {g}, "));
    let (name, detail) = (refused.reason.name(), refused.reason.detail());
    let (count, last) = (refused.count, &refused.last_at);
    format!("{generation}{name}: {detail} ({count} times, last {last})")
}

/// The three capacities of which most is used.
fn fullest(engine: &WatchStatus) -> String {
    let share = |used: u64, max: u64| 100.0 * used as f64 / max.max(1) as f64;
    let mut fullest: Vec<_> = engine.headroom.iter().collect();
    fullest.sort_by(|one, other| share(other.used, other.max).total_cmp(&share(one.used, one.max)));
    let shown = |used: &&Headroom| format!("{} {:.1} %", used.name, share(used.used, used.max));
    listed(fullest.iter().take(3).map(shown), "")
}

/// Show what happened in a directory: what was published, rolled back and switched, by whom
///
/// Example: hedgerow history /var/lib/hedgerow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct HistoryArgs {
    /// The directory, or an engine's state folder for what it took and refused
    directory: PathBuf,
    /// The last so many events
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
}

/// Shows the ledger.
pub fn history(args: &HistoryArgs) -> Result<Report, Failure> {
    let root = &args.directory;
    let ledger = Ledger::of(root);
    let failed = |error| Failure::io(root, "a directory with a ledger", error);
    std::fs::read_dir(root).map_err(failed)?;
    let history = ledger.read().map_err(failed)?;
    let directory = Directory::new(root);
    let pointer = directory.read_pointer().ok().flatten();
    let effective = generations(&history.records, pointer.as_ref());
    let can_go_back = |generation: &u64| {
        let past = effective.iter().find(|past| past.generation == *generation);
        past.is_some_and(|past| directory.table(past.content_id).exists())
    };
    let first = history.records.len().saturating_sub(args.last);
    let records = &history.records[first..];
    let mut text: String = records.iter().map(line).collect();
    text.extend(
        history
            .problems
            .iter()
            .map(|problem| format!("problem: {problem}\n")),
    );
    let generations: Vec<u64> = effective.iter().map(|past| past.generation).collect();
    let kept: Vec<u64> = generations.iter().copied().filter(can_go_back).collect();
    if pointer.is_some() {
        text += &kept_line(&generations, &kept);
    }
    let json = json!({
        "ok": true,
        "records": records,
        "generations": generations,
        "kept": kept,
        "problems": history.problems,
    });
    Ok(Report::done(printable_lines(&text), json))
}

/// Which generations can be gone back to. Neighbours among all generations become a range.
fn kept_line(generations: &[u64], kept: &[u64]) -> String {
    const RANGES_MAX: usize = 6;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut joined = false;
    for generation in generations {
        let is_kept = kept.contains(generation);
        match ranges.last_mut().filter(|_| joined && is_kept) {
            Some((_, last)) => *last = *generation,
            None if is_kept => ranges.push((*generation, *generation)),
            None => {}
        }
        joined = is_kept;
    }
    let left_out = ranges.len().saturating_sub(RANGES_MAX);
    let shown = ranges
        .iter()
        .skip(left_out)
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        });
    let more = if left_out > 0 { "older ones, " } else { "" };
    let count = kept.len();
    format!(
        "tables of {count} generations are kept: {more}{}\n",
        listed(shown, "none")
    )
}

fn line(record: &Record) -> String {
    let mut text = format!("{}  {:<8}", record.at, record.event.name());
    let reason = record.reason.as_ref();
    let reason = reason.map(|reason| {
        let (code, name) = (reason.code(), reason.name());
        format!("  {code} {name}: {}", reason.detail())
    });
    text.extend(
        [
            record
                .generation
                .map(|generation| format!("  generation {generation}")),
            record.from_generation.map(|from| format!(" from {from}")),
            record.content_id.as_ref().map(|id| format!("  table {id}")),
            record
                .selector
                .as_ref()
                .map(|selector| format!("  {selector}")),
            reason,
            record.note.as_ref().map(|note| format!("  {note}")),
        ]
        .into_iter()
        .flatten(),
    );
    text + &format!("  by {}\n", record.origin)
}
