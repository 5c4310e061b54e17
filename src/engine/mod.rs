//! The engine: one live table, swapped under the scorers of a host's threads.
//!
//! `control` publishes, switches and counts, and may lock and allocate. `scorer` and `live` are the
//! hot path, which does neither.

mod control;
mod live;
mod sample;
mod scorer;

pub use control::{DetectionCount, Engine, EngineStats, PublishError};
pub use scorer::Scorer;
