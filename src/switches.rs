//! Kill switches: the set of what is switched off, and the text of a selector.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// A target of a kill switch. There is no selector for everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Selector {
    /// `engine`: every verdict is `NotScored(Disabled)`.
    Engine,
    /// `ensemble`: no row is scored by trees.
    Ensemble,
    /// `feature:NAME`: the feature is missing in every row.
    Feature(String),
    /// `detection:ID`: the detection is never reported.
    Detection(u32),
}

/// Error of parsing a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// The text.
    pub got: String,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a selector: expected {SELECTORS}", self.got)
    }
}

impl std::error::Error for SelectorError {}

/// The forms of a selector, for messages.
pub const SELECTORS: &str = "engine, ensemble, feature:NAME or detection:ID";

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Engine => f.write_str("engine"),
            Selector::Ensemble => f.write_str("ensemble"),
            Selector::Feature(name) => write!(f, "feature:{name}"),
            Selector::Detection(id) => write!(f, "detection:{id}"),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Parses exactly the printed form: no spaces, no other case, no leading zeros, nothing empty.
    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        let parsed = match text.split_once(':') {
            None if text == "engine" => Some(Selector::Engine),
            None if text == "ensemble" => Some(Selector::Ensemble),
            Some(("feature", name)) => crate::schema::check_name(name.as_bytes())
                .ok()
                .map(|()| Selector::Feature(name.into())),
            Some(("detection", id)) => id.parse().ok().map(Selector::Detection),
            _ => None,
        };
        parsed
            .filter(|selector| selector.to_string() == text)
            .ok_or_else(|| SelectorError { got: text.into() })
    }
}

/// The set of selectors that are switched off. Usually empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Switches {
    off: BTreeSet<Selector>,
}

impl Switches {
    /// Switches the selector off. Returns `true` if it was on before.
    pub fn kill(&mut self, selector: Selector) -> bool {
        self.off.insert(selector)
    }

    /// Switches the selector on again. Returns `true` if it was off before.
    pub fn restore(&mut self, selector: &Selector) -> bool {
        self.off.remove(selector)
    }

    /// Returns whether this selector is switched off.
    pub fn is_off(&self, selector: &Selector) -> bool {
        self.off.contains(selector)
    }

    /// Returns the selectors that are switched off, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Selector> {
        self.off.iter()
    }

    /// Returns the number of selectors that are switched off.
    pub fn len(&self) -> usize {
        self.off.len()
    }

    /// Returns whether nothing is switched off.
    pub fn is_empty(&self) -> bool {
        self.off.is_empty()
    }
}

impl FromIterator<Selector> for Switches {
    fn from_iter<I: IntoIterator<Item = Selector>>(selectors: I) -> Switches {
        Switches {
            off: selectors.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_taken_as_it_is_printed_and_no_other_way() {
        for text in ["engine", "ensemble", "feature:path.depth", "detection:0"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        let long = format!("feature:{}", "x".repeat(57));
        for text in [
            "",
            " ",
            "*",
            "all",
            "ENGINE",
            "engine ",
            "engine:",
            "engine:1",
            "feature",
            "feature:",
            "feature: x",
            "feature:a,b",
            "detection",
            "detection:",
            "detection:-1",
            "detection:01",
            "detection:+1",
            "detection:all",
            "detection:4294967296",
            "tree:1",
            ":",
            &long,
        ] {
            let refused = text.parse::<Selector>().unwrap_err();
            assert_eq!(refused.got, text);
            assert!(refused.to_string().contains("feature:NAME"), "{refused}");
        }
    }
}
