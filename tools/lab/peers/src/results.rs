//! Figures, ratios and targets: what a run found, and what was asked of it.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// One row, warm.
    One,
    /// One row after other memory was walked.
    Cold,
    /// Many rows in one call.
    Batch(usize),
}

impl Measure {
    /// A call on so many rows.
    pub fn of(rows: usize) -> Measure {
        match rows {
            1 => Measure::One,
            rows => Measure::Batch(rows),
        }
    }

    pub fn name(self) -> String {
        match self {
            Measure::One => "one row".into(),
            Measure::Cold => "one row, cold".into(),
            Measure::Batch(rows) => format!("batch of {}", grouped(rows as f64)),
        }
    }

    /// What hedgerow is compared in: its batches are of 64, whatever the peer's are of.
    fn counterpart(self) -> Measure {
        match self {
            Measure::Batch(_) => Measure::Batch(64),
            other => other,
        }
    }
}

/// The figures of one way of calling one subject on one model, in nanoseconds a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub name: String,
    pub kernel: Option<&'static str>,
    pub measure: Measure,
    /// The smallest round's figure: the median of its calls.
    pub min: f64,
    /// The median of the rounds' figures.
    pub median: f64,
    pub rounds: usize,
    /// Calls in all rounds.
    pub calls: usize,
}

impl Figure {
    /// From the figures of rounds; none where there was no round.
    pub fn new(
        name: &str,
        kernel: Option<&'static str>,
        measure: Measure,
        rounds: &[f64],
        calls: usize,
    ) -> Option<Figure> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Figure {
            name: name.into(),
            kernel,
            measure,
            min: *sorted.first()?,
            median: middle(&sorted)?,
            rounds: rounds.len(),
            calls,
        })
    }

    pub fn json(&self, model: &ModelResults) -> Value {
        json!({
            "subject": self.name,
            "kernel": self.kernel,
            "measure": self.measure.name(),
            "min_ns": rounded(self.min),
            "median_ns": rounded(self.median),
            "rounds": self.rounds,
            "calls": self.calls,
            "times_hedgerow": model.times(self).map(rounded),
        })
    }
}

/// The median of sorted values.
fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        0 => Some((sorted[sorted.len() / 2 - 1] + upper) / 2.0),
        _ => Some(upper),
    }
}

/// How many times as long the first takes as the second: by minima or by medians, whichever is
/// less.
pub fn times(slow: &Figure, fast: &Figure) -> f64 {
    (slow.min / fast.min).min(slow.median / fast.median)
}

/// Everything that was measured on one model.
#[derive(Debug, Clone, Default)]
pub struct ModelResults {
    pub name: String,
    pub about: String,
    pub figures: Vec<Figure>,
}

impl ModelResults {
    pub fn find(&self, name: &str, measure: Measure) -> Option<&Figure> {
        let fits = |figure: &&Figure| figure.name == name && figure.measure == measure;
        self.figures.iter().find(fits)
    }

    /// hedgerow's fastest kernel in a measure, by the minima.
    pub fn best(&self, measure: Measure) -> Option<&Figure> {
        let fits = |figure: &&Figure| figure.kernel.is_some() && figure.measure == measure;
        let own = self.figures.iter().filter(fits);
        own.min_by(|a, b| a.min.total_cmp(&b.min))
    }

    /// How many times as long this takes as hedgerow's best kernel; none without a counterpart.
    pub fn times(&self, figure: &Figure) -> Option<f64> {
        let best = self.best(figure.measure.counterpart())?;
        Some(times(figure, best))
    }

    /// Subjects in their order, each once.
    pub fn subjects(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !names.contains(&figure.name.as_str()) {
                names.push(&figure.name);
            }
        }
        names
    }

    /// Measures in their order, each once.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures = Vec::new();
        for figure in &self.figures {
            if !measures.contains(&figure.measure) {
                measures.push(figure.measure);
            }
        }
        measures.sort_by_key(|measure| match measure {
            Measure::One => 0,
            Measure::Cold => 1,
            Measure::Batch(rows) => 1 + *rows,
        });
        measures
    }
}

/// How much faster than a peer hedgerow is to be.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub model: &'static str,
    pub peer: &'static str,
    pub peer_measure: Measure,
    pub measure: Measure,
    /// The kernel that is asked; none for the best that the machine has.
    pub kernel: Option<&'static str>,
    pub at_least: f64,
}

/// What became of a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    pub target: String,
    pub at_least: f64,
    /// The ratio, the lesser of minima's and medians'; none where it was not measured.
    pub measured: Option<f64>,
    /// Which kernel was measured.
    pub kernel: Option<&'static str>,
    /// `met`, `NOT MET`, or `not measured` and why.
    pub outcome: String,
}

const EXPORT: &str = "CatBoost 1.2.10, exported C++";
const COMPILED: &str = "tl2cgen 1.0.0, compiled";

const fn one_row(
    model: &'static str,
    peer: &'static str,
    kernel: Option<&'static str>,
    at_least: f64,
) -> Target {
    Target {
        model,
        peer,
        peer_measure: Measure::One,
        measure: Measure::One,
        kernel,
        at_least,
    }
}

/// The targets. They were set for a machine with AVX-512 VBMI; elsewhere the best kernel is held
/// to them all the same.
pub const TARGETS: &[Target] = &[
    one_row("R1", EXPORT, Some("avx512"), 6.0),
    one_row("R1", EXPORT, Some("avx2"), 2.0),
    one_row("R1", EXPORT, Some("portable"), 2.0),
    one_row("R2", "LightGBM 4.7.0, C API", None, 25.0),
    one_row("R2", COMPILED, None, 9.0),
    one_row("R3", "XGBoost 3.2.0, C API in place", None, 100.0),
    one_row("R3", COMPILED, None, 18.0),
    Target {
        model: "R1",
        peer: "CatBoost 1.2.10, Python",
        peer_measure: Measure::Batch(20_000),
        measure: Measure::Batch(64),
        kernel: None,
        at_least: 7.0,
    },
];

impl Target {
    pub fn outcome(&self, models: &[ModelResults]) -> Outcome {
        let own = match self.kernel {
            Some(kernel) => format!("hedgerow {kernel}"),
            None => "hedgerow's best kernel".into(),
        };
        let target = format!(
            "{}: {own}, {}, against {}, {}",
            self.model,
            self.measure.name(),
            self.peer,
            self.peer_measure.name()
        );
        let model = models.iter().find(|model| model.name == self.model);
        let peer = model.and_then(|model| model.find(self.peer, self.peer_measure));
        let own = model.and_then(|model| match self.kernel {
            Some(kernel) => model.find(&format!("hedgerow {kernel}"), self.measure),
            None => model.best(self.measure),
        });
        let measured = own.zip(peer).map(|(own, peer)| times(peer, own));
        let outcome = match (measured, own, peer) {
            (Some(ratio), ..) if ratio >= self.at_least => "met",
            (Some(_), ..) => "NOT MET",
            (None, None, Some(_)) => "not measured: this machine does not have that kernel",
            _ => "not measured: the peer is not in this run",
        };
        Outcome {
            target,
            at_least: self.at_least,
            measured: measured.map(rounded),
            kernel: own.and_then(|own| own.kernel),
            outcome: outcome.into(),
        }
    }
}

/// A thousandth is more than any figure here is worth.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// A number as people read it: 12,345 or 1,234 or 123 or 12.3 or 1.23.
pub fn grouped(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let whole = hedgerow_cli::drawing::grouped(whole.parse().unwrap_or_default());
    match rest.is_empty() || value.fract() == 0.0 {
        true => whole,
        false => format!("{whole}.{rest}"),
    }
}

/// The results as JSON, without the machine.
pub fn json(models: &[ModelResults], outcomes: &[Outcome]) -> Map<String, Value> {
    let models: Vec<Value> = models
        .iter()
        .map(|model| {
            let figures: Vec<Value> = model.figures.iter().map(|f| f.json(model)).collect();
            json!({ "name": model.name, "about": model.about, "figures": figures })
        })
        .collect();
    let mut map = Map::new();
    map.insert("models".into(), Value::Array(models));
    map.insert("targets".into(), json!(outcomes));
    map
}

/// The results as CSV, one figure a line.
pub fn csv(models: &[ModelResults]) -> String {
    let mut out =
        String::from("model,subject,measure,min_ns,median_ns,times_hedgerow,rounds,calls\n");
    for model in models {
        for figure in &model.figures {
            let times = model.times(figure).map(|times| format!("{times:.3}"));
            out += &format!(
                "{},\"{}\",\"{}\",{:.3},{:.3},{},{},{}\n",
                model.name,
                figure.name,
                figure.measure.name(),
                figure.min,
                figure.median,
                times.unwrap_or_default(),
                figure.rounds,
                figure.calls
            );
        }
    }
    out
}

#[cfg(test)]
#[path = "results_tests.rs"]
mod tests;
