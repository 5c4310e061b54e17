//! The recordings of every kind of request that browsers send.

use serde_json::Value;

/// One row of each kind, client and wire.
const KINDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/kinds.ndjson");

/// The requests of a recording.
fn requests(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("a recording");
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
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
    let rows = requests(KINDS);
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
