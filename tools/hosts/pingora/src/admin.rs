//! The admin listener: metrics, a status page, and what the page reads.

use crate::shared::Shared;
use crate::{metrics, status};
use async_trait::async_trait;
use hedgerow::Watcher;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::protocols::http::ServerSession;
use std::sync::Arc;

/// Answers on the admin listener.
#[derive(Debug)]
pub struct Admin {
    shared: Arc<Shared>,
    watcher: Option<Watcher>,
}

/// The page: one file, nothing from elsewhere.
const PAGE: &str = include_str!("page.html");

impl Admin {
    /// Answers about this proxy.
    pub fn new(shared: Arc<Shared>, watcher: Option<Watcher>) -> Admin {
        Admin { shared, watcher }
    }
}

#[async_trait]
impl ServeHttp for Admin {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let request = session.req_header();
        let known = matches!(request.method, Method::GET | Method::HEAD);
        let watched = self.watcher.as_ref().map(Watcher::status);
        let (kind, body) = match request.uri.path() {
            _ if !known => return answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET\n".into()),
            "/metrics" => (METRICS, metrics::text(&self.shared, watched.as_ref())),
            "/status.json" => (JSON, status::json(&self.shared, watched)),
            "/healthz" => (TEXT, "ok\n".into()),
            "/" => (HTML, PAGE.into()),
            _ => {
                let paths = "/ /metrics /status.json /healthz\n";
                return answer(StatusCode::NOT_FOUND, TEXT, paths.into());
            }
        };
        answer(StatusCode::OK, kind, body)
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Vec<u8>> {
    let mut answer = Response::new(body.into_bytes());
    *answer.status_mut() = status;
    let length = HeaderValue::from(answer.body().len());
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, length);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let own = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
               connect-src 'self'; img-src data:; frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(own));
    answer
}
