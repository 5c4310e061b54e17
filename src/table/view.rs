//! A table's sections as slices, cast once from the validated bytes.

use super::format::*;
use super::sealed::Sealed;
use super::validate::Validated;
use crate::limits::SCORE_MAP_LEN;
use bytemuck::Pod;
use std::ops::Range;

/// The sections that kernels read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) lanes: &'a [LaneRecord],
    pub(crate) groups: &'a [GroupRecord],
    pub(crate) borders: &'a [[f32; GROUP_LANES]],
    pub(crate) blocks: &'a [BlockRecord],
    pub(crate) levels: &'a [LevelRecord],
    pub(crate) leaf_starts: &'a [u32],
    pub(crate) sources: &'a [u32],
    pub(crate) orders: &'a [u64],
    pub(crate) leaves: &'a [i32],
    pub(crate) trees: &'a [TreeRecord],
    pub(crate) nodes: &'a [NodeRecord],
    pub(crate) sets: &'a [[u64; 4]],
    pub(crate) score_map: &'a [i64; SCORE_MAP_LEN],
    pub(crate) features: &'a [FeatureRecord],
    pub(crate) golden: &'a [u8],
    pub(crate) provenance: &'a [u8],
    pub(crate) detections: &'a [DetectionRecord],
    pub(crate) conditions: &'a [ConditionRecord],
    pub(crate) bots: &'a [BotRecord],
    pub(crate) bot_ranges: &'a [BotRangeRecord],
    pub(crate) bias: i64,
}

impl<'a> View<'a> {
    /// Where the levels of a block of oblivious trees are. T5 holds the range within the section.
    #[inline]
    pub(crate) fn level_range(block: &BlockRecord) -> Range<usize> {
        block.start as usize..block.start.wrapping_add(block.levels) as usize
    }

    /// The levels of a block of oblivious trees.
    #[inline]
    pub(crate) fn levels_of(&self, block: &BlockRecord) -> &'a [LevelRecord] {
        let levels = self.levels.get(View::level_range(block));
        levels.unwrap_or_default()
    }

    /// The ranks of a group of lanes. T4 holds the range within the section.
    #[inline]
    pub(crate) fn ranks_of(&self, group: &GroupRecord) -> &'a [[f32; GROUP_LANES]] {
        let end = group.start.wrapping_add(group.ranks) as usize;
        let ranks = self.borders.get(group.start as usize..end);
        ranks.unwrap_or_default()
    }

    /// The nodes of a tree of any shape. T7 holds the range within the section.
    #[inline]
    pub(crate) fn nodes_of(&self, tree: &TreeRecord) -> &'a [NodeRecord] {
        let end = tree.start.wrapping_add(tree.nodes) as usize;
        let nodes = self.nodes.get(tree.start as usize..end);
        nodes.unwrap_or_default()
    }
}

impl View<'static> {
    /// The view of sealed, validated bytes. The caller keeps `sealed` alive as long as the view,
    /// and hands it out for no longer.
    pub(super) fn of(sealed: &Sealed, validated: &Validated) -> Option<View<'static>> {
        Some(View {
            lanes: section(sealed, validated, Section::Lanes)?,
            groups: section(sealed, validated, Section::Groups)?,
            borders: section(sealed, validated, Section::Borders)?,
            blocks: section(sealed, validated, Section::Blocks)?,
            levels: section(sealed, validated, Section::Levels)?,
            leaf_starts: section(sealed, validated, Section::LeafStarts)?,
            sources: section(sealed, validated, Section::Sources)?,
            orders: section(sealed, validated, Section::Orders)?,
            leaves: section(sealed, validated, Section::Leaves)?,
            trees: section(sealed, validated, Section::Trees)?,
            nodes: section(sealed, validated, Section::Nodes)?,
            sets: section(sealed, validated, Section::Sets)?,
            score_map: section(sealed, validated, Section::ScoreMap)?.first_chunk()?,
            features: section(sealed, validated, Section::Features)?,
            golden: section(sealed, validated, Section::Golden)?,
            provenance: section(sealed, validated, Section::Provenance)?,
            detections: section(sealed, validated, Section::Detections)?,
            conditions: section(sealed, validated, Section::Conditions)?,
            bots: section(sealed, validated, Section::Bots)?,
            bot_ranges: section(sealed, validated, Section::BotRanges)?,
            bias: validated.header().bias,
        })
    }
}

fn section<T: Pod>(
    sealed: &Sealed,
    validated: &Validated,
    section: Section,
) -> Option<&'static [T]> {
    let bytes = sealed.bytes().get(validated.range(section))?;
    let records: &[T] = bytemuck::try_cast_slice(bytes).ok()?;
    // SAFETY: T1 (sealed bytes neither change nor move; made true by Sealed::copy). Only
    // Table::from_sealed calls this; it stores the view next to the mapping that the view points
    // into, and Table::view shortens the lifetime to that of the table.
    Some(unsafe { std::slice::from_raw_parts(records.as_ptr(), records.len()) })
}
