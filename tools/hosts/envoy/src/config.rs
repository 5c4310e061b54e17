//! A filter's configuration: its engine, and what becomes of low scores.

use crate::abi;
use hedgerow::watch::{Admission, Keys, PublicKey};
use hedgerow::{DEFAULT_TABLE, Engine, Schema, Scorer, Table, WatchOptions, Watcher};
use serde::Deserialize;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// What stands in Envoy's configuration, as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// `default`, a table's file, or a directory to watch.
    table: Option<String>,
    /// The engine's own folder, for a directory to watch; within the directory, where it is not
    /// said.
    state: Option<PathBuf>,
    /// Files of public keys: tables that none of them signed are refused, but for the bundled one.
    keys: Vec<PathBuf>,
    /// Requests that score below it are answered here; nothing is blocked without it.
    block_below: Option<u8>,
    /// The answer's status.
    block_status: Option<u32>,
}

/// A configuration that Envoy runs.
#[derive(Debug)]
pub struct Config {
    engine: Engine,
    /// Ends with the configuration.
    _watcher: Option<Watcher>,
    /// The score below which requests are blocked, and the status that they get.
    pub block: Option<(u8, u32)>,
    /// Goes with the configuration: threads drop their scorers then.
    alive: Arc<()>,
}

thread_local! {
    /// This thread's scorers, one for each configuration.
    static SCORERS: RefCell<Vec<(Weak<()>, Scorer)>> = const { RefCell::new(Vec::new()) };
}

impl Config {
    /// Reads a configuration and opens its table.
    pub fn new(text: &[u8]) -> Result<Config, String> {
        let text = text.trim_ascii();
        let options: Options = match text {
            b"" => Options::default(),
            text => serde_json::from_slice(text).map_err(|error| error.to_string())?,
        };
        let status = options.block_status.unwrap_or(403);
        if options
            .block_below
            .is_some_and(|below| !(2..=99).contains(&below))
        {
            return Err("block_below: expected a score from 2 to 99".into());
        }
        if !(400..=599).contains(&status) {
            return Err("block_status: expected a status from 400 to 599".into());
        }
        let _ = log::set_logger(&Lines).map(|()| log::set_max_level(log::LevelFilter::Info));
        let engine = Engine::new(Schema::http());
        let table = options.table.as_deref().unwrap_or("default");
        let keys = keys(&options.keys)?;
        let mut watcher = None;
        let watched = table.ends_with('/') || Path::new(table).is_dir();
        if options.state.is_some() && !watched {
            return Err(format!(
                "state: expected it with a directory as table, got {table:?}"
            ));
        }
        if table == "default" {
            let table = Table::from_bytes(DEFAULT_TABLE).map_err(|error| error.to_string())?;
            engine.publish(table).map_err(|error| error.to_string())?;
        } else if watched {
            let state = options.state.clone();
            let watch = WatchOptions {
                state: Some(state.unwrap_or_else(|| Path::new(table).join("engines/envoy"))),
                name: "envoy".into(),
                admission: Admission {
                    keys,
                    ..Admission::default()
                },
                ..WatchOptions::default()
            };
            let started = Watcher::start(&engine, table, watch);
            watcher = Some(started.map_err(|error| error.to_string())?);
        } else {
            let table = Table::open(table).map_err(|error| error.to_string())?;
            if !keys.trusted().is_empty() {
                keys.check(table.bytes())
                    .map_err(|error| error.to_string())?;
            }
            engine.publish(table).map_err(|error| error.to_string())?;
        }
        Ok(Config {
            engine,
            _watcher: watcher,
            block: options.block_below.map(|below| (below, status)),
            alive: Arc::new(()),
        })
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs something with this thread's scorer; none where there is no slot left.
    pub fn with_scorer<T>(&self, run: impl FnOnce(&mut Scorer) -> T) -> Option<T> {
        SCORERS.with_borrow_mut(|scorers| {
            let own = |(of, _): &(Weak<()>, Scorer)| of.as_ptr() == Arc::as_ptr(&self.alive);
            let at = match scorers.iter().position(own) {
                Some(at) => at,
                None => {
                    // A weak pointer keeps its address from being used again, until this.
                    scorers.retain(|(of, _)| of.strong_count() > 0);
                    let scorer = self.engine.scorer().ok()?;
                    scorers.push((Arc::downgrade(&self.alive), scorer));
                    scorers.len() - 1
                }
            };
            scorers.get_mut(at).map(|(_, scorer)| run(scorer))
        })
    }
}

/// The keys in files; a signature is required where there are any.
fn keys(files: &[PathBuf]) -> Result<Keys, String> {
    let mut keys = Vec::new();
    for file in files {
        let at = format!("keys: {}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| format!("{at}: {error}"))?;
        keys.push(PublicKey::parse(&text, &at).map_err(|error| error.to_string())?);
    }
    let required = !keys.is_empty();
    Ok(Keys::new(keys, required))
}

/// Hands the library's log lines to Envoy.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                log::Level::Error => abi::ERROR,
                log::Level::Warn => abi::WARN,
                _ => abi::INFO,
            };
            abi::log(level, &format!("hedgerow: {}", record.args()));
        }
    }

    fn flush(&self) {}
}
