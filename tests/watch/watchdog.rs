//! A table that passed everything and turns out wrong: the engine goes back by itself.

use super::common::*;
use hedgerow::watch::ledger::{Event, Ledger};
use hedgerow::watch::watchdog::Health;
use hedgerow::watch::{DriftOptions, Source, WatchdogOptions, status};
use hedgerow::{Row, Scorer, WatchOptions, Watcher};
use std::path::PathBuf;
use std::time::Duration;

const ROWS: u64 = 200;

fn state(place: &Place) -> PathBuf {
    place.directory().engines().join("a")
}

/// Nothing is held back, so that the watchdog is all there is.
fn options(place: &Place, lasts: Duration) -> WatchOptions {
    WatchOptions {
        drift: DriftOptions {
            enabled: false,
            ..DriftOptions::default()
        },
        watchdog: WatchdogOptions {
            lasts,
            rows_min: ROWS,
            ..WatchdogOptions::default()
        },
        state: Some(state(place)),
        ..place.options()
    }
}

/// An engine that runs the bundled table as generation 1, and its scorer.
fn running(place: &Place, lasts: Duration) -> (Watcher, Scorer) {
    let watcher = place.watch_with(options(place, lasts));
    place.publish_table(&default_table(), false);
    place.wait(&watcher, |status| status.generation == 1);
    let scorer = watcher.engine().scorer().unwrap();
    (watcher, scorer)
}

const LONG: Duration = Duration::from_secs(30);

/// Traffic: so many rows, each of which takes this long.
fn traffic(scorer: &mut Scorer, rows: u64, micros: u64) {
    for row in real_rows().iter().cycle().take(rows as usize) {
        let _ = scorer.score(row);
        scorer.stats().latency.record(1_000 * micros);
    }
}

fn publish(place: &Place, watcher: &Watcher, table: &hedgerow::Table, forced: bool) -> u64 {
    let generation = place.publish_table(table, forced);
    place.wait(watcher, |status| status.generation == generation);
    generation
}

#[test]
fn what_was_seen_of_late_is_told_beside_the_state() {
    let place = Place::new("watchdog-health");
    let (watcher, mut scorer) = running(&place, LONG);
    let seen = |so: &dyn Fn(&Health) -> bool| {
        let told = || status::health(&state(&place));
        place.wait(&watcher, |_| told().is_some_and(|health| so(&health)));
        told().unwrap()
    };
    traffic(&mut scorer, 3 * ROWS, 10);
    (0..ROWS).for_each(|_| scorer.stats().count_turned_away());
    let health = seen(&|health| health.seen.rows == 4 * ROWS);
    assert_eq!((health.generation, health.timed), (1, 3 * ROWS));
    assert_eq!(health.seen.not_scored, 0.25);
    assert!(
        (10_000..11_000).contains(&health.seen.p99_nanos),
        "{health:?}"
    );
    // Another generation begins anew; an engine that is gone tells nothing.
    let generation = publish(&place, &watcher, &other_default(1), true);
    let health = seen(&|health| health.generation == generation);
    assert_eq!((health.seen.rows, health.timed), (0, 0));
    drop(watcher);
    assert_eq!(status::health(&state(&place)), None);
}

#[test]
fn scores_that_shift_take_the_engine_back_and_it_says_why() {
    let place = Place::new("watchdog-scores");
    let (watcher, mut scorer) = running(&place, LONG);
    let lines = lines_of(place.directory().root());
    traffic(&mut scorer, 2 * ROWS, 10);
    let bad = constant(-9.0);
    publish(&place, &watcher, &bad, false);
    let watching = watcher.status().watchdog.unwrap();
    assert_eq!((watching.generation, watching.against), (2, 1));
    assert_eq!(watching.before.rows, 2 * ROWS);
    traffic(&mut scorer, ROWS, 10);
    place.wait(&watcher, |status| status.reverts == 1);
    let status = watcher.status();
    assert_eq!((status.generation, status.source), (1, Source::Reverted));
    assert_eq!(status.content_id, Some(default_table().content_id()));
    assert_eq!(scorer.score(&Row::MISSING).generation(), 1);
    let reverted = &status.reverted[0];
    assert_eq!((reverted.generation, reverted.to), (2, 1));
    assert_eq!(reverted.content_id, bad.content_id());
    assert_eq!(reverted.watching.over, ["a stability index of at most 0.5"]);
    assert!(reverted.watching.psi > 0.5, "{reverted:?}");
    assert_eq!(reverted.watching.after.rows, ROWS);
    assert!(
        status
            .waiting
            .is_some_and(|it| it.refused && it.generation == 2)
    );
    // The line of the ledger is the last that is written.
    let reverts = || {
        let records = Ledger::of(&state(&place)).read().unwrap().records;
        records.into_iter().find(|it| it.event == Event::Revert)
    };
    place.wait(&watcher, |_| reverts().is_some());
    let said = lines();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("reverted from generation 2 to 1"));
    let record = reverts().unwrap();
    let reason = record.reason.as_ref().unwrap();
    assert_eq!((record.generation, reason.code()), (Some(2), 614));

    // The same generation is not taken again, neither by another pointer nor after a restart.
    let mut pointer = place.directory().read_pointer().unwrap().unwrap();
    pointer.forced = true;
    place.write_pointer(&pointer);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(watcher.status().generation, 1);
    drop((scorer, watcher));
    let watcher = place.watch_with(options(&place, LONG));
    let status = watcher.status();
    assert_eq!((status.generation, status.source), (1, Source::Kept));
    assert_eq!((status.reverts, status.reverted.len()), (1, 1));
    // Without its state neither: what was gone back from is not what to fall back to.
    publish(&place, &watcher, &other_default(1), false);
}

#[test]
fn requests_without_a_score_and_slow_ones_take_it_back_even_where_it_was_forced() {
    let place = Place::new("watchdog-trouble");
    let (watcher, mut scorer) = running(&place, LONG);
    traffic(&mut scorer, 2 * ROWS, 10);
    publish(&place, &watcher, &other_default(1), true);
    traffic(&mut scorer, ROWS, 10);
    for _ in 0..ROWS / 10 {
        scorer.stats().count_turned_away();
    }
    place.wait(&watcher, |status| status.reverts == 1);
    let reverted = watcher.status().reverted[0].clone();
    assert_eq!((reverted.generation, reverted.to), (2, 1));
    let said = &reverted.watching.over;
    assert!(
        said.len() == 1 && said[0].contains("without a score"),
        "{said:?}"
    );
    assert_eq!(reverted.watching.before.not_scored, 0.0);

    traffic(&mut scorer, 2 * ROWS, 10);
    publish(&place, &watcher, &other_default(2), true);
    traffic(&mut scorer, ROWS, 500);
    place.wait(&watcher, |status| status.reverts == 2);
    let reverted = watcher.status().reverted[0].clone();
    let said = &reverted.watching.over;
    assert!(said.len() == 1 && said[0].contains("p99"), "{said:?}");
    assert!(reverted.watching.after.p99_nanos >= 500_000);
    assert_eq!((reverted.generation, watcher.status().generation), (3, 1));
}

#[test]
fn scores_of_a_forced_generation_are_not_held_against_it() {
    let place = Place::new("watchdog-forced");
    let (watcher, mut scorer) = running(&place, Duration::from_secs(2));
    traffic(&mut scorer, 2 * ROWS, 10);
    publish(&place, &watcher, &constant(-9.0), true);
    traffic(&mut scorer, ROWS, 10);
    place.wait(&watcher, |status| {
        status.watchdog.as_ref().is_some_and(|it| it.ended)
    });
    let status = watcher.status();
    let watching = status.watchdog.unwrap();
    assert!(!watching.scores && watching.psi > 0.5, "{watching:?}");
    assert_eq!((status.generation, status.reverts), (2, 0));
    // Nor is the way back from it undone.
    place.publisher().rollback(None, 8).unwrap();
    place.wait(&watcher, |status| status.generation == 3);
    traffic(&mut scorer, 2 * ROWS, 500);
    assert_eq!(watcher.status().watchdog, None);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(watcher.status().generation, 3);
}

#[test]
fn a_table_like_the_one_before_stays_and_the_watch_ends() {
    let place = Place::new("watchdog-good");
    let (watcher, mut scorer) = running(&place, Duration::from_millis(500));
    traffic(&mut scorer, 2 * ROWS, 10);
    publish(&place, &watcher, &other_default(1), false);
    traffic(&mut scorer, 2 * ROWS, 12);
    place.wait(&watcher, |status| {
        status.watchdog.as_ref().is_some_and(|it| it.ended)
    });
    let status = watcher.status();
    let watching = status.watchdog.unwrap();
    assert_eq!((watching.after.rows, watching.psi), (2 * ROWS, 0.0));
    assert!(watching.over.is_empty());
    assert_eq!((status.generation, status.reverts), (2, 0));
}

#[test]
fn two_publishes_in_a_row_are_both_held_against_the_one_that_stood() {
    let place = Place::new("watchdog-two");
    let (watcher, mut scorer) = running(&place, LONG);
    traffic(&mut scorer, 2 * ROWS, 10);
    publish(&place, &watcher, &other_default(1), false);
    publish(&place, &watcher, &constant(-9.0), false);
    let watching = watcher.status().watchdog.unwrap();
    assert_eq!((watching.generation, watching.against), (3, 1));
    traffic(&mut scorer, ROWS, 10);
    place.wait(&watcher, |status| status.reverts == 1);
    assert_eq!(watcher.status().generation, 1);
    // The next one is taken.
    publish(&place, &watcher, &other_default(2), false);
}

#[test]
fn what_a_person_switches_meanwhile_is_not_held_against_the_table() {
    let place = Place::new("watchdog-switched");
    let (watcher, mut scorer) = running(&place, Duration::from_secs(2));
    traffic(&mut scorer, 2 * ROWS, 10);
    publish(&place, &watcher, &other_default(1), false);
    for feature in default_table().features().iter().take(40) {
        let selector = format!("feature:{}", feature.name).parse().unwrap();
        place.publisher().switch(&selector, true).unwrap();
    }
    place.wait(&watcher, |status| status.switches.len() == 40);
    traffic(&mut scorer, ROWS, 10);
    place.wait(&watcher, |status| {
        status.watchdog.as_ref().is_some_and(|it| it.ended)
    });
    let watching = watcher.status().watchdog.unwrap();
    assert!(!watching.scores && watching.psi > 0.5, "{watching:?}");
    assert_eq!(
        (watcher.status().generation, watcher.status().reverts),
        (2, 0)
    );
}
