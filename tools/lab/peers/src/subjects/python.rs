//! CatBoost's own batches, which exist in Python only: another process on the same core, which
//! waits for its turn in the round and times itself.

use super::{Entry, Places, Shape, TOLERANCE};
use crate::Result;
use crate::measure::{Remote, Runs};
use crate::results::Measure;
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

const HOW: &str = "CatBoost.predict in Python, RawFormulaVal, thread_count=1, on a Pool that is \
                   made before (its fastest path); timed around the call, in a process that is \
                   bound to the same core";

struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    /// One line there, one line back.
    fn ask(&mut self, line: &str) -> Result<String> {
        writeln!(self.to, "{line}")?;
        self.to.flush()?;
        let mut answer = String::new();
        self.from.read_line(&mut answer)?;
        match answer.trim() {
            "" => Err("the Python process ended".into()),
            answer => Ok(answer.to_string()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Batch {
    process: Rc<RefCell<Process>>,
    count: usize,
    margins: PathBuf,
}

impl Remote for Batch {
    fn rows(&self) -> usize {
        self.count
    }

    fn time(&mut self, calls: usize) -> Result<(f64, usize)> {
        let ask = format!("time {} {calls}", self.count);
        let answer = self.process.borrow_mut().ask(&ask)?;
        Ok((answer.parse()?, calls))
    }

    fn margins(&mut self) -> Result<Vec<f64>> {
        let ask = format!("margins {} {}", self.count, self.margins.display());
        self.process.borrow_mut().ask(&ask)?;
        let bytes = std::fs::read(&self.margins)?;
        let values = bytes.as_chunks::<8>().0.iter();
        Ok(values.map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }
}

pub fn entries(folder: &Path, places: &Places, shape: Shape) -> Result<Vec<Entry>> {
    let mut child = Command::new(places.venv.join("bin/python"))
        .arg(&places.script)
        .arg(folder.join("model.cbm"))
        .arg(places.models.join("rows.f32"))
        .arg(shape.features.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let to = child.stdin.take().ok_or("no pipe to Python")?;
    let from = child.stdout.take().ok_or("no pipe from Python")?;
    let from = BufReader::new(from);
    let process = Rc::new(RefCell::new(Process { child, to, from }));
    let counts = [64, shape.rows];
    Ok(Vec::from(counts.map(|count| Entry {
        name: "CatBoost 1.2.10, Python".into(),
        measure: Measure::of(count),
        kernel: None,
        tolerance: TOLERANCE,
        how: HOW,
        runs: Runs::There(Box::new(Batch {
            process: Rc::clone(&process),
            count,
            margins: folder.join("python-margins.f64"),
        })),
    })))
}
