//! Commands for a fleet go to the program beside this one, else to the one in `PATH`.

use super::common::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// Has a shell make a program: one that this process writes cannot be run while the child of
/// another test still has it open.
fn made(how: &str, what: [&str; 2]) {
    let mut shell = Command::new("sh");
    let made = shell.args(["-c", how, "sh"]).args(what).status();
    assert!(made.unwrap().success());
}

/// A script that says which one it is, what it was given, and has a status of its own.
fn stand_in(folder: &Folder, name: &str, which: &str) -> String {
    let text = format!("#!/bin/sh\nprintf '%s:' {which} \"$@\"\nexit 1\n");
    let path = folder.path(name);
    made(
        "printf %s \"$1\" >\"$2\" && chmod 755 \"$2\"",
        [&text, &path],
    );
    path
}

#[test]
fn commands_for_a_fleet_are_passed_on_as_they_are() {
    let folder = Folder::new("fleet");
    let elsewhere = Folder::new("fleet-elsewhere");
    let own = folder.path("hedgerow");
    made("cp \"$1\" \"$2\"", [env!("CARGO_BIN_EXE_hedgerow"), &own]);
    let run = |args: &[&str]| -> Output {
        let mut command = Command::new(&own);
        command.args(args).env("PATH", elsewhere.path(""));
        command.output().unwrap()
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();

    let none = run(&["agent", "nats://127.0.0.1:1"]);
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert_eq!(none.status.code(), Some(1), "{told}");
    assert!(
        told.contains("hedgerow-fleet: expected the program, beside hedgerow or in PATH, got none"),
        "{told}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&run(&["generate", "--json"]).stdout).unwrap();
    assert_eq!(json["name"], "hedgerow-fleet", "{json}");

    stand_in(&elsewhere, "hedgerow-fleet", "path");
    let found = run(&["publish", "a b.hedge", "nats://127.0.0.1:1", "--wait=9"]);
    assert_eq!(
        said(&found),
        "path:publish:a b.hedge:nats://127.0.0.1:1:--wait=9:"
    );
    assert_eq!(found.status.code(), Some(1));

    let beside = stand_in(&folder, "hedgerow-fleet", "beside");
    assert_eq!(said(&run(&["fleet", "--help"])), "beside:--help:");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = run(&["rollout", "x.hedge"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains(&beside), "{told}");
    assert!(told.contains("denied"), "{told}");
}
