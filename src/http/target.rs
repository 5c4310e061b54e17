//! The request's target: few features, none on what a site calls its pages.

use super::TARGET_SCANNED_MAX;
use super::bytes::{contains, count, find, first, from, starts};

/// What a target shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target {
    /// Share of bytes that belong to percent-encodings, well-formed or not.
    pub encoded: f32,
    /// Asks for files that only scanners ask for.
    pub probe: bool,
    /// Carries an attack: traversal, markup, injection.
    pub attack: bool,
    /// A percent sign without two hex digits, or a byte that no client may send; a backslash in the
    /// path, which browsers turn round there alone.
    pub malformed: bool,
    /// No path: an absolute URL, an authority, or something else.
    pub not_path: bool,
    /// A percent sign that was encoded itself, in front of two hex digits.
    pub double_encoded: bool,
    /// What browsers resolve before they send it: `/./`, `/../`, a fragment.
    pub unnormalised: bool,
    /// Folders of the path.
    pub depth: u8,
    /// Parameters of the query.
    pub parameters: u8,
    /// Bits that a byte of the query carries, see [`bits`].
    pub query_bits: u8,
    /// Ends in a suffix of images, styles, scripts, fonts or media.
    pub asset: bool,
}

/// Suffixes of backups and of scripts that few sites still have.
const PROBE_SUFFIXES: [&[u8]; 6] = [b"bak", b"sql", b"old", b"swp", b"cgi", b"php~"];

/// Suffixes of what pages are made of.
const ASSET_SUFFIXES: [&[u8]; 16] = [
    b"css", b"js", b"mjs", b"png", b"jpg", b"jpeg", b"gif", b"svg", b"ico", b"webp", b"avif",
    b"woff", b"woff2", b"ttf", b"mp4", b"webm",
];

const ATTACKS: [&[u8]; 18] = [
    b"../",
    b"..%2f",
    b"%2e%2e",
    b"..\\",
    b"%00",
    b"<script",
    b"%3cscript",
    b"union select",
    b"union+select",
    b"union%20select",
    b"%27%20or",
    b"' or ",
    b"sleep(",
    b"${jndi",
    b"%24%7b",
    b"/bin/sh",
    b"cmd.exe",
    b"wget+http",
];

impl Target {
    /// Reads a target; the first [`TARGET_SCANNED_MAX`] bytes of it.
    pub fn parse(target: &[u8]) -> Target {
        let text = first(target, TARGET_SCANNED_MAX);
        let end = find(text, b'?').unwrap_or(text.len());
        let (path, marked) = text.split_at_checked(end).unwrap_or((text, b""));
        let query = from(marked, 1);
        let suffix = suffix(path);
        let mut found = Target {
            asset: listed(&ASSET_SUFFIXES, suffix),
            not_path: !matches!(target, [b'/', ..] | b"*"),
            query_bits: bits(query),
            ..Target::default()
        };
        let seen = text.iter().fold(0, |seen, byte| seen | class(*byte));
        let dots = match seen & DOT {
            0 => 0,
            _ => dots(text),
        };
        let percents = match seen & PERCENT {
            0 => 0,
            _ => count(text, b'%'),
        };
        found.malformed =
            seen & MALFORMED != 0 || (seen & BACKSLASH != 0 && find(path, b'\\').is_some());
        found.unnormalised = seen & FRAGMENT != 0
            || (dots & HIDDEN != 0 && (contains(path, b"/./") || contains(path, b"/../")));
        found.depth = u8::try_from(count(path, b'/')).unwrap_or(u8::MAX);
        if !query.is_empty() {
            let joints = match seen & JOINT {
                0 => 0,
                _ => count(text, b'&'),
            };
            found.parameters = u8::try_from(joints).unwrap_or(u8::MAX).saturating_add(1);
        }
        found.double_encoded = percents != 0 && double_encoded(text);
        let cut = text.len() < target.len();
        found.malformed |= percents != 0 && broken_percent(text, cut);
        let length = u16::try_from(text.len().max(1)).unwrap_or(u16::MAX);
        let encoded = u16::try_from(percents.saturating_mul(3)).unwrap_or(u16::MAX);
        if encoded != 0 {
            found.encoded = (f32::from(encoded) / f32::from(length)).min(1.0);
        }
        found.probe = probe_start(path) || listed(&PROBE_SUFFIXES, suffix);
        // All attacks but two need one of these bytes: most targets are done here.
        found.attack = if (seen & (MALFORMED | SUSPICIOUS | PERCENT)) | (dots & PARENT) != 0 {
            ATTACKS.iter().any(|attack| contains(text, attack))
        } else {
            let shell = find(query, b'/');
            shell.is_some_and(|at| is_shell(from(query, at)))
                || (dots & COMMAND != 0 && contains(text, b"cmd.exe"))
        };
        found
    }
}

/// Whether a text has `/bin/sh`, and not as the beginning of a longer word.
fn is_shell(text: &[u8]) -> bool {
    let ends = |rest: &[u8]| !rest.get(7).is_some_and(u8::is_ascii_alphanumeric);
    let stands = |at| starts(from(text, at), b"/bin/sh") && ends(from(text, at));
    contains(text, b"/bin/sh") && (0..text.len()).any(stands)
}

const MALFORMED: u8 = 1;
const SUSPICIOUS: u8 = 2;
const FRAGMENT: u8 = 4;
const PERCENT: u8 = 8;
const JOINT: u8 = 16;
const DOT: u8 = 32;
const BACKSLASH: u8 = 64;

/// What a byte of a target says by itself.
#[inline(always)]
fn class(byte: u8) -> u8 {
    static CLASSES: [u8; 256] = {
        let mut classes = [0; 256];
        let mut rest = classes.as_mut_slice();
        let mut byte = 0_u8;
        while let [class, tail @ ..] = rest {
            *class = match byte {
                b'#' => FRAGMENT,
                b'%' => PERCENT,
                b'&' => JOINT,
                b'.' => DOT,
                b'\\' => BACKSLASH,
                0..=0x20 | 0x7f..=0xff | b'"' | b'<' | b'>' => MALFORMED,
                b'\'' | b'(' | b'$' | b'+' | b';' | b'|' => SUSPICIOUS,
                _ => 0,
            };
            byte = byte.wrapping_add(1);
            rest = tail;
        }
        classes
    };
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// A dot behind a slash.
const HIDDEN: u8 = 1;
/// A dot behind another.
const PARENT: u8 = 2;
/// A dot behind a d, as in `cmd.exe`.
const COMMAND: u8 = 4;

/// Which kinds of dots a text has.
fn dots(text: &[u8]) -> u8 {
    let mut found = 0;
    let mut rest = text;
    let mut before = 0;
    while let Some(at) = find(rest, b'.') {
        if let Some((head, tail)) = rest.split_at_checked(at) {
            found |= match head.last().copied().unwrap_or(before) {
                b'/' => HIDDEN,
                b'.' => PARENT,
                b'd' | b'D' => COMMAND,
                _ => 0,
            };
            rest = from(tail, 1);
        }
        before = b'.';
    }
    found
}

/// Whether a path ends in a suffix of images, styles, scripts, fonts or media.
pub(crate) fn is_asset(path: &[u8]) -> bool {
    listed(&ASSET_SUFFIXES, suffix(path))
}

/// Whether a probe stands at a folder's beginning.
fn probe_start(path: &[u8]) -> bool {
    let mut rest = path;
    // A path of slashes alone would cost its length times the probes: eight folders are enough.
    for _ in 0..8 {
        let Some(at) = find(rest, b'/') else {
            return false;
        };
        let folder = from(rest, at.saturating_add(1));
        if is_probe(folder) {
            return true;
        }
        rest = folder;
    }
    false
}

/// Whether a path, behind a slash, begins as files and folders do that links of no site lead
/// visitors to.
fn is_probe(folder: &[u8]) -> bool {
    let [head, ..] = folder else {
        return false;
    };
    let probes: &[&[u8]] = match head.to_ascii_lowercase() {
        b'.' => &[b".env", b".git", b".svn", b".aws", b".ssh", b".htaccess"],
        b'a' => &[b"actuator"],
        b'b' => &[b"boaform"],
        b'c' => &[b"cgi-bin/"],
        b'e' => &[b"etc/passwd"],
        b'g' => &[b"gponform"],
        b'h' => &[b"hnap1"],
        b'm' => &[b"manager/html"],
        b'p' => &[b"phpmyadmin", b"pma/", b"phpinfo"],
        b's' => &[b"server-status", b"solr/admin"],
        b'v' => &[b"vendor/phpunit"],
        b'w' => &[b"wp-config"],
        b'x' => &[b"xmlrpc.php"],
        _ => return false,
    };
    probes.iter().any(|probe| starts(folder, probe))
}

/// What follows the last dot of a path's last bytes; nothing where there is none.
fn suffix(path: &[u8]) -> &[u8] {
    let tail = from(path, path.len().saturating_sub(6));
    let dot = tail.iter().rposition(|byte| *byte == b'.');
    dot.map_or(b"", |at| from(tail, at.saturating_add(1)))
}

fn listed(suffixes: &[&[u8]], suffix: &[u8]) -> bool {
    !suffix.is_empty() && suffixes.iter().any(|one| one.eq_ignore_ascii_case(suffix))
}

/// `%25` and two hex digits.
fn double_encoded(text: &[u8]) -> bool {
    text.windows(5).any(|window| {
        matches!(window, [b'%', b'2', b'5', high, low]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// How many bits a byte of a query carries: the entropy of order 2, rounded down, 0 to 6. It is
/// `-log2` of the chance that two bytes are equal, and needs no logarithm but of a whole number.
fn bits(query: &[u8]) -> u8 {
    if query.is_empty() {
        return 0;
    }
    let text = first(query, 255);
    let mut counts = [0_u8; 128];
    // The sum of the counts' squares: the n-th of a kind adds 2n - 1.
    let mut pairs = 0_u32;
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(byte & 127)) {
            pairs = pairs.wrapping_add(u32::from(*count).wrapping_mul(2).wrapping_add(1));
            *count = count.wrapping_add(1);
        }
    }
    let length = u32::try_from(text.len()).unwrap_or_default();
    let symbols = length.wrapping_mul(length).checked_div(pairs);
    let bits = symbols.and_then(u32::checked_ilog2).unwrap_or_default();
    u8::try_from(bits).unwrap_or_default().min(6)
}

/// A percent sign without two hex digits; those behind a cut are taken to be there.
fn broken_percent(text: &[u8], cut: bool) -> bool {
    let mut due = 0_u8;
    for byte in text {
        if due != 0 {
            if !byte.is_ascii_hexdigit() {
                return true;
            }
            due = due.saturating_sub(1);
        } else if *byte == b'%' {
            due = 2;
        }
    }
    due != 0 && !cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_found_alone() {
        for attack in ATTACKS {
            let text = String::from_utf8_lossy(attack);
            for target in [
                format!("/?x={text}"),
                format!("/?x={}", text.to_uppercase()),
            ] {
                assert!(Target::parse(target.as_bytes()).attack, "{target}");
            }
        }
        for plain in [
            "/bin/shop",
            "/a/b?c=/bin/s",
            "/a?b=/usr/bin/shasum",
            "/command.exe",
            "/d.js?e=d.f",
        ] {
            assert!(!Target::parse(plain.as_bytes()).attack, "{plain}");
        }
    }
}
