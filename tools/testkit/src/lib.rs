//! Shared code of tests with real programs: paths, scripts, folders, ports, load.

pub mod browsers;
pub mod disturb;
pub mod fronts;
pub mod probe;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The root of the workspace.
pub fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).unwrap_or(here)
}

/// Returns `true` if a program that is missing fails a test: `HEDGEROW_REQUIRE_PEERS=1`.
pub fn required() -> bool {
    std::env::var("HEDGEROW_REQUIRE_PEERS").is_ok_and(|value| value == "1")
}

/// Reports what was not tested, past the test harness, which keeps the output of tests that pass.
///
/// # Panics
/// If nothing may be missing.
pub fn skipped(what: &str) {
    assert!(!required(), "{what}");
    // If nobody reads it, the test is skipped all the same.
    let _ = std::io::stderr().write_all(format!("*** SKIPPED: {what} ***\n").as_bytes());
}

/// Waits until something holds, for at most `patience`.
///
/// # Panics
/// If it does not come to hold, with `state` as the message.
pub fn until(patience: Duration, mut holds: impl FnMut() -> bool, state: impl Fn() -> String) {
    let end = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < end, "{}", state());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a program by SIGTERM, and by SIGKILL if it takes longer than ten seconds.
pub fn terminate(child: &mut Child) {
    // The number of one that has ended may be another's.
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    let _ = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A folder of a test's own, empty at its start.
pub struct Folder(PathBuf);

impl Folder {
    /// Under the build's folder; under the system's if that one's name has spaces, which would take
    /// a path apart in a command line.
    pub fn new(test: &str) -> Folder {
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        let spaces = target().to_string_lossy().contains(char::is_whitespace);
        let base = if spaces {
            std::env::temp_dir()
        } else {
            target().join("tmp")
        };
        let path = base.join(package).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    /// The path of a name in it.
    pub fn path(&self, name: &str) -> String {
        self.0
            .join(name)
            .to_str()
            .expect("a path in UTF-8")
            .to_string()
    }

    /// Writes a file; returns its path.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.0.join(name), bytes).expect("a file");
        self.path(name)
    }

    /// The names of everything in it.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a name in UTF-8")).collect();
        names.sort();
        names
    }
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from)
}

/// Runs a script of the project, and returns the last line that it printed.
///
/// # Errors
/// Where it does not start, or fails: what it printed.
pub fn script(path: &str, arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new("bash")
        .arg(root().join(path))
        .args(arguments)
        .current_dir(root())
        // The library is plain stable Rust, however the tests were built.
        .env_remove("RUSTFLAGS")
        .output()
        .map_err(|error| format!("{path}: {error}"))?;
    let printed = String::from_utf8_lossy(&ran.stdout);
    if !ran.status.success() {
        let errors = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("{path}: {}\n{printed}{errors}", ran.status));
    }
    Ok(printed.lines().last().unwrap_or_default().to_string())
}

/// The static library, built once a process.
///
/// # Errors
/// Where it does not build.
pub fn library() -> Result<&'static Path, String> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = LIBRARY.get_or_init(|| script("tools/capi/build.sh", &[]).map(PathBuf::from));
    built.as_deref().map_err(Clone::clone)
}

/// Compiles a program in C against the header and the static library, with every warning an error,
/// and flags of its own.
///
/// # Errors
/// Where it does not compile.
pub fn compile(source: &Path, to: &Path, flags: &[&str]) -> Result<(), String> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let compiled = Command::new(compiler)
        .args(["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(root().join("include"))
        .arg(source)
        .args(flags)
        .arg(library()?)
        .args(["-lgcc_s", "-lpthread", "-ldl", "-lm", "-o"])
        .arg(to)
        .output()
        .map_err(|error| format!("the C compiler: {error}"))?;
    match compiled.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&compiled.stderr).into_owned()),
    }
}

/// A folder of a test's own, empty.
///
/// # Errors
/// Where it cannot be made.
pub fn folder(name: &str) -> std::io::Result<PathBuf> {
    let folder = target().join("tmp/capi").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A port of loopback that was free a moment ago; 0 where there is none.
pub fn free_port() -> u16 {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = bound.and_then(|bound| bound.local_addr());
    address.map_or(0, |address| address.port())
}

/// The first block of a language in a page of the manual; empty where there is none.
pub fn block(page: &str, language: &str) -> String {
    let text = std::fs::read_to_string(root().join(page)).unwrap_or_default();
    let start = format!("\n```{language}\n");
    let block = text.split_once(&start).map_or("", |(_, rest)| rest);
    let end = block.find("\n```").map_or(0, |end| end + 1);
    block.get(..end).unwrap_or_default().to_string()
}
