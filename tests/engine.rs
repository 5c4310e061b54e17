//! An engine publishes, refuses, counts, and always has a verdict.

mod common;

use common::{oblivious_ensemble, schema_of};
use hedgerow::model::{BuildOptions, build};
use hedgerow::{Engine, PublishError, Reason, RefusalKind, Row, Schema, Table, Verdict};

fn bytes(seed: u64) -> Vec<u8> {
    let ensemble = oblivious_ensemble(10, 20, 4, seed);
    build(&ensemble, &BuildOptions::default()).unwrap().bytes
}

fn engine() -> Engine {
    Engine::new(schema_of(&oblivious_ensemble(10, 20, 4, 1)))
}

#[test]
fn without_a_table_there_is_a_verdict_and_no_score() {
    let engine = engine();
    let mut scorer = engine.scorer().unwrap();
    let verdict = scorer.score(&Row::MISSING);
    assert_eq!((verdict.score(), verdict.generation()), (None, 0));
    assert!(matches!(verdict, Verdict::NotScored(not) if not.reason == Reason::NoTable));
    let stats = engine.stats();
    assert_eq!(stats.rows.scored, 0);
    assert_eq!(stats.rows.not_scored(Reason::NoTable), 1);
    assert_eq!((stats.generation, stats.headroom.len()), (0, 0));
}

#[test]
fn a_refused_table_leaves_the_running_one_and_is_counted_by_its_code() {
    let engine = engine();
    let mut scorer = engine.scorer().unwrap();
    assert_eq!(engine.publish(Table::from_bytes(&bytes(1)).unwrap()), Ok(1));
    let before = scorer.score(&Row::MISSING);

    // A table for another host, one that is not there, and one on a kernel that is not there.
    let other = build(&oblivious_ensemble(11, 20, 4, 1), &BuildOptions::default()).unwrap();
    let unknown = engine
        .publish(Table::from_bytes(&other.bytes).unwrap())
        .unwrap_err();
    let missing = engine.publish_file("/nowhere/x.hedge").unwrap_err();
    let good = || Table::from_bytes(&bytes(2)).unwrap();
    let kernel = engine.publish_on(good(), "abacus").unwrap_err();
    for (error, kind) in [
        (unknown, RefusalKind::FeatureUnknown),
        (missing, RefusalKind::Io),
        (kernel, RefusalKind::Kernel),
    ] {
        assert!(matches!(error, PublishError::Refused(refused) if refused.is(kind)));
        assert_eq!(engine.stats().refused(kind), 1);
    }
    assert_eq!(scorer.score(&Row::MISSING), before);
    assert_eq!(engine.publish(good()), Ok(2));
    assert_eq!(scorer.score(&Row::MISSING).generation(), 2);
}

#[test]
fn stats_name_the_live_table_and_keep_what_gone_scorers_counted() {
    let engine = engine();
    let table = Table::from_bytes(&bytes(3)).unwrap();
    let (id, usage) = (table.content_id(), table.usage());
    engine.publish(table).unwrap();
    let mut first = engine.scorer().unwrap();
    let mut second = engine.scorer().unwrap();
    for _ in 0..5 {
        let _ = first.score(&Row::MISSING);
        let _ = second.score(&Row::MISSING);
        second.stats().latency.record(700);
    }
    assert_eq!(engine.stats().scorers, 2);
    drop(second);
    let stats = engine.stats();
    assert_eq!(
        (stats.scorers, stats.rows.scored, stats.rows.latency.count()),
        (1, 10, 5)
    );
    assert_eq!(
        (stats.content_id, stats.headroom, stats.generation),
        (Some(id), usage, 1)
    );
}

#[test]
fn a_row_of_the_schema_is_bound_by_name_whatever_the_order() {
    let ensemble = oblivious_ensemble(10, 20, 4, 1);
    let mut turned = ensemble.features.clone();
    turned.reverse();
    let values: Vec<f32> = (0..10).map(|i| i as f32 * 3.0 - 15.0).collect();
    let mut backwards = values.clone();
    backwards.reverse();
    let score = |schema, values: &[f32]| {
        let engine = Engine::new(schema);
        engine
            .publish(Table::from_bytes(&bytes(1)).unwrap())
            .unwrap();
        engine.scorer().unwrap().score(&Row::from_slice(values))
    };
    let straight = score(schema_of(&ensemble), &values);
    assert_eq!(straight, score(Schema::new(turned).unwrap(), &backwards));
}
