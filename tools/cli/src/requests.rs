//! Recorded requests: one JSON object a line.

use crate::failure::Failure;
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version};
use serde::Deserialize;
use std::path::Path;

/// One recorded request. Unknown fields are left alone; labels may be there or not.
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
    /// Whether every header is listed; true where it is not said.
    #[serde(default = "yes")]
    pub complete: bool,
    /// `full`, `log` (User-Agent and Referer are known) or `ua` (the User-Agent is).
    #[serde(default)]
    pub slice: Option<String>,
    /// The client's address.
    #[serde(default)]
    pub ip: Option<String>,
    /// `bot` or `human`, where labelled.
    #[serde(default)]
    pub label: Option<String>,
}

fn yes() -> bool {
    true
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
        let known = match (self.complete, text(&self.slice)) {
            (true, _) => HeadersKnown::Complete,
            (false, "ua") => HeadersKnown::UserAgentOnly,
            (false, _) => HeadersKnown::Partial,
        };
        let (method, path) = (text(&self.method).as_bytes(), text(&self.path).as_bytes());
        let mut request = Request::new(method, path, headers, known)
            .version(match text(&self.http) {
                "1.0" => Version::Http10,
                "1.1" => Version::Http11,
                "2" => Version::Http2,
                "3" => Version::Http3,
                _ => Version::Unknown,
            })
            .scheme(match text(&self.scheme) {
                "http" => Scheme::Http,
                "https" => Scheme::Https,
                _ => Scheme::Unknown,
            });
        if let Some(host) = &self.host {
            request = request.authority(host.as_bytes());
        }
        match self.ip.as_deref().and_then(|ip| ip.parse().ok()) {
            Some(peer) => request.peer(peer),
            None => request,
        }
    }
}

/// Reads requests, one JSON object a line; empty lines are skipped.
pub fn parse(bytes: &[u8], at: &str) -> Result<Vec<Recorded>, Failure> {
    let mut requests = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        requests.push(serde_json::from_slice(line).map_err(|error| {
            let at = format!("{at}:{}", index + 1);
            Failure::new(
                "requests",
                at,
                "a request as a JSON object with headers",
                error,
            )
        })?);
    }
    if requests.is_empty() {
        return Err(Failure::new(
            "requests",
            at,
            "at least one request a line",
            "none",
        ));
    }
    Ok(requests)
}

/// Reads a file of requests; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<Recorded>, Failure> {
    parse(&crate::files::read(path)?, &path.display().to_string())
}
