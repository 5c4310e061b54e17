//! The known values of a row as one line of text: for access logs and explanations.
//!
//! The values that are not missing follow each other in the schema's order, with a space between:
//! `name` for 1, `-name` for 0, `name=value` for any other. Missing values are left out. Names
//! outlive a schema's positions, so a later version reads what an earlier one wrote.

use crate::row::Row;
use crate::schema::Schema;
use std::fmt::Write;

/// Returns the known values of a row of `schema`. Allocates: for requests that are written down.
pub fn facts(schema: &Schema, row: &Row) -> String {
    let mut text = String::with_capacity(1_024);
    for (feature, value) in schema.features().iter().zip(row.values()) {
        if value.is_nan() {
            continue;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        // A `String` takes everything.
        let _ = if *value == 1.0 {
            write!(text, "{}", feature.name)
        } else if *value == 0.0 {
            write!(text, "-{}", feature.name)
        } else {
            write!(text, "{}={value}", feature.name)
        };
    }
    text
}

/// Returns the names and values of a line that [`facts`] wrote, in its order.
///
/// # Errors
/// The word that is no value.
pub fn parse_facts(text: &str) -> Result<Vec<(&str, f32)>, &str> {
    text.split_ascii_whitespace().map(parse_fact).collect()
}

fn parse_fact(word: &str) -> Result<(&str, f32), &str> {
    let (name, value) = match (word.strip_prefix('-'), word.split_once('=')) {
        (Some(name), None) => (name, 0.0),
        (None, Some((name, value))) => (name, value.parse().map_err(|_| word)?),
        (None, None) => (word, 1.0),
        (Some(_), Some(_)) => return Err(word),
    };
    let known = !name.is_empty() && !name.starts_with('-') && f32::is_finite(value);
    known.then_some((name, value)).ok_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back() {
        let schema = Schema::http();
        let values = [1.0, 0.0, f32::NAN, 2.5, f32::MIN_POSITIVE, -3.0];
        let row = Row::from_slice(&values);
        let text = facts(&schema, &row);
        let parsed = parse_facts(&text).unwrap();
        let known = schema.features().iter().zip(values);
        let known = known.filter(|(_, value)| !value.is_nan());
        assert_eq!(parsed.len(), 5);
        for ((name, value), (feature, wanted)) in parsed.into_iter().zip(known) {
            assert_eq!((name, value), (feature.name.as_str(), wanted));
        }
        assert_eq!(facts(&schema, &Row::MISSING), "");
    }

    #[test]
    fn a_word_that_is_no_value_is_named() {
        for wrong in ["a=", "=1", "a=x", "a=inf", "-a=1", "-", "--a", "a=1=2"] {
            let text = format!("ua_frame {wrong} ua_bot");
            assert_eq!(parse_facts(&text), Err(wrong));
        }
        assert_eq!(parse_facts(" \n"), Ok(vec![]));
    }
}
