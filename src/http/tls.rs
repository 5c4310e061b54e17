//! What a TLS handshake tells: its JA4, or the parts of its ClientHello.

use super::agent::Family;

/// What a host knows of the TLS handshake. Each fact may be unknown; where both a JA4 and a
/// ClientHello are there, the ClientHello counts.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Tls<'a> {
    /// The JA4 of the TLS client, as in `t13d1516h2_8daaf6152771_b186095e22b6`. A text that is no
    /// JA4 is not known.
    pub ja4: Option<&'a str>,
    /// The parts of the ClientHello.
    pub hello: Option<ClientHello<'a>>,
    /// The protocol that ALPN settled on, such as `h2`.
    pub alpn: Option<&'a [u8]>,
}

impl<'a> Tls<'a> {
    /// Nothing is known.
    pub const UNKNOWN: Tls<'a> = Tls {
        ja4: None,
        hello: None,
        alpn: None,
    };

    /// The same with the JA4 of the TLS client.
    pub const fn ja4(mut self, ja4: &'a str) -> Tls<'a> {
        self.ja4 = Some(ja4);
        self
    }

    /// The same with the parts of the ClientHello.
    pub const fn hello(mut self, hello: ClientHello<'a>) -> Tls<'a> {
        self.hello = Some(hello);
        self
    }

    /// The same with the protocol that ALPN settled on.
    pub const fn alpn(mut self, alpn: &'a [u8]) -> Tls<'a> {
        self.alpn = Some(alpn);
        self
    }
}

/// The parts of a ClientHello, in the order that they were sent in, GREASE values included.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientHello<'a> {
    /// Whether it came over QUIC.
    pub quic: bool,
    /// The version in the hello itself; what `versions` holds counts more.
    pub legacy_version: u16,
    /// The extension `supported_versions`; empty where there is none.
    pub versions: &'a [u16],
    /// The cipher suites.
    pub ciphers: &'a [u16],
    /// The numbers of the extensions.
    pub extensions: &'a [u16],
    /// The extension `signature_algorithms`; empty where there is none.
    pub signature_algorithms: &'a [u16],
    /// The first protocol of the extension ALPN; empty where there is none.
    pub alpn: &'a [u8],
}

/// The number of the extension that carries the host's name.
const SERVER_NAME: u16 = 0;

/// Values of a list that are looked at.
pub(super) const LIST_MAX: usize = crate::limits::TLS_LIST_MAX;

impl<'a> ClientHello<'a> {
    /// The highest version that is offered.
    pub(super) fn version(&self) -> u16 {
        let offered = real(self.versions).max();
        offered.unwrap_or(self.legacy_version)
    }

    /// Whether the host's name is in it.
    pub(super) fn has_name(&self) -> bool {
        real(self.extensions).any(|extension| extension == SERVER_NAME)
    }
}

/// The values of a list that are not GREASE, which clients add to keep servers from hard-wiring
/// lists; at most [`LIST_MAX`] values are looked at.
pub(super) fn real(list: &[u16]) -> impl Iterator<Item = u16> + '_ {
    let list = list.iter().take(LIST_MAX).copied();
    list.filter(|value| !is_grease(*value))
}

/// 0x0a0a, 0x1a1a and so on to 0xfafa (RFC 8701).
pub(super) fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// The cipher suites that current versions of a browser family send, and the part of a JA4 that
/// stands for them.
struct Suites {
    family: Family,
    ja4: &'static [u8; 12],
    ciphers: &'static [u16],
}

#[rustfmt::skip]
const SUITES: [Suites; 3] = [
    Suites {
        family: Family::Chromium,
        ja4: b"8daaf6152771",
        ciphers: &[
            0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
            0x009c, 0x009d, 0x002f, 0x0035,
        ],
    },
    Suites {
        family: Family::Firefox,
        ja4: b"5b57614c22b0",
        ciphers: &[
            0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9, 0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009,
            0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035,
        ],
    },
    Suites {
        family: Family::Safari,
        ja4: b"a09f3c656075",
        ciphers: &[
            0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b, 0xcca9, 0xc030, 0xc02f, 0xcca8, 0xc00a, 0xc009,
            0xc014, 0xc013, 0x009d, 0x009c, 0x0035, 0x002f, 0xc008, 0xc012, 0x000a,
        ],
    },
];

/// The family whose suites a list holds, in any order.
fn family_of(list: &[u16]) -> Family {
    let count = real(list).count();
    let same = |suites: &&Suites| {
        suites.ciphers.len() == count && real(list).all(|one| suites.ciphers.contains(&one))
    };
    let found = SUITES.iter().find(same);
    found.map_or(Family::None, |suites| suites.family)
}

/// The facts that features are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub quic: bool,
    /// 10 to 13 for TLS 1.0 to 1.3, 3 for SSL 3 and less, none for others.
    pub version: Option<u8>,
    pub name: bool,
    /// At most 99, as in a JA4.
    pub ciphers: u8,
    pub extensions: u8,
    /// The first and last byte of the first protocol of ALPN; none without ALPN.
    pub alpn: Option<[u8; 2]>,
    /// The family whose suites these are.
    pub family: Family,
}

impl Facts {
    /// What is known. None where neither a ClientHello nor a well-formed JA4 is there.
    pub fn of(tls: &Tls<'_>) -> Option<Facts> {
        match (&tls.hello, tls.ja4) {
            (Some(hello), _) => Some(Facts::of_hello(hello)),
            (None, Some(ja4)) => Facts::of_ja4(ja4.as_bytes()),
            (None, None) => None,
        }
    }

    fn of_hello(hello: &ClientHello<'_>) -> Facts {
        Facts {
            quic: hello.quic,
            version: match hello.version() {
                0x0300 | 0x0002 => Some(3),
                0x0301 => Some(10),
                0x0302 => Some(11),
                0x0303 => Some(12),
                0x0304 => Some(13),
                _ => None,
            },
            name: hello.has_name(),
            ciphers: count(hello.ciphers),
            extensions: count(hello.extensions),
            alpn: match hello.alpn {
                [] => None,
                [first, .., last] => Some([*first, *last]),
                [one] => Some([*one, *one]),
            },
            family: family_of(hello.ciphers),
        }
    }

    fn of_ja4(ja4: &[u8]) -> Option<Facts> {
        let (
            [
                protocol,
                version_tens,
                version_ones,
                name,
                ciphers_tens,
                ciphers_ones,
                extensions_tens,
                extensions_ones,
                alpn_first,
                alpn_last,
                b'_',
            ],
            rest,
        ) = ja4.split_first_chunk::<11>()?
        else {
            return None;
        };
        let (ciphers, rest) = rest.split_first_chunk::<12>()?;
        let &[b'_', ref extensions @ ..] = rest else {
            return None;
        };
        let hex = ciphers.iter().chain(extensions).all(u8::is_ascii_hexdigit);
        let protocol_known = matches!(protocol, b't' | b'q' | b'd');
        let name_known = matches!(name, b'd' | b'i');
        if !hex || extensions.len() != 12 || !protocol_known || !name_known {
            return None;
        }
        let suites = SUITES.iter().find(|suites| suites.ja4 == ciphers);
        Some(Facts {
            quic: *protocol == b'q',
            version: match (version_tens, version_ones) {
                (b'1', b'0'..=b'3') => Some(two_digits(*version_tens, *version_ones)?),
                (b's', b'2' | b'3') => Some(3),
                _ => None,
            },
            name: *name == b'd',
            ciphers: two_digits(*ciphers_tens, *ciphers_ones)?,
            extensions: two_digits(*extensions_tens, *extensions_ones)?,
            alpn: (!(*alpn_first == b'0' && *alpn_last == b'0'))
                .then_some([*alpn_first, *alpn_last]),
            family: suites.map_or(Family::None, |suites| suites.family),
        })
    }

    /// Whether HTTP/2 or HTTP/3 is what it would rather speak.
    pub fn prefers_multiplexed(&self) -> bool {
        matches!(self.alpn, Some([b'h', b'2' | b'3']))
    }
}

/// How many values a list has, GREASE not counted, at most 99.
fn count(list: &[u16]) -> u8 {
    u8::try_from(real(list).count()).unwrap_or(u8::MAX).min(99)
}

fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
        return None;
    }
    let tens = tens.wrapping_sub(b'0').saturating_mul(10);
    Some(tens.saturating_add(ones.wrapping_sub(b'0')))
}
