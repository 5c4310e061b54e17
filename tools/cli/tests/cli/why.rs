//! `why`: the request behind a line of an access log, and the report of a mistake.

use super::common::*;
use serde_json::{Value, json};

/// A table and a log of three lines, the second of which has facts; and what `score` says of them.
fn logged(folder: &Folder) -> (String, String, Value) {
    let table = folder.table();
    let scored = run_on(&["score", &table, "-", "--json"], b"f0,f1,f2,f3\n1,2,0,\n").json();
    let row = scored["rows"][0].clone();
    let with = json!({
        "time": "2026-12-01T00:00:00Z", "id": "00000000000000b2", "method": "GET",
        "target": "/a/b/c?d=e", "score": row["score"], "source": "ensemble",
        "margin": row["margin"], "generation": 3, "hop": "proxy", "facts": "f0 f1=2 -f2",
        "request": { "scheme": "https", "http": "2", "headers": [["user-agent", "x"]] },
    });
    let without = json!({ "id": "00000000000000c3", "score": 97, "source": "ensemble" });
    let text = format!("no JSON \"00000000000000b2\"\n{with}\n{without}\n");
    (table, folder.file("access.log", text), row)
}

#[test]
fn a_line_with_facts_is_explained_and_reported() {
    let folder = Folder::new("why");
    let (table, log, row) = logged(&folder);
    let text = hedgerow!("why 00000000000000b2 --log {log} --table {table}").done();
    for part in [
        "hop: proxy",
        "generation 3",
        "f1 = 2",
        "f2 = 0",
        "f3 = missing",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let why = "why 00000000000000b2 --json";
    let json = hedgerow!("{why} --log {log} --table {table}").json();
    assert_eq!(
        (&json["score"], &json["margin"]),
        (&row["score"], &row["margin"])
    );
    assert_eq!(json["same_table"], true);
    // The bundled table has none of these features.
    assert_eq!(hedgerow!("{why} --log {log}").json()["same_table"], false);

    let reports = folder.path("reports.ndjson");
    for label in ["human", "bot"] {
        let report = format!("--report {label} --reports {reports}");
        hedgerow!("why 00000000000000b2 --log {log} --table {table} {report}").done();
    }
    let text = std::fs::read_to_string(&reports).expect("reports");
    let lines: Vec<Value> = { text.lines() }
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["label"], &lines[1]["label"]),
        (&json!("human"), &json!("bot"))
    );
    assert_eq!(lines[0]["path"], "/x/x/x");
    // It is a recorded request: `extract` reads it.
    let rows = hedgerow!("extract {reports}").done();
    assert_eq!(rows.lines().count(), 3);
}

#[test]
fn what_cannot_be_explained_is_refused() {
    let folder = Folder::new("why-not");
    let (table, log, _) = logged(&folder);
    let torn = folder.file("torn.log", "{\"id\":\"a1\",\"facts\":\"f0=x\"}\n");
    let missing = folder.path("missing.log");
    for (args, said) in [
        (format!("00000000000000c3 --log {log}"), "--log-facts-below"),
        (format!("00000000000000d4 --log {log}"), "3 lines"),
        (format!("a1 --log {torn}"), "f0=x"),
        (format!("a1 --log {missing}"), "missing.log"),
    ] {
        hedgerow!("why {args} --table {table}").refused(&[said]);
    }
    hedgerow!("why a1 --log {log} --report person").usage(&["person"]);
}
