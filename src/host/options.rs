//! How a host scores, what is in front of it, and why it cannot score.

use super::breaker::BreakerOptions;
use crate::epoch::NoSlot;
use crate::http::Scheme;
use crate::table::bots::AddressRange;
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
    /// The seed of the traffic windows, which must stay secret; `None` for a random one. With one
    /// seed, a [`ClientId`](crate::traffic::ClientId) of one scorer is good for another.
    pub seed: Option<u128>,
}

impl Default for HostOptions {
    fn default() -> HostOptions {
        HostOptions {
            traffic_clients: Some(8_192),
            breaker: Some(BreakerOptions::default()),
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
            .finish_non_exhaustive()
    }
}

/// What is in front of a host: its clients, or proxies of the site. Written as
/// `Front { …, ..Front::default() }`; by default every peer is a client.
///
/// A header counts only from a trusted peer. Each of them has to set or remove the headers that
/// are named here: what it passes on is the client's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Who is at the other end of a connection.
    pub hop: HopRule,
    /// The addresses of the site's proxies.
    pub trusted: Vec<AddressRange>,
    /// Whether each of these proxies keeps the order of a client's headers, which then counts.
    pub keeps_order: bool,
    /// The scheme of every client, if it is known: what ends TLS in front takes no plain text.
    pub scheme: Scheme,
    /// The header with the client's address, `x-forwarded-for` by default; `forwarded` is read by
    /// RFC 7239. Here and below, an empty name means that no header says it.
    pub address_header: String,
    /// The header with the client's scheme, `x-forwarded-proto` by default, or `forwarded`.
    pub scheme_header: String,
    /// The header with the protocol version that the client speaks; none by default.
    pub version_header: String,
    /// The header with the JA4 of the client; none by default.
    pub ja4_header: String,
}

/// How a host decides who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HopRule {
    /// A proxy at trusted addresses, a client at all others.
    #[default]
    Auto,
    /// A client, also at trusted addresses: what is in front passes bytes on as they are.
    Client,
    /// A proxy of the site, at any address: nobody else can connect.
    Proxy,
}

impl HopRule {
    /// Returns the rule of a name in configurations: `auto`, `client` or `proxy`.
    pub fn from_name(name: &str) -> Option<HopRule> {
        match name {
            "auto" => Some(HopRule::Auto),
            "client" => Some(HopRule::Client),
            "proxy" => Some(HopRule::Proxy),
            _ => None,
        }
    }
}

impl Default for Front {
    fn default() -> Front {
        Front {
            hop: HopRule::Auto,
            trusted: Vec::new(),
            keeps_order: false,
            scheme: Scheme::Unknown,
            address_header: "x-forwarded-for".into(),
            scheme_header: "x-forwarded-proto".into(),
            version_header: String::new(),
            ja4_header: String::new(),
        }
    }
}

/// Returns `true` for a name that a setting of [`Front`] can have: that of a header, or none.
pub fn is_header_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.bytes().all(good)
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
        }
    }
}

impl std::error::Error for HostError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HostError::NoSlot(full) => Some(full),
            HostError::Traffic(refused) => Some(refused),
            HostError::Schema { .. } => None,
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
