//! Checks trees of both forms, and the margins that they can attain.

use super::lanes::check_split;
use super::sets::Sets;
use super::{Check, Sections, at_most, exactly};
use crate::limits::*;
use crate::refusal::RefusalKind;
use crate::table::format::*;

/// The smallest and largest margins that are attainable so far.
pub(super) struct Margins {
    min: i64,
    max: i64,
}

impl Margins {
    pub(super) fn new(bias: i64, shift: u32) -> Check<Margins> {
        if shift > MARGIN_SHIFT_MAX {
            let most = format!("at most {MARGIN_SHIFT_MAX}");
            return Err(RefusalKind::MarginShift.at("header.margin_shift", most, shift));
        }
        let margins = Margins {
            min: bias,
            max: bias,
        };
        margins.check("header.bias")?;
        Ok(margins)
    }

    fn check(&self, at: &str) -> Check<()> {
        let most = MARGIN_MAX.unsigned_abs();
        for got in [self.min, self.max] {
            if got.unsigned_abs() > most {
                let expected = format!("a magnitude of at most {most}");
                return Err(RefusalKind::MarginRange.at(at, expected, got));
            }
        }
        Ok(())
    }

    /// Adds a tree. Trees are few enough, and leaves narrow enough, that sums cannot overflow.
    fn add(&mut self, leaves: impl Iterator<Item = i32>) {
        let (mut min, mut max) = (i32::MAX, i32::MIN);
        for leaf in leaves {
            (min, max) = (min.min(leaf), max.max(leaf));
        }
        self.min = self.min.saturating_add(i64::from(min));
        self.max = self.max.saturating_add(i64::from(max));
    }

    pub(super) fn check_against(&self, header: &Header) -> Check<()> {
        self.check("attainable margins")?;
        let pairs = [
            ("header.margin_min", self.min, header.margin_min),
            ("header.margin_max", self.max, header.margin_max),
        ];
        for (at, expected, got) in pairs {
            if expected != got {
                return Err(RefusalKind::MarginRange.at(at, expected, got));
            }
        }
        Ok(())
    }
}

/// Which positions of the source have been taken by a tree.
pub(super) struct Sources {
    taken: Vec<bool>,
}

impl Sources {
    pub(super) fn new(sections: &Sections<'_>) -> Check<Sources> {
        let any = sections.records::<TreeRecord>(Section::Trees)?.len();
        let count = any.saturating_add(sections.header.oblivious_trees as usize);
        Ok(Sources {
            taken: vec![false; count],
        })
    }

    fn take(&mut self, source: u32, at: impl Fn() -> String) -> Check<()> {
        let count = self.taken.len();
        match self.taken.get_mut(source as usize) {
            Some(taken) if !*taken => {
                *taken = true;
                Ok(())
            }
            _ => {
                let expected = format!("a position below {count} of its own");
                Err(RefusalKind::TreeOrder.at(at(), expected, source))
            }
        }
    }
}

pub(super) fn check_oblivious(
    sections: &Sections<'_>,
    lanes: &[LaneRecord],
    margins: &mut Margins,
    sources: &mut Sources,
) -> Check<()> {
    let blocks: &[BlockRecord] = sections.records(Section::Blocks)?;
    let levels: &[LevelRecord] = sections.records(Section::Levels)?;
    let leaves: &[i32] = sections.records(Section::Leaves)?;
    let starts: &[u32] = sections.records(Section::LeafStarts)?;
    let places: &[u32] = sections.records(Section::Sources)?;
    let orders: &[u64] = sections.records(Section::Orders)?;
    let trees = sections.header.oblivious_trees as usize;
    let (mut level_start, mut leaf_start) = (0usize, 0usize);
    let mut before = OBLIVIOUS_DEPTH_MAX;
    let slots = starts.chunks(BLOCK_TREES).zip(places.chunks(BLOCK_TREES));
    for (index, (block, (starts, places))) in blocks.iter().zip(slots).enumerate() {
        let levels = block_levels(index, block, levels, &mut level_start)?;
        for (slot, (start, source)) in starts.iter().zip(places).enumerate() {
            let tree = index.saturating_mul(BLOCK_TREES).saturating_add(slot);
            let depth = check_tree_levels(levels, slot, tree, lanes)?;
            let at = |field: &str| format!("{field}[{tree}]");
            if slot == 0 {
                exactly(&format!("blocks[{index}].levels"), depth, levels.len())?;
            }
            check_order(|| format!("depth of oblivious tree {tree}"), before, depth)?;
            before = depth;
            if let Some(order) = orders.get(tree) {
                check_level_order(*order, depth, || at("orders"))?;
            }
            if *start as usize != leaf_start {
                return Err(RefusalKind::LeafIndex.at(at("leaf_starts"), leaf_start, start));
            }
            let end = leaf_start.saturating_add(1usize << depth);
            let Some(own) = leaves.get(leaf_start..end) else {
                let (most, got) = (format!("leaves within {}", leaves.len()), end);
                return Err(RefusalKind::LeafIndex.at(at("leaf_starts"), most, got));
            };
            if tree < trees {
                margins.add(own.iter().copied());
                sources.take(*source, || at("sources"))?;
                leaf_start = end;
            } else if *source != u32::MAX || own != [0] {
                let got = format!("source {source}, leaves {own:?}");
                let expected = "source 4294967295, leaves [0]";
                return Err(RefusalKind::Padding.at(at("sources"), expected, got));
            }
        }
    }
    exactly("levels", level_start, levels.len())?;
    // Padding shares one zero leaf at the end.
    let padded = usize::from(!trees.is_multiple_of(BLOCK_TREES));
    exactly("leaves", leaf_start.saturating_add(padded), leaves.len())
}

/// Returns the levels of one block, and moves `start` behind them.
fn block_levels<'a>(
    index: usize,
    block: &BlockRecord,
    levels: &'a [LevelRecord],
    start: &mut usize,
) -> Check<&'a [LevelRecord]> {
    let (own, count) = (block.start as usize, block.levels as usize);
    exactly(&format!("blocks[{index}].start"), *start, own)?;
    at_most(
        &format!("blocks[{index}].levels"),
        OBLIVIOUS_DEPTH_MAX,
        count,
    )?;
    let end = start.saturating_add(count);
    let Some(own) = levels.get(*start..end) else {
        return Err(RefusalKind::CountMismatch.at("levels", end, levels.len()));
    };
    *start = end;
    Ok(own)
}

/// Trees of one form are sorted deepest first: kernels walk neighbours as deep as the first.
fn check_order(at: impl Fn() -> String, before: usize, depth: usize) -> Check<()> {
    if depth > before {
        let most = format!("at most {before}, as the tree before it");
        return Err(RefusalKind::TreeOrder.at(at(), most, depth));
    }
    Ok(())
}

/// Returns the depth of an oblivious tree: levels in use come first, padding after them.
fn check_tree_levels(
    levels: &[LevelRecord],
    slot: usize,
    tree: usize,
    lanes: &[LaneRecord],
) -> Check<usize> {
    let mut depth = 0usize;
    for (level, record) in levels.iter().enumerate() {
        let at = || format!("level {level} of oblivious tree {tree}");
        let lane = record.lanes.get(slot).copied().unwrap_or_default();
        let threshold = record.thresholds.get(slot).copied().unwrap_or_default();
        if check_split(lanes, lane, threshold, at)? {
            if depth != level {
                return Err(RefusalKind::Padding.at(at(), "no split", "a split"));
            }
            depth = depth.saturating_add(1);
        }
    }
    Ok(depth)
}

/// A tree's levels are those of its source, each once; what is beyond its depth is zero.
fn check_level_order(order: u64, depth: usize, at: impl Fn() -> String) -> Check<()> {
    let mut taken = 0u32;
    for level in 0..OBLIVIOUS_DEPTH_MAX as u32 {
        let to = (order.wrapping_shr(level.saturating_mul(4)) & 0xf) as u32;
        let bit = 1u32.wrapping_shl(to);
        let fits = match (level as usize) < depth {
            true => (to as usize) < depth && taken & bit == 0,
            false => to == 0,
        };
        if !fits {
            let expected = format!("the levels below {depth}, each once, then zeros");
            let got = format!("{order:#018x}");
            return Err(RefusalKind::TreeOrder.at(at(), expected, got));
        }
        taken |= bit;
    }
    Ok(())
}

pub(super) fn check_trees(
    sections: &Sections<'_>,
    lanes: &[LaneRecord],
    margins: &mut Margins,
    sources: &mut Sources,
) -> Check<()> {
    let trees: &[TreeRecord] = sections.records(Section::Trees)?;
    let nodes: &[NodeRecord] = sections.records(Section::Nodes)?;
    let mut depths = Vec::with_capacity(nodes.len().min(TREE_NODES_MAX));
    let mut sets = Sets::of(sections)?;
    let mut start = 0usize;
    let (mut before, mut special) = (TREE_DEPTH_MAX, false);
    for (index, tree) in trees.iter().enumerate() {
        let at = |field: &str| format!("trees[{index}].{field}");
        exactly(&at("start"), start, tree.start as usize)?;
        at_most(&at("nodes"), TREE_NODES_MAX, tree.nodes as usize)?;
        let end = start.saturating_add(tree.nodes as usize);
        let Some(own) = nodes.get(start..end).filter(|own| !own.is_empty()) else {
            let expected = format!("1 to {} nodes", nodes.len().saturating_sub(start));
            return Err(RefusalKind::CountMismatch.at(at("nodes"), expected, tree.nodes));
        };
        let depth = check_nodes(index, own, lanes, &mut sets, &mut depths)?;
        if depth > TREE_DEPTH_MAX || tree.depth as usize != depth {
            let expected = format!("{depth}, at most {TREE_DEPTH_MAX}");
            return Err(RefusalKind::TooDeep.at(at("depth"), expected, tree.depth));
        }
        let own_special = own.iter().any(NodeRecord::is_special);
        if special && !own_special {
            let expected = "a mark or a set, as in the tree before it";
            return Err(RefusalKind::TreeOrder.at(at("nodes"), expected, "none"));
        }
        if own_special && !special {
            (before, special) = (TREE_DEPTH_MAX, true);
        }
        check_order(|| at("depth"), before, depth)?;
        before = depth;
        margins.add(
            own.iter()
                .filter(|node| node.threshold == NEVER)
                .map(|node| node.value),
        );
        sources.take(tree.source, || at("source"))?;
        start = end;
    }
    exactly("nodes", start, nodes.len())?;
    sets.finish()
}

/// Returns the depth of a tree whose nodes are in breadth-first order: then the children of the
/// `k`-th split are the nodes `2k + 1` and `2k + 2`, and there is no other way to write the tree.
fn check_nodes(
    tree: usize,
    nodes: &[NodeRecord],
    lanes: &[LaneRecord],
    sets: &mut Sets<'_>,
    depths: &mut Vec<usize>,
) -> Check<usize> {
    depths.clear();
    depths.push(0);
    let mut deepest = 0;
    for (index, node) in nodes.iter().enumerate() {
        let at = || format!("node {index} of tree {tree}");
        let Some(depth) = depths.get(index).copied() else {
            return Err(RefusalKind::Cycle.at(at(), "a parent before it", "none"));
        };
        deepest = deepest.max(depth);
        let child = usize::from(node.child);
        if !sets.check_split(lanes, node, at)? {
            if child != index {
                return Err(RefusalKind::ChildIndex.at(at(), "itself, as a leaf", child));
            }
            continue;
        }
        if child.saturating_add(1) >= nodes.len() {
            let below = format!("children below {}", nodes.len());
            return Err(RefusalKind::ChildIndex.at(at(), below, child));
        }
        if child != depths.len() {
            let expected = format!("the children {}", depths.len());
            return Err(RefusalKind::Cycle.at(at(), expected, child));
        }
        depths.extend([depth.saturating_add(1); 2]);
    }
    Ok(deepest)
}

/// Holds the depths of all trees, added up, against the capacity. Depths were checked before.
pub(super) fn check_steps(sections: &Sections<'_>) -> Check<()> {
    let blocks: &[BlockRecord] = sections.records(Section::Blocks)?;
    let trees: &[TreeRecord] = sections.records(Section::Trees)?;
    let oblivious = blocks
        .iter()
        .map(|block| (block.levels as usize).saturating_mul(BLOCK_TREES));
    let any = trees.iter().map(|tree| tree.depth as usize);
    at_most("steps", STEPS_MAX, oblivious.chain(any).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    #[test]
    fn depths_of_all_trees_together_are_bounded() {
        let most = STEPS_MAX / TREE_DEPTH_MAX;
        for (count, good) in [(most, true), (most + 1, false)] {
            let tree = TreeRecord {
                depth: TREE_DEPTH_MAX as u32,
                ..TreeRecord::zeroed()
            };
            let trees = vec![tree; count];
            let mut ranges: [std::ops::Range<usize>; SECTION_COUNT] = Default::default();
            ranges[Section::Trees as usize] = 0..count * size_of::<TreeRecord>();
            let sections = Sections {
                file: bytemuck::cast_slice(&trees),
                header: &Header::zeroed(),
                ranges: &ranges,
            };
            let checked = check_steps(&sections).map_err(|refused| refused.kind());
            let refused = Err(Some(RefusalKind::OverCapacity));
            assert_eq!(checked, if good { Ok(()) } else { refused });
        }
    }
}
