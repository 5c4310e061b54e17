//! LightGBM's text: a header, blocks of `key=value` lines, one a tree, the parameters, and the
//! categories of the data frame that the model was trained on.

use crate::json::{self, Bounded, Codes};
use hedgerow::RefusalKind::{
    ModelDuplicate, ModelMalformed, ModelOverCapacity, ModelShape, ModelUnsupported, ModelValue,
};
use hedgerow::limits::{FEATURES_MAX, TREES_MAX};
use hedgerow::{Refusal, RefusalKind};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The parts of a model's text.
pub(super) struct Model<'a> {
    pub header: Block<'a>,
    pub trees: Vec<Block<'a>>,
    /// Those that are wanted, of the about 100 that a file lists.
    pub parameters: BTreeMap<&'a str, &'a str>,
}

/// The lines of the header or of one tree.
pub(super) struct Block<'a> {
    /// What errors call it: `the header` or `Tree=7`.
    name: String,
    /// The first line, from 1.
    first: usize,
    /// Key, value and line, at most [`LINES_MAX`]. A line without `=` has no value.
    lines: Vec<(&'a str, Option<&'a str>, usize)>,
}

/// Lines of a block, of which LightGBM itself writes up to 25: a file takes little more memory than
/// its size.
const LINES_MAX: usize = 64;

/// What follows the trees where nothing says that they end, in files of before 2.1.
const OLD_ENDS: [&str; 2] = ["feature importances:", "parameters:"];

/// Splits a text into its parts. `wanted` are the parameters that are kept.
pub(super) fn read<'a>(bytes: &'a [u8], wanted: &[&str]) -> Result<Model<'a>, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = format!("byte {}", error.valid_up_to());
        ModelMalformed.at(at, "text in UTF-8", "other bytes")
    })?;
    let mut header = Block::new("the header".to_owned(), 1);
    let mut trees: Vec<Block<'_>> = Vec::new();
    let mut lines = (1..).zip(text.lines());
    let mut ended = false;
    for (number, line) in lines.by_ref() {
        let line = line.trim_ascii_end();
        let is_old = header.get("version") == Ok("v2");
        if line == "end of trees" || (is_old && OLD_ENDS.contains(&line)) {
            ended = true;
            break;
        }
        if let Some(index) = line.strip_prefix("Tree=") {
            check_tree(&header, index, trees.len(), number)?;
            trees.push(Block::new(line.to_owned(), number));
        } else if !line.is_empty() {
            trees.last_mut().unwrap_or(&mut header).add(line, number)?;
        }
    }
    if !ended {
        let at = format!("after line {}", text.lines().count());
        let expected = "more trees or \"end of trees\"";
        let got = "the end of the file";
        return Err(ModelMalformed
            .at(at, expected, got)
            .with_hint("the export or copy may have been cut off"));
    }
    let sizes = match header.get("tree_sizes") {
        // Files of before 2.1 have none.
        Err(_) if header.get("version") == Ok("v2") => trees.len(),
        sizes => sizes?.split_ascii_whitespace().count(),
    };
    if sizes != trees.len() || trees.is_empty() {
        let expected = format!("at least 1 tree, and one for each of {sizes} tree_sizes");
        let got = format!("{} trees", trees.len());
        return Err(header.refusal(ModelShape, "tree_sizes", expected, got));
    }
    let mut parameters = BTreeMap::new();
    for (number, line) in lines {
        if let Some(list) = line.strip_prefix(FRAME) {
            check_frame(list, number)?;
        }
        parameters.extend(parameter(line).filter(|(key, _)| wanted.contains(key)));
    }
    Ok(Model {
        header,
        trees,
        parameters,
    })
}

/// What the Python package writes behind the parameters: the categories of the categorical columns
/// of a data frame, ordered ones too, in the columns' order; null or an empty list where there are
/// none. With it, LightGBM turns the values of a data frame into positions in their lists before
/// trees see them: only lists in which each category is its own position are taken.
const FRAME: &str = "pandas_categorical:";

fn check_frame(list: &str, number: usize) -> Result<(), Refusal> {
    let at = format!("line {number}, {}", FRAME.trim_end_matches(':'));
    let columns: Option<Bounded<Codes, FEATURES_MAX>> =
        json::parse(list.as_bytes()).map_err(|refusal| refusal.with_place(&at))?;
    for (index, codes) in columns.iter().flat_map(|columns| &columns.0).enumerate() {
        if let Some((position, stray)) = &codes.stray {
            let at = format!("{at}[{index}]");
            let expected = "categories that are their own codes: 0, 1, 2 and so on";
            let got = format!("{stray} at position {position}");
            let error = ModelUnsupported.at(at, expected, got);
            return Err(error.with_hint(
                "LightGBM recodes these; train on columns of codes, named by categorical_feature",
            ));
        }
    }
    Ok(())
}

/// Checks that a tree's number is the next, and within the capacity.
fn check_tree(header: &Block<'_>, index: &str, next: usize, number: usize) -> Result<(), Refusal> {
    let at = format!("line {number}");
    if index.parse() != Ok(next) {
        let expected = format!("Tree={next}");
        let got = format!("Tree={index}");
        return Err(ModelMalformed.at(at, expected, got));
    }
    if next >= TREES_MAX {
        let expected = format!("at most {TREES_MAX} trees (capacity)");
        let got = match header.get("tree_sizes") {
            Ok(sizes) => sizes.split_ascii_whitespace().count().to_string(),
            Err(_) => "more".to_owned(),
        };
        return Err(ModelOverCapacity.at(at, expected, got));
    }
    Ok(())
}

/// A line such as `[num_leaves: 31]`.
fn parameter(line: &str) -> Option<(&str, &str)> {
    let inner = line.trim().strip_prefix('[')?.strip_suffix(']')?;
    let (key, value) = inner.split_once(": ")?;
    (value.len() <= 64).then_some((key, value))
}

impl<'a> Block<'a> {
    fn new(name: String, first: usize) -> Block<'a> {
        Block {
            name,
            first,
            lines: Vec::new(),
        }
    }

    fn add(&mut self, line: &'a str, number: usize) -> Result<(), Refusal> {
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        if self.flag(key) {
            return Err(self.refusal(ModelDuplicate, key, "each key once", "it twice"));
        }
        if self.lines.len() >= LINES_MAX {
            let at = format!("line {number}, {}", self.name);
            let expected = format!("at most {LINES_MAX} lines (capacity)");
            return Err(ModelOverCapacity.at(at, expected, "more"));
        }
        self.lines.push((key, value, number));
        Ok(())
    }

    /// Value and line of a key.
    fn line(&self, key: &str) -> Option<(Option<&'a str>, usize)> {
        let (_, value, line) = self.lines.iter().find(|(known, ..)| *known == key)?;
        Some((*value, *line))
    }

    /// A refusal of the value of a key; see [`place`](Block::place).
    pub fn refusal(
        &self,
        kind: RefusalKind,
        key: &str,
        expected: impl ToString,
        got: impl ToString,
    ) -> Refusal {
        kind.at(self.place(key), expected, got)
    }

    /// Where a key stands, which may have an index in brackets.
    pub fn place(&self, key: &str) -> String {
        let bare = key.split(['[', ' ']).next().unwrap_or(key);
        let line = self.line(bare).map_or(self.first, |(_, line)| line);
        let key: String = key.chars().take(80).collect();
        let at = format!("line {line}, {} {key}", self.name);
        at.trim_end().to_owned()
    }

    /// Whether a key stands there without a value.
    pub fn flag(&self, key: &str) -> bool {
        self.line(key).is_some()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Result<&'a str, Refusal> {
        let value = self.line(key).and_then(|(value, _)| value);
        value.ok_or_else(|| self.refusal(ModelShape, key, format!("{key}=…"), "nothing"))
    }

    /// The value of a key that is a count.
    pub fn count(&self, key: &str) -> Result<usize, Refusal> {
        self.number(self.get(key)?, || key.to_owned())
    }

    /// The value of a key that is a count, and may be missing.
    pub fn count_or(&self, key: &str, default: usize) -> Result<usize, Refusal> {
        match self.flag(key) {
            true => self.count(key),
            false => Ok(default),
        }
    }

    /// The value of a key that is a list of this many numbers.
    pub fn numbers<T: FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>, Refusal> {
        let value = self.get(key)?;
        let got = value.split_ascii_whitespace().count();
        if got != count {
            let expected = format!("{count} numbers");
            return Err(self.refusal(ModelShape, key, expected, got));
        }
        let words = value.split_ascii_whitespace().enumerate();
        words
            .map(|(index, word)| self.number(word, || format!("{key}[{index}]")))
            .collect()
    }

    fn number<T: FromStr>(&self, word: &str, at: impl Fn() -> String) -> Result<T, Refusal> {
        word.parse().map_err(|_| {
            let kind = std::any::type_name::<T>();
            let shown: String = word.chars().take(40).collect();
            let expected = format!("a number ({kind})");
            self.refusal(ModelValue, &at(), expected, format!("{shown:?}"))
        })
    }
}
