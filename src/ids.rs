//! Identifiers: of a table's content, of a generation, and of a feature's position in a row.

use crate::hex;
use std::fmt;
use std::str::FromStr;

/// The content hash of a table: XXH3-128 of all sections, in the byte order of the header.
///
/// Its text is 32 lower-case hexadecimal digits, in files, in JSON and in messages. No other text
/// is parsed, so the text cannot lead to another folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct ContentId(pub [u8; 16]);

/// The form of a [`ContentId`], for messages.
const CONTENT_ID: &str = "32 lower-case hexadecimal digits";

impl ContentId {
    /// Returns the digits in ASCII.
    pub fn digits(self) -> [u8; 32] {
        let digit = |nibble: u8| match nibble {
            0..=9 => nibble.wrapping_add(b'0'),
            _ => nibble.wrapping_sub(10).wrapping_add(b'a'),
        };
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        digits
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        f.pad(std::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

/// Error of parsing a [`ContentId`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContentIdError {
    /// The text.
    pub got: String,
}

impl fmt::Display for ContentIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {CONTENT_ID}, got {:?}", self.got)
    }
}

impl std::error::Error for ContentIdError {}

impl FromStr for ContentId {
    type Err = ContentIdError;

    fn from_str(text: &str) -> Result<ContentId, ContentIdError> {
        let lower = !text.bytes().any(|digit| digit.is_ascii_uppercase());
        let bytes = hex::decode(text).filter(|_| lower);
        let error = || ContentIdError { got: text.into() };
        bytes.map(ContentId).ok_or_else(error)
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for ContentId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for ContentId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The form of an optional [`ContentId`] in reports: an empty text without one.
#[cfg(feature = "serde")]
pub mod or_empty {
    use super::ContentId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the id, or an empty text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(id: &Option<ContentId>, to: S) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => to.collect_str(id),
            None => to.serialize_str(""),
        }
    }

    /// Reads an id, or an empty text.
    ///
    /// # Errors
    /// If the text is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<ContentId>, D::Error> {
        match String::deserialize(from)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_id_is_read_as_it_is_written_and_in_no_other_form() {
        let text = "0123456789abcdef00ff10f0deadbeef";
        let id: ContentId = text.parse().unwrap();
        assert_eq!((id.0[0], id.0[15]), (0x01, 0xef));
        assert_eq!(
            (id.to_string(), id.digits().as_slice()),
            (text.into(), text.as_bytes())
        );
        assert_eq!(
            format!("{id:>34}|{id:?}"),
            format!("  {text}|ContentId({text})")
        );
        for bad in [
            "",
            &text[1..],
            "../../../../../../etc/passwd",
            &text.to_uppercase(),
        ] {
            let error = bad.parse::<ContentId>().unwrap_err();
            let expected = format!("expected 32 lower-case hexadecimal digits, got {bad:?}");
            assert_eq!(error.to_string(), expected);
        }
        assert!(format!("{text}0").parse::<ContentId>().is_err());
    }
}
