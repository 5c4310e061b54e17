//! `extract`: recorded requests to rows, by the code that a proxy runs.

use crate::failure::Failure;
use crate::requests::Recorded;
use crate::{Report, files, history, requests};
use hedgerow::Row;
use hedgerow::http::{FEATURES, extract};
use hedgerow::traffic::{FEATURES as TRAFFIC, HTTP_BASE};
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Turn recorded requests into rows of features
///
/// Example: hedgerow extract requests.ndjson -o rows.csv
///
/// A request is one JSON object a line. Only headers must be there; what is null or absent is not
/// known, and becomes a missing value where a feature depends on it:
///
/// {"method": "GET", "path": "/", "http": "1.1", "scheme": "https", "host": null,
///  "headers": [["Host", "example.org"], ["User-Agent", "curl/8.5.0"]], "complete": true}
///
/// (on one line). complete: whether every header is listed; slice: log (only User-Agent and
/// Referer are known) or ua (only the User-Agent is) where it is not. Of the connection, where
/// known: "ip" (the client's address), "ja4" (of the TLS client, as in
/// t13d1516h2_8daaf6152771_e5627efa2ab1), "alpn" (what it settled on, such as h2). A value that
/// cannot be read, such as a date in "ts" or a port in "ip", is refused with its line.
///
/// "hop": "proxy" is for requests that a proxy of the site passed on, with "client_http", the
/// version that the client spoke, and "order": "kept" if that proxy keeps the order of headers.
/// "order": "none" is for headers whose order and case are lost, as in a map. Other fields are left
/// alone. `hedgerow features` says what the features are.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// One JSON object a line; `-` for standard input
    requests: PathBuf,
    /// Write CSV to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Add what each client did before, from "ts" (seconds), "ip" or else "session", and "status":
    /// the requests are replayed in the order of their times, by one core, and held in memory
    #[arg(long)]
    traffic: bool,
}

/// Extracts rows, one at a time: a file of any length is no burden.
pub fn run(args: &Args, json: bool) -> Result<Report, Failure> {
    let output = args.output.as_ref().filter(|path| !files::is_stream(path));
    let Some(path) = output else {
        let style = if json { Style::Json } else { Style::Csv };
        files::print(|out| write(args, style, Path::new("standard output"), out).map(|_| ()))?;
        return Ok(Report::printed());
    };
    files::check_output(path, &[&args.requests])?;
    let mut count = 0;
    files::write_whole(path, |out| {
        count = write(args, Style::Csv, path, out)?;
        Ok(())
    })?;
    let width = names(args).len();
    let text = format!("{}: {count} rows of {width} features\n", path.display());
    let json = json!({
        "ok": true,
        "output": path.display().to_string(),
        "rows": count,
        "features": names(args),
    });
    Ok(Report::done(text, json))
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    Csv,
    Json,
}

fn names(args: &Args) -> Vec<&'static str> {
    let traffic = if args.traffic { TRAFFIC } else { &[] };
    let features = FEATURES.iter().chain(traffic);
    features.map(|feature| feature.name).collect()
}

/// Hands over each request with its row, one at a time. With traffic, all are read first: a
/// request's windows depend on those that came before it, wherever they stand in the file.
fn rows(args: &Args, mut take: impl FnMut(&Row) -> Result<(), Failure>) -> Result<usize, Failure> {
    let mut row = Row::MISSING;
    let mut fill = |recorded: &Recorded, traffic: Option<&history::Values>| {
        let headers = recorded.headers();
        extract(&recorded.view(&headers), &mut row);
        for (position, value) in (HTTP_BASE..).zip(traffic.into_iter().flatten()) {
            row.set(position, *value);
        }
        take(&row)
    };
    if !args.traffic {
        let at = args.requests.display().to_string();
        let from = files::open(&args.requests, u64::MAX)?;
        return requests::each(from, &at, |recorded| fill(&recorded, None));
    }
    let requests = requests::read(&args.requests)?;
    for (recorded, values) in requests.iter().zip(&history::replay(&requests)?) {
        fill(recorded, Some(values))?;
    }
    Ok(requests.len())
}

/// Writes the rows of all requests; returns how many. Nothing is written before the first request
/// is well-formed; JSON is held back until all are, so that it is never cut off.
fn write(args: &Args, style: Style, to: &Path, out: &mut dyn Write) -> Result<usize, Failure> {
    let failed = |error| Failure::io(to, "a writable stream", error);
    let names = names(args);
    let head = match style {
        Style::Csv => format!("{}\n", names.join(",")),
        Style::Json => format!("{{\"features\":{},\"rows\":[", json!(names)),
    };
    let mut held = head;
    let mut first = true;
    let at = args.requests.display().to_string();
    let count = rows(args, |row| {
        let (brackets, missing) = match (style, first) {
            (Style::Csv, _) => (("", "\n"), ""),
            (Style::Json, true) => (("[", "]"), "null"),
            (Style::Json, false) => ((",[", "]"), "null"),
        };
        line(&mut held, row, names.len(), brackets, missing);
        first = false;
        if style == Style::Csv {
            out.write_all(held.as_bytes()).map_err(failed)?;
            held.clear();
        } else if held.len() as u64 > files::INPUT_BYTES_MAX {
            let expected = format!("at most {} bytes of JSON", files::INPUT_BYTES_MAX);
            return Err(Failure::new(
                "rows",
                &at,
                expected,
                "more: write CSV instead",
            ));
        }
        Ok(())
    })?;
    if style == Style::Json {
        held.push_str("]}\n");
    }
    out.write_all(held.as_bytes()).map_err(failed)?;
    Ok(count)
}

/// A row's values with commas between, within a pair of brackets.
fn line(to: &mut String, row: &Row, width: usize, (open, close): (&str, &str), missing: &str) {
    to.push_str(open);
    for (index, value) in row.values().iter().take(width).enumerate() {
        if index > 0 {
            to.push(',');
        }
        // JSON knows no infinity; no built-in feature is infinite.
        if value.is_finite() {
            let _ = write!(to, "{value}");
        } else {
            to.push_str(missing);
        }
    }
    to.push_str(close);
}
