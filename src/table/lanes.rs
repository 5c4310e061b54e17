//! Turns an ensemble's splits into lanes: the sorted borders of each feature, a byte wide.

use super::build::BuildError;
use super::ensemble::{Ensemble, Missing, Split};
use super::format::LaneRecord;
use crate::limits::{FEATURES_MAX, LANE_BORDERS_MAX};
use std::collections::BTreeMap;

/// A lane in the making.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    key: Key,
    /// Ascending, 1 to 255.
    pub(super) borders: Vec<f32>,
}

/// Splits share a lane where they agree on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    feature: u16,
    missing: Missing,
    zero_is_missing: bool,
}

/// Where a split is found in a binarised row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threshold {
    pub(super) lane: u8,
    pub(super) threshold: u8,
}

impl Lane {
    pub(super) fn record(&self) -> LaneRecord {
        let count = self.borders.len() as u8;
        LaneRecord {
            feature: self.key.feature as u8,
            borders: count,
            missing_bin: match self.key.missing {
                Missing::Left => 0,
                Missing::Right => count,
                Missing::AsZero => {
                    self.borders.iter().filter(|border| 0.0 > **border).count() as u8
                }
            },
            zero_is_missing: u8::from(self.key.zero_is_missing),
        }
    }
}

/// All lanes of an ensemble, in file order.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    places: BTreeMap<(Key, u32), Threshold>,
}

impl Lanes {
    /// The lanes of an ensemble: as many as 255 borders a lane need, most borders first.
    pub(super) fn of(ensemble: &Ensemble) -> Result<Lanes, BuildError> {
        let mut by_key: BTreeMap<Key, Vec<f32>> = BTreeMap::new();
        for split in ensemble.trees.iter().flat_map(|tree| tree.splits()) {
            let edges = split.test.edges().iter().map(|edge| edge + 0.0);
            by_key.entry(key(split)).or_default().extend(edges);
        }
        let mut lanes = Vec::new();
        for (key, mut borders) in by_key {
            borders.sort_by(f32::total_cmp);
            borders.dedup();
            let chunks = borders.chunks(LANE_BORDERS_MAX);
            lanes.extend(chunks.map(|chunk| Lane {
                key,
                borders: chunk.to_vec(),
            }));
        }
        if lanes.len() > FEATURES_MAX {
            let what = format!(
                "lanes (one a feature, missing direction and 255 borders; {} features)",
                ensemble.features.len()
            );
            return Err(BuildError::OverCapacity {
                what,
                max: FEATURES_MAX,
                got: lanes.len(),
            });
        }
        // Sixteen lanes share a group, which is as deep as its longest lane.
        lanes.sort_by_key(|lane| (std::cmp::Reverse(lane.borders.len()), lane.key));
        let mut places = BTreeMap::new();
        for (at, lane) in lanes.iter().enumerate() {
            for (rank, border) in lane.borders.iter().enumerate() {
                let place = Threshold {
                    lane: at as u8,
                    threshold: rank as u8,
                };
                places.insert((lane.key, border.to_bits()), place);
            }
        }
        Ok(Lanes { lanes, places })
    }

    pub(super) fn records(&self) -> &[Lane] {
        &self.lanes
    }

    /// Where a split of the ensemble went.
    pub(super) fn find(&self, split: &Split) -> Result<Threshold, BuildError> {
        let border = split.test.edges().first().copied().unwrap_or(f32::NAN);
        let place = self.places.get(&(key(split), (border + 0.0).to_bits()));
        place.copied().ok_or_else(|| BuildError::Number {
            what: "border of a split that is not the ensemble's".into(),
            expected: "one of the lanes' borders",
            got: f64::from(border),
        })
    }
}

fn key(split: &Split) -> Key {
    let Split {
        feature,
        missing,
        zero_is_missing,
        ..
    } = *split;
    Key {
        feature,
        missing,
        zero_is_missing,
    }
}
