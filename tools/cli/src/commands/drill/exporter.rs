//! The writers of the drill: one that publishes as it should, and the broken exporter.

use crate::failure::Failure;
use crate::harness::{faults, publisher};
use hedgerow::limits::FEATURES_MAX;
use hedgerow::table::format::HASH_OFFSET;
use hedgerow::watch::directory::FILES_VERSION;
use hedgerow::watch::time;
use hedgerow::watch::{Directory, Origin, Pointer, PublishOptions, Publisher};
use hedgerow::{ContentId, Table};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// What arrives at a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A good table.
    Good,
    /// The list of features came twice, and is still under every cap.
    Under,
    /// It came so often that it is over every cap.
    Over,
    /// Valid in all respects, and it gives every request the score 1.
    Constant,
}

impl Kind {
    /// Those that must not run.
    pub const BAD: [Kind; 3] = [Kind::Under, Kind::Over, Kind::Constant];

    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Good => "good",
            Kind::Under => "doubled-under-the-cap",
            Kind::Over => "doubled-over-the-cap",
            Kind::Constant => "constant",
        }
    }
}

/// What arrives, over and over: good and bad files alternate.
pub const TURNS: [Kind; 6] = [
    Kind::Good,
    Kind::Under,
    Kind::Good,
    Kind::Over,
    Kind::Good,
    Kind::Constant,
];

/// The generation before the first tick.
pub const FIRST: u64 = 1;

/// Which of the two good tables a generation is; `None` of a bad one.
pub fn table_of(generation: u64) -> Option<usize> {
    match generation {
        FIRST => Some(0),
        // Good tables arrive at every other tick.
        other if other.is_multiple_of(2) => Some((other / 2 % 2) as usize),
        _ => None,
    }
}

/// The tables of the drill.
pub struct Tables {
    /// Two good ones, with margins that distinguish them.
    pub good: [Vec<u8>; 2],
    bad: [Vec<u8>; 3],
}

impl Tables {
    /// Makes them of a good one.
    pub fn of(table: &Table) -> Result<Tables, Failure> {
        let count = table.features().len();
        let made = |bytes: Option<Vec<u8>>| {
            let expected = "a table of oblivious trees, of which a bad one can be made";
            bytes.ok_or_else(|| Failure::new("drill", "table", expected, "another one"))
        };
        let under = (2 * count <= FEATURES_MAX).then(|| faults::repeated_unchecked(table, 2));
        let over = faults::repeated_unchecked(table, FEATURES_MAX / count + 1);
        Ok(Tables {
            good: [table.bytes().to_vec(), faults::shifted(table)],
            bad: [
                made(under.flatten())?,
                made(over)?,
                made(faults::constant(table))?,
            ],
        })
    }

    /// What a kind is at a generation.
    pub fn bytes(&self, kind: Kind, generation: u64) -> &[u8] {
        match Kind::BAD.iter().position(|bad| *bad == kind) {
            Some(at) => &self.bad[at],
            None => &self.good[table_of(generation).unwrap_or_default()],
        }
    }
}

/// The directory of the drill: one that stays, or one in the temporary folder, which does not.
pub enum Place {
    Kept(PathBuf),
    Temporary(TempDir),
}

/// How long a publisher waits for the lock: there is no other one.
const WAIT: Duration = Duration::from_secs(10);

const WHO: &str = "drill";

impl Place {
    /// A new directory.
    pub fn new(kept: Option<&Path>) -> Result<Place, Failure> {
        let Some(path) = kept else {
            return Ok(Place::Temporary(publisher::folder(WHO)?));
        };
        // One that exists might be one that engines watch.
        let expected = "a name that is not taken, in a folder that is there";
        fs::create_dir(path).map_err(|error| Failure::io(path, expected, error))?;
        Ok(Place::Kept(path.to_path_buf()))
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        match self {
            Place::Kept(path) => path,
            Place::Temporary(folder) => folder.path(),
        }
    }

    /// Its path, if it stays.
    pub fn kept(&self) -> Option<&Path> {
        matches!(self, Place::Kept(_)).then(|| self.root())
    }

    /// Publishes as `hedgerow publish` does.
    pub fn publish(&self, bytes: &[u8]) -> Result<u64, Failure> {
        let refused = |refused| Failure::refused(WHO, refused);
        let table = Table::from_bytes(bytes).map_err(refused)?;
        let published = Publisher::create(self.root(), WAIT, WHO)
            .and_then(|publisher| publisher.publish(&table, &PublishOptions::default()));
        let published = published?;
        Ok(published.pointer.generation)
    }

    /// What a broken exporter does: it places bytes that no publisher would take, and points at
    /// them, with a new file and a rename for both.
    pub fn place(&self, bytes: &[u8], generation: u64) -> Result<u64, Failure> {
        let directory = Directory::new(self.root());
        let hash = bytes.get(HASH_OFFSET..).and_then(<[u8]>::first_chunk);
        let pointer = Pointer {
            version: FILES_VERSION,
            generation,
            bytes: bytes.len() as u64,
            from_generation: None,
            forced: false,
            at: time::now(),
            origin: Origin::here("broken exporter"),
            content_id: ContentId(hash.copied().unwrap_or_default()),
        };
        let text = serde_json::to_vec(&pointer).unwrap_or_default();
        replace(&directory.table(pointer.content_id), bytes)?;
        replace(&directory.active(), &text)?;
        Ok(generation)
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let new = path.with_extension("new");
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .map_err(|error| Failure::io(path, "a writable folder", error))
}
