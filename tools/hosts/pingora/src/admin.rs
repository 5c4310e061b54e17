//! The admin listener: metrics, a status page, and what the page reads.

use crate::policy::{bare_host, said_host};
use crate::shared::Shared;
use crate::{metrics, status};
use async_trait::async_trait;
use hedgerow::Watcher;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ORIGIN};
use http::{HeaderValue, Method, Response, StatusCode};
use pingora::apps::http_app::ServeHttp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use std::net::IpAddr;
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
        if !is_asked_directly(request) {
            let expected = "an address, or localhost, as Host and Origin\n";
            return answer(StatusCode::MISDIRECTED_REQUEST, TEXT, expected.into());
        }
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

/// Returns `true` if a request names this machine by an address or as `localhost`, and comes from
/// no page of another name. A page whose name leads to loopback has that name as host.
fn is_asked_directly(request: &RequestHeader) -> bool {
    let is_address = |host: &str| {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        bare.unwrap_or(host).parse::<IpAddr>().is_ok() || host == "localhost"
    };
    let is_here = |said: &[u8]| {
        let host = bare_host(said).and_then(|host| std::str::from_utf8(host).ok());
        host.is_some_and(|host| is_address(&host.to_ascii_lowercase()))
    };
    let origins = request.headers.get_all(ORIGIN).iter();
    let mut origins = origins.map(|origin| origin.as_bytes());
    is_here(said_host(request))
        && origins.all(|origin| {
            let host = origin
                .strip_prefix(b"http://")
                .or(origin.strip_prefix(b"https://"));
            host.is_some_and(is_here)
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_name_is_not_answered() {
        for (host, origin, answered) in [
            (Some("127.0.0.1:6189"), None, true),
            (Some("[::1]:6189"), None, true),
            (Some("10.0.0.9"), None, true),
            (Some("LOCALHOST:6189"), Some("http://localhost:6189"), true),
            (Some("127.0.0.1:6189"), Some("http://127.0.0.1:6189"), true),
            (Some("evil.example"), None, false),
            (Some("evil.example:6189"), None, false),
            (Some("127.0.0.1.evil.example"), None, false),
            (Some("localhost.evil.example"), None, false),
            (Some("127.0.0.1:x"), None, false),
            (Some(""), None, false),
            (None, None, false),
            (Some("127.0.0.1:6189"), Some("http://evil.example"), false),
            (Some("127.0.0.1:6189"), Some("null"), false),
        ] {
            let mut request = RequestHeader::build("GET", b"/status.json", None).unwrap();
            for (name, value) in [("Host", host), ("Origin", origin)] {
                if let Some(value) = value {
                    request.append_header(name, value).unwrap();
                }
            }
            assert_eq!(is_asked_directly(&request), answered, "{host:?} {origin:?}");
        }
    }
}
