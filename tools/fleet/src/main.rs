//! The command line of hedgerow for a fleet: tables from a database, and their way to machines.

#![forbid(unsafe_code)]

mod agent;
mod backend;
#[cfg(test)]
mod compatibility;
mod generate;
mod health;
mod progress;
mod prune;
mod publish;
mod record;
mod rights;
mod rollout;
mod status;
mod switch;
mod waiting;

use clap::{Parser, Subcommand};
use hedgerow_cli::Report;
use hedgerow_cli::commands::key;
use hedgerow_cli::failure::Failure;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

/// Tables from a database to a fleet of machines.
///
/// Exit status: 0 done, 1 refused or failed the check, 2 usage.
///
/// To begin with, beside a NATS server with JetStream:
///   hedgerow-fleet init nats://127.0.0.1:4222
///   hedgerow-fleet agent nats://127.0.0.1:4222 --dir /var/lib/hedgerow &
///   hedgerow-fleet publish bots.hedge nats://127.0.0.1:4222 --wait 10
///   hedgerow-fleet status nats://127.0.0.1:4222
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
    Init(status::InitArgs),
    Agent(agent::Args),
    Publish(publish::Args),
    Rollout(rollout::Args),
    Steer(rollout::SteerArgs),
    Rollback(publish::RollbackArgs),
    Kill(switch::SwitchArgs),
    Restore(switch::SwitchArgs),
    Status(status::StatusArgs),
    History(status::HistoryArgs),
    Node(status::NodeArgs),
    Forget(status::ForgetArgs),
    Prune(prune::Args),
    Nkey(rights::Args),
    Key(key::Args),
    Sign(key::SignArgs),
}

/// How the program calls itself before a failure.
const NAME: &str = "hedgerow-fleet";

/// Runs a command that waits for others, on this thread.
///
/// # Errors
/// As the command.
fn block_on(command: impl Future<Output = Result<Report, Failure>>) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", "threads", "what tokio needs", error))?;
    let done = runtime.block_on(command);
    // A file that is being written on another thread is not waited for longer.
    runtime.shutdown_timeout(Duration::from_secs(5));
    done
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return hedgerow_cli::unparsed(NAME, &error),
    };
    let result = match args.command {
        Command::Generate(command) => generate::run(&command),
        Command::Refresh(command) => generate::refreshed(&command),
        Command::Init(command) => block_on(status::init(&command)),
        Command::Agent(command) => block_on(agent::run(&command)),
        Command::Publish(command) => block_on(publish::run(&command)),
        Command::Rollout(command) => block_on(rollout::run(&command, args.json)),
        Command::Steer(command) => block_on(rollout::steer(&command)),
        Command::Rollback(command) => block_on(publish::rollback(&command)),
        Command::Kill(command) => block_on(switch::switch(&command, true)),
        Command::Restore(command) => block_on(switch::switch(&command, false)),
        Command::Status(command) => block_on(status::status(&command)),
        Command::History(command) => block_on(status::history(&command)),
        Command::Node(command) => status::node(&command),
        Command::Forget(command) => block_on(status::forget(&command)),
        Command::Prune(command) => block_on(prune::run(&command)),
        Command::Nkey(command) => rights::run(&command),
        Command::Key(command) => key::run(&command),
        Command::Sign(command) => key::sign(&command),
    };
    hedgerow_cli::finish(NAME, result, args.json)
}
