//! The way from a request to a verdict that all hosts share: its steps, its fences, its doors.

#[path = "common/requests.rs"]
mod requests;

use hedgerow::host::{
    BreakerOptions, HostError, HostOptions, OpenFailure, OpenOptions, Outcome, PassReason,
    ScoredRequest, TableSource, ThreadScorers, headers, open,
};
use hedgerow::http::{Header, HeadersKnown, Request, extract};
use hedgerow::limits::READERS_MAX;
use hedgerow::traffic::{ClientKey, Facts, HTTP_BASE, Windows};
use hedgerow::watch::SecretKey;
use hedgerow::{Client, DEFAULT_TABLE, Engine, Feature, FeatureKind, Row, Schema, Table, Verdict};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const HEADERS: [Header<'static>; 2] = [
    Header::new(b"Host", b"shop.example"),
    Header::new(b"User-Agent", b"curl/8.5.0"),
];

fn request() -> Request<'static> {
    Request::new(b"GET", b"/", &HEADERS, HeadersKnown::Complete)
}

fn engine(schema: Schema) -> Engine {
    let engine = Engine::new(schema);
    let table = Table::from_bytes(DEFAULT_TABLE).expect("the bundled table");
    engine.publish(table).expect("published");
    engine
}

/// The value of a feature in the last row.
fn value(engine: &Engine, row: &Row, name: &str) -> f32 {
    row.get(engine.schema().index_of(name).expect(name))
}

/// Bits of a row's features: NaN equals NaN.
fn bits(row: &Row) -> Vec<u32> {
    row.values().iter().map(|value| value.to_bits()).collect()
}

#[test]
fn rows_and_verdicts_are_those_of_the_steps_one_by_one() {
    let requests = requests::requests();
    let engine = engine(Schema::http_with_traffic());
    let options = HostOptions {
        seed: Some(7),
        ..HostOptions::default()
    };
    let mut host = engine.request_scorer(options).expect("a slot");
    let mut scorer = engine.scorer().expect("a slot");
    let mut windows = Windows::new(8_192, 7).expect("windows");
    let mut row = Row::MISSING;
    let mut known = 0;
    for (at, request) in requests.iter().chain(&requests).enumerate() {
        let mut request = *request;
        request.peer = match at % 3 {
            0 => None,
            _ => Some([10, 0, 0, (at % 7) as u8].into()),
        };
        let now = at as u64 * 40_000_000;
        extract(&request, &mut row);
        let headers = request.headers.iter();
        let agent = headers
            .clone()
            .find(|header| header.name.eq_ignore_ascii_case(b"user-agent"));
        let expected = match request.peer {
            Some(peer) => {
                let key = ClientKey::address(peer);
                let seen = windows.observe(&key, &Facts::of(&request), now);
                seen.fill(&mut row, HTTP_BASE);
                windows.finish(seen.id(), 200 + (at % 5 * 100) as u16);
                let agent = agent.map_or(&b""[..], |header| header.value);
                scorer.score_client(&row, &Client::new(peer, agent))
            }
            None => {
                (HTTP_BASE..HTTP_BASE + 12).for_each(|at| row.set(at, f32::NAN));
                scorer.score(&row)
            }
        };
        let (verdict, client) = host.judge_at(&request, headers.copied(), |_| (), now);
        host.finish(client, 200 + (at % 5 * 100) as u16);
        assert_eq!(bits(host.row()), bits(&row), "row {at}");
        assert_eq!(verdict, expected, "verdict {at}");
        assert_eq!(client.is_some(), request.peer.is_some());
        known += u32::from(!row.get(HTTP_BASE).is_nan());
    }
    assert!(
        requests.len() > 900 && known > 900,
        "{known} of known clients"
    );
}

#[test]
fn a_score_is_recorded_and_counted_once() {
    let engine = engine(Schema::http_with_traffic());
    let mut host = engine
        .request_scorer(HostOptions::default())
        .expect("a slot");
    let scored = host.score(&request().peer([192, 0, 2, 1].into()));
    assert!(scored.score().is_some() && scored.client().is_some());
    assert!(scored.took() > Duration::ZERO);
    assert_eq!(
        (scored.source_name(), scored.reason_name()),
        ("detection", None)
    );
    let stats = engine.stats();
    assert_eq!((stats.rows.scored, stats.rows.latency.count()), (1, 1));
    assert_eq!(host.counters().requests.get(), 1);
    let verdict = *scored.verdict().expect("a verdict");
    assert!(host.catalog_of(&verdict).is_some());
    let held = host.catalog_of(&verdict).cloned().expect("the names");
    assert!(std::ptr::eq(
        &*held,
        &**host.catalog_of(&verdict).expect("kept")
    ));
}

#[test]
fn without_a_table_there_is_a_verdict_and_no_score() {
    let engine = Engine::new(Schema::http());
    let mut host = engine
        .request_scorer(HostOptions::default())
        .expect("a slot");
    let scored = host.score(&request());
    assert!(matches!(
        scored.outcome(),
        Outcome::Verdict(Verdict::NotScored(_))
    ));
    assert_eq!(
        (scored.source_name(), scored.reason_name()),
        ("not-scored", Some("no-table"))
    );
}

#[test]
fn traffic_needs_the_features_and_an_address() {
    let known = request().peer([192, 0, 2, 1].into());
    for (schema, clients, expected) in [
        (Schema::http_with_traffic(), Some(64), true),
        (Schema::http_with_traffic(), None, false),
        (Schema::http(), Some(64), false),
    ] {
        let engine = engine(schema);
        let options = HostOptions {
            traffic_clients: clients,
            ..HostOptions::default()
        };
        let mut host = engine.request_scorer(options).expect("a slot");
        let _ = host.score(&known);
        assert_eq!(host.score(&known).client().is_some(), expected);
        if expected {
            assert_eq!(value(&engine, host.row(), "traffic_requests_60s"), 2.0);
            assert_eq!(host.score(&request()).client(), None);
            assert!(value(&engine, host.row(), "traffic_requests_60s").is_nan());
        }
        assert!((HTTP_BASE..=u8::MAX).all(|at| host.row().get(at).is_nan()));
    }
}

#[test]
fn the_status_of_an_answer_counts_for_the_next_request() {
    let engine = engine(Schema::http_with_traffic());
    let mut host = engine
        .request_scorer(HostOptions::default())
        .expect("a slot");
    let request = request().peer([192, 0, 2, 1].into());
    for _ in 0..4 {
        let scored = host.score(&request);
        host.finish(scored.client(), 404);
    }
    let _ = host.score(&request);
    assert_eq!(value(&engine, host.row(), "traffic_error_share"), 1.0);
}

#[test]
fn own_features_are_of_one_request_and_behind_the_built_in_ones() {
    for schema in [Schema::http(), Schema::http_with_traffic()] {
        let first = schema.features().len() as u8;
        let schema = schema
            .with("shop_pause", FeatureKind::Number)
            .expect("a name");
        let schema = schema
            .with("shop_member", FeatureKind::Flag)
            .expect("a name");
        let engine = engine(schema);
        let mut host = engine
            .request_scorer(HostOptions::default())
            .expect("a slot");
        assert_eq!(host.own_features(), 2);
        let request = request().peer([192, 0, 2, 1].into());
        let _ = host.score_with(&request, HEADERS, |own| own.copy_from_slice(&[7.0, 1.0]));
        assert_eq!(
            (host.row().get(first), host.row().get(first + 1)),
            (7.0, 1.0)
        );
        // What a call leaves out is missing, whatever the call before gave, and whether it ended.
        let panicked = host.score_with(&request, HEADERS, |own| {
            own[1] = 0.0;
            panic!("a bug of the host's")
        });
        assert_eq!(panicked.outcome(), &Outcome::Passed(PassReason::Panic));
        let _ = host.score_with(&request, HEADERS, |own| {
            assert!(own.iter().all(|value| value.is_nan()));
            own[0] = 3.0;
        });
        assert_eq!(host.row().get(first), 3.0);
        assert!(host.row().get(first + 1).is_nan());
        let _ = host.score(&request);
        assert!(host.row().get(first).is_nan());
    }
}

#[test]
fn what_cannot_work_is_said_when_it_is_made() {
    let made = |schema: Schema, options| engine_error(schema, options);
    let of = |names: &[&str]| {
        let features = names.iter().map(|name| Feature {
            name: (*name).into(),
            kind: FeatureKind::Flag,
        });
        Schema::new(features.collect()).expect("a schema")
    };
    let first = hedgerow::http::FEATURES[0].name;
    let second = hedgerow::http::FEATURES[1].name;
    let plain = HostOptions::default();
    assert_eq!(
        made(of(&["shop_member"]), plain.clone()),
        HostError::Schema { expected: first }
    );
    assert_eq!(
        made(of(&[first, "shop_member"]), plain.clone()),
        HostError::Schema { expected: second }
    );
    let odd = HostOptions {
        traffic_clients: Some(9),
        ..HostOptions::default()
    };
    let refused = made(Schema::http_with_traffic(), odd);
    assert!(refused.to_string().contains("power of two"), "{refused}");
}

fn engine_error(schema: Schema, options: HostOptions) -> HostError {
    let refused = Engine::new(schema).request_scorer(options);
    refused.map(drop).expect_err("nothing that works")
}

#[test]
fn panics_open_the_breaker_and_one_good_call_closes_it() {
    let engine = engine(Schema::http());
    let pause = Duration::from_secs(1);
    let mut host = { engine }
        .request_scorer(HostOptions {
            breaker: Some(BreakerOptions {
                panics_max: 3,
                pause,
                ..BreakerOptions::default()
            }),
            ..HostOptions::default()
        })
        .expect("a slot");
    let bug = |_: &mut [f32]| panic!("a bug of the host's");
    for _ in 0..3 {
        let scored = host.score_with(&request(), HEADERS, bug);
        assert_eq!(scored, ScoredRequest::from(PassReason::Panic));
    }
    let start = Instant::now();
    let scored = host.score(&request());
    assert!(start.elapsed() < pause, "too slow a machine to tell");
    assert_eq!(scored, ScoredRequest::from(PassReason::BreakerOpen));
    std::thread::sleep(pause);
    assert!(host.score(&request()).score().is_some());
    let counters = host.counters();
    assert_eq!(counters.passed[PassReason::Panic as usize].get(), 3);
    assert_eq!(counters.passed[PassReason::BreakerOpen as usize].get(), 1);
    assert_eq!((counters.opened.get(), counters.requests.get()), (1, 5));
    // Headers that panic are the host's, too.
    let headers = std::iter::from_fn(|| -> Option<Header<'_>> { panic!("a bug of the host's") });
    let scored = host.score_from(&request(), headers);
    assert_eq!(scored.reason_name(), Some("panic"));
}

#[test]
fn late_calls_give_their_score_and_open_the_breaker() {
    let engine = engine(Schema::http());
    let mut host = engine
        .request_scorer(HostOptions::default())
        .expect("a slot");
    let slow = |_: &mut [f32]| std::thread::sleep(Duration::from_millis(2));
    for _ in 0..16 {
        let scored = host.score_with(&request(), HEADERS, slow);
        assert!(scored.score().is_some() && scored.took() >= Duration::from_millis(2));
    }
    assert_eq!(host.score(&request()).reason_name(), Some("breaker-open"));
    assert_eq!(
        (host.counters().late.get(), host.counters().opened.get()),
        (16, 1)
    );
    host.set_breaker(None);
    assert!(host.score(&request()).score().is_some());
}

#[test]
fn threads_share_a_handle_and_keep_apart() {
    let handles = [0, 1].map(|_| {
        let engine = engine(Schema::http_with_traffic());
        ThreadScorers::new(engine, HostOptions::default())
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    for handle in &handles {
                        let scored = handle.score(|scorer| scorer.score(&request()));
                        assert!(scored.score().is_some());
                        assert!(handle.catalog_of(&scored).is_some());
                        handle.finish(scored.client(), 200);
                    }
                }
            });
        }
    });
    for handle in &handles {
        let stats = handle.stats();
        assert_eq!((stats.scorers, stats.requests), (4, 400));
        assert_eq!(handle.engine().stats().rows.scored, 400);
        // A thread that ends gives its scorer back, a moment after it is joined.
        let start = Instant::now();
        while handle.engine().stats().scorers > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{stats:?}");
            std::thread::yield_now();
        }
        // What they counted stays when another thread comes.
        let _ = handle.score(|scorer| scorer.score(&request()));
        let stats = handle.stats();
        assert_eq!((stats.scorers, stats.requests), (5, 401));
    }
}

#[test]
fn a_thread_gives_scorers_of_closed_handles_back() {
    let engines = [0, 1].map(|_| engine(Schema::http()));
    let [one, other] = engines.each_ref().map(|engine| {
        let handle = ThreadScorers::new(engine.clone(), HostOptions::default());
        let clone = handle.clone();
        assert!(
            clone
                .score(|scorer| scorer.score(&request()))
                .score()
                .is_some()
        );
        handle
    });
    drop(one);
    assert_eq!(engines[0].stats().scorers, 1);
    let third = ThreadScorers::new(engines[1].clone(), HostOptions::default());
    let _ = third.score(|scorer| scorer.score(&request()));
    assert_eq!(
        engines.each_ref().map(|engine| engine.stats().scorers),
        [0, 2]
    );
    drop(other);
}

#[test]
fn a_thread_without_a_scorer_passes_requests_on() {
    let engine = engine(Schema::http());
    let slots: Vec<_> = std::iter::from_fn(|| engine.scorer().ok()).collect();
    assert_eq!(slots.len(), READERS_MAX);
    let handle = ThreadScorers::new(engine, HostOptions::default());
    let score = || handle.score(|scorer| scorer.score(&request()));
    assert_eq!(score().reason_name(), Some("no-scorer"));
    drop(slots);
    assert!(score().score().is_some());
    // A call inside a call has none either, and a panic outside of the scorer is one.
    let within = handle.score(|scorer| {
        assert_eq!(score().reason_name(), Some("no-scorer"));
        scorer.score(&request())
    });
    assert!(within.score().is_some());
    let bug = handle.score(|_| panic!("a bug of the host's"));
    assert_eq!(bug.reason_name(), Some("panic"));
    let stats = handle.stats();
    let passed: Vec<_> = stats.passed().collect();
    let expected = [
        (PassReason::Panic, 1),
        (PassReason::BreakerOpen, 0),
        (PassReason::NoScorer, 2),
    ];
    assert_eq!((passed.as_slice(), stats.requests), (&expected[..], 5));
}

#[test]
fn reserved_names_are_told_in_any_writing() {
    for name in headers::ALL {
        assert!(headers::is_reserved(name.as_bytes()));
        assert!(headers::is_reserved(name.to_uppercase().as_bytes()));
        // Servers make one variable of all these.
        for other in ["_", ".", "~"] {
            assert!(headers::is_reserved(name.replace('-', other).as_bytes()));
        }
    }
    assert!(headers::is_reserved(b"X_bot-SCORE"));
    for other in [
        "",
        "x",
        "x-bot",
        "x-bot-",
        "x-bot-scores",
        "x-robots-tag",
        "host",
        "xx-bot-score",
    ] {
        assert!(!headers::is_reserved(other.as_bytes()), "{other}");
    }
}

#[test]
fn every_verdict_has_its_texts() {
    let engine = engine(Schema::http());
    let mut host = engine
        .request_scorer(HostOptions::default())
        .expect("a slot");
    let scored = host.score(&request());
    let Some(Verdict::Scored(verdict)) = scored.verdict() else {
        panic!("a score");
    };
    assert_eq!(headers::score(verdict.score), verdict.score.to_string());
    assert_eq!(headers::generation(&scored).as_deref(), Some("1"));
    let hedgerow::Source::Detection(id) = verdict.source else {
        panic!("curl is detected");
    };
    assert_eq!(&*headers::source(&scored), format!("detection:{id}"));
    let catalog = host
        .catalog(verdict.generation)
        .cloned()
        .expect("the names");
    let ids = { verdict.detections.positions() }.map(|at| catalog.detections()[at].id.to_string());
    let ids = ids.collect::<Vec<_>>().join(",");
    assert!(ids.contains(&id.to_string()));
    let text = headers::detections(&scored, Some(&catalog));
    assert_eq!(text.as_deref(), Some(ids.as_str()));
    assert!(headers::detections(&scored, None).is_none());
    for reason in PassReason::ALL {
        let passed = ScoredRequest::from(*reason);
        assert_eq!(
            &*headers::source(&passed),
            format!("not-scored:{}", reason.name())
        );
        assert!(headers::generation(&passed).is_none());
        assert!(headers::detections(&passed, Some(&catalog)).is_none());
    }
    assert_eq!(
        ScoredRequest::default(),
        ScoredRequest::from(PassReason::NotAsked)
    );
    for category in hedgerow::table::bots::Category::ALL {
        let bot = hedgerow::VerifiedBot {
            bot: 0,
            category: *category,
            generation: 7,
        };
        let scored = ScoredRequest::from(Outcome::Verdict(Verdict::VerifiedBot(bot)));
        let expected = format!("verified-bot:{}", category.name());
        assert_eq!(&*headers::source(&scored), expected);
        assert_eq!(scored.source_name(), "verified-bot");
    }
}

/// A folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("host-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

#[test]
fn a_table_source_is_what_users_write() {
    let folder = folder("source");
    assert_eq!(TableSource::of("default"), TableSource::Bundled);
    assert_eq!(
        TableSource::of(&folder),
        TableSource::Directory(folder.clone())
    );
    let later = folder.join("later/");
    assert_eq!(
        TableSource::of(&later),
        TableSource::Directory(later.clone())
    );
    let file = folder.join("table.hedge");
    assert_eq!(TableSource::of(&file), TableSource::File(file.clone()));
    assert_eq!(TableSource::of(&file).directory(), None);
}

#[test]
fn an_engine_opens_from_each_source() {
    let folder = folder("open");
    let of = |table| OpenOptions {
        table,
        ..OpenOptions::default()
    };
    let file = folder.join("table.hedge");
    std::fs::write(&file, DEFAULT_TABLE).expect("a file");
    let bundled = open(OpenOptions::default()).expect("opened");
    let from_file = open(of(TableSource::File(file))).expect("opened");
    let later = folder.join("later");
    let from_directory = open(of(TableSource::Directory(later))).expect("opened");
    for opened in [&bundled, &from_file, &from_directory] {
        let stats = opened.engine.stats();
        assert_eq!(stats.content_id, bundled.engine.stats().content_id);
        assert_eq!(opened.engine.schema(), &Schema::http_with_traffic());
    }
    assert!(from_directory.watcher.is_some() && from_file.watcher.is_none());
    let nowhere = open(of(TableSource::File(folder.join("nowhere"))));
    assert!(matches!(nowhere, Err(OpenFailure::Table(_))), "{nowhere:?}");
}

#[test]
fn with_keys_only_what_they_signed_is_taken() {
    let folder = folder("keys");
    let key = SecretKey::new("ops").expect("a key");
    let (public, signed, plain) = (folder.join("ops.pub"), folder.join("s"), folder.join("p"));
    std::fs::write(&public, key.public().text()).expect("a file");
    std::fs::write(&signed, key.sign(DEFAULT_TABLE)).expect("a file");
    std::fs::write(&plain, DEFAULT_TABLE).expect("a file");
    let of = |table, keys: &[&PathBuf]| {
        open(OpenOptions {
            table,
            keys: keys.iter().map(|key| (*key).clone()).collect(),
            ..OpenOptions::default()
        })
    };
    let opened = of(TableSource::File(signed.clone()), &[&public]).expect("opened");
    assert!(opened.publish_file(&plain).is_err());
    assert_eq!(opened.engine.stats().refusals.len(), 1, "it is counted");
    assert_eq!(opened.publish_file(&signed), Ok(2));
    let refused = of(TableSource::File(plain.clone()), &[&public]).expect_err("unsigned");
    assert!(refused.to_string().contains("signature"), "{refused}");
    assert!(
        of(TableSource::Bundled, &[&public]).is_ok(),
        "no signature is needed"
    );
    let missing = folder.join("nowhere.pub");
    for (file, said) in [
        (&missing, "got none"),
        (&plain, "no text"),
        (&signed, "no text"),
    ] {
        let refused = of(TableSource::Bundled, &[file]).expect_err("no key");
        let said = refused.to_string().contains(said)
            && refused.to_string().contains(&file.display().to_string());
        assert!(said && matches!(refused, OpenFailure::Key(_)), "{refused}");
    }
}
