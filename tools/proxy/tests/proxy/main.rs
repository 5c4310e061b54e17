//! The proxy as people run it: the binary, real sockets, real clients.

mod answers;
mod common;
mod contained;
mod policy;
mod recorded;
mod scores;
