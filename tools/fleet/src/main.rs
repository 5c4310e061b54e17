//! The command line of hedgerow for a fleet: tables from a database.

#![forbid(unsafe_code)]

mod generate;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Tables from a database to a fleet of machines.
///
/// Exit status: 0 done, 1 refused or failed the check, 2 usage.
#[derive(Parser)]
#[command(
    name = "hedgerow-fleet",
    version,
    arg_required_else_help = true,
    verbatim_doc_comment
)]
struct Args {
    /// Print JSON, for machines
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Generate(generate::Args),
    Refresh(generate::RefreshArgs),
}

/// How the program calls itself before a failure.
const NAME: &str = "hedgerow-fleet";

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return hedgerow_cli::unparsed(NAME, &error),
    };
    let result = match args.command {
        Command::Generate(command) => generate::run(&command),
        Command::Refresh(command) => generate::refreshed(&command),
    };
    hedgerow_cli::finish(NAME, result, args.json)
}
