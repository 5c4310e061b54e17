//! The values of Accept, Accept-Language, Accept-Encoding and the client hints.

use super::bytes::{bare, contains, dotted, from, list, starts};

/// What an `Accept` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Accept {
    /// Begins with `text/html`: a page is asked for.
    pub document: bool,
    /// Takes anything, and says nothing else.
    pub any: bool,
    /// Names `image/webp` or `image/avif`.
    pub images: bool,
    /// Names `application/signed-exchange`, as Chromium's navigations do.
    pub exchange: bool,
    /// Names `image/avif`.
    pub avif: bool,
    /// The tenths of the quality that `application/signed-exchange` has, 0 where it has none.
    pub exchange_tenths: u8,
    /// Names `application/xml;q=0.9` and `*/*;q=0.8`, as every browser's navigations do.
    pub navigation: bool,
}

/// What current browsers send for a page: Chromium, then Firefox and Safari.
const PAGES: [&[u8]; 2] = [
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,\
      */*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
];

impl Accept {
    /// Reads an Accept. What most requests for pages send is known without a look at its parts.
    pub fn parse(value: &[u8]) -> Accept {
        let [chromium, plain] = PAGES;
        if value == chromium || value == plain {
            let images = value == chromium;
            return Accept {
                document: true,
                navigation: true,
                images,
                avif: images,
                exchange: images,
                exchange_tenths: if images { 7 } else { 0 },
                any: false,
            };
        }
        Accept::read(value)
    }

    fn read(value: &[u8]) -> Accept {
        let document = starts(value, b"text/html");
        let mut found = Accept {
            document,
            any: value == b"*/*",
            ..Accept::default()
        };
        if !document {
            return found;
        }
        let (mut xml, mut rest) = (false, false);
        for entry in list(value).take(LIST_MAX) {
            match entry {
                [b'i', ..] => {
                    found.avif |= starts(entry, b"image/avif");
                    found.images |= found.avif || starts(entry, b"image/webp");
                }
                b"application/xml;q=0.9" => xml = true,
                b"*/*;q=0.8" => rest = true,
                [b'a', ..] if starts(entry, b"application/signed-exchange") => {
                    found.exchange = true;
                    if let [.., b';', b'q', b'=', b'0', b'.', tenths @ b'1'..=b'9'] = entry {
                        found.exchange_tenths = tenths.wrapping_sub(b'0');
                    }
                }
                _ => {}
            }
        }
        found.navigation = xml && rest;
        found
    }
}

/// Entries of a list that are looked at.
const LIST_MAX: usize = 24;

/// What an `Accept-Language` shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Language {
    /// A form that no browser's own code writes: a wildcard, `q=1`, spaces, a rising or broken
    /// quality.
    pub odd: bool,
    /// How many languages.
    pub entries: u8,
    /// Qualities other than 1, 0.9, 0.8 and so on.
    pub uneven: bool,
    /// A region in lower case.
    pub lower_region: bool,
}

impl Language {
    pub fn parse(value: &[u8]) -> Language {
        let mut found = Language {
            odd: value.iter().any(|byte| !byte.is_ascii_graphic()),
            ..Language::default()
        };
        let (mut last, mut due) = (10, 10_u8);
        for entry in list(value).take(LIST_MAX) {
            let tag = bare(entry);
            let quality = match from(entry, tag.len()) {
                b"" => 10,
                // WebKitGTK writes two digits.
                [b';', b'q', b'=', b'0', b'.', digit @ b'1'..=b'9']
                | [
                    b';',
                    b'q',
                    b'=',
                    b'0',
                    b'.',
                    digit @ b'1'..=b'9',
                    b'0'..=b'9',
                ] => digit.wrapping_sub(b'0'),
                _ => 11,
            };
            found.entries = found.entries.saturating_add(1);
            found.uneven |= quality != due;
            due = due.saturating_sub(1).max(1);
            found.lower_region |= matches!(tag, [_, _, b'-', b'a'..=b'z', b'a'..=b'z']);
            found.odd |= quality > last
                || tag.is_empty()
                || !tag
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
            last = quality;
        }
        found
    }
}

/// What an `Accept-Encoding` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Encoding {
    /// Codings that were looked at.
    count: u8,
    pub gzip: bool,
    pub deflate: bool,
    pub br: bool,
    pub zstd: bool,
    /// A coding that browsers do not offer, or `gzip` behind `deflate`.
    pub odd: bool,
    /// Byte for byte what Chromium and Firefox send, some codings left off.
    pub exact: bool,
    /// `identity` first: what browsers send for media.
    pub identity: bool,
}

impl Encoding {
    /// Reads an Accept-Encoding. What browsers send over TLS and in plain text is known without a
    /// look at its parts.
    pub fn parse(value: &[u8]) -> Encoding {
        let count = match value {
            b"gzip, deflate, br, zstd" => 4,
            b"gzip, deflate, br" => 3,
            b"gzip, deflate" => 2,
            _ => return Encoding::read(value),
        };
        Encoding {
            count,
            gzip: true,
            deflate: true,
            br: count >= 3,
            zstd: count == 4,
            odd: false,
            exact: true,
            identity: false,
        }
    }

    fn read(value: &[u8]) -> Encoding {
        let mut found = Encoding {
            exact: matches!(
                value,
                b"gzip, deflate, br, zstd"
                    | b"gzip, deflate, br"
                    | b"gzip, deflate"
                    | b"gzip, deflate, br, zstd, dcb, dcz"
                    | b"identity"
                    | b"identity;q=1, *;q=0"
            ),
            ..Encoding::default()
        };
        for entry in list(value).take(LIST_MAX) {
            found.count = found.count.saturating_add(1);
            match bare(entry) {
                b"gzip" => {
                    found.odd |= found.deflate;
                    found.gzip = true;
                }
                b"deflate" => found.deflate = true,
                b"br" => found.br = true,
                b"zstd" => found.zstd = true,
                b"identity" => found.identity |= found.count == 1,
                b"*" if found.identity => {}
                b"dcb" | b"dcz" => {}
                _ => found.odd = true,
            }
        }
        found
    }
}

/// What `sec-ch-ua` shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brands {
    /// The version of the brand Chromium, 0 where it is not listed.
    pub chromium: u32,
    /// Names Edge.
    pub edge: bool,
    /// Names a headless browser.
    pub headless: bool,
    /// Lists the made-up brand that keeps sites from hard-wiring the list.
    pub grease: bool,
    /// An entry that is no quoted name with a quoted number, or another separator.
    pub malformed: bool,
}

impl Brands {
    pub fn parse(value: &[u8]) -> Brands {
        let mut found = Brands {
            malformed: value.is_empty(),
            ..Brands::default()
        };
        let mut opening = b"\"".as_slice();
        for entry in brands(value).take(8) {
            let spaced = entry.starts_with(opening);
            opening = b" \"";
            let entry = entry.trim_ascii();
            found.malformed |= !spaced || !is_brand(entry);
            let name = from(entry, 1);
            if starts(name, b"Chromium\"") {
                let version = entry.iter().position(|byte| *byte == b'=');
                let version = version.map(|at| from(entry, at.saturating_add(2)));
                found.chromium = version.map_or(0, |text| dotted(text).major);
            } else if starts(name, b"Microsoft Edge\"") {
                found.edge = true;
            } else if starts(name, b"Headless") {
                found.headless = true;
            } else if contains(entry, b"brand") {
                found.grease = true;
            }
        }
        found
    }
}

/// The entries of a list of quoted brands: a made-up brand may hold a comma or a semicolon.
fn brands(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    value.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    })
}

/// `"name";v="number"`.
fn is_brand(entry: &[u8]) -> bool {
    let Some(name) = entry.strip_prefix(b"\"") else {
        return false;
    };
    let Some(end) = name.iter().position(|byte| *byte == b'"') else {
        return false;
    };
    match from(name, end) {
        [b'"', b';', b'v', b'=', b'"', version @ .., b'"'] => {
            !version.is_empty() && version.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pages_read_as_their_parts_do() {
        for page in PAGES {
            assert_eq!(Accept::parse(page), Accept::read(page));
        }
    }

    #[test]
    fn known_encodings_read_as_their_parts_do() {
        for value in [
            "gzip, deflate, br, zstd",
            "gzip, deflate, br",
            "gzip, deflate",
        ] {
            let read = Encoding::read(value.as_bytes());
            assert_eq!(Encoding::parse(value.as_bytes()), read, "{value}");
            assert!(read.exact && read.gzip);
        }
    }
}
