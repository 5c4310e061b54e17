//! `report`: pages and comparisons of what `load` measured.

mod compare;
mod noise;
mod page;
pub(crate) mod plot;
mod plots;
mod sweeps;

use crate::Report;
use crate::commands::load::result::{FORM, Run};
use crate::failure::Failure;
use crate::files;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Compare runs of `load`, or draw one as a page
///
/// Example: hedgerow report compare before.json after.json
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Compare(compare::Args),
    Page(PageArgs),
}

/// Draw a run as one page of HTML that needs nothing else
///
/// Example: hedgerow report page run.json -o run.html
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
struct PageArgs {
    /// What `hedgerow load --json` printed
    run: PathBuf,
    /// The page
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A record of tools/lab/peers, in JSON; else the newest in benches/record, where that is
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
}

/// Reports.
pub fn run(args: &Args) -> Result<Report, Failure> {
    match &args.what {
        What::Compare(args) => compare::run(args),
        What::Page(args) => {
            if files::is_stream(&args.output) {
                return Err(Failure::usage("--output", "a file for the page", "-"));
            }
            let mut inputs = vec![args.run.as_path()];
            inputs.extend(args.peers.as_deref());
            files::check_output(&args.output, &inputs)?;
            let run = read(&args.run)?;
            write(&run, &args.output, record(args.peers.as_deref())?.as_ref())?;
            let output = args.output.display().to_string();
            let json = json!({ "ok": true, "page": output });
            Ok(Report::done(format!("wrote {output}\n"), json))
        }
    }
}

/// Draws a run into a file, with the figures of peers beside it.
pub fn write(run: &Run, to: &Path, peers: Option<&Value>) -> Result<(), Failure> {
    let page = page::page(run, peers);
    files::write_whole(to, |file| {
        let failed = |error| Failure::io(to, "a writable file", error);
        file.write_all(page.as_bytes()).map_err(failed)
    })
}

/// A run that `load --json` printed.
pub fn read(path: &Path) -> Result<Run, Failure> {
    let at = path.display().to_string();
    let expected = format!("a run as `hedgerow load --json` prints it, form {FORM}");
    let value: Value = parse(path, &expected)?;
    if value["form"] != json!(FORM) {
        let got = match value.get("form") {
            Some(form) => format!("form {form}"),
            None => "something else".into(),
        };
        return Err(Failure::new("run", at, expected, got));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let at = format!("{at}: {}", error.path());
        Failure::new("run", at, &expected, error.inner())
    })
}

fn parse(path: &Path, expected: &str) -> Result<Value, Failure> {
    let bytes = files::read(path, files::INPUT_BYTES_MAX)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new("run", path.display(), expected, error))
}

/// The record of peers of a name, or the newest of the checkout that this runs in.
pub fn record(named: Option<&Path>) -> Result<Option<Value>, Failure> {
    let expected = "a record of tools/lab/peers in JSON";
    if let Some(path) = named {
        let record = parse(path, expected)?;
        return match record["models"].is_array() {
            true => Ok(Some(record)),
            false => Err(Failure::new(
                "peers",
                path.display(),
                expected,
                "something else",
            )),
        };
    }
    let Ok(entries) = fs::read_dir("benches/record") else {
        return Ok(None);
    };
    let is_peers = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.ends_with("-peers.json"))
    };
    // Names begin with the date.
    let newest = { entries.flatten() }
        .map(|entry| entry.path())
        .filter(is_peers)
        .max();
    newest.map(|path| parse(&path, expected)).transpose()
}
