//! Invariant H: the optimised machine code of the hot path has no panic in it.
//!
//! Builds `tools/lab/proofs/no-panic` (release, fat LTO) and looks at the result in two ways: it
//! links only without a panic, and its assembly is followed call by call. Either way must fail
//! where a panic was planted. Takes half a minute, most of it for the linker's optimiser.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-panic")
}

/// Builds one of the proof's programs; cargo lets one build at a time use the folder.
fn build(program: &str, flags: &[&str]) -> Output {
    let manifest = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tools/lab/proofs/no-panic/Cargo.toml"
    );
    let mut cargo = Command::new(env!("CARGO"));
    // The proof has a profile of its own, whatever this test was built with.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PROFILE_") {
            cargo.env_remove(name);
        }
    }
    cargo
        .args(["rustc", "--release", "--manifest-path", manifest])
        .args(["--bin", program, "--"])
        .args(flags)
        .env("CARGO_TARGET_DIR", target())
        // The proof is about plain stable Rust, however this test was built.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns the assembly of the proof, built once.
fn assembly() -> &'static str {
    static ASSEMBLY: OnceLock<String> = OnceLock::new();
    ASSEMBLY.get_or_init(|| {
        std::fs::create_dir_all(target()).expect("a folder");
        let file = target().join("proof.s");
        let built = build(
            "proof-no-panic",
            &[&format!("--emit=asm={}", file.display())],
        );
        let text = text(&built);
        assert!(built.status.success(), "the hot path may panic:\n{text}");
        std::fs::read_to_string(file).expect("assembly")
    })
}

#[test]
fn the_hot_path_links_without_a_panic_and_calls_none() {
    let code = assembly();
    let run = Command::new(target().join("release/proof-no-panic"))
        .output()
        .expect("the proof");
    assert!(run.status.success(), "{}", text(&run));
    println!("linked: {}", String::from_utf8_lossy(&run.stdout).trim());
    if cfg!(target_arch = "x86_64") {
        let found = follow(code, &ROOTS);
        println!(
            "{} functions, {} calls by pointer",
            found.functions, found.by_pointer
        );
        assert!(found.functions >= ROOTS.len());
        assert_eq!(found.outside, BTreeSet::new(), "calls out of the hot path");
        // The kernel's two, in each of the four ways to score. The kernels are roots themselves.
        assert!(
            found.by_pointer <= 5,
            "{} calls by pointer",
            found.by_pointer
        );
    }
}

#[test]
fn a_planted_panic_does_not_link() {
    let built = build("planted", &[]);
    assert!(!built.status.success(), "a function that may panic linked");
    let text = text(&built);
    assert!(
        text.contains("no-panic") && text.contains("planted"),
        "{text}"
    );
}

#[test]
fn a_planted_panic_is_found_in_the_assembly() {
    if !cfg!(target_arch = "x86_64") {
        println!("*** SKIPPED: the assembly is read on x86-64 only ***");
        return;
    }
    let found = follow(assembly(), &["planted_score"]);
    let panics = found.outside.iter().any(|name| name.contains("panic"));
    assert!(panics, "went unnoticed: {:?}", found.outside);
}

/// The functions of the proof from which every call is followed.
const ROOTS: [&str; 9] = [
    "hot_enter_and_leave",
    "hot_extract",
    "hot_kernels",
    "hot_request",
    "hot_score",
    "hot_score_batch",
    "hot_score_batch_clients",
    "hot_score_client",
    "hot_traffic",
];

/// What may be called besides the proof's own code: copies and comparisons of memory, and what
/// goes on with a panic that started elsewhere (nothing here starts one).
const ALLOWED: [&str; 6] = [
    "memcpy",
    "memset",
    "memmove",
    "memcmp",
    "bcmp",
    "_Unwind_Resume",
];

struct Found {
    /// Functions that were followed.
    functions: usize,
    /// Calls of a pointer.
    by_pointer: usize,
    /// Functions that are called, not allowed, and either unknown or of a panic.
    outside: BTreeSet<String>,
}

/// Follows every call from the roots.
fn follow<'a>(assembly: &'a str, roots: &[&'a str]) -> Found {
    let functions = functions(assembly);
    let mut found = Found {
        functions: 0,
        by_pointer: 0,
        outside: BTreeSet::new(),
    };
    let mut seen: BTreeSet<&str> = roots.iter().copied().collect();
    let mut open: Vec<&str> = roots.to_vec();
    while let Some(name) = open.pop() {
        let panics = ["panic", "unwrap_failed", "expect_failed", "alloc"];
        let Some(calls) = functions
            .get(name)
            .filter(|_| !panics.iter().any(|it| name.contains(it)))
        else {
            if !ALLOWED.contains(&name) {
                found.outside.insert(name.to_string());
            }
            continue;
        };
        found.functions += 1;
        for call in calls {
            match call {
                Some(target) if seen.insert(target) => open.push(target),
                Some(_) => {}
                None => found.by_pointer += 1,
            }
        }
    }
    found
}

/// Each function's calls and tail calls; none where the target is a pointer.
fn functions(assembly: &str) -> BTreeMap<&str, Vec<Option<&str>>> {
    let mut functions = BTreeMap::new();
    let mut current: Option<(&str, Vec<Option<&str>>)> = None;
    for line in assembly.lines() {
        let label = line
            .strip_suffix(':')
            .filter(|label| !label.starts_with(['.', '\t', '#']));
        if let Some(label) = label {
            functions.extend(current.replace((label, Vec::new())));
        } else if line.trim() == ".cfi_endproc" {
            functions.extend(current.take());
        }
        let Some((_, calls)) = &mut current else {
            continue;
        };
        let mut words = line.split_whitespace();
        let (Some(operation), Some(operand)) = (words.next(), words.next()) else {
            continue;
        };
        let call = operation.starts_with("call");
        if !call && !operation.starts_with('j') || operand.starts_with(".L") {
            continue;
        }
        // `*symbol@GOTPCREL(%rip)` is a call of a known function.
        let known = operand.trim_start_matches('*');
        let name = known.split_once('@').map_or(known, |(name, _)| name);
        let pointer = operand.starts_with('*') && !operand.contains("@GOTPCREL");
        match (pointer, call) {
            (false, _) => calls.push(Some(name)),
            (true, true) => calls.push(None),
            // A jump table.
            (true, false) => {}
        }
    }
    functions.extend(current);
    functions
}
