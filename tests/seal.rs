//! What happens to a table's file after it was opened reaches no reader, and no path hangs.

mod common;
#[path = "gate/tables.rs"]
mod tables;

use common::{Random, random_row};
use hedgerow::{Engine, PreparedTable, RefusalKind, Row, Table};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tables::{mixed, plain, plain_table, schema, table, with_golden};

/// A directory of a test's own that goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("hedgerow-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Place(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
}

/// Waits until a counter has moved so far.
fn wait_past(counter: &AtomicU64, more: u64) {
    let (start, until) = (
        counter.load(Ordering::SeqCst),
        Instant::now() + Duration::from_secs(30),
    );
    while counter.load(Ordering::SeqCst) < start + more {
        assert!(Instant::now() < until, "the reader stands still");
        std::thread::yield_now();
    }
}

#[test]
fn scoring_goes_on_while_the_file_is_truncated_rewritten_and_deleted() {
    let place = Place::new("under-a-reader");
    let path = place.join("live.hedge");
    let ensemble = mixed(6, 40);
    let bytes = table(&ensemble, &with_golden(&ensemble, 8));
    fs::write(&path, &bytes).expect("a file");
    let engine = Engine::new(schema(&ensemble));
    let generation = engine
        .publish(Table::open(&path).expect("a table"))
        .expect("published");
    let mut random = Random::new(5);
    let rows: Vec<_> = (0..64)
        .map(|_| random_row(&ensemble, &mut random))
        .collect();
    let (stop, scored) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let mut scorer = engine.scorer().expect("a slot");
        let mut score = move |row: &Vec<f32>| scorer.score(&Row::from_slice(row));
        let first: Vec<_> = rows.iter().map(&mut score).collect();
        assert!(
            first
                .iter()
                .all(|verdict| verdict.generation() == generation)
        );
        let (rows, stop, scored) = (&rows, &stop, &scored);
        let reader = scope.spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                for (row, first) in rows.iter().zip(&first) {
                    assert_eq!(score(row), *first);
                }
                scored.fetch_add(rows.len() as u64, Ordering::SeqCst);
            }
        });
        let damage: [&dyn Fn(); 6] = [
            &|| wait_past(scored, 1),
            &|| {
                File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(100)
                    .unwrap()
            },
            &|| {
                File::options()
                    .write(true)
                    .open(&path)
                    .unwrap()
                    .set_len(0)
                    .unwrap()
            },
            &|| fs::write(&path, vec![0xff; bytes.len()]).unwrap(),
            &|| fs::write(&path, plain_table()).unwrap(),
            &|| fs::remove_file(&path).unwrap(),
        ];
        for damage in damage {
            damage();
            wait_past(scored, 640);
        }
        stop.store(true, Ordering::SeqCst);
        reader
            .join()
            .expect("a reader that saw the same scores throughout");
    });
}

/// The lines of this process's memory map that hold sealed tables.
fn table_maps() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("a memory map");
    let ours = maps
        .lines()
        .filter(|line| line.contains("/memfd:hedgerow-table"));
    ours.map(String::from).collect()
}

#[test]
fn mapping_can_be_read_and_nothing_else() {
    let opened = Table::from_bytes(&plain_table()).expect("a table");
    let address = opened.bytes().as_ptr() as usize;
    let start = |line: &str| {
        let start = line.split('-').next().unwrap_or_default();
        usize::from_str_radix(start, 16).unwrap_or_default()
    };
    let maps = table_maps();
    let own = maps.iter().find(|line| start(line) == address);
    let own = own.unwrap_or_else(|| panic!("no mapping at {address:x} in {maps:#?}"));
    assert_eq!(own.split_whitespace().nth(1), Some("r--p"), "{own}");
    assert!(maps.iter().all(|line| line.contains(" r--p ")), "{maps:#?}");
    // No descriptor is left through which the memory could be reached.
    for entry in fs::read_dir("/proc/self/fd")
        .expect("descriptors")
        .flatten()
    {
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let name = target.to_string_lossy().into_owned();
        // Another test may be in the middle of sealing; its descriptor is gone soon.
        let until = Instant::now() + Duration::from_secs(10);
        while name.contains("hedgerow-table")
            && fs::read_link(entry.path()).ok() == Some(target.clone())
        {
            assert!(Instant::now() < until, "{name} stays open");
            std::thread::yield_now();
        }
    }
    // The way back to the file behind a mapping: closed to most, and sealed to all.
    let range = own.split_whitespace().next().unwrap_or_default();
    let link = format!("/proc/self/map_files/{range}");
    if let Ok(mut file) = File::options().write(true).open(link) {
        let error = file.write_all(b"x").expect_err("a sealed file");
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::PERM.raw_os_error())
        );
        assert!(file.set_len(1).is_err() && file.set_len(1 << 20).is_err());
    }
    assert_eq!(opened.bytes(), plain_table());
}

#[test]
fn mapping_goes_with_the_table() {
    let opened = Table::from_bytes(&plain_table()).expect("a table");
    let address = format!("{:x}-", opened.bytes().as_ptr() as usize);
    let mapped = |line: &String| line.starts_with(&address);
    assert!(table_maps().iter().any(mapped));
    drop(opened);
    let kept = table_maps();
    // Another test's table may have taken the same address meanwhile; then there is one, not two.
    assert!(
        kept.iter().filter(|line| mapped(line)).count() <= 1,
        "{kept:#?}"
    );
}

#[test]
fn pipes_directories_and_devices_are_refused_without_waiting() {
    let place = Place::new("no-files");
    fifo(&place.join("pipe"));
    std::os::unix::fs::symlink(place.join("pipe"), place.join("link")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(place.join("socket")).expect("a socket");
    let devices = ["/dev/zero", "/dev/null", "/dev/urandom"].map(PathBuf::from);
    let own = ["pipe", "link", "socket", "."].map(|name| place.join(name));
    let start = Instant::now();
    for path in own.iter().chain(&devices) {
        let refused = Table::open(path).expect_err("a refusal");
        assert_eq!(refused.name(), "io", "{}: {refused}", path.display());
        assert_eq!(
            (refused.expected(), refused.got()),
            ("a regular file", "something else")
        );
    }
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// A path that is a file when it is asked about, and a pipe when it is opened.
#[test]
fn path_that_turns_into_a_pipe_does_not_hang() {
    let place = Place::new("turning");
    let (path, file, pipe) = (
        place.join("x.hedge"),
        place.join("file"),
        place.join("pipe"),
    );
    fs::write(&path, plain_table()).expect("a file");
    let (stop, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                fifo(&pipe);
                fs::rename(&pipe, &path).expect("a pipe in its place");
                fs::write(&file, plain_table()).expect("a file");
                fs::rename(&file, &path).expect("a file in its place");
                turns.fetch_add(1, Ordering::SeqCst);
            }
        });
        let done = AtomicBool::new(false);
        let opened = scope.spawn(|| {
            let until = Instant::now() + Duration::from_secs(2);
            let (mut good, mut refused) = (0u64, 0u64);
            while Instant::now() < until {
                match Table::open(&path) {
                    Ok(_) => good += 1,
                    Err(error) if error.is(RefusalKind::Io) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
            }
            (good, refused)
        });
        let until = Instant::now() + Duration::from_secs(30);
        while !opened.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        if !opened.is_finished() {
            // A writer lets the reader go, so that the test can end and say so.
            stop.store(true, Ordering::SeqCst);
            let _ = fs::remove_file(&path);
            done.store(true, Ordering::SeqCst);
            eprintln!("an open of a pipe hangs");
            std::process::exit(1);
        }
        stop.store(true, Ordering::SeqCst);
        let (good, refused) = opened.join().expect("an opener");
        println!(
            "{good} opened, {refused} refused, {} turns",
            turns.load(Ordering::SeqCst)
        );
        assert!(good > 0 && turns.load(Ordering::SeqCst) > 0);
    });
}

#[test]
fn file_that_grows_while_it_is_read() {
    let place = Place::new("growing");
    let path = place.join("x.hedge");
    let ensemble = mixed(6, 40);
    let bytes = table(&ensemble, &with_golden(&ensemble, 8));
    fs::write(&path, &bytes).expect("a file");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().write(true).open(&path).expect("the file");
            let len = bytes.len() as u64;
            while !stop.load(Ordering::SeqCst) {
                file.seek(std::io::SeekFrom::Start(len)).expect("a place");
                file.write_all(&[1]).expect("a byte more");
                file.set_len(len - 1).expect("a byte less");
                file.set_len(len).expect("as it was, with a zero");
            }
        });
        let mut counts = std::collections::BTreeMap::<_, u32>::new();
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            let outcome = match Table::open(&path) {
                Ok(opened) => {
                    assert!(opened.bytes() == bytes, "a table that nobody wrote");
                    "opened"
                }
                Err(refused) => match refused.name() {
                    "changing" => "changing",
                    "truncated" => "truncated",
                    "trailing-bytes" => "trailing-bytes",
                    "content-hash" => "content-hash",
                    _ => panic!("{refused}"),
                },
            };
            *counts.entry(outcome).or_default() += 1;
        }
        stop.store(true, Ordering::SeqCst);
        println!("{counts:?}");
        assert!(counts.len() > 1, "{counts:?}");
    });
}

#[test]
fn file_needs_no_write_permission() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("read-only");
    let path = place.join("x.hedge");
    fs::write(&path, plain_table()).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("read-only");
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o500)).expect("read-only");
    let opened = Table::open(&path);
    fs::set_permissions(&place.0, fs::Permissions::from_mode(0o700)).expect("writable again");
    let prepared = PreparedTable::new(opened.expect("a table"), &schema(&plain()));
    prepared.expect("a prepared table");
}
