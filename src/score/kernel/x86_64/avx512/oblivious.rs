//! Oblivious trees with AVX-512, one row.

#[cfg(emulated)]
use super::super::emulated::_mm512_i32gather_epi32;
use super::load;
use super::lookup::{lookup, row_registers};
use crate::score::layout::Bins;
use crate::table::View;
use crate::table::format::{BLOCK_TREES, LevelRecord};
use std::arch::x86_64::*;

/// The sum of the oblivious trees' leaves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub fn sum(view: &View<'_>, bins: &Bins) -> i64 {
    match view.lanes.len() {
        0..=64 => sum_in::<1>(view, bins),
        65..=128 => sum_in::<2>(view, bins),
        129..=192 => sum_in::<3>(view, bins),
        _ => sum_in::<4>(view, bins),
    }
}

/// The same; every lane is in the first `REGISTERS` registers of the row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn sum_in<const REGISTERS: usize>(view: &View<'_>, bins: &Bins) -> i64 {
    let row = row_registers(bins);
    let mut sums = _mm512_setzero_si512();
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (block, starts) in view.blocks.iter().zip(starts) {
        let levels = view.levels_of(block);
        let (low, high) = levels.split_at_checked(8).unwrap_or((levels, &[]));
        let low = index_byte::<REGISTERS>(&row, low);
        let mut index = quarters(low).map(|low| _mm512_cvtepu8_epi32(low));
        if !high.is_empty() {
            let high = quarters(index_byte::<REGISTERS>(&row, high));
            for (index, high) in index.iter_mut().zip(high) {
                let high = _mm512_slli_epi32::<8>(_mm512_cvtepu8_epi32(high));
                *index = _mm512_or_si512(*index, high);
            }
        }
        for (starts, index) in starts.as_chunks::<16>().0.iter().zip(index) {
            let at = _mm512_add_epi32(index, load(starts));
            // Scalar loads take a fifth longer, all in: see benches/kernels.rs.
            // SAFETY: T6 (the largest index that a tree's levels can form, added to its first
            // leaf, lies within the section), made true by validate::trees.
            let leaves = unsafe { _mm512_i32gather_epi32::<4>(at, view.leaves.as_ptr()) };
            sums = add_wide(sums, leaves);
        }
    }
    _mm512_reduce_add_epi64(sums)
}

/// Adds 16 leaves to eight sums.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_wide(sums: __m512i, leaves: __m512i) -> __m512i {
    let low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(leaves));
    let high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64::<1>(leaves));
    _mm512_add_epi64(sums, _mm512_add_epi64(low, high))
}

/// Eight bits of the leaf indices of 64 trees.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn index_byte<const REGISTERS: usize>(row: &[__m512i; 4], levels: &[LevelRecord]) -> __m512i {
    let mut index = _mm512_setzero_si512();
    let mut bit = _mm512_set1_epi8(1);
    for level in levels {
        let found = lookup::<REGISTERS>(row, load(&level.lanes));
        let right = _mm512_cmpgt_epu8_mask(found, load(&level.thresholds));
        index = _mm512_mask_add_epi8(index, right, index, bit);
        bit = _mm512_add_epi8(bit, bit);
    }
    index
}

/// The quarters of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(bytes: __m512i) -> [__m128i; 4] {
    [
        _mm512_extracti32x4_epi32::<0>(bytes),
        _mm512_extracti32x4_epi32::<1>(bytes),
        _mm512_extracti32x4_epi32::<2>(bytes),
        _mm512_extracti32x4_epi32::<3>(bytes),
    ]
}
