//! `shadow` and `promote`: tables that engines try on live rows before they decide anything.

use crate::Report;
use crate::failure::Failure;
use crate::publishing::{Change, admit, report, warned};
use crate::text::listed;
use crate::trust::Trust;
use hedgerow::Refusal;
use hedgerow::watch::Publisher;
use hedgerow::watch::publish::{KEEP, Shadowed};
use serde_json::json;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Try a table in shadow: engines score sampled live rows with it, and it decides nothing
///
/// `status` shows its scores and how often it disagrees with the running table; `promote` publishes
/// it. Engines sample one request in 64; the share is one of these.
///
/// Example: hedgerow shadow bots.hedge /var/lib/hedgerow --share 0.5
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`, and the directory; with --remove the directory alone
    #[arg(num_args = 1..=2, required = true, value_names = ["TABLE", "DIRECTORY"])]
    paths: Vec<PathBuf>,
    /// Its name among the shadows; else that of its file
    #[arg(long, value_name = "NAME", conflicts_with = "remove")]
    name: Option<String>,
    /// The share of sampled rows that it scores, 0.01 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    share: f64,
    /// Try this one no longer
    #[arg(long, value_name = "NAME")]
    remove: Option<String>,
    /// What the engines fill: `http`, `http-traffic`, a schema file, or `model` for the table's own
    #[arg(long, value_name = "NAME|FILE", default_value = "http")]
    schema: OsString,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    change: Change,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.01..=1.0).contains(&share) => Ok(share),
        _ => Err("expected 0.01 to 1".into()),
    }
}

/// Adds or removes a shadow.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let (shadowed, said) = match (&args.remove, args.paths.as_slice()) {
        (Some(name), [directory]) => {
            let open = || open(directory, &args.change);
            let removed = open().and_then(|publisher| publisher.unshadow(name));
            (removed, format!("removed: shadow {name}"))
        }
        (None, [table, directory]) => {
            let bound = admit(table, &args.schema, &args.trust)?;
            let stem = table.file_stem().map(|stem| stem.to_string_lossy());
            let name = args.name.as_deref().or(stem.as_deref()).unwrap_or("shadow");
            let open = || open(directory, &args.change);
            let added =
                open().and_then(|publisher| publisher.shadow(bound.table(), name, args.share));
            (
                added,
                format!("in shadow: {name}, table {}", bound.table().content_id()),
            )
        }
        _ => {
            let expected = "TABLE and DIRECTORY, or --remove NAME and DIRECTORY";
            let got = format!("{} paths", args.paths.len());
            return Err(Failure::usage("arguments", expected, got));
        }
    };
    let Shadowed { file, warnings, .. } = shadowed?;
    let all = listed(file.shadows.iter().map(|it| &it.name), "none");
    let text = format!("{said}\nshadows now: {all}\n{}", warned(&warnings));
    let json = json!({
        "ok": true,
        "change": file.change,
        "shadows": file.shadows,
        "at": file.at,
        "origin": file.origin,
        "warnings": warnings,
    });
    Ok(Report::done(text, json))
}

fn open(directory: &Path, change: &Change) -> Result<Publisher, Refusal> {
    Publisher::open(directory, change.wait(), &change.who())
}

/// Publish a shadow as the next generation, through every check of the engines
///
/// Example: hedgerow promote /var/lib/hedgerow bots
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct PromoteArgs {
    /// The directory
    directory: PathBuf,
    /// The shadow's name; see `status`
    name: String,
    #[command(flatten)]
    change: Change,
}

/// Publishes a shadow.
pub fn promote(args: &PromoteArgs) -> Result<Report, Failure> {
    let published = open(&args.directory, &args.change)
        .and_then(|publisher| publisher.promote(&args.name, KEEP))?;
    Ok(report("promoted", &args.directory, &published))
}
