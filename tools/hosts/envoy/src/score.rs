//! From Envoy's headers to a verdict, and from a verdict to headers and metadata.

use crate::abi::{PROTOCOL, SOURCE_ADDRESS, Stream};
use crate::config::Config;
use hedgerow::Verdict;
use hedgerow::host::{HopRule, RequestScorer, ScoredRequest, headers};
use hedgerow::http::{Header, HeadersKnown, Hop, Request, Scheme, Version};
use std::net::{IpAddr, SocketAddr};

/// The namespace of the metadata.
const NAMESPACE: &str = "hedgerow";

/// What Envoy itself adds ahead of its filters. To a list of addresses it adds one more: the others
/// are what it got.
fn is_envoys(name: &[u8], value: &[u8]) -> bool {
    match name {
        b"x-forwarded-proto" | b"x-request-id" => true,
        b"x-forwarded-for" => !value.contains(&b','),
        name => name.starts_with(b"x-envoy-"),
    }
}

/// Removes every header with a reserved name.
pub fn strip(stream: &Stream) {
    // The names are copied: to remove a header moves the others.
    let all = stream.headers();
    let sent: Vec<String> = { all.iter() }
        .filter(|(name, _)| headers::is_reserved(name))
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    for name in sent {
        stream.set_header(&name, None);
    }
}

/// Scores a request, and writes the verdict into its headers and metadata.
pub fn score(stream: &Stream, config: &Config) -> ScoredRequest {
    let scored = config.scorers.score(|scorer| ask(stream, config, scorer));
    write(stream, config, &scored);
    scored
}

fn ask(stream: &Stream, config: &Config, scorer: &mut RequestScorer) -> ScoredRequest {
    let all = stream.headers();
    let pseudo = |name: &[u8]| {
        let found = all.iter().find(|(of, _)| *of == name);
        found.map(|(_, value)| *value)
    };
    let version = match stream.attribute(PROTOCOL) {
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/2" => Version::Http2,
        b"HTTP/3" => Version::Http3,
        _ => Version::Unknown,
    };
    let authority = pseudo(b":authority");
    // Of an HTTP/1 request Envoy makes the same: its Host becomes :authority.
    let host = match version {
        Version::Http10 | Version::Http11 => authority.map(|host| Header::new(b"host", host)),
        _ => None,
    };
    let fields = all.iter().filter(|(name, _)| !name.starts_with(b":"));
    let fields = fields.map(|(name, value)| Header::new(name, value));
    let real = fields
        .clone()
        .filter(|field| !is_envoys(field.name, field.value));
    // Names are in lower case, whatever the client sent, and Envoy's own are between.
    let known = HeadersKnown::Unordered;
    let method = pseudo(b":method").unwrap_or_default();
    let target = pseudo(b":path").unwrap_or_default();
    let mut request = Request::new(method, target, &[], known).version(version);
    request.authority = authority.filter(|_| host.is_none());
    request.scheme = match pseudo(b":scheme") {
        Some(b"https") => Scheme::Https,
        Some(b"http") => Scheme::Http,
        _ => Scheme::Unknown,
    };
    request.peer = address(stream.attribute(SOURCE_ADDRESS));
    if config.front.hop == HopRule::Proxy {
        // The address is the client's as far as Envoy knows it; the scheme is the connection's.
        request = request.hop(Hop::Proxy).scheme(Scheme::Unknown);
    }
    let request = config.front.resolve(request, fields);
    scorer.score_from(&request, host.into_iter().chain(real))
}

/// An address with its port, as Envoy writes it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address: SocketAddr = text.parse().ok()?;
    Some(address.ip())
}

fn write(stream: &Stream, config: &Config, scored: &ScoredRequest) {
    if let (Some(verdict), Some(text)) = (scored.verdict(), headers::generation(scored)) {
        stream.set_header(headers::GENERATION, Some(&text));
        stream.note_number(NAMESPACE, "generation", verdict.generation() as f64);
    }
    stream.set_header(headers::SOURCE, Some(scored.source_name()));
    stream.note(NAMESPACE, "source", scored.source_name());
    if let Some(score) = scored.score() {
        stream.set_header(headers::SCORE, Some(headers::score(score)));
        stream.note_number(NAMESPACE, "score", score.get().into());
    }
    if let Some(reason) = scored.reason_name() {
        stream.note(NAMESPACE, "reason", reason);
    }
    let Some(catalog) = config.scorers.catalog_of(scored) else {
        return;
    };
    if let Some(ids) = headers::detections(scored, Some(&catalog)) {
        stream.set_header(headers::DETECTIONS, Some(&ids));
        stream.note(NAMESPACE, "detections", &ids);
    }
    if let Some(Verdict::VerifiedBot(bot)) = scored.verdict()
        && let Some((name, _)) = catalog.bot(bot.bot)
    {
        stream.note(NAMESPACE, "bot", name);
    }
}
