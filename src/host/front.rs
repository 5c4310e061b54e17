//! Who is at the other end of a connection, and what a proxy of the site says of its client.

use super::options::{Front, HopRule};
use crate::http::{Header, Hop, Request, Scheme, Tls, Version};
use crate::limits::HEADERS_SCANNED_MAX;
use std::net::IpAddr;

/// Addresses of a header that are looked at, from its end.
const ADDRESSES_MAX: usize = 16;

/// The header of RFC 7239, whose elements name their parts.
const FORWARDED: &[u8] = b"forwarded";

impl Front {
    /// Returns `true` if an address is that of a proxy of the site.
    #[inline]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|range| range.contains(address))
    }

    /// Returns the request with its hop decided, and with what is then known of its client.
    ///
    /// `request` comes with the facts of its connection. From a client they are the client's, and
    /// no header changes them. From a proxy they are dropped, and the headers that
    /// [`Front`] names say what they can; what no header says is unknown. A request that comes
    /// with [`Hop::Proxy`] has facts of its client that the host knows, and keeps them; the
    /// address of a trusted proxy is none.
    #[inline]
    pub fn resolve<'a>(
        &self,
        request: Request<'a>,
        headers: impl IntoIterator<Item = Header<'a>>,
    ) -> Request<'a> {
        self.resolve_as(self.hop, request, headers)
    }

    /// As [`resolve`](Front::resolve), by another rule than that of these settings.
    #[inline]
    pub(crate) fn resolve_as<'a>(
        &self,
        rule: HopRule,
        mut request: Request<'a>,
        headers: impl IntoIterator<Item = Header<'a>>,
    ) -> Request<'a> {
        let decided = request.hop == Hop::Proxy;
        let trusted = request.peer.is_some_and(|peer| self.trusts(peer));
        let proxy = match rule {
            HopRule::Auto => trusted,
            HopRule::Client => false,
            HopRule::Proxy => true,
        };
        if !decided && !proxy {
            if self.scheme != Scheme::Unknown {
                request.scheme = self.scheme;
            }
            return request;
        }
        if !decided {
            request.hop = Hop::Proxy;
            request.scheme = Scheme::Unknown;
            request.client_version = Version::Unknown;
            request.tls = Tls::UNKNOWN;
        }
        if !decided || trusted {
            request.peer = None;
        }
        request.order_kept |= self.keeps_order;
        let mut said = Said::default();
        let headers = headers.into_iter().take(HEADERS_SCANNED_MAX);
        headers.for_each(|header| said.read(self, header));
        said.fill(self, request)
    }
}

/// A fact that headers say: not at all, in one way, or in no clear way.
type Clear<T> = Option<Option<T>>;

/// What the headers of a proxy say of its client.
#[derive(Default)]
struct Said<'a> {
    address: Option<IpAddr>,
    scheme: Clear<Scheme>,
    version: Clear<Version>,
    ja4: Clear<&'a str>,
}

impl<'a> Said<'a> {
    fn read(&mut self, front: &Front, header: Header<'a>) {
        let Header { name, value } = header;
        let is = |setting: &str| name.eq_ignore_ascii_case(setting.as_bytes());
        if name.is_empty() {
            return;
        }
        if is(&front.address_header) {
            self.address = client(front, value, name, self.address);
        }
        if is(&front.scheme_header) {
            if name.eq_ignore_ascii_case(FORWARDED) {
                let protocols = elements(value).filter_map(|element| part(element, b"proto"));
                protocols.for_each(|value| note(&mut self.scheme, Scheme::parse(value)));
            } else {
                note(&mut self.scheme, Scheme::parse(value));
            }
        }
        if is(&front.version_header) {
            note(&mut self.version, Version::parse(value));
        }
        if is(&front.ja4_header) {
            note(&mut self.ja4, std::str::from_utf8(value).ok());
        }
    }

    /// Adds what is said to a request. What the host knows counts more.
    fn fill(self, front: &Front, mut request: Request<'a>) -> Request<'a> {
        request.peer = request.peer.or(self.address);
        if request.scheme == Scheme::Unknown {
            request.scheme = match front.scheme {
                Scheme::Unknown => self.scheme.flatten().unwrap_or_default(),
                fixed => fixed,
            };
        }
        if request.client_version == Version::Unknown {
            request.client_version = self.version.flatten().unwrap_or_default();
        }
        if request.tls.ja4.is_none() && request.tls.hello.is_none() {
            request.tls.ja4 = self.ja4.flatten();
        }
        request
    }
}

/// Notes a value. Two that differ, as of a client's header and of a proxy's, say nothing.
fn note<T: PartialEq>(fact: &mut Clear<T>, value: Option<T>) {
    *fact = Some(match fact.take() {
        None => value,
        Some(before) if before == value => before,
        Some(_) => None,
    });
}

/// The client's address after one more line of the header: the last one that is not a trusted
/// proxy's. A client can write anything before it, so that the line is read from its end, and
/// nothing before a text that is no address counts.
fn client(front: &Front, value: &[u8], name: &[u8], before: Option<IpAddr>) -> Option<IpAddr> {
    let mut nearest = None;
    let standard = name.eq_ignore_ascii_case(FORWARDED);
    for (at, element) in elements(value).rev().enumerate() {
        let text = match standard {
            true => part(element, b"for").unwrap_or_default(),
            false => element.trim_ascii(),
        };
        let Some(address) = address(text).filter(|_| at < ADDRESSES_MAX) else {
            return nearest;
        };
        nearest = Some(address);
        if !front.trusts(address) {
            return nearest;
        }
    }
    // Proxies may write lines of their own.
    before.or(nearest)
}

fn elements(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',')
}

/// The value of a part of an element of `Forwarded`, without quotes.
fn part<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (pair.get(..equals)?, pair.get(equals.saturating_add(1)..)?);
        let same = key.trim_ascii().eq_ignore_ascii_case(name);
        let value = value.trim_ascii();
        let inner = { value.strip_prefix(b"\"") }.and_then(|value| value.strip_suffix(b"\""));
        same.then(|| inner.unwrap_or(value))
    })
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let port = |text: &str| text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, rest) = rest.split_once(']')?;
        let good = rest.is_empty() || rest.strip_prefix(':').is_some_and(port);
        return inner.parse().ok().filter(IpAddr::is_ipv6).filter(|_| good);
    }
    let (inner, after) = text.split_once(':')?;
    inner
        .parse()
        .ok()
        .filter(IpAddr::is_ipv4)
        .filter(|_| port(after))
}
