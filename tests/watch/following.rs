//! A directory that is kept in step with a fleet, and tables that are numbered by their maker.

use super::common::*;
use hedgerow::RefusalKind;
use hedgerow::model::{BuildOptions, build};
use hedgerow::watch::directory::{FILES_VERSION, Pointer, SwitchesFile};
use hedgerow::watch::ledger::{Event, Record};
use hedgerow::watch::{Admission, Keys, Origin, PublishOptions, SecretKey};
use hedgerow::{Table, WatchOptions};

/// The table of a seed, numbered by its maker.
fn numbered(seed: u64, generation: u64) -> Table {
    let options = BuildOptions {
        generation,
        golden: vec![vec![f32::NAN; 4], vec![3.0; 4]],
        ..BuildOptions::default()
    };
    Table::from_bytes(&build(&ensemble(seed), &options).unwrap().bytes).unwrap()
}

pub fn elsewhere(generation: u64, table: &Table) -> Pointer {
    Pointer {
        version: FILES_VERSION,
        generation,
        content_id: table.content_id(),
        bytes: table.byte_count() as u64,
        from_generation: None,
        forced: false,
        at: "2026-11-26T00:00:00Z".into(),
        origin: Origin::here("fleet"),
    }
}

#[test]
fn a_table_that_is_older_than_the_running_one_comes_back_by_rollback_alone() {
    let place = Place::new("replayed");
    let publish = |table: &Table| place.publisher().publish(table, &PublishOptions::default());
    let state = place.directory().engines().join("one");
    let options = || WatchOptions {
        state: Some(state.clone()),
        ..place.options()
    };
    let watcher = place.watch_with(options());
    publish(&numbered(1, 7)).unwrap();
    publish(&numbered(2, 8)).unwrap();
    place.wait(&watcher, |status| status.generation == 2);
    // The publisher refuses, and has written nothing.
    for older in [numbered(1, 7), numbered(3, 0)] {
        let refused = publish(&older).unwrap_err();
        assert!(refused.is(RefusalKind::Replayed), "{refused}");
        assert!(
            refused.to_string().contains("numbered 8 or above"),
            "{refused}"
        );
    }
    // By a force and out of the shadows engines would refuse it too.
    let told = place.publisher().force(Some(1), 8).unwrap_err();
    assert!(told.is(RefusalKind::Replayed), "{told}");
    place
        .publisher()
        .shadow(&numbered(3, 0), "old", 1.0)
        .unwrap();
    let told = place.publisher().promote("old", 8).unwrap_err();
    assert!(told.is(RefusalKind::Replayed), "{told}");
    // Whoever writes past the publisher is refused by the engine, also after a restart.
    let mut pointer = elsewhere(9, &numbered(1, 7));
    place.write_pointer(&pointer);
    let refused = |status: &hedgerow::watch::WatchStatus| {
        status.refusals.get("replayed") == Some(&1) && status.generation == 2
    };
    place.wait(&watcher, refused);
    drop(watcher);
    let watcher = place.watch_with(options());
    place.wait(&watcher, refused);
    // A rollback may, and what follows it is held against the table that was gone back to.
    pointer.generation = 10;
    place.write_pointer(&pointer);
    place.wait(&watcher, |status| {
        status.refusals.get("replayed") == Some(&2)
    });
    place.publisher().rollback(Some(1), 8).unwrap();
    place.wait(&watcher, |status| {
        status.content_id == Some(numbered(1, 7).content_id())
    });
    publish(&numbered(2, 8)).unwrap();
    place.wait(&watcher, |status| {
        status.content_id == Some(numbered(2, 8).content_id())
    });
}

#[test]
fn a_directory_takes_the_numbers_of_the_fleet_and_none_twice() {
    let place = Place::new("followed");
    let watcher = place.watch();
    let (one, two) = (table(1), table(2));
    let follow = |generation, table: &Table| {
        place
            .publisher()
            .follow(table, &elsewhere(generation, table))
    };
    follow(5, &one).unwrap();
    place.wait(&watcher, |status| status.generation == 5);
    for generation in [4, 5] {
        let refused = follow(generation, &two).unwrap_err();
        assert!(refused.is(RefusalKind::Generation), "{refused}");
    }
    // Its publisher was killed between the announcement and the pointer.
    let announced = Record {
        generation: Some(9),
        content_id: Some(two.content_id()),
        ..Record::new(Event::Publish, &Origin::here("fleet"))
    };
    place.ledger().append(&announced).unwrap();
    follow(9, &two).unwrap();
    place.wait(&watcher, |status| status.generation == 9);
    let all = place.publisher().generations();
    let numbers: Vec<u64> = all.iter().map(|past| past.generation).collect();
    assert_eq!(numbers, [5, 9]);
    assert_eq!(
        place
            .publisher()
            .rollback(None, 8)
            .unwrap()
            .pointer
            .from_generation,
        Some(5)
    );
    // A pointer that was lost is made again under the generation that it had.
    std::fs::remove_file(place.directory().active()).unwrap();
    follow(10, &one).unwrap();
    assert_eq!(place.publisher().generation(), 10);
}

#[test]
fn switches_follow_as_a_whole() {
    let place = Place::new("followed-switches");
    let file = |change, off: &[&str]| SwitchesFile {
        version: FILES_VERSION,
        change,
        off: off.iter().map(ToString::to_string).collect(),
        at: "2026-11-26T00:00:00Z".into(),
        origin: Origin::here("fleet"),
    };
    place.publish(1);
    let watcher = place.watch();
    let follow = |there: &SwitchesFile| place.publisher().follow_switches(there);
    follow(&file(3, &["ensemble", "feature:tls_version"])).unwrap();
    place.wait(&watcher, |status| status.switches.len() == 2);
    follow(&file(4, &["engine"])).unwrap();
    place.wait(&watcher, |status| status.switches == ["engine"]);
    for stale in [file(4, &[]), file(1, &[])] {
        let refused = follow(&stale).unwrap_err();
        assert!(refused.is(RefusalKind::Switches), "{refused}");
    }
    assert!(follow(&file(5, &["all"])).is_err());
    // The ledger has each, so that a file that is lost is made again as it was.
    std::fs::remove_file(place.directory().switches()).unwrap();
    drop(place.publisher());
    place.wait(&watcher, |status| status.switches == ["engine"]);
    follow(&file(5, &[])).unwrap();
    place.wait(&watcher, |status| status.switches.is_empty());
}

#[test]
fn keys_are_changed_one_after_the_other() {
    let (old, new) = (
        SecretKey::new("old").unwrap(),
        SecretKey::new("new").unwrap(),
    );
    let place = Place::new("rotated");
    let with = |trusted: Vec<_>| WatchOptions {
        admission: Admission {
            keys: Keys::new(trusted, true),
            kernel: None,
        },
        ..place.options()
    };
    let signed = |key: &SecretKey, seed| Table::from_bytes(&key.sign(&bytes(seed))).unwrap();
    let publish = |table: &Table| {
        let options = PublishOptions::default();
        place
            .publisher()
            .publish(table, &options)
            .unwrap()
            .pointer
            .generation
    };
    // Engines trust both for a while; then tables are signed by the new one; then the old one goes.
    let both = place.watch_with(with(vec![old.public(), new.public()]));
    for (key, seed) in [(&old, 1), (&new, 2)] {
        let generation = publish(&signed(key, seed));
        place.wait(&both, |status| status.generation == generation);
    }
    drop(both);
    let after = place.watch_with(with(vec![new.public()]));
    publish(&signed(&old, 3));
    place.wait(&after, |status| {
        let last = status.last_refusals.first();
        let told = last.map(|last| (last.reason.name(), last.reason.expected()));
        status.generation == 2 && told == Some(("signature-key", "a signature by one of: new"))
    });
    let generation = publish(&signed(&new, 3));
    place.wait(&after, |status| status.generation == generation);
}
