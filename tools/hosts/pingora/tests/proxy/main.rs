//! The proxy as people run it: the binary, real sockets, real clients.

mod answers;
mod behind;
mod clients;
mod common;
mod contained;
mod docs;
mod hops;
mod http2;
mod lost;
mod policy;
mod recorded;
mod scores;
mod spellings;
