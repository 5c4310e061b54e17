//! Files of a watched directory that several users share, under every umask. As root: other users
//! are taken on by `setpriv`.

use super::common::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A user and a group that is not root's.
const USER: u32 = 65_531;
const OTHER: u32 = 65_532;
const GROUP: u32 = 65_533;

/// A folder that every user reaches, which the tests' own need not be.
struct Shared(PathBuf);

impl Shared {
    /// Makes one. `None`, and a line, without root or `setpriv`.
    fn new(name: &str, mode: u32) -> Option<Shared> {
        let root = rustix::process::geteuid().is_root();
        let there = Command::new("setpriv").arg("--version").output().is_ok();
        if !(root && there) {
            eprintln!("SKIPPED: modes of shared directories: needs root and setpriv");
            return None;
        }
        let path = std::env::temp_dir().join(format!("hedgerow-{}-{name}", std::process::id()));
        fs::create_dir(&path).expect("a folder");
        chown(&path, None, Some(GROUP)).expect("a group");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        Some(Shared(path))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program's command as a user of the group, or of no group.
fn as_user(user: u32, group: u32, umask: &str, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args([
        &format!("--reuid={user}"),
        &format!("--regid={group}"),
        "--clear-groups",
        "sh",
        "-c",
        &format!("umask {umask}; exec \"$@\""),
        "sh",
        program,
    ]);
    command.args(args).stdin(Stdio::null());
    command
}

/// A copy of the program that every user may run.
fn program(folder: &Shared) -> String {
    let path = folder.path("hedgerow");
    fs::copy(env!("CARGO_BIN_EXE_hedgerow"), &path).expect("a copy");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

fn ran(mut command: Command) -> (bool, String) {
    let output = command.output().expect("setpriv");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

#[test]
fn the_directory_decides_who_reads_whatever_the_umask() {
    for umask in ["000", "027", "077"] {
        for (folder_mode, file, lock) in [(0o755, 0o644, 0o600), (0o2775, 0o664, 0o660)] {
            let Some(shared) = Shared::new(&format!("{umask}-{folder_mode:o}"), folder_mode) else {
                return;
            };
            let program = program(&shared);
            let dir = shared.path(".");
            let root = |args: &[&str]| ran(as_user(0, 0, umask, &program, args));
            let (done, text) = root(&["publish", "default", &dir]);
            assert!(done, "{text}");
            let (done, text) = root(&["kill", &dir, "ensemble"]);
            assert!(done, "{text}");
            for name in ["active", "switches", "ledger.jsonl"] {
                assert_eq!(mode(shared.path(name)), file, "{name}, umask {umask}");
            }
            assert_eq!(mode(shared.path("lock")), lock, "umask {umask}");
            assert_eq!(mode(shared.path("tables")) & 0o777, folder_mode & 0o777);
            for table in fs::read_dir(shared.path("tables")).expect("tables") {
                assert_eq!(mode(table.expect("an entry").path()), file);
            }
            // An engine of another user reads all of it.
            let (done, text) = ran(as_user(OTHER, OTHER, umask, &program, &["history", &dir]));
            assert!(done && text.contains("kill"), "{text}");
            let args = ["verify", &shared.path("tables"), "--json"];
            let (_, text) = ran(as_user(OTHER, OTHER, umask, &program, &args));
            assert!(!text.contains("Permission denied"), "{text}");
            // The group's members publish where the group may write, and nobody else does.
            let again = ["publish", "default", &dir, "--force"];
            let (done, text) = ran(as_user(USER, GROUP, umask, &program, &again));
            assert_eq!(done, folder_mode == 0o2775, "{text}");
            let (done, text) = ran(as_user(OTHER, OTHER, umask, &program, &again));
            assert!(!done, "{text}");
        }
    }
}

/// A directory that is made by the first publisher.
#[test]
fn a_new_directory_is_as_open_as_the_folder_that_it_is_made_in() {
    let Some(shared) = Shared::new("made", 0o755) else {
        return;
    };
    let program = program(&shared);
    let dir = shared.path("new/tables-of-mine");
    let (done, text) = ran(as_user(
        0,
        0,
        "077",
        &program,
        &["publish", "default", &dir],
    ));
    assert!(done, "{text}");
    assert_eq!((mode(shared.path("new")), mode(&dir)), (0o755, 0o755));
    let (done, text) = ran(as_user(OTHER, OTHER, "077", &program, &["history", &dir]));
    assert!(done, "{text}");
}

/// A process that holds a file's lock.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_reader_cannot_hold_the_lock_and_a_holder_is_named() {
    let Some(shared) = Shared::new("held", 0o755) else {
        return;
    };
    let program = program(&shared);
    let dir = shared.path(".");
    let root = |args: &[&str]| ran(as_user(0, 0, "022", &program, args));
    // A lock of an earlier version.
    let lock = shared.path("lock");
    fs::write(&lock, "").expect("a lock");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o644)).expect("a mode");
    assert!(root(&["publish", "default", &dir]).0);
    assert_eq!(mode(&lock), 0o600);
    let hold = |user: u32| {
        let args = ["-x", &lock, "sleep", "60"];
        let mut command = as_user(user, user, "022", "flock", &args);
        Holder(command.stderr(Stdio::null()).spawn().expect("setpriv"))
    };
    let _reader = hold(OTHER);
    std::thread::sleep(Duration::from_millis(300));
    let (done, text) = root(&["kill", &dir, "ensemble"]);
    assert!(done, "{text}");
    let holder = hold(0);
    std::thread::sleep(Duration::from_millis(300));
    let (done, text) = root(&["kill", &dir, "engine"]);
    let name = format!("process {} (flock)", holder.0.id());
    assert!(!done && text.contains(&name), "{name}: {text}");
}

#[test]
fn links_in_place_of_a_directorys_files_are_not_followed() {
    for name in ["lock", "ledger.jsonl"] {
        for hard in [false, true] {
            let folder = Folder::new("links");
            let victim = folder.file("victim", "precious\n");
            let dir = folder.path("dir");
            fs::create_dir(&dir).expect("a folder");
            let link = format!("{dir}/{name}");
            match hard {
                true => fs::hard_link(&victim, &link).expect("a link"),
                false => symlink(&victim, &link).expect("a link"),
            }
            let refused = run(&["publish", "default", &dir]);
            assert_eq!(refused.status, 1, "{name} {hard}: {refused:?}");
            assert!(refused.err.contains(name), "{refused:?}");
            assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious\n");
        }
    }
}
