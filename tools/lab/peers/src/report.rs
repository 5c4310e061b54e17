//! What a run is told as: a table for the terminal, the same as Markdown for the record.

use crate::results::{Figure, Measure, ModelResults, Outcome, grouped};
use std::fmt::Write;

/// Facts of a run: names and values, in order.
pub type Facts = Vec<(&'static str, String)>;

/// How one subject is called.
pub struct Way {
    pub subject: String,
    pub measures: Vec<Measure>,
    pub how: &'static str,
}

/// A run, ready to be told.
pub struct Report<'a> {
    pub facts: &'a Facts,
    pub models: &'a [ModelResults],
    pub outcomes: &'a [Outcome],
    pub ways: &'a [Way],
}

/// Minimum and median, and how many times hedgerow's best that is.
fn cell(model: &ModelResults, figure: Option<&Figure>) -> [String; 3] {
    let Some(figure) = figure else {
        return [const { String::new() }; 3];
    };
    let times = model.times(figure).map(|times| match figure.kernel {
        // A kernel beside the best kernel: more places, because it is near.
        Some(_) => format!("{times:.2}×"),
        None => format!("{}×", short(times)),
    });
    [
        grouped(figure.min),
        grouped(figure.median),
        times.unwrap_or_default(),
    ]
}

/// A ratio: two figures below ten, three above.
fn short(value: f64) -> String {
    match value {
        v if v < 99.95 => format!("{v:.1}"),
        v => grouped(v),
    }
}

/// The table of one model: a head, then a line for each subject.
fn table(model: &ModelResults) -> Vec<Vec<String>> {
    let measures = model.measures();
    let mut head = vec!["ns a row".to_string()];
    for measure in &measures {
        head.extend([measure.name(), "median".into(), "×".into()]);
    }
    let mut lines = vec![head];
    for subject in model.subjects() {
        let mut line = vec![subject.to_string()];
        for measure in &measures {
            line.extend(cell(model, model.find(subject, *measure)));
        }
        lines.push(line);
    }
    lines
}

/// Columns as wide as their widest cell.
fn terminal_table(lines: &[Vec<String>]) -> String {
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len()).filter_map(width).collect();
    let mut out = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).enumerate();
        let padded = cells.map(|(at, (cell, width))| match at {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        let joined = padded.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", joined.trim_end());
    }
    out
}

fn markdown_table(lines: &[Vec<String>]) -> String {
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let _ = writeln!(out, "| {} |", line.join(" | "));
        if at == 0 {
            let rule = vec!["--:"; line.len() - 1].join("|");
            let _ = writeln!(out, "|---|{rule}|");
        }
    }
    out
}

fn targets(outcomes: &[Outcome]) -> Vec<Vec<String>> {
    let head = ["target", "at least", "measured", "kernel", "outcome"];
    let mut lines = vec![head.map(String::from).to_vec()];
    lines.extend(outcomes.iter().map(|outcome| {
        vec![
            outcome.target.clone(),
            format!("{}×", outcome.at_least),
            outcome
                .measured
                .map_or("–".into(), |ratio| format!("{}×", short(ratio))),
            outcome.kernel.unwrap_or("–").into(),
            outcome.outcome.clone(),
        ]
    }));
    lines
}

/// How a figure is to be read; the same everywhere.
pub const LEGEND: &str = "Nanoseconds a row. A round's figure is the median of its calls; told are \
    the smallest round's and the median of the rounds'. A × is how many times as long as \
    hedgerow's best kernel takes in the same measure (in batches of 64 for every batch), by minima \
    or by medians, whichever favours hedgerow less.";

impl Report<'_> {
    pub fn terminal(&self) -> String {
        let mut out = String::new();
        for (name, value) in self.facts {
            let _ = writeln!(out, "{name:<10} {value}");
        }
        for model in self.models {
            let _ = writeln!(out, "\n{}: {}", model.name, model.about);
            out += &terminal_table(&table(model));
        }
        // A sentence a line: a terminal is narrower than a page.
        let _ = writeln!(
            out,
            "\n{}\n",
            LEGEND.replace("; ", ";\n").replace(". ", ".\n")
        );
        out += &terminal_table(&targets(self.outcomes));
        out
    }

    pub fn markdown(&self, title: &str) -> String {
        let mut out = format!("# {title}\n\n");
        for (name, value) in self.facts {
            let _ = writeln!(out, "- {name}: {value}");
        }
        let _ = writeln!(out, "\n{LEGEND}");
        out += "\n## Targets\n\n";
        out += &markdown_table(&targets(self.outcomes));
        for model in self.models {
            let _ = writeln!(out, "\n## {}: {}\n", model.name, model.about);
            out += &markdown_table(&table(model));
        }
        out += "\n## How each was called\n\n";
        for way in self.ways {
            let measures: Vec<String> = way.measures.iter().map(|m| m.name()).collect();
            let _ = writeln!(
                out,
                "- **{}** ({}): {}.",
                way.subject,
                measures.join("; "),
                way.how
            );
        }
        out
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::results::TARGETS;

    pub fn models() -> Vec<ModelResults> {
        let figure = |name: &str, kernel, measure, ns: f64| {
            Figure::new(name, kernel, measure, &[ns, ns * 1.5], 7).expect("rounds")
        };
        vec![ModelResults {
            name: "R1".into(),
            about: "a model <of trees>".into(),
            figures: vec![
                figure("hedgerow avx2", Some("avx2"), Measure::One, 1_000.0),
                figure("hedgerow avx2", Some("avx2"), Measure::Cold, 2_000.0),
                figure("CatBoost 1.2.10, exported C++", None, Measure::One, 1_900.0),
                figure("slow", None, Measure::One, 181_000.0),
            ],
        }]
    }

    fn told() -> (String, String) {
        let models = models();
        let outcomes: Vec<Outcome> = TARGETS.iter().map(|t| t.outcome(&models)).collect();
        let ways = [Way {
            subject: "slow".into(),
            measures: vec![Measure::One],
            how: "by hand",
        }];
        let report = Report {
            facts: &vec![("machine", "a machine".into())],
            models: &models,
            outcomes: &outcomes,
            ways: &ways,
        };
        (report.terminal(), report.markdown("Peers"))
    }

    #[test]
    fn the_terminal_has_figures_ratios_and_targets() {
        let (text, _) = told();
        for wanted in [
            "181,000",
            "181×",
            "1.9×",
            "1.00×",
            "NOT MET",
            "not measured",
        ] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        let line = text.lines().find(|line| line.starts_with("slow"));
        let words: Vec<&str> = line.expect("a line").split_whitespace().collect();
        assert_eq!(words, ["slow", "181,000", "226,250", "181×"]);
    }

    #[test]
    fn markdown_lines_have_as_many_cells_as_their_head() {
        let (_, text) = told();
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > TARGETS.len() + 4);
        let mut cells = 0;
        for pair in rows.windows(2) {
            if pair[1].starts_with("|---") {
                cells = pair[0].matches('|').count();
            }
            assert!(
                cells == 0 || pair[1].matches('|').count() == cells || {
                    // The next table's head.
                    pair[1].starts_with("| ns a row")
                }
            );
        }
        assert!(text.contains("- **slow** (one row): by hand."));
    }
}
