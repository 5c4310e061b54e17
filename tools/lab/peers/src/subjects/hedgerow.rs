//! hedgerow: every kernel that this machine has, through a scorer, as a host calls it.

use super::Entry;
use crate::Result;
use crate::measure::{Rows, Runs, Subject};
use crate::results::Measure;
use hedgerow::{Engine, KERNELS, Row, Schema, Scorer, Table, Verdict};
use std::path::Path;

const ONE: &str = "Scorer::score, from a filled row to the verdict: binarise, trees, score map, \
                   counters; table by `hedgerow compile`";
const BATCH: &str = "Scorer::score_batch of 64 rows, from filled rows to the verdicts";

struct Single {
    scorer: Scorer,
    row: Row,
    verdict: Verdict,
}

impl Subject for Single {
    fn rows(&self) -> usize {
        1
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        let values = rows.slice(first, 1);
        self.row.values_mut()[..values.len()].copy_from_slice(values);
    }

    fn call(&mut self) -> i32 {
        self.verdict = self.scorer.score(&self.row);
        0
    }

    fn margins(&mut self, to: &mut [f64]) {
        to[0] = margin(&self.verdict);
    }
}

struct Batch {
    scorer: Scorer,
    rows: Vec<Row>,
    verdicts: Vec<Verdict>,
}

impl Subject for Batch {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn fill(&mut self, rows: &Rows, first: usize) {
        for (at, row) in self.rows.iter_mut().enumerate() {
            let values = rows.slice(first + at, 1);
            row.values_mut()[..values.len()].copy_from_slice(values);
        }
    }

    fn call(&mut self) -> i32 {
        let scored = self.scorer.score_batch(&self.rows, &mut self.verdicts);
        i32::from(scored != self.rows.len())
    }

    fn margins(&mut self, to: &mut [f64]) {
        for (to, verdict) in to.iter_mut().zip(&self.verdicts) {
            *to = margin(verdict);
        }
    }
}

/// NaN, which agrees with nothing, where there is no score.
fn margin(verdict: &Verdict) -> f64 {
    match verdict {
        Verdict::Scored(scored) => scored.margin,
        Verdict::VerifiedBot(_) | Verdict::NotScored(_) => f64::NAN,
    }
}

pub fn entries(folder: &Path, features: usize) -> Result<Vec<Entry>> {
    let path = folder.join("model.hedge");
    let mut entries = Vec::new();
    for kernel in KERNELS {
        let table = Table::open(&path)?;
        if !kernel.available() {
            continue;
        }
        // Rows are filled by position, so the table's features must be the rows' columns.
        if table.features().len() != features {
            let got = table.features().len();
            return Err(format!("expected {features} features in the table, got {got}").into());
        }
        let engine = Engine::new(Schema::new(table.features())?);
        engine.publish_on(table, kernel.name)?;
        let scorer = || {
            let full = |full| format!("no free slot: {full:?}");
            engine.scorer().map_err(full)
        };
        let (mut first, batch) = (scorer()?, scorer()?);
        let verdict = first.score(&Row::MISSING);
        let name = format!("hedgerow {}", kernel.name);
        let batch = Batch {
            scorer: batch,
            rows: vec![Row::MISSING; 64],
            verdicts: vec![verdict; 64],
        };
        let single = Single {
            scorer: first,
            row: Row::MISSING,
            verdict,
        };
        let ways: [(Measure, &'static str, Box<dyn Subject>); 2] = [
            (Measure::One, ONE, Box::new(single)),
            (Measure::Batch(64), BATCH, Box::new(batch)),
        ];
        entries.extend(ways.map(|(measure, how, subject)| Entry {
            name: name.clone(),
            measure,
            kernel: Some(kernel.name),
            tolerance: 0.0,
            how,
            runs: Runs::Here(subject),
        }));
    }
    Ok(entries)
}
