//! What the windows remember of one request, borrowed from it.

use super::hash::{Domain, Seed, hash};
use crate::http::{
    HEADERS_SCANNED_MAX, Header, HeadersKnown, Named, Request, VALUE_SCANNED_MAX, is_asset,
};

/// What the windows look at in one request. What is not known is `None`, and leaves the features
/// that depend on it as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts<'a> {
    /// The path, without the query. The first kilobyte counts.
    pub path: Option<&'a [u8]>,
    /// The User-Agent; empty where the request has none. The first kilobyte counts.
    pub agent: Option<&'a [u8]>,
    /// Whether it asks for a part of a page, such as an image, a style or a script.
    pub asset: Option<bool>,
    /// Whether it has a Referer.
    pub referer: Option<bool>,
}

impl<'a> Facts<'a> {
    /// The facts of a request that has its headers, as for [`extract`](crate::http::extract()).
    ///
    /// Not for headers that come one at a time: the list of `request` is empty then, and the client
    /// is taken for one without User-Agent and Referer. Use
    /// [`from_headers`](Facts::from_headers), with the headers that `extract_from` is given.
    pub fn of(request: &Request<'a>) -> Facts<'a> {
        Facts::from_headers(request, request.headers.iter().copied())
    }

    /// The facts of a request whose headers come one at a time, as for
    /// [`extract_from`](crate::http::extract_from); those of `request` itself are ignored.
    pub fn from_headers(
        request: &Request<'a>,
        headers: impl IntoIterator<Item = Header<'a>>,
    ) -> Facts<'a> {
        let (mut agent, mut referer) = (None, None);
        for header in headers.into_iter().take(HEADERS_SCANNED_MAX) {
            if agent.is_none() && header.name.eq_ignore_ascii_case(b"user-agent") {
                agent = Some(header.value);
            } else if referer.is_none() && header.name.eq_ignore_ascii_case(b"referer") {
                referer = Some(header.value);
            }
        }
        Facts::named(request, &Named { agent, referer })
    }

    /// The facts of a request whose headers were walked already.
    #[inline]
    pub(crate) fn named(request: &Request<'a>, named: &Named<'a>) -> Facts<'a> {
        let target = (!request.target.is_empty()).then_some(request.target);
        let path = target.map(|target| {
            let end = target.iter().take(VALUE_SCANNED_MAX);
            let end = end.take_while(|byte| **byte != b'?').count();
            target.get(..end).unwrap_or_default()
        });
        let refers = !matches!(named.referer.unwrap_or_default(), b"" | b"-");
        Facts {
            path,
            agent: Some(named.agent.unwrap_or_default()),
            asset: path.map(is_asset),
            referer: (request.known != HeadersKnown::UserAgentOnly).then_some(refers),
        }
    }

    #[inline]
    pub(super) fn hashed(&self, seed: Seed) -> Hashed {
        let first = |bytes: &'a [u8]| bytes.get(..VALUE_SCANNED_MAX).unwrap_or(bytes);
        Hashed {
            path: { self.path }.map(|path| hash(seed, Domain::Path, first(path))),
            agent: { self.agent }.map(|agent| hash(seed, Domain::Agent, first(agent))),
            asset: self.asset,
            referer: self.referer,
        }
    }
}

/// Facts without their bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hashed {
    pub path: Option<u64>,
    pub agent: Option<u64>,
    pub asset: Option<bool>,
    pub referer: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_those_of_the_request() {
        let headers = [
            Header::new(b"USER-AGENT", b"one"),
            Header::new(b"User-Agent", b"two"),
            Header::new(b"Referer", b"-"),
        ];
        let request = Request::new(
            b"GET",
            b"/a/b.CSS?x=/y.html",
            &headers,
            HeadersKnown::Partial,
        );
        let facts = Facts::of(&request);
        let expected = Facts {
            path: Some(b"/a/b.CSS"),
            agent: Some(b"one"),
            asset: Some(true),
            referer: Some(false),
        };
        assert_eq!(facts, expected);
        let bare = Request {
            headers: &[],
            ..request
        };
        assert_eq!(Facts::from_headers(&bare, headers), expected);
        let bare = Request::new(b"", b"", &[], HeadersKnown::UserAgentOnly);
        let unknown = Facts {
            agent: Some(b""),
            ..Facts::default()
        };
        assert_eq!(Facts::of(&bare), unknown);
    }
}
