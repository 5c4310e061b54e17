//! Requests of common clients, hostile ones, and what is promised of rows.

mod claims;
mod handshake;
mod hops;
mod hostile;
mod people;
mod rare;

use super::features::Id;
use super::*;
use crate::{FeatureKind, Row, Schema};

const CHROME_UA: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 \
     (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
const FIREFOX_UA: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0";
const SAFARI_UA: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Version/17.6 Safari/605.1.15";
const CHROME_ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,\
     image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
const PLAIN_ACCEPT: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const CHROME_BRANDS: &str = r#""Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24""#;

type Pair<'a> = (&'a str, &'a str);

/// Chrome loading a page over TLS.
fn chrome() -> Vec<Pair<'static>> {
    vec![
        ("Host", "example.org"),
        ("Connection", "keep-alive"),
        ("sec-ch-ua", CHROME_BRANDS),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", "\"Windows\""),
        ("Upgrade-Insecure-Requests", "1"),
        ("User-Agent", CHROME_UA),
        ("Accept", CHROME_ACCEPT),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-User", "?1"),
        ("Sec-Fetch-Dest", "document"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-US,en;q=0.9"),
        ("Cookie", "sid=1"),
    ]
}

fn replaced(name: &str, value: &'static str) -> Vec<Pair<'static>> {
    let mut pairs = chrome();
    for pair in &mut pairs {
        if pair.0 == name {
            pair.1 = value;
        }
    }
    pairs
}

fn headers<'a>(pairs: &[Pair<'a>]) -> Vec<Header<'a>> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()))
        .collect()
}

fn filled(request: &Request<'_>) -> Row {
    let mut row = Row::MISSING;
    extract(request, &mut row);
    check(&row);
    row
}

fn row_of(pairs: &[Pair<'_>], version: Version, scheme: Scheme) -> Row {
    let headers = headers(pairs);
    let request = Request::new(b"GET", b"/a/b?c=d", &headers, HeadersKnown::Complete);
    filled(&request.version(version).scheme(scheme))
}

fn https(pairs: &[Pair<'_>]) -> Row {
    row_of(pairs, Version::Http11, Scheme::Https)
}

fn agent_row(agent: &str) -> Row {
    let headers = headers(&[("User-Agent", agent)]);
    filled(&Request::new(
        b"",
        b"",
        &headers,
        HeadersKnown::UserAgentOnly,
    ))
}

/// Every value is missing, or finite, in range and of its kind; nothing stands beyond the list.
fn check(row: &Row) {
    for (value, doc) in row.values().iter().zip(FEATURES) {
        if value.is_nan() {
            assert_ne!(doc.missing, "never", "{}", doc.name);
            continue;
        }
        assert!(
            (doc.min..=doc.max).contains(value),
            "{} is {value}",
            doc.name
        );
        if doc.kind == FeatureKind::Flag {
            assert!(*value == 0.0 || *value == 1.0, "{} is {value}", doc.name);
        }
    }
    assert!(row.values().iter().skip(FEATURES.len()).all(|v| v.is_nan()));
}

fn expect(row: &Row, expected: &[(Id, f32)]) {
    for (id, value) in expected {
        assert_eq!(row.get(*id as u8), *value, "{id:?}");
    }
}

fn expect_missing(row: &Row, ids: &[Id]) {
    for id in ids {
        assert!(row.get(*id as u8).is_nan(), "{id:?}");
    }
}

/// What is odd about any client; zero or missing for every browser.
const ODDITIES: &[Id] = &[
    Id::UaMissing,
    Id::UaUnknownProducts,
    Id::UaVersionImpossible,
    Id::UaContradictions,
    Id::UaContact,
    Id::UaCompatible,
    Id::UaBot,
    Id::UaTool,
    Id::UaAutomation,
    Id::UaUnbalanced,
    Id::UaOddBytes,
    Id::Malformed,
    Id::Repeated,
    Id::ProtocolErrors,
    Id::OddCase,
    Id::OrderInversions,
    Id::LanguageBeforeEncoding,
    Id::CoreMissing,
    Id::LanguageOdd,
    Id::AcceptDocumentOdd,
    Id::AcceptPage,
    Id::EncodingOdd,
    Id::HintsMissing,
    Id::HintsForeign,
    Id::HintsVersion,
    Id::HintsPlatform,
    Id::HintsMobile,
    Id::HintsBrands,
    Id::HintsIncomplete,
    Id::SecureOnPlain,
    Id::FetchMissing,
    Id::FetchIncomplete,
    Id::FetchErrors,
    Id::FetchTarget,
    Id::NavigationUir,
    Id::PostOrigin,
    Id::BodyOnGet,
];

fn expect_browser(row: &Row) {
    expect(row, &[(Id::UaBrowser, 1.0), (Id::UaMozilla, 1.0)]);
    for id in ODDITIES {
        let value = row.get(*id as u8);
        assert!(value.is_nan() || value == 0.0, "{id:?} is {value}");
    }
}

#[test]
fn the_list_is_a_schema() {
    let schema = Schema::new(Schema::http().features().to_vec()).unwrap();
    assert_eq!(schema.features().len(), FEATURES.len());
    assert_eq!(FEATURES.len(), COUNT);
    for (at, doc) in FEATURES.iter().enumerate() {
        assert_eq!(schema.index_of(doc.name), Some(at as u8));
        assert_eq!(position(doc.name), Some(at as u8));
        assert!(doc.min < doc.max && !doc.missing.is_empty() && !doc.why.is_empty());
    }
    assert_eq!(position("nothing"), None);
}

/// Changes with the list, on purpose: tables bind by name, documents by count.
const COUNT: usize = 121;

#[test]
fn every_feature_is_filled_by_some_request() {
    let mut seen = vec![false; FEATURES.len()];
    let mut note = |row: &Row| {
        for (seen, value) in seen.iter_mut().zip(row.values()) {
            *seen |= !value.is_nan();
        }
    };
    let mut pairs = chrome();
    pairs.push(("Referer", "https://example.org/"));
    note(&https(&pairs));
    note(&row_of(&pairs, Version::Http11, Scheme::Http));
    let headers = headers(&pairs);
    let hello = ClientHello {
        legacy_version: 0x0303,
        ..ClientHello::default()
    };
    let post = Request::new(b"POST", b"/", &headers, HeadersKnown::Complete)
        .version(Version::Http2)
        .authority(b"example.org")
        .peer(std::net::Ipv4Addr::LOCALHOST.into())
        .tls(Tls::UNKNOWN.hello(hello));
    note(&filled(&post));
    let safari = [("User-Agent", SAFARI_UA)];
    note(&https(&safari));
    for (seen, doc) in seen.iter().zip(FEATURES) {
        assert!(seen, "{} is never filled", doc.name);
    }
}

#[test]
fn chrome_is_consistent() {
    let row = https(&chrome());
    expect_browser(&row);
    let told = [
        (Id::ConnectionForm, 1.0),
        (Id::HintsMissing, 0.0),
        (Id::FetchMissing, 0.0),
        (Id::NavigationUir, 0.0),
        (Id::AcceptBeforeEncoding, 1.0),
    ];
    expect(&row, &told);

    let lower: Vec<_> = chrome()
        .iter()
        .skip(2)
        .map(|(name, value)| (name.to_ascii_lowercase(), *value))
        .collect();
    let lower: Vec<_> = lower.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let row = row_of(&lower, Version::Http2, Scheme::Https);
    expect_browser(&row);
    expect_missing(&row, &[Id::OddCase, Id::ConnectionForm]);
}

#[test]
fn chrome_over_http_sends_less() {
    let pairs: Vec<_> = chrome()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("sec-ch") && !name.starts_with("Sec-Fetch"))
        .map(|pair| match pair.0 {
            "Accept-Encoding" => (pair.0, "gzip, deflate"),
            _ => pair,
        })
        .collect();
    let row = row_of(&pairs, Version::Http11, Scheme::Http);
    expect_browser(&row);
    expect(&row, &[(Id::SecureOnPlain, 0.0)]);
    expect_missing(
        &row,
        &[Id::HintsMissing, Id::FetchMissing, Id::HintsVersion],
    );
    // The same without hints is odd over TLS, and unknown where the scheme is.
    let row = https(&pairs);
    expect(&row, &[(Id::HintsMissing, 1.0), (Id::FetchMissing, 1.0)]);
    expect(&row, &[(Id::EncodingOdd, 1.0)]);
    let row = row_of(&pairs, Version::Http11, Scheme::Unknown);
    expect_missing(
        &row,
        &[Id::HintsMissing, Id::FetchMissing, Id::SecureOnPlain],
    );
}

#[test]
fn firefox_and_safari_are_consistent() {
    let firefox = [
        ("Host", "example.org"),
        ("User-Agent", FIREFOX_UA),
        ("Accept", PLAIN_ACCEPT),
        ("Accept-Language", "de,en-US;q=0.7,en;q=0.3"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Connection", "keep-alive"),
        ("Upgrade-Insecure-Requests", "1"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-User", "?1"),
        ("Priority", "u=0, i"),
        ("TE", "trailers"),
    ];
    expect_browser(&https(&firefox));
    let safari = [
        ("sec-fetch-dest", "document"),
        ("user-agent", SAFARI_UA),
        ("accept", PLAIN_ACCEPT),
        ("sec-fetch-site", "none"),
        ("sec-fetch-mode", "navigate"),
        ("accept-language", "en-GB,en;q=0.9"),
        ("priority", "u=0, i"),
        ("accept-encoding", "gzip, deflate, br"),
    ];
    let row = row_of(&safari, Version::Http2, Scheme::Https);
    expect_browser(&row);
    expect_missing(&row, &[Id::OrderInversions, Id::HintsMissing]);
}

#[test]
fn libraries_show() {
    let requests = [
        ("Host", "example.org"),
        ("User-Agent", CHROME_UA),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "*/*"),
        ("Connection", "keep-alive"),
    ];
    let told = [
        (Id::UaBrowser, 1.0),
        (Id::OrderInversions, 2.0),
        (Id::AcceptBeforeEncoding, 0.0),
        (Id::CoreMissing, 1.0),
        (Id::AcceptAny, 1.0),
        (Id::HintsMissing, 1.0),
        (Id::FetchMissing, 1.0),
        (Id::EncodingOdd, 1.0),
    ];
    expect(&https(&requests), &told);
    let curl = [
        ("Host", "a"),
        ("User-Agent", "curl/8.5.0"),
        ("Accept", "*/*"),
    ];
    let row = https(&curl);
    let told = [
        (Id::UaTool, 1.0),
        (Id::UaBrowser, 0.0),
        (Id::UaStartsLower, 1.0),
        (Id::UaUnknownProducts, 1.0),
        (Id::HasLanguage, 0.0),
    ];
    expect(&row, &told);
    expect_missing(&row, &[Id::CoreMissing, Id::EncodingOdd, Id::FetchErrors]);
    let node = [
        ("host", "a"),
        ("connection", "keep-alive"),
        ("accept", "*/*"),
        ("accept-language", "*"),
        ("sec-fetch-mode", "cors"),
        ("user-agent", "node"),
        ("accept-encoding", "br, gzip, deflate"),
    ];
    let told = [
        (Id::OddCase, 7.0),
        (Id::LanguageOdd, 1.0),
        (Id::FetchIncomplete, 1.0),
        (Id::UaTool, 1.0),
    ];
    expect(&https(&node), &told);
    let silent = [("Host", "a"), ("Connection", "keep-alive")];
    let row = https(&silent);
    expect(&row, &[(Id::UaMissing, 1.0)]);
    expect_missing(&row, &[Id::UaMozilla, Id::UaBrowser, Id::UaTool]);
}

#[test]
fn overridden_agents_disagree_with_the_hints() {
    let row = https(&replaced(
        "User-Agent",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
         (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    ));
    expect(&row, &[(Id::HintsForeign, 1.0), (Id::HintsPlatform, 1.0)]);
    let row = https(&replaced(
        "User-Agent",
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/120.0.0.0 Mobile Safari/537.36",
    ));
    let told = [
        (Id::HintsVersion, 1.0),
        (Id::HintsPlatform, 1.0),
        (Id::HintsMobile, 1.0),
        (Id::HintsForeign, 0.0),
    ];
    expect(&row, &told);
    let brands = r#""HeadlessChrome";v="131", "Chromium";v="131", "Not_A Brand";v="24""#;
    expect(
        &https(&replaced("sec-ch-ua", brands)),
        &[(Id::UaAutomation, 1.0)],
    );
    let swapped = https(&replaced("Sec-Fetch-Mode", "same-site"));
    expect(&swapped, &[(Id::FetchErrors, 4.0)]);
}

#[test]
fn agents_are_told_apart() {
    let googlebot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    let told = [
        (Id::UaBot, 1.0),
        (Id::UaTool, 0.0),
        (Id::UaContact, 1.0),
        (Id::UaCompatible, 1.0),
        (Id::UaPlatform, 0.0),
        (Id::UaBrowser, 0.0),
    ];
    expect(&agent_row(googlebot), &told);
    let headless = CHROME_UA.replace("Chrome/", "HeadlessChrome/");
    let told = [(Id::UaAutomation, 1.0), (Id::UaBrowser, 1.0)];
    expect(&agent_row(&headless), &told);
    let phone = "Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/90.0.4430.210 Mobile Safari/537.36";
    let told = [
        (Id::UaBot, 0.0),
        (Id::UaVersionImpossible, 0.0),
        (Id::UaContradictions, 0.0),
    ];
    expect(&agent_row(phone), &told);
    let made_up = "Mozilla/5.0 (iPhone; CPU iPhone OS 11_0 like Mac OS X) AppleWebKit/537.36 \
         (KHTML, like Gecko) Chrome/60.0.1116.1701 Mobile Safari/537.36";
    assert!(agent_row(made_up).get(Id::UaContradictions as u8) >= 1.0);
    let build = "Mozilla/5.0 (Linux; Android 8.0; Pixel 2) AppleWebKit/537.36 \
         (KHTML, like Gecko) Chrome/49.0.2390.1919 Mobile Safari/537.36";
    expect(&agent_row(build), &[(Id::UaVersionImpossible, 1.0)]);
    let rv = FIREFOX_UA.replace("rv:135.0", "rv:102.0");
    expect(&agent_row(&rv), &[(Id::UaVersionImpossible, 1.0)]);
    for tool in [
        "python-requests/2.31.0",
        "Go-http-client/2.0",
        "okhttp/4.12.0",
        "Java/17.0.1",
    ] {
        expect(&agent_row(tool), &[(Id::UaTool, 1.0), (Id::UaBrowser, 0.0)]);
    }
    expect(&agent_row("a (b"), &[(Id::UaUnbalanced, 1.0)]);
    expect(&agent_row("x\u{e9}"), &[(Id::UaOddBytes, 1.0)]);
    expect(&agent_row("-"), &[(Id::UaMissing, 1.0)]);
}

#[test]
fn targets_are_judged_in_general_terms() {
    let row = |target: &str| {
        let request = Request::new(b"GET", target.as_bytes(), &[], HeadersKnown::Partial);
        filled(&request)
    };
    expect(&row("/.env"), &[(Id::TargetProbe, 1.0)]);
    expect(&row("/old/wp-config.php.bak"), &[(Id::TargetProbe, 1.0)]);
    expect(&row("/.well-known/security.txt"), &[(Id::TargetProbe, 0.0)]);
    expect(
        &row("/environment"),
        &[(Id::TargetProbe, 0.0), (Id::TargetAttack, 0.0)],
    );
    expect(&row("/a?f=../../etc/hosts"), &[(Id::TargetAttack, 1.0)]);
    expect(&row("/a?q=%3Cscript%3E"), &[(Id::TargetAttack, 1.0)]);
    expect(&row("/a?q=%zz"), &[(Id::TargetMalformed, 1.0)]);
    expect(&row("/%41%42"), &[(Id::TargetMalformed, 0.0)]);
    expect_missing(&row(""), &[Id::TargetProbe, Id::TargetEncoded]);
}

#[test]
fn unknown_headers_are_missing() {
    let mut pairs = chrome();
    pairs.push(("Referer", "https://example.org/"));
    let headers = headers(&pairs);
    let request = |known| {
        Request::new(b"GET", b"/", &headers, known)
            .version(Version::Http11)
            .scheme(Scheme::Https)
    };
    let first_header = Id::Malformed as usize;
    for known in [HeadersKnown::Partial, HeadersKnown::UserAgentOnly] {
        let row = filled(&request(known));
        assert!(
            row.values()
                .iter()
                .skip(first_header)
                .all(|value| value.is_nan())
        );
        expect(&row, &[(Id::UaBrowser, 1.0), (Id::Http10, 0.0)]);
    }
    let partial = filled(&request(HeadersKnown::Partial));
    expect(&partial, &[(Id::RefererMalformed, 0.0)]);
    let agent_only = filled(&request(HeadersKnown::UserAgentOnly));
    expect_missing(&agent_only, &[Id::RefererMalformed]);
    let unordered = filled(&request(HeadersKnown::Unordered));
    expect(
        &unordered,
        &[(Id::CoreMissing, 0.0), (Id::HintsMissing, 0.0)],
    );
    let wire = [
        Id::OddCase,
        Id::OrderInversions,
        Id::UaBeforeEncoding,
        Id::AcceptBeforeEncoding,
        Id::LanguageBeforeEncoding,
    ];
    expect_missing(&unordered, &wire);
}

#[test]
fn a_used_row_is_filled_anew() {
    let mut row = https(&chrome());
    extract(
        &Request::new(b"", b"", &[], HeadersKnown::UserAgentOnly),
        &mut row,
    );
    check(&row);
    let known = row.values().iter().filter(|value| !value.is_nan()).count();
    assert_eq!(known, 1);
}
