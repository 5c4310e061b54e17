//! Under load: tables good and bad, switches, reloads, and not one request that fails.
//!
//! Six seconds, or `HEDGEROW_LOAD_SECONDS`: a minute is
//! `HEDGEROW_LOAD_SECONDS=60 cargo test --release -p hedgerow-capi --test nginx load`.

use crate::server::{Nginx, module, status};
use crate::{CURL, reached};
use hedgerow::table::build::rehash;
use hedgerow::table::format::{HASH_OFFSET, Header};
use hedgerow::watch::directory::FILES_VERSION;
use hedgerow::watch::{Directory, Origin, Pointer, PublishOptions, Publisher, moment};
use hedgerow::{DEFAULT_TABLE, Selector, Table};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(10);

fn seconds() -> u64 {
    let asked = std::env::var("HEDGEROW_LOAD_SECONDS");
    asked.ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// The bundled table under another hash.
fn good(different: u8) -> Table {
    let mut bytes = DEFAULT_TABLE.to_vec();
    bytes[std::mem::offset_of!(Header, created_at)] ^= different;
    rehash(&mut bytes);
    Table::from_bytes(&bytes).expect("a good table")
}

fn publish(directory: &Path, table: &Table) -> u64 {
    let publisher = Publisher::create(directory, WAIT, "load").expect("a directory");
    let published = publisher.publish(table, &PublishOptions::default());
    published.expect("a publish").pointer.generation
}

fn switch(directory: &Path, off: bool) {
    let publisher = Publisher::open(directory, WAIT, "load").expect("a directory");
    let switched = publisher.switch(&Selector::Engine, off);
    switched.expect("a switch");
}

/// Points at what no publisher would take: cut, flipped, empty, or of nothing but zeros.
fn place_bad(directory: &Path, turn: u64) {
    let mut bytes = DEFAULT_TABLE.to_vec();
    let flipped = 4_096 + turn as usize % 4_096;
    match turn % 4 {
        0 => bytes.truncate(bytes.len() / 2),
        1 => bytes[flipped] ^= 0x40,
        2 => bytes.truncate(0),
        _ => bytes.iter_mut().skip(64).for_each(|byte| *byte = 0),
    }
    let directory = Directory::new(directory);
    let before = directory.read_pointer().ok().flatten();
    let hash = DEFAULT_TABLE.get(HASH_OFFSET..HASH_OFFSET + 16);
    let mut content_id: String = { hash.unwrap_or_default().iter() }
        .map(|byte| format!("{byte:02x}"))
        .collect();
    content_id.replace_range(..8, &format!("{:08x}", turn as u32));
    let pointer = Pointer {
        version: FILES_VERSION,
        generation: before.map_or(1, |pointer| pointer.generation),
        bytes: bytes.len() as u64,
        from_generation: None,
        forced: false,
        at: moment::now(),
        origin: Origin::here("broken exporter"),
        content_id,
    };
    let replace = |path: &Path, bytes: &[u8]| {
        let new = path.with_extension("new");
        std::fs::write(&new, bytes).expect("a file");
        std::fs::rename(&new, path).expect("a file");
    };
    replace(&directory.table(&pointer.content_id), &bytes);
    let text = serde_json::to_vec(&pointer).expect("JSON");
    replace(&directory.active(), &text);
}

/// wrk's own count of what failed must be none; the requests that it made.
fn wrk(port: u16, seconds: u64, close: bool) -> u64 {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c32", &format!("-d{seconds}"), "--timeout", "10"]);
    for header in CURL {
        command.args(["-H", header]);
    }
    if close {
        command.args(["-H", "Connection: close"]);
    }
    let ran = command
        .arg(format!("http://127.0.0.1:{port}/"))
        .stderr(Stdio::inherit())
        .output()
        .expect("wrk runs");
    let text = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{text}");
    for failure in ["Socket errors", "Non-2xx"] {
        assert!(!text.contains(failure), "{text}");
    }
    let line = text.lines().find(|line| line.contains("requests in"));
    let requests = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    requests.unwrap_or_else(|| panic!("{text}"))
}

fn has_wrk() -> bool {
    let there = || Command::new("wrk").arg("-v").output().is_ok();
    if !there() {
        let _ = { Command::new("apt-get") }
            .args(["install", "--yes", "--quiet", "wrk"])
            .output();
    }
    let required = std::env::var("HEDGEROW_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    let there = there();
    assert!(there || !required, "wrk is missing");
    if !there {
        eprintln!("*** SKIPPED: wrk is missing ***");
    }
    there
}

/// What was seen while the load ran.
#[derive(Debug, Default)]
struct Seen {
    published: u64,
    bad: u64,
    flips: u64,
    reloads: u64,
    checked: u64,
    /// Checked verdicts: scores, and answers without one.
    scores: BTreeMap<String, u64>,
    generations: BTreeMap<String, u64>,
}

/// Tables 20 times a second, every other one bad; the engine off and on; reloads.
fn disturb(nginx: &Nginx, directory: &Path, reload: bool, stop: &AtomicBool, seen: &mut Seen) {
    let tables = [good(1), good(2)];
    let start = Instant::now();
    let mut off = false;
    for turn in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match turn % 2 {
            0 => {
                publish(directory, &tables[(turn / 2 % 2) as usize]);
                seen.published += 1;
            }
            _ => {
                place_bad(directory, turn);
                seen.bad += 1;
            }
        }
        if turn % 24 == 7 || turn % 24 == 15 {
            off = turn % 24 == 7;
            switch(directory, off);
            seen.flips += 1;
        }
        if reload && turn % 40 == 20 {
            nginx.reload();
            seen.reloads += 1;
        }
        let next = Duration::from_millis(50 * (turn + 1));
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    if off {
        switch(directory, false);
    }
}

/// One request after the other: each has the one right score, or none while the engine is off.
fn check(nginx: &Nginx, stop: &AtomicBool, seen: &mut Seen) {
    while !stop.load(Ordering::Relaxed) {
        let answer = nginx.get("/", CURL);
        assert_eq!(status(&answer), 200, "{answer}");
        let reached = reached(&answer);
        *seen.scores.entry(reached[0].clone()).or_default() += 1;
        *seen.generations.entry(reached[2].clone()).or_default() += 1;
        let expected = if reached[0].is_empty() {
            "not-scored"
        } else {
            "detection"
        };
        let ensemble = reached[1] == "ensemble" && !reached[0].is_empty();
        assert!(reached[1] == expected || ensemble, "{answer}");
        seen.checked += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn under_load(name: &str, reload: bool) {
    let Some(module) = module().filter(|_| has_wrk()) else {
        return;
    };
    let directory = hedgerow_capi::folder(&format!("{name}-tables")).expect("a folder");
    publish(&directory, &good(3));
    let top = format!(
        "bot_score on; bot_score_table {}; bot_score_state {};",
        directory.display(),
        directory.join("engines").display()
    );
    let nginx = Nginx::start(module, name, &top, "");
    let before = reached(&nginx.get("/", CURL));
    let stop = AtomicBool::new(false);
    let (mut disturbed, mut checked) = (Seen::default(), Seen::default());
    let requests = std::thread::scope(|scope| {
        scope.spawn(|| disturb(&nginx, &directory, reload, &stop, &mut disturbed));
        scope.spawn(|| check(&nginx, &stop, &mut checked));
        let load = scope.spawn(|| wrk(nginx.port, seconds(), reload));
        let requests = load.join();
        stop.store(true, Ordering::Relaxed);
        requests
    });
    let requests = requests.unwrap_or_else(|_| panic!("requests failed: {}", nginx.errors()));
    println!(
        "{requests} requests, none failed; {} good and {} bad tables, {} switches, {} reloads; \
         {} checked: scores {:?}, of {} generations",
        disturbed.published,
        disturbed.bad,
        disturbed.flips,
        disturbed.reloads,
        checked.checked,
        checked.scores,
        checked.generations.len()
    );
    assert!(requests > 1_000 && checked.checked > 20);
    assert!(disturbed.published > 10 && disturbed.bad > 10 && disturbed.flips >= 2);
    assert!(!reload || disturbed.reloads > 0);
    // All good tables give the one score; the others gave none.
    let scores: Vec<_> = { checked.scores.keys() }
        .filter(|score| !score.is_empty())
        .collect();
    assert_eq!(scores, [&before[0]], "{checked:?}");
    assert!(
        checked.scores.contains_key(""),
        "the switch did nothing: {checked:?}"
    );
    assert!(checked.generations.len() > 3, "{checked:?}");
    nginx.wait_for_error("refused");
    for bad in ["exited on signal", "[alert]", "[crit]", "[emerg]", "panic"] {
        assert!(!nginx.errors().contains(bad), "{bad}: {}", nginx.errors());
    }
    assert!(nginx.workers().len() >= 2);
}

#[test]
fn no_request_fails_under_load_while_tables_and_switches_change() {
    under_load("nginx-load", false);
}

/// A connection a request: nginx closes idle connections of workers that go, with or without us.
#[test]
fn no_request_fails_under_load_while_nginx_is_reloaded() {
    under_load("nginx-reload", true);
}
