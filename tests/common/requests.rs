//! The recorded requests, for tests of the hot path.
#![allow(dead_code, reason = "each test takes what it needs")]

use hedgerow::Row;
use hedgerow::http::{ClientHello, Header, HeadersKnown, Request, Scheme, Tls, Version, extract};
use serde::Deserialize;

/// One recorded request, as far as the tests need it.
#[derive(Deserialize)]
struct Recorded {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    scheme: Option<String>,
    #[serde(default)]
    http: Option<String>,
    #[serde(default)]
    path: Option<String>,
    headers: Vec<(String, String)>,
    #[serde(default)]
    complete: bool,
}

/// The recorded requests that have a full header list, as views that live as long as the process.
pub fn requests() -> Vec<Request<'static>> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tools/cli/data/requests.ndjson"
    );
    let text = std::fs::read_to_string(path).expect("recorded requests");
    let parse = |line: &str| serde_json::from_str::<Recorded>(line).expect("a request");
    let views = text
        .lines()
        .map(|line| view(Box::leak(Box::new(parse(line)))));
    views.collect()
}

/// The recordings hold no handshake: a made-up one has the hot path read it.
const HELLO: ClientHello<'static> = ClientHello {
    quic: false,
    legacy_version: 0x0303,
    versions: &[0x0a0a, 0x0304, 0x0303],
    ciphers: &[0x1a1a, 0x1301, 0x1302, 0x1303, 0xc02b],
    extensions: &[0x0000, 0x0010, 0x000d],
    signature_algorithms: &[0x0403],
    alpn: b"h2",
};

fn view(recorded: &'static Recorded) -> Request<'static> {
    let header =
        |(name, value): &'static (String, String)| Header::new(name.as_bytes(), value.as_bytes());
    let headers: Vec<_> = recorded.headers.iter().map(header).collect();
    let text = |text: &'static Option<String>| text.as_deref().unwrap_or_default();
    let known = [HeadersKnown::Partial, HeadersKnown::Complete][usize::from(recorded.complete)];
    let (method, path) = (text(&recorded.method), text(&recorded.path));
    Request::new(method.as_bytes(), path.as_bytes(), headers.leak(), known)
        .version(match text(&recorded.http) {
            "1.0" => Version::Http10,
            "1.1" => Version::Http11,
            "2" => Version::Http2,
            "3" => Version::Http3,
            _ => Version::Unknown,
        })
        .scheme(match text(&recorded.scheme) {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => Scheme::Unknown,
        })
        .peer(std::net::Ipv6Addr::LOCALHOST.into())
        .tls(Tls::UNKNOWN.hello(HELLO).alpn(b"h2"))
}

/// A row of each request.
pub fn rows(requests: &[Request<'_>]) -> Vec<Row> {
    let row = |request| {
        let mut row = Row::MISSING;
        extract(request, &mut row);
        row
    };
    requests.iter().map(row).collect()
}
