//! `load` and `capacity`: nothing lost, inputs of every kind, and what makes no sense.

use super::common::*;
use serde_json::Value;
use std::time::Duration;

/// A short run, as JSON.
fn load(more: &str) -> Value {
    let unless_given = |word, value| match more.contains(word) {
        true => String::new(),
        false => format!("{word} {value}"),
    };
    let rate = unless_given("--rate", "2000");
    let (time, warm_up) = (
        unless_given("--seconds", "0.3"),
        unless_given("--warm-up", "0.05"),
    );
    let outcome = hedgerow!("load {rate} {time} {warm_up} {more} --json");
    let json = outcome.json();
    assert_eq!(outcome.status, 0, "{json}");
    assert_eq!(json["ok"], true);
    let totals = &json["totals"];
    for none in ["lost", "wrong", "unbound"] {
        assert_eq!(totals[none], 0, "{none}: {json}");
    }
    assert_eq!(list(&json["unexpected"]).len(), 0);
    let (offered, answered) = (count(&totals["offered"]), count(&totals["answered"]));
    assert_eq!(offered, answered + count(&totals["unserved"]), "{totals}");
    assert!(answered > 0, "{totals}");
    let pieces = list(&json["intervals"]).iter();
    assert_eq!(
        pieces.map(|piece| count(&piece["answered"])).sum::<u64>(),
        answered
    );
    // What was never begun is in the latencies all the same.
    assert_eq!(json["latency"]["count"], offered);
    let kinds = ["humans", "bots", "unlabelled"];
    let scored: u64 = kinds
        .iter()
        .flat_map(|kind| list(&json["scores"][kind]))
        .map(count)
        .sum();
    assert!(scored >= answered, "{scored} {answered}");
    json
}

#[test]
fn requests_come_at_their_rate_and_every_table_is_treated_as_it_should_be() {
    let json = load("--swap-rate 100");
    let totals = &json["totals"];
    let offered = number(&totals["offered"]);
    // 600 are due, give or take five deviations of a count of random arrivals.
    assert!((offered - 600.0).abs() < 125.0, "{offered}");
    assert!(count(&totals["generations"]) > 1, "{json}");
    assert!(count(&totals["refused"]) > 0, "{json}");
    let events = list(&json["events"]);
    for what in ["published", "refused"] {
        assert!(
            events.iter().any(|event| event["what"] == what),
            "{what}: {events:?}"
        );
    }
    assert!(number(&totals["generator_max"]) > 2_000.0);
    for kernel in list(&json["kernels"]) {
        assert_eq!(list(&kernel["row"]).len(), 16, "{kernel}");
    }
    let even = load("--arrivals constant --swap-rate 0");
    assert_eq!(even["totals"]["offered"], 600);
    assert_eq!(even["totals"]["generations"], 1);
}

#[test]
fn every_way_to_load_answers_all() {
    for more in [
        "--mode pool",
        "--mode pool --feeders 2 --arrivals bursts --burst 300",
        "--arrivals bursts --batch 64",
        "--arrivals saturate",
        "--arrivals saturate --mode pool",
        "--evict 0.5",
        "--evict 0.5 --evict-by thread --cores 0",
        "--bad 1 --bad-kinds empty,flipped --swap-rate 100",
        "--kernel portable --swap-rate 50",
    ] {
        load(more);
    }
    let bad = load("--bad 1 --bad-kinds empty --swap-rate 100");
    assert_eq!(bad["totals"]["generations"], 1);
    assert_eq!(list(&bad["refusals"]).len(), 1);
    assert_eq!(bad["refusals"][0]["name"], "empty");
    // Its trees have no such fault: a run is what its arguments say, or there is none.
    let folder = Folder::new("load-bad-kinds");
    let (model, table) = (folder.file("model.txt", LIGHTGBM), folder.path("x.hedge"));
    hedgerow!("compile {model} --positive human -o {table}").done();
    hedgerow!("load {table} --bad-kinds wrong-leaf").usage(&["this table"]);
}

#[test]
fn more_than_can_be_served_is_counted_and_not_left_out() {
    // Without a warm-up, whose requests would be the only ones that are answered.
    let json = load("made:1000 --rate 50000000 --cores 0 --warm-up 0");
    let totals = &json["totals"];
    assert!(
        count(&totals["unserved"]) > count(&totals["answered"]),
        "{totals}"
    );
    // Most have waited for a good part of the run.
    let latency = &json["latency"];
    assert!(count(&latency["p50"]) > 50_000_000, "{latency}");
}

#[test]
fn an_argument_that_would_be_left_alone_is_refused() {
    hedgerow!("load --mode pool --batch 8").usage(&["--batch", "--mode inline"]);
    hedgerow!("load --feeders 2").usage(&["--feeders", "--mode pool"]);
    hedgerow!("load --burst 8").usage(&["--burst", "--arrivals bursts"]);
}

#[test]
fn shadows_score_samples() {
    let json = load("--shadows 2 --rate 20000 --swap-rate 0 --seconds 1");
    let shadows = list(&json["shadows"]);
    assert_eq!(shadows.len(), 2);
    for shadow in shadows {
        assert!(count(&shadow["rows"]) > 0, "{shadow}");
    }
}

#[test]
fn rows_and_requests_of_every_kind_are_taken() {
    let folder = Folder::new("load-inputs");
    let table = folder.table();
    let (rows, _) = expected();
    let csv_file = folder.file("rows.csv", csv("f0,f1,f2,f3", &rows));
    let npy_file = folder.file("rows.npy", npy(&rows));
    let some = |scores: &Value| list(scores).iter().any(|count| *count != 0);
    for input in [&csv_file, &npy_file] {
        let json = load(&format!("{table} {input}"));
        assert_eq!(json["asked"]["inputs"], rows.len());
        assert!(some(&json["scores"]["unlabelled"]));
    }
    assert_eq!(load(&table)["asked"]["input"], "the table's golden rows");
    assert_eq!(load("made:3")["asked"]["trees"], 3);
    let request = "{\"headers\":[[\"User-Agent\",\"curl/8.5.0\"]],\"label\":\"bot\"}\n";
    let ndjson = folder.file("r.ndjson", request);
    let json = load(&format!("default {ndjson}"));
    assert_eq!(json["asked"]["inputs"], 1);
    assert!(some(&json["scores"]["bots"]));

    let load = |what: &str| hedgerow!("load --seconds 0.3 {what}");
    let refused = |file: &str, parts: &[&str]| load(&format!("default {file}")).refused(parts);
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
    load(&format!("{table} {ndjson}")).refused(&["features[0]"]);
    let header = npy_raw(1, &npy_header(usize::MAX / 8, 4), &[0; 16]);
    let huge = folder.file("huge.npy", header);
    load(&format!("{table} {huge}")).refused(&["huge.npy"]);
    let many = format!("f0,f1,f2,f3\n{}", "1,2,3,4\n".repeat(300_000));
    let many = folder.file("many.csv", many);
    load(&format!("{table} {many}")).refused(&["many.csv", "300000"]);
    load("no.hedge").refused(&["no.hedge"]);
    load("--kernel abacus").refused(&["abacus", "portable"]);
}

#[test]
fn people_get_the_same_and_a_histogram_in_a_file() {
    let folder = Folder::new("load-text");
    let hgrm = folder.path("x.hgrm");
    let text = hedgerow!("load --seconds 0.3 --hgrm {hgrm} --cores 0").done();
    holds(
        &text,
        &["requests lost          0", "wrong verdicts         0"],
    );
    holds(&text, &["latency, µs", "late starts"]);
    let written = std::fs::read_to_string(&hgrm).unwrap();
    holds(&written, &["1/(1-Percentile)", "#[Max"]);
    // Before the run, however long that is.
    let long = |more: &str| hedgerow!("load --seconds 80000 {more}");
    long(&format!("--hgrm {}", folder.path("no/such/x.hgrm"))).refused(&["x.hgrm"]);
    long(&format!("--hgrm {}", folder.path(""))).refused(&["a directory"]);
    let table = folder.table();
    let before = std::fs::read(&table).unwrap();
    long(&format!("{table} --report {table}")).refused(&["model.hedge", "same file"]);
    assert_eq!(std::fs::read(&table).unwrap(), before);
    let (page, model) = (folder.path("x.html"), folder.path("model.json"));
    let refused = long(&format!("--report {page} --peers {model}"));
    refused.refused(&["model.json", "tools/lab/peers"]);
}

#[test]
fn an_interrupted_load_reports_what_it_has() {
    let folder = Folder::new("load-interrupted");
    // The kernels come first.
    let after = Duration::from_millis(3_500);
    let json = interrupted(&["load", "--seconds", "60"], &folder, after, 0);
    let totals = &json["totals"];
    assert!(number(&totals["seconds"]) < 55.0, "{totals}");
}

#[test]
fn capacity_follows_from_a_profile() {
    let folder = Folder::new("capacity");
    let profile = folder.file("run.json", load("").to_string());
    let of = |more: &str| {
        let outcome = hedgerow!("capacity --json --profile {profile} {more}");
        assert_eq!(outcome.status, 0, "{outcome:?}");
        outcome.json()
    };
    let cores = |json: &Value, way: usize| count(&json["needs"][way]["cores"]);
    // A budget that no machine misses.
    let (small, large) = (of("--rate 1e6 --p99 1e6"), of("--rate 63e6 --p99 1e6"));
    for way in 0..3 {
        let (few, many) = (cores(&small, way), cores(&large, way));
        assert!(many >= 60 * (few - 1) && many <= 63 * few, "{few} {many}");
        let mean = number(&small["profile"]["one"]["mean"]);
        if way == 0 {
            // As many seconds of work a second, at most 70 % of each core's.
            let (few, least) = (few as f64, 1e6 * mean / 1e9 / 0.7);
            assert!(few >= least && few < least + 1.01, "{few} {least}");
        }
    }
    // What a ring costs comes on top of the batches that pass through it.
    let measured = |what: &str| list(&small["profile"][what]);
    assert_eq!(measured("ring").len(), measured("batches").len());
    assert!(measured("ring").iter().all(|of| number(&of[1]) > 0.0));
    assert_eq!(small["needs"][3]["name"], "the same through a ring");
    // The run of `load` counts the same memory as a measurement by `capacity` itself.
    let memory = |json: &Value| number(&json["memory"]["usual_bytes"]);
    let direct = hedgerow!("capacity --rate 1e6 --seconds 0.2 --json").json();
    let [counted, direct] = [memory(&small), memory(&direct)];
    assert!(
        count(&small["profile"]["scorer_bytes"]) > 100_000,
        "{small}"
    );
    assert!(
        counted > 0.7 * direct && counted < 1.4 * direct,
        "{counted} {direct}"
    );
    let never = hedgerow!("capacity --json --profile {profile} --rate 1 --p99 0.001");
    assert_eq!(never.status, 1, "{never:?}");
    let never = never.json();
    assert_eq!(never["ok"], false);
    assert_eq!(never["needs"][0]["possible"], false);
    let busy = of("--rate 1e6 --p99 1e6 --busy 0.35");
    assert!(cores(&busy, 0) >= 2 * cores(&small, 0) - 2, "{busy}");

    let measured = hedgerow!("capacity --rate 1000 --seconds 0.2").done();
    holds(
        &measured,
        &["inline, warm caches", "batched", "assumptions", "Poisson"],
    );
    let not = folder.file("not.json", "{}");
    hedgerow!("capacity --rate 1 --profile {not}").refused(&["not.json", "form 1"]);
    let empty = folder.file("empty.json", "");
    hedgerow!("capacity --rate 1 --profile {empty}").refused(&["empty.json"]);
}
