//! The command line of hedgerow.

#![forbid(unsafe_code)]

mod beside;
mod commands;
mod failure;
mod files;
mod history;
mod requests;
mod rows;
mod tables;

use clap::{Parser, Subcommand};
use commands::{
    bench, capacity, compile, diff, drill, explain, extract, features, inspect, key, limits, load,
    publish, replay, report, score, shadow, status, switch, verify,
};
use failure::Failure;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Bot scores for HTTP requests, from a table that cannot take its host down.
///
/// Wherever a TABLE is asked for, the word `default` means the bundled one.
/// Wherever a file is read, `-` means standard input.
/// Exit status: 0 done, 1 refused or failed the check, 2 usage.
///
/// To begin with:
///   hedgerow replay --seconds 3
///   hedgerow compile model.json -o bots.hedge
///   hedgerow verify bots.hedge && hedgerow inspect bots.hedge
///   hedgerow extract requests.ndjson | hedgerow score default -
///   hedgerow publish bots.hedge DIR && hedgerow status DIR
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

/// What a command has to say.
pub struct Report {
    /// For people.
    pub text: String,
    /// For machines.
    pub json: serde_json::Value,
    /// Whether the check that the command makes was passed.
    pub ok: bool,
    /// Whether it was all said while the command ran.
    printed: bool,
}

impl Report {
    /// A report of a command that was done.
    pub fn done(text: String, json: serde_json::Value) -> Report {
        Report::checked(text, json, true)
    }

    /// A report of a check.
    pub fn checked(text: String, json: serde_json::Value, ok: bool) -> Report {
        Report {
            text,
            json,
            ok,
            printed: false,
        }
    }

    /// A command that wrote its results to standard output itself.
    pub fn printed() -> Report {
        Report {
            printed: true,
            ..Report::done(String::new(), serde_json::Value::Null)
        }
    }
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return unparsed(&error),
    };
    let json = args.json;
    let result = match args.command {
        Command::Replay(command) => replay::run(&command, json),
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
    };
    let (out, status) = match result {
        Ok(report) => {
            let status = u8::from(!report.ok);
            match (report.printed, json) {
                (true, _) => return ExitCode::from(status),
                (false, true) => (format!("{}\n", report.json), status),
                (false, false) => (report.text, status),
            }
        }
        Err(failure) => return failed(&failure, json),
    };
    match files::print(|stdout| {
        let stream = Path::new("standard output");
        let failed = |error| Failure::io(stream, "a writable stream", error);
        stdout.write_all(out.as_bytes()).map_err(failed)
    }) {
        Ok(()) => ExitCode::from(status),
        Err(failure) => failed(&failure, false),
    }
}

/// Says why: to machines on standard output, to people on standard error.
fn failed(failure: &Failure, json: bool) -> ExitCode {
    // Where nobody listens, the exit status still tells.
    let _ = match json {
        true => writeln!(std::io::stdout(), "{}", failure.json()),
        false => writeln!(std::io::stderr(), "hedgerow: {failure}"),
    };
    ExitCode::from(failure.status())
}

/// Help and version, which are no failures, and arguments that make no sense.
fn unparsed(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.exit_code() != 0 {
        let text = error.to_string();
        let got = text.lines().next().unwrap_or_default();
        let got = got.trim_start_matches("error: ");
        return failed(
            &Failure::usage("arguments", "arguments as in --help", got),
            true,
        );
    }
    let _ = error.print();
    ExitCode::from(if error.exit_code() == 0 { 0 } else { 2 })
}
