//! Batches in plain Rust: up to 64 rows, one row per byte.
//!
//! The compiler turns it into vectors as wide as its caller has: each split is compared with a
//! whole column of bins, and a tree's leaves stay in the first cache while all rows take theirs.
//! What another kernel calls here is inlined, so that it has that kernel's instructions.

use super::bins::binarise;
use super::trees::{is_in, walk};
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::score::layout::{Bins, Columns, Partition, Prepared, Shapes, Step};
use crate::table::View;
use crate::table::format::{BLOCK_TREES, LevelRecord, MISSING_LEFT, OWN_BIN};
use std::hint::black_box;

/// The fewest rows that are scored together: a batch takes as long as 64 rows, however few it has.
/// At 64 it is some 4 to 20 times faster per row (benches/kernels.rs). The break-even point is
/// estimated from that, not measured.
const ROWS_MIN: usize = 16;

/// Levels whose leaf indexes fit a byte.
const NARROW_LEVELS: usize = 8;

/// One byte per row.
type Column = [u8; BATCH_ROWS_MAX];

/// Each row's margin so far.
type Sums = [i64; BATCH_ROWS_MAX];

/// Returns `true` if these rows are scored faster together.
pub fn pays(prepared: &Prepared, rows: &[Row]) -> bool {
    let Shapes { plain, special } = &prepared.layouts().partition;
    let any = !(plain.trees.is_empty() && special.trees.is_empty());
    rows.len() >= ROWS_MIN && (any || !prepared.view().blocks.is_empty())
}

/// The margins of up to 64 rows, fixed point.
pub fn margins(prepared: &Prepared, rows: &[Row], margins: &mut [i64]) {
    let view = prepared.view();
    let mut batch = Batch::new();
    for (at, row) in rows.iter().enumerate() {
        batch.put(prepared, at, &binarise(prepared, row));
    }
    add_oblivious(view, view.blocks.len(), &batch.columns, &mut batch.sums);
    batch.add_trees(prepared);
    for (to, sum) in margins.iter_mut().zip(batch.sums) {
        *to = sum;
    }
}

/// Up to 64 rows, binarised, and their margins so far.
pub struct Batch {
    pub columns: Columns,
    pub sums: [i64; BATCH_ROWS_MAX],
}

impl Batch {
    #[inline]
    pub fn new() -> Batch {
        Batch {
            columns: [[0; BATCH_ROWS_MAX]; FEATURES_MAX],
            sums: [0; BATCH_ROWS_MAX],
        }
    }

    /// Writes a row to its place: its bins, and its margin without oblivious trees and trees that
    /// have a [`Partition`].
    #[inline]
    pub fn put(&mut self, prepared: &Prepared, at: usize, bins: &Bins) {
        let (view, partition) = (prepared.view(), &prepared.layouts().partition);
        let plain = walk::<false>(view, &partition.plain.rest, bins);
        let special = walk::<true>(view, &partition.special.rest, bins);
        if let Some(sum) = self.sums.get_mut(at) {
            *sum = view.bias.wrapping_add(plain).wrapping_add(special);
        }
        for (column, bin) in self.columns.iter_mut().zip(bins).take(view.lanes.len()) {
            if let Some(to) = column.get_mut(at) {
                *to = *bin;
            }
        }
    }

    /// Adds the leaves of the trees that have a [`Partition`]. Inlined, so that it is compiled
    /// for the instructions of the kernel that calls it.
    #[inline(always)]
    pub fn add_trees(&mut self, prepared: &Prepared) {
        let (view, partition) = (prepared.view(), &prepared.layouts().partition);
        self.add::<false>(view, &partition.plain);
        self.add::<true>(view, &partition.special);
    }

    #[inline(always)]
    fn add<const SPECIAL: bool>(&mut self, view: &View<'_>, list: &Partition) {
        if list.trees.is_empty() {
            return;
        }
        let mut reach = [[0u8; BATCH_ROWS_MAX]; 128];
        for tree in &list.trees {
            let steps = list.steps.get(tree.start as usize..tree.end as usize);
            let steps = steps.unwrap_or_default();
            // Every row reaches the root, whether it is a split or a leaf.
            set(&mut reach, 0, [u8::MAX; BATCH_ROWS_MAX]);
            set(&mut reach, 64, [u8::MAX; BATCH_ROWS_MAX]);
            for (at, step) in (0u8..64).zip(steps) {
                let here = reach.get(usize::from(at & 63));
                let here = here.copied().unwrap_or([0; BATCH_ROWS_MAX]);
                let right = self.right::<SPECIAL>(view, step, &here);
                let mut left = here;
                for (left, right) in left.iter_mut().zip(right) {
                    *left ^= right;
                }
                set(&mut reach, step.left, left);
                set(&mut reach, step.right, right);
            }
            let mut leaves = [0u8; BATCH_ROWS_MAX];
            // The first leaf's number is 0.
            let others = reach.iter().skip(65).zip(1u8..64).take(steps.len());
            for (here, number) in others {
                for (leaf, here) in leaves.iter_mut().zip(here) {
                    *leaf |= here & number;
                }
            }
            for (sum, leaf) in self.sums.iter_mut().zip(leaves) {
                let value = tree.values.get(usize::from(leaf & 63)).copied();
                *sum = sum.wrapping_add(i64::from(value.unwrap_or_default()));
            }
        }
    }

    /// Those of the rows at a split that go right.
    #[inline(always)]
    fn right<const SPECIAL: bool>(
        &self,
        view: &View<'_>,
        step: &Step,
        here: &[u8; BATCH_ROWS_MAX],
    ) -> [u8; BATCH_ROWS_MAX] {
        let mut right = [0; BATCH_ROWS_MAX];
        let Some(column) = self.columns.get(usize::from(step.lane)) else {
            return right;
        };
        if SPECIAL && step.value > 0 {
            // T7 holds the set within the section.
            let set = view.sets.get((step.value as usize).wrapping_sub(1));
            let set = set.copied().unwrap_or_default();
            for ((right, bin), here) in right.iter_mut().zip(column).zip(here) {
                *right = if is_in(&set, *bin) { *here } else { 0 };
            }
            return right;
        }
        for ((right, bin), here) in right.iter_mut().zip(column).zip(here) {
            *right = if *bin > step.threshold { *here } else { 0 };
        }
        if SPECIAL && step.value == MISSING_LEFT {
            for (right, bin) in right.iter_mut().zip(column) {
                *right = if *bin == OWN_BIN { 0 } else { *right };
            }
        }
        right
    }
}

/// Writes rows to their place.
#[inline(always)]
fn set(reach: &mut [[u8; BATCH_ROWS_MAX]; 128], place: u8, rows: [u8; BATCH_ROWS_MAX]) {
    if let Some(to) = reach.get_mut(usize::from(place & 127)) {
        *to = rows;
    }
}

/// Adds the leaves of the oblivious trees in the first `blocks` blocks to each row.
#[inline(always)]
pub fn add_oblivious(view: &View<'_>, blocks: usize, columns: &Columns, sums: &mut Sums) {
    // One copy of a tree's leaves for all rows. No row reaches the remains of an earlier tree.
    let mut own = [0i32; 1 << NARROW_LEVELS];
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (block, starts) in view.blocks.iter().zip(starts).take(blocks) {
        let levels = view.levels_of(block);
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
