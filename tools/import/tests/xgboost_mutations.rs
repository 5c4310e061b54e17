//! XGBoost models in JSON that are damaged: cut off, with values of other types, or nested deeply.

use hedgerow_import::{ImportError, Imported, Problem, import};
use serde_json::{Value, json};

const DART: &str = include_str!("data/xgboost.json");
const NEW: &str = include_str!("data/xgboost-3.1.json");
const OLD: &str = include_str!("data/xgboost-1.0.json");

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("the fixture is JSON")
}

fn imported(text: &str) -> Imported {
    import(text.as_bytes(), "model.json").unwrap_or_else(|error| panic!("{error}"))
}

fn refused(bytes: &[u8]) -> ImportError {
    let error = import(bytes, "model.json").expect_err("a refusal");
    for part in [&error.at, &error.expected, &error.got] {
        assert!(!part.is_empty(), "{error:?}");
        assert!(part.len() < 500, "{error}");
    }
    error
}

#[test]
fn every_truncation_is_refused() {
    for text in [DART, NEW, OLD] {
        let text = text.trim_end();
        for end in 0..text.len() {
            let error = refused(&text.as_bytes()[..end]);
            let problems = [Problem::Malformed, Problem::Format];
            assert!(problems.contains(&error.problem), "{end}: {error}");
        }
        let more = format!("{text} {{}}");
        assert_eq!(refused(more.as_bytes()).problem, Problem::Malformed);
    }
    for word in ["NaN", "Infinity", "-Infinity"] {
        let error = refused(NEW.replacen("1.5", word, 1).as_bytes());
        assert_eq!(error.problem, Problem::Malformed, "{error}");
    }
}

/// Every value swapped for one of another type or a hostile number: refused with its place, or of
/// an effect that a value of that key may have.
#[test]
fn every_swap_is_refused_or_harmless() {
    let swaps = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1),
        json!(1.5),
        json!(u64::MAX),
        json!(1e308),
        json!("text"),
        json!("2"),
        json!([]),
        json!([[]]),
        json!({}),
    ];
    for text in [DART, NEW, OLD] {
        let original = imported(text);
        let mut pointers = Vec::new();
        walk(&parsed(text), &mut String::new(), &mut pointers);
        assert!(pointers.len() > 100);
        let mut model = parsed(text);
        for pointer in pointers {
            let was = model.pointer(&pointer).expect("value").clone();
            for swap in &swaps {
                *model.pointer_mut(&pointer).expect("value") = swap.clone();
                let swapped = model.to_string();
                *model.pointer_mut(&pointer).expect("value") = was.clone();
                let Ok(imported) = import(swapped.as_bytes(), "model.json") else {
                    continue;
                };
                if imported.ensemble == original.ensemble {
                    continue;
                }
                let free = |key: &str| pointer.contains(key);
                let names = free("feature_names") && (swap.is_string() || swap.is_null());
                // No names and no types are what a model without them has.
                let listed = free("feature_names") && *swap == json!([]);
                let numbers = ["split_conditions/", "split_indices/", "weight_drop/"];
                let number = numbers.iter().any(|key| free(key)) && swap.is_number();
                let flag = free("default_left/") && (swap.is_boolean() || *swap == json!(1));
                // A split may be a leaf.
                let pruned = free("left_children/") && *swap == json!(-1);
                assert!(
                    names || listed || number || flag || pruned,
                    "{pointer} = {swap} was taken"
                );
                for tree in &imported.ensemble.trees {
                    assert_eq!(tree.check(), Ok(()), "{pointer} = {swap}");
                }
            }
        }
    }
}

/// JSON pointers of all values below this one.
fn walk(value: &Value, at: &mut String, pointers: &mut Vec<String>) {
    pointers.push(at.clone());
    let length = at.len();
    let children: Vec<(String, &Value)> = match value {
        Value::Array(list) => (0..).map(|i: usize| i.to_string()).zip(list).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        _ => return,
    };
    for (key, child) in children {
        at.push('/');
        at.push_str(&key);
        walk(child, at, pointers);
        at.truncate(length);
    }
}

#[test]
fn nesting_is_bounded() {
    for depth in [200, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        for key in ["trees", "unheard"] {
            let bomb = format!(
                "{{\"learner\":{{\"gradient_booster\":{{\"model\":{{\"{key}\":{open}{close}}}}}}}}}"
            );
            refused(bomb.as_bytes());
            refused(bomb.replace("]", "").as_bytes());
        }
    }
}
