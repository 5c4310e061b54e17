//! Tables in shadow: scored on live rows, never deciding, and published when a person says so.

use super::common::*;
use hedgerow::limits::{RESERVOIR_ROWS, SHADOWS_MAX};
use hedgerow::watch::DriftOptions;
use hedgerow::watch::ledger::Event;
use hedgerow::watch::status::ShadowStatus;
use hedgerow::{PreparedTable, RefusalKind, Row, Schema, Scorer, Table, WatchOptions, Watcher};
use std::fs;

fn options(place: &Place) -> WatchOptions {
    WatchOptions {
        drift: DriftOptions {
            thresholds: vec![30, 60],
            bytes_ratio_max: f64::INFINITY,
            ..DriftOptions::default()
        },
        state: Some(place.directory().engines().join("a")),
        ..place.options()
    }
}

/// An engine that runs the bundled table as generation 1, and its scorer.
fn running(place: &Place) -> (Watcher, Scorer) {
    let watcher = place.watch_with(options(place));
    place.publish_table(&default_table(), false);
    place.wait(&watcher, |status| status.generation == 1);
    let scorer = watcher.engine().scorer().unwrap();
    (watcher, scorer)
}

/// Kinder by one unit of margin: some rows score otherwise, and some do not.
fn other() -> Table {
    shifted(8)
}

fn shadow(place: &Place, watcher: &Watcher, table: &Table, name: &str, share: f64) {
    place.publisher().shadow(table, name, share).unwrap();
    place.wait(watcher, |status| {
        let mut shadows = status.shadows.iter();
        shadows.any(|it| it.name == name && it.runs && it.share == share)
    });
}

fn named(watcher: &Watcher, name: &str) -> ShadowStatus {
    let shadows = watcher.status().shadows;
    shadows.into_iter().find(|it| it.name == name).unwrap()
}

/// Scores of the shadow and of the running table, rows that are far apart, and crossings.
type Expected = (Vec<u64>, Vec<u64>, u64, Vec<(u8, u64)>);

/// What a shadow's counts must be: both tables score the rows here, on the reference kernel.
fn expected(shadow: &Table, rows: &[Row]) -> Expected {
    let prepared = |table: &Table| {
        let table = Table::from_bytes(table.bytes()).unwrap();
        PreparedTable::with_kernel(table, &Schema::http(), "portable").unwrap()
    };
    let (one, two) = (prepared(&default_table()), prepared(shadow));
    let score =
        |prepared: &PreparedTable, row| prepared.scored(row, prepared.margin(row), 0).score.get();
    let (mut running, mut scores) = (vec![0; 99], vec![0; 99]);
    let (mut far, mut crossed) = (0, vec![(30, 0), (60, 0)]);
    for row in rows {
        let (a, b) = (score(&one, row), score(&two, row));
        running[usize::from(a) - 1] += 1;
        scores[usize::from(b) - 1] += 1;
        far += u64::from(a.abs_diff(b) >= 10);
        for (threshold, crossed) in &mut crossed {
            *crossed += u64::from((a < *threshold) != (b < *threshold));
        }
    }
    (scores, running, far, crossed)
}

#[test]
fn the_counts_of_shadows_are_those_of_scoring_the_same_rows() {
    let place = Place::new("shadow-counts");
    let (watcher, mut scorer) = running(&place);
    shadow(&place, &watcher, &other(), "kinder", 1.0);
    shadow(&place, &watcher, &constant(9.0), "constant", 1.0);
    // As many as the reservoir takes one by one.
    let all = real_rows();
    let rows: Vec<Row> = all.iter().cycle().take(RESERVOIR_ROWS).cloned().collect();
    for row in &rows {
        // It does not decide.
        assert_eq!(scorer.score(row).generation(), 1);
    }
    let full = rows.len() as u64;
    place.wait(&watcher, |status| {
        status.shadows.iter().all(|shadow| shadow.rows == full)
    });
    for (name, table) in [("kinder", other()), ("constant", constant(9.0))] {
        let got = named(&watcher, name);
        let (scores, running, far, crossed) = expected(&table, &rows);
        assert_eq!((&got.scores, &got.running_scores), (&scores, &running));
        assert_eq!((got.far, &got.crossed), (far, &crossed), "{name}");
        assert!(got.far > 0 && got.far < full && got.psi > 0.0, "{got:?}");
        assert_eq!((got.against, got.content_id), (1, table.content_id()));
    }
    // Each row once: nothing is added without traffic.
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(named(&watcher, "constant").rows, full);
    assert_eq!(watcher.engine().stats().rows.scored, full);
    // Another running table begins the counts anew, with the next row.
    place.publish_table(&other_default(1), false);
    place.wait(&watcher, |status| status.generation == 2);
    for row in all.iter().cycle().take(640) {
        let _ = scorer.score(row);
    }
    place.wait(&watcher, |status| {
        let mut shadows = status.shadows.iter();
        shadows.all(|shadow| (shadow.against, shadow.rows) == (2, 10))
    });
}

#[test]
fn a_share_of_the_sampled_rows_is_scored() {
    let place = Place::new("shadow-share");
    let (watcher, mut scorer) = running(&place);
    shadow(&place, &watcher, &other(), "all", 1.0);
    shadow(&place, &watcher, &other_default(1), "quarter", 0.25);
    for row in real_rows().iter().cycle().take(RESERVOIR_ROWS) {
        let _ = scorer.score(row);
    }
    place.wait(&watcher, |status| {
        status.shadows[0].rows == RESERVOIR_ROWS as u64
    });
    let rows = named(&watcher, "quarter").rows;
    assert!((40..90).contains(&rows), "{rows} of {RESERVOIR_ROWS}");
    assert_eq!(named(&watcher, "quarter").far, 0);
}

#[test]
fn a_shadow_is_promoted_through_all_of_admission_and_removed() {
    let place = Place::new("shadow-promote");
    let (watcher, mut scorer) = running(&place);
    shadow(&place, &watcher, &other_default(1), "good", 1.0);
    shadow(&place, &watcher, &constant(-9.0), "bad", 1.0);
    for row in real_rows().iter().cycle().take(RESERVOIR_ROWS) {
        let _ = scorer.score(row);
    }
    let promoted = place.publisher().promote("good", 8).unwrap();
    assert_eq!(promoted.pointer.generation, 2);
    place.wait(&watcher, |status| {
        status.generation == 2 && status.shadows.len() == 1
    });
    let good = other_default(1).content_id();
    assert_eq!(watcher.status().content_id, Some(good));
    // To be promoted is not to be let in.
    place.publisher().promote("bad", 8).unwrap();
    place.wait(&watcher, |status| {
        status.quarantines == 1 && status.shadows.is_empty()
    });
    assert_eq!(watcher.status().generation, 2);
    let refused = place.publisher().promote("good", 8).unwrap_err();
    assert!(refused.is(RefusalKind::Shadow), "{refused}");
    let records = place.ledger().read().unwrap().records;
    let told: Vec<Event> = records.iter().map(|record| record.event).collect();
    let (add, remove) = (Event::Shadow, Event::Unshadow);
    let publish = Event::Publish;
    assert_eq!(told, [publish, add, add, publish, remove, publish, remove]);
}

#[test]
fn what_cannot_be_a_shadow_is_refused_and_decides_nothing() {
    let place = Place::new("shadow-refused");
    let (watcher, mut scorer) = running(&place);
    let add = |name: &str, share: f64| place.publisher().shadow(&other(), name, share);
    for (name, share) in [
        ("", 1.0),
        ("../x", 1.0),
        ("a b", 1.0),
        ("x", 0.0),
        ("x", 1.5),
        ("x", f64::NAN),
        ("x", -1.0),
    ] {
        let refused = add(name, share).unwrap_err();
        assert!(refused.is(RefusalKind::Shadow), "{refused}");
    }
    assert_eq!(place.directory().read_shadows().unwrap(), None);
    for at in 0..SHADOWS_MAX {
        add(&format!("s{at}"), 1.0).unwrap();
    }
    let refused = add("one-more", 1.0).unwrap_err();
    assert!(refused.expected().contains("at most 3"), "{refused}");
    // One of the same name gives way.
    add("s0", 0.5).unwrap();
    place.publisher().unshadow("s1").unwrap();
    assert!(place.publisher().unshadow("s1").is_err());
    place.wait(&watcher, |status| {
        status.shadows.len() == 2 && status.shadows.iter().all(|shadow| shadow.runs)
    });
    // A table that is damaged does not run in shadow, either.
    let path = place.directory().table(constant(1.0).content_id());
    place.publisher().shadow(&constant(1.0), "s2", 1.0).unwrap();
    place.wait(&watcher, |status| {
        status.shadows.iter().any(|it| it.name == "s2" && it.runs)
    });
    place.publisher().unshadow("s2").unwrap();
    place.wait(&watcher, |status| status.shadows.len() == 1);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut file = place.directory().read_shadows().unwrap().unwrap();
    let mut entry = file.shadows[0].clone();
    (entry.name, entry.content_id) = ("s2".into(), constant(1.0).content_id());
    file.shadows.push(entry);
    replace(&path, &bytes);
    replace(
        &place.directory().shadows(),
        &serde_json::to_vec(&file).unwrap(),
    );
    place.wait(&watcher, |status| {
        status.refusals.contains_key("content-hash") && status.shadows.len() == 2
    });
    assert!(!named(&watcher, "s2").runs && named(&watcher, "s0").runs);
    // A file that is none leaves the shadows as they are, and is told.
    for bad in [&b""[..], b"{}", b"[]", b"null"] {
        replace(&place.directory().shadows(), bad);
        place.wait(&watcher, |status| status.problems.contains_key("shadows"));
        assert_eq!(watcher.status().shadows.len(), 2);
        replace(
            &place.directory().shadows(),
            &serde_json::to_vec(&file).unwrap(),
        );
        place.wait(&watcher, |status| status.problems.is_empty());
    }
    assert_eq!(scorer.score(&Row::MISSING).generation(), 1);
    assert_eq!(watcher.status().generation, 1);
}

#[test]
fn the_tables_of_shadows_are_kept_and_an_announcement_that_never_came_is_marked() {
    let place = Place::new("shadow-kept");
    place.publish(1);
    place
        .publisher()
        .shadow(&other_default(9), "kept", 1.0)
        .unwrap();
    for seed in 2..=12 {
        place.publish(seed);
    }
    let path = place.directory().table(other_default(9).content_id());
    assert!(path.exists());
    let before = fs::read(place.directory().shadows()).unwrap();
    place
        .publisher()
        .shadow(&other_default(9), "lost", 1.0)
        .unwrap();
    // As a publisher leaves it that was killed before the rename.
    fs::write(place.directory().shadows(), before).unwrap();
    place.publish(13);
    let records = place.ledger().read().unwrap().records;
    let marks = records.iter().filter(|it| it.event == Event::Abandon);
    let notes: Vec<_> = marks.map(|mark| mark.note.as_deref()).collect();
    assert_eq!(notes, [Some("shadow lost")]);
    // Numbers of changes are not used again.
    let shadowed = place
        .publisher()
        .shadow(&other_default(9), "new", 1.0)
        .unwrap();
    assert_eq!(shadowed.file.change, 3);
    assert_eq!(shadowed.file.shadows.len(), 2);
}
