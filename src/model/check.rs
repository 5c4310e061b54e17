//! Checks of an ensemble before anything is written.

use super::arrange::Placed;
use super::ensemble::{Ensemble, Split, Tree};
use super::error::{BuildError, at_most, finite};
use crate::limits::{LANE_BORDERS_MAX, STEPS_MAX, TREES_MAX};
use crate::table::format::BLOCK_TREES;

/// Checks trees, splits and numbers.
pub(super) fn check_ensemble(ensemble: &Ensemble) -> Result<(), BuildError> {
    if ensemble.trees.is_empty() {
        return Err(BuildError::NoTrees);
    }
    at_most("trees", TREES_MAX, ensemble.trees.len())?;
    finite(|| "bias".into(), ensemble.bias)?;
    for (index, tree) in ensemble.trees.iter().enumerate() {
        let problem = |problem: String| BuildError::Tree {
            tree: index,
            problem,
        };
        tree.check().map_err(problem)?;
        let check_split = |split: &Split| {
            if usize::from(split.feature) >= ensemble.features.len() {
                let count = ensemble.features.len();
                let got = split.feature;
                return Err(problem(format!(
                    "expected a feature below {count}, got {got}"
                )));
            }
            let edges = split.test.edges();
            // Before a look at each edge: splits may share a set of any size.
            if edges.len() > LANE_BORDERS_MAX {
                let feature = split.feature;
                let what = format!("edges of sets of feature {feature} (all in one lane)");
                return at_most(what, LANE_BORDERS_MAX, edges.len());
            }
            for edge in edges {
                finite(|| format!("border in tree {index}"), f64::from(*edge))?;
            }
            let mut pairs = edges.iter().zip(edges.iter().skip(1));
            if let Some((a, b)) = pairs.find(|(a, b)| a >= b) {
                return Err(problem(format!(
                    "expected ascending edges, got {b} behind {a}"
                )));
            }
            Ok(())
        };
        tree.splits().try_for_each(check_split)?;
        tree.leaves()
            .try_for_each(|leaf| finite(|| format!("leaf in tree {index}"), leaf))?;
    }
    Ok(())
}

/// Checks the sum of the depths of all trees against the capacity.
pub(super) fn check_steps(oblivious: &Placed<'_>, any: &Placed<'_>) -> Result<(), BuildError> {
    let deepest = |block: &[(u32, &Tree)]| block.first().map_or(0, |(_, tree)| tree.depth());
    let blocks = oblivious.chunks(BLOCK_TREES).map(deepest);
    let oblivious = blocks.map(|levels| levels.saturating_mul(BLOCK_TREES));
    let steps = oblivious.chain(any.iter().map(|(_, tree)| tree.depth()));
    at_most("levels of all trees together", STEPS_MAX, steps.sum())
}
