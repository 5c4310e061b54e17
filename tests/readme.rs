//! README and the manual show what works: the example as it stands, two commands on the first
//! screen, and the benches that there are.

use std::collections::BTreeSet;

const README: &str = include_str!("../README.md");

#[test]
fn the_embedding_example_is_the_one_that_compiles() {
    let example = include_str!("../examples/embed.rs");
    let code = &example[example.find("use hedgerow").expect("imports")..];
    assert!(
        README.contains(code.trim_end()),
        "README shows another example"
    );
}

#[test]
fn the_first_screen_has_exactly_two_commands() {
    let screen = README.split("\n## ").next().expect("a first screen");
    let commands: Vec<&str> = screen
        .lines()
        .filter(|line| line.starts_with("$ "))
        .collect();
    assert_eq!(
        commands,
        ["$ cargo run --release -- replay", "$ cargo test --release"]
    );
}

#[test]
fn every_built_in_feature_is_counted() {
    let count = format!(
        "the {} features of the built-in schema",
        hedgerow::http::FEATURES.len()
    );
    let readme = README.replace('\n', " ");
    assert!(readme.contains(&count), "README counts other features");
}

#[test]
fn the_manual_tells_what_to_do_about_every_refusal() {
    let manual = include_str!("../src/manual/operations.md");
    let cells = manual
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| ")?.split_once(" | ")?.0));
    let listed = cells.flat_map(|cell| cell.split(", ").map(str::to_string).collect::<Vec<_>>());
    let ranges: Vec<_> = listed
        .filter_map(|range| {
            let (first, last) = range.split_once(" to ").unwrap_or((&range, &range));
            Some(first.parse().ok()?..=last.parse::<u16>().ok()?)
        })
        .collect();
    let missing: Vec<u16> = hedgerow::RefusalKind::ALL
        .iter()
        .map(|kind| kind.code())
        .filter(|code| !ranges.iter().any(|range| range.contains(code)))
        .collect();
    assert!(missing.is_empty(), "not in the table of codes: {missing:?}");
}

#[test]
fn the_manual_lists_every_bench_and_no_other() {
    let manifest = include_str!("../Cargo.toml");
    let benches: BTreeSet<&str> = manifest
        .split("[[bench]]")
        .skip(1)
        .filter_map(|bench| bench.split('"').nth(1))
        .collect();
    assert!(benches.len() > 5, "read from the manifest: {benches:?}");
    let manual = include_str!("../src/manual/profiling.md");
    let listed: BTreeSet<&str> = manual
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .filter(|(_, rest)| rest.starts_with(" | bench |"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(listed, benches, "listed in the manual, and in Cargo.toml");
}
