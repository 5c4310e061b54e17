//! A ring's turn in a rollout: waits until its nodes run the table, and watches them.

use super::steer::{Steer, SteerListener};
use super::view::{Phase, View};
use super::{Args, LOOK, patiently};
use crate::liveness::Liveness;
use crate::operator::{Operator, crossed, is_newer, summary};
use crate::publish::Published;
use crate::record::{Envelope, Ring, RingPointer};
use crate::waiting::{self, Tally, Target};
use hedgerow_cli::failure::Failure;
use std::fmt::Write;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A ring that has its turn.
pub struct Turn<'a> {
    /// The options of the rollout.
    pub args: &'a Args,
    /// The operator.
    pub operator: &'a Operator,
    /// The pointers of the rings that had their turn.
    pub past: &'a [Published],
    /// The ring's pointer.
    pub own: &'a Published,
}

/// How a turn ended.
pub struct Outcome {
    /// The ring's nodes.
    pub nodes: Tally,
    /// Why the rollout halts here, if it does.
    pub halted: Option<String>,
}

impl Outcome {
    /// Returns the outcome as a line.
    pub fn line(&self, ring: Ring, generation: u64, started: Instant) -> String {
        let Tally {
            all,
            done,
            others,
            silent,
            health,
            ..
        } = &self.nodes;
        let seconds = started.elapsed().as_secs_f64();
        let name = ring.name();
        let mut line = format!("{name:<7} generation {generation}: {done} of {all} nodes run it");
        let _ = write!(line, ", {seconds:.1} s; health: {health}");
        for (node, why) in others.iter().take(5) {
            let _ = write!(line, "; {node}: {why}");
        }
        if !silent.is_empty() {
            let _ = write!(line, "; not heard of: {}", silent.join(", "));
        }
        if let Some(why) = &self.halted {
            let _ = write!(line, "; halted: {why}");
        }
        line.push('\n');
        line
    }
}

/// The times of a turn.
struct Clock {
    /// Since when all nodes have the table.
    well: Option<Instant>,
    /// Since when nodes are waited for.
    behind: Instant,
    /// The most nodes that reported: a node that falls silent is missed.
    most: usize,
}

impl Clock {
    fn new() -> Clock {
        Clock {
            well: None,
            behind: Instant::now(),
            most: 0,
        }
    }

    /// Begins again after the store was away: no node could take the table, or was watched.
    fn restart(&mut self) {
        (self.well, self.behind) = (None, Instant::now());
    }

    /// Notes a look. Returns what the rollout does now, and `true` if the ring is through.
    fn note(&mut self, args: &Args, steer: Steer, nodes: &Tally) -> (Phase, bool) {
        let soak = Duration::from_secs_f64(args.soak);
        self.most = self.most.max(nodes.all);
        self.well = match nodes.done + nodes.bad >= nodes.all {
            true => self.well.or(Some(Instant::now())),
            false => None,
        };
        let watched = self.well.map(|well| well.elapsed());
        let asks = args.bounds.require_health && !nodes.unknown.is_empty();
        let phase = match watched {
            _ if steer == Steer::Pause => Phase::Paused,
            None => Phase::Takes,
            Some(watched) if watched < soak => Phase::Watches(watched, soak),
            Some(_) if asks => Phase::Asks,
            Some(_) => Phase::Watches(soak, soak),
        };
        if matches!(phase, Phase::Paused | Phase::Watches(..)) {
            self.behind = Instant::now();
        }
        let is_through = phase == Phase::Watches(soak, soak);
        (phase, steer == Steer::Force || is_through)
    }

    /// Returns why the rollout halts.
    fn halted(&self, args: &Args, nodes: &Tally, phase: Phase) -> Option<String> {
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
        if self.behind.elapsed() < within {
            return None;
        }
        match phase {
            Phase::Takes => {
                let done = nodes.done;
                Some(format!("{done} of {most} nodes run it after {within:?}"))
            }
            Phase::Asks => {
                let (unknown, first) = (nodes.unknown.len(), nodes.unknown.first());
                let first = first.map(|(node, why)| format!("{node}: {why}"));
                Some(format!(
                    "the health of {unknown} of {most} nodes is not known ({})",
                    first.unwrap_or_default()
                ))
            }
            _ => None,
        }
    }
}

impl Turn<'_> {
    /// Waits for the ring, and watches it.
    ///
    /// # Errors
    /// `fleet-crossed` if another operator changed a pointer.
    pub async fn run(
        &self,
        view: &mut View,
        listener: &mut SteerListener,
        liveness: &mut Liveness,
    ) -> Result<Outcome, Failure> {
        let ring = self.own.record.ring;
        let mut clock = Clock::new();
        let there = Tally {
            all: liveness.nodes,
            ..Tally::default()
        };
        view.at(ring, &there, Phase::Takes);
        loop {
            let looked = patiently(self.operator, "the rollout", Duration::MAX, async || {
                let looked = self.look(listener, liveness).await;
                if looked.is_err() {
                    liveness.store_was_away();
                    clock.restart();
                }
                looked
            });
            let (steer, nodes) = looked.await?;
            let (phase, is_through) = clock.note(self.args, steer, &nodes);
            let halted = match steer {
                Steer::Halt => Some("it was told to".to_string()),
                Steer::Force => None,
                Steer::Pause | Steer::Resume => clock.halted(self.args, &nodes, phase),
            };
            if halted.is_some() || is_through {
                return Ok(Outcome { nodes, halted });
            }
            view.at(ring, &nodes, phase);
            sleep(LOOK).await;
        }
    }

    /// Reads the operators' commands and the nodes' reports.
    async fn look(
        &self,
        listener: &mut SteerListener,
        liveness: &mut Liveness,
    ) -> Result<(Steer, Tally), Failure> {
        self.check_pointers().await?;
        let own = &self.own.record;
        let of = (own.ring, own.pointer.generation);
        let steer = listener.read(self.operator, of).await?;
        let (target, bounds) = (Target::of(own), Some(&self.args.bounds));
        let nodes = waiting::look(&self.operator.store, &target, bounds, liveness).await?;
        Ok((steer, nodes))
    }

    /// Checks that the pointers are as the rollout left them. An operator who changed one knows
    /// more than the rollout, or wants the opposite.
    async fn check_pointers(&self) -> Result<(), Failure> {
        let (ring, generation) = (self.own.record.ring, self.own.record.pointer.generation);
        let store = &self.operator.store;
        for each in Ring::EACH {
            let mut written = self.past.iter().chain([self.own]);
            let written = written.find(|it| it.record.ring == each);
            if written.is_none() && !ring.followed().contains(&each) {
                continue;
            }
            let key = each.key();
            let value = store.last(&key).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let current = value
                .map(|value| Envelope::unverified::<RingPointer>(&value.bytes, &store.fleet, &key));
            let current = current.and_then(Result::ok).map(|record| record.pointer);
            let is_other = match (written, &current) {
                (Some(written), _) => written.revision != revision,
                (None, Some(current)) => is_newer(current.generation, generation),
                (None, None) => false,
            };
            if is_other {
                let expected = format!(
                    "the pointer as it was while generation {generation} is rolled out, which ends \
                     here"
                );
                let got = current.map_or("another pointer".into(), |it| summary(&it));
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
    fn a_turn_halts_if_nodes_take_too_long_or_are_silent() {
        let words = ["x", "t.hedge", "nats://h:1", "--ring-within", "3"];
        let args = Command::parse_from(words).args;
        let ago = |seconds| Instant::now() - Duration::from_secs(seconds);
        let halted = |all: usize, silent: usize, behind: u64, phase: Phase| {
            let clock = Clock {
                well: None,
                behind: ago(behind),
                most: all,
            };
            let nodes = Tally {
                all,
                silent: vec!["gone".into(); silent],
                ..Tally::default()
            };
            clock.halted(&args, &nodes, phase).is_some()
        };
        assert!(!halted(2, 0, 2, Phase::Takes));
        assert!(halted(2, 0, 4, Phase::Takes));
        assert!(!halted(2, 0, 4, Phase::Paused));
        // A ring of dead nodes does not pass; a ring without nodes does.
        assert!(halted(0, 1, 0, Phase::Watches(LOOK, LOOK)));
        assert!(!halted(0, 0, 0, Phase::Watches(LOOK, LOOK)));
        assert!(!halted(1, 1, 0, Phase::Watches(LOOK, LOOK)));
    }
}
