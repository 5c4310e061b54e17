//! The verdict's headers in a request that goes upstream; names and values are the library's.

use hedgerow::host::{ScoredRequest, headers};
use hedgerow::table::Catalog;
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

/// Removes every header with a reserved name.
pub fn strip(request: &mut RequestHeader) {
    remove(request, headers::is_reserved);
}

/// Removes every header that a server may read as one of this name, and that has another.
pub(crate) fn remove_look_alikes(request: &mut RequestHeader, name: &str) {
    remove(request, |other| {
        headers::is_like(other, name) && !other.eq_ignore_ascii_case(name.as_bytes())
    });
}

fn remove(request: &mut RequestHeader, is_removed: impl Fn(&[u8]) -> bool) {
    let is_removed = |name: &&HeaderName| is_removed(name.as_str().as_bytes());
    // Usually there is none: one pass over the names' beginnings.
    while let Some(name) = request.headers.keys().find(is_removed).cloned() {
        request.remove_header(&name);
    }
}

/// Writes the verdict into a request that [`strip`] was called on.
pub(crate) fn write(
    request: &mut RequestHeader,
    scored: &ScoredRequest,
    catalog: Option<&Catalog>,
) {
    if let Some(score) = scored.score() {
        let digits = HeaderValue::from_static(headers::score(score));
        set(request, headers::SCORE, digits);
    }
    if let Some(generation) = headers::generation(scored) {
        set_text(request, headers::GENERATION, &generation);
    }
    if let Some(ids) = headers::detections(scored, catalog) {
        set_text(request, headers::DETECTIONS, &ids);
    }
    set_text(request, headers::SOURCE, &headers::source(scored));
}

fn set_text(request: &mut RequestHeader, name: &'static str, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        set(request, name, value);
    }
}

/// Sets a header. A request has room for one more, or the header is left out: a request with as
/// many headers as a map can hold goes on without. A name that is static text is not copied.
pub(crate) fn set(request: &mut RequestHeader, name: &'static str, value: HeaderValue) {
    let _ = request.insert_header(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_under_these_names_is_gone() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in [
            ("Host", "shop.example"),
            ("X-Bot-Score", "99"),
            ("x-bot-score", "98"),
            ("X_Bot_Score", "97"),
            ("X-BOT_SOURCE", "ensemble"),
            ("x-bot-generation", "1"),
            ("x-bot-detections", "1"),
            ("X_BOT_ACTION", "allow"),
            ("X.Bot.Score", "99"),
            ("x~bot~score", "99"),
            ("x-bot!source", "ensemble"),
            ("X^Bot|Detections", "1"),
            ("X-Bot-Scores", "kept"),
            ("X-Bot", "kept"),
            ("X-Robots-Tag", "kept"),
        ] {
            request.append_header(name, value).unwrap();
        }
        strip(&mut request);
        // What is removed leaves its place to the last one.
        let mut left: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["host", "x-bot", "x-bot-scores", "x-robots-tag"]);
        let mut cased: Vec<_> = request
            .case_header_iter()
            .map(|(name, _)| String::from_utf8_lossy(name.as_slice()).into_owned())
            .collect();
        cased.sort_unstable();
        assert_eq!(cased, ["Host", "X-Bot", "X-Bot-Scores", "X-Robots-Tag"]);
    }

    #[test]
    fn look_alikes_of_a_header_are_gone_and_the_header_is_not() {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for name in [
            "X-Forwarded-For",
            "X_Forwarded_For",
            "x.forwarded.for",
            "X-Forwarded",
        ] {
            request.append_header(name, "192.0.2.1").unwrap();
        }
        remove_look_alikes(&mut request, "x-forwarded-for");
        let mut left: Vec<_> = request.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-forwarded", "x-forwarded-for"]);
    }
}
