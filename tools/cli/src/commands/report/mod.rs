//! `report`: pages and comparisons of what `load` measured.

mod compare;
mod noise;

use crate::Report;
use crate::failure::Failure;
use crate::files;
use crate::harness::run::read;
use crate::page::{record, write};
use serde_json::json;
use std::path::PathBuf;

/// Compare runs of `load`, or draw one as a page
///
/// Example: hedgerow report compare before.json after.json
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Compare(compare::Args),
    Page(PageArgs),
}

/// Draw a run as one page of HTML that needs nothing else
///
/// Example: hedgerow report page run.json -o run.html
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
struct PageArgs {
    /// What `hedgerow load --json` printed
    run: PathBuf,
    /// The page
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A record of tools/lab/peers, in JSON; else the newest in benches/record, where that is
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
}

/// Reports.
pub fn run(args: &Args) -> Result<Report, Failure> {
    match &args.what {
        What::Compare(args) => compare::run(args),
        What::Page(args) => {
            if files::is_stream(&args.output) {
                return Err(Failure::usage("--output", "a file for the page", "-"));
            }
            let mut inputs = vec![args.run.as_path()];
            inputs.extend(args.peers.as_deref());
            files::check_output(&args.output, &inputs)?;
            let run = read(&args.run)?;
            write(&run, &args.output, record(args.peers.as_deref())?.as_ref())?;
            let output = args.output.display().to_string();
            let json = json!({ "ok": true, "page": output });
            Ok(Report::done(format!("wrote {output}\n"), json))
        }
    }
}
