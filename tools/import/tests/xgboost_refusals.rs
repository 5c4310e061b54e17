//! What is no XGBoost model, or one that is not carried over exactly, is refused by name: what the
//! JSON form shows. `xgboost_ubj.rs` is about the binary form.

#[path = "common/refusals.rs"]
mod refusals;

use hedgerow::FeatureKind;
use hedgerow::RefusalKind;
use refusals::{changed, check, imported, parsed, refused};
use serde_json::{Value, json};

/// A `dart` model that XGBoost trained.
const DART: &str = include_str!("data/xgboost.json");
/// Hand-made `gbtree` models with pruned nodes, in the styles of two versions.
const NEW: &str = include_str!("data/xgboost-3.1.json");
const OLD: &str = include_str!("data/xgboost-1.0.json");

const FOREST: &str = "/learner/gradient_booster/model";
const FOREST_AT: &str = "learner.gradient_booster.model";
const TREE: &str = "/learner/gradient_booster/model/trees/0";
const TREE_AT: &str = "learner.gradient_booster.model.trees[0]";

#[test]
fn constructs_that_are_not_carried_over() {
    use RefusalKind::ModelUnsupported;
    let param = |key: &str| format!("/learner/learner_model_param/{key}");
    let cases = [
        ("/version", json!([4, 0, 0]), "version", "[4, 0, 0]"),
        ("/version", json!([0, 90, 0]), "version", "[0, 90, 0]"),
        (
            "/learner/objective/name",
            json!("multi:softmax"),
            "learner.objective.name",
            "multi:",
        ),
        (
            "/learner/objective/name",
            json!("mine"),
            "learner.objective.name",
            "\"mine\"",
        ),
        (
            &param("num_class"),
            json!("3"),
            "learner.learner_model_param.num_class",
            "3 outputs",
        ),
        (
            &param("base_score"),
            json!("[1E-1,2E-1]"),
            "learner.learner_model_param.base",
            "2 out",
        ),
    ];
    for (pointer, value, at, got) in cases {
        check(NEW, pointer, value, (ModelUnsupported, at, "", got));
    }
    let name = "/learner/gradient_booster/name";
    for booster in ["gblinear", "unheard"] {
        let want = (
            ModelUnsupported,
            "learner.gradient_booster.name",
            "gbtree or dart",
            booster,
        );
        check(NEW, name, json!(booster), want);
    }
}

#[test]
fn trees_that_are_not_carried_over() {
    use RefusalKind::ModelUnsupported;
    let vector = format!("{TREE}/tree_param/size_leaf_vector");
    let at = format!("{TREE_AT}.tree_param.size_leaf_vector");
    check(
        NEW,
        &vector,
        json!("2"),
        (ModelUnsupported, &at, "one output", "2 outputs"),
    );
    let group = format!("{FOREST}/tree_info/1");
    let at = format!("{FOREST_AT}.tree_info[1]");
    check(
        NEW,
        &group,
        json!(1),
        (ModelUnsupported, &at, "one output", "another output"),
    );
    let right = format!("{TREE}/right_children/0");
    let at = format!("{TREE_AT}.right_children[0]");
    check(
        NEW,
        &right,
        json!(3),
        (ModelUnsupported, &at, "next to the left", "3"),
    );
    let raw = "/learner/objective/name";
    check(
        OLD,
        raw,
        json!("binary:logitraw"),
        (ModelUnsupported, "learner.objective", "1.4", "raw"),
    );
}

#[test]
fn numbers_out_of_range() {
    use RefusalKind::{ModelShape, ModelValue};
    let condition = format!("{TREE}/split_conditions/0");
    let at = format!("{TREE_AT}.split_conditions[0]");
    let want = (ModelValue, at.as_str(), "above the lowest f32", "-340282");
    check(NEW, &condition, json!(f32::MIN), want);
    // The parser reads 32 bits here, and knows no infinity.
    let want = (
        RefusalKind::ModelMalformed,
        "line ",
        "well-formed JSON",
        "number out of range",
    );
    check(NEW, &condition, json!(1e39), want);
    let leaf = format!("{TREE}/split_conditions/3");
    let want = (ModelShape, TREE_AT, "f32 holds exactly", "1844");
    check(NEW, &leaf, json!(u64::MAX), want);
    let index = format!("{TREE}/split_indices/1");
    let at = format!("{TREE_AT}.split_indices[1]");
    for number in [3, -1, i32::MAX, 65_536] {
        check(
            NEW,
            &index,
            json!(number),
            (ModelValue, &at, "below 3", &number.to_string()),
        );
    }
    check(
        NEW,
        &index,
        json!(u64::MAX),
        (ModelShape, TREE_AT, "i32", "18446744073709551615"),
    );
    let want = (ModelValue, TREE_AT, "0 (numerical)", "2");
    check(NEW, &format!("{TREE}/split_type/1"), json!(2), want);
    for (side, number) in [
        ("left", -2),
        ("left", 5),
        ("right", -1),
        ("right", i32::MAX),
    ] {
        let child = format!("{TREE}/{side}_children/0");
        let at = format!("{TREE_AT}.{side}_children[0]");
        check(
            NEW,
            &child,
            json!(number),
            (ModelValue, &at, "below 5", &number.to_string()),
        );
    }
}

#[test]
fn leaves_and_base_scores_out_of_range() {
    use RefusalKind::ModelValue;
    let leaf = "/learner/gradient_booster/gbtree/model/trees/1/split_conditions";
    let mut heavy = parsed(DART);
    let nodes = parsed(DART)
        .pointer(leaf)
        .and_then(|list| list.as_array())
        .map(Vec::len);
    *heavy.pointer_mut(leaf).expect("a list") = json!(vec![10; nodes.expect("a list")]);
    let weight = "/learner/gradient_booster/weight_drop/1";
    let at = "learner.gradient_booster.gbtree.model.trees[1].split_conditions[";
    let want = (
        ModelValue,
        at,
        "a finite leaf",
        "10 times the tree's weight",
    );
    check(&heavy.to_string(), weight, json!(1e38), want);
    let base = "/learner/learner_model_param/base_score";
    for text in [
        "", "[]", "x", "nan", "inf", "[1E0", "1E99", "0E0", "1", "1E-7", "-1E-1",
    ] {
        let error = refused(changed(NEW, base, json!(text)).as_bytes());
        assert_eq!(error.kind(), Some(ModelValue), "{text}: {error}");
        assert_eq!(
            error.at(),
            "learner.learner_model_param.base_score",
            "{text}"
        );
    }
    let mut poisson = parsed(NEW);
    poisson["learner"]["objective"]["name"] = json!("count:poisson");
    for text in ["0", "-1"] {
        check(
            &poisson.to_string(),
            base,
            json!(text),
            (ModelValue, "learner", "finite margin", text),
        );
    }
}

#[test]
fn shapes_that_are_wrong() {
    use RefusalKind::ModelShape;
    for key in [
        "left_children",
        "right_children",
        "split_indices",
        "split_conditions",
        "default_left",
        "split_type",
    ] {
        let list = format!("{TREE}/{key}");
        let at = format!("{TREE_AT}.{key}");
        check(
            NEW,
            &list,
            json!([0]),
            (ModelShape, &at, "num_nodes = 5 entries", "1"),
        );
    }
    let nodes = format!("{TREE}/tree_param/num_nodes");
    for text in [
        "0",
        "4",
        "6",
        "18446744073709551615",
        "18446744073709551616",
        "-5",
        "+5",
        "",
    ] {
        let want = (ModelShape, TREE_AT, "", "");
        check(NEW, &nodes, json!(text), want);
    }
    let trees = format!("{FOREST}/gbtree_model_param/num_trees");
    check(
        NEW,
        &trees,
        json!("3"),
        (ModelShape, FOREST_AT, "num_trees = 3", "2"),
    );
    let want = (ModelShape, FOREST_AT, "one a tree", "1");
    check(NEW, &format!("{FOREST}/tree_info"), json!([0]), want);
    let mut none = parsed(NEW);
    none["learner"]["gradient_booster"]["model"] = json!({ "tree_info": [], "trees": [] });
    assert_eq!(
        refused(none.to_string().as_bytes()).expected(),
        "at least 1 tree"
    );
}

#[test]
fn lists_that_do_not_match() {
    use RefusalKind::{ModelDuplicate, ModelOverCapacity, ModelShape};
    let weights = "/learner/gradient_booster/weight_drop";
    check(
        DART,
        weights,
        json!([1]),
        (ModelShape, "learner", "3 weights", "1"),
    );
    let rounds = "/learner/gradient_booster/gbtree/model/iteration_indptr";
    check(
        DART,
        rounds,
        json!([0, 1, 2]),
        (ModelShape, "learner", "up to 3", "others"),
    );
    let mut many = parsed(NEW);
    let forest = many.pointer_mut(FOREST).expect("the forest");
    forest["trees"] = json!(vec![json!(null); 1]);
    assert_eq!(
        refused(many.to_string().as_bytes()).kind(),
        Some(ModelShape)
    );
    let tree = parsed(NEW).pointer(TREE).expect("a tree").clone();
    let want = (ModelOverCapacity, FOREST_AT, "at most 8192", "8193");
    check(
        NEW,
        &format!("{FOREST}/trees"),
        json!(vec![tree; 8193]),
        want,
    );
    let twice = NEW.replacen("\"learner\"", "\"learner\": null, \"learner\"", 1);
    assert_eq!(refused(twice.as_bytes()).kind(), Some(ModelDuplicate));
    let twice = NEW.replacen("\"version\"", "\"version\": [3, 1, 0], \"version\"", 1);
    assert_eq!(refused(twice.as_bytes()).kind(), Some(ModelDuplicate));
    check(
        NEW,
        "/version",
        json!([3, 1]),
        (ModelShape, "version", "3", "2"),
    );
}

#[test]
fn missing_keys() {
    for (pointer, key) in [
        ("", "version"),
        ("/learner", "gradient_booster"),
        ("/learner", "learner_model_param"),
        ("/learner", "objective"),
        ("/learner/objective", "name"),
        ("/learner/learner_model_param", "base_score"),
        ("/learner/learner_model_param", "num_feature"),
        ("/learner/gradient_booster", "name"),
        ("/learner/gradient_booster", "model"),
        (FOREST, "trees"),
        (FOREST, "tree_info"),
        (TREE, "tree_param"),
        (TREE, "left_children"),
        (TREE, "right_children"),
        (TREE, "split_indices"),
        (TREE, "split_conditions"),
        (TREE, "default_left"),
    ] {
        let mut model = parsed(NEW);
        let object = model.pointer_mut(pointer).and_then(Value::as_object_mut);
        object.expect(pointer).remove(key).expect(key);
        let error = refused(model.to_string().as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelShape), "{error}");
        assert!(error.expected().contains("key"), "{error}");
        assert!(error.to_string().contains(key), "{error}");
        assert_eq!(error.got(), "nothing");
    }
    let mut model = parsed(DART);
    let booster = model["learner"]["gradient_booster"].as_object_mut();
    booster.expect("an object").remove("weight_drop");
    let error = refused(model.to_string().as_bytes());
    assert_eq!(error.at(), "learner.gradient_booster.weight_drop");
}

#[test]
fn feature_names() {
    let names = |text: &str| -> Vec<String> {
        let imported = imported(text);
        let features = imported.ensemble.features.into_iter();
        features.map(|feature| feature.name).collect()
    };
    assert_eq!(names(NEW), ["asn age", "paths", "ratio"]);
    assert_eq!(names(OLD), ["f0", "f1", "f2"]);
    let pointer = "/learner/feature_names";
    let at = "learner.feature_names";
    use RefusalKind::{ModelDuplicate, ModelOverCapacity, ModelShape};
    check(
        NEW,
        pointer,
        json!(["a", "b"]),
        (ModelShape, at, "num_feature = 3", "2"),
    );
    check(
        NEW,
        pointer,
        json!(["a", "b", "a"]),
        (ModelDuplicate, at, "unique", "0 and 2"),
    );
    for bad in ["a,b", " a", "a\nb", "", &"x".repeat(57)] {
        check(
            NEW,
            pointer,
            json!(["a", bad, "c"]),
            (RefusalKind::ModelValue, at, "a feature name", "which"),
        );
    }
    let many: Vec<String> = (0..513).map(|i| i.to_string()).collect();
    check(
        NEW,
        pointer,
        json!(many),
        (ModelOverCapacity, at, "at most 512", "513"),
    );
}

#[test]
fn feature_counts_and_types() {
    use RefusalKind::{ModelOverCapacity, ModelShape};
    let many: Vec<String> = (0..257).map(|i| i.to_string()).collect();
    let count = "/learner/learner_model_param/num_feature";
    let at = "learner.learner_model_param.num_feature";
    check(
        OLD,
        count,
        json!("0"),
        (ModelShape, at, "at least 1 feature", "none"),
    );
    for number in ["257", "4000000000", "18446744073709551615"] {
        check(
            OLD,
            count,
            json!(number),
            (ModelOverCapacity, at, "at most 256 features", number),
        );
    }
    let mut wide = parsed(NEW);
    wide["learner"]["feature_names"] = json!(many);
    wide["learner"]["feature_types"] = json!([]);
    let error = refused(changed(&wide.to_string(), count, json!("257")).as_bytes());
    assert_eq!(
        (error.kind(), error.got()),
        (Some(ModelOverCapacity), "257")
    );
    // A category that no split uses as one keeps its column.
    let types = "/learner/feature_types";
    let category = imported(&changed(NEW, types, json!(["float", "c", "i"])));
    let kinds = category
        .ensemble
        .features
        .iter()
        .map(|feature| feature.kind);
    let (number, code) = (FeatureKind::Number, FeatureKind::Category);
    assert!(kinds.eq([number, code, number]));
    check(
        NEW,
        types,
        json!(["c"]),
        (ModelShape, "learner.feature_types", "num_feature = 3", "1"),
    );
}

#[test]
fn provenance_says_where_a_model_came_from() {
    let provenance = imported(OLD).provenance();
    assert_eq!(provenance["source"]["library"], "xgboost");
    assert_eq!(provenance["source"]["version"], "1.0.0");
    let parameters = &provenance["source"]["parameters"];
    assert_eq!(parameters["objective"], "binary:logistic");
    assert_eq!(parameters["booster"], "gbtree");
    assert_eq!(parameters["base_score"], "2.5E-1");
    assert_eq!(parameters["best_iteration"], "0");
    assert_eq!(provenance["trees"], 2);
    // Pruned nodes do not count.
    assert_eq!(
        (&provenance["splits"], &provenance["leaves"]),
        (&json!(3), &json!(5))
    );
    let imported = imported(NEW);
    assert_eq!(imported.leaf_order, [[3, 4, 2].to_vec(), [3, 4].to_vec()]);
    assert_eq!(imported.library_leaf(1, 1), 4);
}
