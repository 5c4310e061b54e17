//! One module a command, each with its arguments and `run`.

pub mod bench;
pub mod capacity;
pub mod compile;
pub mod diff;
pub mod drill;
pub mod explain;
pub mod extract;
pub mod features;
pub mod fleet;
pub mod inspect;
pub mod key;
pub mod limits;
pub mod load;
pub mod publish;
pub mod replay;
pub mod report;
pub mod score;
pub mod shadow;
pub mod status;
pub mod switch;
pub mod verify;
pub mod why;
