//! Runs the binary, and makes the files that it is given.

pub use hedgerow_testkit::Folder;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A small CatBoost model of four features, f0 to f3.
pub const MODEL: &str = include_str!("../../../import/tests/data/catboost-oblivious.json");
const EXPECTED: &str = include_str!("../../../import/tests/data/catboost-oblivious.expected.json");
/// A small LightGBM model of four features, Column_0 to Column_3.
pub const LIGHTGBM: &str = include_str!("../../../import/tests/data/lightgbm.txt");

/// A folder with the small model, compiled.
pub trait Compiled {
    fn table(&self) -> String;
}

impl Compiled for Folder {
    fn table(&self) -> String {
        let model = self.file("model.json", MODEL);
        let table = self.path("model.hedge");
        hedgerow!("compile {model} --positive human -o {table}").done();
        table
    }
}

/// What a run left.
#[derive(Debug)]
pub struct Outcome {
    #[allow(dead_code, reason = "shown where a test fails")]
    args: String,
    pub status: i32,
    pub out: String,
    pub err: String,
}

/// Runs the binary with the words of a text, which may name variables as `format!` does.
macro_rules! hedgerow {
    ($($line:tt)+) => {
        $crate::common::run(&format!($($line)+).split_whitespace().collect::<Vec<_>>())
    };
}
pub(crate) use hedgerow;

/// Runs the binary.
pub fn run(args: &[&str]) -> Outcome {
    run_with(args, b"", &[])
}

/// Runs the binary with bytes on its standard input.
pub fn run_on(args: &[&str], input: &[u8]) -> Outcome {
    run_with(args, input, &[])
}

/// Runs the binary. Whatever came of it: no panic, an exit status of the three, and JSON where it
/// was asked for.
pub fn run_with(args: &[&str], input: &[u8], env: &[(&str, &str)]) -> Outcome {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Beside the reading, or both sides might wait; a command that does not read is no failure.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let outcome = Outcome {
        args: args.join(" "),
        status: output.status.code().expect("no signal"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    };
    assert!(!outcome.err.contains("panicked"), "{outcome:?}");
    assert!((0..=2).contains(&outcome.status), "{outcome:?}");
    if args.contains(&"--json") && !args.contains(&"--help") {
        outcome.json();
    } else if outcome.status == 2 {
        assert!(
            !outcome.err.is_empty() && outcome.out.is_empty(),
            "{outcome:?}"
        );
    }
    outcome
}

/// Interrupts a run so long after it has put something into `folder`. It leaves nothing there, and
/// ends with this status and with a report in JSON, which says the same.
pub fn interrupted(args: &[&str], folder: &Folder, after: Duration, status: i32) -> Value {
    signalled("INT", args, folder, after, status)
}

/// The same by a signal of this name.
pub fn signalled(
    signal: &str,
    args: &[&str],
    folder: &Folder,
    after: Duration,
    status: i32,
) -> Value {
    let child = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(args)
        .arg("--json")
        .env("TMPDIR", folder.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while folder.names().is_empty() && started.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(after);
    let kill = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], status == 0, "{json}");
    json
}

impl Outcome {
    /// Standard output of a command that was done and complained about nothing.
    pub fn done(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        self.out
    }

    /// One value and the end of the line.
    pub fn json(&self) -> Value {
        assert!(self.out.ends_with('\n'), "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of a command that refused; it holds all of `parts`.
    pub fn refused(self, parts: &[&str]) -> String {
        self.failed(1, parts)
    }

    /// The message of a command that was called wrongly.
    pub fn usage(self, parts: &[&str]) -> String {
        self.failed(2, parts)
    }

    fn failed(self, status: i32, parts: &[&str]) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.out, "", "{self:?}");
        holds(&self.err, parts);
        if status == 1 {
            assert!(self.err.starts_with("hedgerow: "), "{self:?}");
            assert!(
                self.err.contains("expected") || self.err.contains("the name of the feature"),
                "{self:?}"
            );
            assert_eq!(self.err.lines().count(), 1, "{self:?}");
        }
        self.err
    }
}

/// A whole number of a report.
pub fn count(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no count: {value}"))
}

/// A number of a report.
pub fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

/// A list of a report.
pub fn list(value: &Value) -> &Vec<Value> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

/// Asserts that a text holds all parts.
pub fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
}

/// The rows and CatBoost's own margins of the small model.
pub fn expected() -> (Vec<Vec<f32>>, Vec<f64>) {
    let json: Value = serde_json::from_str(EXPECTED).unwrap();
    let bits: Vec<Vec<u32>> = serde_json::from_value(json["rows"].clone()).unwrap();
    let row = |bits: &Vec<u32>| bits.iter().map(|bits| f32::from_bits(*bits)).collect();
    let margins = serde_json::from_value(json["margins"].clone());
    (bits.iter().map(row).collect(), margins.unwrap())
}

/// CSV of rows; an empty value where missing.
pub fn csv(header: &str, rows: &[Vec<f32>]) -> String {
    let mut text = format!("{header}\n");
    for row in rows {
        let shown = |value: &f32| match value.is_nan() {
            true => String::new(),
            false => value.to_string(),
        };
        let values: Vec<String> = row.iter().map(shown).collect();
        text.push_str(&values.join(","));
        text.push('\n');
    }
    text
}

/// An NPY file of a version, with a header and data of these bytes.
pub fn npy_raw(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = vec![0x93, b'N', b'U', b'M', b'P', b'Y', version, 0];
    match version {
        1 => file.extend((header.len() as u16).to_le_bytes()),
        _ => file.extend((header.len() as u32).to_le_bytes()),
    }
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

/// The header of float32 in C order.
pub fn npy_header(rows: usize, columns: usize) -> String {
    format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}\n")
}

/// An NPY file of rows.
pub fn npy(rows: &[Vec<f32>]) -> Vec<u8> {
    let data: Vec<u8> = rows
        .iter()
        .flatten()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    npy_raw(1, &npy_header(rows.len(), rows[0].len()), &data)
}

/// The first two columns of `margin,score,source`.
pub fn scores(text: &str) -> Vec<(f64, u8)> {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("margin,score,source"));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split(',').collect();
            let [margin, score, _] = columns[..] else {
                panic!("three columns: {line}");
            };
            (margin.parse().unwrap(), score.parse().unwrap())
        })
        .collect()
}
