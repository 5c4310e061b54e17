//! How a host scores, and why it cannot.

use super::breaker::BreakerOptions;
use crate::epoch::NoSlot;
use crate::traffic::TrafficError;
use std::fmt;

/// How a [`RequestScorer`](super::RequestScorer) works. Written as
/// `HostOptions { …, ..HostOptions::default() }`.
#[derive(Clone, PartialEq, Eq)]
pub struct HostOptions {
    /// Clients in the traffic windows of each scorer: a power of two from 8 to 65,536, 136 bytes
    /// each. `None` for no windows. A schema without the
    /// [traffic features](crate::Schema::http_with_traffic) has none either.
    pub traffic_clients: Option<usize>,
    /// When a scorer stops for a while; `None` for never.
    pub breaker: Option<BreakerOptions>,
    /// Built-in features, by name, that this host can never know: they are missing in every row.
    pub unknown: &'static [&'static str],
    /// The seed of the traffic windows, which must stay secret; `None` for a random one. With one
    /// seed, a [`ClientId`](crate::traffic::ClientId) of one scorer is good for another.
    pub seed: Option<u128>,
}

impl Default for HostOptions {
    fn default() -> HostOptions {
        HostOptions {
            traffic_clients: Some(8_192),
            breaker: Some(BreakerOptions::default()),
            unknown: &[],
            seed: None,
        }
    }
}

impl fmt::Debug for HostOptions {
    /// Without the seed, which stays secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostOptions")
            .field("traffic_clients", &self.traffic_clients)
            .field("breaker", &self.breaker)
            .field("unknown", &self.unknown)
            .finish_non_exhaustive()
    }
}

/// Why an engine gives no request scorer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostError {
    /// The engine has no slot for another scorer.
    NoSlot(NoSlot),
    /// The traffic windows cannot be made.
    Traffic(TrafficError),
    /// The schema does not start with the built-in HTTP features.
    Schema {
        /// The first built-in feature that is not at its position.
        expected: &'static str,
    },
    /// [`HostOptions::unknown`] has a name that no built-in feature has.
    Feature {
        /// The name.
        got: &'static str,
    },
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::NoSlot(full) => full.fmt(f),
            HostError::Traffic(refused) => refused.fmt(f),
            HostError::Schema { expected } => write!(
                f,
                "expected a schema that starts with the built-in HTTP features, such as \
                 Schema::http(), got one without \"{expected}\" at its position"
            ),
            HostError::Feature { got } => {
                write!(f, "expected names of built-in features, got \"{got}\"")
            }
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HostError::NoSlot(full) => Some(full),
            HostError::Traffic(refused) => Some(refused),
            HostError::Schema { .. } | HostError::Feature { .. } => None,
        }
    }
}

impl From<NoSlot> for HostError {
    fn from(full: NoSlot) -> HostError {
        HostError::NoSlot(full)
    }
}

impl From<TrafficError> for HostError {
    fn from(refused: TrafficError) -> HostError {
        HostError::Traffic(refused)
    }
}
