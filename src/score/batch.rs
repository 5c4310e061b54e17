//! Oblivious trees of up to 64 rows at once, a row a byte: for kernels that look up bytes one by
//! one.
//!
//! Plain Rust that the compiler turns into vectors as wide as its caller has: a tree's splits are
//! compared with whole columns of bins, and the tree's leaves stay in the first cache while all
//! rows take theirs. What is called here is inlined, so that it has the caller's instructions.

use super::portable_batch::Columns;
use crate::limits::BATCH_ROWS_MAX;
use crate::table::View;
use crate::table::format::{BLOCK_TREES, LevelRecord};
use std::hint::black_box;

/// Levels whose leaf indices fit a byte.
const NARROW_LEVELS: usize = 8;

/// One byte for each row.
type Column = [u8; BATCH_ROWS_MAX];

/// Each row's margin so far.
type Sums = [i64; BATCH_ROWS_MAX];

/// Adds the leaves of the oblivious trees in the first so many blocks to each row.
#[inline(always)]
pub(super) fn add_oblivious(view: &View<'_>, blocks: usize, columns: &Columns, sums: &mut Sums) {
    // One copy of a tree's leaves for all rows; what an earlier tree leaves behind is not
    // reached.
    let mut own = [0i32; 1 << NARROW_LEVELS];
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (block, starts) in view.blocks.iter().zip(starts).take(blocks) {
        let end = block.start.wrapping_add(block.levels) as usize;
        // T5 holds the range within the section.
        let levels = view
            .levels
            .get(block.start as usize..end)
            .unwrap_or_default();
        for (tree, start) in starts.iter().enumerate() {
            let leaves = view.leaves.get(*start as usize..).unwrap_or_default();
            match levels.split_at_checked(NARROW_LEVELS) {
                Some((low, high)) if !high.is_empty() => {
                    let indexes = [low, high].map(|part| indexes(columns, part, tree));
                    add_wide(sums, &indexes, leaves);
                }
                _ => {
                    let count = 1usize.wrapping_shl(levels.len() as u32);
                    for (to, leaf) in own.iter_mut().zip(leaves).take(count) {
                        *to = *leaf;
                    }
                    add_narrow(sums, &indexes(columns, levels, tree), &own);
                }
            }
        }
    }
}

/// Adds the leaves of a tree of up to eight levels.
#[inline(always)]
fn add_narrow(sums: &mut Sums, indexes: &Column, leaves: &[i32; 1 << NARROW_LEVELS]) {
    // Through memory: else the compiler extracts each index from its register, or gathers.
    for (sum, index) in sums.iter_mut().zip(black_box(indexes)) {
        // A byte indexes 256: the check is gone from the machine code.
        let leaf = leaves.get(usize::from(*index)).copied().unwrap_or_default();
        *sum = sum.wrapping_add(i64::from(leaf));
    }
}

/// Adds the leaves of a deeper tree.
#[inline(always)]
fn add_wide(sums: &mut Sums, [low, high]: &[Column; 2], leaves: &[i32]) {
    let indexes = black_box(low).iter().zip(black_box(high));
    for (sum, (low, high)) in sums.iter_mut().zip(indexes) {
        let index = usize::from(u16::from_le_bytes([*low, *high]));
        // T6 holds the index within the section.
        let leaf = leaves.get(index).copied().unwrap_or_default();
        *sum = sum.wrapping_add(i64::from(leaf));
    }
}

/// Eight bits of each row's leaf index in one tree.
#[inline(always)]
fn indexes(columns: &Columns, levels: &[LevelRecord], tree: usize) -> Column {
    let mut indexes = [0; BATCH_ROWS_MAX];
    let mut bit = 1u8;
    for level in levels {
        let lane = level.lanes.get(tree).copied().unwrap_or_default();
        let threshold = level.thresholds.get(tree).copied().unwrap_or(u8::MAX);
        if let Some(bins) = columns.get(usize::from(lane)) {
            for (index, bin) in indexes.iter_mut().zip(bins) {
                *index |= if *bin > threshold { bit } else { 0 };
            }
        }
        bit <<= 1;
    }
    indexes
}
