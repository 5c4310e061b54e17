//! Trouble within the call: the filter's own breaker, and requests that go on.

use hedgerow::{DEFAULT_TABLE, Engine, FeatureKind, Schema, Table};
use hedgerow_proxy::{
    BreakerOptions, Filter, From, HostOptions, Outcome, PassReason, ScoredRequest,
};
use pingora::http::RequestHeader;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn engine() -> Engine {
    let schema = Schema::http_with_traffic().with("shop_oddness", FeatureKind::Number);
    let engine = Engine::new(schema.expect("a schema"));
    let table = Table::from_bytes(DEFAULT_TABLE).expect("a table");
    engine.publish(table).expect("published");
    engine
}

fn request(path: &str) -> RequestHeader {
    let mut request = RequestHeader::build("GET", path.as_bytes(), None).expect("a request");
    request
        .append_header("Host", "shop.example")
        .expect("a header");
    request
        .append_header("User-Agent", "curl/8.5")
        .expect("a header");
    request
}

fn from() -> From {
    From {
        address: "192.0.2.1".parse().ok(),
        ..From::default()
    }
}

const PAUSE: Duration = Duration::from_secs(1);

/// A filter whose host fills a feature of its own, and fails at it for some requests.
fn failing() -> Filter {
    let own = |request: &RequestHeader, own: &mut [f32]| match request.uri.path() {
        "/panic" => panic!("a bug in a host's feature"),
        "/slow" => std::thread::sleep(Duration::from_millis(60)),
        _ => own[0] = 1.0,
    };
    let options = HostOptions {
        breaker: Some(BreakerOptions {
            budget: Duration::from_millis(50),
            late_max: 3,
            panics_max: 3,
            pause: PAUSE,
            ..BreakerOptions::default()
        }),
        ..HostOptions::default()
    };
    Filter::new(engine(), options).own(Arc::new(own))
}

#[test]
fn a_panic_is_a_request_without_a_score_and_many_open_the_breaker() {
    let filter = failing();
    let score = |path: &str| filter.score_from(&request(path), &from());
    assert_eq!(score("/").score().map(|score| score.get()), Some(2));
    for _ in 0..3 {
        assert_eq!(
            score("/panic").outcome(),
            &Outcome::Passed(PassReason::Panic)
        );
    }
    let start = Instant::now();
    for path in ["/", "/panic", "/"] {
        let outcome = *score(path).outcome();
        assert!(start.elapsed() < PAUSE, "too slow a machine to tell");
        assert_eq!(outcome, Outcome::Passed(PassReason::BreakerOpen));
    }
    std::thread::sleep(PAUSE);
    assert!(score("/").score().is_some(), "it closes again");
    let stats = filter.stats();
    assert_eq!(stats.passed[PassReason::Panic as usize], 3);
    assert_eq!(stats.passed[PassReason::BreakerOpen as usize], 3);
    assert_eq!((stats.opened, stats.scorers, stats.requests), (1, 1, 8));
    // What is told to the upstream then.
    let mut upstream = request("/");
    upstream
        .append_header("X-Bot-Score", "99")
        .expect("a header");
    filter.tag(&ScoredRequest::default(), &mut upstream);
    assert!(upstream.headers.get("x-bot-score").is_none());
    assert_eq!(upstream.headers["x-bot-source"], "not-scored:not-asked");
}

#[test]
fn own_features_of_a_request_are_not_those_of_the_one_before() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let own = move |request: &RequestHeader, own: &mut [f32]| {
        kept.lock().expect("a list").push(own[0]);
        match request.uri.path() {
            "/set" => own[0] = 1.0,
            "/panic" => {
                own[0] = 2.0;
                panic!("a bug in a host's feature");
            }
            _ => {}
        }
    };
    let filter = Filter::new(engine(), HostOptions::default()).own(Arc::new(own));
    for path in ["/set", "/", "/panic", "/"] {
        let _ = filter.score_from(&request(path), &from());
    }
    let seen = seen.lock().expect("a list");
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|value| value.is_nan()), "{seen:?}");
}

#[test]
fn calls_that_take_too_long_give_their_score_and_open_the_breaker() {
    let filter = failing();
    let score = |path: &str| filter.score_from(&request(path), &from());
    for _ in 0..3 {
        assert!(score("/slow").score().is_some(), "late, and still a score");
    }
    assert_eq!(
        score("/").outcome(),
        &Outcome::Passed(PassReason::BreakerOpen)
    );
    std::thread::sleep(PAUSE);
    assert!(
        score("/slow").score().is_some(),
        "one is tried, and is late"
    );
    assert_eq!(
        score("/").outcome(),
        &Outcome::Passed(PassReason::BreakerOpen)
    );
    std::thread::sleep(PAUSE);
    assert!(score("/").score().is_some());
    assert!(score("/").score().is_some());
    assert_eq!((filter.stats().late, filter.stats().opened), (4, 2));
}

#[test]
fn an_engine_without_slots_or_tables_passes_traffic() {
    let bare = Filter::new(Engine::new(Schema::http()), HostOptions::default());
    let scored = bare.score_from(&request("/"), &from());
    assert!(
        scored.verdict().is_some() && scored.score().is_none(),
        "no table: {scored:?}"
    );

    let engine = engine();
    let slots: Vec<_> = std::iter::from_fn(|| engine.scorer().ok()).collect();
    assert_eq!(slots.len(), hedgerow::limits::READERS_MAX);
    let filter = Filter::new(engine, HostOptions::default());
    let scored = filter.score_from(&request("/"), &from());
    assert_eq!(scored.outcome(), &Outcome::Passed(PassReason::NoScorer));
    drop(slots);
    assert!(filter.score_from(&request("/"), &from()).score().is_some());
    let stats = filter.stats();
    assert_eq!(stats.passed[PassReason::NoScorer as usize], 1);
    assert_eq!((stats.requests, stats.scorers), (2, 1));
    let counted: Vec<_> = stats.passed().map(|(reason, _)| reason).collect();
    assert_eq!(
        counted,
        [
            PassReason::Panic,
            PassReason::BreakerOpen,
            PassReason::NoScorer
        ]
    );
}

#[test]
fn two_filters_on_many_threads_keep_apart() {
    let filters = [failing(), failing()];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    for filter in &filters {
                        let scored = filter.score_from(&request("/"), &from());
                        assert!(scored.score().is_some());
                        filter.finish(&scored, 200);
                    }
                }
            });
        }
    });
    for filter in &filters {
        let stats = filter.stats();
        assert_eq!((stats.scorers, stats.requests), (4, 400));
        assert_eq!(filter.engine().stats().rows.scored, 400);
        // A thread that ends gives its scorer back, a moment after it is joined.
        let start = Instant::now();
        while filter.engine().stats().scorers > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{stats:?}");
            std::thread::yield_now();
        }
    }
}
