//! hedgerow in Pingora: a filter that another proxy takes in, and a whole proxy made with it.
//!
//! [`Filter`] is for a proxy that exists: ten lines, shown at the type. The other modules are the
//! binary `hedgerow-proxy`. Whatever goes wrong in scoring, a request goes on without a score:
//! nothing in [`filter`] returns an error or panics.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod admin;
pub mod args;
pub mod control;
pub mod counters;
pub mod error_log;
pub mod filter;
pub mod headers;
pub mod lines;
mod log_line;
mod memory;
pub mod metrics;
pub mod policies;
pub mod policy;
pub mod proxy;
pub mod shared;
pub mod status;

pub use filter::{Filter, From, OwnFeatures};
pub use hedgerow::host::{
    BreakerOptions, Front, HopRule, HostOptions, Outcome, PassReason, ScoredRequest,
};
