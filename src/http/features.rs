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
    UaUnknownProducts "ua_unknown_products" Number 7.0, NO_AGENT,
        "Products that no common browser names: tools bring their own.";
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
    UaTool "ua_tool_word" Flag 1.0, NO_AGENT, "Names an HTTP library, a scanner or a tool.";
    UaAutomation "ua_automation_word" Flag 1.0, "no User-Agent, no sec-ch-ua",
        "Names browser automation, or Headless, in the agent or the brands.";
    UaUnbalanced "ua_unbalanced" Flag 1.0, NO_AGENT, "Parentheses that do not match: cut or typed.";
    UaOddBytes "ua_odd_bytes" Flag 1.0, NO_AGENT,
        "Quotes, markup, control or non-ASCII bytes: injections and broken scripts.";
    UaStartsLower "ua_starts_lower" Flag 1.0, NO_AGENT, "Lower-case first letter: tools' names.";

    MethodUnusual "method_unusual" Flag 1.0, "method unknown",
        "Neither a method of pages and their scripts nor HEAD: scanners, other protocols.";
    MethodHead "method_head" Flag 1.0, "method unknown", "HEAD: link checkers and monitors.";
    TargetProbe "target_probe" Flag 1.0, NO_TARGET,
        "Asks for what only scanners ask for: dot files, backups, known consoles.";
    TargetAttack "target_attack" Flag 1.0, NO_TARGET, "Traversal, markup or injection.";
    TargetMalformed "target_malformed" Flag 1.0, NO_TARGET,
        "Broken percent-encoding or bytes that browsers encode.";
    TargetEncoded "target_encoded_share" Number 1.0, NO_TARGET,
        "Share of percent-encoded bytes: payloads.";
    RefererMalformed "referer_malformed" Flag 1.0, NO_REFERER,
        "A Referer that is no absolute URL: made by hand.";

    Http10 "http_10" Flag 1.0, "version unknown", "HTTP/1.0: load tools, scanners, old scripts.";
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

    CoreMissing "core_missing" Number 3.0, BROWSER,
        "How many of Accept, Accept-Language, Accept-Encoding a claimed browser lacks.";
    HasLanguage "has_accept_language" Flag 1.0, LIST, "Every browser sends it, few libraries do.";
    LanguageOdd "accept_language_odd" Flag 1.0, "Accept-Language unknown or absent",
        "A wildcard, q=1, spaces, rising qualities: no browser's own list.";
    AcceptAny "accept_any" Flag 1.0, "Accept unknown or absent",
        "Exactly `*/*`: libraries always, browsers for parts of pages only.";
    AcceptDocumentOdd "accept_document_odd" Flag 1.0, BROWSER,
        "Asks for a page with an Accept that the claimed family does not send.";
    AcceptPage "accept_page_mismatch" Flag 1.0, BROWSER,
        "Accept against the other signs of a page load: `*/*` with them, text/html without.";
    EncodingOdd "accept_encoding_odd" Number 3.0, BROWSER,
        "Codings that the claimed family does not offer, or lacks, over this scheme.";
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
    HintsIncomplete "hints_incomplete" Flag 1.0, CHROMIUM,
        "Some of the three default hints without the others.";
    SecureOnPlain "secure_headers_on_http" Flag 1.0, "headers or scheme unknown, or TLS",
        "sec-ch-ua or sec-fetch over plain http, where browsers send neither.";

    FetchMissing "fetch_missing" Flag 1.0, TLS,
        "No sec-fetch headers from a browser that always sends them over TLS.";
    FetchIncomplete "fetch_incomplete" Flag 1.0, FETCH,
        "Some of site, mode and dest without the others.";
    FetchErrors "fetch_errors" Number 7.0, FETCH,
        "Values that do not exist or cannot stand together: copied or swapped by scripts.";
    FetchTarget "fetch_target_mismatch" Flag 1.0, LIST,
        "A page load of an asset, or Accept against sec-fetch-dest.";
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
