//! The manual's list of features is the code's, and a host can add its own.

#[path = "../examples/own_features.rs"]
mod own_features;

use hedgerow::http::FEATURES;
use hedgerow::{DEFAULT_TABLE, Engine, Feature, FeatureKind, PublishError, Refusal, Schema, Table};
use std::fmt::Write;

const MANUAL: &str = include_str!("../src/manual/features.md");
const BEGIN: &str =
    "<!-- The table is made by the code: RENEW_FEATURES=1 cargo test --test features -->\n";
const END: &str = "<!-- The end of the table -->\n";

fn table() -> String {
    let mut text = String::from("| feature | kind | range | missing | why it tells |\n");
    text.push_str("|---|---|---|---|---|\n");
    for doc in FEATURES {
        let (name, kind) = (doc.name, doc.kind.name());
        let (min, max, missing, why) = (doc.min, doc.max, doc.missing, doc.why);
        let _ = writeln!(
            text,
            "| `{name}` | {kind} | {min} to {max} | {missing} | {why} |"
        );
    }
    text
}

#[test]
fn the_manual_lists_every_feature() {
    let (before, rest) = MANUAL.split_once(BEGIN).expect("the table's beginning");
    let (listed, after) = rest.split_once(END).expect("the table's end");
    let table = table();
    if std::env::var_os("RENEW_FEATURES").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/features.md");
        std::fs::write(path, format!("{before}{BEGIN}{table}{END}{after}")).expect("a manual");
        return;
    }
    assert!(
        listed == table,
        "src/manual/features.md is not the code's: RENEW_FEATURES=1 cargo test --test features"
    );
    let count = format!("{} features", FEATURES.len());
    assert!(
        MANUAL.contains(&count),
        "the manual counts other than {count}"
    );
}

#[test]
fn no_text_breaks_the_table() {
    for doc in FEATURES {
        for text in [doc.name, doc.missing, doc.why] {
            assert!(!text.contains(['|', '\n']), "{}", doc.name);
        }
    }
}

#[test]
fn the_example_of_own_features_runs() {
    own_features::main().expect("a run");
    let [hasty, patient] = own_features::scores().expect("scores");
    assert!(hasty < 20 && patient > 90, "{hasty} {patient}");
}

#[test]
fn own_features_leave_the_others_where_they_are() {
    let schema = Schema::http()
        .with("own", FeatureKind::Category)
        .expect("room");
    assert_eq!(schema.index_of("own"), Some(FEATURES.len() as u8));
    for (at, doc) in FEATURES.iter().enumerate() {
        assert_eq!(schema.index_of(doc.name), Some(at as u8));
    }
    for (name, says) in [
        ("own", "unique feature names"),
        ("ua_missing", "unique feature names"),
        ("", "is empty"),
        ("a,b", "comma"),
    ] {
        let error = schema.clone().with(name, FeatureKind::Flag);
        let error = error.expect_err("a refusal").to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut full = Schema::http();
    for at in FEATURES.len()..256 {
        full = full
            .with(&format!("own_{at}"), FeatureKind::Number)
            .expect("room");
    }
    let error = full
        .with("one more", FeatureKind::Number)
        .expect_err("a refusal");
    assert!(error.to_string().contains("at most 256"), "{error}");
}

/// What a refusal for a schema says.
fn refusal(schema: Schema) -> Refusal {
    let table = Table::from_bytes(DEFAULT_TABLE).expect("the default table");
    match Engine::new(schema).publish(table) {
        Err(PublishError::Refused(error)) => error,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_refusal_names_the_features_on_either_side() {
    let renamed = |from: &str, to: &str| {
        let http = Schema::http();
        let features = http.features().iter().map(|feature| Feature {
            name: feature.name.replace(from, to),
            kind: feature.kind,
        });
        Schema::new(features.collect()).expect("a schema")
    };
    let error = refusal(renamed("accept_any", "accepts_any"));
    assert_eq!(error.name(), "feature-unknown");
    let known = FEATURES.len();
    let expected = format!("one of the host's {known} features");
    assert_eq!(
        (error.expected(), error.got()),
        (expected.as_str(), "\"accept_any\"")
    );

    let error = refusal(renamed("_", "__"));
    assert!(
        error.got().contains("\"ua_missing\", ") && error.got().contains(" and "),
        "{error:?}"
    );
}
