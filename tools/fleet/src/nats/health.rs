//! What a rollout asks of the health that nodes report: requests without a score, p99, drift.
//!
//! Engines write what they have seen of late beside their status (`STATE/health`), and the agent of
//! their machine passes it on. A node that reports none is told apart from one that is well.

use super::record::{EngineHealth, EngineReport, NodeReport};
use serde::Serialize;

/// Bounds of a rollout on what each engine reports of the new generation.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests without a score, of an engine's requests since it runs the table, in percent;
    /// those that a person switched off do not count
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = number)]
    not_scored_max: f64,
    /// The 99th percentile of an engine's latencies, where its host records them, in microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = number)]
    p99_max: Option<f64>,
    /// The stability index of an engine's scores beside those of the table before
    #[arg(long, value_name = "INDEX", value_parser = number)]
    drift_max: Option<f64>,
    /// Requests of an engine that are enough to tell
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    rows_min: u64,
    /// Halt also where a node's engines do not report enough requests to tell
    #[arg(long)]
    pub require_health: bool,
}

fn number(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=1e12).contains(&number) => Ok(number),
        _ => Err("expected a number of 0 or above".into()),
    }
}

/// How a node is under a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// All its engines report enough, within the bounds.
    Well,
    /// One of them reports nothing, or too little; or there is none.
    Unknown(String),
    /// One of them is over a bound.
    Bad(String),
}

impl Bounds {
    /// How a node is under a generation.
    pub fn judge(&self, report: &NodeReport, generation: u64) -> Health {
        let mut unknown = None;
        let mut alive = report.alive().peekable();
        if alive.peek().is_none() {
            return Health::Unknown("no engine reports".into());
        }
        for engine in alive {
            let name = &engine.name;
            if let Some(over) = self.drifted(engine, generation) {
                return Health::Bad(format!("{name}: {over}"));
            }
            let told = engine.health.as_ref();
            match told.filter(|health| health.generation == generation) {
                None => unknown = Some(format!("{name}: not reported")),
                Some(health) if health.rows < self.rows_min => {
                    let (rows, least) = (health.rows, self.rows_min);
                    unknown = Some(format!("{name}: {rows} requests, of {least} to tell"));
                }
                Some(health) => {
                    if let Some(over) = self.over(health) {
                        return Health::Bad(format!("{name}: {over}"));
                    }
                    if self.p99_max.is_some() && health.p99_nanos().is_none() {
                        unknown = Some(format!("{name}: no latencies are recorded"));
                    }
                }
            }
        }
        unknown.map_or(Health::Well, Health::Unknown)
    }

    fn drifted(&self, engine: &EngineReport, generation: u64) -> Option<String> {
        let (max, psi) = (self.drift_max?, engine.drift?);
        let over = engine.generation == generation && psi > max;
        over.then(|| format!("a drift of {psi:.3}, of at most {max}"))
    }

    fn over(&self, health: &EngineHealth) -> Option<String> {
        let (rows, max) = (health.rows, self.not_scored_max);
        let percent = 100.0 * health.not_scored;
        if percent > max {
            let text = format!("{percent:.1} % of {rows} requests without a score, of {max} %");
            return Some(text);
        }
        let max = self.p99_max?;
        let micros = health.p99_nanos()? as f64 / 1e3;
        (micros > max).then(|| format!("a p99 of {micros:.1} µs, of at most {max} µs"))
    }
}

/// What the engines of many nodes report together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Nodes.
    pub nodes: usize,
    /// Those of which every engine reports its health.
    pub reporting: usize,
    /// Requests.
    pub rows: u64,
    /// The largest share of requests without a score of any engine.
    pub not_scored: f64,
    /// The longest p99 of any engine, in nanoseconds; none where none is recorded.
    pub p99_nanos: Option<u64>,
    /// The largest drift of any engine.
    pub drift: Option<f64>,
}

impl Summary {
    /// Adds a node, as it reports of a generation; of any, where it is none.
    pub fn add(&mut self, report: &NodeReport, generation: Option<u64>) {
        self.nodes += 1;
        let (mut engines, mut told) = (0, 0);
        for engine in report.alive() {
            engines += 1;
            let drift = engine.drift.unwrap_or(f64::MIN);
            let drift = drift.max(self.drift.unwrap_or(f64::MIN));
            self.drift = (drift > f64::MIN).then_some(drift);
            let of = |health: &&EngineHealth| generation.is_none_or(|it| it == health.generation);
            let Some(health) = engine.health.as_ref().filter(of) else {
                continue;
            };
            told += 1;
            self.rows = self.rows.saturating_add(health.rows);
            self.not_scored = self.not_scored.max(health.not_scored);
            self.p99_nanos = self.p99_nanos.max(health.p99_nanos());
        }
        self.reporting += usize::from(engines > 0 && told == engines);
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.reporting == 0 {
            return f.write_str("not reported");
        }
        if self.nodes > 1 {
            write!(f, "{} of {} report: ", self.reporting, self.nodes)?;
        }
        if let Some(nanos) = self.p99_nanos {
            write!(f, "p99 {:.1} µs, ", nanos as f64 / 1e3)?;
        }
        let percent = 100.0 * self.not_scored;
        write!(f, "{percent:.1} % of {} without a score", self.rows)
    }
}
