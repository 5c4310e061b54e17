//! `features`: every built-in feature.

use crate::Report;
use crate::failure::Failure;
use crate::text::Columns;
use hedgerow::http::FEATURES;
use serde_json::json;

/// Print every built-in feature: name, kind, largest value, when it is missing, why it tells
///
/// Example: hedgerow features | grep ^tls
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Prints the features in row order.
pub fn run(_args: &Args) -> Result<Report, Failure> {
    let mut text = Columns::new(28);
    for doc in FEATURES {
        let (kind, max, why) = (doc.kind.name(), doc.max, doc.why);
        text.line(doc.name, format!("{kind:<7} 0..{max:<4} {why}"));
        text.line("", format!("missing: {}", doc.missing));
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
    let json = json!({ "features": rows.collect::<Vec<_>>() });
    Ok(Report::done(text.end(), json))
}
