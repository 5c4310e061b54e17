//! What is no LightGBM model, or one that is not carried over exactly, is refused by name.

use hedgerow::{Refusal, RefusalKind};
use hedgerow_import::import;

const MODEL: &str = include_str!("data/lightgbm.txt");

fn refused(text: &str) -> Refusal {
    let error = import(text.as_bytes()).expect_err("a refusal");
    assert!(
        !error.at().is_empty() && !error.got().is_empty(),
        "{error:?}"
    );
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
    assert!(import(&MODEL.as_bytes()[..end]).is_ok());
}

#[test]
fn values_that_are_wrong() {
    use RefusalKind::{ModelOverCapacity, ModelShape, ModelUnsupported, ModelValue};
    for (key, value, problem) in [
        ("version", "v9", ModelUnsupported),
        ("num_class", "3", ModelUnsupported),
        ("num_tree_per_iteration", "3", ModelUnsupported),
        ("is_linear", "1", ModelUnsupported),
        ("decision_type", "1", ModelValue),
        ("decision_type", "12", ModelValue),
        ("decision_type", "-1", ModelValue),
        ("max_feature_idx", "7", ModelShape),
        ("tree_sizes", "1 2", ModelShape),
        ("num_leaves", "0", ModelOverCapacity),
        ("num_leaves", "18446744073709551616", ModelValue),
        ("num_leaves", "1000000000", ModelOverCapacity),
        ("num_leaves", "3", ModelShape),
        ("split_feature", "4", ModelValue),
        ("split_feature", "-1", ModelValue),
        ("threshold", "nan", ModelValue),
        ("threshold", "-inf", ModelValue),
        ("threshold", "-1e300", ModelValue),
        ("threshold", "text", ModelValue),
        ("left_child", "0", ModelShape),
        ("left_child", "99", ModelValue),
        ("left_child", "-99", ModelValue),
        ("left_child", "-9223372036854775808", ModelValue),
        ("leaf_value", "nan", ModelValue),
        ("leaf_value", "1e999", ModelValue),
        ("leaf_value", "", ModelShape),
    ] {
        let error = refused(&changed(key, value));
        assert_eq!(error.kind(), Some(problem), "{key}={value}: {error}");
    }
    let twice = MODEL.replacen("feature_names=Column_0 Column_1", "feature_names=x x", 1);
    assert_eq!(refused(&twice).kind(), Some(RefusalKind::ModelDuplicate));
}

/// The model with the categories of a data frame's columns, as the Python package writes them.
fn framed(list: &str) -> String {
    assert!(MODEL.contains("\npandas_categorical:null\n"));
    MODEL.replace("_categorical:null", &format!("_categorical:{list}"))
}

#[test]
fn categories_of_data_frames_are_their_own_codes() {
    use RefusalKind::{ModelMalformed, ModelOverCapacity, ModelShape, ModelUnsupported};
    let model = import(MODEL.as_bytes()).expect("a model");
    for kept in [
        "null",
        "[[]]",
        "[[0, 1, 2, 3]]",
        "[[0], [0.0, 1.0], []]",
        "[[0, 1]]\r",
    ] {
        let imported = import(framed(kept).as_bytes());
        assert_eq!(imported.as_ref(), Ok(&model), "{kept}");
    }
    let many = format!("[[0]{}]", ", [0]".repeat(256));
    for (list, problem, at, got) in [
        ("[[3, 5, 9]]", ModelUnsupported, "[0]", "3 at position 0"),
        ("[[0, 1, 3]]", ModelUnsupported, "[0]", "3 at position 2"),
        ("[[0, 1], [1]]", ModelUnsupported, "[1]", "1 at position 0"),
        ("[[0, 1.5]]", ModelUnsupported, "[0]", "1.5 at position 1"),
        ("[[-1, 0]]", ModelUnsupported, "[0]", "-1 at position 0"),
        (
            "[[], [\"a\", \"b\"]]",
            ModelUnsupported,
            "[1]",
            "\"a\" at position 0",
        ),
        ("[[\"0\"]]", ModelUnsupported, "[0]", "\"0\" at position 0"),
        (
            "[[false, true]]",
            ModelUnsupported,
            "[0]",
            "false at position 0",
        ),
        ("[[0, null]]", ModelUnsupported, "[0]", "null at position 1"),
        ("[0, 1]", ModelShape, "", "integer"),
        ("{}", ModelShape, "", "map"),
        ("", ModelMalformed, "", "end of the file"),
        ("[[0, 1", ModelMalformed, "", "end of the file"),
        ("[[NaN]]", ModelMalformed, "", "expected value"),
        (&many, ModelOverCapacity, "", "257"),
    ] {
        let text = framed(list);
        let error = refused(&text);
        assert_eq!(error.kind(), Some(problem), "{list}: {error}");
        let line = text.trim_end().lines().count();
        let place = format!("line {line}, pandas_categorical{at}");
        assert_eq!(error.at(), place, "{list}: {error}");
        assert!(error.got().contains(got), "{list}: {error}");
        assert_eq!(
            error.hint().is_some_and(|hint| hint.contains("codes")),
            problem == ModelUnsupported
        );
    }
}

#[test]
fn blocks_of_too_many_lines() {
    let lines = |count: usize| {
        (0..count)
            .map(|at| format!("key{at}=\n"))
            .collect::<String>()
    };
    let at = MODEL.find("Tree=1").expect("a tree");
    let with = |count| format!("{}{}{}", &MODEL[..at], lines(count), &MODEL[at..]);
    let imported = import(with(30).as_bytes()).expect("a model");
    assert_eq!(Ok(imported), import(MODEL.as_bytes()));
    let error = refused(&with(100_000));
    assert_eq!(
        error.kind(),
        Some(RefusalKind::ModelOverCapacity),
        "{error}"
    );
    assert!(error.at().ends_with(", Tree=0"), "{error}");
    assert_eq!(error.expected(), "at most 64 lines (capacity)");
}

/// The same model as versions before 2.3 write it, and those before 2.1, whose files have neither
/// sizes nor an end of their trees.
#[test]
fn old_files_are_taken() {
    let now = import(MODEL.as_bytes()).expect("a model");
    let old = changed("version", "v2");
    let line = old.find("\ntree_sizes=").expect("sizes");
    let end = line + 1 + old[line + 1..].find('\n').expect("an end");
    let older = format!("{}{}", &old[..line], &old[end..]);
    let (trees, rest) = older.split_once("end of trees").expect("an end");
    for text in [
        old.clone(),
        format!("{trees}\nfeature importances:\nf0=1\n{rest}"),
        format!("{trees}\nparameters:\n"),
    ] {
        let then = import(text.as_bytes()).expect("a model");
        assert_eq!(then.ensemble, now.ensemble);
    }
    // Without either, a copy that was cut off looks the same.
    for cut in [trees, &trees[..trees.len() / 2]] {
        assert_eq!(refused(cut).kind(), Some(RefusalKind::ModelMalformed));
    }
    // Later versions have both.
    let text = MODEL.replace("end of trees", "feature importances:");
    refused(&text);
}

/// Seconds since 1970, and other large numbers: `f32` does not tell apart what the model does.
#[test]
fn thresholds_that_single_precision_does_not_tell_apart() {
    let header = |range: &str| {
        format!(
            "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
             max_feature_idx=0\nobjective=regression\nfeature_names=at\nfeature_infos={range}\n\
             tree_sizes=300\n\nTree=0\n"
        )
    };
    let two = |range: &str, first: &str, second: &str| {
        let tree = format!(
            "num_leaves=3\nnum_cat=0\nsplit_feature=0 0\nsplit_gain=1 1\n\
             threshold={first} {second}\ndecision_type=2 2\nleft_child=-1 -2\nright_child=1 -3\n\
             leaf_value=1 2 3\nleaf_weight=1 1 1\nleaf_count=1 1 1\ninternal_value=0 0\n\
             internal_weight=1 1\ninternal_count=3 2\nis_linear=0\nshrinkage=1\n\n\nend of trees\n"
        );
        import((header(range) + &tree).as_bytes())
    };
    for (range, first, second) in [
        // One step of f32 for both.
        ("[1700000000:1700000399]", "1700000006.5", "1700000013.5"),
        ("[0:1e12]", "1700000006.5", "1700000013.5"),
        ("[0:1]", "0.5", "0.50000000001"),
        (
            "[-1700000399:-1700000000]",
            "-1700000013.5",
            "-1700000006.5",
        ),
        // Few steps in the range.
        ("[1700000000:1701000000]", "1700300000.5", "1700600000.5"),
        (
            "[1700000000000:1731000000000]",
            "1710000000000.5",
            "1720000000000.5",
        ),
    ] {
        let refused = two(range, first, second).expect_err(range);
        assert_eq!(refused.kind(), Some(RefusalKind::ModelValue), "{refused}");
        assert!(refused.at().contains("threshold["), "{refused}");
        assert!(refused.to_string().contains("subtract"), "{refused}");
    }
    for (range, first, second) in [
        // The remedy, followed.
        ("[0:399]", "6.5", "13.5"),
        ("[0:1000000]", "300000.5", "600000.5"),
        // Whole numbers that f32 holds, addresses and numbers of networks, coordinates.
        ("[0:16777216]", "16777214.5", "16777215.5"),
        ("[0:4294967295]", "2130706432.5", "3232235776.5"),
        ("[1990:2025]", "2001.5", "2002.5"),
        ("[52.1:52.9]", "52.4000001", "52.5000001"),
        ("none", "6.5", "13.5"),
    ] {
        two(range, first, second).unwrap_or_else(|refused| panic!("{range}: {refused}"));
    }
}
