//! From a row to a margin and a score: kernels, and tables prepared for them.

mod client;
mod detect;
mod explain;
mod kernel;
mod layout;
mod prepared;
mod verdict;

pub use client::Client;
pub use explain::{ExplainedDetection, Explanation};
pub use kernel::{KERNELS, Kernel};
pub use prepared::PreparedTable;
pub use verdict::{Matches, NotScored, Reason, Score, Scored, Source, Verdict, VerifiedBot};
