//! What engines see of their requests decides over a rollout: requests without a score, and p99.

use super::*;
use hedgerow::{Row, WatchOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

/// A host's requests: how long each takes, and how many of a hundred are turned away.
#[derive(Default)]
struct Traffic {
    micros: AtomicU64,
    turned_away: AtomicU64,
    over: AtomicBool,
}

struct Host {
    traffic: Arc<Traffic>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    fn of(node: &Node) -> Host {
        let mut scorer = node.watcher.engine().scorer().unwrap();
        let traffic = Arc::new(Traffic::default());
        traffic.micros.store(10, Relaxed);
        let shared = traffic.clone();
        let thread = spawn(move || {
            while !shared.over.load(Relaxed) {
                let turned_away = shared.turned_away.load(Relaxed);
                for request in 0..100 {
                    if request < turned_away {
                        scorer.stats().count_turned_away();
                        continue;
                    }
                    let _ = scorer.score(&Row::MISSING);
                    let nanos = 1_000 * shared.micros.load(Relaxed);
                    scorer.stats().latency.record(nanos);
                }
                sleep(Duration::from_millis(10));
            }
        });
        Host {
            traffic,
            thread: Some(thread),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.traffic.over.store(true, Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The engine's own watchdog lets everything pass: the rollout is what decides.
fn lenient(options: &mut WatchOptions) {
    options.watchdog.not_scored_max = 1.0;
    options.watchdog.latency_ratio_max = f64::INFINITY;
}

#[test]
fn a_rollout_halts_and_goes_back_for_what_engines_see() {
    let (_servers, folder, address) = fleet!("health", 1);
    let node = |ring: &str| Node::with(&folder, ring, &address, &["--ring", ring], lenient);
    let (canary, all) = (node("canary"), node("all"));
    let hosts = [Host::of(&canary), Host::of(&all)];
    publish(&address, &folder.table(1), &["--wait", "20"]).generation();
    let rollout = |number: u8, more: &[&str]| {
        let table = folder.table(number);
        let rest = ["--rings", "canary,all", "--soak", "3", "--rows-min", "300"];
        let args = [&["rollout", &table, &address][..], &rest, more].concat();
        let done = run(&args);
        (done.status == 0, done)
    };
    let (well, report) = rollout(2, &["--p99-max", "1000", "--require-health"]);
    assert!(well, "{report:?}");
    for ring in report.json["rings"].as_array().unwrap() {
        let health = &ring["nodes"]["health"];
        assert!(health["rows"].as_u64().unwrap() >= 300, "{health}");
        let p99 = health["p99_nanos"].as_u64().unwrap();
        assert!((10_000..12_000).contains(&p99), "{health}");
    }
    let (good, canary_traffic) = (report.generation(), &hosts[0].traffic);

    let went_back = |(well, report): (bool, Outcome), why: &str| {
        assert!(!well, "{report:?}");
        assert_eq!(
            report.json["rings"].as_array().unwrap().len(),
            1,
            "{report:?}"
        );
        assert!(report.json["rings"].to_string().contains(why), "{report:?}");
        let back = report.json["back"]["generation"].as_u64();
        canary.wait(back.unwrap_or_else(|| panic!("{report:?}")));
        assert_eq!(canary.watcher.status().content_id, Some(content_id(2)));
        assert_eq!(all.generation(), good, "nobody else had it");
    };
    canary_traffic.turned_away.store(20, Relaxed);
    went_back(rollout(3, &["--require-health"]), "20.0 % of");
    canary_traffic.turned_away.store(0, Relaxed);
    canary_traffic.micros.store(5_000, Relaxed);
    let more = ["--p99-max", "1000", "--require-health"];
    went_back(rollout(4, &more), "a p99 of 5");
    canary_traffic.micros.store(10, Relaxed);

    // No requests reach the canary: its health is unknown.
    let [quiet, _busy] = hosts;
    drop(quiet);
    let more = ["--require-health", "--ring-within", "4"];
    went_back(rollout(5, &more), "is not known");
    let (well, report) = rollout(6, &[]);
    assert!(well, "{report:?}");
    let unknown = report.json["rings"][0]["nodes"]["unknown"].to_string();
    assert!(unknown.contains("0 requests, of 300 to tell"), "{unknown}");
    let status = run(&["status", &address]);
    let nodes = status.json["nodes"].as_array().unwrap();
    assert!(
        nodes[0]["health"]["rows"].as_u64().unwrap() > 0,
        "{nodes:?}"
    );
}
