//! Reads the source tree, and separates code from comments, texts and tests.

use std::path::Path;

/// A source file.
pub struct File {
    /// Below the root of the workspace, with forward slashes.
    pub path: String,
    /// Its lines as they are.
    pub lines: Vec<String>,
    /// Its lines with comments and the contents of texts and characters blanked.
    pub code: Vec<String>,
    /// Whether a line belongs to a test.
    pub test: Vec<bool>,
}

impl File {
    pub fn new(path: &str, text: &str) -> File {
        let lines: Vec<String> = text.lines().map(String::from).collect();
        let code: Vec<String> = blank(text).lines().map(String::from).collect();
        let all = path.ends_with("/tests.rs") || path.contains("/tests/");
        let test = match all {
            true => vec![true; code.len()],
            false => test_lines(&code),
        };
        File {
            path: path.into(),
            lines,
            code,
            test,
        }
    }

    /// A complaint about a line, counted from 0.
    pub fn complain(&self, line: usize, about: impl std::fmt::Display) -> String {
        format!("{}:{}: {about}", self.path, line + 1)
    }

    /// The lines of code outside tests, each with its number from 0.
    pub fn library_code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.code.iter().map(String::as_str).enumerate();
        code.filter(|(at, _)| !self.test.get(*at).copied().unwrap_or_default())
    }
}

/// All Rust files of the workspace, sorted by path.
pub fn tree() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read(root, root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn read(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && !name.starts_with('.') && name != "target" && name != "node_modules" {
            read(root, &path, files);
        } else if !is_dir && name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let relative = path.strip_prefix(root).expect("a path below the root");
            let relative = relative.to_string_lossy().replace('\\', "/");
            files.push(File::new(&relative, &text));
        }
    }
}

/// What the scanner is within.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Code,
    Line,
    Block(u32),
    /// A text that ends with a quote and `n` times `#`; escapes count if `n` is 0.
    Text(usize),
    RawText(usize),
}

/// Blanks comments, and the contents of texts and characters; line ends and quotes stay.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut within = Within::Code;
    let mut at = 0;
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let (c, next) = (get(at), get(at + 1));
        let mut width = 1;
        let mut keep = c == '\n' || within == Within::Code;
        match within {
            Within::Code => match (c, next) {
                ('/', '/') => (within, keep) = (Within::Line, false),
                ('/', '*') => (within, keep, width) = (Within::Block(1), false, 2),
                ('"', _) => within = Within::Text(0),
                ('r', '"' | '#') if !is_word(at, &chars) => {
                    let hashes = (at + 1..).take_while(|at| get(*at) == '#').count();
                    if get(at + 1 + hashes) == '"' {
                        (within, width) = (Within::RawText(hashes), hashes + 2);
                    }
                }
                ('\'', _) => {
                    // A character, or else a lifetime.
                    let end = if next == '\\' {
                        (at + 3..).find(|at| get(*at) == '\'')
                    } else {
                        Some(at + 2)
                    };
                    let end = end.filter(|end| get(*end) == '\'');
                    if let Some(end) = end {
                        (width, keep) = (end + 1 - at, false);
                    }
                }
                _ => {}
            },
            Within::Line if c == '\n' => within = Within::Code,
            Within::Block(depth) => match (c, next) {
                ('*', '/') => {
                    width = 2;
                    within = if depth == 1 {
                        Within::Code
                    } else {
                        Within::Block(depth - 1)
                    };
                }
                ('/', '*') => (within, width) = (Within::Block(depth + 1), 2),
                _ => {}
            },
            Within::Text(_) => match c {
                '\\' => width = if next == '\n' { 1 } else { 2 },
                '"' => (within, keep) = (Within::Code, true),
                _ => {}
            },
            Within::RawText(hashes)
                if c == '"' && (1..=hashes).all(|more| get(at + more) == '#') =>
            {
                (within, width, keep) = (Within::Code, 1 + hashes, true);
            }
            _ => {}
        }
        for c in &chars[at..(at + width).min(chars.len())] {
            out.push(if keep || *c == '\n' { *c } else { ' ' });
        }
        at += width;
    }
    out
}

/// Whether the character at a place continues a word.
fn is_word(at: usize, chars: &[char]) -> bool {
    let before = at.checked_sub(1).and_then(|before| chars.get(before));
    before.is_some_and(|c| (c.is_alphanumeric() && *c != 'b') || *c == '_')
}

/// The line on which the braces that open on or after a line close again.
pub fn block_end(code: &[String], start: usize) -> Option<usize> {
    let (mut depth, mut nested, mut opened) = (0i32, 0i32, false);
    for (at, line) in code.iter().enumerate().skip(start) {
        for c in line.chars() {
            match c {
                '{' => (depth, opened) = (depth + 1, true),
                '}' => depth -= 1,
                '(' | '[' => nested += 1,
                ')' | ']' => nested -= 1,
                // A declaration without a body.
                ';' if !opened && nested == 0 => return None,
                _ => {}
            }
            if opened && depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Marks what follows `#[cfg(test)]`: a block, or a declaration.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut test = vec![false; code.len()];
    for (start, line) in code.iter().enumerate() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let end = block_end(code, start).unwrap_or(start + 1);
            for mark in test.iter_mut().take(end + 1).skip(start) {
                *mark = true;
            }
        }
    }
    test
}

#[test]
fn code_is_told_from_the_rest() {
    let text = "a \"b { \\\" c\" '{' 'x /* { /* } */ { */ // {\nr#\"{ \" \"# b'\\'' '\\u{1}' d\n";
    let blanked = blank(text);
    assert_eq!(blanked.len(), text.len());
    assert!(
        !blanked.contains('{') && !blanked.contains('}'),
        "{blanked}"
    );
    assert!(
        blanked.contains("'x ") && blanked.contains('d'),
        "{blanked}"
    );
}

#[test]
fn blocks_end_where_their_brace_closes() {
    let code = |text: &str| -> Vec<String> { blank(text).lines().map(String::from).collect() };
    assert_eq!(block_end(&code("fn f() {\n  {}\n}\n}"), 0), Some(2));
    assert_eq!(block_end(&code("fn f(a: [u8; 2]);\nfn g() {}"), 0), None);
}
