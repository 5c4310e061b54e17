//! What the TLS handshake tells: JA4 values that are known, and features from either form.

use super::*;

/// Chromium 110 to 130, with a GREASE value in front of each list.
const CHROMIUM: ClientHello<'static> = ClientHello {
    quic: false,
    legacy_version: 0x0303,
    versions: &[0x8a8a, 0x0304, 0x0303],
    ciphers: &[
        0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013,
        0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
    ],
    extensions: &[
        0x4a4a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023,
        0x0012, 0x002b, 0xff01, 0x000b, 0x000a, 0x0015,
    ],
    signature_algorithms: &[
        0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601,
    ],
    alpn: b"h2",
};

/// Python's `ssl` on OpenSSL 3.0, as its HTTP libraries use it.
const PYTHON: ClientHello<'static> = ClientHello {
    quic: false,
    legacy_version: 0x0303,
    versions: &[0x0304, 0x0303],
    ciphers: &[
        0x1302, 0x1303, 0x1301, 0xc02c, 0xc030, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc024, 0xc028,
        0xc023, 0xc027, 0x009f, 0x009e, 0x006b, 0x0067, 0x00ff,
    ],
    extensions: &[
        0x0000, 0x000b, 0x000a, 0x0023, 0x0010, 0x0016, 0x0017, 0x000d, 0x002b, 0x002d, 0x0033,
        0x0015,
    ],
    signature_algorithms: &[
        0x0403, 0x0503, 0x0603, 0x0807, 0x0808, 0x0809, 0x080a, 0x080b, 0x0804, 0x0805, 0x0806,
        0x0401, 0x0501, 0x0601, 0x0303, 0x0301, 0x0302, 0x0402, 0x0502, 0x0602,
    ],
    alpn: b"http/1.1",
};

fn ja4(hello: &ClientHello<'_>) -> String {
    Ja4::of(hello).unwrap().to_string()
}

#[test]
fn ja4_is_the_known_one() {
    assert_eq!(ja4(&CHROMIUM), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(ja4(&PYTHON), "t13d1812h1_85036bcba153_d41ae481755e");
    let without_alpn: Vec<_> = PYTHON
        .extensions
        .iter()
        .copied()
        .filter(|e| *e != 16)
        .collect();
    let hello = ClientHello {
        extensions: &without_alpn,
        alpn: b"",
        ..PYTHON
    };
    assert_eq!(ja4(&hello), "t13d181100_85036bcba153_d41ae481755e");
}

#[test]
fn ja4_ignores_grease_everywhere() {
    let algorithms = [&[0x3a3a], CHROMIUM.signature_algorithms].concat();
    let hello = ClientHello {
        signature_algorithms: &algorithms,
        ..CHROMIUM
    };
    assert_eq!(ja4(&hello), ja4(&CHROMIUM));
    // Two equal bytes ending in `a` are GREASE; others are not.
    let ciphers = [0x1a1a, 0x1a2a, 0xfafa];
    let hello = ClientHello {
        ciphers: &ciphers,
        ..CHROMIUM
    };
    assert!(ja4(&hello).starts_with("t13d0116h2_"));
}

#[test]
fn ja4_of_odd_hellos() {
    let nothing = ClientHello::default();
    assert_eq!(ja4(&nothing), "t00i000000_000000000000_000000000000");
    let many = vec![1; 257];
    for (ciphers, extensions) in [(&many[..], &[][..]), (&[][..], &many[..])] {
        let hello = ClientHello {
            ciphers,
            extensions,
            ..ClientHello::default()
        };
        assert_eq!(Ja4::of(&hello), None);
    }
    let full = ClientHello {
        quic: true,
        ciphers: &many[..256],
        alpn: b"\xab..\xcd",
        ..ClientHello::default()
    };
    assert!(ja4(&full).starts_with("q00i9900ad_"));
}

fn row_with(tls: Tls<'_>, agent: &str, version: Version) -> Row {
    let headers = headers(&[("User-Agent", agent)]);
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Partial);
    filled(&request.version(version).tls(tls))
}

#[test]
fn both_forms_tell_the_same() {
    for hello in [CHROMIUM, PYTHON, ClientHello::default()] {
        let text = ja4(&hello);
        for agent in [CHROME_UA, FIREFOX_UA, SAFARI_UA, "curl/8"] {
            let parts = row_with(Tls::UNKNOWN.hello(hello), agent, Version::Http2);
            let whole = row_with(Tls::UNKNOWN.ja4(&text), agent, Version::Http2);
            let bits = |row: &Row| row.values().map(f32::to_bits);
            assert_eq!(bits(&parts), bits(&whole), "{text} {agent}");
        }
    }
}

#[test]
fn agents_are_held_to_their_suites() {
    let chromium = Tls::UNKNOWN.hello(CHROMIUM);
    let told = [
        (Id::TlsBrowser, 1.0),
        (Id::TlsForeign, 0.0),
        (Id::TlsCiphers, 15.0),
        (Id::TlsExtensions, 16.0),
        (Id::TlsVersion, 13.0),
        (Id::TlsNoName, 0.0),
        (Id::TlsAlpnTwo, 1.0),
        (Id::TlsAlpnVersion, 0.0),
    ];
    expect(&row_with(chromium, CHROME_UA, Version::Http2), &told);
    let row = row_with(chromium, FIREFOX_UA, Version::Http2);
    expect(&row, &[(Id::TlsForeign, 1.0)]);
    let row = row_with(Tls::UNKNOWN.hello(PYTHON), CHROME_UA, Version::Http11);
    let told = [
        (Id::TlsBrowser, 0.0),
        (Id::TlsForeign, 1.0),
        (Id::TlsAlpnTwo, 0.0),
    ];
    expect(&row, &told);
    expect_missing(
        &row_with(chromium, "curl/8", Version::Http2),
        &[Id::TlsForeign],
    );
    for (text, version) in [
        ("t13d1717h2_5b57614c22b0_3cbfd9057e0d", 13.0),
        ("t12d1717h2_5b57614c22b0_3cbfd9057e0d", 12.0),
        ("ts3d1717h2_5b57614c22b0_3cbfd9057e0d", 3.0),
    ] {
        let row = row_with(Tls::UNKNOWN.ja4(text), FIREFOX_UA, Version::Http2);
        expect(&row, &[(Id::TlsForeign, 0.0), (Id::TlsVersion, version)]);
    }
}

#[test]
fn alpn_and_version_must_agree() {
    let settled = |alpn| Tls::UNKNOWN.alpn(alpn);
    let row = row_with(settled(b"h2"), CHROME_UA, Version::Http2);
    expect(&row, &[(Id::TlsAlpnVersion, 0.0)]);
    let row = row_with(settled(b"h2"), CHROME_UA, Version::Http11);
    expect(&row, &[(Id::TlsAlpnVersion, 1.0)]);
    let row = row_with(settled(b"http/1.1"), CHROME_UA, Version::Http2);
    expect(&row, &[(Id::TlsAlpnVersion, 1.0)]);
    expect_missing(&row, &[Id::TlsQuic, Id::TlsCiphers, Id::TlsNoAlpn]);
    let row = row_with(settled(b""), CHROME_UA, Version::Http2);
    expect_missing(&row, &[Id::TlsAlpnVersion]);
}

#[test]
fn what_is_no_ja4_is_not_known() {
    for text in [
        "",
        "t13d1516h2",
        "t13d1516h2_8daaf6152771",
        "t13d1516h2_8daaf6152771_",
        "t13d1516h2_8daaf6152771_e5627efa2ab",
        "t13d1516h2_8daaf6152771_e5627efa2ab1x",
        "t13d1516h2_8daaf615277g_e5627efa2ab1",
        "x13d1516h2_8daaf6152771_e5627efa2ab1",
        "t13x1516h2_8daaf6152771_e5627efa2ab1",
        "t13dxx16h2_8daaf6152771_e5627efa2ab1",
        "t13d1516h2-8daaf6152771-e5627efa2ab1",
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}_8daaf6152771_e5627efa2ab1",
    ] {
        let row = row_with(Tls::UNKNOWN.ja4(text), CHROME_UA, Version::Http2);
        expect_missing(&row, &[Id::TlsQuic, Id::TlsCiphers, Id::TlsAlpnVersion]);
    }
    let unknown = Tls::UNKNOWN.ja4("t00d1516h2_8daaf6152771_e5627efa2ab1");
    let row = row_with(unknown, CHROME_UA, Version::Http2);
    expect(&row, &[(Id::TlsCiphers, 15.0)]);
    expect_missing(&row, &[Id::TlsVersion]);
}
