//! A watched directory: what is published runs, what is bad does not, and what ran before stays.

#[path = "watch/common.rs"]
mod common;
#[path = "watch/drift.rs"]
mod drift;
#[path = "watch/following.rs"]
mod following;
#[path = "watch/restart.rs"]
mod restart;
#[path = "watch/shadows.rs"]
mod shadows;
#[path = "watch/steps.rs"]
mod steps;
#[path = "watch/switches.rs"]
mod switches;
#[path = "watch/watchdog.rs"]
mod watchdog;

use common::*;
use following::elsewhere;
use hedgerow::watch::ledger::{Event, Ledger};
use hedgerow::watch::publish::generations;
use hedgerow::watch::{Admission, Keys, PublishOptions, SecretKey, Source};
use hedgerow::{RefusalKind, Row, Table, WatchOptions, Watcher, watch};
use std::fs;

#[test]
fn what_is_published_runs_under_the_directorys_generation() {
    let place = Place::new("publishes");
    let watcher = place.watch();
    assert_eq!(watcher.status().source, Source::Bundled);
    let mut scorer = watcher.engine().scorer().unwrap();
    let bundled = scorer.score(&Row::MISSING);
    assert_eq!((bundled.generation(), bundled.score().is_some()), (0, true));
    for seed in 1..=4 {
        place.publish(seed);
        place.wait(&watcher, |status| status.generation == seed);
        let verdict = scorer.score(&Row::MISSING);
        assert_eq!(verdict.generation(), seed);
        assert_eq!(margin(&verdict), place.margin(seed));
        let stats = watcher.engine().stats();
        assert_eq!(
            (stats.generation, stats.content_id),
            (seed, Some(place.id(seed)))
        );
    }
    let status = watcher.status();
    assert_eq!((status.source, status.waiting), (Source::Directory, None));
    assert_eq!(status.publisher.unwrap().who, "tester");
    assert!(status.refusals.is_empty() && status.problems.is_empty());
    assert!(!status.headroom.is_empty());
}

#[test]
fn a_rollback_is_a_new_generation_and_two_go_back_two() {
    let place = Place::new("rollback");
    let watcher = place.watch();
    for seed in 1..=3 {
        place.publish(seed);
    }
    for (generation, seed) in [(4, 2), (5, 1)] {
        let rolled = place.publisher().rollback(None, 8).unwrap();
        assert_eq!(rolled.pointer.generation, generation);
        assert_eq!(rolled.pointer.from_generation, Some(seed));
        place.wait(&watcher, |status| status.generation == generation);
        assert_eq!(watcher.engine().stats().content_id, Some(place.id(seed)));
    }
    // Nothing is before the first; a generation that is there is taken, another is not.
    for to in [None, Some(9), Some(0)] {
        let refused = place.publisher().rollback(to, 8).unwrap_err();
        assert!(refused.is(RefusalKind::NoGeneration), "{refused}");
    }
    let rolled = place.publisher().rollback(Some(3), 8).unwrap();
    assert_eq!(rolled.pointer.content_id, place.id(3));
    place.wait(&watcher, |status| status.generation == 6);
    let history = place.ledger().read().unwrap();
    assert!(history.problems.is_empty());
    let pointer = place.directory().read_pointer().unwrap();
    let all = generations(&history.records, pointer.as_ref());
    let told: Vec<_> = all
        .iter()
        .map(|past| (past.generation, past.source))
        .collect();
    assert_eq!(told, [(1, 1), (2, 2), (3, 3), (4, 2), (5, 1), (6, 3)]);
    // The table of a generation that was damaged since is not gone back to.
    fs::write(place.directory().table(place.id(2)), b"damaged").unwrap();
    let refused = place.publisher().rollback(Some(2), 8).unwrap_err();
    assert_eq!(refused.name(), "magic");
    assert_eq!(place.directory().read_pointer().unwrap(), pointer);
}

#[test]
fn generations_go_forward_whatever_the_pointer_says() {
    let place = Place::new("forward");
    let watcher = place.watch();
    for seed in 1..=3 {
        place.publish(seed);
    }
    place.wait(&watcher, |status| status.generation == 3);
    // An older pointer put back by hand, and another table under the same number.
    for (generation, seed) in [(2, 2), (1, 1), (3, 2)] {
        place.point(generation, seed);
        place.wait(&watcher, |status| {
            let waiting = status.waiting.as_ref();
            waiting.is_some_and(|waiting| waiting.refused && waiting.generation == generation)
                && status.last_refusals[0].content_id == Some(place.id(seed))
        });
        let status = watcher.status();
        assert_eq!(status.last_refusals[0].reason.code(), 603);
        assert_eq!(
            (status.generation, status.content_id),
            (3, Some(place.id(3)))
        );
    }
    place.point(3, 3);
    place.wait(&watcher, |status| status.waiting.is_none());
    // A directory that was made anew counts on from above.
    let options = PublishOptions {
        above: 10,
        ..PublishOptions::default()
    };
    let published = place.publisher().publish(&table(4), &options).unwrap();
    assert_eq!(published.pointer.generation, 11);
    place.wait(&watcher, |status| status.generation == 11);
}

#[test]
fn the_clock_decides_nothing() {
    let place = Place::new("clock");
    let watcher = place.watch();
    place.publish(1);
    // As if written in the far future, by a clock that has jumped back since.
    let mut pointer = place.directory().read_pointer().unwrap().unwrap();
    pointer.at = "2999-01-01T00:00:00.000Z".into();
    place.write_pointer(&pointer);
    let text = fs::read_to_string(place.ledger().path()).unwrap();
    let year = &text[7..11];
    fs::write(place.ledger().path(), text.replacen(year, "2999", 1)).unwrap();
    for path in [
        place.directory().active(),
        place.directory().table(place.id(1)),
    ] {
        let future = std::time::SystemTime::now() + std::time::Duration::from_secs(1 << 28);
        fs::File::options()
            .append(true)
            .open(path)
            .unwrap()
            .set_modified(future)
            .unwrap();
    }
    place.publish(2);
    place.wait(&watcher, |status| status.generation == 2);
    let rolled = place.publisher().rollback(None, 8).unwrap();
    assert_eq!(
        (rolled.pointer.generation, rolled.pointer.content_id),
        (3, place.id(1))
    );
    place.wait(&watcher, |status| status.generation == 3);
}

#[test]
fn old_tables_go_and_the_last_two_good_ones_never() {
    let place = Place::new("prune");
    let options = PublishOptions {
        keep: 2,
        ..PublishOptions::default()
    };
    for seed in 1..=5 {
        let published = place.publisher().publish(&table(seed), &options).unwrap();
        let want = if seed > 2 {
            vec![place.id(seed - 2)]
        } else {
            Vec::new()
        };
        assert_eq!(published.pruned, want);
    }
    // The same table over and over is one: the one before it stays.
    for _ in 0..4 {
        place.publisher().publish(&table(5), &options).unwrap();
    }
    let there = |seed| place.directory().table(place.id(seed)).exists();
    assert_eq!(
        [1, 2, 3, 4, 5].map(there),
        [false, false, false, true, true]
    );
    assert_eq!(
        place
            .publisher()
            .rollback(None, 2)
            .unwrap()
            .pointer
            .content_id,
        place.id(4)
    );

    // What an engine runs stays, though engines refuse all that came after it.
    let engine = Place::new("prune-engine");
    let key = SecretKey::new("ops").unwrap();
    let watcher = engine.watch_with(WatchOptions {
        state: Some(engine.directory().engines().join("a")),
        admission: Admission {
            keys: Keys::new(vec![key.public()], true),
            kernel: None,
        },
        ..engine.options()
    });
    let signed = Table::from_bytes(&key.sign(&bytes(1))).unwrap();
    engine.publisher().publish(&signed, &options).unwrap();
    engine.wait(&watcher, |status| status.generation == 1);
    // Publishers go by what the engine has written, which comes after what it says here.
    engine.wait(&watcher, |_| {
        let engines = watch::status::engines(engine.directory());
        let mut good = engines.iter().flat_map(|(_, engine)| &engine.good);
        good.any(|good| good.generation == 1)
    });
    for seed in 2..=5 {
        engine.publisher().publish(&table(seed), &options).unwrap();
    }
    assert!(engine.directory().table(engine.id(1)).exists());
    assert!(!engine.directory().table(engine.id(3)).exists());
    // A ledger that was lost takes no table with it that could be gone back to.
    fs::remove_file(place.ledger().path()).unwrap();
    let published = place.publisher().publish(&table(6), &options).unwrap();
    assert_eq!(published.pruned, [place.id(5)]);
}

#[test]
fn ten_thousand_stale_files_are_neither_read_nor_listed_by_the_watch() {
    let place = Place::new("stale");
    place.publish(1);
    for number in 0..10_000 {
        let path = place
            .directory()
            .tables()
            .join(format!("{number:032x}.hedge"));
        fs::write(path, b"stale").unwrap();
    }
    let watcher = place.watch();
    assert_eq!(watcher.status().generation, 1);
    assert!(watcher.status().refusals.is_empty());
    let published = place.publish(2);
    assert_eq!(published.pruned.len(), 10_000 + 2 - 8);
    place.wait(&watcher, |status| status.generation == 2);
    assert!(place.directory().table(place.id(1)).exists());
}

#[test]
fn a_lost_or_damaged_ledger_is_told_and_made_up_for() {
    let place = Place::new("ledger");
    place.publish(1);
    place.publish(2);
    fs::remove_file(place.ledger().path()).unwrap();
    assert_eq!(place.publish(3).pointer.generation, 3);
    let records = place.ledger().read().unwrap().records;
    let told: Vec<_> = records
        .iter()
        .map(|record| record.generation.unwrap())
        .collect();
    assert_eq!(told, [2, 3]);
    assert!(
        records[0]
            .note
            .as_ref()
            .unwrap()
            .contains("from the pointer")
    );
    // A torn line, as a killed writer leaves it.
    let whole = fs::read(place.ledger().path()).unwrap();
    fs::write(place.ledger().path(), &whole[..whole.len() - 20]).unwrap();
    let published = place.publish(4);
    assert_eq!(published.pointer.generation, 4);
    assert_eq!(published.warnings.len(), 1, "{:?}", published.warnings);
    let records = place.ledger().read().unwrap().records;
    assert!(records.iter().any(|record| record.event == Event::Repair));
    let all = generations(&records, None);
    let told: Vec<_> = all.iter().map(|past| past.generation).collect();
    assert_eq!(told, [2, 3, 4]);
}

#[test]
fn what_was_announced_and_never_came_is_marked_and_its_number_not_used_again() {
    let place = Place::new("abandoned");
    place.publish(1);
    place
        .publisher()
        .switch(&"ensemble".parse().unwrap(), true)
        .unwrap();
    let files = [place.directory().active(), place.directory().switches()];
    let before = files.clone().map(|file| fs::read(file).unwrap());
    place.publish(2);
    place
        .publisher()
        .switch(&"engine".parse().unwrap(), true)
        .unwrap();
    // As a publisher leaves it that was killed between its announcements and the renames.
    files
        .iter()
        .zip(&before)
        .for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    fs::write(place.directory().root().join(".active.partial"), b"{").unwrap();
    let partial = place.directory().tables().join(".x.hedge.partial");
    fs::write(&partial, b"{").unwrap();
    assert_eq!(place.publish(3).pointer.generation, 3);
    assert!(!partial.exists());
    let records = place.ledger().read().unwrap().records;
    let events: Vec<_> = records
        .iter()
        .map(|record| (record.event, record.generation))
        .collect();
    use Event::{Abandon, Kill, Publish};
    let want = [
        (Publish, Some(1)),
        (Kill, None),
        (Publish, Some(2)),
        (Kill, None),
        (Abandon, Some(2)),
        (Abandon, None),
        (Publish, Some(3)),
    ];
    assert_eq!(events, want);
    let pointer = place.directory().read_pointer().unwrap();
    let all = generations(&records, pointer.as_ref());
    let told: Vec<_> = all.iter().map(|past| past.generation).collect();
    assert_eq!(told, [1, 3]);
    let file = place.directory().read_switches().unwrap().unwrap();
    assert_eq!((file.off, file.change), (vec!["ensemble".to_string()], 1));
    // Once is enough.
    place.publish(4);
    let abandons = Ledger::of(place.directory().root()).read().unwrap().records;
    let abandons = abandons.iter().filter(|record| record.event == Abandon);
    assert_eq!(abandons.count(), 2);
}

#[test]
fn a_lost_pointer_takes_no_history_with_it() {
    let place = Place::new("lost-pointer");
    (1..=3).for_each(|seed| _ = place.publish(seed));
    fs::remove_file(place.directory().active()).unwrap();
    let numbers = || -> Vec<u64> {
        let all = place.publisher().generations();
        all.iter().map(|past| past.generation).collect()
    };
    assert_eq!(numbers(), [1, 2, 3]);
    let warned = place.publisher().switch(&"engine".parse().unwrap(), true);
    assert!(warned.unwrap().warnings[0].contains("the pointer was lost"));
    // What is older than the last generation does not follow it.
    let there = elsewhere(2, &table(4));
    let refused = place.publisher().follow(&table(4), &there).unwrap_err();
    assert!(refused.is(RefusalKind::Generation), "{refused}");
    // A host that starts meanwhile runs the last one.
    let watcher = place.watch();
    assert_eq!(watcher.status().generation, 3);
    let rolled = place.publisher().rollback(None, 8).unwrap().pointer;
    assert_eq!((rolled.generation, rolled.from_generation), (4, Some(2)));
    assert_eq!(numbers(), [1, 2, 3, 4]);
    place.wait(&watcher, |status| status.generation == 4);
}

#[test]
fn a_first_publish_counts_without_its_pointer_where_an_engine_has_taken_it() {
    let place = Place::new("lost-first-pointer");
    place.publish(1);
    let lose = || fs::remove_file(place.directory().active()).unwrap();
    let state = place.directory().engines().join("a");
    drop(place.watch_with(WatchOptions {
        state: Some(state.clone()),
        ..place.options()
    }));
    lose();
    assert_eq!(place.publisher().generations().len(), 1);
    // Nobody has: it may be that it never came about.
    fs::remove_dir_all(state).unwrap();
    assert_eq!(place.publisher().generations().len(), 0);
}

#[test]
fn one_publisher_at_a_time_and_a_second_waits_or_says_who() {
    let place = Place::new("lock");
    let first = place.publisher();
    let wait = std::time::Duration::from_millis(50);
    let second = hedgerow::watch::Publisher::open(place.directory().root(), wait, "other");
    let refused = second.unwrap_err();
    assert!(refused.is(RefusalKind::Busy), "{refused}");
    assert!(refused.got().contains("tester@"), "{refused}");
    drop(first);
    place.publish(1);
    let file = place.directory().root().join("lock");
    let nowhere = hedgerow::watch::Publisher::open(&file, wait, "other").unwrap_err();
    assert!(nowhere.is(RefusalKind::Directory), "{nowhere}");
}

#[test]
fn a_bad_file_that_waits_costs_one_line_and_no_verdict() {
    let place = Place::new("million");
    let lines = lines_of(place.directory().root());
    let watcher = place.watch();
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 1);
    let mut scorer = watcher.engine().scorer().unwrap();
    let want = place.margin(1);
    let mut timed = |nanos: &mut Vec<u64>| {
        let start = std::time::Instant::now();
        let verdict = scorer.score(&Row::MISSING);
        nanos.push(start.elapsed().as_nanos() as u64);
        assert_eq!((verdict.generation(), margin(&verdict)), (1, want));
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    // Unoptimised code takes minutes for a million.
    let million = if cfg!(debug_assertions) {
        20_000
    } else {
        1_000_000
    };
    (0..million).for_each(|_| timed(&mut alone));
    place.damage(2, |bytes| bytes[600] ^= 1);
    let (mut scores, mut points) = (0u64, 3);
    while scores < million {
        // The same bad file comes again and again, under new numbers.
        if scores % (million / 20) == 0 {
            place.point(points, 2);
            points += 1;
            place.wait(&watcher, |status| {
                status
                    .waiting
                    .as_ref()
                    .is_some_and(|waiting| waiting.refused && waiting.generation == points - 1)
            });
        }
        timed(&mut beside);
        scores += 1;
    }
    // The 99th percentile stays where it was, but for what clocks and other processes add.
    let p99 = |nanos: &mut Vec<u64>| {
        nanos.sort_unstable();
        nanos[nanos.len() * 99 / 100]
    };
    let (alone, beside) = (p99(&mut alone), p99(&mut beside));
    println!("p99 of a score: {alone} ns without, {beside} ns with a bad file that waits");
    assert!(beside <= 2 * alone + 1_000, "{beside} ns after {alone} ns");
    let status = watcher.status();
    assert!(
        status.refusals["content-hash"] >= 20,
        "{:?}",
        status.refusals
    );
    assert_eq!(status.last_refusals.len(), 1);
    assert!(watcher.engine().stats().refused(RefusalKind::ContentHash) >= 20);
    assert_eq!(watcher.engine().stats().rows.scored, 2 * million);
    drop(watcher);
    let said = lines();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("content-hash"), "{said:?}");
}

#[test]
fn what_a_refusal_tells_forges_no_line_and_outgrows_no_status() {
    let place = Place::new("forged");
    let lines = lines_of(place.directory().root());
    let state = place.directory().engines().join("a");
    let watcher = place.watch_with(WatchOptions {
        state: Some(state.clone()),
        ..place.options()
    });
    // What stands in the pointer comes back in the words of its refusal.
    let controls = "\\u0001".repeat(5_000);
    for number in 1..=16 {
        let bad = format!("{{\"\\nforged {number} {controls}\": 1}}");
        replace(&place.directory().active(), bad.as_bytes());
        place.wait(&watcher, |status| status.last_refusals.len() == number);
    }
    drop(watcher);
    let told = watch::status::read(&state).expect("a status that can be read");
    assert_eq!(told.last_refusals.len(), 16);
    let said = lines();
    assert!(said.len() >= 16, "{}", said.len());
    let controls = |line: &String| line.chars().any(char::is_control);
    assert!(!said.iter().any(controls), "{said:?}");
}

#[test]
fn a_panic_on_a_control_thread_would_leave_the_host_alone() {
    // The watch of a directory that cannot be is no failure either: the host has its table.
    let place = Place::new("nowhere");
    let watcher = Watcher::start(
        &place.engine(),
        place.directory().root().join("lock/below/a/file\0"),
        WatchOptions::default(),
    );
    let watcher = watcher.unwrap();
    assert_eq!(watcher.status().source, Source::Bundled);
    assert!(!watcher.status().problems.is_empty());
    let mut scorer = watcher.engine().scorer().unwrap();
    assert!(scorer.score(&Row::MISSING).score().is_some());
}
