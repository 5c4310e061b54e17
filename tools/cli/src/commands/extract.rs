//! `extract`: recorded requests to rows, by the code that a proxy runs.

use crate::failure::Failure;
use crate::{Report, files, requests};
use hedgerow::Row;
use hedgerow::http::{FEATURES, extract};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Turn recorded requests into rows of features
///
/// Example: hedgerow extract requests.ndjson -o rows.csv
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// One JSON object a line: method, path, http, scheme, headers ([[name, value], …]), complete,
    /// slice, host, ip; `-` for standard input
    requests: PathBuf,
    /// Write CSV to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Extracts rows.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let recorded = requests::read(&args.requests)?;
    let rows: Vec<Row> = recorded
        .iter()
        .map(|recorded| {
            let mut row = Row::MISSING;
            let headers = recorded.headers();
            extract(&recorded.view(&headers), &mut row);
            row
        })
        .collect();
    let output = args.output.as_ref().filter(|path| !files::is_stream(path));
    let Some(path) = output else {
        let mut text = Vec::new();
        let stdout = std::path::Path::new("-");
        write_csv(&mut text, &rows)
            .map_err(|error| Failure::io(stdout, "a writable stream", error))?;
        let json =
            || json!({ "features": names(), "rows": rows.iter().map(values).collect::<Vec<_>>() });
        return Ok(Report::done(
            String::from_utf8_lossy(&text).into_owned(),
            json(),
        ));
    };
    files::write_whole(path, |out| {
        write_csv(out, &rows).map_err(|error| Failure::io(path, "a writable file", error))
    })?;
    let text = format!(
        "{}: {} rows of {} features\n",
        path.display(),
        rows.len(),
        FEATURES.len()
    );
    let json = json!({ "rows": rows.len(), "features": names() });
    Ok(Report::done(text, json))
}

fn names() -> Vec<&'static str> {
    FEATURES.iter().map(|feature| feature.name).collect()
}

fn values(row: &Row) -> Vec<Value> {
    let used = row.values().iter().take(FEATURES.len());
    used.map(|value| {
        if value.is_nan() {
            Value::Null
        } else {
            json!(value)
        }
    })
    .collect()
}

fn write_csv(out: &mut dyn Write, rows: &[Row]) -> std::io::Result<()> {
    writeln!(out, "{}", names().join(","))?;
    let mut line = String::new();
    for row in rows {
        line.clear();
        for (index, value) in row.values().iter().take(FEATURES.len()).enumerate() {
            if index > 0 {
                line.push(',');
            }
            if !value.is_nan() {
                line.push_str(&value.to_string());
            }
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
