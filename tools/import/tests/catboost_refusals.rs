//! What is no CatBoost model, or one that is not carried over exactly, is refused by name.

#[path = "common/refusals.rs"]
mod refusals;

use hedgerow::FeatureKind;
use hedgerow::RefusalKind;
use hedgerow::model::{Ensemble, Tree};
use hedgerow_import::{Imported, import};
use refusals::{changed, check, parsed, refused, walk};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const OBLIVIOUS: &str = include_str!("data/catboost-oblivious.json");
const NONSYMMETRIC: &str = include_str!("data/catboost-nonsymmetric.json");

const FLOAT: &str = "/features_info/float_features/0";
const SPLIT: &str = "/oblivious_trees/1/splits/0";
const SPLIT_AT: &str = "oblivious_trees[1].splits[0]";

#[test]
fn constructs_that_are_not_carried_over() {
    use RefusalKind::ModelUnsupported;
    for kind in ["OnlineCtr", "EstimatedFeature", "Unheard"] {
        let at = format!("{SPLIT_AT}.split_type");
        let split = json!({ "split_type": kind, "cat_feature_index": 0, "value": -7 });
        let want = (ModelUnsupported, at.as_str(), "FloatFeature", kind);
        check(OBLIVIOUS, SPLIT, split.clone(), want);
        let at = "trees[2].right.split.split_type";
        let want = (ModelUnsupported, at, "FloatFeature", kind);
        check(NONSYMMETRIC, "/trees/2/right/split", split, want);
    }
    for key in ["text", "embedding"] {
        let mut model = parsed(OBLIVIOUS);
        model["features_info"][format!("{key}_features")] = json!([{ "flat_feature_index": 4 }]);
        let error = refused(model.to_string().as_bytes());
        assert_eq!(error.kind(), Some(ModelUnsupported));
        assert_eq!(error.at(), format!("features_info.{key}_features"));
    }
    let classes = (
        ModelUnsupported,
        "oblivious_trees[0].leaf_values",
        "one output",
        "3 outputs",
    );
    check(
        OBLIVIOUS,
        "/oblivious_trees/0/leaf_values",
        json!(vec![0.5; 24]),
        classes,
    );
    let biases = (
        ModelUnsupported,
        "scale_and_bias[1]",
        "one output",
        "3 outputs",
    );
    check(OBLIVIOUS, "/scale_and_bias/1", json!([0, 0, 0]), biases);
    let leaf = (
        ModelUnsupported,
        "trees[0].right.value",
        "one output",
        "3 outputs",
    );
    check(
        NONSYMMETRIC,
        "/trees/0/right",
        json!({ "value": [1, 2, 3] }),
        leaf,
    );
}

#[test]
fn split_numbers_out_of_range() {
    use RefusalKind::{ModelShape, ModelValue};
    let border = format!("{SPLIT}/border");
    let border_at = format!("{SPLIT_AT}.border");
    for (number, got) in [
        (json!(0.1), "0.1"),
        (json!(1e300), "1e300"),
        (json!(1e-50), "1e-50"),
    ] {
        let want = (ModelValue, border_at.as_str(), "f32 holds exactly", got);
        check(OBLIVIOUS, &border, number, want);
    }
    let want = (
        ModelValue,
        border_at.as_str(),
        "one of the borders",
        "12345",
    );
    check(OBLIVIOUS, &border, json!(12345.0), want);
    let at = format!("{SPLIT_AT}.split_index");
    let want = (
        ModelValue,
        at.as_str(),
        "the number of this feature and border",
        "77",
    );
    check(OBLIVIOUS, &format!("{SPLIT}/split_index"), json!(77), want);
    let at = format!("{SPLIT_AT}.float_feature_index");
    let pointer = format!("{SPLIT}/float_feature_index");
    check(
        OBLIVIOUS,
        &pointer,
        json!(4),
        (ModelValue, &at, "feature_index of one of", "4"),
    );
    check(
        OBLIVIOUS,
        &pointer,
        json!(u64::MAX),
        (ModelValue, &at, "one of", "18446744073709551615"),
    );
    check(
        OBLIVIOUS,
        &pointer,
        json!(-1),
        (ModelShape, &at, "u64", "-1"),
    );
    check(
        OBLIVIOUS,
        &pointer,
        json!(18446744073709551616.0),
        (ModelShape, &at, "u64", "floating"),
    );
}

#[test]
fn numbers_out_of_range() {
    use RefusalKind::{ModelMalformed, ModelOverCapacity, ModelValue};
    let listed = format!("{FLOAT}/borders/0");
    let at = "features_info.float_features[0].borders[0]";
    check(
        OBLIVIOUS,
        &listed,
        json!(0.1),
        (ModelValue, at, "f32 holds exactly", "0.1"),
    );
    let flat = format!("{FLOAT}/flat_feature_index");
    let at = "features_info.float_features[0].flat_feature_index";
    for number in [100_000, u64::from(u32::MAX), u64::MAX] {
        let got = number.to_string();
        check(
            OBLIVIOUS,
            &flat,
            json!(number),
            (ModelOverCapacity, at, "at most", &got),
        );
    }
    let scaled = changed(OBLIVIOUS, "/scale_and_bias/0", json!(1e308));
    let at = "oblivious_trees[2].leaf_values[3]";
    let want = (
        ModelValue,
        at,
        "a finite leaf",
        "10.0 times the scale 1e308",
    );
    check(&scaled, "/oblivious_trees/2/leaf_values/3", json!(10), want);
    let huge = OBLIVIOUS.replacen("0.5,", "1e999,", 1);
    assert_ne!(huge, OBLIVIOUS);
    let error = refused(huge.as_bytes());
    assert_eq!(error.kind(), Some(ModelMalformed));
    assert!(error.at().starts_with("line "), "{error}");
    for word in ["NaN", "Infinity", "-Infinity"] {
        let error = refused(
            OBLIVIOUS
                .replacen("0.5,", &format!("{word},"), 1)
                .as_bytes(),
        );
        assert_eq!(error.kind(), Some(ModelMalformed), "{error}");
    }
}

#[test]
fn shapes_that_are_wrong() {
    use RefusalKind::{ModelDuplicate, ModelOverCapacity, ModelShape};
    let leaves = "/oblivious_trees/0/leaf_values";
    let at = "oblivious_trees[0].leaf_values";
    check(
        OBLIVIOUS,
        leaves,
        json!([1, 2, 3]),
        (ModelShape, at, "8 leaves below 3 splits", "3"),
    );
    check(
        OBLIVIOUS,
        leaves,
        json!([]),
        (ModelShape, at, "8 leaves below 3 splits", "0"),
    );
    let at = "oblivious_trees[0].splits";
    let split = parsed(OBLIVIOUS)["oblivious_trees"][0]["splits"][0].clone();
    let want = (ModelOverCapacity, at, "at most 16", "17");
    check(
        OBLIVIOUS,
        "/oblivious_trees/0/splits",
        json!(vec![split; 17]),
        want,
    );
    let tree = json!({ "leaf_values": [0.0], "splits": null });
    let want = (ModelOverCapacity, "oblivious_trees", "at most 8192", "8193");
    check(OBLIVIOUS, "/oblivious_trees", json!(vec![tree; 8193]), want);
    for trees in [json!([]), json!(null)] {
        let want = (ModelShape, "the top level", "at least 1 tree", "none");
        check(OBLIVIOUS, "/oblivious_trees", trees, want);
    }
    let mut both = parsed(OBLIVIOUS);
    both["trees"] = parsed(NONSYMMETRIC)["trees"].clone();
    assert_eq!(refused(both.to_string().as_bytes()).got(), "both");
    let twice = OBLIVIOUS.replacen('{', "{\"scale_and_bias\": [1, [0]],", 1);
    assert_eq!(refused(twice.as_bytes()).kind(), Some(ModelDuplicate));
    for node in [
        json!({}),
        json!({ "left": { "value": 1 } }),
        json!({ "split": {} }),
    ] {
        let error = refused(changed(NONSYMMETRIC, "/trees/0/left", node).as_bytes());
        assert_eq!(error.kind(), Some(ModelShape));
        assert!(error.at().starts_with("trees[0].left"), "{error}");
    }
    for pair in [
        json!([1]),
        json!([1, [0], 2]),
        json!([]),
        json!(1),
        json!(null),
    ] {
        check(
            OBLIVIOUS,
            "/scale_and_bias",
            pair,
            (ModelShape, "scale_and_bias", "[scale, [bias]]", ""),
        );
    }
    let treatment = format!("{FLOAT}/nan_value_treatment");
    let at = "features_info.float_features[0].nan_value_treatment";
    check(
        OBLIVIOUS,
        &treatment,
        json!("AsZero"),
        (ModelShape, at, "AsTrue", "AsZero"),
    );
}

#[test]
fn missing_keys() {
    for (pointer, key) in [
        ("", "features_info"),
        (FLOAT, "feature_index"),
        (FLOAT, "flat_feature_index"),
        (FLOAT, "has_nans"),
        (FLOAT, "nan_value_treatment"),
        ("/oblivious_trees/0", "leaf_values"),
        (SPLIT, "split_type"),
        (SPLIT, "float_feature_index"),
        (SPLIT, "border"),
    ] {
        let mut model = parsed(OBLIVIOUS);
        let object = model.pointer_mut(pointer).and_then(Value::as_object_mut);
        object.expect(pointer).remove(key).expect(key);
        let error = refused(model.to_string().as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelShape), "{error}");
        assert_eq!(error.expected(), format!("the key `{key}`"));
        assert_eq!(error.got(), "nothing");
    }
}

#[test]
fn features_that_stand_twice_or_do_not_fit() {
    let name = |index: usize| format!("/features_info/float_features/{index}/feature_id");
    let mut model = parsed(OBLIVIOUS);
    *model.pointer_mut(&name(0)).expect("name") = json!("ua");
    *model.pointer_mut(&name(3)).expect("name") = json!("ua");
    let error = refused(model.to_string().as_bytes());
    assert_eq!(error.kind(), Some(RefusalKind::ModelDuplicate));
    assert_eq!(error.at(), "features_info.float_features[3].feature_id");
    assert!(
        error.got().starts_with("\"ua\" at positions 0 and 3"),
        "{error}"
    );

    // A list that was joined to itself: said to be that, whether or not it fits the capacity.
    let mut model = parsed(OBLIVIOUS);
    let list = model["features_info"]["float_features"]
        .as_array_mut()
        .expect("list");
    list.extend(list.clone());
    let error = refused(model.to_string().as_bytes());
    assert!(
        error.got().contains("positions 0 and 4 (4 names"),
        "{error}"
    );

    let mut model = parsed(OBLIVIOUS);
    let list = model["features_info"]["float_features"]
        .as_array_mut()
        .expect("list");
    for index in 4..257 {
        let mut feature = list[3].clone();
        feature["feature_index"] = json!(index);
        feature["flat_feature_index"] = json!(index);
        list.push(feature);
    }
    let error = refused(model.to_string().as_bytes());
    assert_eq!(error.kind(), Some(RefusalKind::ModelOverCapacity));
    assert_eq!(error.expected(), "at most 256 features (capacity)");
    assert_eq!(error.got(), "257");

    for (key, value) in [("flat_feature_index", 2), ("feature_index", 2)] {
        let pointer = format!("{FLOAT}/{key}");
        // Named apart, so that the default names do not collide first.
        let mut model = parsed(OBLIVIOUS);
        *model.pointer_mut(&name(0)).expect("name") = json!("other");
        *model.pointer_mut(&pointer).expect("index") = json!(value);
        let error = refused(model.to_string().as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelDuplicate), "{error}");
    }
    for bad in ["a,b", " a", "a\nb", &"x".repeat(57)] {
        let error = refused(changed(OBLIVIOUS, &name(1), json!(bad)).as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelValue));
        assert_eq!(error.at(), "features_info.float_features[1].feature_id");
    }
    check(OBLIVIOUS, "/features_info", json!({}), {
        (
            RefusalKind::ModelShape,
            "features_info",
            "at least 1 feature",
            "none",
        )
    });
}

#[test]
fn every_truncation_is_refused() {
    for text in [OBLIVIOUS, NONSYMMETRIC] {
        let text = text.trim_end();
        for end in 0..text.len() {
            let error = refused(&text.as_bytes()[..end]);
            let problems = [RefusalKind::ModelMalformed, RefusalKind::ModelFormat];
            assert!(
                problems.iter().any(|kind| error.is(*kind)),
                "{end}: {error}"
            );
        }
        let error = refused(&text.as_bytes()[..text.len() / 2]);
        assert!(error.at().starts_with("line "), "{error}");
        assert!(error.got().starts_with("the end of the file"), "{error}");
        let more = format!("{text} {{}}");
        assert_eq!(
            refused(more.as_bytes()).kind(),
            Some(RefusalKind::ModelMalformed)
        );
    }
}

/// Every value swapped for one of another type or a hostile number: refused with its place, or
/// without any effect on the ensemble, because the value is not read.
#[test]
fn every_swap_is_refused_or_changes_nothing() {
    let swaps = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(1e308),
        json!("text"),
        json!([]),
        json!([[]]),
        json!({}),
        json!({ "value": 0 }),
    ];
    for text in [OBLIVIOUS, NONSYMMETRIC] {
        let original = import(text.as_bytes()).expect("the fixture");
        let mut pointers = Vec::new();
        walk(&parsed(text), &mut String::new(), &mut pointers);
        assert!(pointers.len() > 100);
        let mut model = parsed(text);
        for pointer in pointers {
            let was = model.pointer(&pointer).expect("value").clone();
            for swap in &swaps {
                let same_type = |a: &Value, b: &Value| a.is_number() && b.is_number();
                *model.pointer_mut(&pointer).expect("value") = swap.clone();
                let swapped = model.to_string();
                *model.pointer_mut(&pointer).expect("value") = was.clone();
                match import(swapped.as_bytes()) {
                    Err(error) => assert!(!error.at().is_empty() && !error.got().is_empty()),
                    Ok(imported) if imported.ensemble == original.ensemble => {}
                    Ok(_) if pointer.ends_with("feature_id") && swap.is_string() => {}
                    // Weights may be missing, which `null` and an empty list say; all else stays.
                    Ok(imported)
                        if pointer.ends_with("/leaf_weights")
                            && without_weights(&imported.ensemble)
                                == without_weights(&original.ensemble) => {}
                    // A leaf or bias is any number, and `null` is an empty list of biases.
                    Ok(_) if same_type(&was, swap) => {}
                    Ok(_) if pointer.starts_with("/scale_and_bias/1") => {}
                    Ok(_) if pointer.ends_with("has_nans") && swap.is_boolean() => {}
                    // A subtree may be any leaf.
                    Ok(_) if pointer.starts_with("/trees/") && swap.is_object() => {}
                    Ok(_) => panic!("{pointer} = {swap} was taken"),
                }
            }
        }
    }
}

fn without_weights(ensemble: &Ensemble) -> Ensemble {
    let mut ensemble = ensemble.clone();
    for tree in &mut ensemble.trees {
        if let Tree::Oblivious { weights, .. } = tree {
            weights.clear();
        }
    }
    ensemble
}

#[test]
fn nesting_is_bounded() {
    for depth in [200, 100_000] {
        let features = parsed(OBLIVIOUS)["features_info"].to_string();
        let trees = format!(
            "{{\"features_info\":{features},\"trees\":[{}",
            "{\"left\":".repeat(depth)
        );
        let error = refused(format!("{trees}{{}}{}]}}", "}".repeat(depth)).as_bytes());
        assert_eq!(
            error.kind(),
            Some(RefusalKind::ModelOverCapacity),
            "{error}"
        );
        let open = "[".repeat(depth);
        refused(open.as_bytes());
        refused(format!("{{\"oblivious_trees\":{open}").as_bytes());
        let close = "]".repeat(depth);
        let error = refused(format!("{{\"features_info\":{open}{close},\"trees\":[]}}").as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelShape), "{error}");
        // Provenance is not walked, so its nesting does no harm.
        let model = changed(OBLIVIOUS, "/model_info", json!("HERE"));
        let model = model.replace("\"HERE\"", &format!("{open}{close}"));
        assert!(import(model.as_bytes()).is_ok());
    }
}

#[test]
fn what_older_versions_and_unused_columns_look_like() {
    let imported = |text: &str| -> Imported { import(text.as_bytes()).expect("a model") };
    let original = imported(OBLIVIOUS);
    assert_eq!(original.ensemble.bias, 0.125);
    let older = changed(OBLIVIOUS, "/scale_and_bias/1", json!(0.125));
    assert_eq!(imported(&older), original);

    // Features in another order, a gap, and a categorical feature that no split uses.
    let mut model = parsed(OBLIVIOUS);
    let info = model["features_info"].as_object_mut().expect("features");
    for feature in info["float_features"].as_array_mut().expect("list") {
        let flat = feature["flat_feature_index"].as_u64().expect("index");
        feature["flat_feature_index"] = json!(5 - flat);
    }
    let category = json!([{ "feature_index": 0, "flat_feature_index": 1, "feature_id": "asn" }]);
    info.insert("categorical_features".into(), category);
    let moved = imported(&model.to_string());
    let names: Vec<_> = moved
        .ensemble
        .features
        .iter()
        .map(|f| f.name.as_str())
        .collect();
    assert_eq!(names, ["f0", "asn", "f2", "f3", "f4", "f5"]);
    assert_eq!(moved.ensemble.features[1].kind, FeatureKind::Category);
    let row = [0.3, -1.0, 2.0, f32::NAN];
    let moved_row = [9.0, 9.0, row[3], row[2], row[1], row[0]];
    assert_eq!(
        hedgerow_import::reference::evaluate(&moved.ensemble, &moved_row),
        hedgerow_import::reference::evaluate(&original.ensemble, &row)
    );
}

#[test]
fn provenance_says_where_a_model_came_from() {
    let imported = import(NONSYMMETRIC.as_bytes()).expect("the fixture");
    let provenance = imported.provenance();
    assert_eq!(provenance["source"]["library"], "catboost");
    assert_eq!(provenance["source"]["version"], "1.2.10");
    let parameters = &provenance["source"]["parameters"];
    assert_eq!(parameters["given"]["grow_policy"], "Lossguide");
    assert_eq!(parameters["loss_function"]["type"], "Logloss");
    assert_eq!(provenance["features"], 4);
    assert_eq!(provenance["trees"], 4);
    let splits = provenance["splits"].as_u64().expect("a count");
    assert_eq!(provenance["leaves"], splits + 4);
    let long = json!({ "flat_params": { "ignored_features": vec!["name"; 10_000] } });
    let long = changed(NONSYMMETRIC, "/model_info/params", long);
    let provenance = import(long.as_bytes()).expect("a model").provenance();
    assert!(provenance.to_string().len() < 1_000);
    let none = changed(NONSYMMETRIC, "/model_info", json!(7));
    let source = import(none.as_bytes()).expect("a model").source;
    assert_eq!((source.version, source.parameters), (None, json!({})));
}

#[test]
fn weights_of_leaves_come_along_or_are_refused() {
    use RefusalKind::{ModelShape, ModelValue};
    let weights = |model: &str| -> Vec<Vec<f64>> {
        let Imported { ensemble, .. } = import(model.as_bytes()).expect("a model");
        let of = |tree: &Tree| match tree {
            Tree::Oblivious { weights, .. } => weights.clone(),
            Tree::Any { .. } => panic!("an oblivious tree"),
        };
        ensemble.trees.iter().map(of).collect()
    };
    let own = parsed(OBLIVIOUS);
    for (tree, got) in weights(OBLIVIOUS).iter().enumerate() {
        assert_eq!(
            json!(got),
            walk_numbers(&own["oblivious_trees"][tree]["leaf_weights"])
        );
    }
    let key = "/oblivious_trees/0/leaf_weights";
    for none in [json!([]), json!(null)] {
        let model = changed(OBLIVIOUS, key, none);
        assert!(weights(&model)[0].is_empty());
    }
    let at = "oblivious_trees[0].leaf_weights";
    let few = (ModelShape, at, "8, one a leaf", "3");
    check(OBLIVIOUS, key, json!([1, 2, 3]), few);
    let first = "oblivious_trees[0].leaf_weights[0]";
    let negative = (ModelValue, first, "at least 0", "-1");
    check(
        OBLIVIOUS,
        "/oblivious_trees/0/leaf_weights/0",
        json!(-1),
        negative,
    );
}

/// As many splits as a tree may have, each on the last of two million borders: all are looked up.
/// Of equal borders the first counts, and -0.0 is 0.0.
#[test]
fn borders_are_looked_up() {
    let borders = 2_000_000;
    let split = |border: &str, index: usize, left: &str, right: &str| {
        format!(
            r#"{{"split":{{"split_type":"FloatFeature","float_feature_index":0,"border":{border},
            "split_index":{index}}},"left":{left},"right":{right}}}"#
        )
    };
    let mut tree = r#"{"value":1}"#.to_owned();
    for _ in 0..13 {
        tree = split(&borders.to_string(), borders, &tree, &tree);
    }
    let tree = split("-0.0", 0, &tree, &tree);
    let list: Vec<String> = (0..=borders).map(|at| at.to_string()).collect();
    let text = format!(
        r#"{{"features_info":{{"float_features":[{{"feature_index":0,"flat_feature_index":0,
        "has_nans":false,"nan_value_treatment":"AsIs","borders":[{},-0.0]}}]}},"trees":[{tree}]}}"#,
        list.join(",")
    );
    let started = Instant::now();
    let model = import(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(model.ensemble.trees[0].splits().count(), (1 << 14) - 1);
}

/// A list of numbers, all as floats.
fn walk_numbers(list: &Value) -> Value {
    let numbers = list.as_array().expect("a list").iter();
    json!(
        numbers
            .map(|number| number.as_f64().expect("a number"))
            .collect::<Vec<f64>>()
    )
}

/// Versions before 0.14 name a border `border_id`, and write ten digits of it.
#[test]
fn old_files_are_taken() {
    const MODEL: &str = include_str!("data/catboost-oblivious.json");
    let now = import(MODEL.as_bytes()).expect("a model");
    let mut model: serde_json::Value = serde_json::from_str(MODEL).expect("JSON");
    let ten = |number: &mut serde_json::Value| {
        let border = number.as_f64().expect("a border");
        *number = format!("{border:.9e}")
            .parse::<f64>()
            .expect("a number")
            .into();
    };
    for feature in model["features_info"]["float_features"]
        .as_array_mut()
        .expect("features")
    {
        feature["borders"]
            .as_array_mut()
            .expect("borders")
            .iter_mut()
            .for_each(ten);
    }
    for tree in model["oblivious_trees"].as_array_mut().expect("trees") {
        for split in tree["splits"].as_array_mut().expect("splits") {
            let split = split.as_object_mut().expect("a split");
            let mut border = split.remove("border").expect("a border");
            ten(&mut border);
            split.insert("border_id".into(), border);
        }
    }
    let text = model.to_string();
    assert_ne!(text, MODEL);
    let then = import(text.as_bytes()).expect("a model");
    assert_eq!(then.ensemble, now.ensemble);
    // Both names in one split, and ten digits that name no f32.
    let both = text.replacen("\"border_id\":", "\"border\":0.5,\"border_id\":", 1);
    assert!(import(both.as_bytes()).is_err());
    let other = text.replacen("\"borders\":[", "\"borders\":[0.1,", 1);
    let refused = import(other.as_bytes()).expect_err("a refusal");
    assert_eq!(
        (refused.kind(), refused.got()),
        (Some(RefusalKind::ModelValue), "0.1")
    );
}
