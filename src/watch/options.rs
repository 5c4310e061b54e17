//! How a directory is watched.

use super::admission::Admission;
use super::drift::DriftOptions;
use super::watchdog::WatchdogOptions;
use std::path::PathBuf;
use std::time::Duration;

/// The table that runs if neither the directory nor the engine's state has one that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fallback {
    /// The bundled table, under the generation 0.
    #[default]
    Bundled,
    /// No table: verdicts are `NotScored(NoTable)`.
    NoTable,
}

/// The options of a [`Watcher`](super::Watcher). Build them with `..WatchOptions::default()`:
/// fields may be added.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchOptions {
    /// The interval in which the directory is read; switches are read twice as often. A look reads
    /// one small file.
    pub poll: Duration,
    /// How long a table's file of another length than the pointer says may stay unchanged before it
    /// is refused: somebody may be copying it.
    pub settle: Duration,
    /// The checks of candidates.
    pub admission: Admission,
    /// How much a candidate may differ from the running table before it is quarantined.
    pub drift: DriftOptions,
    /// How a new table is watched once it is live, and how much it may differ from the one before
    /// until it is reverted.
    pub watchdog: WatchdogOptions,
    /// A folder for this engine alone: its ledger, its status and copies of its last good tables.
    /// `hedgerow status` looks for it at `DIR/engines/NAME`. Without a folder, a restart relies on
    /// the directory.
    pub state: Option<PathBuf>,
    /// The table that runs if no other is there.
    pub fallback: Fallback,
    /// The name of the engine in its ledger and its status.
    pub name: String,
}

impl Default for WatchOptions {
    fn default() -> WatchOptions {
        WatchOptions {
            poll: Duration::from_millis(40),
            settle: Duration::from_secs(2),
            admission: Admission::default(),
            drift: DriftOptions::default(),
            watchdog: WatchdogOptions::default(),
            state: None,
            fallback: Fallback::Bundled,
            name: "engine".into(),
        }
    }
}
