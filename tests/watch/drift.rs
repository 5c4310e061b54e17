//! What is well-formed and wrong: a table that shifts the scores, or doubles, is held back.

use super::common::*;
use hedgerow::model::{BuildOptions, Ensemble, Node, Tree, build};
use hedgerow::watch::drift::{DriftOptions, Rows};
use hedgerow::watch::ledger::{Event, Ledger};
use hedgerow::watch::{Source, WatchStatus};
use hedgerow::{
    DEFAULT_TABLE, Engine, Feature, FeatureKind, Row, Schema, Table, WatchOptions, Watcher,
};
use std::path::PathBuf;

/// Bounds on scores alone: the test's constant table is a small file, too.
fn scores_alone() -> DriftOptions {
    DriftOptions {
        bytes_ratio_max: f64::INFINITY,
        ..DriftOptions::default()
    }
}

fn state(place: &Place) -> PathBuf {
    place.directory().engines().join("a")
}

fn options(place: &Place) -> WatchOptions {
    WatchOptions {
        drift: scores_alone(),
        state: Some(state(place)),
        ..place.options()
    }
}

/// An engine that runs the bundled table as generation 1 of its directory.
fn running(place: &Place, options: WatchOptions) -> Watcher {
    let watcher = place.watch_with(options);
    place.publish_table(&default_table(), false);
    place.wait(&watcher, |status| status.generation == 1);
    watcher
}

fn is_held(status: &WatchStatus, generation: u64) -> bool {
    let waiting = status.waiting.as_ref();
    waiting.is_some_and(|waiting| waiting.quarantined && waiting.generation == generation)
}

#[test]
fn a_table_that_scores_everyone_alike_is_held_back_by_golden_rows_before_traffic() {
    let place = Place::new("drift-golden");
    let watcher = running(&place, options(&place));
    let lines = lines_of(place.directory().root());
    let bad = constant(-9.0);
    // The same artefact over and over: counted each time, told once.
    for generation in [2, 3, 4] {
        assert_eq!(place.publish_table(&bad, false), generation);
        place.wait(&watcher, |status| is_held(status, generation));
    }
    let status = watcher.status();
    assert_eq!((status.generation, status.source), (1, Source::Directory));
    assert_eq!((status.quarantines, status.quarantined.len()), (3, 1));
    let held = &status.quarantined[0];
    assert_eq!((held.generation, held.against), (4, 1));
    assert_eq!(held.content_id, bad.content_id());
    let golden = default_table().golden_rows().count() as u64;
    assert_eq!((held.drift.source, held.drift.rows), (Rows::Golden, golden));
    assert!(
        held.drift.psi > 0.25 && !held.drift.over.is_empty(),
        "{held:?}"
    );
    assert!(status.refusals.is_empty(), "{:?}", status.refusals);
    let mut scorer = watcher.engine().scorer().unwrap();
    assert_eq!(scorer.score(&Row::MISSING).generation(), 1);
    drop(watcher);
    let said = lines();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("generation 2 quarantined"), "{said:?}");
    let records = Ledger::of(&state(&place)).read().unwrap().records;
    let mut held = records.iter().filter(|it| it.event == Event::Quarantine);
    let record = held.next().unwrap();
    assert_eq!((record.generation, held.next()), (Some(2), None));
    let reason = record.reason.as_ref().unwrap();
    assert_eq!((reason.code(), reason.name()), (613, "quarantined"));
    assert!(reason.got().contains("golden rows"), "{reason:?}");
}

#[test]
fn live_rows_decide_once_there_are_enough() {
    let place = Place::new("drift-live");
    let watcher = running(&place, options(&place));
    let mut scorer = watcher.engine().scorer().unwrap();
    let rows = real_rows();
    let (mut crossed, mut low) = (0u64, 0);
    for row in rows.iter().cycle().take(200) {
        let score = scorer.score(row).score().unwrap().get();
        low += u64::from(score < 30);
        crossed += u64::from(score >= 30);
    }
    assert!(low > 0 && crossed > 0, "{low} {crossed}");
    assert_eq!(watcher.status().reservoir, 200);
    place.publish_table(&constant(-9.0), false);
    place.wait(&watcher, |status| is_held(status, 2));
    let drift = watcher.status().quarantined[0].drift.clone();
    assert_eq!((drift.source, drift.rows), (Rows::Live, 200));
    // Everyone is a bot to it: those that were none cross.
    let share = crossed as f64 / 200.0;
    assert_eq!(drift.threshold, 30);
    assert!((drift.crossings - share).abs() < 1e-3, "{drift:?} {share}");
    // Another table with the same scores is no drift, and is told to be none.
    place.publish_table(&other_default(1), false);
    place.wait(&watcher, |status| status.generation == 3);
    let drift = watcher.status().drift.unwrap();
    assert_eq!((drift.psi, drift.crossings, drift.rows), (0.0, 0.0, 200));
    // The very same table is not compared.
    place.publish_table(&other_default(1), false);
    place.wait(&watcher, |status| status.generation == 4);
    assert_eq!(watcher.status().drift, None);
}

#[test]
fn with_default_options_a_constant_table_of_any_score_is_held_back() {
    for (name, margin) in [("low", -9.0), ("high", 9.0), ("middle", 0.0)] {
        let place = Place::new(&format!("drift-default-{name}"));
        let watcher = running(&place, place.options());
        let mut scorer = watcher.engine().scorer().unwrap();
        for row in real_rows().iter().cycle().take(1_000) {
            let _ = scorer.score(row);
        }
        place.publish_table(&constant(margin), false);
        place.wait(&watcher, |status| status.quarantines == 1);
        assert_eq!(watcher.status().generation, 1);
        let drift = watcher.status().quarantined[0].drift.clone();
        assert!(drift.psi > 0.25, "{name}: {drift:?}");
    }
}

#[test]
fn the_first_table_of_a_host_may_differ_but_not_score_everyone_alike() {
    let place = Place::new("drift-first");
    let watcher = place.watch_with(place.options());
    assert_eq!(watcher.status().source, Source::Bundled);
    place.publish_table(&constant(-9.0), false);
    place.wait(&watcher, |status| status.quarantines == 1);
    assert_eq!(watcher.status().source, Source::Bundled);
    let drift = watcher.status().quarantined[0].drift.clone();
    assert_eq!(
        (drift.source, &drift.over[..]),
        (Rows::Golden, &["more than one score".into()][..])
    );
    place.publish_table(&other_default(1), false);
    place.wait(&watcher, |status| status.generation == 2);
}

/// A table of the first so many of these features.
fn of_features(all: &[Feature], count: usize) -> Table {
    let leaf = Node::Leaf { value: 0.5 };
    let ensemble = Ensemble {
        features: all[..count].to_vec(),
        trees: vec![Tree::Any { nodes: vec![leaf] }],
        bias: 0.0,
    };
    Table::from_bytes(&build(&ensemble, &BuildOptions::default()).unwrap().bytes).unwrap()
}

#[test]
fn a_feature_list_that_doubled_under_the_cap_is_held_back() {
    let place = Place::new("drift-doubled");
    let feature = |at| Feature {
        name: format!("feature_{at}"),
        kind: FeatureKind::Number,
    };
    let all: Vec<Feature> = (0..120).map(feature).collect();
    let engine = Engine::new(Schema::new(all.clone()).unwrap());
    let watcher = Watcher::start(&engine, place.directory().root(), place.options()).unwrap();
    place.publish_table(&of_features(&all, 60), false);
    place.wait(&watcher, |status| status.generation == 1);
    place.publish_table(&of_features(&all, 120), false);
    place.wait(&watcher, |status| is_held(status, 2));
    let drift = watcher.status().quarantined[0].drift.clone();
    assert_eq!((drift.features, drift.source), ((60, 120), Rows::None));
    assert_eq!(drift.over.len(), 1, "{drift:?}");
    // Some more features are no doubling; and half of them is one backwards.
    place.publish_table(&of_features(&all, 80), false);
    place.wait(&watcher, |status| status.generation == 3);
    place.publish_table(&of_features(&all, 40), false);
    place.wait(&watcher, |status| is_held(status, 4));
}

#[test]
fn a_file_that_grew_or_shrank_beyond_the_bound_is_held_back() {
    let place = Place::new("drift-size");
    let watcher = running(
        &place,
        WatchOptions {
            drift: DriftOptions {
                psi_max: f64::INFINITY,
                crossing_max: 1.0,
                ..DriftOptions::default()
            },
            ..place.options()
        },
    );
    let small = constant(1.0);
    place.publish_table(&small, false);
    place.wait(&watcher, |status| is_held(status, 2));
    let drift = watcher.status().quarantined[0].drift.clone();
    assert_eq!(
        drift.bytes,
        (DEFAULT_TABLE.len() as u64, small.byte_count() as u64)
    );
    let over = ["a ratio of bytes of at most 4", "more than one score"];
    assert_eq!(drift.over, over);
}

#[test]
fn a_person_can_force_it_and_nothing_but_the_comparison_is_left_out() {
    let place = Place::new("drift-forced");
    let watcher = running(&place, options(&place));
    let bad = constant(-9.0);
    place.publish_table(&bad, false);
    place.wait(&watcher, |status| is_held(status, 2));
    let forced = place.publisher().force(Some(2), 8).unwrap().pointer;
    assert!(forced.forced && forced.generation == 3);
    place.wait(&watcher, |status| status.generation == 3);
    let status = watcher.status();
    assert_eq!(status.content_id, Some(bad.content_id()));
    assert!(status.quarantined.is_empty() && status.quarantines == 1);
    let records = place.ledger().read().unwrap().records;
    assert_eq!(records.last().unwrap().note.as_deref(), Some("forced"));
    // Straight away, without having been held back before.
    assert_eq!(place.publish_table(&other_default(1), true), 4);
    place.wait(&watcher, |status| status.generation == 4);
    // What is damaged stays refused.
    place.publish_table(&constant(4.0), false);
    place.wait(&watcher, |status| is_held(status, 5));
    let path = place.directory().table(constant(4.0).content_id());
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    let mut pointer = place.directory().read_pointer().unwrap().unwrap();
    bytes[last] ^= 1;
    replace(&path, &bytes);
    (pointer.generation, pointer.forced) = (6, true);
    place.write_pointer(&pointer);
    place.wait(&watcher, |status| {
        status.refusals.contains_key("content-hash")
    });
    assert_eq!(watcher.status().generation, 4);
    let refused = place.publisher().force(Some(99), 8).unwrap_err();
    assert_eq!(refused.name(), "no-generation");
}

#[test]
fn the_way_back_is_open_and_does_not_lead_into_quarantine() {
    let place = Place::new("drift-rollback");
    let watcher = running(&place, options(&place));
    place.publish_table(&constant(-9.0), true);
    place.wait(&watcher, |status| status.generation == 2);
    // As different as it was on the way there; and no person has to force it.
    assert_eq!(
        place
            .publisher()
            .rollback(None, 8)
            .unwrap()
            .pointer
            .generation,
        3
    );
    place.wait(&watcher, |status| status.generation == 3);
    place.publish_table(&constant(9.0), false);
    place.wait(&watcher, |status| is_held(status, 4));
    place.publish_table(&other_default(1), false);
    place.wait(&watcher, |status| status.generation == 5);
    // Back from 5 is not 4, which never ran.
    let back = place.publisher().rollback(None, 8).unwrap().pointer;
    assert_eq!((back.generation, back.from_generation), (6, Some(1)));
    place.wait(&watcher, |status| status.generation == 6);
    // By its number it is asked for, and held back again.
    let back = place.publisher().rollback(Some(4), 8).unwrap().pointer;
    assert_eq!(back.from_generation, Some(4));
    place.wait(&watcher, |status| is_held(status, 7));
    assert_eq!(watcher.status().generation, 6);
}

#[test]
fn a_restart_does_not_let_it_in() {
    let place = Place::new("drift-restart");
    let watcher = running(&place, options(&place));
    place.publish_table(&constant(-9.0), false);
    place.wait(&watcher, |status| is_held(status, 2));
    drop(watcher);
    let watcher = place.watch_with(options(&place));
    let status = watcher.status();
    assert_eq!((status.source, status.generation), (Source::Kept, 1));
    assert!(is_held(&status, 2) && status.quarantines == 1);
    // Published while the engine was down: compared with the engine's own copy of the last good.
    drop(watcher);
    place.publish_table(&constant(9.0), false);
    let watcher = place.watch_with(options(&place));
    let status = watcher.status();
    assert_eq!((status.source, status.generation), (Source::Kept, 1));
    assert!(is_held(&status, 3) && status.quarantines == 2);
    assert_eq!(status.quarantined[0].against, 1);
    place.publisher().force(None, 8).unwrap();
    place.wait(&watcher, |status| status.generation == 4);
}
