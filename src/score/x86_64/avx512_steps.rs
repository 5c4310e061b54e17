//! AVX-512 with VBMI: batches of trees of any shape, a row a byte of a register.

use super::avx512::load;
use super::avx512_batch::{Columns, OFFSET, Planes, leaf_planes};
use crate::limits::BATCH_ROWS_MAX;
use crate::score::prepared::PreparedTable;
use crate::score::steps::{Step, Stepped};
use crate::table::View;
use crate::table::format::{MISSING_LEFT, OWN_BIN};
use std::arch::x86_64::*;

/// Trees whose leaves are summed in 16 bits before they are carried over: `256 × 255` fits.
const CARRY_TREES: usize = 256;

/// The index by which a leaf is found in the registers that [`leaf_planes`] makes: bits 2 and 3
/// change places with bits 4 and 5.
fn code(leaf: usize) -> u8 {
    let leaf = leaf as u8;
    leaf & 3 | (leaf & 12) << 2 | (leaf & 48) >> 2
}

/// Adds the leaves of all stepped trees to the sums of 64 rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub(super) fn add_stepped(
    prepared: &PreparedTable,
    columns: &Columns,
    sums: &mut [i64; BATCH_ROWS_MAX],
) {
    let words = prepared.words();
    add::<false>(prepared.view(), &words.plain.stepped, columns, sums);
    add::<true>(prepared.view(), &words.special.stepped, columns, sums);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
fn add<const SPECIAL: bool>(
    view: &View<'_>,
    list: &Stepped,
    columns: &Columns,
    sums: &mut [i64; BATCH_ROWS_MAX],
) {
    let codes: [u8; 64] = std::array::from_fn(code);
    let (codes, one) = (load(&codes), _mm512_set1_epi8(1));
    // The rows that come to each split, and from 64 on to each leaf, a bit each.
    let mut reach = [0u64; 128];
    for trees in list.trees.chunks(CARRY_TREES) {
        let mut planes = Planes::new();
        for tree in trees {
            let steps = list.steps.get(tree.start as usize..tree.end as usize);
            let steps = steps.unwrap_or_default();
            // Every row comes to the root, be it a split or a leaf.
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

/// Puts rows in their place.
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
