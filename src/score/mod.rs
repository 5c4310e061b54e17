//! From a row to a margin and a score: kernels, and tables prepared for them.

mod batch;
mod client;
mod detect;
mod explain;
mod fours;
mod kernel;
mod planes;
mod portable;
mod portable_batch;
mod predicates;
mod prepared;
mod steps;
mod verdict;
mod walks;
mod words;
#[cfg(target_arch = "x86_64")]
mod x86_64;

pub use client::Client;
pub use explain::{ExplainedDetection, Explanation};
pub use kernel::{KERNELS, Kernel};
pub use prepared::PreparedTable;
pub use verdict::{Matches, NotScored, Reason, Score, Scored, Source, Verdict, VerifiedBot};
