//! Trees of any shape with AVX-512, one row: predicate words of up to 64 splits.

#[cfg(emulated)]
use super::super::emulated::_mm512_i64gather_epi32;
use super::load;
use super::lookup::{lookup, row_registers};
use crate::score::kernel::portable::trees::{is_in, walk};
use crate::score::layout::{
    Bins, Complete, Marks, Paths, PredicateWords, Prepared, SetSplit, Splits,
};
use crate::table::format::OWN_BIN;
use std::arch::x86_64::*;

/// The sum of the leaves of trees of any shape.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub fn sum(prepared: &Prepared, bins: &Bins) -> i64 {
    match prepared.view().lanes.len() {
        0..=64 => sum_in::<1>(prepared, bins),
        65..=128 => sum_in::<2>(prepared, bins),
        129..=192 => sum_in::<3>(prepared, bins),
        _ => sum_in::<4>(prepared, bins),
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn sum_in<const REGISTERS: usize>(prepared: &Prepared, bins: &Bins) -> i64 {
    let (view, layouts) = (prepared.view(), prepared.layouts());
    let (words, partition) = (&layouts.predicate_words, &layouts.partition);
    let plain = sum_of::<REGISTERS, false>(&words.plain, bins);
    let rest = walk::<false>(view, &partition.plain.rest, bins);
    let sum = plain.wrapping_add(rest);
    if prepared.special_trees().is_empty() {
        return sum;
    }
    let special = sum_of::<REGISTERS, true>(&words.special, bins);
    let rest = walk::<true>(view, &partition.special.rest, bins);
    sum.wrapping_add(special).wrapping_add(rest)
}

/// The sum of the leaves of special trees, or of plain ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn sum_of<const REGISTERS: usize, const SPECIAL: bool>(lists: &PredicateWords, bins: &Bins) -> i64 {
    let row = row_registers(bins);
    let marked = |marks| Marked {
        marks,
        sets: &lists.sets,
        bins,
    };
    let mut sum = 0i64;
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

/// The marks, sets and bins that the splits of special trees need next to the row's registers.
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
        let right = is_in(&split.set, bin.unwrap_or_default());
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

/// Complete trees whose words are found before they are walked.
const COMPLETE: usize = 32;

/// The sums of the leaves of trees of up to six levels: eight trees are walked in one register.
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
