//! The manual: what to know beyond the reference of single items.

/// Promises, where each is made true, and the command that proves it.
#[doc = include_str!("proofs.md")]
pub mod proofs {}

/// Publishing, refusals, rollback, switches, restarts and keys: a question each.
#[doc = include_str!("operations.md")]
pub mod operations {}

/// What past outages ask of a scoring engine, and what answers it here.
#[doc = include_str!("outages.md")]
pub mod outages {}

/// Rules beside the ensemble, bots known by their addresses, and how to read verdicts.
#[doc = include_str!("detections.md")]
pub mod detections {}
