//! From a verdict to what becomes of the request.

use super::{Mode, PathPattern, Policy, Route};
use hedgerow::Verdict;
use hedgerow::host::{Outcome, ScoredRequest};
use http::header::HOST;
use pingora::http::RequestHeader;
use pingora::http::authority::raw_target_authority;
use std::borrow::Cow;
use std::net::IpAddr;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It goes on.
    Pass = 0,
    /// It goes on, and its score is below the route's threshold.
    Observe = 1,
    /// It goes on, and the upstream is told.
    Tag = 2,
    /// It is answered here: the score is too low, or a verified bot is not let through.
    Block = 3,
    /// It is answered here: there is no score, and the route fails closed.
    FailClosed = 4,
}

impl Action {
    /// Every action.
    pub const ALL: &'static [Action] = &[
        Action::Pass,
        Action::Observe,
        Action::Tag,
        Action::Block,
        Action::FailClosed,
    ];

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Action::Pass => "pass",
            Action::Observe => "observe",
            Action::Tag => "tag",
            Action::Block => "block",
            Action::FailClosed => "fail-closed",
        }
    }
}

/// What the policy decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of the request.
    pub action: Action,
    /// The status that it is answered with, where it is answered here.
    pub answer: Option<u16>,
    /// Whether the upstream is told the verdict.
    pub headers: bool,
}

impl Policy {
    /// The position of the route that takes a request.
    pub fn route(&self, request: &RequestHeader, client: Option<IpAddr>) -> usize {
        let last = self.routes.len().saturating_sub(1);
        let takes = |route: &Route| route.takes(request, client);
        self.routes.iter().position(takes).unwrap_or(last)
    }

    /// What becomes of a request of a route.
    pub fn decide(&self, route: usize, scored: &ScoredRequest) -> Decision {
        let none = Decision {
            action: Action::Pass,
            answer: None,
            headers: true,
        };
        let route = self.routes.get(route);
        route.map_or(none, |route| route.decide(scored))
    }
}

impl Route {
    fn takes(&self, request: &RequestHeader, client: Option<IpAddr>) -> bool {
        let any = |list: &[String], holds: &dyn Fn(&str) -> bool| {
            list.is_empty() || list.iter().any(|one| holds(one))
        };
        any(&self.methods, &|method| method == request.method.as_str())
            && (self.paths.is_empty() || self.path(&normal(request.uri.path())))
            && any(&self.hosts, &|host| is_host(request, host))
            && (self.addresses.is_empty()
                || client.is_some_and(|client| {
                    self.addresses.iter().any(|range| range.contains(client))
                }))
    }

    fn path(&self, path: &str) -> bool {
        let holds = |pattern: &PathPattern| match pattern.open {
            true => path.starts_with(&pattern.start),
            false => path == pattern.start,
        };
        self.paths.iter().any(holds)
    }

    fn decide(&self, scored: &ScoredRequest) -> Decision {
        let settings = &self.settings;
        let matches = match scored.outcome() {
            Outcome::Verdict(Verdict::Scored(scored)) => scored.score.get() < settings.below,
            Outcome::Verdict(Verdict::VerifiedBot(bot)) => {
                settings.blocked_bots.contains(&bot.category)
            }
            Outcome::Verdict(Verdict::NotScored(_)) | Outcome::Passed(_) => {
                return Decision {
                    action: match settings.fail_closed {
                        Some(_) => Action::FailClosed,
                        None => Action::Pass,
                    },
                    answer: settings.fail_closed,
                    headers: settings.headers,
                };
            }
        };
        let (action, answer) = match (matches, settings.mode) {
            (false, _) => (Action::Pass, None),
            (true, Mode::Observe) => (Action::Observe, None),
            (true, Mode::Tag) => (Action::Tag, None),
            (true, Mode::Block) => (Action::Block, Some(settings.status)),
        };
        Decision {
            action,
            answer,
            headers: settings.headers,
        }
    }
}

/// Whether a request is for a host, whatever the port, the case of letters, and the dot that a full
/// name may end with.
fn is_host(request: &RequestHeader, host: &str) -> bool {
    let said = said_host(request);
    let port = said.iter().rposition(|byte| *byte == b':');
    let bare = match port.and_then(|at| said.split_at_checked(at)) {
        Some((bare, [_, port @ ..])) if port.iter().all(u8::is_ascii_digit) => bare,
        _ => said,
    };
    let bare = bare.strip_suffix(b".").unwrap_or(bare);
    bare.eq_ignore_ascii_case(host.as_bytes())
}

/// The host that a request says it is for, with its port: `:authority`, an absolute target's, or
/// what stands in `Host`; empty where it says none. Pingora leaves an absolute target's out of the
/// URI, and refuses a request that says two.
pub(crate) fn said_host(request: &RequestHeader) -> &[u8] {
    let authority = request.uri.authority();
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    let header = || request.headers.get(HOST).map(|value| value.as_bytes());
    { authority }
        .or_else(|| raw_target_authority(request.raw_path()).authority())
        .or_else(header)
        .unwrap_or_default()
}

/// A path as most upstreams read it: `%6c` is `l`, `//` and `/./` are `/`, `/a/../b` is `/b`, and
/// `/a/.` and `/a/b/..` are `/a/`. A route for `/login` must not be missed by one that writes it
/// otherwise.
pub(super) fn normal(path: &str) -> Cow<'_, str> {
    if !(path.contains('%') || path.contains("//") || path.contains("/.")) {
        return Cow::Borrowed(path);
    }
    let bytes = decoded(path.as_bytes());
    let last = bytes.rsplit(|byte| *byte == b'/').next();
    let ends = matches!(last, Some(b"" | b"." | b".."));
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in bytes.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut normal = Vec::with_capacity(bytes.len().saturating_add(1));
    for part in &parts {
        normal.push(b'/');
        normal.extend_from_slice(part);
    }
    if ends || parts.is_empty() {
        normal.push(b'/');
    }
    Cow::Owned(String::from_utf8_lossy(&normal).into_owned())
}

/// Bytes with `%XX` replaced, once.
fn decoded(mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    while let [first, rest @ ..] = bytes {
        let hex = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let pair = match rest {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        let behind = pair.and_then(|pair| Some((pair, rest.get(2..)?)));
        let byte;
        (byte, bytes) = match behind {
            Some(((high, low), behind)) => (high << 4 | low, behind),
            None => (*first, rest),
        };
        plain.push(byte);
    }
    plain
}
