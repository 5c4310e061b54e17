//! What holds for every command, and the way of a model from compile to diff.

use super::common::*;
use hedgerow::KERNELS;

const COMMANDS: &[&str] = &[
    "replay", "load", "report", "capacity", "drill", "compile", "inspect", "diff", "verify",
    "score", "explain", "extract", "bench", "limits", "publish", "rollback", "status", "history",
    "kill", "restore", "key", "sign",
];

#[test]
fn every_command_has_help_with_an_example_and_takes_json() {
    let all = run(&["--help"]).done();
    for command in COMMANDS {
        assert!(all.contains(command), "{command}: {all}");
        let help = run(&[command, "--help"]).done();
        let examples = ["Example: ", "| "].map(|before| format!("{before}hedgerow {command}"));
        assert!(
            examples.iter().any(|example| help.contains(example)),
            "{help}"
        );
        assert!(help.contains("--json"), "{help}");
        run(&[command, "--help", "--json"]).done();
        run(&[command, "-h"]).done();
    }
    assert!(run(&["--version"]).done().starts_with("hedgerow "));
}

/// Arguments that make no sense, with commas between; `''` is an empty one.
const NO_SENSE: &[&str] = &[
    "frobnicate, verify, verify default --frobnicate, diff default, limits more",
    "compile model.json, compile model.json -o -",
    "compile model.json -o x.hedge --positive cat",
    "compile model.json -o x.hedge --generation -1",
    "bench default --seconds nan, bench default --seconds -1, bench default --seconds 0",
    "bench default --seconds inf, bench default --seconds soon",
    "replay --seconds nan, replay --seconds -1, replay --seconds 0, replay --seconds 1e300",
    "replay --every -1, replay --every nan, replay --cores x, replay --cores -1",
    "replay --cores '', replay --cores 99999, replay --cores 0;0",
    "load --rate 0, load --rate -1, load --rate nan, load --rate inf, load --rate many",
    "load --rate '', load --seconds 0, load --seconds 1e9, load --warm-up -1, load --warm-up nan",
    "load --batch 0, load --batch 65, load --batch 1.5, load --burst 0",
    "load --feeders 0, load --feeders 65, load --swap-rate nan, load --swap-rate 1e9",
    "load --bad 1.1, load --bad nan, load --bad-kinds gremlins, load --evict -1",
    "load --evict 1e9, load --evict-by magic, load --arrivals sometimes, load --mode fast",
    "load --shadows 99, load --sweep-seconds 0, load --peers x.json, load --report -",
    "load --hgrm -, load --cores 99999, load made:0, load made:many, load made:99999",
    "load default a.csv b.csv, report, report page a.json, report page a.json -o -",
    "report compare one.json, report compare a.json b.json --floor nan",
    "report compare a.json b.json --floor -1",
    "capacity, capacity --rate 0, capacity --rate nan, capacity --rate 1e16",
    "capacity --rate 1 --p99 0, capacity --rate 1 --p99 nan, capacity --rate 1 --busy 1",
    "capacity --rate 1 --machine-cores 0, capacity --rate 1 --seconds nan",
    "capacity --rate 1 --profile x --table default",
    "drill, drill outage-2025-12-05, drill outage-2025-11-18 --seconds nan",
    "drill outage-2025-11-18 --seconds 0, drill outage-2025-11-18 --seconds 1.4",
    "drill outage-2025-11-18 --seconds 1e300, drill outage-2025-11-18 --every -1",
    "drill outage-2025-11-18 --every nan",
];

#[test]
fn what_makes_no_sense_is_usage_in_words_and_in_json() {
    for line in NO_SENSE.iter().flat_map(|lines| lines.split(", ")) {
        let line = line.replace(';', ",");
        let words = line.split_whitespace();
        let mut args: Vec<&str> = words
            .map(|word| if word == "''" { "" } else { word })
            .collect();
        run(&args).usage(&[]);
        args.push("--json");
        let json = run(&args);
        assert_eq!(json.status, 2, "{json:?}");
        let value = json.json();
        assert_eq!(value["ok"], false, "{value}");
        assert_eq!(value["name"], "usage", "{value}");
    }
    // Without a word: what there is, and that something was missing.
    assert_eq!(run(&[]).status, 2);
}

#[test]
fn the_default_table_serves_wherever_a_table_is_asked_for() {
    assert!(run(&["inspect", "default"]).done().contains("features"));
    for schema in ["", "--schema http"] {
        let said = hedgerow!("verify default {schema}").done();
        holds(&said, &["every check passed"]);
    }
    let diff = run(&["diff", "default", "default", "--json"]).json();
    assert_eq!(diff["identical"], true);
    assert_eq!(diff["scores"]["largest_move"], 0);
    run(&["bench", "default", "--seconds", "0.01"]).done();
    let request = br#"{"headers":[["User-Agent","curl/8.5.0"]]}"#;
    let rows = run_on(&["extract", "-"], request).done();
    let scored = scores(&run_on(&["score", "default", "-"], rows.as_bytes()).done());
    assert!(scored.len() == 1 && (1..=99).contains(&scored[0].1));
}

#[test]
fn verify_says_in_json_and_by_its_status_what_is_wrong() {
    let folder = Folder::new("verify");
    let table = folder.table();
    let good = run(&["verify", &table, "--json"]).json();
    assert_eq!(good["ok"], true);
    for field in ["code", "expected", "got"] {
        assert!(good[field].is_null(), "{good}");
    }
    assert!(good["message"].is_string());

    let bytes = std::fs::read(&table).unwrap();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for (bad, code) in [
        (&b""[..], 102),
        (b"hello", 202),
        (b"<html></html>", 202),
        (&bytes[..bytes.len() - 1], 201),
        (&[&bytes[..], b"x"].concat(), 205),
        (&flipped, 206),
        (MODEL.as_bytes(), 202),
    ] {
        let bad = folder.file("bad.hedge", bad);
        let refused = run(&["verify", &bad, "--json"]);
        assert_eq!(refused.status, 1);
        let refused = refused.json();
        assert_eq!(refused["ok"], false);
        assert_eq!(refused["code"], code, "{refused}");
        for field in ["message", "expected", "got"] {
            assert!(!refused[field].as_str().unwrap().is_empty(), "{refused}");
        }
        for command in ["verify", "inspect", "bench"] {
            run(&[command, &bad]).refused(&["bad.hedge"]);
        }
        run(&["score", &bad, "rows.csv"]).refused(&["bad.hedge"]);
        run(&["diff", "default", &bad]).refused(&["bad.hedge"]);
    }
    let unknown = run(&["verify", &table, "--schema", "http", "--json"]);
    assert_eq!((unknown.status, &unknown.json()["code"]), (1, &401.into()));
    for missing in ["nothing.hedge", "/", "/dev/null", ""] {
        let refused = run(&["verify", missing, "--json"]);
        assert_eq!(
            (refused.status, &refused.json()["code"]),
            (1, &101.into()),
            "{missing}"
        );
    }
}

#[test]
fn an_unknown_kernel_is_refused_by_name() {
    let rows = "f0,f1,f2,f3\n";
    let folder = Folder::new("kernel");
    let (table, rows) = (folder.table(), folder.file("rows.csv", rows));
    for command in ["verify {}", "bench {}", "score {} {rows}"] {
        let command = command.replace("{}", &table).replace("{rows}", &rows);
        hedgerow!("{command} --kernel abacus").refused(&["portable", "abacus"]);
        hedgerow!("{command} --kernel portable");
    }
}

#[test]
fn a_model_goes_from_compile_through_every_command_and_scores_as_in_its_library() {
    let folder = Folder::new("roundtrip");
    let table = folder.table();
    let inspected = run(&["inspect", &table, "--json"]).json();
    let names = list(&inspected["features"]);
    assert_eq!(names.len(), 4);
    assert_eq!(names[3]["name"], "f3");
    assert_eq!(inspected["trees"]["oblivious"], 4);

    let (rows, margins) = expected();
    let csv = folder.file("rows.csv", csv("f0,f1,f2,f3", &rows));
    let npy = folder.file("rows.npy", npy(&rows));
    let first = run(&["score", &table, &csv]).done();
    let scored = scores(&first);
    assert_eq!(scored.len(), rows.len());
    for ((got, score), want) in scored.iter().zip(&margins) {
        assert!((got - want).abs() < 1e-6, "{got} {want}");
        let p = 100.0 / (1.0 + (-want).exp());
        assert!((f64::from(*score) - p).abs() < 0.51, "{score} {p}");
    }
    assert_eq!(run(&["score", &table, &npy]).done(), first);
    for kernel in KERNELS.iter().filter(|kernel| kernel.available()) {
        let forced = run(&["score", &table, &csv, "--kernel", kernel.name]);
        if forced.status == 0 {
            assert_eq!(forced.out, first, "{}", kernel.name);
        }
    }
    let json = run(&["score", &table, &csv, "--json"]).json();
    for (row, (margin, score)) in list(&json["rows"]).iter().zip(&scored) {
        assert_eq!(row["margin"].as_f64(), Some(*margin));
        assert_eq!(row["score"], *score);
    }
    let bench = run(&["bench", &table, &csv, "--seconds", "0.01", "--json"]).json();
    assert_eq!(bench["rows"], rows.len());

    let other = folder.path("other.hedge");
    let lightgbm = folder.file("model.txt", LIGHTGBM);
    run(&["compile", &lightgbm, "--positive", "human", "-o", &other]).done();
    let diff = run(&["diff", &table, &other]).done();
    assert!(diff.starts_with("scores on "), "{diff}");
    let diff = run(&["diff", &table, &other, "--json"]).json();
    assert_eq!(diff["identical"], false);
    assert_eq!(diff["features_added"][0], "Column_0");
    assert_eq!(diff["features_removed"][0], "f0");
    let diff = run(&["diff", &table, &table, "--rows", &csv, "--json"]).json();
    assert_eq!(diff["scores"]["rows"], rows.len());
    run(&["diff", &table, &table, "--rows", &npy]).refused(&["rows.npy", "CSV", "NPY"]);
    run(&["diff", "default", "default", "--rows", &csv]).refused(&["rows.csv:1", "without it"]);
}

#[test]
fn margins_have_seventeen_significant_digits() {
    let folder = Folder::new("digits");
    let (rows, _) = expected();
    let csv = folder.file("rows.csv", csv("f0,f1,f2,f3", &rows));
    let scored = run(&["score", &folder.table(), &csv]).done();
    for line in scored.lines().skip(1) {
        let (margin, _) = line.split_once(',').unwrap();
        let digits: String = margin.chars().filter(char::is_ascii_digit).collect();
        assert_eq!(digits.trim_start_matches('0').len(), 17, "{margin}");
    }
}

#[test]
fn limits_are_listed() {
    assert!(run(&["limits"]).done().contains("features"));
    let json = run(&["limits", "--json"]).json();
    let limits = list(&json["limits"]);
    let mut features = limits.iter().filter(|limit| limit["name"] == "features");
    assert_eq!(features.next().unwrap()["max"], 256);
}

#[test]
fn a_message_is_one_line_and_holds_no_terminal_commands() {
    let folder = Folder::new("terminal");
    let name = folder.path("no\u{1b}[2Jsuch\nfile");
    let message = run(&["score", "default", &name]).refused(&["such"]);
    let message = message.trim_end();
    assert!(!message.contains(['\u{1b}', '\n']), "{message:?}");
}
