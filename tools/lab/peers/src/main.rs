//! Measures hedgerow and its peers on the same models and rows, in one run, on one core.
//!
//! `run.sh` beside this crate installs the peers, makes the models, and starts it.

mod agree;
mod html;
mod machine;
mod measure;
mod report;
mod results;
mod subjects;

use measure::{Clock, Cursor, Effort, Rows, Runs, Walk, cold_round, warm_round};
use report::{Facts, Report, Way};
use results::{Figure, Measure, ModelResults, Outcome, TARGETS};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use subjects::{Entry, Model, Places};

/// What measuring returns: any error ends the run.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What the caches lose between cold calls: more than a core's own, less than the shared one.
const WALK_BYTES: usize = 4 << 20;

const USAGE: &str = "\
peers --models DIR --venv DIR --out DIR [--quick] [--self-test] [--core N] [--only NAME]
  --models DIR   what models.py made
  --venv DIR     the Python environment with the peers
  --out DIR      where peers.{json,csv,html,md} go
  --quick        fewer rounds, and R1, R2, R3 only
  --self-test    make each peer wrong in turn, and see that it is noticed; measure nothing
  --core N       the core to run on; else the last that is allowed
  --only NAMES   these models only, with commas between";

#[derive(Default)]
struct Args {
    models: PathBuf,
    venv: PathBuf,
    out: PathBuf,
    quick: bool,
    self_test: bool,
    core: Option<usize>,
    only: Option<String>,
}

fn args() -> Result<Args> {
    let mut args = Args::default();
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || {
            given
                .next()
                .ok_or(format!("{name}: expected a value\n{USAGE}"))
        };
        match name.as_str() {
            "--models" => args.models = value()?.into(),
            "--venv" => args.venv = value()?.into(),
            "--out" => args.out = value()?.into(),
            "--quick" => args.quick = true,
            "--self-test" => args.self_test = true,
            "--core" => args.core = Some(value()?.parse()?),
            "--only" => args.only = Some(value()?),
            _ => return Err(format!("unknown option {name}\n{USAGE}").into()),
        }
    }
    for path in [&args.models, &args.venv, &args.out] {
        if path.as_os_str().is_empty() {
            return Err(format!("expected --models, --venv and --out\n{USAGE}").into());
        }
    }
    Ok(args)
}

#[derive(Deserialize)]
struct Known {
    rows: usize,
    features: usize,
    models: Vec<Model>,
}

fn read_rows(path: &Path, known: &Known) -> Result<Rows> {
    let bytes = std::fs::read(path)?;
    let values: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    let rows = Rows {
        values,
        features: known.features,
    };
    if rows.count() != known.rows {
        let (want, got) = (known.rows, rows.count());
        return Err(format!("{}: expected {want} rows, got {got}", path.display()).into());
    }
    Ok(rows)
}

/// How much is measured.
struct Plan {
    rounds: usize,
    effort: Effort,
}

impl Plan {
    fn new(quick: bool) -> Plan {
        let (rounds, round_ns, cold_calls) = match quick {
            true => (7, 20e6, 24),
            false => (21, 40e6, 64),
        };
        let effort = Effort {
            calls_max: 2_048,
            round_ns,
            cold_calls,
        };
        Plan { rounds, effort }
    }

    /// Whether an entry is measured in a round: one whose call takes long in every third.
    fn takes(&self, round: usize, cursor: &Cursor) -> bool {
        cursor.call_ns < 3.0 * self.effort.round_ns || round.is_multiple_of(3)
    }
}

/// All rounds of one model. Subjects take turns, and every other round goes backwards.
fn measure_model(
    model: &Model,
    entries: &mut [Entry],
    rows: &Rows,
    plan: &Plan,
    clock: Clock,
) -> Result<ModelResults> {
    let mut walk = Walk::new(WALK_BYTES);
    let mut cursors: Vec<Cursor> = entries.iter().map(|_| Cursor::default()).collect();
    let mut warm: Vec<(Vec<f64>, usize)> = vec![Default::default(); entries.len()];
    let mut cold = warm.clone();
    // A round that is not kept: it tells how long calls take, and loads what is loaded lazily.
    for (entry, cursor) in entries.iter_mut().zip(&mut cursors) {
        let few = Effort {
            calls_max: 16,
            ..plan.effort
        };
        cursor.call_ns = plan.effort.round_ns / 16.0;
        warm_round(&mut entry.runs, rows, clock, few, cursor)?;
    }
    for round in 0..plan.rounds {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (entry, cursor) = (&mut entries[at], &mut cursors[at]);
            let failed = |error| format!("{}: {}: {error}", model.name, entry.name);
            if !plan.takes(round, cursor) {
                continue;
            }
            let taken = warm_round(&mut entry.runs, rows, clock, plan.effort, cursor);
            let (ns, calls) = taken.map_err(failed)?;
            warm[at].0.push(ns);
            warm[at].1 += calls;
            if let (Measure::One, Runs::Here(subject)) = (entry.measure, &mut entry.runs) {
                let calls = plan.effort.cold_calls;
                let ns = cold_round(&mut **subject, rows, clock, calls, &mut walk, cursor)?;
                cold[at].0.push(ns);
                cold[at].1 += calls;
            }
        }
    }
    let mut figures = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let figure = |measure, (rounds, calls): &(Vec<f64>, usize)| {
            Figure::new(&entry.name, entry.kernel, measure, rounds, *calls)
        };
        figures.extend(figure(entry.measure, &warm[at]));
        figures.extend(figure(Measure::Cold, &cold[at]));
    }
    Ok(ModelResults {
        name: model.name.clone(),
        about: about(model),
        figures,
    })
}

/// What is known of a model, in words.
fn about(model: &Model) -> String {
    let mut about = model.about.clone();
    if let Some(borders) = model.borders_used {
        about += &format!(", {} borders", results::grouped(borders as f64));
    }
    if let Some(features) = model.features_used {
        about += &format!(" on {features} features");
    }
    about
}

/// Who was called how, each once, with the measures it was called so for.
fn ways(entries: &[Entry], ways: &mut Vec<Way>) {
    for entry in entries {
        let subject = match entry.kernel {
            Some(_) => "hedgerow",
            None => &entry.name,
        };
        let known = ways
            .iter_mut()
            .find(|way| way.subject == subject && way.how == entry.how);
        match known {
            Some(way) if !way.measures.contains(&entry.measure) => way.measures.push(entry.measure),
            Some(_) => {}
            None => ways.push(Way {
                subject: subject.into(),
                measures: vec![entry.measure],
                how: entry.how,
            }),
        }
    }
}

fn write_all(out: &Path, facts: &Facts, models: &[ModelResults], ways: &[Way]) -> Result<String> {
    let outcomes: Vec<Outcome> = TARGETS.iter().map(|t| t.outcome(models)).collect();
    let report = Report {
        facts,
        models,
        outcomes: &outcomes,
        ways,
    };
    let title = format!("hedgerow and its peers, {}", machine::date());
    let mut json = results::json(models, &outcomes);
    let facts: BTreeMap<&str, &String> = facts.iter().map(|(name, value)| (*name, value)).collect();
    json.insert("run".into(), serde_json::to_value(facts)?);
    let how: Vec<_> = ways
        .iter()
        .map(|way| {
            let measures: Vec<String> = way.measures.iter().map(|m| m.name()).collect();
            serde_json::json!({ "subject": way.subject, "measures": measures, "how": way.how })
        })
        .collect();
    json.insert("how".into(), how.into());
    let files = [
        ("peers.json", serde_json::to_string_pretty(&json)? + "\n"),
        ("peers.csv", results::csv(models)),
        ("peers.html", html::page(&title, &report)),
        ("peers.md", report.markdown(&title)),
    ];
    std::fs::create_dir_all(out)?;
    for (name, text) in files {
        // Written beside and renamed: a run that breaks off leaves the last one's files.
        let part = out.join(format!("{name}.part"));
        std::fs::write(&part, text)?;
        std::fs::rename(part, out.join(name))?;
    }
    Ok(report.terminal())
}

fn run() -> Result<()> {
    let args = args()?;
    let start = Instant::now();
    let core = measure::bind(args.core)?;
    // Now, because the checkout may have moved on at the end.
    let mut facts = machine::facts(core);
    let clock = Clock::new();
    let listed = std::fs::read_to_string(args.models.join("models.json"))?;
    let known: Known = serde_json::from_str(&listed)?;
    let rows = read_rows(&args.models.join("rows.f32"), &known)?;
    let places = Places {
        models: args.models.clone(),
        venv: args.venv.clone(),
        script: Path::new(env!("CARGO_MANIFEST_DIR")).join("catboost_batches.py"),
    };
    let plan = Plan::new(args.quick);
    let (mut models, mut called, mut noticed) = (Vec::new(), Vec::new(), 0);
    for model in &known.models {
        let wanted = args
            .only
            .as_ref()
            .is_none_or(|only| only.split(',').any(|name| name == model.name));
        // The curve has no peers: nothing to be wrong there, and not needed in a hurry.
        let short = args.quick || args.self_test;
        if !wanted || (short && !model.name.starts_with('R')) {
            continue;
        }
        let mut entries = subjects::of(model, &places, rows.features, rows.count())?;
        let mut margins = agree::collect(&model.name, &mut entries, &rows)?;
        let (furthest, whose) = agree::judge(&model.name, &entries, &margins)?;
        eprintln!(
            "{}: {} ways to call agree within {furthest:.1e} on all rows (furthest: {whose})",
            model.name,
            entries.len()
        );
        if args.self_test {
            noticed += agree::self_test(&model.name, &entries, &mut margins)?;
            continue;
        }
        models.push(measure_model(model, &mut entries, &rows, &plan, clock)?);
        ways(&entries, &mut called);
    }
    if args.self_test {
        println!("self-test: {noticed} corrupted results, each noticed");
        return if noticed > 0 {
            Ok(())
        } else {
            Err("self-test: no peer was tested".into())
        };
    }
    facts.push(("rows", format!(
        "{} of {} features; rounds: {}, a round at most {} calls or about {:.0} ms of a subject; \
         cold: {} calls a round, each after {} MiB of other memory were walked; the clock's own \
         {:.0} ns are in every call",
        results::grouped(rows.count() as f64), rows.features, plan.rounds, plan.effort.calls_max,
        plan.effort.round_ns / 1e6, plan.effort.cold_calls, WALK_BYTES >> 20, clock.own_ns(),
    )));
    facts.push(("took", format!("{:.0} s", start.elapsed().as_secs_f64())));
    print!("{}", write_all(&args.out, &facts, &models, &called)?);
    println!(
        "\nwritten: {}/peers.{{json,csv,html,md}}",
        args.out.display()
    );
    Ok(())
}

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
