//! The outcome of one request: a verdict, or the reason why nothing was asked.

use crate::score::{Score, Verdict};
use crate::traffic::ClientId;
use std::time::Duration;

/// Why a request went on without asking the engine. The engine's own reasons for no score are in
/// the verdict: [`Reason`](crate::Reason).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PassReason {
    /// The request was never given to a scorer. No scorer counts it.
    NotAsked = 0,
    /// The call panicked: a bug, as in the host's own features.
    Panic = 1,
    /// The circuit breaker is open.
    BreakerOpen = 2,
    /// The engine has no slot for another thread, the thread is ending, or it is inside a call
    /// already.
    NoScorer = 3,
}

impl PassReason {
    /// Every reason, by position.
    pub const ALL: &'static [PassReason] = &[
        PassReason::NotAsked,
        PassReason::Panic,
        PassReason::BreakerOpen,
        PassReason::NoScorer,
    ];

    /// Returns the name in headers, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            PassReason::NotAsked => "not-asked",
            PassReason::Panic => "panic",
            PassReason::BreakerOpen => "breaker-open",
            PassReason::NoScorer => "no-scorer",
        }
    }
}

/// A verdict, or the reason why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The engine's verdict, which may be that there is no score.
    Verdict(Verdict),
    /// No verdict: the request goes on.
    Passed(PassReason),
}

/// What is known of a request once it was scored. A host keeps it until the request is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct ScoredRequest {
    outcome: Outcome,
    client: Option<ClientId>,
    nanos: u64,
}

impl Default for ScoredRequest {
    fn default() -> ScoredRequest {
        ScoredRequest::from(Outcome::Passed(PassReason::NotAsked))
    }
}

impl From<Outcome> for ScoredRequest {
    fn from(outcome: Outcome) -> ScoredRequest {
        ScoredRequest {
            outcome,
            client: None,
            nanos: 0,
        }
    }
}

impl From<PassReason> for ScoredRequest {
    fn from(reason: PassReason) -> ScoredRequest {
        ScoredRequest::from(Outcome::Passed(reason))
    }
}

impl ScoredRequest {
    pub(super) fn new(verdict: Verdict, client: Option<ClientId>, nanos: u64) -> ScoredRequest {
        ScoredRequest {
            outcome: Outcome::Verdict(verdict),
            client,
            nanos,
        }
    }

    /// Returns the verdict, or the reason why there is none.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Returns the verdict; `None` if the engine was not asked.
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.outcome {
            Outcome::Verdict(verdict) => Some(verdict),
            Outcome::Passed(_) => None,
        }
    }

    /// Returns the score, 1 to 99; `None` if there is no score, also for a verified bot.
    pub fn score(&self) -> Option<Score> {
        self.verdict().and_then(Verdict::score)
    }

    /// Returns the client in the traffic windows, for
    /// [`RequestScorer::finish`](super::RequestScorer::finish). `None` without windows or address.
    pub fn client(&self) -> Option<ClientId> {
        self.client
    }

    /// Returns how long the call took; zero if the engine was not asked.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    /// Returns what decided, in one word: `ensemble`, `detection`, `verified-bot` or `not-scored`.
    pub fn source_name(&self) -> &'static str {
        match &self.outcome {
            Outcome::Verdict(Verdict::Scored(scored)) => scored.source.name(),
            Outcome::Verdict(Verdict::VerifiedBot(_)) => "verified-bot",
            Outcome::Verdict(Verdict::NotScored(_)) | Outcome::Passed(_) => "not-scored",
        }
    }

    /// Returns the name of the reason for no score; `None` for a score or a verified bot.
    pub fn reason_name(&self) -> Option<&'static str> {
        match &self.outcome {
            Outcome::Verdict(Verdict::NotScored(not)) => Some(not.reason.name()),
            Outcome::Verdict(_) => None,
            Outcome::Passed(reason) => Some(reason.name()),
        }
    }
}
