//! XGBoost models in JSON that are damaged: cut off, with values of other types, nested deeply, or
//! with trees that are none.

#[path = "common/refusals.rs"]
mod refusals;

use hedgerow::RefusalKind;
use hedgerow_import::import;
use refusals::{imported, parsed, refused, walk};
use serde_json::{Value, json};

const DART: &str = include_str!("data/xgboost.json");
const NEW: &str = include_str!("data/xgboost-3.1.json");
const OLD: &str = include_str!("data/xgboost-1.0.json");

#[test]
fn every_truncation_is_refused() {
    for text in [DART, NEW, OLD] {
        let text = text.trim_end();
        for end in 0..text.len() {
            let error = refused(&text.as_bytes()[..end]);
            let problems = [RefusalKind::ModelMalformed, RefusalKind::ModelFormat];
            assert!(
                problems.iter().any(|kind| error.is(*kind)),
                "{end}: {error}"
            );
        }
        let more = format!("{text} {{}}");
        assert_eq!(
            refused(more.as_bytes()).kind(),
            Some(RefusalKind::ModelMalformed)
        );
    }
    for word in ["NaN", "Infinity", "-Infinity"] {
        let error = refused(NEW.replacen("1.5", word, 1).as_bytes());
        assert_eq!(error.kind(), Some(RefusalKind::ModelValue), "{error}");
        assert!(error.at().contains("split_conditions"), "{error}");
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
                let Ok(imported) = import(swapped.as_bytes()) else {
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

/// A tree of `count` nodes, of which the splits are the first.
fn tree(lefts: &[i32], rights: &[i32]) -> Value {
    let count = lefts.len();
    json!({
        "tree_param": { "num_nodes": count.to_string() },
        "left_children": lefts,
        "right_children": rights,
        "split_indices": vec![0; count],
        "split_conditions": vec![0.5; count],
        "default_left": vec![0; count],
    })
}

fn with_tree(tree: Value) -> String {
    let mut model = parsed(NEW);
    model["learner"]["gradient_booster"]["model"]["trees"][0] = tree;
    model.to_string()
}

#[test]
fn trees_that_are_none() {
    use RefusalKind::{ModelOverCapacity, ModelShape};
    for (lefts, rights) in [
        // The root below itself, a child twice, and a cycle further down.
        (vec![0, -1, -1], vec![1, -1, -1]),
        (vec![1, 1, -1], vec![2, 2, -1]),
        (vec![1, 2, 0, -1], vec![2, 3, 1, -1]),
    ] {
        let error = refused(with_tree(tree(&lefts, &rights)).as_bytes());
        assert_eq!(error.kind(), Some(ModelShape), "{error}");
        assert!(error.got().ends_with("twice"), "{error}");
    }
    // A chain to the right of as many splits as there may be levels, and of one more.
    let chain = |splits: i32| {
        let child = |node: i32, side: i32| match node % 2 == 0 && node < 2 * splits {
            true => node + 1 + side,
            false => -1,
        };
        let nodes = || 0..=2 * splits;
        let lefts: Vec<i32> = nodes().map(|node| child(node, 0)).collect();
        let rights: Vec<i32> = nodes().map(|node| child(node, 1)).collect();
        with_tree(tree(&lefts, &rights))
    };
    let deep = imported(&chain(255));
    assert_eq!(deep.ensemble.trees[0].depth(), 255);
    assert_eq!(deep.ensemble.trees[0].check(), Ok(()));
    assert_eq!(
        refused(chain(256).as_bytes()).kind(),
        Some(ModelOverCapacity)
    );
    // A full tree of 65,535 nodes, as many as there may be, and one split more.
    let full = |splits: i32| {
        let child = |node: i32, side: i32| match node < splits {
            true => 2 * node + 1 + side,
            false => -1,
        };
        let nodes = || 0..=2 * splits;
        let lefts: Vec<i32> = nodes().map(|node| child(node, 0)).collect();
        let rights: Vec<i32> = nodes().map(|node| child(node, 1)).collect();
        with_tree(tree(&lefts, &rights))
    };
    let large = imported(&full(32_767));
    assert_eq!(large.ensemble.trees[0].check(), Ok(()));
    let error = refused(full(32_768).as_bytes());
    assert_eq!(error.kind(), Some(ModelOverCapacity));
    assert_eq!(error.expected(), "at most 65535 nodes in a tree (capacity)");
    // Any number of pruned nodes may stand beside them.
    let pruned = imported(&with_tree(tree(&vec![-1; 100_000], &vec![-1; 100_000])));
    assert_eq!(pruned.leaf_order[0], [0]);
}
