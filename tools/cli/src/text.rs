//! Text for people: names and values in two columns.

use hedgerow::refusal::printable;
use std::fmt::Display;

/// Lines of a name and a value.
pub struct Columns {
    width: usize,
    text: String,
}

impl Columns {
    /// Starts a text whose names take so many characters.
    pub fn new(width: usize) -> Columns {
        Columns {
            width,
            text: String::new(),
        }
    }

    /// Adds a line.
    pub fn line(&mut self, name: &str, value: impl Display) {
        let width = self.width;
        self.text += &format!("{name:<width$} {value}\n");
    }

    /// Adds a line for each value, all under one name.
    pub fn lines<T: Display>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        values.into_iter().for_each(|value| self.line(name, value));
    }

    /// Adds a line if there is a value.
    pub fn some(&mut self, name: &str, value: Option<impl Display>) {
        self.lines(name, value);
    }

    /// Adds text as it is.
    pub fn add(&mut self, text: &str) {
        self.text += text;
    }

    /// The text.
    pub fn end(self) -> String {
        self.text
    }
}

/// A list with commas, or a word for an empty one.
pub fn listed<T: Display>(all: impl IntoIterator<Item = T>, none: &str) -> String {
    let all: Vec<String> = all.into_iter().map(|one| one.to_string()).collect();
    if all.is_empty() {
        none.into()
    } else {
        all.join(", ")
    }
}

/// Returns [`printable`] lines.
pub fn printable_lines(text: &str) -> String {
    text.lines()
        .map(|line| format!("{}\n", printable(line)))
        .collect()
}
