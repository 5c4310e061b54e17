//! `replay`: short runs, and what it refuses before it starts.

use super::common::*;
use hedgerow::http::FEATURES;
use std::time::Duration;

const REQUEST: &str = "{\"headers\":[[\"User-Agent\",\"curl/8.5.0\"]]}\n";

fn replay(more: &str) -> Outcome {
    hedgerow!("replay --seconds 0.4 --every 2 {more}")
}

#[test]
fn a_short_replay_loses_nothing_and_refuses_every_bad_table() {
    let outcome = replay("--json");
    let json = outcome.json();
    assert_eq!(outcome.status, 0, "{json}");
    assert_eq!(json["ok"], true);
    for none in ["requests_lost", "wrong_verdicts", "threads_not_bound"] {
        assert_eq!(json[none], 0, "{none}: {json}");
    }
    assert_eq!(list(&json["unexpected"]).len(), 0);
    for field in ["requests_scored", "generations_published", "tables_refused"] {
        assert!(count(&json[field]) > 0, "{field}: {json}");
    }
    for field in ["p50", "p99", "p99.9", "max"] {
        assert!(count(&json["latency_ns"][field]) > 0, "{field}: {json}");
    }
    assert!(number(&json["rate_per_core"]) > 0.0);
    for (reason, count) in json["not_scored"].as_object().unwrap() {
        assert_eq!(count, 0, "{reason}");
    }
    assert_eq!(list(&json["scores"]["humans"]).len(), 100);
    for refusal in list(&json["refusals"]) {
        assert!(count(&refusal["code"]) >= 100, "{refusal}");
    }
}

#[test]
fn a_replay_tells_people_the_same_without_a_bar_in_a_file() {
    let text = replay("--cores 0").done();
    holds(
        &text,
        &[
            "requests scored",
            "wrong verdicts         0",
            "requests lost          0",
        ],
    );
}

#[test]
fn a_pool_of_workers_replays_too() {
    let json = replay("--mode pool --json").json();
    assert_eq!(json["ok"], true, "{json}");
}

#[test]
fn a_replay_takes_other_requests() {
    let folder = Folder::new("replay-requests");
    let requests = folder.file("r.ndjson", REQUEST);
    let json = replay(&format!("--requests {requests} --json")).json();
    assert_eq!(json["requests_recorded"], 1);
    let text = replay(&format!("--requests {requests}")).done();
    assert!(text.contains("no labels"), "{text}");
    let refused = |file: &str, parts: &[&str]| replay(&format!("--requests {file}")).refused(parts);
    refused(
        &folder.file("empty.ndjson", "\n"),
        &["empty.ndjson", "at least one"],
    );
    refused("no.ndjson", &["no.ndjson"]);
    refused(
        &folder.file("bad.ndjson", format!("{REQUEST}[]\n")),
        &["bad.ndjson:2"],
    );
}

#[test]
fn a_short_replay_of_many_requests_is_short() {
    let folder = Folder::new("replay-many");
    let requests = folder.file("r.ndjson", REQUEST.repeat(200_000));
    let json = hedgerow!("replay --seconds 0.05 --requests {requests} --json").json();
    assert_eq!(json["ok"], true);
    assert!(number(&json["seconds"]) < 2.0, "{json}");
}

#[test]
fn an_interrupted_replay_reports_and_leaves_nothing() {
    let folder = Folder::new("replay-interrupted");
    let args = ["replay", "--seconds", "60", "--every", "60000"];
    let json = interrupted(&args, &folder, Duration::from_millis(300), 0);
    assert!(number(&json["seconds"]) < 30.0);
}

#[test]
fn a_closed_terminal_leaves_nothing_and_ends_no_run_under_nohup() {
    let folder = Folder::new("replay-hangup");
    let args = ["replay", "--seconds", "60", "--every", "60000"];
    let json = signalled("HUP", &args, &folder, Duration::from_millis(300), 0);
    assert!(number(&json["seconds"]) < 30.0);
    let binary = env!("CARGO_BIN_EXE_hedgerow");
    let script = "trap '' HUP; \"$0\" replay --seconds 2 --json & sleep 1; kill -HUP $!; wait $!";
    let run = std::process::Command::new("sh")
        .args(["-c", script, binary])
        .output()
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert!(number(&json["seconds"]) > 1.9, "{json}");
}

#[test]
fn a_table_of_other_features_is_refused_by_name() {
    let folder = Folder::new("replay-table");
    let table = folder.table();
    let refused = replay(&format!("--table {table}"));
    refused.refused(&["model.hedge", "features[0]", "\"f0\""]);
    replay("--table no.hedge").refused(&["no.hedge"]);
}

#[test]
fn a_table_of_trees_of_any_shape_replays_too() {
    let folder = Folder::new("replay-any");
    let mut model = LIGHTGBM.to_string();
    for (index, feature) in FEATURES.iter().take(4).enumerate() {
        model = model.replace(&format!("Column_{index}"), feature.name);
    }
    let (model, table) = (folder.file("model.txt", model), folder.path("any.hedge"));
    hedgerow!("compile {model} --positive human -o {table} --schema http").done();
    let outcome = hedgerow!("replay --seconds 0.5 --every 0 --table {table} --json");
    assert_eq!(outcome.status, 0, "{}", outcome.out);
    let json = outcome.json();
    assert!(json["faults_tried"].get("wrong-leaf").is_none(), "{json}");
    assert!(json["faults_tried"].get("truncated").is_some(), "{json}");
}
