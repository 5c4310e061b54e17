//! One line of the access log.

use crate::policy::{Action, said_host};
use hedgerow::Verdict;
use hedgerow::host::{ScoredRequest, headers};
use hedgerow::table::Catalog;
use http::header::USER_AGENT;
use pingora::http::RequestHeader;
use serde::Serialize;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a method, a target, a host and an agent that stand in a line: what a client sends does
/// not decide how long lines are.
const TEXT_MAX: usize = 1_024;

/// What a line is made of.
pub(crate) struct Line<'a> {
    pub request: &'a RequestHeader,
    pub client: Option<IpAddr>,
    pub status: u16,
    pub bytes: usize,
    pub took: Duration,
    pub scored: &'a ScoredRequest,
    pub catalog: Option<Arc<Catalog>>,
    pub route: &'a str,
    pub action: Action,
}

#[derive(Serialize)]
struct Fields<'a> {
    time: String,
    client: Option<IpAddr>,
    method: Cow<'a, str>,
    host: Cow<'a, str>,
    target: Cow<'a, str>,
    agent: Cow<'a, str>,
    status: u16,
    bytes: usize,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<u8>,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detections: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bot: Option<&'a str>,
    route: &'a str,
    action: &'static str,
}

impl Line<'_> {
    /// The line, with its end.
    pub fn json(&self) -> Vec<u8> {
        let agent = self.request.headers.get(USER_AGENT);
        let verdict = self.scored.verdict();
        let scored = match verdict {
            Some(Verdict::Scored(scored)) => Some(scored),
            _ => None,
        };
        let bot = match verdict {
            Some(Verdict::VerifiedBot(bot)) => {
                let catalog = self.catalog.as_deref();
                catalog.and_then(|catalog| catalog.bot(bot.bot))
            }
            _ => None,
        };
        let catalog = self.catalog.as_deref();
        let source = headers::source(self.scored);
        let detections = headers::detections(self.scored, catalog);
        let fields = Fields {
            time: hedgerow::watch::time::now(),
            client: self.client,
            method: text(self.request.method.as_str().as_bytes()),
            host: text(said_host(self.request)),
            target: text(self.request.raw_path()),
            agent: text(agent.map(|value| value.as_bytes()).unwrap_or_default()),
            status: self.status,
            bytes: self.bytes,
            ms: self.took.as_micros() as f64 / 1_000.0,
            score: scored.map(|scored| scored.score.get()),
            source: &source,
            margin: { scored }
                .map(|scored| scored.margin)
                .filter(|margin| margin.is_finite()),
            generation: verdict.map(Verdict::generation),
            detections: detections.as_deref(),
            bot: bot.map(|(name, _)| name),
            route: self.route,
            action: self.action.name(),
        };
        let mut line = Vec::with_capacity(512);
        // A `Vec` takes everything, and every field can be written.
        let _ = serde_json::to_writer(&mut line, &fields);
        line.push(b'\n');
        line
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.get(..TEXT_MAX).unwrap_or(bytes))
}
