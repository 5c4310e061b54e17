//! The control side of the replay: publishes good tables and every kind of bad one in turn.

use super::faults::{self, Fault};
use crate::failure::{self, Failure};
use hedgerow::http::{Request, extract};
use hedgerow::{Bound, Engine, OpenError, PublishError, Row, Schema, Table};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Publishes files from a folder of its own, which goes with it.
pub struct Publisher {
    folder: PathBuf,
    /// Two good tables with other margins. Generations take them in turn.
    good: [PathBuf; 2],
    bad: Vec<(Fault, PathBuf)>,
    turn: usize,
    /// What happened so far.
    pub published: Published,
}

/// What was published, and what was refused.
#[derive(Debug, Default)]
pub struct Published {
    /// The generation that is live.
    pub generation: u64,
    /// Tables that were refused.
    pub refused: u64,
    /// How often each fault was tried.
    pub tried: BTreeMap<&'static str, u64>,
    /// Good tables that had to wait, because as many retired ones as there may be were still seen
    /// by a worker that the system had stopped in the middle of a request.
    pub held_back: u64,
    /// What should not happen: a bad table was taken, or a good one refused. The first few.
    pub surprises: Vec<String>,
}

/// Surprises that are told in words: one is enough to fail, and a long run may have millions.
const SURPRISES_MAX: usize = 20;

impl Published {
    fn surprise(&mut self, surprise: String) {
        if self.surprises.len() < SURPRISES_MAX {
            self.surprises.push(surprise);
        }
    }
}

impl Publisher {
    /// Writes the tables into a folder, and publishes the first.
    pub fn start(engine: &Engine, table: &Table, name: &str) -> Result<Publisher, Failure> {
        let folder = new_folder("replay")?;
        let failed = |error| Failure::io(&folder, "a folder for tables", error);
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.join(format!("{name}.hedge"));
            fs::write(&path, bytes).map(|()| path).map_err(failed)
        };
        let written = || -> Result<_, Failure> {
            let good = [
                write("good-even", &faults::shifted(table))?,
                write("good-odd", table.bytes())?,
            ];
            let mut bad = Vec::new();
            for fault in faults::all() {
                if let Some(bytes) = fault.apply(table) {
                    bad.push((fault, write(fault.name, &bytes)?));
                }
            }
            Ok((good, bad))
        };
        let (good, bad) = written().inspect_err(|_| remove(&folder))?;
        let published = Published::default();
        let mut publisher = Publisher {
            folder,
            good,
            bad,
            turn: 0,
            published,
        };
        publisher
            .publish_good(engine)
            .map_err(|error| failure::unpublished(name, error))?;
        Ok(publisher)
    }

    /// Publishes the next table: after each good one a bad one.
    pub fn next(&mut self, engine: &Engine) {
        self.turn += 1;
        if self.turn.is_multiple_of(2) || self.bad.is_empty() {
            match self.publish_good(engine) {
                Ok(()) => {}
                Err(PublishError::RetiredFull(_)) => self.published.held_back += 1,
                Err(refused) => self.published.surprise(refused.to_string()),
            }
            return;
        }
        let (fault, path) = &self.bad[self.turn / 2 % self.bad.len()];
        *self.published.tried.entry(fault.name).or_default() += 1;
        let refused = match engine.publish_file(path) {
            Err(PublishError::Refused(refused)) => refused,
            Err(other) => return self.published.surprise(other.to_string()),
            Ok(generation) => {
                self.published.generation = generation;
                let surprise = format!("the bad table {} was published", fault.name);
                return self.published.surprise(surprise);
            }
        };
        if refused.name() != fault.refused_as {
            let surprise = format!("{} was refused as {refused}", fault.name);
            self.published.surprise(surprise);
        }
        self.published.refused += 1;
    }

    fn publish_good(&mut self, engine: &Engine) -> Result<(), PublishError> {
        let next = self.published.generation + 1;
        let path = &self.good[(next % 2) as usize];
        self.published.generation = engine.publish_file(path)?;
        Ok(())
    }

    /// Each request's margin under the tables of even and of odd generations, computed before the
    /// storm, so that a verdict can be held against the table it claims to come from.
    pub fn expected(&self, requests: &[Request<'_>]) -> Result<[Vec<f64>; 2], Failure> {
        let margins = |path: &Path| {
            let table = Table::open(path)?;
            let bound = Bound::new(table, &Schema::http(), Some("portable"))?;
            let margin = |request: &Request<'_>| {
                let mut row = Row::MISSING;
                extract(request, &mut row);
                bound.table().margin_f64(bound.margin(&row))
            };
            Ok(requests.iter().map(margin).collect())
        };
        let refused = |refused: OpenError| Failure::refused("table", &refused);
        let [even, odd] = &self.good;
        Ok([
            margins(even).map_err(refused)?,
            margins(odd).map_err(refused)?,
        ])
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// A folder of this process's own. A name that an earlier, killed process left behind is passed
/// over: in a container process numbers come again.
pub fn new_folder(of: &str) -> Result<PathBuf, Failure> {
    let mut attempt = 0;
    loop {
        let name = format!("hedgerow-{of}-{}-{attempt}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            Err(error) => return Err(Failure::io(&folder, "a folder for tables", error)),
        }
    }
}

/// Removes it.
pub fn remove(folder: &Path) {
    // What cannot be removed from the temporary folder does no harm there.
    let _ = fs::remove_dir_all(folder);
}
