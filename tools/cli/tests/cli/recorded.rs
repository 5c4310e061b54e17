//! The recordings of every kind of request that browsers send, directly and behind real proxies.

use super::common::*;
use serde_json::Value;
use std::process::Command;

/// Scores below this are what operators block.
const BLOCKED: u64 = 30;

/// One row of each kind, client and wire.
const KINDS: &str = "kinds";

/// Some of them as a host behind real proxies sees them.
const BEHIND: &str = "kinds-behind";

/// The lines of a recording of tools/lab/record.
fn recording(name: &str) -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../lab/record/data");
    let path = format!("{folder}/{name}.ndjson.gz");
    let unpacked = Command::new("gzip").args(["-dc", &path]).output();
    let unpacked = unpacked.expect("gzip");
    assert!(unpacked.status.success(), "gzip -dc {path}");
    let text = String::from_utf8(unpacked.stdout).expect("text");
    text.lines().map(str::to_string).collect()
}

fn parsed(lines: &[String]) -> Vec<Value> {
    let lines = lines.iter();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What the bundled table makes of each line.
fn scores(lines: &[String]) -> Vec<u64> {
    let mut text = lines.join("\n");
    text.push('\n');
    let rows = run_on(&["extract", "-"], text.as_bytes()).done();
    let scored = run_on(&["score", "default", "-", "--json"], rows.as_bytes()).json();
    let rows = scored["rows"].as_array().expect("rows");
    let scores: Vec<u64> = { rows.iter() }
        .map(|row| row["score"].as_u64().expect("a score"))
        .collect();
    assert_eq!(scores.len(), lines.len());
    scores
}

/// Asserts that no person's request is below [`BLOCKED`]. Returns the scores of all of them.
fn people_pass(name: &str) -> Vec<u64> {
    let lines = recording(name);
    let mut people = Vec::new();
    let mut low = Vec::new();
    for (request, score) in parsed(&lines).iter().zip(scores(&lines)) {
        if request["label"] != "human" {
            continue;
        }
        people.push(score);
        if score < BLOCKED {
            let what = ["client", "through", "scheme", "http", "path"].map(|name| &request[name]);
            low.push(format!("{score}: {what:?}"));
        }
    }
    assert!(
        low.is_empty(),
        "{} of {}: {low:#?}",
        low.len(),
        people.len()
    );
    people
}

#[test]
fn every_kind_of_a_persons_request_passes() {
    let mut people = people_pass(KINDS);
    assert!(people.len() > 1_000, "{}", people.len());
    people.sort_unstable();
    let median = people[people.len() / 2];
    assert!(median >= 80, "{median}");
}

#[test]
fn people_behind_real_proxies_pass() {
    assert!(people_pass(BEHIND).len() > 100);
}

#[test]
fn another_platforms_agent_does_not_pass() {
    let lines = recording(KINDS);
    let (mut pages, mut low) = (0, 0);
    for (request, score) in parsed(&lines).iter().zip(scores(&lines)) {
        let client = request["client"].as_str().unwrap_or_default();
        let foreign = client.starts_with("chromium-headless/flag-") && request["hard"] == false;
        if foreign && request["path"] == "/kinds/start" {
            pages += 1;
            low += usize::from(score < BLOCKED);
        }
    }
    assert!(pages >= 6 && low == pages, "{low} of {pages}");
}

#[test]
fn the_recordings_have_every_kind_of_every_engine() {
    let kinds = [
        "start",
        "worker.js",
        "worker-shared.js",
        "sw.js",
        "sw-fetch",
        "prefetched",
        "prerendered",
        "download.bin",
        "attachment.bin",
        "websocket",
        "events",
        "beacon",
        "cors-put",
        "video.webm",
        "audio.wav",
        "link-prefetch-",
        "link-preload-script",
        "manifest.webmanifest",
        "favicon.ico",
        "font.woff2",
        "style.css",
        "frame",
        "fetch",
        "xhr",
        "fetch-keepalive",
        "form-post",
        "form-multipart",
        "csp-report",
        "report",
    ];
    let rows = parsed(&recording(KINDS));
    let has = |client: &str, kind: &str| {
        rows.iter().any(|request| {
            let path = request["path"].as_str().unwrap_or_default();
            let path = path.split('?').next().unwrap_or_default();
            request["client"] == client && path.strip_prefix("/kinds/") == Some(kind)
        })
    };
    let missing: Vec<_> = { kinds.iter() }
        .filter(|kind| !has("chromium/kinds", kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for client in ["firefox/kinds", "epiphany/kinds"] {
        for kind in [
            "worker.js",
            "websocket",
            "beacon",
            "form-post",
            "fetch",
            "font.woff2",
        ] {
            assert!(has(client, kind), "{client} {kind}");
        }
    }
    let wires = rows.iter().filter(|request| request["method"] == "CONNECT");
    assert!(wires.count() > 0, "no WebSocket over HTTP/2");
}
