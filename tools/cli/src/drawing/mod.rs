//! Pages and plots, written by hand as HTML and SVG: no script, nothing from a network.
//!
//! Colours are classes, so that the page's style decides them, for light, dark and paper.

pub mod plot;

use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// Returns text that may be part of a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Nanoseconds, with the unit that suits them.
pub fn time(nanos: f64) -> String {
    let digits = |value: f64| match value {
        v if v >= 99.95 => format!("{v:.0}"),
        v if v >= 9.995 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    };
    match nanos {
        n if n >= 999.5e6 => format!("{} s", digits(n / 1e9)),
        n if n >= 999.5e3 => format!("{} ms", digits(n / 1e6)),
        n if n >= 999.5 => format!("{} µs", digits(n / 1e3)),
        n => format!("{n:.0} ns"),
    }
}

/// A count, with k or M if it is large.
pub fn count(value: f64) -> String {
    match value {
        v if v >= 999.5e3 => format!("{:.2} M", v / 1e6),
        v if v >= 99.5e3 => format!("{:.0} k", v / 1e3),
        v if v >= 9_999.5 => format!("{:.1} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

/// A whole number in groups of three.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A plot with what it shows, in words and in figures.
#[derive(Default)]
pub struct Figure {
    /// The name by which tests and links find it.
    pub id: String,
    /// What it is of.
    pub title: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// A class of colour, and what it means.
    pub legend: Vec<(String, String)>,
    /// The drawing.
    pub svg: String,
    /// The same in figures: a head, and rows.
    pub table: (Vec<&'static str>, Vec<Vec<String>>),
}

/// A page that needs nothing else.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n",
        escaped(title)
    )
}

/// Figures next to each other, as far as the page is wide.
pub fn figures<'a>(all: impl IntoIterator<Item = &'a Figure>) -> String {
    let all: String = all.into_iter().map(figure).collect();
    format!("<section class=\"plots\" aria-label=\"Plots\">\n{all}</section>\n")
}

fn figure(it: &Figure) -> String {
    let mut out = format!(
        "<figure id=\"{}\" class=\"plot\">\n<figcaption>{}</figcaption>",
        it.id,
        escaped(&it.title)
    );
    let entries = it
        .legend
        .iter()
        .map(|(class, name)| format!("<li><i class=\"swatch {class}\"></i>{}</li>", escaped(name)));
    let legend: String = entries.collect();
    match legend.is_empty() {
        true => out.push('\n'),
        false => out += &format!("\n<ul class=\"legend\">{legend}</ul>\n"),
    }
    let (names, rows) = &it.table;
    let _ = writeln!(
        out,
        "{}<p class=\"about\">{}</p>\n<details><summary>In figures</summary>\n{}</details>\n\
         </figure>",
        it.svg,
        escaped(&it.about),
        table(names, rows)
    );
    out
}

/// A table with a head.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |words: Vec<&str>, tag: &str| -> String {
        let cells = words
            .iter()
            .map(|word| format!("<{tag}>{}</{tag}>", escaped(word)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows = rows
        .iter()
        .map(|row| line(row.iter().map(String::as_str).collect(), "td"));
    let (head, rows): (String, String) = (line(head.to_vec(), "th"), rows.collect());
    format!("<div class=\"wide\"><table>\n{head}{rows}</table></div>\n")
}

/// Names and values.
pub fn facts(pairs: &[(&str, String)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(value)));
    format!("<dl>\n{}</dl>\n", pairs.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let times = [0.4, 999.0, 1_000.0, 99_949.0, 1_234_567.0, 5e9].map(time);
        assert_eq!(
            times,
            ["0 ns", "999 ns", "1.00 µs", "99.9 µs", "1.23 ms", "5.00 s"]
        );
        assert_eq!(
            [950.0, 12_345.0, 250_000.0, 2_345_000.0].map(count),
            ["950", "12.3 k", "250 k", "2.35 M"]
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(escaped("<a \"b\" & c>"), "&lt;a &quot;b&quot; &amp; c&gt;");
    }
}
