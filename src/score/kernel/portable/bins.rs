//! Binarises a row, in plain Rust.

use crate::limits::FEATURES_MAX;
use crate::row::Row;
use crate::score::layout::{Bins, Missing, Prepared};
use crate::table::View;
use crate::table::format::GROUP_LANES;

/// Counts, for each lane, the borders below its value.
#[inline]
pub fn binarise(prepared: &Prepared, row: &Row) -> Bins {
    let missing = &prepared.layouts().missing;
    binarise_with(prepared.view(), prepared.lane_positions(), missing, row)
}

/// As [`binarise`], of a table that need not be prepared for this kernel.
pub fn binarise_with(
    view: &View<'_>,
    positions: &[u8; FEATURES_MAX],
    missing: &Missing,
    row: &Row,
) -> Bins {
    let mut bins = [0; FEATURES_MAX];
    let groups = bins.as_chunks_mut::<GROUP_LANES>().0.iter_mut();
    let missing_bins = missing.bins.as_chunks::<GROUP_LANES>().0;
    let values = groups_of(view, positions, missing, row);
    for ((bins, missing), group) in groups.zip(missing_bins).zip(values) {
        let (values, present, ranks) = group;
        // Counted in f32: the compiler narrows integer counts to bytes, and then no vector
        // holds both them and the comparison.
        let mut counts = [0f32; GROUP_LANES];
        for rank in ranks {
            for ((count, value), border) in counts.iter_mut().zip(&values).zip(rank) {
                *count += if value > border { 1.0 } else { 0.0 };
            }
        }
        for (((bin, count), present), missing) in
            bins.iter_mut().zip(counts).zip(present).zip(missing)
        {
            // From 2^23 on, the distance of floats is 1: the count is in the lowest bits. A
            // conversion would be done one by one.
            let count = (count + 8_388_608.0).to_bits();
            *bin = ((count & present) | (u32::from(*missing) & !present)) as u8;
        }
    }
    bins
}

/// For each group of lanes: their values, with substitutes for missing ones; which values are
/// present (all bits, or none); and their ranks.
#[inline(always)]
pub fn groups_of<'a>(
    view: &'a View<'_>,
    positions: &'a [u8; FEATURES_MAX],
    missing: &'a Missing,
    row: &'a Row,
) -> impl Iterator<
    Item = (
        [f32; GROUP_LANES],
        [u32; GROUP_LANES],
        &'a [[f32; GROUP_LANES]],
    ),
> {
    let positions = positions.as_chunks::<GROUP_LANES>().0.iter();
    let zero_max = missing.zero_max.as_chunks::<GROUP_LANES>().0.iter();
    let substitutes = missing.substitutes.as_chunks::<GROUP_LANES>().0.iter();
    let places = positions.zip(zero_max.zip(substitutes));
    let groups = view.groups.iter().zip(places);
    groups.map(move |(group, (positions, (zero_max, substitutes)))| {
        let mut values = [0.0; GROUP_LANES];
        for (value, position) in values.iter_mut().zip(positions) {
            *value = row.get(*position);
        }
        let mut present = [0; GROUP_LANES];
        let fill = values.iter_mut().zip(&mut present);
        for (((value, present), zero_max), substitute) in fill.zip(zero_max).zip(substitutes) {
            // NaN is above nothing. In bits: the compiler makes branches of floats.
            *present = u32::from(value.abs() > *zero_max).wrapping_neg();
            let bits = (value.to_bits() & *present) | (substitute.to_bits() & !*present);
            *value = f32::from_bits(bits);
        }
        (values, present, view.ranks_of(group))
    })
}

/// A lane's bin. A byte indexes 256, so the machine code has no check.
#[inline]
pub fn bin(bins: &Bins, lane: u8) -> u8 {
    bins.get(usize::from(lane)).copied().unwrap_or_default()
}
