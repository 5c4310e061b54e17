//! `features`: every built-in feature.

use crate::Report;
use crate::failure::Failure;
use hedgerow::http::FEATURES;
use serde_json::json;
use std::fmt::Write;

/// Print every built-in feature: name, kind, largest value, when it is missing, why it tells
///
/// Example: hedgerow features | grep ^tls
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Prints the features in row order.
pub fn run(_args: &Args) -> Result<Report, Failure> {
    let mut text = String::new();
    for doc in FEATURES {
        let (kind, max) = (doc.kind.name(), doc.max);
        let _ = writeln!(text, "{:<28} {kind:<7} 0..{max:<4} {}", doc.name, doc.why);
        let _ = writeln!(text, "{:<28} missing: {}", "", doc.missing);
    }
    let rows = FEATURES.iter().map(|doc| {
        json!({
            "name": doc.name,
            "kind": doc.kind.name(),
            "min": doc.min,
            "max": doc.max,
            "missing": doc.missing,
            "why": doc.why,
        })
    });
    Ok(Report::done(
        text,
        json!({ "features": rows.collect::<Vec<_>>() }),
    ))
}
