//! What decides a verdict: a verified bot, then a detection, then the ensemble; alone, in batches
//! and through a pool, and what is counted of it.

mod common;
#[path = "gate/tables.rs"]
mod tables;

use common::{Random, any_ensemble, random_row, schema_of};
use hedgerow::model::{BuildOptions, Ensemble, build};
use hedgerow::pool::{Pool, PoolOptions};
use hedgerow::table::bots::{AddressRange, Bot, Category};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::{Client, Engine, PreparedTable, Row, Source, Table, Verdict};
use std::net::IpAddr;

const FEATURES: u64 = 7;

fn random_test(random: &mut Random) -> ConditionTest {
    let bound = random.below(40) as f32 - 20.0;
    match random.below(5) {
        0 => ConditionTest::Above(bound),
        1 => ConditionTest::AtMost(bound),
        2 => ConditionTest::Equals(bound),
        3 => ConditionTest::Missing,
        _ => ConditionTest::Present,
    }
}

/// So many detections with ids that have gaps, in no order, some of them shadows.
fn random_detections(count: u64, random: &mut Random) -> Vec<Detection> {
    let mut made: Vec<Detection> = (0..count)
        .map(|at| Detection {
            id: (at * 3 + random.below(3)) as u32,
            name: format!("detection {at}"),
            score: 1 + random.below(99) as u8,
            active: random.below(3) > 0,
            conditions: (0..1 + random.below(if at % 4 == 0 { 8 } else { 2 }))
                .map(|_| Condition {
                    feature: FeatureRef::Index(random.below(FEATURES) as u16),
                    test: random_test(random),
                })
                .collect(),
        })
        .collect();
    made.reverse();
    made
}

/// Values on, beside and far from the bounds of conditions, and missing ones.
fn row_near(random: &mut Random) -> Vec<f32> {
    let value = |_| {
        let near = random.below(40) as f32 - 20.0;
        [
            f32::NAN,
            near,
            near,
            near.next_up(),
            near.next_down(),
            f32::INFINITY,
        ][random.below(6) as usize]
    };
    (0..FEATURES).map(value).collect()
}

/// What a row must get, by the definitions.
fn plain(detections: &[Detection], row: &[f32]) -> (u64, Option<(u8, u32)>) {
    let mut sorted: Vec<&Detection> = detections.iter().collect();
    sorted.sort_by_key(|detection| detection.id);
    let (mut matches, mut decides) = (0, None::<(u8, u32)>);
    for (at, detection) in sorted.into_iter().enumerate() {
        let holds = |condition: &Condition| {
            let FeatureRef::Index(index) = condition.feature else {
                panic!("by index");
            };
            condition.test.holds(row[usize::from(index)])
        };
        if !detection.conditions.iter().all(holds) {
            continue;
        }
        matches |= 1u64 << at;
        let candidate = (detection.score, detection.id);
        if detection.active && decides.is_none_or(|best| candidate < best) {
            decides = Some(candidate);
        }
    }
    (matches, decides)
}

fn table(ensemble: &Ensemble, detections: Vec<Detection>, bots: Vec<Bot>) -> Table {
    let options = BuildOptions {
        detections,
        bots,
        ..BuildOptions::default()
    };
    let built = build(ensemble, &options).expect("a table");
    Table::from_bytes(&built.bytes).expect("a good table")
}

#[test]
fn detections_match_and_decide_as_their_definitions_say() {
    let mut random = Random::new(5);
    let ensemble = any_ensemble(FEATURES as usize, 10, 6, 3);
    let (mut by_detection, mut by_ensemble, mut shadows) = (0, 0, 0);
    for count in [0, 1, 2, 7, 8, 9, 63, 64] {
        for _ in 0..8 {
            let detections = random_detections(count, &mut random);
            let engine = Engine::new(schema_of(&ensemble));
            let table = table(&ensemble, detections.clone(), Vec::new());
            let bare = self::table(&ensemble, Vec::new(), Vec::new());
            let bare = PreparedTable::new(bare, engine.schema()).expect("a prepared table");
            let generation = engine.publish(table).expect("a good table");
            let mut scorer = engine.scorer().expect("a slot");
            let rows: Vec<Vec<f32>> = (0..130).map(|_| row_near(&mut random)).collect();
            let filled: Vec<Row> = rows.iter().map(|row| Row::from_slice(row)).collect();
            let mut batch = vec![scorer.score(&Row::MISSING); rows.len()];
            assert_eq!(scorer.score_batch(&filled, &mut batch), rows.len());
            for ((values, row), batched) in rows.iter().zip(&filled).zip(batch) {
                let verdict = scorer.score(row);
                assert_eq!(verdict, batched);
                let Verdict::Scored(scored) = verdict else {
                    panic!("{verdict:?}");
                };
                let (matches, decides) = plain(&detections, values);
                assert_eq!(scored.detections.bits(), matches);
                let margin = bare.margin(row);
                assert_eq!(scored.margin, bare.table().margin_f64(margin));
                assert_eq!(scored.generation, generation);
                let expected = match decides {
                    Some((score, id)) => (score, Source::Detection(id)),
                    None => (bare.score(margin).get(), Source::Ensemble),
                };
                assert_eq!((scored.score.get(), scored.source), expected);
                by_detection += u64::from(decides.is_some());
                by_ensemble += u64::from(decides.is_none());
                shadows += u64::from(decides.is_none() && matches != 0);
            }
        }
    }
    let enough = by_detection.min(by_ensemble).min(shadows);
    assert!(enough > 100, "{by_detection} {by_ensemble} {shadows}");
}

fn bots() -> Vec<Bot> {
    let bot = |name: &str, category, agent: Option<&str>, ranges: &[&str]| Bot {
        name: name.into(),
        category,
        agent: agent.map(str::to_string),
        ranges: ranges
            .iter()
            .map(|text| AddressRange::parse(text).expect("a range"))
            .collect(),
    };
    let search = ["66.249.64.0/19", "2001:4860:4801:10::/64"];
    vec![
        bot("Monitor", Category::Monitor, None, &["198.51.100.7", "::1"]),
        bot("Search", Category::SearchEngine, Some("SearchBot"), &search),
        bot("Rest", Category::Ai, None, &["203.0.113.128/25"]),
    ]
}

const AGENT: &[u8] = b"Mozilla/5.0 (compatible; SEARCHbot/2.1; +https://search.example/)";

#[test]
fn a_client_is_verified_by_its_address_and_where_asked_by_its_agent() {
    let ensemble = any_ensemble(FEATURES as usize, 10, 6, 3);
    let engine = Engine::new(schema_of(&ensemble));
    engine
        .publish(table(&ensemble, Vec::new(), bots()))
        .expect("a good table");
    let mut scorer = engine.scorer().expect("a slot");
    let pool = Pool::start(&engine, &PoolOptions::default()).expect("a pool");
    let mut call = pool.call().expect("a worker");
    let at_end = [&[b'x'; 512 - 9][..], b"searchbot"].concat();
    let beyond = [&[b'x'; 512 - 8][..], b"searchbot"].concat();
    for (address, agent, expected) in [
        ("198.51.100.7", &b""[..], Some(0)),
        ("::ffff:198.51.100.7", b"", Some(0)),
        ("::1", b"", Some(0)),
        ("198.51.100.6", b"", None),
        ("198.51.100.8", b"", None),
        ("66.249.64.0", AGENT, Some(1)),
        ("66.249.95.255", AGENT, Some(1)),
        ("66.249.96.0", AGENT, None),
        ("66.249.63.255", AGENT, None),
        ("::ffff:66.249.70.1", AGENT, Some(1)),
        ("66.249.70.1", b"", None),
        ("66.249.70.1", b"SearchBo", None),
        ("66.249.70.1", b"SearchBot", Some(1)),
        ("66.249.70.1", b"Search Bot", None),
        ("66.249.70.1", &at_end, Some(1)),
        ("66.249.70.1", &beyond, None),
        ("2001:4860:4801:10:ffff:ffff:ffff:ffff", AGENT, Some(1)),
        ("2001:4860:4801:11::", AGENT, None),
        ("203.0.113.255", b"curl/8", Some(2)),
        ("203.0.113.127", b"curl/8", None),
        ("0.0.0.0", AGENT, None),
        ("255.255.255.255", AGENT, None),
        ("::", AGENT, None),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", AGENT, None),
    ] {
        let address: IpAddr = address.parse().expect("an address");
        let client = Client::new(address, agent);
        let verdict = scorer.score_client(&Row::MISSING, &client);
        let found = match verdict {
            Verdict::VerifiedBot(verified) => Some(verified.bot),
            _ => None,
        };
        assert_eq!(found, expected, "{address} {}", agent.escape_ascii());
        let mut batch = [verdict; 2];
        let rows = [Row::MISSING, Row::MISSING];
        let clients = [Client::new("192.0.2.1".parse().unwrap(), b""), client];
        assert_eq!(scorer.score_batch_clients(&rows, &clients, &mut batch), 2);
        assert_eq!(batch[1], verdict);
        assert_eq!(batch[0], scorer.score(&Row::MISSING));
        assert_eq!(call.score_client(&Row::MISSING, &client), verdict);
        assert_eq!(call.score(&Row::MISSING), batch[0]);
        assert_eq!(
            scorer.score_batch_clients(&rows, &clients[..1], &mut batch),
            1
        );
    }
}

#[test]
fn a_verified_bot_comes_before_a_detection_and_has_no_score() {
    let ensemble = tables::plain();
    let engine = Engine::new(tables::schema(&ensemble));
    let bytes = tables::full_table();
    let generation = engine
        .publish(Table::from_bytes(&bytes).expect("a table"))
        .expect("a good table");
    let mut scorer = engine.scorer().expect("a slot");
    let row = Row::from_slice(&[2.0, 1.0, 2.0]);
    let Verdict::Scored(scored) = scorer.score(&row) else {
        panic!("a score");
    };
    assert_eq!(
        (scored.score.get(), scored.source),
        (2, Source::Detection(10))
    );
    assert_eq!(scored.detections.positions().collect::<Vec<_>>(), [0, 1]);
    let client = Client::new("198.51.100.7".parse().unwrap(), b"");
    let verdict = scorer.score_client(&row, &client);
    let Verdict::VerifiedBot(verified) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!((verdict.score(), verdict.generation()), (None, generation));
    let catalog = engine.catalog(generation).expect("the live table's names");
    let (name, category) = catalog.bot(verified.bot).expect("a bot");
    assert_eq!((name, category), ("Example Monitor", verified.category));
    assert_eq!(
        catalog.detection(10).expect("a detection").name,
        "above and present"
    );
    assert_eq!(catalog.bot(9), None);
    let matched = scored.detections.positions();
    let ids: Vec<u32> = matched.map(|at| catalog.detections()[at].id).collect();
    assert_eq!(ids, [10, 20]);
}

#[test]
fn a_pool_passes_on_what_decided() {
    let mut random = Random::new(8);
    let ensemble = any_ensemble(FEATURES as usize, 10, 6, 3);
    let detections = random_detections(3, &mut random);
    let engine = Engine::new(schema_of(&ensemble));
    engine
        .publish(table(&ensemble, detections, bots()))
        .expect("a good table");
    let pool = Pool::start(&engine, &PoolOptions::default()).expect("a pool");
    let (mut scorer, mut call) = (engine.scorer().unwrap(), pool.call().unwrap());
    let mut by_detection = 0;
    for _ in 0..500 {
        let row = Row::from_slice(&row_near(&mut random));
        let verdict = scorer.score(&row);
        assert_eq!(call.score(&row), verdict);
        by_detection += u32::from(matches!(
            verdict,
            Verdict::Scored(scored) if matches!(scored.source, Source::Detection(_))
        ));
    }
    assert!((50..500).contains(&by_detection), "{by_detection}");
}

#[test]
fn verdicts_are_counted_by_source_and_detections_by_id() {
    let ensemble = tables::plain();
    let engine = Engine::new(tables::schema(&ensemble));
    let publish = |change: &dyn Fn(&mut Vec<Detection>)| {
        let mut detections = tables::detections();
        change(&mut detections);
        engine
            .publish(table(&ensemble, detections, tables::bots()))
            .expect("a good table")
    };
    let count = |id: u32, active: bool| {
        let stats = engine.stats();
        let mut counts = stats.detections.iter();
        let found = counts.find(|count| (count.id, count.active) == (id, active));
        found.map(|count| count.matched)
    };
    publish(&|_| ());
    let mut scorer = engine.scorer().expect("a slot");
    let both = Row::from_slice(&[2.0, 1.0, 2.0]);
    let shadow = Row::from_slice(&[0.0, 1.0, 2.0]);
    let none = Row::from_slice(&[0.0, 1.0, 0.0]);
    let client = Client::new("198.51.100.7".parse().unwrap(), b"");
    for _ in 0..3 {
        let _ = scorer.score(&both);
    }
    scorer.score_batch(&[shadow.clone(), none], &mut [scorer_blank(&engine); 2]);
    let _ = scorer.score_client(&both, &client);
    let rows = engine.stats().rows;
    assert_eq!(
        (rows.scored, rows.by_detection, rows.verified_bots),
        (5 + 1, 3, 1)
    );
    assert_eq!(
        (count(10, true), count(20, false), count(30, true)),
        (Some(3), Some(4), Some(0))
    );

    // The shadow is made active, and another detection stands before it: counts go by id.
    publish(&|detections| {
        detections[1].active = true;
        detections.remove(0);
    });
    let _ = scorer.score(&shadow);
    assert_eq!(
        (count(20, false), count(20, true), count(10, true)),
        (Some(4), Some(1), Some(3))
    );
    drop(scorer);
    assert_eq!(
        (count(20, false), count(20, true), count(10, true)),
        (Some(4), Some(1), Some(3))
    );
    assert_eq!(engine.stats().detections_beyond, 0);
}

#[test]
fn more_ids_than_there_are_counters_are_counted_together() {
    let ensemble = tables::plain();
    let engine = Engine::new(tables::schema(&ensemble));
    let shadow = Row::from_slice(&[0.0, 1.0, 2.0]);
    for first in (1000..).step_by(64).take(6) {
        let detection = |id| Detection {
            id,
            name: id.to_string(),
            ..tables::detections()[1].clone()
        };
        let many: Vec<Detection> = (first..first + 64).map(detection).collect();
        let table = table(&ensemble, many, Vec::new());
        engine.publish(table).expect("a good table");
        let _ = engine.scorer().expect("a slot").score(&shadow);
    }
    let stats = engine.stats();
    assert_eq!(stats.detections.len(), 256);
    let counted: u64 = stats.detections.iter().map(|count| count.matched).sum();
    assert_eq!((counted, stats.detections_beyond), (256, 2 * 64));
}

fn scorer_blank(engine: &Engine) -> Verdict {
    engine
        .scorer()
        .expect("a slot")
        .score(&Row::from_slice(&[0.0, 1.0, 0.0]))
}

#[test]
fn names_are_kept_for_the_latest_generations() {
    let ensemble = tables::plain();
    let engine = Engine::new(tables::schema(&ensemble));
    for _ in 0..10 {
        let table = Table::from_bytes(&tables::full_table()).expect("a table");
        engine.publish(table).expect("a good table");
    }
    let kept: Vec<u64> = (0..12).filter(|at| engine.catalog(*at).is_some()).collect();
    assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9, 10]);
}

/// Features of detections are bound by name, as the ensemble's are.
#[test]
fn a_host_with_another_order_gets_the_same_verdicts() {
    let mut random = Random::new(11);
    let ensemble = any_ensemble(FEATURES as usize, 10, 6, 3);
    let detections = random_detections(30, &mut random);
    let mut turned = ensemble.features.clone();
    turned.reverse();
    let turned = hedgerow::Schema::new(turned).expect("a schema");
    let engines = [schema_of(&ensemble), turned].map(Engine::new);
    for engine in &engines {
        let table = table(&ensemble, detections.clone(), Vec::new());
        engine.publish(table).expect("a good table");
    }
    let [mut straight, mut backwards] = engines.map(|engine| engine.scorer().expect("a slot"));
    for _ in 0..200 {
        let mut values = random_row(&ensemble, &mut random);
        let expected = straight.score(&Row::from_slice(&values));
        values.reverse();
        assert_eq!(backwards.score(&Row::from_slice(&values)), expected);
    }
}
