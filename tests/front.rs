//! Who is at the other end of a connection, and what headers of trusted peers say of the client.

use hedgerow::host::{Front, HopRule};
use hedgerow::http::{Header, HeadersKnown, Hop, Request, Scheme, Tls, Version, extract};
use hedgerow::table::bots::AddressRange;
use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table};

type Pair = (&'static str, &'static str);

fn front() -> Front {
    let ranges = ["10.0.0.0/8", "2001:db8::/32"];
    Front {
        trusted: ranges
            .map(|text| AddressRange::parse(text).expect(text))
            .into(),
        version_header: "x-client-version".into(),
        ja4_header: "x-client-ja4".into(),
        ..Front::default()
    }
}

/// What a connection says of a request from `peer`.
fn connection<'a>(peer: &str) -> Request<'a> {
    Request::new(b"GET", b"/", &[], HeadersKnown::Complete)
        .version(Version::Http11)
        .scheme(Scheme::Http)
        .peer(peer.parse().expect(peer))
        .tls(Tls::UNKNOWN.ja4("t13d1516h2_8daaf6152771_02713d6af862"))
}

fn headers<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<Header<'a>> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()))
        .collect()
}

const PROXY: &str = "10.1.1.1";
const STRANGER: &str = "198.51.100.1";

#[test]
fn the_client_is_the_last_address_that_is_not_a_trusted_proxys() {
    let front = front();
    let many = format!("192.0.2.66, {}10.2.2.2", "10.9.9.9, ".repeat(100));
    let cases: &[(&str, &[&str], &str)] = &[
        (STRANGER, &["192.0.2.1"], STRANGER),
        (PROXY, &[], "unknown"),
        (PROXY, &["192.0.2.1"], "192.0.2.1"),
        (PROXY, &["192.0.2.66, 192.0.2.1"], "192.0.2.1"),
        (PROXY, &["192.0.2.66,192.0.2.1 , 10.2.2.2"], "192.0.2.1"),
        ("2001:db8::1", &["nonsense, 10.2.2.2"], "10.2.2.2"),
        ("::ffff:10.1.1.1", &["192.0.2.1"], "192.0.2.1"),
        (PROXY, &[""], "unknown"),
        // Two proxies, each of which writes a line of its own.
        (PROXY, &["192.0.2.66, 192.0.2.1", "10.2.2.2"], "192.0.2.1"),
        (PROXY, &["192.0.2.66", "192.0.2.1"], "192.0.2.1"),
        (
            PROXY,
            &["192.0.2.66, \u{fffd}, 10.2.2.2", "10.3.3.3"],
            "10.2.2.2",
        ),
        (PROXY, &["192.0.2.1", "", "10.2.2.2"], "10.2.2.2"),
        // Who sends many of a trusted proxy's addresses is read for so long and no longer.
        (PROXY, &[&many], "10.9.9.9"),
        // With a port, as some load balancers write it.
        (PROXY, &["192.0.2.66, 192.0.2.1:443"], "192.0.2.1"),
        (PROXY, &["[2001:db9::7]:8080"], "2001:db9::7"),
        (PROXY, &["[2001:db9::7]"], "2001:db9::7"),
        (PROXY, &["192.0.2.1:123456"], "unknown"),
        (PROXY, &["[192.0.2.1]"], "unknown"),
        (PROXY, &["192.0.2.66, unknown"], "unknown"),
    ];
    for (peer, lines, expected) in cases {
        let pairs: Vec<_> = lines
            .iter()
            .map(|line| ("X-Forwarded-For", *line))
            .collect();
        let seen = front.resolve(connection(peer), headers(&pairs));
        let got = seen.peer.map_or("unknown".into(), |peer| peer.to_string());
        assert_eq!(got, *expected, "{peer} {lines:?}");
        assert_eq!(seen.hop == Hop::Proxy, *peer != STRANGER);
    }
}

#[test]
fn forwarded_is_read_by_its_standard() {
    let front = Front {
        address_header: "Forwarded".into(),
        scheme_header: "Forwarded".into(),
        ..front()
    };
    let cases: &[(&[&str], &str, Scheme)] = &[
        (
            &["for=192.0.2.1;proto=https;by=10.1.1.1"],
            "192.0.2.1",
            Scheme::Https,
        ),
        (
            &["For=\"[2001:db9::7]:4711\" ; Proto=http"],
            "2001:db9::7",
            Scheme::Http,
        ),
        (
            &["for=192.0.2.66, for=192.0.2.1", "for=10.2.2.2"],
            "192.0.2.1",
            Scheme::Unknown,
        ),
        (
            &["for=192.0.2.66;proto=http, for=192.0.2.1;proto=https"],
            "192.0.2.1",
            Scheme::Unknown,
        ),
        (&["for=192.0.2.66, for=_hidden"], "unknown", Scheme::Unknown),
        (&["for=192.0.2.66, proto=https"], "unknown", Scheme::Https),
        (&["192.0.2.1"], "unknown", Scheme::Unknown),
    ];
    for (lines, address, scheme) in cases {
        let pairs: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        let seen = front.resolve(connection(PROXY), headers(&pairs));
        let got = seen.peer.map_or("unknown".into(), |peer| peer.to_string());
        assert_eq!((&*got, seen.scheme), (*address, *scheme), "{lines:?}");
    }
}

#[test]
fn what_a_trusted_header_says_of_the_client_counts_and_the_connection_does_not() {
    let front = front();
    let ja4 = "t13d1717h2_5b57614c22b0_3cbfd9057e0d";
    let told = [
        ("x-forwarded-proto", "HTTPS"),
        ("X-Client-Version", "HTTP/2.0"),
        ("x-client-ja4", ja4),
    ];
    let seen = front.resolve(connection(PROXY), headers(&told));
    assert_eq!((seen.hop, seen.scheme), (Hop::Proxy, Scheme::Https));
    assert_eq!(
        (seen.client_version, seen.tls.ja4),
        (Version::Http2, Some(ja4))
    );
    // No header says it, or two differ.
    let twice = [
        told,
        [
            ("X-Forwarded-Proto", "http"),
            ("x-client-version", "1.1"),
            ("X-Client-JA4", "made up"),
        ],
    ];
    for pairs in [&[][..], &twice.concat()] {
        let seen = front.resolve(connection(PROXY), headers(pairs));
        assert_eq!((seen.hop, seen.scheme), (Hop::Proxy, Scheme::Unknown));
        assert_eq!(
            (seen.client_version, seen.tls.ja4),
            (Version::Unknown, None)
        );
    }
    // Headers that no setting names say nothing, and an empty name is no header's.
    let none = Front {
        scheme_header: String::new(),
        ja4_header: String::new(),
        ..front.clone()
    };
    let odd = [told[0], told[2], ("", "https")];
    let seen = none.resolve(connection(PROXY), headers(&odd));
    assert_eq!((seen.scheme, seen.tls.ja4), (Scheme::Unknown, None));
    // A scheme that the settings fix, for every peer.
    let fixed = Front {
        scheme: Scheme::Https,
        ..front
    };
    for peer in [PROXY, STRANGER] {
        let seen = fixed.resolve(connection(peer), headers(&[("x-forwarded-proto", "http")]));
        assert_eq!(seen.scheme, Scheme::Https, "{peer}");
    }
}

#[test]
fn a_rule_decides_without_addresses() {
    let rule = |hop| Front { hop, ..front() };
    let told = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
    ];
    let client = rule(HopRule::Client).resolve(connection(PROXY), headers(&told));
    assert_eq!((client.hop, client.scheme), (Hop::Client, Scheme::Http));
    assert_eq!(client.peer, PROXY.parse().ok());
    let proxy = rule(HopRule::Proxy).resolve(connection(STRANGER), headers(&told));
    assert_eq!((proxy.hop, proxy.scheme), (Hop::Proxy, Scheme::Https));
    assert_eq!(proxy.peer, "192.0.2.1".parse().ok());
    let orderly = Front {
        keeps_order: true,
        ..front()
    };
    let kept = |peer: &str| {
        let seen = orderly.resolve(connection(peer), headers(&told));
        (seen.hop, seen.order_kept)
    };
    assert_eq!(kept(PROXY), (Hop::Proxy, true));
    assert_eq!(kept(STRANGER), (Hop::Client, false));
    // What the host knows of the client of a proxy counts more than a header.
    let known = connection("192.0.2.9").hop(Hop::Proxy);
    let seen = rule(HopRule::Auto).resolve(known, headers(&told));
    assert_eq!((seen.hop, seen.scheme), (Hop::Proxy, Scheme::Http));
    assert_eq!(seen.peer, "192.0.2.9".parse().ok());
    assert!(seen.tls.ja4.is_some());
    // The address of a proxy is nobody's.
    let seen = rule(HopRule::Auto).resolve(connection(PROXY).hop(Hop::Proxy), headers(&[]));
    assert_eq!(seen.peer, None);
}

/// A bot that copies headers, in an order that is not its browser's.
const BOT: &[Pair] = &[
    ("Accept-Encoding", "gzip"),
    ("Accept", "*/*"),
    ("Host", "shop.example"),
    ("Connection", "close"),
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
         Chrome/140.0.0.0 Safari/537.36",
    ),
];

const FORGED: &[Pair] = &[
    ("Forwarded", "for=66.249.66.1;proto=https"),
    ("X-Forwarded-For", "66.249.66.1, 10.2.2.2"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "shop.example"),
    ("X-Client-Version", "2"),
    ("X-Client-JA4", "t13d1516h2_8daaf6152771_02713d6af862"),
    ("X-Bot-Score", "99"),
];

fn row(pairs: &[Pair]) -> Row {
    let headers = headers(pairs);
    let request = connection(STRANGER).tls(Tls::UNKNOWN);
    let mut seen = front().resolve(request, headers.iter().copied());
    seen.headers = &headers;
    let mut row = Row::MISSING;
    extract(&seen, &mut row);
    row
}

/// A client that no setting trusts can look like one behind a forward proxy, and no further.
#[test]
fn forged_headers_of_a_stranger_are_no_more_than_a_forward_proxy() {
    let squid = row(&[BOT, &[("Via", "1.1 squid")]].concat());
    let engine = Engine::new(Schema::http_with_traffic());
    let table = Table::from_bytes(DEFAULT_TABLE).expect("a table");
    engine.publish(table).expect("published");
    let mut scorer = engine.scorer().expect("a scorer");
    let mut score = |row: &Row| scorer.score(row).score().expect("a score").get();
    let expected = score(&squid);
    let all: Vec<_> = [BOT, FORGED, &[("Via", "2.0 shop")]].concat();
    let singles = FORGED.iter().take(4).map(|one| [BOT, &[*one]].concat());
    for pairs in singles.chain([all]) {
        let forged = row(&pairs);
        for at in 0..hedgerow::traffic::HTTP_BASE {
            let name = hedgerow::http::FEATURES[usize::from(at)].name;
            let (one, other) = (forged.get(at), squid.get(at));
            assert_eq!(
                one.to_bits(),
                other.to_bits(),
                "{name}: {one} {other} {pairs:?}"
            );
        }
        assert_eq!(score(&forged), expected, "{pairs:?}");
    }
    // Names that say nothing of a proxy change no fact of the connection.
    let named = row(&[BOT, &FORGED[4..]].concat());
    let plain = row(BOT);
    let counts = ["headers_count_band", "headers_unknown"];
    for at in 0..hedgerow::traffic::HTTP_BASE {
        let name = hedgerow::http::FEATURES[usize::from(at)].name;
        let same = named.get(at).to_bits() == plain.get(at).to_bits();
        assert!(same || counts.contains(&name), "{name}");
    }
}
