//! What the command lines of hedgerow share: commands, reports, failures and files.

#![forbid(unsafe_code)]

pub mod commands;
pub mod drawing;
pub mod failure;
pub mod files;
mod harness;
mod history;
mod page;
pub mod publishing;
mod requests;
mod rows;
mod rules;
pub mod tables;
mod text;
pub mod trust;

use failure::Failure;
use std::any::TypeId;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

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

/// Prints what a command has to say, and gives the exit status that says so; `program` is its name
/// before a failure.
pub fn finish(program: &str, result: Result<Report, Failure>, json: bool) -> ExitCode {
    let (out, status) = match result {
        Ok(report) => {
            let status = u8::from(!report.ok);
            match (report.printed, json) {
                (true, _) => return ExitCode::from(status),
                (false, true) => (format!("{}\n", report.json), status),
                (false, false) => (report.text, status),
            }
        }
        Err(failure) => return failed(program, &failure, json),
    };
    match files::print(|stdout| {
        let stream = Path::new("standard output");
        let failed = |error| Failure::io(stream, "a writable stream", error);
        stdout.write_all(out.as_bytes()).map_err(failed)
    }) {
        Ok(()) => ExitCode::from(status),
        Err(failure) => {
            // The work may be done, as that of `publish`: a caller without the report has to know.
            let report: String = out
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(400)
                .collect();
            let message = format!("{failure}; the command had ended, with: {report}");
            failed(program, &failure.with_message(message), false)
        }
    }
}

/// Says why: to machines on standard output, to people on standard error.
fn failed(program: &str, failure: &Failure, json: bool) -> ExitCode {
    // Where nobody listens, the exit status still tells.
    let told = json && writeln!(std::io::stdout(), "{}", failure.json()).is_ok();
    if !told {
        let _ = writeln!(std::io::stderr(), "{program}: {failure}");
    }
    ExitCode::from(failure.status())
}

/// Parses the command line, runs its command, and prints the report. `json` returns `true` if the
/// arguments ask for JSON.
pub fn main<Args: clap::Parser>(
    program: &str,
    json: impl FnOnce(&Args) -> bool,
    run: impl FnOnce(Args) -> Result<Report, Failure>,
) -> ExitCode {
    let matches = with_negative_numbers(Args::command()).try_get_matches();
    match matches.and_then(|matches| Args::from_arg_matches(&matches)) {
        Ok(args) => {
            let json = json(&args);
            finish(program, run(args), json)
        }
        Err(error) => unparsed(program, &error),
    }
}

/// Lets every number be negative, so that its own check names what is expected of it.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let number = |arg: clap::Arg| {
        let is_number = arg.get_value_parser().type_id() == TypeId::of::<f64>();
        arg.allow_negative_numbers(is_number)
    };
    let command = command.mut_args(number);
    command.mut_subcommands(with_negative_numbers)
}

/// Help and version, which are no failures, and arguments that make no sense.
fn unparsed(program: &str, error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if json && error.exit_code() != 0 {
        let text = error.to_string();
        let got = text.lines().next().unwrap_or_default();
        let got = got.trim_start_matches("error: ");
        return failed(
            program,
            &Failure::usage("arguments", "arguments as in --help", got),
            true,
        );
    }
    let _ = error.print();
    ExitCode::from(if error.exit_code() == 0 { 0 } else { 2 })
}
