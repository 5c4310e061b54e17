//! Shadow tables beside a load: a real watched directory, whose watcher has them score samples.

use crate::failure::Failure;
use crate::harness::run::Shadow;
use crate::harness::stage::Stage;
use crate::harness::{faults, publisher};
use hedgerow::watch::{Publisher, WatchOptions, Watcher};
use hedgerow::{Table, watch};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// How long a change of the directory waits for another.
const WAIT: Duration = Duration::from_secs(5);

/// A watcher with shadows, and its folder, which goes with it.
pub struct Shadows {
    watcher: Option<Watcher>,
    folder: PathBuf,
}

impl Shadows {
    /// So many shadows of the live table's kind; none of 0.
    pub fn start(stage: &Stage, count: usize) -> Result<Option<Shadows>, Failure> {
        if count == 0 {
            return Ok(None);
        }
        let mut shadows = Shadows {
            watcher: None,
            folder: publisher::new_folder("load-shadows")?,
        };
        let of = |refusal| Failure::of(&refusal);
        let table = Table::from_bytes(&faults::shifted(&stage.source.table))
            .map_err(|refused| Failure::refused("shadow", &refused))?;
        for at in 0..count {
            let publisher = Publisher::create(&shadows.folder, WAIT, "load").map_err(of)?;
            publisher
                .shadow(&table, &format!("shadow-{at}"), 1.0)
                .map_err(of)?;
        }
        let options = WatchOptions {
            fallback: watch::Fallback::NoTable,
            ..WatchOptions::default()
        };
        let started = Watcher::start(&stage.engine, &shadows.folder, options);
        let failed = |error| Failure::new("load", "shadows", "a watcher's threads", error);
        shadows.watcher = Some(started.map_err(failed)?);
        Ok(Some(shadows))
    }

    /// What each has scored since the last table was published, the samples included that nobody
    /// has looked at yet.
    pub fn end(self) -> Vec<Shadow> {
        thread::sleep(2 * WatchOptions::default().poll);
        let status = self.watcher.as_ref().map(Watcher::status);
        let shadows = status.map(|status| status.shadows).unwrap_or_default();
        let one = |shadow: watch::status::ShadowStatus| Shadow {
            name: shadow.name,
            rows: shadow.rows,
        };
        shadows.into_iter().map(one).collect()
    }
}

impl Drop for Shadows {
    fn drop(&mut self) {
        drop(self.watcher.take());
        publisher::remove(&self.folder);
    }
}
