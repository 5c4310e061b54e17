//! Oblivious trees in plain Rust, one row.

use super::bins::{bin, groups_of};
use crate::row::Row;
use crate::score::layout::{Bins, PREDICATES_MAX, Prepared, words};
use crate::table::View;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LevelRecord};

/// As [`sum`], by predicates of the row; `None` if the table has no layout for that.
pub fn sum_by_predicates(prepared: &Prepared, row: &Row) -> Option<i64> {
    match prepared.layouts().predicates.count {
        0 => None,
        1..=2_048 => Some(sum_of::<2_048>(prepared, row)),
        2_049..=4_096 => Some(sum_of::<4_096>(prepared, row)),
        _ => Some(sum_of::<PREDICATES_MAX>(prepared, row)),
    }
}

/// The same, with `SIZE` predicates at most.
#[inline(never)]
fn sum_of<const SIZE: usize>(prepared: &Prepared, row: &Row) -> i64 {
    let view = prepared.view();
    let layout = &prepared.layouts().predicates;
    let mut predicates = [0; SIZE];
    decide(prepared, row, &mut predicates);
    let mut sum = 0i64;
    let mut splits = layout.splits.as_slice();
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (block, starts) in view.blocks.iter().zip(starts) {
        let words = words(block.levels);
        let (own, after) = splits
            .split_at_checked(words.wrapping_mul(BLOCK_TREES))
            .unwrap_or((splits, &[]));
        splits = after;
        let leaves = match words {
            0 => roots(view, starts),
            1 => block_leaves::<1, SIZE>(view, own, starts, &predicates),
            2 => block_leaves::<2, SIZE>(view, own, starts, &predicates),
            3 => block_leaves::<3, SIZE>(view, own, starts, &predicates),
            4 => block_leaves::<4, SIZE>(view, own, starts, &predicates),
            5 => block_leaves::<5, SIZE>(view, own, starts, &predicates),
            6 => block_leaves::<6, SIZE>(view, own, starts, &predicates),
            7 => block_leaves::<7, SIZE>(view, own, starts, &predicates),
            _ => block_leaves::<8, SIZE>(view, own, starts, &predicates),
        };
        sum = sum.wrapping_add(leaves);
    }
    sum
}

/// Compares the row with every border; the last predicate stays 0.
#[inline]
fn decide<const SIZE: usize>(prepared: &Prepared, row: &Row, predicates: &mut [u8; SIZE]) {
    let mut to = predicates.as_chunks_mut::<GROUP_LANES>().0.iter_mut();
    let (view, missing) = (prepared.view(), &prepared.layouts().missing);
    for (values, _, ranks) in groups_of(view, prepared.lane_positions(), missing, row) {
        for (rank, to) in ranks.iter().zip(&mut to) {
            for ((to, value), border) in to.iter_mut().zip(&values).zip(rank) {
                *to = u8::from(value > border);
            }
        }
    }
}

/// The sum of the leaves of 64 trees without a split.
fn roots(view: &View<'_>, starts: &[u32; BLOCK_TREES]) -> i64 {
    let leaves = starts
        .iter()
        .filter_map(|start| view.leaves.get(*start as usize));
    leaves.fold(0, |sum, leaf| sum.wrapping_add(i64::from(*leaf)))
}

/// The sum of the leaves of 64 trees of `WORDS` words each.
#[inline]
fn block_leaves<const WORDS: usize, const SIZE: usize>(
    view: &View<'_>,
    splits: &[u32],
    starts: &[u32; BLOCK_TREES],
    predicates: &[u8; SIZE],
) -> i64 {
    // An id has as many bits as there are predicates: no check is left in the machine code.
    let shift = const { u32::BITS - SIZE.ilog2() };
    let mask = const { SIZE - 1 };
    let decided = |id: usize| u32::from(predicates.get(id).copied().unwrap_or_default());
    let mut sum = 0i64;
    for (words, start) in splits.as_chunks::<WORDS>().0.iter().zip(starts) {
        let mut index = 0u32;
        for word in words.iter().rev() {
            let odd = decided((word >> shift) as usize);
            let even = decided(*word as usize & mask);
            let pair = even.wrapping_add(odd << 1);
            index = pair.wrapping_add(index << 2);
        }
        // T6 holds the index within the section.
        let at = start.wrapping_add(index) as usize;
        sum = sum.wrapping_add(i64::from(view.leaves.get(at).copied().unwrap_or_default()));
    }
    sum
}

/// The sum of the oblivious trees' leaves, by bins.
pub fn sum(view: &View<'_>, bins: &Bins) -> i64 {
    let mut sum = 0i64;
    let starts = view.leaf_starts.chunks_exact(BLOCK_TREES);
    for (block, starts) in view.blocks.iter().zip(starts) {
        let levels = view.levels_of(block);
        let (low, high) = levels.split_at_checked(8).unwrap_or((levels, &[]));
        let (low, high) = (index_bytes(low, bins), index_bytes(high, bins));
        for (start, (low, high)) in starts.iter().zip(low.into_iter().zip(high)) {
            let index = u32::from(u16::from_le_bytes([low, high]));
            let at = start.wrapping_add(index) as usize;
            // T6 holds the index within the section.
            sum = sum.wrapping_add(i64::from(view.leaves.get(at).copied().unwrap_or_default()));
        }
    }
    sum
}

/// Eight bits of the leaf indices of 64 trees.
#[inline]
fn index_bytes(levels: &[LevelRecord], bins: &Bins) -> [u8; BLOCK_TREES] {
    let mut indexes = [0u8; BLOCK_TREES];
    let mut bit = 1u8;
    for level in levels {
        let mut found = [0u8; BLOCK_TREES];
        for (found, lane) in found.iter_mut().zip(&level.lanes) {
            *found = bin(bins, *lane);
        }
        for ((index, bin), threshold) in indexes.iter_mut().zip(found).zip(&level.thresholds) {
            *index |= if bin > *threshold { bit } else { 0 };
        }
        bit <<= 1;
    }
    indexes
}
