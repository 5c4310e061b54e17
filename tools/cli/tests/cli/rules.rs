//! Detections and verified bots, from their files through compile to every command that shows them.

use super::common::*;
use serde_json::json;

const DETECTIONS: &str = r#"
[[detections]]
id = 7
name = "far above"
score = 2
active = true
conditions = [
    { feature = "f0", above = 1000.5 },
    { feature = "f1", present = true },
]

[[detections]]
id = 9
name = "none of both"
score = 1
conditions = [{ feature = "f1", missing = true }]
"#;

const BOTS: &str = r#"[
    {"name": "Search", "category": "search-engine", "agent": "SearchBot",
     "ranges": ["192.0.2.0/24", "2001:db8::/32"]},
    {"name": "Monitor", "category": "monitor", "ranges": ["198.51.100.7"]}
]"#;

const ROWS: &str = "f0,f1,f2,f3\n2000,1,0,0\n2000,,0,0\n1,1,0,0\n";

fn compile(folder: &Folder, detections: &str, bots: &str, output: &str) -> Outcome {
    let model = folder.file("model", MODEL);
    let detections = folder.file("detections", detections);
    let bots = folder.file("bots", bots);
    let output = folder.path(output);
    hedgerow!(
        "compile {model} --positive human -o {output} --detections {detections} \
         --verified-bots {bots}"
    )
}

#[test]
fn they_are_compiled_shown_and_compared() {
    let folder = Folder::new("beside");
    compile(&folder, DETECTIONS, BOTS, "x.hedge").done();
    let (bare, table) = (folder.table(), folder.path("x.hedge"));
    let shown = run(&["inspect", &table]).done();
    let parts = [
        "7  active  score  2  far above: f0 above 1000.5 and f1 present",
        "9  shadow  score  1  none of both: f1 missing",
        "search-engine      2 ranges, agent with \"searchbot\"",
        "monitor            1 ranges, any agent",
    ];
    holds(&shown, &parts);
    let json = run(&["inspect", &table, "--json"]).json();
    assert_eq!(json["detections"][0]["conditions"][0]["value"], 1000.5);
    assert_eq!(
        json["verified_bots"][0]["ranges"],
        json!(["192.0.2.0/24", "2001:db8::/32"])
    );
    let verified = run(&["verify", &table]).done();
    holds(&verified, &["2 detections (1 active), 2 verified bots"]);

    let changed = DETECTIONS
        .replace("1000.5", "1001")
        .replace("id = 9", "id = 10");
    compile(&folder, &changed, &BOTS.replace(".7", ".8"), "y.hedge").done();
    let diff = run(&["diff", &table, &folder.path("y.hedge"), "--json"]).json();
    let expected = [
        "detection 9 removed",
        "detection 7 changed",
        "detection 10 added",
    ];
    assert_eq!(diff["detections"], json!(expected));
    assert_eq!(diff["verified_bots"], json!(["bot Monitor changed"]));
    let diff = run(&["diff", &table, &bare]).done();
    assert!(diff.contains("bot Search removed\n"), "{diff}");
}

#[test]
fn the_same_detections_in_json_give_the_same_table() {
    let folder = Folder::new("beside-json");
    compile(&folder, DETECTIONS, BOTS, "toml").done();
    let json = json!({ "detections": [
        { "id": 9, "name": "none of both", "score": 1, "active": false,
          "conditions": [{ "feature": "f1", "missing": true }] },
        { "id": 7, "name": "far above", "score": 2, "active": true, "conditions": [
            { "feature": "f0", "above": 1000.5 }, { "feature": "f1", "missing": false } ] },
    ]});
    compile(&folder, &json.to_string(), BOTS, "json").done();
    let diff = run(&["diff", &folder.path("toml"), &folder.path("json"), "--json"]).json();
    assert_eq!(diff["detections"], json!([]));
}

#[test]
fn score_says_what_decided() {
    let folder = Folder::new("beside-score");
    compile(&folder, DETECTIONS, BOTS, "x.hedge").done();
    let rows = folder.file("rows.csv", ROWS);
    let table = folder.path("x.hedge");
    let text = run(&["score", &table, &rows]).done();
    let sources: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit(',').next().unwrap())
        .collect();
    assert_eq!(sources, ["source", "detection:7", "ensemble", "ensemble"]);
    let with = scores(&text);
    let bare = scores(&run(&["score", &folder.table(), &rows]).done());
    assert_eq!(with[0].1, 2);
    assert_eq!(with[0].0, bare[0].0, "the margin is the ensemble's");
    assert_eq!(with[1..], bare[1..]);
    let json = run(&["score", &table, &rows, "--json"]).json();
    assert_eq!(json["rows"][0]["detections"], json!([7]));
    assert_eq!(json["rows"][1]["detections"], json!([9]));
    assert_eq!(json["rows"][1]["source"], "ensemble");
}

#[test]
fn explain_adds_up_and_says_why_detections_match() {
    let folder = Folder::new("beside-explain");
    compile(&folder, DETECTIONS, BOTS, "x.hedge").done();
    let (rows, table) = (folder.file("rows.csv", ROWS), folder.path("x.hedge"));
    let text = run(&["explain", &table, &rows]).done();
    let parts = [
        "score 2 by detection:7",
        "detection 7 \"far above\": match, decides",
        "f0 above 1000.5: holds, it is 2000",
        "detection 9 \"none of both\": no match",
    ];
    holds(&text, &parts);
    for (row, top, shown) in [("1", "0", 4), ("2", "2", 2), ("3", "99", 4)] {
        let json = hedgerow!("explain {table} {rows} --row {row} --top {top} --json").json();
        let each = list(&json["contributions"]).iter();
        let each: Vec<f64> = each.map(|one| number(&one["contribution"])).collect();
        assert_eq!(each.len(), shown);
        let sum: f64 = each.iter().sum();
        let sum = number(&json["base"]) + sum + number(&json["other_contributions"]);
        assert!((sum - number(&json["margin"])).abs() < 1e-12, "{json}");
        let sizes: Vec<f64> = each.iter().map(|one| one.abs()).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    }
    let json = run(&["explain", &table, &rows, "--row", "2", "--json"]).json();
    assert_eq!(json["detections"][1]["matches"], true);
    assert_eq!(json["detections"][1]["decides"], false);
    assert!(json["detections"][1]["conditions"][0]["value"].is_null());
    for row in ["0", "4"] {
        run(&["explain", &table, &rows, "--row", row]).usage(&["a row of 1 to 3"]);
    }
}

#[test]
fn malformed_files_are_refused_and_leave_no_table() {
    let folder = Folder::new("beside-bad");
    for (from, to, part) in [
        ("score = 2", "score = 0", "a score of 1 to 99"),
        ("score = 2", "score = 300", "detections"),
        ("score = 2", "score = 2\nsocre = 3", "socre"),
        ("id = 9", "id = 7", "an id of its own"),
        ("\"f0\"", "\"f9\"", "\"f9\""),
        (
            "above = 1000.5",
            "above = 1000.5, equals = 2",
            "one of above",
        ),
        (", above = 1000.5", "", "one of above"),
        ("above = 1000.5", "above = 1e300", "a finite bound"),
        ("above = 1000.5", "above = nan", "a finite bound"),
        ("[[detections]]", "detections = ", "detections"),
    ] {
        let text = DETECTIONS.replacen(from, to, 1);
        compile(&folder, &text, BOTS, "x.hedge").refused(&[part]);
    }
    for (from, to, part) in [
        ("monitor", "cat", "search-engine"),
        ("192.0.2.0/24", "192.0.2.1/24", "ranges[0]"),
        ("192.0.2.0/24", "198.51.100.0/24", "addresses of its own"),
        ("SearchBot", "", "an agent token"),
        ("Monitor", "Search", "a name of its own"),
        ("\"ranges\": [\"198.51.100.7\"]", "\"range\": []", "range"),
        ("]}\n]", "]}", "JSON"),
    ] {
        let text = BOTS.replacen(from, to, 1);
        assert_ne!(text, BOTS);
        compile(&folder, DETECTIONS, &text, "x.hedge").refused(&[part]);
    }
    assert_eq!(folder.names(), ["bots", "detections", "model"]);
}

/// The detections that the training puts into the default table fit the built-in schema.
#[test]
fn the_default_detections_compile_with_the_built_in_schema() {
    let folder = Folder::new("beside-default");
    let names: Vec<String> = hedgerow::http::FEATURES
        .iter()
        .map(|f| f.name.into())
        .collect();
    let mut model: serde_json::Value = serde_json::from_str(MODEL).unwrap();
    let floats = model["features_info"]["float_features"]
        .as_array_mut()
        .unwrap();
    for (feature, name) in floats.iter_mut().zip(&names) {
        feature["feature_id"] = name.as_str().into();
    }
    let (model, output) = (
        folder.file("model", model.to_string()),
        folder.path("x.hedge"),
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../lab/train/detections.toml");
    hedgerow!("compile {model} --positive human -o {output} --schema http --detections {file}")
        .done();
    let json = run(&["inspect", &output, "--json"]).json();
    let detections = list(&json["detections"]);
    assert!((4..=16).contains(&detections.len()));
    // The model has four features; those that detections test are there besides.
    assert!(list(&json["features"]).len() > 4);
    run(&["verify", &output, "--schema", "http"]).done();
    let request = br#"{"headers":[["User-Agent","curl/8.5.0"]]}"#;
    let rows = run_on(&["extract", "-"], request).done();
    let text = run_on(&["score", &output, "-"], rows.as_bytes()).done();
    assert!(
        text.lines()
            .nth(1)
            .is_some_and(|line| line.ends_with("detection:9")),
        "{text}"
    );
}
