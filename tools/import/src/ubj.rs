//! Typed Universal Binary JSON, as XGBoost writes it: the same interface and errors as [`json`],
//! with byte positions.
//!
//! Numbers are big-endian. Keys and strings have a length, arrays may have a count, and numerical
//! arrays one marker for all elements; each is held to the bytes that are left before anything is
//! made of it. Sized objects, high-precision numbers, characters and no-ops are not written by
//! XGBoost, and are refused.

use crate::json;
use hedgerow::Refusal;
use hedgerow::RefusalKind::{ModelMalformed, ModelOverCapacity};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;

/// Nesting of arrays and objects: as many levels as the JSON parser takes.
const DEPTH_MAX: usize = 127;

/// Parses the whole input as one `T`.
pub(crate) fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Refusal> {
    let mut reader = Reader {
        rest: bytes,
        depth: 0,
    };
    let parsed = serde_path_to_error::deserialize(&mut reader);
    let at = bytes.len().saturating_sub(reader.rest.len());
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        refusal(error.into_inner(), &path, at)
    })?;
    match reader.rest {
        [] => Ok(value),
        [byte, ..] => Err(ModelMalformed.at(
            format!("byte {at}"),
            "the end of the file",
            format!("more bytes, the first 0x{byte:02x}"),
        )),
    }
}

/// Why reading stops.
#[derive(Debug)]
enum Fault {
    /// The input ends.
    End,
    /// The input is no UBJSON, or a part of it that is not read here.
    Syntax { expected: &'static str, got: String },
    /// Too many levels.
    Depth,
    /// A value of another type than `T` has there.
    Data(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::End => f.write_str("the end of the file"),
            Fault::Syntax { expected, got } => write!(f, "expected {expected}, got {got}"),
            Fault::Depth => f.write_str("too many levels"),
            Fault::Data(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::Data(message.to_string())
    }
}

fn refusal(fault: Fault, path: &str, at: usize) -> Refusal {
    let place = format!("byte {at}");
    match fault {
        Fault::End => ModelMalformed
            .at(place, "more UBJSON", "the end of the file")
            .with_hint("the export or copy may have been cut off"),
        Fault::Syntax { expected, got } => ModelMalformed.at(place, expected, got),
        Fault::Depth => {
            let expected = format!("at most {DEPTH_MAX} levels of nesting (capacity)");
            ModelOverCapacity.at(place, expected, "more")
        }
        Fault::Data(message) => json::data_refusal(&message, path, &place),
    }
}

/// What is yet to be read.
struct Reader<'de> {
    rest: &'de [u8],
    depth: usize,
}

impl<'de> Reader<'de> {
    fn marker(&mut self) -> Result<u8, Fault> {
        let (marker, rest) = self.rest.split_first().ok_or(Fault::End)?;
        self.rest = rest;
        Ok(*marker)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Fault::End)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Fault> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Fault::End)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Fault> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            other => return Err(syntax("a length: one of iUIlL", other)),
        })
    }

    /// A length or count of things of at least `bytes` bytes each, that fits what is left.
    fn length(&mut self, marker: u8, bytes: usize) -> Result<usize, Fault> {
        let number = self.integer(marker)?;
        let length = usize::try_from(number).map_err(|_| Fault::Syntax {
            expected: "a length that is not negative",
            got: number.to_string(),
        })?;
        match length.checked_mul(bytes) {
            Some(bytes) if bytes <= self.rest.len() => Ok(length),
            _ => Err(Fault::End),
        }
    }

    fn text(&mut self, marker: u8) -> Result<&'de str, Fault> {
        let length = self.length(marker, 1)?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| Fault::Syntax {
            expected: "text in UTF-8",
            got: "other bytes".to_owned(),
        })
    }

    /// The head of an array, after its `[`.
    fn elements(&mut self) -> Result<Elements, Fault> {
        match self.rest.first() {
            Some(b'$') => {
                self.marker()?;
                let kind = self.marker()?;
                let bytes = match kind {
                    b'i' | b'U' => 1,
                    b'I' => 2,
                    b'l' | b'd' => 4,
                    b'L' | b'D' => 8,
                    other => return Err(syntax("an array of one of iUIlLdD", other)),
                };
                match self.marker()? {
                    b'#' => {}
                    other => return Err(syntax("# and the array's count", other)),
                }
                let marker = self.marker()?;
                let left = self.length(marker, bytes)?;
                Ok(Elements::Typed { kind, bytes, left })
            }
            Some(b'#') => {
                self.marker()?;
                let marker = self.marker()?;
                let left = self.length(marker, 1)?;
                Ok(Elements::Counted { left })
            }
            _ => Ok(Elements::Open),
        }
    }

    /// The value that a marker announces.
    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value, Fault> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => {
                let number = self.integer(marker)?;
                match u64::try_from(number) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => visitor.visit_i64(number),
                }
            }
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'S' => {
                let marker = self.marker()?;
                visitor.visit_borrowed_str(self.text(marker)?)
            }
            b'[' => self.nested(|reader| {
                let mut elements = reader.elements()?;
                let value = visitor.visit_seq(List {
                    reader,
                    elements: &mut elements,
                })?;
                match elements {
                    Elements::Typed { left: 0, .. }
                    | Elements::Counted { left: 0 }
                    | Elements::Ended => Ok(value),
                    _ => Err(Fault::Data("more elements, expected fewer".into())),
                }
            }),
            b'{' => self.nested(|reader| visitor.visit_map(Object { reader })),
            other => Err(syntax("a value: one of ZTFiUIlLdDS[{", other)),
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'de>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth >= DEPTH_MAX {
            return Err(Fault::Depth);
        }
        self.depth = self.depth.saturating_add(1);
        let value = read(self)?;
        self.depth = self.depth.saturating_sub(1);
        Ok(value)
    }
}

fn syntax(expected: &'static str, got: u8) -> Fault {
    let got = match got {
        0x20..=0x7e => format!("`{}`", char::from(got)),
        other => format!("0x{other:02x}"),
    };
    Fault::Syntax { expected, got }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.rest.first() {
            Some(b'Z') => {
                self.marker()?;
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !self.rest.starts_with(b"[$") {
            return self.deserialize_any(visitor);
        }
        self.marker()?;
        if let Elements::Typed { bytes, left, .. } = self.elements()? {
            self.take(bytes.saturating_mul(left))?;
        }
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// How an array goes on.
enum Elements {
    /// Numbers of one kind.
    Typed { kind: u8, bytes: usize, left: usize },
    /// Values of any kind.
    Counted { left: usize },
    /// Values up to a `]`.
    Open,
    /// The `]` was read.
    Ended,
}

struct List<'a, 'de> {
    reader: &'a mut Reader<'de>,
    elements: &'a mut Elements,
}

impl<'de> SeqAccess<'de> for List<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let kind = match self.elements {
            Elements::Typed { left: 0, .. } | Elements::Counted { left: 0 } | Elements::Ended => {
                return Ok(None);
            }
            Elements::Typed { kind, left, .. } => {
                *left = left.saturating_sub(1);
                Some(*kind)
            }
            Elements::Counted { left } => {
                *left = left.saturating_sub(1);
                None
            }
            Elements::Open => {
                if self.reader.rest.first() == Some(&b']') {
                    self.reader.marker()?;
                    *self.elements = Elements::Ended;
                    return Ok(None);
                }
                None
            }
        };
        match kind {
            Some(kind) => seed.deserialize(Number {
                reader: &mut *self.reader,
                kind,
            }),
            None => seed.deserialize(&mut *self.reader),
        }
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        match *self.elements {
            Elements::Typed { left, .. } | Elements::Counted { left } => Some(left),
            Elements::Open | Elements::Ended => None,
        }
    }
}

/// A number of an array that has one marker for all.
struct Number<'a, 'de> {
    reader: &'a mut Reader<'de>,
    kind: u8,
}

impl<'de> Deserializer<'de> for Number<'_, 'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.reader.value(self.kind, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Object<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> MapAccess<'de> for Object<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let marker = self.reader.marker()?;
        if marker == b'}' {
            return Ok(None);
        }
        let key = self.reader.text(marker)?;
        let key = serde::de::value::BorrowedStrDeserializer::new(key);
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(&mut *self.reader)
    }
}
