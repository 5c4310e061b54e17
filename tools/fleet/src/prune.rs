//! `prune`: removes tables that no node can need any more from a fleet's store.
//!
//! Kept are the tables of each ring's pointer and last generations, and the table that a rollback
//! of the ring would go back to. A publisher checks after it has replaced the pointer that its
//! table is still there, and writes it again if it is not.

use crate::backend::malformed;
use crate::operator::{Change, Operator};
use crate::publish::before;
use crate::record::{Ring, RingPointer};
use hedgerow::refusal::printable;
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
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

/// Returns the objects that a ring and a rollback of it may need.
async fn needed(operator: &Operator, ring: Ring, keep: usize) -> Result<Vec<String>, Failure> {
    let key = ring.key();
    let mut records: Vec<RingPointer> = Vec::new();
    if let Some(value) = operator.store.last(&key).await? {
        // Whoever wrote it: nodes may be about to take it.
        let current = operator.unverified(&key, &value);
        let unreadable = |_| malformed(&key, "a pointer that can be read", "another");
        records.push(current.map_err(unreadable)?);
    }
    // Separately, so that unsigned records do not displace signed ones.
    for of_anybody in [false, true] {
        let past = operator.past(ring, of_anybody).await?;
        records.extend(past.values().rev().take(keep).cloned());
        records.extend(before(&past).cloned());
    }
    Ok(records.iter().map(RingPointer::object).collect())
}

/// Removes a table, and writes it again if a ring has come to name it meanwhile. Returns `true` if
/// it is gone.
async fn remove(operator: &Operator, object: &str, size: u64) -> Result<bool, Failure> {
    let store = &operator.store;
    // An unreadable object is of no use to any node.
    let file = store.table(object, size).await.ok();
    store.remove_table(object).await?;
    let named = is_named(operator, object).await;
    if !matches!(named, Ok(false))
        && let Some(file) = file
    {
        store.put_table(object, &file.into()).await?;
    }
    named.map(|named| !named)
}

/// Returns `true` if a ring's pointer names a table, or cannot be read.
async fn is_named(operator: &Operator, object: &str) -> Result<bool, Failure> {
    for ring in Ring::EACH {
        let found = operator.pointer(ring).await?;
        let is_named = match &found.current {
            Some(current) => current.object() == object,
            None => found.revision > 0,
        };
        if is_named {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes tables.
///
/// # Errors
/// `fleet-store` if the store does not answer, `fleet-record` if a ring's pointer cannot be read:
/// no table is removed then.
pub async fn run(args: &Args) -> Result<Report, Failure> {
    let operator = Operator::connect(&args.change).await?;
    // The objects first: those that come later are not candidates.
    let objects = operator.store.tables().await?;
    let mut kept = BTreeSet::new();
    for ring in Ring::EACH {
        kept.extend(needed(&operator, ring, args.keep as usize).await?);
    }
    let (mut text, mut removed, mut bytes) = (String::new(), Vec::new(), 0u64);
    let (stay, go): (Vec<_>, Vec<_>) = objects
        .iter()
        .partition(|(object, _)| kept.contains(object));
    let verb = if args.dry_run { "would go" } else { "gone" };
    for (object, size) in go {
        if !args.dry_run && !remove(&operator, object, *size).await? {
            continue;
        }
        let _ = writeln!(text, "{verb}: {}, {size} bytes", printable(object));
        bytes = bytes.saturating_add(*size);
        removed.push(object);
    }
    let (count, rest) = (removed.len(), stay.len());
    let _ = writeln!(text, "{count} tables of {bytes} bytes {verb}; {rest} stay");
    let json = json!({
        "ok": true,
        "dry_run": args.dry_run,
        "removed": removed,
        "bytes": bytes,
        "kept": stay.iter().map(|(object, _)| object).collect::<Vec<_>>(),
    });
    Ok(Report::done(text, json))
}
