//! Which nodes still report.
//!
//! A node's age is measured against the newest report of any node, both on the server's clock. If
//! no report comes at all, the local clock counts.

use crate::backend::Store;
use crate::record::Ring;
use crate::report::NodeReport;
use hedgerow_cli::failure::Failure;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A node's last report.
pub struct NodeSnapshot {
    /// The report.
    pub report: NodeReport,
    /// When the server took it, in nanoseconds since 1970.
    pub at: i128,
}

/// Returns the last report of every node. Malformed ones are left out.
///
/// # Errors
/// `fleet-store` if they cannot be read.
pub async fn snapshots(store: &Store) -> Result<Vec<NodeSnapshot>, Failure> {
    let reports = store.reports().await?.into_iter();
    let parsed = reports.filter_map(|(node, value)| {
        let report: NodeReport = serde_json::from_slice(&value.bytes).ok()?;
        // A node has the right to its own key only: another name is forged.
        let at = value.at;
        (report.node == node).then_some(NodeSnapshot { report, at })
    });
    Ok(parsed.collect())
}

/// A node is silent if its report is this much older than the newest one. All nodes are silent if
/// no report came for this long.
pub const LOST: Duration = Duration::from_secs(15);

/// Reports that come this far apart were held up by the store: after such a gap nodes report again
/// one after the other.
const GAP: Duration = Duration::from_secs(8);

/// What is known of the nodes from one look to the next.
#[derive(Debug)]
pub struct Liveness {
    /// When the server took the newest report of any node.
    newest: i128,
    /// When `newest` changed, on the local clock.
    moved: Instant,
    /// The newest report before the last gap, and when the gap ended.
    gap: Option<(i128, Instant)>,
    /// The last look.
    looked: Instant,
    /// Nodes of the ring that reported before it was published to.
    pub nodes: usize,
    /// Engines whose processes were seen: the node's name and the engine's.
    engines: BTreeSet<(String, String)>,
}

impl Liveness {
    /// Knows nothing yet.
    pub fn new() -> Liveness {
        Liveness {
            newest: 0,
            moved: Instant::now(),
            gap: None,
            looked: Instant::now(),
            nodes: 0,
            engines: BTreeSet::new(),
        }
    }

    /// Looks at the nodes of a ring before it is published to.
    ///
    /// # Errors
    /// `fleet-store` if the reports cannot be read.
    pub async fn of(store: &Store, ring: Ring) -> Result<Liveness, Failure> {
        let mut liveness = Liveness::new();
        let all = snapshots(store).await?;
        liveness.note(&all);
        for node in &all {
            if node.report.ring.followed().contains(&ring) && !liveness.is_silent(node) {
                liveness.nodes += 1;
                liveness.lost_engine(&node.report);
            }
        }
        Ok(liveness)
    }

    /// Notes that the store did not answer, so that no node could report.
    pub fn store_was_away(&mut self) {
        self.moved = Instant::now();
    }

    /// Notes the reports of a look.
    pub fn note(&mut self, all: &[NodeSnapshot]) {
        let now = Instant::now();
        if self.looked.elapsed() >= GAP {
            self.moved = now;
        }
        self.looked = now;
        let newest = all.iter().map(|node| node.at).max().unwrap_or_default();
        if newest != self.newest {
            if self.newest > 0 && newest - self.newest >= GAP.as_nanos() as i128 {
                self.gap = Some((self.newest, now));
            }
            (self.newest, self.moved) = (newest, now);
        }
    }

    /// Returns `true` if a node has not reported for [`LOST`]. After a gap, nodes have that long
    /// to report again.
    pub fn is_silent(&self, node: &NodeSnapshot) -> bool {
        let newest = match self.gap {
            Some((before, at)) if at.elapsed() < LOST => before,
            _ => self.newest,
        };
        self.moved.elapsed() >= LOST || newest - node.at >= LOST.as_nanos() as i128
    }

    /// Returns a message if a process of a node's engines was seen before, and runs no more.
    pub fn lost_engine(&mut self, report: &NodeReport) -> Option<String> {
        let node = &report.node;
        for engine in report.alive() {
            self.engines.insert((node.clone(), engine.name.clone()));
        }
        let known = self.engines.range((node.clone(), String::new())..);
        let mut known = known.take_while(|(of, _)| of == node);
        let is_alive = |name: &str| report.alive().any(|engine| engine.name == name);
        let lost = known.find(|(_, name)| !is_alive(name));
        lost.map(|(_, name)| format!("{name}: its process is gone"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tests::{engine, node};

    fn reported(at_seconds: u64) -> NodeSnapshot {
        NodeSnapshot {
            report: node(Vec::new()),
            at: i128::from(at_seconds) * 1_000_000_000,
        }
    }

    #[test]
    fn nodes_are_silent_by_the_newest_report_and_all_are_if_no_report_comes() {
        let mut liveness = Liveness::new();
        let all = [reported(100), reported(116)];
        liveness.note(&all);
        assert!(liveness.is_silent(&all[0]));
        assert!(!liveness.is_silent(&all[1]));
        liveness.moved = Instant::now() - LOST;
        liveness.note(&all);
        assert!(liveness.is_silent(&all[1]));
        liveness.note(&[reported(117)]);
        assert!(!liveness.is_silent(&reported(117)));
        // After a gap: a node that reports a little later than the first is not silent, and one
        // that was silent before the gap still is.
        liveness.note(&[reported(140)]);
        assert!(!liveness.is_silent(&reported(116)));
        assert!(liveness.is_silent(&reported(100)));
        liveness.gap = liveness.gap.map(|(newest, at)| (newest, at - LOST));
        assert!(liveness.is_silent(&reported(116)));
    }

    #[test]
    fn an_engine_whose_process_ends_is_missed() {
        let mut liveness = Liveness::new();
        assert_eq!(liveness.lost_engine(&node(Vec::new())), None);
        assert_eq!(liveness.lost_engine(&node(vec![engine(None)])), None);
        let mut dead = engine(None);
        dead.alive = false;
        assert!(liveness.lost_engine(&node(vec![dead])).is_some());
        assert!(liveness.lost_engine(&node(Vec::new())).is_some());
        assert_eq!(liveness.lost_engine(&node(vec![engine(None)])), None);
    }
}
