//! Waits for nodes: which of them have a change, which refuse it, and how long it takes.

use crate::backend::Store;
use crate::health::{Bounds, Health, Summary};
use crate::liveness::{Liveness, snapshots};
use crate::operator::Operator;
use crate::record::{Envelope, FleetSwitches, Record, Ring, RingPointer, SWITCHES};
use crate::report::NodeReport;
use hedgerow::ContentId;
use hedgerow::refusal::printable;
use hedgerow_cli::failure::Failure;
use serde::Serialize;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How often reports are read during a wait.
const POLL: Duration = Duration::from_millis(50);

/// How long to wait for a first report: agents may be starting.
const FIRST: Duration = Duration::from_secs(3);

/// Nodes that a text names, at most.
const NAMED_MAX: usize = 10;

/// The nodes that a change is for.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// The number of nodes that report.
    pub all: usize,
    /// The number of those that have the change.
    pub done: usize,
    /// The number of those that will not have it.
    pub bad: usize,
    /// The nodes that do not have it, and why.
    pub others: Vec<(String, String)>,
    /// The nodes that have it and whose health is unknown, and why.
    pub unknown: Vec<(String, String)>,
    /// The nodes that reported once and are silent now.
    pub silent: Vec<String>,
    /// Their health with the change.
    pub health: Summary,
    /// Milliseconds from the change until the last node had it.
    pub ms: Option<u64>,
    /// Whether the operator waited.
    pub waited: bool,
}

/// What nodes are to have.
pub enum Target {
    /// A ring's nodes: this generation, or a later one.
    Generation {
        /// The ring.
        ring: Ring,
        /// The generation.
        generation: u64,
        /// Its table.
        content_id: ContentId,
    },
    /// All nodes: this change of the switches, or a later one.
    Switches(u64),
}

/// The highest numbers of the store, whoever wrote them.
#[derive(Debug, Default)]
struct Highest {
    pointers: Vec<RingPointer>,
    change: u64,
}

impl Highest {
    async fn read(store: &Store) -> Result<Highest, Failure> {
        let mut highest = Highest::default();
        for ring in Ring::EACH {
            highest.pointers.extend(current(store, &ring.key()).await?);
        }
        let switches: Option<FleetSwitches> = current(store, SWITCHES).await?;
        highest.change = switches.map_or(0, |switches| switches.file.change);
        Ok(highest)
    }

    fn generation(&self, ring: Ring) -> u64 {
        let followed = self.pointers.iter();
        let followed = followed.filter(|record| ring.followed().contains(&record.ring));
        let generations = followed.map(|record| record.pointer.generation);
        generations.max().unwrap_or_default()
    }
}

/// Returns the current record of a key, whoever wrote it.
///
/// # Errors
/// `fleet-store` if it cannot be read.
pub async fn current<T: Record>(store: &Store, key: &str) -> Result<Option<T>, Failure> {
    let value = store.last(key).await?;
    let record = value.map(|value| Envelope::unverified(&value.bytes, &store.fleet, key));
    Ok(record.and_then(Result::ok))
}

impl Target {
    /// Returns what a ring's pointer names.
    pub fn of(record: &RingPointer) -> Target {
        Target::Generation {
            ring: record.ring,
            generation: record.pointer.generation,
            content_id: record.pointer.content_id,
        }
    }

    fn is_for(&self, report: &NodeReport) -> bool {
        match self {
            Target::Generation { ring, .. } => report.ring.followed().contains(ring),
            Target::Switches(_) => true,
        }
    }

    /// Returns why a node takes nothing from a fleet with these numbers. `None` if it does.
    fn ahead(&self, report: &NodeReport, highest: &Highest) -> Option<String> {
        match self {
            Target::Generation { generation, .. } => {
                let generation = highest.generation(report.ring).max(*generation);
                report.ahead(generation, u64::MAX)
            }
            Target::Switches(change) => report.ahead(u64::MAX, highest.change.max(*change)),
        }
    }

    /// Returns whether a node has it, or why it will not.
    fn state(&self, report: &NodeReport) -> Result<bool, String> {
        let (generation, content_id) = match self {
            Target::Switches(change) => return Ok(report.switches >= *change),
            Target::Generation {
                generation,
                content_id,
                ..
            } => (*generation, *content_id),
        };
        match report.trouble(generation) {
            Some(why) => Err(why),
            None if report.running() == generation && report.is_other(Some(content_id)) => Err(
                format!("it has another table under generation {generation}"),
            ),
            None => Ok(report.running() >= generation),
        }
    }

    /// Returns how a node is that has it.
    fn health(&self, report: &NodeReport, bounds: Option<&Bounds>) -> Health {
        match (self, bounds) {
            (Target::Generation { generation, .. }, Some(bounds)) => {
                bounds.judge(report, *generation)
            }
            _ => Health::Well,
        }
    }
}

/// Reads the reports, and counts the nodes. A node over a bound counts as one that will not have
/// the change.
///
/// # Errors
/// `fleet-store` if the reports cannot be read.
pub async fn look(
    store: &Store,
    target: &Target,
    bounds: Option<&Bounds>,
    liveness: &mut Liveness,
) -> Result<Tally, Failure> {
    let all = snapshots(store).await?;
    liveness.note(&all);
    let mut tally = Tally::default();
    let mut highest = None;
    for node in all.iter().filter(|node| target.is_for(&node.report)) {
        let (report, name) = (&node.report, node.report.node.clone());
        if liveness.is_silent(node) {
            tally.silent.push(name);
            continue;
        }
        tally.all += 1;
        // A node may have what another operator published since: the store has it, too.
        let none = Highest::default();
        let mut never = target.ahead(report, highest.as_ref().unwrap_or(&none));
        if never.is_some() && highest.is_none() {
            let now = highest.insert(Highest::read(store).await?);
            never = target.ahead(report, now);
        }
        if let Target::Generation { generation, .. } = target {
            tally.health.add(report, Some(*generation));
            let lost = liveness.lost_engine(report);
            never = never.or(lost);
        }
        let state = never.map_or_else(|| target.state(report), Err);
        let why = match (state, target.health(report, bounds)) {
            (Ok(false), _) => "not yet".into(),
            (Ok(true), Health::Well) => {
                tally.done += 1;
                continue;
            }
            (Ok(true), Health::Unknown(why)) => {
                tally.done += 1;
                tally.unknown.push((name, why));
                continue;
            }
            (Ok(true), Health::Bad(why)) | (Err(why), _) => {
                tally.bad += 1;
                why
            }
        };
        tally.others.push((name, why));
    }
    Ok(tally)
}

/// Waits until all nodes have something or refuse it, as long as the operator wants.
///
/// # Errors
/// `fleet-store` if the reports cannot be read.
pub async fn until(
    operator: &Operator,
    target: &Target,
    started: Instant,
) -> Result<Tally, Failure> {
    if operator.wait.is_zero() {
        return Ok(Tally::default());
    }
    let mut liveness = Liveness::new();
    loop {
        let mut tally = look(&operator.store, target, None, &mut liveness).await?;
        tally.waited = true;
        let has_begun = tally.all > 0 || started.elapsed() >= FIRST;
        if tally.done + tally.bad == tally.all && has_begun {
            tally.ms = Some(started.elapsed().as_millis() as u64);
            return Ok(tally);
        }
        if started.elapsed() >= operator.wait {
            return Ok(tally);
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Tally {
    /// Describes the outcome of a wait. Returns `true` if no node is silent and all have the
    /// change, or if the operator did not wait.
    pub fn describe(&self, text: &mut String) -> bool {
        if !self.waited {
            return true;
        }
        let Tally { all, done, .. } = self;
        let _ = write!(text, "{done} of {all} nodes have it");
        match self.ms {
            Some(ms) => _ = writeln!(text, " after {ms} ms"),
            None => text.push_str("; the others had not answered in time\n"),
        }
        for (node, why) in self.others.iter().take(NAMED_MAX) {
            let _ = writeln!(text, "  {}: {}", printable(node), printable(why));
        }
        let more = self.others.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
        let count = self.silent.len();
        if count > 0 {
            let named = self.silent.iter().take(NAMED_MAX);
            let named: Vec<String> = named.map(|node| printable(node)).collect();
            let _ = writeln!(
                text,
                "not heard of: {count} nodes more, which may not have it ({}); \
                 `hedgerow-fleet forget NAME` for those that are out of service",
                named.join(", ")
            );
        }
        done == all && count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tests::{engine, node};

    #[test]
    fn a_silent_node_may_not_have_the_change() {
        let mut text = String::new();
        let mut tally = Tally {
            waited: true,
            ..Tally::default()
        };
        assert!(tally.describe(&mut text));
        tally.silent.push("edge-1".into());
        assert!(!tally.describe(&mut text));
        assert!(text.contains("edge-1"), "{text}");
    }

    #[test]
    fn a_node_that_runs_another_table_or_is_ahead_does_not_have_the_change() {
        let target = Target::Generation {
            ring: Ring::All,
            generation: 7,
            content_id: ContentId([1; 16]),
        };
        let none = Highest::default();
        let mut report = node(vec![engine(None)]);
        assert_eq!(target.state(&report), Ok(true));
        report.engines[0].content_id = Some(ContentId([2; 16]));
        assert!(target.state(&report).is_err());
        report.generation = 8;
        assert!(target.ahead(&report, &none).is_some());
        report.generation = 7;
        assert_eq!(target.ahead(&report, &none), None);
        report.switches = 3;
        assert!(Target::Switches(2).ahead(&report, &none).is_some());
    }
}
