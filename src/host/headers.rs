//! The request headers that carry a verdict to the server behind: names, and values as text.
//!
//! A host removes every header with a [reserved](is_reserved) name from a client's request before
//! it writes its own. Values are written into memory of a fixed size: nothing allocates.

use super::scored::{Outcome, ScoredRequest};
use crate::limits::DETECTIONS_MAX;
use crate::score::{Score, Source, Verdict};
use crate::table::Catalog;
use std::fmt::{self, Write};
use std::ops::Deref;

/// The score, 1 to 99. Absent without a score: 0 is never a score.
pub const SCORE: &str = "x-bot-score";

/// What decided; see [`source`].
pub const SOURCE: &str = "x-bot-source";

/// The generation of the table that gave the verdict. Absent if no table was asked.
pub const GENERATION: &str = "x-bot-generation";

/// Ids of the detections that match, shadows included, with commas between. Absent without any.
pub const DETECTIONS: &str = "x-bot-detections";

/// What a policy made of the verdict: `tag` where a stricter one would block.
pub const ACTION: &str = "x-bot-action";

/// The host's own number of the request, by which its line of the access log is found.
pub const REQUEST: &str = "x-bot-request";

/// All names, in lower case.
pub const ALL: [&str; 6] = [SCORE, SOURCE, GENERATION, DETECTIONS, ACTION, REQUEST];

/// Returns `true` if a header's name may be read as one of [`ALL`]; see [`is_like`].
#[inline]
pub fn is_reserved(name: &[u8]) -> bool {
    // Most names end here.
    let [b'x' | b'X', between, b'b' | b'B', ..] = name else {
        return false;
    };
    !between.is_ascii_alphanumeric() && ALL.iter().any(|ours| is_like(name, ours))
}

/// Returns `true` if a server may read a header's name as `ours`, which is in lower case: in any
/// case, and with another sign for `-`. CGI and its successors make one variable of `x-bot-score`,
/// `x_bot_score`, `x.bot.score` and `x~bot~score`.
#[inline]
pub fn is_like(name: &[u8], ours: &str) -> bool {
    let plain = |byte: &u8| match byte.is_ascii_alphanumeric() {
        true => byte.to_ascii_lowercase(),
        false => b'-',
    };
    name.iter().map(plain).eq(ours.bytes())
}

/// A text of at most `BYTES` bytes, in memory of its own. What does not fit is cut.
#[derive(Clone, Copy)]
pub struct Text<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: usize,
}

/// The longest value of [`SOURCE`] has 32 bytes or fewer.
pub type SourceText = Text<32>;

/// A number of 64 bits has 20 digits or fewer.
pub type NumberText = Text<20>;

/// As many ids as a table has detections, of ten digits each, and what is between.
pub type DetectionsText = Text<{ DETECTIONS_MAX * 11 }>;

impl<const BYTES: usize> Text<BYTES> {
    const EMPTY: Text<BYTES> = Text {
        bytes: [0; BYTES],
        len: 0,
    };

    fn of(text: fmt::Arguments<'_>) -> Text<BYTES> {
        let mut written = Text::EMPTY;
        // It takes everything.
        let _ = written.write_fmt(text);
        written
    }
}

impl<const BYTES: usize> Write for Text<BYTES> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        let mut fits = room.len().min(text.len());
        while !text.is_char_boundary(fits) {
            fits = fits.saturating_sub(1);
        }
        for (place, byte) in room.iter_mut().zip(text.bytes().take(fits)) {
            *place = byte;
        }
        self.len = self.len.saturating_add(fits);
        Ok(())
    }
}

impl<const BYTES: usize> Deref for Text<BYTES> {
    type Target = str;

    fn deref(&self) -> &str {
        let written = self.bytes.get(..self.len).unwrap_or_default();
        std::str::from_utf8(written).unwrap_or_default()
    }
}

impl<const BYTES: usize> fmt::Display for Text<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl<const BYTES: usize> fmt::Debug for Text<BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Returns the value of [`SCORE`].
pub fn score(score: Score) -> &'static str {
    const DIGITS: &str = "\
        00010203040506070809101112131415161718192021222324252627282930313233343536373839\
        40414243444546474849505152535455565758596061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let end = usize::from(score.get()).saturating_mul(2).saturating_add(2);
    let digits = if score.get() < 10 { 1 } else { 2 };
    let known = DIGITS.get(end.saturating_sub(digits)..end);
    known.unwrap_or_default()
}

/// Returns the value of [`SOURCE`]: `ensemble`, `detection:ID`, `verified-bot:CATEGORY` or
/// `not-scored:REASON`.
pub fn source(scored: &ScoredRequest) -> SourceText {
    match scored.outcome() {
        Outcome::Verdict(Verdict::Scored(scored)) => match scored.source {
            Source::Ensemble => Text::of(format_args!("ensemble")),
            Source::Detection(id) => Text::of(format_args!("detection:{id}")),
        },
        Outcome::Verdict(Verdict::VerifiedBot(bot)) => {
            Text::of(format_args!("verified-bot:{}", bot.category.name()))
        }
        Outcome::Verdict(Verdict::NotScored(not)) => {
            Text::of(format_args!("not-scored:{}", not.reason.name()))
        }
        Outcome::Passed(reason) => Text::of(format_args!("not-scored:{}", reason.name())),
    }
}

/// Returns the value of [`GENERATION`]; `None` if no table was asked.
pub fn generation(scored: &ScoredRequest) -> Option<NumberText> {
    let generation = scored.verdict()?.generation();
    Some(Text::of(format_args!("{generation}")))
}

/// Returns the value of [`DETECTIONS`]; `None` if nothing matches. `catalog` has the names of the
/// verdict's generation.
pub fn detections(scored: &ScoredRequest, catalog: Option<&Catalog>) -> Option<DetectionsText> {
    let (Some(Verdict::Scored(scored)), Some(catalog)) = (scored.verdict(), catalog) else {
        return None;
    };
    let mut text = Text::EMPTY;
    for position in scored.detections.positions() {
        if let Some(detection) = catalog.detections().get(position) {
            let comma = if text.is_empty() { "" } else { "," };
            // It takes everything.
            let _ = write!(text, "{comma}{}", detection.id);
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_score_has_its_digits() {
        for steps in 0..=98 {
            let made = Score::from_steps(steps);
            assert_eq!(score(made), made.to_string());
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let text: Text<5> = Text::of(format_args!("ab{}", "cdäe"));
        assert_eq!(&*text, "abcd");
        let most = (0..DETECTIONS_MAX).map(|_| u32::MAX.to_string());
        let most = most.collect::<Vec<_>>().join(",");
        let text: DetectionsText = Text::of(format_args!("{most}"));
        assert_eq!(&*text, most);
    }
}
