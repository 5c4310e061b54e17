//! What is no LightGBM model, or one that is not carried over exactly, is refused by name.

use hedgerow_import::{ImportError, Problem, import};

const MODEL: &str = include_str!("data/lightgbm.txt");

fn refused(text: &str) -> ImportError {
    let error = import(text.as_bytes(), "model.txt").expect_err("a refusal");
    assert!(!error.at.is_empty() && !error.got.is_empty(), "{error:?}");
    error
}

/// The model with the first value of a key changed.
fn changed(key: &str, value: &str) -> String {
    let start = MODEL.find(&format!("\n{key}=")).expect(key) + key.len() + 2;
    let end = start + MODEL[start..].find(['\n', ' ']).expect("an end");
    format!("{}{value}{}", &MODEL[..start], &MODEL[end..])
}

#[test]
fn every_truncation_before_the_end_of_the_trees_is_refused() {
    let end = MODEL.find("end of trees").expect("the end") + "end of trees".len();
    for cut in 0..end {
        refused(&MODEL[..cut]);
    }
    assert!(import(&MODEL.as_bytes()[..end], "model.txt").is_ok());
}

#[test]
fn values_that_are_wrong() {
    use Problem::{Capacity, Shape, Unsupported, Value};
    for (key, value, problem) in [
        ("version", "v9", Unsupported),
        ("num_class", "3", Unsupported),
        ("num_tree_per_iteration", "3", Unsupported),
        ("is_linear", "1", Unsupported),
        ("decision_type", "1", Value),
        ("decision_type", "12", Value),
        ("decision_type", "-1", Value),
        ("max_feature_idx", "7", Shape),
        ("tree_sizes", "1 2", Shape),
        ("num_leaves", "0", Capacity),
        ("num_leaves", "18446744073709551616", Value),
        ("num_leaves", "1000000000", Capacity),
        ("num_leaves", "3", Shape),
        ("split_feature", "4", Value),
        ("split_feature", "-1", Value),
        ("threshold", "nan", Value),
        ("threshold", "-inf", Value),
        ("threshold", "-1e300", Value),
        ("threshold", "text", Value),
        ("left_child", "0", Shape),
        ("left_child", "99", Value),
        ("left_child", "-99", Value),
        ("left_child", "-9223372036854775808", Value),
        ("leaf_value", "nan", Value),
        ("leaf_value", "1e999", Value),
        ("leaf_value", "", Shape),
    ] {
        let error = refused(&changed(key, value));
        assert_eq!(error.problem, problem, "{key}={value}: {error}");
    }
    let twice = MODEL.replacen("feature_names=Column_0 Column_1", "feature_names=x x", 1);
    assert_eq!(refused(&twice).problem, Problem::Duplicate);
}
