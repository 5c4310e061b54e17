//! `drill`: the real thing in short, what it reports, and what it refuses before it starts.

use super::common::*;
use serde_json::Value;
use std::time::Duration;

fn drill(more: &str) -> Outcome {
    hedgerow!("drill outage-2025-11-18 {more}")
}

#[test]
fn hedgerow_loses_nothing_where_the_other_design_loses_its_threads() {
    let folder = Folder::new("drill-json");
    let dir = folder.path("kept");
    let outcome = drill(&format!("--seconds 4 --dir {dir} --json"));
    let json = outcome.json();
    assert_eq!(outcome.status, 0, "{json}");
    assert_eq!(json["ok"], true);
    assert_eq!(list(&json["failures"]).len(), 0);
    assert_eq!(json["drill"], "outage-2025-11-18");

    let here = &json["hedgerow"];
    let none = "requests_lost threads_died wrong_verdicts not_scored humans_blocked reverts";
    for field in none.split(' ') {
        assert_eq!(count(&here[field]), 0, "{field}: {json}");
    }
    assert!(count(&here["requests_served"]) > 1_000, "{json}");
    assert!(count(&here["refusals"]["feature-duplicate"]) > 0, "{json}");
    assert!(count(&here["refusals"]["over-capacity"]) > 0, "{json}");
    assert!(count(&here["quarantines"]) > 0, "{json}");

    let (new, old) = (&json["new_proxy"], &json["old_proxy"]);
    assert!(count(&new["requests_lost"]) > 0, "{json}");
    assert!(
        count(&new["threads_died"]) >= count(&json["threads"]),
        "{json}"
    );
    assert!(count(&new["threads_restarted"]) > 0, "{json}");
    assert_eq!(count(&new["scored_zero"]), 0, "{json}");
    assert_eq!(count(&old["requests_lost"]), 0, "{json}");
    assert_eq!(count(&old["threads_died"]), 0, "{json}");
    assert!(count(&old["scored_zero"]) > 0, "{json}");
    assert!(count(&old["humans_blocked"]) > 0, "{json}");
    let said = json["panic"].as_str().unwrap();
    assert!(said.contains("unwrap") && said.contains("200"), "{said}");

    bad_tables_are_kept_out(&json);
    the_timeline_is_whole(&json);

    // What was kept is a directory as any other, and no second drill goes into it.
    let history = hedgerow!("history {dir} --json").json();
    assert!(history.to_string().contains("drill"), "{history}");
    drill(&format!("--seconds 4 --dir {dir}")).refused(&["kept", "not taken"]);
}

fn bad_tables_are_kept_out(json: &Value) {
    for bad in list(&json["bad_tables"]) {
        let (tried, live) = (count(&bad["tried"]), count(&bad["live"]));
        assert!(tried > 0 && live == 0, "{bad}");
        let kept_out = match bad["name"].as_str().unwrap() {
            "constant" => "quarantined",
            _ => "refused",
        };
        assert_eq!(count(&bad[kept_out]), tried, "{bad}");
    }
}

fn the_timeline_is_whole(json: &Value) {
    let timeline = list(&json["timeline"]);
    let sum = |side: &str, field: &str| -> u64 {
        timeline.iter().map(|tick| count(&tick[side][field])).sum()
    };
    assert!(sum("hedgerow", "requests_served") > 0);
    assert!(sum("new_proxy", "requests_lost") > 0);
    for (at, tick) in timeline.iter().enumerate() {
        let (outcome, features) = match tick["published"].as_str().unwrap() {
            "good" => ("live", 84),
            "doubled-under-the-cap" => ("refused", 168),
            "doubled-over-the-cap" => ("refused", 336),
            "constant" => ("quarantined", 84),
            other => panic!("{other}"),
        };
        assert_eq!(tick["hedgerow"]["outcome"], outcome, "{tick}");
        assert_eq!(count(&tick["features"]), features, "{tick}");
        assert_eq!(count(&tick["generation"]), at as u64 + 2, "{tick}");
        assert_eq!(tick["published"] == "good", at % 2 == 0, "{tick}");
        let live = count(&tick["hedgerow"]["live"]);
        assert_eq!(live, at as u64 / 2 * 2 + 2, "{tick}");
        // Each tick has some verdicts: nothing stops while a bad table is there.
        assert!(count(&tick["hedgerow"]["requests_served"]) > 0, "{tick}");
    }
}

#[test]
fn people_see_a_timeline_and_the_outcomes_and_nothing_is_left() {
    let folder = Folder::new("drill-text");
    let tmp = folder.path("");
    let args = [
        "drill",
        "outage-2025-11-18",
        "--seconds",
        "1",
        "--every",
        "100",
    ];
    let text = run_with(&args, b"", &[("TMPDIR", &tmp)]).done();
    let parts = [
        "doubled-under-the-cap",
        "refused 306 feature-duplicate",
        "refused 303 over-capacity",
        "constant",
        "quarantined",
        "panicked",
        "requests lost                         0",
        "wrong verdicts                        0",
        "held back generation",
        "called `Result::unwrap()` on an `Err` value",
        "passed: ",
    ];
    holds(&text, &parts);
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn a_drill_that_nobody_knows_names_those_there_are() {
    hedgerow!("drill outage-2026-02-20").usage(&["outage-2026-02-20", "outage-2025-11-18"]);
    drill("--seconds 1").usage(&["--seconds", "1.5 (each table once)"]);
    drill("--every 1").usage(&["--every", "50 to 60000"]);
    drill("--dir /nowhere/at/all").refused(&["/nowhere/at/all"]);
}

#[test]
fn a_drill_that_is_interrupted_says_so_and_leaves_nothing() {
    let folder = Folder::new("drill-interrupted");
    let args = [
        "drill",
        "outage-2025-11-18",
        "--seconds",
        "60",
        "--every",
        "9000",
    ];
    let json = interrupted(&args, &folder, Duration::from_millis(300), 0);
    assert_eq!(json["hedgerow"]["requests_lost"], 0);
    assert_eq!(json["interrupted"], true);
    assert_eq!(list(&json["failures"]).len(), 0, "{json}");
    assert!(number(&json["seconds"]) < 30.0);
}
