//! What every verdict must be, and what threads count.

use super::arrivals::Arrivals;
use super::source::Source;
use super::span::Span;
use crate::failure::Failure;
use hdrhistogram::Histogram;
use hedgerow::stats::Latency;
use hedgerow::{PreparedTable, Reason, Row, Table, Verdict};

/// The rule of the outage: `score < 30` is blocked.
pub const BLOCKED_BELOW: u8 = 30;

/// The longest latency that is distinguished: ten seconds.
const LATENCY_MAX: u64 = 10_000_000_000;

/// What every verdict must be.
pub struct Expected {
    /// The margin of each input under either good table.
    margins: [Vec<f64>; 2],
    /// Which of the two a generation is; `None` if it must never give a verdict.
    table_of: fn(u64) -> Option<usize>,
    bots: Vec<Option<bool>>,
    /// Whether each is a human's that no good table lets the rule match.
    pub innocent: Vec<bool>,
}

impl Expected {
    /// Computes it on the portable kernel, before anything runs.
    pub fn of(
        source: &Source,
        good: [&[u8]; 2],
        table_of: fn(u64) -> Option<usize>,
    ) -> Result<Expected, Failure> {
        let mut innocent: Vec<bool> = source.bots.iter().map(|bot| *bot == Some(false)).collect();
        let mut margins = [Vec::new(), Vec::new()];
        for (bytes, margins) in good.into_iter().zip(&mut margins) {
            let table = Table::from_bytes(bytes)
                .and_then(|table| PreparedTable::with_kernel(table, &source.schema, "portable"))
                .map_err(|refused| Failure::refused("table", refused))?;
            for (at, innocent) in innocent.iter_mut().enumerate() {
                let mut row = Row::MISSING;
                source.work.fill(at, &mut row);
                let scored = table.scored(&row, table.margin(&row), 0);
                *innocent &= scored.score.get() >= BLOCKED_BELOW;
                margins.push(scored.margin);
            }
        }
        let bots = source.bots.clone();
        Ok(Expected {
            margins,
            table_of,
            bots,
            innocent,
        })
    }
}

/// What is added up over threads.
#[derive(Debug, Clone)]
pub struct Counts {
    pub offered: u64,
    pub answered: u64,
    pub unserved: u64,
    pub queued: u64,
    pub late: u64,
    /// Margins that are not those of the generation that the verdict names.
    pub wrong: u64,
    /// Verdicts that the rule matches, for humans that it should let through.
    pub blocked: u64,
    /// Requests without a score, by position in [`Reason::ALL`].
    not_scored: [u64; Reason::ALL.len()],
    /// How often each score was given: to humans, to bots, to the unlabelled.
    pub scores: [[u64; 100]; 3],
}

impl Counts {
    pub const ZERO: Counts = Counts {
        offered: 0,
        answered: 0,
        unserved: 0,
        queued: 0,
        late: 0,
        wrong: 0,
        blocked: 0,
        not_scored: [0; Reason::ALL.len()],
        scores: [[0; 100]; 3],
    };

    /// Adds those of another thread.
    pub fn add(&mut self, other: &Counts) {
        self.offered += other.offered;
        self.answered += other.answered;
        self.unserved += other.unserved;
        self.queued += other.queued;
        self.late += other.late;
        self.wrong += other.wrong;
        self.blocked += other.blocked;
        let lists = self
            .not_scored
            .iter_mut()
            .chain(self.scores.as_flattened_mut());
        let others = other.not_scored.iter().chain(other.scores.as_flattened());
        lists.zip(others).for_each(|(all, count)| *all += count);
    }

    /// Counts a verdict on the input at a place, and checks it.
    #[inline]
    pub fn judge(&mut self, expected: &Expected, at: usize, verdict: &Verdict) {
        match verdict {
            Verdict::Scored(scored) => {
                let (score, table) = (scored.score.get(), (expected.table_of)(scored.generation));
                let margin = table.map(|table| expected.margins[table][at]);
                self.wrong += u64::from(margin != Some(scored.margin));
                self.blocked += u64::from(score < BLOCKED_BELOW && expected.innocent[at]);
                let whose = expected.bots[at].map_or(2, usize::from);
                self.scores[whose][usize::from(score)] += 1;
            }
            // No input says where it comes from.
            Verdict::VerifiedBot(_) => self.wrong += 1,
            Verdict::NotScored(not) => {
                let reason = Reason::ALL.iter().position(|reason| *reason == not.reason);
                self.not_scored[reason.unwrap_or_default()] += 1;
            }
        }
    }

    /// Verdicts with a score.
    pub fn scored(&self) -> u64 {
        self.scores.as_flattened().iter().sum()
    }

    /// Verdicts without one, by reason.
    pub fn not_scored(&self) -> Vec<(&'static str, u64)> {
        let pairs = Reason::ALL.iter().zip(self.not_scored);
        pairs
            .map(|(reason, count)| (reason.name(), count))
            .collect()
    }
}

/// A histogram of nanoseconds.
pub fn histogram() -> Result<Histogram<u64>, Failure> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3)
        .map_err(|error| Failure::new("harness", "histogram", "a histogram", error))
}

/// A piece of a thread's time.
#[derive(Clone)]
pub struct Piece {
    pub latency: Histogram<u32>,
    pub service: Histogram<u32>,
}

/// What a thread hands over at its end.
pub struct Tally {
    pub counts: Counts,
    pub pieces: Vec<Piece>,
    /// Whether the thread was bound to its core.
    pub bound: bool,
    /// When the last verdict came, in nanoseconds.
    pub ended: u64,
}

/// A request's times, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    pub due: u64,
    pub begun: u64,
    pub done: u64,
}

impl Tally {
    /// Returns one with nothing counted; `None` if there is no memory for it.
    pub fn new(pieces: usize) -> Option<Tally> {
        let mut fresh = Histogram::new_with_bounds(1, LATENCY_MAX, 3).ok()?;
        // Writes all of it, so that no page of it is missing later.
        fresh.reset();
        let piece = Piece {
            latency: fresh.clone(),
            service: fresh,
        };
        let pieces = vec![piece; pieces.max(1)];
        Some(Tally {
            counts: Counts::ZERO,
            pieces,
            bound: true,
            ended: 0,
        })
    }

    /// The piece of a time; `None` in the warm-up.
    #[inline]
    fn piece(&mut self, span: &Span, due: u64) -> Option<&mut Piece> {
        let since = due.checked_sub(span.warm)?;
        let last = self.pieces.len() - 1;
        if last == 0 {
            return self.pieces.first_mut();
        }
        let whole = span.end.saturating_sub(span.warm).max(1);
        let at = (u128::from(since) * self.pieces.len() as u128 / u128::from(whole)) as usize;
        self.pieces.get_mut(at.min(last))
    }

    /// Records one verdict: when the request was due, begun and answered.
    #[inline]
    pub fn record(&mut self, span: &Span, times: Times, live: Option<&Latency>) {
        let Times { due, begun, done } = times;
        let Some(piece) = self.piece(span, due) else {
            return;
        };
        piece.latency.saturating_record(done.saturating_sub(due));
        piece.service.saturating_record(done.saturating_sub(begun));
        self.counts.answered += 1;
        self.ended = done;
        if let Some(live) = live {
            live.record(done.saturating_sub(due));
        }
    }

    /// Counts everything that would still have come: it has waited until now at least, and to leave
    /// it out would be to measure only those that were lucky.
    pub fn abandon(&mut self, span: &Span, arrivals: &mut Arrivals, mut due: u64, now: u64) {
        // One by one while they are few; a backlog of millions by its mean gap, in steps.
        const FEW: usize = 100_000;
        const STEPS: u64 = 1_000;
        for _ in 0..FEW {
            if due >= span.end {
                return;
            }
            self.miss(span, due, now, 1);
            due = arrivals.next();
        }
        let step = (span.end.saturating_sub(due) / STEPS).max(1);
        while due < span.end {
            let length = step.min(span.end - due);
            self.miss(span, due, now, (length as f64 / arrivals.gap()) as u64);
            due += length;
        }
    }

    /// Records requests that were due at a time and were never begun.
    fn miss(&mut self, span: &Span, due: u64, now: u64, count: u64) {
        if let Some(piece) = self.piece(span, due) {
            let few = u32::try_from(count).unwrap_or(u32::MAX);
            piece
                .latency
                .saturating_record_n(now.saturating_sub(due), few);
            self.counts.offered += count;
            self.counts.unserved += count;
        }
    }
}
