//! The progress of a rollout on standard error: bars on a terminal, lines elsewhere.

use crate::record::Ring;
use crate::waiting::Tally;
use hedgerow::refusal::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// What a rollout does at a ring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// It waits for nodes to run the table.
    Takes,
    /// It watches them: for how long so far, and for how long in all.
    Watches(Duration, Duration),
    /// It waits for the nodes' health.
    Asks,
    /// An operator paused it.
    Paused,
}

/// The progress of a rollout.
pub struct View {
    /// A bar per ring on a terminal; else empty.
    bars: BTreeMap<Ring, ProgressBar>,
    all: MultiProgress,
    json: bool,
    /// The state of the last line.
    shown: String,
}

impl View {
    /// Shows rings. For programs, which read standard output, it is a line per ring.
    pub fn new(rings: &[Ring], json: bool) -> View {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let all = MultiProgress::new();
        let bar = |ring: &Ring| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar.set_message(format!("{:<7} waits", ring.name()));
            (*ring, bar)
        };
        let bars = match std::io::stderr().is_terminal() && !is_dumb && !json {
            true => rings.iter().map(bar).collect(),
            false => BTreeMap::new(),
        };
        View {
            bars,
            all,
            json,
            shown: String::new(),
        }
    }

    /// Shows a ring that has its turn.
    pub fn at(&mut self, ring: Ring, nodes: &Tally, phase: Phase) {
        let line = line_of(ring, nodes, phase);
        if let Some(bar) = self.bars.get(&ring) {
            bar.set_message(printable(&line));
            return;
        }
        // Time that passes is not a change.
        let steady = match phase {
            Phase::Watches(..) => Phase::Watches(Duration::ZERO, Duration::ZERO),
            phase => phase,
        };
        let state = format!("{ring:?} {} {} {steady:?}", nodes.done, nodes.bad);
        if !self.json && self.shown != state {
            self.shown = state;
            // A closed stream is no failure: the report follows on standard output.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Shows the outcome of a ring.
    pub fn past(&self, ring: Ring, line: &str) {
        match self.bars.get(&ring) {
            Some(bar) => bar.finish_with_message(printable(line.trim_end())),
            None => _ = write!(std::io::stderr(), "{line}"),
        }
    }
}

impl Drop for View {
    /// Makes room for the report.
    fn drop(&mut self) {
        let _ = self.all.clear();
    }
}

/// Cells of a bar.
const CELLS: usize = 20;

fn line_of(ring: Ring, nodes: &Tally, phase: Phase) -> String {
    let Tally { all, done, bad, .. } = nodes;
    let full = (done * CELLS / (*all).max(1)).min(CELLS);
    let (full, rest) = ("#".repeat(full), ".".repeat(CELLS - full));
    let name = ring.name();
    let mut line = format!("{name:<7} [{full}{rest}] {done} of {all} run it");
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
