//! Fills a row from a request: no allocation, no panic, work bounded by the scan limits.

use super::agent::{Agent, Family};
use super::bytes::{HIGH, any, below, equal, starts};
use super::consistency::{Kept, Kind, ParsedRequest};
use super::features::{FEATURES, Id};
use super::headers::{CHROMIUM, FIREFOX, Headers, Name};
use super::peer::Peer;
use super::request::{Header, HeadersKnown, Hop, Request, Scheme, Version};
use super::site::split;
use super::target::Target;
use super::tls::Facts;
use super::values::{Accept, Brands, Encoding, Language};
use crate::row::Row;

/// Fills every feature of [`Schema::http`](crate::Schema::http) into `row`: what is not known is
/// NaN. Positions beyond [`FEATURES`] are left alone.
///
/// Any bytes are fine. At most [`HEADERS_SCANNED_MAX`](super::HEADERS_SCANNED_MAX) headers, and
/// the first kilobyte of each value and of the target, are looked at.
pub fn extract(request: &Request<'_>, row: &mut Row) {
    let mut headers = Headers::EMPTY;
    headers.scan(request.known, request.headers.iter().copied());
    fill_row(request, &headers, row);
}

/// Like [`extract`], with headers that come one at a time, such as those of a header map, so that
/// no slice of them is made. The headers of `request` itself are ignored. With traffic windows,
/// [`Facts::from_headers`](crate::traffic::Facts::from_headers) takes the same headers.
///
/// ```
/// # use hedgerow::Row;
/// # use hedgerow::http::{Header, HeadersKnown, Request, extract_from, position};
/// let map = [("host", "example.org"), ("user-agent", "curl/8.5.0")];
/// let headers = map.iter().map(|(name, value)| Header::new(name.as_bytes(), value.as_bytes()));
/// let request = Request::new(b"GET", b"/", &[], HeadersKnown::Unordered);
/// let mut row = Row::MISSING;
/// extract_from(&request, headers, &mut row);
/// assert_eq!(position("ua_tool_word").map(|at| row.get(at)), Some(1.0));
/// ```
pub fn extract_from<'a>(
    request: &Request<'a>,
    headers: impl IntoIterator<Item = Header<'a>>,
    row: &mut Row,
) {
    extract_named(request, headers, row);
}

/// The values of the headers that later steps read, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// The first User-Agent, at most [`VALUE_SCANNED_MAX`](super::VALUE_SCANNED_MAX) bytes of it.
    pub agent: Option<&'a [u8]>,
    /// The first Referer, as far.
    pub referer: Option<&'a [u8]>,
}

/// As [`extract_from`]; returns what later steps read, so that the headers are walked once.
#[inline]
pub(crate) fn extract_named<'a>(
    request: &Request<'a>,
    headers: impl IntoIterator<Item = Header<'a>>,
    row: &mut Row,
) -> Named<'a> {
    let mut seen = Headers::EMPTY;
    seen.scan(request.known, headers.into_iter());
    fill_row(request, &seen, row);
    Named {
        agent: seen.get(Name::UserAgent),
        referer: seen.get(Name::Referer),
    }
}

fn fill_row(request: &Request<'_>, headers: &Headers<'_>, row: &mut Row) {
    for value in row.values_mut().iter_mut().take(FEATURES.len()) {
        *value = f32::NAN;
    }
    let mut fill = Fill { row };
    let user_agent = headers
        .get(Name::UserAgent)
        .filter(|value| !matches!(*value, b"" | b"-"));
    fill.flag(Id::UaMissing, user_agent.is_none());
    let agent = user_agent.map(Agent::parse);
    if let Some(agent) = &agent {
        fill.agent(agent);
        let length = user_agent.map_or(0, <[u8]>::len);
        fill.band(Id::UaLength, length, &[24, 72, 256]);
    }
    fill.method(request, headers);
    let target = (!request.target.is_empty()).then(|| Target::parse(request.target));
    if let Some(target) = &target {
        fill.target(target);
        let bounds = [32, 96, 256, 1_024];
        fill.band(Id::TargetLength, request.target.len(), &bounds);
    }
    if request.known != HeadersKnown::UserAgentOnly {
        // No Referer is well-formed: whether one is sent depends on the site and the visit.
        let referer = headers.get(Name::Referer).unwrap_or_default();
        let absent = matches!(referer, b"" | b"-");
        fill.flag(Id::RefererMalformed, !absent && !is_url(referer));
    }
    let agent = agent.unwrap_or_default();
    let kept = Kept::of(request, headers, &agent);
    fill.connection(request, &kept, &agent);
    let complete = matches!(
        request.known,
        HeadersKnown::Complete | HeadersKnown::Unordered
    );
    if !complete {
        return;
    }
    let encoding = headers.get(Name::AcceptEncoding);
    let parts = ParsedRequest {
        request,
        headers,
        agent: &agent,
        kept,
        target: target.as_ref(),
        accept: headers.get(Name::Accept).map(Accept::parse),
        encoding: encoding.filter(|_| kept.encoding).map(Encoding::parse),
        brands: headers.get(Name::ChUa).map(Brands::parse),
        referer: headers.get(Name::Referer).and_then(split),
        kind: Kind::default(),
    };
    let parts = parts.classified();
    fill.list(&parts);
    fill.values(&parts);
    fill.site(&parts);
    fill.coherence(&parts);
    if kept.order {
        fill.wire(&parts);
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

    /// How many of some ascending bounds a length reaches.
    fn band(&mut self, id: Id, length: usize, bounds: &[usize]) {
        let reached = bounds.iter().filter(|bound| length >= **bound).count();
        self.count(id, u8::try_from(reached).unwrap_or(u8::MAX), 7);
    }

    /// What is known of the connection: version, address, handshake.
    fn connection(&mut self, request: &Request<'_>, kept: &Kept, agent: &Agent) {
        let version = kept.version;
        let multiplexed = matches!(version, Version::Http2 | Version::Http3);
        if version != Version::Unknown {
            self.flag(Id::Http10, version == Version::Http10);
            self.flag(Id::Multiplexed, multiplexed);
            let offers = matches!(agent.family, Family::Chromium | Family::Firefox);
            if offers && kept.scheme == Scheme::Https {
                self.flag(Id::OneOnTls, !multiplexed);
            }
        }
        if let Some(peer) = request.peer.map(Peer::of) {
            self.flag(Id::PeerV6, peer.v6);
            self.flag(Id::PeerPrivate, peer.private);
            self.flag(Id::PeerSpecial, peer.special);
            self.flag(Id::PeerTranslated, peer.translated);
        }
        let facts = Facts::of(&request.tls);
        if let Some(facts) = &facts {
            self.handshake(facts, agent);
        }
        let settled = request.tls.alpn.filter(|alpn| !alpn.is_empty());
        if version != Version::Unknown && (facts.is_some() || settled.is_some()) {
            let none = facts.is_some_and(|facts| facts.alpn.is_none());
            let other = settled.is_some_and(|alpn| matches!(alpn, b"h2" | b"h3") != multiplexed);
            self.flag(Id::TlsAlpnVersion, other || (multiplexed && none));
        }
    }

    fn handshake(&mut self, facts: &Facts, agent: &Agent) {
        self.flag(Id::TlsQuic, facts.quic);
        if let Some(version) = facts.version {
            self.count(Id::TlsVersion, version, 13);
        }
        self.flag(Id::TlsNoName, !facts.name);
        self.count(Id::TlsCiphers, facts.ciphers, 99);
        self.count(Id::TlsExtensions, facts.extensions, 99);
        self.flag(Id::TlsNoAlpn, facts.alpn.is_none());
        self.flag(Id::TlsAlpnTwo, facts.prefers_multiplexed());
        self.flag(Id::TlsBrowser, facts.family != Family::None);
        // The lists that are known are those of current versions.
        let current = match agent.family {
            Family::Chromium => agent.chrome.major >= 110,
            Family::Firefox => agent.firefox.major >= 110,
            Family::Safari => agent.version.major >= 16 && agent.is_apple(),
            Family::None => false,
        };
        if current {
            self.flag(Id::TlsForeign, facts.family != agent.family);
        }
    }

    fn agent(&mut self, agent: &Agent) {
        self.count(Id::UaUnknownProducts, agent.unknown_products, 7);
        self.flag(Id::UaFrame, agent.frame);
        self.flag(Id::UaEngineComment, agent.engine_comment);
        self.count(Id::UaComments, agent.comments, 3);
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
        self.count(Id::UaProducts, agent.products, 7);
        self.flag(Id::UaBare, agent.products == 1 && !agent.comment);
        self.flag(Id::UaSpaces, agent.spaces);
        self.maybe(Id::UaUnreduced, agent.version_unreduced());
        self.maybe(Id::UaPlatformUnreduced, agent.platform_unreduced());
        self.maybe(Id::UaPlatformImpossible, agent.platform_impossible());
        self.maybe(Id::UaMobileOdd, agent.mobile_odd());
        self.maybe(Id::UaSafariForm, agent.safari_form());
        self.flag(Id::UaInApp, agent.in_app);
        self.flag(Id::UaSafari, agent.family == Family::Safari);
        self.flag(Id::UaStartsLower, agent.starts_lower);
    }

    fn method(&mut self, request: &Request<'_>, headers: &Headers<'_>) {
        let method = request.method;
        if method.is_empty() {
            return;
        }
        let usual = matches!(
            method,
            b"GET" | b"HEAD" | b"POST" | b"OPTIONS" | b"PUT" | b"PATCH" | b"DELETE"
        );
        // RFC 8441: a WebSocket over HTTP/2 begins with CONNECT.
        let usual = usual || (method == b"CONNECT" && headers.has(Name::WebSocketVersion));
        self.flag(Id::MethodUnusual, !usual);
        let scripted = headers.get(Name::FetchMode) == Some(b"cors");
        self.flag(Id::MethodHead, method == b"HEAD" && !scripted);
    }

    fn target(&mut self, target: &Target) {
        self.flag(Id::TargetProbe, target.probe);
        self.flag(Id::TargetAttack, target.attack);
        self.flag(Id::TargetMalformed, target.malformed);
        self.row.set(Id::TargetEncoded as u8, target.encoded);
        self.flag(Id::TargetNotPath, target.not_path);
        self.flag(Id::TargetDouble, target.double_encoded);
        self.flag(Id::TargetUnnormalised, target.unnormalised);
        self.count(Id::TargetDepth, target.depth, 7);
        self.count(Id::TargetParameters, target.parameters, 7);
        self.count(Id::TargetQueryBits, target.query_bits, 6);
    }

    /// What needs the whole list of headers.
    fn list(&mut self, parts: &ParsedRequest<'_>) {
        let headers = parts.headers;
        self.count(Id::Malformed, headers.malformed, 7);
        self.count(Id::Repeated, headers.repeated, 7);
        if parts.request.hop == Hop::Client {
            self.flag(Id::Forwarded, parts.kept.passed);
        }
        if !parts.kept.passed {
            let count = usize::from(headers.count);
            self.band(Id::Count, count, &[4, 8, 12, 18]);
            self.count(Id::Unknown, headers.unknown, 7);
        }
        self.count(Id::Library, parts.library_headers(), 5);
        if parts.kept.connection {
            self.flag(Id::H2c, headers.has(Name::Http2Settings));
        }
        self.maybe(Id::ConnectionOdd, parts.connection_odd());
        self.flag(Id::HintsMore, headers.more_hints);
        self.maybe_count(Id::ProtocolErrors, parts.protocol_errors(), 7);
        self.maybe_count(Id::CoreMissing, parts.core_missing(), 3);
        self.flag(Id::HasLanguage, headers.has(Name::AcceptLanguage));
        let pragma = headers.has(Name::Pragma) && !headers.has(Name::CacheControl);
        self.flag(Id::Pragma, pragma);
        let judged = parts.kept.connection && !parts.is_media();
        if judged && parts.kept.version == Version::Http11 {
            let value = headers.get(Name::Connection).unwrap_or_default();
            self.flag(
                Id::ConnectionForm,
                value.eq_ignore_ascii_case(b"keep-alive"),
            );
        }
    }

    /// What single values say.
    fn values(&mut self, parts: &ParsedRequest<'_>) {
        if let Some(value) = parts.headers.get(Name::AcceptLanguage) {
            let language = Language::parse(value);
            self.flag(Id::LanguageOdd, language.odd);
            self.maybe(Id::LanguageUneven, parts.language_uneven(&language));
            self.maybe(Id::LanguageLower, parts.language_lower(&language));
            self.count(Id::Languages, language.entries, 4);
        }
        self.maybe(Id::AcceptAny, parts.accept.map(|accept| accept.any));
        if let Some(brands) = parts.brands {
            self.flag(Id::HintsMalformed, brands.malformed);
            if brands.headless {
                self.flag(Id::UaAutomation, true);
            }
        }
        self.maybe(Id::EncodingInexact, parts.encoding_inexact());
        self.maybe(Id::ZstdMissing, parts.zstd_missing());
        self.maybe(Id::DocumentVersion, parts.document_version());
        self.flag(Id::PriorityOdd, parts.priority_odd());
        self.maybe(Id::PriorityMissing, parts.priority_missing());
    }

    /// Where it says that it comes from.
    fn site(&mut self, parts: &ParsedRequest<'_>) {
        self.maybe(Id::HostMismatch, parts.host_mismatch());
        self.flag(Id::RefererMismatch, parts.referer_mismatch());
        self.maybe(Id::RefererCrossPath, parts.referer_cross_path());
        self.flag(Id::OriginOdd, parts.origin_odd());
        self.flag(Id::OriginNavigation, parts.origin_on_navigation());
        self.maybe(Id::FetchNoReferer, parts.fetch_referer_absent());
        self.maybe(Id::UpgradeElsewhere, parts.upgrade_without_navigation());
    }

    /// Whether the parts fit together.
    fn coherence(&mut self, parts: &ParsedRequest<'_>) {
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
    fn wire(&mut self, parts: &ParsedRequest<'_>) {
        let (headers, agent) = (parts.headers, parts.agent);
        let one = parts.kept.connection
            && matches!(parts.kept.version, Version::Http10 | Version::Http11);
        if one {
            self.count(Id::OddCase, headers.odd_case, 15);
            self.flag(Id::AllLower, headers.upper == 0 && headers.count != 0);
        }
        // These take other ways through a browser than the loads of pages and their parts.
        let special = headers.has(Name::Range)
            || parts.kind.websocket
            || parts.is_speculative()
            || parts.kind.worker
            || parts.kind.download
            || parts.is_preflight();
        let ranks = match agent.family {
            _ if special => None,
            Family::Chromium => Some(&CHROMIUM),
            Family::Firefox => Some(&FIREFOX),
            _ => None,
        };
        let scripted = parts.is_scripted();
        let passed = parts.kept.passed;
        let inversions = ranks.map(|ranks| headers.inversions(ranks, scripted, passed));
        self.maybe_count(Id::OrderInversions, inversions.map(|both| both.0), 7);
        // Safari's order changes with version and kind of request: it tells nothing.
        if special || agent.family == Family::Safari {
            return;
        }
        if one {
            self.flag(Id::HostFirst, headers.names().next() == Some(Name::Host));
        }
        if !scripted {
            let agent_accept = headers.before(Name::UserAgent, Name::Accept);
            self.maybe(Id::AgentBeforeAccept, agent_accept);
        }
        // Before 85 Chromium's order of sec-fetch headers changed.
        let settled = agent.family != Family::Chromium || agent.chrome.major >= 85;
        let fetch_odd = inversions.filter(|_| settled).map(|both| both.1 != 0);
        self.maybe(Id::FetchOrder, fetch_odd);
        self.flag(Id::Sorted, headers.sorted());
        let encoding = Name::AcceptEncoding;
        let agent_first = headers.before(Name::UserAgent, encoding);
        self.maybe(Id::UaBeforeEncoding, agent_first);
        let accept_first = headers.before(Name::Accept, encoding);
        self.maybe(Id::AcceptBeforeEncoding, accept_first);
        if !scripted && agent.family == Family::Chromium && agent.chrome.major >= 85 {
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
    // No graphic byte, or a quote.
    let odd = |word| below(word, 0x21) | equal(word, b'"') | equal(word, 0x7f) | (word & HIGH);
    rest.is_some_and(|rest| !rest.is_empty() && !any(rest, odd))
}
