//! Writes the fixtures: what publishers and engines of this version leave in a directory.
//!
//! ```text
//! mkdir NEW
//! HEDGEROW_FIXTURES=NEW cargo test --test compatibility -- --ignored
//! ```
//! Run it under the release that the fixtures are to represent, and commit the result as a new
//! folder; existing fixtures are never rewritten. `unshare --uts` hides the name of the host.

use super::common::*;
use super::{KEY, SECRET, feature_rows};
use hedgerow::watch::ledger::{Event, Ledger, Record};
use hedgerow::watch::{
    Directory, DriftOptions, Origin, PublishOptions, Publisher, SecretKey, WatchStatus,
    WatchdogOptions,
};
use hedgerow::{Engine, Schema, Scorer, Selector, Table, WatchOptions, Watcher};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn publisher() -> Publisher {
    Publisher::create(Path::new("directory"), Duration::from_secs(10), "operator").unwrap()
}

fn publish(table: &Table, options: PublishOptions) -> u64 {
    let published = publisher().publish(table, &options).unwrap();
    published.pointer.generation
}

fn switch(selector: &str, off: bool) {
    let selector: Selector = selector.parse().unwrap();
    publisher().switch(&selector, off).unwrap();
}

fn signed(seed: u64) -> Table {
    let key = SecretKey::parse(SECRET, "fixture").unwrap();
    Table::from_bytes(&key.sign(&bytes(seed))).unwrap()
}

/// Waits until an engine's status is so, for ten seconds at most.
fn wait(watcher: &Watcher, so: impl Fn(&WatchStatus) -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !so(&watcher.status()) {
        assert!(Instant::now() < until, "{:?}", watcher.status());
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Engine `a` compares candidates with the running table; engine `b` takes them, and goes back.
fn engine(name: &str, compares: bool) -> (Watcher, Scorer) {
    let options = WatchOptions {
        poll: Duration::from_millis(2),
        settle: Duration::from_millis(50),
        drift: DriftOptions {
            enabled: compares,
            ..DriftOptions::default()
        },
        watchdog: WatchdogOptions {
            lasts: Duration::from_secs(30),
            rows_min: 200,
            ..WatchdogOptions::default()
        },
        state: Some(Directory::new("directory").engines().join(name)),
        name: name.into(),
        ..WatchOptions::default()
    };
    let engine = Engine::new(Schema::http());
    let watcher = Watcher::start(&engine, "directory", options).unwrap();
    (watcher, engine.scorer().unwrap())
}

fn traffic(scorer: &mut Scorer) {
    for row in feature_rows().iter().cycle().take(400) {
        let _ = scorer.score(row);
        scorer.stats().latency.record(20_000);
    }
}

#[test]
#[ignore = "writes new fixtures to the folder HEDGEROW_FIXTURES"]
fn write_fixtures() {
    let folder = std::env::var("HEDGEROW_FIXTURES").unwrap();
    std::env::set_current_dir(folder).unwrap();
    assert!(!Path::new("directory").exists());
    fs::write("trusted.pub", KEY).unwrap();
    let few = PublishOptions {
        keep: 2,
        ..PublishOptions::default()
    };
    // Nothing is published yet: the bundled table runs.
    drop(engine("a", true));
    publish(&table(1), few);
    publish(&signed(2), few);
    // The first segment of the ledger, as if it were full.
    let ledger = Ledger::of(Path::new("directory"));
    fs::rename(ledger.path(), "directory/ledger.000001.jsonl").unwrap();
    // The table of generation 1 is removed.
    publish(&table(3), few);
    switch("feature:ua_bot_word", true);
    switch("engine", true);
    switch("engine", false);
    publisher().shadow(&table(5), "removed", 1.0).unwrap();
    publisher().unshadow("removed").unwrap();
    // A publish that was announced by a process that ended.
    let announced = Record {
        generation: Some(4),
        content_id: Some(table(9).content_id()),
        ..Record::new(Event::Publish, &Origin::here("operator"))
    };
    ledger.append(&announced).unwrap();
    let (a, mut row_of_a) = engine("a", true);
    let (b, mut row_of_b) = engine("b", false);
    publisher().shadow(&table(5), "candidate", 0.5).unwrap();
    wait(&a, |status| status.shadows.iter().any(|shadow| shadow.runs));
    // Switches that no publisher writes: refused, and written again by the next publisher.
    let forged = "{\"version\":1,\"off\":[\"al\u{1b}l\"]}";
    replace(Path::new("directory/switches"), forged.as_bytes());
    for watcher in [&a, &b] {
        wait(watcher, |status| status.refusals.contains_key("switches"));
    }
    let back = publisher().rollback(Some(2), 8).unwrap();
    assert_eq!(back.pointer.generation, 5);
    let forced = PublishOptions {
        forced: true,
        ..PublishOptions::default()
    };
    assert_eq!(publish(&table(6), forced), 6);
    for watcher in [&a, &b] {
        wait(watcher, |status| status.generation == 6);
    }
    traffic(&mut row_of_a);
    traffic(&mut row_of_b);
    wait(&a, |status| {
        status.shadows.iter().any(|shadow| shadow.rows > 0)
    });
    // Engine a holds it in quarantine; engine b takes it, and goes back.
    assert_eq!(publish(&table(60), PublishOptions::default()), 7);
    wait(&a, |status| status.quarantines == 1);
    wait(&b, |status| status.generation == 7);
    traffic(&mut row_of_b);
    wait(&b, |status| status.reverts == 1);
    // Its health is replaced each second.
    std::thread::sleep(Duration::from_millis(1_200));
}
