//! The table: feature descriptors, ensemble, score map and golden rows in one sealed artefact.

pub mod ensemble;
