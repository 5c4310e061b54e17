//! AVX2: eight floats at a time, and lookups among 16 bins.

use super::{avx2_batch, avx2_words};
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX};
use crate::row::Row;
use crate::score::planes::deep_blocks;
use crate::score::portable::{self, Bins};
use crate::score::portable_batch::{self, Batch};
use crate::score::predicates::Span;
use crate::score::prepared::PreparedTable;
use crate::table::View;
use crate::table::format::ZERO_MAX;
use crate::table::format::{BLOCK_TREES, GROUP_LANES, LaneRecord, LevelRecord};
use std::arch::x86_64::*;

/// Whether this machine has the instructions.
pub(in crate::score) fn available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
}

/// A row's margin, fixed point.
pub(in crate::score) fn margin(prepared: &PreparedTable, row: &Row) -> i64 {
    // SAFETY: K1 (a kernel runs only where it is `available`), made true by kernel::choose and
    // Kernel::margin.
    unsafe { margin_avx2(prepared, row) }
}

/// The margins of rows, fixed point.
pub(in crate::score) fn margins(prepared: &PreparedTable, rows: &[Row], margins: &mut [i64]) {
    let chunks = rows.chunks(BATCH_ROWS_MAX);
    for (rows, margins) in chunks.zip(margins.chunks_mut(BATCH_ROWS_MAX)) {
        if portable_batch::pays(prepared, rows) {
            // SAFETY: K1, as in `margin`.
            unsafe { batch(prepared, rows, margins) };
        } else {
            for (row, to) in rows.iter().zip(margins) {
                *to = margin(prepared, row);
            }
        }
    }
}

/// The margins of up to 64 rows, fixed point.
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn batch(prepared: &PreparedTable, rows: &[Row], margins: &mut [i64]) {
    let view = prepared.view();
    let mut batch = Batch::new();
    for (at, row) in rows.iter().enumerate() {
        let bins = binarise(view, prepared.lane_positions(), row);
        batch.put(prepared, at, &bins);
    }
    batch.add_oblivious(prepared, deep_blocks(view));
    avx2_batch::add_oblivious(prepared, &batch.columns, &mut batch.sums, rows.len());
    batch.add_stepped(prepared);
    for (to, sum) in margins.iter_mut().zip(batch.sums) {
        *to = sum;
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn margin_avx2(prepared: &PreparedTable, row: &Row) -> i64 {
    let view = prepared.view();
    let bins = binarise(view, prepared.lane_positions(), row);
    let steps = Steps::of(&bins);
    view.bias
        .wrapping_add(oblivious(prepared, &steps))
        .wrapping_add(avx2_words::sum(&steps, &prepared.words().plain.fours))
        .wrapping_add(portable::any_but_deep(prepared, &bins))
}

/// Counts, for each lane, the borders below its value.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn binarise(view: &View<'_>, positions: &[u8; FEATURES_MAX], row: &Row) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let lanes = view.lanes.as_chunks::<GROUP_LANES>().0.iter();
    let positions = positions.as_chunks::<GROUP_LANES>().0.iter();
    let places = positions.zip(bins.as_chunks_mut::<GROUP_LANES>().0);
    for ((group, lanes), (positions, bins)) in view.groups.iter().zip(lanes).zip(places) {
        // T4 holds the range within the section; an empty slice never comes.
        let end = group.start.wrapping_add(group.ranks) as usize;
        let ranks = view
            .borders
            .get(group.start as usize..end)
            .unwrap_or_default();
        let mut values = [0.0f32; GROUP_LANES];
        for (value, position) in values.iter_mut().zip(positions) {
            *value = row.get(*position);
        }
        let [first, second] = halves_of(&values);
        let mut counts = [_mm256_setzero_si256(); 2];
        for rank in ranks {
            let [low, high] = halves_of(rank);
            // A comparison that holds is -1.
            let low = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(first, low));
            let high = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(second, high));
            counts = [
                _mm256_sub_epi32(counts[0], low),
                _mm256_sub_epi32(counts[1], high),
            ];
        }
        let low = with_missing(counts[0], first, lanes.first_chunk());
        let high = with_missing(counts[1], second, lanes.last_chunk());
        // Packing works within 128 bits; the quarters' order is restored once.
        let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
        let words = (
            _mm256_castsi256_si128(words),
            _mm256_extracti128_si256::<1>(words),
        );
        store128(bins, _mm_packus_epi16(words.0, words.1));
    }
    bins
}

/// Puts the bin of a missing value where the value is missing.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn with_missing(counts: __m256i, values: __m256, lanes: Option<&[LaneRecord; 8]>) -> __m256i {
    // A lane's record is four bytes: feature, borders, missing_bin, zero_is_missing.
    let lanes = lanes.map_or(_mm256_setzero_si256(), |lanes| load(lanes));
    let magnitudes = _mm256_andnot_ps(_mm256_set1_ps(-0.0), values);
    let tiny = _mm256_cmp_ps::<_CMP_LE_OQ>(magnitudes, _mm256_set1_ps(ZERO_MAX));
    let zeros = _mm256_cmpgt_epi32(_mm256_srli_epi32::<24>(lanes), _mm256_setzero_si256());
    let zeros = _mm256_and_si256(_mm256_castps_si256(tiny), zeros);
    let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(values, values));
    let missing = _mm256_or_si256(nan, zeros);
    let bins = _mm256_and_si256(_mm256_srli_epi32::<16>(lanes), _mm256_set1_epi32(0xff));
    _mm256_blendv_epi8(counts, bins, missing)
}

/// Blocks whose leaves are looked for before any is loaded. With one, the loads of a block wait
/// for its own indexes, and the next block's indexes for them: see benches/kernels.rs.
const BLOCKS: usize = 4;

/// The sum of the oblivious trees' leaves.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn oblivious(prepared: &PreparedTable, steps: &Steps<'_>) -> i64 {
    let view = prepared.view();
    let mut sum = 0i64;
    let mut at = [[0u32; BLOCK_TREES]; BLOCKS];
    let starts = view.leaf_starts.as_chunks::<BLOCK_TREES>().0;
    for (blocks, starts) in view.blocks.chunks(BLOCKS).zip(starts.chunks(BLOCKS)) {
        for ((block, starts), at) in blocks.iter().zip(starts).zip(&mut at) {
            let end = block.start.wrapping_add(block.levels) as usize;
            let own = block.start as usize..end;
            // T5 holds the range within the section.
            let levels = view.levels.get(own.clone()).unwrap_or_default();
            let spans = prepared.predicates().spans.get(own).unwrap_or_default();
            find_leaves(steps, levels, spans, starts, at);
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
    steps: &Steps<'_>,
    levels: &[LevelRecord],
    spans: &[Span],
    starts: &[u32; BLOCK_TREES],
    at: &mut [u32; BLOCK_TREES],
) {
    let low = index_byte(steps, levels, spans);
    let places = at.as_chunks_mut::<8>().0.iter_mut();
    let places = places.zip(starts.as_chunks::<8>().0);
    for ((at, starts), low) in places.zip(low.as_chunks::<8>().0) {
        let index = _mm256_cvtepu8_epi32(load64(low));
        store(at, _mm256_add_epi32(index, load(starts)));
    }
    if let (Some(levels @ [_, ..]), Some(spans)) = (levels.get(8..), spans.get(8..)) {
        let high = index_byte(steps, levels, spans);
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
fn index_byte(steps: &Steps<'_>, levels: &[LevelRecord], spans: &[Span]) -> [u8; BLOCK_TREES] {
    let mut index = [_mm256_setzero_si256(); 2];
    let mut bit = _mm256_set1_epi8(1);
    for (level, span) in levels.iter().zip(spans).take(8) {
        let found = lookup(steps, &level.lanes, *span);
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

/// The bins of 64 lanes of a span; of lanes outside of it, anything. A byte shuffle looks up 16
/// bins by the low half of a byte, and gives 0 where the byte is negative. The first group is
/// looked up as it is, each further one by what differs from the one before: so the lookups of a
/// lane in all groups up to its own, joined by xor, are its bin. After eight groups the
/// byte's range is used up, and a new chain begins.
///
/// A span's width is a constant of the code that looks it up: loops that end after so many groups
/// as the level has take as long as the lookups.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn lookup(steps: &Steps<'_>, lanes: &[u8; BLOCK_TREES], span: Span) -> [__m256i; 2] {
    let lanes = halves(lanes).map(|lanes| load(lanes));
    // The slowdown that the manual's chapter on profiling looks for: through all groups.
    let (first, end) = match cfg!(planted_slowdown) {
        // All groups: what the manual's chapter on profiling looks for, and the gate's own test.
        true => (0, GROUPS),
        false => (usize::from(span.first), usize::from(span.end)),
    };
    let groups = end.wrapping_sub(first);
    let Some(more) = groups.checked_sub(CHAIN).filter(|more| *more > 0) else {
        return short(steps, lanes, first, groups);
    };
    let [a, b] = chain::<CHAIN, 2>(steps, lanes, first);
    let [low, high] = short(steps, lanes, first.wrapping_add(CHAIN), more);
    [_mm256_xor_si256(a, low), _mm256_xor_si256(b, high)]
}

/// Groups of a chain of lookups: those that a byte tells apart, half of it negative.
const CHAIN: usize = 8;

/// The bins of those of 64 lanes that are in so many groups, at most [`CHAIN`].
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
fn short(steps: &Steps<'_>, lanes: [__m256i; 2], first: usize, groups: usize) -> [__m256i; 2] {
    match groups {
        0 | 1 => chain::<1, 2>(steps, lanes, first),
        2 => chain::<2, 2>(steps, lanes, first),
        3 => chain::<3, 2>(steps, lanes, first),
        4 => chain::<4, 2>(steps, lanes, first),
        5 => chain::<5, 2>(steps, lanes, first),
        6 => chain::<6, 2>(steps, lanes, first),
        7 => chain::<7, 2>(steps, lanes, first),
        _ => chain::<8, 2>(steps, lanes, first),
    }
}

/// The bins of those lanes that are in so many groups; zero for lanes that are in the eight
/// groups before or after them.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn chain<const GROUPS: usize, const REGISTERS: usize>(
    steps: &Steps<'_>,
    lanes: [__m256i; REGISTERS],
    first: usize,
) -> [__m256i; REGISTERS] {
    let sixteen = _mm256_set1_epi8(16);
    let start = _mm256_set1_epi8((first << 4) as i8);
    let mut at = lanes.map(|lanes| _mm256_sub_epi8(lanes, start));
    // A span's groups are below 16: what is not there never comes.
    let table = load_twice(steps.bins.get(first).unwrap_or(&[0; 16]));
    let mut found = at.map(|at| _mm256_shuffle_epi8(table, at));
    let own = steps
        .steps
        .get(first..)
        .and_then(|steps| steps.first_chunk::<GROUPS>());
    for step in own.unwrap_or(&[[0; GROUP_LANES]; GROUPS]).iter().skip(1) {
        let table = load_twice(step);
        for (found, at) in found.iter_mut().zip(&mut at) {
            *at = _mm256_subs_epi8(*at, sixteen);
            *found = _mm256_xor_si256(*found, _mm256_shuffle_epi8(table, *at));
        }
    }
    found
}

/// Sixteen bins, or how they differ from those of the group before.
type Group = [u8; GROUP_LANES];

/// A binarised row by groups: see [`lookup`].
pub(super) struct Steps<'a> {
    bins: &'a [Group],
    steps: [Group; GROUPS],
}

/// Groups of a whole row.
const GROUPS: usize = FEATURES_MAX / GROUP_LANES;

impl<'a> Steps<'a> {
    #[inline]
    fn of(bins: &'a Bins) -> Steps<'a> {
        let bins = bins.as_chunks::<GROUP_LANES>().0;
        let mut steps = [[0; GROUP_LANES]; GROUPS];
        let pairs = bins.iter().zip(bins.iter().skip(1));
        for (step, (before, own)) in steps.iter_mut().skip(1).zip(pairs) {
            for ((to, own), before) in step.iter_mut().zip(own).zip(before) {
                *to = own ^ before;
            }
        }
        Steps { bins, steps }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn halves_of(floats: &[f32; GROUP_LANES]) -> [__m256; 2] {
    // SAFETY: K2: a reference to 16 floats; the second load starts at the eighth.
    unsafe {
        [
            _mm256_loadu_ps(floats.as_ptr()),
            _mm256_loadu_ps(floats.as_ptr().add(8)),
        ]
    }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load<T: bytemuck::Pod>(from: &T) -> __m256i {
    const { assert!(size_of::<T>() == 32) };
    // SAFETY: K2: a reference to 32 plain bytes.
    unsafe { _mm256_loadu_si256(std::ptr::from_ref(from).cast()) }
}

#[inline]
fn halves(bytes: &[u8; BLOCK_TREES]) -> [&[u8; 32]; 2] {
    let (low, high) = (bytes.first_chunk(), bytes.last_chunk());
    [low.unwrap_or(&[0; 32]), high.unwrap_or(&[0; 32])]
}

/// Sixteen bytes in both halves of a register.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_twice(from: &[u8; 16]) -> __m256i {
    // SAFETY: K2: a reference to 16 bytes.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn load64(from: &[u8; 8]) -> __m128i {
    _mm_cvtsi64_si128(i64::from_le_bytes(*from))
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store<T: bytemuck::Pod>(to: &mut T, value: __m256i) {
    const { assert!(size_of::<T>() == 32) };
    // SAFETY: K2: an exclusive reference to 32 plain bytes.
    unsafe { _mm256_storeu_si256(std::ptr::from_mut(to).cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store128(to: &mut [u8; 16], value: __m128i) {
    // SAFETY: K2: an exclusive reference to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load_four(from: &[u32; 4]) -> __m128i {
    // SAFETY: K2: a reference to 16 bytes.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store_four(to: &mut [u32; 4], value: __m128i) {
    // SAFETY: K2: an exclusive reference to 16 bytes.
    unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), value) }
}
