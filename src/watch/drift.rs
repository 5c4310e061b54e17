//! Drift: how the scores of a candidate differ from those of the running table.
//!
//! Every other check looks at the candidate alone, and a table that is well-formed and wrong passes
//! them all. Here both tables score the same rows, on the control thread: rows of live requests
//! from the scorers' reservoirs, or the golden rows of both tables while there are too few live
//! ones. A candidate that shifts the scores by more than the bounds is quarantined: the running
//! table stays until a person forces the candidate, or publishes another one.

use crate::engine::Engine;
use crate::limits::DRIFT_ROWS_MAX;
use crate::refusal::{Refusal, RefusalKind};
use crate::row::Row;
use crate::score::{PreparedTable, Score};
use crate::stats::ScoreCounts;
use serde::{Deserialize, Serialize};

/// How much a candidate may differ from the running table. Build it with
/// `..DriftOptions::default()`: fields may be added.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftOptions {
    /// `true` if candidates are compared.
    pub enabled: bool,
    /// The largest population stability index of the two distributions of scores, by groups of ten.
    /// By convention 0.1 is a small shift, and 0.25 a large one.
    pub psi_max: f64,
    /// The scores that the host's rules compare with, as in `score < 30`.
    pub thresholds: Vec<u8>,
    /// The largest share of rows that may cross any one of the thresholds.
    pub crossing_max: f64,
    /// The least number of live rows for a comparison; with fewer, golden rows are used.
    pub rows_min: usize,
    /// The least number of golden rows of both tables together; with fewer, scores are not
    /// compared.
    pub golden_min: usize,
    /// The largest ratio of the two numbers of features, either way. A duplicated list has the
    /// ratio 2.
    pub features_ratio_max: f64,
    /// The largest ratio of the two files' lengths, either way.
    pub bytes_ratio_max: f64,
}

impl Default for DriftOptions {
    fn default() -> DriftOptions {
        DriftOptions {
            enabled: true,
            psi_max: 0.25,
            thresholds: vec![30],
            crossing_max: 0.1,
            rows_min: 200,
            golden_min: 32,
            features_ratio_max: 1.5,
            bytes_ratio_max: 4.0,
        }
    }
}

impl DriftOptions {
    /// Returns the options without bounds: for the first table of a host, which may differ from the
    /// bundled one in any way but scoring all rows alike.
    pub(super) fn unbounded(&self) -> DriftOptions {
        DriftOptions {
            psi_max: f64::INFINITY,
            crossing_max: f64::INFINITY,
            features_ratio_max: f64::INFINITY,
            bytes_ratio_max: f64::INFINITY,
            ..self.clone()
        }
    }
}

/// The rows on which two tables were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rows {
    /// Rows of live requests.
    Live,
    /// Returns the golden rows of both tables, laid out as the host would fill them.
    Golden,
    /// None: there were too few rows of either kind.
    None,
}

impl Rows {
    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Rows::Live => "live rows",
            Rows::Golden => "golden rows",
            Rows::None => "rows",
        }
    }
}

/// The comparison of a candidate with another table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Drift {
    /// The kind of rows that both tables scored.
    pub source: Rows,
    /// The number of rows.
    pub rows: u64,
    /// The population stability index of their scores.
    pub psi: f64,
    /// Returns the largest share of rows that cross a threshold, and that threshold.
    pub crossings: f64,
    /// That threshold.
    pub threshold: u8,
    /// The number of features: of the running table, and of the candidate.
    pub features: (u64, u64),
    /// The length of the files in bytes: of the running table, and of the candidate.
    pub bytes: (u64, u64),
    /// The exceeded bounds in words; empty if the candidate may run.
    pub over: Vec<String>,
}

impl Drift {
    /// Compares a candidate with a table on the rows that the engine has.
    pub(super) fn of(
        options: &DriftOptions,
        engine: &Engine,
        running: &PreparedTable,
        candidate: &PreparedTable,
    ) -> Drift {
        let live = engine.sample(DRIFT_ROWS_MAX);
        let (source, rows) = match live.len() >= options.rows_min.max(1) {
            true => (Rows::Live, live),
            false => {
                let golden = golden(running, candidate);
                match golden.len() >= options.golden_min.max(1) {
                    true => (Rows::Golden, golden),
                    false => (Rows::None, Vec::new()),
                }
            }
        };
        let both = Both::of(running, candidate, &rows, &options.thresholds);
        let (crossings, threshold) = both.most_crossed();
        let features = |prepared: &PreparedTable| prepared.table().features().len() as u64;
        let bytes = |prepared: &PreparedTable| prepared.table().byte_count() as u64;
        let mut drift = Drift {
            source,
            rows: rows.len() as u64,
            psi: both.stability(),
            crossings: rounded(crossings),
            threshold,
            features: (features(running), features(candidate)),
            bytes: (bytes(running), bytes(candidate)),
            over: Vec::new(),
        };
        drift.over = drift.exceeded(options);
        // Nothing tells rows apart any more: no bound has to say how much of that is too much.
        if both.candidate.is_one_score() && !both.running.is_one_score() {
            drift.over.push("more than one score".into());
        }
        drift
    }

    fn exceeded(&self, options: &DriftOptions) -> Vec<String> {
        let mut over = Vec::new();
        let mut bound = |name: &str, got: f64, max: f64| {
            // A bound that is no number holds nothing back; one that is left out is infinite.
            if got > max {
                over.push(format!("{name} at most {max}"));
            }
        };
        bound("a stability index of", self.psi, options.psi_max);
        bound(
            "a share across a threshold of",
            self.crossings,
            options.crossing_max,
        );
        bound(
            "a ratio of features of",
            ratio(self.features),
            options.features_ratio_max,
        );
        bound(
            "a ratio of bytes of",
            ratio(self.bytes),
            options.bytes_ratio_max,
        );
        over
    }

    /// Returns the refusal of a candidate that exceeds a bound.
    pub(super) fn refusal(&self, generation: u64, against: u64) -> Refusal {
        let at = format!("generation {generation} beside generation {against}");
        RefusalKind::Quarantined.at(at, self.over.join(", "), self)
    }
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "index {:.3}, {:.1} % across {} on {} {}; {} features after {}, {} bytes after {}",
            self.psi,
            100.0 * self.crossings,
            self.threshold,
            self.rows,
            self.source.name(),
            self.features.1,
            self.features.0,
            self.bytes.1,
            self.bytes.0
        )
    }
}

/// The scores of two tables on the same rows.
#[derive(Debug, Default)]
pub(super) struct Both {
    /// The scores of the running table.
    pub(super) running: ScoreCounts,
    /// The scores of the other table.
    pub(super) candidate: ScoreCounts,
    /// Rows that cross each threshold.
    pub(super) crossed: Vec<(u8, u64)>,
    /// Rows whose two scores differ by [`FAR`] or more.
    pub(super) far: u64,
}

/// The difference of scores that counts as disagreement.
pub(super) const FAR: u8 = 10;

impl Both {
    pub(super) fn new(thresholds: &[u8]) -> Both {
        Both {
            crossed: thresholds.iter().map(|threshold| (*threshold, 0)).collect(),
            ..Both::default()
        }
    }

    fn of(
        running: &PreparedTable,
        candidate: &PreparedTable,
        rows: &[Row],
        thresholds: &[u8],
    ) -> Both {
        let mut both = Both::new(thresholds);
        for row in rows {
            both.add(score(running, row), score(candidate, row));
        }
        both
    }

    /// Counts a row by its two scores.
    pub(super) fn add(&mut self, running: Score, candidate: Score) {
        self.running.count(running);
        self.candidate.count(candidate);
        let (one, two) = (running.get(), candidate.get());
        for (threshold, crossed) in &mut self.crossed {
            if (one < *threshold) != (two < *threshold) {
                *crossed = crossed.saturating_add(1);
            }
        }
        if one.abs_diff(two) >= FAR {
            self.far = self.far.saturating_add(1);
        }
    }

    /// Returns the population stability index of the two distributions.
    pub(super) fn stability(&self) -> f64 {
        rounded(self.running.stability(&self.candidate))
    }

    /// The share of rows that cross the threshold that most do, and the threshold.
    fn most_crossed(&self) -> (f64, u8) {
        let most = self.crossed.iter().max_by_key(|(_, crossed)| *crossed);
        let (threshold, crossed) = most.copied().unwrap_or_default();
        let rows = self.running.rows().max(1);
        (crossed as f64 / rows as f64, threshold)
    }
}

/// Returns the score that a table gives a row, detections included. Features that are switched off
/// are missing in sampled rows; detections that are off are not considered here.
pub(super) fn score(prepared: &PreparedTable, row: &Row) -> Score {
    prepared.scored(row, prepared.margin(row), 0).score
}

/// The golden rows of both tables, as the host would fill them.
fn golden(running: &PreparedTable, candidate: &PreparedTable) -> Vec<Row> {
    let of = |prepared: &PreparedTable| -> Vec<Row> {
        let golden = prepared.table().golden_rows();
        golden.map(|golden| prepared.row(&golden.values)).collect()
    };
    let mut rows = of(running);
    rows.extend(of(candidate));
    rows
}

fn ratio((one, two): (u64, u64)) -> f64 {
    one.max(two) as f64 / one.min(two).max(1) as f64
}

/// Rounds to four decimals, so that the reported number is the compared one.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
