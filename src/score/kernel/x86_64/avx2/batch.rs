//! Batches with AVX2: up to 64 rows, one row per byte of a register.
//!
//! As on AVX-512, each byte of a tree's leaves is looked up in registers apart from the others, and
//! summed in 16 bits. Here a register holds 32 rows, and a lookup 16 leaves: see [`BytePlanes`].

use super::bins::binarise;
use super::{load, load_twice, store};
use crate::limits::BATCH_ROWS_MAX;
use crate::row::Row;
use crate::score::kernel::portable::batch::{self as portable, Batch};
use crate::score::layout::{BytePlanes, Columns, OFFSET, Prepared, deep_blocks};
use crate::table::format::{BLOCK_TREES, LevelRecord};
use std::arch::x86_64::*;

/// Rows of a register.
const ROWS: usize = 32;

/// Blocks whose leaves are summed in 16 bits before they are carried over: `256 × 255` fits.
const CARRY_BLOCKS: usize = 256 / BLOCK_TREES;

/// The margins of up to 64 rows, fixed point.
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub fn margins(prepared: &Prepared, rows: &[Row], margins: &mut [i64]) {
    let view = prepared.view();
    let mut batch = Batch::new();
    for (at, row) in rows.iter().enumerate() {
        let bins = binarise(view, prepared.lane_positions(), row);
        batch.put(prepared, at, &bins);
    }
    let Batch { columns, sums } = &mut batch;
    portable::add_oblivious(view, deep_blocks(view), columns, sums);
    add_oblivious(prepared, columns, sums, rows.len());
    batch.add_trees(prepared);
    for (to, sum) in margins.iter_mut().zip(batch.sums) {
        *to = sum;
    }
}

/// Adds the leaves of the oblivious trees that have byte planes to the first `rows` rows.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn add_oblivious(
    prepared: &Prepared,
    columns: &Columns,
    sums: &mut [i64; BATCH_ROWS_MAX],
    rows: usize,
) {
    for (half, sums) in (0usize..).zip(sums.as_chunks_mut::<ROWS>().0) {
        if half.wrapping_mul(ROWS) < rows {
            add_half(prepared, columns, sums, half);
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn add_half(prepared: &Prepared, columns: &Columns, sums: &mut [i64; ROWS], half: usize) {
    let view = prepared.view();
    let blocks = view.blocks.get(deep_blocks(view)..).unwrap_or_default();
    let planes = &prepared.layouts().byte_planes;
    let parts = blocks.chunks(CARRY_BLOCKS);
    for (blocks, planes) in parts.zip(planes.chunks(CARRY_BLOCKS.wrapping_mul(BLOCK_TREES))) {
        let mut carried = Sums::new();
        for (block, planes) in blocks.iter().zip(planes.as_chunks::<BLOCK_TREES>().0) {
            let levels = view.levels_of(block);
            match levels.len() {
                0 => add_block::<0>(&mut carried, levels, columns, planes, half),
                1 => add_block::<1>(&mut carried, levels, columns, planes, half),
                2 => add_block::<2>(&mut carried, levels, columns, planes, half),
                3 => add_block::<3>(&mut carried, levels, columns, planes, half),
                4 => add_block::<4>(&mut carried, levels, columns, planes, half),
                5 => add_block::<5>(&mut carried, levels, columns, planes, half),
                _ => add_block::<6>(&mut carried, levels, columns, planes, half),
            }
        }
        carried.carry(sums);
        let offset = OFFSET.wrapping_mul(planes.len() as i64);
        for sum in sums.iter_mut() {
            *sum = sum.wrapping_sub(offset);
        }
    }
}

/// Adds the leaves of the 64 trees of a block of `LEVELS` levels.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn add_block<const LEVELS: usize>(
    sums: &mut Sums,
    levels: &[LevelRecord],
    columns: &Columns,
    planes: &[BytePlanes; BLOCK_TREES],
    half: usize,
) {
    let Some(levels) = levels.first_chunk::<LEVELS>() else {
        return;
    };
    for (tree, planes) in planes.iter().enumerate() {
        let mut index = _mm256_setzero_si256();
        let mut bit = _mm256_set1_epi8(1);
        for level in levels {
            let lane = level.lanes.get(tree).copied().unwrap_or_default();
            let threshold = level.thresholds.get(tree).copied().unwrap_or_default();
            // No closures: one that is not inlined spills every register that sums.
            if let Some(column) = columns.get(usize::from(lane))
                && let Some(bins) = column.as_chunks::<ROWS>().0.get(half)
            {
                let threshold = _mm256_set1_epi8(threshold as i8);
                let left = _mm256_cmpeq_epi8(_mm256_max_epu8(load(bins), threshold), threshold);
                index = _mm256_or_si256(index, _mm256_andnot_si256(left, bit));
            }
            bit = _mm256_add_epi8(bit, bit);
        }
        sums.add(planes, index);
    }
}

/// Sums of the four bytes of up to 256 leaves of 32 rows.
struct Sums {
    /// Of both bytes of each 16-bit pair, modulo 2^16.
    pairs: [__m256i; 4],
    /// Of each pair's upper byte: the odd rows.
    odd: [__m256i; 4],
}

impl Sums {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Sums {
        Sums {
            pairs: [_mm256_setzero_si256(); 4],
            odd: [_mm256_setzero_si256(); 4],
        }
    }

    /// Adds a tree's leaves by their indexes, which are below 64. A byte shuffle gives 0 if the
    /// index is negative, and else uses its lowest four bits: so the lookups in all quarters up to
    /// an index's own, joined by xor, are its byte.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn add(&mut self, planes: &BytePlanes, index: __m256i) {
        let sixteen = _mm256_set1_epi8(16);
        let second = _mm256_sub_epi8(index, sixteen);
        let third = _mm256_sub_epi8(second, sixteen);
        let at = [index, second, third, _mm256_sub_epi8(third, sixteen)];
        let sums = self.pairs.iter_mut().zip(&mut self.odd);
        for ((pairs, odd), plane) in sums.zip(planes) {
            let mut found = _mm256_setzero_si256();
            for (quarter, at) in plane.iter().zip(at) {
                let own = _mm256_shuffle_epi8(load_twice(quarter), at);
                found = _mm256_xor_si256(found, own);
            }
            *pairs = _mm256_add_epi16(*pairs, found);
            *odd = _mm256_add_epi16(*odd, _mm256_srli_epi16::<8>(found));
        }
    }

    /// Adds the sums to those of the rows.
    #[inline]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn carry(&self, sums: &mut [i64; ROWS]) {
        let planes = [0, 8, 16, 24].into_iter();
        for (shift, (pairs, odd)) in planes.zip(self.pairs.iter().zip(&self.odd)) {
            let even = _mm256_sub_epi16(*pairs, _mm256_slli_epi16::<8>(*odd));
            let mut columns = [[0u16; 16]; 2];
            for (column, register) in columns.iter_mut().zip([even, *odd]) {
                store(column, register);
            }
            let [even, odd] = columns;
            for ((pair, even), odd) in sums.as_chunks_mut::<2>().0.iter_mut().zip(even).zip(odd) {
                for (sum, bytes) in pair.iter_mut().zip([even, odd]) {
                    *sum = sum.wrapping_add(i64::from(bytes) << shift);
                }
            }
        }
    }
}
