//! The compile side: a trained [`Ensemble`], and what turns it into a table file.
//!
//! Importers make an [`Ensemble`] from a library's own model. [`build()`] writes its table: the
//! splits' borders become lanes, leaves become fixed-point numbers, and everything is laid out as
//! kernels execute it. [`refresh()`] writes a table again with other descriptions of its features.
//! A host needs none of this: it opens what was written, see [`table`](crate::table).

mod arrange;
mod bots;
mod build;
mod check;
mod detections;
mod ensemble;
mod error;
mod fixed_point;
mod lanes;
mod options;
mod refresh;
mod sections;
mod shapes;

pub use build::{Built, build};
pub use ensemble::{Ensemble, Missing, Node, Split, Test, Tree};
pub use error::BuildError;
pub use options::{BuildOptions, logistic_score_map};
pub use refresh::{Refresh, refresh};
