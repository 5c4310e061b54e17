//! Commands for a fleet of machines, which another program carries out: `hedgerow-fleet`, whose
//! many dependencies the command line does without.

use crate::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The program that carries them out.
const PROGRAM: &str = "hedgerow-fleet";

/// Commands that there are for fleets alone.
const NAMES: [&str; 9] = [
    "generate", "refresh", "agent", "rollout", "steer", "node", "forget", "prune", "nkey",
];

/// Commands that are for a fleet where they have one's address.
const SHARED: [&str; 7] = [
    "init", "publish", "rollback", "kill", "restore", "status", "history",
];

/// How a fleet's addresses begin.
const SCHEMES: [&str; 3] = ["nats://", "tls://", "s3://"];

/// The arguments for the fleet's program, where these are for it: `fleet` before any of its
/// commands, a command that there is for fleets alone, or a shared one with a fleet's address.
pub fn arguments(given: &[OsString]) -> Option<Vec<OsString>> {
    let is_option = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let at = given.iter().position(|argument| !is_option(argument))?;
    let command = given.get(at)?;
    let mut passed = given.to_vec();
    if command == "fleet" {
        passed.remove(at);
        return Some(passed);
    }
    let is_one_of = |names: &[&str]| names.iter().any(|name| command == name);
    let shared = is_one_of(&SHARED) && given.iter().any(|argument| is_address(argument));
    (is_one_of(&NAMES) || shared).then_some(passed)
}

fn is_address(argument: &OsStr) -> bool {
    let bytes = argument.as_encoded_bytes();
    let begins = |scheme: &&str| bytes.starts_with(scheme.as_bytes());
    SCHEMES.iter().any(begins)
}

/// Becomes the fleet's program: the one beside this one, else the first in `PATH`.
///
/// # Errors
/// Where it is in neither place; otherwise it does not return.
pub fn run(arguments: &[OsString]) -> Failure {
    let beside = std::env::current_exe().map(|own| own.with_file_name(PROGRAM));
    let program = beside
        .ok()
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PROGRAM.into());
    let error = Command::new(&program).args(arguments).exec();
    let got = match error.kind() {
        ErrorKind::NotFound => {
            "none (from a checkout: cargo build --release -p hedgerow-fleet, which makes \
             target/release/hedgerow-fleet; then PATH=\"$PWD/target/release:$PATH\")"
                .to_string()
        }
        _ => error.to_string(),
    };
    Failure::new(
        PROGRAM,
        program.display(),
        "the program, beside hedgerow or in PATH",
        got,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(line: &str) -> Option<String> {
        let given: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let passed = arguments(&given)?;
        let words: Vec<&str> = passed.iter().filter_map(|word| word.to_str()).collect();
        Some(words.join(" "))
    }

    #[test]
    fn what_is_for_a_fleet_is_told_from_the_rest() {
        for (line, expected) in [
            ("fleet", ""),
            ("fleet --help", "--help"),
            ("--json fleet status nats://a:1", "--json status nats://a:1"),
            ("generate --model m.json", "generate --model m.json"),
            ("agent nats://a:1 --dir d", "agent nats://a:1 --dir d"),
            ("publish x.hedge s3://b/f", "publish x.hedge s3://b/f"),
            ("kill tls://a:1 engine", "kill tls://a:1 engine"),
        ] {
            assert_eq!(passed(line).as_deref(), Some(expected), "{line}");
        }
        for line in [
            "",
            "--help",
            "publish x.hedge fleet",
            "publish x.hedge ./nats://a",
            "status /var/lib/hedgerow",
            "verify s3://b/f",
            "fleets",
        ] {
            assert_eq!(passed(line), None, "{line}");
        }
    }
}
