//! `score`: margins and scores of rows.

use crate::failure::Failure;
use crate::rows::Rows;
use crate::{Report, files, tables};
use hedgerow::{Bound, Row};
use serde_json::json;
use std::path::PathBuf;

/// Score rows with a table; prints CSV `margin,score`
///
/// Example: hedgerow extract requests.ndjson | hedgerow score default -
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: String,
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

/// Scores rows.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let bound = tables::open_bound(&args.table, args.kernel.as_deref())?;
    let rows = read_rows(&bound, &args.rows)?;
    let mut margins = vec![0; rows.len()];
    bound.margins(&rows, &mut margins);

    let mut text = String::from("margin,score\n");
    let mut list = Vec::with_capacity(rows.len());
    for fixed in margins {
        let (margin, score) = (bound.table().margin_f64(fixed), bound.score(fixed).get());
        text.push_str(&format!("{},{score}\n", digits17(margin)));
        list.push(json!({ "margin": margin, "score": score }));
    }
    let report = Report::done(text, json!({ "rows": list }));
    match &args.output {
        Some(path) if !files::is_stream(path) => write(path, report),
        _ => Ok(report),
    }
}

fn write(path: &std::path::Path, report: Report) -> Result<Report, Failure> {
    files::write_whole(path, |out| {
        let failed = |error| Failure::io(path, "a writable file", error);
        out.write_all(report.text.as_bytes()).map_err(failed)
    })?;
    let count = report.text.lines().count() - 1;
    let text = format!("{}: {count} rows scored\n", path.display());
    Ok(Report { text, ..report })
}

/// Reads rows in the order of a table that is bound to its own feature list.
pub fn read_rows(bound: &Bound, path: &std::path::Path) -> Result<Vec<Row>, Failure> {
    let names: Vec<String> = bound
        .table()
        .features()
        .into_iter()
        .map(|f| f.name)
        .collect();
    let values = Rows::read(path)?.in_order(&names, &path.display().to_string())?;
    Ok(values.iter().map(|values| bound.row(values)).collect())
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
