//! How a directory is watched.

use super::admission::Admission;
use super::drift::DriftOptions;
use super::watchdog::WatchdogOptions;
use std::path::PathBuf;
use std::time::Duration;

/// What runs where the directory and the engine's own state have nothing that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// The bundled table, under the generation 0.
    #[default]
    Bundled,
    /// None: verdicts are `NotScored(NoTable)`.
    NoTable,
}

/// How a directory is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchOptions {
    /// How often the directory is looked at: switches twice as often, since they are waited for. A
    /// look reads one small file.
    pub poll: Duration,
    /// How long a table's file of another length than the pointer says may stay unchanged before
    /// it is refused: somebody may be copying it.
    pub settle: Duration,
    /// What candidates are held against.
    pub admission: Admission,
    /// By how much a candidate may differ from the running table; over that it is quarantined.
    pub drift: DriftOptions,
    /// How a new table is watched once it is live, and by how much it may differ from the one
    /// before; over that the engine goes back by itself.
    pub watchdog: WatchdogOptions,
    /// A folder of this engine's own, for its ledger, its status and copies of its last good
    /// tables: `DIR/engines/NAME` is where `hedgerow status` looks for it. Without one a restart
    /// relies on the directory alone.
    pub state: Option<PathBuf>,
    /// What runs where nothing else does.
    pub fallback: Fallback,
    /// This engine's name in its ledger and its status.
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
