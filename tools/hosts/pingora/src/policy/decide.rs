//! From a verdict to what becomes of the request.

use super::spelling::{self, Reading};
use super::{Mode, Policy, Route};
use hedgerow::Verdict;
use hedgerow::host::{Outcome, ScoredRequest};
use http::header::HOST;
use pingora::http::RequestHeader;
use pingora::http::authority::raw_target_authority;
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
    /// Returns the position of the route that decides a request, and what becomes of it.
    ///
    /// The first route of which every condition holds takes a request. Where servers may read the
    /// request in several ways, each reading has such a route, and of these the one with the
    /// strictest decision counts. A host that is none is every host.
    pub fn judge(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        scored: &ScoredRequest,
    ) -> (usize, Decision) {
        let last = self.routes.len().saturating_sub(1);
        if last == 0 {
            return (0, self.decide(0, scored));
        }
        let mut strictest: Option<(usize, Decision)> = None;
        self.each_route(request, client, |route| {
            let decision = self.decide(route, scored);
            if strictest.is_none_or(|(_, before)| decision.strictness() > before.strictness()) {
                strictest = Some((route, decision));
            }
        });
        strictest.unwrap_or_else(|| (last, self.decide(last, scored)))
    }

    /// Calls back with each route that takes the request in one reading.
    fn each_route(
        &self,
        request: &RequestHeader,
        client: Option<IpAddr>,
        mut found: impl FnMut(usize),
    ) {
        let host = spelling::host(said_host(request));
        let paths = self.paths.readings(request.uri.path());
        let unclear = self.paths.is_unclear(request.raw_path());
        for method in spelling::methods(request, self.paths) {
            for path in &paths {
                for (at, route) in self.routes.iter().enumerate() {
                    let path = (!unclear).then_some(path);
                    if !route.takes(path, method, client) {
                        continue;
                    }
                    let named = !route.hosts.is_empty();
                    let is = |host: &[u8]| {
                        let same = |one: &String| host.eq_ignore_ascii_case(one.as_bytes());
                        route.hosts.iter().any(same)
                    };
                    match host {
                        Some(host) if named && !is(host) => continue,
                        _ if unclear && !route.paths.is_empty() => found(at),
                        None if named => found(at),
                        _ => {
                            found(at);
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Returns what becomes of a request of a route.
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

impl Decision {
    /// Grows with how much is done about a request.
    fn strictness(&self) -> u8 {
        match self.action {
            Action::Pass => 0,
            Action::Observe => 1,
            Action::Tag => 2,
            Action::Block | Action::FailClosed => 3,
        }
    }
}

impl Route {
    /// Whether all conditions but that of the host hold. Without a path, it may be any.
    fn takes(&self, path: Option<&Reading<'_>>, method: &str, client: Option<IpAddr>) -> bool {
        let same = |one: &String| one.eq_ignore_ascii_case(method);
        (self.methods.is_empty() || self.methods.iter().any(same))
            && (self.paths.is_empty()
                || path.is_none_or(|path| self.paths.iter().any(|pattern| pattern.holds(path))))
            && (self.addresses.is_empty()
                || client.is_some_and(|client| {
                    self.addresses.iter().any(|range| range.contains(client))
                }))
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
