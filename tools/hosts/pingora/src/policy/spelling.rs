//! The ways in which servers behind the proxy may read one path, method and host.
//!
//! A route must not be missed by a request that writes its path otherwise. Where servers read a
//! request in several ways, each reading has its route, and the strictest of them decides.

use super::PathPattern;
use http::header::HeaderName;
use pingora::http::RequestHeader;
use std::borrow::Cow;

/// How paths are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Paths {
    /// Byte for byte.
    Exact,
    /// As nginx reads them: escapes decoded once, `//`, `/./` and `/../` resolved.
    Nginx,
    /// In every way that a common server reads them; the strictest route decides.
    #[default]
    Any,
}

/// Times that escapes are decoded, at most: an upstream may stand behind others that decode.
const DECODED_MAX: usize = 5;

/// Headers by which frameworks take another method than the request's.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// One reading of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    path: Cow<'a, str>,
    /// The case of letters, a slash at the end and the like do not count.
    loose: bool,
}

impl Paths {
    /// The readings of a path, the plainest first.
    pub(super) fn readings(self, path: &str) -> Vec<Reading<'_>> {
        let strict = |path| Reading { path, loose: false };
        match self {
            Paths::Exact => vec![strict(Cow::Borrowed(path))],
            Paths::Nginx => vec![strict(normal(path))],
            Paths::Any if is_plain(path) && is_trimmed(path) => {
                let path = Cow::Borrowed(path);
                vec![strict(path.clone()), Reading { path, loose: true }]
            }
            Paths::Any => {
                let mut readings = vec![strict(normal(path))];
                let mut add = |reading: Reading<'_>| {
                    let reading = Reading {
                        path: Cow::Owned(reading.path.into_owned()),
                        loose: reading.loose,
                    };
                    if !readings.contains(&reading) {
                        readings.push(reading);
                    }
                };
                if !is_plain(path) {
                    add(strict(Cow::Borrowed(path)));
                }
                let early = resolved(&without_parameters(path.as_bytes()));
                let early = String::from_utf8_lossy(&early);
                for times in 1..=DECODED_MAX {
                    let literal = folded(&String::from_utf8_lossy(&decoded_times(path, times)));
                    for path in [
                        loose(path, times, false),
                        loose(path, times, true),
                        // Servers that cut and resolve before they decode, or do not resolve.
                        loose(&early, times, true),
                        trimmed(&literal).to_owned(),
                    ] {
                        let path = Cow::Owned(path);
                        add(Reading { path, loose: true });
                    }
                    if !path.contains('%') {
                        break;
                    }
                }
                readings
            }
        }
    }

    /// Returns `true` if a server may read any path out of a target: one that begins with no slash,
    /// that has escapes after the last decoding, or that is no text when decoded.
    pub(super) fn is_unclear(self, target: &[u8]) -> bool {
        if self != Paths::Any || target == b"*" {
            return false;
        }
        let path = target.split(|byte| matches!(byte, b'?' | b'#')).next();
        let path = path.unwrap_or_default();
        let plain = decoded_bytes(path, DECODED_MAX);
        !target.starts_with(b"/")
            || decoded(&plain) != plain
            || std::str::from_utf8(&plain).is_err()
    }
}

impl PathPattern {
    /// Returns the pattern of a path that ends in `*` or does not, written as requests are read.
    pub(super) fn new(start: String, open: bool) -> PathPattern {
        PathPattern {
            folded: folded(&start),
            start,
            open,
        }
    }

    /// Whether a reading of a request's path is this one.
    pub(super) fn holds(&self, reading: &Reading<'_>) -> bool {
        let path = &*reading.path;
        match (reading.loose, self.open) {
            (false, false) => path == self.start,
            (false, true) => path.starts_with(&self.start),
            (true, false) => path == trimmed(&self.folded),
            (true, true) => path.starts_with(&self.folded) || format!("{path}/") == self.folded,
        }
    }
}

/// The methods that a request may be taken for.
pub(super) fn methods(request: &RequestHeader, paths: Paths) -> Vec<&str> {
    let mut methods = vec![request.method.as_str()];
    if paths == Paths::Any {
        let others = { OVERRIDES.iter() }.flat_map(|name| request.headers.get_all(name));
        methods.extend(
            others
                .filter_map(|value| value.to_str().ok())
                .map(str::trim),
        );
    }
    methods
}

/// The host that servers take a text for, without its port, and without the dot that a full name
/// may end with; `None` for a text that is no host, which servers end at different places.
pub(crate) fn host(said: &[u8]) -> Option<&[u8]> {
    let (bare, rest) = match said {
        [b'[', ..] => {
            let end = said.iter().position(|byte| *byte == b']')?;
            said.split_at_checked(end.checked_add(1)?)?
        }
        _ => {
            let end = said.iter().position(|byte| *byte == b':');
            said.split_at_checked(end.unwrap_or(said.len()))?
        }
    };
    let port = match rest {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let bare = bare.strip_suffix(b".").unwrap_or(bare);
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let inner = { bare.strip_prefix(b"[") }.and_then(|rest| rest.strip_suffix(b"]"));
    let good = match inner {
        Some(address) => std::str::from_utf8(address)
            .is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !bare.is_empty() && !bare.ends_with(b".") && bare.iter().all(name),
    };
    (port && good).then_some(bare)
}

/// Whether every server reads a path in the same way, but for the case of its letters.
fn is_plain(path: &str) -> bool {
    let odd = |byte: u8| {
        !(byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'~' | b'.'))
    };
    !path.bytes().any(odd) && !path.contains("//") && !path.contains("/.")
}

/// Whether a plain path is as [`loose`] writes it.
fn is_trimmed(path: &str) -> bool {
    let upper = path.bytes().any(|byte| byte.is_ascii_uppercase());
    !upper && !path.contains("./") && !path.ends_with(['.', '/'])
}

/// A path as nginx reads it: `%6c` is `l`, `//` and `/./` are `/`, `/a/../b` is `/b`, and
/// `/a/.` and `/a/b/..` are `/a/`.
pub(super) fn normal(path: &str) -> Cow<'_, str> {
    if !(path.contains('%') || path.contains("//") || path.contains("/.")) {
        return Cow::Borrowed(path);
    }
    let bytes = decoded(path.as_bytes());
    Cow::Owned(String::from_utf8_lossy(&resolved(&bytes)).into_owned())
}

/// A path as the most lenient servers read it: escapes decoded some times, a backslash as a slash,
/// `;parameters` left out, dots and spaces at the ends of names, too, and letters in lower case.
fn loose(path: &str, times: usize, backslash: bool) -> String {
    let mut bytes = decoded_times(path, times);
    // What a decoded path goes on with behind one of these is a query to some, and nothing to C.
    let end = { bytes.iter() }.position(|byte| matches!(byte, b'?' | b'#' | 0));
    bytes.truncate(end.unwrap_or(bytes.len()));
    if backslash {
        for byte in &mut bytes {
            if *byte == b'\\' {
                *byte = b'/';
            }
        }
    }
    let plain = without_parameters(&bytes);
    let text = String::from_utf8_lossy(&resolved(&plain)).into_owned();
    trimmed(&folded(&text)).to_owned()
}

/// Returns a path decoded some times.
fn decoded_times(path: &str, times: usize) -> Vec<u8> {
    decoded_bytes(path.as_bytes(), times)
}

fn decoded_bytes(path: &[u8], times: usize) -> Vec<u8> {
    let mut bytes = path.to_vec();
    for _ in 0..times {
        let next = wide_decoded(&bytes);
        if next == bytes {
            break;
        }
        bytes = next;
    }
    bytes
}

/// Returns a path whose names end at a semicolon and before spaces and dots.
fn without_parameters(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    for (at, name) in bytes.split(|byte| *byte == b'/').enumerate() {
        if at != 0 {
            plain.push(b'/');
        }
        let name = name.split(|byte| *byte == b';').next().unwrap_or_default();
        let blank = |byte: &u8| byte.is_ascii_control() || *byte == b' ';
        let first = name
            .iter()
            .position(|byte| !blank(byte))
            .unwrap_or(name.len());
        let last = name.iter().rposition(|byte| !blank(byte)).unwrap_or(0);
        let name = name.get(first..=last).unwrap_or_default();
        plain.extend_from_slice(match name {
            b"." | b".." => name,
            _ => without_dots(name),
        });
    }
    plain
}

/// A name without the dots and spaces at its end, which Windows does not count.
fn without_dots(name: &[u8]) -> &[u8] {
    let kept = name.iter().rposition(|byte| !matches!(byte, b'.' | b' '));
    let length = kept.map_or(0, |at| at.saturating_add(1));
    name.get(..length).unwrap_or_default()
}

/// Letters in one case: what is equal in upper or in lower case is equal here.
fn folded(path: &str) -> String {
    path.to_uppercase().to_lowercase()
}

/// Bytes with `%XX` and `%u00XX` replaced, once.
fn wide_decoded(bytes: &[u8]) -> Vec<u8> {
    let plain = decoded(bytes);
    let mut at = plain.windows(4);
    if !at.any(|four| four.eq_ignore_ascii_case(b"%u00")) {
        return plain;
    }
    let text = String::from_utf8_lossy(&plain).into_owned();
    decoded(text.replace("%u00", "%").replace("%U00", "%").as_bytes())
}

/// A path without the slash at its end.
fn trimmed(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    }
}

/// Segments of a path with `.` and `..` resolved and empty ones left out.
fn resolved(bytes: &[u8]) -> Vec<u8> {
    let last = bytes.rsplit(|byte| *byte == b'/').next();
    let ends = matches!(last, Some(b"" | b"." | b".."));
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in bytes.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut normal = Vec::with_capacity(bytes.len().saturating_add(1));
    for part in &parts {
        normal.push(b'/');
        normal.extend_from_slice(part);
    }
    if ends || parts.is_empty() {
        normal.push(b'/');
    }
    normal
}

/// Bytes with `%XX` replaced, once.
fn decoded(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    while let [first, rest @ ..] = bytes {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let pair = match rest {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let behind = pair.and_then(|pair| Some((pair, rest.get(2..)?)));
        let byte;
        (byte, bytes) = match behind {
            Some(((high, low), behind)) => (high << 4 | low, behind),
            None => (*first, rest),
        };
        plain.push(byte);
    }
    plain
}
