//! Binarises a row with AVX-512.

#[cfg(emulated)]
use super::super::emulated::_mm512_i32gather_ps;
use super::{load, load_ps, load128, store128};
use crate::limits::FEATURES_MAX;
use crate::row::Row;
use crate::score::layout::Bins;
use crate::table::View;
use crate::table::format::{GROUP_LANES, LaneRecord, ZERO_MAX};
use std::arch::x86_64::*;

/// Counts, for each lane, the borders below its value.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
pub fn binarise(view: &View<'_>, positions: &[u8; FEATURES_MAX], row: &Row) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let groups = Group::all(view, positions);
    for (group, bins) in groups.zip(bins.as_chunks_mut::<GROUP_LANES>().0) {
        store128(bins, group.bins(row));
    }
    bins
}

/// Sixteen lanes.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    lanes: &'a [LaneRecord; GROUP_LANES],
    positions: &'a [u8; GROUP_LANES],
    ranks: &'a [[f32; GROUP_LANES]],
}

impl<'a> Group<'a> {
    /// The groups of a table.
    #[inline]
    pub fn all(
        view: &View<'a>,
        positions: &'a [u8; FEATURES_MAX],
    ) -> impl Iterator<Item = Group<'a>> {
        let lanes = view.lanes.as_chunks().0.iter();
        let places = lanes.zip(positions.as_chunks().0);
        let groups = view.groups.iter().zip(places);
        let view = *view;
        groups.map(move |(group, (lanes, positions))| Group {
            lanes,
            positions,
            ranks: view.ranks_of(group),
        })
    }

    /// The bins of a row.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi1,bmi2")]
    pub fn bins(&self, row: &Row) -> __m128i {
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
