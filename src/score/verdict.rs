//! The host's result: a score and its source, or the reason for no score.

use crate::table::bots::Category;
use std::fmt;

/// 1 (certainly automated) to 99 (certainly human). 0 is not a score: "not computed" is of another
/// type.
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
#[must_use]
pub enum Verdict {
    /// The table scored the row.
    Scored(Scored),
    /// The request comes from a bot whose operator publishes its addresses. It has no score: what
    /// becomes of it is a rule of its own.
    VerifiedBot(VerifiedBot),
    /// There is no score.
    NotScored(NotScored),
}

/// A score, and what gave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// 1 to 99.
    pub score: Score,
    /// What the score comes from.
    pub source: Source,
    /// The ensemble's margin in its units (log-odds of a human), also where a detection decided;
    /// NaN where the ensemble is switched off.
    pub margin: f64,
    /// The generation that was live when the row was scored.
    pub generation: u64,
    /// The detections of that generation that the row matches, shadows included.
    pub detections: Matches,
}

/// What decided a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The score map of the ensemble's margin.
    Ensemble,
    /// The active detection with this id: of those that match, the one with the lowest score, and
    /// among equals the smallest id.
    Detection(u32),
}

impl Source {
    /// The source's name in reports: `ensemble` or `detection`.
    pub fn name(self) -> &'static str {
        match self {
            Source::Ensemble => "ensemble",
            Source::Detection(_) => "detection",
        }
    }
}

/// Which detections of a table a row matches: bit `i` is the `i`-th, ascending by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Matches(u64);

impl Matches {
    /// None of them.
    pub const NONE: Matches = Matches(0);

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Matches {
        Matches(bits)
    }

    /// The bits.
    #[inline]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[inline]
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The positions of those that match, ascending.
    #[inline]
    pub fn positions(self) -> impl Iterator<Item = usize> {
        let mut open = self.0;
        std::iter::from_fn(move || {
            let at = (open != 0).then_some(open.trailing_zeros() as usize);
            open &= open.wrapping_sub(1);
            at
        })
    }
}

/// A verified bot, and the table that knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedBot {
    /// Its position in the table of that generation, by which
    /// [`Catalog::bot`](crate::table::Catalog::bot) knows its name.
    pub bot: u16,
    /// What it does.
    pub category: Category,
    /// The generation that was live.
    pub generation: u64,
}

// A verdict is copied at every step on its way.
const _: () = assert!(size_of::<Verdict>() <= 40);

/// The reason for no score, and the table's generation.
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
    pub const fn name(self) -> &'static str {
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
            Verdict::VerifiedBot(_) | Verdict::NotScored(_) => None,
        }
    }

    /// The generation that was live.
    #[inline]
    pub fn generation(&self) -> u64 {
        match self {
            Verdict::Scored(scored) => scored.generation,
            Verdict::VerifiedBot(verified) => verified.generation,
            Verdict::NotScored(not) => not.generation,
        }
    }
}
