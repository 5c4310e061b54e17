//! `generate`: a table from a database's list of features and a trained model.

mod clickhouse;
mod list;

use crate::number;
use clickhouse::Server;
use hedgerow::model::{Refresh, refresh};
use hedgerow::refusal::printable;
use hedgerow::watch::Directory;
use hedgerow::{PreparedTable, Schema, Table};
use hedgerow_cli::Report;
use hedgerow_cli::commands::compile::{self, Draft, Model};
use hedgerow_cli::failure::{self, Failure};
use hedgerow_cli::{files, tables};
use list::{Bounds, Last, Place, Recorded};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Make a table from a database's list of features and a trained model
///
/// Example:
///   export HEDGEROW_CLICKHOUSE_URL=https://db.example:8443 HEDGEROW_CLICKHOUSE_USER=reader
///   read -rs HEDGEROW_CLICKHOUSE_PASSWORD; export HEDGEROW_CLICKHOUSE_PASSWORD
///   hedgerow-fleet generate model.json --table http_requests_features -o bots.hedge \
///       --against /var/lib/hedgerow
///
/// The list is read from system.columns, by database and table. Whatever comes is checked on its
/// own: rows of another table, names twice, features that vanished or that the model does not
/// know, types, the count against the capacity and against what was published last. Each refusal
/// has a name and a number of its own and names rows; nothing is written then.
///
/// A file for --server, which nobody else can read:
///   url = "https://db.example:8443"
///   user = "reader"
///   password = "…"
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    model: Model,
    #[command(flatten)]
    source: SourceArgs,
}

/// Write a running table again with a fresh list of features, and the same trees
///
/// Example: hedgerow-fleet refresh /var/lib/hedgerow --table http_requests_features -o next.hedge
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RefreshArgs {
    /// The running table: a directory that engines watch, or a table's file
    #[arg(value_name = "DIR|X.hedge")]
    running: PathBuf,
    /// Whose kinds the features take: `model` for those that they have, `http`, or a schema file
    #[arg(long, value_name = "NAME|FILE", default_value = "model")]
    schema: String,
    #[command(flatten)]
    source: SourceArgs,
}

/// The source of the list, its bounds, and the table to write.
#[derive(clap::Args)]
struct SourceArgs {
    /// The table to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A file with the database server's url, user and password; else the environment has them
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// The database that the list belongs to
    #[arg(long, value_name = "NAME", default_value = "default",
        value_parser = clickhouse::identifier)]
    database: String,
    /// The table whose columns are the features
    #[arg(long, value_name = "NAME", value_parser = clickhouse::identifier)]
    table: String,
    /// A query of your own in place of the list's: its rows have name and type, and may have
    /// database and table; they are checked all the same
    #[arg(long, value_name = "FILE")]
    query: Option<PathBuf>,
    /// What was published last, to hold the list against: a directory, or a table's file
    #[arg(long, value_name = "DIR|X.hedge")]
    against: Option<PathBuf>,
    /// By how much the number of features may differ from the last one's, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, 
        value_parser = number(0.0..=1e6, "a share in percent, from 0 on"))]
    change_max: f64,
    /// Pass over columns that the trees do not use
    #[arg(long)]
    unused: bool,
    /// Take types that differ from those of the last table
    #[arg(long)]
    accept_types: bool,
    /// Wait for the server no longer than this, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    within: u64,
}

/// Generates a table.
///
/// # Errors
/// A refusal of the list, the model or the table. No file is written then.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let source = &args.source;
    let mut draft = Draft::of(&args.model)?;
    let last = source.against.as_deref().map(last).transpose()?.flatten();
    let (recorded, warnings) = source.list(&draft.ensemble.features, last.as_ref())?;
    draft.provenance[RECORDED] = json!(recorded);
    let report = compile::write(draft, &source.output)?;
    Ok(with_list(report, &recorded, &warnings))
}

/// Refreshes a running table.
///
/// # Errors
/// As [`run`].
pub fn refreshed(args: &RefreshArgs) -> Result<Report, Failure> {
    let source = &args.source;
    let (name, table) = running(&args.running)?.ok_or_else(|| {
        let expected = "a directory with a published table, or a table's file";
        Failure::new("refresh", args.running.display(), expected, "none")
    })?;
    let mut features = table.features();
    let schema = tables::schema_for(&args.schema, &table)?;
    for feature in &mut features {
        let mut known = schema.features().iter();
        let known = known.find(|known| known.name == feature.name);
        feature.kind = known.map_or(feature.kind, |known| known.kind);
    }
    let last = match &source.against {
        Some(path) => last(path)?,
        None => Some(last_of(&name, &table)),
    };
    let (recorded, warnings) = source.list(&features, last.as_ref())?;
    // A provenance that is not an object is replaced.
    let provenance = serde_json::from_str(table.provenance()).ok();
    let mut provenance = provenance.filter(Value::is_object).unwrap_or(json!({}));
    provenance[RECORDED] = json!(recorded);
    let with = Refresh {
        generation: table.header().generation,
        created_at: recorded.read_at,
        features,
        provenance: provenance.to_string(),
    };
    let bytes = refresh(&table, with)?;
    let output = source.output.display().to_string();
    let refused = |refused| Failure::refused(&output, refused);
    let fresh = Table::from_bytes(&bytes).map_err(refused)?;
    let own = Schema::new(fresh.features()).map_err(|error| failure::schema(&output, &error))?;
    let prepared = PreparedTable::new(fresh, &own).map_err(refused)?;
    files::write_whole(&source.output, |out| {
        let failed = |error| Failure::io(&source.output, "a writable file", error);
        out.write_all(&bytes).map_err(failed)
    })?;
    let id = prepared.table().content_id();
    let text = format!(
        "{output}: {} bytes, id {id}, the trees of {name}\n",
        bytes.len()
    );
    let json = json!({
        "ok": true,
        "table": output,
        "bytes": bytes.len(),
        "content_id": id,
        "trees_of": table.content_id(),
    });
    Ok(with_list(Report::done(text, json), &recorded, &warnings))
}

/// The field of the list in a table's provenance.
const RECORDED: &str = "feature_list";

impl SourceArgs {
    /// Reads the list and checks it. Returns it and warnings.
    fn list(
        &self,
        features: &[hedgerow::Feature],
        last: Option<&Last>,
    ) -> Result<(Recorded, Vec<String>), Failure> {
        let place = Place {
            database: self.database.clone(),
            table: self.table.clone(),
        };
        let server = Server::find(self.server.as_deref())?;
        let within = Duration::from_secs(self.within);
        let query = match &self.query {
            Some(path) => files::read_text(path, "query", "a query")?,
            None => clickhouse::scoped(&place),
        };
        let columns = server.ask(query.trim().trim_end_matches(';'), within)?;
        let bounds = Bounds {
            change_max: self.change_max / 100.0,
            unused: self.unused,
            types: self.accept_types,
        };
        let mut recorded = list::check(&columns, &place, features, last, bounds)?;
        recorded.read_at = compile::created_at()?;
        // A change of permissions is visible here first.
        let mut warnings = Vec::new();
        let homes = server.ask(&clickhouse::homes(&self.table), within);
        let elsewhere = homes.map(|all| {
            let others = all.into_iter().filter_map(|home| home.database);
            let others = others.filter(|home| *home != place.database);
            others.collect::<Vec<_>>()
        });
        match elsewhere {
            Ok(others) if others.is_empty() => {}
            Ok(others) => {
                let (table, others) = (&self.table, others.join(", "));
                warnings.push(format!("a table {table} is also seen in: {others}"));
            }
            Err(failure) => warnings.push(failure.to_string()),
        }
        Ok((recorded, warnings))
    }
}

/// Returns the running table and its name. `None` if no table was published yet.
fn running(path: &Path) -> Result<Option<(String, Table)>, Failure> {
    if !path.is_dir() {
        let name = path.display().to_string();
        return Ok(Some((name.clone(), tables::open(&name)?)));
    }
    let directory = Directory::new(path);
    let pointer = directory.read_pointer()?;
    let Some(pointer) = pointer else {
        return Ok(None);
    };
    let file = directory.table(pointer.content_id);
    let name = format!("generation {} of {}", pointer.generation, path.display());
    Ok(Some((name, tables::open(&file)?)))
}

fn last(path: &Path) -> Result<Option<Last>, Failure> {
    Ok(running(path)?.map(|(name, table)| last_of(&name, &table)))
}

fn last_of(name: &str, table: &Table) -> Last {
    let provenance: Value = serde_json::from_str(table.provenance()).unwrap_or_default();
    let recorded = provenance.get(RECORDED).cloned();
    Last {
        name: name.into(),
        features: table.features(),
        recorded: recorded.and_then(|recorded| serde_json::from_value(recorded).ok()),
    }
}

fn with_list(mut report: Report, recorded: &Recorded, warnings: &[String]) -> Report {
    let Place { database, table } = &recorded.place;
    let count = recorded.types.len();
    let _ = writeln!(report.text, "{count} features listed by {database}.{table}");
    for warning in warnings {
        let _ = writeln!(report.text, "warning: {}", printable(warning));
    }
    report.json["feature_list"] = json!({
        "database": database,
        "table": table,
        "columns": count,
        "read_at": recorded.read_at,
    });
    // After those of the compiler.
    let compiled = report.json["warnings"].take();
    let compiled = compiled.as_array().into_iter().flatten().cloned();
    report.json["warnings"] = compiled.chain(warnings.iter().map(|w| json!(w))).collect();
    report
}
