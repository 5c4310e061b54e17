//! The request's target: few features, none on what a site calls its pages.

use super::TARGET_SCANNED_MAX;
use super::bytes::{contains, first, from, starts};

/// What a target shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Target {
    /// Share of bytes that belong to percent-encodings, well-formed or not.
    pub encoded: f32,
    /// Asks for files that only scanners ask for.
    pub probe: bool,
    /// Carries an attack: traversal, markup, injection.
    pub attack: bool,
    /// A percent sign without two hex digits, or a byte that no client may send.
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

/// Files and folders that links of no site lead visitors to.
const PROBES: [&[u8]; 21] = [
    b"/.env",
    b"/.git",
    b"/.svn",
    b"/.aws",
    b"/.ssh",
    b"/.htaccess",
    b"/wp-config",
    b"/xmlrpc.php",
    b"/phpmyadmin",
    b"/pma/",
    b"/cgi-bin/",
    b"/vendor/phpunit",
    b"/actuator",
    b"/server-status",
    b"/phpinfo",
    b"/boaform",
    b"/hnap1",
    b"/manager/html",
    b"/solr/admin",
    b"/etc/passwd",
    b"/gponform",
];

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
        let mut halves = text.splitn(2, |byte| *byte == b'?');
        let path = halves.next().unwrap_or_default();
        let query = halves.next().unwrap_or_default();
        let suffix = suffix(path);
        let mut found = Target {
            asset: listed(&ASSET_SUFFIXES, suffix),
            not_path: !matches!(target, [b'/', ..] | b"*"),
            query_bits: bits(query),
            ..Target::default()
        };
        let (mut suspicious, mut dotted) = (false, false);
        let mut percents = 0_u32;
        let mut before = 0;
        let (mut slashes, mut joints) = (0_u8, u8::from(!query.is_empty()));
        for byte in text {
            match byte {
                b'/' => slashes = slashes.saturating_add(1),
                b'&' => joints = joints.saturating_add(1),
                b'#' => found.unnormalised = true,
                b'%' => percents = percents.saturating_add(1),
                0..=0x20 | 0x7f..=0xff | b'"' | b'<' | b'>' | b'\\' => {
                    found.malformed = true;
                    suspicious = true;
                }
                b'\'' | b'(' | b'$' | b'+' | b';' | b'|' => suspicious = true,
                b'.' => {
                    suspicious |= before == b'.';
                    dotted |= before == b'/';
                }
                _ => {}
            }
            before = *byte;
        }
        found.parameters = if query.is_empty() { 0 } else { joints };
        let below = query.iter().filter(|byte| **byte == b'/').count();
        found.depth = slashes.saturating_sub(u8::try_from(below).unwrap_or(u8::MAX));
        if dotted {
            found.unnormalised |= contains(path, b"/./") || contains(path, b"/../");
        }
        found.double_encoded = percents != 0 && double_encoded(text);
        found.malformed |= percents != 0 && broken_percent(text);
        let length = u16::try_from(text.len().max(1)).unwrap_or(u16::MAX);
        let encoded = u16::try_from(percents.saturating_mul(3)).unwrap_or(u16::MAX);
        found.encoded = (f32::from(encoded) / f32::from(length)).min(1.0);
        found.probe = probe_start(path) || listed(&PROBE_SUFFIXES, suffix);
        // Attacks need one of these bytes: most targets are done here.
        if suspicious || percents != 0 {
            found.attack = ATTACKS.iter().any(|attack| contains(text, attack));
        }
        found
    }
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
        let Some(at) = rest.iter().position(|byte| *byte == b'/') else {
            return false;
        };
        let folder = from(rest, at);
        let second = folder.get(1).map(|byte| byte.to_ascii_lowercase());
        if PROBES
            .iter()
            .any(|probe| probe.get(1).copied() == second && starts(folder, probe))
        {
            return true;
        }
        rest = from(folder, 1);
    }
    false
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
    for byte in text {
        if let Some(count) = counts.get_mut(usize::from(byte & 127)) {
            *count = count.saturating_add(1);
        }
    }
    let squares = counts
        .iter()
        .map(|count| u32::from(*count).saturating_mul(u32::from(*count)));
    let pairs: u32 = squares.fold(0, u32::wrapping_add);
    let length = u32::try_from(text.len()).unwrap_or_default();
    let symbols = length.wrapping_mul(length).checked_div(pairs);
    let bits = symbols.and_then(u32::checked_ilog2).unwrap_or_default();
    u8::try_from(bits).unwrap_or_default().min(6)
}

fn broken_percent(text: &[u8]) -> bool {
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
    due != 0
}
