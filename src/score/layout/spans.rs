//! The groups of lanes that a lookup passes over: for kernels that look up one group at a time.

use crate::table::View;
use crate::table::format::{GROUP_LANES, LevelRecord, NEVER};

/// Groups of lanes, from the first up to the end, not included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Span {
    /// The first group.
    pub first: u8,
    /// The group after the last one.
    pub end: u8,
}

impl Span {
    /// The groups of splits' lanes. Padding always leads left, whatever its lane's bin.
    pub fn of(lanes: &[u8], thresholds: &[u8]) -> Span {
        let used = lanes.iter().zip(thresholds);
        let used = used.filter(|(_, threshold)| **threshold != NEVER);
        let groups = used.map(|(lane, _)| lane >> GROUP_LANES.trailing_zeros());
        let first = groups.clone().min().unwrap_or_default();
        let end = groups.max().map_or(first, |last| last.saturating_add(1));
        Span { first, end }
    }

    /// The number of groups.
    pub fn groups(self) -> usize {
        usize::from(self.end.saturating_sub(self.first))
    }
}

/// The span of each level of the level section; `None` if there is no memory.
pub fn spans(view: &View<'_>) -> Option<Vec<Span>> {
    let mut spans = Vec::new();
    spans.try_reserve_exact(view.levels.len()).ok()?;
    let span = |level: &LevelRecord| Span::of(&level.lanes, &level.thresholds);
    spans.extend(view.levels.iter().map(span));
    Some(spans)
}
