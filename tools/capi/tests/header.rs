//! The header that hosts compile against is the one that the code makes.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The header as cbindgen makes it, without the sentences that are for readers of the Rust code.
fn made() -> String {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("cbindgen.toml");
    let config = cbindgen::Config::from_file(config).expect("a configuration");
    // The other files are found as modules of it.
    let builder = cbindgen::Builder::new().with_config(config);
    let builder = builder.with_src(root().join("src/ffi/mod.rs"));
    let mut text = Vec::new();
    builder.generate().expect("bindings").write(&mut text);
    let text = String::from_utf8(text).expect("UTF-8");
    let safety = "//\n// # Safety\n// A1 (the host's pointers).\n";
    text.replace(safety, "")
}

#[test]
fn the_header_is_the_one_that_the_code_makes() {
    let path = root().join("include/hedgerow.h");
    let made = made();
    if std::env::var_os("RENEW_HEADER").is_some() {
        std::fs::write(&path, &made).expect("the header");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let pairs = there.lines().zip(made.lines());
    let differs = pairs.clone().position(|(there, made)| there != made);
    let at = differs.unwrap_or(pairs.count());
    assert!(
        there == made,
        "line {}: expected {:?}, got {:?}; RENEW_HEADER=1 writes it anew",
        at + 1,
        made.lines().nth(at),
        there.lines().nth(at)
    );
}

#[test]
fn every_function_of_the_code_is_in_the_header() {
    let exported = |file: &str| {
        let code = std::fs::read_to_string(root().join("src/ffi").join(file)).expect("the code");
        code.matches("#[unsafe(no_mangle)]").count()
    };
    let exported: usize = ["mod.rs", "engines.rs", "scoring.rs"]
        .map(exported)
        .iter()
        .sum();
    let header = made();
    let declared = header.lines().filter(|line| {
        let name = line
            .split('(')
            .next()
            .and_then(|head| head.split([' ', '*']).next_back());
        let function = line.contains('(') && name.is_some_and(|name| name.starts_with("hedgerow_"));
        function && !line.trim_start().starts_with("//")
    });
    assert_eq!(declared.count(), exported, "{header}");
    assert!(exported > 15, "{exported}");
    assert!(!header.contains("# Safety"), "{header}");
}
