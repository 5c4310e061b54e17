//! One line of the access log.

use crate::filter::{From, fields};
use crate::policy::{Action, said_host};
use hedgerow::Verdict;
use hedgerow::host::{ScoredRequest, headers};
use hedgerow::http::{Header, Hop, Scheme, Version};
use hedgerow::table::Catalog;
use http::header::USER_AGENT;
use pingora::http::RequestHeader;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a method, a target, a host and an agent that stand in a line: what a client sends does
/// not decide how long lines are.
const TEXT_MAX: usize = 1_024;

/// Bytes of headers in a line: browsers send fewer than half of it. Those behind are left out.
const HEADERS_TEXT_MAX: usize = 4_096;

/// The proxy's own number of a request. Clients do not choose it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RequestId(u64);

impl RequestId {
    /// Returns a number that no other request of this process has, but for chance.
    pub fn random() -> RequestId {
        RequestId(RandomState::new().build_hasher().finish())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a line is made of.
pub(crate) struct Line<'a> {
    pub id: RequestId,
    pub request: &'a RequestHeader,
    pub from: &'a From,
    pub facts: Option<&'a str>,
    pub status: u16,
    pub bytes: usize,
    pub took: Duration,
    pub scored: &'a ScoredRequest,
    pub catalog: Option<Arc<Catalog>>,
    pub route: &'a str,
    pub action: Action,
}

#[derive(Serialize)]
struct Fields<'a> {
    time: String,
    id: String,
    client: Option<IpAddr>,
    hop: &'static str,
    method: Cow<'a, str>,
    host: Cow<'a, str>,
    target: Cow<'a, str>,
    agent: Cow<'a, str>,
    status: u16,
    bytes: usize,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<u8>,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detections: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<&'a str>,
    route: &'a str,
    action: &'static str,
    /// Both for `hedgerow why`.
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Seen<'a>>,
}

/// The request as the features saw it, in the form of recorded requests, without what is personal.
#[derive(Serialize)]
struct Seen<'a> {
    hop: &'static str,
    scheme: Option<&'static str>,
    http: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_http: Option<&'static str>,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Seen<'a> {
    fn of(request: &'a RequestHeader, from: &From) -> Seen<'a> {
        let mut room = HEADERS_TEXT_MAX;
        let header = |header: Header<'a>| {
            let one = (text(header.name), kept(header.name, header.value));
            room = room.checked_sub(one.0.len().saturating_add(one.1.len()))?;
            Some(one)
        };
        Seen {
            hop: hop(from.hop),
            client_http: match from.client_version {
                Version::Http10 => Some("1.0"),
                Version::Http11 => Some("1.1"),
                Version::Http2 => Some("2"),
                Version::Http3 => Some("3"),
                Version::Unknown => None,
            },
            scheme: match from.scheme {
                Scheme::Https => Some("https"),
                Scheme::Http => Some("http"),
                _ => None,
            },
            http: match request.version {
                http::Version::HTTP_10 => Some("1.0"),
                http::Version::HTTP_11 => Some("1.1"),
                http::Version::HTTP_2 => Some("2"),
                http::Version::HTTP_3 => Some("3"),
                _ => None,
            },
            headers: fields(request).map_while(header).collect(),
        }
    }
}

fn hop(hop: Hop) -> &'static str {
    match hop {
        Hop::Client => "client",
        Hop::Proxy => "proxy",
    }
}

/// The value of a header that says what kind of client asks for what kind of thing; of others,
/// such as cookies, addresses and tokens, nothing. A URL is cut behind its origin, and left out if
/// it may hold a password.
fn kept<'a>(name: &[u8], value: &'a [u8]) -> Cow<'a, str> {
    const KINDS: [&str; 14] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "dnt",
        "pragma",
        "priority",
        "purpose",
        "service-worker",
        "te",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
    ];
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if KINDS.contains(&&*name) || name.starts_with("sec-") && !name.starts_with("sec-websocket") {
        return text(value);
    }
    if !matches!(&*name, "origin" | "referer" | "host") {
        return Cow::Borrowed("");
    }
    match text(value) {
        Cow::Borrowed(url) if !url.contains('@') => {
            let from = url.find("//").map_or(0, |at| at.saturating_add(2));
            let rest = url.get(from..).unwrap_or_default();
            let end = rest.find(['/', '?', '#']).map(|at| from.saturating_add(at));
            let end = match end {
                Some(at) if url.get(at..).is_some_and(|rest| rest.starts_with('/')) => {
                    at.saturating_add(1)
                }
                at => at.unwrap_or(url.len()),
            };
            Cow::Borrowed(url.get(..end).unwrap_or_default())
        }
        _ => Cow::Borrowed(""),
    }
}

impl Line<'_> {
    /// The line, with its end.
    pub fn json(&self) -> Vec<u8> {
        let agent = self.request.headers.get(USER_AGENT);
        let verdict = self.scored.verdict();
        let scored = match verdict {
            Some(Verdict::Scored(scored)) => Some(scored),
            _ => None,
        };
        let bot = match verdict {
            Some(Verdict::VerifiedBot(bot)) => {
                let catalog = self.catalog.as_deref();
                catalog.and_then(|catalog| catalog.bot(bot.bot))
            }
            _ => None,
        };
        let catalog = self.catalog.as_deref();
        let source = headers::source(self.scored);
        let detections = headers::detections(self.scored, catalog);
        let fields = Fields {
            time: hedgerow::watch::time::now(),
            id: self.id.to_string(),
            client: self.from.address,
            hop: hop(self.from.hop),
            method: text(self.request.method.as_str().as_bytes()),
            host: text(said_host(self.request)),
            target: text(self.request.raw_path()),
            agent: text(agent.map(|value| value.as_bytes()).unwrap_or_default()),
            status: self.status,
            bytes: self.bytes,
            ms: self.took.as_micros() as f64 / 1_000.0,
            score: scored.map(|scored| scored.score.get()),
            source: &source,
            margin: { scored }
                .map(|scored| scored.margin)
                .filter(|margin| margin.is_finite()),
            generation: verdict.map(Verdict::generation),
            detections: detections.as_deref(),
            bot: bot.map(|(name, _)| name),
            route: self.route,
            action: self.action.name(),
            facts: self.facts,
            request: self.facts.map(|_| Seen::of(self.request, self.from)),
        };
        let mut line = Vec::with_capacity(512);
        // A `Vec` takes everything, and every field can be written.
        let _ = serde_json::to_writer(&mut line, &fields);
        line.push(b'\n');
        line
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.get(..TEXT_MAX).unwrap_or(bytes))
}
