//! Waits for nodes: which of them run a generation, which have refused it, and how long it took.

use crate::backend::Store;
use crate::health::{Bounds, Health, Summary};
use crate::record::{Envelope, FleetSwitches, NodeReport, Ring, RingPointer, SWITCHES};
use hedgerow_cli::failure::{Failure, harmless};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// How often reports are read while somebody waits.
const POLL: Duration = Duration::from_millis(50);

/// What became of a change on the nodes that it is for.
#[derive(Debug, Default, Serialize)]
pub struct Nodes {
    /// How many there are that are heard of.
    pub all: usize,
    /// Those that have it.
    pub done: usize,
    /// Those that will not, as they say.
    pub bad: usize,
    /// Those that do not have it, and why where they say.
    pub others: Vec<(String, String)>,
    /// Those that have it and whose health is not known, and why.
    pub unknown: Vec<(String, String)>,
    /// Those that have reported once and are not heard of any more.
    pub silent: Vec<String>,
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

/// A node that has not reported for this long, by the newest report of any, is not waited for; nor
/// is any, where no report has come for so long.
pub const LOST: Duration = Duration::from_secs(15);

/// Where no node has reported yet, one is waited for so long: agents may be starting.
const FIRST: Duration = Duration::from_secs(3);

/// What was heard of nodes, from look to look.
#[derive(Debug)]
pub struct Heard {
    /// When the server took the newest report of any node.
    newest: i128,
    /// When that last changed, by the own clock.
    moved: Instant,
    /// When reports came again after a gap, and the newest before it.
    back: Option<(i128, Instant)>,
    /// When was looked last.
    looked: Instant,
    /// Nodes of the ring that were heard of before it was given anything.
    pub there: usize,
    /// Nodes' engines whose processes were there.
    alive: BTreeSet<(String, String)>,
}

/// Reports that come so far apart were kept back by the store: nodes come again one by one.
const GAP: Duration = Duration::from_secs(8);

impl Heard {
    /// Nothing yet.
    pub fn nothing() -> Heard {
        Heard {
            newest: 0,
            moved: Instant::now(),
            back: None,
            looked: Instant::now(),
            there: 0,
            alive: BTreeSet::new(),
        }
    }

    /// The nodes of a ring, before it is given anything.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn of(store: &Store, ring: Ring) -> Result<Heard, Failure> {
        let mut heard = Heard::nothing();
        let all = seen(store).await?;
        heard.note(&all);
        for seen in &all {
            if seen.report.ring.followed().contains(&ring) && !heard.is_silent(seen) {
                heard.there += 1;
                heard.gone(&seen.report);
            }
        }
        Ok(heard)
    }

    /// The store did not answer: nobody could be heard of.
    pub fn was_away(&mut self) {
        self.moved = Instant::now();
    }

    fn note(&mut self, all: &[Seen]) {
        let now = Instant::now();
        if self.looked.elapsed() >= GAP {
            self.moved = now;
        }
        self.looked = now;
        let newest = all.iter().map(|seen| seen.at).max().unwrap_or_default();
        if newest != self.newest {
            if self.newest > 0 && newest - self.newest >= GAP.as_nanos() as i128 {
                self.back = Some((self.newest, now));
            }
            (self.newest, self.moved) = (newest, now);
        }
    }

    /// Whether a node has not reported for long. After a gap of all, it has as long again.
    fn is_silent(&self, seen: &Seen) -> bool {
        let newest = match self.back {
            Some((before, at)) if at.elapsed() < LOST => before,
            _ => self.newest,
        };
        self.moved.elapsed() >= LOST || newest - seen.at >= LOST.as_nanos() as i128
    }

    /// An engine of a node whose process was there, and is not.
    fn gone(&mut self, report: &NodeReport) -> Option<String> {
        let node = &report.node;
        for engine in report.alive() {
            self.alive.insert((node.clone(), engine.name.clone()));
        }
        let known = self.alive.range((node.clone(), String::new())..);
        let mut known = known.take_while(|(of, _)| of == node);
        let is_alive = |name: &str| report.alive().any(|engine| engine.name == name);
        let gone = known.find(|(_, name)| !is_alive(name));
        gone.map(|(_, name)| format!("{name}: its process is gone"))
    }
}

/// What nodes are to have.
pub enum Wanted {
    /// The nodes of a ring: this generation, or a later one.
    Generation {
        /// The ring.
        ring: Ring,
        /// The generation.
        generation: u64,
        /// Its table.
        content_id: String,
    },
    /// All nodes: this change of the switches, or a later one.
    Switches(u64),
}

impl Wanted {
    /// What a ring's pointer names.
    pub fn of(body: &RingPointer) -> Wanted {
        Wanted::Generation {
            ring: body.ring,
            generation: body.pointer.generation,
            content_id: body.pointer.content_id.clone(),
        }
    }

    fn is_for(&self, report: &NodeReport) -> bool {
        match self {
            Wanted::Generation { ring, .. } => report.ring.followed().contains(ring),
            Wanted::Switches(_) => true,
        }
    }

    /// Why a node takes nothing of the fleet's, where it is further than a fleet that is so far.
    fn ahead(&self, report: &NodeReport, highest: &Highest) -> Option<String> {
        match self {
            Wanted::Generation { generation, .. } => {
                report.ahead((*generation).max(highest.of(report.ring)), u64::MAX)
            }
            Wanted::Switches(change) => report.ahead(u64::MAX, (*change).max(highest.change)),
        }
    }

    /// Whether a node has it; why it will not, where it says so.
    fn state(&self, report: &NodeReport) -> Result<bool, String> {
        match self {
            Wanted::Switches(change) => Ok(report.switches >= *change),
            Wanted::Generation {
                generation,
                content_id,
                ..
            } => match report.trouble(*generation) {
                Some(why) => Err(why),
                None if report.running() == *generation && report.is_other(content_id) => Err(
                    format!("it has another table under generation {generation}"),
                ),
                None => Ok(report.running() >= *generation),
            },
        }
    }
}

/// How far a fleet is, whoever wrote that.
#[derive(Debug, Default)]
pub struct Highest {
    pointers: Vec<RingPointer>,
    change: u64,
}

impl Highest {
    /// As it is now.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    async fn now(store: &Store) -> Result<Highest, Failure> {
        let mut highest = Highest::default();
        for ring in Ring::EACH {
            let key = ring.key();
            let value = store.last(&key).await?;
            let body = value.map(|value| Envelope::unverified(&value.bytes, &store.fleet, &key));
            highest.pointers.extend(body.and_then(Result::ok));
        }
        if let Some(value) = store.last(SWITCHES).await? {
            let body = Envelope::unverified(&value.bytes, &store.fleet, SWITCHES);
            highest.change = body.map_or(0, |body: FleetSwitches| body.file.change);
        }
        Ok(highest)
    }

    fn of(&self, ring: Ring) -> u64 {
        let followed = self.pointers.iter();
        let followed = followed.filter(|body| ring.followed().contains(&body.ring));
        let generations = followed.map(|body| body.pointer.generation);
        generations.max().unwrap_or_default()
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
    heard: &mut Heard,
) -> Result<Nodes, Failure> {
    let all = seen(store).await?;
    heard.note(&all);
    let mut nodes = Nodes::default();
    let (mut highest, none) = (None, Highest::default());
    for seen in all.iter().filter(|seen| wanted.is_for(&seen.report)) {
        let name = seen.report.node.clone();
        if heard.is_silent(seen) {
            nodes.silent.push(name);
            continue;
        }
        nodes.all += 1;
        // Somebody may have published since: what nodes have by now stands in the store by now.
        let mut never = wanted.ahead(&seen.report, highest.as_ref().unwrap_or(&none));
        if never.is_some() && highest.is_none() {
            let now = highest.insert(Highest::now(store).await?);
            never = wanted.ahead(&seen.report, now);
        }
        if let Wanted::Generation { generation, .. } = wanted {
            nodes.health.add(&seen.report, Some(*generation));
            let gone = heard.gone(&seen.report);
            never = never.or(gone);
        }
        let state = wanted.state(&seen.report);
        match never.map_or(state, Err) {
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

/// Waits until nodes have something, or say that they will not.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn until(
    store: &Store,
    wanted: &Wanted,
    wait: Duration,
    started: Instant,
) -> Result<Nodes, Failure> {
    if wait.is_zero() {
        return Ok(Nodes::default());
    }
    let mut heard = Heard::nothing();
    loop {
        let mut nodes = look(store, wanted, None, &mut heard).await?;
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

/// Nodes that are named in a report for people, at most.
const NAMED_MAX: usize = 10;

/// Says what became of it; whether all have it, those included that are not heard of.
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
    let silent = &nodes.silent;
    if !silent.is_empty() {
        let named: Vec<_> = silent
            .iter()
            .take(NAMED_MAX)
            .map(|node| harmless(node))
            .collect();
        let (count, named) = (silent.len(), named.join(", "));
        let _ = writeln!(
            text,
            "not heard of: {count} nodes more, which may not have it ({named}); \
             `hedgerow-fleet forget NAME` for those that are out of service"
        );
    }
    done == all && silent.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::tests::{engine, node};

    fn seen(at_seconds: u64) -> Seen {
        Seen {
            report: node(Vec::new()),
            at: i128::from(at_seconds) * 1_000_000_000,
        }
    }

    #[test]
    fn nodes_are_silent_by_the_newest_report_and_all_are_where_it_stands_still() {
        let mut heard = Heard::nothing();
        let all = [seen(100), seen(116)];
        heard.note(&all);
        assert!(heard.is_silent(&all[0]));
        assert!(!heard.is_silent(&all[1]));
        heard.moved = Instant::now() - LOST;
        heard.note(&all);
        assert!(heard.is_silent(&all[1]));
        heard.note(&[seen(117)]);
        assert!(!heard.is_silent(&seen(117)));
        // The store was away: who reports a little later than the first is not silent, and who was
        // silent before it is.
        heard.note(&[seen(140)]);
        assert!(!heard.is_silent(&seen(116)));
        assert!(heard.is_silent(&seen(100)));
        heard.back = heard.back.map(|(newest, at)| (newest, at - LOST));
        assert!(heard.is_silent(&seen(116)));
        let mut text = String::new();
        let mut nodes = Nodes {
            waited: true,
            ..Nodes::default()
        };
        assert!(told(&mut text, &nodes));
        nodes.silent.push("edge-1".into());
        assert!(!told(&mut text, &nodes));
        assert!(text.contains("edge-1"), "{text}");
    }

    #[test]
    fn an_engine_whose_process_goes_is_missed() {
        let mut heard = Heard::nothing();
        assert_eq!(heard.gone(&node(Vec::new())), None);
        assert_eq!(heard.gone(&node(vec![engine(None)])), None);
        let mut dead = engine(None);
        dead.alive = false;
        assert!(heard.gone(&node(vec![dead])).is_some());
        assert!(heard.gone(&node(Vec::new())).is_some());
        assert_eq!(heard.gone(&node(vec![engine(None)])), None);
    }

    #[test]
    fn what_runs_another_table_or_is_ahead_does_not_have_it() {
        let wanted = Wanted::Generation {
            ring: Ring::All,
            generation: 7,
            content_id: "one".into(),
        };
        let mut report = node(vec![engine(None)]);
        assert_eq!(wanted.state(&report), Ok(true));
        report.engines[0].content_id = "two".into();
        assert!(wanted.state(&report).is_err());
        report.generation = 8;
        assert!(wanted.ahead(&report, &Highest::default()).is_some());
        report.generation = 7;
        assert_eq!(wanted.ahead(&report, &Highest::default()), None);
        report.switches = 3;
        assert!(
            Wanted::Switches(2)
                .ahead(&report, &Highest::default())
                .is_some()
        );
    }
}
