//! A borrowed view of one HTTP request, as far as the host knows it.

use super::tls::Tls;
use std::net::IpAddr;

/// One header field as it came: name and value are any bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The name, in the case it was sent in.
    pub name: &'a [u8],
    /// The value, without the white space around it.
    pub value: &'a [u8],
}

impl<'a> Header<'a> {
    /// A header field of this name and value.
    pub const fn new(name: &'a [u8], value: &'a [u8]) -> Header<'a> {
        Header { name, value }
    }
}

/// The protocol version that a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// Not known.
    #[default]
    Unknown,
    /// HTTP/1.0, or the HTTP/0.9 of ancient tools.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Version {
    /// Returns the version of a text as programs write it, such as `1.1`, `HTTP/2.0` or `h2`.
    pub fn parse(text: &[u8]) -> Option<Version> {
        let is = |known: &[u8]| text.eq_ignore_ascii_case(known);
        let any = |all: &[&[u8]]| all.iter().any(|known| is(known));
        if any(&[b"1.1", b"1", b"http/1.1", b"http/1"]) {
            Some(Version::Http11)
        } else if any(&[b"2", b"2.0", b"h2", b"h2c", b"http/2", b"http/2.0"]) {
            Some(Version::Http2)
        } else if any(&[b"3", b"3.0", b"h3", b"http/3", b"http/3.0"]) {
            Some(Version::Http3)
        } else if any(&[b"1.0", b"0.9", b"http/1.0", b"http/0.9"]) {
            Some(Version::Http10)
        } else {
            None
        }
    }
}

/// Whether a request came over TLS. Browsers send some headers over TLS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheme {
    /// Not known: what depends on it is missing.
    #[default]
    Unknown,
    /// Plain text.
    Http,
    /// TLS, at the client's end of the connection.
    Https,
}

impl Scheme {
    /// Returns the scheme of a text as proxies write it: `https`, or `on` and `1` for TLS; `http`,
    /// or `off` and `0`.
    pub fn parse(text: &[u8]) -> Option<Scheme> {
        let any = |all: &[&[u8]]| all.iter().any(|known| text.eq_ignore_ascii_case(known));
        if any(&[b"https", b"wss", b"on", b"1"]) {
            Some(Scheme::Https)
        } else if any(&[b"http", b"ws", b"off", b"0"]) {
            Some(Scheme::Http)
        } else {
            None
        }
    }
}

/// Which program is at the other end of the connection that a request came on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Hop {
    /// The client itself: headers are as the client sent them.
    #[default]
    Client,
    /// A reverse proxy, load balancer or CDN of the site. It may reorder, re-case, add and drop
    /// headers, name another host and speak another version: features on these are missing.
    Proxy,
}

/// How much of the header list is known. A header that is not listed is absent only where the
/// list is complete; elsewhere it is unknown, and every feature on it is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeadersKnown {
    /// Every header is listed, in wire order and in the case it was sent in (HTTP/2 and HTTP/3
    /// names are lower case by protocol).
    Complete,
    /// Every header is listed, but a map has lost their order, the case of their names, and the
    /// headers of the connection itself, such as `Connection`: features on these are missing.
    Unordered,
    /// Only User-Agent and Referer are known: a line of an access log.
    Partial,
    /// Only the User-Agent is known.
    UserAgentOnly,
}

/// One request, borrowed from the host. Nothing in it is checked: any bytes are allowed.
///
/// The struct is made by [`Request::new`] and the methods that follow it, so that facts added
/// later break no host.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The method; empty where it is not known.
    pub method: &'a [u8],
    /// Path and query as sent; empty where they are not known.
    pub target: &'a [u8],
    /// The protocol version of the connection.
    pub version: Version,
    /// The other end of the connection.
    pub hop: Hop,
    /// The version that the client spoke to the proxy, where [`hop`](Request::hop) is a proxy and
    /// a trusted header says so.
    pub client_version: Version,
    /// Whether that proxy keeps the order of the client's headers.
    pub order_kept: bool,
    /// Whether the client used TLS.
    pub scheme: Scheme,
    /// The headers, without HTTP/2 pseudo-headers, duplicates kept.
    pub headers: &'a [Header<'a>],
    /// How much of the header list is known.
    pub known: HeadersKnown,
    /// The `:authority` of HTTP/2 and HTTP/3, where the host keeps it.
    pub authority: Option<&'a [u8]>,
    /// The client's address.
    pub peer: Option<IpAddr>,
    /// What is known of the TLS handshake.
    pub tls: Tls<'a>,
}

impl<'a> Request<'a> {
    /// A request of which version, scheme, authority and peer are not known.
    pub const fn new(
        method: &'a [u8],
        target: &'a [u8],
        headers: &'a [Header<'a>],
        known: HeadersKnown,
    ) -> Request<'a> {
        Request {
            method,
            target,
            version: Version::Unknown,
            hop: Hop::Client,
            client_version: Version::Unknown,
            order_kept: false,
            scheme: Scheme::Unknown,
            headers,
            known,
            authority: None,
            peer: None,
            tls: Tls::UNKNOWN,
        }
    }

    /// The same request with the protocol version of its connection.
    pub const fn version(mut self, version: Version) -> Request<'a> {
        self.version = version;
        self
    }

    /// The same request, received from a client or from a proxy.
    pub const fn hop(mut self, hop: Hop) -> Request<'a> {
        self.hop = hop;
        self
    }

    /// The same request with the version that the client spoke to the proxy in front.
    pub const fn client_version(mut self, version: Version) -> Request<'a> {
        self.client_version = version;
        self
    }

    /// The same request, passed on by a proxy that keeps the order of headers, or by one that may
    /// not.
    pub const fn order_kept(mut self, kept: bool) -> Request<'a> {
        self.order_kept = kept;
        self
    }

    /// The same request with its scheme.
    pub const fn scheme(mut self, scheme: Scheme) -> Request<'a> {
        self.scheme = scheme;
        self
    }

    /// The same request with its `:authority`.
    pub const fn authority(mut self, authority: &'a [u8]) -> Request<'a> {
        self.authority = Some(authority);
        self
    }

    /// The same request with its client's address.
    pub const fn peer(mut self, peer: IpAddr) -> Request<'a> {
        self.peer = Some(peer);
        self
    }

    /// The same request with what is known of its TLS handshake.
    pub const fn tls(mut self, tls: Tls<'a>) -> Request<'a> {
        self.tls = tls;
        self
    }
}
