//! `rollout`: a table to one ring after the other, and back by itself where one does not take it
//! well.
//!
//! The generation is claimed once and is the same in all rings. At each ring the rollout waits
//! until every node runs it, and then watches for a while. A node's refusal, quarantine or going
//! back by itself (for its scores, requests without a score, or p99: the engine's watchdog) counts
//! against the bound; so does one that falls silent, or whose engines report too many requests
//! without a score, too long a p99, or too much drift. The steering key holds it, lets it go on, or
//! ends it. Where somebody else changes the pointer of a ring that had its turn, the rollout is
//! over, and takes nothing back.

use crate::backend::malformed;
use crate::health::Bounds;
use crate::progress::{Phase, Progress};
use crate::publish::{Change, Changer, Pointed, What, crossed, newer, told};
use crate::record::{Body, Envelope, Ring, RingPointer};
use crate::waiting::{self, Heard, Nodes, Wanted};
use hedgerow::Table;
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
/// A rollout with a key goes on, or is forced, by a trusted key alone (--key); whoever may write
/// can pause and halt it.
///
/// Example: hedgerow-fleet steer pause nats://127.0.0.1:4222
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SteerArgs {
    /// Stay at the ring, go on, go on whatever nodes say, or go back
    #[arg(value_enum)]
    steer: Steer,
    /// The ring that is to go on whatever its nodes say
    #[arg(long, value_enum, required_if_eq("steer", "force"))]
    ring: Option<Ring>,
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

/// What stands under that key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steering {
    /// The fleet.
    fleet: String,
    /// What it is told.
    steer: Steer,
    /// The ring and the generation that it is told of; none where of any.
    of: Option<(Ring, u64)>,
    /// The revision of the value that it was written after: an older one, put back, says nothing.
    #[serde(default)]
    after: u64,
}

impl Body for Steering {
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure> {
        match self.fleet == fleet {
            true => Ok(()),
            false => Err(malformed(&format!("{key}: fleet"), fleet, &self.fleet)),
        }
    }
}

/// The number of a step of the store that did not come about.
const UNANSWERED: u16 = 802;

/// How long a rollout tries to go back.
const BACK_WITHIN: Duration = Duration::from_secs(600);

/// How often a rollout looks.
const LOOK: Duration = Duration::from_millis(200);

/// Tells a rollout.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn steer(args: &SteerArgs) -> Result<Report, Failure> {
    let changer = Changer::connect(&args.change).await?;
    let of = match args.ring {
        None => None,
        Some(ring) => {
            let said = changer.pointer(ring).await?.said.ok_or_else(|| {
                Failure::new("no-generation", ring.key(), "a rollout's pointer", "none")
            })?;
            Some((ring, said.pointer.generation))
        }
    };
    let value = changer.store.last(KEY).await?;
    let revision = value.map_or(0, |value| value.revision);
    let steering = Steering {
        fleet: changer.store.fleet.clone(),
        steer: args.steer,
        of,
        after: revision,
    };
    let bytes = Envelope::seal(&steering, KEY, changer.secret.as_ref());
    if changer.store.replace(KEY, bytes, revision).await?.is_none() {
        return Err(Failure::new(
            "fleet-crossed",
            KEY,
            "nobody else",
            "another who steers",
        ));
    }
    let mut text = format!("told: {:?}", args.steer).to_lowercase();
    if changer.secret.is_none() && matches!(args.steer, Steer::Resume | Steer::Force) {
        text.push_str(" (unsigned: a rollout with a key passes it over)");
    }
    text.push('\n');
    Ok(Report::done(
        text,
        json!({ "ok": true, "steer": args.steer }),
    ))
}

/// What a rollout was told since it began.
struct Ear {
    /// The revision of the steering key that was read last.
    revision: u64,
    steer: Steer,
}

impl Ear {
    async fn of(changer: &Changer) -> Result<Ear, Failure> {
        let value = changer.store.last(KEY).await?;
        Ok(Ear {
            revision: value.map_or(0, |value| value.revision),
            steer: Steer::Resume,
        })
    }

    /// What it is told of a ring. What it must not be told by just anybody, and what was told of
    /// another ring or rollout, is passed over.
    async fn listen(&mut self, changer: &Changer, of: (Ring, u64)) -> Result<Steer, Failure> {
        let Some(value) = changer.store.last(KEY).await? else {
            return Ok(self.steer);
        };
        if value.revision <= self.revision {
            return Ok(self.steer);
        }
        let before = std::mem::replace(&mut self.revision, value.revision);
        let (bytes, fleet) = (&value.bytes, &changer.store.fleet);
        let opened = Envelope::open::<Steering>(bytes, fleet, KEY, changer.keys());
        let is_trusted = opened.is_ok();
        let said = match opened.or_else(|_| Envelope::unverified(bytes, fleet, KEY)) {
            Ok(said) => said,
            Err(failure) => {
                changer.passed_over(&failure);
                return Ok(self.steer);
            }
        };
        let counts = match said.steer {
            Steer::Pause | Steer::Halt => true,
            Steer::Resume => is_trusted && said.after >= before,
            Steer::Force => is_trusted && said.of == Some(of),
        };
        match counts {
            true => self.steer = said.steer,
            false => changer.warn(format!(
                "passed over {:?}: not by a trusted key, old, or of another ring or rollout",
                said.steer
            )),
        }
        Ok(self.steer)
    }
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
    let mut ear = Ear::of(&changer).await?;
    let (mut text, mut rings, mut generation) = (String::new(), Vec::new(), None);
    let (mut halted, mut had) = (None, Vec::new());
    let mut progress = Progress::new(&args.rings, json);
    for ring in &args.rings {
        let started = Instant::now();
        let (before, mut heard) = ready(&changer, *ring, generation.is_some()).await?;
        let pointed = point(&changer, bound.table(), *ring, args, generation).await?;
        let number = pointed.body.pointer.generation;
        let revision = pointed.revision;
        generation = Some(number);
        had.push(pointed);
        let watched = Watched {
            args,
            changer: &changer,
            ring: *ring,
            generation: number,
            had: &had,
        };
        let outcome = watched.run(&mut progress, &mut ear, &mut heard).await;
        let outcome = outcome.inspect_err(|_| progress.end())?;
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
            let back = back(&changer, *ring, before, revision).await;
            halted = Some((*ring, back.map(|pointed| pointed.body)));
            break;
        }
        ear.steer = match ear.steer {
            Steer::Force => Steer::Resume,
            steer => steer,
        };
    }
    progress.end();
    let mut went = None;
    if let Some((ring, back)) = &halted {
        let (line, json) = went_back(*ring, back);
        text.push_str(&line);
        went = Some(json);
    }
    let ok = halted.is_none();
    let json = json!({ "ok": ok, "generation": generation, "rings": rings, "back": went,
        "warnings": changer.warnings() });
    Ok(Report::checked(text, json, ok))
}

/// What a ring runs before it has its turn, and how its nodes are. A rollout that has begun waits
/// for the store.
async fn ready(
    changer: &Changer,
    ring: Ring,
    has_begun: bool,
) -> Result<(Option<u64>, Heard), Failure> {
    loop {
        let looked = match changer.running(ring).await {
            Ok(before) => Heard::of(&changer.store, ring)
                .await
                .map(|heard| (before, heard)),
            Err(failure) => Err(failure),
        };
        match looked {
            Err(failure) if failure.code == UNANSWERED && has_begun => {
                changer.warn(format!("the rollout waits for the store: {failure}"));
                sleep(LOOK).await;
            }
            looked => return looked,
        }
    }
}

/// Publishes to a ring. A rollout that has begun waits for the store.
async fn point(
    changer: &Changer,
    table: &Table,
    ring: Ring,
    args: &Args,
    generation: Option<u64>,
) -> Result<Pointed, Failure> {
    loop {
        let force = args.what.force;
        match changer.publish(table, ring, force, generation).await {
            Err(failure) if failure.code == UNANSWERED && generation.is_some() => {
                changer.warn(format!("the rollout waits for the store: {failure}"));
                sleep(LOOK).await;
            }
            done => return done,
        }
    }
}

/// What became of going back, for people and for machines.
fn went_back(ring: Ring, back: &Result<RingPointer, Failure>) -> (String, Json) {
    match back {
        Ok(body) => {
            let (number, from) = (body.pointer.generation, body.pointer.from_generation);
            let line = format!("went back: generation {number} to {}\n", ring.name());
            (
                line,
                json!({ "generation": number, "from_generation": from }),
            )
        }
        Err(failure) => (format!("could not go back: {failure}\n"), failure.json()),
    }
}

/// Goes back from the own pointer alone, and tries for a while where the store does not answer.
async fn back(
    changer: &Changer,
    ring: Ring,
    to: Option<u64>,
    from: u64,
) -> Result<Pointed, Failure> {
    let started = Instant::now();
    loop {
        match changer.rollback(ring, to, Some(from)).await {
            Err(failure) if failure.code == UNANSWERED && started.elapsed() < BACK_WITHIN => {
                changer.warn(format!("going back waits for the store: {failure}"));
                sleep(LOOK).await;
            }
            done => return done,
        }
    }
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
    if !outcome.nodes.silent.is_empty() {
        let _ = write!(line, "; not heard of: {}", outcome.nodes.silent.join(", "));
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
    changer: &'a Changer,
    ring: Ring,
    generation: u64,
    /// The pointers of the rings that had their turn, and of this one.
    had: &'a [Pointed],
}

/// Times of a ring's turn.
struct Times {
    /// When all its nodes had it, as long as they do.
    well: Option<Instant>,
    /// Since when they are waited for.
    behind: Instant,
    /// The most nodes that were there: those that fall silent are missed.
    most: usize,
}

impl Times {
    /// Why it does not go on.
    fn halted(&self, args: &Args, nodes: &Nodes, phase: Phase) -> Option<String> {
        let most = self.most;
        if nodes.all == 0 && !nodes.silent.is_empty() {
            let silent = nodes.silent.len();
            return Some(format!("none of the ring's {silent} nodes is heard of"));
        }
        let bad = nodes.bad + (most - nodes.all);
        let share = 100.0 * bad as f64 / most.max(1) as f64;
        if share > args.bad_max {
            return Some(format!("{bad} of {most} nodes do not take it"));
        }
        let within = Duration::from_secs_f64(args.ring_within);
        let late = self.behind.elapsed() >= within;
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

impl Watched<'_> {
    /// Waits for the ring, and watches it.
    async fn run(
        &self,
        progress: &mut Progress,
        ear: &mut Ear,
        heard: &mut Heard,
    ) -> Result<Outcome, Failure> {
        let soak = Duration::from_secs_f64(self.args.soak);
        let mut times = Times {
            well: None,
            behind: Instant::now(),
            most: 0,
        };
        let there = Nodes {
            all: heard.there,
            ..Nodes::default()
        };
        progress.at(self.ring, &there, Phase::Takes);
        loop {
            let (steer, nodes) = match self.look(ear, heard).await {
                Ok(looked) => looked,
                Err(failure) if failure.code == UNANSWERED => {
                    // Nobody could take it meanwhile, and nobody has watched.
                    self.changer
                        .warn(format!("the rollout waits for the store: {failure}"));
                    heard.was_away();
                    (times.well, times.behind) = (None, Instant::now());
                    sleep(LOOK).await;
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            times.most = times.most.max(nodes.all);
            let all_have = nodes.done + nodes.bad >= nodes.all;
            times.well = match all_have {
                true => times.well.or(Some(Instant::now())),
                false => None,
            };
            let watched = times.well.map(|well| well.elapsed());
            let asks = self.args.bounds.require_health && !nodes.unknown.is_empty();
            let phase = match watched {
                _ if steer == Steer::Pause => Phase::Paused,
                None => Phase::Takes,
                Some(watched) if watched < soak => Phase::Watches(watched, soak),
                Some(_) if asks => Phase::Asks,
                Some(watched) => Phase::Watches(watched.min(soak), soak),
            };
            if matches!(phase, Phase::Paused | Phase::Watches(..)) {
                times.behind = Instant::now();
            }
            let halted = match steer {
                Steer::Halt => Some("it was told to".to_string()),
                Steer::Force => None,
                Steer::Pause | Steer::Resume => times.halted(self.args, &nodes, phase),
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

    /// What it is told, and how the ring's nodes are.
    async fn look(&self, ear: &mut Ear, heard: &mut Heard) -> Result<(Steer, Nodes), Failure> {
        self.uncrossed().await?;
        let steer = ear
            .listen(self.changer, (self.ring, self.generation))
            .await?;
        let own = self.had.last().map(|own| Wanted::of(&own.body));
        let nodes = match own {
            Some(own) => {
                let bounds = Some(&self.args.bounds);
                waiting::look(&self.changer.store, &own, bounds, heard).await?
            }
            None => Nodes::default(),
        };
        Ok((steer, nodes))
    }

    /// Whether the pointers are as the rollout left them: somebody else who has changed one knows
    /// more, or the opposite of what the rollout is about to do.
    async fn uncrossed(&self) -> Result<(), Failure> {
        let store = &self.changer.store;
        for ring in Ring::EACH {
            let own = self.had.iter().find(|own| own.body.ring == ring);
            if own.is_none() && !self.ring.followed().contains(&ring) {
                continue;
            }
            let key = ring.key();
            let value = store.last(&key).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let said = value.and_then(|value| {
                Envelope::unverified::<RingPointer>(&value.bytes, &store.fleet, &key).ok()
            });
            let said = said.map(|said| said.pointer);
            let is_other = match own {
                Some(own) => own.revision != revision,
                None => said
                    .as_ref()
                    .is_some_and(|said| newer(said.generation, self.generation)),
            };
            if is_other {
                let expected = format!(
                    "the pointer as it was while generation {} is rolled out, which ends here",
                    self.generation
                );
                let got = said.map_or("another pointer".into(), |said| told(&said));
                return Err(crossed(&key, &expected, got));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn it_halts_for_nodes_that_are_waited_for_too_long_or_not_heard_of() {
        let words = ["x", "t.hedge", "nats://h:1", "--ring-within", "3"];
        let args = Command::parse_from(words).args;
        let ago = |seconds| Instant::now() - Duration::from_secs(seconds);
        let halted = |all: usize, silent: usize, behind: u64, phase: Phase| {
            let times = Times {
                well: None,
                behind: ago(behind),
                most: all,
            };
            let nodes = Nodes {
                all,
                silent: vec!["gone".into(); silent],
                ..Nodes::default()
            };
            times.halted(&args, &nodes, phase).is_some()
        };
        assert!(!halted(2, 0, 2, Phase::Takes));
        assert!(halted(2, 0, 4, Phase::Takes));
        assert!(!halted(2, 0, 4, Phase::Paused));
        // A ring of dead nodes does not pass; one that has none does.
        assert!(halted(0, 1, 0, Phase::Watches(LOOK, LOOK)));
        assert!(!halted(0, 0, 0, Phase::Watches(LOOK, LOOK)));
        assert!(!halted(1, 1, 0, Phase::Watches(LOOK, LOOK)));
    }
}
