//! Whether the parts of a request fit together: agent, client hints, fetch metadata, Accept-*.
//!
//! None where nothing is claimed or known. What a kind of request has no part in, such as Origin
//! in a GET, is in order and not missing: a missing value would tell which kinds of request a
//! recording holds, not who sent them.

use super::agent::{Agent, Family};
use super::bytes::starts;
use super::headers::{Headers, Name};
use super::request::{HeadersKnown, Hop, Request, Scheme, Version};
use super::target::Target;
use super::values::{Accept, Brands, Encoding};
use super::words::Platform;

/// What of a request reached the host as the client sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// The version that the client spoke.
    pub version: Version,
    /// How the client spoke: an unknown proxy may end TLS.
    pub scheme: Scheme,
    /// A proxy has passed the request on.
    pub passed: bool,
    /// The order of the headers, but for those that a proxy writes.
    pub order: bool,
    /// The headers of the connection, which each proxy makes for itself, and the case of names.
    pub connection: bool,
    /// The host that was asked for.
    pub host: bool,
    /// Accept-Encoding: some proxies remove it, or write what they can handle.
    pub encoding: bool,
}

impl Kept {
    pub fn of(request: &Request<'_>, headers: &Headers<'_>, agent: &Agent) -> Kept {
        let behind = request.hop == Hop::Proxy;
        // No browser speaks HTTP/1.0, and reverse proxies do by default.
        let browser = agent.family != Family::None;
        let old = request.version == Version::Http10 && browser;
        let passed = behind || headers.forwarded || old;
        let complete = request.known == HeadersKnown::Complete;
        Kept {
            version: match (behind, passed) {
                (true, _) => request.client_version,
                (false, true) => Version::Unknown,
                (false, false) => request.version,
            },
            scheme: match request.scheme {
                Scheme::Http if passed && !behind => Scheme::Unknown,
                scheme => scheme,
            },
            passed,
            order: complete && (!passed || (behind && request.order_kept)),
            connection: complete && !passed,
            host: !passed,
            encoding: !passed || !is_proxys(headers.get(Name::AcceptEncoding)),
        }
    }
}

/// Whether an Accept-Encoding is one that proxies write for themselves, or has been removed.
fn is_proxys(encoding: Option<&[u8]>) -> bool {
    matches!(
        encoding,
        None | Some(b"" | b"gzip" | b"br" | b"gzip, br" | b"br,gzip" | b"br, gzip")
    )
}

/// A request whose headers are all known, and what its headers say.
pub(super) struct ParsedRequest<'a> {
    pub request: &'a Request<'a>,
    pub headers: &'a Headers<'a>,
    pub agent: &'a Agent,
    pub kept: Kept,
    pub target: Option<&'a Target>,
    pub accept: Option<Accept>,
    pub encoding: Option<Encoding>,
    pub brands: Option<Brands>,
    /// The Referer's authority, and what follows it, where it is a URL.
    pub referer: Option<(&'a [u8], &'a [u8])>,
    /// What kind of request it is.
    pub kind: Kind,
}

/// Kinds of requests that browsers make in other ways than the loads of pages and their parts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Kind {
    /// The script of a worker, one that a worker imports, or what a worker fetches: Chromium sends
    /// it without client hints, and its agent late.
    pub worker: bool,
    /// A download: Chromium sends it as its own, without client hints, and its agent late.
    pub download: bool,
    /// The handshake of a WebSocket: over HTTP/1.1 with a key, over HTTP/2 without one.
    pub websocket: bool,
    /// A report of the browser to the site: on errors, policies, deprecations.
    pub report: bool,
}

/// Site, mode and dest.
type Fetch<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, Option<&'a [u8]>);

impl ParsedRequest<'_> {
    /// Returns the request with its kind, which depends on the other parts.
    pub fn classified(self) -> Self {
        let kind = Kind {
            worker: self.is_worker(),
            download: self.is_download(),
            websocket: self.has(Name::WebSocketKey) || self.has(Name::WebSocketVersion),
            report: self.is_report(),
        };
        ParsedRequest { kind, ..self }
    }

    fn is_https(&self) -> bool {
        self.kept.scheme == Scheme::Https
    }

    fn has(&self, name: Name) -> bool {
        self.headers.has(name)
    }

    fn is(&self, name: Name, value: &[u8]) -> bool {
        self.headers.get(name) == Some(value)
    }

    fn claims_browser(&self) -> bool {
        self.agent.family != Family::None
    }

    fn chromium(&self) -> Option<u32> {
        (self.agent.family == Family::Chromium).then_some(self.agent.chrome.major)
    }

    /// Accept, Accept-Language, Accept-Encoding: how many are not there.
    pub fn core_missing(&self) -> Option<u8> {
        // A WebSocket over HTTP/2, a report and a download have no Accept.
        let special = self.kind.websocket || self.kind.report || self.kind.download;
        let accept = !self.has(Name::Accept) && !special;
        let media = self.has(Name::Range) || self.is_media();
        let encoding = !self.has(Name::AcceptEncoding) && self.kept.encoding && !media;
        let missing = [accept, !self.has(Name::AcceptLanguage), encoding];
        let missing = missing.into_iter().map(u8::from).sum();
        self.claims_browser().then_some(missing)
    }

    /// What only a broken or a non-browser client does with the protocol itself.
    pub fn protocol_errors(&self) -> Option<u8> {
        if !self.kept.connection {
            return None;
        }
        let h2c = self.has(Name::Http2Settings);
        let errors = match self.kept.version {
            Version::Unknown => return None,
            Version::Http10 => u8::from(h2c),
            Version::Http11 => u8::from(h2c)
                .saturating_add(u8::from(!self.has(Name::Host)))
                .saturating_add(u8::from(self.has(Name::ProxyConnection))),
            Version::Http2 | Version::Http3 => [
                Name::Connection,
                Name::KeepAlive,
                Name::ProxyConnection,
                Name::TransferEncoding,
                Name::Upgrade,
            ]
            .into_iter()
            .map(|name| u8::from(self.has(name)))
            .sum(),
        };
        Some(errors.saturating_add(u8::from(self.both_lengths())))
    }

    fn both_lengths(&self) -> bool {
        self.has(Name::ContentLength) && self.has(Name::TransferEncoding)
    }

    /// Whether other signs than Accept say that a page is being loaded.
    fn page_signs(&self) -> bool {
        self.has(Name::Uir)
            || self.has(Name::FetchUser)
            || self.is(Name::FetchMode, b"navigate")
            || self.is(Name::FetchDest, b"document")
    }

    /// Whether a script or a prefetch asks, which may want a page's text with any Accept.
    pub fn is_fetch(&self) -> bool {
        self.is(Name::FetchDest, b"empty")
            && matches!(
                self.headers.get(Name::FetchMode),
                Some(b"cors" | b"no-cors" | b"same-origin")
            )
    }

    /// What a page's script asks for. Scripts set Accept, Accept-Language and Content-Type, which
    /// then come earlier.
    pub fn is_scripted(&self) -> bool {
        self.is_fetch() || self.headers.scripted
    }

    /// A version whose pages have the signs and the forms of today's.
    fn is_modern(&self) -> bool {
        match self.agent.family {
            Family::Chromium => self.agent.chrome.major >= 60,
            Family::Firefox => self.agent.firefox.major >= 52,
            _ => true,
        }
    }

    /// Accept against the signs of a page load. Safari's page loads show no sign over http.
    pub fn page_mismatch(&self) -> Option<bool> {
        let accept = self.accept.unwrap_or_default();
        match self.agent.family {
            Family::None => None,
            _ if !self.is_modern() => None,
            _ if accept.document && self.is_fetch() => Some(false),
            _ if self.is_embedded() || self.kind.download => Some(false),
            Family::Safari => Some(accept.any && self.page_signs()),
            _ => Some(accept.document != self.page_signs()),
        }
    }

    /// An Accept for a page that the claimed family does not send.
    pub fn document_odd(&self) -> Option<bool> {
        let accept = self.accept.unwrap_or_default();
        match self.agent.family {
            Family::None => None,
            _ if !self.is_modern() => None,
            _ if !accept.document || self.is_fetch() => Some(false),
            // Brave and others leave signed exchanges out: their absence tells nothing.
            Family::Chromium => Some(!accept.navigation || !accept.images),
            Family::Firefox => Some(!accept.navigation || accept.exchange),
            Family::Safari => Some(!accept.navigation || accept.images || accept.exchange),
        }
    }

    /// How many things about Accept-Encoding do not fit the claimed family.
    pub fn encoding_odd(&self) -> Option<u8> {
        let encoding = self.encoding?;
        if !self.claims_browser() || !self.is_modern() {
            return None;
        }
        if encoding.identity {
            // Media are asked for without compression, pages are not.
            return Some(u8::from(self.page_signs()).saturating_mul(2));
        }
        let plain = self.kept.scheme == Scheme::Http && !self.is_local();
        let agent = self.agent;
        let zstd = match agent.family {
            Family::Chromium => agent.chrome.major >= 118,
            Family::Firefox => agent.firefox.major >= 125,
            Family::Safari => agent.version.major >= 26,
            Family::None => false,
        };
        let br_due = self.is_https()
            && !self.kind.websocket
            && match agent.family {
                Family::Chromium => agent.chrome.major >= 52,
                Family::Firefox => agent.firefox.major >= 45,
                _ => agent.version.major >= 12,
            };
        // Safari wrote br first for two versions: `odd` looks at gzip and deflate alone.
        let odd = u8::from(encoding.odd)
            .saturating_add(u8::from(!encoding.gzip || !encoding.deflate))
            .saturating_add(u8::from(br_due && !encoding.br))
            .saturating_add(u8::from(encoding.zstd && !zstd))
            .saturating_add(u8::from(plain && (encoding.br || encoding.zstd)));
        Some(odd)
    }

    /// A TE header that the claimed browser does not send.
    pub fn te_odd(&self) -> Option<bool> {
        if !self.claims_browser() || !self.kept.connection {
            return None;
        }
        let odd = self.has(Name::Te)
            && (self.agent.family != Family::Firefox || !self.is(Name::Te, b"trailers"));
        Some(odd)
    }

    /// Chromium's CORS preflights carry fewer headers than what they precede.
    pub fn is_preflight(&self) -> bool {
        self.request.method == b"OPTIONS"
    }

    /// The load of a page, or a part of one, before anybody asked for it.
    pub fn is_speculative(&self) -> bool {
        self.has(Name::SecPurpose) || self.has(Name::Purpose)
    }

    fn is_worker(&self) -> bool {
        let dest = self.headers.get(Name::FetchDest);
        match dest {
            Some(b"worker" | b"sharedworker" | b"serviceworker") => return true,
            Some(b"audioworklet" | b"paintworklet") => return true,
            _ => {}
        }
        let bare = !self.has(Name::ChUa) && self.chromium().is_some_and(|v| v >= 90);
        bare && match (dest, self.referer) {
            (Some(b"script"), _) => true,
            // The page of a worker is its script; of it another site learns the host alone.
            (Some(_), Some((_, path))) => is_script(path) || (path == b"/" && self.is_elsewhere()),
            _ => false,
        }
    }

    /// A fetch from another site, which says so.
    fn is_elsewhere(&self) -> bool {
        self.is(Name::FetchMode, b"cors")
            && self.is(Name::FetchSite, b"cross-site")
            && self.has(Name::Origin)
    }

    fn is_download(&self) -> bool {
        let named = self.is(Name::FetchMode, b"navigate") && self.is(Name::FetchDest, b"empty");
        named || self.is_plain_download()
    }

    /// A download over plain http, which says nothing of itself: the agent is behind the Referer.
    fn is_plain_download(&self) -> bool {
        self.kept.scheme != Scheme::Https
            && !self.has(Name::Accept)
            && !self.has(Name::FetchMode)
            && self.request.method == b"GET"
            && self.chromium().is_some()
            && match self.headers.before(Name::Referer, Name::UserAgent) {
                Some(late) => late || !self.kept.order,
                None => false,
            }
    }

    /// Media as WebKit loads them with GStreamer: without compression, on a connection of its own.
    pub fn is_media(&self) -> bool {
        self.agent.family == Family::Safari && self.headers.media
    }

    fn is_report(&self) -> bool {
        let kind = self.headers.get(Name::ContentType).unwrap_or_default();
        self.request.method == b"POST"
            && (starts(kind, b"application/reports+json")
                || starts(kind, b"application/csp-report"))
    }

    /// A page's part that is loaded like a page: an image or a document of another kind.
    fn is_embedded(&self) -> bool {
        let dest = self.headers.get(Name::FetchDest);
        matches!(dest, Some(b"embed" | b"object"))
    }

    /// No sec-ch-ua where it is due.
    pub fn hints_missing(&self) -> Option<bool> {
        let due = self.is_https() && self.chromium()? >= 90 && !self.is_preflight();
        let special = self.kind.websocket || self.kind.worker;
        let special = special || self.kind.report || self.kind.download;
        (due && !special).then_some(self.brands.is_none())
    }

    /// sec-ch-ua from a browser that has none.
    pub fn hints_foreign(&self) -> Option<bool> {
        self.brands?;
        Some(self.chromium().is_none())
    }

    /// Two major versions.
    pub fn hints_version(&self) -> Option<bool> {
        Some(self.brands?.chromium != self.chromium()?)
    }

    /// Two platforms.
    pub fn hints_platform(&self) -> Option<bool> {
        let hint = self.headers.get(Name::ChPlatform)?;
        let claimed = match self.agent.platform {
            Platform::None | Platform::Other => return None,
            platform => platform,
        };
        let fits = match hint {
            b"\"Windows\"" => claimed == Platform::Windows,
            b"\"macOS\"" => claimed == Platform::Mac,
            b"\"Linux\"" => claimed == Platform::Linux,
            // Android shows pages for desktops under the agent of a Linux.
            b"\"Android\"" => matches!(claimed, Platform::Android | Platform::Linux),
            b"\"iOS\"" => claimed == Platform::Ios,
            b"\"Chrome OS\"" | b"\"Chromium OS\"" => claimed == Platform::ChromeOs,
            b"\"Unknown\"" | b"" => return None,
            _ => false,
        };
        Some(!fits)
    }

    /// Mobile on one side only. Tablets say `?0` without `Mobile`, or `?1` with it.
    pub fn hints_mobile(&self) -> Option<bool> {
        let hint = self.headers.get(Name::ChMobile)?;
        self.chromium()?;
        Some(hint != if self.agent.mobile { b"?1" } else { b"?0" })
    }

    /// A list of brands that no Chromium sends.
    pub fn hints_brands(&self) -> Option<bool> {
        let brands = self.brands?;
        Some(brands.chromium == 0 || !brands.grease || brands.edge != self.agent.edge)
    }

    /// Some of the three hints that are sent by default.
    pub fn hints_incomplete(&self) -> Option<bool> {
        let major = self.chromium()?;
        let brands = self.has(Name::ChUa);
        let mobile = self.has(Name::ChMobile);
        let platform = self.has(Name::ChPlatform);
        // The platform joined the other two with version 93.
        Some(brands != mobile || (platform != brands && (platform || major >= 95)))
    }

    /// What browsers send over TLS only, or to the own machine.
    pub fn secure_on_plain(&self) -> Option<bool> {
        let judged = self.kept.scheme == Scheme::Http && !self.is_preflight();
        (judged && !self.is_local()).then_some(
            self.has(Name::ChUa) || self.has(Name::FetchMode) || self.has(Name::FetchSite),
        )
    }

    /// No fetch metadata where they are due.
    pub fn fetch_missing(&self) -> Option<bool> {
        let agent = self.agent;
        let due = match agent.family {
            Family::Chromium => agent.chrome.major >= 80,
            Family::Firefox => agent.firefox.major >= 90,
            // Safari's start depends on the system, and differs between kinds of request.
            Family::Safari | Family::None => false,
        };
        (due && self.is_https() && !self.kind.websocket && !self.kind.report)
            .then_some(!self.has(Name::FetchMode) && !self.has(Name::FetchSite))
    }

    fn fetch(&self) -> Option<Fetch<'_>> {
        let site = self.headers.get(Name::FetchSite);
        let mode = self.headers.get(Name::FetchMode);
        let dest = self.headers.get(Name::FetchDest);
        (site.is_some() || mode.is_some() || dest.is_some()).then_some((site, mode, dest))
    }

    /// Some of site, mode and dest; the first versions had no dest.
    pub fn fetch_incomplete(&self) -> Option<bool> {
        let (site, mode, dest) = self.fetch()?;
        if self.is_preflight() {
            return None;
        }
        let young = self.chromium().is_some_and(|major| major < 80);
        Some(site.is_none() || mode.is_none() || (dest.is_none() && !young))
    }

    /// Values that do not exist, and pairs that cannot be.
    pub fn fetch_errors(&self) -> Option<u8> {
        let (site, mode, dest) = self.fetch()?;
        let user = self.headers.get(Name::FetchUser);
        let navigate = mode == Some(b"navigate");
        let page = dest.is_none_or(is_frame);
        let errors = [
            site.is_some_and(|value| !is_site(value)),
            mode.is_some_and(|value| !is_mode(value)),
            dest.is_some_and(|value| !is_dest(value)),
            user.is_some_and(|value| value != b"?1"),
            user.is_some() && !navigate,
            navigate && !page && !self.kind.download,
            !navigate && dest == Some(b"document"),
            // A load that nothing initiated has no page that it came from, but for one ahead of
            // time, which a page's speculation rules ask the browser for.
            site == Some(b"none")
                && !self.is_speculative()
                && (self.has(Name::Referer) || self.has(Name::Origin)),
            site == Some(b"none") && !navigate && mode.is_some(),
        ];
        let count = errors.into_iter().filter(|error| *error).count();
        Some(u8::try_from(count).unwrap_or(u8::MAX))
    }

    /// A destination that the target's suffix or the Accept header denies.
    pub fn fetch_target(&self) -> bool {
        let Some(dest) = self.headers.get(Name::FetchDest) else {
            return false;
        };
        let accept = self.accept.is_some_and(|accept| match dest {
            b"document" => !accept.document,
            b"image" | b"script" | b"style" | b"font" => accept.document,
            _ => false,
        });
        // People open images in a tab, but not the images, styles and scripts of every page. Pages
        // embed images like frames.
        let page = dest == b"document";
        accept || (page && self.target.is_some_and(|target| target.asset))
    }

    /// A page load that does not ask for upgrades.
    pub fn navigation_without_upgrade(&self) -> Option<bool> {
        let major = match self.agent.family {
            Family::Chromium => self.agent.chrome.major,
            Family::Firefox => self.agent.firefox.major,
            _ => return None,
        };
        let page = match self.fetch() {
            Some((_, mode, _)) => mode == Some(b"navigate"),
            None => self.accept.is_some_and(|accept| accept.document),
        };
        let special = self.is_embedded() || self.kind.download;
        Some(major >= 50 && page && !special && !self.has(Name::Uir))
    }

    /// A POST that does not say where from.
    pub fn post_without_origin(&self) -> Option<bool> {
        let post = self.request.method == b"POST";
        self.claims_browser()
            .then_some(post && !self.has(Name::Origin))
    }

    /// A body, or its type, where there is none.
    pub fn body_on_get(&self) -> bool {
        let length = self.headers.get(Name::ContentLength);
        matches!(self.request.method, b"GET" | b"HEAD")
            && (length.is_some_and(|value| value != b"0")
                || self.has(Name::TransferEncoding)
                || self.has(Name::ContentType))
    }
}

/// Whether a URL's path is a script's, without its query.
fn is_script(path: &[u8]) -> bool {
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    path.ends_with(b".js") || path.ends_with(b".mjs")
}

fn is_site(value: &[u8]) -> bool {
    matches!(
        value,
        b"none" | b"same-origin" | b"same-site" | b"cross-site"
    )
}

fn is_mode(value: &[u8]) -> bool {
    matches!(
        value,
        b"navigate" | b"no-cors" | b"cors" | b"same-origin" | b"websocket"
    )
}

/// A destination that mode `navigate` has; Chrome 76 to 79 said `nested-navigate`.
fn is_frame(value: &[u8]) -> bool {
    matches!(
        value,
        b"document" | b"iframe" | b"frame" | b"embed" | b"object" | b"fencedframe"
    )
}

fn is_dest(value: &[u8]) -> bool {
    is_frame(value)
        || matches!(
            value,
            b"empty" | b"image" | b"script" | b"style" | b"font" | b"audio"
        )
        || matches!(
            value,
            b"video" | b"track" | b"manifest" | b"worker" | b"sharedworker"
        )
        || matches!(
            value,
            b"serviceworker" | b"report" | b"xslt" | b"audioworklet"
        )
        || matches!(
            value,
            b"paintworklet" | b"websocket" | b"webidentity" | b"json" | b"text"
        )
        || starts(value, b"speculation")
}
