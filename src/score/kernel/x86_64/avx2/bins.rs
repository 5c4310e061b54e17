//! Binarises a row with AVX2.

use super::{halves_of, load, store128};
use crate::limits::FEATURES_MAX;
use crate::row::Row;
use crate::score::layout::Bins;
use crate::table::View;
use crate::table::format::{GROUP_LANES, LaneRecord, ZERO_MAX};
use std::arch::x86_64::*;

/// Counts, for each lane, the borders below its value.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2")]
pub fn binarise(view: &View<'_>, positions: &[u8; FEATURES_MAX], row: &Row) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let lanes = view.lanes.as_chunks::<GROUP_LANES>().0.iter();
    let positions = positions.as_chunks::<GROUP_LANES>().0.iter();
    let places = positions.zip(bins.as_chunks_mut::<GROUP_LANES>().0);
    for ((group, lanes), (positions, bins)) in view.groups.iter().zip(lanes).zip(places) {
        let mut values = [0.0f32; GROUP_LANES];
        for (value, position) in values.iter_mut().zip(positions) {
            *value = row.get(*position);
        }
        let [first, second] = halves_of(&values);
        let mut counts = [_mm256_setzero_si256(); 2];
        for rank in view.ranks_of(group) {
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
