//! `kill` and `restore`: switches that engines follow within a tenth of a second.

use crate::Report;
use crate::failure::Failure;
use crate::publishing::{Change, warned};
use hedgerow::Selector;
use hedgerow::watch::Publisher;
use serde_json::json;
use std::path::PathBuf;

/// Switch something off: `engine`, `ensemble`, `feature:NAME` or `detection:ID`
///
/// It stays off, over restarts and other tables, until it is restored.
///
/// Example: hedgerow kill /var/lib/hedgerow feature:ua_bot_word
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct KillArgs {
    /// The directory
    directory: PathBuf,
    /// What to switch off
    selector: String,
    #[command(flatten)]
    change: Change,
}

/// Switch something on again that was killed
///
/// Example: hedgerow restore /var/lib/hedgerow feature:ua_bot_word
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RestoreArgs {
    /// The directory
    directory: PathBuf,
    /// What to switch on again; see `status`
    selector: String,
    #[command(flatten)]
    change: Change,
}

/// Switches off.
pub fn kill(args: &KillArgs) -> Result<Report, Failure> {
    switch(&args.directory, &args.selector, &args.change, true)
}

/// Switches on again.
pub fn restore(args: &RestoreArgs) -> Result<Report, Failure> {
    switch(&args.directory, &args.selector, &args.change, false)
}

fn switch(
    directory: &std::path::Path,
    selector: &str,
    change: &Change,
    off: bool,
) -> Result<Report, Failure> {
    let selector: Selector = selector.parse().map_err(|error| {
        let hedgerow::switches::SelectorError { got } = error;
        Failure::usage(
            "SELECTOR",
            hedgerow::switches::SELECTORS,
            format!("{got:?}"),
        )
    })?;
    let switched = Publisher::open(directory, change.wait(), &change.who())
        .and_then(|publisher| publisher.switch(&selector, off))?;
    let state = if off { "off" } else { "on" };
    let all = match switched.file.off.join(", ") {
        none if none.is_empty() => "nothing is off".into(),
        all => format!("off now: {all}"),
    };
    let text = format!(
        "{selector} is {state}; {all}\n{}",
        warned(&switched.warnings)
    );
    let json = json!({
        "ok": true,
        "change": switched.file.change,
        "off": switched.file.off,
        "at": switched.file.at,
        "origin": switched.file.origin,
        "warnings": switched.warnings,
    });
    Ok(Report::done(text, json))
}
