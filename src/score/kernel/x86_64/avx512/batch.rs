//! Batches with AVX-512: up to 64 rows, one row per byte of a register.

use super::bins::Group;
use super::{load, store, store128};
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::score::kernel::portable::trees::walk;
use crate::score::layout::{Columns, OFFSET, Partition, Prepared, Shapes, Step};
use crate::table::View;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LevelRecord, MISSING_LEFT, OWN_BIN};
use std::arch::x86_64::*;

/// The fewest rows that are scored faster together.
const ROWS_MIN: usize = 20;

/// Trees whose leaves are summed in 16 bits before they are carried over: `256 × 255` fits.
const CARRY_TREES: usize = 256;

/// The same in blocks of oblivious trees.
const CARRY_BLOCKS: usize = CARRY_TREES / BLOCK_TREES;

/// Returns `true` if these rows are scored faster together: every leaf index fits a byte, and not
/// every tree is walked row by row.
pub fn pays(prepared: &Prepared, rows: &[Row]) -> bool {
    let Shapes { plain, special } = &prepared.layouts().partition;
    let fits = match prepared.view().blocks.first() {
        Some(deepest) => deepest.levels <= 8,
        None => !(plain.trees.is_empty() && special.trees.is_empty()),
    };
    rows.len() >= ROWS_MIN && fits
}

/// The margins of up to 64 rows, fixed point.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub fn margins(prepared: &Prepared, rows: &[Row], margins: &mut [i64]) {
    let view = prepared.view();
    let mut columns = [[0; BATCH_ROWS_MAX]; FEATURES_MAX];
    binarise(view, prepared.lane_positions(), rows, &mut columns);
    let offset = OFFSET.wrapping_mul(view.leaf_starts.len() as i64);
    let mut sums = [view.bias.wrapping_sub(offset); BATCH_ROWS_MAX];
    add_oblivious(view, &columns, &mut sums);
    add_trees(prepared, &columns, &mut sums);
    let Shapes { plain, special } = &prepared.layouts().partition;
    if !(plain.rest.is_empty() && special.rest.is_empty()) {
        for (at, sum) in sums.iter_mut().enumerate().take(rows.len()) {
            let bins = columns.map(|column| column.get(at).copied().unwrap_or_default());
            let plain = walk::<false>(view, &plain.rest, &bins);
            let special = walk::<true>(view, &special.rest, &bins);
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
fn add_oblivious(view: &View<'_>, columns: &Columns, sums: &mut [i64; BATCH_ROWS_MAX]) {
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    let mut blocks = view
        .blocks
        .chunks(CARRY_BLOCKS)
        .zip(starts.chunks(CARRY_BLOCKS));
    for (blocks, starts) in &mut blocks {
        let mut planes = ByteSums::new();
        for (block, starts) in blocks.iter().zip(starts) {
            let levels = view.levels_of(block);
            for (tree, start) in starts.iter().enumerate() {
                let index = leaf_indexes(levels, tree, columns);
                let leaves = view.leaves.get(*start as usize..).unwrap_or_default();
                planes.add(lookup(leaves, index, levels.len()));
            }
        }
        planes.carry(sums);
    }
}

/// Which bit of an index a level decides: leaves are in the order in which `leaf_planes` leaves
/// them.
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
fn leaf_planes(leaves: &[i32; 64]) -> [__m512i; 4] {
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
struct ByteSums {
    /// Of both bytes of each 16-bit pair, modulo 2^16.
    pairs: [__m512i; 4],
    /// Of each pair's upper byte: the odd rows.
    odd: [__m512i; 4],
}

impl ByteSums {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new() -> ByteSums {
        ByteSums {
            pairs: [_mm512_setzero_si512(); 4],
            odd: [_mm512_setzero_si512(); 4],
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(&mut self, leaves: [__m512i; 4]) {
        let sums = self.pairs.iter_mut().zip(&mut self.odd);
        for ((pairs, odd), leaf) in sums.zip(leaves) {
            *pairs = _mm512_add_epi16(*pairs, leaf);
            *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16::<8>(leaf));
        }
    }

    /// Adds the sums to those of the rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn carry(&self, sums: &mut [i64; BATCH_ROWS_MAX]) {
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

/// The index by which a leaf is found in the registers that [`leaf_planes`] makes: bits 2 and 3
/// change places with bits 4 and 5.
fn code(leaf: usize) -> u8 {
    let leaf = leaf as u8;
    leaf & 3 | (leaf & 12) << 2 | (leaf & 48) >> 2
}

/// Adds the leaves of the trees that have a [`Partition`] to the sums of 64 rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn add_trees(prepared: &Prepared, columns: &Columns, sums: &mut [i64; BATCH_ROWS_MAX]) {
    let (view, partition) = (prepared.view(), &prepared.layouts().partition);
    add::<false>(view, &partition.plain, columns, sums);
    add::<true>(view, &partition.special, columns, sums);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn add<const SPECIAL: bool>(
    view: &View<'_>,
    list: &Partition,
    columns: &Columns,
    sums: &mut [i64; BATCH_ROWS_MAX],
) {
    let codes: [u8; 64] = std::array::from_fn(code);
    let (codes, one) = (load(&codes), _mm512_set1_epi8(1));
    // The rows that reach each split, and from 64 on each leaf: one bit per row.
    let mut reach = [0u64; 128];
    for trees in list.trees.chunks(CARRY_TREES) {
        let mut planes = ByteSums::new();
        for tree in trees {
            let steps = list.steps.get(tree.start as usize..tree.end as usize);
            let steps = steps.unwrap_or_default();
            // Every row reaches the root, whether it is a split or a leaf.
            set(&mut reach, 0, u64::MAX);
            set(&mut reach, 64, u64::MAX);
            for (at, step) in (0u8..64).zip(steps) {
                let here = reach.get(usize::from(at & 63)).copied();
                let here = here.unwrap_or_default();
                let right = right::<SPECIAL>(view, columns, step, here);
                set(&mut reach, step.left, here ^ right);
                set(&mut reach, step.right, right);
            }
            // The first leaf's number is 0. Numbers are counted in a register and coded afterwards,
            // also because Bochs 2.7, on which this is tested, broadcasts a byte from memory under
            // a mask as if there were none (tests/gate/instructions.rs).
            let (mut leaf, mut number) = (_mm512_setzero_si512(), one);
            for here in reach.iter().skip(65).take(steps.len()) {
                leaf = _mm512_mask_mov_epi8(leaf, *here, number);
                number = _mm512_add_epi8(number, one);
            }
            let index = _mm512_permutexvar_epi8(leaf, codes);
            let leaves = leaf_planes(&tree.values);
            planes.add(leaves.map(|plane| _mm512_permutexvar_epi8(index, plane)));
        }
        planes.carry(sums);
        let offset = OFFSET.wrapping_mul(trees.len() as i64);
        for sum in sums.iter_mut() {
            *sum = sum.wrapping_sub(offset);
        }
    }
}

/// Writes rows to their place.
#[inline]
fn set(reach: &mut [u64; 128], place: u8, rows: u64) {
    if let Some(to) = reach.get_mut(usize::from(place & 127)) {
        *to = rows;
    }
}

/// Those of the rows at a split that go right.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn right<const SPECIAL: bool>(view: &View<'_>, columns: &Columns, step: &Step, here: u64) -> u64 {
    let Some(bins) = columns.get(usize::from(step.lane)) else {
        return 0;
    };
    let bins = load(bins);
    if SPECIAL && step.value > 0 {
        // T7 holds the set within the section.
        let set = view.sets.get((step.value as usize).wrapping_sub(1));
        return here & is_in(set.copied().unwrap_or_default(), bins);
    }
    let threshold = _mm512_set1_epi8(step.threshold as i8);
    let right = _mm512_mask_cmpgt_epu8_mask(here, bins, threshold);
    if SPECIAL && step.value == MISSING_LEFT {
        let own_bin = _mm512_set1_epi8(OWN_BIN as i8);
        return _mm512_mask_cmpneq_epi8_mask(right, bins, own_bin);
    }
    right
}

/// Which of 64 bins are in a set.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn is_in(set: [u64; 4], bins: __m512i) -> u64 {
    let [a, b, c, d] = set.map(|word| word as i64);
    let set = _mm512_setr_epi64(a, b, c, d, 0, 0, 0, 0);
    let bits = _mm512_set1_epi64(i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]));
    // A byte of the set by the bin's upper five bits, a bit of it by the lower three.
    let upper = _mm512_and_si512(_mm512_srli_epi16::<3>(bins), _mm512_set1_epi8(31));
    let byte = _mm512_permutexvar_epi8(upper, set);
    let lower = _mm512_and_si512(bins, _mm512_set1_epi8(7));
    _mm512_test_epi8_mask(byte, _mm512_shuffle_epi8(bits, lower))
}
