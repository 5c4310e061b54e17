//! How most User-Agents begin: what those bytes say is known without a look at their words.

use super::{Agent, Has};
use crate::http::bytes::Dotted;
use crate::http::words::Platform;

const MOZILLA: &[u8] = b"Mozilla/5.0 (";
const WEBKIT: &[u8] = b"AppleWebKit/537.36 (KHTML, like Gecko) ";

/// The agent as the general pass has it behind a known beginning, and what follows that. The
/// beginning ends in a space outside of comments, so that no word and no version reaches over it.
pub(super) fn skip(text: &[u8]) -> Option<(Agent, &[u8])> {
    let rest = text.strip_prefix(MOZILLA)?;
    let (comment, platform, system) = match rest {
        [b'W', ..] => (
            b"Windows NT 10.0; Win64; x64) ".as_slice(),
            Platform::Windows,
            version(10, 0, 0, 2),
        ),
        [b'M', ..] => (
            b"Macintosh; Intel Mac OS X 10_15_7) ".as_slice(),
            Platform::Mac,
            version(10, 15, 7, 3),
        ),
        [b'X', ..] => (
            b"X11; Linux x86_64) ".as_slice(),
            Platform::Linux,
            Dotted::default(),
        ),
        [b'L', ..] => (
            b"Linux; Android 10; K) ".as_slice(),
            Platform::Android,
            version(10, 0, 0, 1),
        ),
        _ => return None,
    };
    let rest = rest.strip_prefix(comment)?.strip_prefix(WEBKIT)?;
    let agent = Agent {
        mozilla: true,
        platform,
        system,
        comment: true,
        comments: 2,
        products: 2,
        webkit: version(537, 36, 0, 2),
        has: Has {
            linux: true,
            ..Has::default()
        },
        ..Agent::default()
    };
    Some((agent, rest))
}

const fn version(major: u32, minor: u32, build: u32, parts: u8) -> Dotted {
    Dotted {
        major,
        minor,
        build,
        patch: 0,
        parts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_beginnings_read_as_their_words_do() {
        let comments = [
            "Windows NT 10.0; Win64; x64",
            "Macintosh; Intel Mac OS X 10_15_7",
            "X11; Linux x86_64",
            "Linux; Android 10; K",
        ];
        let tails = [
            "",
            " ",
            ")",
            "(",
            "x",
            "15",
            "/",
            "@a",
            "Chrome/131.0.0.0 Safari/537.36",
            "Chrome/131.0.0.0 Mobile Safari/537.36",
            "Chrome/131.0.6778.86 Safari/537.36 Edg/131.0.0.0",
            "HeadlessChrome/131.0.0.0 Safari/537.36",
            "Version/17.1 Safari/605.1.15",
            "Chrome/1 (compatible; Googlebot/2.1; +http://www.google.com/bot.html) Safari/537.36",
            "Chrome/131.0.0.0 (Android 4; iPhone OS 3_1) Trident/7 rv:9 \u{e9}\"",
            "wv NT 6.1 Firefox/3.0",
        ];
        for comment in comments {
            for tail in tails {
                let text = format!(
                    "Mozilla/5.0 ({comment}) AppleWebKit/537.36 (KHTML, like Gecko) {tail}"
                );
                assert!(skip(text.as_bytes()).is_some(), "{text}");
                // Every cut, within the beginning and behind it.
                for end in 0..=text.len() {
                    let cut = text.as_bytes().get(..end).unwrap_or_default();
                    assert_eq!(Agent::parse(cut), Agent::read(cut), "{text} to {end}");
                }
            }
        }
    }
}
