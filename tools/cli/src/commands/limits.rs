//! `limits`: every capacity.

use crate::Report;
use crate::failure::Failure;
use crate::text::Columns;
use hedgerow::limits::LIMITS;
use serde_json::json;

/// Print every capacity of the engine
///
/// Example: hedgerow limits
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {}

/// Prints the capacities.
pub fn run(_args: &Args) -> Result<Report, Failure> {
    let mut text = Columns::new(20);
    for limit in LIMITS {
        text.line(limit.name, format!("{:>17}  {}", limit.max, limit.unit));
    }
    let rows = LIMITS
        .iter()
        .map(|l| json!({ "name": l.name, "max": l.max, "unit": l.unit }));
    let json = json!({ "limits": rows.collect::<Vec<_>>() });
    Ok(Report::done(text.end(), json))
}
