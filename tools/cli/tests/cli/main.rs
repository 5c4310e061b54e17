//! Black-box tests of the command line: the real binary, as a user and as a script meets it.

mod bench;
mod common;
mod compile;
mod contract;
mod drill;
mod fleet;
mod load;
mod modes;
mod output;
mod recorded;
mod replay;
mod report;
mod requests;
mod rows;
mod rules;
mod schemas;
mod watch;
mod why;
