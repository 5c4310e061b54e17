//! Imports between the files of a crate, and the cycles among them.
//!
//! A module is a file, or a folder with a root file. No two modules below the same module may
//! import each other, not even by way of others. An import is a path to an item: in a `use`, or
//! within the code. It points to the module that defines the item, wherever it is re-exported. A
//! module and the modules below it are one module to their neighbours, so they may import each
//! other.

use crate::source::{File, tree};
use std::collections::{BTreeMap, BTreeSet};

/// A module's names from the root of its crate; empty for the root.
type Module = Vec<String>;

/// The files of a crate by their modules.
pub struct Crate<'a> {
    /// The folder of the root file.
    pub folder: String,
    modules: BTreeMap<Module, Parsed<'a>>,
}

struct Parsed<'a> {
    file: &'a File,
    paths: Vec<Path>,
    /// The items that the file defines.
    items: BTreeSet<String>,
}

/// A path in the code.
struct Path {
    segments: Vec<String>,
    line: usize,
    /// For a `use`: the name that it gives, `*` for all.
    name: Option<String>,
    /// Whether it is a `pub use`.
    public: bool,
}

/// The crates among files: all that have `src/lib.rs` or `src/main.rs`.
pub fn crates(files: &[File]) -> Vec<Crate<'_>> {
    let is_root = |file: &&File| {
        let name = file.path.strip_suffix(".rs").unwrap_or_default();
        let name = name
            .strip_suffix("src/lib")
            .or(name.strip_suffix("src/main"));
        name.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    files
        .iter()
        .filter(is_root)
        .map(|root| Crate::of(files, root))
        .collect()
}

impl<'a> Crate<'a> {
    fn of(files: &'a [File], root: &'a File) -> Crate<'a> {
        let modules = modules(files, &root.path).into_iter();
        let library = modules.filter(|(_, file)| !file.test.iter().all(|test| *test));
        Crate {
            folder: root.path.rsplit_once('/').map_or("", |(at, _)| at).into(),
            modules: library
                .map(|(module, file)| (module, Parsed::of(file)))
                .collect(),
        }
    }

    /// The cycles, each as `folder/of/module: one, other`, with the imports that close it.
    pub fn cycles(&self) -> BTreeMap<String, Vec<String>> {
        // By the module above both: who imports whom, and where.
        let mut levels: BTreeMap<&[String], Edges> = BTreeMap::new();
        for (from, parsed) in &self.modules {
            for path in parsed.paths.iter().filter(|path| !path.public) {
                let Some(to) = self.target(from, path) else {
                    continue;
                };
                let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if let (Some(one), Some(other)) = (from.get(same), to.get(same)) {
                    let edge = (one.clone(), other.clone());
                    let edges = levels.entry(&from[..same]).or_default();
                    let shown = || parsed.file.complain(path.line, path.segments.join("::"));
                    edges.entry(edge).or_insert_with(shown);
                }
            }
        }
        let mut found = BTreeMap::new();
        for (above, edges) in levels {
            let folder = [std::slice::from_ref(&self.folder), above]
                .concat()
                .join("/");
            for cycle in cycles(&edges) {
                let inside = |(one, other): &(String, String)| {
                    cycle.contains(one.as_str()) && cycle.contains(other.as_str())
                };
                let imports = edges.iter().filter(|(edge, _)| inside(edge));
                let imports = imports.map(|(_, shown)| shown.clone()).collect();
                let names: Vec<&str> = cycle.iter().copied().collect();
                found.insert(format!("{folder}: {}", names.join(", ")), imports);
            }
        }
        found
    }

    /// The module whose item a path names; `None` for a module itself, and outside the crate.
    fn target(&self, from: &Module, path: &Path) -> Option<Module> {
        let (start, rest) = self.start(from, &path.segments)?;
        let (module, item) = self.owner(&start, &rest, 0);
        item.then_some(module)
    }

    /// Where a path starts: a module of the crate, and the segments that follow.
    fn start(&self, from: &Module, segments: &[String]) -> Option<(Module, Vec<String>)> {
        let first = segments.first()?;
        if first == "crate" {
            return Some((Vec::new(), segments[1..].to_vec()));
        }
        let ups = segments.iter().take_while(|name| *name == "super").count();
        if ups > 0 {
            return Some((
                from[..from.len().checked_sub(ups)?].to_vec(),
                segments[ups..].to_vec(),
            ));
        }
        if first == "self" {
            return Some((from.clone(), segments[1..].to_vec()));
        }
        if self.child(from, first).is_some() {
            return Some((from.clone(), segments.to_vec()));
        }
        // A module by the name that a `use` gives it.
        let used = self.modules.get(from)?.paths.iter().find(|path| {
            path.name.as_ref() == Some(first) && path.segments.first() != Some(first)
        })?;
        let (start, rest) = self.start(from, &used.segments)?;
        let (module, item) = self.owner(&start, &rest, 0);
        (!item).then(|| (module, segments[1..].to_vec()))
    }

    fn child(&self, module: &Module, name: &str) -> Option<Module> {
        let child = [module.as_slice(), &[name.to_string()]].concat();
        self.modules.contains_key(&child).then_some(child)
    }

    /// The module that defines what segments name from a module on, and whether that is an item
    /// and not the module itself. Re-exports are followed up to a depth that no crate has.
    fn owner(&self, from: &Module, segments: &[String], depth: usize) -> (Module, bool) {
        let mut module = from.clone();
        let mut rest = segments;
        while let Some(child) = rest.first().and_then(|name| self.child(&module, name)) {
            (module, rest) = (child, &rest[1..]);
        }
        let Some(name) = rest.first().filter(|name| *name != "self") else {
            return (module, false);
        };
        let Some(parsed) = self.modules.get(&module) else {
            return (module, true);
        };
        if name == "*" || depth > 8 || parsed.items.contains(name) {
            return (module, true);
        }
        for path in &parsed.paths {
            let glob = path.name.as_deref() == Some("*");
            if !glob && path.name.as_ref() != Some(name) {
                continue;
            }
            let Some((start, mut segments)) = self.start(&module, &path.segments) else {
                continue;
            };
            if glob {
                segments.pop();
                segments.extend(rest.iter().cloned());
            } else {
                segments.extend(rest[1..].iter().cloned());
            }
            let (owner, item) = self.owner(&start, &segments, depth + 1);
            let defines = |owner: &Module| {
                let parsed = self.modules.get(owner);
                parsed.is_some_and(|parsed| parsed.items.contains(name))
            };
            if !glob || defines(&owner) {
                return (owner, item);
            }
        }
        (module, true)
    }
}

/// Which module imports which other one, and where.
type Edges = BTreeMap<(String, String), String>;

/// The groups of modules that reach each other.
fn cycles(edges: &Edges) -> BTreeSet<BTreeSet<&str>> {
    let reach = |from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_string()]);
        while let Some(at) = open.pop() {
            let next = edges.keys().filter(|(one, _)| *one == at);
            for (_, other) in next {
                if seen.insert(other.as_str()) {
                    open.push(other.clone());
                }
            }
        }
        seen
    };
    let names = edges.keys().map(|(one, _)| (one.as_str(), reach(one)));
    let reached: BTreeMap<&str, BTreeSet<&str>> = names.collect();
    let group = |(name, reached_by_it): (&&str, &BTreeSet<_>)| {
        let back = |other: &&&str| reached.get(**other).is_some_and(|all| all.contains(*name));
        reached_by_it.iter().filter(back).copied().collect()
    };
    let groups = reached.iter().map(group);
    groups
        .filter(|group: &BTreeSet<&str>| group.len() > 1)
        .collect()
}

/// The files to which `mod` leads from a root file, by their modules.
pub fn modules<'a>(files: &'a [File], root: &str) -> BTreeMap<Module, &'a File> {
    let mut found: BTreeMap<Module, &File> = BTreeMap::new();
    let mut open = vec![(Vec::new(), String::from(root))];
    while let Some((module, path)) = open.pop() {
        let Some(file) = files.iter().find(|file| file.path == path) else {
            continue;
        };
        if found.contains_key(&module) {
            continue;
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let below = match name {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_string(),
            other => format!("{folder}/{}", other.trim_end_matches(".rs")),
        };
        for (at, line) in file.code.iter().enumerate() {
            let Some((_, name)) = line
                .trim_end()
                .strip_suffix(';')
                .and_then(|line| line.split_once("mod "))
                .filter(|(before, _)| before.is_empty() || before.ends_with(' '))
            else {
                continue;
            };
            let child = [module.as_slice(), &[name.to_string()]].concat();
            let above = at.checked_sub(1).map(|above| file.lines[above].trim());
            let named =
                above.and_then(|line| line.strip_prefix("#[path = \"")?.strip_suffix("\"]"));
            match named {
                Some(named) => open.push((child, format!("{folder}/{named}"))),
                None => {
                    open.push((child.clone(), format!("{below}/{name}.rs")));
                    open.push((child, format!("{below}/{name}/mod.rs")));
                }
            }
        }
        found.insert(module, file);
    }
    found
}

/// Tokens that matter for paths, each with its line from 0: names, `::`, and single characters.
fn tokens(file: &File) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    for (line, code) in file.library_code() {
        let mut word = String::new();
        for c in code.chars().chain([' ']) {
            if c.is_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            if !word.is_empty() {
                tokens.push((line, std::mem::take(&mut word)));
            }
            match tokens.last_mut() {
                Some((at, last)) if c == ':' && last == ":" && *at == line => last.push(':'),
                _ if !c.is_whitespace() => tokens.push((line, c.into())),
                _ => {}
            }
        }
    }
    tokens
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

impl<'a> Parsed<'a> {
    fn of(file: &'a File) -> Parsed<'a> {
        let tokens = tokens(file);
        let get = |at: usize| tokens.get(at).map_or("", |(_, token)| token.as_str());
        let (mut paths, mut items) = (Vec::new(), BTreeSet::new());
        let mut at = 0;
        while at < tokens.len() {
            let before = at.checked_sub(1).map_or("", get);
            match get(at) {
                "use" => {
                    let public = before == "pub" || before == ")";
                    let mut tree = UseTree {
                        tokens: &tokens,
                        at: at + 1,
                        public,
                        paths: &mut paths,
                    };
                    tree.read(&mut Vec::new());
                    at = tree.at;
                    continue;
                }
                "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" => {
                    let mutable = usize::from(get(at + 1) == "mut");
                    items.insert(get(at + 1 + mutable).to_string());
                }
                "macro_rules" => _ = items.insert(get(at + 2).to_string()),
                name if is_name(name) && get(at + 1) == "::" && before != "::" => {
                    let (line, mut segments) = (tokens[at].0, vec![name.to_string()]);
                    while get(at + 1) == "::" && is_name(get(at + 2)) {
                        segments.push(get(at + 2).to_string());
                        at += 2;
                    }
                    paths.push(Path {
                        segments,
                        line,
                        name: None,
                        public: false,
                    });
                }
                _ => {}
            }
            at += 1;
        }
        Parsed { file, paths, items }
    }
}

/// Reads what follows `use`.
struct UseTree<'t> {
    tokens: &'t [(usize, String)],
    at: usize,
    public: bool,
    paths: &'t mut Vec<Path>,
}

impl UseTree<'_> {
    fn next(&mut self) -> &str {
        self.at += 1;
        self.tokens.get(self.at - 1).map_or(";", |(_, token)| token)
    }

    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or(";", |(_, token)| token)
    }

    /// Reads one tree below a prefix, up to the token that ends it.
    fn read(&mut self, prefix: &mut Vec<String>) {
        let own = prefix.len();
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        while !matches!(self.peek(), ";" | "," | "}") {
            let token = self.next().to_string();
            match token.as_str() {
                "::" => {}
                "{" => {
                    while !matches!(self.peek(), "}" | ";") {
                        self.read(prefix);
                        if self.peek() == "," {
                            self.next();
                        }
                    }
                    self.next();
                    prefix.truncate(own);
                    return;
                }
                "as" => {
                    let name = self.next().to_string();
                    self.add(prefix, line, name);
                    prefix.truncate(own);
                    return;
                }
                _ => prefix.push(token),
            }
        }
        let mut names = prefix.iter().rev().filter(|name| *name != "self");
        if let Some(name) = names.next().cloned() {
            self.add(prefix, line, name);
        }
        prefix.truncate(own);
    }

    fn add(&mut self, segments: &[String], line: usize, name: String) {
        self.paths.push(Path {
            segments: segments.to_vec(),
            line,
            name: Some(name),
            public: self.public,
        });
    }
}

/// The cycles of all crates of the workspace and the laboratory.
pub fn cycles_of_the_tree() -> BTreeMap<String, Vec<String>> {
    let files = tree();
    let all = crates(&files);
    assert!(all.len() > 5, "{} crates", all.len());
    all.iter().flat_map(Crate::cycles).collect()
}
