//! Whether Accept-*, Priority and Connection have the form that the claimed browser gives them.

use super::agent::Family;
use super::consistency::ParsedRequest;
use super::headers::Name;
use super::request::{Scheme, Version};
use super::values::Language;

impl ParsedRequest<'_> {
    fn is_multiplexed(&self) -> bool {
        matches!(self.kept.version, Version::Http2 | Version::Http3)
    }

    /// Qualities in other steps than the tenths of Chromium and Safari. Old Qt browsers, which say
    /// Chrome 87 and less, have steps of two tenths.
    pub fn language_uneven(&self, language: &Language) -> Option<bool> {
        let tenths = match self.agent.family {
            Family::Chromium => self.agent.chrome.major >= 90,
            family => family == Family::Safari,
        };
        tenths.then_some(language.uneven)
    }

    /// A region in lower case from a browser that writes it in upper case.
    pub fn language_lower(&self, language: &Language) -> Option<bool> {
        (self.agent.family != Family::None).then_some(language.lower_region)
    }

    /// Other bytes than Chromium and Firefox have ever sent.
    pub fn encoding_inexact(&self) -> Option<bool> {
        let strict = matches!(self.agent.family, Family::Chromium | Family::Firefox);
        strict.then_some(!self.encoding?.exact)
    }

    /// No zstd over TLS from a version that offers it.
    pub fn zstd_missing(&self) -> Option<bool> {
        let encoding = self.encoding?;
        let due = match self.agent.family {
            Family::Chromium => self.agent.chrome.major >= 124,
            Family::Firefox => self.agent.firefox.major >= 126,
            _ => false,
        };
        let special = encoding.identity || self.kind.websocket;
        (due && self.kept.scheme == Scheme::Https && !special).then_some(!encoding.zstd)
    }

    /// An Accept for a page that the claimed family sent in other versions.
    pub fn document_version(&self) -> Option<bool> {
        let accept = self.accept.unwrap_or_default();
        let (chrome, firefox) = (self.agent.chrome.major, self.agent.firefox.major);
        match self.agent.family {
            Family::Chromium | Family::Firefox if !accept.document || self.is_fetch() => {
                Some(false)
            }
            Family::Chromium => {
                // Edge was late with AVIF.
                let avif_due = chrome >= 85 && !self.agent.edge;
                let exchange = match accept.exchange_tenths {
                    7 => chrome < 107,
                    9 => chrome >= 112,
                    _ => false,
                };
                Some(exchange || (avif_due && !accept.avif) || (accept.avif && chrome < 79))
            }
            Family::Firefox => Some(match accept.images {
                true => firefox >= 133,
                false => (66..128).contains(&firefox),
            }),
            _ => None,
        }
    }

    /// A Priority in a form that no browser writes, or from a Chromium over HTTP/1.1.
    pub fn priority_odd(&self) -> bool {
        let Some(value) = self.headers.get(Name::Priority) else {
            return false;
        };
        let formed = matches!(
            value,
            b"i" | [b'u', b'=', b'0'..=b'7'] | [b'u', b'=', b'0'..=b'7', b',', b' ', b'i']
        );
        let one = matches!(self.kept.version, Version::Http10 | Version::Http11);
        !formed || (one && self.agent.family == Family::Chromium)
    }

    /// No Priority over HTTP/2 from a Chromium that sends it.
    pub fn priority_missing(&self) -> Option<bool> {
        let chromium = self.agent.family == Family::Chromium && self.agent.chrome.major >= 126;
        let due = chromium && self.is_multiplexed() && self.request.method != b"OPTIONS";
        due.then_some(!self.headers.has(Name::Priority))
    }

    /// A Connection header that no browser sends.
    pub fn connection_odd(&self) -> Option<bool> {
        if !self.kept.connection || self.kept.version != Version::Http11 {
            return None;
        }
        let value = self.headers.get(Name::Connection);
        let websocket = self.kind.websocket;
        // WebKit on other systems than Apple's writes it with capitals.
        let any_case = self.agent.family == Family::Safari;
        Some(value.is_some_and(|value| {
            let usual =
                value == b"keep-alive" || (any_case && value.eq_ignore_ascii_case(b"keep-alive"));
            // WebKit closes behind media.
            let media = self.is_media() || (any_case && self.headers.has(Name::Range));
            !usual && !websocket && !media
        }))
    }

    /// Headers that libraries and tools send, and browsers do not.
    pub fn library_headers(&self) -> u8 {
        let kept = [Name::AcceptCharset, Name::From];
        // Proxies answer, drop or add these.
        let own = [Name::Expect, Name::KeepAlive, Name::ProxyConnection];
        let own = own.into_iter().filter(|_| self.kept.connection);
        let names = kept.into_iter().chain(own);
        let there = names.filter(|name| self.headers.has(*name)).count();
        u8::try_from(there).unwrap_or(u8::MAX)
    }

    /// A request of the own site that does not say where it comes from. None without fetch
    /// metadata.
    pub fn fetch_referer_absent(&self) -> Option<bool> {
        let site = self.headers.get(Name::FetchSite)?;
        let near = matches!(site, b"same-origin" | b"same-site");
        Some(near && !self.headers.has(Name::Referer) && !self.kind.websocket)
    }

    /// Upgrade-Insecure-Requests beside a mode that is no page load. None without a mode.
    pub fn upgrade_without_navigation(&self) -> Option<bool> {
        let mode = self.headers.get(Name::FetchMode)?;
        // Firefox keeps it where a service worker sends a page's request once more.
        let again = mode == b"same-origin" && self.agent.family == Family::Firefox;
        Some(mode != b"navigate" && !again && self.headers.has(Name::Uir))
    }
}
