//! Oblivious trees with AVX2, one row.

use super::lookup::{Groups, lookup};
use super::{load, load64, store};
use crate::score::layout::{Prepared, Span};
use crate::table::View;
use crate::table::format::{BLOCK_TREES, LevelRecord};
use std::arch::x86_64::*;

/// Blocks whose leaves are looked for before any is loaded. With one, the loads of a block wait
/// for its own indexes, and the next block's indexes for them: see benches/kernels.rs.
const BLOCKS: usize = 4;

/// The sum of the oblivious trees' leaves.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub fn sum(prepared: &Prepared, groups: &Groups<'_>) -> i64 {
    let (view, spans) = (prepared.view(), &prepared.layouts().spans);
    let mut sum = 0i64;
    let mut at = [[0u32; BLOCK_TREES]; BLOCKS];
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (blocks, starts) in view.blocks.chunks(BLOCKS).zip(starts.chunks(BLOCKS)) {
        for ((block, starts), at) in blocks.iter().zip(starts).zip(&mut at) {
            let spans = spans.get(View::level_range(block)).unwrap_or_default();
            find_leaves(groups, view.levels_of(block), spans, starts, at);
        }
        // Through memory: else the compiler extracts each index from its register, or gathers.
        for at in std::hint::black_box(&at).iter().take(blocks.len()) {
            sum = sum.wrapping_add(leaves(view, at));
        }
    }
    sum
}

/// The positions of the leaves that a row reaches in 64 trees.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn find_leaves(
    groups: &Groups<'_>,
    levels: &[LevelRecord],
    spans: &[Span],
    starts: &[u32; BLOCK_TREES],
    at: &mut [u32; BLOCK_TREES],
) {
    let low = index_byte(groups, levels, spans);
    let places = at.as_chunks_mut::<8>().0.iter_mut();
    let places = places.zip(starts.as_chunks::<8>().0);
    for ((at, starts), low) in places.zip(low.as_chunks::<8>().0) {
        let index = _mm256_cvtepu8_epi32(load64(low));
        store(at, _mm256_add_epi32(index, load(starts)));
    }
    if let (Some(levels @ [_, ..]), Some(spans)) = (levels.get(8..), spans.get(8..)) {
        let high = index_byte(groups, levels, spans);
        let places = at.as_chunks_mut::<8>().0.iter_mut();
        for (at, high) in places.zip(high.as_chunks::<8>().0) {
            let high = _mm256_slli_epi32::<8>(_mm256_cvtepu8_epi32(load64(high)));
            let own = load(&*at);
            store(at, _mm256_add_epi32(own, high));
        }
    }
}

/// The sum of 64 leaves.
#[inline]
fn leaves(view: &View<'_>, at: &[u32; BLOCK_TREES]) -> i64 {
    let mut sums = [0i64; 4];
    for four in at.as_chunks::<4>().0 {
        for (sum, at) in sums.iter_mut().zip(four) {
            // SAFETY: T6 (the largest index that a tree's levels can form, added to its first
            // leaf, lies within the section), made true by validate::trees.
            let leaf = unsafe { *view.leaves.get_unchecked(*at as usize) };
            *sum = sum.wrapping_add(i64::from(leaf));
        }
    }
    sums.iter().fold(0, |sum, part| sum.wrapping_add(*part))
}

/// Eight bits of the leaf indices of 64 trees: of the first levels, at most eight.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn index_byte(groups: &Groups<'_>, levels: &[LevelRecord], spans: &[Span]) -> [u8; BLOCK_TREES] {
    let mut index = [_mm256_setzero_si256(); 2];
    let mut bit = _mm256_set1_epi8(1);
    for (level, span) in levels.iter().zip(spans).take(8) {
        let found = lookup(groups, &level.lanes, *span);
        let thresholds = level.thresholds.as_chunks::<32>().0.iter();
        for ((index, found), thresholds) in index.iter_mut().zip(found).zip(thresholds) {
            let thresholds = load(thresholds);
            let left = _mm256_cmpeq_epi8(_mm256_max_epu8(found, thresholds), thresholds);
            *index = _mm256_or_si256(*index, _mm256_andnot_si256(left, bit));
        }
        bit = _mm256_add_epi8(bit, bit);
    }
    let mut bytes = [0; BLOCK_TREES];
    for (bytes, index) in bytes.as_chunks_mut::<32>().0.iter_mut().zip(index) {
        store(bytes, index);
    }
    bytes
}
