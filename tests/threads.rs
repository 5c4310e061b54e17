//! Which types may move to another thread, and which may be shared: the compiler checks it.
//!
//! The types that may not be shared have a `compile_fail` example in their documentation.

use hedgerow::host::RequestScorer;
use hedgerow::pool::{Call, Pending, Pool, PoolError};
use hedgerow::stats::ScorerStats;
use hedgerow::watch::{Publisher, WatchStatus};
use hedgerow::{
    Engine, EngineStats, PreparedTable, PublishError, Row, Schema, Scorer, Switches, Table,
    Verdict, WatchOptions, Watcher,
};

fn moves<T: Send>() {}
fn is_shared<T: Send + Sync>() {}

#[test]
fn a_thread_owns_its_scorer_and_calls() {
    moves::<Scorer>();
    moves::<RequestScorer>();
    moves::<Call>();
    moves::<Pending<'static>>();
    moves::<Publisher>();
}

#[test]
fn threads_share_engines_pools_watchers_and_values() {
    is_shared::<Engine>();
    is_shared::<EngineStats>();
    is_shared::<ScorerStats>();
    is_shared::<Pool>();
    is_shared::<Watcher>();
    is_shared::<WatchOptions>();
    is_shared::<WatchStatus>();
    is_shared::<Table>();
    is_shared::<PreparedTable>();
    is_shared::<Schema>();
    is_shared::<Row>();
    is_shared::<Switches>();
    is_shared::<Verdict>();
}

#[test]
fn errors_cross_threads() {
    fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
    is_error::<PublishError>();
    is_error::<PoolError>();
    is_error::<hedgerow::epoch::NoSlot>();
    is_error::<hedgerow::epoch::RetiredFull>();
}
