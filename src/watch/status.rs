//! What an engine says of itself: which table it runs, since when, from where, and what it refused.

use super::directory::{Directory, FILES_VERSION, Origin};
use super::disk::{Lock, read_at_most, read_small};
use super::drift::Drift;
use super::watchdog::{Health, Watching};
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the running table came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// There is none: verdicts are `NotScored(NoTable)`.
    #[default]
    None,
    /// The bundled one: nothing else was there to start with. Its generation is 0.
    Bundled,
    /// The one that the directory's pointer names, or named when it was taken.
    Directory,
    /// The last one that this engine's own state knows to be good.
    Kept,
    /// The last one of the directory's ledger that passed.
    Ledger,
    /// The one before the last: the engine went back to it by itself.
    Reverted,
}

impl Source {
    /// The name in reports.
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
pub struct KnownGood {
    /// Its generation.
    pub generation: u64,
    /// Its content hash.
    pub content_id: String,
    /// The running number that its own header has, which a signature covers; 0 for none.
    #[serde(default)]
    pub table_generation: u64,
}

/// A table that the pointer names, and that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its generation.
    pub generation: u64,
    /// Its content hash, as the pointer says.
    pub content_id: String,
    /// Whether it was refused; else it is awaited, or being checked.
    pub refused: bool,
    /// Whether it was refused for its drift alone: a person can force it.
    #[serde(default)]
    pub quarantined: bool,
}

/// A table that differs too much from the one that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// When it came, for people.
    pub at: String,
    /// Its generation.
    pub generation: u64,
    /// Its content hash.
    pub content_id: String,
    /// The generation that ran, and that it was compared with.
    pub against: u64,
    /// The numbers, and the bounds that they exceed.
    pub drift: Drift,
}

/// A refused artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When it was first refused, for people.
    pub first_at: String,
    /// When it was last refused.
    pub last_at: String,
    /// How often.
    pub count: u64,
    /// The last generation that it came under, where it is a table.
    pub generation: Option<u64>,
    /// Its content hash, as the pointer says, where it is a table.
    pub content_id: Option<String>,
    /// Why.
    pub reason: Refusal,
}

/// A generation that the engine went back from by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reverted {
    /// When it did, for people.
    pub at: String,
    /// The generation.
    pub generation: u64,
    /// Its content hash.
    pub content_id: String,
    /// The generation that it went back to.
    pub to: u64,
    /// The numbers, and the bounds that they exceeded.
    pub watching: Watching,
}

/// A table that is tried in shadow, and how it compares with the running one on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowStatus {
    /// Its name.
    pub name: String,
    /// Its content hash.
    pub content_id: String,
    /// The share of sampled rows that it scores.
    pub share: f64,
    /// Whether it passed every check; else it is among the refusals.
    pub runs: bool,
    /// The running generation that it is compared with.
    pub against: u64,
    /// Since when, for people: another running table begins the counts anew.
    pub since: String,
    /// Rows that both have scored.
    pub rows: u64,
    /// How often the shadow gave each score, 1 to 99.
    pub scores: Vec<u64>,
    /// How often the running table gave each.
    pub running_scores: Vec<u64>,
    /// The population stability index of the two.
    pub psi: f64,
    /// Rows whose two scores are 10 apart, or more.
    pub far: u64,
    /// Each of the host's thresholds, and the rows that cross it.
    pub crossed: Vec<(u8, u64)>,
}

/// Use of a capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headroom {
    /// What is counted.
    pub name: String,
    /// How much of it there is.
    pub used: u64,
    /// The capacity.
    pub max: u64,
}

/// The state of one engine's watch. What it writes to its state folder is this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchStatus {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The engine's process.
    pub origin: Origin,
    /// When the watch started.
    pub started_at: String,
    /// The directory.
    pub directory: String,
    /// Where the running table came from.
    pub source: Source,
    /// The generation that runs; 0 for the bundled table, and for none.
    pub generation: u64,
    /// The content hash of the running table.
    pub content_id: String,
    /// When it was made live.
    pub since: String,
    /// Who published it, where that is known.
    pub publisher: Option<Origin>,
    /// The selectors that are switched off.
    pub switches: Vec<String>,
    /// What the pointer names, where that is not what runs.
    pub waiting: Option<Waiting>,
    /// Refusals by name, each counted as often as it came.
    pub refusals: BTreeMap<String, u64>,
    /// Distinct refused artefacts, newest first; the last few.
    pub last_refusals: Vec<Refused>,
    /// Tables that were held back because they differ too much, each as often as it came.
    #[serde(default)]
    pub quarantines: u64,
    /// Those of them that no person has forced since, newest first; the last few.
    #[serde(default)]
    pub quarantined: Vec<Quarantined>,
    /// How the last table that was taken compares with the one before it; none where it was not
    /// compared: it was forced, gone back to, the same, or the first.
    #[serde(default)]
    pub drift: Option<Drift>,
    /// How the last published table compares with the one before it, in operation; none where it
    /// is not watched.
    #[serde(default)]
    pub watchdog: Option<Watching>,
    /// How often the engine went back by itself.
    #[serde(default)]
    pub reverts: u64,
    /// The generations that it went back from, newest first; the last few.
    #[serde(default)]
    pub reverted: Vec<Reverted>,
    /// What is tried in shadow.
    #[serde(default)]
    pub shadows: Vec<ShadowStatus>,
    /// Rows of live requests that the engine has to compare tables on.
    #[serde(default)]
    pub reservoir: u64,
    /// What is wrong at the moment, by area.
    pub problems: BTreeMap<String, Refusal>,
    /// How much of each capacity the running table uses.
    pub headroom: Vec<Headroom>,
    /// Tables that this engine took and would go back to, newest first.
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
            content_id: String::new(),
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

/// Bytes of a status that are read, 1 MiB: its texts from outside are bounded, some 300 KiB
/// together, and its switches are those of a file of at most 256 KiB.
const STATUS_BYTES_MAX: u64 = 1 << 20;

/// The status that an engine has written to its state folder; none where there is none, or none
/// that can be understood.
pub fn read(state: &Path) -> Option<WatchStatus> {
    let bytes = read_at_most(&state.join("status"), STATUS_BYTES_MAX).ok()??;
    let status: WatchStatus = serde_json::from_slice(&bytes).ok()?;
    (status.version == FILES_VERSION).then_some(status)
}

/// A health file that is older than this says nothing about the moment: it is replaced each second.
const HEALTH_AGE_MAX: Duration = Duration::from_secs(10);

/// What the engine of a state folder has seen of late; none where it does not say. Both times are
/// of one machine's clock; a file that seems to be of the future was written before that went back.
pub fn health(state: &Path) -> Option<Health> {
    let path = state.join("health");
    let age = path.metadata().ok()?.modified().ok()?.elapsed();
    let bytes = read_small(&path).ok()??;
    let health: Health = serde_json::from_slice(&bytes).ok()?;
    let fresh = age.unwrap_or_default() < HEALTH_AGE_MAX && is_alive(state);
    (fresh && health.version == FILES_VERSION).then_some(health)
}

/// Whether the engine of a state folder is alive: it holds the folder's lock.
pub fn is_alive(state: &Path) -> bool {
    Lock::is_held(state)
}

/// Engines that are looked at, at most.
const ENGINES_MAX: usize = 1_000;

/// The engines that keep their state within the directory, by folder.
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
