//! The values of Accept, Accept-Language, Accept-Encoding and the client hints.

use super::bytes::{bare, contains, dotted, find, from, list, starts};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// Reads an Accept-Language: in one pass where it has the plain form of browsers.
    pub fn parse(value: &[u8]) -> Language {
        Language::plain(value).unwrap_or_else(|| Language::read(value))
    }

    /// Tags of letters, digits and dashes, each with nothing behind it or `;q=0.` and a digit or
    /// two, and one comma between them. None for all else.
    fn plain(value: &[u8]) -> Option<Language> {
        let mut found = Language::default();
        let (mut last, mut due) = (10, 10_u8);
        let mut rest = value;
        for _ in 0..LIST_MAX {
            let length = rest.iter().position(|byte| !is_tag(*byte));
            let (tag, after) = rest.split_at_checked(length.unwrap_or(rest.len()))?;
            if tag.is_empty() {
                return None;
            }
            let (quality, after) = match after {
                [] | [b',', ..] => (10, after),
                [
                    b';',
                    b'q',
                    b'=',
                    b'0',
                    b'.',
                    digit @ b'1'..=b'9',
                    after @ ..,
                ] => {
                    let after = match after {
                        [b'0'..=b'9', after @ ..] => after,
                        _ => after,
                    };
                    (digit.wrapping_sub(b'0'), after)
                }
                _ => return None,
            };
            found.entries = found.entries.wrapping_add(1);
            found.uneven |= quality != due;
            due = due.saturating_sub(1).max(1);
            found.lower_region |= matches!(tag, [_, _, b'-', b'a'..=b'z', b'a'..=b'z']);
            found.odd |= quality > last;
            last = quality;
            match after {
                [] => return Some(found),
                [b',', after @ ..] => rest = after,
                _ => return None,
            }
        }
        None
    }

    fn read(value: &[u8]) -> Language {
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

/// A byte of a language tag.
fn is_tag(byte: u8) -> bool {
    static TAGS: [bool; 256] = {
        let mut tags = [false; 256];
        let mut rest = tags.as_mut_slice();
        let mut byte = 0_u8;
        while let [tag, tail @ ..] = rest {
            *tag = byte.is_ascii_alphanumeric() || byte == b'-';
            byte = byte.wrapping_add(1);
            rest = tail;
        }
        tags
    };
    TAGS.get(usize::from(byte)).copied().unwrap_or_default()
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
    /// Reads a list of brands: in one pass where it has the form that Chromium gives it.
    pub fn parse(value: &[u8]) -> Brands {
        Brands::plain(value).unwrap_or_else(|| Brands::read(value))
    }

    /// One to eight of `"name";v="number"`, with a comma and a space between them. None for all
    /// else.
    fn plain(value: &[u8]) -> Option<Brands> {
        let mut found = Brands::default();
        let mut rest = value;
        for _ in 0..8 {
            let name_on = rest.strip_prefix(b"\"")?;
            let (name, after) = name_on.split_at_checked(find(name_on, b'"')?)?;
            let mut number = after.strip_prefix(b"\";v=\"")?;
            let (mut version, mut digits) = (0_u32, 0_u8);
            while let [digit @ b'0'..=b'9', after @ ..] = number {
                let digit = u32::from(digit.wrapping_sub(b'0'));
                version = version.wrapping_mul(10).wrapping_add(digit);
                digits = digits.wrapping_add(1);
                // Nine digits would do, and no browser has them.
                if digits > 8 {
                    return None;
                }
                number = after;
            }
            let after = number.strip_prefix(b"\"")?;
            if digits == 0 {
                return None;
            }
            if name.eq_ignore_ascii_case(b"Chromium") {
                found.chromium = version;
            } else if name.eq_ignore_ascii_case(b"Microsoft Edge") {
                found.edge = true;
            } else if starts(name, b"Headless") {
                found.headless = true;
            } else {
                found.grease |= name.ends_with(b"Brand") || contains(name, b"brand");
            }
            match after {
                [] => return Some(found),
                [b',', b' ', after @ ..] => rest = after,
                _ => return None,
            }
        }
        None
    }

    fn read(value: &[u8]) -> Brands {
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
    fn plain_languages_read_as_their_parts_do() {
        let mut plain = 0;
        for tags in ["en", "en-GB", "en-us", "zh-Hans-CN", "1-", "*", "e_n", ""] {
            for quality in [
                "", ";q=0.9", ";q=0.85", ";q=0.0", ";q=1", ";q=0.123", "; q=0.9", ";",
            ] {
                for more in [
                    "",
                    ",",
                    ",en;q=0.8",
                    ", en;q=0.8",
                    ",en;q=0.9,fr;q=0.95",
                    ",*;q=0.5",
                ] {
                    let value = format!("{tags}{quality}{more}");
                    for end in 0..=value.len() {
                        let cut = value.as_bytes().get(..end).unwrap_or_default();
                        assert_eq!(
                            Language::parse(cut),
                            Language::read(cut),
                            "{value} to {end}"
                        );
                        plain += usize::from(Language::plain(cut).is_some());
                    }
                }
            }
        }
        let long = ["en"; LIST_MAX + 1].join(",");
        assert_eq!(
            Language::parse(long.as_bytes()),
            Language::read(long.as_bytes())
        );
        assert!(plain > 1_000, "{plain}");
    }

    #[test]
    fn plain_brands_read_as_their_parts_do() {
        let mut plain = 0;
        let names = [
            "Chromium",
            "chromium",
            "Microsoft Edge",
            "HeadlessChrome",
            "Not A;Brand",
            "Not_A Brand",
            "a brand, no",
            "Google Chrome",
            "brandx",
            "",
            "Chromium=7",
        ];
        for name in names {
            for version in [
                "8",
                "131",
                "",
                "131.0",
                "99999999",
                "999999999",
                "x",
                "000000000000131",
            ] {
                for more in [
                    "",
                    ",",
                    ", ",
                    ",\"A\";v=\"1\"",
                    ", \"Chromium\";v=\"130\"",
                    "; x",
                ] {
                    let value = format!("\"{name}\";v=\"{version}\"{more}");
                    for end in 0..=value.len() {
                        let cut = value.as_bytes().get(..end).unwrap_or_default();
                        assert_eq!(Brands::parse(cut), Brands::read(cut), "{value} to {end}");
                        plain += usize::from(Brands::plain(cut).is_some());
                    }
                }
            }
        }
        let long = ["\"a\";v=\"1\""; 9].join(", ");
        assert_eq!(
            Brands::parse(long.as_bytes()),
            Brands::read(long.as_bytes())
        );
        assert!(plain > 50, "{plain}");
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
