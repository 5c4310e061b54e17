//! The watchdog: compares a new table in operation with the one before it.
//!
//! Drift compares two tables on past rows. The watchdog compares what shows only in operation, for
//! a time after the publish: the scores that were given, the share of requests without one, and the
//! 99th percentile of the latencies that the host records. If a bound is exceeded, the engine
//! reverts to the table that ran before, and does not take that generation again. Scores are not
//! compared for a forced generation, nor for the first one after the bundled table. A rollback is
//! not watched: the way back is not undone.

use super::directory::FILES_VERSION;
use super::time;
use crate::engine::Engine;
use crate::refusal::{Refusal, RefusalKind};
use crate::score::{PreparedTable, Reason};
use crate::stats::{LatencySnapshot, ScoreCounts};
use crate::switches::Switches;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a new table is watched. Build it with `..WatchdogOptions::default()`: fields may be added.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchdogOptions {
    /// How long a table is watched after its publish, and how much time before the publish it is
    /// compared with. Zero turns the watchdog off.
    pub lasts: Duration,
    /// The least number of requests for a comparison, before and after.
    pub rows_min: u64,
    /// The largest population stability index of the scores before and after. It is above that of
    /// drift, because the traffic differs as well.
    pub psi_max: f64,
    /// How much the share of requests without a score may grow. Requests while the engine is
    /// switched off do not count.
    pub not_scored_max: f64,
    /// Reverts if the new p99 exceeds the old one by more than this factor, and by more than
    /// `latency_slack`.
    pub latency_ratio_max: f64,
    /// The least difference of the two p99 for a revert.
    pub latency_slack: Duration,
}

impl Default for WatchdogOptions {
    fn default() -> WatchdogOptions {
        WatchdogOptions {
            lasts: Duration::from_secs(60),
            rows_min: 1_000,
            psi_max: 0.5,
            not_scored_max: 0.05,
            latency_ratio_max: 3.0,
            latency_slack: Duration::from_micros(100),
        }
    }
}

/// The requests of some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Seen {
    /// The number of requests.
    pub rows: u64,
    /// The share of requests without a score.
    pub not_scored: f64,
    /// The 99th percentile of the recorded latencies in nanoseconds; 0 if none are recorded.
    pub p99_nanos: u64,
}

/// The recent requests of an engine: the content of its file `health`, which is replaced each
/// second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The running generation.
    pub generation: u64,
    /// The length of the time in seconds: since the table is live, at most as long as a new table
    /// is watched.
    pub seconds: f64,
    /// The requests of that time.
    pub seen: Seen,
    /// Requests whose latency was recorded.
    pub timed: u64,
}

/// The comparison of a new table with the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Watching {
    /// The watched generation.
    pub generation: u64,
    /// The generation that ran before.
    pub against: u64,
    /// RFC 3339 time since which it is watched. Informational.
    pub since: String,
    /// `true` if the time is over.
    pub ended: bool,
    /// `true` if its scores are compared: it was not forced, the table before was published, and no
    /// switch changed since.
    pub scores: bool,
    /// The requests of the table before.
    pub before: Seen,
    /// The requests of the new table.
    pub after: Seen,
    /// The population stability index of the two; 0 if there are too few rows.
    pub psi: f64,
    /// The exceeded bounds in words.
    pub over: Vec<String>,
}

impl Watching {
    /// Returns the reason of a revert.
    pub(super) fn refusal(&self) -> Refusal {
        let (generation, against) = (self.generation, self.against);
        let at = format!("generation {generation} after generation {against}");
        RefusalKind::Reverted.at(at, self.over.join(", "), self)
    }
}

impl std::fmt::Display for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, after) = (&self.before, &self.after);
        write!(
            f,
            "index {:.3}; without a score {:.1} % after {:.1} %; p99 {:.1} µs after {:.1} µs; on \
             {} rows after {}",
            self.psi,
            100.0 * after.not_scored,
            100.0 * before.not_scored,
            after.p99_nanos as f64 / 1e3,
            before.p99_nanos as f64 / 1e3,
            after.rows,
            before.rows
        )
    }
}

/// The counts of all scorers at one time, or between two.
#[derive(Debug, Clone, Default)]
struct Sample {
    scores: ScoreCounts,
    not_scored: u64,
    latency: LatencySnapshot,
}

impl Sample {
    fn now(engine: &Engine) -> Sample {
        let rows = engine.stats().rows;
        let trouble = Reason::ALL
            .iter()
            .filter(|reason| **reason != Reason::Disabled);
        let counts = trouble.map(|reason| rows.not_scored(*reason));
        Sample {
            not_scored: counts.fold(0, u64::saturating_add),
            scores: rows.scores,
            latency: rows.latency,
        }
    }

    fn since(&self, before: &Sample) -> Sample {
        Sample {
            scores: self.scores.since(&before.scores),
            not_scored: self.not_scored.saturating_sub(before.not_scored),
            latency: self.latency.since(&before.latency),
        }
    }

    fn rows(&self) -> u64 {
        self.scores.rows().saturating_add(self.not_scored)
    }

    fn seen(&self) -> Seen {
        let rows = self.rows();
        Seen {
            rows,
            not_scored: rounded(self.not_scored as f64 / rows.max(1) as f64),
            p99_nanos: self.latency.quantile(0.99),
        }
    }
}

/// The watchdog of one engine.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// The counts of the running generation at each look, oldest first.
    moments: VecDeque<(Instant, Sample)>,
    trial: Option<Trial>,
    next: Option<Instant>,
    /// When the health is written again.
    report: Option<Instant>,
}

/// A table that another one replaced.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) prepared: Arc<PreparedTable>,
    pub(super) generation: u64,
}

/// A new table that is watched.
#[derive(Debug)]
struct Trial {
    former: Former,
    until: Instant,
    /// The counts when it became live.
    start: Sample,
    /// The counts of as much time before.
    before: Sample,
    /// The switches when it became live.
    switches: Switches,
    watching: Watching,
}

/// The interval in which the health is written.
const HEALTH_POLL: Duration = Duration::from_secs(1);

/// The looks in the time of a watch, at most one each second.
const LOOKS: u32 = 60;

impl Watchdog {
    /// Starts again: another table is live, and is not watched.
    pub(super) fn forget(&mut self, engine: &Engine) {
        self.start(Sample::now(engine));
    }

    fn start(&mut self, start: Sample) {
        *self = Watchdog::default();
        self.moments.push_back((Instant::now(), start));
    }

    /// Starts to watch a table that replaced another. Returns `None` if nothing is watched. A table
    /// that comes while the one before it is watched is compared with the one before both: that one
    /// alone ran long enough.
    pub(super) fn begin(
        &mut self,
        options: &WatchdogOptions,
        engine: &Engine,
        mut former: Former,
        new: (&PreparedTable, u64),
        scores: bool,
    ) -> Option<Watching> {
        let (prepared, generation) = new;
        let start = Sample::now(engine);
        let oldest = self.moments.front();
        let mut before = oldest.map_or_else(Sample::default, |(_, oldest)| start.since(oldest));
        if let Some(trial) = self.trial.take().filter(|trial| trial.watching.scores) {
            (former, before) = (trial.former, trial.before);
        }
        self.start(start.clone());
        if former.prepared.table().content_id() == prepared.table().content_id() {
            return None;
        }
        let until = Instant::now().checked_add(options.lasts)?;
        let watching = Watching {
            generation,
            against: former.generation,
            since: time::now(),
            ended: false,
            scores,
            before: before.seen(),
            after: Seen::default(),
            psi: 0.0,
            over: Vec::new(),
        };
        self.trial = Some(Trial {
            switches: engine.stats().switches,
            former,
            until,
            start,
            before,
            watching: watching.clone(),
        });
        Some(watching)
    }

    /// Returns the recent requests of the running generation if it is time to write them; `None` if
    /// the watchdog is off.
    pub(super) fn health(&mut self, options: &WatchdogOptions, generation: u64) -> Option<Health> {
        let now = Instant::now();
        if options.lasts.is_zero() || self.report.is_some_and(|report| now < report) {
            return None;
        }
        let ((from, first), (to, last)) = (self.moments.front()?, self.moments.back()?);
        let sample = last.since(first);
        self.report = now.checked_add(HEALTH_POLL);
        Some(Health {
            version: FILES_VERSION,
            generation,
            seconds: rounded(to.duration_since(*from).as_secs_f64()),
            seen: sample.seen(),
            timed: sample.latency.count(),
        })
    }

    /// Looks if it is time. Returns the comparison of the watched table, and the table to revert to
    /// if a bound is exceeded.
    pub(super) fn look(
        &mut self,
        options: &WatchdogOptions,
        engine: &Engine,
    ) -> Option<(Watching, Option<&Former>)> {
        let now = Instant::now();
        if options.lasts.is_zero() || self.next.is_some_and(|next| now < next) {
            return None;
        }
        let pause = options.lasts.checked_div(LOOKS).unwrap_or_default();
        self.next = now.checked_add(pause.min(Duration::from_secs(1)));
        let sample = Sample::now(engine);
        let old = |(at, _): &(Instant, Sample)| now.duration_since(*at) > options.lasts;
        while self.moments.front().is_some_and(old) {
            self.moments.pop_front();
        }
        self.moments.push_back((now, sample.clone()));
        let trial = self.trial.as_mut()?;
        // Switches that change meanwhile shift the scores, too.
        trial.watching.scores &= engine.stats().switches == trial.switches;
        let after = sample.since(&trial.start);
        trial.watching.judge(options, &trial.before, &after);
        if !trial.watching.over.is_empty() {
            let trial = self.trial.as_ref()?;
            return Some((trial.watching.clone(), Some(&trial.former)));
        }
        if now >= trial.until {
            trial.watching.ended = true;
            let watching = trial.watching.clone();
            self.trial = None;
            return Some((watching, None));
        }
        Some((trial.watching.clone(), None))
    }
}

impl Watching {
    /// Compares the counts before with those after.
    fn judge(&mut self, options: &WatchdogOptions, before: &Sample, after: &Sample) {
        let enough = |rows: u64| rows >= options.rows_min.max(1);
        self.after = after.seen();
        self.over.clear();
        if enough(before.scores.rows()) && enough(after.scores.rows()) {
            self.psi = rounded(before.scores.stability(&after.scores));
            if self.scores && self.psi > options.psi_max {
                let max = options.psi_max;
                self.over
                    .push(format!("a stability index of at most {max}"));
            }
        }
        // Without requests before, all of them count as scored.
        let grown = self.after.not_scored - self.before.not_scored;
        if enough(after.rows()) && grown > options.not_scored_max {
            let max = 100.0 * options.not_scored_max;
            let over = format!("at most {max} % more requests without a score");
            self.over.push(over);
        }
        if enough(before.latency.count()) && enough(after.latency.count()) {
            let (one, two) = (self.before.p99_nanos, self.after.p99_nanos);
            let slack = u64::try_from(options.latency_slack.as_nanos()).unwrap_or(u64::MAX);
            let slower = two as f64 > options.latency_ratio_max * one as f64;
            if slower && two.saturating_sub(one) > slack {
                let max = options.latency_ratio_max;
                self.over
                    .push(format!("a p99 of at most {max} times the one before"));
            }
        }
    }
}

/// Rounds to four decimals, so that the reported number is the compared one.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
