//! From Envoy's headers to a verdict, and from a verdict to headers and metadata.

use crate::abi::{PROTOCOL, SOURCE_ADDRESS, Stream};
use crate::config::Config;
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract, position};
use hedgerow::{Client, Row, Verdict};
use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

/// The namespace of the metadata.
const NAMESPACE: &str = "hedgerow";

/// The headers that come from here alone.
const HEADERS: [&str; 4] = [
    "x-bot-score",
    "x-bot-source",
    "x-bot-generation",
    "x-bot-detections",
];

/// Where the features on the Connection header stand in a row.
static CONNECTION: LazyLock<[Option<u8>; 2]> =
    LazyLock::new(|| ["connection_keep_alive", "connection_odd"].map(position));

/// What Envoy itself adds ahead of its filters.
fn is_envoys(name: &[u8]) -> bool {
    let added: [&[u8]; 3] = [b"x-forwarded-proto", b"x-forwarded-for", b"x-request-id"];
    added.contains(&name) || name.starts_with(b"x-envoy-")
}

/// Takes away what a client sent under the names that come from here, and under what many a server
/// reads as the same: `x_bot_score` becomes the same variable in CGI and its heirs.
pub fn strip(stream: &Stream) {
    // The names are copied: to take a header away moves the others.
    let all = stream.headers();
    let sent: Vec<String> = { all.iter() }
        .filter(|(name, _)| is_ours(name))
        .map(|(name, _)| String::from_utf8_lossy(name).into_owned())
        .collect();
    for name in sent {
        stream.set_header(&name, None);
    }
}

/// Whether a name is one of ours, `_` and `-` taken for the same.
fn is_ours(name: &[u8]) -> bool {
    let same = |ours: &&str| {
        let mut pairs = name.iter().zip(ours.as_bytes());
        name.len() == ours.len() && pairs.all(|(a, b)| a == b || (*a, *b) == (b'_', b'-'))
    };
    name.starts_with(b"x") && HEADERS.iter().any(same)
}

/// Scores a request and says so in its headers and metadata; the status that it is to be answered
/// with, where it is blocked.
pub fn score(stream: &Stream, config: &Config) -> Option<u32> {
    let verdict = verdict(stream, config)?;
    tell(stream, config, &verdict);
    let (below, status) = config.block?;
    let blocked = verdict.score().is_some_and(|score| score.get() < below);
    blocked.then_some(status)
}

fn verdict(stream: &Stream, config: &Config) -> Option<Verdict> {
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
    let real = all
        .iter()
        .filter(|(name, _)| !name.starts_with(b":") && !is_envoys(name));
    let real = real.map(|(name, value)| Header::new(name, value));
    let headers: Vec<Header<'_>> = host.into_iter().chain(real).collect();
    // Names are in lower case, whatever came, and Envoy's own stand between.
    let known = HeadersKnown::Unordered;
    let method = pseudo(b":method").unwrap_or_default();
    let target = pseudo(b":path").unwrap_or_default();
    let mut request = Request::new(method, target, &headers, known).version(version);
    request.authority = authority.filter(|_| host.is_none());
    request.scheme = match pseudo(b":scheme") {
        Some(b"https") => Scheme::Https,
        Some(b"http") => Scheme::Http,
        _ => Scheme::Unknown,
    };
    request.peer = address(stream.attribute(SOURCE_ADDRESS));
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    // Envoy has taken the Connection header away: whether there was one is not known.
    for at in CONNECTION.iter().flatten() {
        row.set(*at, f32::NAN);
    }
    let agent = pseudo(b"user-agent").unwrap_or_default();
    let client = request.peer.map(|address| Client::new(address, agent));
    config.with_scorer(|scorer| match &client {
        Some(client) => scorer.score_client(&row, client),
        None => scorer.score(&row),
    })
}

/// An address with its port, as Envoy writes it.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let address: SocketAddr = text.parse().ok()?;
    Some(address.ip())
}

fn tell(stream: &Stream, config: &Config, verdict: &Verdict) {
    let generation = verdict.generation();
    stream.set_header("x-bot-generation", Some(&generation.to_string()));
    stream.note_number(NAMESPACE, "generation", generation as f64);
    let source = match verdict {
        Verdict::Scored(scored) => scored.source.name(),
        Verdict::VerifiedBot(_) => "verified-bot",
        Verdict::NotScored(_) => "not-scored",
    };
    stream.set_header("x-bot-source", Some(source));
    stream.note(NAMESPACE, "source", source);
    match verdict {
        Verdict::Scored(scored) => {
            let score = scored.score.get();
            stream.set_header("x-bot-score", Some(&score.to_string()));
            stream.note_number(NAMESPACE, "score", score.into());
            if scored.detections.is_empty() {
                return;
            }
            let Some(catalog) = config.engine().catalog(generation) else {
                return;
            };
            let ids = scored.detections.positions();
            let ids = ids.filter_map(|at| catalog.detections().get(at));
            let ids: Vec<String> = ids.map(|detection| detection.id.to_string()).collect();
            stream.set_header("x-bot-detections", Some(&ids.join(",")));
            stream.note(NAMESPACE, "detections", &ids.join(","));
        }
        Verdict::VerifiedBot(bot) => {
            if let Some((name, _)) = { config.engine().catalog(generation) }
                .as_ref()
                .and_then(|catalog| catalog.bot(bot.bot))
            {
                stream.note(NAMESPACE, "bot", name);
            }
        }
        Verdict::NotScored(not) => stream.note(NAMESPACE, "reason", not.reason.name()),
    }
}
