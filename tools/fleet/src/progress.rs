//! A rollout's progress: a view that is drawn again on a terminal, or lines as things change.

use crate::record::Ring;
use crate::waiting::Nodes;
use hedgerow_cli::failure::harmless;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// What a rollout does at a ring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// It waits for nodes to run the table.
    Takes,
    /// It watches them: for how long so far, and of how long.
    Watches(Duration, Duration),
    /// It waits for their health to be told.
    Asks,
    /// It was told to stay.
    Paused,
}

/// Says on standard error how far a rollout is.
pub struct Progress {
    rings: Vec<Ring>,
    /// Lines of the rings that are through.
    past: Vec<String>,
    how: How,
    /// What was said last, or how many lines stand on the terminal.
    said: String,
    drawn: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// Drawn again in its place.
    Drawn,
    /// A line for each change.
    Changes,
    /// A line for each ring.
    Rings,
}

impl Progress {
    /// A view on these rings. For machines, which read another stream, it is a line a ring.
    pub fn new(rings: &[Ring], json: bool) -> Progress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let how = match std::io::stderr().is_terminal() && !dumb {
            _ if json => How::Rings,
            true => How::Drawn,
            false => How::Changes,
        };
        Progress {
            rings: rings.to_vec(),
            past: Vec::new(),
            how,
            said: String::new(),
            drawn: 0,
        }
    }

    /// A ring is under way.
    pub fn at(&mut self, ring: Ring, nodes: &Nodes, phase: Phase) {
        let line = line_of(ring, nodes, phase);
        match self.how {
            How::Rings => {}
            How::Drawn => self.draw(Some(&line)),
            How::Changes => {
                // What changes by itself all the time is no change.
                let steady = match phase {
                    Phase::Watches(..) => Phase::Watches(Duration::ZERO, Duration::ZERO),
                    phase => phase,
                };
                let key = format!("{ring:?} {} {} {steady:?}", nodes.done, nodes.bad);
                if self.said != key {
                    self.said = key;
                    // Where nobody listens, the report still tells.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
        }
    }

    /// A ring is through, or was halted.
    pub fn past(&mut self, line: &str) {
        self.past.push(line.trim_end().to_string());
        match self.how {
            How::Drawn => self.draw(None),
            How::Changes | How::Rings => _ = write!(std::io::stderr(), "{line}"),
        }
    }

    /// All is said: the report follows.
    pub fn end(&mut self) {
        if self.drawn > 0 {
            let _ = write!(std::io::stderr(), "\x1b[{}A\r\x1b[J", self.drawn);
            self.drawn = 0;
        }
    }

    fn draw(&mut self, now: Option<&str>) {
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        // Lines that are too long are cut by the terminal, so that their number is known.
        text.push_str("\x1b[?7l");
        let mut lines: Vec<String> = self.past.clone();
        lines.extend(now.map(ToString::to_string));
        let rest = self.rings.get(lines.len()..).unwrap_or_default();
        lines.extend(rest.iter().map(|ring| format!("{:<7} waits", ring.name())));
        for line in &lines {
            let _ = writeln!(text, "\r\x1b[2K{}", harmless(line));
        }
        text.push_str("\x1b[?7h");
        self.drawn = lines.len();
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

/// Cells of a bar.
const CELLS: usize = 20;

fn line_of(ring: Ring, nodes: &Nodes, phase: Phase) -> String {
    let Nodes { all, done, bad, .. } = nodes;
    let full = done * CELLS / (*all).max(1);
    let bar = format!(
        "{}{}",
        "#".repeat(full),
        ".".repeat(CELLS - full.min(CELLS))
    );
    let mut line = format!("{:<7} [{bar}] {done} of {all} run it", ring.name());
    if *bad > 0 {
        let _ = write!(line, ", {bad} do not take it");
    }
    match phase {
        Phase::Takes => {}
        Phase::Watches(so_far, of) => {
            let (so_far, of) = (so_far.as_secs_f64(), of.as_secs_f64());
            let _ = write!(line, ", watched for {so_far:.0} of {of:.0} s");
        }
        Phase::Asks => line.push_str(", waits for their health"),
        Phase::Paused => line.push_str(", paused"),
    }
    if *done > 0 {
        let _ = write!(line, "; health: {}", nodes.health);
    }
    line
}
