//! README shows what works: the example as it stands, and two commands on the first screen.

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
