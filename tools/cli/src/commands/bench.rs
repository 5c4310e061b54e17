//! `bench`: every kernel on one table, single rows and batches.

use crate::failure::Failure;
use crate::harness::clock::{batch_row_ns, best, cold_row_ns};
use crate::harness::machine::processor;
use crate::harness::stage::scorer;
use crate::harness::{above_0, number};
use crate::rows::{Absent, Rows};
use crate::tables::feature_names;
use crate::{Report, tables};
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::{Engine, KERNELS, PreparedTable, Row, Schema, Verdict};
use serde_json::json;
use std::ffi::OsString;
use std::fmt::Write;
use std::hint::black_box;
use std::path::PathBuf;

/// Rows to measure with, at most: they are held in memory, a kilobyte each.
const ROWS_MAX: usize = 1 << 18;

/// Measure every kernel on a table: ns a row, alone and in batches
///
/// Example: hedgerow bench default
///
/// A figure is the best of many repetitions over all rows, on one thread, everything from a
/// filled row to the verdict. Compare figures of one run only.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: OsString,
    /// Rows as CSV or NPY; else the table's golden rows
    rows: Option<PathBuf>,
    /// Measure this kernel only
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// How long to measure each figure, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Measure single rows with cold caches too: 4 MiB are read before each
    #[arg(long)]
    cold: bool,
}

/// Measures kernels.
pub fn run(args: &Args) -> Result<Report, Failure> {
    number(
        "--seconds",
        args.seconds,
        above_0(600.0),
        "above 0, at most 600",
    )?;
    let first = tables::open_prepared(&args.table, args.kernel.as_deref())?;
    let rows = rows(args, &first)?;
    if rows.is_empty() {
        return Err(Failure::new(
            "rows",
            args.table.display(),
            "rows to score",
            "none",
        ));
    }
    let open_ns = open_ns(args);
    let mut text = format!("{} rows; {}\n", rows.len(), processor());
    let _ = writeln!(text, "open, seal and validate: {:.1} µs", open_ns / 1e3);
    let _ = writeln!(
        text,
        "{:<10} {:>11} {:>11}  hash",
        "kernel", "one row", "batch of 64"
    );
    let (mut kernels, mut hashes) = (Vec::new(), Vec::new());
    for kernel in KERNELS {
        let wanted = args.kernel.as_ref().is_none_or(|name| name == kernel.name);
        if !wanted || !kernel.available() {
            continue;
        }
        let prepared = tables::open_prepared(&args.table, Some(kernel.name))?;
        let (row_ns, hash) = row_ns(args, kernel.name, &rows)?;
        hashes.extend([hash, batch_hash(&prepared, &rows)]);
        let batch_row_ns = batch_row_ns(&prepared, &rows, args.seconds);
        let cold_row_ns = args
            .cold
            .then(|| cold_row_ns(&prepared, &rows, args.seconds));
        let cold = cold_row_ns.map_or(String::new(), |ns| format!("  {ns} ns cold (median)"));
        let _ = writeln!(
            text,
            "{:<10} {row_ns:>8.1} ns {batch_row_ns:>8.1} ns  {hash:016x}{cold}",
            kernel.name
        );
        kernels.push(json!({
            "name": kernel.name,
            "row_ns": row_ns,
            "batch_rows": BATCH_ROWS_MAX,
            "batch_row_ns": batch_row_ns,
            "cold_row_ns": cold_row_ns,
            "hash": format!("{hash:016x}"),
        }));
    }
    let same = hashes.windows(2).all(|pair| pair.first() == pair.last());
    if !same {
        text.push_str("FAILED: kernels, or rows alone and in batches, have other results\n");
    }
    let json = json!({
        "ok": same,
        "table": args.table.display().to_string(),
        "rows": rows.len(),
        "open_ns": open_ns,
        "kernels": kernels,
    });
    Ok(Report::checked(text, json, same))
}

/// The rows to measure with: of a file, else the table's golden ones.
fn rows(args: &Args, prepared: &PreparedTable) -> Result<Vec<Row>, Failure> {
    Ok(match &args.rows {
        Some(path) => {
            let names = feature_names(prepared);
            let rows = Rows::read(path, &names, Absent::Refuse)?;
            if rows.count() > ROWS_MAX {
                let expected = format!("at most {ROWS_MAX} rows to measure with");
                return Err(Failure::new("rows", path.display(), expected, rows.count()));
            }
            rows.iter().map(|values| prepared.row(values)).collect()
        }
        None => prepared
            .table()
            .golden_rows()
            .map(|golden| prepared.row(&golden.values))
            .collect(),
    })
}

/// Nanoseconds from a table's name to a validated table.
fn open_ns(args: &Args) -> f64 {
    let best = best(args.seconds, || {
        let _ = black_box(tables::open(black_box(&args.table)));
    });
    best.as_nanos() as f64
}

/// Nanoseconds a row through a scorer, as a host calls it, and a hash of all margins and scores.
fn row_ns(args: &Args, kernel: &str, rows: &[Row]) -> Result<(f64, u64), Failure> {
    let table = tables::open(&args.table)?;
    let schema = Schema::new(table.features())
        .map_err(|error| crate::failure::schema(args.table.display(), &error))?;
    let engine = Engine::new(schema);
    engine
        .publish_on(table, kernel)
        .map_err(|error| crate::failure::unpublished(&args.table, error))?;
    let mut scorer = scorer(&engine)?;
    let mut results = xxhash_rust::xxh3::Xxh3::new();
    for row in rows {
        let Verdict::Scored(scored) = scorer.score(row) else {
            return Err(Failure::new(
                "bench",
                kernel,
                "a score for each row",
                "none",
            ));
        };
        results.update(&scored.margin.to_le_bytes());
        results.update(&[scored.score.get()]);
    }
    let best = best(args.seconds, || {
        for row in rows {
            let _ = black_box(scorer.score(black_box(row)));
        }
    });
    Ok((best.as_nanos() as f64 / rows.len() as f64, results.digest()))
}

/// A hash of all margins and scores in batches, the same as of rows alone.
fn batch_hash(prepared: &PreparedTable, rows: &[Row]) -> u64 {
    let mut results = xxhash_rust::xxh3::Xxh3::new();
    let mut margins = [0i64; BATCH_ROWS_MAX];
    for batch in rows.chunks(BATCH_ROWS_MAX) {
        prepared.margins(batch, &mut margins);
        for (row, margin) in batch.iter().zip(margins) {
            let scored = prepared.scored(row, margin, 0);
            results.update(&scored.margin.to_le_bytes());
            results.update(&[scored.score.get()]);
        }
    }
    results.digest()
}
