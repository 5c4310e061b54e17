//! `limits`: every capacity.

use crate::Report;
use crate::failure::Failure;
use hedgerow::limits::LIMITS;
use serde_json::json;
use std::fmt::Write;

/// Print every capacity of the engine
///
/// Example: hedgerow limits
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Prints the capacities.
pub fn run(_args: &Args) -> Result<Report, Failure> {
    let mut text = String::new();
    for limit in LIMITS {
        let _ = writeln!(text, "{:<20} {:>17}  {}", limit.name, limit.max, limit.unit);
    }
    let rows = LIMITS
        .iter()
        .map(|l| json!({ "name": l.name, "max": l.max, "unit": l.unit }));
    Ok(Report::done(
        text,
        json!({ "limits": rows.collect::<Vec<_>>() }),
    ))
}
