//! The rules: each takes a file, and returns a complaint for each violation.

use crate::imports::modules;
use crate::source::File;
use std::collections::BTreeSet;

const LINE_WIDTH_MAX: usize = 100;
const FILE_LINES_MAX: usize = 700;

/// The layer of each top-level module of the library. Imports point to a lower layer.
const LAYERS: &[(&str, u8)] = &[
    ("hex", 0),
    ("limits", 0),
    ("sync", 0),
    ("probe", 0),
    ("ids", 1),
    ("refusal", 1),
    ("row", 1),
    ("schema", 1),
    ("switches", 2),
    ("table", 2),
    ("epoch", 2),
    ("model", 3),
    ("score", 3),
    ("http", 3),
    ("stats", 4),
    ("traffic", 4),
    ("engine", 5),
    ("pool", 6),
    ("watch", 7),
    ("host", 8),
    ("ffi", 9),
    ("manual", 9),
    ("lib", 10),
];

/// The files that may hold `unsafe`.
pub const UNSAFE_FILES: &[&str] = &[
    "src/epoch/reader.rs",
    "src/epoch/swap.rs",
    "src/ffi/engines.rs",
    "src/ffi/handles.rs",
    "src/ffi/mod.rs",
    "src/ffi/scoring.rs",
    "src/ffi/view.rs",
    "src/probe.rs",
    "src/score/kernel/x86_64/avx2/mod.rs",
    "src/score/kernel/x86_64/avx2/oblivious.rs",
    "src/score/kernel/x86_64/avx512/bins.rs",
    "src/score/kernel/x86_64/avx512/mod.rs",
    "src/score/kernel/x86_64/avx512/oblivious.rs",
    "src/score/kernel/x86_64/avx512/trees.rs",
    "src/score/kernel/x86_64/emulated.rs",
    "src/table/sealed.rs",
    "src/table/view.rs",
];

/// The files, and the folders, of the data plane.
pub const DATA_PLANE: &[&str] = &[
    "src/engine/live.rs",
    "src/engine/scorer.rs",
    "src/epoch/reader.rs",
    "src/host/breaker.rs",
    "src/host/counters.rs",
    "src/host/front.rs",
    "src/host/headers.rs",
    "src/host/request_scorer.rs",
    "src/host/scored.rs",
    "src/http/",
    "src/pool/call.rs",
    "src/pool/reply.rs",
    "src/row.rs",
    "src/score/client.rs",
    "src/score/detect.rs",
    "src/score/kernel/",
    "src/score/verdict.rs",
    "src/stats/counter.rs",
    "src/stats/counters.rs",
    "src/stats/latency.rs",
    "src/stats/reservoir.rs",
    "src/stats/scores.rs",
    "src/traffic/client.rs",
    "src/traffic/facts.rs",
    "src/traffic/features.rs",
    "src/traffic/hash.rs",
    "src/traffic/key.rs",
    "src/traffic/observe.rs",
    "src/traffic/set.rs",
    "src/traffic/sketch.rs",
];

/// What allocates, locks, or reads files.
pub const HEAP_WORDS: &[&str] = &["Vec<", "String", "Box<", "std::fs", "format!", "Mutex"];

pub fn line_width(file: &File) -> Vec<String> {
    let widths = file.lines.iter().map(|line| line.chars().count());
    let wide = widths
        .enumerate()
        .filter(|(_, width)| *width > LINE_WIDTH_MAX);
    wide.map(|(at, width)| file.complain(at, format!("{width} columns")))
        .collect()
}

pub fn file_length(file: &File) -> Vec<String> {
    let lines = file.lines.len();
    let long = (lines > FILE_LINES_MAX).then(|| file.complain(0, format!("{lines} lines")));
    long.into_iter().collect()
}

/// Whether a line of code holds a word on its own.
fn has_word(line: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn layer(module: &str) -> Option<u8> {
    let found = LAYERS.iter().find(|(name, _)| *name == module);
    found.map(|(_, layer)| *layer)
}

/// The top-level module of a file of the library.
fn module(file: &File) -> &str {
    let path = file.path.strip_prefix("src/").unwrap_or(&file.path);
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The modules that a text names after `crate::`, one or a braced list.
fn named_modules(text: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(list) = text.strip_prefix('{') else {
        return vec![word(text)];
    };
    let (mut depth, mut start, mut modules) = (0, true, Vec::new());
    for (at, c) in list.char_indices() {
        if depth == 0 && start && !c.is_whitespace() {
            (start, _) = (false, modules.push(word(&list[at..])));
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            _ => {}
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

pub fn layer_direction(file: &File) -> Vec<String> {
    let own = module(file);
    let Some(own_layer) = layer(own) else {
        return vec![file.complain(0, format!("module {own} has no layer: see LAYERS"))];
    };
    let mut complaints = Vec::new();
    let code: Vec<_> = file.library_code().collect();
    for (place, (at, line)) in code.iter().enumerate() {
        for (column, _) in line.match_indices("crate::") {
            let rest = code[place..].iter().map(|(_, line)| *line);
            let text: String = rest.take(60).collect::<Vec<_>>().join("\n");
            for other in named_modules(&text[column + 7..]) {
                // Names with a capital, functions and macros of the crate's root.
                let known = layer(&other);
                let lower = known.is_some_and(|other| other < own_layer);
                if other != own && !lower {
                    complaints.push(file.complain(*at, format!("{own} imports {other}")));
                }
            }
        }
    }
    complaints
}

pub fn is_unsafe(line: &str) -> bool {
    has_word(line, "unsafe")
}

pub fn unsafe_files(file: &File) -> Vec<String> {
    if UNSAFE_FILES.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let found = file
        .code
        .iter()
        .enumerate()
        .filter(|(_, line)| is_unsafe(line));
    found
        .map(|(at, _)| file.complain(at, "unsafe is not for this file: see UNSAFE_FILES"))
        .collect()
}

/// Whether a comment cites an invariant by letter and number.
fn cites(comment: &str) -> bool {
    let mut words = comment.split(|c: char| !c.is_alphanumeric());
    words.any(|word| {
        let mut chars = word.chars();
        let letter = chars.next().is_some_and(|c| "TEHVCKAP".contains(c));
        letter && word.len() > 1 && chars.all(|c| c.is_ascii_digit())
    })
}

/// The comment above a statement, and above the attributes between them.
fn comment_above(file: &File, line: usize) -> String {
    let mut start = line;
    // Back to where the statement starts: what is before it ends, opens or separates.
    while let Some(before) = start.checked_sub(1) {
        let code = file.code[before].trim();
        let ends = code.is_empty() || code.ends_with([';', '{', '}', ',']);
        if ends && !code.starts_with("#[") {
            break;
        }
        start = before;
    }
    let mut comment = Vec::new();
    while let Some(before) = start.checked_sub(1) {
        let line = file.lines[before].trim();
        if !line.starts_with("//") {
            break;
        }
        comment.push(line);
        start = before;
    }
    comment.reverse();
    comment.join(" ")
}

pub fn safety_comments(file: &File) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, line) in file
        .code
        .iter()
        .enumerate()
        .filter(|(_, line)| is_unsafe(line))
    {
        let comment = comment_above(file, at);
        let said = match line.contains("unsafe fn") {
            true => comment.contains("# Safety"),
            false => comment.contains("// SAFETY: "),
        };
        if !said || !cites(&comment) {
            complaints.push(file.complain(
                at,
                "unsafe without a SAFETY comment that cites an invariant",
            ));
        }
    }
    complaints
}

pub fn data_plane(file: &File) -> Vec<String> {
    let listed = DATA_PLANE
        .iter()
        .any(|listed| file.path.starts_with(listed));
    if !listed {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (at, line) in file.library_code() {
        for word in HEAP_WORDS.iter().filter(|word| line.contains(**word)) {
            complaints.push(file.complain(at, format!("{word} in the data plane")));
        }
    }
    complaints
}

pub fn purpose(file: &File) -> Vec<String> {
    let first = file.lines.first().map(String::as_str).unwrap_or_default();
    let says = first.starts_with("//! ") && first.len() > 5;
    let silent = (!says).then(|| file.complain(0, "no `//!` line says what the file is for"));
    silent.into_iter().collect()
}

/// The files to which no `mod` leads from `src/lib.rs`.
pub fn dead_files(files: &[File]) -> Vec<String> {
    let modules = modules(files, "src/lib.rs");
    let alive: BTreeSet<&str> = modules.values().map(|file| file.path.as_str()).collect();
    let dead = files
        .iter()
        .filter(|file| !alive.contains(file.path.as_str()));
    dead.map(|file| file.path.clone()).collect()
}
