//! Whether `f32` tells apart what a model tells apart: thresholds are `f64` in LightGBM.

use super::text::Block;
use hedgerow::Refusal;
use hedgerow::RefusalKind::ModelValue;
use std::collections::BTreeMap;

/// From here on not every whole number is an `f32`.
const WHOLE_MAX: f64 = 16_777_216.0;

/// A feature with such values must have this many steps of `f32` between its least and its largest
/// value, or values near each other are one value too often: the rows of a threshold's step may go
/// the wrong way, a millionth of them or fewer if they are spread evenly.
const STEPS_MIN: f64 = 1_048_576.0;

const HINT: &str = "subtract the column's least value, or another whole number near it, in \
                    training and in the rows, so that what is left is within ±16,777,216; or train \
                    on a coarser unit";

/// The thresholds of a model's features.
pub(super) struct Precision {
    features: Vec<Known>,
}

#[derive(Default)]
struct Known {
    /// The least and the largest value in training, if the file has them.
    range: Option<(f64, f64)>,
    /// Each border's threshold, by the border's bits.
    borders: BTreeMap<u32, f64>,
}

impl Precision {
    /// Reads the ranges of `features` features. Categories, and features that were not used, have
    /// none.
    pub fn new(header: &Block<'_>, features: usize) -> Precision {
        let infos = header.get("feature_infos").unwrap_or_default();
        let mut infos = infos.split_ascii_whitespace();
        let range = |info: &str| {
            let (least, largest) = info.strip_prefix('[')?.strip_suffix(']')?.split_once(':')?;
            Some((least.parse().ok()?, largest.parse().ok()?))
        };
        let features = (0..features).map(|_| Known {
            range: infos.next().and_then(range),
            borders: BTreeMap::new(),
        });
        Precision {
            features: features.collect(),
        }
    }

    /// Notes the border of a threshold.
    ///
    /// # Errors
    /// `ModelValue` if another threshold of the feature has the same border, or if values of the
    /// feature are too near to each other for `f32`.
    pub fn note(
        &mut self,
        feature: u16,
        threshold: f64,
        border: f32,
        at: impl Fn() -> String,
    ) -> Result<(), Refusal> {
        let Some(known) = self.features.get_mut(usize::from(feature)) else {
            return Ok(());
        };
        // A threshold outside of the range was edited in: it parts no values of the training.
        let is_within = |(least, largest)| (least..=largest).contains(&threshold);
        if known.range.is_some_and(|range| !is_within(range)) {
            return Ok(());
        }
        let other = *known.borders.entry(border.to_bits()).or_insert(threshold);
        if other != threshold {
            let expected = "thresholds of a feature that differ in f32";
            let got = format!("{threshold:?} beside {other:?}, both {border:?} there");
            return Err(ModelValue.at(at(), expected, got).with_hint(HINT));
        }
        let step = f64::from(border.abs().next_up()) - f64::from(border.abs());
        let steps = known.range.map(|(least, largest)| (largest - least) / step);
        match steps {
            Some(steps) if threshold.abs() >= WHOLE_MAX && steps < STEPS_MIN => {
                let expected = format!("at least {STEPS_MIN} steps of f32 in the feature's range");
                let got = format!("{steps:.0} of {step}, around {threshold:?}");
                Err(ModelValue.at(at(), expected, got).with_hint(HINT))
            }
            _ => Ok(()),
        }
    }
}
