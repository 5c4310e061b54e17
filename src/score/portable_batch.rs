//! Batches of trees of any shape in plain Rust: a row a byte, every split decided for all rows.

use super::batch;
use super::portable::{self, Bins, is_in};
use super::prepared::PreparedTable;
use super::steps::{Step, Stepped};
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::table::View;
use crate::table::format::{MISSING_LEFT, OWN_BIN};

/// Rows from which on they are scored together: a batch takes as long as 64 rows however few it
/// has. At 64 it is some 4 to 20 times faster a row (benches/kernels.rs); where it draws level is
/// estimated from that, not measured.
pub(super) const ROWS_MIN: usize = 16;

/// Bins of 64 rows, by lane.
pub(super) type Columns = [[u8; BATCH_ROWS_MAX]; FEATURES_MAX];

/// The margins of rows, fixed point.
pub(super) fn margins(prepared: &PreparedTable, rows: &[Row], margins: &mut [i64]) {
    let chunks = rows.chunks(BATCH_ROWS_MAX);
    for (rows, margins) in chunks.zip(margins.chunks_mut(BATCH_ROWS_MAX)) {
        if !pays(prepared, rows) {
            for (row, to) in rows.iter().zip(margins) {
                *to = portable::margin(prepared, row);
            }
            continue;
        }
        let mut batch = Batch::new();
        for (at, row) in rows.iter().enumerate() {
            batch.put(prepared, at, &portable::binarise(prepared, row));
        }
        batch.add_oblivious(prepared, prepared.view().blocks.len());
        batch.add_stepped(prepared);
        for (to, sum) in margins.iter_mut().zip(batch.sums) {
            *to = sum;
        }
    }
}

/// Whether these rows are scored faster together.
pub(super) fn pays(prepared: &PreparedTable, rows: &[Row]) -> bool {
    let words = prepared.words();
    let stepped = [&words.plain.stepped, &words.special.stepped];
    let any = stepped.iter().any(|list| !list.trees.is_empty());
    rows.len() >= ROWS_MIN && (any || !prepared.view().blocks.is_empty())
}

/// Up to 64 rows, binarised, and their margins so far.
pub(super) struct Batch {
    pub(super) columns: Columns,
    pub(super) sums: [i64; BATCH_ROWS_MAX],
}

impl Batch {
    #[inline]
    pub(super) fn new() -> Batch {
        Batch {
            columns: [[0; BATCH_ROWS_MAX]; FEATURES_MAX],
            sums: [0; BATCH_ROWS_MAX],
        }
    }

    /// Puts a row in its place: its bins, and its margin but for oblivious and stepped trees.
    #[inline]
    pub(super) fn put(&mut self, prepared: &PreparedTable, at: usize, bins: &Bins) {
        let (view, words) = (prepared.view(), prepared.words());
        let plain = portable::walk::<false>(view, &words.plain.rest, bins);
        let special = portable::walk::<true>(view, &words.special.rest, bins);
        if let Some(sum) = self.sums.get_mut(at) {
            *sum = view.bias.wrapping_add(plain).wrapping_add(special);
        }
        for (column, bin) in self.columns.iter_mut().zip(bins).take(view.lanes.len()) {
            if let Some(to) = column.get_mut(at) {
                *to = *bin;
            }
        }
    }

    /// Adds the leaves of the oblivious trees in the first so many blocks. Inlined, as the next.
    #[inline(always)]
    pub(super) fn add_oblivious(&mut self, prepared: &PreparedTable, blocks: usize) {
        batch::add_oblivious(prepared.view(), blocks, &self.columns, &mut self.sums);
    }

    /// Adds the leaves of all stepped trees. Inlined, so that it is compiled for the instructions
    /// of the kernel that calls it.
    #[inline(always)]
    pub(super) fn add_stepped(&mut self, prepared: &PreparedTable) {
        let (view, words) = (prepared.view(), prepared.words());
        self.add::<false>(view, &words.plain.stepped);
        self.add::<true>(view, &words.special.stepped);
    }

    #[inline(always)]
    fn add<const SPECIAL: bool>(&mut self, view: &View<'_>, list: &Stepped) {
        let mut reach = [[0u8; BATCH_ROWS_MAX]; 128];
        for tree in &list.trees {
            let steps = list.steps.get(tree.start as usize..tree.end as usize);
            let steps = steps.unwrap_or_default();
            // Every row comes to the root, be it a split or a leaf.
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

/// Puts rows in their place.
#[inline(always)]
fn set(reach: &mut [[u8; BATCH_ROWS_MAX]; 128], place: u8, rows: [u8; BATCH_ROWS_MAX]) {
    if let Some(to) = reach.get_mut(usize::from(place & 127)) {
        *to = rows;
    }
}
