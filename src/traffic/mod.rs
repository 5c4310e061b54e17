//! Per-client traffic windows: how often, how regularly and what for a client comes to one core.
//!
//! A request alone does not show a script that sends a browser's headers. What the same client
//! did within the last minutes does: [`FEATURES`] are twelve numbers about that, to stand in a
//! row beside those of [`http`](crate::http). One [`Windows`] belongs to one thread, like a
//! [`Scorer`](crate::Scorer); all memory is taken when it is made. The manual's chapter on
//! [traffic](crate::manual::traffic) says how to use them, and what they cannot see.
//!
//! ```
//! use hedgerow::http::{Header, HeadersKnown, Request, extract};
//! use hedgerow::traffic::{ClientKey, Facts, HTTP_BASE, Windows, position, random_seed};
//! use hedgerow::{Row, Schema};
//! use std::time::Instant;
//!
//! let start = Instant::now();
//! let mut windows = Windows::new(8_192, random_seed())?;
//! let headers = [Header::new(b"User-Agent", b"curl/8.5.0")];
//! let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
//! let key = ClientKey::address("192.0.2.1".parse()?);
//! let mut row = Row::MISSING;
//! for _ in 0..3 {
//!     let now = start.elapsed().as_nanos() as u64;
//!     extract(&request, &mut row);
//!     let client = windows.observe(&key, &Facts::of(&request), now);
//!     client.fill(&mut row, HTTP_BASE);
//!     // Score the row, answer the request, and:
//!     windows.finish(client.id(), 200);
//! }
//! let at = Schema::http_with_traffic().index_of("traffic_requests_60s");
//! assert_eq!(at.map(|at| row.get(at)), Some(3.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Errors of the windows
//! - **Counts** leave out nothing younger than 7/8 of their window and hold nothing older than the
//!   window, on this core and of this client. Each eighth of a window stops at 65,535.
//! - **Means and shares** are exact for the first 64 values; then each new value has a weight of
//!   1/64, so that the last 64 together weigh 63 %.
//! - **Different paths and agents** are counted in 64 bits. Never more than
//!   `64 ln(64 / (64 - n))` for `n` of them; the standard error is 9 % at 8, 10 % at 32, 11 % at
//!   64, 15 % at 128 and 21 % at 192; about 311 is the most. They reach back one minute at least
//!   and two at most.
//! - **Two clients are one** where 32 bits of their keyed hashes agree in a set: each new client
//!   is taken for another with a probability of at most 8 in 2^32, 2e-9.
//! - **Time**: a clock that goes back by up to a second stands still for the client until it has
//!   caught up. One that goes back further starts each client anew at its next request.
//! - **Forgotten** is who had to go for another; see below. A forgotten client is a new one.
//!
//! # What one client can do to others
//! The places of clients depend on a secret seed, so that nobody can choose to share a set with
//! another. A set has eight ways. A new client takes one of the last two, and only other new
//! clients are dropped for it. From its third request on it is established, in one of the first
//! six ways, if one is free or its client was idle for
//! [`TRAFFIC_IDLE_SECONDS`](crate::limits::TRAFFIC_IDLE_SECONDS). So an established client that
//! comes once a minute is never forgotten, whatever others send, and a single client never takes
//! more than one way. What an attacker can do is to keep newcomers from being established: with
//! as many clients as there are ways, each sending once a minute.

mod client;
mod facts;
mod features;
mod hash;
mod key;
mod observe;
mod set;
mod sketch;

pub use facts::Facts;
pub use features::{FEATURES, HTTP_BASE, position};
pub use key::{ClientId, ClientKey, KEY_BYTES_MAX};
pub use observe::Observed;

use crate::limits::TRAFFIC_CLIENTS_MAX;
use set::Set;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;

/// The traffic of the clients of one core, in memory of a fixed size: 136 bytes a client, 1.06 MiB
/// for 8,192.
///
/// One for each thread that scores; it is not shared. A client whose requests are spread over
/// several threads is seen by each in part.
pub struct Windows {
    sets: Box<[Set]>,
    seed: hash::Seed,
    stats: TrafficStats,
}

/// What happened in windows so far: whether there is room enough. Numbers only grow, and wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TrafficStats {
    /// Clients that were new, or forgotten.
    pub entered: u64,
    /// Newcomers' ways that were taken for other newcomers.
    pub dropped: u64,
    /// Newcomers that became established.
    pub established: u64,
    /// Established clients, idle for a minute at least, that made room for them.
    pub displaced: u64,
    /// Requests of newcomers that would be established, but all ways are of clients that come
    /// every minute. Where this grows beside `established`, there should be more clients.
    pub crowded: u64,
}

/// A number of clients that windows cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrafficError {
    /// Not a power of two, or out of bounds.
    Clients {
        /// The number asked for.
        got: usize,
    },
    /// The memory is not to be had.
    Memory {
        /// How many bytes.
        bytes: usize,
    },
}

impl fmt::Display for TrafficError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrafficError::Clients { got } => write!(
                f,
                "expected room for a power of two of clients, {WAYS} to {TRAFFIC_CLIENTS_MAX}, \
                 got {got}"
            ),
            TrafficError::Memory { bytes } => {
                write!(f, "expected {bytes} bytes of memory, got none")
            }
        }
    }
}

impl std::error::Error for TrafficError {}

impl Windows {
    /// Windows with room for that many clients, a power of two. Takes all their memory, and
    /// touches it. Good is four times the clients that come to the core within a minute.
    ///
    /// The seed must be secret: take it from [`random_seed`], or a fixed one for tests.
    ///
    /// # Errors
    /// Where the number is no power of two from 8 to
    /// [`TRAFFIC_CLIENTS_MAX`], or there is no memory.
    pub fn new(clients: usize, seed: u128) -> Result<Windows, TrafficError> {
        if !clients.is_power_of_two() || !(WAYS..=TRAFFIC_CLIENTS_MAX).contains(&clients) {
            return Err(TrafficError::Clients { got: clients });
        }
        let count = clients / WAYS;
        let mut sets = Vec::new();
        sets.try_reserve_exact(count)
            .map_err(|_| TrafficError::Memory {
                bytes: Windows::bytes(clients),
            })?;
        sets.resize(count, Set::EMPTY);
        Ok(Windows {
            sets: sets.into_boxed_slice(),
            seed: [seed as u64, (seed >> 64) as u64],
            stats: TrafficStats::default(),
        })
    }

    /// The memory of windows with room for that many clients, in bytes.
    pub const fn bytes(clients: usize) -> usize {
        (clients / WAYS).saturating_mul(size_of::<Set>())
    }

    /// What happened so far.
    pub fn stats(&self) -> TrafficStats {
        self.stats
    }
}

impl fmt::Debug for Windows {
    /// Without the seed, which stays secret, and without the clients, who are many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Windows")
            .field("sets", &self.sets.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// A seed that others do not know, from the system's randomness.
pub fn random_seed() -> u128 {
    // The standard library's own keys against chosen collisions: a hash under them is as secret.
    let half = |n: u8| u128::from(RandomState::new().hash_one(n));
    (half(0) << 64) | half(1)
}

/// Clients of a set: their tags and times fill one cache line.
const WAYS: usize = 8;

/// Ways of a set that newcomers take.
const NEWCOMER_WAYS: usize = 2;

/// The request with which a newcomer becomes established.
const ESTABLISHED_AT: u8 = 3;

/// Traffic features.
const VALUES: usize = 12;

/// Parts of a window; the oldest is forgotten as a whole.
const WINDOW_BUCKETS: usize = 8;

/// The lengths of these parts in nanoseconds, for the windows of 1, 10 and 60 seconds.
const BUCKETS: [NonZeroU64; 3] = [
    nanos(125_000_000),
    nanos(1_250_000_000),
    nanos(7_500_000_000),
];

const fn nanos(nanos: u64) -> NonZeroU64 {
    match NonZeroU64::new(nanos) {
        Some(nanos) => nanos,
        None => NonZeroU64::MIN,
    }
}

/// What the sketches forget at once, in nanoseconds.
const MINUTE: u64 = 60_000_000_000;

/// How far a client's clock may go back before it starts anew, in nanoseconds.
const BACK_MAX: u64 = 1_000_000_000;

/// How many values a mean remembers.
const MEMORY: u8 = 64;

/// How many values a share needs, and the gaps a variation.
const SHARE_MIN: u8 = 4;
