//! Recorded requests: one JSON object a line.

use crate::failure::Failure;
use crate::files;
use hedgerow::http::{Header, HeadersKnown, Hop, Request, Scheme, Tls, Version};
use serde::Deserialize;
use serde_json::Value;
use std::io::{BufRead, Read};
use std::net::IpAddr;
use std::path::Path;

/// Bytes of one request's line, 16 MiB: a hundred times what servers accept as headers.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// Bytes of requests that are held in memory all at once, 256 MiB.
const HELD_BYTES_MAX: usize = 256 << 20;

/// Requests that are held in memory all at once: each takes half a kilobyte, however short it is.
const HELD_MAX: usize = 1 << 21;

/// One recorded request. Unknown fields are left alone; labels may be there or not. A field that
/// is null is not known.
#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    /// The method; none where it was not recorded.
    #[serde(default)]
    pub method: Option<String>,
    /// `http` or `https`.
    #[serde(default)]
    pub scheme: Option<String>,
    /// `1.0`, `1.1`, `2` or `3`.
    #[serde(default)]
    pub http: Option<String>,
    /// The authority, where it was a pseudo-header.
    #[serde(default)]
    pub host: Option<String>,
    /// Path and query.
    #[serde(default)]
    pub path: Option<String>,
    /// Name and value of each header, in wire order and case.
    pub headers: Vec<(String, String)>,
    /// Whether every header is listed; where it is not said, the slice tells.
    #[serde(default)]
    pub complete: Option<bool>,
    /// `full`, `log` (User-Agent and Referer are known) or `ua` (the User-Agent is).
    #[serde(default)]
    pub slice: Option<String>,
    /// The other end of the connection: `client`, the default, or `proxy`.
    #[serde(default)]
    pub hop: Option<String>,
    /// Behind a proxy, the version that the client spoke, as in `http`.
    #[serde(default)]
    pub client_http: Option<String>,
    /// The order of a complete list: `wire`, the default, `none` if it is lost, or `kept` if the
    /// proxy of `hop` keeps the client's.
    #[serde(default)]
    pub order: Option<String>,
    /// The client's address.
    #[serde(default)]
    pub ip: Option<String>,
    /// The JA4 of the TLS client.
    #[serde(default)]
    pub ja4: Option<String>,
    /// The protocol that ALPN settled on, such as `h2`.
    #[serde(default)]
    pub alpn: Option<String>,
    /// When it came: a number of seconds since any point in time.
    #[serde(default)]
    pub ts: Value,
    /// What its client is known by where the address is not: a text.
    #[serde(default)]
    pub session: Value,
    /// The answer's status: a whole number from 100 to 999.
    #[serde(default)]
    pub status: Value,
    /// `bot` or `human`, where labelled.
    #[serde(default)]
    pub label: Option<String>,
}

impl Recorded {
    /// The headers as views.
    pub fn headers(&self) -> Vec<Header<'_>> {
        let pairs = self.headers.iter();
        pairs
            .map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()))
            .collect()
    }

    /// The request as a view on its headers.
    pub fn view<'a>(&'a self, headers: &'a [Header<'a>]) -> Request<'a> {
        let text = |text: &'a Option<String>| text.as_deref().unwrap_or_default();
        let (method, path) = (text(&self.method).as_bytes(), text(&self.path).as_bytes());
        let mut request = Request::new(method, path, headers, self.known())
            .version(version(text(&self.http)).unwrap_or_default())
            .client_version(version(text(&self.client_http)).unwrap_or_default())
            .scheme(scheme(text(&self.scheme)).unwrap_or_default())
            .order_kept(self.order.as_deref() == Some("kept"))
            .hop(match text(&self.hop) {
                "proxy" => Hop::Proxy,
                _ => Hop::Client,
            });
        if let Some(host) = &self.host {
            request = request.authority(host.as_bytes());
        }
        let mut tls = Tls::UNKNOWN;
        if let Some(ja4) = &self.ja4 {
            tls = tls.ja4(ja4);
        }
        if let Some(alpn) = &self.alpn {
            tls = tls.alpn(alpn.as_bytes());
        }
        request = request.tls(tls);
        match self.ip.as_deref().and_then(|ip| ip.parse().ok()) {
            Some(peer) => request.peer(peer),
            None => request,
        }
    }

    fn known(&self) -> HeadersKnown {
        let slice = self.slice.as_deref().unwrap_or_default();
        let complete = self.complete.unwrap_or(!matches!(slice, "log" | "ua"));
        let unordered = self.order.as_deref() == Some("none");
        match (complete, slice) {
            (true, _) if unordered => HeadersKnown::Unordered,
            (true, _) => HeadersKnown::Complete,
            (false, "ua") => HeadersKnown::UserAgentOnly,
            (false, _) => HeadersKnown::Partial,
        }
    }
}

/// Hands over the requests of a stream, one JSON object a line, one at a time; empty lines are
/// skipped. Returns how many bytes and requests there were, at least one request.
pub fn each(
    mut from: impl BufRead,
    at: &str,
    mut take: impl FnMut(Recorded) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let (mut number, mut count) = (0u64, 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        number += 1;
        let here = format!("{at}:{number}");
        // By a reference: the limit is one line's.
        let limited = (&mut from).take(LINE_BYTES_MAX as u64 + 1);
        let read = { limited }
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::new("io", &here, "a readable line", error))?;
        if read == 0 {
            break;
        }
        if line.len() > LINE_BYTES_MAX {
            let expected = format!("a line of at most {LINE_BYTES_MAX} bytes");
            return Err(Failure::new("requests", here, expected, "more"));
        }
        let text = if number == 1 {
            files::without_mark(&line)
        } else {
            &line
        };
        let text = text.trim_ascii();
        if !text.is_empty() {
            take(one(text, &here)?)?;
            count += 1;
        }
    }
    if count == 0 {
        let expected = "at least one request, a JSON object a line";
        return Err(Failure::new("requests", at, expected, "none"));
    }
    Ok(count)
}

/// One request. An array would be taken for the fields in their order.
fn one(line: &[u8], at: &str) -> Result<Recorded, Failure> {
    let expected = "a request as a JSON object with headers";
    if line.first() != Some(&b'{') {
        let got = match line.first() {
            Some(b'[') => "a JSON array: write one object a line, without brackets around all",
            Some(_) if line.is_ascii() => "something else",
            _ => "bytes that are no JSON",
        };
        return Err(Failure::new("requests", at, expected, got));
    }
    let request: Recorded = serde_json::from_slice(line).map_err(|error| {
        // Once more, with the path: it is told only where it is wanted.
        let mut parser = serde_json::Deserializer::from_slice(line);
        let again = serde_path_to_error::deserialize::<_, Recorded>(&mut parser);
        let path = again.err().map(|error| error.path().to_string());
        let at = match path.as_deref() {
            None | Some("." | "?") => at.to_string(),
            Some(path) => format!("{at}: {path}"),
        };
        // The line within the line is always 1.
        let got = error.to_string().replace(" at line 1 column", " at column");
        Failure::new("requests", at, expected, got)
    })?;
    check(&request, at)?;
    Ok(request)
}

/// A field's name and value, what is expected, and whether a word is that.
type Field<'a> = (
    &'a str,
    &'a Option<String>,
    &'a str,
    &'a dyn Fn(&str) -> bool,
);

/// Refuses values that cannot be read: each would silently become a fact that is not known, or
/// would make a request complete whose headers are not all known. Null is not known.
fn check(request: &Recorded, at: &str) -> Result<(), Failure> {
    check_words(request, at)?;
    let is_status = |status: u64| (100..=999).contains(&status);
    let (ts, session, status) = (&request.ts, &request.session, &request.status);
    let known = status.as_u64().is_some_and(is_status);
    for (name, value, expected, readable) in [
        ("ts", ts, "seconds as a number, or null", ts.is_number()),
        ("session", session, "a text, or null", session.is_string()),
        (
            "status",
            status,
            "a whole number from 100 to 999, or null",
            known,
        ),
    ] {
        if !value.is_null() && !readable {
            let got: String = value.to_string().chars().take(80).collect();
            let at = format!("{at}: {name}");
            return Err(Failure::new("requests", at, expected, got));
        }
    }
    Ok(())
}

/// As [`check`], of the fields that are texts.
fn check_words(request: &Recorded, at: &str) -> Result<(), Failure> {
    let one_of = |words: &'static [&'static str]| move |word: &str| words.contains(&word);
    let (slices, hops) = (one_of(&["full", "log", "ua"]), one_of(&["client", "proxy"]));
    let orders = one_of(&["wire", "template", "kept", "none"]);
    let (is_version, is_scheme) = (
        |w: &str| version(w).is_some(),
        |w: &str| scheme(w).is_some(),
    );
    let is_address = |word: &str| word.parse::<IpAddr>().is_ok();
    let address = "an address without a port, or null";
    let fields: [Field<'_>; 8] = [
        ("slice", &request.slice, "full, log or ua", &slices),
        ("hop", &request.hop, "client or proxy", &hops),
        (
            "order",
            &request.order,
            "wire, template, kept or none",
            &orders,
        ),
        ("http", &request.http, VERSIONS, &is_version),
        ("client_http", &request.client_http, VERSIONS, &is_version),
        ("scheme", &request.scheme, "http or https", &is_scheme),
        ("ip", &request.ip, address, &is_address),
        ("ja4", &request.ja4, JA4, &is_ja4),
    ];
    for (name, value, expected, known) in fields {
        let word = value.as_deref().filter(|word| !word.is_empty());
        if let Some(word) = word.filter(|word| !known(word)) {
            let (at, got) = (format!("{at}: {name}"), format!("{word:?}"));
            return Err(Failure::new("requests", at, expected, got));
        }
    }
    Ok(())
}

const JA4: &str = "a JA4 such as t13d1516h2_8daaf6152771_e5627efa2ab1, or null";

/// Whether a text has the form of a JA4.
fn is_ja4(text: &str) -> bool {
    let hash = |part: &str| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let head = |part: &str| part.len() == 10 && part.bytes().all(|b| b.is_ascii_alphanumeric());
    match text.split('_').collect::<Vec<_>>()[..] {
        [first, ciphers, extensions] => head(first) && hash(ciphers) && hash(extensions),
        _ => false,
    }
}

const VERSIONS: &str = "1.0, 1.1, 2 or 3";

/// A protocol version as recorders write it: `1.1`, `HTTP/1.1`, `h2`, `HTTP/2.0`.
fn version(word: &str) -> Option<Version> {
    match word.eq_ignore_ascii_case("unknown") {
        true => Some(Version::Unknown),
        false => Version::parse(word.as_bytes()),
    }
}

fn scheme(word: &str) -> Option<Scheme> {
    match word.to_ascii_lowercase().as_str() {
        "http" => Some(Scheme::Http),
        "https" => Some(Scheme::Https),
        "unknown" => Some(Scheme::Unknown),
        _ => None,
    }
}

/// Requests in memory, one JSON object a line.
pub fn parse(bytes: &[u8], at: &str) -> Result<Vec<Recorded>, Failure> {
    let mut requests = Vec::new();
    each(bytes, at, |request| {
        requests.push(request);
        match requests.len() > HELD_MAX {
            true => {
                let expected = format!("at most {HELD_MAX} requests");
                Err(Failure::new("requests", at, expected, "more"))
            }
            false => Ok(()),
        }
    })?;
    Ok(requests)
}

/// Reads a file of requests as a whole; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<Recorded>, Failure> {
    let bytes = files::read(path, HELD_BYTES_MAX as u64)?;
    parse(&bytes, &path.display().to_string())
}
