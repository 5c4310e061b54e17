//! The engine's side: two threads that follow a directory, and keep the last good table running.
//!
//! `tables` and `switches` each own the state that they decide on. What they report goes to the
//! `context`, which both share; nothing is decided from a report.

mod candidate;
mod context;
mod copies;
mod file;
mod holdback;
mod shadows;
mod start;
mod state;
mod state_folder;
mod switches;
mod tables;

use super::directory::Directory;
use super::options::WatchOptions;
use super::status::WatchStatus;
use crate::engine::Engine;
use context::Context;
use shadows::Shadows;
use state::WatchState;
use state_folder::StateFolder;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use switches::Switching;
use tables::Tables;

/// Watches a directory for an engine, on two threads: one for tables, and one for switches, which
/// do not wait for a large table's checks. The threads end with the watcher; the engine keeps its
/// table and its switches.
#[derive(Debug)]
pub struct Watcher {
    context: Arc<Context>,
    threads: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Looks at the directory once, on this thread, and then starts threads that follow it. The
    /// engine has a table when this returns, even if the directory does not exist: the pointer's,
    /// else the last good one, else the [`Fallback`](super::Fallback).
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        engine: &Engine,
        directory: impl Into<PathBuf>,
        options: WatchOptions,
    ) -> io::Result<Watcher> {
        let folder = StateFolder::of(options.state.clone());
        let last = folder.last();
        let directory = Directory::new(directory);
        let context = Arc::new(Context::new(engine, directory, options, folder));
        // Before the first save: a process that is killed right after it loses nothing.
        let state = WatchState::new(last.as_ref());
        context.publish(|status| state.write_to(status));
        let mut switching = Switching::new(context.clone(), last.as_ref());
        let mut tables = Tables::new(context.clone(), state);
        let mut shadows = Shadows::new(context.clone());
        // Switches before tables: no row is scored by a table whose switches are not known.
        context.guarded("switches", || switching.look());
        context.guarded("tables", || tables.start());
        context.save();
        let mut watcher = Watcher {
            context: context.clone(),
            threads: Vec::new(),
        };
        let poll = context.options.poll;
        let of_tables = context.clone();
        watcher.spawn("hedgerow-watch", poll, move || {
            of_tables.guarded("tables", || tables.look());
            of_tables.guarded("shadows", || shadows.look());
            of_tables.save_if_due();
        })?;
        let sooner = poll.checked_div(2).unwrap_or(poll);
        watcher.spawn("hedgerow-switch", sooner, move || {
            context.guarded("switches", || switching.look());
        })?;
        Ok(watcher)
    }

    fn spawn(
        &mut self,
        name: &str,
        pause: Duration,
        mut look: impl FnMut() + Send + 'static,
    ) -> io::Result<()> {
        let context = self.context.clone();
        let work = move || {
            // Relaxed: unpark orders it.
            while !context.stop.load(Ordering::Relaxed) {
                look();
                thread::park_timeout(pause);
            }
        };
        let thread = thread::Builder::new().name(name.into()).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }

    /// Returns what runs, since when, and what was refused.
    pub fn status(&self) -> WatchStatus {
        self.context.status()
    }

    /// Returns the engine that follows the directory.
    pub fn engine(&self) -> &Engine {
        &self.context.engine
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Relaxed: unpark orders it.
        self.context.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.context.save();
    }
}
