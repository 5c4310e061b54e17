//! The commands of README and of the manual, as they are written, on a server of their own.

use super::servers::binary;
use super::support::{port, root};
use super::*;
use std::process::Command;

const README: &str = include_str!("../../../../README.md");
const MANUAL: &str = include_str!("../../../../src/manual/fleet.md");

/// Returns the commands below a heading.
fn commands(text: &str, heading: &str) -> String {
    let (_, rest) = text.split_once(heading).expect(heading);
    let section = rest.split("\n## ").next().unwrap();
    let mut script = String::new();
    let mut inside = false;
    for line in section.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ") {
            script.push_str(&format!("{command}\n"));
        } else if inside && line.starts_with("    ") {
            script.push_str(&format!("{line}\n"));
        }
    }
    script
}

/// Runs commands one after the other, in a shell that ends with the first that fails, and stops
/// what they left running.
fn follow(name: &str, script: &str) {
    let Some(server) = binary() else {
        return;
    };
    let folder = Folder::new(name);
    // Paths and ports of this test's own in place of those that are written.
    let script = script
        .replace(
            "target/fleet-venv/bin/nats-server",
            server.to_str().unwrap(),
        )
        .replace("sh tools/fleet/setup.sh && mkdir -p target/try", "true")
        .replace("target/try/", &format!("{}/", folder.path("f").display()))
        .replace("4222", &port().to_string());
    assert!(script.lines().count() >= 6, "{script}");
    run(&folder, &script);
}

/// Runs a script in the project's folder.
fn run(folder: &Folder, script: &str) {
    let program = env!("CARGO_BIN_EXE_hedgerow-fleet");
    // A folder with the program alone, to be found by its name.
    let bin = folder.path("bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::os::unix::fs::symlink(program, bin.join("hedgerow-fleet")).unwrap();
    let script = format!(
        "set -e\nexport PATH={}:$PATH\nmkdir -p {}\n\
         stop() {{ for job in $(jobs -p); do kill $job || true; done; wait; }}\n\
         trap stop EXIT\nset -x\n{script}",
        bin.display(),
        folder.path("f").display()
    );
    let done = Command::new("timeout")
        .args(["120", "bash", "-c", &script])
        .current_dir(root())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(done.status.success(), "{out}\n{err}");
}

#[test]
fn readmes_commands_work_as_written() {
    follow("fleet-readme", &commands(README, "\n## Run a fleet\n"));
}

#[test]
fn the_manuals_commands_work_as_written() {
    let begin = commands(MANUAL, "\n## Begin\n");
    let rest = commands(MANUAL, "\n## Day by day\n");
    follow("fleet-manual", &format!("{begin}{rest}"));
}

/// The manual's commands for a bucket, on one that is there.
pub fn follow_in_bucket(bucket: &Bucket) {
    let folder = Folder::new("fleet-manual-bucket");
    let keys = &bucket.args("ops")[3];
    let script = commands(MANUAL, "\n## In a bucket of S3\n")
        .replace("http://127.0.0.1:8333", &bucket.endpoint(false))
        .replace("target/try/ops.keys", keys)
        .replace("target/try/node.keys", keys)
        .replace("s3://tables/edge", "s3://tables/manual")
        .replace("target/try/", &format!("{}/", folder.path("f").display()));
    assert_eq!(script.lines().count(), 6, "{script}");
    run(&folder, &script);
}

/// `restore` has words and an example of its own, not those of `kill`.
#[test]
fn kill_and_restore_say_what_each_does() {
    for (command, own, other) in [
        ("kill", "off", "restore "),
        ("restore", "on again", "kill "),
    ] {
        let run = std::process::Command::new(env!("CARGO_BIN_EXE_hedgerow-fleet"))
            .args([command, "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8(run.stdout).unwrap();
        assert!(help.contains(own), "{help}");
        assert!(
            help.contains(&format!("hedgerow-fleet {command} ensemble")),
            "{help}"
        );
        assert!(!help.contains(&format!("hedgerow-fleet {other}")), "{help}");
    }
}
