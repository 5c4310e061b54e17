//! The proxy: judges each request, decides by the policy, and passes it on or answers it.

use crate::counters::{RouteCounters, ThreadCounters};
use crate::filter::{From, connection, resolved};
use crate::headers;
use crate::log_line::{Line, RequestId};
use crate::policy::{Action, Decision, Policy};
use crate::shared::Shared;
use async_trait::async_trait;
use bytes::Bytes;
use hedgerow::host::ScoredRequest;
use hedgerow::host::headers::{ACTION, REQUEST};
use http::HeaderValue;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::*;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

const FORWARDED: &str = "x-forwarded-for";

/// The proxy, as Pingora wants it.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    upstream: HttpPeer,
}

/// What is known of one request.
#[derive(Debug)]
pub struct Ctx {
    start: Instant,
    scored: ScoredRequest,
    decision: Decision,
    from: From,
    policy: Option<Arc<Policy>>,
    route: usize,
    id: RequestId,
    /// The features that decided, for the access log.
    facts: Option<String>,
}

/// What one thread has.
struct Local {
    version: u64,
    policy: Arc<Policy>,
    routes: Vec<Arc<RouteCounters>>,
    counters: Arc<ThreadCounters>,
}

thread_local! {
    /// A process has one proxy: this is the binary's, not the filter's.
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// How long a connection to the upstream may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the rest of a refused request is read.
const DRAIN: Duration = Duration::from_secs(2);

impl Proxy {
    /// A proxy in front of an upstream.
    pub fn new(shared: Arc<Shared>, upstream: SocketAddr) -> Proxy {
        let mut upstream = HttpPeer::new(upstream, false, String::new());
        upstream.options.connection_timeout = Some(CONNECT);
        upstream.options.total_connection_timeout = Some(CONNECT);
        Proxy { shared, upstream }
    }

    /// Judges and decides. A panic in it is a request that goes on.
    fn take(&self, session: &Session, ctx: &mut Ctx) -> Option<u16> {
        let taken = catch_unwind(AssertUnwindSafe(|| {
            self.with_local(|local| self.decide(session, ctx, local))
        }));
        taken.ok().flatten().flatten()
    }

    fn decide(&self, session: &Session, ctx: &mut Ctx, local: &Local) -> Option<u16> {
        let (request, policy) = (session.req_header(), &local.policy);
        let view = resolved(session, policy.front());
        ctx.from = From::of(&view);
        // A proxy that does not name its client is who routes and the log know.
        ctx.from.address = view.peer.or_else(|| connection(session).address);
        if let Some(filter) = &self.shared.filter {
            ctx.scored = filter.score_view(request, &view);
            let logged =
                { ctx.scored.score() }.is_some_and(|score| score.get() < self.shared.facts_below);
            if logged && self.shared.log.is_some() {
                ctx.facts = filter.last_facts();
            }
            (ctx.route, ctx.decision) = policy.judge(request, ctx.from.address, &ctx.scored);
            let route = local.routes.get(ctx.route);
            let action = ctx.decision.action as usize;
            if let Some(counter) = route.and_then(|route| route.actions.get(action)) {
                counter.add(1);
            }
        }
        if self.shared.log.is_some() {
            ctx.policy = Some(policy.clone());
        }
        ctx.decision.answer
    }

    /// Writes into the upstream's request who asks, and the verdict.
    fn write_headers(&self, session: &Session, request: &mut RequestHeader, ctx: &Ctx) {
        match &self.shared.filter {
            Some(filter) if ctx.decision.headers => {
                filter.tag(&ctx.scored, request);
                if let Ok(id) = HeaderValue::from_str(&ctx.id.to_string()) {
                    headers::set(request, REQUEST, id);
                }
                if ctx.decision.action == Action::Tag {
                    let tag = HeaderValue::from_static(Action::Tag.name());
                    headers::set(request, ACTION, tag);
                }
            }
            _ => headers::strip(request),
        }
        headers::remove_look_alikes(request, FORWARDED);
        let Some(address) = connection(session).address else {
            return;
        };
        let known = request.headers.get_all(FORWARDED);
        let known: Vec<_> = known
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let mut list = known.join(", ");
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(&address.to_string());
        if let Ok(value) = HeaderValue::from_str(&list) {
            headers::set(request, FORWARDED, value);
        }
    }

    /// Counts and logs an answer.
    fn finish(&self, session: &Session, ctx: &Ctx) {
        let answered = session.response_written();
        let status = answered.map_or(0, |answer| answer.status.as_u16());
        if let Some(filter) = &self.shared.filter {
            filter.finish(&ctx.scored, status);
        }
        let took = ctx.start.elapsed();
        self.with_local(|local| {
            local.counters.status(status);
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            local.counters.latency.record(nanos);
            let Some(log) = &self.shared.log else { return };
            let routes = ctx.policy.as_ref().map(|policy| policy.routes());
            let route = routes.and_then(|routes| routes.get(ctx.route));
            let line = Line {
                request: session.req_header(),
                id: ctx.id,
                from: &ctx.from,
                facts: ctx.facts.as_deref(),
                status,
                bytes: session.body_bytes_sent(),
                took,
                scored: &ctx.scored,
                catalog: { self.shared.filter.as_ref() }
                    .and_then(|filter| filter.catalog_of(&ctx.scored)),
                route: route.map_or("", |route| &route.name),
                action: ctx.decision.action,
            };
            if !log.line(line.json()) {
                local.counters.unlogged.add(1);
            }
        });
    }

    /// Does something with what this thread has, brought up to date with the running policy.
    fn with_local<T>(&self, with: impl FnOnce(&Local) -> T) -> Option<T> {
        let found = LOCAL.try_with(|local| {
            let mut local = local.try_borrow_mut().ok()?;
            let version = self.shared.policies.version();
            if local.as_ref().is_none_or(|local| local.version != version) {
                let known = local.as_ref().map(|local| local.counters.clone());
                *local = Some(self.local(known));
            }
            local.as_ref().map(with)
        });
        found.ok().flatten()
    }

    #[cold]
    fn local(&self, known: Option<Arc<ThreadCounters>>) -> Local {
        let shared = &self.shared;
        let (version, policy) = shared.policies.copy();
        let counters = known.unwrap_or_else(|| shared.registry.thread(shared.core()));
        let routes = policy
            .routes()
            .iter()
            .map(|route| shared.registry.route(&route.name, counters.number));
        Local {
            version,
            routes: routes.collect(),
            policy,
            counters,
        }
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx {
            start: Instant::now(),
            scored: ScoredRequest::default(),
            decision: Decision {
                action: Action::Pass,
                answer: None,
                headers: true,
            },
            from: From::default(),
            policy: None,
            route: usize::MAX,
            id: RequestId::default(),
            facts: None,
        }
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        // From the head of the request on: on a connection that is kept, the context is older.
        ctx.start = Instant::now();
        ctx.id = RequestId::random();
        let Some(status) = self.take(session, ctx) else {
            return Ok(false);
        };
        let mut answer = ResponseHeader::build(status, Some(2))?;
        answer.insert_header(http::header::CONTENT_TYPE, "text/plain")?;
        // A person who was refused can name the number, and `hedgerow why` finds it.
        let body = format!("refused: request {}\n", ctx.id);
        answer.insert_header(http::header::CONTENT_LENGTH, body.len())?;
        // The rest of a request is read, so that the answer is, and not for long.
        session
            .as_downstream_mut()
            .set_total_drain_timeout(Some(DRAIN));
        let bodiless = session.req_header().method == http::Method::HEAD;
        session
            .write_response_header(Box::new(answer), bodiless)
            .await?;
        if bodiless {
            return Ok(true);
        }
        let body = Bytes::from(body);
        session.write_response_body(Some(body), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Ctx) -> Result<Box<HttpPeer>> {
        let mut upstream = Box::new(self.upstream.clone());
        // Each thread has its own connections: what comes on one that another thread has made wakes
        // that thread first.
        upstream.group_key = self
            .with_local(|local| local.counters.number)
            .unwrap_or_default();
        Ok(upstream)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        self.write_headers(session, request, ctx);
        Ok(())
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Ctx) {
        self.finish(session, ctx);
    }
}
