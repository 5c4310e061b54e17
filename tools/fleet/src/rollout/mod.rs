//! `rollout`: publishes a table to one ring after the other, and goes back if a ring does not take
//! it well.
//!
//! The generation is claimed once and is the same in all rings. At each ring the rollout waits
//! until every node runs it, and then watches them. A node counts against the bound if it refuses
//! the table, holds it in quarantine, reverts it (the engine's watchdog), falls silent, or reports
//! too many requests without a score, too long a p99, or too much drift. Operators can pause,
//! resume, force or halt it by the steering key. If another operator changes the pointer of a ring
//! that had its turn, the rollout ends and takes nothing back.

mod steer;
mod turn;
mod view;

pub use steer::{STEERING, SteerArgs, steer};

#[cfg(test)]
pub use steer::Steering;

use crate::health::Bounds;
use crate::liveness::Liveness;
use crate::number;
use crate::operator::{Candidate, Operator};
use crate::publish::Published;
use crate::record::Ring;
use hedgerow::RefusalKind;
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use steer::SteerListener;
use tokio::time::sleep;
use turn::Turn;
use view::View;

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
    candidate: Candidate,
    /// The rings, in this order
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "canary,early,all"
    )]
    rings: Vec<Ring>,
    /// Watch each ring for so long once all its nodes run the table, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds())]
    soak: f64,
    /// Halt where a ring's nodes do not run it after so long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = seconds())]
    ring_within: f64,
    /// Nodes of a ring that may refuse it, go back or fall silent, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = seconds())]
    bad_max: f64,
    #[command(flatten)]
    bounds: Bounds,
}

fn seconds() -> impl Fn(&str) -> Result<f64, String> + Clone {
    number(0.0..=86_400.0, "0 to 86400")
}

/// How long a rollout tries to go back.
const BACK_WITHIN: Duration = Duration::from_secs(600);

/// How often a rollout looks.
const LOOK: Duration = Duration::from_millis(200);

/// Repeats a step of a rollout for as long as the store does not answer.
///
/// # Errors
/// Any other failure of the step, or the last one after `within`.
async fn patiently<T>(
    operator: &Operator,
    what: &str,
    within: Duration,
    mut step: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let started = Instant::now();
    loop {
        match step().await {
            Err(failure) if failure.is(RefusalKind::FleetStore) && started.elapsed() < within => {
                operator.warn(format!("{what} waits for the store: {failure}"));
                sleep(LOOK).await;
            }
            done => return done,
        }
    }
}

/// Rolls a table out.
///
/// # Errors
/// As [`Operator::publish`]. A halt is a report that is not ok.
pub async fn run(args: &Args, json: bool) -> Result<Report, Failure> {
    if args.rings.is_empty() || !args.rings.is_sorted_by(|one, next| one < next) {
        let expected = "canary, early and all, or some of them, in this order";
        let got = "others, or another order";
        return Err(Failure::usage("--rings", expected, got));
    }
    let operator = Operator::connect(&args.candidate.change).await?;
    let prepared = args.candidate.admit(&operator)?;
    let mut listener = SteerListener::new(&operator).await?;
    let (mut text, mut rings, mut went_back) = (String::new(), Vec::new(), None);
    let (mut generation, mut past) = (None, Vec::<Published>::new());
    let mut view = View::new(&args.rings, json);
    for ring in args.rings.iter().copied() {
        let started = Instant::now();
        // A rollout that has begun waits for the store.
        let within = generation.map_or(Duration::ZERO, |_| Duration::MAX);
        let ready = patiently(&operator, "the rollout", within, async || {
            operator.check_pointers(ring).await?;
            let before = operator.running(ring).await?;
            Ok((before, Liveness::of(&operator.store, ring).await?))
        });
        let (before, mut liveness) = ready.await?;
        let (table, force) = (prepared.table(), args.candidate.force);
        let own = patiently(&operator, "the rollout", within, async || {
            operator.publish(table, ring, force, generation).await
        });
        let own = own.await?;
        let number = own.record.pointer.generation;
        generation = Some(number);
        let turn = Turn {
            args,
            operator: &operator,
            past: &past,
            own: &own,
        };
        let outcome = turn.run(&mut view, &mut listener, &mut liveness).await?;
        let line = outcome.line(ring, number, started);
        view.past(ring, &line);
        text.push_str(&line);
        rings.push(json!({
            "ring": ring.name(),
            "generation": number,
            "nodes": outcome.nodes,
            "halted": outcome.halted,
        }));
        if outcome.halted.is_some() {
            // From the rollout's own pointer, and from no other.
            let back = patiently(&operator, "going back", BACK_WITHIN, async || {
                operator.rollback(ring, before, Some(own.revision)).await
            });
            let (line, json) = back_line(ring, &back.await);
            text.push_str(&line);
            went_back = Some(json);
            break;
        }
        past.push(own);
        listener.next_ring();
    }
    let ok = went_back.is_none();
    let json = json!({ "ok": ok, "generation": generation, "rings": rings, "back": went_back,
        "warnings": operator.warnings() });
    Ok(Report::checked(text, json, ok))
}

/// Returns the outcome of going back, as a line and as JSON.
fn back_line(ring: Ring, back: &Result<Published, Failure>) -> (String, Json) {
    match back {
        Ok(done) => {
            let pointer = &done.record.pointer;
            let (number, from) = (pointer.generation, pointer.from_generation);
            let line = format!("went back: generation {number} to {}\n", ring.name());
            let json = json!({ "generation": number, "from_generation": from });
            (line, json)
        }
        Err(failure) => (format!("could not go back: {failure}\n"), failure.json()),
    }
}
