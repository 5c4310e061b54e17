//! From a request to a verdict: what every host shares.
//!
//! A [`RequestScorer`] takes a [`Request`](crate::http::Request) through every step: built-in
//! features, traffic windows, the host's own features, verified bots, the live table, latency and
//! the circuit breaker. Each thread has its own: from
//! [`Engine::request_scorer`](crate::Engine::request_scorer), or kept by a [`ThreadScorers`], which
//! all threads share. [`open`] makes the engine: from the bundled table, a file or a watched
//! directory. [`headers`] holds the names and values of the headers that carry a verdict.
//!
//! [`Front`] says what is in front of the host. With proxies there, [`Front::resolve`] comes before
//! the scorer: the facts of the connection are the proxy's, and trusted headers have the client's.
//!
//! No call fails or panics for a request: trouble is a request without a score, and
//! [`Outcome::Passed`] names the reason.
//!
//! ```
//! use hedgerow::host::{self, HostOptions, OpenOptions};
//! use hedgerow::http::{Header, HeadersKnown, Request};
//!
//! let host = host::open(OpenOptions::default())?;
//! let mut scorer = host.engine.request_scorer(HostOptions::default())?;
//! let headers = [Header::new(b"User-Agent", b"curl/8.5.0")];
//! let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete)
//!     .peer("192.0.2.1".parse()?);
//! let scored = scorer.score(&request);
//! if let Some(score) = scored.score() {
//!     println!("score {score} in {:?}", scored.took());
//! }
//! // Once the request is answered: the status counts for the client's next request.
//! scorer.finish(scored.client(), 200);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod breaker;
mod counters;
mod facts;
mod front;
pub mod headers;
#[cfg(feature = "watch")]
mod open;
mod options;
mod request_scorer;
mod scored;
mod threads;

pub use breaker::BreakerOptions;
pub use counters::{HostCounters, HostSnapshot};
pub use facts::{facts, parse_facts};
#[cfg(feature = "watch")]
pub use open::{OpenFailure, OpenOptions, Opened, TableSource, open};
pub use options::{Front, HopRule, HostError, HostOptions, is_header_name};
pub use request_scorer::RequestScorer;
pub use scored::{Outcome, PassReason, ScoredRequest};
pub use threads::ThreadScorers;
