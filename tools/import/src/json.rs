//! Typed JSON with errors that say where: a path for a wrong value, a line and column for broken
//! syntax.

use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelDuplicate, ModelMalformed, ModelOverCapacity, ModelShape};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Parses the whole input as one `T`.
///
/// Nesting is bounded by the parser to 128 levels, so no input overflows the stack.
pub(crate) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Refusal> {
    let mut parser = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
        let path = error.path().to_string();
        refusal(error.inner(), &path)
    })?;
    parser.end().map_err(|error| refusal(&error, "."))?;
    Ok(value)
}

/// Returns a text in which `null` stands for the tokens `NaN`, `Infinity` and `-Infinity`, which
/// are no JSON. XGBoost 1.6 to 2.1 write them into the conditions of categorical splits and other
/// values that mean nothing; a value that means something is refused if it is `null`.
pub(crate) fn without_nan(bytes: &[u8]) -> Cow<'_, [u8]> {
    const TOKENS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let (mut out, mut kept) = (Vec::new(), 0);
    let (mut in_text, mut at) = (false, 0_usize);
    while let Some(rest @ [byte, ..]) = bytes.get(at..) {
        let token = TOKENS
            .iter()
            .find(|token| !in_text && rest.starts_with(token));
        match (byte, token) {
            (_, Some(token)) => {
                out.extend_from_slice(bytes.get(kept..at).unwrap_or_default());
                out.extend_from_slice(b"null");
                kept = at.saturating_add(token.len());
                at = kept;
                continue;
            }
            (b'\\', _) if in_text => at = at.saturating_add(1),
            (b'"', _) => in_text = !in_text,
            _ => {}
        }
        at = at.saturating_add(1);
    }
    if kept == 0 {
        return Cow::Borrowed(bytes);
    }
    out.extend_from_slice(bytes.get(kept..).unwrap_or_default());
    Cow::Owned(out)
}

/// The keys of an object's top level, at most [`Keys::MAX`] of them.
pub(crate) struct Keys(pub Vec<String>);

impl Keys {
    const MAX: usize = 256;
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Keys, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if keys.contains(&key) {
                        let message = format_args!("duplicate field `{key}`");
                        return Err(A::Error::custom(message));
                    }
                    // The keys of models are short, and no model has more than a few.
                    if key.len() <= 64 && keys.len() < Keys::MAX {
                        keys.push(key);
                    }
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A list of at most `MAX` values: the bound holds while it is being read.
pub(crate) struct Bounded<T, const MAX: usize>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MAX: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for List<T, MAX> {
            type Value = Bounded<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} (capacity)")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while values.len() < MAX {
                    match list.next_element()? {
                        Some(value) => values.push(value),
                        None => return Ok(Bounded(values)),
                    }
                }
                match list.next_element::<IgnoredAny>()? {
                    Some(_) => Err(A::Error::invalid_length(MAX.saturating_add(1), &self)),
                    None => Ok(Bounded(values)),
                }
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

/// A list of categories, which should be their own codes: 0, 1, 2 and so on.
pub(crate) struct Codes {
    /// The first that is not, as it is written, and its position.
    pub stray: Option<(usize, String)>,
}

impl<'de> Deserialize<'de> for Codes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Codes, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Codes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of categories")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Codes, A::Error> {
                let mut stray = None;
                let mut position = 0_usize;
                while let Some(code) = list.next_element::<&RawValue>()? {
                    // What is no number in JSON is none in Rust either.
                    let text = code.get();
                    if text.parse() != Ok(position as f64) && stray.is_none() {
                        stray = Some((position, text.chars().take(80).collect()));
                    }
                    position = position.saturating_add(1);
                }
                Ok(Codes { stray })
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// The parser's error in this crate's words.
fn refusal(error: &serde_json::Error, path: &str) -> Refusal {
    let place = format!("line {}, column {}", error.line(), error.column());
    let message = error.to_string();
    let message = match message.rfind(" at line ") {
        Some(end) => message.get(..end).unwrap_or(&message),
        None => &message,
    };
    match error.classify() {
        Category::Syntax if message == "recursion limit exceeded" => {
            let expected = "at most 127 levels of nesting (capacity)";
            ModelOverCapacity.at(place, expected, "more")
        }
        Category::Eof => ModelMalformed
            .at(
                place,
                "more JSON",
                format!("the end of the file ({message})"),
            )
            .with_hint("the export or copy may have been cut off"),
        Category::Syntax | Category::Io => ModelMalformed.at(place, "well-formed JSON", message),
        Category::Data => data_refusal(message, path, &place),
    }
}

/// A value of the wrong type or length, or a key that is missing or stands twice.
pub(crate) fn data_refusal(message: &str, path: &str, place: &str) -> Refusal {
    let at = match path {
        "." => place.to_owned(),
        path => format!("{path} ({place})"),
    };
    if let Some(key) = message.strip_prefix("missing field ") {
        return ModelShape.at(at, format!("the key {key}"), "nothing");
    }
    if let Some(key) = message.strip_prefix("duplicate field ") {
        let got = format!("the key {key} twice");
        return ModelDuplicate.at(at, "each key once", got);
    }
    let (got, expected) = message
        .split_once(", expected ")
        .unwrap_or((message, "another value"));
    let kinds = ["invalid type: ", "invalid value: ", "invalid length "];
    let length = got.starts_with("invalid length ");
    let got = kinds
        .iter()
        .find_map(|kind| got.strip_prefix(kind))
        .unwrap_or(got);
    match length {
        true if expected.ends_with("(capacity)") => {
            ModelOverCapacity.at(at, expected, format!("{got} or more"))
        }
        true => ModelShape.at(at, expected, format!("{got} elements")),
        false => ModelShape.at(at, expected, got),
    }
}
