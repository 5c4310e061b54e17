//! The real Envoy with the module, and the manual's configuration of it.

mod hops;
mod server;

use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};
use hedgerow::{Feature, FeatureKind};
use hedgerow_testkit::disturb::{Seen, disturb, good, has_wrk, publish, wrk};
use hedgerow_testkit::folder;
use server::{Envoy, reached};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CURL: &str = "User-Agent: curl/8.5.0\r\nAccept: */*\r\nConnection: close\r\n\
                    X-Bot-Score: 99\r\nX-Bot-Detections: 77\r\n\
                    X_Bot_Score: 98\r\nx-bot_source: made-up\r\nX_Bot: kept\r\n";

/// What Chromium sends for a page without TLS.
const BROWSER: &str = "Upgrade-Insecure-Requests: 1\r\n\
                       User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like \
                       Gecko) Chrome/140.0.0.0 Safari/537.36\r\n\
                       Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
                       image/webp,image/apng,*/*;q=0.8\r\n\
                       Accept-Encoding: gzip, deflate\r\n\
                       Accept-Language: en-US,en;q=0.9\r\nConnection: close\r\n";

fn score(answer: &str) -> u8 {
    let score = reached(answer, "x-bot-score").and_then(|score| score.parse().ok());
    score.unwrap_or_else(|| panic!("no score: {answer}"))
}

#[test]
fn envoy_scores_and_tells() {
    let Some(envoy) = Envoy::start("envoy-scores", "table: default") else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    let curl = envoy.get(CURL);
    assert!(curl.starts_with("HTTP/1.1 200 "), "{curl}");
    assert!(score(&curl) < 30, "{curl}");
    assert_eq!(curl.matches("x-bot-score").count(), 1, "{curl}");
    for made_up in ["x_bot_score", "x-bot_source", "made-up"] {
        assert!(!curl.contains(made_up), "{made_up} in {curl}");
    }
    // Envoy itself lets such names pass.
    assert_eq!(reached(&curl, "x_bot"), Some("kept"), "{curl}");
    assert_eq!(reached(&curl, "x-bot-source"), Some("detection"), "{curl}");
    assert_eq!(reached(&curl, "x-bot-detections"), Some("9"), "{curl}");
    assert_eq!(reached(&curl, "x-bot-generation"), Some("1"), "{curl}");
    let browser = envoy.get(BROWSER);
    // Over plain HTTP, and without its Connection header: see the manual.
    assert!(score(&browser) > score(&curl) + 20, "{browser}");
    // Both workers score, and go on under what is malformed.
    for _ in 0..50 {
        assert_eq!(score(&envoy.get(CURL)), score(&curl));
    }
    let huge = format!("X-Huge: {}\r\n", "x".repeat(64 * 1024));
    assert!(envoy.get(&huge).starts_with("HTTP/1.1 431 "));
    assert!(envoy.get("nonsense\r\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(score(&envoy.get(CURL)), score(&curl));
    let (log, errors) = (envoy.folder.join("access.log"), envoy.errors());
    drop(envoy);
    let log = std::fs::read_to_string(log).expect("a log");
    let noted = format!("200 {} detection", score(&curl));
    assert!(log.lines().any(|line| line == noted), "{log}");
    assert!(log.lines().any(|line| line.ends_with(" ensemble")), "{log}");
    assert!(!errors.contains("panic"), "{errors}");
}

/// Load, while tables good and bad come 20 times a second and the engine is switched off and on: no
/// request fails, and each has the one right score, or none.
#[test]
fn no_request_fails_in_envoy_while_tables_and_switches_change() {
    if !has_wrk() {
        return;
    }
    let directory = folder("envoy-load-tables").expect("a folder");
    publish(&directory, &good(3));
    let filter = format!("table: {}", directory.display());
    let Some(envoy) = Envoy::start("envoy-load", &filter) else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    let expected = score(&envoy.get(CURL));
    let asked = std::env::var("HEDGEROW_LOAD_SECONDS");
    let seconds = asked.ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let (stop, mut seen) = (AtomicBool::new(false), Seen::default());
    let headers = [
        "Host: shop.example",
        "User-Agent: curl/8.5.0",
        "Accept: */*",
    ];
    let (requests, checked) = std::thread::scope(|scope| {
        scope.spawn(|| disturb(&directory, &stop, &mut seen, |_| 0));
        let checks = scope.spawn(|| {
            let (mut scored, mut without) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let answer = envoy.get(CURL);
                assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                match reached(&answer, "x-bot-score") {
                    Some(score) => {
                        assert_eq!(score.parse(), Ok(expected), "{answer}");
                        scored += 1;
                    }
                    None => without += 1,
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            (scored, without)
        });
        let load = scope.spawn(|| wrk(envoy.port, &headers, seconds, false));
        let requests = load.join();
        stop.store(true, Ordering::Relaxed);
        (requests, checks.join().expect("right answers"))
    });
    let requests = requests.unwrap_or_else(|_| panic!("requests failed: {}", envoy.errors()));
    println!("{requests} requests, none failed; {seen:?}; checked: {checked:?}");
    assert!(requests > 500 && checked.0 > 10 && checked.1 > 0);
    assert!(seen.published > 5 && seen.bad > 5 && seen.flips > 0);
    let errors = envoy.errors();
    assert!(
        !errors.contains("panic") && errors.contains("refused"),
        "{errors}"
    );
}

#[test]
fn envoy_blocks_where_it_is_told_to() {
    let filter = "block_below: 30, block_status: 429";
    let filter = filter.replace(", ", "\n                  ");
    let Some(envoy) = Envoy::start("envoy-blocks", &filter) else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    let curl = envoy.get(CURL);
    assert!(curl.starts_with("HTTP/1.1 429 "), "{curl}");
    let browser = envoy.get(BROWSER);
    assert!(browser.starts_with("HTTP/1.1 200 "), "{browser}");
}

#[test]
fn envoy_refuses_a_configuration_that_means_nothing() {
    for (filter, said) in [
        ("block_below: 1", "expected a score from 2 to 99"),
        ("tabel: default", "unknown field `tabel`"),
        ("table: /nowhere/at/all.hedge", "nowhere"),
        ("state: /nowhere", "expected it with a directory as table"),
        (
            "keys: [/nowhere]",
            "/nowhere: expected a file of a public key",
        ),
        (
            "traffic_clients: 9",
            "traffic_clients: expected room for a power of two",
        ),
    ] {
        let Some(envoy) = Envoy::start("envoy-refuses", filter) else {
            return;
        };
        let Err(errors) = envoy else {
            panic!("Envoy took {filter:?}");
        };
        assert!(errors.contains(said), "{filter:?}: {errors}");
    }
}

/// A directory that is not there yet is no reason to refuse, and neither to fail a request.
#[test]
fn envoy_watches_a_directory() {
    let tables = folder("envoy-tables").expect("a folder");
    let key = hedgerow::watch::SecretKey::new("ops").expect("a key");
    let public = tables.join("ops.pub");
    std::fs::write(&public, key.public().text()).expect("a file");
    let filter = format!(
        "table: {}/later/\n                  keys: [{}]",
        tables.display(),
        public.display()
    );
    let Some(envoy) = Envoy::start("envoy-watches", &filter) else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    assert_eq!(reached(&envoy.get(CURL), "x-bot-generation"), Some("0"));
    let later = tables.join("later");
    let publisher = hedgerow::watch::Publisher::create(&later, Duration::from_secs(10), "a test");
    // As a fleet's agent writes it: signed by a key that Envoy is told.
    let signed = key.sign(hedgerow::DEFAULT_TABLE);
    let table = hedgerow::Table::from_bytes(&signed).expect("a table");
    let published = publisher.and_then(|publisher| {
        publisher.publish(&table, &hedgerow::watch::PublishOptions::default())
    });
    let generation = published.expect("a publish").pointer.generation.to_string();
    // What a restart must not forget stands in the directory.
    let state = later.join("engines/envoy/status");
    let end = Instant::now() + Duration::from_secs(20);
    while reached(&envoy.get(CURL), "x-bot-generation") != Some(&generation) {
        assert!(Instant::now() < end, "{}", envoy.errors());
        std::thread::sleep(Duration::from_millis(50));
    }
    while !state.is_file() {
        assert!(Instant::now() < end, "{}", envoy.errors());
        std::thread::sleep(Duration::from_millis(50));
    }
    // The watchdog sees how long calls take.
    let folder = state.parent().expect("a folder");
    let timed = || hedgerow::watch::status::health(folder).is_some_and(|health| health.timed > 0);
    while !timed() {
        assert!(Instant::now() < end, "{}", envoy.errors());
        envoy.get(CURL);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A table that calls a client a bot for the share of its answers that are errors, and for nothing
/// else.
fn guessing() -> Vec<u8> {
    let docs = hedgerow::traffic::FEATURES.iter();
    let doc = docs
        .into_iter()
        .find(|doc| doc.name == "traffic_error_share");
    let split = Split {
        feature: 0,
        test: Test::Above(0.5),
        missing: Missing::Left,
        zero_is_missing: false,
    };
    let ensemble = Ensemble {
        features: vec![Feature {
            name: doc.expect("a feature").name.into(),
            kind: FeatureKind::Number,
        }],
        trees: vec![Tree::Oblivious {
            splits: vec![split],
            leaves: vec![3.0, -3.0],
            weights: Vec::new(),
        }],
        bias: 0.0,
    };
    let built = build(&ensemble, &BuildOptions::default());
    built.expect("a table").bytes
}

/// Each worker of Envoy's remembers what its clients did, and how they were answered.
#[test]
fn envoy_scores_by_the_traffic_of_a_client() {
    let table = folder("envoy-traffic-table").expect("a folder");
    let table = table.join("guessing.hedge");
    std::fs::write(&table, guessing()).expect("a file");
    let named = format!("table: {}", table.display());
    let without = format!("{named}\n                  traffic_clients: 0");
    match Envoy::start("envoy-traffic-off", &without) {
        None => return,
        Some(Ok(_)) => panic!("Envoy took a table whose features it does not have"),
        Some(Err(errors)) => assert!(errors.contains("traffic_error_share"), "{errors}"),
    }
    let Some(envoy) = Envoy::start("envoy-traffic", &named) else {
        return;
    };
    let envoy = envoy.expect("Envoy runs");
    // A share of four answers is the first one that there is.
    for _ in 0..4 {
        let answer = envoy.get_path("/missing", CURL);
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(score(&answer) > 90, "{answer}");
    }
    // Two workers share the requests.
    let low = (0..40).any(|_| score(&envoy.get_path("/missing", CURL)) < 10);
    assert!(low, "{}", envoy.errors());
}
