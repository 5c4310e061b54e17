//! `diff`: what changed between two tables.

use crate::failure::Failure;
use crate::rows::Rows;
use crate::{Report, tables};
use hedgerow::{Bound, Feature};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

/// Show what changed between two tables: features, size, and scores on rows
///
/// Example: hedgerow diff default new.hedge --rows rows.csv
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The one table, or `default`
    before: String,
    /// The other table, or `default`
    after: String,
    /// Rows as CSV to score with both; else the golden rows of both
    #[arg(long, value_name = "ROWS")]
    rows: Option<PathBuf>,
}

/// Compares two tables.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let before = tables::open_bound(&args.before, None)?;
    let after = tables::open_bound(&args.after, None)?;
    let (old, new) = (before.table().features(), after.table().features());
    let removed = names_without(&old, &new);
    let added = names_without(&new, &old);
    let kinds: Vec<&String> = new
        .iter()
        .filter(|f| old.iter().any(|o| o.name == f.name && o.kind != f.kind))
        .map(|f| &f.name)
        .collect();

    let mut text = String::new();
    let mut sizes = Vec::new();
    for (old, new) in before.table().usage().iter().zip(after.table().usage()) {
        let change = new.used as i64 - old.used as i64;
        let _ = writeln!(
            text,
            "{:<17} {:>9} -> {:>9}  ({change:+})",
            old.name, old.used, new.used
        );
        sizes.push(json!({ "name": old.name, "before": old.used, "after": new.used }));
    }
    for (what, names) in [
        ("removed", &removed),
        ("added", &added),
        ("other kind", &kinds),
    ] {
        let list: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let list = if list.is_empty() {
            "none".to_string()
        } else {
            list.join(", ")
        };
        let _ = writeln!(text, "features {what:<10} {list}");
    }
    let shift = shift(args, &before, &after)?;
    text.push_str(&shift.text());
    let same = before.table().content_id() == after.table().content_id();
    let json = json!({
        "identical": same,
        "sizes": sizes,
        "features_removed": removed,
        "features_added": added,
        "features_of_other_kind": kinds,
        "scores": shift.json(),
    });
    Ok(Report::done(text, json))
}

fn names_without<'a>(list: &'a [Feature], other: &[Feature]) -> Vec<&'a String> {
    let gone = |feature: &&Feature| other.iter().all(|o| o.name != feature.name);
    list.iter()
        .filter(gone)
        .map(|feature| &feature.name)
        .collect()
}

/// How scores moved.
struct Shift {
    rows: usize,
    mean_before: f64,
    mean_after: f64,
    moved_10: usize,
    largest: i32,
}

impl Shift {
    fn text(&self) -> String {
        format!(
            "scores on {} rows: mean {:.2} -> {:.2}, {} moved by 10 or more, largest move {}\n",
            self.rows, self.mean_before, self.mean_after, self.moved_10, self.largest
        )
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.rows,
            "mean_before": self.mean_before,
            "mean_after": self.mean_after,
            "moved_by_10_or_more": self.moved_10,
            "largest_move": self.largest,
        })
    }
}

/// Scores the same rows, by feature name, with both tables; a feature that the rows do not have
/// is missing.
fn shift(args: &Args, before: &Bound, after: &Bound) -> Result<Shift, Failure> {
    let names = |bound: &Bound| -> Vec<String> {
        bound
            .table()
            .features()
            .into_iter()
            .map(|feature| feature.name)
            .collect()
    };
    let mut sets: Vec<(Vec<String>, Vec<Vec<f32>>)> = Vec::new();
    match &args.rows {
        Some(path) => {
            let at = path.display().to_string();
            let rows = Rows::read(path)?;
            let own = rows
                .names
                .clone()
                .ok_or_else(|| Failure::new("rows", &at, "CSV, whose columns have names", "NPY"))?;
            let values = rows.in_order(&own, &at)?;
            sets.push((own, values));
        }
        None => {
            for bound in [before, after] {
                let golden = bound.table().golden_rows().map(|golden| golden.values);
                sets.push((names(bound), golden.collect()));
            }
        }
    }
    let mut pairs = Vec::new();
    for (columns, rows) in &sets {
        let places = |bound: &Bound| -> Vec<Option<usize>> {
            names(bound)
                .iter()
                .map(|n| columns.iter().position(|c| c == n))
                .collect()
        };
        let (old, new) = (places(before), places(after));
        let score = |bound: &Bound, places: &[Option<usize>], row: &[f32]| {
            let value = |at: &Option<usize>| at.map_or(f32::NAN, |at| row[at]);
            let row = bound.row(&places.iter().map(value).collect::<Vec<_>>());
            i32::from(bound.score(bound.margin(&row)).get())
        };
        pairs.extend(
            rows.iter()
                .map(|row| (score(before, &old, row), score(after, &new, row))),
        );
    }
    let count = pairs.len().max(1) as f64;
    let mean = |sum: i32| f64::from(sum) / count;
    Ok(Shift {
        rows: pairs.len(),
        mean_before: mean(pairs.iter().map(|pair| pair.0).sum()),
        mean_after: mean(pairs.iter().map(|pair| pair.1).sum()),
        moved_10: pairs
            .iter()
            .filter(|pair| (pair.1 - pair.0).abs() >= 10)
            .count(),
        largest: pairs
            .iter()
            .map(|pair| (pair.1 - pair.0).abs())
            .max()
            .unwrap_or_default(),
    })
}
