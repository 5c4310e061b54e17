//! What the host sees: a score and where it came from, or the reason why there is none.

use std::fmt;

/// 1 (certainly automated) to 99 (certainly human). There is no 0: "not computed" is no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(std::num::NonZeroU8);

impl Score {
    /// The lowest score.
    pub const MIN: Score = Score(std::num::NonZeroU8::MIN);

    /// A score of one plus this many steps, at most 99.
    #[inline]
    pub(crate) fn from_steps(steps: usize) -> Score {
        let steps = if steps > 98 { 98 } else { steps as u8 };
        Score(std::num::NonZeroU8::MIN.saturating_add(steps))
    }

    /// The score as a number, 1 to 99.
    #[inline]
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The outcome for one request. A rule on the score cannot match a request that has none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The table scored the row.
    Scored(Scored),
    /// There is no score.
    NotScored(NotScored),
}

/// A score, and the table that gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// 1 to 99.
    pub score: Score,
    /// The margin behind it, in the ensemble's units (log-odds of a human).
    pub margin: f64,
    /// The generation that was live when the row was scored.
    pub generation: u64,
}

/// Why there is no score, and under which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotScored {
    /// Why.
    pub reason: Reason,
    /// The generation that was live; 0 where there was none, or where the row never came to a
    /// scorer.
    pub generation: u64,
}

/// Why a request has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No table has been published yet.
    NoTable = 0,
    /// The worker's ring is full, or the call is still busy with a request that was given up.
    Overloaded = 1,
    /// The worker is shutting down or gone.
    Closed = 2,
    /// A person has switched the engine or its ensemble off.
    Disabled = 3,
}

impl Reason {
    /// Every reason.
    pub const ALL: &'static [Reason] = &[
        Reason::NoTable,
        Reason::Overloaded,
        Reason::Closed,
        Reason::Disabled,
    ];

    /// The reason's name in reports and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Reason::NoTable => "no-table",
            Reason::Overloaded => "overloaded",
            Reason::Closed => "closed",
            Reason::Disabled => "disabled",
        }
    }
}

impl Verdict {
    /// The score, where there is one.
    #[inline]
    pub fn score(&self) -> Option<Score> {
        match self {
            Verdict::Scored(scored) => Some(scored.score),
            Verdict::NotScored(_) => None,
        }
    }

    /// The generation that was live.
    #[inline]
    pub fn generation(&self) -> u64 {
        match self {
            Verdict::Scored(scored) => scored.generation,
            Verdict::NotScored(not) => not.generation,
        }
    }
}
