//! A restart comes up on the last known good, whatever has become of the newest.

use super::common::*;
use hedgerow::watch::{Fallback, Source, WatchStatus, WatchdogOptions, status};
use hedgerow::{Reason, Row, Verdict, WatchOptions, Watcher};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A name, and what it does.
type Damage = (&'static str, fn(&Place));

/// What can become of the newest file.
fn damages() -> Vec<Damage> {
    vec![
        ("corrupt", |place| place.damage(2, |bytes| bytes[700] ^= 4)),
        ("missing", |place| {
            fs::remove_file(place.directory().table(place.id(2))).unwrap();
        }),
        ("truncated", |place| {
            place.damage(2, |bytes| bytes.truncate(300))
        }),
        ("empty", |place| place.damage(2, Vec::clear)),
        ("oversized", |place| {
            let path = place.directory().table(place.id(2));
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_len(hedgerow::limits::TABLE_BYTES_MAX as u64 + 1)
                .unwrap();
        }),
        ("pointer", |place| {
            fs::write(place.directory().active(), b"{\"version\":1").unwrap()
        }),
        ("no-pointer", |place| {
            fs::remove_file(place.directory().active()).unwrap()
        }),
    ]
}

fn with_state(place: &Place, state: &Path) -> WatchOptions {
    WatchOptions {
        state: Some(state.to_path_buf()),
        ..place.options()
    }
}

#[test]
fn by_the_ledger_where_the_engine_has_no_state() {
    for (name, damage) in damages() {
        let place = Place::new(&format!("restart-ledger-{name}"));
        place.publish(1);
        place.publish(2);
        damage(&place);
        // A publisher that comes by costs no history.
        drop(place.publisher());
        let watcher = place.watch();
        let status = watcher.status();
        // A pointer that is gone takes no table with it: the newest of the ledger is good.
        let want = if name.contains("pointer") { 2 } else { 1 };
        assert_eq!(
            (status.source, status.generation),
            (Source::Ledger, want),
            "{name}"
        );
        let mut scorer = watcher.engine().scorer().unwrap();
        assert_eq!(margin(&scorer.score(&Row::MISSING)), place.margin(want));
        assert!(!status.refusals.is_empty() || status.waiting.is_some() || name == "no-pointer");
        place.publish(3);
        place.wait(&watcher, |status| status.generation == 3);
    }
}

#[test]
fn by_its_own_state_even_where_the_directory_is_gone() {
    let mut all = damages();
    all.push(("gone", |place| {
        fs::remove_dir_all(place.directory().root()).unwrap()
    }));
    for (name, damage) in all {
        let place = Place::new(&format!("restart-state-{name}"));
        let of_state = Place::new(&format!("restart-state-{name}-own"));
        let state = of_state.directory().root().join("deep/state");
        place.publish(1);
        let watcher = place.watch_with(with_state(&place, &state));
        place.publish(2);
        place.wait(&watcher, |status| status.generation == 2);
        drop(watcher);
        damage(&place);
        let watcher = place.watch_with(with_state(&place, &state));
        let status = watcher.status();
        assert_eq!(
            (status.source, status.generation),
            (Source::Kept, 2),
            "{name}"
        );
        let mut scorer = watcher.engine().scorer().unwrap();
        assert_eq!(
            margin(&scorer.score(&Row::MISSING)),
            place.margin(2),
            "{name}"
        );
        // The copy itself may be damaged too: then the one before.
        drop(watcher);
        let copy = state.join(format!("good/{}.hedge", place.id(2)));
        fs::write(copy, b"damaged").unwrap();
        let watcher = place.watch_with(with_state(&place, &state));
        let status = watcher.status();
        assert_eq!(
            (status.source, status.generation),
            (Source::Kept, 1),
            "{name}"
        );
    }
}

#[test]
fn an_engine_remembers_how_far_it_was() {
    let place = Place::new("restart-forward");
    let of_state = Place::new("restart-forward-own");
    let state = of_state.directory().root().join("state");
    let watcher = place.watch_with(with_state(&place, &state));
    for seed in 1..=3 {
        place.publish(seed);
        place.wait(&watcher, |status| status.generation == seed);
    }
    drop(watcher);
    place.point(2, 2);
    let watcher = place.watch_with(with_state(&place, &state));
    let status = watcher.status();
    assert_eq!((status.source, status.generation), (Source::Kept, 3));
    assert_eq!(status.last_refusals[0].reason.code(), 603);
    drop(watcher);
    place.point(3, 3);
    let watcher = place.watch_with(with_state(&place, &state));
    assert_eq!(watcher.status().source, Source::Directory);
}

#[test]
fn with_nothing_at_all_on_the_bundled_table_or_on_none() {
    let place = Place::new("restart-nothing");
    let watcher = place.watch();
    let status = watcher.status();
    assert_eq!((status.source, status.generation), (Source::Bundled, 0));
    let mut scorer = watcher.engine().scorer().unwrap();
    assert_eq!(margin(&scorer.score(&Row::MISSING)), bundled_margin());
    let none = place.watch_with(WatchOptions {
        fallback: Fallback::NoTable,
        ..place.options()
    });
    assert_eq!(none.status().source, Source::None);
    let mut scorer = none.engine().scorer().unwrap();
    let verdict = scorer.score(&Row::MISSING);
    assert!(matches!(verdict, Verdict::NotScored(not) if not.reason == Reason::NoTable));
    place.publish(1);
    place.wait(&none, |status| status.generation == 1);
    assert!(scorer.score(&Row::MISSING).score().is_some());
    // A bad first publish leaves both on what they have.
    let bad = Place::new("restart-nothing-bad");
    bad.publish(1);
    bad.damage(1, |bytes| bytes[600] ^= 1);
    let watcher = bad.watch();
    assert_eq!(watcher.status().source, Source::Bundled);
    assert!(
        watcher
            .status()
            .waiting
            .is_some_and(|waiting| waiting.refused)
    );
}

#[test]
fn one_engine_at_a_time_writes_to_a_state_and_a_second_runs_without() {
    let place = Place::new("state-two");
    let of_state = Place::new("state-two-own");
    let state = of_state.directory().root().join("state");
    place.publish(1);
    let first = place.watch_with(with_state(&place, &state));
    let second = place.watch_with(with_state(&place, &state));
    assert_eq!(
        (first.status().generation, second.status().generation),
        (1, 1)
    );
    assert!(first.status().problems.is_empty());
    assert_eq!(second.status().problems["state"].code(), 611);
    drop(first);
    place.wait(&second, |status| status.problems.is_empty());
    assert!(hedgerow::watch::status::is_alive(&state));
    drop(second);
    assert!(!hedgerow::watch::status::is_alive(&state));
    // A state that cannot be written is a problem, and no more.
    let file = of_state.directory().root().join("file");
    fs::write(&file, b"").unwrap();
    let watcher = place.watch_with(with_state(&place, &file.join("state")));
    assert_eq!(watcher.status().generation, 1);
    assert!(watcher.status().problems.contains_key("state"));
}

#[test]
fn what_a_start_writes_first_forgets_nothing() {
    let place = Place::new("restart-first");
    let state = place.directory().engines().join("a");
    for seed in 1..=2 {
        place.publish(seed);
        drop(place.watch_with(with_state(&place, &state)));
    }
    let ensemble = "ensemble".parse().unwrap();
    place.publisher().switch(&ensemble, true).unwrap();
    let root = place.directory().root().to_path_buf();
    // The status as a process would leave it that is killed before its table is live.
    let (told, seen) = std::sync::mpsc::channel();
    let _ = lines_of(place.directory().root());
    let folder = state.clone();
    on_lines(move |line| {
        if line.contains(root.to_str().unwrap()) && line.contains(": runs generation") {
            let _ = told.send(status::read(&folder));
        }
    });
    let watcher = place.watch_with(with_state(&place, &state));
    let first = seen.try_recv().unwrap().unwrap();
    assert_eq!((first.source, first.switches.len()), (Source::None, 1));
    let good = |status: &WatchStatus| status.good.iter().map(|good| good.generation).collect();
    let (first, now): (Vec<u64>, Vec<u64>) = (good(&first), good(&watcher.status()));
    assert_eq!((&first[..], &now[..]), (&[2, 1][..], &[2, 1][..]));
}

#[test]
fn what_a_state_had_no_room_for_is_written_once_there_is_some() {
    let place = Place::new("state-room");
    let state = place.directory().engines().join("a");
    let publish = |watcher: &Watcher, seed| {
        place.publish(seed);
        place.wait(watcher, |status| status.generation == seed);
    };
    place.publish(1);
    // Without a watchdog, which has something to say of its own all the time.
    let watchdog = WatchdogOptions {
        lasts: Duration::ZERO,
        ..WatchdogOptions::default()
    };
    let watcher = place.watch_with(WatchOptions {
        watchdog,
        ..with_state(&place, &state)
    });
    // A folder in a file's place keeps it from being replaced, as a full disk does.
    let file = state.join("status");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    publish(&watcher, 2);
    place.wait(&watcher, |status| status.problems.contains_key("state"));
    std::thread::sleep(Duration::from_millis(100));
    fs::remove_dir(&file).unwrap();
    place.wait(&watcher, |status| status.problems.is_empty());
    assert_eq!(status::read(&state).unwrap().generation, 2);

    let copy = |seed| state.join(format!("good/{}.hedge", place.id(seed)));
    let copies = || [1, 2, 3, 4].map(|seed| copy(seed).is_file());
    assert_eq!(copies(), [true, true, false, false]);
    fs::create_dir(copy(3)).unwrap();
    publish(&watcher, 3);
    place.wait(&watcher, |status| status.problems.contains_key("copies"));
    // What is noted and kept meanwhile takes away neither the problem nor an older copy.
    publish(&watcher, 4);
    place.wait(&watcher, |_| copies()[3]);
    std::thread::sleep(Duration::from_millis(50));
    assert!(watcher.status().problems.contains_key("copies"));
    assert_eq!(copies(), [true, true, false, true]);
    fs::remove_dir(copy(3)).unwrap();
    place.wait(&watcher, |status| status.problems.is_empty());
    assert_eq!(copies(), [false, false, true, true]);
}
