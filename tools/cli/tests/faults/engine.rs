//! An engine in a process of its own: the library's example of a watched directory.

use super::place::Place;
use hedgerow::Row;
use hedgerow::http::{Header, HeadersKnown, Request, extract};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The request that the example scores.
pub fn row() -> Row {
    let headers = [Header::new(b"User-Agent", b"curl/8.5")];
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    row
}

/// A line that the engine prints ten times a second.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pub json: Value,
}

impl Line {
    pub fn generation(&self) -> u64 {
        self.json["status"]["generation"]
            .as_u64()
            .unwrap_or_default()
    }

    /// All refusals, added up.
    pub fn refused(&self) -> u64 {
        let counts = self.json["status"]["refusals"].as_object();
        let counts = counts.into_iter().flat_map(|counts| counts.values());
        counts.filter_map(Value::as_u64).sum()
    }
}

/// The process. It is ended with the test, by its id.
pub struct Engine {
    child: Child,
    stdin: Option<ChildStdin>,
    last: Arc<Mutex<Line>>,
    reader: Option<JoinHandle<()>>,
    said: Option<JoinHandle<String>>,
}

/// The example's binary, made by the same cargo in the same profile, where it is not there or
/// older than the library.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_BIN_EXE_hedgerow")).parent().unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        cargo
            .current_dir(root)
            .args(["build", "--quiet", "--example", "watch"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        assert!(cargo.status().unwrap().success());
        folder.join("examples/watch")
    })
}

impl Engine {
    pub fn start(place: &Place) -> Engine {
        Engine::start_with(place, &[])
    }

    pub fn start_with(place: &Place, args: &[&str]) -> Engine {
        let mut command = Command::new(binary());
        command
            .arg(place.dir())
            .args(["--seconds", "600"])
            .args(args);
        Engine::spawn(command)
    }

    /// Starts the engine behind another command, such as `setpriv`.
    pub fn start_under(place: &Place, under: &[&str], args: &[&str]) -> Engine {
        let mut command = Command::new(under[0]);
        command.args(&under[1..]).arg(binary());
        command
            .arg(place.dir())
            .args(["--seconds", "600"])
            .args(args);
        Engine::spawn(command)
    }

    fn spawn(mut command: Command) -> Engine {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let last = Arc::new(Mutex::new(Line::default()));
        let of_reader = last.clone();
        let reader = std::thread::spawn(move || {
            for text in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A line that the engine was killed in is cut.
                if let Ok(json) = serde_json::from_str(&text) {
                    of_reader.lock().unwrap().json = json;
                }
            }
        });
        let said = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Engine {
            child,
            stdin,
            last,
            reader: Some(reader),
            said: Some(said),
        }
    }

    pub fn last(&self) -> Line {
        self.last.lock().unwrap().clone()
    }

    /// Waits until the engine is so, for a minute at most.
    pub fn until(&mut self, so: impl Fn(&Line) -> bool) {
        let until = Instant::now() + Duration::from_secs(60);
        while !so(&self.last()) {
            assert!(Instant::now() < until, "{:?}", self.last());
            assert_eq!(self.child.try_wait().unwrap(), None, "the engine has ended");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends the engine in order: no request failed, each margin is that of one of the good tables,
    /// and nothing panicked. Returns what it logged.
    pub fn end(mut self, place: &Place) -> Vec<String> {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
        self.reader.take().unwrap().join().unwrap();
        let said = self.said.take().unwrap().join().unwrap();
        assert!(
            !said.contains("panicked") && !said.contains("internal"),
            "{said}"
        );
        let line = self.last();
        assert!(line.json["scored"].as_u64().unwrap() > 0, "{line:?}");
        assert_eq!(line.json["not_scored"], serde_json::json!({}), "{line:?}");
        assert_eq!(line.json["other_margins"], 0, "{line:?}");
        let good = place.margins();
        for (generation, margin) in line.json["margins"].as_object().unwrap() {
            let margin = margin.as_f64().unwrap();
            assert!(good.contains(&margin), "generation {generation}: {margin}");
        }
        said.lines().map(str::to_string).collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the engine's binary is.
pub fn path() -> &'static str {
    binary().to_str().unwrap()
}
