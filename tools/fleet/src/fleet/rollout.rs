//! `rollout`: a table to one ring after the other, and back by itself where one does not take it
//! well.
//!
//! The generation is claimed once and is the same in all rings. At each ring the rollout waits
//! until every node runs it, and then watches for a while. A node's refusal, quarantine or going
//! back by itself (for its scores, requests without a score, or p99: the engine's watchdog) counts
//! against the bound; so does one that falls silent, or whose engines report too many requests
//! without a score, too long a p99, or too much drift. The steering key holds it, lets it go on, or
//! ends it.

use super::health::Bounds;
use super::progress::{Phase, Progress};
use super::publish::{Change, Changer, What};
use super::record::Ring;
use super::store::Store;
use super::waiting::{self, Nodes, Wanted};
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Publish a table to one ring after the other, and go back where one does not take it well
///
/// Waits at each ring until every node runs the table, and watches it for a while. Exit status 1
/// where it was halted; the fleet is back then on what it ran before.
///
/// Example: hedgerow-fleet rollout bots.hedge nats://127.0.0.1:4222 --key ops.key --soak 60
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// The rings, in this order
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "canary,early,all"
    )]
    rings: Vec<Ring>,
    /// Watch each ring for so long once all its nodes run the table, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    soak: f64,
    /// Halt where a ring's nodes do not run it after so long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds)]
    ring_within: f64,
    /// Nodes of a ring that may refuse it, go back or fall silent, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = seconds)]
    bad_max: f64,
    #[command(flatten)]
    bounds: Bounds,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=86_400.0).contains(&number) => Ok(number),
        _ => Err("expected 0 to 86400".into()),
    }
}

/// Steer a rollout that runs somewhere: pause, resume, force or halt it
///
/// Example: hedgerow-fleet steer pause nats://127.0.0.1:4222
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SteerArgs {
    /// Stay at the ring, go on, go on whatever nodes say, or go back
    #[arg(value_enum)]
    steer: Steer,
    #[command(flatten)]
    change: Change,
}

/// What a rollout is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Steer {
    /// Stay at the ring.
    Pause,
    /// Go on.
    Resume,
    /// Go on whatever nodes say.
    Force,
    /// Go back.
    Halt,
}

/// The key of what a rollout is told.
pub const KEY: &str = "rollout";

/// How often a rollout looks.
const LOOK: Duration = Duration::from_millis(200);

/// Tells a rollout.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn steer(args: &SteerArgs) -> Result<Report, Failure> {
    let changer = Changer::connect(&args.change).await?;
    let bytes = serde_json::to_vec(&args.steer).unwrap_or_default();
    let value = changer.store.read(KEY).await?;
    let revision = value.map_or(0, |value| value.revision);
    if changer.store.write(KEY, &bytes, revision).await?.is_none() {
        return Err(Failure::new(
            "fleet-crossed",
            KEY,
            "nobody else",
            "another who steers",
        ));
    }
    let text = format!("told: {:?}\n", args.steer).to_lowercase();
    Ok(Report::done(
        text,
        json!({ "ok": true, "steer": args.steer }),
    ))
}

/// What was told since the rollout began.
async fn told(store: &Store, since: u64) -> Result<Steer, Failure> {
    let value = store
        .read(KEY)
        .await?
        .filter(|value| value.revision > since);
    let told = value.and_then(|value| serde_json::from_slice(&value.bytes).ok());
    Ok(told.unwrap_or(Steer::Resume))
}

/// Rolls a table out.
///
/// # Errors
/// As a publish; a halt is no error, but a check that was not passed.
pub async fn run(args: &Args, json: bool) -> Result<Report, Failure> {
    if args.rings.is_empty() || args.rings.windows(2).any(|pair| pair[0] >= pair[1]) {
        let expected = "canary, early and all, or some of them, in this order";
        return Err(Failure::usage(
            "--rings",
            expected,
            "others, or another order",
        ));
    }
    let changer = Changer::connect(&args.what.change).await?;
    let bound = args.what.admit(&changer)?;
    let since = changer
        .store
        .read(KEY)
        .await?
        .map_or(0, |value| value.revision);
    let (mut text, mut rings, mut generation) = (String::new(), Vec::new(), None);
    let mut halted = None;
    let mut progress = Progress::new(&args.rings, json);
    for ring in &args.rings {
        let started = Instant::now();
        let body = changer
            .publish(bound.table(), *ring, args.what.force, generation)
            .await?;
        let number = body.pointer.generation;
        generation = Some(number);
        let watched = Watched {
            args,
            store: &changer.store,
            ring: *ring,
            generation: number,
            since,
        };
        let outcome = watched.run(&mut progress).await?;
        let line = line_of(*ring, number, &outcome, started);
        progress.past(&line);
        text.push_str(&line);
        let why = outcome.halted.clone();
        rings.push(json!({
            "ring": ring.name(),
            "generation": number,
            "nodes": outcome.nodes,
            "halted": why,
        }));
        if why.is_some() {
            let back = changer.rollback(*ring, None).await;
            halted = Some((*ring, back));
            break;
        }
    }
    progress.end();
    let mut back: Option<Json> = None;
    if let Some((ring, went)) = &halted {
        let line = match went {
            Ok(body) => {
                let (number, from) = (body.pointer.generation, body.pointer.from_generation);
                back = Some(json!({ "generation": number, "from_generation": from }));
                format!("went back: generation {number} to {}\n", ring.name())
            }
            Err(failure) => {
                back = Some(failure.json());
                format!("could not go back: {failure}\n")
            }
        };
        text.push_str(&line);
    }
    let ok = halted.is_none();
    let json = json!({ "ok": ok, "generation": generation, "rings": rings, "back": back });
    Ok(Report::checked(text, json, ok))
}

/// How a ring took it.
struct Outcome {
    nodes: Nodes,
    halted: Option<String>,
}

fn line_of(ring: Ring, generation: u64, outcome: &Outcome, started: Instant) -> String {
    let Nodes {
        all, done, others, ..
    } = &outcome.nodes;
    let seconds = started.elapsed().as_secs_f64();
    let name = ring.name();
    let mut line = format!("{name:<7} generation {generation}: {done} of {all} nodes run it");
    let _ = write!(line, ", {seconds:.1} s; health: {}", outcome.nodes.health);
    for (node, why) in others.iter().take(5) {
        let _ = write!(line, "; {node}: {why}");
    }
    match &outcome.halted {
        Some(why) => _ = writeln!(line, "; halted: {why}"),
        None => line.push('\n'),
    }
    line
}

/// A ring that has its turn.
struct Watched<'a> {
    args: &'a Args,
    store: &'a Store,
    ring: Ring,
    generation: u64,
    /// The revision of the steering key when the rollout began.
    since: u64,
}

impl Watched<'_> {
    /// Waits for the ring, and watches it.
    async fn run(&self, progress: &mut Progress) -> Result<Outcome, Failure> {
        let (started, mut well) = (Instant::now(), None::<Instant>);
        let soak = Duration::from_secs_f64(self.args.soak);
        let wanted = Wanted::Generation {
            ring: self.ring,
            generation: self.generation,
        };
        // Nodes that were there when it began and fall silent are missed.
        let mut most = 0;
        loop {
            let steer = told(self.store, self.since).await?;
            let bounds = Some(&self.args.bounds);
            let nodes = waiting::look(self.store, &wanted, bounds).await?;
            most = most.max(nodes.all);
            let all_have = nodes.done + nodes.bad >= nodes.all;
            well = match all_have {
                true => well.or(Some(Instant::now())),
                false => None,
            };
            let watched = well.map(|well| well.elapsed());
            let asks = self.args.bounds.require_health && !nodes.unknown.is_empty();
            let phase = match watched {
                _ if steer == Steer::Pause => Phase::Paused,
                None => Phase::Takes,
                Some(watched) if watched < soak => Phase::Watches(watched, soak),
                Some(_) if asks => Phase::Asks,
                Some(watched) => Phase::Watches(watched.min(soak), soak),
            };
            let halted = match steer {
                Steer::Halt => Some("it was told to".to_string()),
                Steer::Force => None,
                Steer::Pause | Steer::Resume => self.halted(&nodes, most, phase, started),
            };
            let soaked = watched.is_some_and(|watched| watched >= soak) && !asks;
            let done = steer == Steer::Force || soaked && steer != Steer::Pause;
            if halted.is_some() || done {
                return Ok(Outcome { nodes, halted });
            }
            progress.at(self.ring, &nodes, phase);
            sleep(LOOK).await;
        }
    }

    /// Why it does not go on.
    fn halted(&self, nodes: &Nodes, most: usize, phase: Phase, started: Instant) -> Option<String> {
        let bad = nodes.bad + (most - nodes.all);
        let share = 100.0 * bad as f64 / most.max(1) as f64;
        if share > self.args.bad_max {
            return Some(format!("{bad} of {most} nodes do not take it"));
        }
        let within = Duration::from_secs_f64(self.args.ring_within);
        let late = started.elapsed() >= within;
        match phase {
            Phase::Takes if late => Some(format!(
                "{} of {most} nodes run it after {within:?}",
                nodes.done
            )),
            Phase::Asks if late => {
                let unknown = nodes.unknown.len();
                let first = nodes
                    .unknown
                    .first()
                    .map(|(node, why)| format!("{node}: {why}"));
                let first = first.unwrap_or_default();
                Some(format!(
                    "the health of {unknown} of {most} nodes is not known ({first})"
                ))
            }
            _ => None,
        }
    }
}
