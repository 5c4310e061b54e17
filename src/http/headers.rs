//! One pass over the headers: which known names stand where, and what is wrong with the rest.

use super::bytes::{any, below, equal, first, starts};
use super::request::{Header, HeadersKnown};
use super::{HEADERS_SCANNED_MAX, VALUE_SCANNED_MAX};

macro_rules! names {
    ($($name:ident),+ $(,)?) => {
        /// A header name that a feature knows, in the order of the alphabet but for WebSocket's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Name {
            $($name),+
        }

        const NAMES: usize = [$(Name::$name),+].len();

        /// What a function says of every name.
        macro_rules! ranks {
            ($rank:expr) => {
                [$($rank(Name::$name)),+]
            };
        }
    };
}

names! {
    Accept,
    AcceptCharset,
    AcceptEncoding,
    AcceptLanguage,
    CacheControl,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Expect,
    From,
    Host,
    Http2Settings,
    KeepAlive,
    Origin,
    Pragma,
    Priority,
    ProxyConnection,
    Purpose,
    Range,
    Referer,
    ChUa,
    ChMobile,
    ChPlatform,
    FetchDest,
    FetchMode,
    FetchSite,
    FetchUser,
    SecPurpose,
    Te,
    TransferEncoding,
    Upgrade,
    Uir,
    UserAgent,
    WebSocketKey,
    WebSocketVersion,
}

/// Where each name belongs in a family's order, in the lower four bits, and in that of its
/// sec-fetch headers alone, in the upper four; 0 is anywhere. A look at a table costs less than a
/// jump for each header.
pub(super) type Ranks = [u8; NAMES];

pub(super) static CHROMIUM: Ranks = ranks!(chromium_ranks);
pub(super) static FIREFOX: Ranks = ranks!(firefox_ranks);

/// Tries the one known name of a length that has its byte `$at`: as browsers write it in HTTP/1.1,
/// in lower case, and in any other case. Comparisons of a fixed length take an instruction or two.
macro_rules! one_of {
    (
        $name:ident, $len:literal, $at:literal,
        $($id:ident $usual:literal $lower:literal $cased:literal),+
    ) => {{
        let name = <&[u8; $len]>::try_from($name).ok()?;
        let byte = name.get($at).copied().unwrap_or_default() | 0x20;
        $(if byte == const { $lower[$at] } {
            return if name == $usual {
                let lower = matches!($usual, $lower);
                Some((Name::$id, if lower { Case::Lower } else { Case::Usual }))
            } else if name == $lower {
                let case = if $cased { Case::OddLower } else { Case::Lower };
                Some((Name::$id, case))
            } else if name.eq_ignore_ascii_case($usual) {
                Some((Name::$id, if $cased { Case::Odd } else { Case::Usual }))
            } else {
                None
            };
        })+
        None
    }};
}

/// The case that a known name is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    /// As browsers write it.
    Usual,
    /// In lower case, which is how browsers write it, or one way in which they do.
    Lower,
    /// In lower case, and no browser does.
    OddLower,
    /// In a case of its own, and no browser writes it so.
    Odd,
}

/// The known name, and its case. How browsers write it in HTTP/1.1 comes first; `true` where they
/// always do: pages choose the case of `Content-Type`, and versions differ on `Priority`.
#[rustfmt::skip]
#[inline(always)]
fn classify(name: &[u8]) -> Option<(Name, Case)> {
    match name.len() {
        2 => one_of!(name, 2, 0, Te b"TE" b"te" false),
        4 => one_of!(name, 4, 0, Host b"Host" b"host" true, From b"From" b"from" false),
        5 => one_of!(name, 5, 0, Range b"Range" b"range" false),
        6 => one_of!(
            name, 6, 0,
            Accept b"Accept" b"accept" true,
            Cookie b"Cookie" b"cookie" true,
            Origin b"Origin" b"origin" true,
            Pragma b"Pragma" b"pragma" true,
            Expect b"Expect" b"expect" false
        ),
        7 => one_of!(
            name, 7, 0,
            Referer b"Referer" b"referer" true,
            Upgrade b"Upgrade" b"upgrade" false,
            Purpose b"Purpose" b"purpose" false
        ),
        8 => one_of!(name, 8, 0, Priority b"Priority" b"priority" false),
        9 => one_of!(name, 9, 0, ChUa b"sec-ch-ua" b"sec-ch-ua" true),
        10 => one_of!(
            name, 10, 0,
            UserAgent b"User-Agent" b"user-agent" true,
            Connection b"Connection" b"connection" true,
            KeepAlive b"Keep-Alive" b"keep-alive" false
        ),
        11 => one_of!(name, 11, 0, SecPurpose b"Sec-Purpose" b"sec-purpose" false),
        12 => one_of!(name, 12, 0, ContentType b"Content-Type" b"content-type" false),
        13 => one_of!(name, 13, 0, CacheControl b"Cache-Control" b"cache-control" true),
        14 => one_of!(
            name, 14, 10,
            FetchSite b"Sec-Fetch-Site" b"sec-fetch-site" true,
            FetchMode b"Sec-Fetch-Mode" b"sec-fetch-mode" true,
            FetchDest b"Sec-Fetch-Dest" b"sec-fetch-dest" true,
            FetchUser b"Sec-Fetch-User" b"sec-fetch-user" true,
            ContentLength b"Content-Length" b"content-length" true,
            AcceptCharset b"Accept-Charset" b"accept-charset" false,
            Http2Settings b"HTTP2-Settings" b"http2-settings" false
        ),
        15 => one_of!(
            name, 15, 7,
            AcceptLanguage b"Accept-Language" b"accept-language" true,
            AcceptEncoding b"Accept-Encoding" b"accept-encoding" true
        ),
        16 => one_of!(
            name, 16, 0,
            ChMobile b"sec-ch-ua-mobile" b"sec-ch-ua-mobile" true,
            ProxyConnection b"Proxy-Connection" b"proxy-connection" false
        ),
        17 => one_of!(
            name, 17, 0,
            TransferEncoding b"Transfer-Encoding" b"transfer-encoding" false,
            WebSocketKey b"Sec-WebSocket-Key" b"sec-websocket-key" false
        ),
        18 => one_of!(name, 18, 0, ChPlatform b"sec-ch-ua-platform" b"sec-ch-ua-platform" true),
        21 => one_of!(
            name, 21, 0,
            WebSocketVersion b"Sec-WebSocket-Version" b"sec-websocket-version" false
        ),
        25 => one_of!(
            name, 25, 0,
            Uir b"Upgrade-Insecure-Requests" b"upgrade-insecure-requests" true
        ),
        _ => None,
    }
}

/// What the pass has seen.
pub(super) struct Headers<'a> {
    values: [Option<&'a [u8]>; NAMES],
    /// Where the first of each name stands, in known names only.
    places: [u8; NAMES],
    /// Known names in wire order, without repeats.
    sequence: [Option<Name>; NAMES],
    known: u8,
    /// Known names that no browser writes so in HTTP/1.1.
    pub odd_case: u8,
    /// Names with a letter in upper case.
    pub upper: u8,
    /// Headers, known or not.
    pub count: u8,
    /// Headers whose name no feature knows.
    pub unknown: u8,
    /// Client hints beyond those that are sent without being asked for.
    pub more_hints: bool,
    /// Has a header that proxies add to what they pass on.
    pub forwarded: bool,
    /// Has X-Requested-With, which scripts add.
    pub scripted: bool,
    /// Has Icy-Metadata, which media players add.
    pub media: bool,
    /// Known names that stand twice and must not.
    pub repeated: u8,
    /// Names that are no token, values with control characters.
    pub malformed: u8,
}

impl<'a> Headers<'a> {
    /// Nothing seen yet.
    pub const EMPTY: Headers<'a> = Headers {
        values: [None; NAMES],
        places: [0; NAMES],
        sequence: [None; NAMES],
        known: 0,
        odd_case: 0,
        upper: 0,
        count: 0,
        unknown: 0,
        more_hints: false,
        forwarded: false,
        scripted: false,
        media: false,
        repeated: 0,
        malformed: 0,
    };

    /// Looks at the first [`HEADERS_SCANNED_MAX`] headers. Where the list is not complete, only
    /// those that are known count: a host that lists more than it promises changes nothing.
    #[inline(always)]
    pub fn scan(&mut self, known: HeadersKnown, headers: impl Iterator<Item = Header<'a>>) {
        for header in headers.take(HEADERS_SCANNED_MAX) {
            self.add(&header, known);
        }
    }

    #[inline(always)]
    fn add(&mut self, header: &Header<'a>, known: HeadersKnown) {
        let value = first(header.value, VALUE_SCANNED_MAX);
        // No count can wrap: there are at most HEADERS_SCANNED_MAX headers.
        self.count = self.count.wrapping_add(1);
        let Some((name, case)) = classify(header.name) else {
            self.unknown(header.name, value);
            return;
        };
        let listed = match known {
            HeadersKnown::Complete | HeadersKnown::Unordered => true,
            HeadersKnown::Partial => matches!(name, Name::UserAgent | Name::Referer),
            HeadersKnown::UserAgentOnly => matches!(name, Name::UserAgent),
        };
        if !listed {
            return;
        }
        self.note_malformed(has_control(value));
        let odd = matches!(case, Case::Odd | Case::OddLower);
        self.odd_case = self.odd_case.wrapping_add(u8::from(odd));
        let upper = matches!(case, Case::Odd | Case::Usual);
        self.upper = self.upper.wrapping_add(u8::from(upper));
        let at = name as usize;
        match self.values.get_mut(at) {
            Some(slot @ None) => *slot = Some(value),
            _ => {
                // HTTP/2 splits cookies; intermediaries repeat Connection.
                if !matches!(name, Name::Cookie | Name::Connection) {
                    self.repeated = self.repeated.wrapping_add(1);
                }
                return;
            }
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = self.known;
        }
        if let Some(slot) = self.sequence.get_mut(usize::from(self.known)) {
            *slot = Some(name);
            self.known = self.known.wrapping_add(1);
        }
    }

    #[inline(never)]
    fn unknown(&mut self, name: &[u8], value: &[u8]) {
        self.note_malformed(!is_token(name) || has_control(value));
        self.unknown = self.unknown.wrapping_add(1);
        self.more_hints |= starts(name, b"sec-ch-");
        self.forwarded |= is_forwarding(name);
        self.scripted |= name.eq_ignore_ascii_case(b"x-requested-with");
        self.media |= name.eq_ignore_ascii_case(b"icy-metadata");
        let upper = first(name, VALUE_SCANNED_MAX)
            .iter()
            .any(u8::is_ascii_uppercase);
        self.upper = self.upper.wrapping_add(u8::from(upper));
    }

    fn note_malformed(&mut self, malformed: bool) {
        self.malformed = self.malformed.wrapping_add(u8::from(malformed));
    }

    /// The first value of a name, at most [`VALUE_SCANNED_MAX`] bytes of it.
    #[inline]
    pub fn get(&self, name: Name) -> Option<&'a [u8]> {
        self.values.get(name as usize).copied().flatten()
    }

    /// Whether a name is there.
    #[inline]
    pub fn has(&self, name: Name) -> bool {
        self.get(name).is_some()
    }

    /// The known names in wire order, without repeats.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.sequence.iter().map_while(|name| *name)
    }

    /// Whether `one` stands before `other`, where both are there.
    pub fn before(&self, one: Name, other: Name) -> Option<bool> {
        self.get(one)?;
        self.get(other)?;
        Some(self.places.get(one as usize)? < self.places.get(other as usize)?)
    }

    /// Returns how many known names are behind one that they belong before, in both orders. Names
    /// that scripts set do not count in what a script asks for, nor those that proxies write in a
    /// request that was `passed` on.
    pub fn inversions(&self, ranks: &Ranks, scripted: bool, passed: bool) -> (u8, u8) {
        let (mut highest, mut fetch_highest) = (0, 0);
        let (mut count, mut fetch) = (0_u8, 0_u8);
        for name in self.names() {
            let set = matches!(
                name,
                Name::Accept | Name::AcceptLanguage | Name::ContentType
            );
            if (scripted && set) || (passed && is_proxys(name)) {
                continue;
            }
            let both = ranks.get(name as usize).copied().unwrap_or_default();
            let rank = both & 15;
            count = count.wrapping_add(u8::from(rank != 0 && rank < highest));
            highest = highest.max(rank);
            let rank = both >> 4;
            fetch = fetch.wrapping_add(u8::from(rank != 0 && rank < fetch_highest));
            fetch_highest = fetch_highest.max(rank);
        }
        (count, fetch)
    }
}

impl Headers<'_> {
    /// Whether four known names or more stand in the order of the alphabet. Those that libraries
    /// write themselves, in front of or behind a sorted map, do not count.
    pub fn sorted(&self) -> bool {
        let mut last = None;
        let mut count = 0_u8;
        for name in self.names() {
            if matches!(name, Name::Host | Name::UserAgent | Name::Connection) {
                continue;
            }
            if last > Some(name as u8) {
                return false;
            }
            last = Some(name as u8);
            count = count.saturating_add(1);
        }
        count >= 4
    }
}

const fn chromium_ranks(name: Name) -> u8 {
    chromium_rank(name) | (chromium_fetch_rank(name) << 4)
}

const fn firefox_ranks(name: Name) -> u8 {
    firefox_rank(name) | (firefox_fetch_rank(name) << 4)
}

/// Where Chromium puts a name. Equal ranks differ between versions and kinds of request, and a
/// page's own `Accept` moves.
const fn chromium_rank(name: Name) -> u8 {
    match name {
        Name::Host => 1,
        Name::Connection => 2,
        Name::CacheControl | Name::Pragma | Name::ContentLength => 3,
        Name::ChUa | Name::ChMobile | Name::ChPlatform | Name::Uir | Name::UserAgent => 4,
        Name::Accept | Name::Origin | Name::ContentType => 4,
        Name::FetchSite | Name::FetchMode | Name::FetchUser | Name::FetchDest => 4,
        Name::Referer => 5,
        // Chromium up to 80 sends the language first in some requests to other origins.
        Name::AcceptEncoding | Name::AcceptLanguage => 6,
        Name::Cookie | Name::Priority => 7,
        _ => 0,
    }
}

/// Where Firefox puts a name. `Referer`, `Connection` and `Cookie` have several places, by version
/// and kind of request.
const fn firefox_rank(name: Name) -> u8 {
    match name {
        Name::Host => 1,
        Name::UserAgent => 2,
        Name::Accept => 3,
        Name::AcceptLanguage => 4,
        Name::AcceptEncoding => 5,
        Name::ContentType | Name::ContentLength | Name::Origin => 6,
        Name::Uir => 7,
        Name::FetchDest | Name::FetchMode | Name::FetchSite | Name::FetchUser => 8,
        Name::Priority | Name::Te => 9,
        _ => 0,
    }
}

/// The order of Chromium's sec-fetch headers from version 85 on. Some of its requests have the
/// mode in front of the site.
const fn chromium_fetch_rank(name: Name) -> u8 {
    match name {
        Name::FetchSite | Name::FetchMode => 1,
        Name::FetchUser => 2,
        Name::FetchDest => 3,
        _ => 0,
    }
}

const fn firefox_fetch_rank(name: Name) -> u8 {
    match name {
        Name::FetchDest => 1,
        Name::FetchMode => 2,
        Name::FetchSite => 3,
        Name::FetchUser => 4,
        _ => 0,
    }
}

/// Whether proxies write a header for themselves, or join several of its lines at the end.
fn is_proxys(name: Name) -> bool {
    matches!(
        name,
        Name::Host
            | Name::Connection
            | Name::ContentLength
            | Name::Cookie
            | Name::Te
            | Name::CacheControl
            | Name::Pragma
    )
}

/// Whether a header is one that proxies add, and browsers and their pages do not.
fn is_forwarding(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 12] = [
        b"via",
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"client-ip",
        b"true-client-ip",
        b"x-cluster-client-ip",
        b"cf-connecting-ip",
        b"fastly-client-ip",
        b"x-proxyuser-ip",
        b"x-varnish",
        b"cdn-loop",
    ];
    let prefixed = starts(name, b"x-forwarded") || starts(name, b"x-bluecoat-");
    prefixed || NAMES.iter().any(|one| name.eq_ignore_ascii_case(one))
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= VALUE_SCANNED_MAX
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether a value holds a control character other than a tab.
#[inline(always)]
fn has_control(value: &[u8]) -> bool {
    any(value, |word| below(word, 0x20) | equal(word, 0x7f)) && is_control(value)
}

#[cold]
fn is_control(value: &[u8]) -> bool {
    value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
}
