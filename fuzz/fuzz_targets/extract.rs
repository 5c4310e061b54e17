//! Any request gives a row whose values are in range, and a score.
//!
//! The input is read as: how much is known, version, scheme, address, handshake; then the method,
//! the target and the headers, parted by line feeds, name and value by the first colon.
//!
//! Seeds: three requests, which `ci/fuzz.sh` writes.
#![no_main]

use hedgerow::host::{Front, HopRule};
use hedgerow::http::{
    ClientHello, FEATURES, Header, HeadersKnown, Ja4, Request, Scheme, Tls, Version, extract,
};
use hedgerow::table::bots::AddressRange;
use hedgerow::{DEFAULT_TABLE, FeatureKind, PreparedTable, Row, Schema, Table};
use libfuzzer_sys::fuzz_target;
use std::net::Ipv6Addr;
use std::sync::OnceLock;

fn prepared() -> &'static PreparedTable {
    static BOUND: OnceLock<PreparedTable> = OnceLock::new();
    BOUND.get_or_init(|| {
        let table = Table::from_bytes(DEFAULT_TABLE).expect("the default table");
        PreparedTable::new(table, &Schema::http()).expect("a prepared table")
    })
}

/// Proxies in front, in a half of the addresses of IPv6, or at every address.
fn front(every: bool) -> &'static Front {
    static FRONTS: OnceLock<[Front; 2]> = OnceLock::new();
    let fronts = FRONTS.get_or_init(|| {
        [HopRule::Auto, HopRule::Proxy].map(|hop| Front {
            hop,
            trusted: vec![AddressRange::parse("8000::/1").expect("a range")],
            keeps_order: hop == HopRule::Proxy,
            address_header: if hop == HopRule::Auto {
                "a"
            } else {
                "forwarded"
            }
            .into(),
            scheme_header: "forwarded".into(),
            version_header: "v".into(),
            ja4_header: "j".into(),
            ..Front::default()
        })
    });
    &fronts[usize::from(every)]
}

const KNOWN: [HeadersKnown; 4] = [
    HeadersKnown::Complete,
    HeadersKnown::Unordered,
    HeadersKnown::Partial,
    HeadersKnown::UserAgentOnly,
];
const VERSIONS: [Version; 5] = [
    Version::Unknown,
    Version::Http10,
    Version::Http11,
    Version::Http2,
    Version::Http3,
];
const SCHEMES: [Scheme; 3] = [Scheme::Unknown, Scheme::Http, Scheme::Https];

fn pick<T: Copy>(from: &[T], by: u8) -> T {
    from[usize::from(by) % from.len()]
}

fuzz_target!(|input: &[u8]| {
    let Some((head, text)) = input.split_first_chunk::<21>() else {
        return;
    };
    let [known, version, scheme, flags, lists, address @ ..] = *head;
    let mut lines = text.split(|byte| *byte == b'\n');
    let method = lines.next().unwrap_or_default();
    let target = lines.next().unwrap_or_default();
    let alpn = lines.next().unwrap_or_default();
    let numbers: Vec<u16> = alpn
        .chunks(2)
        .map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[pair.len() - 1]))
        .collect();
    let at = usize::from(lists).min(numbers.len());
    let (one, other) = numbers.split_at(at);
    let headers: Vec<Header<'_>> = lines
        .map(|line| match line.iter().position(|byte| *byte == b':') {
            Some(colon) => Header::new(&line[..colon], &line[colon + 1..]),
            None => Header::new(line, b""),
        })
        .collect();
    let mut tls = Tls::UNKNOWN;
    if flags & 1 != 0 {
        tls = tls.alpn(alpn);
    }
    if flags & 2 != 0 {
        let hello = ClientHello {
            quic: flags & 4 != 0,
            legacy_version: 0x0303,
            versions: other,
            ciphers: one,
            extensions: other,
            signature_algorithms: one,
            alpn,
        };
        if let Some(ja4) = Ja4::of(&hello) {
            assert!(ja4.as_str().len() == 36);
        }
        tls = tls.hello(hello);
    }
    if let Ok(ja4) = std::str::from_utf8(alpn) {
        tls = tls.ja4(ja4);
    }
    let mut request = Request::new(method, target, &headers, pick(&KNOWN, known))
        .version(pick(&VERSIONS, version))
        .scheme(pick(&SCHEMES, scheme))
        .tls(tls);
    if flags & 8 != 0 {
        request = request.authority(target);
    }
    if flags & 16 != 0 {
        request = request.peer(Ipv6Addr::from(address).into());
    }
    if flags & 32 != 0 {
        request = front(flags & 64 != 0).resolve(request, headers.iter().copied());
    }
    let mut row = Row::MISSING;
    extract(&request, &mut row);
    for (value, doc) in row.values().iter().zip(FEATURES) {
        if value.is_nan() {
            assert!(doc.missing != "never", "{}", doc.name);
            continue;
        }
        assert!(
            (doc.min..=doc.max).contains(value),
            "{} is {value}",
            doc.name
        );
        let whole = *value == 0.0 || *value == 1.0;
        assert!(
            whole || doc.kind != FeatureKind::Flag,
            "{} is {value}",
            doc.name
        );
    }
    let score = prepared().score(prepared().margin(&row)).get();
    assert!((1..=99).contains(&score));
});
