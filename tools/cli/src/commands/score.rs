//! `score`: margins and scores of rows.

use crate::failure::Failure;
use crate::rows::{Absent, Rows};
use crate::tables::{feature_names, source};
use crate::{Report, files, tables};
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::{PreparedTable, Row};
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Score rows with a table; prints CSV `margin,score,source`
///
/// Example: hedgerow extract requests.ndjson | hedgerow score default -
///
/// A score is 1 (certainly automated) to 99 (certainly human); the margin is the ensemble's sum.
/// The source is `ensemble`, or `detection:` and the id of the detection that decided. One line a
/// row, in the order of the rows. Columns of a CSV file that the table does not need are left
/// alone.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: OsString,
    /// CSV (header = feature names; empty or nan = missing) or NPY (float32, 2-D, columns in the
    /// table's feature order); `-` for standard input
    rows: PathBuf,
    /// Run on this kernel
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Scores rows. The input is read as a whole before a line is written, so that a malformed file
/// leaves no half of a result.
pub fn run(args: &Args, json: bool) -> Result<Report, Failure> {
    let output = args.output.as_ref().filter(|path| !files::is_stream(path));
    if let Some(path) = output {
        files::check_output(path, &[Path::new(&args.table), &args.rows])?;
    }
    let prepared = tables::open_prepared(&args.table, args.kernel.as_deref())?;
    let rows = Rows::read(&args.rows, &feature_names(&prepared), Absent::Refuse)?;
    let Some(path) = output else {
        files::print(|out| {
            let to = Path::new("standard output");
            write(&prepared, &rows, json, out)
                .map_err(|error| Failure::io(to, "a writable stream", error))
        })?;
        return Ok(Report::printed());
    };
    files::write_whole(path, |out| {
        write(&prepared, &rows, false, out)
            .map_err(|error| Failure::io(path, "a writable file", error))
    })?;
    let count = rows.count();
    let text = format!("{}: {count} rows scored\n", path.display());
    let json = json!({ "ok": true, "output": path.display().to_string(), "rows": count });
    Ok(Report::done(text, json))
}

fn write(prepared: &PreparedTable, rows: &Rows, json: bool, out: &mut dyn Write) -> io::Result<()> {
    let (head, tail) = match json {
        true => ("{\"rows\":[", "]}\n"),
        false => ("margin,score,source\n", ""),
    };
    out.write_all(head.as_bytes())?;
    let detections = prepared.table().detections();
    let ids: Vec<u32> = detections.iter().map(|detection| detection.id).collect();
    let mut margins = [0; BATCH_ROWS_MAX];
    let mut between = "";
    let mut values = rows.iter();
    loop {
        // A row has its full capacity whatever it holds: a batch at a time.
        let batch: Vec<Row> = values
            .by_ref()
            .take(BATCH_ROWS_MAX)
            .map(|v| prepared.row(v))
            .collect();
        if batch.is_empty() {
            return out.write_all(tail.as_bytes());
        }
        prepared.margins(&batch, &mut margins);
        for (row, fixed) in batch.iter().zip(margins) {
            let scored = prepared.scored(row, fixed, 0);
            let (margin, score) = (scored.margin, scored.score.get());
            let source = source(scored.source);
            if json {
                let matches = scored.detections.positions();
                let ids: Vec<&u32> = matches.filter_map(|at| ids.get(at)).collect();
                let one = json!({
                    "margin": margin, "score": score, "source": source, "detections": ids,
                });
                write!(out, "{between}{one}")?;
                between = ",";
            } else {
                writeln!(out, "{},{score},{source}", digits17(margin))?;
            }
        }
    }
}

/// A number with 17 significant digits, which name an f64 exactly.
fn digits17(value: f64) -> String {
    let scientific = format!("{value:.16e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse::<i32>().ok());
    match exponent {
        Some(exponent @ -5..=16) => format!("{value:.*}", (16 - exponent) as usize),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::digits17;

    #[test]
    fn seventeen_digits_name_a_number_exactly() {
        for value in [
            0.0,
            -0.1,
            1.0 / 3.0,
            -12345.678,
            1e-9,
            1e15,
            2f64.powi(-40),
            159.25,
        ] {
            assert_eq!(digits17(value).parse::<f64>().unwrap(), value);
        }
        assert_eq!(digits17(-0.1), "-0.10000000000000001");
    }
}
