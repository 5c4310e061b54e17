//! Categorical splits that are broken, hostile, or hold what `f32` does not: refused with what and
//! where, in bounded time.

#[path = "common/refusals.rs"]
mod refusals;
#[path = "common/shared_set.rs"]
mod shared_set;

use hedgerow::RefusalKind::{ModelShape, ModelUnsupported, ModelValue};
use hedgerow::model::{BuildOptions, build};
use hedgerow::{FeatureKind, Table};
use hedgerow::{Refusal, RefusalKind};
use hedgerow_import::import;
use refusals::{changed, check, imported, parsed, refused};
use serde_json::{Value, json};
use shared_set::shared_set;
use std::time::{Duration, Instant};

const LIGHTGBM: &str = include_str!("data/lightgbm-categories.txt");
const XGBOOST: &str = include_str!("data/xgboost-categories.json");
const CATBOOST: &str = include_str!("data/catboost-one-hot.json");

/// The LightGBM model with the first line of a key changed, or taken out.
fn line(key: &str, value: Option<&str>) -> String {
    let start = LIGHTGBM.find(&format!("\n{key}=")).expect(key) + 1;
    let end = start + LIGHTGBM[start..].find('\n').expect("an end");
    let line = value.map_or(String::new(), |value| format!("{key}={value}"));
    format!("{}{line}{}", &LIGHTGBM[..start], &LIGHTGBM[end..])
}

#[track_caller]
fn check_line(key: &str, value: Option<&str>, problem: RefusalKind, at: &str) -> Refusal {
    let error = refused(line(key, value).as_bytes());
    assert_eq!(error.kind(), Some(problem), "{error}");
    assert!(error.at().ends_with(&format!("Tree=0 {at}")), "{error}");
    error
}

type LineCase = (&'static str, RefusalKind, &'static str);

/// What a line of a LightGBM tree is replaced by, the refusal, and its place.
const LIGHTGBM_LINES: &[(&str, &[LineCase])] = &[
    (
        "num_cat",
        &[
            ("0", ModelValue, "decision_type[0]"),
            ("5", ModelShape, "cat_boundaries"),
            ("3", ModelShape, "cat_boundaries"),
            ("-1", ModelValue, "num_cat"),
            ("18446744073709551615", ModelShape, "cat_boundaries"),
            ("4294967296", ModelShape, "cat_boundaries"),
        ],
    ),
    (
        "cat_boundaries",
        &[
            ("1 2 3 5 6", ModelValue, "cat_boundaries[0]"),
            ("0 2 1 5 6", ModelValue, "cat_boundaries[2]"),
            ("0 2 3 7 6", ModelValue, "cat_boundaries[4]"),
            ("0 2 3 -5 6", ModelValue, "cat_boundaries[3]"),
            ("0 2 3 5 7", ModelShape, "cat_threshold"),
            ("0 2 3 5 9999999999", ModelShape, "cat_threshold"),
            ("0 2 3 5", ModelShape, "cat_boundaries"),
        ],
    ),
    (
        "cat_threshold",
        &[
            ("1 11 5 1 48", ModelShape, "cat_threshold"),
            ("1 11 5 1 48 4294967296", ModelValue, "cat_threshold[5]"),
            ("1 11 5 1 48 -7", ModelValue, "cat_threshold[5]"),
        ],
    ),
    (
        "threshold",
        &[
            ("4 1 2 3 -0.2", ModelValue, "threshold[0]"),
            ("-1 1 2 3 -0.2", ModelValue, "threshold[0]"),
            ("0 0.5 2 3 -0.2", ModelValue, "threshold[1]"),
            ("nan 1 2 3 -0.2", ModelValue, "threshold[0]"),
            ("inf 1 2 3 -0.2", ModelValue, "threshold[0]"),
            ("0 1 2 3 -inf", ModelValue, "threshold[4]"),
        ],
    ),
    (
        "decision_type",
        &[
            ("13 9 9 9 8", ModelValue, "decision_type[0]"),
            ("9 9 9 9 9", ModelValue, "threshold[4]"),
        ],
    ),
];

#[test]
fn lightgbm_sets() {
    for (key, cases) in LIGHTGBM_LINES {
        for (value, problem, at) in *cases {
            check_line(key, Some(value), *problem, at);
        }
    }
    for key in ["cat_boundaries", "cat_threshold"] {
        check_line(key, None, ModelShape, key);
    }
    // Category 2^24 is bit 0 of word 524,288 of the last set.
    let last = 5 + 524_288 + 1;
    let far = line("cat_boundaries", Some(&format!("0 2 3 5 {last}")));
    let words = |top: &str| format!("1 1 5 1 48{} {top}", " 0".repeat(524_288));
    let far = |top: &str| {
        let start = far.find("\ncat_threshold=").expect("words") + 15;
        let end = start + far[start..].find('\n').expect("an end");
        format!("{}{}{}", &far[..start], words(top), &far[end..])
    };
    let error = refused(far("1").as_bytes());
    assert_eq!(error.kind(), Some(ModelUnsupported), "{error}");
    assert!(error.at().ends_with("cat_threshold[524293]"), "{error}");
    assert_eq!(error.got(), "category 16777216");
    imported(&far("0"));
}

/// As many splits as may be share one large set: it is read once, and looked at once on the way to
/// the table that has no room for it.
#[test]
fn a_set_that_all_splits_share_is_read_once() {
    let (splits, words) = (30_000, 20_000);
    let started = Instant::now();
    let model = imported(&shared_set(LIGHTGBM, splits, words));
    let refused = build(&model.ensemble, &BuildOptions::default());
    assert!(started.elapsed() < Duration::from_secs(10));
    let refused = refused.expect_err("no room").to_string();
    let expected = "at most 255 edges of sets of feature 0 (all in one lane) (capacity)";
    assert_eq!(refused, format!("expected {expected}, got 640000"));
    let mut edges = model.ensemble.trees[0]
        .splits()
        .map(|split| split.test.edges());
    let first = edges.next().expect("a split");
    assert_eq!(first.len(), 2 * 16 * words);
    assert!(edges.all(|other| std::ptr::eq(other, first)));
    // A set that a table has room for becomes one, however many splits share it.
    let model = imported(&shared_set(LIGHTGBM, splits, 7));
    let built = build(&model.ensemble, &BuildOptions::default()).expect("a table");
    Table::from_bytes(&built.bytes).expect("what was built passes every check");
}

/// Sets that hold more edges than any table can are refused before they fill the memory.
#[test]
fn sets_of_too_many_edges() {
    let sets = 40;
    let ones = |count: usize| vec!["1431655765"; 40_000 * count].join(" ");
    let numbers = |from: usize, step: usize, count: usize| -> String {
        let all = (0..count).map(|at| (from + step * at).to_string());
        all.collect::<Vec<_>>().join(" ")
    };
    let lefts = (1..sets)
        .map(|at| at.to_string())
        .collect::<Vec<_>>()
        .join(" ");
    let rights = (0..sets)
        .map(|at| format!("-{}", at + 2))
        .collect::<Vec<_>>()
        .join(" ");
    let zeros = vec!["0"; sets + 1].join(" ");
    let tree = [
        "Tree=0".to_owned(),
        format!("num_leaves={}", sets + 1),
        format!("num_cat={sets}"),
        format!("split_feature={}", &zeros[2..]),
        format!("threshold={}", numbers(0, 1, sets)),
        format!("decision_type={}", vec!["1"; sets].join(" ")),
        format!("left_child={lefts} -1"),
        format!("right_child={rights}"),
        format!("leaf_value={zeros}"),
        format!("cat_boundaries={}", numbers(0, 40_000, sets + 1)),
        format!("cat_threshold={}", ones(sets)),
    ];
    let head = &LIGHTGBM[..LIGHTGBM.find("tree_sizes=").expect("sizes")];
    let text = format!(
        "{head}tree_sizes=1\n\n{}\n\nend of trees\n",
        tree.join("\n")
    );
    let error = refused(text.as_bytes());
    assert_eq!(
        error.kind(),
        Some(RefusalKind::ModelOverCapacity),
        "{error}"
    );
    assert!(error.at().ends_with("Tree=0 cat_threshold"), "{error}");
    assert_eq!(
        error.expected(),
        "at most 16711680 edges of sets in all trees (capacity)"
    );
}

const TREE: &str = "/learner/gradient_booster/model/trees/0";
const TREE_AT: &str = "learner.gradient_booster.model.trees[0]";

fn check_tree(
    key: &str,
    value: Value,
    (problem, at, expected, got): (RefusalKind, &str, &str, &str),
) {
    let (pointer, at) = (format!("{TREE}/{key}"), format!("{TREE_AT}.{at}"));
    check(XGBOOST, &pointer, value, (problem, &at, expected, got));
}

#[test]
fn xgboost_lists_of_categories() {
    use RefusalKind::{ModelShape, ModelValue};
    let nodes = "categories_nodes";
    check_tree(
        nodes,
        json!([0, 1, 2, 3, 5]),
        (ModelShape, "categories_segments", "5 entries", "6"),
    );
    check_tree(
        nodes,
        json!([]),
        (ModelShape, "categories_segments", "0 entries", "6"),
    );
    for (index, node) in [(5, 5), (5, 15), (5, -1), (5, i32::MAX), (0, -1), (1, 0)] {
        let at = format!("categories_nodes[{index}]");
        let want = (
            ModelValue,
            at.as_str(),
            "an ascending node",
            &*node.to_string(),
        );
        check_tree(&format!("{nodes}/{index}"), json!(node), want);
    }
    // A split of categories whose node is named by none, and one that names another.
    check_tree(
        "categories_nodes/4",
        json!(4),
        (ModelShape, nodes, "an entry for node 5", "none"),
    );
    check_tree(
        "split_type/4",
        json!(1),
        (ModelShape, nodes, "an entry for node 4", "none"),
    );
    for (segment, key) in [(13, 1), (15, 1), (-1, 0), (i32::MAX, 2), (1, 0)] {
        let at = format!("categories_segments[{key}]");
        let want = (
            ModelValue,
            at.as_str(),
            "where the segment before",
            &*segment.to_string(),
        );
        check_tree(
            at.replace(['[', ']'], "/").trim_end_matches('/'),
            json!(segment),
            want,
        );
    }
}

#[test]
fn xgboost_sizes_and_categories() {
    use RefusalKind::{ModelShape, ModelValue};
    for size in [0, -1, i32::MIN, i32::MAX, 55] {
        let want = (
            ModelValue,
            "categories_sizes[0]",
            "1 to 54",
            &*size.to_string(),
        );
        check_tree("categories_sizes/0", json!(size), want);
    }
    check_tree(
        "categories_sizes/0",
        json!(13),
        (ModelValue, "categories_segments[1]", "13", "14"),
    );
    check_tree(
        "categories_sizes/5",
        json!(11),
        (ModelShape, "categories", "53 entries", "54"),
    );
    for (index, category) in [(0, -1), (0, 1 << 24), (0, i32::MAX), (0, i32::MIN)] {
        let at = format!("categories[{index}]");
        let want = (
            ModelValue,
            at.as_str(),
            "0 to below 16777216",
            &*category.to_string(),
        );
        check_tree(&format!("categories/{index}"), json!(category), want);
    }
    for (index, category) in [(1, 1), (1, 0), (2, 4)] {
        let at = format!("categories[{index}]");
        let want = (ModelValue, at.as_str(), "ascending", &*category.to_string());
        check_tree(&format!("categories/{index}"), json!(category), want);
    }
    // The last category there can be, in the last place of the first segment.
    imported(&changed(
        XGBOOST,
        &format!("{TREE}/categories/13"),
        json!((1 << 24) - 1),
    ));
}

#[test]
fn xgboost_lists_that_are_missing_or_of_other_types() {
    use RefusalKind::{ModelShape, ModelValue};
    for key in [
        "categories",
        "categories_nodes",
        "categories_segments",
        "categories_sizes",
    ] {
        let mut model = parsed(XGBOOST);
        let tree = model.pointer_mut(TREE).expect("the tree");
        tree.as_object_mut().expect("an object").remove(key);
        let error = refused(model.to_string().as_bytes());
        assert!(
            [ModelShape, ModelValue].iter().any(|kind| error.is(*kind)),
            "{error}"
        );
        assert!(
            error.at().starts_with(&format!("{TREE_AT}.categories")),
            "{error}"
        );
        for wrong in [
            json!("text"),
            json!([1.5]),
            json!([[1]]),
            json!({}),
            json!([u64::MAX]),
        ] {
            let error = refused(changed(XGBOOST, &format!("{TREE}/{key}"), wrong).as_bytes());
            assert_eq!(error.kind(), Some(ModelShape), "{error}");
        }
    }
}

#[test]
fn xgboost_containers_that_recode() {
    use RefusalKind::{ModelOverCapacity, ModelShape, ModelUnsupported};
    let cats = "/learner/gradient_booster/model/cats";
    let at = "learner.gradient_booster.model.cats.enc[1]";
    let empty = json!({ "offsets": [], "values": [] });
    let with = |encoding: Value| json!({ "enc": [empty, encoding], "feature_segments": [0, 0, 1] });
    for (encoding, got) in [
        (json!({ "offsets": [0, 1], "values": [107] }), "strings"),
        (json!({ "offsets": [0, 0], "values": [] }), "strings"),
        (
            json!({ "type": 15, "values": [0, 1, 3] }),
            "3 at position 2",
        ),
        (json!({ "type": 15, "values": [1, 0] }), "1 at position 0"),
        (
            json!({ "type": 15, "values": [0, 1, 2.5] }),
            "2.5 at position 2",
        ),
        (json!({ "type": 15, "values": [-1] }), "-1 at position 0"),
    ] {
        check(
            XGBOOST,
            cats,
            with(encoding),
            (ModelUnsupported, at, "their own codes", got),
        );
    }
    for codes in [
        json!([0, 1, 2, 3]),
        json!([0]),
        json!([]),
        json!([0.0, 1.0]),
    ] {
        let kept = changed(XGBOOST, cats, with(json!({ "type": 15, "values": codes })));
        assert_eq!(imported(&kept).ensemble, imported(XGBOOST).ensemble);
    }
    for wrong in [json!([]), json!({ "enc": 7 }), json!({ "enc": [[]] })] {
        refused(changed(XGBOOST, cats, wrong).as_bytes());
    }
    let wrong = with(json!({ "values": ["a"] }));
    assert_eq!(
        refused(changed(XGBOOST, cats, wrong).as_bytes()).kind(),
        Some(ModelShape)
    );
    let many = json!({ "enc": vec![empty.clone(); 513] });
    assert_eq!(
        refused(changed(XGBOOST, cats, many).as_bytes()).kind(),
        Some(ModelOverCapacity)
    );
}

/// The first split on a category: its pointer, its place as messages have it, and its hash.
fn one_hot_split() -> (String, String, i32) {
    let model = parsed(CATBOOST);
    let trees = model["oblivious_trees"].as_array().expect("trees");
    for (tree, raw) in trees.iter().enumerate() {
        let splits = raw["splits"].as_array().expect("splits");
        let kinds = splits.iter().map(|split| &split["split_type"]);
        if let Some(level) = kinds.into_iter().position(|kind| kind == "OneHotFeature") {
            let pointer = format!("/oblivious_trees/{tree}/splits/{level}");
            let at = format!("oblivious_trees[{tree}].splits[{level}]");
            let hash = splits[level]["value"].as_i64().expect("a hash");
            return (pointer, at, hash as i32);
        }
    }
    panic!("no one-hot split");
}

const NAMES: &str = "/features_info/cat_features_hash";

#[test]
fn catboost_categories_that_are_no_numbers() {
    use RefusalKind::{ModelDuplicate, ModelUnsupported};
    let (_, at, hash) = one_hot_split();
    let at = format!("{at}.value");
    let model = parsed(CATBOOST);
    let names = model
        .pointer(NAMES)
        .and_then(Value::as_array)
        .expect("names");
    let unsigned = json!(hash as u32);
    let entry = names.iter().position(|name| name["hash"] == unsigned);
    let name = format!("{NAMES}/{}/value", entry.expect("its name"));
    for other in [
        "mobile",
        "",
        "3.0",
        "03",
        "-0",
        "+3",
        "16777217",
        "9999999999",
        "nan",
        " 3",
    ] {
        let shown = format!("{other:?}");
        let want = (
            ModelUnsupported,
            at.as_str(),
            "a whole number",
            shown.as_str(),
        );
        check(CATBOOST, &name, json!(other), want);
    }
    let want = (
        ModelUnsupported,
        at.as_str(),
        "cat_features_hash",
        "no such list",
    );
    check(CATBOOST, NAMES, json!(null), want);
    let shown = hash.to_string();
    let want = (
        ModelUnsupported,
        at.as_str(),
        "cat_features_hash",
        shown.as_str(),
    );
    check(CATBOOST, NAMES, json!([]), want);
    let again = json!([names[0], names[0]]);
    let want = (
        ModelDuplicate,
        "features_info.cat_features_hash[1]",
        "once",
        "twice",
    );
    check(CATBOOST, NAMES, again, want);
    let same = changed(
        CATBOOST,
        &format!("{NAMES}/0/value"),
        names[1]["value"].clone(),
    );
    assert_eq!(refused(same.as_bytes()).kind(), Some(ModelDuplicate));
}

#[test]
fn catboost_one_hot_splits() {
    use RefusalKind::{ModelDuplicate, ModelShape, ModelValue};
    let features = imported(CATBOOST).ensemble.features;
    let kinds: Vec<FeatureKind> = features.iter().map(|feature| feature.kind).collect();
    let (number, category) = (FeatureKind::Number, FeatureKind::Category);
    assert_eq!(kinds, [category, category, number, number]);
    let (split, split_at, _) = one_hot_split();
    let key = |key: &str| format!("{split}/{key}");
    for (name, value, expected) in [
        ("value", 5, "one of the values"),
        ("cat_feature_index", 9, "one of"),
        ("split_index", 77, "the number of this feature and value"),
    ] {
        let (at, shown) = (format!("{split_at}.{name}"), value.to_string());
        let want = (ModelValue, at.as_str(), expected, shown.as_str());
        check(CATBOOST, &key(name), json!(value), want);
    }
    for wrong in [json!("text"), json!(1.5), json!(u32::MAX)] {
        let error = refused(changed(CATBOOST, &key("value"), wrong).as_bytes());
        assert_eq!(error.kind(), Some(ModelShape), "{error}");
    }
    let index = "/features_info/categorical_features/1/feature_index";
    let twice = changed(CATBOOST, index, json!(0));
    assert_eq!(refused(twice.as_bytes()).kind(), Some(ModelDuplicate));
    for name in ["value", "cat_feature_index"] {
        let error = refused(changed(CATBOOST, &key(name), json!(null)).as_bytes());
        assert_eq!(error.kind(), Some(ModelShape), "{error}");
        assert_eq!(error.expected(), format!("the key `{name}`"));
    }
}

/// A byte order mark, and blanks, stand before text without effect.
#[test]
fn text_may_begin_with_a_mark_and_blanks() {
    for model in [LIGHTGBM, XGBOOST, CATBOOST] {
        let plain = imported(model);
        for before in ["\u{feff}", "\n", " \r\n\t", "\u{feff}\n", "\u{feff} "] {
            assert_eq!(imported(&format!("{before}{model}")), plain, "{before:?}");
        }
        let error = refused(format!("\u{feff}\u{feff}{model}").as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelFormat), "{error}");
    }
    let ubj = include_bytes!("data/xgboost-categories.ubj");
    assert_eq!(
        import(ubj).expect("a model").ensemble,
        imported(XGBOOST).ensemble
    );
    let marked = [&b"\xef\xbb\xbf"[..], ubj].concat();
    assert_eq!(refused(&marked).kind(), Some(RefusalKind::ModelMalformed));
    let utf16: Vec<u8> = "\u{feff}tree\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(refused(&utf16).got(), "text in UTF-16");
}
