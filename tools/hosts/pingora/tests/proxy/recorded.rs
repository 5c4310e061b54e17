//! Recorded requests, and what the library itself says of them.

use crate::common::root;
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract};
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table, Verdict};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug, Clone, Deserialize)]
pub struct Recorded {
    pub id: String,
    pub label: String,
    http: String,
    scheme: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

/// Recorded requests that can be sent again as they were: plain HTTP/1.1 without a body.
pub fn requests() -> Vec<Recorded> {
    let text =
        std::fs::read_to_string(root().join("tools/cli/data/requests.ndjson")).expect("requests");
    let all = text
        .lines()
        .map(|line| serde_json::from_str::<Recorded>(line).expect("one"));
    let plain = |one: &Recorded| {
        let others = ["content-length", "transfer-encoding", "expect", "upgrade"];
        let has = |name: &str| {
            one.headers
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        one.http == "1.1"
            && one.scheme == "http"
            && one.method == "GET"
            && !others.iter().any(|n| has(n))
    };
    all.filter(plain).collect()
}

impl Recorded {
    /// The bytes on the wire.
    pub fn wire(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        (text + "\r\n").into_bytes()
    }

    pub fn closes(&self) -> bool {
        let close = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
        };
        self.headers.iter().any(close)
    }

    /// What a client at 127.0.0.1 gets from a table.
    pub fn verdict(&self, scorer: &mut hedgerow::Scorer) -> Verdict {
        let headers: Vec<_> = { self.headers.iter() }
            .map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()))
            .collect();
        let (method, path) = (self.method.as_bytes(), self.path.as_bytes());
        let request = Request::new(method, path, &headers, HeadersKnown::Complete)
            .version(Version::Http11)
            .scheme(Scheme::Http)
            .peer(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let mut row = Row::MISSING;
        extract(&request, &mut row);
        scorer.score(&row)
    }
}

/// What the library says of requests under a table.
pub fn scores(requests: &[Recorded], table: &[u8]) -> Vec<u8> {
    let engine = Engine::new(Schema::http_with_traffic());
    engine
        .publish(Table::from_bytes(table).expect("a table"))
        .expect("published");
    let mut scorer = engine.scorer().expect("a scorer");
    let score = |one: &Recorded| one.verdict(&mut scorer).score().expect("a score").get();
    requests.iter().map(score).collect()
}

/// What it says under the bundled table.
pub fn bundled(requests: &[Recorded]) -> Vec<u8> {
    scores(requests, DEFAULT_TABLE)
}
