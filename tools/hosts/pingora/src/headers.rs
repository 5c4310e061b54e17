//! The headers that tell an upstream the verdict, and what keeps a client from sending them.

use crate::filter::{Judged, Outcome};
use hedgerow::table::Catalog;
use hedgerow::{Source, Verdict};
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;
use std::fmt::Write;

/// 1 to 99. Not there where there is no score: 0 is never a score.
pub const SCORE: &str = "x-bot-score";

/// What decided: `ensemble`, `detection:ID`, `verified-bot:CATEGORY`, or `not-scored:REASON`.
pub const SOURCE: &str = "x-bot-source";

/// The generation of the table that gave the verdict. Not there where none was asked.
pub const GENERATION: &str = "x-bot-generation";

/// The ids of the detections that match, shadows included, with commas between. Not there where
/// none match.
pub const DETECTIONS: &str = "x-bot-detections";

/// What the policy made of it: `tag` where the request would be blocked by a stricter one.
pub const ACTION: &str = "x-bot-action";

/// All of them.
pub const ALL: [&str; 5] = [SCORE, SOURCE, GENERATION, DETECTIONS, ACTION];

/// Removes what a client sent under these names, and under what many an upstream reads as the same:
/// `x_bot_score` becomes the same variable in CGI and its heirs.
pub fn strip(request: &mut RequestHeader) {
    // Nothing of the kind, as a rule: one pass over the names' beginnings.
    while let Some(name) = request.headers.keys().find(|name| is_ours(name)).cloned() {
        request.remove_header(&name);
    }
}

/// Whether a name is one of ours, `_` and `-` taken for the same.
fn is_ours(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    if !matches!(name, [b'x', b'-' | b'_', b'b', b'o', b't', b'-' | b'_', ..]) {
        return false;
    }
    let same = |ours: &&str| {
        let ours = ours.as_bytes();
        let pairs = name.iter().zip(ours);
        name.len() == ours.len() && { pairs }.all(|(a, b)| a == b || (*a, *b) == (b'_', b'-'))
    };
    ALL.iter().any(same)
}

/// Writes the verdict into a request from which [`strip`] has removed what the client sent.
pub(crate) fn write(request: &mut RequestHeader, judged: &Judged, catalog: Option<&Catalog>) {
    let source = match judged.outcome() {
        Outcome::Verdict(verdict) => {
            if let Some(score) = verdict.score() {
                set(request, SCORE, number(score.get()));
            }
            set(request, GENERATION, HeaderValue::from(verdict.generation()));
            let ids = detections(verdict, catalog);
            if !ids.is_empty() {
                set_maybe(request, DETECTIONS, HeaderValue::try_from(ids).ok());
            }
            match verdict {
                Verdict::Scored(scored) => match scored.source {
                    Source::Ensemble => Some(HeaderValue::from_static("ensemble")),
                    Source::Detection(id) => text(format_args!("detection:{id}")),
                },
                Verdict::VerifiedBot(bot) => {
                    text(format_args!("verified-bot:{}", bot.category.name()))
                }
                Verdict::NotScored(not) => text(format_args!("not-scored:{}", not.reason.name())),
            }
        }
        Outcome::Passed(trouble) => text(format_args!("not-scored:{}", trouble.name())),
    };
    set_maybe(request, SOURCE, source);
}

/// A score's digits, which are never made anew.
fn number(score: u8) -> HeaderValue {
    const DIGITS: &str = "\
        00010203040506070809101112131415161718192021222324252627282930313233343536373839\
        40414243444546474849505152535455565758596061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let end = usize::from(score).saturating_mul(2).saturating_add(2);
    let digits = if score < 10 { 1 } else { 2 };
    let known = DIGITS.get(end.saturating_sub(digits)..end);
    known.map_or_else(
        || HeaderValue::from(u16::from(score)),
        HeaderValue::from_static,
    )
}

fn text(what: std::fmt::Arguments<'_>) -> Option<HeaderValue> {
    HeaderValue::try_from(what.to_string()).ok()
}

/// The ids of the detections that a verdict matches, with commas between.
pub fn detections(verdict: &Verdict, catalog: Option<&Catalog>) -> String {
    let mut ids = String::new();
    let (Verdict::Scored(scored), Some(catalog)) = (verdict, catalog) else {
        return ids;
    };
    for position in scored.detections.positions() {
        if let Some(detection) = catalog.detections().get(position) {
            let comma = if ids.is_empty() { "" } else { "," };
            push(&mut ids, format_args!("{comma}{}", detection.id));
        }
    }
    ids
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _ = text.write_fmt(what);
}

fn set_maybe(request: &mut RequestHeader, name: &'static str, value: Option<HeaderValue>) {
    if let Some(value) = value {
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
    fn every_score_has_its_digits() {
        for score in 0..=u8::MAX {
            assert_eq!(number(score).to_str().unwrap(), score.to_string());
        }
    }

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
}
