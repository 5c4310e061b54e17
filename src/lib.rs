//! hedgerow: a lock-free per-core bot-scoring engine for tree ensembles, one request at a time.

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

pub mod engine;
pub mod epoch;
pub mod error;
#[cfg(any(feature = "capi", test))]
pub mod ffi;
pub mod host;
pub mod http;
pub mod limits;
pub mod manual;
pub mod model;
pub mod pool;
mod probe;
pub mod row;
pub mod schema;
pub mod score;
pub mod stats;
pub mod switches;
mod sync;
pub mod table;
pub mod traffic;
pub mod watch;

pub use engine::{Engine, EngineStats, PublishError, RefusalCount, Scorer};
pub use error::OpenError;
pub use row::Row;
pub use schema::{Feature, FeatureKind, Schema, SchemaError};
pub use score::{
    Client, ExplainedDetection, Explanation, KERNELS, Kernel, Matches, NotScored, PreparedTable,
    Reason, Score, Scored, Source, Verdict, VerifiedBot,
};
pub use switches::{Selector, Switches};
pub use table::{DEFAULT_TABLE, Table};
pub use watch::{WatchOptions, Watcher};
