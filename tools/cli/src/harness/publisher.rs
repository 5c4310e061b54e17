//! The control side: publishes good tables and every kind of bad one in turn.

use super::faults::{self, Fault};
use super::run::Refusals;
use crate::failure::Failure;
use hedgerow::{Engine, PublishError, Table};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Publishes files from a folder of its own, which is removed with it.
pub struct Publisher {
    folder: TempDir,
    bad: Vec<Fault>,
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
#[derive(Debug, Default, Clone)]
pub struct Published {
    /// The generation that is live.
    pub generation: u64,
    /// Tables that were refused.
    pub refused: u64,
    /// The same by code.
    pub refusals: BTreeMap<u16, Refusals>,
    /// How often each fault was tried.
    pub tried: BTreeMap<&'static str, u64>,
    /// Good tables that had to wait: a worker that the system had stopped in the middle of a
    /// request still saw as many retired ones as there may be.
    pub held_back: u64,
    /// What should not happen: a bad table was taken, or a good one refused. The first few.
    pub surprises: Vec<String>,
}

/// What became of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is live.
    Published,
    /// It was bad, and was refused for the right reason, which has this name.
    Refused(&'static str),
    /// It was good, and had to wait.
    HeldBack,
    /// What should not happen, which is among the surprises.
    Surprise,
}

/// Surprises that are kept: one is enough to fail, and a long run may have millions.
const SURPRISES_MAX: usize = 20;

/// A folder in the system's temporary one, which is removed with the value.
pub fn folder(of: &str) -> Result<TempDir, Failure> {
    let made = tempfile::Builder::new()
        .prefix(&format!("hedgerow-{of}-"))
        .tempdir();
    made.map_err(|error| Failure::io(&std::env::temp_dir(), "a folder for tables", error))
}

impl Publisher {
    /// Writes the tables into a folder: two good ones, which generations take in turn, and a bad
    /// one for each fault that this table can have.
    pub fn write(table: &Table) -> Result<Publisher, Failure> {
        let mut publisher = Publisher {
            folder: folder("load")?,
            bad: Vec::new(),
            bad_share: 0.5,
            bad_due: 0.5,
            turn: 0,
            kernel: None,
            published: Published::default(),
        };
        let write = |path: PathBuf, bytes: &[u8]| {
            let failed = |error| Failure::io(&path, "a folder for tables", error);
            fs::write(&path, bytes).map_err(failed)
        };
        write(publisher.path(GOOD[0]), &faults::shifted(table))?;
        write(publisher.path(GOOD[1]), table.bytes())?;
        for fault in faults::ALL {
            if let Some(bytes) = fault.apply(table) {
                write(publisher.path(fault.name), &bytes)?;
                publisher.bad.push(*fault);
            }
        }
        Ok(publisher)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.hedge"))
    }

    /// Sets the share of tables that are bad, of these kinds alone if some are named, and the
    /// kernel of good ones.
    ///
    /// # Errors
    /// If a kind is named that this table cannot have.
    pub fn adjust(
        &mut self,
        bad_share: f64,
        kinds: &[String],
        kernel: Option<&str>,
    ) -> Result<(), Failure> {
        for kind in kinds {
            if !self.bad.iter().any(|fault| kind == fault.name) {
                let expected = "kinds that this table can have";
                return Err(Failure::usage("--bad-kinds", expected, kind));
            }
        }
        self.bad_share = bad_share;
        self.kernel = kernel.map(str::to_string);
        if !kinds.is_empty() {
            self.bad
                .retain(|fault| kinds.iter().any(|kind| kind == fault.name));
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
        let Fault {
            name: fault,
            refused_as,
            ..
        } = self.bad[self.turn % self.bad.len()];
        self.turn += 1;
        *self.published.tried.entry(fault).or_default() += 1;
        let refused = match engine.publish_file(self.path(fault)) {
            Err(PublishError::Refused(refused)) => refused,
            Err(other) => return self.surprise(other.to_string()),
            Ok(generation) => {
                self.published.generation = generation;
                return self.surprise(format!("the bad table {fault} was published"));
            }
        };
        self.published.refused += 1;
        let (code, name) = (refused.code(), refused.name());
        let refusals = self.published.refusals.entry(code);
        refusals
            .or_insert(Refusals {
                code,
                name: name.into(),
                count: 0,
            })
            .count += 1;
        if name != refused_as {
            return self.surprise(format!("{fault} was refused as {refused}"));
        }
        Outcome::Refused(refused_as)
    }

    fn surprise(&mut self, surprise: String) -> Outcome {
        if self.published.surprises.len() < SURPRISES_MAX {
            self.published.surprises.push(surprise);
        }
        Outcome::Surprise
    }

    /// Publishes the good table whose turn it is.
    pub fn publish_good(&mut self, engine: &Engine) -> Result<(), PublishError> {
        let next = self.published.generation + 1;
        let path = self.path(GOOD[(next % 2) as usize]);
        self.published.generation = match &self.kernel {
            None => engine.publish_file(path)?,
            Some(kernel) => engine.publish_on(Table::open(path)?, kernel)?,
        };
        Ok(())
    }
}

/// The names of the good tables, of even and of odd generations.
const GOOD: [&str; 2] = ["good-even", "good-odd"];
