//! The status of one engine: its table, where that came from, and what it refused.

use super::directory::{Directory, FILES_VERSION, Origin};
use super::disk::{Lock, read_at_most, read_small};
use super::drift::Drift;
use super::watchdog::{Health, Watching};
use crate::ids::ContentId;
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the running table came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Source {
    /// No table runs: verdicts are `NotScored(NoTable)`.
    #[default]
    None,
    /// The bundled table, because nothing else was there at the start. Its generation is 0.
    Bundled,
    /// The table that the directory's pointer names, or named when it was taken.
    Directory,
    /// The newest copy of a good table in the engine's state folder.
    Kept,
    /// The newest table of the directory's ledger that passed every check.
    Ledger,
    /// The table before the last one: the watchdog reverted to it.
    Reverted,
}

impl Source {
    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Source::None => "none",
            Source::Bundled => "bundled",
            Source::Directory => "directory",
            Source::Kept => "kept",
            Source::Ledger => "ledger",
            Source::Reverted => "reverted",
        }
    }
}

/// A table that an engine took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KnownGood {
    /// Its generation.
    pub generation: u64,
    /// Its content hash.
    pub content_id: ContentId,
    /// The running number in the table's header, which a signature covers; 0 for none.
    #[serde(default)]
    pub table_generation: u64,
}

/// A table that the pointer names and that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Waiting {
    /// Its generation.
    pub generation: u64,
    /// The content hash that the pointer names.
    pub content_id: ContentId,
    /// `true` if it was refused; otherwise it is awaited or checked.
    pub refused: bool,
    /// `true` if it was refused for its drift alone: a person can force it.
    #[serde(default)]
    pub quarantined: bool,
}

/// A table that differs too much from the one that ran, and is held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// RFC 3339 time of the comparison. Informational.
    pub at: String,
    /// Its generation.
    pub generation: u64,
    /// Its content hash.
    pub content_id: ContentId,
    /// The running generation that it was compared with.
    pub against: u64,
    /// The comparison, and the bounds that it exceeds.
    pub drift: Drift,
}

/// A refused artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Refused {
    /// RFC 3339 time of the first refusal. Informational.
    pub first_at: String,
    /// RFC 3339 time of the last refusal. Informational.
    pub last_at: String,
    /// The number of refusals.
    pub count: u64,
    /// The last generation that named it, if it is a table.
    pub generation: Option<u64>,
    /// The content hash that was named, if it is a table.
    pub content_id: Option<ContentId>,
    /// The refusal.
    pub reason: Refusal,
}

/// A generation that the watchdog reverted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reverted {
    /// RFC 3339 time of the revert. Informational.
    pub at: String,
    /// The reverted generation.
    pub generation: u64,
    /// Its content hash.
    pub content_id: ContentId,
    /// The generation that runs instead.
    pub to: u64,
    /// The comparison, and the bounds that it exceeded.
    pub watching: Watching,
}

/// A table in shadow, compared with the running one on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ShadowStatus {
    /// Its name.
    pub name: String,
    /// Its content hash.
    pub content_id: ContentId,
    /// The share of sampled rows that it scores, above 0 and at most 1.
    pub share: f64,
    /// `true` if it passed every check; otherwise it is among the refusals.
    pub runs: bool,
    /// The running generation that it is compared with.
    pub against: u64,
    /// RFC 3339 time since which rows are counted. A new running table starts the counts again.
    pub since: String,
    /// Rows that both tables scored.
    pub rows: u64,
    /// The number of rows that the shadow gave each score, 1 to 99.
    pub scores: Vec<u64>,
    /// The number of rows that the running table gave each score.
    pub running_scores: Vec<u64>,
    /// The population stability index of the two distributions.
    pub psi: f64,
    /// Rows whose two scores differ by 10 or more.
    pub far: u64,
    /// Each of the host's thresholds, and the number of rows that cross it.
    pub crossed: Vec<(u8, u64)>,
}

/// The used amount of a capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Headroom {
    /// The name of the capacity.
    pub name: String,
    /// The used amount.
    pub used: u64,
    /// The limit.
    pub max: u64,
}

/// The status of one engine's watch: the content of the file `status` in its state folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WatchStatus {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The engine's process.
    pub origin: Origin,
    /// RFC 3339 time of the start. Informational.
    pub started_at: String,
    /// The watched directory.
    pub directory: String,
    /// Where the running table came from.
    pub source: Source,
    /// The running generation; 0 for the bundled table and for none.
    pub generation: u64,
    /// The content hash of the running table; an empty text in the file without one.
    #[serde(with = "crate::ids::or_empty")]
    pub content_id: Option<ContentId>,
    /// RFC 3339 time since which it runs. Informational.
    pub since: String,
    /// The publisher, if it is known.
    pub publisher: Option<Origin>,
    /// The selectors that are switched off.
    pub switches: Vec<String>,
    /// The table that the pointer names, if it does not run.
    pub waiting: Option<Waiting>,
    /// The number of refusals by name.
    pub refusals: BTreeMap<String, u64>,
    /// The last distinct refused artefacts, newest first.
    pub last_refusals: Vec<Refused>,
    /// The number of quarantines.
    #[serde(default)]
    pub quarantines: u64,
    /// The last tables in quarantine that no person forced since, newest first.
    #[serde(default)]
    pub quarantined: Vec<Quarantined>,
    /// The comparison of the last taken table with the one before it; `None` if it was forced, a
    /// rollback, the same table, or the first.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// The comparison of the last published table in operation with the one before it; `None` if
    /// none is watched.
    #[serde(default)]
    pub watchdog: Option<Watching>,
    /// The number of reverts.
    #[serde(default)]
    pub reverts: u64,
    /// The last reverted generations, newest first.
    #[serde(default)]
    pub reverted: Vec<Reverted>,
    /// The tables in shadow.
    #[serde(default)]
    pub shadows: Vec<ShadowStatus>,
    /// Rows of live requests in the reservoirs.
    #[serde(default)]
    pub reservoir: u64,
    /// What is wrong now, by area.
    pub problems: BTreeMap<String, Refusal>,
    /// The used amount of each capacity of the running table.
    pub headroom: Vec<Headroom>,
    /// Taken tables to go back to, newest first.
    pub good: Vec<KnownGood>,
}

impl WatchStatus {
    pub(super) fn new(directory: &Path, origin: Origin) -> WatchStatus {
        WatchStatus {
            version: FILES_VERSION,
            origin,
            started_at: super::time::now(),
            directory: directory.display().to_string(),
            source: Source::None,
            generation: 0,
            content_id: None,
            since: super::time::now(),
            publisher: None,
            switches: Vec::new(),
            waiting: None,
            refusals: BTreeMap::new(),
            last_refusals: Vec::new(),
            quarantines: 0,
            quarantined: Vec::new(),
            drift: None,
            watchdog: None,
            reverts: 0,
            reverted: Vec::new(),
            shadows: Vec::new(),
            reservoir: 0,
            problems: BTreeMap::new(),
            headroom: Vec::new(),
            good: Vec::new(),
        }
    }
}

/// The most bytes that are read of a status, 1 MiB: its texts from outside are bounded, some 300
/// KiB together, and its switches are those of a file of at most 256 KiB.
const STATUS_BYTES_MAX: u64 = 1 << 20;

/// Returns the status in a state folder; `None` if there is none that can be read.
pub fn read(state: &Path) -> Option<WatchStatus> {
    let bytes = read_at_most(&state.join("status"), STATUS_BYTES_MAX).ok()??;
    let status: WatchStatus = serde_json::from_slice(&bytes).ok()?;
    (status.version == FILES_VERSION).then_some(status)
}

/// The age from which a health file is ignored: it is replaced each second.
const HEALTH_AGE_MAX: Duration = Duration::from_secs(10);

/// Returns the health of the engine of a state folder; `None` if it is not alive, or wrote none
/// recently. Both times are of one machine's clock; a file from the future was written before the
/// clock was set back.
pub fn health(state: &Path) -> Option<Health> {
    let path = state.join("health");
    let age = path.metadata().ok()?.modified().ok()?.elapsed();
    let bytes = read_small(&path).ok()??;
    let health: Health = serde_json::from_slice(&bytes).ok()?;
    let fresh = age.unwrap_or_default() < HEALTH_AGE_MAX && is_alive(state);
    (fresh && health.version == FILES_VERSION).then_some(health)
}

/// Returns whether the engine of a state folder is alive: it holds the folder's lock.
pub fn is_alive(state: &Path) -> bool {
    Lock::is_held(state)
}

/// The most engines that are read.
const ENGINES_MAX: usize = 1_000;

/// Returns the engines that keep their state within the directory, with their folders.
pub fn engines(directory: &Directory) -> Vec<(PathBuf, WatchStatus)> {
    let Ok(entries) = std::fs::read_dir(directory.engines()) else {
        return Vec::new();
    };
    let folders = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = folders
        .take(ENGINES_MAX)
        .filter_map(|folder| read(&folder).map(|status| (folder, status)))
        .collect();
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}
