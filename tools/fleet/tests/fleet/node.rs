//! Machines of a fleet: a directory, an agent's process, and an engine that watches.

use super::support::{Folder, Process, command_by, wait_until};
use hedgerow::table::format::Header;
use hedgerow::watch::ledger::Ledger;
use hedgerow::watch::{Admission, Keys, PublicKey};
use hedgerow::{ContentId, DEFAULT_TABLE, Engine, Schema, Table, WatchOptions, Watcher};
use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

impl Folder {
    /// The file of a table: the bundled one's trees, and another content for each number.
    pub fn table(&self, number: u8) -> String {
        self.file(&format!("{number}.hedge"), bytes(number))
    }
}

/// The bundled table with another time in its header: the same scores, another content.
pub fn bytes(number: u8) -> Vec<u8> {
    numbered(number, 0)
}

/// As `bytes`, with the table's own running number; 0 for the bundled one's.
pub fn numbered(number: u8, own: u64) -> Vec<u8> {
    let mut bytes = DEFAULT_TABLE.to_vec();
    bytes[offset_of!(Header, created_at)] = number;
    if own > 0 {
        let at = offset_of!(Header, generation);
        bytes[at..at + 8].copy_from_slice(&own.to_le_bytes());
    }
    hedgerow::table::format::rehash(&mut bytes);
    bytes
}

pub fn content_id(number: u8) -> ContentId {
    Table::from_bytes(&bytes(number)).unwrap().content_id()
}

/// The name of a table's object.
pub fn object(table: &[u8]) -> String {
    let id = Table::from_bytes(table).unwrap().content_id();
    format!("{id}-{:032x}", xxhash_rust::xxh3::xxh3_128(table))
}

/// A machine.
pub struct Node {
    pub name: String,
    pub directory: PathBuf,
    args: Vec<String>,
    /// The command that runs the agent: in another network, or with another clock.
    pub before: Vec<String>,
    agent: Option<Process>,
    pub watcher: Watcher,
}

impl Node {
    /// Starts an engine and an agent.
    pub fn new(folder: &Folder, name: &str, address: &str, more: &[&str]) -> Node {
        Node::with(folder, name, address, more, |_| {})
    }

    /// As `new`, with other options of the engine.
    pub fn with(
        folder: &Folder,
        name: &str,
        address: &str,
        more: &[&str],
        edit: impl FnOnce(&mut WatchOptions),
    ) -> Node {
        let directory = folder.path(name);
        let dir = directory.to_str().unwrap();
        let mut args: Vec<String> = ["agent", address, "--dir", dir, "--node", name]
            .map(Into::into)
            .into();
        args.extend(more.iter().map(ToString::to_string));
        let engine = Engine::new(Schema::http());
        // The engine trusts the agent's keys.
        let keys = match more {
            ["--trust", file, "--require-signature"] => {
                let text = fs::read_to_string(file).unwrap();
                Keys::new(vec![PublicKey::parse(&text, file).unwrap()], true)
            }
            _ => Keys::default(),
        };
        let mut options = WatchOptions {
            admission: Admission { keys, kernel: None },
            state: Some(directory.join("engines/one")),
            ..WatchOptions::default()
        };
        edit(&mut options);
        let mut node = Node {
            name: name.into(),
            before: Vec::new(),
            watcher: Watcher::start(&engine, &directory, options).unwrap(),
            directory,
            args,
            agent: None,
        };
        node.start();
        node
    }

    /// Starts an engine only, on a directory that others may share.
    pub fn watching(name: &str, directory: &Path) -> Node {
        let options = WatchOptions {
            state: Some(directory.join("engines").join(name)),
            ..WatchOptions::default()
        };
        let engine = Engine::new(Schema::http());
        Node {
            name: name.into(),
            before: Vec::new(),
            watcher: Watcher::start(&engine, directory, options).unwrap(),
            directory: directory.into(),
            args: Vec::new(),
            agent: None,
        }
    }

    pub fn start(&mut self) {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.with_extension("log"))
            .unwrap();
        let mut command = command_by(&self.before, &args);
        command.stdout(Stdio::null()).stderr(log);
        self.agent = Some(Process::start(&mut command));
    }

    /// Starts it again by another command.
    pub fn restart_by(&mut self, before: Vec<String>) {
        self.kill();
        self.before = before;
        self.start();
    }

    /// Stops or continues the agent.
    pub fn freeze(&self, frozen: bool) {
        self.agent.as_ref().unwrap().freeze(frozen);
    }

    /// Kills the agent with SIGKILL.
    pub fn kill(&mut self) {
        self.agent = None;
    }

    pub fn generation(&self) -> u64 {
        self.watcher.engine().stats().generation
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.with_extension("log")).unwrap_or_default()
    }

    /// Waits until the engine runs a generation, at most half a minute.
    pub fn wait(&self, generation: u64) {
        self.wait_for(&format!("generation {generation}"), || {
            self.generation() == generation && self.watcher.status().generation == generation
        });
    }

    /// Waits until the engine runs a generation and reports this table.
    pub fn wait_table(&self, generation: u64, content_id: ContentId) {
        self.wait_for(&format!("generation {generation} of {content_id}"), || {
            let status = self.watcher.status();
            (self.generation(), status.content_id) == (generation, Some(content_id))
        });
    }

    pub fn wait_off(&self, off: &[&str]) {
        self.wait_for(&format!("{off:?} off"), || {
            self.watcher.status().switches == off
        });
    }

    /// Waits until the agent, or the engine, has refused something.
    pub fn wait_refused(&self) {
        self.wait_for("a refusal", || {
            let engines = self.watcher.status().last_refusals;
            !engines.is_empty() || self.log().contains("refused generation")
        });
    }

    pub fn wait_for(&self, what: &str, so: impl Fn() -> bool) {
        wait_until(Duration::from_secs(30), so, || {
            let (name, status) = (&self.name, self.watcher.status());
            format!("{name}: {what}: {status:?}\n{}", self.log())
        });
    }

    /// Checks that every table of the directory passes its checks, and that its ledger is whole.
    pub fn is_sound(&self) {
        let history = Ledger::of(&self.directory).read().unwrap();
        let broken = history.problems.len();
        assert!(broken <= 1, "{}: {:?}", self.name, history.problems);
        for entry in fs::read_dir(self.directory.join("tables")).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "hedge")
            {
                Table::open(&path).unwrap();
            }
        }
    }
}
