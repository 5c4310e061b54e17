//! Bounds of a rollout on the health that nodes report: requests without a score, p99, drift.
//!
//! Engines write their last seconds next to their status (`STATE/health`), and the machine's agent
//! reports them. A node without such a report is unknown, and not well.

use crate::number;
use crate::report::{EngineHealth, EngineReport, NodeReport};
use serde::Serialize;

fn positive() -> impl Fn(&str) -> Result<f64, String> + Clone {
    number(0.0..=1e12, "a number of 0 or above")
}

/// Bounds of a rollout on what each engine reports of the new generation.
#[derive(clap::Args, Debug, Clone, Copy)]
pub struct Bounds {
    /// Requests without a score, of an engine's requests since it runs the table, in percent;
    /// those that a person switched off do not count
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = positive())]
    not_scored_max: f64,
    /// The 99th percentile of an engine's latencies, where its host records them, in microseconds
    #[arg(long, value_name = "MICROSECONDS", value_parser = positive())]
    p99_max: Option<f64>,
    /// The stability index of an engine's scores beside those of the table before
    #[arg(long, value_name = "INDEX", value_parser = positive())]
    drift_max: Option<f64>,
    /// Requests of an engine that are enough to tell
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    rows_min: u64,
    /// Halt also where a node's engines do not report enough requests to tell
    #[arg(long)]
    pub require_health: bool,
}

/// The health of a node that runs a generation.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// Every engine reports enough requests, within the bounds.
    Well,
    /// An engine reports nothing, or too few requests; or there is no engine.
    Unknown(String),
    /// An engine is over a bound.
    Bad(String),
}

impl Bounds {
    /// Judges a node that runs a generation.
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
            let health = engine.health.as_ref();
            match health.filter(|health| health.generation == generation) {
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

/// The health of many nodes' engines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The number of nodes.
    pub nodes: usize,
    /// The number of nodes whose engines all report their health.
    pub reporting: usize,
    /// The number of requests.
    pub rows: u64,
    /// The largest share of requests without a score of any engine.
    pub not_scored: f64,
    /// The longest p99 of any engine, in nanoseconds, if one records latencies.
    pub p99_nanos: Option<u64>,
    /// The largest drift of any engine.
    pub drift: Option<f64>,
}

impl Summary {
    /// Adds a node that runs a generation, or any generation.
    pub fn add(&mut self, report: &NodeReport, generation: Option<u64>) {
        self.nodes += 1;
        let (mut engines, mut reporting) = (0, 0);
        for engine in report.alive() {
            engines += 1;
            let drift = engine.drift.unwrap_or(f64::MIN);
            let drift = drift.max(self.drift.unwrap_or(f64::MIN));
            self.drift = (drift > f64::MIN).then_some(drift);
            let of = |health: &&EngineHealth| generation.is_none_or(|it| it == health.generation);
            let Some(health) = engine.health.as_ref().filter(of) else {
                continue;
            };
            reporting += 1;
            self.rows = self.rows.saturating_add(health.rows);
            self.not_scored = self.not_scored.max(health.not_scored);
            self.p99_nanos = self.p99_nanos.max(health.p99_nanos());
        }
        self.reporting += usize::from(engines > 0 && reporting == engines);
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

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::record::Ring;
    use hedgerow::watch::Origin;

    const BOUNDS: Bounds = Bounds {
        not_scored_max: 5.0,
        p99_max: Some(100.0),
        drift_max: Some(0.2),
        rows_min: 1_000,
        require_health: false,
    };

    pub fn engine(health: Option<EngineHealth>) -> EngineReport {
        EngineReport {
            name: "one".into(),
            alive: true,
            generation: 7,
            content_id: None,
            source: "directory".into(),
            refused: None,
            reverted: None,
            switches: Vec::new(),
            drift: Some(0.1),
            health,
        }
    }

    pub fn node(engines: Vec<EngineReport>) -> NodeReport {
        NodeReport {
            version: 1,
            node: "n".into(),
            ring: Ring::All,
            origin: Origin::here("agent"),
            wanted: 7,
            generation: 7,
            content_id: None,
            switches: 0,
            refused: None,
            engines,
        }
    }

    fn health() -> EngineHealth {
        EngineHealth {
            generation: 7,
            seconds: 10.0,
            rows: 1_000,
            not_scored: 0.05,
            timed: 1_000,
            p99: 100_000,
        }
    }

    fn judged(edit: impl FnOnce(&mut EngineReport)) -> Health {
        let mut edited = engine(Some(health()));
        edit(&mut edited);
        BOUNDS.judge(&node(vec![engine(Some(health())), edited]), 7)
    }

    fn seen(edit: impl FnOnce(&mut EngineHealth)) -> Health {
        let mut health = health();
        edit(&mut health);
        judged(|engine| engine.health = Some(health))
    }

    #[test]
    fn an_engine_over_a_bound_is_bad_and_one_that_does_not_report_is_unknown() {
        let unknown = |health: Health| matches!(health, Health::Unknown(_));
        let bad = |health: Health, why: &str| matches!(health, Health::Bad(it) if it.contains(why));
        assert_eq!(seen(|_| ()), Health::Well);
        assert!(unknown(seen(|health| health.rows = 999)));
        assert!(unknown(seen(|health| health.generation = 6)));
        assert!(unknown(seen(|health| health.timed = 0)));
        assert!(unknown(judged(|engine| engine.health = None)));
        assert!(unknown(BOUNDS.judge(&node(Vec::new()), 7)));
        let gone = EngineReport {
            alive: false,
            ..engine(None)
        };
        assert!(unknown(BOUNDS.judge(&node(vec![gone.clone()]), 7)));
        let well = node(vec![gone, engine(Some(health()))]);
        assert_eq!(BOUNDS.judge(&well, 7), Health::Well);
        assert!(bad(seen(|it| it.not_scored = 0.0501), "without a score"));
        assert!(bad(seen(|it| it.p99 = 100_001), "p99"));
        assert!(bad(judged(|engine| engine.drift = Some(0.21)), "drift"));
        // Without their options, neither p99 nor drift counts.
        let lenient = Bounds {
            p99_max: None,
            drift_max: None,
            ..BOUNDS
        };
        let mut slow = engine(Some(EngineHealth {
            p99: 9_999_999,
            ..health()
        }));
        slow.drift = Some(3.0);
        assert_eq!(lenient.judge(&node(vec![slow]), 7), Health::Well);
    }

    #[test]
    fn a_summary_has_the_worst_numbers_and_counts_reports() {
        let mut summary = Summary::default();
        assert_eq!(summary.to_string(), "not reported");
        summary.add(&node(vec![engine(Some(health())), engine(None)]), Some(7));
        assert_eq!((summary.nodes, summary.reporting), (1, 0));
        let worse = EngineHealth {
            not_scored: 0.2,
            p99: 200_000,
            ..health()
        };
        summary.add(&node(vec![engine(Some(worse))]), Some(7));
        let text = "1 of 2 report: p99 200.0 µs, 20.0 % of 2000 without a score";
        assert_eq!(summary.to_string(), text);
        summary.add(&node(vec![engine(Some(health()))]), Some(8));
        assert_eq!((summary.nodes, summary.reporting), (3, 1));
        assert_eq!(summary.drift, Some(0.1));
    }
}
