//! A disk that is full, a directory that cannot be written, and permissions that are taken away.

use super::engine::Engine;
use super::place::{Place, rounds};
use hedgerow_testkit::skipped;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A small file system of a test's own, unmounted with it.
struct Mounted(String);

impl Mounted {
    fn new(at: &Path, bytes: u64) -> Option<Mounted> {
        fs::create_dir_all(at).unwrap();
        let at = at.to_str().unwrap().to_string();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs", &at])
            .output();
        mounted.ok()?.status.success().then_some(Mounted(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk() {
    let rounds = rounds("HEDGEROW_FULL_DISKS", 40, 400);
    let own = Place::new("full-disk");
    let at = own.folder().join("small");
    let Some(_mounted) = Mounted::new(&at, 1 << 20) else {
        return skipped("a full disk: no permission to mount a small file system");
    };
    let place = Place::at(own.folder().to_path_buf(), at.join("watched"));
    place.publish("even");
    let mut engine = Engine::start(&place);
    engine.until(|line| line.generation() == 1);
    let (mut refused, mut done, mut last) = (0u64, 0u64, 1u64);
    for round in 0..rounds {
        // From no room at all to room for all but the last step, a page at a time.
        let filler = at.join("filler");
        let free = (round % 44) * 4_096;
        let _ = fs::remove_file(&filler);
        fill(&filler, free);
        let name = if round % 2 == 0 { "odd" } else { "even" };
        let _ = fs::remove_file(place.table_path("odd"));
        let output = place.run(&["publish", &place.table(name), place.dir(), "--json"]);
        let now = place
            .directory()
            .read_pointer()
            .unwrap()
            .unwrap()
            .generation;
        if output.status.success() {
            done += 1;
            assert!(now > last);
        } else {
            refused += 1;
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(said.contains("\"name\":\"directory\""), "{said}");
            assert_eq!(now, last, "{said}");
        }
        last = now;
        let left = fs::read_dir(place.path("tables")).unwrap();
        let left = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().contains("partial")
        });
        assert_eq!(left.count(), 0, "something half-written stays");
    }
    fs::remove_file(at.join("filler")).unwrap();
    let last = place.publish("even");
    engine.until(|line| line.generation() == last);
    assert!(refused > 0 && done > 0, "{refused} refused, {done} done");
    engine.end(&place);
    println!("a full disk: {rounds} times; {refused} refused, {done} had room enough");
}

/// Fills the file system of a file, up to so many bytes.
fn fill(filler: &Path, free: u64) {
    use std::io::Write;
    let mut file = fs::File::create(filler).unwrap();
    while file.write_all(&[1; 4_096]).is_ok() {}
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(free)).unwrap();
}

/// A user without any right.
const NOBODY: [&str; 5] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
];

fn nobody_can(args: &[&str]) -> bool {
    let tried = Command::new(NOBODY[0])
        .args(&NOBODY[1..])
        .args(args)
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// A place that another user can reach: the build's folder may be private.
fn open_place(name: &str) -> Place {
    let folder = std::env::temp_dir().join(format!("hedgerow-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.join("watched");
    Place::at(folder, root)
}

#[test]
fn a_directory_that_cannot_be_written_serves_its_readers() {
    let place = open_place("read-only");
    place.publish("even");
    if !nobody_can(&["test", "-x", super::engine::path()]) {
        return skipped("a read-only directory: no setpriv, or no other user");
    }
    let mut engine = Engine::start_under(&place, &NOBODY, &[]);
    engine.until(|line| line.generation() == 1);
    let generation = place.publish("odd");
    engine.until(|line| line.generation() == generation);
    // A user who may not write is told so, and changes nothing.
    for args in [&["rollback"][..], &["kill"]] {
        let command = env!("CARGO_BIN_EXE_hedgerow");
        let mut args = [args, &[place.dir()]].concat();
        if args[0] == "kill" {
            args.push("engine");
        }
        let refused = Command::new(NOBODY[0])
            .args(&NOBODY[1..])
            .arg(command)
            .args(&args)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(said.contains("the directory cannot be used"), "{said}");
    }
    engine.end(&place);
    println!("a read-only directory: once, with an engine and two publishers of another user");
}

#[test]
fn permissions_taken_away_and_given_back() {
    let rounds = rounds("HEDGEROW_PERMISSIONS", 5, 50);
    let place = open_place("permissions");
    place.publish("even");
    if !nobody_can(&["test", "-x", super::engine::path()]) {
        return skipped("permissions taken away: no setpriv, or no other user");
    }
    let mut engine = Engine::start_under(&place, &NOBODY, &[]);
    engine.until(|line| line.generation() == 1);
    let set = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for round in 0..rounds {
        let before = engine.last().generation();
        let all = [place.path("active"), place.path("tables"), place.path("")];
        let path = &all[round as usize % all.len()];
        let mode = fs::metadata(path).unwrap().permissions().mode();
        set(path, 0);
        let name = if round % 2 == 0 { "odd" } else { "even" };
        // A new pointer would bring its own permissions.
        let generation = match round as usize % all.len() {
            0 => before,
            _ => place.publish(name),
        };
        engine.until(|line| {
            let problems = line.json["status"]["problems"].as_object();
            let waits = line.json["status"]["waiting"].is_object();
            waits || problems.is_some_and(|problems| !problems.is_empty())
        });
        assert_eq!(engine.last().generation(), before);
        set(path, mode & 0o777);
        engine.until(|line| {
            let problems = line.json["status"]["problems"].as_object();
            line.generation() == generation && problems.is_some_and(|all| all.is_empty())
        });
    }
    engine.end(&place);
    println!("permissions taken away and given back: {rounds} times");
}
