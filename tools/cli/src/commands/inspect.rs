//! `inspect`: what is in a table.

use crate::failure::Failure;
use crate::{Report, tables};
use hedgerow::Table;
use serde_json::{Value, json};
use std::fmt::Write;

/// Show what is in a table
///
/// Example: hedgerow inspect default
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: String,
}

/// Describes a table.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let table = tables::open(&args.table)?;
    let header = table.header();
    let (min, max) = table.margin_range();
    let features = table.features();
    let provenance: Value = serde_json::from_str(table.provenance())
        .unwrap_or_else(|_| Value::String(table.provenance().into()));

    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("table", args.table.clone());
    line("id", table.content_id());
    line("format", format!("version {}", header.format_version));
    line("generation", header.generation.to_string());
    line(
        "created",
        format!("{} seconds since 1970", header.created_at),
    );
    line("fingerprint", format!("{:016x}", header.fingerprint));
    line("trees", trees(&table));
    line(
        "margins",
        format!(
            "{min:.4} to {max:.4}, in steps of 2^-{}",
            header.margin_shift
        ),
    );
    line("golden rows", table.golden_rows().count().to_string());
    line("provenance", provenance.to_string());
    text.push_str("\nheadroom\n");
    text.push_str(&headroom(&table));
    let _ = writeln!(text, "\nfeatures");
    for (index, feature) in features.iter().enumerate() {
        let _ = writeln!(
            text,
            "{index:>4}  {:<40} {}",
            feature.name,
            feature.kind.name()
        );
    }
    let named = features
        .iter()
        .map(|f| json!({ "name": f.name, "kind": f.kind.name() }));
    let json = json!({
        "table": args.table,
        "content_id": table.content_id(),
        "format_version": header.format_version,
        "generation": header.generation,
        "created_at": header.created_at,
        "fingerprint": format!("{:016x}", header.fingerprint),
        "trees": { "oblivious": header.oblivious_trees, "any": any_trees(&table) },
        "margin_shift": header.margin_shift,
        "margin_min": min,
        "margin_max": max,
        "golden_rows": table.golden_rows().count(),
        "headroom": headroom_json(&table),
        "features": named.collect::<Vec<_>>(),
        "provenance": provenance,
    });
    Ok(Report::done(text, json))
}

fn any_trees(table: &Table) -> usize {
    table.tree_count() - table.header().oblivious_trees as usize
}

fn trees(table: &Table) -> String {
    format!(
        "{} oblivious, {} of any shape",
        table.header().oblivious_trees,
        any_trees(table)
    )
}

/// Use against capacity, a line each.
pub fn headroom(table: &Table) -> String {
    let mut text = String::new();
    for usage in table.usage() {
        let share = 100.0 * usage.used as f64 / usage.max as f64;
        let _ = writeln!(
            text,
            "  {:<17} {:>9} of {:>9}  {share:>5.1} %",
            usage.name, usage.used, usage.max
        );
    }
    text
}

/// Use against capacity, for machines.
pub fn headroom_json(table: &Table) -> Value {
    let rows = table.usage().into_iter();
    rows.map(|u| json!({ "name": u.name, "used": u.used, "max": u.max }))
        .collect()
}
