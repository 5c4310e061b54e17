//! `publish` and `rollback`: which table the engines of a directory are to run.

use super::key;
use crate::failure::{Failure, harmless};
use crate::{Report, tables};
use hedgerow::watch::publisher::{KEEP, Published};
use hedgerow::watch::{Admission, Keys, PublishOptions, Publisher};
use hedgerow::{Engine, PreparedTable, Table};
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Who changes a directory, and how long to wait for one that does already.
#[derive(clap::Args)]
pub struct Change {
    /// Wait this long for another publisher, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0, value_parser = seconds)]
    wait: f64,
    /// Your name in the ledger; else the user's
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0 to 86400 seconds".into()),
    }
}

impl Change {
    /// How long to wait.
    pub fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.wait)
    }

    /// Who it is.
    pub fn who(&self) -> String {
        who(self.by.as_deref())
    }
}

/// A name that was given; else the user's.
pub fn who(given: Option<&str>) -> String {
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    let id = || format!("user {}", rustix::process::getuid().as_raw());
    given.map(Into::into).or_else(user).unwrap_or_else(id)
}

/// Publish a table to a directory, where engines take it up
///
/// Every check is made first, on this machine. The directory is made where it is not there.
///
/// Example: hedgerow publish bots.hedge /var/lib/hedgerow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: String,
    /// The directory
    directory: PathBuf,
    /// What the engines fill: `http`, a schema file, or `model` for the table's own
    #[arg(long, value_name = "NAME|FILE", default_value = "http")]
    schema: String,
    #[command(flatten)]
    trust: key::Trust,
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
        })
        .map_err(|refusal| Failure::of(&refusal))?;
    Ok(report("published", &args.directory, &published))
}

/// Every check of an engine's admission that needs no running table.
pub fn admit(name: &str, schema: &str, trust: &key::Trust) -> Result<Arc<PreparedTable>, Failure> {
    admit_with(name, schema, trust.keys()?)
}

/// As [`admit`], with keys.
///
/// # Errors
/// The first check that it does not pass.
pub fn admit_with(name: &str, schema: &str, keys: Keys) -> Result<Arc<PreparedTable>, Failure> {
    let refused = |refused| Failure::refused(name, &refused);
    if name == "default" {
        let table = tables::open(name)?;
        keys.check(table.bytes()).map_err(refused)?;
        let schema = tables::schema_for(schema, &table)?;
        return PreparedTable::new(table, &schema)
            .map(Arc::new)
            .map_err(refused);
    }
    let schema = match schema {
        "model" => tables::schema_for("model", &Table::open(name).map_err(refused)?)?,
        schema => tables::schema(schema)?,
    };
    let admission = Admission { keys, kernel: None };
    let admitted = admission.admit(&Engine::new(schema), Path::new(name), None);
    admitted.map_err(|rejected| {
        let mut failure = Failure::of(&rejected.refusal);
        if !failure.at.starts_with(name) {
            failure.message = format!("{name}: {}", failure.message);
        }
        failure
    })
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
        .and_then(|publisher| publisher.rollback(args.generation, KEEP))
        .map_err(|refusal| Failure::of(&refusal))?;
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
        .and_then(|publisher| publisher.force(args.generation, KEEP))
        .map_err(|refusal| Failure::of(&refusal))?;
    Ok(report("forced", &args.directory, &published))
}

/// What was published.
pub fn report(done: &str, directory: &Path, published: &Published) -> Report {
    let pointer = &published.pointer;
    let mut text = format!(
        "{done}: generation {} of {}, table {}",
        pointer.generation,
        directory.display(),
        pointer.content_id
    );
    if let Some(from) = pointer.from_generation {
        let _ = write!(text, ", which was generation {from}");
    }
    text.push('\n');
    if !published.pruned.is_empty() {
        let _ = writeln!(text, "{} old tables were removed", published.pruned.len());
    }
    text.push_str(&warned(&published.warnings));
    let json = json!({
        "ok": true,
        "generation": pointer.generation,
        "content_id": pointer.content_id,
        "from_generation": pointer.from_generation,
        "forced": pointer.forced,
        "at": pointer.at,
        "origin": pointer.origin,
        "pruned": published.pruned,
        "warnings": published.warnings,
    });
    Report::done(text, json)
}

/// Warnings, a line each.
pub fn warned(warnings: &[String]) -> String {
    let line = |warning: &String| format!("warning: {}\n", harmless(warning));
    warnings.iter().map(line).collect()
}
