//! Lookups of bins with AVX2: 16 bins at a time.

use super::{load, load_twice};
use crate::limits::FEATURES_MAX;
use crate::score::layout::{Bins, Span};
use crate::table::format::{BLOCK_TREES, GROUP_LANES};
use std::arch::x86_64::*;

/// The bins of 64 lanes of a span; of lanes outside of it, anything.
///
/// A byte shuffle looks up 16 bins by the low half of a byte, and gives 0 if the byte is negative.
/// The first group is looked up as it is, each further one by its difference from the group before:
/// so the lookups of a lane in all groups up to its own, joined by xor, are its bin. After eight
/// groups the byte's range is used up, and a new chain begins.
///
/// A span's width is a constant of the code that looks it up: loops over a variable number of
/// groups take as long as the lookups.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub fn lookup(groups: &Groups<'_>, lanes: &[u8; BLOCK_TREES], span: Span) -> [__m256i; 2] {
    let lanes = halves(lanes).map(|lanes| load(lanes));
    let (first, end) = match cfg!(planted_slowdown) {
        // All groups: the planted slowdown of the manual's chapter on profiling, and of
        // `tools/lab/perf/instructions.sh --test`.
        true => (0, GROUPS),
        false => (usize::from(span.first), usize::from(span.end)),
    };
    let count = end.wrapping_sub(first);
    let Some(more) = count.checked_sub(CHAIN).filter(|more| *more > 0) else {
        return short(groups, lanes, first, count);
    };
    let [a, b] = chain::<CHAIN, 2>(groups, lanes, first);
    let [low, high] = short(groups, lanes, first.wrapping_add(CHAIN), more);
    [_mm256_xor_si256(a, low), _mm256_xor_si256(b, high)]
}

/// The most groups of a chain of lookups: a byte distinguishes no more, half of it negative.
const CHAIN: usize = 8;

/// The bins of those of 64 lanes that are in `count` groups, at most [`CHAIN`].
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn short(groups: &Groups<'_>, lanes: [__m256i; 2], first: usize, count: usize) -> [__m256i; 2] {
    match count {
        0 | 1 => chain::<1, 2>(groups, lanes, first),
        2 => chain::<2, 2>(groups, lanes, first),
        3 => chain::<3, 2>(groups, lanes, first),
        4 => chain::<4, 2>(groups, lanes, first),
        5 => chain::<5, 2>(groups, lanes, first),
        6 => chain::<6, 2>(groups, lanes, first),
        7 => chain::<7, 2>(groups, lanes, first),
        _ => chain::<8, 2>(groups, lanes, first),
    }
}

/// The bins of those lanes that are in `COUNT` groups; zero for lanes that are in the eight groups
/// before or after them.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub fn chain<const COUNT: usize, const REGISTERS: usize>(
    groups: &Groups<'_>,
    lanes: [__m256i; REGISTERS],
    first: usize,
) -> [__m256i; REGISTERS] {
    let sixteen = _mm256_set1_epi8(16);
    let start = _mm256_set1_epi8((first << 4) as i8);
    let mut at = lanes.map(|lanes| _mm256_sub_epi8(lanes, start));
    // A span's groups are below 16: the alternative never occurs.
    let table = load_twice(groups.bins.get(first).unwrap_or(&[0; 16]));
    let mut found = at.map(|at| _mm256_shuffle_epi8(table, at));
    let own = groups
        .differences
        .get(first..)
        .and_then(|all| all.first_chunk::<COUNT>());
    for difference in own.unwrap_or(&[[0; GROUP_LANES]; COUNT]).iter().skip(1) {
        let table = load_twice(difference);
        for (found, at) in found.iter_mut().zip(&mut at) {
            *at = _mm256_subs_epi8(*at, sixteen);
            *found = _mm256_xor_si256(*found, _mm256_shuffle_epi8(table, *at));
        }
    }
    found
}

/// Sixteen bins, or their differences from those of the group before.
type Group = [u8; GROUP_LANES];

/// A binarised row by groups: see [`lookup`].
pub struct Groups<'a> {
    bins: &'a [Group],
    differences: [Group; GROUPS],
}

/// Groups of a whole row.
const GROUPS: usize = FEATURES_MAX / GROUP_LANES;

impl<'a> Groups<'a> {
    /// Those of a row.
    #[inline]
    pub fn of(bins: &'a Bins) -> Groups<'a> {
        let bins = bins.as_chunks::<GROUP_LANES>().0;
        let mut differences = [[0; GROUP_LANES]; GROUPS];
        let pairs = bins.iter().zip(bins.iter().skip(1));
        for (difference, (before, own)) in differences.iter_mut().skip(1).zip(pairs) {
            for ((to, own), before) in difference.iter_mut().zip(own).zip(before) {
                *to = own ^ before;
            }
        }
        Groups { bins, differences }
    }
}

/// The halves of 64 bytes.
#[inline]
fn halves(bytes: &[u8; BLOCK_TREES]) -> [&[u8; 32]; 2] {
    let (low, high) = (bytes.first_chunk(), bytes.last_chunk());
    [low.unwrap_or(&[0; 32]), high.unwrap_or(&[0; 32])]
}
