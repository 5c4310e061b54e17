//! Shadow tables under a load: a real watched directory, whose watcher has them score samples.

use crate::failure::Failure;
use crate::harness::run::Shadow;
use crate::harness::stage::Stage;
use crate::harness::{faults, publisher};
use hedgerow::Table;
use hedgerow::watch::{Fallback, Publisher, WatchOptions, Watcher};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// How long a change of the directory waits for another.
const WAIT: Duration = Duration::from_secs(5);

/// A watcher with shadows, and its folder, which is removed after it.
pub struct Shadows {
    watcher: Watcher,
    _folder: TempDir,
}

impl Shadows {
    /// So many shadows of the live table's kind; `None` of 0.
    pub fn start(stage: &Stage, count: usize) -> Result<Option<Shadows>, Failure> {
        if count == 0 {
            return Ok(None);
        }
        let folder = publisher::folder("load-shadows")?;
        let of = Failure::from;
        let table = Table::from_bytes(&faults::shifted(&stage.source.table))
            .map_err(|refused| Failure::refused("shadow", refused))?;
        for at in 0..count {
            let publisher = Publisher::create(folder.path(), WAIT, "load").map_err(of)?;
            { publisher.shadow(&table, &format!("shadow-{at}"), 1.0) }.map_err(of)?;
        }
        let options = WatchOptions {
            fallback: Fallback::NoTable,
            ..WatchOptions::default()
        };
        let watcher = Watcher::start(&stage.engine, folder.path(), options)
            .map_err(|error| Failure::new("load", "shadows", "a watcher's threads", error))?;
        Ok(Some(Shadows {
            watcher,
            _folder: folder,
        }))
    }

    /// What each has scored since the last table was published, the samples included that the
    /// watcher has not read yet.
    pub fn end(self) -> Vec<Shadow> {
        thread::sleep(2 * WatchOptions::default().poll);
        let shadows = self.watcher.status().shadows.into_iter();
        shadows
            .map(|shadow| Shadow {
                name: shadow.name,
                rows: shadow.rows,
            })
            .collect()
    }
}
