//! The command line of hedgerow.

#![forbid(unsafe_code)]

mod commands;
mod failure;
mod files;
mod requests;
mod rows;
mod tables;

use clap::{Parser, Subcommand};
use commands::{bench, compile, diff, extract, inspect, limits, replay, score, verify};
use std::io::Write;
use std::process::ExitCode;

/// Bot scores for HTTP requests, from a table that cannot take its host down.
///
/// Wherever a TABLE is asked for, the word `default` means the bundled one.
/// Exit status: 0 done, 1 refused or failed the check, 2 usage.
#[derive(Parser)]
#[command(name = "hedgerow", version, arg_required_else_help = true)]
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
    Compile(compile::Args),
    Inspect(inspect::Args),
    Diff(diff::Args),
    Verify(verify::Args),
    Score(score::Args),
    Extract(extract::Args),
    Bench(bench::Args),
    Limits(limits::Args),
}

/// What a command has to say.
pub struct Report {
    /// For people.
    pub text: String,
    /// For machines.
    pub json: serde_json::Value,
    /// Whether the check that the command makes was passed.
    pub ok: bool,
}

impl Report {
    /// A report of a command that was done.
    pub fn done(text: String, json: serde_json::Value) -> Report {
        Report {
            text,
            json,
            ok: true,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Replay(command) => replay::run(&command, args.json),
        Command::Compile(command) => compile::run(&command),
        Command::Inspect(command) => inspect::run(&command),
        Command::Diff(command) => diff::run(&command),
        Command::Verify(command) => verify::run(&command),
        Command::Score(command) => score::run(&command),
        Command::Extract(command) => extract::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Limits(command) => limits::run(&command),
    };
    let (out, err, ok) = match result {
        Ok(report) if args.json => (format!("{}\n", report.json), String::new(), report.ok),
        Ok(report) => (report.text, String::new(), report.ok),
        Err(failure) if args.json => (format!("{}\n", failure.json()), String::new(), false),
        Err(failure) => (String::new(), format!("hedgerow: {failure}\n"), false),
    };
    let printed = std::io::stdout().write_all(out.as_bytes());
    let _ = std::io::stderr().write_all(err.as_bytes());
    // A reader that has seen enough (`| head`) is no failure.
    let printed = printed.is_ok_and(|()| std::io::stdout().flush().is_ok());
    if ok || !printed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}
