//! The filter: a verdict on a Pingora request, whatever happens.
//!
//! ```
//! use async_trait::async_trait;
//! use hedgerow::{DEFAULT_TABLE, Engine, Schema, Table};
//! use hedgerow_proxy::{Filter, FilterOptions, Judged};
//! use pingora::http::RequestHeader;
//! use pingora::prelude::*;
//!
//! struct Shop {
//!     bots: Filter,
//! }
//!
//! #[async_trait]
//! impl ProxyHttp for Shop {
//!     type CTX = Judged;
//!     fn new_ctx(&self) -> Judged {
//!         Judged::default()
//!     }
//!     async fn request_filter(&self, session: &mut Session, ctx: &mut Judged) -> Result<bool> {
//!         *ctx = self.bots.judge(session);
//!         Ok(false) // or answer here, where `ctx.score()` is too low
//!     }
//!     async fn upstream_request_filter(
//!         &self, _: &mut Session, request: &mut RequestHeader, ctx: &mut Judged,
//!     ) -> Result<()> {
//!         self.bots.tag(ctx, request);
//!         Ok(())
//!     }
//!     async fn upstream_peer(&self, _: &mut Session, _: &mut Judged) -> Result<Box<HttpPeer>> {
//!         Ok(Box::new(HttpPeer::new("127.0.0.1:8000", false, String::new())))
//!     }
//! }
//!
//! let engine = Engine::new(Schema::http_with_traffic());
//! engine.publish(Table::from_bytes(DEFAULT_TABLE)?)?;
//! let shop = Shop { bots: Filter::new(engine, FilterOptions::default()) };
//! # let _ = shop;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::breaker::{Breaker, BreakerOptions};
use crate::counters::{FilterCounters, FilterSnapshot};
use crate::headers;
use hedgerow::http::{Header, HeadersKnown, Request, Scheme, Version, extract_from};
use hedgerow::limits::HEADERS_SCANNED_MAX;
use hedgerow::table::Catalog;
use hedgerow::traffic::{ClientId, ClientKey, Facts, HTTP_BASE, Windows, random_seed};
use hedgerow::{Client, Engine, Row, Score, Scorer, Verdict};
use http::HeaderName;
use http::header::{REFERER, USER_AGENT};
use pingora::http::RequestHeader;
use pingora::proxy::Session;
use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// Why a request went on without being scored. What the engine itself says when it gives no score
/// is a [`hedgerow::Reason`], in the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// The filter was not asked, and so does not count it.
    NotAsked = 0,
    /// The call panicked. Nothing of it is left but this count.
    Panic = 1,
    /// The breaker is open.
    BreakerOpen = 2,
    /// The engine has no slot for another thread, the thread is ending, or it is within a call
    /// already.
    NoScorer = 3,
}

impl Trouble {
    /// Every kind.
    pub const ALL: &'static [Trouble] = &[
        Trouble::NotAsked,
        Trouble::Panic,
        Trouble::BreakerOpen,
        Trouble::NoScorer,
    ];

    /// The name in headers, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::NotAsked => "not-asked",
            Trouble::Panic => "panic",
            Trouble::BreakerOpen => "breaker-open",
            Trouble::NoScorer => "no-scorer",
        }
    }
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The engine's verdict, which may be that there is no score.
    Verdict(Verdict),
    /// No verdict: the request goes on.
    Passed(Trouble),
}

/// What is known of a request once it was judged: a proxy keeps it in its `CTX`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    outcome: Outcome,
    client: Option<ClientId>,
}

impl Default for Judged {
    fn default() -> Judged {
        Judged::passed(Trouble::NotAsked)
    }
}

impl Judged {
    /// An outcome of which no client is known.
    pub(crate) fn of(outcome: Outcome) -> Judged {
        Judged {
            outcome,
            client: None,
        }
    }

    fn passed(trouble: Trouble) -> Judged {
        Judged::of(Outcome::Passed(trouble))
    }

    /// What came of it.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The verdict, where there is one.
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.outcome {
            Outcome::Verdict(verdict) => Some(verdict),
            Outcome::Passed(_) => None,
        }
    }

    /// The score, where there is one: never 0.
    pub fn score(&self) -> Option<Score> {
        self.verdict().and_then(Verdict::score)
    }
}

/// Where a request comes from, as far as the host knows better than the connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct From {
    /// The client's address; none where it is not known.
    pub address: Option<IpAddr>,
    /// Whether the client used TLS.
    pub scheme: Scheme,
}

/// Fills the host's own features into a row, behind the built-in ones.
pub type OwnFeatures = Arc<dyn Fn(&RequestHeader, &mut Row) + Send + Sync>;

/// How a [`Filter`] judges.
#[derive(Clone)]
pub struct FilterOptions {
    /// When calls are given up for a while.
    pub breaker: BreakerOptions,
    /// Clients whose traffic each thread remembers, a power of two; none to remember nothing. It
    /// is for engines with [`Schema::http_with_traffic`](hedgerow::Schema::http_with_traffic), and
    /// is left out with others.
    pub clients: Option<usize>,
    /// The host's own features.
    pub own: Option<OwnFeatures>,
}

impl Default for FilterOptions {
    fn default() -> FilterOptions {
        FilterOptions {
            breaker: BreakerOptions::default(),
            clients: Some(8_192),
            own: None,
        }
    }
}

impl fmt::Debug for FilterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilterOptions")
            .field("breaker", &self.breaker)
            .field("clients", &self.clients)
            .field("own", &self.own.is_some())
            .finish()
    }
}

/// Judges requests on the threads that handle them. Each thread gets a [`Scorer`], windows of
/// traffic and a breaker of its own when it first asks, and keeps them until it ends.
///
/// No call returns an error or panics, where the host is built with unwinding panics: scoring
/// trouble is a request without a score.
#[derive(Debug)]
pub struct Filter {
    number: u64,
    engine: Engine,
    options: FilterOptions,
    seed: u128,
    start: Instant,
    counters: Mutex<Vec<Arc<FilterCounters>>>,
    /// Requests that found no scorer: they have no thread's counters.
    unserved: AtomicU64,
}

/// What one thread has for one filter.
struct Worker {
    filter: u64,
    scorer: Scorer,
    windows: Option<Windows>,
    breaker: Breaker,
    counters: Arc<FilterCounters>,
    row: Row,
    /// Names of the generation that this thread saw last.
    catalog: Option<(u64, Arc<Catalog>)>,
}

thread_local! {
    /// One, as a rule: a process may have several filters.
    static WORKERS: RefCell<Vec<Worker>> = const { RefCell::new(Vec::new()) };
}

static FILTERS: AtomicU64 = AtomicU64::new(0);

impl Filter {
    /// A filter that asks this engine.
    pub fn new(engine: Engine, options: FilterOptions) -> Filter {
        Filter {
            // Relaxed: a number, and nothing else.
            number: FILTERS.fetch_add(1, Ordering::Relaxed),
            engine,
            options,
            seed: random_seed(),
            start: Instant::now(),
            counters: Mutex::default(),
            unserved: AtomicU64::default(),
        }
    }

    /// The engine that is asked.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Judges a request by what it says and by the connection that it came on.
    pub fn judge(&self, session: &Session) -> Judged {
        let from = connection(session);
        self.judge_from(session.req_header(), &from)
    }

    /// Judges a request of a client that the host knows: behind a load balancer, where address and
    /// scheme of the connection are the balancer's.
    pub fn judge_from(&self, request: &RequestHeader, from: &From) -> Judged {
        let judged = self.with_worker(|worker| worker.judge(self, request, from));
        judged.unwrap_or_else(|| self.no_scorer())
    }

    #[cold]
    fn no_scorer(&self) -> Judged {
        // Relaxed: a counter orders nothing.
        self.unserved.fetch_add(1, Ordering::Relaxed);
        Judged::passed(Trouble::NoScorer)
    }

    /// Takes the headers of [`headers`] out of a request that goes upstream, and writes the
    /// verdict's.
    pub fn tag(&self, judged: &Judged, request: &mut RequestHeader) {
        let tagged = || {
            headers::strip(request);
            let catalog = self.catalog_of(judged);
            headers::write(request, judged, catalog.as_deref());
        };
        let _ = catch_unwind(AssertUnwindSafe(tagged));
    }

    /// Takes in with which status the request was answered, for the client's traffic.
    pub fn finish(&self, judged: &Judged, status: u16) {
        let Some(client) = judged.client else {
            return;
        };
        self.with_worker(|worker| {
            if let Some(windows) = &mut worker.windows {
                let finished = || windows.finish(client, status);
                let _ = catch_unwind(AssertUnwindSafe(finished));
            }
        });
    }

    /// The names behind a verdict's matches; none where it has none.
    pub fn catalog_of(&self, judged: &Judged) -> Option<Arc<Catalog>> {
        let verdict = judged.verdict()?;
        let named = match verdict {
            Verdict::Scored(scored) => !scored.detections.is_empty(),
            Verdict::VerifiedBot(_) => true,
            Verdict::NotScored(_) => false,
        };
        let generation = named.then(|| verdict.generation())?;
        self.with_worker(|worker| worker.catalog(&self.engine, generation))?
    }

    /// What all threads counted.
    pub fn stats(&self) -> FilterSnapshot {
        let mut sum = FilterSnapshot::default();
        self.all_counters().iter().for_each(|one| sum.add(one));
        let unserved = self.unserved.load(Ordering::Relaxed);
        sum.requests = sum.requests.saturating_add(unserved);
        if let Some(count) = sum.troubles.get_mut(Trouble::NoScorer as usize) {
            *count = count.saturating_add(unserved);
        }
        sum
    }

    fn all_counters(&self) -> MutexGuard<'_, Vec<Arc<FilterCounters>>> {
        // A push is whole or not there.
        self.counters
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Does something with this thread's worker, which is made where there is none.
    fn with_worker<T>(&self, with: impl FnOnce(&mut Worker) -> T) -> Option<T> {
        let found = WORKERS.try_with(|workers| {
            let mut workers = workers.try_borrow_mut().ok()?;
            let at = workers.iter().position(|one| one.filter == self.number);
            let worker = match at {
                Some(at) => workers.get_mut(at)?,
                None => {
                    let made = catch_unwind(AssertUnwindSafe(|| self.worker()));
                    workers.push(made.ok()??);
                    workers.last_mut()?
                }
            };
            Some(with(worker))
        });
        found.ok().flatten()
    }

    /// A worker for this thread: the only place where a request allocates, and takes locks.
    #[cold]
    fn worker(&self) -> Option<Worker> {
        let scorer = self.engine.scorer().ok()?;
        // Windows fill fixed positions: a schema that has other features there goes without.
        let fits = hedgerow::traffic::FEATURES
            .first()
            .is_some_and(|first| self.engine.schema().index_of(first.name) == Some(HTTP_BASE));
        let clients = self.options.clients.filter(|_| fits);
        let windows = clients.and_then(|clients| Windows::new(clients, self.seed).ok());
        let counters = Arc::new(FilterCounters::default());
        self.all_counters().push(counters.clone());
        Some(Worker {
            filter: self.number,
            scorer,
            windows,
            breaker: Breaker::default(),
            counters,
            row: Row::MISSING,
            catalog: None,
        })
    }
}

/// Where the connection says that a request comes from.
pub fn connection(session: &Session) -> From {
    let address = session.client_addr().and_then(|address| address.as_inet());
    let tls = session.digest().map(|digest| digest.ssl_digest.is_some());
    From {
        address: address.map(|address| address.ip()),
        scheme: match tls {
            Some(true) => Scheme::Https,
            Some(false) => Scheme::Http,
            None => Scheme::Unknown,
        },
    }
}

impl Worker {
    #[inline]
    fn judge(&mut self, filter: &Filter, request: &RequestHeader, from: &From) -> Judged {
        self.counters.requests.one();
        let start = Instant::now();
        if !self.breaker.allows(start) {
            return self.trouble(Trouble::BreakerOpen);
        }
        let judged = catch_unwind(AssertUnwindSafe(|| {
            self.score(filter, request, from, start)
        }));
        let now = Instant::now();
        let took = now.saturating_duration_since(start);
        let options = &filter.options.breaker;
        match judged {
            Ok(judged) => {
                let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
                self.scorer.stats().latency.record(nanos);
                if took > options.budget {
                    self.counters.late.one();
                }
                if self.breaker.returned(took, now, options) {
                    self.counters.opened.one();
                }
                judged
            }
            Err(payload) => {
                // Dropping what was thrown may panic, too.
                std::mem::forget(payload);
                if self.breaker.panicked(now, options) {
                    self.counters.opened.one();
                }
                self.trouble(Trouble::Panic)
            }
        }
    }

    #[cold]
    fn trouble(&self, trouble: Trouble) -> Judged {
        if let Some(counter) = self.counters.troubles.get(trouble as usize) {
            counter.one();
        }
        Judged::passed(trouble)
    }

    fn score(
        &mut self,
        filter: &Filter,
        request: &RequestHeader,
        from: &From,
        now: Instant,
    ) -> Judged {
        if filter.options.own.is_some() {
            // What the host's features leave out of this request is not the one's before.
            self.row = Row::MISSING;
        }
        let view = view(request, from);
        extract_from(&view, fields(request), &mut self.row);
        let agent = value(request, USER_AGENT);
        let mut seen = None;
        if let Some(windows) = &mut self.windows {
            if let Some(address) = from.address {
                let since = now.saturating_duration_since(filter.start).as_nanos();
                let key = ClientKey::address(address);
                let facts = Facts {
                    agent: Some(agent),
                    referer: Some(!matches!(value(request, REFERER), b"" | b"-")),
                    ..Facts::of(&view)
                };
                let observed = windows.observe(&key, &facts, since as u64);
                observed.fill(&mut self.row, HTTP_BASE);
                seen = Some(observed.id());
            } else {
                let (first, more) = (HTTP_BASE, hedgerow::traffic::FEATURES.len());
                for at in (first..).take(more) {
                    self.row.set(at, f32::NAN);
                }
            }
        }
        if let Some(own) = &filter.options.own {
            own(request, &mut self.row);
        }
        let verdict = match from.address {
            Some(address) => {
                let client = Client::new(address, agent);
                self.scorer.score_client(&self.row, &client)
            }
            None => self.scorer.score(&self.row),
        };
        Judged {
            outcome: Outcome::Verdict(verdict),
            client: seen,
        }
    }

    /// The names of a generation: asked of the engine once for each.
    fn catalog(&mut self, engine: &Engine, generation: u64) -> Option<Arc<Catalog>> {
        if let Some((_, catalog)) = self.catalog.as_ref().filter(|(of, _)| *of == generation) {
            return Some(catalog.clone());
        }
        let catalog = engine.catalog(generation)?;
        self.catalog = Some((generation, catalog.clone()));
        Some(catalog)
    }
}

/// The headers in the order and the case that they came in, as far as Pingora keeps them. Headers
/// of one name stand together there, at the first one's place.
fn fields(request: &RequestHeader) -> impl Iterator<Item = Header<'_>> {
    let cased = request.case_header_iter();
    let cased = cased.map(|(name, value)| Header::new(name.as_slice(), value.as_bytes()));
    let others = (!request.has_case()).then(|| request.headers.iter());
    let others = { others.into_iter().flatten() }
        .map(|(name, value)| Header::new(name.as_str().as_bytes(), value.as_bytes()));
    cased.chain(others).take(HEADERS_SCANNED_MAX)
}

/// The first value of a header; empty where there is none.
fn value(request: &RequestHeader, name: HeaderName) -> &[u8] {
    let value = request.headers.get(name);
    value.map(|value| value.as_bytes()).unwrap_or_default()
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
