//! Waits for nodes: which of them run a generation, which have refused it, and how long it took.

use super::health::{Bounds, Health, Summary};
use super::record::{NodeReport, Ring};
use super::store::Store;
use hedgerow_cli::failure::{Failure, harmless};
use serde::Serialize;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How often reports are read while somebody waits.
const POLL: Duration = Duration::from_millis(50);

/// What became of a change on the nodes that it is for.
#[derive(Debug, Default, Serialize)]
pub struct Nodes {
    /// How many there are.
    pub all: usize,
    /// Those that have it.
    pub done: usize,
    /// Those that will not, as they say.
    pub bad: usize,
    /// Those that do not have it, and why where they say.
    pub others: Vec<(String, String)>,
    /// Those that have it and whose health is not known, and why.
    pub unknown: Vec<(String, String)>,
    /// What they report of their health under it.
    pub health: Summary,
    /// Since the change began, in milliseconds, until the last of them had it.
    pub ms: Option<u64>,
    /// Whether anybody waited.
    pub waited: bool,
}

/// A node's report, and when the server took it.
pub struct Seen {
    /// The report.
    pub report: NodeReport,
    /// Nanoseconds since 1970, by the server's clock.
    pub at: i128,
}

/// Every node's last report. One that is malformed is passed over.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn seen(store: &Store) -> Result<Vec<Seen>, Failure> {
    let reports = store.reports().await?.into_iter();
    let parsed = reports.filter_map(|(node, value)| {
        let report: NodeReport = serde_json::from_slice(&value.bytes).ok()?;
        // A node writes its own key alone: what says another name is not its.
        (report.node == node).then_some(Seen {
            report,
            at: value.at,
        })
    });
    Ok(parsed.collect())
}

/// A node that has not reported for this long, by the newest report of any, is not waited for.
pub const LOST: Duration = Duration::from_secs(15);

/// Where no node has reported yet, one is waited for so long: agents may be starting.
const FIRST: Duration = Duration::from_secs(3);

/// What nodes are to have.
pub enum Wanted {
    /// The nodes of a ring: this generation, or a later one.
    Generation {
        /// The ring.
        ring: Ring,
        /// The generation.
        generation: u64,
    },
    /// All nodes: this change of the switches, or a later one.
    Switches(u64),
}

impl Wanted {
    fn is_for(&self, report: &NodeReport) -> bool {
        match self {
            Wanted::Generation { ring, .. } => report.ring.followed().contains(ring),
            Wanted::Switches(_) => true,
        }
    }

    /// Whether a node has it; why it will not, where it says so.
    fn state(&self, report: &NodeReport) -> Result<bool, String> {
        match self {
            Wanted::Switches(change) => Ok(report.switches >= *change),
            Wanted::Generation { generation, .. } => match report.trouble(*generation) {
                Some(why) => Err(why),
                None => Ok(report.running() >= *generation),
            },
        }
    }
}

impl Wanted {
    /// How a node is that has it.
    fn health(&self, report: &NodeReport, bounds: Option<&Bounds>) -> Health {
        match (self, bounds) {
            (Wanted::Generation { generation, .. }, Some(bounds)) => {
                bounds.judge(report, *generation)
            }
            _ => Health::Well,
        }
    }
}

/// Which nodes have it now; one that is over a bound counts as one that will not have it.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn look(
    store: &Store,
    wanted: &Wanted,
    bounds: Option<&Bounds>,
) -> Result<Nodes, Failure> {
    let all = seen(store).await?;
    let newest = all.iter().map(|seen| seen.at).max().unwrap_or_default();
    let fresh = |seen: &&Seen| newest - seen.at < LOST.as_nanos() as i128;
    let mut nodes = Nodes::default();
    for seen in all.iter().filter(fresh) {
        if !wanted.is_for(&seen.report) {
            continue;
        }
        nodes.all += 1;
        let name = seen.report.node.clone();
        if let Wanted::Generation { generation, .. } = wanted {
            nodes.health.add(&seen.report, Some(*generation));
        }
        match wanted.state(&seen.report) {
            Ok(true) => match wanted.health(&seen.report, bounds) {
                Health::Well => nodes.done += 1,
                Health::Unknown(why) => {
                    nodes.done += 1;
                    nodes.unknown.push((name, why));
                }
                Health::Bad(why) => {
                    nodes.bad += 1;
                    nodes.others.push((name, why));
                }
            },
            Ok(false) => nodes.others.push((name, "not yet".into())),
            Err(why) => {
                nodes.bad += 1;
                nodes.others.push((name, why));
            }
        }
    }
    Ok(nodes)
}

async fn until(
    store: &Store,
    wanted: Wanted,
    wait: Duration,
    started: Instant,
) -> Result<Nodes, Failure> {
    if wait.is_zero() {
        return Ok(Nodes::default());
    }
    loop {
        let mut nodes = look(store, &wanted, None).await?;
        nodes.waited = true;
        let begun = nodes.all > 0 || started.elapsed() >= FIRST;
        if nodes.done + nodes.bad == nodes.all && begun {
            nodes.ms = Some(started.elapsed().as_millis() as u64);
            return Ok(nodes);
        }
        if started.elapsed() >= wait {
            return Ok(nodes);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the nodes of a ring run a generation, or a later one.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn running(
    store: &Store,
    ring: Ring,
    generation: u64,
    wait: Duration,
    started: Instant,
) -> Result<Nodes, Failure> {
    until(
        store,
        Wanted::Generation { ring, generation },
        wait,
        started,
    )
    .await
}

/// Waits until all nodes have a change of switches.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn switched(
    store: &Store,
    change: u64,
    wait: Duration,
    started: Instant,
) -> Result<Nodes, Failure> {
    until(store, Wanted::Switches(change), wait, started).await
}

/// Nodes that are named in a report for people, at most.
const NAMED_MAX: usize = 10;

/// Says what became of it; whether all have it.
pub fn told(text: &mut String, nodes: &Nodes) -> bool {
    if !nodes.waited {
        return true;
    }
    let Nodes { all, done, .. } = nodes;
    let _ = write!(text, "{done} of {all} nodes have it");
    match nodes.ms {
        Some(ms) => _ = writeln!(text, " after {ms} ms"),
        None => text.push_str("; the others had not answered in time\n"),
    }
    for (node, why) in nodes.others.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "  {}: {}", harmless(node), harmless(why));
    }
    let more = nodes.others.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
    done == all
}
