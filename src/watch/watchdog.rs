//! The watchdog: holds a new table against the one before it, for a time after the publish.
//!
//! Drift compares two tables on rows of the past. What only the present shows is compared here: the
//! scores that were given, the share of requests without one, and the 99th percentile of the
//! latencies that the host records. Over a bound the engine goes back by itself to the table that
//! ran before, and does not take that generation again. A generation that a person forced is not
//! held against its scores, nor is one that follows the bundled table; one that was gone back to is
//! not watched at all: the way back is not undone.

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

/// How a new table is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchdogOptions {
    /// For how long after a publish. At zero tables are not watched. As much time before the
    /// publish is what they are held against.
    pub lasts: Duration,
    /// Requests that are enough to tell, before and after.
    pub rows_min: u64,
    /// The largest population stability index of the scores before and after. It is above that of
    /// drift, because the traffic is not the same either.
    pub psi_max: f64,
    /// By how much the share of requests without a score may grow. Those that a person switched
    /// off do not count.
    pub not_scored_max: f64,
    /// The largest ratio of the two 99th percentiles,
    pub latency_ratio_max: f64,
    /// where the later one is also longer by more than this.
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

/// What was seen over some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Requests.
    pub rows: u64,
    /// The share of them without a score.
    pub not_scored: f64,
    /// The 99th percentile of the recorded latencies in nanoseconds; 0 where none are recorded.
    pub p99_nanos: u64,
}

/// What an engine has seen of late: what its `health` file says, which is replaced each second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The generation that ran all the while.
    pub generation: u64,
    /// For how long, in seconds: since it was made live, at most as long as a new table is watched.
    pub seconds: f64,
    /// What was seen.
    pub seen: Seen,
    /// Requests whose latency was recorded.
    pub timed: u64,
}

/// How a new table compares with the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watching {
    /// The generation that is watched.
    pub generation: u64,
    /// The one that ran before.
    pub against: u64,
    /// Since when, for people.
    pub since: String,
    /// Whether the time is over.
    pub ended: bool,
    /// Whether its scores are compared: it was not forced, the one before was published, and
    /// nothing was switched since.
    pub scores: bool,
    /// What was seen of the one before.
    pub before: Seen,
    /// What was seen of the new one.
    pub after: Seen,
    /// The population stability index of the two; 0 where there are too few rows.
    pub psi: f64,
    /// The bounds that are exceeded, in words.
    pub over: Vec<String>,
}

impl Watching {
    /// Why the engine went back.
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

/// What scorers have counted by some moment, or between two.
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

/// What the control thread remembers.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// What was counted by the last moments of the running generation, oldest first.
    moments: VecDeque<(Instant, Sample)>,
    trial: Option<Trial>,
    next: Option<Instant>,
    /// When the health is told again.
    tell: Option<Instant>,
}

/// A table that ran when another took its place.
#[derive(Debug)]
pub(super) struct Former {
    pub(super) prepared: Arc<PreparedTable>,
    pub(super) generation: u64,
}

/// A new table under watch.
#[derive(Debug)]
struct Trial {
    former: Former,
    until: Instant,
    /// What was counted when it was made live.
    start: Sample,
    /// What was counted before, over the same time.
    before: Sample,
    /// What was switched off when it was made live.
    switches: Switches,
    watching: Watching,
}

/// How often the health is told.
const TELL: Duration = Duration::from_secs(1);

/// Parts of the time that is watched: a look each, but at most one a second.
const LOOKS: u32 = 60;

impl Watchdog {
    /// Forgets what was seen: another table is live from now on, and is not watched.
    pub(super) fn forget(&mut self, engine: &Engine) {
        self.start(Sample::now(engine));
    }

    fn start(&mut self, start: Sample) {
        *self = Watchdog::default();
        self.moments.push_back((Instant::now(), start));
    }

    /// A table has taken the place of another. Returns what will be watched; none where nothing is.
    /// A table that comes while the one before it is watched is held against the one before both,
    /// which alone has stood the time.
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

    /// What the running generation has shown of late, where it is time to tell; none where nothing
    /// is watched.
    pub(super) fn health(&mut self, options: &WatchdogOptions, generation: u64) -> Option<Health> {
        let now = Instant::now();
        if options.lasts.is_zero() || self.tell.is_some_and(|tell| now < tell) {
            return None;
        }
        let ((from, first), (to, last)) = (self.moments.front()?, self.moments.back()?);
        let sample = last.since(first);
        self.tell = now.checked_add(TELL);
        Some(Health {
            version: FILES_VERSION,
            generation,
            seconds: rounded(to.duration_since(*from).as_secs_f64()),
            seen: sample.seen(),
            timed: sample.latency.count(),
        })
    }

    /// Looks where it is time. Returns how the table that is watched compares, and with what to
    /// replace it where it is over a bound.
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
        // What a person switches meanwhile shifts the scores, too.
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
    /// Compares what was seen before with what was seen after.
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
        // Without any request before, all of them are taken to have had a score.
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

/// To four decimals: what is told is what is compared.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
