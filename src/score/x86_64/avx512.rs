//! AVX-512 with VBMI: lookups of 64 bins at a time in registers.

use super::avx512_batch as batch;
#[cfg(emulated)]
use super::emulated::{_mm512_i32gather_epi32, _mm512_i32gather_ps, _mm512_i64gather_epi32};
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::score::portable::{self, Bins};
use crate::score::prepared::PreparedTable;
use crate::score::words::{Complete, Lists, Marks, Paths, SetSplit, Splits};
use crate::table::View;
use crate::table::format::ZERO_MAX;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LaneRecord, LevelRecord, OWN_BIN};
use std::arch::x86_64::*;

/// Whether this machine has the instructions.
pub(in crate::score) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// A row's margin, fixed point.
pub(in crate::score) fn margin(prepared: &PreparedTable, row: &Row) -> i64 {
    // SAFETY: K1 (a kernel runs only where it is `available`), made true by kernel::choose and
    // Kernel::margin.
    unsafe { margin_avx512(prepared, row) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn margin_avx512(prepared: &PreparedTable, row: &Row) -> i64 {
    let view = prepared.view();
    let bins = binarise(view, prepared.lane_positions(), row);
    view.bias
        .wrapping_add(oblivious(view, &bins))
        .wrapping_add(any(prepared, &bins))
}

/// The margins of rows, fixed point.
pub(in crate::score) fn margins(prepared: &PreparedTable, rows: &[Row], margins: &mut [i64]) {
    for (rows, margins) in rows
        .chunks(BATCH_ROWS_MAX)
        .zip(margins.chunks_mut(BATCH_ROWS_MAX))
    {
        let count = rows.len().min(margins.len());
        if count < batch::ROWS_MIN || !batch::fits(prepared) {
            for (row, to) in rows.iter().zip(margins) {
                *to = margin(prepared, row);
            }
        } else {
            // SAFETY: K1, as in `margin`.
            unsafe { batch::margins(prepared, rows, margins) };
        }
    }
}

/// Counts, for each lane, the borders below its value.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn binarise(view: &View<'_>, positions: &[u8; FEATURES_MAX], row: &Row) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let groups = Group::all(view, positions);
    for (group, bins) in groups.zip(bins.as_chunks_mut::<GROUP_LANES>().0) {
        store128(bins, group.bins(row));
    }
    bins
}

/// Sixteen lanes.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    lanes: &'a [LaneRecord; GROUP_LANES],
    positions: &'a [u8; GROUP_LANES],
    ranks: &'a [[f32; GROUP_LANES]],
}

impl<'a> Group<'a> {
    /// The groups of a table.
    #[inline]
    pub(super) fn all(
        view: &View<'a>,
        positions: &'a [u8; FEATURES_MAX],
    ) -> impl Iterator<Item = Group<'a>> {
        let lanes = view.lanes.as_chunks().0.iter();
        let places = lanes.zip(positions.as_chunks().0);
        let borders = view.borders;
        let groups = view.groups.iter().zip(places);
        groups.map(move |(group, (lanes, positions))| {
            let end = group.start.wrapping_add(group.ranks) as usize;
            // T4 holds the range within the section; an empty slice never comes.
            let ranks = borders.get(group.start as usize..end).unwrap_or_default();
            Group {
                lanes,
                positions,
                ranks,
            }
        })
    }

    /// The bins of a row.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
    pub(super) fn bins(&self, row: &Row) -> __m128i {
        let positions = _mm512_cvtepu8_epi32(load128(self.positions));
        // SAFETY: K2: a position is a byte, and a row has 256 values.
        let values = unsafe { _mm512_i32gather_ps::<4>(positions, row.values().as_ptr()) };
        let one = _mm512_set1_epi32(1);
        let mut counts = [_mm512_setzero_si512(); 2];
        let (pairs, last) = self.ranks.as_chunks::<2>();
        for pair in pairs {
            for (count, rank) in counts.iter_mut().zip(pair) {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, load_ps(rank));
                *count = _mm512_mask_add_epi32(*count, above, *count, one);
            }
        }
        let [mut count, other] = counts;
        for rank in last {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(values, load_ps(rank));
            count = _mm512_mask_add_epi32(count, above, count, one);
        }
        count = _mm512_add_epi32(count, other);
        // A lane's record is four bytes: feature, borders, missing_bin, zero_is_missing.
        let lanes = load(self.lanes);
        let tiny = _mm512_set1_ps(ZERO_MAX);
        let zeros = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(_mm512_abs_ps(values), tiny);
        let zeros = _mm512_mask_test_epi32_mask(zeros, lanes, _mm512_set1_epi32(0x0100_0000));
        let missing = zeros | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(values, values);
        let missing_bin = _mm512_srli_epi32::<16>(lanes);
        _mm512_cvtepi32_epi8(_mm512_mask_mov_epi32(count, missing, missing_bin))
    }
}

/// The sum of the oblivious trees' leaves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn oblivious(view: &View<'_>, bins: &Bins) -> i64 {
    match view.lanes.len() {
        0..=64 => oblivious_in::<1>(view, bins),
        65..=128 => oblivious_in::<2>(view, bins),
        129..=192 => oblivious_in::<3>(view, bins),
        _ => oblivious_in::<4>(view, bins),
    }
}

/// The same, with every lane in the first `REGISTERS` registers of the row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn oblivious_in<const REGISTERS: usize>(view: &View<'_>, bins: &Bins) -> i64 {
    let row = row_registers(bins);
    let mut sums = _mm512_setzero_si512();
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (block, starts) in view.blocks.iter().zip(starts) {
        let end = block.start.wrapping_add(block.levels) as usize;
        // T5 holds the range within the section.
        let levels = view
            .levels
            .get(block.start as usize..end)
            .unwrap_or_default();
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

/// The bins of 64 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn lookup<const REGISTERS: usize>(row: &[__m512i; 4], lanes: __m512i) -> __m512i {
    let [a, b, c, d] = *row;
    if REGISTERS == 1 {
        return _mm512_permutexvar_epi8(lanes, a);
    }
    let low = _mm512_permutex2var_epi8(a, lanes, b);
    if REGISTERS == 2 {
        return low;
    }
    let high = match REGISTERS {
        3 => _mm512_permutexvar_epi8(lanes, c),
        _ => _mm512_permutex2var_epi8(c, lanes, d),
    };
    _mm512_mask_blend_epi8(_mm512_movepi8_mask(lanes), low, high)
}

/// The sum of the leaves of trees of any shape.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn any(prepared: &PreparedTable, bins: &Bins) -> i64 {
    match prepared.view().lanes.len() {
        0..=64 => any_in::<1>(prepared, bins),
        65..=128 => any_in::<2>(prepared, bins),
        129..=192 => any_in::<3>(prepared, bins),
        _ => any_in::<4>(prepared, bins),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn any_in<const REGISTERS: usize>(prepared: &PreparedTable, bins: &Bins) -> i64 {
    let (view, words) = (prepared.view(), prepared.words());
    let mut sum = sum_of::<REGISTERS, false>(view, &words.plain, bins);
    if view.trees.len() > prepared.plain_trees() {
        let special = sum_of::<REGISTERS, true>(view, &words.special, bins);
        sum = sum.wrapping_add(special);
    }
    sum
}

/// The sum of the leaves of special trees, or of the others.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn sum_of<const REGISTERS: usize, const SPECIAL: bool>(
    view: &View<'_>,
    lists: &Lists,
    bins: &Bins,
) -> i64 {
    let row = row_registers(bins);
    let marked = |marks| Marked {
        marks,
        sets: &lists.sets,
        bins,
    };
    let mut sum = portable::walk::<SPECIAL>(view, &lists.rest, bins);
    for (at, pair) in lists.pairs.iter().enumerate() {
        let marked = marked(lists.pair_marks.get(at));
        let word = word::<REGISTERS, SPECIAL>(&row, &pair.splits, marked);
        let [low, high] = &pair.trees;
        sum = sum.wrapping_add(i64::from(leaf(low, word as u32)));
        sum = sum.wrapping_add(i64::from(leaf(high, (word >> 32) as u32)));
    }
    let (eights, last) = lists.complete.as_chunks::<COMPLETE>();
    let mut sums = _mm512_setzero_si512();
    let mut all_marks = lists.complete_marks.chunks(COMPLETE);
    for trees in eights {
        let all_marks = all_marks.next().unwrap_or_default();
        let mut words = [0u64; COMPLETE];
        for (at, (word, tree)) in words.iter_mut().zip(trees).enumerate() {
            let marked = marked(all_marks.get(at));
            *word = self::word::<REGISTERS, SPECIAL>(&row, &tree.splits, marked);
        }
        sums = _mm512_add_epi64(sums, complete(&words, trees));
    }
    sum = sum.wrapping_add(_mm512_reduce_add_epi64(sums));
    let last_marks = all_marks.next().unwrap_or_default();
    for (at, tree) in last.iter().enumerate() {
        let marked = marked(last_marks.get(at));
        let word = word::<REGISTERS, SPECIAL>(&row, &tree.splits, marked);
        let at = (0..6).fold(1, |at, _| (at << 1) | (word >> (at & 63) & 1));
        let value = tree.values.get(at as usize & 63);
        sum = sum.wrapping_add(i64::from(value.copied().unwrap_or_default()));
    }
    for (at, tree) in lists.wide.iter().enumerate() {
        let marked = marked(lists.wide_marks.get(at));
        let word = word::<REGISTERS, SPECIAL>(&row, &tree.splits, marked);
        let mut at = 0u8;
        for _ in 0..tree.depth {
            let side = (word >> (at & 63) & 1) as u8;
            let next = tree.children.get(usize::from((at << 1) | side));
            at = next.copied().unwrap_or_default();
        }
        let value = tree.values.get(usize::from(at & 63));
        sum = sum.wrapping_add(i64::from(value.copied().unwrap_or_default()));
    }
    sum
}

/// What the splits of special trees need besides the row's registers.
#[derive(Clone, Copy)]
struct Marked<'a> {
    marks: Option<&'a Marks>,
    sets: &'a [SetSplit],
    bins: &'a Bins,
}

/// The predicate word of up to 64 splits.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn word<const REGISTERS: usize, const SPECIAL: bool>(
    row: &[__m512i; 4],
    splits: &Splits,
    marked: Marked<'_>,
) -> u64 {
    let found = lookup::<REGISTERS>(row, load(&splits.lanes));
    let above = _mm512_cmpgt_epu8_mask(found, load(&splits.thresholds));
    let Some(marks) = marked.marks.filter(|_| SPECIAL) else {
        return above;
    };
    let own_bin = _mm512_set1_epi8(OWN_BIN as i8);
    let mut word = above & !_mm512_mask_cmpeq_epi8_mask(marks.lefts, found, own_bin);
    let sets = marks.start as usize..marks.end as usize;
    for split in marked.sets.get(sets).unwrap_or_default() {
        let bin = marked.bins.get(usize::from(split.lane)).copied();
        let right = portable::is_in(&split.set, bin.unwrap_or_default());
        word |= u64::from(right) << (split.bit & 63);
    }
    word
}

/// The leaf that a predicate word leads to: all leaves of the tree compare their paths with it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn leaf(tree: &Paths, word: u32) -> i32 {
    let word = _mm512_set1_epi32(word as i32);
    let mut found = 0u32;
    let halves = tree.bits.as_chunks::<16>().0.iter();
    for ((bits, masks), half) in halves.zip(tree.masks.as_chunks::<16>().0).zip([0, 16]) {
        let other = _mm512_xor_si512(word, load(bits));
        let own = _mm512_testn_epi32_mask(other, load(masks));
        found |= u32::from(own) << half;
    }
    let value = tree.values.get(found.trailing_zeros() as usize & 31);
    value.copied().unwrap_or_default()
}

/// Complete trees whose words are found before they walk.
const COMPLETE: usize = 32;

/// The sums of the leaves of trees of up to six levels: eight trees walk in one register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn complete(words: &[u64; COMPLETE], trees: &[Complete; COMPLETE]) -> __m512i {
    const STRIDE: i64 = size_of::<Complete>() as i64;
    // Leaf `l` is 64 + l.
    const VALUES: i64 = std::mem::offset_of!(Complete, values) as i64 - 64 * 4;
    let mut sums = _mm512_setzero_si512();
    let one = _mm512_set1_epi64(1);
    let numbers = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
    let records = _mm512_mullox_epi64(numbers, _mm512_set1_epi64(STRIDE));
    let first = _mm512_add_epi64(records, _mm512_set1_epi64(VALUES));
    let eights = words.as_chunks::<8>().0.iter();
    for (words, trees) in eights.zip(trees.as_chunks::<8>().0) {
        let words = load(words);
        let mut at = one;
        for _ in 0..6 {
            let right = _mm512_and_si512(_mm512_srlv_epi64(words, at), one);
            at = _mm512_add_epi64(_mm512_add_epi64(at, at), right);
        }
        let offsets = _mm512_add_epi64(_mm512_slli_epi64::<2>(at), first);
        // SAFETY: K2: six steps from 1 end at 64 to 127, whatever the words: element `i` reads one
        // of the 64 values of `trees[i]`.
        let leaves = unsafe { _mm512_i64gather_epi32::<1>(offsets, trees.as_ptr().cast()) };
        sums = _mm512_add_epi64(sums, _mm512_cvtepi32_epi64(leaves));
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f")]
fn row_registers(bins: &Bins) -> [__m512i; 4] {
    let mut registers = [_mm512_setzero_si512(); 4];
    for (register, bytes) in registers.iter_mut().zip(bins.as_chunks::<64>().0) {
        *register = load(bytes);
    }
    registers
}

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

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load<T: bytemuck::Pod>(from: &T) -> __m512i {
    const { assert!(size_of::<T>() == 64) };
    // SAFETY: K2: a reference to 64 plain bytes.
    unsafe { _mm512_loadu_si512(std::ptr::from_ref(from).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load_ps(from: &[f32; 16]) -> __m512 {
    // SAFETY: K2: a reference to 16 floats.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load128(from: &[u8; 16]) -> __m128i {
    // SAFETY: K2: a reference to 16 bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store<T: bytemuck::Pod>(to: &mut T, value: __m512i) {
    const { assert!(size_of::<T>() == 64) };
    // SAFETY: K2: an exclusive reference to 64 plain bytes.
    unsafe { _mm512_storeu_si512(std::ptr::from_mut(to).cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store128(to: &mut [u8; 16], value: __m128i) {
    // SAFETY: K2: an exclusive reference to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}
