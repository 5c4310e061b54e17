//! A directory of a test's own, two good tables and a bad one, and the real command.

#[path = "../../src/harness/faults.rs"]
#[allow(dead_code, reason = "the harness's own")]
mod faults;

use hedgerow::watch::directory::Directory;
use hedgerow::watch::ledger::Ledger;
use hedgerow::watch::publish::generations;
use hedgerow::{ContentId, DEFAULT_TABLE, PreparedTable, Schema, Table};
use hedgerow_testkit::disturb::{self, content_id};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// How often a fault is tried: as the environment says, else briefly, or for long where
/// `HEDGEROW_FAULTS_LONG` is set.
pub fn rounds(name: &str, short: u64, long: u64) -> u64 {
    let asked = std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"));
    let is_long = std::env::var_os("HEDGEROW_FAULTS_LONG").is_some();
    asked.unwrap_or(if is_long { long } else { short })
}

/// What goes with a test.
pub struct Place {
    folder: PathBuf,
    root: PathBuf,
}

impl Place {
    pub fn new(name: &str) -> Place {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let root = folder.join("watched");
        Place::at(folder, root)
    }

    /// The tables in one folder, the watched directory in another.
    pub fn at(folder: PathBuf, root: PathBuf) -> Place {
        fs::write(folder.join("even.hedge"), DEFAULT_TABLE).unwrap();
        fs::write(folder.join("odd.hedge"), shifted()).unwrap();
        let mut bad = shifted();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(folder.join("bad.hedge"), bad).unwrap();
        Place { folder, root }
    }

    pub fn dir(&self) -> &str {
        self.root.to_str().unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a table to publish: `even`, `odd` or `bad`.
    pub fn table(&self, name: &str) -> String {
        let path = self.folder.join(format!("{name}.hedge"));
        path.to_str().unwrap().into()
    }

    pub fn directory(&self) -> Directory {
        Directory::new(&self.root)
    }

    fn id(&self, name: &str) -> ContentId {
        content_id(&fs::read(self.table(name)).unwrap())
    }

    /// The file of a table in the directory.
    pub fn table_path(&self, name: &str) -> PathBuf {
        self.directory().table(self.id(name))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hedgerow"));
        command.args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Publishes a table; returns its generation.
    pub fn publish(&self, name: &str) -> u64 {
        self.publish_above(name, 0)
    }

    pub fn publish_above(&self, name: &str, above: u64) -> u64 {
        let above = above.to_string();
        let args = [
            "publish",
            &self.table(name),
            self.dir(),
            "--json",
            "--above",
            &above,
        ];
        let output = self.run(&args);
        assert!(output.status.success(), "{output:?}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        json["generation"].as_u64().unwrap()
    }

    /// Starts to publish a table.
    pub fn spawn(&self, name: &str) -> Child {
        self.spawn_waiting(name, "60")
    }

    /// Starts to publish a table, and waits for the lock no longer than so many seconds.
    pub fn spawn_waiting(&self, name: &str, seconds: &str) -> Child {
        let args = ["publish", &self.table(name), self.dir(), "--wait", seconds];
        self.command(&args).spawn().unwrap()
    }

    /// Points at a table as the publisher of a broken pipeline would, which checks nothing.
    pub fn point(&self, generation: u64, name: &str, bytes: usize) {
        disturb::point(&self.root, generation, self.id(name), bytes as u64);
    }

    /// A bad table under a generation. Its id is the one of a good table that it was made from, so
    /// it gets another name.
    pub fn offer_bad(&self, generation: u64) {
        let bytes = fs::read(self.table("bad")).unwrap();
        let mut id = self.id("bad");
        id.0[..2].copy_from_slice(&[0xba, 0xd0]);
        disturb::place(&self.root, generation, id, &bytes);
    }

    /// The generations that came about, by ledger and pointer.
    pub fn generations(&self) -> Vec<u64> {
        let history = Ledger::of(&self.root).read().unwrap();
        let pointer = self.directory().read_pointer().unwrap();
        let all = generations(&history.records, pointer.as_ref());
        all.iter().map(|past| past.generation).collect()
    }

    /// The margin of the engine's request under each good table.
    pub fn margins(&self) -> [f64; 2] {
        ["even", "odd"].map(|name| {
            let table = Table::open(self.table(name)).unwrap();
            let prepared = PreparedTable::with_kernel(table, &Schema::http(), "portable").unwrap();
            let row = super::engine::row();
            prepared.table().margin_f64(prepared.margin(&row))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The bundled table with all margins higher by 1/8.
fn shifted() -> Vec<u8> {
    faults::shifted(&Table::from_bytes(DEFAULT_TABLE).unwrap())
}
