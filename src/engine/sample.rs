//! Rows of live requests for the control plane, read from the reservoirs that scorers fill.

use super::control::Engine;
use super::live::FeatureMask;
use crate::row::Row;
use crate::score::PreparedTable;
use crate::stats::ScorerStats;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// Returns the newest rows in the reservoirs of all scorers, about as many from each and at
    /// most `most`. Scoring threads are not delayed; a row that is being replaced is skipped.
    /// Features that are switched off are missing.
    pub(crate) fn sample(&self, most: usize) -> Vec<Row> {
        let (scorers, off) = self.sampled();
        let each = most.checked_div(scorers.len()).unwrap_or_default().max(1);
        let mut rows = Vec::new();
        for scorer in &scorers {
            let reservoir = &scorer.reservoir;
            let first = reservoir.kept().saturating_sub(each as u64);
            rows.extend(reservoir.since(first).filter_map(|at| reservoir.read(at)));
        }
        rows.truncate(most);
        rows.iter_mut().for_each(|row| off.apply(row));
        rows
    }

    /// Returns the rows that were sampled since the cursors were last moved, each with the number
    /// of its scorer and its own, and moves the cursors. Skips rows that were replaced meanwhile,
    /// and those beyond `most`. Features that are switched off are missing.
    pub(crate) fn sample_since(
        &self,
        cursors: &mut BTreeMap<u64, u64>,
        most: usize,
    ) -> Vec<((u64, u64), Row)> {
        let (scorers, off) = self.sampled();
        cursors.retain(|number, _| scorers.iter().any(|scorer| scorer.number == *number));
        let mut rows = Vec::new();
        for scorer in &scorers {
            let cursor = cursors.entry(scorer.number).or_default();
            let new = scorer.reservoir.since(*cursor);
            *cursor = new.end;
            let room = most.saturating_sub(rows.len());
            let read = |at| {
                let mut row = scorer.reservoir.read(at)?;
                off.apply(&mut row);
                Some(((scorer.number, at), row))
            };
            rows.extend(new.take(room).filter_map(read));
        }
        rows
    }

    /// Returns the live table and its generation.
    pub(crate) fn live(&self) -> Option<(Arc<PreparedTable>, u64)> {
        let control = self.control();
        control.live.clone().map(|live| (live, control.generation))
    }

    /// Returns all scorers, and the features that are switched off.
    fn sampled(&self) -> (Vec<Arc<ScorerStats>>, FeatureMask) {
        let control = self.control();
        let off = FeatureMask::new(&control.switches, self.schema());
        (control.scorers.clone(), off)
    }
}
