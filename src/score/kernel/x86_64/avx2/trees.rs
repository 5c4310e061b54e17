//! Deep trees of any shape with AVX2, one row: predicate words of four trees at a time.

use super::lookup::{Groups, chain};
use super::{load, load_four, store_four};
use crate::score::layout::{Paths, QUADS_TREES, Quads, Register};
use std::arch::x86_64::*;

/// Four bytes of each of four trees.
type Four = [u32; 4];

/// The sum of the leaves of the trees.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub fn sum(groups: &Groups<'_>, quads: &[Quads]) -> i64 {
    let mut sum = 0i64;
    for quads in quads {
        let mut fours = [[0; 4]; QUADS_TREES / 4];
        find(groups, quads, &mut fours);
        // Through memory: bytes are written, and words are read.
        let fours = std::hint::black_box(&fours);
        for (four, paths) in fours.iter().zip(quads.paths.as_chunks::<4>().0) {
            let words = transposed(four);
            for (word, paths) in std::hint::black_box(&words).iter().zip(paths) {
                sum = sum.wrapping_add(i64::from(leaf(paths, *word)));
            }
        }
    }
    sum
}

/// Decides all splits of some quads.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn find(groups: &Groups<'_>, quads: &Quads, fours: &mut [Four; QUADS_TREES / 4]) {
    let mut start = 0;
    for (count, end) in quads.ends.iter().enumerate() {
        let registers = quads.registers.get(start..*end).unwrap_or_default();
        start = *end;
        match count {
            0 | 1 => decide::<1, 0>(groups, registers, fours),
            2 => decide::<2, 0>(groups, registers, fours),
            3 => decide::<3, 0>(groups, registers, fours),
            4 => decide::<4, 0>(groups, registers, fours),
            5 => decide::<5, 0>(groups, registers, fours),
            6 => decide::<6, 0>(groups, registers, fours),
            7 => decide::<7, 0>(groups, registers, fours),
            8 => decide::<8, 0>(groups, registers, fours),
            9 => decide::<8, 1>(groups, registers, fours),
            10 => decide::<8, 2>(groups, registers, fours),
            11 => decide::<8, 3>(groups, registers, fours),
            12 => decide::<8, 4>(groups, registers, fours),
            13 => decide::<8, 5>(groups, registers, fours),
            14 => decide::<8, 6>(groups, registers, fours),
            15 => decide::<8, 7>(groups, registers, fours),
            _ => decide::<8, 8>(groups, registers, fours),
        }
    }
}

/// Decides the splits of registers whose lanes are in `COUNT` groups, and in `MORE` beyond the
/// eighth.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn decide<const COUNT: usize, const MORE: usize>(
    groups: &Groups<'_>,
    registers: &[Register],
    fours: &mut [Four; QUADS_TREES / 4],
) {
    for register in registers {
        let lanes = [load(&register.lanes)];
        let first = usize::from(register.span.first);
        let [mut found] = chain::<COUNT, 1>(groups, lanes, first);
        if MORE > 0 {
            let [more] = chain::<MORE, 1>(groups, lanes, first.wrapping_add(COUNT));
            found = _mm256_xor_si256(found, more);
        }
        let thresholds = load(&register.thresholds);
        let left = _mm256_cmpeq_epi8(_mm256_max_epu8(found, thresholds), thresholds);
        let place = usize::from(register.place);
        if let Some(to) = fours.as_flattened_mut().get_mut(place) {
            *to = !_mm256_movemask_epi8(left) as u32;
        }
    }
}

/// The words of four trees: byte `i` of word `j` is byte `j` of what register `i` found.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn transposed(four: &Four) -> Four {
    let order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let mut words = [0; 4];
    store_four(&mut words, _mm_shuffle_epi8(load_four(four), order));
    words
}

/// The leaf that a predicate word leads to: all leaves of the tree compare their paths with it.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn leaf(paths: &Paths, word: u32) -> i32 {
    let word = _mm256_set1_epi32(word as i32);
    let mut found = [_mm256_setzero_si256(); 4];
    let eights = paths.masks.as_chunks::<8>().0.iter();
    let eights = eights.zip(paths.bits.as_chunks::<8>().0);
    for (found, (masks, bits)) in found.iter_mut().zip(eights) {
        *found = _mm256_cmpeq_epi32(_mm256_and_si256(word, load(masks)), load(bits));
    }
    let [a, b, c, d] = found;
    let pairs = (_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
    let found = _mm256_movemask_epi8(_mm256_packs_epi16(pairs.0, pairs.1)) as u32;
    let value = paths.values.get(found.trailing_zeros() as usize & 31);
    value.copied().unwrap_or_default()
}
