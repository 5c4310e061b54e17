//! The watch: follows a directory of tables and switches, and keeps the last good table running.
//!
//! A [`Publisher`] changes the [directory]. A [`Watcher`] in each host process reads it from
//! threads of its own, runs every check of [admission] on a candidate, and makes live what passes.
//! A refused candidate leaves the running table as it is: the refusal is counted each time, and
//! logged and noted in the [ledger] once for each distinct artefact. Nothing here runs on a thread
//! that scores, and no trouble with the directory reaches one.
//!
//! The publisher's side is in [`publish`]; both sides share the other public modules.
//!
//! ```no_run
//! use hedgerow::{Engine, Schema, WatchOptions, Watcher};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = Engine::new(Schema::http());
//! let watcher = Watcher::start(&engine, "/var/lib/hedgerow", WatchOptions::default())?;
//! let mut scorer = engine.scorer()?; // has a table: the last good one, or the bundled one
//! # Ok(())
//! # }
//! ```

pub mod admission;
pub mod directory;
mod disk;
pub mod drift;
mod follow;
pub mod keys;
pub mod ledger;
mod options;
pub mod publish;
pub mod status;
pub mod time;
pub mod watchdog;

pub use admission::Admission;
pub use directory::{Directory, Origin, Pointer};
pub use drift::{Drift, DriftOptions};
pub use follow::Watcher;
pub use keys::{Keys, NoteSignature, PublicKey, SecretKey};
pub use options::{Fallback, WatchOptions};
pub use publish::{PublishOptions, Publisher};
pub use status::{Source, WatchStatus};
pub use watchdog::WatchdogOptions;
