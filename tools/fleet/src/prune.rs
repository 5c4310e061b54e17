//! `prune`: takes tables out of a fleet's store that nobody can want any more.
//!
//! What a ring points to stays, and so does what the last generations of each ring had, and what a
//! rollback of a ring would go back to. A publisher looks after it has pointed whether its table is
//! still there, and puts it again where it was taken out meanwhile.

use crate::publish::{Change, Changer};
use crate::record::{Ring, RingPointer};
use hedgerow_cli::Report;
use hedgerow_cli::failure::{Failure, harmless};
use serde_json::json;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Take tables out of a fleet's store that no ring and no rollback names
///
/// Exit status 0 also where there is nothing to take out. Needs a publisher's rights.
///
/// Example: hedgerow-fleet prune nats://127.0.0.1:4222 --keep 10 --dry-run
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    change: Change,
    /// Keep the tables of so many generations of each ring, the last ones, to roll back to
    #[arg(long, value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=64))]
    keep: u64,
    /// Only say what would be taken out
    #[arg(long)]
    dry_run: bool,
}

/// Takes a table out, and puts it back where a ring has come to name it meanwhile; whether it is
/// gone.
async fn remove(changer: &Changer, object: &str, size: u64) -> Result<bool, Failure> {
    let store = &changer.store;
    // One that cannot be read is of no use to anybody.
    let file = store.table(object, size).await.ok();
    store.remove_table(object).await?;
    let named = is_named(changer, object).await;
    if !matches!(named, Ok(false))
        && let Some(file) = file
    {
        store.put_table(object, &file).await?;
    }
    named.map(|named| !named)
}

/// Whether a ring's pointer names a table, or cannot be read.
async fn is_named(changer: &Changer, object: &str) -> Result<bool, Failure> {
    for ring in Ring::EACH {
        let found = changer.pointer(ring).await?;
        let named = match &found.said {
            Some(said) => said.object() == object,
            None => found.revision > 0,
        };
        if named {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes them out.
///
/// # Errors
/// Where the store does not answer in time, or a ring's pointer cannot be read: then nothing is
/// taken out.
pub async fn run(args: &Args) -> Result<Report, Failure> {
    let changer = Changer::connect(&args.change).await?;
    let store = &changer.store;
    // The objects first: one that comes later is not looked at.
    let objects = store.tables().await?;
    let mut wanted = BTreeSet::new();
    for ring in Ring::EACH {
        let named = changer.wanted(ring, args.keep as usize).await?;
        wanted.extend(named.iter().map(RingPointer::object));
    }
    let (mut text, mut removed, mut bytes) = (String::new(), Vec::new(), 0u64);
    let (stay, go): (Vec<_>, Vec<_>) = objects
        .iter()
        .partition(|(object, _)| wanted.contains(object));
    for (object, size) in go {
        if !args.dry_run && !remove(&changer, object, *size).await? {
            continue;
        }
        let verb = if args.dry_run { "would go" } else { "gone" };
        let _ = writeln!(text, "{verb}: {}, {size} bytes", harmless(object));
        bytes = bytes.saturating_add(*size);
        removed.push(object);
    }
    let _ = writeln!(
        text,
        "{} tables of {bytes} bytes{}; {} stay",
        removed.len(),
        if args.dry_run { " would go" } else { " gone" },
        stay.len()
    );
    let json = json!({
        "ok": true,
        "dry_run": args.dry_run,
        "removed": removed,
        "bytes": bytes,
        "kept": stay.iter().map(|(object, _)| object).collect::<Vec<_>>(),
    });
    Ok(Report::done(text, json))
}
