//! HTTP/2 from clients, without TLS and, in builds with the feature `tls`, with it.

use crate::clients::find;
use crate::common::*;
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract};
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table};
use std::process::Command;

/// What a browser says beside what curl says by itself; all in the order in which curl sends it.
const BROWSER: &[(&str, &str)] = &[
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("upgrade-insecure-requests", "1"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "none"),
    ("sec-fetch-user", "?1"),
];

/// The score that the library gives such a request.
fn expected(headers: &[(&str, &str)], authority: &str, scheme: Scheme) -> u8 {
    let engine = Engine::new(Schema::http_with_traffic());
    let table = Table::from_bytes(DEFAULT_TABLE).expect("a table");
    engine.publish(table).expect("published");
    let mut scorer = engine.scorer().expect("a scorer");
    let headers: Vec<_> = { headers.iter() }
        .map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()))
        .collect();
    let request = Request::new(b"GET", b"/page", &headers, HeadersKnown::Complete)
        .version(Version::Http2)
        .scheme(scheme)
        .authority(authority.as_bytes())
        .peer("127.0.0.1".parse().expect("an address"));
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    scorer.score(&row).score().expect("a score").get()
}

/// Asks by HTTP/2, as a tool and as a browser; the upstream must get what the library says.
fn scores_are_right(proxy: &Proxy, flags: &[&str], scheme: Scheme) {
    let Some(curl) = find(&["curl"]) else { return };
    let name = if scheme == Scheme::Https {
        "https"
    } else {
        "http"
    };
    let url = format!("{name}://{}/page", proxy.address);
    let tool = [("user-agent", "curl/8.5.0"), ("accept", "*/*")];
    for headers in [&tool[..], BROWSER] {
        let mut command = Command::new(&curl);
        command.args(["-sS", "--max-time", "30", "-w", "\n%{http_version}"]);
        command.args(flags).arg("-A").arg(headers[0].1);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "user-agent") {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        // What a client claims is not passed on.
        let ran = command.args(["-H", "X-Bot-Score: 100", &url]).output();
        let ran = ran.expect("curl");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success() && said.ends_with("\n2"), "{said}");
        let score = header(&said, "x-bot-score").and_then(|score| score.parse().ok());
        let authority = proxy.address.to_string();
        let claimed: Vec<_> = { headers.iter().copied() }
            .chain([("x-bot-score", "100")])
            .collect();
        assert_eq!(
            score,
            Some(expected(&claimed, &authority, scheme)),
            "{said}"
        );
        assert_eq!(said.matches("x-bot-score").count(), 1, "{said}");
        assert_eq!(header(&said, "host"), Some(authority), "{said}");
        assert_eq!(header(&said, "x-bot-generation").as_deref(), Some("1"));
    }
    let Some(h2load) = find(&["h2load"]) else {
        return;
    };
    let before = proxy.status()["scoring_latency"]["count"].as_u64();
    let load = ["-n2000", "-c10", "-m10", &url];
    let ran = Command::new(h2load).args(load).output().expect("h2load");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("2000 succeeded, 0 failed"), "{said}");
    assert!(said.contains("status codes: 2000 2xx"), "{said}");
    let after = proxy.status()["scoring_latency"]["count"].as_u64();
    assert_eq!(
        after.zip(before).map(|(after, before)| after - before),
        Some(2000)
    );
}

#[test]
fn http_2_without_tls_is_scored_and_http_1_stays() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(upstream.address, &["--h2c"]);
    scores_are_right(&proxy, &["--http2-prior-knowledge"], Scheme::Http);
    let answer = ask(proxy.address, &curl("/")).expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("GET / HTTP/1.1"), "{}", answer.body);
    assert_eq!(header(&answer.body, "x-bot-score").as_deref(), Some("2"));
}

#[cfg(feature = "tls")]
#[test]
fn tls_ends_here() {
    let Some(openssl) = find(&["openssl"]) else {
        return;
    };
    let folder = Folder::new();
    let path = |name: &str| folder.path(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let made = Command::new(openssl)
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", "/CN=127.0.0.1", "-keyout", &key, "-out", &cert])
        .output();
    assert!(made.expect("openssl").status.success());
    let upstream = Upstream::start();
    let proxy = Proxy::start_in(folder, upstream.address, &["--cert", &cert, "--key", &key]);
    scores_are_right(&proxy, &["--http2", "--insecure"], Scheme::Https);
    let url = format!("https://{}/", proxy.address);
    let old = [
        "-sS",
        "--http1.1",
        "--insecure",
        "-w",
        "\n%{http_version}",
        &url,
    ];
    let ran = Command::new("curl").args(old).output().expect("curl");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.ends_with("\n1.1"), "{said}");
    assert_eq!(header(&said, "x-bot-score").as_deref(), Some("2"), "{said}");

    // A key that is none: said, and no proxy.
    let refused = Command::new(env!("CARGO_BIN_EXE_hedgerow-proxy"))
        .args(["--upstream", "127.0.0.1:1", "--listen", "127.0.0.1:0"])
        .args(["--admin", "off", "--cert", &cert, "--key", &cert])
        .output()
        .expect("the proxy");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("their key in"),
        "{said}"
    );
}
