//! Turns an ensemble's splits into lanes: the sorted borders of each feature, a byte wide.

use super::ensemble::{Ensemble, Missing, Split, Tree};
use super::error::{BuildError, at_most};
use crate::limits::{FEATURES_MAX, LANE_BORDERS_MAX};
use crate::table::format::{LaneRecord, OWN_BIN};
use std::collections::{BTreeMap, HashSet};

/// A lane in the making.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    key: Key,
    /// Ascending, 1 to 255.
    pub(super) borders: Vec<f32>,
    /// Whether a missing value has a bin of its own.
    own_bin: bool,
}

/// Splits share a lane where they agree on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    feature: u16,
    zero_is_missing: bool,
    missing: Missing,
}

/// Where a split is found in a binarised row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) lane: u8,
    pub(super) threshold: u8,
    pub(super) test: BinTest,
}

/// What a split asks of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BinTest {
    /// Above the threshold.
    Above,
    /// Above the threshold, and not the bin of a missing value.
    AboveAndThere,
    /// Above all borders: only the missing value's own bin is.
    Missing,
    /// One of a set: bin `b` is bit `b % 64` of word `b / 64`.
    OneOf([u64; 4]),
}

impl BinTest {
    /// Whether a level of an oblivious tree, or a node without a mark, can say it.
    pub(super) fn is_plain(self) -> bool {
        matches!(self, BinTest::Above | BinTest::Missing)
    }
}

impl Lane {
    pub(super) fn record(&self) -> LaneRecord {
        let count = self.borders.len() as u8;
        LaneRecord {
            feature: self.key.feature as u8,
            borders: count,
            missing_bin: match self.key.missing {
                _ if self.own_bin => OWN_BIN,
                Missing::Left => 0,
                Missing::Right => count,
                Missing::AsZero => {
                    self.borders.iter().filter(|border| 0.0 > **border).count() as u8
                }
            },
            zero_is_missing: u8::from(self.key.zero_is_missing),
        }
    }

    /// The bins of values that are above an odd number of edges, all of which are borders here.
    fn bins_within(&self, edges: &[f32]) -> [u64; 4] {
        let mut set = [0; 4];
        let (mut edges, mut inside) = (edges.iter().peekable(), false);
        for (bin, border) in (1usize..).zip(&self.borders) {
            if edges.next_if(|edge| **edge <= *border).is_some() {
                inside = !inside;
            }
            if inside {
                insert(&mut set, bin);
            }
        }
        set
    }
}

fn insert(set: &mut [u64; 4], bin: usize) {
    if let Some(word) = set.get_mut(bin / 64) {
        *word |= 1 << (bin % 64);
    }
}

/// The borders of splits that agree on a [`Key`].
#[derive(Debug, Clone, Default)]
struct Borders {
    /// Of plain splits.
    plain: Vec<f32>,
    /// Of set splits, which need all of theirs in one lane.
    sets: Vec<f32>,
    /// Where the sets are whose edges are among them: splits may share one, which is counted once.
    known: HashSet<*const f32>,
    /// Whether a missing value must have a bin of its own.
    own_bin: bool,
    /// How many splits there are.
    splits: usize,
    /// Whether an oblivious tree has one of them.
    oblivious: bool,
}

impl Borders {
    fn add(&mut self, split: &Split, oblivious: bool) {
        let edges = split.test.edges();
        // From -0.0 to 0.0, its equal: there is one way to write a border.
        let normal = edges.iter().map(|edge| edge + 0.0);
        match edges {
            [_] => self.plain.extend(normal),
            _ if self.known.insert(edges.as_ptr()) => self.sets.extend(normal),
            _ => {}
        }
        // Without a bin of its own, what is missing is above all borders, as large values are; and
        // these are in the set where the number of its edges is odd.
        self.own_bin |= split.missing == Missing::Right && edges.len().is_multiple_of(2);
        self.splits = self.splits.saturating_add(1);
        self.oblivious |= oblivious;
    }

    /// Together with those of another key, in lanes where a missing value has a bin of its own.
    fn merged(&self, other: &Borders) -> Borders {
        Borders {
            plain: [self.plain.as_slice(), &other.plain].concat(),
            sets: [self.sets.as_slice(), &other.sets].concat(),
            known: HashSet::new(),
            own_bin: true,
            splits: self.splits.saturating_add(other.splits),
            oblivious: self.oblivious | other.oblivious,
        }
    }

    /// The borders of each lane; the first lane is the one for sets.
    fn lanes(&self, feature: u16) -> Result<Vec<Vec<f32>>, BuildError> {
        let max = LANE_BORDERS_MAX.saturating_sub(usize::from(self.own_bin));
        let mut together = sorted([self.plain.as_slice(), &self.sets].concat());
        if together.is_empty() {
            // Only tests of what is missing: a lane has at least one border.
            together.push(0.0);
        }
        if together.len() <= max {
            return Ok(vec![together]);
        }
        let sets = sorted(self.sets.clone());
        let what = format!("edges of sets of feature {feature} (all in one lane)");
        at_most(what, max, sets.len())?;
        let plain = sorted(self.plain.clone());
        let sets = Some(sets).filter(|sets| !sets.is_empty());
        let plain = plain.chunks(max).map(<[f32]>::to_vec);
        Ok(sets.into_iter().chain(plain).collect())
    }
}

fn sorted(mut borders: Vec<f32>) -> Vec<f32> {
    borders.sort_by(f32::total_cmp);
    borders.dedup();
    borders
}

/// All lanes of an ensemble, in file order.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// Lane and threshold of each border of plain splits.
    places: BTreeMap<(Key, u32), (u8, u8)>,
    /// The lane of each key's sets.
    set_lanes: BTreeMap<Key, u8>,
}

impl Lanes {
    /// The lanes of an ensemble: as many as 255 borders a lane need, most borders first.
    pub(super) fn of(ensemble: &Ensemble) -> Result<Lanes, BuildError> {
        let mut by_key: BTreeMap<Key, Borders> = BTreeMap::new();
        for tree in &ensemble.trees {
            let oblivious = matches!(tree, Tree::Oblivious { .. });
            for split in tree.splits() {
                by_key.entry(key(split)).or_default().add(split, oblivious);
            }
        }
        let mut keys = BTreeMap::new();
        for (key, borders) in &by_key {
            keys.insert(*key, borders.lanes(key.feature)?);
        }
        if lane_count(&keys) > FEATURES_MAX {
            merge_directions(&by_key, &mut keys);
        }
        let what = format!(
            "lanes (one a feature, missing direction and 255 borders; {} features)",
            ensemble.features.len()
        );
        at_most(what, FEATURES_MAX, lane_count(&keys))?;
        let merged = |key: &Key| !keys.contains_key(&with(*key, Missing::Left));
        let own_bin = |key: &Key| {
            let left = with(*key, Missing::Left);
            let own = by_key.get(key).is_some_and(|borders| borders.own_bin);
            key.missing == Missing::Right && (own || (by_key.contains_key(&left) && merged(key)))
        };
        let lanes = keys.iter().flat_map(|(key, lanes)| {
            let own_bin = own_bin(key);
            let lane = move |(at, borders): (usize, &Vec<f32>)| {
                let (key, borders) = (*key, borders.clone());
                let lane = Lane {
                    key,
                    borders,
                    own_bin,
                };
                (at == 0, lane)
            };
            lanes.iter().enumerate().map(lane)
        });
        Ok(Lanes::in_order(lanes.collect()))
    }

    /// Puts lanes in file order; those marked are the ones of their keys' sets.
    fn in_order(mut lanes: Vec<(bool, Lane)>) -> Lanes {
        // Sixteen lanes share a group, which is as deep as its longest lane.
        lanes.sort_by_key(|(_, lane)| (std::cmp::Reverse(lane.borders.len()), lane.key));
        let (mut places, mut set_lanes) = (BTreeMap::new(), BTreeMap::new());
        for (at, (sets, lane)) in (0u8..=u8::MAX).zip(&lanes) {
            for (rank, border) in (0u8..=u8::MAX).zip(&lane.borders) {
                places.insert((lane.key, border.to_bits()), (at, rank));
            }
            if *sets {
                set_lanes.insert(lane.key, at);
            }
        }
        Lanes {
            lanes: lanes.into_iter().map(|(_, lane)| lane).collect(),
            places,
            set_lanes,
        }
    }

    pub(super) fn records(&self) -> &[Lane] {
        &self.lanes
    }

    /// Where a split of the ensemble went.
    pub(super) fn find(&self, split: &Split) -> Result<Place, BuildError> {
        let edges = split.test.edges();
        let unknown = || BuildError::Number {
            what: "border of a split that is not the ensemble's".into(),
            expected: "one of the lanes' borders",
            got: f64::from(edges.first().copied().unwrap_or(f32::NAN)),
        };
        let mut key = key(split);
        let merged = !self.set_lanes.contains_key(&key);
        if merged {
            key = with(key, Missing::Right);
        }
        if let [border] = edges {
            let place = self.places.get(&(key, (border + 0.0).to_bits()));
            let (lane, threshold) = place.copied().ok_or_else(unknown)?;
            let test = if merged {
                BinTest::AboveAndThere
            } else {
                BinTest::Above
            };
            return Ok(Place {
                lane,
                threshold,
                test,
            });
        }
        let at = self.set_lanes.get(&key).copied().ok_or_else(unknown)?;
        let lane = self.lanes.get(usize::from(at)).ok_or_else(unknown)?;
        let missing = split.missing == Missing::Right && lane.own_bin;
        if edges.is_empty() && missing {
            return Ok(Place {
                lane: at,
                threshold: lane.borders.len() as u8,
                test: BinTest::Missing,
            });
        }
        let mut set = lane.bins_within(edges);
        if missing {
            insert(&mut set, usize::from(OWN_BIN));
        }
        Ok(Place {
            lane: at,
            threshold: 0,
            test: BinTest::OneOf(set),
        })
    }
}

fn lane_count(keys: &BTreeMap<Key, Vec<Vec<f32>>>) -> usize {
    keys.values().map(Vec::len).sum()
}

/// Gives features whose splits send missing values both ways one set of lanes for both, where a
/// missing value has a bin of its own, until the lanes are few enough. Splits that send it left
/// need a mark then, and marks cost time: so features with the fewest of these come first, and
/// those of oblivious trees, which have no marks, last.
fn merge_directions(by_key: &BTreeMap<Key, Borders>, keys: &mut BTreeMap<Key, Vec<Vec<f32>>>) {
    let mut pairs: Vec<_> = by_key
        .iter()
        .filter(|(key, _)| key.missing == Missing::Left)
        .filter_map(|(key, left)| Some((key, left, by_key.get(&with(*key, Missing::Right))?)))
        .collect();
    pairs.sort_by_key(|(key, left, _)| (left.oblivious, left.splits, **key));
    for (key, left, right) in pairs {
        if lane_count(keys) <= FEATURES_MAX {
            return;
        }
        let other = with(*key, Missing::Right);
        let apart = [key, &other].map(|key| keys.get(key).map_or(0, Vec::len));
        // Two directions whose sets do not fit one lane stay apart.
        let Ok(together) = left.merged(right).lanes(key.feature) else {
            continue;
        };
        if together.len() < apart.iter().sum() {
            keys.remove(key);
            keys.insert(other, together);
        }
    }
}

fn with(key: Key, missing: Missing) -> Key {
    Key { missing, ..key }
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
        zero_is_missing,
        missing,
    }
}
