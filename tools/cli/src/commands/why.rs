//! `why`: what decided the score of a request in an access log, and the report of a mistake.

use super::explain::explained;
use crate::failure::Failure;
use crate::requests::LINE_BYTES_MAX;
use crate::tables::{feature_names, open_prepared};
use crate::{Report, files};
use hedgerow::host::parse_facts;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

/// Show what decided the score of a request in an access log
///
/// Example: hedgerow why 8d0f3c2a91b7e645 --log access.log
///
/// ID is the line's `id`: a refused client reads it in the answer, and the server behind gets it as
/// `x-bot-request`. The line has the request's features if its score was below the proxy's
/// `--log-facts-below` (30).
///
/// With --report, the request is appended to FILE with its right label: a line in the form of
/// recorded requests, for training and as a test of later tables. It holds no cookies, addresses,
/// tokens or paths.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The number of the request
    id: String,
    /// The access log; `-` for standard input
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// The table that gave the score, or `default`
    #[arg(long, default_value = "default")]
    table: OsString,
    /// How many features to show, those that moved the margin most; 0 for all
    #[arg(long, value_name = "K", default_value_t = 10)]
    top: usize,
    /// Report a mistake: what the client was
    #[arg(long, value_name = "LABEL", value_parser = ["human", "bot"])]
    report: Option<String>,
    /// The file that reports are appended to
    #[arg(
        long,
        value_name = "FILE",
        default_value = "reports.ndjson",
        requires = "report"
    )]
    reports: PathBuf,
}

/// What is read of a line.
#[derive(Deserialize)]
struct Line {
    id: String,
    time: Option<String>,
    method: Option<String>,
    target: Option<String>,
    score: Option<u8>,
    source: Option<String>,
    margin: Option<f64>,
    generation: Option<u64>,
    hop: Option<String>,
    facts: Option<String>,
    request: Option<Value>,
}

/// Finds the request, explains it, and reports it if that is asked for.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let line = find(&args.log, &args.id)?;
    let at = format!("{}: request {}", args.log.display(), args.id);
    let Some(facts) = &line.facts else {
        let got = format!(
            "none, with score {} by {}",
            line.score.map_or("none".into(), |score| score.to_string()),
            line.source.as_deref().unwrap_or("nothing"),
        );
        let expected = "a line with facts (the proxy's --log-facts-below decides which have them)";
        return Err(Failure::new("access-log", at, expected, got));
    };
    let known = parse_facts(facts)
        .map_err(|word| Failure::new("access-log", &at, "facts such as `ua_products=3`", word))?;
    let prepared = open_prepared(&args.table, None)?;
    let names = feature_names(&prepared);
    let value = |name: &String| {
        let found = known.iter().find(|(known, _)| known == name);
        found.map_or(f32::NAN, |(_, value)| *value)
    };
    let values: Vec<f32> = names.iter().map(value).collect();
    let (explanation, mut json) = explained(&prepared, &names, &values, args.top);
    let hop = line.hop.as_deref().unwrap_or("client");
    let score = line.score.map_or("none".into(), |score| score.to_string());
    let mut text = format!(
        "request {} of {}: score {score} by {}, generation {}\nhop: {hop}\n{explanation}",
        line.id,
        line.time.as_deref().unwrap_or("an unknown time"),
        line.source.as_deref().unwrap_or("nothing"),
        line.generation
            .map_or("none".into(), |number| number.to_string()),
    );
    let margin = json["margin"].as_f64();
    let same = { line.margin.zip(margin) }.is_none_or(|(one, other)| (one - other).abs() < 1e-5);
    if !same {
        text += "the margin in the log is another: --table must name the table that scored it\n";
    }
    json["id"] = json!(line.id);
    json["logged_score"] = json!(line.score);
    json["hop"] = json!(hop);
    json["same_table"] = json!(same);
    if let Some(label) = &args.report {
        append(&args.reports, &reported(&line, label, facts))?;
        text += &format!("reported as {label} in {}\n", args.reports.display());
    }
    Ok(Report::done(text, json))
}

/// The line of a request. The last one counts.
fn find(log: &Path, id: &str) -> Result<Line, Failure> {
    let at = log.display().to_string();
    let mut input = files::open(log, u64::MAX)?;
    let quoted = format!("\"{id}\"");
    let mut found = None;
    let (mut lines, mut others) = (0_u64, 0_u64);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = (&mut input).take(LINE_BYTES_MAX as u64);
        let read = { read }.read_until(b'\n', &mut bytes);
        match read.map_err(|error| Failure::io(log, "a readable file", error))? {
            0 => break,
            _ => lines = lines.saturating_add(1),
        }
        let mut windows = bytes.windows(quoted.len());
        if !windows.any(|window| window == quoted.as_bytes()) {
            continue;
        }
        match serde_json::from_slice::<Line>(&bytes) {
            Ok(line) if line.id == id => found = Some(line),
            Ok(_) => {}
            Err(_) => others = others.saturating_add(1),
        }
    }
    found.ok_or_else(|| {
        let got = match others {
            0 => format!("{lines} lines, of which no one has it"),
            _ => format!("{lines} lines; {others} with the text are no lines of an access log"),
        };
        Failure::new(
            "access-log",
            at,
            format!("a line with \"id\": {quoted}"),
            got,
        )
    })
}

/// The request in the form of recorded requests.
fn reported(line: &Line, label: &str, facts: &str) -> Value {
    let mut request = line.request.clone().unwrap_or_else(|| json!({}));
    let path = { line.target.as_deref() }.map(|target| target.split(['?', '#']).next());
    let depth = path.flatten().map_or(0, |path| path.matches('/').count());
    request["id"] = json!(line.id);
    request["label"] = json!(label);
    request["source"] = json!("report");
    request["complete"] = json!(true);
    request["method"] = json!(line.method);
    // As deep as the path that was asked for, and without its words.
    request["path"] = json!("/x".repeat(depth.clamp(1, 16)));
    request["hop"] = json!(line.hop);
    request["score"] = json!(line.score);
    request["facts"] = json!(facts);
    request
}

/// Appends a line, whole or not at all.
fn append(path: &Path, line: &Value) -> Result<(), Failure> {
    let failed = |error| Failure::io(path, "a file to append to", error);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(format!("{line}\n").as_bytes())
        .map_err(failed)
}
