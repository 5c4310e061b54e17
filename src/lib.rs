//! hedgerow: a lock-free per-core bot-scoring engine for tree ensembles, one request at a time.

pub mod http;
pub mod limits;
pub mod row;
pub mod schema;
pub mod table;

pub use row::Row;
pub use schema::{Feature, FeatureKind, Schema, SchemaError};
