//! hedgerow: a lock-free per-core bot-scoring engine for tree ensembles, one request at a time.
//!
//! # Features
//! All are additive. A host that only scores tables which it brings itself needs none of them, and
//! 14 crates.
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `build` | yes | [`model`]: tables made from ensembles |
//! | `bundled-table` | yes | [`DEFAULT_TABLE`], 90 KB |
//! | `ja4` | yes | [`http::Ja4`]: the JA4 of a ClientHello, for logs and lists |
//! | `pool` | yes | [`pool`]: worker threads bound to cores |
//! | `serde` | yes | serialization of what is reported |
//! | `watch` | yes | [`watch`]: watched directories, signatures; [`host::open`](host::open()) |
//! | `capi` | no | `ffi`: the C ABI, for a static or shared library |
//!
//! The only supported system is Linux.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::todo,
        clippy::unimplemented,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
// What a feature that is off would use is not dead: the default features show what is.
#![cfg_attr(
    not(all(feature = "build", feature = "pool", feature = "watch")),
    allow(dead_code)
)]

#[cfg(not(target_os = "linux"))]
compile_error!("hedgerow runs on Linux only: it needs memfd_create and its seals, and membarrier");

pub mod engine;
pub mod epoch;
#[cfg(any(feature = "capi", all(test, feature = "watch")))]
pub mod ffi;
mod hex;
pub mod host;
pub mod http;
pub mod ids;
pub mod limits;
pub mod manual;
#[cfg(feature = "build")]
pub mod model;
#[cfg(feature = "pool")]
pub mod pool;
mod probe;
pub mod refusal;
pub mod row;
pub mod schema;
pub mod score;
pub mod stats;
pub mod switches;
mod sync;
pub mod table;
pub mod traffic;
#[cfg(feature = "watch")]
pub mod watch;

pub use engine::{Engine, EngineStats, PublishError, Scorer};
pub use ids::ContentId;
pub use refusal::{Refusal, RefusalKind};
pub use row::Row;
pub use schema::{Feature, FeatureKind, Schema, SchemaError};
pub use score::{
    Client, ExplainedDetection, Explanation, KERNELS, Kernel, Matches, NotScored, PreparedTable,
    Reason, Score, Scored, Source, Verdict, VerifiedBot,
};
pub use switches::{Selector, Switches};
#[cfg(feature = "bundled-table")]
pub use table::DEFAULT_TABLE;
pub use table::Table;
#[cfg(feature = "watch")]
pub use watch::{WatchOptions, Watcher};
