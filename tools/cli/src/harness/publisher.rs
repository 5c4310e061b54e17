//! The control side of the replay: publishes good tables and every kind of bad one in turn.

use super::faults::{self, Fault};
use crate::failure::{self, Failure};
use hedgerow::http::{Request, extract};
use hedgerow::{Engine, OpenError, PreparedTable, PublishError, Row, Schema, Table};
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
    /// The share of tables that are bad.
    bad_share: f64,
    /// How much of a bad table is due; at 1 it comes.
    bad_due: f64,
    /// Bad tables so far.
    turn: usize,
    /// The kernel that good tables run on; else the best.
    kernel: Option<String>,
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

/// What came of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is live.
    Published,
    /// It was bad, and was refused for the right reason: its code and name.
    Refused(u16, &'static str),
    /// It was good, and had to wait.
    HeldBack,
    /// What should not happen, which is among the surprises.
    Surprise,
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
        let mut publisher = Publisher::write(table)?;
        publisher
            .publish_good(engine)
            .map_err(|error| failure::unpublished(name, error))?;
        Ok(publisher)
    }

    /// Writes the tables into a folder.
    pub fn write(table: &Table) -> Result<Publisher, Failure> {
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
        Ok(Publisher {
            folder,
            good,
            bad,
            bad_share: 0.5,
            bad_due: 0.5,
            turn: 0,
            kernel: None,
            published: Published::default(),
        })
    }

    /// Has so large a share of tables be bad, of these kinds alone where some are named, and good
    /// ones on this kernel.
    ///
    /// # Errors
    /// Where a kind is named that this table cannot have.
    pub fn adjust(
        &mut self,
        bad_share: f64,
        kinds: &[String],
        kernel: Option<&str>,
    ) -> Result<(), Failure> {
        for kind in kinds {
            if !self.bad.iter().any(|(fault, _)| kind == fault.name) {
                let expected = "kinds that this table can have";
                return Err(Failure::usage("--bad-kinds", expected, kind));
            }
        }
        self.bad_share = bad_share;
        self.kernel = kernel.map(str::to_string);
        if !kinds.is_empty() {
            let wanted = |fault: &Fault| kinds.iter().any(|kind| kind == fault.name);
            self.bad.retain(|(fault, _)| wanted(fault));
        }
        Ok(())
    }

    /// Publishes the next table: a share of them, half at first, is bad.
    pub fn next(&mut self, engine: &Engine) -> Outcome {
        self.bad_due += self.bad_share;
        if self.bad_due < 1.0 || self.bad.is_empty() {
            return match self.publish_good(engine) {
                Ok(()) => Outcome::Published,
                Err(PublishError::RetiredFull(_)) => {
                    self.published.held_back += 1;
                    Outcome::HeldBack
                }
                Err(refused) => self.surprise(refused.to_string()),
            };
        }
        self.bad_due -= 1.0;
        let (fault, path) = &self.bad[self.turn % self.bad.len()];
        let (name, expected) = (fault.name, fault.refused_as);
        self.turn += 1;
        *self.published.tried.entry(name).or_default() += 1;
        let refused = match engine.publish_file(path) {
            Err(PublishError::Refused(refused)) => refused,
            Err(other) => return self.surprise(other.to_string()),
            Ok(generation) => {
                self.published.generation = generation;
                return self.surprise(format!("the bad table {name} was published"));
            }
        };
        self.published.refused += 1;
        if refused.name() != expected {
            return self.surprise(format!("{name} was refused as {refused}"));
        }
        Outcome::Refused(refused.code(), refused.name())
    }

    fn surprise(&mut self, surprise: String) -> Outcome {
        self.published.surprise(surprise);
        Outcome::Surprise
    }

    /// Publishes the good table whose turn it is.
    pub fn publish_good(&mut self, engine: &Engine) -> Result<(), PublishError> {
        let next = self.published.generation + 1;
        let path = &self.good[(next % 2) as usize];
        self.published.generation = match &self.kernel {
            None => engine.publish_file(path)?,
            Some(kernel) => engine.publish_on(Table::open(path)?, kernel)?,
        };
        Ok(())
    }

    /// Each request's margin under the tables of even and of odd generations, computed before the
    /// storm, so that a verdict can be held against the table it claims to come from.
    pub fn expected(&self, requests: &[Request<'_>]) -> Result<[Vec<f64>; 2], Failure> {
        let fill = |at: usize, row: &mut Row| {
            if let Some(request) = requests.get(at) {
                extract(request, row);
            }
        };
        self.expected_of(&Schema::http(), requests.len(), fill)
    }

    /// The same of so many rows, each of which is filled by its position.
    pub fn expected_of(
        &self,
        schema: &Schema,
        count: usize,
        fill: impl Fn(usize, &mut Row),
    ) -> Result<[Vec<f64>; 2], Failure> {
        let margins = |path: &Path| {
            let table = Table::open(path)?;
            let prepared = PreparedTable::with_kernel(table, schema, "portable")?;
            let margin = |at: usize| {
                let mut row = Row::MISSING;
                fill(at, &mut row);
                prepared.table().margin_f64(prepared.margin(&row))
            };
            Ok((0..count).map(margin).collect())
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
