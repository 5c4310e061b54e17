//! Explanations of a row's margin: off the hot path, for people and for proofs.

use super::kernel::portable::bins::{bin, binarise_with};
use super::kernel::portable::trees::goes_right;
use super::layout::{Bins, Missing};
use super::prepared::PreparedTable;
use crate::limits::{FEATURES_MAX, OBLIVIOUS_DEPTH_MAX, TREE_DEPTH_MAX};
use crate::row::Row;
use crate::table::View;
use crate::table::detections::{Condition, Detection, FeatureRef};
use crate::table::format::{BLOCK_TREES, LevelRecord, NEVER, NodeRecord};

/// What a row's margin is made of, and which detections it matches.
///
/// Each tree starts at the mean of its leaves, and each split on the row's way moves it to the mean
/// of the leaves that are still ahead; the move is the contribution of the split's feature. Leaves
/// weigh the same, because a table does not keep how many training rows reached each; the splits of
/// an oblivious tree come in the order of levels that the table has. Means are rounded to the
/// table's fixed point, and since every mean is added by one move and taken away by the next, the
/// sum stays exact:
///
/// `margin = base + the sum of contributions`, to the last bit.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The row's margin, fixed point: what every kernel gives it.
    pub margin: i64,
    /// The bias, and the mean leaf of each tree, fixed point: the same for every row.
    pub base: i64,
    /// What each feature of the table added, in the table's order, fixed point.
    pub contributions: Vec<i64>,
    /// The table's detections, ascending by id.
    pub detections: Vec<ExplainedDetection>,
}

/// A detection, and how its conditions hold for a row.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedDetection {
    /// The detection.
    pub detection: Detection,
    /// The row's value of each condition's feature (NaN where missing), and whether it holds.
    pub conditions: Vec<(f32, bool)>,
}

impl ExplainedDetection {
    /// Whether all of its conditions hold.
    pub fn matches(&self) -> bool {
        self.conditions.iter().all(|(_, holds)| *holds)
    }
}

impl PreparedTable {
    /// What a row's margin is made of, see [`Explanation`].
    pub fn explain(&self, row: &Row) -> Explanation {
        let view = self.view();
        let bins = self.bins(row);
        let mut moves = Moves {
            view,
            base: view.bias,
            by_feature: [0; FEATURES_MAX],
        };
        for (slot, source) in view.sources.iter().enumerate() {
            if *source != u32::MAX {
                moves.add_oblivious(slot, &bins);
            }
        }
        for tree in view.trees {
            moves.add_any(view.nodes_of(tree), &bins);
        }
        let used = view.features.len();
        Explanation {
            margin: self.margin(row),
            base: moves.base,
            contributions: moves.by_feature.into_iter().take(used).collect(),
            detections: self.explain_detections(row),
        }
    }

    /// The bins of a row, whichever kernel the table is prepared for.
    fn bins(&self, row: &Row) -> Bins {
        let missing = Missing::of(self.view());
        binarise_with(self.view(), self.lane_positions(), &missing, row)
    }

    fn explain_detections(&self, row: &Row) -> Vec<ExplainedDetection> {
        let features = self.table().features();
        let value = |condition: &Condition| {
            let at = match &condition.feature {
                FeatureRef::Index(index) => Some(usize::from(*index)),
                FeatureRef::Name(name) => features.iter().position(|own| own.name == *name),
            };
            at.and_then(|at| self.position(at))
                .map_or(f32::NAN, |at| row.get(at))
        };
        let explained = |detection: Detection| {
            let conditions = detection.conditions.iter().map(|condition| {
                let value = value(condition);
                (value, condition.test.holds(value))
            });
            let conditions = conditions.collect();
            ExplainedDetection {
                detection,
                conditions,
            }
        };
        self.table()
            .detections()
            .into_iter()
            .map(explained)
            .collect()
    }

    /// The leaf that a row reaches in each tree, in the source's order of trees: the leaf index in
    /// an oblivious tree, the leaf's place from left to right in a tree of any shape.
    pub fn leaf_indexes(&self, row: &Row) -> Vec<u32> {
        let view = self.view();
        let bins = self.bins(row);
        let mut found = vec![0; self.table().tree_count()];
        let mut put = |source: u32, leaf: u32| {
            if let Some(place) = found.get_mut(source as usize) {
                *place = leaf;
            }
        };
        for (slot, source) in view.sources.iter().enumerate() {
            let index = oblivious_index(view, slot, &bins);
            put(*source, in_source(index, view.orders.get(slot)));
        }
        for tree in view.trees {
            let nodes = view.nodes_of(tree);
            put(
                tree.source,
                place_from_left(nodes, any_node(view, nodes, &bins)),
            );
        }
        found
    }
}

/// The moves of a row through the trees, added up.
struct Moves<'a> {
    view: &'a View<'a>,
    base: i64,
    by_feature: [i64; FEATURES_MAX],
}

impl Moves<'_> {
    fn add(&mut self, lane: u8, from: i64, to: i64) {
        let lane = self.view.lanes.get(usize::from(lane));
        let feature = lane.map_or(0, |lane| usize::from(lane.feature));
        if let Some(sum) = self.by_feature.get_mut(feature) {
            *sum = sum.saturating_add(to.saturating_sub(from));
        }
    }

    /// The tree in one slot of one block.
    fn add_oblivious(&mut self, slot: usize, bins: &Bins) {
        let view = self.view;
        let block = view.blocks.get(slot / BLOCK_TREES);
        let levels = block.map_or([].as_slice(), |block| view.levels_of(block));
        let split = |level: &LevelRecord| {
            let at = slot % BLOCK_TREES;
            let threshold = level.thresholds.get(at).copied().unwrap_or(NEVER);
            let lane = level.lanes.get(at).copied().unwrap_or_default();
            (threshold != NEVER).then_some(lane)
        };
        let lanes: Vec<u8> = levels.iter().map_while(split).collect();
        let start = view.leaf_starts.get(slot).copied().unwrap_or_default() as usize;
        let index = oblivious_index(view, slot, bins) as usize;
        let end = start.saturating_add(1usize << lanes.len());
        let leaves = view.leaves.get(start..end).unwrap_or_default();
        // After `level` levels those leaves are ahead whose index has the same lowest bits.
        let mean_after = |level: usize| {
            let step = 1usize << level;
            let first = index & step.wrapping_sub(1);
            let ahead = leaves.iter().skip(first).step_by(step);
            let (sum, count) = ahead.fold((0i64, 0i64), |(sum, count), leaf| {
                (
                    sum.saturating_add(i64::from(*leaf)),
                    count.saturating_add(1),
                )
            });
            mean(sum, count)
        };
        let mut from = mean_after(0);
        self.base = self.base.saturating_add(from);
        for (level, lane) in lanes.into_iter().enumerate() {
            let to = mean_after(level.saturating_add(1));
            self.add(lane, from, to);
            from = to;
        }
    }

    /// A tree of any shape. Children follow their parents.
    fn add_any(&mut self, nodes: &[NodeRecord], bins: &Bins) {
        // The sum and the number of the leaves below each node.
        let mut below = vec![(0i64, 0i64); nodes.len()];
        for (at, node) in nodes.iter().enumerate().rev() {
            let child = usize::from(node.child);
            let leaves = |at: usize| below.get(at).copied().unwrap_or_default();
            let sum = if node.threshold == NEVER {
                (i64::from(node.value), 1)
            } else {
                let (left, right) = (leaves(child), leaves(child.saturating_add(1)));
                (
                    left.0.saturating_add(right.0),
                    left.1.saturating_add(right.1),
                )
            };
            if let Some(place) = below.get_mut(at) {
                *place = sum;
            }
        }
        let mean = |at: usize| below.get(at).map_or(0, |(sum, count)| mean(*sum, *count));
        let (mut at, mut from) = (0usize, mean(0));
        self.base = self.base.saturating_add(from);
        while let Some(node) = nodes.get(at).filter(|node| node.threshold != NEVER) {
            let right = goes_right::<true>(self.view, node, bins);
            at = usize::from(node.child).saturating_add(usize::from(right));
            let to = mean(at);
            self.add(node.lane, from, to);
            from = to;
        }
    }
}

/// The leaf index of the oblivious tree in one slot of one block.
fn oblivious_index(view: &View<'_>, slot: usize, bins: &Bins) -> u32 {
    let Some(block) = view.blocks.get(slot / BLOCK_TREES) else {
        return 0;
    };
    let levels = view.levels_of(block);
    let mut index = 0u32;
    for (bit, level) in (0u32..).zip(levels) {
        let lane = level
            .lanes
            .get(slot % BLOCK_TREES)
            .copied()
            .unwrap_or_default();
        let threshold = level
            .thresholds
            .get(slot % BLOCK_TREES)
            .copied()
            .unwrap_or(NEVER);
        index |= u32::from(bin(bins, lane) > threshold).wrapping_shl(bit);
    }
    index
}

/// The position of the leaf that a row reaches in one tree of any shape.
fn any_node(view: &View<'_>, nodes: &[NodeRecord], bins: &Bins) -> u16 {
    let mut at = 0u16;
    for _ in 0..TREE_DEPTH_MAX {
        if let Some(node) = nodes.get(usize::from(at)) {
            let right = goes_right::<true>(view, node, bins);
            at = node.child.wrapping_add(u16::from(right));
        }
    }
    at
}

/// The mean, rounded to the nearest; halves upwards.
fn mean(sum: i64, count: i64) -> i64 {
    let twice = count.saturating_mul(2);
    let above = sum.saturating_mul(2).saturating_add(count);
    above.checked_div_euclid(twice).unwrap_or_default()
}

/// The source's leaf index: each bit goes to the level of the source that it decides.
fn in_source(index: u32, order: Option<&u64>) -> u32 {
    let Some(order) = order else { return index };
    let levels = 0..OBLIVIOUS_DEPTH_MAX as u32;
    let bits = levels.map(|level| {
        let bit = index.wrapping_shr(level) & 1;
        let to = order.wrapping_shr(level.saturating_mul(4)) & 0xf;
        bit.wrapping_shl(to as u32)
    });
    bits.fold(0, |joined, bit| joined | bit)
}

/// The number of leaves to the left of a leaf.
fn place_from_left(nodes: &[NodeRecord], leaf: u16) -> u32 {
    let mut place = 0;
    let mut open = vec![0u16];
    while let Some(at) = open.pop() {
        match nodes.get(usize::from(at)) {
            Some(node) if node.threshold != NEVER => {
                open.extend([node.child.saturating_add(1), node.child]);
            }
            _ if at == leaf => return place,
            _ => place = place.saturating_add(1),
        }
    }
    place
}
