//! `verify`: every admission check, nothing published.

use crate::failure::Failure;
use crate::trust::Trust;
use crate::{Report, tables};
use hedgerow::PreparedTable;
use serde_json::json;
use std::ffi::OsString;

/// Run every admission check on a table; publish nothing
///
/// Example: hedgerow verify default --schema http
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: OsString,
    /// Whose features: `http`, `http-traffic`, a schema file, or `model` for the table's own
    #[arg(long, value_name = "NAME|FILE", default_value = "model")]
    schema: OsString,
    /// Run the golden rows on this kernel
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    #[command(flatten)]
    trust: Trust,
}

/// Verifies a table.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let kernel = args.kernel.as_deref();
    let table = tables::open(&args.table)?;
    let refused = |refused| Failure::refused(&args.table, refused);
    if args.trust.is_given() {
        args.trust.keys()?.check(table.bytes()).map_err(refused)?;
    }
    let schema = tables::schema_for(&args.schema, &table)?;
    let prepared = PreparedTable::with_kernel(table, &schema, kernel);
    let prepared = prepared.map_err(|refused| tables::refused(&args.table, refused, &schema))?;
    let golden = prepared.table().golden_rows().count();
    let signature = match (prepared.table().signed_by(), args.trust.is_given()) {
        (None, false) => "",
        (None, true) => "; NOT SIGNED, which --require-signature would refuse",
        (Some(_), true) => "; the signature is good",
        (Some(_), false) => "; the signature was not verified: --trust says whose would be good",
    };
    let signed = match (prepared.table().signed_by(), args.trust.is_given()) {
        (None, _) => "none",
        (Some(_), true) => "good",
        (Some(_), false) => "unverified",
    };
    let (detections, bots) = (prepared.table().detections(), prepared.table().bots());
    let active = detections
        .iter()
        .filter(|detection| detection.active)
        .count();
    let mut message = format!(
        "{}: every check passed; {golden} golden rows reproduced on {}{signature}",
        args.table.display(),
        prepared.kernel().name
    );
    if !detections.is_empty() || !bots.is_empty() {
        let count = detections.len();
        message += &format!(
            "; {count} detections ({active} active), {} verified bots",
            bots.len()
        );
    }
    let json = json!({
        "ok": true,
        "code": null,
        "message": message,
        "expected": null,
        "got": null,
        "content_id": prepared.table().content_id(),
        "kernel": prepared.kernel().name,
        "golden_rows": golden,
        "signature": signed,
        "detections": detections.len(),
        "detections_active": active,
        "verified_bots": bots.len(),
    });
    Ok(Report::done(format!("{message}\n"), json))
}
