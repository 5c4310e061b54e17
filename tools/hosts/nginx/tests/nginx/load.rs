//! Under load: tables good and bad, switches, reloads, and not one request that fails.
//!
//! Six seconds, or `HEDGEROW_LOAD_SECONDS`: a minute is
//! `HEDGEROW_LOAD_SECONDS=60 cargo test --release -p hedgerow-nginx load`.

use crate::server::{Nginx, module, status};
use crate::{CURL, reached};
use hedgerow_testkit::disturb::{Seen, disturb, good, has_wrk, publish, wrk};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn seconds() -> u64 {
    let asked = std::env::var("HEDGEROW_LOAD_SECONDS");
    asked.ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

/// What the answers were.
#[derive(Debug, Default)]
struct Checked {
    requests: u64,
    /// Scores, and answers without one.
    scores: BTreeMap<String, u64>,
    generations: BTreeMap<String, u64>,
}

/// One request after the other: each has the one right score, or none while the engine is off.
fn check(nginx: &Nginx, stop: &AtomicBool, seen: &mut Checked) {
    while !stop.load(Ordering::Relaxed) {
        let answer = nginx.get("/", CURL);
        assert_eq!(status(&answer), 200, "{answer}");
        let reached = reached(&answer);
        *seen.scores.entry(reached[0].clone()).or_default() += 1;
        *seen.generations.entry(reached[2].clone()).or_default() += 1;
        let expected = if reached[0].is_empty() {
            "not-scored"
        } else {
            "detection"
        };
        let ensemble = reached[1] == "ensemble" && !reached[0].is_empty();
        assert!(reached[1] == expected || ensemble, "{answer}");
        seen.requests += 1;
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn under_load(name: &str, reload: bool) {
    let Some(module) = module().filter(|_| has_wrk()) else {
        return;
    };
    let directory = hedgerow_testkit::folder(&format!("{name}-tables")).expect("a folder");
    publish(&directory, &good(3));
    let top = format!(
        "bot_score on; bot_score_table {}; bot_score_state {};",
        directory.display(),
        directory.join("engines").display()
    );
    let nginx = Nginx::start(module, name, &top, "");
    let before = reached(&nginx.get("/", CURL));
    let stop = AtomicBool::new(false);
    let (mut disturbed, mut checked) = (Seen::default(), Checked::default());
    let requests = std::thread::scope(|scope| {
        scope.spawn(|| {
            let reloads = |turn| {
                let now = reload && turn % 40 == 20;
                if now {
                    nginx.reload();
                }
                u64::from(now)
            };
            disturb(&directory, &stop, &mut disturbed, reloads);
        });
        scope.spawn(|| check(&nginx, &stop, &mut checked));
        let load = scope.spawn(|| wrk(nginx.port, CURL, seconds(), reload));
        let requests = load.join();
        stop.store(true, Ordering::Relaxed);
        requests
    });
    let requests = requests.unwrap_or_else(|_| panic!("requests failed: {}", nginx.errors()));
    println!(
        "{requests} requests, none failed; {} good and {} bad tables, {} switches, {} reloads; \
         {} checked: scores {:?}, of {} generations",
        disturbed.published,
        disturbed.bad,
        disturbed.flips,
        disturbed.reloads,
        checked.requests,
        checked.scores,
        checked.generations.len()
    );
    assert!(requests > 1_000 && checked.requests > 20);
    assert!(disturbed.published > 10 && disturbed.bad > 10 && disturbed.flips >= 2);
    assert!(!reload || disturbed.reloads > 0);
    // All good tables give the one score; the others gave none.
    let scores: Vec<_> = { checked.scores.keys() }
        .filter(|score| !score.is_empty())
        .collect();
    assert_eq!(scores, [&before[0]], "{checked:?}");
    assert!(
        checked.scores.contains_key(""),
        "the switch did nothing: {checked:?}"
    );
    assert!(checked.generations.len() > 3, "{checked:?}");
    nginx.wait_for_error("refused");
    for bad in ["exited on signal", "[alert]", "[crit]", "[emerg]", "panic"] {
        assert!(!nginx.errors().contains(bad), "{bad}: {}", nginx.errors());
    }
    assert!(nginx.workers().len() >= 2);
}

#[test]
fn no_request_fails_under_load_while_tables_and_switches_change() {
    under_load("nginx-load", false);
}

/// A connection a request: nginx closes idle connections of workers that go, with or without us.
#[test]
fn no_request_fails_under_load_while_nginx_is_reloaded() {
    under_load("nginx-reload", true);
}
