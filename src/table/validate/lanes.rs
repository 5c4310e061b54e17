//! Checks lanes, their borders, and the splits that name them.

use super::{Check, Parts, exactly};
use crate::error::{Detail, OpenError};
use crate::table::format::*;

/// Returns the lanes in use.
pub(super) fn check_lanes<'a>(parts: &Parts<'a>) -> Check<&'a [LaneRecord]> {
    let records: &[LaneRecord] = parts.records(Section::Lanes)?;
    let features = parts.records::<FeatureRecord>(Section::Features)?.len();
    let used = parts.header.lanes_used as usize;
    for (index, lane) in records.iter().enumerate() {
        if index >= used {
            if *lane != bytemuck::Zeroable::zeroed() {
                let at = format!("lanes[{index}]");
                return Err(OpenError::Padding(Detail::new(
                    at,
                    "zero",
                    format!("{lane:?}"),
                )));
            }
            continue;
        }
        let at = |field: &str| format!("lanes[{index}].{field}");
        if usize::from(lane.feature) >= features {
            let detail = Detail::new(at("feature"), format!("below {features}"), lane.feature);
            return Err(OpenError::FeatureIndex(detail));
        }
        if lane.borders == 0 {
            return Err(OpenError::Lane(Detail::new(at("borders"), "at least 1", 0)));
        }
        if lane.missing_bin > lane.borders && lane.missing_bin != OWN_BIN {
            let most = format!("at most {}, or {OWN_BIN}", lane.borders);
            return Err(OpenError::Lane(Detail::new(
                at("missing_bin"),
                most,
                lane.missing_bin,
            )));
        }
        if lane.zero_is_missing > 1 {
            let detail = Detail::new(at("zero_is_missing"), "0 or 1", lane.zero_is_missing);
            return Err(OpenError::Lane(detail));
        }
    }
    records.get(..used).ok_or_else(|| {
        OpenError::CountMismatch(Detail::new("header.lanes_used", records.len(), used))
    })
}

pub(super) fn check_borders(parts: &Parts<'_>, lanes: &[LaneRecord]) -> Check<()> {
    let groups: &[GroupRecord] = parts.records(Section::Groups)?;
    let ranks: &[[f32; GROUP_LANES]] = parts.records(Section::Borders)?;
    let mut start = 0usize;
    for (index, (group, lanes)) in groups.iter().zip(lanes.chunks(GROUP_LANES)).enumerate() {
        let count = lanes
            .iter()
            .map(|lane| usize::from(lane.borders))
            .max()
            .unwrap_or_default();
        exactly(
            &format!("groups[{index}].start"),
            start,
            group.start as usize,
        )?;
        exactly(
            &format!("groups[{index}].ranks"),
            count,
            group.ranks as usize,
        )?;
        let end = start.saturating_add(count);
        let Some(ranks) = ranks.get(start..end) else {
            return Err(OpenError::CountMismatch(Detail::new(
                "borders",
                end,
                ranks.len(),
            )));
        };
        for place in 0..GROUP_LANES {
            let borders = lanes.get(place).map_or(0, |lane| usize::from(lane.borders));
            let column = ranks
                .iter()
                .map(|rank| rank.get(place).copied().unwrap_or(f32::NAN));
            check_column(
                index.saturating_mul(GROUP_LANES).saturating_add(place),
                borders,
                column,
            )?;
        }
        start = end;
    }
    exactly("borders", start, ranks.len())
}

fn check_column(lane: usize, borders: usize, column: impl Iterator<Item = f32>) -> Check<()> {
    let mut before = f32::NEG_INFINITY;
    for (rank, border) in column.enumerate() {
        let at = || format!("borders[{rank}] of lane {lane}");
        if rank >= borders {
            if border != f32::INFINITY {
                return Err(OpenError::Padding(Detail::new(at(), "infinity", border)));
            }
        } else if !border.is_finite() {
            return Err(OpenError::BorderNotFinite(Detail::new(
                at(),
                "a finite border",
                border,
            )));
        } else if border <= before {
            let detail = Detail::new(at(), format!("more than {before}"), border);
            return Err(OpenError::BorderOrder(detail));
        }
        before = border;
    }
    Ok(())
}

/// Checks a split; returns whether there is one, [`NEVER`] being none.
pub(super) fn check_split(
    lanes: &[LaneRecord],
    lane: u8,
    threshold: u8,
    at: impl Fn() -> String,
) -> Check<bool> {
    if threshold == NEVER {
        if lane != 0 {
            return Err(OpenError::Padding(Detail::new(at(), "lane 0", lane)));
        }
        return Ok(false);
    }
    let Some(record) = lanes.get(usize::from(lane)) else {
        let below = format!("a lane below {}", lanes.len());
        return Err(OpenError::LaneIndex(Detail::new(at(), below, lane)));
    };
    if threshold >= record.borders {
        let below = format!("a threshold below {}", record.borders);
        return Err(OpenError::Threshold(Detail::new(at(), below, threshold)));
    }
    Ok(true)
}
