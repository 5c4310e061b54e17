//! What happens while requests come: tables good and bad, switches; and the load itself.

use hedgerow::table::format::rehash;
use hedgerow::table::format::{HASH_OFFSET, Header};
use hedgerow::watch::directory::FILES_VERSION;
use hedgerow::watch::{Directory, Origin, Pointer, PublishOptions, Publisher, time};
use hedgerow::{ContentId, DEFAULT_TABLE, Selector, Table};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const WAIT: Duration = Duration::from_secs(10);

/// The bundled table under another hash.
pub fn good(different: u8) -> Table {
    let mut bytes = DEFAULT_TABLE.to_vec();
    bytes[std::mem::offset_of!(Header, created_at)] ^= different;
    rehash(&mut bytes);
    Table::from_bytes(&bytes).expect("a good table")
}

/// Publishes a table to a directory. Returns its generation.
pub fn publish(directory: &Path, table: &Table) -> u64 {
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
    let before = Directory::new(directory).read_pointer().ok().flatten();
    let mut id = content_id(DEFAULT_TABLE);
    id.0[..4].copy_from_slice(&(turn as u32).to_be_bytes());
    place(
        directory,
        before.map_or(1, |pointer| pointer.generation),
        id,
        &bytes,
    );
}

/// The id that a table's header gives its content; of nothing but zeros if the table is too short.
pub fn content_id(table: &[u8]) -> ContentId {
    let hash = table.get(HASH_OFFSET..).and_then(<[u8]>::first_chunk);
    ContentId(hash.copied().unwrap_or_default())
}

/// Does what a broken exporter does: places bytes as a table, and points at them.
pub fn place(directory: &Path, generation: u64, content_id: ContentId, bytes: &[u8]) {
    replace(&Directory::new(directory).table(content_id), bytes);
    point(directory, generation, content_id, bytes.len() as u64);
}

/// Points at a table as a broken exporter does, which checks nothing.
pub fn point(directory: &Path, generation: u64, content_id: ContentId, bytes: u64) {
    let pointer = Pointer {
        version: FILES_VERSION,
        generation,
        bytes,
        from_generation: None,
        forced: false,
        at: time::now(),
        origin: Origin::here("broken exporter"),
        content_id,
    };
    let text = serde_json::to_vec(&pointer).expect("JSON");
    replace(&Directory::new(directory).active(), &text);
}

fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).expect("a file");
    std::fs::rename(&new, path).expect("a file");
}

/// wrk's own count of what failed must be none; the requests that it made.
pub fn wrk(port: u16, headers: &[&str], seconds: u64, close: bool) -> u64 {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c32", &format!("-d{seconds}"), "--timeout", "10"]);
    for header in headers {
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

/// Returns `true` if wrk is installed, after an attempt to install it.
pub fn has_wrk() -> bool {
    let there = || Command::new("wrk").arg("-v").output().is_ok();
    if !there() {
        let _ = { Command::new("apt-get") }
            .args(["install", "--yes", "--quiet", "wrk"])
            .output();
    }
    let there = there();
    if !there {
        crate::skipped("wrk is missing");
    }
    there
}

/// What was seen while the load ran.
#[derive(Debug, Default)]
pub struct Seen {
    /// Good tables published.
    pub published: u64,
    /// Bad tables placed.
    pub bad: u64,
    /// Kill switches flipped.
    pub flips: u64,
    /// Reloads of the host.
    pub reloads: u64,
}

/// Tables 20 times a second, every other one bad; the engine off and on; what `reload` does at a
/// turn, and says how often it did.
pub fn disturb(directory: &Path, stop: &AtomicBool, seen: &mut Seen, reload: impl Fn(u64) -> u64) {
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
        seen.reloads += reload(turn);
        let next = Duration::from_millis(50 * (turn + 1));
        std::thread::sleep(next.saturating_sub(start.elapsed()));
    }
    if off {
        switch(directory, false);
    }
}
