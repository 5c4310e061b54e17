//! The filter: a verdict on a Pingora request, whatever happens.
//!
//! ```
//! use async_trait::async_trait;
//! use hedgerow::host::{self, HostOptions, OpenOptions};
//! use hedgerow_proxy::{Filter, ScoredRequest};
//! use pingora::http::RequestHeader;
//! use pingora::prelude::*;
//!
//! struct Shop {
//!     bots: Filter,
//! }
//!
//! #[async_trait]
//! impl ProxyHttp for Shop {
//!     type CTX = ScoredRequest;
//!     fn new_ctx(&self) -> ScoredRequest {
//!         ScoredRequest::default()
//!     }
//!     async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
//!         *ctx = self.bots.score(session);
//!         Ok(false) // or answer here, where `ctx.score()` is too low
//!     }
//!     async fn upstream_request_filter(
//!         &self, _: &mut Session, request: &mut RequestHeader, ctx: &mut Self::CTX,
//!     ) -> Result<()> {
//!         self.bots.tag(ctx, request);
//!         Ok(())
//!     }
//!     async fn upstream_peer(&self, _: &mut Session, _: &mut Self::CTX) -> Result<Box<HttpPeer>> {
//!         Ok(Box::new(HttpPeer::new("127.0.0.1:8000", false, String::new())))
//!     }
//! }
//!
//! let engine = host::open(OpenOptions::default())?.engine;
//! let shop = Shop { bots: Filter::new(engine, HostOptions::default()) };
//! # let _ = shop;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::headers;
use hedgerow::Engine;
use hedgerow::host::{
    Front, HostOptions, HostSnapshot, RequestScorer, ScoredRequest, ThreadScorers,
};
use hedgerow::http::{Header, HeadersKnown, Hop, Request, Scheme, Version};
use hedgerow::limits::HEADERS_SCANNED_MAX;
use hedgerow::table::Catalog;
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What is known of the client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct From {
    /// The other end of the connection. From a proxy, the other facts are those of its client.
    pub hop: Hop,
    /// The client's address; `None` if it is not known.
    pub address: Option<IpAddr>,
    /// Whether the client used TLS.
    pub scheme: Scheme,
    /// The version that the client spoke to a proxy in front.
    pub client_version: Version,
}

impl From {
    /// Returns what a request says of its client.
    pub(crate) fn of(request: &Request<'_>) -> From {
        From {
            hop: request.hop,
            address: request.peer,
            scheme: request.scheme,
            client_version: request.client_version,
        }
    }
}

/// Fills the host's own features of a request: those of the schema behind the built-in ones, in
/// their order. All are NaN, which is missing, when it is called.
pub type OwnFeatures = Arc<dyn Fn(&RequestHeader, &mut [f32]) + Send + Sync>;

/// Scores requests on the threads that handle them, each with a scorer of its own.
///
/// No call returns an error or panics, where the host is built with unwinding panics: scoring
/// trouble is a request without a score.
#[derive(Clone)]
pub struct Filter {
    scorers: ThreadScorers,
    front: Arc<Front>,
    own: Option<OwnFeatures>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("scorers", &self.scorers)
            .field("front", &self.front)
            .field("own", &self.own.is_some())
            .finish()
    }
}

impl Filter {
    /// Creates a filter that asks this engine. Its requests come from clients.
    pub fn new(engine: Engine, options: HostOptions) -> Filter {
        Filter {
            scorers: ThreadScorers::new(engine, options),
            front: Arc::default(),
            own: None,
        }
    }

    /// Returns the same filter behind the proxies of a site.
    pub fn front(self, front: Front) -> Filter {
        Filter {
            front: Arc::new(front),
            ..self
        }
    }

    /// Returns the same filter with the host's own features.
    pub fn own(self, own: OwnFeatures) -> Filter {
        Filter {
            own: Some(own),
            ..self
        }
    }

    /// Returns the engine that is asked.
    pub fn engine(&self) -> &Engine {
        self.scorers.engine()
    }

    /// Scores a request by its head, its connection, and what is in front of the host.
    pub fn score(&self, session: &Session) -> ScoredRequest {
        let request = session.req_header();
        // Within the fence against panics, as all that reads a request.
        self.scorers
            .score(|scorer| self.ask(scorer, request, &resolved(session, &self.front)))
    }

    /// Scores a request of a client that the host knows better than head and connection say.
    pub fn score_from(&self, request: &RequestHeader, from: &From) -> ScoredRequest {
        self.score_view(request, &view(request, from))
    }

    pub(crate) fn score_view(&self, request: &RequestHeader, view: &Request<'_>) -> ScoredRequest {
        self.scorers.score(|scorer| self.ask(scorer, request, view))
    }

    fn ask(
        &self,
        scorer: &mut RequestScorer,
        request: &RequestHeader,
        view: &Request<'_>,
    ) -> ScoredRequest {
        scorer.score_with(view, fields(request), |values| {
            if let Some(own) = &self.own {
                own(request, values);
            }
        })
    }

    /// Returns the known values of the features of this thread's last request, as
    /// [`facts`](hedgerow::host::facts) writes them.
    pub fn last_facts(&self) -> Option<String> {
        self.scorers.last_facts()
    }

    /// Removes the reserved headers from a request that goes upstream, and writes the verdict's.
    pub fn tag(&self, scored: &ScoredRequest, request: &mut RequestHeader) {
        let tagged = || {
            headers::strip(request);
            let catalog = self.catalog_of(scored);
            headers::write(request, scored, catalog.as_deref());
        };
        let _ = catch_unwind(AssertUnwindSafe(tagged));
    }

    /// Notes the status that a request was answered with, for the client's traffic.
    pub fn finish(&self, scored: &ScoredRequest, status: u16) {
        self.scorers.finish(scored.client(), status);
    }

    /// Returns the names behind a verdict; `None` if there are none.
    pub fn catalog_of(&self, scored: &ScoredRequest) -> Option<Arc<Catalog>> {
        self.scorers.catalog_of(scored)
    }

    /// Returns what all threads counted.
    pub fn stats(&self) -> HostSnapshot {
        self.scorers.stats()
    }
}

/// Returns a request, but for its headers, with what is known of its client.
pub(crate) fn resolved<'a>(session: &'a Session, front: &Front) -> Request<'a> {
    let request = session.req_header();
    front.resolve(view(request, &connection(session)), fields(request))
}

/// Returns where the connection says that a request comes from.
pub(crate) fn connection(session: &Session) -> From {
    let address = session.client_addr().and_then(|address| address.as_inet());
    let tls = session.digest().map(|digest| digest.ssl_digest.is_some());
    From {
        address: address.map(|address| address.ip()),
        scheme: match tls {
            Some(true) => Scheme::Https,
            Some(false) => Scheme::Http,
            None => Scheme::Unknown,
        },
        ..From::default()
    }
}

/// The headers in the order and the case that they came in, as far as Pingora keeps them. Headers
/// of one name stand together there, at the first one's place.
pub(crate) fn fields(request: &RequestHeader) -> impl Iterator<Item = Header<'_>> {
    let cased = request.case_header_iter();
    let cased = cased.map(|(name, value)| Header::new(name.as_slice(), value.as_bytes()));
    let others = (!request.has_case()).then(|| request.headers.iter());
    let others = { others.into_iter().flatten() }
        .map(|(name, value)| Header::new(name.as_str().as_bytes(), value.as_bytes()));
    cased.chain(others).take(HEADERS_SCANNED_MAX)
}

/// A request as hedgerow sees it, but for its headers.
fn view<'a>(request: &'a RequestHeader, from: &From) -> Request<'a> {
    let version = match request.version {
        http::Version::HTTP_09 | http::Version::HTTP_10 => Version::Http10,
        http::Version::HTTP_11 => Version::Http11,
        http::Version::HTTP_2 => Version::Http2,
        http::Version::HTTP_3 => Version::Http3,
        _ => Version::Unknown,
    };
    let method = request.method.as_str().as_bytes();
    let target = target(request);
    let mut view = Request::new(method, target, &[], HeadersKnown::Complete)
        .version(version)
        .hop(from.hop)
        .client_version(from.client_version)
        .scheme(from.scheme);
    let authority = request
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    if let (Version::Http2 | Version::Http3, Some(authority)) = (version, authority) {
        view = view.authority(authority);
    }
    match from.address {
        Some(address) => view.peer(address),
        None => view,
    }
}

/// Path and query. HTTP/2 has a URI of all parts, and HTTP/1 may.
fn target(request: &RequestHeader) -> &[u8] {
    let path = request.uri.path_and_query();
    match path.map(http::uri::PathAndQuery::as_str) {
        Some(path) if request.raw_path_is_utf8() => path.as_bytes(),
        _ => request.raw_path(),
    }
}
