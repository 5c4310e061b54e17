//! The binary point of a table's leaves and margins.

use super::ensemble::{Ensemble, Tree};
use super::error::BuildError;
use crate::limits::{MARGIN_MAX, MARGIN_SHIFT_MAX};

/// The binary point of a table, and the conversion to it.
pub(super) struct FixedPoint {
    pub(super) shift: u32,
    /// A bound on the magnitude of margins, in the ensemble's units.
    attainable: f64,
}

/// By how much rounding may move a margin, at most: a hundredth of the step between two scores.
const MARGIN_ERROR_MAX: f64 = 1e-3;

impl FixedPoint {
    /// The finest binary point that leaves and margins fit, if it is fine enough.
    pub(super) fn of(ensemble: &Ensemble) -> Result<FixedPoint, BuildError> {
        let largest = |tree: &Tree| tree.leaves().map(f64::abs).fold(0.0, f64::max);
        let leaf = ensemble.trees.iter().map(largest).fold(0.0, f64::max);
        let sum: f64 = ensemble.trees.iter().map(largest).sum::<f64>() + ensemble.bias.abs();
        // A quarter of MARGIN_MAX leaves room for what rounding adds, and for the score map.
        let fits = |shift: &u32| {
            let scale = f64::from(*shift).exp2();
            leaf * scale <= f64::from(i32::MAX) && sum * scale <= (MARGIN_MAX / 4) as f64
        };
        let coarse = |got| BuildError::Number {
            what: "largest leaf, or sum of largest leaves and bias".into(),
            expected: "numbers of one order, so that rounding moves no margin by 0.001",
            got,
        };
        let shift = (0..=MARGIN_SHIFT_MAX).rev().find(fits);
        let fixed = FixedPoint {
            shift: shift.ok_or_else(|| coarse(sum))?,
            attainable: sum,
        };
        if fixed.error_max(ensemble) > MARGIN_ERROR_MAX {
            return Err(coarse(sum));
        }
        Ok(fixed)
    }

    /// An entry of the score map. One that no row attains stays one, and needs no room.
    pub(super) fn entry(&self, margin: f64) -> i64 {
        let beyond = 2.0 * self.attainable + 1.0 / self.scale();
        self.margin(margin.clamp(-beyond, beyond))
    }

    fn scale(&self) -> f64 {
        f64::from(self.shift).exp2()
    }

    pub(super) fn leaf(&self, value: f64) -> i32 {
        (value * self.scale()).round_ties_even() as i32
    }

    pub(super) fn margin(&self, value: f64) -> i64 {
        (value * self.scale()).round_ties_even() as i64
    }

    pub(super) fn error_max(&self, ensemble: &Ensemble) -> f64 {
        let leaf = |value: f64| (f64::from(self.leaf(value)) / self.scale() - value).abs();
        let tree = |tree: &Tree| tree.leaves().map(leaf).fold(0.0, f64::max);
        let bias = (self.margin(ensemble.bias) as f64 / self.scale() - ensemble.bias).abs();
        ensemble.trees.iter().map(tree).sum::<f64>() + bias
    }
}
