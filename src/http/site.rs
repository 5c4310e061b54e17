//! Whether a request's Referer, Origin and Host fit its target and its fetch metadata.

use super::bytes::{find, first, from, same, starts};
use super::consistency::ParsedRequest;
use super::headers::Name;
use super::request::Version;

/// A URL's authority, and what follows it.
pub(super) fn split(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = [b"https://".as_slice(), b"http://"]
        .into_iter()
        .find(|prefix| starts(url, prefix))
        .map(|prefix| from(url, prefix.len()))?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = end.unwrap_or(rest.len());
    Some((rest.get(..end)?, from(rest, end)))
}

impl ParsedRequest<'_> {
    /// The host that was asked for.
    fn host(&self) -> Option<&[u8]> {
        let host = self.headers.get(Name::Host).or(self.request.authority);
        host.filter(|host| !host.is_empty())
    }

    /// Whether the host that was asked for is the client's own machine: browsers send there over
    /// plain http what they send over TLS.
    pub fn is_local(&self) -> bool {
        let host = self.host().unwrap_or_default();
        if host.starts_with(b"[") {
            return host.starts_with(b"[::1]");
        }
        let name = first(host, find(host, b':').unwrap_or(host.len()));
        let ends = |suffix: &[u8]| {
            let tail = from(name, name.len().saturating_sub(suffix.len()));
            tail.eq_ignore_ascii_case(suffix)
        };
        let number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        name.eq_ignore_ascii_case(b"localhost")
            || ends(b".localhost")
            || (name.starts_with(b"127.") && name.iter().all(number))
    }

    /// Whether an authority is the host that was asked for. None where that is not known.
    fn is_own(&self, authority: &[u8]) -> Option<bool> {
        let host = self.host().filter(|_| self.kept.host)?;
        Some(same(authority, host))
    }

    /// A Referer on another host in a request of the same origin. The other way round, an own
    /// Referer in one that comes from another site, is what a detour leaves: a sign-on elsewhere
    /// that leads back.
    pub fn referer_mismatch(&self) -> bool {
        if self.headers.get(Name::FetchSite) != Some(b"same-origin") {
            return false;
        }
        let referer = self.referer;
        referer.and_then(|(authority, _)| self.is_own(authority)) == Some(false)
    }

    /// More than the origin of another site: browsers send no path there unless that site asks
    /// for it. None where the host is not known.
    pub fn referer_cross_path(&self) -> Option<bool> {
        let Some((authority, path)) = self.referer else {
            return self.host().map(|_| false);
        };
        let own = self.is_own(authority)?;
        Some(!matches!(path, b"" | b"/") && !own)
    }

    /// An Origin that is none, or of another host in a request of the same origin.
    pub fn origin_odd(&self) -> bool {
        let Some(origin) = self.headers.get(Name::Origin) else {
            return false;
        };
        let web = starts(origin, b"http");
        // Extensions have origins of their own.
        let formed = origin == b"null" || origin.windows(3).any(|window| window == b"://");
        let url = split(origin);
        let path = web && url.is_none_or(|(_, path)| !path.is_empty());
        let near = self.headers.get(Name::FetchSite) == Some(b"same-origin");
        let foreign = url.and_then(|(authority, _)| self.is_own(authority)) == Some(false);
        !formed || path || (near && foreign)
    }

    /// An Origin in a page load by GET.
    pub fn origin_on_navigation(&self) -> bool {
        let safe = matches!(self.request.method, b"GET" | b"HEAD");
        let navigate = self.headers.get(Name::FetchMode) == Some(b"navigate");
        safe && navigate && self.headers.has(Name::Origin)
    }

    /// A Host beside another `:authority`. None where either is not told.
    pub fn host_mismatch(&self) -> Option<bool> {
        if !matches!(self.kept.version, Version::Http2 | Version::Http3) {
            return None;
        }
        let authority = self.request.authority?;
        let host = self.headers.get(Name::Host);
        Some(host.is_some_and(|host| !host.eq_ignore_ascii_case(authority)))
    }
}
