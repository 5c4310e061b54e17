//! `status` and `history`: what runs, what was refused and why, and what happened before.

use crate::Report;
use crate::failure::{Failure, harmless};
use hedgerow::Refusal;
use hedgerow::watch::directory::{Directory, Pointer, ShadowsFile, SwitchesFile};
use hedgerow::watch::ledger::{Ledger, Record};
use hedgerow::watch::publish::generations;
use hedgerow::watch::status::{
    self, Headroom, Quarantined, Refused, Reverted, ShadowStatus, WatchStatus,
};
use hedgerow::watch::watchdog::Watching;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

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

/// What was found.
struct Found {
    pointer: Option<Pointer>,
    switches: Option<SwitchesFile>,
    shadows: Option<ShadowsFile>,
    engines: Vec<(PathBuf, WatchStatus, bool)>,
    problems: Vec<String>,
    /// Whether the pointer and the switches could be read: what cannot be is not "nothing".
    read: [bool; 2],
}

impl Found {
    fn of(args: &Args) -> Result<Found, Failure> {
        let directory = Directory::new(&args.directory);
        let root = &args.directory;
        let expected = "a directory that tables were published to";
        let meta = std::fs::metadata(root);
        let meta = meta.map_err(|error| Failure::io(root, expected, error))?;
        if !meta.is_dir() {
            return Err(Failure::new("io", root.display(), expected, "a file"));
        }
        let mut problems = Vec::new();
        let mut told = |refusal: Refusal| problems.push(refusal.to_string());
        let (pointer, switches) = (directory.read_pointer(), directory.read_switches());
        let read = [pointer.is_ok(), switches.is_ok()];
        let pointer = pointer.unwrap_or_else(|refusal| {
            told(refusal);
            None
        });
        let switches = switches.unwrap_or_else(|refusal| {
            told(refusal);
            None
        });
        let shadows = directory.read_shadows().unwrap_or_else(|refusal| {
            told(refusal);
            None
        });
        match Ledger::of(root).read() {
            Ok(history) => {
                problems.extend(history.problems);
                let known = |record: &Record| {
                    record.generation == pointer.as_ref().map(|pointer| pointer.generation)
                };
                if let Some(pointer) = &pointer
                    && !history.records.iter().any(known)
                {
                    let generation = pointer.generation;
                    problems.push(format!("the ledger has no line of generation {generation}"));
                }
            }
            Err(error) => problems.push(format!("the ledger cannot be read: {error}")),
        }
        let mut engines = status::engines(&directory);
        for folder in &args.state {
            let found = status::read(folder);
            let expected = "the state of an engine";
            engines.push(match found {
                Some(found) => (folder.clone(), found),
                None => return Err(Failure::new("state", folder.display(), expected, "none")),
            });
        }
        let alive = |(folder, found): (PathBuf, WatchStatus)| {
            let alive = status::is_alive(&folder);
            (folder, found, alive)
        };
        Ok(Found {
            pointer,
            switches,
            shadows,
            engines: engines.into_iter().map(alive).collect(),
            problems,
            read,
        })
    }
}

/// Shows the state of a directory.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let found = Found::of(args)?;
    let mut text = String::new();
    let _ = writeln!(text, "directory  {}", args.directory.display());
    let unknown = "not known: its file cannot be read; engines keep what they have";
    let active = match &found.pointer {
        None if !found.read[0] => unknown.into(),
        None => "nothing was published".into(),
        Some(pointer) => format!(
            "generation {} since {}, by {}{}\n           table {}{}",
            pointer.generation,
            pointer.at,
            pointer.origin,
            if pointer.forced { ", forced" } else { "" },
            pointer.content_id,
            match pointer.from_generation {
                Some(from) => format!(", rolled back to generation {from}"),
                None => String::new(),
            }
        ),
    };
    let _ = writeln!(text, "active     {active}");
    let off = found.switches.as_ref().map(|file| file.off.join(", "));
    let off = match (off.filter(|off| !off.is_empty()), &found.switches) {
        (Some(off), Some(file)) => format!("off: {off}, since {}, by {}", file.at, file.origin),
        _ if !found.read[1] => unknown.into(),
        _ => "nothing is off".into(),
    };
    let _ = writeln!(text, "switches   {off}");
    if let Some(file) = found.shadows.as_ref().filter(|it| !it.shadows.is_empty()) {
        let named = |entry: &hedgerow::watch::directory::ShadowEntry| {
            format!(
                "{} on {} % of sampled rows",
                entry.name,
                100.0 * entry.share
            )
        };
        let all: Vec<String> = file.shadows.iter().map(named).collect();
        let (at, origin) = (&file.at, &file.origin);
        let all = all.join(", ");
        let _ = writeln!(text, "shadows    {all}, since {at}, by {origin}");
    }
    if found.engines.is_empty() {
        let _ = writeln!(text, "engines    none keeps its state here");
    }
    for (folder, engine, alive) in &found.engines {
        text.push_str(&shown(folder, engine, *alive));
    }
    for problem in &found.problems {
        let _ = writeln!(text, "problem    {problem}");
    }
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
    Ok(Report::done(printable(&text), json))
}

/// A text of several lines for a terminal.
fn printable(text: &str) -> String {
    let lines = text.lines().map(|line| format!("{}\n", harmless(line)));
    lines.collect()
}

/// One engine, some lines.
fn shown(folder: &Path, engine: &WatchStatus, alive: bool) -> String {
    let mut text = String::new();
    let state = if alive { "alive" } else { "not running" };
    let _ = writeln!(
        text,
        "engine     {} ({state}), {}",
        engine.origin,
        folder.display()
    );
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:<11}{value}");
    };
    line(
        "runs",
        format!(
            "generation {} since {}, from {}",
            engine.generation,
            engine.since,
            engine.source.name()
        ),
    );
    if let Some(waiting) = &engine.waiting {
        let how = match (waiting.refused, waiting.quarantined) {
            (_, true) => "held back",
            (true, _) => "refused",
            _ => "awaited",
        };
        line(
            how,
            format!("generation {}, which is to run", waiting.generation),
        );
    }
    if !engine.switches.is_empty() {
        line("off", engine.switches.join(", "));
    }
    for held in engine.quarantined.iter().take(5) {
        line("quarantine", quarantine(held));
    }
    for back in engine.reverted.iter().take(5) {
        line("went back", reverted(back));
    }
    for refused in engine.last_refusals.iter().take(5) {
        line("refusal", refusal(refused));
    }
    for (area, told) in &engine.problems {
        line(
            "problem",
            format!("{area}: {}: {}", told.message(), told.detail()),
        );
    }
    line("capacity", format!("fullest: {}", fullest(engine)));
    let drift = engine.drift.as_ref();
    let drift = drift.map_or(String::new(), |drift| format!("; last taken: {drift}"));
    line(
        "reservoir",
        format!("{} live rows{drift}", engine.reservoir),
    );
    line("watchdog", watchdog(engine.watchdog.as_ref()));
    for it in &engine.shadows {
        line("shadow", shadow(it));
    }
    text
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
    let crossed: Vec<String> = crossed.collect();
    format!(
        "{name}: {rows} rows beside generation {against}; {:.1} % are 10 or more apart, {}, index \
         {:.3}; medians {} and {}",
        share(shadow.far),
        crossed.join(", "),
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
    let shown: Vec<String> = fullest.iter().take(3).map(shown).collect();
    shown.join(", ")
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
        past.is_some_and(|past| directory.table(&past.content_id).exists())
    };
    let first = history.records.len().saturating_sub(args.last);
    let records = &history.records[first..];
    let mut text = String::new();
    for record in records {
        text.push_str(&told(record));
    }
    for problem in &history.problems {
        let _ = writeln!(text, "problem: {problem}");
    }
    let generations: Vec<u64> = effective.iter().map(|past| past.generation).collect();
    let kept: Vec<u64> = generations.iter().copied().filter(can_go_back).collect();
    if pointer.is_some() {
        let named: Vec<String> = kept.iter().map(u64::to_string).collect();
        let _ = writeln!(text, "tables of generations {} are there", named.join(", "));
    }
    let json = json!({
        "ok": true,
        "records": records,
        "generations": generations,
        "kept": kept,
        "problems": history.problems,
    });
    Ok(Report::done(printable(&text), json))
}

fn told(record: &Record) -> String {
    let mut text = format!("{}  {:<8}", record.at, record.event.name());
    if let Some(generation) = record.generation {
        let _ = write!(text, "  generation {generation}");
    }
    if let Some(from) = record.from_generation {
        let _ = write!(text, " from {from}");
    }
    if let Some(id) = &record.content_id {
        let _ = write!(text, "  table {id}");
    }
    if let Some(selector) = &record.selector {
        let _ = write!(text, "  {selector}");
    }
    if let Some(reason) = &record.reason {
        let (code, name) = (reason.code(), reason.name());
        let _ = write!(text, "  {code} {name}: {}", reason.detail());
    }
    if let Some(note) = &record.note {
        let _ = write!(text, "  {note}");
    }
    let _ = writeln!(text, "  by {}", record.origin);
    text
}
