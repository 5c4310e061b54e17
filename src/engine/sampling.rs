//! Rows of live requests, for the control plane: taken from the reservoirs that scorers fill.

use super::Engine;
use crate::limits::RESERVOIR_ROWS;
use crate::row::Row;
use crate::score::PreparedTable;
use crate::stats::ScorerStats;
use crate::switches::Selector;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Engine {
    /// The newest rows in the reservoirs of all scorers, about as many from each: at most so many.
    /// Scoring threads do not notice; a row that is being replaced is passed over. Features that
    /// are switched off are missing.
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
        rows.iter_mut().for_each(|row| without(row, &off));
        rows
    }

    /// The rows that were sampled since the cursors were last moved, each with its scorer and its
    /// number, and moves the cursors. Rows that were replaced meanwhile, and those beyond `most`,
    /// are passed over. Features that are switched off are missing.
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
                without(&mut row, &off);
                Some(((scorer.number, at), row))
            };
            rows.extend(new.take(room).filter_map(read));
        }
        rows
    }

    /// The table that is live, and its generation.
    pub(crate) fn live(&self) -> Option<(Arc<PreparedTable>, u64)> {
        let control = self.control();
        control.live.clone().map(|live| (live, control.generation))
    }

    /// All scorers, and the row positions of features that are switched off.
    fn sampled(&self) -> (Vec<Arc<ScorerStats>>, Vec<u8>) {
        let control = self.control();
        let position = |selector: &Selector| match selector {
            Selector::Feature(name) => self.schema().index_of(name),
            _ => None,
        };
        let off = control.switches.iter().filter_map(position);
        (control.scorers.clone(), off.collect())
    }
}

fn without(row: &mut Row, off: &[u8]) {
    off.iter().for_each(|position| row.set(*position, f32::NAN));
}

/// Rows in the reservoirs of scorers.
pub(super) fn held(scorers: &[Arc<ScorerStats>]) -> u64 {
    let held = |scorer: &Arc<ScorerStats>| scorer.reservoir.kept().min(RESERVOIR_ROWS as u64);
    scorers.iter().map(held).sum()
}
