//! `publish` and `rollback`: which table the engines of a directory are to run.

use crate::Report;
use crate::failure::Failure;
use crate::publishing::{Change, admit, report};
use crate::trust::Trust;
use hedgerow::watch::publish::KEEP;
use hedgerow::watch::{PublishOptions, Publisher};
use std::ffi::OsString;
use std::path::PathBuf;

/// Publish a table to a directory, where engines take it up
///
/// Every check is made first, on this machine. The directory is made where it is not there.
///
/// Example: hedgerow publish bots.hedge /var/lib/hedgerow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: OsString,
    /// The directory
    directory: PathBuf,
    /// What the engines fill: `http`, `http-traffic`, a schema file, or `model` for the table's own
    #[arg(long, value_name = "NAME|FILE", default_value = "http")]
    schema: OsString,
    #[command(flatten)]
    trust: Trust,
    /// Generations of which tables are kept, at least 2
    #[arg(long, value_name = "N", default_value_t = KEEP as u64,
        value_parser = clap::value_parser!(u64).range(2..=10_000))]
    keep: u64,
    /// Publish under a generation above this one, for a directory that was made anew
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..1 << 62))]
    above: u64,
    /// Have engines take it however much it differs from the running one; every other check stands
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    change: Change,
}

/// Publishes a table.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let prepared = admit(&args.table, &args.schema, &args.trust)?;
    let published = Publisher::create(&args.directory, args.change.wait(), &args.change.who())
        .and_then(|publisher| {
            let options = PublishOptions {
                above: args.above,
                keep: args.keep as usize,
                forced: args.force,
            };
            publisher.publish(prepared.table(), &options)
        })?;
    Ok(report("published", &args.directory, &published))
}

/// Go back: publish the table of an earlier generation again
///
/// Without a generation: the one before the running one. Engines take it up as a new generation.
///
/// Example: hedgerow rollback /var/lib/hedgerow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RollbackArgs {
    /// The directory
    directory: PathBuf,
    /// The generation to go back to; see `history`
    generation: Option<u64>,
    #[command(flatten)]
    change: Change,
}

/// Rolls back.
pub fn rollback(args: &RollbackArgs) -> Result<Report, Failure> {
    let published = Publisher::open(&args.directory, args.change.wait(), &args.change.who())
        .and_then(|publisher| publisher.rollback(args.generation, KEEP))?;
    Ok(report("rolled back", &args.directory, &published))
}

/// Have engines take a table that they hold in quarantine
///
/// Publishes it again, under the next generation. Only the comparison with the running table is
/// left out; every other check stands. Without a generation: the active one.
///
/// Example: hedgerow force /var/lib/hedgerow 7
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ForceArgs {
    /// The directory
    directory: PathBuf,
    /// The generation whose table is to run; see `status`
    generation: Option<u64>,
    #[command(flatten)]
    change: Change,
}

/// Forces a table.
pub fn force(args: &ForceArgs) -> Result<Report, Failure> {
    let published = Publisher::open(&args.directory, args.change.wait(), &args.change.who())
        .and_then(|publisher| publisher.force(args.generation, KEEP))?;
    Ok(report("forced", &args.directory, &published))
}
