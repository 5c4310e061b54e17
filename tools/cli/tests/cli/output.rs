//! Output files are whole or not there; pipes may close; devices are written to.

use super::common::*;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

const REQUEST: &str = "{\"headers\":[[\"User-Agent\",\"curl/8.5.0\"]]}\n";

/// Each command that writes a file, with all but the output's name.
fn writers(folder: &Folder) -> Vec<Vec<String>> {
    let table = folder.table();
    let model = folder.file("model.json", MODEL);
    let rows = folder.file("rows.csv", "f0,f1,f2,f3\n1,2,3,4\n");
    let requests = folder.file("r.ndjson", REQUEST);
    let own = |args: &[&str]| args.iter().map(ToString::to_string).collect();
    vec![
        own(&["compile", &model, "--positive", "human", "-o"]),
        own(&["score", &table, &rows, "-o"]),
        own(&["extract", &requests, "-o"]),
    ]
}

fn write(writer: &[String], output: &str) -> Outcome {
    let mut args: Vec<&str> = writer.iter().map(String::as_str).collect();
    args.push(output);
    run(&args)
}

#[test]
fn outputs_go_to_files_devices_and_links() {
    let folder = Folder::new("output-good");
    for writer in writers(&folder) {
        let output = folder.path("out");
        write(&writer, &output).done();
        let whole = fs::read(&output).unwrap();
        // Over an old file, whose permissions stay.
        fs::write(&output, "old").unwrap();
        fs::set_permissions(&output, fs::Permissions::from_mode(0o600)).unwrap();
        write(&writer, &output).done();
        assert_eq!(fs::read(&output).unwrap().len(), whole.len());
        let mode = fs::metadata(&output).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Through a link, which stays one.
        let link = folder.path("link");
        symlink(&output, &link).unwrap();
        write(&writer, &link).done();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // The longest name that a file can have.
        write(&writer, &folder.path(&"n".repeat(255))).done();
        write(&writer, "/dev/null").done();
        for name in ["link", "out"] {
            fs::remove_file(folder.path(name)).unwrap();
        }
        assert!(!folder.names().iter().any(|name| name.contains("partial")));
    }
}

#[test]
fn outputs_that_cannot_be_written_are_refused() {
    let folder = Folder::new("output-bad");
    for writer in writers(&folder) {
        let before = folder.names();
        write(&writer, &folder.path("")).refused(&["directory"]);
        write(&writer, &folder.path("no/such/folder/out")).refused(&["No such file"]);
        write(&writer, "/proc/out").refused(&["/proc/out"]);
        write(&writer, "").usage(&["--output"]);
        write(&writer, &folder.path(&"n".repeat(256))).refused(&["too long"]);
        write(&writer, &folder.path("r.ndjson/out")).refused(&["Not a directory"]);
        write(&writer, "/dev/full").refused(&["/dev/full", "No space left"]);
        assert_eq!(folder.names(), before);
    }
}

#[test]
fn a_name_left_by_a_killed_process_is_no_obstacle() {
    let folder = Folder::new("output-left");
    let writer = &writers(&folder)[0];
    // Whatever number the process gets: a script tells it, and becomes the command.
    let script = format!(
        "cd {} && echo left > .hedgerow-$$-0.partial && exec {} {} out.hedge",
        folder.path(""),
        env!("CARGO_BIN_EXE_hedgerow"),
        writer.join(" ")
    );
    let status = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    run(&["verify", &folder.path("out.hedge")]).done();
}

#[test]
fn the_systems_name_for_standard_output_means_it() {
    let folder = Folder::new("output-stdout");
    let [_, score, extract] = &writers(&folder)[..] else {
        panic!("three writers");
    };
    for writer in [score, extract] {
        let text = write(writer, "/dev/stdout").done();
        assert_eq!(text, write(writer, "-").done());
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}

#[test]
fn names_that_are_no_text_are_taken() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new("output-bytes");
    let requests = folder.file("r.ndjson", REQUEST);
    let output = std::ffi::OsStr::from_bytes(b"\xff.csv");
    let run = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(["extract", &requests, "--json", "-o"])
        .arg(output)
        .current_dir(folder.path(""))
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
}

#[test]
fn what_is_read_is_never_written_over() {
    let folder = Folder::new("output-same");
    for writer in writers(&folder) {
        let inputs = writer.iter().filter(|word| word.contains("output-same"));
        for input in inputs {
            let before = fs::read(input).unwrap();
            let link = folder.path("link");
            symlink(input, &link).unwrap();
            for name in [input, &link] {
                write(&writer, name).refused(&[name.as_str(), "the same file as"]);
            }
            fs::remove_file(link).unwrap();
            assert_eq!(fs::read(input).unwrap(), before);
        }
    }
    let key = folder.path("ops.key");
    run(&["key", "new", &key]).done();
    run(&["sign", "default", "--key", &key, "-o", &key]).refused(&["the same file as"]);
    run(&["key", "show", &key]).done();
}

/// Reads a little, closes the pipe, and returns the exit status and the complaints.
fn head(args: &[&str]) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let _ = stdout.read(&mut [0; 10]);
    drop(stdout);
    let mut err = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut err)
        .unwrap();
    (child.wait().unwrap().code().expect("no signal"), err)
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let folder = Folder::new("output-pipe");
    let requests = folder.file("r.ndjson", REQUEST.repeat(20_000));
    let rows = folder.file(
        "rows.csv",
        format!("f0,f1,f2,f3\n{}", "1,2,3,4\n".repeat(50_000)),
    );
    let table = folder.table();
    for args in [
        &["extract", &requests][..],
        &["extract", &requests, "--json"],
        &["score", &table, &rows],
        &["score", &table, &rows, "--json"],
        &["inspect", "default"],
        &["limits"],
        &["--help"],
    ] {
        assert_eq!(head(args), (0, String::new()), "{args:?}");
    }
    // What failed still fails where nobody reads it.
    let bad = folder.file("bad.hedge", "bad");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
        .args(["verify", &bad, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_full_disk_behind_standard_output_is_a_failure() {
    let folder = Folder::new("output-full");
    let requests = folder.file("r.ndjson", REQUEST);
    for args in [
        &["limits"][..],
        &["limits", "--json"],
        &["extract", &requests],
        &["extract", &requests, "--json"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
            .args(args)
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains("No space left"),
            "{args:?}"
        );
    }
}
