//! Fills a row from a request: no allocation, no panic, work bounded by the scan limits.

use super::agent::{Agent, Family};
use super::bytes::starts;
use super::consistency::Parts;
use super::features::{FEATURES, Id};
use super::headers::{Headers, Name, chromium_rank, firefox_rank};
use super::request::{HeadersKnown, Request, Version};
use super::target::Target;
use super::values::{Accept, Brands, Encoding, Language};
use crate::row::Row;

/// Fills every feature of [`Schema::http`](crate::Schema::http) into `row`: what is not known is
/// NaN. Positions beyond [`FEATURES`] are left alone.
///
/// Any bytes are fine. At most [`HEADERS_SCANNED_MAX`](super::HEADERS_SCANNED_MAX) headers, and
/// the first kilobyte of each value and of the target, are looked at.
pub fn extract(request: &Request<'_>, row: &mut Row) {
    for value in row.values_mut().iter_mut().take(FEATURES.len()) {
        *value = f32::NAN;
    }
    let mut fill = Fill { row };
    let headers = Headers::scan(request);
    let user_agent = headers
        .get(Name::UserAgent)
        .filter(|value| !matches!(*value, b"" | b"-"));
    fill.flag(Id::UaMissing, user_agent.is_none());
    let agent = user_agent.map(Agent::parse);
    if let Some(agent) = &agent {
        fill.agent(agent);
    }
    fill.method(request.method);
    let target = (!request.target.is_empty()).then(|| Target::parse(request.target));
    if let Some(target) = &target {
        fill.target(target);
    }
    if request.known != HeadersKnown::UserAgentOnly {
        // No Referer is well-formed: whether one is sent depends on the site and the visit.
        let referer = headers.get(Name::Referer).unwrap_or_default();
        let absent = matches!(referer, b"" | b"-");
        fill.flag(Id::RefererMalformed, !absent && !is_url(referer));
    }
    if request.version != Version::Unknown {
        fill.flag(Id::Http10, request.version == Version::Http10);
    }
    let complete = matches!(
        request.known,
        HeadersKnown::Complete | HeadersKnown::Unordered
    );
    if !complete {
        return;
    }
    let agent = agent.unwrap_or_default();
    let parts = Parts {
        request,
        headers: &headers,
        agent: &agent,
        target: target.as_ref(),
        accept: headers.get(Name::Accept).map(Accept::parse),
        encoding: headers.get(Name::AcceptEncoding).map(Encoding::parse),
        brands: headers.get(Name::ChUa).map(Brands::parse),
    };
    fill.list(&parts);
    fill.values(&parts);
    fill.coherence(&parts);
    if request.known == HeadersKnown::Complete {
        fill.wire(request, &headers, &agent);
    }
}

/// The row being filled.
struct Fill<'r> {
    row: &'r mut Row,
}

impl Fill<'_> {
    fn flag(&mut self, id: Id, value: bool) {
        self.row.set(id as u8, f32::from(u8::from(value)));
    }

    fn maybe(&mut self, id: Id, value: Option<bool>) {
        if let Some(value) = value {
            self.flag(id, value);
        }
    }

    fn count(&mut self, id: Id, value: u8, max: u8) {
        self.row.set(id as u8, f32::from(value.min(max)));
    }

    fn maybe_count(&mut self, id: Id, value: Option<u8>, max: u8) {
        if let Some(value) = value {
            self.count(id, value, max);
        }
    }

    fn agent(&mut self, agent: &Agent) {
        self.count(Id::UaUnknownProducts, agent.unknown_products, 7);
        self.flag(Id::UaMozilla, agent.mozilla);
        self.flag(Id::UaBrowser, agent.family != Family::None);
        self.maybe(Id::UaVersionImpossible, agent.version_impossible());
        self.count(Id::UaContradictions, agent.contradictions, 4);
        self.flag(Id::UaPlatform, agent.platform != Default::default());
        self.flag(Id::UaContact, agent.contact);
        self.flag(Id::UaCompatible, agent.compatible);
        self.flag(Id::UaBot, agent.bot_word);
        self.flag(Id::UaTool, agent.tool_word);
        self.flag(Id::UaAutomation, agent.automation_word);
        self.flag(Id::UaUnbalanced, agent.unbalanced);
        self.flag(Id::UaOddBytes, agent.odd_bytes);
        self.flag(Id::UaStartsLower, agent.starts_lower);
    }

    fn method(&mut self, method: &[u8]) {
        if method.is_empty() {
            return;
        }
        let usual = matches!(
            method,
            b"GET" | b"HEAD" | b"POST" | b"OPTIONS" | b"PUT" | b"PATCH" | b"DELETE"
        );
        self.flag(Id::MethodUnusual, !usual);
        self.flag(Id::MethodHead, method == b"HEAD");
    }

    fn target(&mut self, target: &Target) {
        self.flag(Id::TargetProbe, target.probe);
        self.flag(Id::TargetAttack, target.attack);
        self.flag(Id::TargetMalformed, target.malformed);
        self.row.set(Id::TargetEncoded as u8, target.encoded);
    }

    /// What needs the whole list of headers.
    fn list(&mut self, parts: &Parts<'_>) {
        let headers = parts.headers;
        self.count(Id::Malformed, headers.malformed, 7);
        self.count(Id::Repeated, headers.repeated, 7);
        self.maybe_count(Id::ProtocolErrors, parts.protocol_errors(), 7);
        self.maybe_count(Id::CoreMissing, parts.core_missing(), 3);
        self.flag(Id::HasLanguage, headers.has(Name::AcceptLanguage));
        let pragma = headers.has(Name::Pragma) && !headers.has(Name::CacheControl);
        self.flag(Id::Pragma, pragma);
        if parts.request.version == Version::Http11 {
            let value = headers.get(Name::Connection).unwrap_or_default();
            self.flag(
                Id::ConnectionForm,
                value.eq_ignore_ascii_case(b"keep-alive"),
            );
        }
    }

    /// What single values say.
    fn values(&mut self, parts: &Parts<'_>) {
        if let Some(value) = parts.headers.get(Name::AcceptLanguage) {
            let language = Language::parse(value);
            self.flag(Id::LanguageOdd, language.odd);
        }
        self.maybe(Id::AcceptAny, parts.accept.map(|accept| accept.any));
        if parts.brands.is_some_and(|brands| brands.headless) {
            self.flag(Id::UaAutomation, true);
        }
    }

    /// Whether the parts fit together.
    fn coherence(&mut self, parts: &Parts<'_>) {
        self.maybe(Id::AcceptDocumentOdd, parts.document_odd());
        self.maybe(Id::AcceptPage, parts.page_mismatch());
        self.maybe_count(Id::EncodingOdd, parts.encoding_odd(), 3);
        self.maybe(Id::TeOdd, parts.te_odd());
        self.maybe(Id::HintsMissing, parts.hints_missing());
        self.maybe(Id::HintsForeign, parts.hints_foreign());
        self.maybe(Id::HintsVersion, parts.hints_version());
        self.maybe(Id::HintsPlatform, parts.hints_platform());
        self.maybe(Id::HintsMobile, parts.hints_mobile());
        self.maybe(Id::HintsBrands, parts.hints_brands());
        self.maybe(Id::HintsIncomplete, parts.hints_incomplete());
        self.maybe(Id::SecureOnPlain, parts.secure_on_plain());
        self.maybe(Id::FetchMissing, parts.fetch_missing());
        self.maybe(Id::FetchIncomplete, parts.fetch_incomplete());
        self.maybe_count(Id::FetchErrors, parts.fetch_errors(), 7);
        self.flag(Id::FetchTarget, parts.fetch_target());
        self.maybe(Id::NavigationUir, parts.navigation_without_upgrade());
        self.maybe(Id::PostOrigin, parts.post_without_origin());
        self.flag(Id::BodyOnGet, parts.body_on_get());
    }

    /// What needs order and case as sent.
    fn wire(&mut self, request: &Request<'_>, headers: &Headers<'_>, agent: &Agent) {
        if matches!(request.version, Version::Http10 | Version::Http11) {
            self.count(Id::OddCase, headers.odd_case, 15);
        }
        // Media, WebSocket handshakes and preflights take other ways through a browser.
        let special = headers.has(Name::Range)
            || headers.has(Name::WebSocketKey)
            || request.method == b"OPTIONS";
        let inversions = match agent.family {
            _ if special => None,
            Family::Chromium => Some(headers.inversions(chromium_rank)),
            Family::Firefox => Some(headers.inversions(firefox_rank)),
            _ => None,
        };
        self.maybe_count(Id::OrderInversions, inversions, 7);
        // Safari's order changes with version and kind of request: it tells nothing.
        if special || agent.family == Family::Safari {
            return;
        }
        let encoding = Name::AcceptEncoding;
        let agent_first = headers.before(Name::UserAgent, encoding);
        self.maybe(Id::UaBeforeEncoding, agent_first);
        let accept_first = headers.before(Name::Accept, encoding);
        self.maybe(Id::AcceptBeforeEncoding, accept_first);
        if agent.family == Family::Chromium && agent.chrome.major >= 85 {
            let language_first = headers.before(Name::AcceptLanguage, encoding);
            self.maybe(Id::LanguageBeforeEncoding, language_first);
        }
    }
}

/// Whether a Referer has a form that browsers and their apps send.
fn is_url(value: &[u8]) -> bool {
    let rest = [
        b"https://".as_slice(),
        b"http://",
        b"android-app://",
        b"ios-app://",
    ]
    .into_iter()
    .find(|prefix| starts(value, prefix))
    .map(|prefix| super::bytes::from(value, prefix.len()));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .iter()
                .all(|byte| byte.is_ascii_graphic() && *byte != b'"')
    })
}
