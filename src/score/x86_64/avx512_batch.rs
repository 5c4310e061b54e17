//! AVX-512 with VBMI: batches of up to 64 rows, a row a byte of a register.

use super::avx512::{Group, load, store, store128};
use super::avx512_steps;
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::score::portable;
use crate::score::prepared::PreparedTable;
use crate::table::View;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LevelRecord};
use std::arch::x86_64::*;

/// Rows from which on a batch is faster than single rows.
pub(super) const ROWS_MIN: usize = 20;

/// Trees whose leaves are summed in 16 bits before they are carried over: `256 × 255` fits.
const CARRY_BLOCKS: usize = 256 / BLOCK_TREES;

/// Bins of 64 rows, by lane.
pub(super) type Columns = [[u8; BATCH_ROWS_MAX]; FEATURES_MAX];

/// Whether every leaf index fits a byte, and not every tree is walked row by row.
pub(super) fn fits(prepared: &PreparedTable) -> bool {
    let words = prepared.words();
    let stepped = [&words.plain.stepped, &words.special.stepped];
    match prepared.view().blocks.first() {
        Some(deepest) => deepest.levels <= 8,
        None => stepped.iter().any(|list| !list.trees.is_empty()),
    }
}

/// The margins of up to 64 rows, fixed point.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub(super) fn margins(prepared: &PreparedTable, rows: &[Row], margins: &mut [i64]) {
    let view = prepared.view();
    let mut columns = [[0; BATCH_ROWS_MAX]; FEATURES_MAX];
    binarise(view, prepared.lane_positions(), rows, &mut columns);
    let offset = OFFSET.wrapping_mul(view.leaf_starts.len() as i64);
    let mut sums = [view.bias.wrapping_sub(offset); BATCH_ROWS_MAX];
    oblivious(view, &columns, &mut sums);
    avx512_steps::add_stepped(prepared, &columns, &mut sums);
    let words = prepared.words();
    if !(words.plain.rest.is_empty() && words.special.rest.is_empty()) {
        for (at, sum) in sums.iter_mut().enumerate().take(rows.len()) {
            let bins = columns.map(|column| column.get(at).copied().unwrap_or_default());
            let plain = portable::walk::<false>(view, &words.plain.rest, &bins);
            let special = portable::walk::<true>(view, &words.special.rest, &bins);
            *sum = sum.wrapping_add(plain).wrapping_add(special);
        }
    }
    for (to, sum) in margins.iter_mut().zip(sums) {
        *to = sum;
    }
}

/// Counts, for each lane and row, the borders below its value.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn binarise(view: &View<'_>, positions: &[u8; FEATURES_MAX], rows: &[Row], columns: &mut Columns) {
    let columns = columns.as_chunks_mut::<GROUP_LANES>().0;
    for (group, columns) in Group::all(view, positions).zip(columns) {
        // Row `16q + i` is quarter `q` of register `i`.
        let mut tile = [[[0u8; GROUP_LANES]; 4]; 16];
        for (quarter, rows) in rows.chunks(16).enumerate() {
            for (register, row) in tile.iter_mut().zip(rows) {
                if let Some(to) = register.get_mut(quarter) {
                    store128(to, group.bins(row));
                }
            }
        }
        transpose(&tile, columns);
    }
}

/// Turns 64 rows of 16 bytes into 16 columns of 64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(tile: &[[[u8; GROUP_LANES]; 4]; 16], columns: &mut [[u8; 64]; GROUP_LANES]) {
    let mut registers = [_mm512_setzero_si512(); 16];
    for (register, rows) in registers.iter_mut().zip(tile) {
        *register = load(rows);
    }
    // Four perfect shuffles of 16 registers, within each quarter.
    for _ in 0..4 {
        let mut shuffled = [_mm512_setzero_si512(); 16];
        let (first, second) = registers.split_at(8);
        let pairs = shuffled.as_chunks_mut::<2>().0.iter_mut();
        for ([low, high], (a, b)) in pairs.zip(first.iter().zip(second)) {
            *low = _mm512_unpacklo_epi8(*a, *b);
            *high = _mm512_unpackhi_epi8(*a, *b);
        }
        registers = shuffled;
    }
    for (column, register) in columns.iter_mut().zip(registers) {
        store(column, register);
    }
}

/// Adds the oblivious trees' leaves of each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn oblivious(view: &View<'_>, columns: &Columns, sums: &mut [i64; BATCH_ROWS_MAX]) {
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    let mut blocks = view
        .blocks
        .chunks(CARRY_BLOCKS)
        .zip(starts.chunks(CARRY_BLOCKS));
    for (blocks, starts) in &mut blocks {
        let mut planes = Planes::new();
        for (block, starts) in blocks.iter().zip(starts) {
            let end = block.start.wrapping_add(block.levels) as usize;
            // T5 holds the range within the section.
            let levels = view
                .levels
                .get(block.start as usize..end)
                .unwrap_or_default();
            for (tree, start) in starts.iter().enumerate() {
                let index = leaf_indexes(levels, tree, columns);
                let leaves = view.leaves.get(*start as usize..).unwrap_or_default();
                planes.add(lookup(leaves, index, levels.len()));
            }
        }
        planes.carry(sums);
    }
}

/// What byte planes add to a leaf, so that they have no sign.
pub(super) const OFFSET: i64 = 1 << 31;

/// Which bit of an index a level decides: leaves stand in the order that `leaf_planes` leaves
/// them in.
const WEIGHTS: [i8; 8] = [1, 2, 16, 32, 4, 8, 64, -128];

/// The leaf indices of 64 rows in one tree.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn leaf_indexes(levels: &[LevelRecord], tree: usize, columns: &Columns) -> __m512i {
    let mut index = _mm512_setzero_si512();
    for (level, weight) in levels.iter().zip(WEIGHTS) {
        let lane = level.lanes.get(tree).copied().unwrap_or_default();
        let threshold = level.thresholds.get(tree).copied().unwrap_or_default();
        if let Some(bins) = columns.get(usize::from(lane)) {
            let threshold = _mm512_set1_epi8(threshold as i8);
            let right = _mm512_cmpgt_epu8_mask(load(bins), threshold);
            index = _mm512_mask_add_epi8(index, right, index, _mm512_set1_epi8(weight));
        }
    }
    index
}

/// The leaves of 64 rows, a byte plane a register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn lookup(leaves: &[i32], index: __m512i, levels: usize) -> [__m512i; 4] {
    let mut found = first_planes(leaves).map(|plane| _mm512_permutexvar_epi8(index, plane));
    if levels > 6 {
        for (part, leaves) in (0i8..4).zip(leaves.chunks(64)).skip(1) {
            let top = _mm512_and_si512(index, _mm512_set1_epi8(-64));
            let own = _mm512_cmpeq_epi8_mask(top, _mm512_set1_epi8(part << 6));
            for (found, plane) in found.iter_mut().zip(first_planes(leaves)) {
                *found = _mm512_mask_permutexvar_epi8(*found, own, index, plane);
            }
        }
    }
    found
}

/// The byte planes of the first 64 leaves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn first_planes(leaves: &[i32]) -> [__m512i; 4] {
    if let Some(leaves) = leaves.first_chunk() {
        return leaf_planes(leaves);
    }
    let mut padded = [0; 64];
    for (to, leaf) in padded.iter_mut().zip(leaves) {
        *to = *leaf;
    }
    leaf_planes(&padded)
}

/// Byte `b` of 64 leaves plus [`OFFSET`] in register `b`; bits 2 and 3 of the leaf indices change
/// places with bits 4 and 5.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub(super) fn leaf_planes(leaves: &[i32; 64]) -> [__m512i; 4] {
    // Within each four leaves: their lowest bytes, then the next.
    let by_byte = _mm512_set4_epi32(0x0f0b_0703, 0x0e0a_0602, 0x0d09_0501, 0x0c08_0400);
    let mut quarters = [_mm512_setzero_si512(); 4];
    for (quarter, leaves) in quarters.iter_mut().zip(leaves.as_chunks::<16>().0) {
        *quarter = _mm512_shuffle_epi8(load(leaves), by_byte);
    }
    let [a, b, c, d] = quarters;
    let low = [_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d)];
    let high = [_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d)];
    let top = _mm512_unpackhi_epi64(high[0], high[1]);
    [
        _mm512_unpacklo_epi64(low[0], low[1]),
        _mm512_unpackhi_epi64(low[0], low[1]),
        _mm512_unpacklo_epi64(high[0], high[1]),
        _mm512_xor_si512(top, _mm512_set1_epi8(i8::MIN)),
    ]
}

/// Sums of the four bytes of up to 256 leaves of 64 rows.
pub(super) struct Planes {
    /// Of both bytes of each 16-bit pair, modulo 2^16.
    pairs: [__m512i; 4],
    /// Of each pair's upper byte: the odd rows.
    odd: [__m512i; 4],
}

impl Planes {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn new() -> Planes {
        Planes {
            pairs: [_mm512_setzero_si512(); 4],
            odd: [_mm512_setzero_si512(); 4],
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn add(&mut self, leaves: [__m512i; 4]) {
        let sums = self.pairs.iter_mut().zip(&mut self.odd);
        for ((pairs, odd), leaf) in sums.zip(leaves) {
            *pairs = _mm512_add_epi16(*pairs, leaf);
            *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16::<8>(leaf));
        }
    }

    /// Adds the sums to those of the rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn carry(&self, sums: &mut [i64; BATCH_ROWS_MAX]) {
        let planes = [0, 8, 16, 24]
            .into_iter()
            .zip(self.pairs.iter().zip(&self.odd));
        for (shift, (pairs, odd)) in planes {
            let even = _mm512_sub_epi16(*pairs, _mm512_slli_epi16::<8>(*odd));
            let mut columns = [[0u16; 32]; 2];
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
