//! One pass over the headers: which known names stand where, and what is wrong with the rest.

use super::bytes::first;
use super::request::{Header, HeadersKnown, Request};
use super::{HEADERS_SCANNED_MAX, VALUE_SCANNED_MAX};

/// A header name that a feature knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Name {
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    CacheControl,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Host,
    Http2Settings,
    KeepAlive,
    Origin,
    Pragma,
    Priority,
    ProxyConnection,
    Range,
    Referer,
    ChUa,
    ChMobile,
    ChPlatform,
    FetchDest,
    FetchMode,
    FetchSite,
    FetchUser,
    Te,
    TransferEncoding,
    Upgrade,
    Uir,
    UserAgent,
    WebSocketKey,
}

const NAMES: usize = Name::WebSocketKey as usize + 1;

/// The name, and how browsers write it in HTTP/1.1. `true` where a browser always does: pages
/// choose the case of `Content-Type`, and versions differ on `Priority`.
type Spelling = (Name, &'static [u8], bool);

/// The known names of this length. Few share one, so that most names cost one comparison.
#[rustfmt::skip]
fn spellings(len: usize) -> &'static [Spelling] {
    match len {
        2 => &[(Name::Te, b"TE", false)],
        4 => &[(Name::Host, b"Host", true)],
        5 => &[(Name::Range, b"Range", false)],
        6 => &[(Name::Accept, b"Accept", true), (Name::Cookie, b"Cookie", true),
               (Name::Origin, b"Origin", true), (Name::Pragma, b"Pragma", true)],
        7 => &[(Name::Referer, b"Referer", true), (Name::Upgrade, b"Upgrade", false)],
        8 => &[(Name::Priority, b"Priority", false)],
        9 => &[(Name::ChUa, b"sec-ch-ua", true)],
        10 => &[(Name::UserAgent, b"User-Agent", true), (Name::Connection, b"Connection", true),
                (Name::KeepAlive, b"Keep-Alive", false)],
        12 => &[(Name::ContentType, b"Content-Type", false)],
        13 => &[(Name::CacheControl, b"Cache-Control", true)],
        14 => &[(Name::FetchSite, b"Sec-Fetch-Site", true),
                (Name::FetchMode, b"Sec-Fetch-Mode", true),
                (Name::FetchDest, b"Sec-Fetch-Dest", true),
                (Name::FetchUser, b"Sec-Fetch-User", true),
                (Name::ContentLength, b"Content-Length", true),
                (Name::Http2Settings, b"HTTP2-Settings", false)],
        15 => &[(Name::AcceptLanguage, b"Accept-Language", true),
                (Name::AcceptEncoding, b"Accept-Encoding", true)],
        16 => &[(Name::ChMobile, b"sec-ch-ua-mobile", true),
                (Name::ProxyConnection, b"Proxy-Connection", false)],
        17 => &[(Name::TransferEncoding, b"Transfer-Encoding", false),
                (Name::WebSocketKey, b"Sec-WebSocket-Key", false)],
        18 => &[(Name::ChPlatform, b"sec-ch-ua-platform", true)],
        25 => &[(Name::Uir, b"Upgrade-Insecure-Requests", true)],
        _ => &[],
    }
}

fn classify(name: &[u8]) -> Option<&'static Spelling> {
    // The last letter tells names of one length apart nearly always: one comparison a name.
    let last = name.last()? | 0x20;
    spellings(name.len()).iter().find(|(_, usual, _)| {
        usual.last().is_some_and(|byte| byte | 0x20 == last)
            && (*usual == name || usual.eq_ignore_ascii_case(name))
    })
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
    /// Known names that stand twice and must not.
    pub repeated: u8,
    /// Names that are no token, values with control characters.
    pub malformed: u8,
}

impl<'a> Headers<'a> {
    /// Looks at the first [`HEADERS_SCANNED_MAX`] headers. Where the list is not complete, only
    /// those that are known count: a host that lists more than it promises changes nothing.
    pub fn scan(request: &Request<'a>) -> Headers<'a> {
        let mut seen = Headers {
            values: [None; NAMES],
            places: [0; NAMES],
            sequence: [None; NAMES],
            known: 0,
            odd_case: 0,
            repeated: 0,
            malformed: 0,
        };
        for header in request.headers.iter().take(HEADERS_SCANNED_MAX) {
            seen.add(header, request.known);
        }
        seen
    }

    fn add(&mut self, header: &Header<'a>, known: HeadersKnown) {
        let value = first(header.value, VALUE_SCANNED_MAX);
        let Some((name, usual, cased)) = classify(header.name) else {
            self.note_malformed(!is_token(header.name) || has_control(value));
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
        if *cased && header.name != *usual {
            self.odd_case = self.odd_case.saturating_add(1);
        }
        let at = *name as usize;
        match self.values.get_mut(at) {
            Some(slot @ None) => *slot = Some(value),
            _ => {
                // HTTP/2 splits cookies; intermediaries repeat Connection.
                if !matches!(name, Name::Cookie | Name::Connection) {
                    self.repeated = self.repeated.saturating_add(1);
                }
                return;
            }
        }
        if let Some(place) = self.places.get_mut(at) {
            *place = self.known;
        }
        if let Some(slot) = self.sequence.get_mut(usize::from(self.known)) {
            *slot = Some(*name);
            self.known = self.known.saturating_add(1);
        }
    }

    fn note_malformed(&mut self, malformed: bool) {
        self.malformed = self.malformed.saturating_add(u8::from(malformed));
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

    /// Whether `one` stands before `other`, where both are there.
    pub fn before(&self, one: Name, other: Name) -> Option<bool> {
        self.get(one)?;
        self.get(other)?;
        Some(self.places.get(one as usize)? < self.places.get(other as usize)?)
    }

    /// Known names that stand behind one that they should stand before. `rank` says where a name
    /// belongs; 0 is anywhere.
    pub fn inversions(&self, rank: fn(Name) -> u8) -> u8 {
        let mut highest = 0;
        let mut count = 0_u8;
        for name in self.sequence.iter().flatten() {
            let rank = rank(*name);
            if rank != 0 && rank < highest {
                count = count.saturating_add(1);
            }
            highest = highest.max(rank);
        }
        count
    }
}

/// Where Chromium puts a name. Equal ranks differ between versions and kinds of request, and a
/// page's own `Accept` moves.
pub(super) fn chromium_rank(name: Name) -> u8 {
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

/// Where Firefox puts a name.
pub(super) fn firefox_rank(name: Name) -> u8 {
    match name {
        Name::Host => 1,
        Name::UserAgent => 2,
        Name::Accept => 3,
        Name::AcceptLanguage => 4,
        Name::AcceptEncoding => 5,
        Name::Referer | Name::ContentType | Name::ContentLength | Name::Origin => 6,
        Name::Connection | Name::Cookie | Name::Uir => 7,
        Name::FetchDest | Name::FetchMode | Name::FetchSite | Name::FetchUser => 8,
        Name::Priority | Name::Te => 9,
        _ => 0,
    }
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= VALUE_SCANNED_MAX
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn has_control(value: &[u8]) -> bool {
    // No early exit: a loop over all bytes is vectorised, and values are short.
    let found = value.iter().fold(0_u8, |found, byte| {
        found | u8::from((*byte < 0x20) & (*byte != b'\t')) | u8::from(*byte == 0x7f)
    });
    found != 0
}
