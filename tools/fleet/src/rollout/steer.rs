//! `steer`: pauses, resumes, forces or halts a rollout that runs elsewhere.

use crate::operator::{Change, Operator, crossed};
use crate::record::{Envelope, Record, Ring, check_fleet};
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::json;

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

/// A command to a rollout.
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

/// The key of commands to rollouts.
pub const STEERING: &str = "rollout";

/// The record of that key.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steering {
    /// The fleet's name.
    fleet: String,
    /// The command.
    steer: Steer,
    /// The ring and the generation that it is for; `None` for any.
    of: Option<(Ring, u64)>,
    /// The revision of the value before. A record that is written again has an old one.
    #[serde(default)]
    after: u64,
}

impl Record for Steering {
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure> {
        check_fleet(key, fleet, &self.fleet)
    }
}

/// Writes a command to a rollout.
///
/// # Errors
/// `no-generation` if the ring has no pointer; `fleet-store` and `fleet-crossed` if the command
/// cannot be written.
pub async fn steer(args: &SteerArgs) -> Result<Report, Failure> {
    let operator = Operator::connect(&args.change).await?;
    let of = match args.ring {
        None => None,
        Some(ring) => {
            let current = operator.pointer(ring).await?.current.ok_or_else(|| {
                Failure::new("no-generation", ring.key(), "a rollout's pointer", "none")
            })?;
            Some((ring, current.pointer.generation))
        }
    };
    let value = operator.store.last(STEERING).await?;
    let revision = value.map_or(0, |value| value.revision);
    let steering = Steering {
        fleet: operator.store.fleet.clone(),
        steer: args.steer,
        of,
        after: revision,
    };
    let bytes = Envelope::seal(&steering, STEERING, operator.secret.as_ref());
    let written = operator.store.replace(STEERING, &bytes, revision).await?;
    if written.is_none() {
        return Err(crossed(STEERING, "nobody else", "another who steers"));
    }
    let mut text = format!("told: {:?}", args.steer).to_lowercase();
    if operator.secret.is_none() && matches!(args.steer, Steer::Resume | Steer::Force) {
        text.push_str(" (unsigned: a rollout with a key passes it over)");
    }
    text.push('\n');
    Ok(Report::done(
        text,
        json!({ "ok": true, "steer": args.steer }),
    ))
}

/// Reads the commands to one rollout.
pub struct SteerListener {
    /// The revision of the steering key that was read last.
    revision: u64,
    /// The last command.
    steer: Steer,
}

impl SteerListener {
    /// Ignores what was written before.
    ///
    /// # Errors
    /// `fleet-store` if the steering key cannot be read.
    pub async fn new(operator: &Operator) -> Result<SteerListener, Failure> {
        let value = operator.store.last(STEERING).await?;
        Ok(SteerListener {
            revision: value.map_or(0, |value| value.revision),
            steer: Steer::Resume,
        })
    }

    /// Begins another ring: `force` was for the one before.
    pub fn next_ring(&mut self) {
        if self.steer == Steer::Force {
            self.steer = Steer::Resume;
        }
    }

    /// Returns the last command for a ring and its generation. Commands that need a trusted key
    /// and have none, and those for another ring or rollout, are passed over.
    ///
    /// # Errors
    /// `fleet-store` if the steering key cannot be read.
    pub async fn read(&mut self, operator: &Operator, of: (Ring, u64)) -> Result<Steer, Failure> {
        let value = operator.store.last(STEERING).await?;
        let Some(value) = value.filter(|value| value.revision > self.revision) else {
            return Ok(self.steer);
        };
        let before = std::mem::replace(&mut self.revision, value.revision);
        let fleet = &operator.store.fleet;
        let opened = Envelope::open::<Steering>(&value.bytes, fleet, STEERING, &operator.keys);
        let is_trusted = opened.is_ok();
        let steering = match opened.or_else(|_| operator.unverified(STEERING, &value)) {
            Ok(steering) => steering,
            Err(failure) => {
                operator.passed_over(&failure);
                return Ok(self.steer);
            }
        };
        let counts = match steering.steer {
            Steer::Pause | Steer::Halt => true,
            Steer::Resume => is_trusted && steering.after >= before,
            Steer::Force => is_trusted && steering.of == Some(of),
        };
        match counts {
            true => self.steer = steering.steer,
            false => operator.warn(format!(
                "passed over {:?}: not by a trusted key, old, or of another ring or rollout",
                steering.steer
            )),
        }
        Ok(self.steer)
    }
}
