//! The command line of hedgerow for a fleet: tables from a database, and their way to machines.

#![forbid(unsafe_code)]

mod carrier;
#[cfg(test)]
mod compatibility;
mod fleet;
mod generate;

use clap::{Parser, Subcommand};
use hedgerow_cli::commands::key;
use std::process::ExitCode;

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
    Init(fleet::InitArgs),
    Agent(fleet::agent::Args),
    Publish(fleet::publish::Args),
    Rollout(fleet::rollout::Args),
    Steer(fleet::rollout::SteerArgs),
    Rollback(fleet::publish::RollbackArgs),
    Kill(fleet::switch::SwitchArgs),
    Restore(fleet::switch::SwitchArgs),
    Status(fleet::StatusArgs),
    History(fleet::HistoryArgs),
    Node(fleet::NodeArgs),
    Forget(fleet::ForgetArgs),
    Prune(fleet::prune::Args),
    Nkey(fleet::rights::Args),
    Key(key::Args),
    Sign(key::SignArgs),
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
        Command::Init(command) => fleet::block_on(fleet::init(&command)),
        Command::Agent(command) => fleet::block_on(fleet::agent::run(&command)),
        Command::Publish(command) => fleet::block_on(fleet::publish::run(&command)),
        Command::Rollout(command) => fleet::block_on(fleet::rollout::run(&command, args.json)),
        Command::Steer(command) => fleet::block_on(fleet::rollout::steer(&command)),
        Command::Rollback(command) => fleet::block_on(fleet::publish::rollback(&command)),
        Command::Kill(command) => fleet::block_on(fleet::switch::switch(&command, true)),
        Command::Restore(command) => fleet::block_on(fleet::switch::switch(&command, false)),
        Command::Status(command) => fleet::block_on(fleet::status(&command)),
        Command::History(command) => fleet::block_on(fleet::history(&command)),
        Command::Node(command) => fleet::node(&command),
        Command::Forget(command) => fleet::block_on(fleet::forget(&command)),
        Command::Prune(command) => fleet::block_on(fleet::prune::run(&command)),
        Command::Nkey(command) => fleet::rights::run(&command),
        Command::Key(command) => key::run(&command),
        Command::Sign(command) => key::sign(&command),
    };
    hedgerow_cli::finish(NAME, result, args.json)
}
