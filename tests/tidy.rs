//! The house's own linter: reads the source tree and checks the rules that no compiler knows.
//!
//! Each rule is a function from a file's text to complaints; each has a test that a planted
//! violation is caught.

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;

use rules::*;
use source::{File, tree};

/// Holds files against a rule.
fn hold(files: &[File], rule: impl Fn(&File) -> Vec<String>) {
    assert!(!files.is_empty(), "nothing was read");
    let complaints: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn library() -> Vec<File> {
    let in_src = |file: &File| file.path.starts_with("src/");
    tree().into_iter().filter(in_src).collect()
}

fn planted(path: &str, text: &str) -> File {
    File::new(path, text)
}

#[test]
fn lines_are_at_most_100_wide() {
    hold(&tree(), line_width);
    let long = format!("// {}\n", "é".repeat(98));
    assert_eq!(line_width(&planted("src/x.rs", &long)).len(), 1);
    let fits = format!("// {}\n", "é".repeat(97));
    assert!(line_width(&planted("src/x.rs", &fits)).is_empty());
}

#[test]
fn files_are_at_most_700_lines() {
    hold(&tree(), file_length);
    assert_eq!(
        file_length(&planted("src/x.rs", &"//\n".repeat(701))).len(),
        1
    );
    assert!(file_length(&planted("src/x.rs", &"//\n".repeat(700))).is_empty());
}

#[test]
fn imports_point_down() {
    hold(&library(), layer_direction);
    for (path, import) in [
        ("src/limits.rs", "use crate::refusal::Refusal;"),
        ("src/epoch/swap.rs", "use crate::table::Table;"),
        (
            "src/table/view.rs",
            "    let x = crate::score::PreparedTable::new();",
        ),
        ("src/score/prepared.rs", "use crate::engine::Engine;"),
        ("src/row.rs", "use crate::schema::Schema;"),
        ("src/row.rs", "use crate::{limits::ROWS, schema::Schema};"),
        ("src/http/mod.rs", "use crate::score::Score;"),
        ("src/unheard.rs", "use crate::limits::ROWS;"),
    ] {
        let caught = layer_direction(&planted(path, &format!("//! X.\n{import}\n")));
        assert_eq!(caught.len(), 1, "{path}: {import}: {caught:?}");
    }
    for (path, import) in [
        ("src/table/view.rs", "use crate::table::format::*;"),
        (
            "src/score/prepared.rs",
            "use crate::{refusal::Refusal, limits, row::Row, table::Table};",
        ),
        ("src/lib.rs", "pub use crate::engine::Engine;"),
    ] {
        let caught = layer_direction(&planted(path, &format!("//! X.\n{import}\n")));
        assert!(caught.is_empty(), "{caught:?}");
    }
}

#[test]
fn unsafe_stays_where_it_may_be() {
    hold(&library(), unsafe_files);
    let bad = "//! X.\nfn f() { unsafe { g() } }\n";
    assert_eq!(unsafe_files(&planted("src/model/build.rs", bad)).len(), 1);
    let word =
        "//! No unsafe here.\nconst S: &str = \"unsafe\"; // unsafe\n#![forbid(unsafe_code)]\n";
    assert!(unsafe_files(&planted("src/model/build.rs", word)).is_empty());
    let all = library();
    for listed in UNSAFE_FILES {
        let file = all.iter().find(|file| file.path == *listed);
        let needed = file.is_some_and(|file| file.code.iter().any(|line| is_unsafe(line)));
        assert!(
            needed,
            "{listed} needs no unsafe any more: take it off the list"
        );
    }
}

#[test]
fn unsafe_cites_an_invariant() {
    hold(&library(), safety_comments);
    for (text, count) in [
        ("fn f() {\n    unsafe { g() }\n}\n", 1),
        ("// SAFETY: it is fine.\nunsafe { g() }\n", 1),
        ("// SAFETY: T1 (sealed).\nlet x = 1;\nunsafe { g() }\n", 1),
        (
            "// SAFETY: T1 (sealed).\nunsafe impl Send for X {}\nunsafe impl Sync for X {}\n",
            1,
        ),
        (
            "// SAFETY: T1 (sealed).\n// And more.\nlet x = f(unsafe { g() });\n",
            0,
        ),
        (
            "// SAFETY: E1. As above.\n#[inline]\nunsafe impl Send for X {}\n",
            0,
        ),
        (
            "// SAFETY: H12.\nreturn Some(\n    unsafe { g() },\n);\n",
            0,
        ),
        ("/// # Safety\n/// T3.\npub unsafe fn f() {}\n", 0),
    ] {
        let caught = safety_comments(&planted("src/table/view.rs", text));
        assert_eq!(caught.len(), count, "{text}: {caught:?}");
    }
}

#[test]
fn data_plane_neither_allocates_nor_locks_nor_reads_files() {
    hold(&library(), data_plane);
    let all = library();
    for listed in DATA_PLANE {
        let there = all.iter().any(|file| file.path.starts_with(listed));
        assert!(there, "{listed} is not there any more");
    }
    for word in HEAP_WORDS {
        let text = format!("//! X.\nfn f() {{ let _ = {word}; }}\n");
        assert_eq!(data_plane(&planted("src/row.rs", &text)).len(), 1, "{word}");
        assert_eq!(
            data_plane(&planted("src/http/agent.rs", &text)).len(),
            1,
            "{word}"
        );
        assert!(data_plane(&planted("src/model/build.rs", &text)).is_empty());
        let test = format!("//! X.\n#[cfg(test)]\nmod tests {{\n    fn f() {{ {word} }}\n}}\n");
        assert!(
            data_plane(&planted("src/row.rs", &test)).is_empty(),
            "{word}"
        );
    }
}

#[test]
fn files_start_with_their_purpose() {
    hold(&tree(), purpose);
    assert_eq!(purpose(&planted("src/x.rs", "use std::fmt;\n")).len(), 1);
    assert_eq!(purpose(&planted("src/x.rs", "\n//! X.\n")).len(), 1);
    assert!(purpose(&planted("src/x.rs", "//! X.\n")).is_empty());
}

#[test]
fn every_file_is_part_of_the_library() {
    let dead = dead_files(&library());
    assert!(dead.is_empty(), "no `mod` leads to {dead:?}");
    let files = [
        planted(
            "src/lib.rs",
            "//! X.\npub mod a;\nmod b {\n}\n#[cfg(test)]\nmod t;\n",
        ),
        planted(
            "src/a/mod.rs",
            "//! X.\npub(crate) mod c;\n#[path = \"other.rs\"]\nmod d;\n",
        ),
        planted("src/a/c.rs", "//! X.\n"),
        planted("src/a/other.rs", "//! X.\n"),
        planted("src/t.rs", "//! X.\n"),
        planted("src/a/dead.rs", "//! X.\n"),
        planted("src/b.rs", "//! X.\n// mod b;\n"),
    ];
    assert_eq!(dead_files(&files), ["src/a/dead.rs", "src/b.rs"]);
}

#[test]
fn no_files_import_each_other() {
    let found: Vec<String> = imports::cycles_of_the_tree()
        .into_iter()
        .map(|(cycle, imports)| format!("{cycle}\n  {}", imports.join("\n  ")))
        .collect();
    assert!(found.is_empty(), "cycles of imports:\n{}", found.join("\n"));
}

#[test]
fn a_planted_cycle_is_found() {
    let cycles = |files: &[(&str, &str)]| -> Vec<String> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, text)| planted(path, &format!("//! X.\n{text}\n")))
            .collect();
        let all = imports::crates(&files);
        assert_eq!(all.len(), 1);
        all[0].cycles().into_keys().collect()
    };
    let root = (
        "a/src/main.rs",
        "mod one;\nmod two;\nmod three;\npub use two::Two;",
    );
    let two = (
        "a/src/two.rs",
        "use crate::one;\npub struct Two;\nfn f() { one::f() }",
    );
    for one in [
        "use crate::two::Two;\npub fn f() {}",
        "use crate::{three, two::{self, Two as Other}};\npub fn f() {}",
        // By a re-export, and without a `use`.
        "use super::Two;\npub fn f() {}",
        "pub fn f() { super::two::g(); }",
        "pub fn f() -> crate::Two { crate::Two }",
        // By way of another.
        "use super::three::*;\npub fn f() {}",
    ] {
        let three = ("a/src/three.rs", "use crate::two::Two;\npub struct Three;");
        let found = cycles(&[root, ("a/src/one.rs", one), two, three]);
        assert!(
            found == ["a/src: one, two"] || found == ["a/src: one, three, two"],
            "{one}: {found:?}"
        );
    }
    let three = ("a/src/three.rs", "pub struct Three;");
    for one in [
        "pub fn f() {}",
        "use crate::three::Three;\npub fn f() {}",
        "#[cfg(test)]\nmod tests {\n    use crate::two::Two;\n}\npub fn f() {}",
        "// use crate::two::Two;\npub fn f() {}",
        "use std::two::Two;\npub fn f() {}",
    ] {
        let found = cycles(&[root, ("a/src/one.rs", one), two, three]);
        assert!(found.is_empty(), "{one}: {found:?}");
    }
    // Below a module; a module and those below it may import each other.
    let below = [
        ("a/src/main.rs", "mod one;"),
        (
            "a/src/one/mod.rs",
            "mod b;\nmod c;\npub struct One;\nfn f() { b::f() }",
        ),
        (
            "a/src/one/b.rs",
            "use super::One;\nuse super::c::C;\npub fn f() {}",
        ),
        ("a/src/one/c.rs", "pub struct C;"),
    ];
    assert!(cycles(&below).is_empty());
    let mut closed = below;
    closed[3].1 = "use super::b::f;\npub struct C;";
    assert_eq!(cycles(&closed), ["a/src/one: b, c"]);
}
