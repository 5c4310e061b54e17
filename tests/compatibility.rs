//! Directories, ledgers and engine states that former versions wrote are read as they were meant.
//!
//! The fixtures are never rewritten: see `compatibility/write.rs`.

#[path = "watch/common.rs"]
#[allow(dead_code, reason = "each test takes what it needs")]
mod common;
#[path = "compatibility/write.rs"]
mod write;

use common::*;
use hedgerow::watch::directory::{Pointer, ShadowsFile, SwitchesFile};
use hedgerow::watch::ledger::{Event, Ledger, Record};
use hedgerow::watch::publish::generations;
use hedgerow::watch::watchdog::Health;
use hedgerow::watch::{
    Admission, Directory, Keys, PublicKey, SecretKey, Source, WatchStatus, status,
};
use hedgerow::{ContentId, Row, Selector, Table, WatchOptions, Watcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::{Path, PathBuf};

/// The key that signed the fixtures' table of seed 2. It signs nothing else.
pub const SECRET: &str = "hedgerow-secret-key-1 fixture \
    0707070707070707070707070707070707070707070707070707070707070707\n";
/// Its public half.
pub const KEY: &str = "hedgerow-public-key-1 fixture \
    ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c\n";

/// Rows that the tables of `common::ensemble` score in two ways.
pub fn feature_rows() -> Vec<Row> {
    let above = Row::from_slice(&[0.0, 3.0, 0.0, 0.0]);
    vec![Row::MISSING, above]
}

/// The content hashes of the fixtures' tables, by seed.
const TABLES: [(u64, &str); 5] = [
    (2, "21dade4f5acab96157a51eaf004a9b95"),
    (3, "4b016486589abd60dec5807f24414cc3"),
    (5, "6ec86d4c327406474c34382e72c0b2ad"),
    (6, "33d321b6d721cb50a15dc6aded83333b"),
    (60, "74264bf3e0a57d1fb83319384343a9c9"),
];

fn id(seed: u64) -> ContentId {
    let mut tables = TABLES.iter();
    let (_, id) = tables.find(|(of, _)| *of == seed).unwrap();
    id.parse().unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/watch-1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap(), to.to_path_buf());
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = fs::copy(entry.path(), to).unwrap(),
        }
    }
}

/// A copy of the fixtures' directory.
fn place(name: &str) -> Place {
    let place = Place::new(&format!("compatibility-{name}"));
    copy(&fixtures().join("directory"), place.directory().root());
    place
}

fn engine(place: &Place, name: &str) -> Watcher {
    place.watch_with(WatchOptions {
        state: Some(place.directory().engines().join(name)),
        ..place.options()
    })
}

/// Reads a text, and checks that it is written as it was: no field is lost, renamed or added.
fn same<T: Serialize + DeserializeOwned>(text: &[u8]) -> T {
    let read: T = serde_json::from_slice(text).unwrap();
    let was: serde_json::Value = serde_json::from_slice(text).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), was);
    read
}

#[test]
fn files_are_read_and_written_alike() {
    let root = fixtures().join("directory");
    let read = |path: &str| fs::read(root.join(path)).unwrap();
    let pointer: Pointer = same(&read("active"));
    assert_eq!((pointer.generation, pointer.content_id), (7, id(60)));
    let switches: SwitchesFile = same(&read("switches"));
    assert_eq!(switches.off, ["feature:ua_bot_word"]);
    let shadows: ShadowsFile = same(&read("shadows"));
    assert_eq!(shadows.shadows[0].name, "candidate");
    let directory = Directory::new(&root);
    assert_eq!(directory.read_pointer(), Ok(Some(pointer)));
    assert_eq!(directory.read_switches(), Ok(Some(switches)));
    assert_eq!(directory.read_shadows(), Ok(Some(shadows)));
    let ledgers = ["ledger.000001.jsonl", "ledger.jsonl"];
    let engines = ["engines/a/ledger.jsonl", "engines/b/ledger.jsonl"];
    let mut events = Vec::new();
    for path in ledgers.iter().chain(&engines) {
        for line in read(path).split_inclusive(|byte| *byte == b'\n') {
            events.push(same::<Record>(line).event.name());
        }
    }
    events.sort_unstable();
    events.dedup();
    let all = [
        "abandon",
        "admit",
        "fallback",
        "kill",
        "prune",
        "publish",
        "quarantine",
        "refuse",
        "repair",
        "restore",
        "revert",
        "rollback",
        "shadow",
        "switch",
        "unshadow",
    ];
    assert_eq!(events, all);
    for name in ["a", "b"] {
        let health: Health = same(&read(&format!("engines/{name}/health")));
        assert_eq!(health.generation, 6);
        let _: WatchStatus = same(&read(&format!("engines/{name}/status")));
    }
}

#[test]
fn the_history_is_the_one_that_was_published() {
    let root = fixtures().join("directory");
    let history = Ledger::of(&root).read().unwrap();
    assert_eq!(history.problems, [""; 0]);
    let pointer = Directory::new(&root).read_pointer().unwrap();
    let all = generations(&history.records, pointer.as_ref());
    let all = all
        .iter()
        .map(|past| (past.generation, past.source, past.content_id));
    let removed = "e4dbc0ce222466e1f080d8c8a8314e2c".parse().unwrap();
    let want = [
        (1, 1, removed),
        (2, 2, id(2)),
        (3, 3, id(3)),
        (5, 2, id(2)),
        (6, 6, id(6)),
        (7, 7, id(60)),
    ];
    assert_eq!(all.collect::<Vec<_>>(), want);
}

#[test]
fn the_status_says_what_was_refused_held_back_and_reverted() {
    let engines = status::engines(&Directory::new(fixtures().join("directory")));
    let [(folder, a), (_, b)] = engines.as_slice() else {
        panic!("{engines:?}");
    };
    assert!(folder.ends_with("engines/a") && !status::is_alive(folder));
    let good = |status: &WatchStatus| -> Vec<(u64, ContentId)> {
        let good = status.good.iter();
        good.map(|good| (good.generation, good.content_id))
            .collect()
    };
    let want = [(6, id(6)), (3, id(3))];
    assert_eq!(good(a), want);
    assert_eq!(good(b), want[..1]);
    for status in [a, b] {
        assert_eq!(status.refusals["signature-key"], 1);
        assert_eq!(status.refusals["switches"], 1);
        let codes = status
            .last_refusals
            .iter()
            .map(|refused| refused.reason.code());
        assert_eq!(codes.collect::<Vec<_>>(), [209, 604]);
        assert_eq!(status.switches, ["feature:ua_bot_word"]);
        assert_eq!((status.generation, status.content_id), (6, Some(id(6))));
        assert_eq!(status.waiting.as_ref().unwrap().generation, 7);
    }
    assert_eq!(
        (a.source, a.quarantines, a.reverts),
        (Source::Directory, 1, 0)
    );
    assert_eq!(a.quarantined[0].drift.over.len(), 2);
    assert_eq!(
        (b.source, b.quarantines, b.reverts),
        (Source::Reverted, 0, 1)
    );
    assert_eq!((b.reverted[0].generation, b.reverted[0].to), (7, 6));
    assert_eq!(
        b.reverted[0].watching.over,
        ["a stability index of at most 0.5"]
    );
}

#[test]
fn an_engine_restarts_on_the_state_of_the_one_before() {
    for (name, quarantined) in [("a", true), ("b", false)] {
        let place = place(&format!("restart-{name}"));
        let watcher = engine(&place, name);
        let status = watcher.status();
        // The pointer's table is held back, or was gone back from: the last good one runs.
        assert_eq!(
            (status.source, status.generation),
            (Source::Kept, 6),
            "{name}"
        );
        assert_eq!(status.content_id, Some(id(6)));
        let waiting = status.waiting.unwrap();
        assert_eq!((waiting.generation, waiting.quarantined), (7, quarantined));
        let mut scorer = watcher.engine().scorer().unwrap();
        assert_eq!(margin(&scorer.score(&Row::MISSING)), place.margin(6));
        let off = watcher.engine().stats().switches;
        assert!(off.is_off(&"feature:ua_bot_word".parse().unwrap()) && off.len() == 1);
        // A new generation is taken as usual.
        assert_eq!(place.publish_table(&table(7), true), 8);
        place.wait(&watcher, |status| status.generation == 8);
    }
}

#[test]
fn an_engine_restarts_on_its_copies_where_the_directory_is_gone() {
    let place = place("copies");
    for gone in ["tables", "active", "switches", "shadows", "ledger.jsonl"] {
        let gone = place.directory().root().join(gone);
        match gone.is_dir() {
            true => fs::remove_dir_all(gone).unwrap(),
            false => fs::remove_file(gone).unwrap(),
        }
    }
    let watcher = engine(&place, "a");
    let status = watcher.status();
    assert_eq!((status.source, status.generation), (Source::Kept, 6));
    assert_eq!(status.switches, ["feature:ua_bot_word"]);
}

#[test]
fn an_engine_without_a_state_follows_the_directory() {
    let place = place("follows");
    let watcher = place.watch();
    let status = watcher.status();
    assert_eq!((status.source, status.generation), (Source::Directory, 7));
    assert_eq!(status.switches, ["feature:ua_bot_word"]);
    place.wait(&watcher, |status| {
        status
            .shadows
            .iter()
            .any(|shadow| shadow.name == "candidate" && shadow.runs)
    });
    assert!(watcher.status().refusals.is_empty());
}

#[test]
fn a_publisher_continues_where_the_last_one_ended() {
    let place = place("publisher");
    let rolled = place.publisher().rollback(None, 8).unwrap();
    // Of the generations before: 7 runs, and is in quarantine.
    assert_eq!(
        (rolled.pointer.generation, rolled.pointer.from_generation),
        (8, Some(6))
    );
    assert_eq!(rolled.pointer.content_id, id(6));
    assert_eq!(rolled.warnings, [""; 0]);
    let rolled = place.publisher().rollback(None, 8).unwrap();
    assert_eq!(
        (rolled.pointer.generation, rolled.pointer.from_generation),
        (9, Some(2))
    );
    let off: Selector = "feature:ua_bot_word".parse().unwrap();
    let switched = place.publisher().switch(&off, false).unwrap();
    assert_eq!((switched.file.change, switched.file.off.len()), (7, 0));
    let promoted = place.publisher().promote("candidate", 8).unwrap();
    assert_eq!(
        (promoted.pointer.generation, promoted.pointer.content_id),
        (10, id(5))
    );
    let all = place.ledger().read().unwrap();
    assert_eq!(all.problems, [""; 0]);
    assert_eq!(
        all.records
            .iter()
            .filter(|record| record.event == Event::Repair)
            .count(),
        1
    );
}

#[test]
fn switches_that_are_lost_are_found_in_the_ledger() {
    let place = place("switches");
    fs::remove_file(place.directory().switches()).unwrap();
    drop(place.publisher());
    let file = place.directory().read_switches().unwrap().unwrap();
    assert_eq!(
        (file.change, file.off),
        (3, vec!["feature:ua_bot_word".to_string()])
    );
}

#[test]
fn a_signature_is_still_one_and_keys_are_read() {
    let secret = SecretKey::parse(SECRET, "secret").unwrap();
    let text = fs::read_to_string(fixtures().join("trusted.pub")).unwrap();
    let key = PublicKey::parse(&text, "trusted.pub").unwrap();
    assert_eq!((secret.public(), text.as_str()), (key.clone(), KEY));
    assert_eq!(secret.secret_text(), SECRET);
    let directory = Directory::new(fixtures().join("directory"));
    let keys = Keys::new(vec![key], true);
    let file = fs::read(directory.table(id(2))).unwrap();
    assert_eq!(keys.check(&file), Ok(()));
    let unsigned = fs::read(directory.table(id(3))).unwrap();
    assert!(keys.check(&unsigned).is_err());
    assert_eq!(secret.sign(&file), file);
    let place = place("signed");
    let admission = Admission {
        keys,
        ..Admission::default()
    };
    let path = place.directory().table(id(2));
    assert!(admission.admit(&place.engine(), &path, Some(id(2))).is_ok());
}

#[test]
fn tables_are_opened_under_their_content_hash() {
    let directory = Directory::new(fixtures().join("directory"));
    for (seed, text) in TABLES {
        let id = id(seed);
        assert_eq!(id.to_string(), text);
        let table = Table::open(directory.table(id)).unwrap();
        assert_eq!(table.content_id(), id);
    }
}
