//! Requests that no client would send, and random ones.

use super::*;

#[test]
fn hostile_requests_return() {
    let long = vec![b'a'; 65_536];
    let slashes = vec![b'/'; 65_536];
    let percents = vec![b'%'; 65_536];
    let parens = vec![b'('; 65_536];
    let values: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\xff\xfe\xfd",
        b",,,;;;===",
        b"Chrome/99999999999999999999.9.9.9",
        &long,
        &slashes,
        &percents,
        &parens,
    ];
    let names: [&[u8]; 8] = [
        b"",
        b"\0",
        b"User-Agent",
        b"accept-language",
        b"SEC-CH-UA",
        b"Accept",
        b"Sec-Fetch-Dest",
        &long,
    ];
    let mut many = Vec::new();
    for at in 0..10_000 {
        many.push(Header::new(
            names[at % names.len()],
            values[at % values.len()],
        ));
    }
    for target in values {
        let request = Request::new(target, target, &many, HeadersKnown::Complete);
        let row = filled(&request.version(Version::Http11).scheme(Scheme::Https));
        expect(&row, &[(Id::Malformed, 7.0)]);
    }
    for value in values {
        for name in names {
            let headers = [Header::new(name, value), Header::new(name, value)];
            filled(&Request::new(
                b"GET",
                b"%",
                &headers,
                HeadersKnown::Complete,
            ));
        }
    }
}

#[test]
fn requests_without_anything_return() {
    for known in KNOWN {
        for peer in [
            "::",
            "::ffff:0:0",
            "::ffff:255.255.255.255",
            "64:ff9b::",
            "ff0f::%0",
        ] {
            let mut request = Request::new(b"", b"", &[], known);
            if let Ok(peer) = peer.parse() {
                request = request.peer(peer);
            }
            expect(&filled(&request), &[(Id::UaMissing, 1.0)]);
        }
    }
}

#[test]
fn hostile_handshakes_return() {
    let many = vec![0x1301; 100_000];
    let grease = vec![0x0a0a; 100_000];
    for list in [&many[..], &grease, &[], &[0xffff]] {
        let hello = ClientHello {
            quic: true,
            legacy_version: 0xffff,
            versions: list,
            ciphers: list,
            extensions: list,
            signature_algorithms: list,
            alpn: &[0xff; 70_000],
        };
        let request = Request::new(b"GET", b"/", &[], HeadersKnown::Complete);
        let tls = Tls::UNKNOWN.hello(hello).ja4("\0").alpn(b"\0\xff");
        let row = filled(&request.version(Version::Http3).tls(tls));
        expect(&row, &[(Id::TlsQuic, 1.0)]);
        assert_eq!(Ja4::of(&hello).is_none(), list.len() > 256);
    }
}

/// What is beyond the bounds changes nothing.
#[test]
fn work_is_bounded() {
    let flood = vec![Header::new(b"X-Flood", b"\xff"); 10_000];
    let bits = |headers: &[Header<'_>]| {
        let request = Request::new(b"GET", b"/", headers, HeadersKnown::Complete);
        filled(&request).values().map(f32::to_bits)
    };
    assert_eq!(bits(&flood), bits(&flood[..HEADERS_SCANNED_MAX]));
    let long = vec![b'a'; 1 << 20];
    for name in ["User-Agent", "Accept", "Accept-Language", "sec-ch-ua", "X"] {
        let whole = [Header::new(name.as_bytes(), &long)];
        let cut = [Header::new(name.as_bytes(), &long[..VALUE_SCANNED_MAX])];
        assert_eq!(bits(&whole), bits(&cut), "{name}");
    }
}

/// Headers from an iterator and from a slice are the same headers.
#[test]
fn iterators_and_slices_agree() {
    let headers = headers(&chrome());
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete)
        .version(Version::Http11)
        .scheme(Scheme::Https);
    let mut row = Row::MISSING;
    extract_from(&request, headers.iter().copied(), &mut row);
    let bits = |row: &Row| row.values().map(f32::to_bits);
    assert_eq!(bits(&row), bits(&filled(&request)));
    extract_from(&request, std::iter::repeat(headers[0]), &mut row);
    check(&row);
    expect(&row, &[(Id::Repeated, 7.0)]);
}

const KNOWN: [HeadersKnown; 4] = [
    HeadersKnown::Complete,
    HeadersKnown::Unordered,
    HeadersKnown::Partial,
    HeadersKnown::UserAgentOnly,
];

/// A small generator, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    /// A text that is cut, repeated and sprinkled with other bytes.
    fn spoil(&mut self, text: &[u8]) -> Vec<u8> {
        let mut bytes = text.to_vec();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.below(256) as u8),
                2 => bytes.extend_from_within(at..),
                _ => bytes.insert(at, b";,()/%\".0 "[self.below(10)]),
            }
        }
        bytes
    }
}

#[test]
fn random_requests_stay_in_range() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let pairs = chrome();
    let agents = [
        CHROME_UA,
        FIREFOX_UA,
        SAFARI_UA,
        "curl/8",
        "Googlebot (+http://a)",
    ];
    let versions = [
        Version::Unknown,
        Version::Http10,
        Version::Http11,
        Version::Http2,
    ];
    let schemes = [Scheme::Unknown, Scheme::Http, Scheme::Https];
    for _ in 0..20_000 {
        let mut owned = Vec::new();
        for _ in 0..dice.below(25) {
            let (name, _) = pairs[dice.below(pairs.len())];
            let (_, mut value) = pairs[dice.below(pairs.len())];
            if name == "User-Agent" {
                value = agents[dice.below(agents.len())];
            }
            let name = match dice.below(3) {
                0 => dice.spoil(name.as_bytes()),
                _ => name.as_bytes().to_vec(),
            };
            owned.push((name, dice.spoil(value.as_bytes())));
        }
        let headers: Vec<_> = owned.iter().map(|(n, v)| Header::new(n, v)).collect();
        let target = dice.spoil(b"/a/../b.php?c=%41&d=<script>");
        let request = Request::new(b"GET", &target, &headers, KNOWN[dice.below(4)])
            .version(versions[dice.below(4)])
            .scheme(schemes[dice.below(3)]);
        let ja4 = dice.spoil(b"t13d1516h2_8daaf6152771_e5627efa2ab1");
        let ja4 = String::from_utf8_lossy(&ja4);
        let peer = std::net::Ipv6Addr::from_bits((1 << dice.below(128)) - 1);
        let tls = Tls::UNKNOWN.ja4(&ja4).alpn(&target);
        filled(&request.peer(peer.into()).tls(tls));
    }
}
