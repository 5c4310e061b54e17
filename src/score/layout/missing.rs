//! Missing values, lane by lane: for kernels that binarise without a branch.

use crate::limits::FEATURES_MAX;
use crate::table::View;
use crate::table::format::{GROUP_LANES, ZERO_MAX};

/// Which values are missing, and what replaces them.
#[derive(Debug)]
pub struct Missing {
    /// The magnitude up to which each lane's value is missing; negative if only NaN is.
    pub zero_max: [f32; FEATURES_MAX],
    /// The bin of each lane's missing value.
    pub bins: [u8; FEATURES_MAX],
    /// The value that each lane compares with its borders in place of a missing one.
    pub substitutes: [f32; FEATURES_MAX],
}

impl Default for Missing {
    fn default() -> Missing {
        Missing {
            zero_max: [-1.0; FEATURES_MAX],
            bins: [0; FEATURES_MAX],
            substitutes: [0.0; FEATURES_MAX],
        }
    }
}

impl Missing {
    /// Those of a table's lanes.
    ///
    /// A missing value has the bin `missing_bin`. The border of that rank has the same bin, since
    /// it exceeds as many borders. Above the last border it is infinity, which decides as a bin of
    /// its own does.
    pub fn of(view: &View<'_>) -> Missing {
        let mut missing = Missing::default();
        let places = missing.zero_max.iter_mut().zip(&mut missing.substitutes);
        let places = places.zip(&mut missing.bins);
        for (at, (((zero_max, substitute), bin), lane)) in places.zip(view.lanes).enumerate() {
            *bin = lane.missing_bin;
            if lane.zero_is_missing != 0 {
                *zero_max = ZERO_MAX;
            }
            let group = view.groups.get(at / GROUP_LANES);
            let first = group.map_or(0, |group| group.start as usize);
            let rank = first.saturating_add(usize::from(lane.missing_bin));
            let within = lane.missing_bin < lane.borders;
            let border = view.borders.get(rank).filter(|_| within);
            *substitute = border
                .and_then(|rank| rank.get(at % GROUP_LANES))
                .copied()
                .unwrap_or(f32::INFINITY);
        }
        missing
    }
}
