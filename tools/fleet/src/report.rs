//! What a node reports of itself and of its engines.

use crate::record::Ring;
use hedgerow::watch::{Origin, WatchStatus, status};
use hedgerow::{ContentId, Refusal};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The last seconds of an engine, from its health file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineHealth {
    /// The generation that ran for all of them.
    pub generation: u64,
    /// The number of seconds.
    pub seconds: f64,
    /// The number of requests.
    pub rows: u64,
    /// The share of requests without a score, 0 to 1.
    pub not_scored: f64,
    /// The number of requests whose latency was recorded.
    pub timed: u64,
    /// The 99th percentile of those latencies, in nanoseconds.
    pub p99: u64,
}

impl EngineHealth {
    /// Returns the health that an engine wrote to its state folder.
    fn read(folder: &Path) -> Option<EngineHealth> {
        let health = status::health(folder)?;
        Some(EngineHealth {
            generation: health.generation,
            seconds: health.seconds,
            rows: health.seen.rows,
            not_scored: health.seen.not_scored,
            timed: health.timed,
            p99: health.seen.p99_nanos,
        })
    }

    /// Returns the 99th percentile of the latencies in nanoseconds, if any were recorded.
    pub fn p99_nanos(&self) -> Option<u64> {
        (self.timed > 0).then_some(self.p99)
    }
}

/// The part of an engine's status that the fleet uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    /// The name of the engine's state folder.
    pub name: String,
    /// Whether its process runs.
    pub alive: bool,
    /// The running generation.
    pub generation: u64,
    /// The running table; empty in reports of older versions.
    #[serde(default, with = "hedgerow::ids::or_empty")]
    pub content_id: Option<ContentId>,
    /// The [source](status::Source) of the running table.
    pub source: String,
    /// The generation that it refused or holds in quarantine, and why.
    pub refused: Option<(u64, String)>,
    /// The generation that its watchdog reverted last.
    pub reverted: Option<u64>,
    /// The selectors that are off.
    pub switches: Vec<String>,
    /// The population stability index of the scores of its table and of the one before, if the two
    /// were compared.
    #[serde(default)]
    pub drift: Option<f64>,
    /// The last seconds, if the engine reports them.
    #[serde(default)]
    pub health: Option<EngineHealth>,
}

impl EngineReport {
    /// Reports an engine that keeps its state in a folder.
    pub fn of(folder: &Path, engine: &WatchStatus) -> EngineReport {
        let name = folder.file_name().map(|name| name.to_string_lossy().into());
        let refused = engine.waiting.as_ref().filter(|waiting| waiting.refused);
        let why = |quarantined: bool| match (quarantined, engine.last_refusals.first()) {
            (true, _) => "quarantined".into(),
            (false, Some(last)) => last.reason.name().into(),
            (false, None) => "refused".into(),
        };
        EngineReport {
            name: name.unwrap_or_default(),
            alive: status::is_alive(folder),
            generation: engine.generation,
            content_id: engine.content_id,
            source: engine.source.name().into(),
            refused: refused.map(|waiting| (waiting.generation, why(waiting.quarantined))),
            reverted: engine.reverted.first().map(|last| last.generation),
            switches: engine.switches.clone(),
            drift: engine.drift.as_ref().map(|drift| drift.psi),
            health: EngineHealth::read(folder),
        }
    }
}

/// The report of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// [`FILES_VERSION`](hedgerow::watch::directory::FILES_VERSION).
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// Its ring.
    pub ring: Ring,
    /// The agent's process.
    pub origin: Origin,
    /// The generation that it is to have.
    pub wanted: u64,
    /// The generation of its directory.
    pub generation: u64,
    /// The table of that generation; empty in reports of older versions.
    #[serde(default, with = "hedgerow::ids::or_empty")]
    pub content_id: Option<ContentId>,
    /// The number of the last change of the switches in its directory.
    pub switches: u64,
    /// The last refusal and its generation, until it takes another.
    pub refused: Option<(u64, Refusal)>,
    /// Its engines.
    pub engines: Vec<EngineReport>,
}

impl NodeReport {
    /// Returns the engines whose processes run.
    pub fn alive(&self) -> impl Iterator<Item = &EngineReport> {
        self.engines.iter().filter(|engine| engine.alive)
    }

    /// Returns the report without the numbers that change all the time.
    pub fn without_health(&self) -> NodeReport {
        let mut report = self.clone();
        for engine in &mut report.engines {
            engine.health = None;
        }
        report
    }

    /// Returns the lowest generation that its engines run; without engines, its directory's.
    pub fn running(&self) -> u64 {
        let least = self.alive().map(|engine| engine.generation).min();
        least.unwrap_or(self.generation)
    }

    /// Returns `true` if it reports another table for the generation that it runs.
    pub fn is_other(&self, content_id: Option<ContentId>) -> bool {
        let is_other = |own: Option<ContentId>| own.is_some() && own != content_id;
        let mut alive = self.alive().peekable();
        match alive.peek() {
            None => is_other(self.content_id),
            Some(_) => alive.any(|engine| is_other(engine.content_id)),
        }
    }

    /// Returns why it takes nothing from a fleet with these numbers: its directory has higher
    /// ones. `None` if it has not.
    pub fn ahead(&self, generation: u64, change: u64) -> Option<String> {
        let own = self.generation.max(self.running());
        let (own, has) = if own > generation {
            (own, format!("it has generation {own}, of {generation}"))
        } else if self.switches > change {
            let own = self.switches;
            (
                own,
                format!("it has change {own} of the switches, of {change}"),
            )
        } else {
            return None;
        };
        Some(format!("ahead of the fleet: {has} (--above {own})"))
    }

    /// Returns why it will not run a generation. `None` if it does, or may soon.
    pub fn trouble(&self, wanted: u64) -> Option<String> {
        if let Some((_, why)) = self.refused.as_ref().filter(|(it, _)| *it == wanted) {
            return Some(format!("refused {wanted}: {}", why.name()));
        }
        self.alive().find_map(|engine| {
            let name = &engine.name;
            match &engine.refused {
                Some((it, why)) if *it == wanted => Some(format!("{name} refused {wanted}: {why}")),
                _ if engine.reverted == Some(wanted) => {
                    Some(format!("{name} went back from {wanted} by itself"))
                }
                _ => None,
            }
        })
    }
}
