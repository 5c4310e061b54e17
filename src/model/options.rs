//! The content of a table next to the ensemble, and its checks.

use super::ensemble::Ensemble;
use super::error::{BuildError, at_most, finite};
use crate::limits::{GOLDEN_ROWS_MAX, PROVENANCE_BYTES_MAX, SCORE_MAP_LEN};
use crate::table::bots::Bot;
use crate::table::detections::Detection;

/// The content of a table next to the ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// The publisher's running number; 0 if it has none.
    pub generation: u64,
    /// Seconds since 1970.
    pub created_at: u64,
    /// The smallest margin, in the ensemble's units, of the scores 2 to 99. Ascending.
    pub score_map: [f64; SCORE_MAP_LEN],
    /// Rows whose margins are stored as a proof: one value a feature, in the ensemble's order.
    pub golden: Vec<Vec<f32>>,
    /// JSON, for people.
    pub provenance: String,
    /// Rules next to the ensemble, in any order.
    pub detections: Vec<Detection>,
    /// Verified bots and their addresses.
    pub bots: Vec<Bot>,
}

impl Default for BuildOptions {
    fn default() -> BuildOptions {
        BuildOptions {
            generation: 0,
            created_at: 0,
            score_map: logistic_score_map(),
            golden: Vec::new(),
            provenance: String::from("{}"),
            detections: Vec::new(),
            bots: Vec::new(),
        }
    }
}

/// The score map of a margin that is the log-odds of a human: score = 100 × P(human), rounded.
pub fn logistic_score_map() -> [f64; SCORE_MAP_LEN] {
    std::array::from_fn(|index| {
        let p = (index as f64 + 1.5) / 100.0;
        (p / (1.0 - p)).ln()
    })
}

/// Checks the options of an ensemble, but for detections and bots, which are checked as they are
/// written.
pub(super) fn check_options(ensemble: &Ensemble, options: &BuildOptions) -> Result<(), BuildError> {
    at_most("golden rows", GOLDEN_ROWS_MAX, options.golden.len())?;
    at_most(
        "bytes of provenance",
        PROVENANCE_BYTES_MAX,
        options.provenance.len(),
    )?;
    let expected = ensemble.features.len();
    for (row, values) in options.golden.iter().enumerate() {
        if values.len() != expected {
            return Err(BuildError::GoldenRow {
                row,
                expected,
                got: values.len(),
            });
        }
    }
    for (index, margin) in options.score_map.iter().enumerate() {
        finite(|| format!("score map entry {index}"), *margin)?;
        let before = index
            .checked_sub(1)
            .and_then(|before| options.score_map.get(before));
        if before.is_some_and(|before| before > margin) {
            return Err(BuildError::ScoreMap { index });
        }
    }
    Ok(())
}
