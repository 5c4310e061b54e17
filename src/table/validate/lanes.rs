//! Checks lanes, their borders, and the splits that name them.

use super::{Check, Sections, exactly};
use crate::refusal::RefusalKind;
use crate::table::format::*;

/// Returns the lanes in use.
pub(super) fn check_lanes<'a>(sections: &Sections<'a>) -> Check<&'a [LaneRecord]> {
    let records: &[LaneRecord] = sections.records(Section::Lanes)?;
    let features = sections.records::<FeatureRecord>(Section::Features)?.len();
    let used = sections.header.lanes_used as usize;
    for (index, lane) in records.iter().enumerate() {
        if index >= used {
            if *lane != bytemuck::Zeroable::zeroed() {
                let at = format!("lanes[{index}]");
                return Err(RefusalKind::Padding.at(at, "zero", format!("{lane:?}")));
            }
            continue;
        }
        let at = |field: &str| format!("lanes[{index}].{field}");
        if usize::from(lane.feature) >= features {
            let below = format!("below {features}");
            return Err(RefusalKind::FeatureIndex.at(at("feature"), below, lane.feature));
        }
        if lane.borders == 0 {
            return Err(RefusalKind::Lane.at(at("borders"), "at least 1", 0));
        }
        if lane.missing_bin > lane.borders && lane.missing_bin != OWN_BIN {
            let most = format!("at most {}, or {OWN_BIN}", lane.borders);
            return Err(RefusalKind::Lane.at(at("missing_bin"), most, lane.missing_bin));
        }
        if lane.zero_is_missing > 1 {
            let got = lane.zero_is_missing;
            return Err(RefusalKind::Lane.at(at("zero_is_missing"), "0 or 1", got));
        }
    }
    records
        .get(..used)
        .ok_or_else(|| RefusalKind::CountMismatch.at("header.lanes_used", records.len(), used))
}

pub(super) fn check_borders(sections: &Sections<'_>, lanes: &[LaneRecord]) -> Check<()> {
    let groups: &[GroupRecord] = sections.records(Section::Groups)?;
    let ranks: &[[f32; GROUP_LANES]] = sections.records(Section::Borders)?;
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
            return Err(RefusalKind::CountMismatch.at("borders", end, ranks.len()));
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
                return Err(RefusalKind::Padding.at(at(), "infinity", border));
            }
        } else if !border.is_finite() {
            return Err(RefusalKind::BorderNotFinite.at(at(), "a finite border", border));
        } else if border <= before {
            return Err(RefusalKind::BorderOrder.at(at(), format!("more than {before}"), border));
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
            return Err(RefusalKind::Padding.at(at(), "lane 0", lane));
        }
        return Ok(false);
    }
    let Some(record) = lanes.get(usize::from(lane)) else {
        let below = format!("a lane below {}", lanes.len());
        return Err(RefusalKind::LaneIndex.at(at(), below, lane));
    };
    if threshold >= record.borders {
        let below = format!("a threshold below {}", record.borders);
        return Err(RefusalKind::Threshold.at(at(), below, threshold));
    }
    Ok(true)
}
