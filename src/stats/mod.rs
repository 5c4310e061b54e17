//! Counters and latencies of scoring threads: one thread writes them, any thread sums them.

mod counter;
mod counters;
mod latency;
mod reservoir;
mod scores;
mod snapshot;

pub use counter::Counter;
pub(crate) use counters::Counters;
pub use counters::ScorerStats;
pub use latency::Latency;
pub use scores::{SCORES, ScoreCounts};
pub use snapshot::{LatencySnapshot, ScorerSnapshot};
