//! Machines of a fleet: a directory, an agent's process, and an engine that watches.

use hedgerow::watch::ledger::Ledger;
use hedgerow::watch::{Admission, Keys, PublicKey};
use hedgerow::{DEFAULT_TABLE, Engine, Schema, Table, WatchOptions, Watcher};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Does on this thread what waits for a server.
pub fn block_on<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(act)
}

/// A folder of a test's own, empty at its start.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// The same, where a variable of the environment says.
    pub fn within(variable: &str, test: &str) -> Folder {
        match std::env::var_os(variable) {
            None => Folder::new(test),
            Some(place) => {
                let path =
                    Path::new(&place).join(format!("hedgerow-{}-{test}", std::process::id()));
                fs::create_dir_all(&path).unwrap();
                Folder(path)
            }
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), bytes).unwrap();
        self.0.join(name).to_str().unwrap().into()
    }

    /// A table like the bundled one, and another for each number; its file.
    pub fn table(&self, number: u8) -> String {
        self.file(&format!("{number}.hedge"), bytes(number))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The bundled table with another time in its header: the same scores, another content.
pub fn bytes(number: u8) -> Vec<u8> {
    let mut bytes = DEFAULT_TABLE.to_vec();
    let created = std::mem::offset_of!(hedgerow::table::format::Header, created_at);
    bytes[created] = number;
    hedgerow::table::format::rehash(&mut bytes);
    bytes
}

/// As `bytes`, with the table's own running number.
pub fn numbered(number: u8, own: u64) -> Vec<u8> {
    let mut bytes = bytes(number);
    let at = std::mem::offset_of!(hedgerow::table::format::Header, generation);
    bytes[at..at + 8].copy_from_slice(&own.to_le_bytes());
    hedgerow::table::format::rehash(&mut bytes);
    bytes
}

pub fn content_id(number: u8) -> String {
    Table::from_bytes(&bytes(number)).unwrap().content_id()
}

/// What a run left.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub json: Value,
}

impl Outcome {
    pub fn generation(&self) -> u64 {
        assert_eq!(self.status, 0, "{self:?}");
        self.json["generation"].as_u64().unwrap()
    }

    pub fn name(&self) -> &str {
        self.json["name"].as_str().unwrap_or("")
    }
}

pub fn command(args: &[&str]) -> Command {
    command_by(&[], args)
}

/// The command, run by another.
pub fn command_by(by: &[String], args: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_hedgerow-fleet");
    let mut command = match by {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    command.arg("--json").args(args);
    command.stdin(Stdio::null());
    command
}

/// Runs the binary with JSON.
pub fn run(args: &[&str]) -> Outcome {
    run_by(&[], args)
}

/// Runs it by another command.
pub fn run_by(by: &[String], args: &[&str]) -> Outcome {
    let output = command_by(by, args).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!err.contains("panicked"), "{err}");
    let status = output.status.code().unwrap_or(-1);
    let json = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"));
    Outcome { status, json }
}

/// A machine.
pub struct Node {
    pub name: String,
    pub directory: PathBuf,
    args: Vec<String>,
    /// A command that the agent is run by: of another network, or another clock.
    pub before: Vec<String>,
    agent: Option<Child>,
    pub watcher: Watcher,
}

impl Node {
    /// One with an engine, whose agent runs.
    pub fn new(folder: &Folder, name: &str, address: &str, more: &[&str]) -> Node {
        Node::with(folder, name, address, more, |_| {})
    }

    /// The same, with an engine that watches otherwise.
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
        // An engine trusts whom its agent does.
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

    /// One with an engine alone, which watches a directory that others may share.
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
        self.agent = Some(command.spawn().unwrap());
    }

    /// Stops or continues the agent.
    pub fn freeze(&self, frozen: bool) {
        let pid = self.agent.as_ref().unwrap().id().to_string();
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let done = Command::new("kill").args([signal, &pid]).status();
        assert!(done.unwrap().success());
    }

    /// Kills the agent with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    pub fn generation(&self) -> u64 {
        self.watcher.engine().stats().generation
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.with_extension("log")).unwrap_or_default()
    }

    /// Waits until the engine runs a generation; half a minute, which is a failure.
    pub fn wait(&self, generation: u64) {
        self.wait_for(&format!("generation {generation}"), || {
            self.generation() == generation && self.watcher.status().generation == generation
        });
    }

    /// Waits until the engine runs a generation, and says that it is this table.
    pub fn wait_table(&self, generation: u64, content_id: &str) {
        self.wait_for(&format!("generation {generation} of {content_id}"), || {
            let status = self.watcher.status();
            (self.generation(), status.content_id.as_str()) == (generation, content_id)
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
        let until = Instant::now() + Duration::from_secs(30);
        while !so() {
            let (name, status) = (&self.name, self.watcher.status());
            assert!(
                Instant::now() < until,
                "{name}: {what}: {status:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every table that the directory has had passed its checks, and its ledger is whole.
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

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
