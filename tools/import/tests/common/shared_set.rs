//! A small file that means much: a LightGBM model whose splits all share one large set.

/// The first tree of `model` replaced, and all others taken out: a balanced tree of `splits`, each
/// of which tests feature 0 for every second category of so many words of 32.
pub fn shared_set(model: &str, splits: usize, words: usize) -> String {
    let list = |value: &dyn Fn(usize) -> String, count: usize| -> String {
        (0..count).map(value).collect::<Vec<_>>().join(" ")
    };
    // A balanced tree, so that it stays within the levels.
    let child = |split: usize, side: usize| match 2 * split + 1 + side {
        child if child < splits => child.to_string(),
        leaf => format!("-{}", leaf - splits + 1),
    };
    let tree = [
        "Tree=0".to_owned(),
        format!("num_leaves={}", splits + 1),
        "num_cat=1".to_owned(),
        format!("split_feature={}", list(&|_| "0".into(), splits)),
        format!("threshold={}", list(&|_| "0".into(), splits)),
        format!("decision_type={}", list(&|_| "1".into(), splits)),
        format!("left_child={}", list(&|at| child(at, 0), splits)),
        format!("right_child={}", list(&|at| child(at, 1), splits)),
        format!("leaf_value={}", list(&|at| at.to_string(), splits + 1)),
        format!("cat_boundaries=0 {words}"),
        format!("cat_threshold={}", list(&|_| "1431655765".into(), words)),
    ];
    let head = &model[..model.find("tree_sizes=").expect("sizes")];
    format!(
        "{head}tree_sizes=1\n\n{}\n\nend of trees\n",
        tree.join("\n")
    )
}
