//! Scanning bytes without bounds that could panic.

const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of every byte: where a test of [`any`] says that it hits.
pub(super) const HIGH: u64 = 0x80 * ONES;

/// The first `max` bytes, or all of them.
#[inline]
pub(super) fn first(bytes: &[u8], max: usize) -> &[u8] {
    bytes.get(..max).unwrap_or(bytes)
}

/// The bytes from `at` on; none beyond the end.
#[inline]
pub(super) fn from(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// Whether `needle` stands in `bytes`, letter case ignored.
pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some(head) = needle.first() else {
        return true;
    };
    // Most windows fail by their first byte.
    let head = head.to_ascii_lowercase();
    bytes.windows(needle.len()).any(|window| {
        let first = window
            .first()
            .is_some_and(|byte| byte.to_ascii_lowercase() == head);
        first && window.eq_ignore_ascii_case(needle)
    })
}

/// Whether `bytes` begins with `prefix`, letter case ignored.
#[inline(always)]
pub(super) fn starts(bytes: &[u8], prefix: &[u8]) -> bool {
    // Most are written as expected, and comparing with a constant takes an instruction or two.
    bytes
        .get(..prefix.len())
        .is_some_and(|head| head == prefix || head.eq_ignore_ascii_case(prefix))
}

/// Whether two texts are equal, letter case ignored; most are written alike.
#[inline]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    one == other || one.eq_ignore_ascii_case(other)
}

/// Where `needle` first stands in `bytes`.
#[inline]
pub(super) fn find(bytes: &[u8], needle: u8) -> Option<usize> {
    let mut at = 0_usize;
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        // The lowest hit is exact: only bytes above one can look like another.
        let hits = equal(u64::from_le_bytes(*word), needle) & HIGH;
        if hits != 0 {
            let byte = usize::try_from(hits.trailing_zeros() / 8).unwrap_or_default();
            return Some(at.saturating_add(byte));
        }
        at = at.saturating_add(8);
        rest = after;
    }
    let byte = rest.iter().position(|byte| *byte == needle)?;
    Some(at.saturating_add(byte))
}

/// How often `needle` stands in `bytes`.
#[inline]
pub(super) fn count(bytes: &[u8], needle: u8) -> usize {
    const LOW: u64 = !HIGH;
    let pattern = ONES.wrapping_mul(u64::from(needle));
    let (words, rest) = bytes.as_chunks::<8>();
    let whole = words.iter().fold(0_u64, |count, word| {
        let others = u64::from_le_bytes(*word) ^ pattern;
        // The high bit of every byte that is zero, and of no other.
        let hits = !((others & LOW).wrapping_add(LOW) | others) & HIGH;
        count.wrapping_add((hits >> 7).wrapping_mul(ONES) >> 56)
    });
    let rest = rest.iter().filter(|byte| **byte == needle).count();
    usize::try_from(whole)
        .unwrap_or_default()
        .saturating_add(rest)
}

/// Whether a test of eight bytes at a time hits one of `value`: the high bit of a byte is set
/// where it does. The last word overlaps the one before, and a short value is repeated.
#[inline(always)]
pub(super) fn any(value: &[u8], test: impl Fn(u64) -> u64) -> bool {
    let word = |bytes: &[u8; 8]| test(u64::from_le_bytes(*bytes));
    let found = match (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            let ends = word(first) | word(last);
            // Most values end here.
            match value.get(8..value.len().saturating_sub(8)) {
                Some(between) if !between.is_empty() => {
                    let (words, _) = from(value, 8).as_chunks::<8>();
                    words.iter().fold(ends, |found, bytes| found | word(bytes))
                }
                _ => ends,
            }
        }
        _ if value.is_empty() => 0,
        _ => test(repeated(value)),
    };
    found & HIGH != 0
}

/// A word of one to seven bytes, each of them once or more.
#[inline(always)]
fn repeated(bytes: &[u8]) -> u64 {
    let halves = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(head), Some(tail)) => (u32::from_le_bytes(*head), u32::from_le_bytes(*tail)),
        _ => match bytes {
            [one] => (u32::from_le_bytes([*one; 4]), u32::from_le_bytes([*one; 4])),
            [one, two, ..] => {
                let last = bytes.last().copied().unwrap_or_default();
                let word = u32::from_le_bytes([*one, *two, last, last]);
                (word, word)
            }
            [] => (0, 0),
        },
    };
    u64::from(halves.0) | (u64::from(halves.1) << 32)
}

/// A test for [`any`]: bytes below `bound`, which is at most 0x80.
#[inline(always)]
pub(super) fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES.wrapping_mul(u64::from(bound))) & !word
}

/// A test for [`any`]: bytes equal to `byte`.
#[inline(always)]
pub(super) fn equal(word: u64, byte: u8) -> u64 {
    let others = word ^ ONES.wrapping_mul(u64::from(byte));
    others.wrapping_sub(ONES) & !others
}

/// Up to the first eight bytes as a number, in lower case: equal words have equal keys, and a
/// longer word has the key of its beginning.
pub(super) const fn key(word: &str) -> u64 {
    let mut rest = word.as_bytes();
    let mut packed = 0;
    let mut taken = 0_u8;
    while let [byte, tail @ ..] = rest {
        if taken == 8 {
            break;
        }
        packed = (packed << 8) | byte.to_ascii_lowercase() as u64;
        taken = taken.saturating_add(1);
        rest = tail;
    }
    packed
}

/// A dotted version: up to four numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dotted {
    /// The first number.
    pub major: u32,
    /// The second number, 0 where there is none.
    pub minor: u32,
    /// The third number, 0 where there is none.
    pub build: u32,
    /// The fourth number, 0 where there is none.
    pub patch: u32,
    /// How many numbers there are, 5 standing for more than four.
    pub parts: u8,
}

/// Reads a dotted version at the beginning of `bytes`; `_` also parts numbers (iOS).
pub(super) fn dotted(bytes: &[u8]) -> Dotted {
    dotted_prefix(bytes).0
}

/// Like [`dotted`], with how many bytes it took: digits, `.` and `_`.
pub(super) fn dotted_prefix(bytes: &[u8]) -> (Dotted, usize) {
    let text = first(bytes, 40);
    let mut found = Dotted::default();
    let mut rest = text;
    while let [b'0'..=b'9', ..] = rest {
        let mut number = 0_u32;
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            number = number.saturating_mul(10).saturating_add(digit);
            rest = after;
        }
        match found.parts {
            0 => found.major = number,
            1 => found.minor = number,
            2 => found.build = number,
            3 => found.patch = number,
            _ => {}
        }
        found.parts = found.parts.saturating_add(1).min(5);
        // What most Chromium versions go on with.
        if let (1, [b'.', b'0', b'.', b'0', b'.', b'0', after @ ..]) = (found.parts, rest)
            && !matches!(after, [b'0'..=b'9' | b'.' | b'_', ..])
        {
            found.parts = 4;
            rest = after;
            break;
        }
        match rest {
            [b'.' | b'_', after @ ..] => rest = after,
            _ => break,
        }
    }
    (found, text.len().saturating_sub(rest.len()))
}

/// The parts of a comma-separated list, without the white space around them.
pub(super) fn list(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(|byte| *byte == b',')
        .map(|part| part.trim_ascii())
}

/// A list entry without its parameters.
pub(super) fn bare(entry: &[u8]) -> &[u8] {
    entry
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of every length up to 40 with one byte of every kind at every place.
    fn texts(mut check: impl FnMut(&[u8])) {
        for length in 0..=40 {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut text = vec![b'a'; length];
                    text[at] = byte;
                    check(&text);
                }
            }
            check(&vec![b'a'; length]);
            check(&vec![0xff; length]);
        }
    }

    #[test]
    fn words_find_what_bytes_do() {
        texts(|text| {
            for needle in [b'/', b'"', 0, 0x7f, 0x80, 0xff, b'a', b'`'] {
                let at = text.iter().position(|byte| *byte == needle);
                assert_eq!(find(text, needle), at, "{needle} in {text:?}");
                let often = text.iter().filter(|byte| **byte == needle).count();
                assert_eq!(count(text, needle), often, "{needle} in {text:?}");
                let found = any(text, |word| equal(word, needle));
                assert_eq!(found, at.is_some(), "{needle} in {text:?}");
            }
            for bound in [0x20, 0x21, 0x80] {
                let low = text.iter().any(|byte| *byte < bound);
                let found = any(text, |word| below(word, bound));
                assert_eq!(found, low, "below {bound} in {text:?}");
            }
        });
    }

    #[test]
    fn versions_take_what_belongs_to_them() {
        let version = |text: &str| {
            let (found, length) = dotted_prefix(text.as_bytes());
            let Dotted {
                major,
                minor,
                build,
                patch,
                parts,
            } = found;
            ([major, minor, build, patch], parts, length)
        };
        for (text, numbers, parts, length) in [
            ("", [0; 4], 0, 0),
            (".1", [0; 4], 0, 0),
            ("131.0.0.0", [131, 0, 0, 0], 4, 9),
            ("131.0.0.0 Safari", [131, 0, 0, 0], 4, 9),
            ("131.0.0.0.", [131, 0, 0, 0], 4, 10),
            ("131.0.0.0.7", [131, 0, 0, 0], 5, 11),
            ("131.0.0.07", [131, 0, 0, 7], 4, 10),
            ("131.0.0.0_x", [131, 0, 0, 0], 4, 10),
            ("10_15_7;", [10, 15, 7, 0], 3, 7),
            ("537.36 (", [537, 36, 0, 0], 2, 6),
            ("1..2", [1, 0, 0, 0], 1, 2),
            ("99999999999", [u32::MAX, 0, 0, 0], 1, 11),
        ] {
            assert_eq!(version(text), (numbers, parts, length), "{text}");
        }
        let long = "1.".repeat(60);
        assert_eq!(version(&long), ([1; 4], 5, 40));
        let cut = format!("{}.0.0.0", "0".repeat(36));
        assert_eq!(version(&cut), ([0; 4], 3, 40));
    }
}
