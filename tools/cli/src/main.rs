//! The command line of hedgerow.

#![forbid(unsafe_code)]

use clap::{Parser, Subcommand};
use hedgerow_cli::Report;
use hedgerow_cli::commands::{
    bench, capacity, compile, diff, drill, explain, extract, features, fleet, inspect, key, limits,
    load, publish, replay, report, score, shadow, status, switch, verify, why,
};
use hedgerow_cli::failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

/// Bot scores for HTTP requests, from a table that cannot take its host down.
///
/// Wherever a TABLE is asked for, the word `default` means the bundled one.
/// Wherever another file is read, `-` means standard input.
/// Exit status: 0 done, 1 refused or failed the check, 2 usage.
///
/// To begin with:
///   hedgerow replay --seconds 3
///   hedgerow compile model.json -o bots.hedge
///   hedgerow verify bots.hedge && hedgerow inspect bots.hedge
///   hedgerow extract requests.ndjson | hedgerow score default -
///   hedgerow publish bots.hedge DIR && hedgerow status DIR
///
/// For many machines, all carried out by hedgerow-fleet, a program beside this one:
///   hedgerow generate, agent, rollout, and publish, rollback, kill to nats://… or s3://…
///   hedgerow fleet --help
#[derive(Parser)]
#[command(
    name = "hedgerow",
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
    Replay(replay::Args),
    Load(load::Args),
    Report(report::Args),
    Capacity(capacity::Args),
    Drill(drill::Args),
    Compile(compile::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Verify(verify::Args),
    Score(score::Args),
    Explain(explain::Args),
    Why(why::Args),
    Extract(extract::Args),
    Features(features::Args),
    Bench(bench::Args),
    Limits(limits::Args),
    Publish(publish::Args),
    Rollback(publish::RollbackArgs),
    Force(publish::ForceArgs),
    Shadow(shadow::Args),
    Promote(shadow::PromoteArgs),
    Status(status::Args),
    History(status::HistoryArgs),
    Kill(switch::KillArgs),
    Restore(switch::RestoreArgs),
    Key(key::Args),
    Sign(key::SignArgs),
}

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(arguments) = fleet::arguments(&given) {
        let json = given.iter().any(|argument| argument == "--json");
        return hedgerow_cli::finish("hedgerow", Err(fleet::run(&arguments)), json);
    }
    hedgerow_cli::main("hedgerow", |args: &Args| args.json, run)
}

fn run(args: Args) -> Result<Report, Failure> {
    let json = args.json;
    match args.command {
        Command::Replay(command) => replay::run(&command),
        Command::Load(command) => load::run(&command),
        Command::Report(command) => report::run(&command),
        Command::Capacity(command) => capacity::run(&command),
        Command::Drill(command) => drill::run(&command),
        Command::Compile(command) => compile::run(&command),
        Command::Inspect(command) => inspect::run(&command),
        Command::Diff(command) => diff::run(&command),
        Command::Verify(command) => verify::run(&command),
        Command::Score(command) => score::run(&command, json),
        Command::Explain(command) => explain::run(&command),
        Command::Why(command) => why::run(&command),
        Command::Extract(command) => extract::run(&command, json),
        Command::Features(command) => features::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Limits(command) => limits::run(&command),
        Command::Publish(command) => publish::run(&command),
        Command::Rollback(command) => publish::rollback(&command),
        Command::Force(command) => publish::force(&command),
        Command::Shadow(command) => shadow::run(&command),
        Command::Promote(command) => shadow::promote(&command),
        Command::Status(command) => status::run(&command),
        Command::History(command) => status::history(&command),
        Command::Kill(command) => switch::kill(&command),
        Command::Restore(command) => switch::restore(&command),
        Command::Key(command) => key::run(&command),
        Command::Sign(command) => key::sign(&command),
    }
}
