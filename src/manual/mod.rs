//! The manual: what to know beyond the reference of single items.

/// Promises, where each is made true, and the command that proves it.
#[doc = include_str!("proofs.md")]
pub mod proofs {}

/// Publishing, refusals, rollback, switches, restarts and keys: a question each.
#[doc = include_str!("operations.md")]
pub mod operations {}

/// Many machines: tables from a database, publishing, agents, rings, and the way back.
#[doc = include_str!("fleet.md")]
pub mod fleet {}

/// What past outages ask of a scoring engine, and what answers it here.
#[doc = include_str!("outages.md")]
pub mod outages {}

/// Rules beside the ensemble, bots known by their addresses, and how to read verdicts.
#[doc = include_str!("detections.md")]
pub mod detections {}

/// Every built-in feature, how to read them, and how a host adds its own.
#[doc = include_str!("features.md")]
pub mod features {}

/// The windows of clients: how to use them, how far they err, and what they cannot see.
#[doc = include_str!("traffic.md")]
pub mod traffic {}

/// Load, reports, comparisons, capacity: how to measure, and what a machine cannot show.
#[doc = include_str!("measuring.md")]
pub mod measuring {}

/// Proxies in front of a host: who is at the other end, and which headers count.
#[doc = include_str!("front.md")]
pub mod front {}

/// The C ABI: a whole host, statuses, threads, forks.
#[doc = include_str!("c.md")]
pub mod c {}

/// Scores in nginx: directives, variables, what it costs.
#[doc = include_str!("nginx.md")]
pub mod nginx {}

/// Where the time goes, instruction by instruction: perf, bpftrace, benches, and a slowdown found.
#[doc = include_str!("profiling.md")]
pub mod profiling {}

/// Scores in Envoy: a configuration, headers, metadata.
#[doc = include_str!("envoy.md")]
pub mod envoy {}

/// Scores in Pingora: the filter for another proxy, and a whole proxy with its policy.
#[doc = include_str!("pingora.md")]
pub mod pingora {}
