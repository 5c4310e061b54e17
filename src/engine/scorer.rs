//! Scorers: the hot path from a row to a verdict.

use super::control::{Engine, Enlisted};
use crate::epoch::NoSlot;
use crate::limits::BATCH_ROWS_MAX;
use crate::row::Row;
use crate::score::{Client, NotScored, Reason, Verdict};
use crate::stats::ScorerStats;
use std::sync::Arc;

/// Scores rows on one thread with the table that is live. [`Engine::scorer`] makes it.
///
/// It may move to another thread; two threads cannot share it:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<hedgerow::Scorer>();
/// ```
#[derive(Debug)]
pub struct Scorer {
    place: Enlisted,
    /// Rows to pass over before the reservoir keeps the next one.
    pass: u32,
}

impl Engine {
    /// Makes a scorer for one thread.
    ///
    /// # Errors
    /// `NoSlot` if [`READERS_MAX`](crate::limits::READERS_MAX) scorers are alive.
    pub fn scorer(&self) -> Result<Scorer, NoSlot> {
        Ok(Scorer {
            place: self.enlist()?,
            pass: 0,
        })
    }
}

impl Scorer {
    /// Scores a row, laid out by the engine's schema. Without an address no bot is verified.
    #[inline]
    pub fn score(&mut self, row: &Row) -> Verdict {
        self.score_known(row, None)
    }

    /// Scores a row of a client whose address is known. A verified bot has no score: neither
    /// detections nor the ensemble run.
    #[inline]
    pub fn score_client(&mut self, row: &Row, client: &Client<'_>) -> Verdict {
        self.score_known(row, Some(client))
    }

    #[inline(always)]
    fn score_known(&mut self, row: &Row, client: Option<&Client<'_>>) -> Verdict {
        self.pass = match self.pass.checked_sub(1) {
            Some(pass) => pass,
            None => self.place.stats.reservoir.keep(row),
        };
        let Some(live) = self.place.reader.enter() else {
            self.place.stats.count(&NO_TABLE);
            return NO_TABLE;
        };
        let verdict = live.judge(row, client);
        live.count(&self.place.stats, &verdict);
        verdict
    }

    /// Scores rows in their order, as many as the shorter of the two slices. Each 64 rows see one
    /// generation. Returns the number of verdicts.
    #[inline]
    pub fn score_batch(&mut self, rows: &[Row], verdicts: &mut [Verdict]) -> usize {
        self.score_batch_known(rows, |_| None, verdicts)
    }

    /// Scores rows of clients whose addresses are known, as many as the shortest of the three
    /// slices. See [`score_batch`](Scorer::score_batch).
    #[inline]
    pub fn score_batch_clients(
        &mut self,
        rows: &[Row],
        clients: &[Client<'_>],
        verdicts: &mut [Verdict],
    ) -> usize {
        let rows = rows.get(..clients.len()).unwrap_or(rows);
        self.score_batch_known(rows, |at| clients.get(at).copied(), verdicts)
    }

    /// Scores rows; `client` returns the sender of the row at a position, if it is known.
    #[inline(always)]
    pub(crate) fn score_batch_known<'a>(
        &mut self,
        rows: &[Row],
        client: impl Fn(usize) -> Option<Client<'a>>,
        verdicts: &mut [Verdict],
    ) -> usize {
        let count = rows.len().min(verdicts.len());
        let verdicts = verdicts.get_mut(..count).unwrap_or_default();
        let batches = rows
            .chunks(BATCH_ROWS_MAX)
            .zip(verdicts.chunks_mut(BATCH_ROWS_MAX));
        let mut first = 0usize;
        for (rows, verdicts) in batches {
            self.keep_some(rows);
            let Some(live) = self.place.reader.enter() else {
                verdicts.fill(NO_TABLE);
                verdicts
                    .iter()
                    .for_each(|none| self.place.stats.count(none));
                continue;
            };
            if let Some(off) = &live.off {
                for (at, (verdict, row)) in (first..).zip(verdicts.iter_mut().zip(rows)) {
                    *verdict = live.judge_switched(off, row, client(at).as_ref());
                    live.count(&self.place.stats, verdict);
                }
                first = first.wrapping_add(BATCH_ROWS_MAX);
                continue;
            }
            let mut margins = [0; BATCH_ROWS_MAX];
            live.prepared.margins(rows, &mut margins);
            let outcomes = verdicts.iter_mut().zip(rows).zip(margins);
            for (at, ((verdict, row), margin)) in (first..).zip(outcomes) {
                let verified = client(at).and_then(|client| live.verified(&client));
                *verdict = match verified {
                    Some(verified) => verified,
                    None => live.verdict(row, margin),
                };
                live.count(&self.place.stats, verdict);
            }
            first = first.wrapping_add(BATCH_ROWS_MAX);
        }
        count
    }

    /// Keeps every n-th row in the reservoir.
    #[inline]
    fn keep_some(&mut self, rows: &[Row]) {
        let mut rest = rows;
        while let Some((row, behind)) = rest
            .get(self.pass as usize..)
            .and_then(|rest| rest.split_first())
        {
            rest = behind;
            self.pass = self.place.stats.reservoir.keep(row);
        }
        self.pass = self.pass.saturating_sub(rest.len() as u32);
    }

    /// Returns the counters, for code that turns requests away before they reach this scorer.
    pub(crate) fn counters(&self) -> Arc<ScorerStats> {
        self.place.stats.clone()
    }

    /// Returns the counters of this scorer. The host may record latencies here:
    /// [`score`](Scorer::score) does not read the clock.
    #[inline]
    pub fn stats(&self) -> &ScorerStats {
        &self.place.stats
    }
}

const NO_TABLE: Verdict = Verdict::NotScored(NotScored {
    reason: Reason::NoTable,
    generation: 0,
});
