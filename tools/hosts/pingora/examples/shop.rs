//! The filter in a proxy that exists: ten lines more than Pingora itself asks for.
//!
//! `shop UPSTREAM LISTEN`

use async_trait::async_trait;
use hedgerow::host::{self, HostOptions, OpenOptions};
use hedgerow_proxy::{Filter, ScoredRequest};
use pingora::http::RequestHeader;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct Shop {
    bots: Filter,
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Shop {
    type CTX = ScoredRequest;

    fn new_ctx(&self) -> ScoredRequest {
        ScoredRequest::default()
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
        *ctx = self.bots.score(session);
        Ok(false) // or answer here, where `ctx.score()` is too low
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        self.bots.tag(ctx, request);
        Ok(())
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(
            &self.upstream,
            false,
            String::new(),
        )))
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, ctx: &mut Self::CTX) {
        let status = session
            .response_written()
            .map_or(0, |answer| answer.status.as_u16());
        self.bots.finish(ctx, status);
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: shop UPSTREAM LISTEN";
    let (upstream, listen) = (
        arguments.next().ok_or(usage)?,
        arguments.next().ok_or(usage)?,
    );

    let engine = host::open(OpenOptions::default())?.engine;
    let bots = Filter::new(engine, HostOptions::default());

    // A runtime a thread: requests stay where they came, and so does each thread's scorer.
    let conf = ServerConf {
        threads: 2,
        work_stealing: false,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Shop { bots, upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
