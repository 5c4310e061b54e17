//! `load` and `capacity`: nothing lost, inputs of every kind, and what makes no sense.

use super::common::*;
use serde_json::Value;
use std::time::Duration;

/// For runs that are refused before they begin, or nearly.
const SHORT: [&str; 3] = ["load", "--seconds", "0.3"];

/// A short run, as JSON.
fn load(more: &[&str]) -> Value {
    let unless_given = |word, value| match more.contains(&word) {
        true => Vec::new(),
        false => vec![word, value],
    };
    let rate = unless_given("--rate", "2000");
    let (time, warm_up) = (
        unless_given("--seconds", "0.3"),
        unless_given("--warm-up", "0.05"),
    );
    let outcome = run(&[&["load"][..], &rate, &time, &warm_up, more, &["--json"]].concat());
    let json = outcome.json();
    assert_eq!(outcome.status, 0, "{json}");
    assert_eq!(json["ok"], true);
    for none in ["lost", "wrong", "unbound"] {
        assert_eq!(json["totals"][none], 0, "{none}: {json}");
    }
    assert_eq!(json["unexpected"].as_array().unwrap().len(), 0);
    let totals = &json["totals"];
    let count = |name: &str| totals[name].as_u64().unwrap();
    assert_eq!(
        count("offered"),
        count("answered") + count("unserved"),
        "{totals}"
    );
    assert!(count("answered") > 0, "{totals}");
    let pieces = json["intervals"].as_array().unwrap().iter();
    let answered: u64 = pieces
        .map(|piece| piece["answered"].as_u64().unwrap())
        .sum();
    assert_eq!(answered, count("answered"));
    // What was never begun is in the latencies all the same.
    assert_eq!(json["latency"]["count"], totals["offered"]);
    let scored: u64 = ["humans", "bots", "unlabelled"]
        .iter()
        .flat_map(|kind| json["scores"][kind].as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert!(scored >= answered, "{scored} {answered}");
    json
}

#[test]
fn requests_come_at_their_rate_and_every_table_is_treated_as_it_should_be() {
    let json = load(&["--swap-rate", "100"]);
    let offered = json["totals"]["offered"].as_f64().unwrap();
    // 600 are due, give or take five deviations of a count of random arrivals.
    assert!((offered - 600.0).abs() < 125.0, "{offered}");
    assert!(
        json["totals"]["generations"].as_u64().unwrap() > 1,
        "{json}"
    );
    assert!(json["totals"]["refused"].as_u64().unwrap() > 0, "{json}");
    let events = json["events"].as_array().unwrap();
    for what in ["published", "refused"] {
        assert!(
            events.iter().any(|event| event["what"] == what),
            "{what}: {events:?}"
        );
    }
    assert!(json["totals"]["generator_max"].as_f64().unwrap() > 2_000.0);
    for kernel in json["kernels"].as_array().unwrap() {
        assert_eq!(kernel["row"].as_array().unwrap().len(), 16, "{kernel}");
    }
    let even = load(&["--arrivals", "constant", "--swap-rate", "0"]);
    assert_eq!(even["totals"]["offered"], 600);
    assert_eq!(even["totals"]["generations"], 1);
}

#[test]
fn every_way_to_load_answers_all() {
    for more in [
        &["--mode", "pool"][..],
        &[
            "--mode",
            "pool",
            "--feeders",
            "2",
            "--arrivals",
            "bursts",
            "--burst",
            "300",
        ],
        &["--arrivals", "bursts", "--batch", "64"],
        &["--arrivals", "saturate"],
        &["--arrivals", "saturate", "--mode", "pool"],
        &["--evict", "0.5"],
        &["--evict", "0.5", "--evict-by", "thread", "--cores", "0"],
        &[
            "--bad",
            "1",
            "--bad-kinds",
            "empty,flipped",
            "--swap-rate",
            "100",
        ],
        &["--kernel", "portable", "--swap-rate", "50"],
    ] {
        load(more);
    }
    let bad = load(&["--bad", "1", "--bad-kinds", "empty", "--swap-rate", "100"]);
    assert_eq!(bad["totals"]["generations"], 1);
    assert_eq!(bad["refusals"].as_array().unwrap().len(), 1);
    assert_eq!(bad["refusals"][0]["name"], "empty");
    // Its trees have no such fault: a run is what its arguments say, or there is none.
    let folder = Folder::new("load-bad-kinds");
    let (model, table) = (folder.file("model.txt", LIGHTGBM), folder.path("x.hedge"));
    run(&["compile", &model, "-o", &table]).done();
    run(&["load", &table, "--bad-kinds", "wrong-leaf"]).usage(&["this table"]);
}

#[test]
fn more_than_can_be_served_is_counted_and_not_left_out() {
    // Without a warm-up, whose requests would be the only ones that are answered.
    let args = [
        "made:1000",
        "--rate",
        "50000000",
        "--cores",
        "0",
        "--warm-up",
        "0",
    ];
    let json = load(&args);
    let totals = &json["totals"];
    assert!(
        totals["unserved"].as_u64() > totals["answered"].as_u64(),
        "{totals}"
    );
    // Most have waited for a good part of the run.
    assert!(
        json["latency"]["p50"].as_u64().unwrap() > 50_000_000,
        "{}",
        json["latency"]
    );
}

#[test]
fn an_argument_that_would_be_left_alone_is_refused() {
    run(&["load", "--mode", "pool", "--batch", "8"]).usage(&["--batch", "--mode inline"]);
    run(&["load", "--feeders", "2"]).usage(&["--feeders", "--mode pool"]);
    run(&["load", "--burst", "8"]).usage(&["--burst", "--arrivals bursts"]);
}

#[test]
fn shadows_score_samples() {
    let args = [
        "--shadows",
        "2",
        "--rate",
        "20000",
        "--swap-rate",
        "0",
        "--seconds",
        "1",
    ];
    let json = load(&args);
    let shadows = json["shadows"].as_array().unwrap();
    assert_eq!(shadows.len(), 2);
    for shadow in shadows {
        assert!(shadow["rows"].as_u64().unwrap() > 0, "{shadow}");
    }
}

#[test]
fn rows_and_requests_of_every_kind_are_taken() {
    let folder = Folder::new("load-inputs");
    let table = folder.table();
    let (rows, _) = expected();
    let csv_file = folder.file("rows.csv", csv("f0,f1,f2,f3", &rows));
    let npy_file = folder.file("rows.npy", npy(&rows));
    for input in [&csv_file, &npy_file] {
        let json = load(&[&table, input]);
        assert_eq!(json["asked"]["inputs"], rows.len());
        assert!(
            json["scores"]["unlabelled"]
                .as_array()
                .unwrap()
                .iter()
                .any(|n| *n != 0)
        );
    }
    assert_eq!(load(&[&table])["asked"]["input"], "the table's golden rows");
    assert_eq!(load(&["made:3"])["asked"]["trees"], 3);
    let request = "{\"headers\":[[\"User-Agent\",\"curl/8.5.0\"]],\"label\":\"bot\"}\n";
    let ndjson = folder.file("r.ndjson", request);
    let json = load(&["default", &ndjson]);
    assert_eq!(json["asked"]["inputs"], 1);
    assert!(
        json["scores"]["bots"]
            .as_array()
            .unwrap()
            .iter()
            .any(|n| *n != 0)
    );

    let refused = |file: &str, parts: &[&str]| {
        run(&[&SHORT[..], &["default", file]].concat()).refused(parts);
    };
    refused(&folder.file("empty", ""), &["empty"]);
    refused(&folder.file("blank", "\n\n"), &["blank"]);
    refused(
        &folder.file("array.json", "[{}]"),
        &["array.json:1", "JSON array"],
    );
    refused(
        &folder.file("bad.ndjson", format!("{request}{{}}\n")),
        &["bad.ndjson:2"],
    );
    refused(&csv_file, &["rows.csv:1"]);
    refused(&npy_file, &["rows.npy", "columns"]);
    refused("nothing.csv", &["nothing.csv"]);
    run(&[&SHORT[..], &[&table, &ndjson]].concat()).refused(&["features[0]"]);
    let header = npy_raw(1, &npy_header(usize::MAX / 8, 4), &[0; 16]);
    let huge = folder.file("huge.npy", header);
    run(&[&SHORT[..], &[&table, &huge]].concat()).refused(&["huge.npy"]);
    let many = format!("f0,f1,f2,f3\n{}", "1,2,3,4\n".repeat(300_000));
    let many = folder.file("many.csv", many);
    run(&[&SHORT[..], &[&table, &many]].concat()).refused(&["many.csv", "300000"]);
    run(&[&SHORT[..], &["no.hedge"]].concat()).refused(&["no.hedge"]);
    run(&[&SHORT[..], &["--kernel", "abacus"]].concat()).refused(&["abacus", "portable"]);
}

#[test]
fn people_get_the_same_and_a_histogram_in_a_file() {
    let folder = Folder::new("load-text");
    let hgrm = folder.path("x.hgrm");
    let text = run(&[&SHORT[..], &["--hgrm", &hgrm, "--cores", "0"]].concat()).done();
    for line in [
        "requests lost          0",
        "wrong verdicts         0",
        "latency, µs",
        "late starts",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let written = std::fs::read_to_string(&hgrm).unwrap();
    assert!(
        written.contains("1/(1-Percentile)") && written.contains("#[Max"),
        "{written}"
    );
    // Before the run, however long that is.
    let long = |more: &[&str]| run(&[&["load", "--seconds", "80000"][..], more].concat());
    long(&["--hgrm", &folder.path("no/such/x.hgrm")]).refused(&["x.hgrm"]);
    long(&["--hgrm", &folder.path("")]).refused(&["a directory"]);
    let table = folder.table();
    let before = std::fs::read(&table).unwrap();
    long(&[&table, "--report", &table]).refused(&["model.hedge", "same file"]);
    assert_eq!(std::fs::read(&table).unwrap(), before);
    let (page, model) = (folder.path("x.html"), folder.path("model.json"));
    long(&["--report", &page, "--peers", &model]).refused(&["model.json", "tools/lab/peers"]);
}

#[test]
fn an_interrupted_load_reports_what_it_has() {
    let folder = Folder::new("load-interrupted");
    // The kernels come first.
    let after = Duration::from_millis(3_500);
    let json = interrupted(&["load", "--seconds", "60"], &folder, after, 0);
    assert!(
        json["totals"]["seconds"].as_f64().unwrap() < 55.0,
        "{}",
        json["totals"]
    );
}

#[test]
fn capacity_follows_from_a_profile() {
    let folder = Folder::new("capacity");
    let profile = folder.file("run.json", load(&[]).to_string());
    let of = |more: &[&str]| {
        let args = [&["capacity", "--json", "--profile", &profile], more].concat();
        let outcome = run(&args);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.json()
    };
    let cores = |json: &Value, way: usize| json["needs"][way]["cores"].as_u64().unwrap();
    // A budget that no machine misses.
    let small = of(&["--rate", "1e6", "--p99", "1e6"]);
    let large = of(&["--rate", "63e6", "--p99", "1e6"]);
    for way in 0..3 {
        let (few, many) = (cores(&small, way), cores(&large, way));
        assert!(many >= 60 * (few - 1) && many <= 63 * few, "{few} {many}");
        let mean = small["profile"]["one"]["mean"].as_f64().unwrap();
        if way == 0 {
            // As many seconds of work a second, at most 70 % of each core's.
            let least = 1e6 * mean / 1e9 / 0.7;
            assert!(
                (few as f64) >= least && (few as f64) < least + 1.01,
                "{few} {least}"
            );
        }
    }
    // What a ring costs comes on top of the batches that pass through it.
    let measured = |what: &str| small["profile"][what].as_array().unwrap().clone();
    assert_eq!(measured("ring").len(), measured("batches").len());
    assert!(
        measured("ring")
            .iter()
            .all(|of| of[1].as_f64().unwrap() > 0.0)
    );
    assert_eq!(small["needs"][3]["name"], "the same through a ring");
    let never = of(&["--rate", "1", "--p99", "0.001"]);
    assert_eq!(never["needs"][0]["possible"], false);
    let busy = of(&["--rate", "1e6", "--p99", "1e6", "--busy", "0.35"]);
    assert!(cores(&busy, 0) >= 2 * cores(&small, 0) - 2, "{busy}");

    let measured = run(&["capacity", "--rate", "1000", "--seconds", "0.2"]).done();
    for words in ["inline, warm caches", "batched", "assumptions", "Poisson"] {
        assert!(measured.contains(words), "{words}: {measured}");
    }
    let not = folder.file("not.json", "{}");
    run(&["capacity", "--rate", "1", "--profile", &not]).refused(&["not.json", "form 1"]);
    let empty = folder.file("empty.json", "");
    run(&["capacity", "--rate", "1", "--profile", &empty]).refused(&["empty.json"]);
}
