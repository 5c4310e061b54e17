//! `replay`: short runs, and what it refuses before it starts.

use super::common::*;
use hedgerow::http::FEATURES;
use std::time::Duration;

const REQUEST: &str = "{\"headers\":[[\"User-Agent\",\"curl/8.5.0\"]]}\n";

fn replay(more: &[&str]) -> Outcome {
    run(&[&["replay", "--seconds", "0.4", "--every", "2"], more].concat())
}

#[test]
fn a_short_replay_loses_nothing_and_refuses_every_bad_table() {
    let outcome = replay(&["--json"]);
    let json = outcome.json();
    assert_eq!(outcome.status, 0, "{json}");
    assert_eq!(json["ok"], true);
    assert_eq!(json["requests_lost"], 0);
    assert_eq!(json["wrong_verdicts"], 0);
    assert_eq!(json["threads_not_bound"], 0);
    assert_eq!(json["unexpected"].as_array().unwrap().len(), 0);
    for field in ["requests_scored", "generations_published", "tables_refused"] {
        assert!(json[field].as_u64().unwrap() > 0, "{field}: {json}");
    }
    for field in ["p50", "p99", "p99.9", "max"] {
        assert!(
            json["latency_ns"][field].as_u64().unwrap() > 0,
            "{field}: {json}"
        );
    }
    assert!(json["rate_per_core"].as_f64().unwrap() > 0.0);
    for (reason, count) in json["not_scored"].as_object().unwrap() {
        assert_eq!(count, 0, "{reason}");
    }
    assert_eq!(json["scores"]["humans"].as_array().unwrap().len(), 100);
    for refusal in json["refusals"].as_array().unwrap() {
        assert!(refusal["code"].as_u64().unwrap() >= 100, "{refusal}");
    }
}

#[test]
fn a_replay_tells_people_the_same_without_a_bar_in_a_file() {
    let outcome = replay(&["--cores", "0"]);
    for line in [
        "requests scored",
        "wrong verdicts         0",
        "requests lost          0",
    ] {
        assert!(outcome.out.contains(line), "{outcome:?}");
    }
    outcome.done();
}

#[test]
fn a_replay_takes_other_requests() {
    let folder = Folder::new("replay-requests");
    let requests = folder.file("r.ndjson", REQUEST);
    let json = replay(&["--requests", &requests, "--json"]).json();
    assert_eq!(json["requests_recorded"], 1);
    let text = replay(&["--requests", &requests]).done();
    assert!(text.contains("no labels"), "{text}");
    let empty = folder.file("empty.ndjson", "\n");
    replay(&["--requests", &empty]).refused(&["empty.ndjson", "at least one"]);
    replay(&["--requests", "no.ndjson"]).refused(&["no.ndjson"]);
    let bad = folder.file("bad.ndjson", format!("{REQUEST}[]\n"));
    replay(&["--requests", &bad]).refused(&["bad.ndjson:2"]);
}

#[test]
fn a_short_replay_of_many_requests_is_short() {
    let folder = Folder::new("replay-many");
    let requests = folder.file("r.ndjson", REQUEST.repeat(200_000));
    let json = run(&[
        "replay",
        "--seconds",
        "0.05",
        "--requests",
        &requests,
        "--json",
    ])
    .json();
    assert_eq!(json["ok"], true);
    assert!(json["seconds"].as_f64().unwrap() < 2.0, "{json}");
}

#[test]
fn an_interrupted_replay_reports_and_leaves_nothing() {
    let folder = Folder::new("replay-interrupted");
    let args = ["replay", "--seconds", "60", "--every", "60000"];
    let json = interrupted(&args, &folder, Duration::from_millis(300), 0);
    assert!(json["seconds"].as_f64().unwrap() < 30.0);
}

#[test]
fn a_table_of_other_features_is_refused_by_name() {
    let folder = Folder::new("replay-table");
    let table = folder.table();
    replay(&["--table", &table]).refused(&["model.hedge", "features[0]", "\"f0\""]);
    replay(&["--table", "no.hedge"]).refused(&["no.hedge"]);
}

#[test]
fn a_table_of_trees_of_any_shape_replays_too() {
    let folder = Folder::new("replay-any");
    let mut model = LIGHTGBM.to_string();
    for (index, feature) in FEATURES.iter().take(4).enumerate() {
        model = model.replace(&format!("Column_{index}"), feature.name);
    }
    let model = folder.file("model.txt", model);
    let table = folder.path("any.hedge");
    run(&["compile", &model, "-o", &table, "--schema", "http"]).done();
    let outcome = run(&[
        "replay",
        "--seconds",
        "0.5",
        "--every",
        "0",
        "--table",
        &table,
        "--json",
    ]);
    assert_eq!(outcome.status, 0, "{}", outcome.out);
    let json = outcome.json();
    assert!(json["faults_tried"].get("wrong-leaf").is_none(), "{json}");
    assert!(json["faults_tried"].get("truncated").is_some(), "{json}");
}
