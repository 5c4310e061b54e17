//! The one list of built-in features: name, kind, range, when missing, and why it tells.

use crate::schema::{Feature, FeatureKind, Schema};

/// One built-in feature.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct FeatureDoc {
    /// The name that tables bind to.
    pub name: &'static str,
    /// What its values are.
    pub kind: FeatureKind,
    /// The smallest value.
    pub min: f32,
    /// The largest value.
    pub max: f32,
    /// When it is missing (NaN).
    pub missing: &'static str,
    /// What it is, and why it tells.
    pub why: &'static str,
}

macro_rules! features {
    ($($id:ident $name:literal $kind:ident $max:literal, $missing:expr, $why:literal;)+) => {
        /// A feature's position in [`FEATURES`], and in the rows of [`schema`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Id { $($id),+ }

        /// Every built-in feature, in row order.
        pub static FEATURES: &[FeatureDoc] = &[$(FeatureDoc {
            name: $name,
            kind: FeatureKind::$kind,
            min: 0.0,
            max: $max,
            missing: $missing,
            why: $why,
        }),+];
    };
}

const NEVER: &str = "never";
const NO_PEER: &str = "address unknown";
const NO_TLS: &str = "TLS handshake unknown";
const REDUCED: &str = "no Chromium from 110 on claimed, or shown by an app";
const NO_AGENT: &str = "no User-Agent";
const NO_TARGET: &str = "target unknown";
const NO_REFERER: &str = "Referer unknown";
const LIST: &str = "headers unknown";
const WIRE: &str = "order and case unknown, or HTTP/2 and later";
const ORDER: &str = "order unknown, one of the two absent, or Safari claimed";
const BROWSER: &str = "headers unknown, or no browser claimed";
const CHROMIUM: &str = "headers unknown, or no Chromium claimed";
const TLS: &str = "headers or scheme unknown, plain http, or no browser claimed that sends it";
const HINTS: &str = "headers unknown, or one of the two sides absent";
const FETCH: &str = "headers unknown, or no sec-fetch header";

features! {
    UaMissing "ua_missing" Flag 1.0, NEVER, "No User-Agent, an empty one or `-`: no browser.";
    UaFrame "ua_frame" Flag 1.0, NO_AGENT,
        "Has the form of a browser's agent, of any family.";
    UaUnknownProducts "ua_unknown_products" Number 7.0, NO_AGENT,
        "Products that no browser names, in an agent without a browser's form: tools' names. In a \
         browser's form they are apps and rare browsers, and do not count.";
    UaEngineComment "ua_engine_comment" Flag 1.0, NO_AGENT,
        "More within the comment `KHTML, like Gecko`: where crawlers put their names.";
    UaComments "ua_comments" Number 3.0, NO_AGENT,
        "Comments: browsers have one or two, and robots may add another.";
    UaMozilla "ua_mozilla" Flag 1.0, NO_AGENT, "Begins `Mozilla/5.0 (`, as every browser does.";
    UaBrowser "ua_browser" Flag 1.0, NO_AGENT,
        "Claims a current browser family: the promise that the consistency features check.";
    UaVersionImpossible "ua_version_impossible" Flag 1.0, "no Chromium or Firefox claimed",
        "A version that never was: a build of another major, a wrong rv. Made-up agents have them.";
    UaContradictions "ua_contradictions" Number 4.0, NO_AGENT,
        "Claims that cannot stand together, such as Chrome's token on an iPhone.";
    UaPlatform "ua_platform_known" Flag 1.0, NO_AGENT,
        "Names a platform in a comment, as every browser does.";
    UaContact "ua_contact" Flag 1.0, NO_AGENT, "A URL or address of the operator: honest bots.";
    UaCompatible "ua_compatible" Flag 1.0, NO_AGENT,
        "Says compatible without being an Internet Explorer: the crawlers' form.";
    UaBot "ua_bot_word" Flag 1.0, NO_AGENT,
        "A word such as bot, crawler, spider, monitor, preview.";
    UaTool "ua_tool_word" Flag 1.0, NO_AGENT,
        "Names an HTTP library, a scanner or a tool; in a browser's comment devices and apps do.";
    UaAutomation "ua_automation_word" Flag 1.0, "no User-Agent, no sec-ch-ua",
        "Names browser automation, or Headless, in the agent or the brands.";
    UaUnbalanced "ua_unbalanced" Flag 1.0, NO_AGENT, "Parentheses that do not match: cut or typed.";
    UaOddBytes "ua_odd_bytes" Flag 1.0, NO_AGENT,
        "Quotes, markup, control or non-ASCII bytes: injections and broken scripts.";
    UaStartsLower "ua_starts_lower" Flag 1.0, NO_AGENT, "Lower-case first letter: tools' names.";
    UaProducts "ua_products" Number 7.0, NO_AGENT,
        "Products outside of comments: tools have one, browsers two to five.";
    UaBare "ua_bare" Flag 1.0, NO_AGENT, "One product and no comment: the form of libraries.";
    UaSpaces "ua_spaces_odd" Flag 1.0, NO_AGENT,
        "Spaces at the ends or several in a row: pasted from a list.";
    UaUnreduced "ua_version_unreduced" Flag 1.0, REDUCED,
        "A build number where Chromium sends zeros: agents from old lists.";
    UaPlatformUnreduced "ua_platform_unreduced" Flag 1.0, REDUCED,
        "A comment that Chromium no longer sends, such as a phone's model: made-up agents.";
    UaPlatformImpossible "ua_platform_impossible" Flag 1.0,
        "no browser claimed, or the system's version not told",
        "A browser on a system that it does not run on: random combinations.";
    UaMobileOdd "ua_mobile_odd" Flag 1.0, "no browser claimed",
        "Mobile on a desktop's system, or a phone without it.";
    UaSafariForm "ua_safari_odd" Flag 1.0, "no Safari from 13 on claimed",
        "Safari's frozen numbers in another form: made-up agents.";
    UaInApp "ua_in_app" Flag 1.0, NO_AGENT,
        "Shown within an app, whose views send headers of their own.";
    UaSafari "ua_safari" Flag 1.0, NO_AGENT,
        "Claims Safari or another WebKit, which sends few headers: for the company of others.";
    UaLength "ua_length_band" Number 3.0, NO_AGENT,
        "Below 24, 72 or 256 bytes, or more: coarse, because exact lengths name a version.";

    MethodUnusual "method_unusual" Flag 1.0, "method unknown",
        "Neither a method of pages and their scripts nor HEAD: scanners, other protocols.";
    MethodHead "method_head" Flag 1.0, "method unknown", "HEAD: link checkers and monitors.";
    TargetProbe "target_probe" Flag 1.0, NO_TARGET,
        "Asks for what only scanners ask for: dot files, backups, known consoles.";
    TargetAttack "target_attack" Flag 1.0, NO_TARGET, "Traversal, markup or injection.";
    TargetMalformed "target_malformed" Flag 1.0, NO_TARGET,
        "Broken percent-encoding, or bytes that browsers encode there.";
    TargetEncoded "target_encoded_share" Number 1.0, NO_TARGET,
        "Share of percent-encoded bytes: payloads.";
    TargetNotPath "target_not_path" Flag 1.0, NO_TARGET,
        "Does not begin with a slash: tries for an open proxy, broken clients.";
    TargetDouble "target_double_encoded" Flag 1.0, NO_TARGET,
        "A percent sign encoded once more: payloads past a filter.";
    TargetUnnormalised "target_unnormalised" Flag 1.0, NO_TARGET,
        "`/./`, `/../` or a fragment, which browsers resolve before they send.";
    TargetLength "target_length_band" Number 4.0, NO_TARGET,
        "Below 32, 96, 256 or 1,024 bytes, or more: coarse, because it tells sites apart.";
    TargetDepth "target_depth" Number 7.0, NO_TARGET,
        "Slashes in the path: mostly a site's taste, deep traps and crawls aside.";
    TargetParameters "target_parameters" Number 7.0, NO_TARGET,
        "Parameters of the query: searches and crawls of filters.";
    TargetQueryBits "target_query_bits" Number 6.0, NO_TARGET,
        "Bits that a byte of the query carries (entropy of order 2), rounded down: payloads.";
    RefererMalformed "referer_malformed" Flag 1.0, NO_REFERER,
        "A Referer that is no absolute URL: made by hand.";

    Http10 "http_10" Flag 1.0, "version unknown", "HTTP/1.0: load tools, scanners, old scripts.";
    Multiplexed "http_2_or_3" Flag 1.0, "version unknown",
        "HTTP/2 or HTTP/3: most browsers' requests, fewer libraries'; it depends on the site, too.";
    OneOnTls "http_1_on_tls" Flag 1.0,
        "version or scheme unknown, plain http, or no Chromium or Firefox claimed",
        "HTTP/1 over TLS from a browser that offers HTTP/2; where the site has it.";

    PeerV6 "peer_ipv6" Flag 1.0, NO_PEER, "IPv6: homes and phones more than data centres.";
    PeerPrivate "peer_private" Flag 1.0, NO_PEER,
        "Loopback, link-local, private or carrier-shared: the own network, or a proxy between.";
    PeerSpecial "peer_special" Flag 1.0, NO_PEER,
        "Documentation, multicast, reserved: an address that nobody has.";
    PeerTranslated "peer_translated" Flag 1.0, NO_PEER,
        "IPv4 within IPv6 (mapped, NAT64, 6to4, Teredo): how the listener or the network works.";

    TlsQuic "tls_quic" Flag 1.0, NO_TLS, "QUIC: browsers, and next to no library.";
    TlsVersion "tls_version" Number 13.0, "TLS handshake or its version unknown",
        "The highest version offered: 13 is TLS 1.3, 10 is 1.0, 3 is SSL; browsers offer 13.";
    TlsNoName "tls_sni_missing" Flag 1.0, NO_TLS,
        "No server name: addressed by number, or an old stack.";
    TlsCiphers "tls_ciphers" Number 99.0, NO_TLS,
        "Cipher suites: browsers send 15 to 20, OpenSSL's defaults 30 and more.";
    TlsExtensions "tls_extensions" Number 99.0, NO_TLS,
        "Extensions: browsers send 16 to 18, libraries 9 to 13.";
    TlsNoAlpn "tls_alpn_missing" Flag 1.0, NO_TLS, "No ALPN, which every browser sends.";
    TlsAlpnTwo "tls_alpn_http2" Flag 1.0, NO_TLS,
        "HTTP/2 or 3 comes first in ALPN, as in browsers.";
    TlsBrowser "tls_ciphers_browser" Flag 1.0, NO_TLS,
        "The cipher suites of a current browser family, whatever the agent says.";
    TlsForeign "tls_ciphers_mismatch" Flag 1.0,
        "TLS handshake unknown, or no current browser claimed",
        "Cipher suites that are not those of the claimed family: the agent lies.";
    TlsAlpnVersion "tls_alpn_mismatch" Flag 1.0, "TLS handshake or version unknown",
        "HTTP/2 without ALPN, or another version than ALPN settled on: something stands between.";

    Malformed "headers_malformed" Number 7.0, LIST,
        "Names that are no token, control bytes in values: fuzzers, broken scripts.";
    Repeated "headers_repeated" Number 7.0, LIST,
        "Headers that must stand once and stand twice: a script's beside its library's.";
    ProtocolErrors "protocol_errors" Number 7.0, "headers or version unknown",
        "Connection headers in HTTP/2, no Host in HTTP/1.1, Upgrade to h2c: not from browsers.";
    OddCase "names_odd_case" Number 15.0, WIRE,
        "Known names in a case that browsers do not use: lower-case libraries, overridden headers.";
    ConnectionForm "connection_keep_alive" Flag 1.0, "headers unknown, or not HTTP/1.1",
        "Connection is keep-alive, which browsers write out and libraries often do not.";
    OrderInversions "order_inversions" Number 7.0,
        "order unknown, or no Chromium or Firefox claimed",
        "Known headers behind those that the claimed family sends later.";
    UaBeforeEncoding "order_agent_encoding" Flag 1.0, ORDER,
        "User-Agent before Accept-Encoding, as browsers do; several libraries do not.";
    AcceptBeforeEncoding "order_accept_encoding" Flag 1.0, ORDER,
        "Accept before Accept-Encoding, as browsers do; requests and others do not.";
    LanguageBeforeEncoding "order_language_encoding" Flag 1.0,
        "order unknown, or no Chromium claimed",
        "Accept-Language before Accept-Encoding, which Chromium never sends.";

    HostFirst "order_host_first" Flag 1.0,
        "order unknown, not HTTP/1, or Safari claimed",
        "Begins with Host, as browsers do; several libraries put it late, or last.";
    AgentBeforeAccept "order_agent_accept" Flag 1.0, ORDER,
        "User-Agent before Accept, as browsers do; several libraries do not.";
    FetchOrder "order_fetch_odd" Flag 1.0,
        "order unknown, or no Firefox or Chromium from 85 on claimed",
        "sec-fetch headers in another order than the claimed family's.";
    Sorted "order_sorted" Flag 1.0, "order unknown, or Safari claimed",
        "Four known headers or more, all in the order of the alphabet: sorted by a library's map.";
    AllLower "names_all_lower" Flag 1.0, WIRE,
        "Every name in lower case over HTTP/1: Node's fetch and other libraries.";

    Forwarded "headers_forwarded" Flag 1.0, LIST,
        "Headers that proxies add, such as Via, or HTTP/1.0 from a browser: passed on, or made up.";
    Count "headers_count_band" Number 4.0, LIST,
        "Below 4, 8, 12 or 18 headers, or more: coarse, because proxies on the way add some.";
    Unknown "headers_unknown" Number 7.0, LIST,
        "Headers that no feature knows: a site's own, a script's, or those of proxies on the way.";
    Library "headers_of_libraries" Number 5.0, LIST,
        "Expect, From, Accept-Charset, Keep-Alive, Proxy-Connection: no browser sends them now.";
    H2c "upgrade_h2c" Flag 1.0, LIST, "HTTP2-Settings: libraries that try HTTP/2 without TLS.";
    ConnectionOdd "connection_odd" Flag 1.0, "headers unknown, or not HTTP/1.1",
        "A Connection other than keep-alive, handshakes of WebSocket aside.";
    HostMismatch "host_mismatch" Flag 1.0, "headers or :authority unknown, or not HTTP/2 or 3",
        "A Host beside another :authority: set by hand.";
    RefererMismatch "referer_site_mismatch" Flag 1.0, LIST,
        "A Referer of another host beside sec-fetch-site: same-origin: one of the two is copied.";
    RefererCrossPath "referer_cross_path" Flag 1.0, "headers or host unknown",
        "A Referer with a path on another site, which browsers cut off by default.";
    OriginOdd "origin_odd" Flag 1.0, LIST,
        "An Origin that is none, or denies sec-fetch-site.";
    OriginNavigation "origin_on_navigation" Flag 1.0, LIST,
        "An Origin in a page load by GET: a script that sets it always.";

    CoreMissing "core_missing" Number 3.0, BROWSER,
        "How many of Accept, Accept-Language, Accept-Encoding a claimed browser lacks.";
    HasLanguage "has_accept_language" Flag 1.0, LIST, "Every browser sends it, few libraries do.";
    LanguageOdd "accept_language_odd" Flag 1.0, "Accept-Language unknown or absent",
        "A wildcard, q=1, spaces, rising qualities: no browser's own list.";
    LanguageUneven "accept_language_uneven" Flag 1.0,
        "Accept-Language unknown or absent, or no Safari or Chromium from 90 on claimed",
        "Qualities other than 0.9, 0.8 and so on: typed, or another family's.";
    LanguageLower "accept_language_lower" Flag 1.0,
        "Accept-Language unknown or absent, or no browser claimed",
        "A region in lower case, as in en-us.";
    Languages "accept_languages" Number 4.0, "Accept-Language unknown or absent",
        "How many languages: people's settings, and the defaults of their country.";
    AcceptAny "accept_any" Flag 1.0, "Accept unknown or absent",
        "Exactly `*/*`: libraries always, browsers for parts of pages only.";
    AcceptDocumentOdd "accept_document_odd" Flag 1.0, BROWSER,
        "Loads a page with an Accept that the claimed family does not send.";
    AcceptPage "accept_page_mismatch" Flag 1.0, BROWSER,
        "Accept against the other signs of a page load: `*/*` with them, text/html without, but \
         for scripts' and prefetches'.";
    EncodingOdd "accept_encoding_odd" Number 3.0, BROWSER,
        "Codings that the claimed family does not offer, or lacks, over this scheme; the own \
         machine is offered over http what others are over TLS.";
    DocumentVersion "accept_document_version" Flag 1.0,
        "headers unknown, or no Chromium or Firefox claimed",
        "An Accept for a page from another time than the claimed version: copied and kept.";
    EncodingInexact "accept_encoding_inexact" Flag 1.0,
        "headers unknown, no Accept-Encoding, or no Chromium or Firefox claimed",
        "Other bytes than these families send: `gzip,deflate`, another order.";
    ZstdMissing "accept_encoding_old" Flag 1.0,
        "headers or scheme unknown, plain http, media, or no version claimed that offers zstd",
        "No zstd from a version that offers it: libraries that cannot decode it.";
    PriorityOdd "priority_odd" Flag 1.0, LIST,
        "A Priority in no browser's form, or from a Chromium over HTTP/1.";
    PriorityMissing "priority_missing" Flag 1.0,
        "headers unknown, not HTTP/2 or 3, or no Chromium from 126 on claimed",
        "No Priority over HTTP/2; recordings through proxies and generators lack it, too.";
    TeOdd "te_odd" Flag 1.0, BROWSER, "TE from a browser that sends none, or not `trailers`.";
    Pragma "pragma_alone" Flag 1.0, LIST,
        "Pragma without Cache-Control: browsers reload with both.";

    HintsMissing "hints_missing" Flag 1.0, TLS,
        "No sec-ch-ua from a Chromium that always sends it over TLS.";
    HintsForeign "hints_foreign" Flag 1.0, "headers unknown, or no sec-ch-ua",
        "Client hints with an agent that is no Chromium.";
    HintsVersion "hints_version_mismatch" Flag 1.0, HINTS,
        "Agent and sec-ch-ua name different major versions: an overridden agent.";
    HintsPlatform "hints_platform_mismatch" Flag 1.0, HINTS,
        "Agent and sec-ch-ua-platform name different platforms.";
    HintsMobile "hints_mobile_mismatch" Flag 1.0, HINTS,
        "Agent and sec-ch-ua-mobile disagree.";
    HintsBrands "hints_brands_odd" Flag 1.0, "headers unknown, or no sec-ch-ua",
        "Brands without Chromium or the made-up brand, or Edge on one side only.";
    HintsMalformed "hints_malformed" Flag 1.0, "headers unknown, or no sec-ch-ua",
        "Brands in a form that no Chromium writes.";
    HintsMore "hints_asked_for" Flag 1.0, LIST,
        "Hints that a site must ask for first: copied, or a site that asks.";
    HintsIncomplete "hints_incomplete" Flag 1.0, CHROMIUM,
        "Some of the three default hints without the others.";
    SecureOnPlain "secure_headers_on_http" Flag 1.0,
        "headers or scheme unknown, TLS, or the own machine asked (localhost, 127.*, ::1)",
        "sec-ch-ua or sec-fetch over plain http, where browsers send neither.";

    FetchMissing "fetch_missing" Flag 1.0, TLS,
        "No sec-fetch headers from a browser that always sends them over TLS.";
    FetchIncomplete "fetch_incomplete" Flag 1.0, FETCH,
        "Some of site, mode and dest without the others.";
    FetchErrors "fetch_errors" Number 7.0, FETCH,
        "Values that do not exist or cannot stand together: copied or swapped by scripts.";
    FetchTarget "fetch_target_mismatch" Flag 1.0, LIST,
        "A page load of an asset, or Accept against sec-fetch-dest.";
    FetchNoReferer "fetch_without_referer" Flag 1.0, "headers unknown, or no sec-fetch-site",
        "From the own site, and no Referer: browsers send one unless the site forbids it.";
    UpgradeElsewhere "upgrade_without_navigation" Flag 1.0, "headers unknown, or no sec-fetch-mode",
        "Upgrade-Insecure-Requests beside a mode that loads no page: one set of headers for all.";
    NavigationUir "navigation_without_upgrade" Flag 1.0,
        "headers unknown, or no Chromium or Firefox claimed",
        "A page load without Upgrade-Insecure-Requests.";
    PostOrigin "post_without_origin" Flag 1.0, BROWSER,
        "A POST without Origin: browsers add it, libraries do not.";
    BodyOnGet "body_on_get" Flag 1.0, LIST,
        "A GET with a body or its type: scripts that set the same headers always.";
}

const _: () = assert!(FEATURES.len() <= crate::limits::FEATURES_MAX);

/// The row position of a built-in feature in rows that [`extract`](super::extract()) fills.
pub fn position(name: &str) -> Option<u8> {
    let at = FEATURES.iter().position(|doc| doc.name == name)?;
    u8::try_from(at).ok()
}

impl Schema {
    /// The schema of the built-in HTTP features: [`FEATURES`], filled by
    /// [`http::extract`](super::extract()).
    pub fn http() -> Schema {
        let features = FEATURES.iter().map(|doc| Feature {
            name: doc.name.to_owned(),
            kind: doc.kind,
        });
        Schema::built_in(features.collect())
    }
}
