//! What the tests share: folders, ports, processes, waiting, and runs of the program.

use serde_json::Value;
use std::fmt::Display;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Logs that a test needs something that is missing. Fails if it must not be missing.
pub fn missing<T>(what: &str) -> Option<T> {
    let required = std::env::var_os("HEDGEROW_REQUIRE_PEERS").is_some_and(|set| set == "1");
    assert!(!required, "{what} is missing: tools/fleet/setup.sh");
    eprintln!("SKIPPED: {what} is missing: tools/fleet/setup.sh");
    None
}

/// The path of a program that `setup.sh` installs below `target`.
pub fn installed(path: &str) -> Option<PathBuf> {
    let file = root().join("target").join(path);
    match file.is_file() {
        true => Some(file),
        false => missing(path),
    }
}

/// A number of the environment, or a smaller one for a short run.
pub fn given(name: &str, short: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(short, |given| given.parse().expect("a number"))
}

/// How often each fault is tried.
pub fn rounds(short: u32) -> u32 {
    given("HEDGEROW_FLEET_ROUNDS", short)
}

/// Free ports of loopback.
pub fn ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A free port of loopback.
pub fn port() -> u16 {
    ports::<1>()[0]
}

/// Waits until something is so, at most this long. `why` describes a failure.
pub fn wait_until<T: Display>(within: Duration, mut so: impl FnMut() -> bool, why: impl Fn() -> T) {
    let until = Instant::now() + within;
    while !so() {
        assert!(Instant::now() < until, "{}", why());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a future on this thread.
pub fn block_on<T>(act: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(act)
}

/// A process that ends with its test.
pub struct Process(Child);

impl Process {
    /// Starts a command without standard input.
    pub fn start(command: &mut Command) -> Process {
        Process(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Returns `true` if it has ended.
    pub fn ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Stops or continues it. A stopped process neither answers nor closes anything.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let pid = self.0.id().to_string();
        let done = Command::new("kill").args([signal, &pid]).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder of a test, empty at its start.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A folder in the place that a variable of the environment names.
    pub fn within(variable: &str, test: &str) -> Folder {
        let Some(place) = std::env::var_os(variable) else {
            return Folder::new(test);
        };
        let name = format!("hedgerow-{}-{test}", std::process::id());
        let path = Path::new(&place).join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.text(name)
    }

    /// A file that nobody else can read.
    pub fn secret(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let file = self.file(name, text);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes `cert.pem` and `key.pem` of this machine in a folder.
pub fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|made| made.success()), "openssl is needed");
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Outcome {
    pub status: i32,
    pub json: Value,
    pub err: String,
}

impl Outcome {
    pub fn of(output: &Output) -> Outcome {
        let out = String::from_utf8_lossy(&output.stdout);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!err.contains("panicked"), "{err}");
        let json = serde_json::from_str(&out);
        Outcome {
            status: output.status.code().unwrap_or(-1),
            json: json.unwrap_or_else(|error| panic!("{error}: {out} {err}")),
            err: err.into(),
        }
    }

    pub fn generation(&self) -> u64 {
        assert_eq!(self.status, 0, "{self:?}");
        self.json["generation"].as_u64().unwrap()
    }

    pub fn name(&self) -> &str {
        self.json["name"].as_str().unwrap_or("")
    }

    /// Asserts the generation of a publish, and a number in its report.
    pub fn published(&self, generation: u64, pointer: &str, number: u64) {
        assert_eq!(self.generation(), generation, "{self:?}");
        let found = self.json.pointer(pointer).and_then(Value::as_u64);
        assert_eq!(found, Some(number), "{pointer}: {self:?}");
    }

    /// Asserts a failure by its name.
    pub fn fails(&self, name: &str) {
        assert_eq!((self.status, self.name()), (1, name), "{self:?}");
    }
}

/// The program, with arguments and JSON.
pub fn command(args: &[&str]) -> Command {
    command_by(&[], args)
}

/// The program, run by another command.
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
    // Keys of fixtures sign in many stores.
    command.env("HEDGEROW_FLEET_STATE", "");
    command.arg("--json").args(args);
    command.stdin(Stdio::null());
    command
}

/// Runs the program.
pub fn run(args: &[&str]) -> Outcome {
    run_by(&[], args)
}

/// Runs the program by another command.
pub fn run_by(by: &[String], args: &[&str]) -> Outcome {
    Outcome::of(&command_by(by, args).output().unwrap())
}

/// Starts the program, whose standard output is kept.
pub fn spawn(args: &[&str]) -> Child {
    let mut command = command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}
