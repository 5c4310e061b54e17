//! `compile`: options, and models that are refused.

#[path = "../../../import/tests/common/shared_set.rs"]
mod shared_set;

use super::common::*;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

fn compile(folder: &Folder, model: &str, output: &str, more: &[&str]) -> Outcome {
    let model = folder.file("model", model);
    let output = folder.path(output);
    let positive: &[&str] = match more.contains(&"--positive") {
        true => &[],
        false => &["--positive", "human"],
    };
    run(&[&["compile", &model, "-o", &output], positive, more].concat())
}

/// A model of so many features, with these names where they are given.
fn model_of(count: usize, name: impl Fn(usize) -> String) -> String {
    let mut model: Value = serde_json::from_str(MODEL).unwrap();
    let features: Vec<Value> = (0..count)
        .map(|index| {
            let kept = &model["features_info"]["float_features"][index];
            let borders = if kept.is_null() {
                json!([0.5])
            } else {
                kept["borders"].clone()
            };
            json!({
                "borders": borders, "feature_id": name(index), "feature_index": index,
                "flat_feature_index": index, "has_nans": true, "nan_value_treatment": "AsTrue",
            })
        })
        .collect();
    model["features_info"]["float_features"] = features.into();
    model.to_string()
}

#[test]
fn names_come_from_the_model_or_are_numbered() {
    let folder = Folder::new("compile-names");
    for (model, name) in [
        (MODEL.to_string(), "f0"),
        (model_of(4, |index| format!("speed {index}")), "speed 0"),
        (LIGHTGBM.to_string(), "Column_0"),
    ] {
        compile(&folder, &model, "o.hedge", &["--schema", "model"]).done();
        let json = run(&["inspect", &folder.path("o.hedge"), "--json"]).json();
        assert_eq!(json["features"][0]["name"], name);
    }
    compile(&folder, &model_of(256, |_| String::new()), "o.hedge", &[]).done();
    let json = compile(&folder, MODEL, "o.hedge", &["--json"]).json();
    assert_eq!(json["ok"], true);
    assert!(json["margin_error_max"].as_f64().unwrap() < 1e-6);
}

#[test]
fn doubled_and_too_many_features_are_refused() {
    let folder = Folder::new("compile-features");
    let named = |index: usize| format!("n{}", index % 3);
    compile(&folder, &model_of(4, named), "o.hedge", &[]).refused(&["model", "\"n0\"", "0", "3"]);
    let halves = |index: usize| format!("n{}", index % 150);
    compile(&folder, &model_of(300, halves), "o.hedge", &[]).refused(&["\"n0\"", "0", "150"]);
    let many = model_of(300, |index| format!("n{index}"));
    compile(&folder, &many, "o.hedge", &[]).refused(&["256", "300"]);
    let json = compile(&folder, &many, "o.hedge", &["--json"]);
    assert_eq!((json.status, &json.json()["ok"]), (1, &false.into()));
    assert_eq!(folder.names(), ["model"]);
}

#[test]
fn what_is_no_model_is_refused_and_leaves_no_file() {
    let folder = Folder::new("compile-bad");
    let deep = "[".repeat(200_000);
    for (bad, parts) in [
        ("", &["an empty file"][..]),
        ("{", &["end of the file"]),
        ("{}", &["JSON that is no model"]),
        ("[]", &["JSON that is no model"]),
        ("null", &["unknown kind"]),
        (deep.as_str(), &["JSON that is no model"]),
        (
            r#"{"learner":{},"version":[2,0,0]}"#,
            &["learner", "gradient_booster"],
        ),
        ("tree\n", &["model"]),
        ("CBM1\0\0\0\0", &["CatBoost model in binary form"]),
        ("f0,f1\n1,2\n", &["comma-separated values"]),
        ("<!doctype html><title>404</title>", &["a web page"]),
        ("PK\u{3}\u{4}", &["a ZIP archive"]),
        (&MODEL[..MODEL.len() / 2], &["end of the file"]),
        (
            &MODEL.replace("\"borders\": [", "\"borders\": [null,"),
            &["float_features[0].borders"],
        ),
        (&LIGHTGBM[..LIGHTGBM.len() / 4], &["model"]),
        (
            &LIGHTGBM.replace("num_class=1", "num_class=3"),
            &["num_class"],
        ),
        (
            &LIGHTGBM.replacen("threshold=-0.4", "threshold=-inf -0.4", 1),
            &["threshold"],
        ),
    ] {
        compile(&folder, bad, "o.hedge", &[]).refused(&[parts, &["model"]].concat());
        assert_eq!(folder.names(), ["model"], "{parts:?}");
    }
    let rows = folder.file("x.npy", npy(&[vec![1.0]]));
    let output = folder.path("o.hedge");
    run(&["compile", &rows, "--positive", "human", "-o", &output])
        .refused(&["x.npy", "a NumPy array"]);
    let table = folder.table();
    run(&["compile", &table, "--positive", "human", "-o", &output]).refused(&["model.hedge"]);
    run(&["compile", "no.json", "--positive", "human", "-o", &output])
        .refused(&["no.json", "No such file"]);
    run(&["compile", "/", "--positive", "human", "-o", &output]).refused(&["a directory"]);
    assert!(!folder.names().contains(&"o.hedge".to_string()));
}

#[test]
fn categories_come_over_and_words_do_not() {
    let folder = Folder::new("compile-categories");
    let catboost = include_str!("../../../import/tests/data/catboost-one-hot.json");
    for (model, categories) in [
        (catboost, [0, 1]),
        (
            include_str!("../../../import/tests/data/lightgbm-categories.txt"),
            [0, 1],
        ),
        (
            include_str!("../../../import/tests/data/xgboost-categories.json"),
            [0, 1],
        ),
    ] {
        for before in ["", "\u{feff}"] {
            compile(&folder, &format!("{before}{model}"), "o.hedge", &[]).done();
        }
        run(&["verify", &folder.path("o.hedge")]).done();
        let json = run(&["inspect", &folder.path("o.hedge"), "--json"]).json();
        for feature in categories {
            assert_eq!(json["features"][feature]["kind"], "category", "{feature}");
        }
    }
    let words = catboost.replace("\"value\": \"1\"", "\"value\": \"mobile\"");
    assert_ne!(words, catboost);
    compile(&folder, &words, "p.hedge", &[]).refused(&["\"mobile\"", "whole number", ".value"]);
    compile(&folder, "\u{8}\u{8}\u{12}\u{8}skl2onnx", "p.hedge", &[]).refused(&[
        "an ONNX model",
        "CatBoost model in JSON",
        "LightGBM",
        "XGBoost",
    ]);
    assert!(!folder.names().contains(&"p.hedge".to_string()));
}

/// A file of 2 MB whose splits name 19 thousand million edges of sets between them.
#[test]
fn a_large_set_that_splits_share_takes_little_memory() {
    let folder = Folder::new("compile-shared-set");
    let categories = include_str!("../../../import/tests/data/lightgbm-categories.txt");
    let model = shared_set::shared_set(categories, 30_000, 20_000);
    let model = folder.file("model", model);
    let output = folder.path("o.hedge");
    let limited = "ulimit -v 2000000 && exec \"$@\"";
    let binary = env!("CARGO_BIN_EXE_hedgerow");
    let done = Command::new("sh")
        .args([
            "-c",
            limited,
            "sh",
            binary,
            "compile",
            &model,
            "-o",
            &output,
            "--positive",
            "human",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("255 edges of sets of feature 0"), "{said}");
    assert_eq!(folder.names(), ["model"]);
}

#[test]
fn a_model_comes_from_standard_input_too() {
    let folder = Folder::new("compile-stdin");
    let output = folder.path("o.hedge");
    run_on(
        &["compile", "-", "--positive", "human", "-o", &output],
        MODEL.as_bytes(),
    )
    .done();
    run(&["verify", &output]).done();
    run_on(&["compile", "-", "--positive", "human", "-o", &output], b"")
        .refused(&["-", "an empty file"]);
}

#[test]
fn a_fixed_date_gives_the_same_bytes() {
    let folder = Folder::new("compile-date");
    let model = folder.file("model", MODEL);
    let build = |name: &str, date: &str| {
        let output = folder.path(name);
        let env = [("SOURCE_DATE_EPOCH", date)];
        run_with(
            &["compile", &model, "--positive", "human", "-o", &output],
            b"",
            &env,
        )
    };
    for (name, date) in [
        ("a", "1700000000"),
        ("b", "1700000000"),
        ("c", "1700000001"),
    ] {
        build(name, date).done();
    }
    let bytes = |name: &str| fs::read(folder.path(name)).unwrap();
    assert_eq!(bytes("a"), bytes("b"));
    assert_ne!(bytes("a"), bytes("c"));
    let json = run(&["inspect", &folder.path("a"), "--json"]).json();
    assert_eq!(json["created_at"], 1_700_000_000);
    build("d", "yesterday").usage(&["SOURCE_DATE_EPOCH", "yesterday"]);
}

#[test]
fn the_meaning_of_class_1_is_asked_for_and_shown() {
    let folder = Folder::new("compile-meaning");
    let (model, output) = (folder.file("model", MODEL), folder.path("o.hedge"));
    run(&["compile", &model, "-o", &output]).usage(&["--positive", "human or bot", "label 1"]);
    assert_eq!(folder.names(), ["model"]);
    for (positive, meaning) in [
        ("human", "99 = class 1 of the model = human"),
        (
            "bot",
            "99 = class 0 of the model = human, 1 = class 1 = bot",
        ),
    ] {
        let args = ["--positive", positive];
        let said = compile(&folder, MODEL, "o.hedge", &args).done();
        assert!(said.contains(meaning), "{said}");
        let said = run(&["inspect", &output]).done();
        assert!(said.contains(meaning), "{said}");
        let json = run(&["inspect", &output, "--json"]).json();
        assert!(json["score_meaning"].as_str().unwrap().starts_with(meaning));
        assert_eq!(json["provenance"]["positive"], positive);
    }
}

#[test]
fn a_positive_bot_mirrors_margins_and_scores() {
    let folder = Folder::new("compile-positive");
    let (rows, _) = expected();
    let rows = folder.file("rows.npy", npy(&rows));
    for model in [MODEL, LIGHTGBM] {
        compile(&folder, model, "human.hedge", &[]).done();
        compile(&folder, model, "bot.hedge", &["--positive", "bot"]).done();
        let score = |name| scores(&run(&["score", &folder.path(name), &rows]).done());
        for ((human, at_human), (bot, at_bot)) in
            score("human.hedge").iter().zip(score("bot.hedge"))
        {
            assert_eq!(*human, -bot);
            assert_eq!(i32::from(*at_human), 100 - i32::from(at_bot));
        }
    }
}

#[test]
fn golden_rows_are_kept_and_checked() {
    let folder = Folder::new("compile-golden");
    let kept = |more: &[&str]| {
        compile(&folder, MODEL, "o.hedge", more).done();
        run(&["inspect", &folder.path("o.hedge"), "--json"]).json()["golden_rows"].clone()
    };
    let rows = |count: usize| "1,2,,nan\n".repeat(count);
    let file = |name: &str, count| folder.file(name, format!("f3,f1,f2,f0\n{}", rows(count)));
    assert_eq!(kept(&[]), 64);
    assert_eq!(kept(&["--golden", &file("one.csv", 1)]), 1);
    assert_eq!(kept(&["--golden", &file("full.csv", 256)]), 256);
    assert_eq!(kept(&["--golden", &file("more.csv", 257)]), 129);
    assert_eq!(
        kept(&[
            "--golden",
            &folder.file("x.npy", npy(&[vec![1.0, 2.0, 3.0, 4.0]]))
        ]),
        1
    );
    let none = file("none.csv", 0);
    compile(&folder, MODEL, "p.hedge", &["--golden", &none]).refused(&["none.csv", "one row"]);
    let other = folder.file("other.csv", "a,b\n1,2\n");
    compile(&folder, MODEL, "p.hedge", &["--golden", &other]).refused(&["other.csv:1", "\"f0\""]);
    assert!(!folder.names().contains(&"p.hedge".to_string()));
}

#[test]
fn a_score_map_has_98_ascending_numbers() {
    let folder = Folder::new("compile-map");
    let map = |edit: &dyn Fn(&mut Vec<Value>)| {
        let mut list: Vec<Value> = (0..98)
            .map(|index| json!(f64::from(index) * 0.01))
            .collect();
        edit(&mut list);
        Value::from(list).to_string()
    };
    let good = folder.file("map", map(&|_| ()));
    compile(&folder, MODEL, "o.hedge", &["--score-map", &good]).done();
    let never = folder.file("map", map(&|list| list[97] = json!(1e300)));
    compile(&folder, MODEL, "o.hedge", &["--score-map", &never]).done();
    let flat = folder.file("map", map(&|list| list.fill(json!(0.5))));
    compile(&folder, MODEL, "o.hedge", &["--score-map", &flat]).done();
    fs::remove_file(folder.path("o.hedge")).unwrap();
    for (text, part) in [
        (map(&|list| drop(list.pop())), "97 margins"),
        (map(&|list| list.push(json!(9.0))), "99 margins"),
        (map(&|list| list.swap(3, 4)), "entry 4 descends"),
        (map(&|list| list[7] = Value::Null), "null"),
        (map(&|list| list[7] = json!("1")), "string"),
        (map(&|_| ()).replace("0.5,", "NaN,"), "map"),
        (map(&|_| ()).replace("0.5,", "1e999,"), "map"),
        ("{}".into(), "map"),
        (String::new(), "EOF"),
    ] {
        let map = folder.file("map", text);
        compile(&folder, MODEL, "o.hedge", &["--score-map", &map]).refused(&[part]);
        assert_eq!(folder.names(), ["map", "model"]);
    }
}

#[test]
fn a_score_is_the_probability_that_the_objective_makes() {
    let folder = Folder::new("compile-link");
    let (rows, _) = expected();
    let rows = folder.file("rows.npy", npy(&rows));
    for (objective, per_margin) in [
        ("binary sigmoid:1", 1.0),
        ("binary sigmoid:2", 2.0),
        ("binary sigmoid:0.25", 0.25),
        ("cross_entropy", 1.0),
    ] {
        let model = LIGHTGBM.replace("binary sigmoid:1", objective);
        for positive in ["human", "bot"] {
            compile(&folder, &model, "o.hedge", &["--positive", positive]).done();
            let of = scores(&run(&["score", &folder.path("o.hedge"), &rows]).done());
            assert!(of.iter().any(|(_, score)| *score != of[0].1), "{objective}");
            for (margin, score) in of {
                let exact = 100.0 / (1.0 + (-per_margin * margin).exp());
                let error = (f64::from(score) - exact.clamp(1.0, 99.0)).abs();
                assert!(
                    error < 0.51,
                    "{objective}, {positive}: {margin} scores {score}"
                );
            }
        }
    }
    let json = compile(&folder, LIGHTGBM, "o.hedge", &["--json"]).json();
    assert_eq!(json["warnings"], json!([]));
}

#[test]
fn margins_that_are_no_log_odds_need_a_score_map() {
    let folder = Folder::new("compile-no-link");
    let map: Vec<f64> = (0..98).map(f64::from).collect();
    let map = folder.file("map", Value::from(map).to_string());
    let xgboost = include_str!("../../../import/tests/data/xgboost.json");
    for (model, from, to) in [
        (LIGHTGBM, "binary sigmoid:1", "regression"),
        (LIGHTGBM, "binary sigmoid:1", "lambdarank"),
        (LIGHTGBM, "binary sigmoid:1", "cross_entropy_lambda"),
        (LIGHTGBM, "binary sigmoid:1", "binary sigmoid:-1"),
        (LIGHTGBM, "binary sigmoid:1", "binary sigmoid:nan"),
        (LIGHTGBM, "binary sigmoid:1", "binary"),
        (xgboost, "binary:logistic", "reg:squarederror"),
        (xgboost, "binary:logistic", "binary:hinge"),
        (xgboost, "binary:logistic", "count:poisson"),
        (xgboost, "binary:logistic", "rank:pairwise"),
        (MODEL, "\"type\": \"Logloss\"", "\"type\": \"RMSE\""),
    ] {
        assert!(model.contains(from), "{from}");
        let model = model.replace(from, to);
        let shown = to.trim_start_matches("\"type\": ").trim_matches('"');
        let shown = format!("\"{shown}\"");
        let refused = compile(&folder, &model, "o.hedge", &[]);
        refused.refused(&["model", "log-odds", "--score-map FILE", &shown]);
        assert_eq!(folder.names(), ["map", "model"]);
        compile(&folder, &model, "o.hedge", &["--score-map", &map]).done();
        fs::remove_file(folder.path("o.hedge")).unwrap();
    }
    // A file that does not say.
    for model in [
        LIGHTGBM.replace("objective=binary sigmoid:1\n", ""),
        MODEL.replace("\"loss_function\": {", "\"loss\": {"),
    ] {
        let said = compile(&folder, &model, "o.hedge", &[]).done();
        assert!(said.contains("warning: "), "{said}");
        assert!(said.contains("names no objective"), "{said}");
        let json = compile(&folder, &model, "o.hedge", &["--json"]).json();
        assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
        let said = compile(&folder, &model, "o.hedge", &["--score-map", &map]).done();
        assert!(!said.contains("warning"), "{said}");
    }
    for (from, to) in [
        ("binary:logistic", "reg:logistic"),
        ("binary:logistic", "binary:logitraw"),
    ] {
        compile(&folder, &xgboost.replace(from, to), "o.hedge", &[]).done();
    }
    let cross = MODEL.replace("\"type\": \"Logloss\"", "\"type\": \"CrossEntropy\"");
    compile(&folder, &cross, "o.hedge", &[]).done();
}

#[test]
fn provenance_is_json_of_a_bounded_length() {
    let folder = Folder::new("compile-provenance");
    let file = folder.file("p", r#"{"rows": 7}"#);
    compile(
        &folder,
        MODEL,
        "o.hedge",
        &["--provenance", &file, "--generation", "12"],
    )
    .done();
    let json = run(&["inspect", &folder.path("o.hedge"), "--json"]).json();
    assert_eq!(json["provenance"]["training"]["rows"], 7);
    assert_eq!(json["generation"], 12);
    let file = folder.file("p", "rows: 7");
    compile(&folder, MODEL, "q.hedge", &["--provenance", &file]).refused(&["JSON"]);
    let file = folder.file("p", format!("\"{}\"", "x".repeat(70_000)));
    compile(&folder, MODEL, "q.hedge", &["--provenance", &file]).refused(&["65536", "provenance"]);
}
