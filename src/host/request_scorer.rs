//! One thread's way from a request to a verdict.

use super::breaker::{Breaker, BreakerOptions};
use super::counters::HostCounters;
use super::options::{HostError, HostOptions};
use super::scored::{PassReason, ScoredRequest};
use crate::engine::{Engine, Scorer};
use crate::http::{self, Header, Named, Request, extract_named};
use crate::row::Row;
use crate::schema::Schema;
use crate::score::{Client, Verdict};
use crate::table::Catalog;
use crate::traffic::{self, ClientId, ClientKey, Facts, HTTP_BASE, Windows, random_seed};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

/// Scores the requests of one thread. It may move to another thread; two threads cannot share it.
///
/// Once it is made, no request allocates, takes a lock or waits. Every call returns: a panic in
/// the headers' iterator or in the host's own features becomes [`PassReason::Panic`].
#[derive(Debug)]
pub struct RequestScorer {
    scorer: Scorer,
    engine: Engine,
    row: Row,
    windows: Option<Windows>,
    /// Row positions of the host's own features.
    own: Range<usize>,
    /// The zero of the windows' clock.
    started: Instant,
    breaker: Breaker,
    counters: Arc<HostCounters>,
    /// The names of the generation that was asked for last.
    catalog: Option<(u64, Arc<Catalog>)>,
}

impl Engine {
    /// Makes a scorer of requests for one thread.
    ///
    /// # Errors
    /// If the schema does not start with the built-in features, all slots are taken, or the
    /// traffic windows cannot be made.
    pub fn request_scorer(&self, options: HostOptions) -> Result<RequestScorer, HostError> {
        RequestScorer::new(self, &options)
    }
}

impl RequestScorer {
    pub(super) fn new(engine: &Engine, options: &HostOptions) -> Result<RequestScorer, HostError> {
        let schema = engine.schema();
        let (has_traffic, own) = parts(schema)?;
        let clients = options.traffic_clients.filter(|_| has_traffic);
        Ok(RequestScorer {
            windows: clients
                .map(|clients| Windows::new(clients, options.seed.unwrap_or_else(random_seed)))
                .transpose()?,
            scorer: engine.scorer()?,
            engine: engine.clone(),
            row: Row::MISSING,
            own,
            started: Instant::now(),
            breaker: Breaker::new(options.breaker.clone()),
            counters: Arc::default(),
            catalog: None,
        })
    }

    /// Scores a request that has its headers.
    #[inline]
    pub fn score(&mut self, request: &Request<'_>) -> ScoredRequest {
        self.score_from(request, request.headers.iter().copied())
    }

    /// Scores a request whose headers come one at a time, such as those of a header map. The
    /// headers of `request` itself are ignored.
    #[inline]
    pub fn score_from<'a>(
        &mut self,
        request: &Request<'a>,
        headers: impl IntoIterator<Item = Header<'a>>,
    ) -> ScoredRequest {
        self.score_with(request, headers, |_| ())
    }

    /// As [`score_from`](RequestScorer::score_from); `own` fills the host's own features: those
    /// of the schema behind the built-in ones, in their order. All are NaN when it is called.
    #[inline]
    pub fn score_with<'a>(
        &mut self,
        request: &Request<'a>,
        headers: impl IntoIterator<Item = Header<'a>>,
        own: impl FnOnce(&mut [f32]),
    ) -> ScoredRequest {
        self.counters.requests.add(1);
        let start = Instant::now();
        if !self.breaker.allows(start) {
            return self.pass(PassReason::BreakerOpen);
        }
        let since = start.saturating_duration_since(self.started);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let judged = self.judge_at(request, headers, own, since.as_nanos() as u64);
            (judged, Instant::now())
        }));
        let ((verdict, client), end) = match judged {
            Ok(judged) => judged,
            Err(payload) => {
                // To drop what a panic carries could panic again.
                std::mem::forget(payload);
                return self.panicked();
            }
        };
        let took = end.saturating_duration_since(start);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.scorer.stats().latency.record(nanos);
        let noted = self.breaker.returned(took, end);
        if noted.late {
            self.counters.late.add(1);
        }
        if noted.opened {
            self.counters.opened.add(1);
        }
        ScoredRequest::new(verdict, client, nanos)
    }

    #[cold]
    fn panicked(&mut self) -> ScoredRequest {
        if self.breaker.panicked(Instant::now()).opened {
            self.counters.opened.add(1);
        }
        self.pass(PassReason::Panic)
    }

    #[cold]
    fn pass(&self, reason: PassReason) -> ScoredRequest {
        self.counters.pass(reason);
        ScoredRequest::from(reason)
    }

    /// Returns the verdict on a request at a time, and its client in the traffic windows. `now` is
    /// in nanoseconds from any point in time, by one clock for all calls.
    ///
    /// This is [`score_with`](RequestScorer::score_with) without its fences, for replays and
    /// proofs: it reads no clock, records no latency, asks no breaker and catches no panic.
    #[inline]
    pub fn judge_at<'a>(
        &mut self,
        request: &Request<'a>,
        headers: impl IntoIterator<Item = Header<'a>>,
        own: impl FnOnce(&mut [f32]),
        now: u64,
    ) -> (Verdict, Option<ClientId>) {
        let named = extract_named(request, headers, &mut self.row);
        let id = self.observe(request, &named, now);
        if let Some(values) = self.row.values_mut().get_mut(self.own.clone()) {
            values.fill(f32::NAN);
            own(values);
        }
        let verdict = match request.peer {
            Some(address) => {
                let client = Client::new(address, named.agent.unwrap_or_default());
                self.scorer.score_client(&self.row, &client)
            }
            None => self.scorer.score(&self.row),
        };
        (verdict, id)
    }

    /// Fills the traffic features. They are missing where the client's address is not known.
    #[inline]
    fn observe(&mut self, request: &Request<'_>, named: &Named<'_>, now: u64) -> Option<ClientId> {
        let windows = self.windows.as_mut()?;
        let Some(address) = request.peer else {
            let places = self.row.values_mut().iter_mut().skip(HTTP_BASE.into());
            let places = places.take(traffic::FEATURES.len());
            places.for_each(|place| *place = f32::NAN);
            return None;
        };
        let facts = Facts::named(request, named);
        let observed = windows.observe(&ClientKey::address(address), &facts, now);
        observed.fill(&mut self.row, HTTP_BASE);
        Some(observed.id())
    }

    /// Notes the status that a client was answered with; it counts from the client's next request
    /// on. Does nothing without windows or a client.
    #[inline]
    pub fn finish(&mut self, client: Option<ClientId>, status: u16) {
        if let (Some(windows), Some(client)) = (&mut self.windows, client) {
            windows.finish(client, status);
        }
    }

    /// Replaces the breaker by a closed one; `None` for none.
    pub fn set_breaker(&mut self, options: Option<BreakerOptions>) {
        self.breaker = Breaker::new(options);
    }

    /// Returns the row of the last request, by the engine's schema: for logs and explanations.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// Returns how many features of the schema are the host's own.
    pub fn own_features(&self) -> usize {
        self.own.len()
    }

    /// Returns what this scorer counts. Any thread may read it.
    pub fn counters(&self) -> &Arc<HostCounters> {
        &self.counters
    }

    /// Returns the engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns the names of a generation's detections and bots; `None` if the engine knows them no
    /// more. Takes a lock for the first request of a generation alone.
    pub fn catalog(&mut self, generation: u64) -> Option<&Arc<Catalog>> {
        if { self.catalog.as_ref() }.is_none_or(|(of, _)| *of != generation) {
            self.catalog = Some((generation, self.engine.catalog(generation)?));
        }
        self.catalog.as_ref().map(|(_, catalog)| catalog)
    }

    /// Returns the names behind a verdict; `None` if it matches no detection and is no bot's.
    pub fn catalog_of(&mut self, verdict: &Verdict) -> Option<&Arc<Catalog>> {
        let named = match verdict {
            Verdict::Scored(scored) => !scored.detections.is_empty(),
            Verdict::VerifiedBot(_) => true,
            Verdict::NotScored(_) => false,
        };
        let generation = named.then(|| verdict.generation())?;
        self.catalog(generation)
    }
}

/// Whether a schema has the traffic features, and the row positions of the host's own.
fn parts(schema: &Schema) -> Result<(bool, Range<usize>), HostError> {
    let mut places = schema.features().iter();
    for doc in http::FEATURES {
        if places.next().is_none_or(|feature| feature.name != doc.name) {
            return Err(HostError::Schema { expected: doc.name });
        }
    }
    let behind = places.clone().map(|feature| feature.name.as_str());
    let traffic = traffic::FEATURES.iter().map(|doc| doc.name);
    let has_traffic = behind.take(traffic::FEATURES.len()).eq(traffic);
    let more = if has_traffic {
        traffic::FEATURES.len()
    } else {
        0
    };
    let first = http::FEATURES.len().saturating_add(more);
    Ok((has_traffic, first..schema.features().len()))
}
