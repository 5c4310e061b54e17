//! The command line of hedgerow for a fleet: tables from a database, and their way to machines.

#![forbid(unsafe_code)]

mod carrier;
mod generate;
mod nats;

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
    Init(nats::InitArgs),
    Agent(nats::agent::Args),
    Publish(nats::publish::Args),
    Rollout(nats::rollout::Args),
    Steer(nats::rollout::SteerArgs),
    Rollback(nats::publish::RollbackArgs),
    Kill(nats::publish::SwitchArgs),
    Restore(nats::publish::SwitchArgs),
    Status(nats::StatusArgs),
    History(nats::HistoryArgs),
    Node(nats::NodeArgs),
    Prune(nats::prune::Args),
    Nkey(nats::rights::Args),
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
        Command::Init(command) => nats::block_on(nats::init(&command)),
        Command::Agent(command) => nats::block_on(nats::agent::run(&command)),
        Command::Publish(command) => nats::block_on(nats::publish::run(&command)),
        Command::Rollout(command) => nats::block_on(nats::rollout::run(&command, args.json)),
        Command::Steer(command) => nats::block_on(nats::rollout::steer(&command)),
        Command::Rollback(command) => nats::block_on(nats::publish::rollback(&command)),
        Command::Kill(command) => nats::block_on(nats::publish::switch(&command, true)),
        Command::Restore(command) => nats::block_on(nats::publish::switch(&command, false)),
        Command::Status(command) => nats::block_on(nats::status(&command)),
        Command::History(command) => nats::block_on(nats::history(&command)),
        Command::Node(command) => nats::node(&command),
        Command::Prune(command) => nats::block_on(nats::prune::run(&command)),
        Command::Nkey(command) => nats::rights::run(&command),
        Command::Key(command) => key::run(&command),
        Command::Sign(command) => key::sign(&command),
    };
    hedgerow_cli::finish(NAME, result, args.json)
}
