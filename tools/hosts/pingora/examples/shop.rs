//! The filter in a proxy that exists: ten lines more than Pingora itself asks for.
//!
//! `shop UPSTREAM LISTEN`

use async_trait::async_trait;
use hedgerow::{DEFAULT_TABLE, Engine, Schema, Table};
use hedgerow_proxy::{Filter, FilterOptions, Judged};
use pingora::http::RequestHeader;
use pingora::prelude::*;
use pingora::server::configuration::ServerConf;

struct Shop {
    bots: Filter,
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Shop {
    type CTX = Judged;

    fn new_ctx(&self) -> Judged {
        Judged::default()
    }

    async fn request_filter(&self, session: &mut Session, judged: &mut Judged) -> Result<bool> {
        *judged = self.bots.judge(session);
        Ok(false) // or answer here, where `judged.score()` is too low
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        judged: &mut Judged,
    ) -> Result<()> {
        self.bots.tag(judged, request);
        Ok(())
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Judged) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(
            &self.upstream,
            false,
            String::new(),
        )))
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, judged: &mut Judged) {
        let status = session
            .response_written()
            .map_or(0, |answer| answer.status.as_u16());
        self.bots.finish(judged, status);
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: shop UPSTREAM LISTEN";
    let (upstream, listen) = (
        arguments.next().ok_or(usage)?,
        arguments.next().ok_or(usage)?,
    );

    let engine = Engine::new(Schema::http_with_traffic());
    engine.publish(Table::from_bytes(DEFAULT_TABLE)?)?;
    let bots = Filter::new(engine, FilterOptions::default());

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
