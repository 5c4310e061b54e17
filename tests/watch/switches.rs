//! Kill switches: what each does, in every state, and that nothing but a person flips one.

use super::common::*;
use hedgerow::RefusalKind;
use hedgerow::model::{BuildOptions, build};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::{
    Engine, Reason, Row, Schema, Selector, Switches, Table, Verdict, WatchOptions, Watcher,
};
use std::fs;
use std::time::{Duration, Instant};

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

fn reason(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::NotScored(not) => Some(not.reason),
        _ => None,
    }
}

/// A row whose second feature decides, and the same row without it.
fn rows() -> (Row, Row) {
    let with = Row::from_slice(&[1.0, 9.0, 1.0, 1.0]);
    let mut without = with.clone();
    without.set(1, f32::NAN);
    (with, without)
}

fn feature() -> String {
    Schema::http().features()[1].name.clone()
}

#[test]
fn each_switch_does_what_it_says_to_one_row_and_to_batches() {
    let engine = Engine::new(Schema::http());
    let mut scorer = engine.scorer().unwrap();
    let (with, without) = rows();
    // Before any table: no table is the reason still.
    engine
        .set_switches([Selector::Engine].into_iter().collect())
        .unwrap();
    assert_eq!(reason(&scorer.score(&with)), Some(Reason::NoTable));
    engine.publish(table(1)).unwrap();
    assert_eq!(reason(&scorer.score(&with)), Some(Reason::Disabled));
    assert_eq!(scorer.score(&with).generation(), 1);
    engine.set_switches(Switches::default()).unwrap();
    let (high, low) = (scorer.score(&with), scorer.score(&without));
    assert_ne!(margin(&high), margin(&low));

    let batch = vec![with.clone(); 150];
    let mut verdicts = vec![high; batch.len()];
    for off in ["engine", "ensemble"] {
        engine
            .set_switches([selector(off)].into_iter().collect())
            .unwrap();
        assert_eq!(
            reason(&scorer.score(&with)),
            Some(Reason::Disabled),
            "{off}"
        );
        assert_eq!(scorer.score_batch(&batch, &mut verdicts), batch.len());
        assert!(
            verdicts.iter().all(|v| reason(v) == Some(Reason::Disabled)),
            "{off}"
        );
    }
    let off = selector(&format!("feature:{}", feature()));
    engine
        .set_switches([off.clone()].into_iter().collect())
        .unwrap();
    assert_eq!(scorer.score(&with), low);
    scorer.score_batch(&batch, &mut verdicts);
    assert!(verdicts.iter().all(|verdict| *verdict == low));
    // The host's row is not touched, other features count, and a new table has it off as well.
    assert_eq!(with.values()[..4], rows().0.values()[..4]);
    engine.publish(table(2)).unwrap();
    let verdict = scorer.score(&with);
    assert_eq!(
        (verdict.generation(), margin(&verdict) - margin(&low)),
        (2, 0.125)
    );
    // What this host does not have changes nothing.
    let unknown = ["feature:not.here", "detection:7"].map(selector);
    engine.set_switches(unknown.into_iter().collect()).unwrap();
    engine.publish(table(1)).unwrap();
    assert_eq!(margin(&scorer.score(&with)), margin(&high));
    assert_eq!(engine.stats().switches.len(), 2);
    let disabled = engine.stats().rows.not_scored(Reason::Disabled);
    assert_eq!(disabled, 2 + 2 * (1 + batch.len() as u64));
}

/// A table of which detection 7 matches every row with the score 3, and 9 every row with 5.
fn with_detections() -> Table {
    let detection = |id, score| Detection {
        id,
        name: format!("number {id}"),
        score,
        active: true,
        conditions: vec![Condition {
            feature: FeatureRef::Index(0),
            test: ConditionTest::Above(-1.0),
        }],
    };
    let options = BuildOptions {
        detections: vec![detection(7, 3), detection(9, 5)],
        ..BuildOptions::default()
    };
    Table::from_bytes(&build(&ensemble(1), &options).unwrap().bytes).unwrap()
}

#[test]
fn detections_are_switched_one_by_one_and_decide_where_the_ensemble_is_off() {
    let engine = Engine::new(Schema::http());
    engine.publish(with_detections()).unwrap();
    let mut scorer = engine.scorer().unwrap();
    let (row, missing) = (rows().0, Row::MISSING);
    let off = |all: &[&str]| all.iter().map(|text| selector(text)).collect::<Switches>();
    let cases: [(&[&str], Option<u8>, usize); 8] = [
        (&[], Some(3), 2),
        (&["detection:7"], Some(5), 1),
        (&["detection:9"], Some(3), 1),
        (&["detection:8"], Some(3), 2),
        (&["ensemble"], Some(3), 2),
        (&["ensemble", "detection:7"], Some(5), 1),
        (&["ensemble", "detection:7", "detection:9"], None, 0),
        (&["engine"], None, 0),
    ];
    for (switches, score, matches) in cases {
        engine.set_switches(off(switches)).unwrap();
        let mut verdicts = vec![scorer.score(&missing); 3];
        let single = scorer.score(&row);
        let batch = [row.clone(), row.clone(), row.clone()];
        scorer.score_batch(&batch, &mut verdicts);
        verdicts.push(single);
        for verdict in verdicts {
            assert_eq!(
                verdict.score().map(|score| score.get()),
                score,
                "{switches:?}"
            );
            let found = match &verdict {
                Verdict::Scored(scored) => scored.detections.count() as usize,
                other => usize::from(reason(other) != Some(Reason::Disabled)),
            };
            assert_eq!(found, matches, "{switches:?}");
        }
    }
    // The ensemble is off, and nothing is detected: there is no score.
    engine.set_switches(off(&["ensemble"])).unwrap();
    assert_eq!(reason(&scorer.score(&missing)), Some(Reason::Disabled));
    // With both off the ensemble decides, as on a table without detections.
    engine
        .set_switches(off(&["detection:7", "detection:9"]))
        .unwrap();
    let by_ensemble = scorer.score(&row);
    engine.publish(table(1)).unwrap();
    assert_eq!(margin(&scorer.score(&row)), margin(&by_ensemble));
    assert_eq!(scorer.score(&row).score(), by_ensemble.score());

    // A person can switch what the active table has.
    let place = Place::new("switches-detections");
    let options = hedgerow::watch::PublishOptions::default();
    place
        .publisher()
        .publish(&with_detections(), &options)
        .unwrap();
    flip(&place, "detection:9", true);
    let refused = place
        .publisher()
        .switch(&selector("detection:8"), true)
        .unwrap_err();
    assert!(refused.expected().contains("[7, 9]"), "{refused}");
}

fn flip(place: &Place, text: &str, off: bool) {
    place.publisher().switch(&selector(text), off).unwrap();
}

/// How long it takes until four threads all see the engine switched off, or on.
fn everywhere(off: bool, watcher: &Watcher) -> Duration {
    let flipped = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mut scorer = watcher.engine().scorer().unwrap();
            scope.spawn(move || {
                while scorer.score(&Row::MISSING).score().is_none() != off {
                    assert!(flipped.elapsed() < Duration::from_secs(10));
                    std::thread::sleep(Duration::from_micros(200));
                }
            });
        }
    });
    flipped.elapsed()
}

#[test]
fn a_switch_takes_effect_on_all_threads_survives_a_restart_and_is_restored_by_a_person_alone() {
    let place = Place::new("switches");
    place.publish(1);
    // The interval that hosts get.
    let options = || WatchOptions {
        state: Some(place.directory().engines().join("a")),
        poll: WatchOptions::default().poll,
        ..place.options()
    };
    let watcher = place.watch_with(options());
    let mut slowest = Duration::ZERO;
    for round in 0..20 {
        let off = round % 2 == 0;
        flip(&place, "engine", off);
        slowest = slowest.max(everywhere(off, &watcher));
    }
    println!("a switch took {slowest:?} at most from the command's end to all threads");

    flip(&place, "ensemble", true);
    place.wait(&watcher, |status| status.switches == ["ensemble"]);
    drop(watcher);
    let watcher = place.watch_with(options());
    assert_eq!(watcher.status().switches, ["ensemble"]);
    everywhere(true, &watcher);
    // A new table, a rollback: it stays off.
    place.publish(2);
    place.wait(&watcher, |status| status.generation == 2);
    let mut scorer = watcher.engine().scorer().unwrap();
    assert_eq!(reason(&scorer.score(&Row::MISSING)), Some(Reason::Disabled));
    // Damage leaves the switches as they are, while it runs and over a restart.
    let good = fs::read(place.directory().switches()).unwrap();
    for bad in [
        &b""[..],
        b"{}",
        b"null",
        b"[]",
        &good[..good.len() - 9],
        b"\"all\"",
    ] {
        replace(&place.directory().switches(), bad);
        place.wait(&watcher, |status| status.problems.contains_key("switches"));
        assert_eq!(watcher.status().switches, ["ensemble"]);
        replace(&place.directory().switches(), &good);
        place.wait(&watcher, |status| status.problems.is_empty());
    }
    fs::remove_file(place.directory().switches()).unwrap();
    place.wait(&watcher, |status| status.problems.contains_key("switches"));
    drop((scorer, watcher));
    let watcher = place.watch_with(options());
    assert_eq!(watcher.status().switches, ["ensemble"]);
    assert!(watcher.status().problems.contains_key("switches"));
    // The publisher knows from the ledger what was off.
    flip(&place, &format!("feature:{}", feature()), true);
    let file = place.directory().read_switches().unwrap().unwrap();
    assert_eq!(
        file.off,
        ["ensemble".to_string(), format!("feature:{}", feature())]
    );
}

#[test]
fn what_cannot_be_switched_is_refused_and_changes_nothing() {
    let place = Place::new("switches-refused");
    place.publish(1);
    let name = feature();
    for (text, off) in [
        ("feature:not.a.feature", true),
        ("detection:5", true),
        ("engine", false),
        ("feature:not.a.feature", false),
    ] {
        let refused = place.publisher().switch(&selector(text), off).unwrap_err();
        assert!(refused.is(RefusalKind::Selector), "{refused}");
    }
    assert_eq!(place.directory().read_switches().unwrap(), None);
    flip(&place, &format!("feature:{name}"), true);
    flip(&place, "engine", true);
    flip(&place, "engine", true);
    let refused = place
        .publisher()
        .switch(&selector("ensemble"), false)
        .unwrap_err();
    assert!(refused.expected().contains("engine, feature:"), "{refused}");
    flip(&place, "engine", false);
    let file = place.directory().read_switches().unwrap().unwrap();
    assert_eq!(
        (file.off, file.change),
        (vec![format!("feature:{name}")], 4)
    );
}

#[test]
fn switches_that_were_there_before_the_first_table_hold_from_the_first_row() {
    let place = Place::new("switches-first");
    flip(&place, "engine", true);
    let watcher = place.watch();
    let mut scorer = watcher.engine().scorer().unwrap();
    assert_eq!(reason(&scorer.score(&Row::MISSING)), Some(Reason::Disabled));
    flip(&place, "engine", false);
    place.wait(&watcher, |status| status.switches.is_empty());
    assert_eq!(margin(&scorer.score(&Row::MISSING)), bundled_margin());
}

/// What the file says is off.
fn off(place: &Place) -> Vec<String> {
    place.directory().read_switches().unwrap().unwrap().off
}

#[test]
fn switches_that_were_lost_are_made_again_from_all_of_the_ledger() {
    let place = Place::new("switches-segments");
    place.publish(1);
    flip(&place, "ensemble", true);
    let full = |number: u64| {
        let name = format!("ledger.{number:06}.jsonl");
        let full = place.directory().root().join(name);
        fs::rename(place.ledger().path(), full).unwrap();
        place.publish(number + 1);
    };
    (1..=3).for_each(full);
    let file = place.directory().switches();
    fs::remove_file(&file).unwrap();
    drop(place.publisher());
    assert_eq!(off(&place), ["ensemble"]);
    fs::write(&file, b"damaged").unwrap();
    drop(place.publisher());
    assert_eq!(off(&place), ["ensemble"]);
    // Somebody took the oldest segment away: an engine still knows.
    let state = place.directory().engines().join("a");
    drop(place.watch_with(WatchOptions {
        state: Some(state),
        ..place.options()
    }));
    fs::remove_file(place.directory().root().join("ledger.000001.jsonl")).unwrap();
    fs::write(&file, b"damaged").unwrap();
    drop(place.publisher());
    assert_eq!(off(&place), ["ensemble"]);
}

#[test]
fn switches_that_nobody_knows_are_left_alone_and_the_engine_can_still_be_switched_off() {
    let place = Place::new("switches-unknown");
    place.publish(1);
    // The ledger is there and whole: nothing was ever off.
    let file = place.directory().switches();
    fs::write(&file, b"damaged").unwrap();
    drop(place.publisher());
    assert!(off(&place).is_empty());
    flip(&place, "ensemble", true);
    fs::write(&file, b"damaged").unwrap();
    fs::remove_file(place.ledger().path()).unwrap();
    let feature = selector(&format!("feature:{}", feature()));
    for (selector, off) in [(&Selector::Ensemble, false), (&feature, true)] {
        let refused = place.publisher().switch(selector, off).unwrap_err();
        assert!(refused.is(RefusalKind::Switches), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), b"damaged");
    }
    place.publish(2);
    assert_eq!(fs::read(&file).unwrap(), b"damaged");
    let killed = place.publisher().switch(&Selector::Engine, true).unwrap();
    assert!(killed.warnings[0].contains("knows what was off"));
    assert_eq!(off(&place), ["engine"]);
    // Or a person decides that nothing is.
    fs::write(&file, b"damaged").unwrap();
    fs::remove_file(place.ledger().path()).unwrap();
    fs::remove_file(&file).unwrap();
    place.publisher().switch(&feature, true).unwrap();
    assert_eq!(off(&place), [feature.to_string()]);
}

#[test]
fn a_watch_of_an_engine_with_something_off_says_so_and_leaves_it_off() {
    let place = Place::new("switches-second");
    let state = place.directory().engines().join("a");
    let options = || WatchOptions {
        state: Some(state.clone()),
        ..place.options()
    };
    place.publish(1);
    flip(&place, "ensemble", true);
    let engine = place.engine();
    let watch = |options| Watcher::start(&engine, place.directory().root(), options).unwrap();
    drop(watch(options()));
    // The second one finds the engine as it wants it.
    let second = watch(options());
    assert_eq!(second.status().switches, ["ensemble"]);
    drop(second);
    let told = hedgerow::watch::status::read(&state).unwrap();
    assert_eq!(told.switches, ["ensemble"]);
    // Without a state and a file, what the engine has off stays so.
    fs::remove_file(place.directory().switches()).unwrap();
    let third = watch(place.options());
    assert_eq!(third.status().switches, ["ensemble"]);
    assert_eq!(engine.stats().switches.len(), 1);
}
