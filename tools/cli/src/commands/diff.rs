//! `diff`: what changed between two tables.

use crate::failure::Failure;
use crate::rows::{Absent, Rows};
use crate::tables::feature_names;
use crate::text::listed;
use crate::{Report, tables};
use hedgerow::refusal::printable;
use hedgerow::{Feature, PreparedTable};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Show what changed between two tables: features, size, and scores on rows
///
/// Example: hedgerow diff default new.hedge --rows rows.csv
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The one table, or `default`
    before: OsString,
    /// The other table, or `default`
    after: OsString,
    /// Rows as CSV to score with both; else the golden rows of both
    #[arg(long, value_name = "ROWS")]
    rows: Option<PathBuf>,
}

/// Compares two tables.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let before = tables::open_prepared(&args.before, None)?;
    let after = tables::open_prepared(&args.after, None)?;
    let (old, new) = (before.table().features(), after.table().features());
    let removed = names_without(&old, &new);
    let added = names_without(&new, &old);
    let kinds: Vec<&String> = new
        .iter()
        .filter(|f| old.iter().any(|o| o.name == f.name && o.kind != f.kind))
        .map(|f| &f.name)
        .collect();

    let same = before.table().content_id() == after.table().content_id();
    let mut text = String::new();
    if same {
        text.push_str("the two are identical\n");
    }
    let shift = shift(args, &before, &after)?;
    text += &shift.text();
    let (mut sizes, mut capacities) = (Vec::new(), String::new());
    for (old, new) in before.table().usage().iter().zip(after.table().usage()) {
        let (name, before, after) = (old.name, old.used, new.used);
        let change = after as i64 - before as i64;
        capacities += &format!("{name:<17} {before:>9} -> {after:>9}  ({change:+})\n");
        sizes.push(json!({ "name": name, "before": before, "after": after }));
    }
    let names = [
        ("removed", &removed),
        ("added", &added),
        ("other kind", &kinds),
    ];
    for (what, names) in names {
        text += &format!("features {what:<10} {}\n", listed(names, "none"));
    }
    let (old, new) = (before.table().detections(), after.table().detections());
    let detections = changes(&old, &new, |it| format!("detection {}", it.id));
    let (old, new) = (before.table().bots(), after.table().bots());
    let bots = changes(&old, &new, |it| format!("bot {}", printable(&it.name)));
    for change in detections.iter().chain(&bots) {
        text += &format!("{change}\n");
    }
    text += &format!("\ncapacities\n{capacities}");
    let json = json!({
        "identical": same,
        "sizes": sizes,
        "features_removed": removed,
        "features_added": added,
        "features_of_other_kind": kinds,
        "detections": detections,
        "verified_bots": bots,
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

/// What was added, removed and changed between two lists, by the names of their entries.
fn changes<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> String) -> Vec<String> {
    let by_name = |list: &'_ [T]| {
        list.iter()
            .map(&name)
            .zip(0..)
            .collect::<HashMap<_, usize>>()
    };
    let (before, after) = (by_name(old), by_name(new));
    let gone = old.iter().map(&name).filter(|was| !after.contains_key(was));
    let mut changes: Vec<String> = gone.map(|was| format!("{was} removed")).collect();
    for now in new {
        let name = name(now);
        match before.get(&name).and_then(|at| old.get(*at)) {
            None => changes.push(format!("{name} added")),
            Some(was) if was != now => changes.push(format!("{name} changed")),
            Some(_) => {}
        }
    }
    changes
}

/// How scores moved.
#[derive(Default)]
struct Shift {
    rows: u64,
    sum_before: u64,
    sum_after: u64,
    moved_10: u64,
    largest: u8,
}

impl Shift {
    fn add(&mut self, before: u8, after: u8) {
        let moved = before.abs_diff(after);
        self.rows += 1;
        self.sum_before += u64::from(before);
        self.sum_after += u64::from(after);
        self.moved_10 += u64::from(moved >= 10);
        self.largest = self.largest.max(moved);
    }

    fn mean(&self, sum: u64) -> f64 {
        sum as f64 / self.rows.max(1) as f64
    }

    fn text(&self) -> String {
        format!(
            "scores on {} rows: mean {:.2} -> {:.2}, {} moved by 10 or more, largest move {}\n",
            self.rows,
            self.mean(self.sum_before),
            self.mean(self.sum_after),
            self.moved_10,
            self.largest
        )
    }

    fn json(&self) -> Value {
        json!({
            "rows": self.rows,
            "mean_before": self.mean(self.sum_before),
            "mean_after": self.mean(self.sum_after),
            "moved_by_10_or_more": self.moved_10,
            "largest_move": self.largest,
        })
    }
}

/// Scores the same rows, by feature name, with both tables; a feature that the rows do not have
/// is missing.
fn shift(args: &Args, before: &PreparedTable, after: &PreparedTable) -> Result<Shift, Failure> {
    let mut shift = Shift::default();
    let (old, new) = (feature_names(before), feature_names(after));
    let mut add = |columns: &[String], row: &[f32]| {
        let score = |prepared: &PreparedTable, names: &[String]| {
            let value = |name: &String| {
                let at = columns.iter().position(|column| column == name);
                at.and_then(|at| row.get(at)).copied().unwrap_or(f32::NAN)
            };
            let row = prepared.row(&names.iter().map(value).collect::<Vec<_>>());
            prepared.scored(&row, prepared.margin(&row), 0).score.get()
        };
        shift.add(score(before, &old), score(after, &new));
    };
    if let Some(path) = &args.rows {
        let mut columns = old.clone();
        columns.extend(new.iter().filter(|name| !old.contains(name)).cloned());
        for row in Rows::read(path, &columns, Absent::Missing)?.iter() {
            add(&columns, row);
        }
    } else {
        for (prepared, columns) in [(before, &old), (after, &new)] {
            prepared
                .table()
                .golden_rows()
                .for_each(|golden| add(columns, &golden.values));
        }
    }
    Ok(shift)
}
