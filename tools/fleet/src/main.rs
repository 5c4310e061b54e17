//! The command line of hedgerow for a fleet: tables from a database, and their way to machines.

#![forbid(unsafe_code)]

mod agent;
mod backend;
#[cfg(test)]
mod compatibility;
mod generate;
mod health;
mod liveness;
mod operator;
mod prune;
mod publish;
mod record;
mod report;
mod rights;
mod rollout;
mod signed;
mod status;
mod switch;
mod waiting;

use clap::{Parser, Subcommand};
use hedgerow_cli::Report;
use hedgerow_cli::commands::key;
use hedgerow_cli::failure::Failure;
use std::ops::RangeInclusive;
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

const RESTORE: &str = "Switch a part of the engines of a whole fleet on again that was killed";

const RESTORE_LONG: &str = "Switch a part of the engines of a whole fleet on again that was killed

Needs the fleet's keys alone, not its tables. `status` shows what is off.

Example: hedgerow-fleet restore ensemble nats://127.0.0.1:4222 --key ops.key --wait 5";

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
    #[command(about = RESTORE, long_about = RESTORE_LONG)]
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

/// The program's name in messages.
const NAME: &str = "hedgerow-fleet";

/// How long the program waits at its end for a file that another thread writes.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Returns a parser of numbers in a range.
fn number(
    range: RangeInclusive<f64>,
    expected: &'static str,
) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("expected {expected}")),
    }
}

fn main() -> ExitCode {
    hedgerow_cli::main(NAME, |args: &Args| args.json, run)
}

/// Runs a command on this thread.
fn run(args: Args) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("runtime", "threads", "what tokio needs", error))?;
    let done = runtime.block_on(async {
        match args.command {
            Command::Generate(command) => generate::run(&command),
            Command::Refresh(command) => generate::refreshed(&command),
            Command::Init(command) => status::init(&command).await,
            Command::Agent(command) => agent::run(&command).await,
            Command::Publish(command) => publish::run(&command).await,
            Command::Rollout(command) => rollout::run(&command, args.json).await,
            Command::Steer(command) => rollout::steer(&command).await,
            Command::Rollback(command) => publish::rollback(&command).await,
            Command::Kill(command) => switch::switch(&command, true).await,
            Command::Restore(command) => switch::switch(&command, false).await,
            Command::Status(command) => status::status(&command).await,
            Command::History(command) => status::history(&command).await,
            Command::Node(command) => status::node(&command),
            Command::Forget(command) => status::forget(&command).await,
            Command::Prune(command) => prune::run(&command).await,
            Command::Nkey(command) => rights::run(&command),
            Command::Key(command) => key::run(&command),
            Command::Sign(command) => key::sign(&command),
        }
    });
    runtime.shutdown_timeout(ENDS_WITHIN);
    done
}
