//! Requests that another proxy has passed on, and kinds of requests that few recordings hold.

use super::*;

/// What a proxy changes, as the last hop sees it: names in its own case and order, its own
/// connection, another version.
fn behind(hop: Hop, extra: &[Pair<'static>]) -> Row {
    let mut pairs: Vec<Pair<'static>> = chrome();
    pairs.retain(|(name, _)| !matches!(*name, "Connection" | "Host"));
    pairs.reverse();
    pairs.push(("Host", "upstream.internal"));
    pairs.push(("Connection", "close"));
    pairs.extend_from_slice(extra);
    let headers = headers(&pairs);
    let request = Request::new(b"GET", b"/a/b?c=d", &headers, HeadersKnown::Complete);
    filled(
        &request
            .version(Version::Http10)
            .scheme(Scheme::Https)
            .hop(hop),
    )
}

/// What a proxy decides and not the client.
const OF_THE_HOP: &[Id] = &[
    Id::Http10,
    Id::Multiplexed,
    Id::OneOnTls,
    Id::ProtocolErrors,
    Id::OddCase,
    Id::ConnectionForm,
    Id::OrderInversions,
    Id::UaBeforeEncoding,
    Id::AcceptBeforeEncoding,
    Id::LanguageBeforeEncoding,
    Id::HostFirst,
    Id::AgentBeforeAccept,
];

#[test]
fn a_proxys_doing_is_missing() {
    let row = behind(Hop::Proxy, &[("X-Forwarded-For", "192.0.2.7")]);
    expect_browser(&row);
    expect_missing(&row, OF_THE_HOP);
    expect_missing(&row, &[Id::Forwarded]);
    // No browser speaks HTTP/1.0: something has passed it on.
    let row = behind(Hop::Client, &[]);
    expect(&row, &[(Id::Forwarded, 1.0)]);
    expect_missing(&row, OF_THE_HOP);
    // The client's own connection.
    let mut pairs = chrome();
    pairs.reverse();
    let row = https(&pairs);
    expect(&row, &[(Id::Forwarded, 0.0), (Id::HostFirst, 0.0)]);
    assert!(row.get(Id::OrderInversions as u8) > 0.0);
    let tool = row_of(
        &[("User-Agent", "ApacheBench/2.3")],
        Version::Http10,
        Scheme::Http,
    );
    expect(&tool, &[(Id::Forwarded, 0.0), (Id::Http10, 1.0)]);
}

/// What a proxy decides that keeps the order of the client's headers.
const OF_AN_ORDERLY_HOP: &[Id] = &[
    Id::Http10,
    Id::Multiplexed,
    Id::ProtocolErrors,
    Id::OddCase,
    Id::AllLower,
    Id::ConnectionForm,
    Id::HostFirst,
];

#[test]
fn a_kept_order_counts_but_for_what_the_proxy_writes() {
    let order = [
        Id::OrderInversions,
        Id::FetchOrder,
        Id::UaBeforeEncoding,
        Id::AcceptBeforeEncoding,
        Id::LanguageBeforeEncoding,
        Id::AgentBeforeAccept,
        Id::Sorted,
    ];
    let seen = |pairs: &[Pair<'static>], hop: Hop| {
        let headers = headers(pairs);
        let request = Request::new(b"GET", b"/a/b?c=d", &headers, HeadersKnown::Complete);
        let request = request.version(Version::Http11).scheme(Scheme::Https);
        filled(&request.hop(hop).order_kept(hop == Hop::Proxy))
    };
    // What nginx and HAProxy make of it: lines of their own, and cookies at the end.
    let mut pairs = chrome();
    let direct = seen(&pairs, Hop::Client);
    pairs.retain(|(name, _)| !matches!(*name, "Connection" | "Host"));
    pairs.insert(0, ("X-Forwarded-For", "192.0.2.7"));
    pairs.push(("cookie", "a=b"));
    pairs.push(("connection", "close"));
    pairs.push(("host", "upstream.internal"));
    let behind = seen(&pairs, Hop::Proxy);
    expect_browser(&behind);
    expect_missing(&behind, OF_AN_ORDERLY_HOP);
    for id in order {
        let (one, other) = (direct.get(id as u8), behind.get(id as u8));
        assert_eq!(one.to_bits(), other.to_bits(), "{id:?}: {one} {other}");
    }
    pairs.reverse();
    let reversed = seen(&pairs, Hop::Proxy);
    assert!(reversed.get(Id::OrderInversions as u8) > 0.0);
    expect(&reversed, &[(Id::UaBeforeEncoding, 0.0)]);
    // Nothing of it holds for a client: its word is a forward proxy's.
    let headers = headers(&pairs);
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    expect_missing(&filled(&request.order_kept(true)), &order);
}

#[test]
fn a_clients_word_of_a_proxy_is_a_fact_of_its_own() {
    for name in [
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Real-IP",
    ] {
        let row = behind(Hop::Client, &[(name, "1.1 squid")]);
        expect(&row, &[(Id::Forwarded, 1.0)]);
        expect_missing(&row, OF_THE_HOP);
    }
}

#[test]
fn an_unknown_proxy_may_end_tls() {
    let mut pairs = chrome();
    pairs.push(("X-Forwarded-For", "192.0.2.7"));
    let row = row_of(&pairs, Version::Http11, Scheme::Http);
    expect_browser(&row);
    expect_missing(&row, &[Id::SecureOnPlain]);
    let row = row_of(&chrome(), Version::Http11, Scheme::Http);
    expect(&row, &[(Id::SecureOnPlain, 1.0)]);
}

#[test]
fn a_trusted_version_is_the_clients() {
    let headers = headers(&chrome());
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    let request = request
        .version(Version::Http11)
        .scheme(Scheme::Https)
        .hop(Hop::Proxy);
    expect_missing(&filled(&request), &[Id::Multiplexed]);
    let row = filled(&request.client_version(Version::Http2));
    expect(&row, &[(Id::Multiplexed, 1.0)]);
}

/// A request of Chromium over HTTP/2 with these headers and no client hints.
fn chromium_h2(method: &str, pairs: &[Pair<'_>]) -> Row {
    let mut all = pairs.to_vec();
    all.push(("user-agent", CHROME_UA));
    all.push(("accept-encoding", "gzip, deflate, br, zstd"));
    all.push(("accept-language", "en-US,en;q=0.9"));
    let headers = headers(&all);
    let request = Request::new(method.as_bytes(), b"/a", &headers, HeadersKnown::Complete);
    filled(&request.version(Version::Http2).scheme(Scheme::Https))
}

#[test]
fn workers_send_no_hints() {
    for dest in [
        "worker",
        "sharedworker",
        "serviceworker",
        "audioworklet",
        "paintworklet",
    ] {
        let row = chromium_h2(
            "GET",
            &[
                ("accept", "*/*"),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", "same-origin"),
                ("sec-fetch-dest", dest),
                ("referer", "https://example.org/"),
            ],
        );
        expect_browser(&row);
        let missing = row.get(Id::HintsMissing as u8);
        assert!(missing.is_nan() || missing == 0.0, "{dest}: {missing}");
    }
}

#[test]
fn a_workers_fetch_has_no_hints() {
    let fetch = |site: &'static str, mode: &'static str, referer: &'static str| {
        let row = chromium_h2(
            "GET",
            &[
                ("accept", "*/*"),
                ("origin", "https://example.org"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", "empty"),
                ("referer", referer),
            ],
        );
        row.get(Id::HintsMissing as u8)
    };
    for (site, mode, referer) in [
        ("same-origin", "cors", "https://example.org/sw.js"),
        (
            "same-origin",
            "cors",
            "https://example.org/a/worker.mjs?v=2",
        ),
        ("cross-site", "cors", "https://example.net/"),
    ] {
        let missing = fetch(site, mode, referer);
        assert!(missing.is_nan(), "{site} {mode} {referer}: {missing}");
    }
    // A page's fetches have hints, and its address has no other parts of the address left out.
    for (site, mode, referer) in [
        ("same-origin", "cors", "https://example.org/page"),
        ("same-origin", "cors", "https://example.org/"),
        ("cross-site", "no-cors", "https://example.net/"),
        ("cross-site", "cors", "https://example.net/page"),
    ] {
        assert_eq!(fetch(site, mode, referer), 1.0, "{site} {mode} {referer}");
    }
}

/// A file that Chromium saves, asked for over plain http.
#[test]
fn a_plain_download_has_no_accept() {
    let download = |pairs: &[Pair<'static>]| row_of(pairs, Version::Http11, Scheme::Http);
    let pairs = [
        ("Host", "example.org"),
        ("Connection", "keep-alive"),
        ("Referer", "http://example.org/files"),
        ("User-Agent", CHROME_UA),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept-Language", "fr-FR,fr;q=0.9"),
    ];
    let row = download(&pairs);
    expect(&row, &[(Id::CoreMissing, 0.0), (Id::AcceptPage, 0.0)]);
    expect_missing(&row, &[Id::OrderInversions]);
    // A script that leaves Accept out names itself first.
    let mut early = pairs;
    early.swap(2, 3);
    let row = download(&early);
    expect(&row, &[(Id::CoreMissing, 1.0), (Id::OrderInversions, 0.0)]);
}

/// WebKit on other systems than Apple's plays media through GStreamer.
#[test]
fn media_of_webkit_close_their_connection() {
    let webkit = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                  Version/60.5 Safari/605.1.15";
    let mut pairs = vec![
        ("Referer", "http://example.org/start"),
        ("Connection", "close"),
        ("Accept", "*/*"),
        ("User-Agent", webkit),
        ("Accept-Language", "fr-FR,fr;q=0.90"),
        ("Host", "example.org"),
        ("Icy-Metadata", "1"),
    ];
    let row = row_of(&pairs, Version::Http11, Scheme::Http);
    expect(&row, &[(Id::CoreMissing, 0.0), (Id::ConnectionOdd, 0.0)]);
    expect_missing(&row, &[Id::ConnectionForm]);
    pairs.pop();
    let row = row_of(&pairs, Version::Http11, Scheme::Http);
    expect(&row, &[(Id::CoreMissing, 1.0), (Id::ConnectionOdd, 1.0)]);
}

#[test]
fn a_websocket_over_http_2_is_a_browsers() {
    let row = chromium_h2(
        "CONNECT",
        &[
            ("pragma", "no-cache"),
            ("cache-control", "no-cache"),
            ("origin", "https://example.org"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ],
    );
    expect_browser(&row);
    expect(&row, &[(Id::MethodUnusual, 0.0), (Id::CoreMissing, 0.0)]);
    // CONNECT without a WebSocket asks for an open proxy.
    let row = chromium_h2("CONNECT", &[("accept", "*/*")]);
    expect(&row, &[(Id::MethodUnusual, 1.0)]);
}

#[test]
fn speculation_has_a_referer_and_no_site() {
    let page = |site: &'static str, purpose: Option<Pair<'static>>| {
        let mut pairs = replaced("Sec-Fetch-Site", site);
        pairs.retain(|(name, _)| *name != "Sec-Fetch-User");
        pairs.push(("Referer", "https://example.org/x"));
        pairs.extend(purpose);
        https(&pairs)
    };
    let purpose = Some(("Sec-Purpose", "prefetch;prerender"));
    expect(&page("none", purpose), &[(Id::FetchErrors, 0.0)]);
    let plain = page("none", None).get(Id::FetchErrors as u8);
    assert_eq!(plain, 1.0, "a Referer with no site and no speculation");
}
