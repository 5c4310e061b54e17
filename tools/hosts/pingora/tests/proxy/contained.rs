//! Trouble within the call: the filter's own breaker, and requests that go on.

use hedgerow::{DEFAULT_TABLE, Engine, FeatureKind, Schema, Table};
use hedgerow_proxy::{BreakerOptions, Filter, FilterOptions, From, Outcome, Trouble};
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
    let own = |request: &RequestHeader, row: &mut hedgerow::Row| match request.uri.path() {
        "/panic" => panic!("a bug in a host's feature"),
        "/slow" => std::thread::sleep(Duration::from_millis(60)),
        _ => row.set(200, 1.0),
    };
    let options = FilterOptions {
        own: Some(Arc::new(own)),
        breaker: BreakerOptions {
            budget: Duration::from_millis(50),
            late_max: 3,
            panics_max: 3,
            pause: PAUSE,
            ..BreakerOptions::default()
        },
        ..FilterOptions::default()
    };
    Filter::new(engine(), options)
}

#[test]
fn a_panic_is_a_request_without_a_score_and_many_open_the_breaker() {
    let filter = failing();
    let score = |path: &str| filter.judge_from(&request(path), &from());
    assert_eq!(score("/").score().map(|score| score.get()), Some(2));
    for _ in 0..3 {
        assert_eq!(score("/panic").outcome(), &Outcome::Passed(Trouble::Panic));
    }
    let start = Instant::now();
    for path in ["/", "/panic", "/"] {
        let outcome = *score(path).outcome();
        assert!(start.elapsed() < PAUSE, "too slow a machine to tell");
        assert_eq!(outcome, Outcome::Passed(Trouble::BreakerOpen));
    }
    std::thread::sleep(PAUSE);
    assert!(score("/").score().is_some(), "it closes again");
    let stats = filter.stats();
    assert_eq!(stats.troubles[Trouble::Panic as usize], 3);
    assert_eq!(stats.troubles[Trouble::BreakerOpen as usize], 3);
    assert_eq!((stats.opened, stats.threads, stats.requests), (1, 1, 8));
    // What is told to the upstream then.
    let mut upstream = request("/");
    upstream
        .append_header("X-Bot-Score", "99")
        .expect("a header");
    filter.tag(&hedgerow_proxy::Judged::default(), &mut upstream);
    assert!(upstream.headers.get("x-bot-score").is_none());
    assert_eq!(upstream.headers["x-bot-source"], "not-scored:not-asked");
}

#[test]
fn own_features_of_a_request_are_not_those_of_the_one_before() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let own = move |request: &RequestHeader, row: &mut hedgerow::Row| {
        kept.lock().expect("a list").push(row.get(200));
        match request.uri.path() {
            "/set" => row.set(200, 1.0),
            "/panic" => {
                row.set(200, 2.0);
                panic!("a bug in a host's feature");
            }
            _ => {}
        }
    };
    let options = FilterOptions {
        own: Some(Arc::new(own)),
        ..FilterOptions::default()
    };
    let filter = Filter::new(engine(), options);
    for path in ["/set", "/", "/panic", "/"] {
        filter.judge_from(&request(path), &from());
    }
    let seen = seen.lock().expect("a list");
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|value| value.is_nan()), "{seen:?}");
}

#[test]
fn calls_that_take_too_long_give_their_score_and_open_the_breaker() {
    let filter = failing();
    let score = |path: &str| filter.judge_from(&request(path), &from());
    for _ in 0..3 {
        assert!(score("/slow").score().is_some(), "late, and still a score");
    }
    assert_eq!(score("/").outcome(), &Outcome::Passed(Trouble::BreakerOpen));
    std::thread::sleep(PAUSE);
    assert!(
        score("/slow").score().is_some(),
        "one is tried, and is late"
    );
    assert_eq!(score("/").outcome(), &Outcome::Passed(Trouble::BreakerOpen));
    std::thread::sleep(PAUSE);
    assert!(score("/").score().is_some());
    assert!(score("/").score().is_some());
    assert_eq!((filter.stats().late, filter.stats().opened), (4, 2));
}

#[test]
fn an_engine_without_slots_or_tables_passes_traffic() {
    let bare = Filter::new(Engine::new(Schema::http()), FilterOptions::default());
    let judged = bare.judge_from(&request("/"), &from());
    assert!(
        judged.verdict().is_some() && judged.score().is_none(),
        "no table: {judged:?}"
    );

    let engine = engine();
    let slots: Vec<_> = std::iter::from_fn(|| engine.scorer().ok()).collect();
    assert_eq!(slots.len(), hedgerow::limits::READERS_MAX);
    let filter = Filter::new(engine, FilterOptions::default());
    let judged = filter.judge_from(&request("/"), &from());
    assert_eq!(judged.outcome(), &Outcome::Passed(Trouble::NoScorer));
    drop(slots);
    assert!(filter.judge_from(&request("/"), &from()).score().is_some());
    let stats = filter.stats();
    assert_eq!(stats.troubles[Trouble::NoScorer as usize], 1);
    assert_eq!((stats.requests, stats.threads), (2, 1));
    let counted: Vec<_> = stats.troubles().map(|(trouble, _)| trouble).collect();
    assert_eq!(
        counted,
        [Trouble::Panic, Trouble::BreakerOpen, Trouble::NoScorer]
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
                        let judged = filter.judge_from(&request("/"), &from());
                        assert!(judged.score().is_some());
                        filter.finish(&judged, 200);
                    }
                }
            });
        }
    });
    for filter in &filters {
        let stats = filter.stats();
        assert_eq!((stats.threads, stats.requests), (4, 400));
        assert_eq!(filter.engine().stats().rows.scored, 400);
        // A thread that ends gives its scorer back, a moment after it is joined.
        let start = Instant::now();
        while filter.engine().stats().scorers > 0 {
            assert!(start.elapsed() < Duration::from_secs(10), "{stats:?}");
            std::thread::yield_now();
        }
    }
}
