//! Scanning bytes without bounds that could panic.

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
#[inline]
pub(super) fn starts(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
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
    let mut found = Dotted::default();
    let mut number = 0_u32;
    let mut digits = 0_u8;
    for byte in first(bytes, 40).iter().chain(b" ") {
        if byte.is_ascii_digit() {
            number = number
                .saturating_mul(10)
                .saturating_add(u32::from(byte.wrapping_sub(b'0')));
            digits = digits.saturating_add(1);
            continue;
        }
        if digits == 0 {
            break;
        }
        match found.parts {
            0 => found.major = number,
            1 => found.minor = number,
            2 => found.build = number,
            3 => found.patch = number,
            _ => {}
        }
        found.parts = found.parts.saturating_add(1).min(5);
        (number, digits) = (0, 0);
        if *byte != b'.' && *byte != b'_' {
            break;
        }
    }
    found
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
