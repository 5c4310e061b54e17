//! The User-Agent, read once: what it claims to be, and what no browser writes.

use super::VALUE_SCANNED_MAX;
use super::bytes::{Dotted, dotted, dotted_prefix, first, from, key, starts};
use super::words::{Platform, Word, classify};

mod beginnings;

/// Which browser family's behaviour a User-Agent promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Family {
    /// None, or one whose behaviour is not known well enough.
    #[default]
    None,
    /// Chrome, Edge, Opera and the rest on Blink.
    Chromium,
    /// Firefox on Gecko.
    Firefox,
    /// Safari, and every browser on iOS.
    Safari,
}

/// What a User-Agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Agent {
    /// Begins as browsers do.
    pub mozilla: bool,
    /// The family it claims.
    pub family: Family,
    /// The platform it claims.
    pub platform: Platform,
    /// Says `Mobile`.
    pub mobile: bool,
    /// Says Edge, on Chromium.
    pub edge: bool,
    /// The version behind `Chrome/`.
    pub chrome: Dotted,
    /// The version behind `Firefox/`.
    pub firefox: Dotted,
    /// The version behind `Version/`.
    pub version: Dotted,
    /// A word for automated visits.
    pub bot_word: bool,
    /// The name of an HTTP library or a command-line tool. In comments of what begins as browsers
    /// do stand names of devices and apps, such as `Redmi Go`: there only beside `compatible`.
    pub tool_word: bool,
    /// The name of a browser automation tool, or `Headless`.
    pub automation_word: bool,
    /// An address to complain to.
    pub contact: bool,
    /// Says `compatible`, without being an Internet Explorer.
    pub compatible: bool,
    /// Parentheses that do not match.
    pub unbalanced: bool,
    /// Bytes that no browser writes: control characters, quotes, angle brackets, non-ASCII.
    pub odd_bytes: bool,
    /// Begins with a lower-case letter.
    pub starts_lower: bool,
    /// Products whose name no common browser carries.
    pub unknown_products: u8,
    /// Products: names outside of comments, behind a space.
    pub products: u8,
    /// Has a comment.
    pub comment: bool,
    /// Spaces at the ends, or several in a row.
    pub spaces: bool,
    /// Shown by an app: such views have headers of their own.
    pub in_app: bool,
    /// Chromium's comment is none of those that it has sent since it reduced them.
    pub platform_unreduced: bool,
    /// Claims that exclude each other.
    pub contradictions: u8,
    /// Has the form of a browser's agent, of whatever family.
    pub frame: bool,
    /// The comment `KHTML, like Gecko` goes on behind these words.
    pub engine_comment: bool,
    /// Comments.
    pub comments: u8,
    /// The version of the system: of Windows NT, Android, macOS or iOS.
    system: Dotted,
    safari: Dotted,
    webkit: Dotted,
    revision: Dotted,
    has: Has,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Has {
    ios_browser: bool,
    safari: bool,
    gecko: bool,
    old_engine: bool,
    edge_legacy: bool,
    rare: bool,
    /// A rare browser is the first product.
    rare_first: bool,
    linux: bool,
    frozen_build: bool,
    tool_in_comment: bool,
    /// The last word is `like`.
    like: bool,
}

/// Where the pass over the bytes stands.
struct Cursor {
    depth: u8,
    before: u8,
    /// The byte in front of `before`.
    earlier: u8,
}

/// A run of letters.
struct Letters {
    /// The first eight.
    head: u64,
    /// The last eight.
    tail: u64,
    /// It begins a product: it stands at the beginning or behind a space, in no comment.
    product: bool,
    /// It is within a comment.
    comment: bool,
    /// A dash joins it to the word in front of it.
    dashed: bool,
    /// A dot joins it to the word in front of it.
    dotted: bool,
}

impl Agent {
    /// Reads a User-Agent; the first [`VALUE_SCANNED_MAX`] bytes of it.
    pub fn parse(value: &[u8]) -> Agent {
        let text = first(value, VALUE_SCANNED_MAX);
        match beginnings::skip(text) {
            Some((agent, rest)) => agent.scan(text, rest),
            None => Agent::read(text),
        }
    }

    fn read(text: &[u8]) -> Agent {
        let agent = Agent {
            mozilla: text.starts_with(b"Mozilla/5.0 ("),
            starts_lower: text.first().is_some_and(u8::is_ascii_lowercase),
            ..Agent::default()
        };
        agent.scan(text, text)
    }

    /// Reads `rest`, which begins a word outside of comments, at the end of `text`.
    fn scan(self, text: &[u8], mut rest: &[u8]) -> Agent {
        let mut agent = self;
        let mut cursor = Cursor {
            depth: 0,
            before: b' ',
            earlier: b' ',
        };
        while let [byte, after @ ..] = rest {
            if byte.is_ascii_alphabetic() {
                rest = agent.letters(&mut cursor, rest);
                cursor.before = b'a';
                continue;
            }
            // Most other bytes are digits and dots.
            if !is_dull(*byte) {
                agent.mark(*byte, &mut cursor);
            }
            cursor.earlier = cursor.before;
            cursor.before = *byte;
            rest = after;
        }
        agent.unbalanced |= cursor.depth != 0;
        agent.spaces |= cursor.before == b' ';
        agent.conclude(text);
        agent
    }

    /// A run of letters at the beginning of `text`; returns what follows it, and its version.
    fn letters<'a>(&mut self, cursor: &mut Cursor, text: &'a [u8]) -> &'a [u8] {
        let (first, mut rest) = leading_letters(text);
        let (mut tail, mut more) = (first, first >> 56 != 0);
        while more {
            let (next, after) = leading_letters(rest);
            let bits = 64_u32
                .saturating_sub(next.leading_zeros())
                .next_multiple_of(8);
            tail = tail.checked_shl(bits).unwrap_or_default() | next;
            (more, rest) = (next >> 56 != 0, after);
        }
        self.contact |= cursor.before == b'@';
        let letters = Letters {
            head: first,
            tail,
            product: cursor.before == b' ' && cursor.depth == 0,
            comment: cursor.depth != 0,
            dashed: cursor.before == b'-',
            dotted: cursor.before == b'.' && cursor.earlier.is_ascii_alphanumeric(),
        };
        self.word(&letters, rest)
    }

    /// A byte that is no letter.
    fn mark(&mut self, byte: u8, cursor: &mut Cursor) {
        match byte {
            b' ' => self.spaces |= cursor.before == b' ',
            b'(' => {
                self.comment = true;
                if cursor.depth == 0 {
                    self.comments = self.comments.saturating_add(1);
                }
                cursor.depth = cursor.depth.saturating_add(1);
            }
            b')' => {
                self.unbalanced |= cursor.depth == 0;
                cursor.depth = cursor.depth.saturating_sub(1);
            }
            b'/' if cursor.before == b'/' => self.contact = true,
            b'"' | b'\'' | b'<' | b'>' | b'{' | b'}' | b'$' | b'\\' | b'`' | b'%' => {
                self.odd_bytes = true;
            }
            0..=0x1f | 0x7f..=0xff => self.odd_bytes = true,
            _ => {}
        }
    }

    /// The end of a word; `rest` is what follows it. Returns what follows its version, of whose
    /// bytes no feature tells anything else.
    fn word<'a>(&mut self, letters: &Letters, rest: &'a [u8]) -> &'a [u8] {
        let word = classify(letters.head, letters.tail);
        let like = std::mem::replace(&mut self.has.like, letters.head == const { key("like") });
        if letters.product {
            self.products = self.products.saturating_add(1);
            let unknown = matches!(word, Word::Other | Word::Tool | Word::Bot);
            self.unknown_products = self.unknown_products.saturating_add(u8::from(unknown));
        }
        let mut after = rest;
        let mut version = || match rest {
            [b'/' | b':', tail @ ..] => {
                let (version, length) = dotted_prefix(tail);
                if length != 0 {
                    after = from(tail, length);
                }
                version
            }
            _ => Dotted::default(),
        };
        match word {
            Word::Chrome => self.chrome = version(),
            Word::Firefox => self.firefox = version(),
            Word::Version => self.version = version(),
            Word::WebKit => self.webkit = version(),
            Word::Revision => self.revision = version(),
            Word::IosBrowser => self.has.ios_browser = true,
            Word::Edge => self.edge = true,
            Word::EdgeLegacy => self.has.edge_legacy |= letters.product && starts(rest, b"/"),
            Word::OldEngine => {
                let versioned = matches!(rest, [b'/', ..] | [b' ', b'0'..=b'9', ..]);
                self.has.old_engine |= versioned;
            }
            Word::Rare => self.rare(letters),
            Word::Operator => self.bot_word |= letters.dashed || starts(rest, b"-"),
            Word::Safari => {
                self.has.safari = true;
                self.safari = version();
            }
            Word::Gecko => {
                self.has.gecko |= starts(rest, b"/");
                // Some old engines name Safari there.
                let more = letters.comment && matches!(rest, [b';' | b' ', ..]);
                self.engine_comment |= more && like;
            }
            Word::Mobile => self.mobile(letters, rest),
            Word::InApp => self.in_app = true,
            Word::System if letters.comment => self.system(rest),
            Word::Compatible => self.compatible = true,
            Word::Platform(platform) if letters.comment => self.place(platform, rest),
            Word::Tool if letters.comment => self.has.tool_in_comment = true,
            Word::Tool => self.tool_word = true,
            Word::Bot => self.bot_word = true,
            Word::Automation => {
                self.automation_word = true;
                if letters.head == key("headlesschrome") && starts(rest, b"/") {
                    self.chrome = version();
                }
            }
            Word::Other if letters.head == key("w") && starts(rest, b"3m/") => self.rare(letters),
            Word::Other if letters.dotted && is_domain(letters.head) => {
                self.contact |= !starts(rest, b".");
            }
            _ => {}
        }
        after
    }

    /// A browser outside of the large families.
    fn rare(&mut self, letters: &Letters) {
        self.has.rare = true;
        self.has.rare_first |= self.products == 1 && letters.product;
    }

    fn mobile(&mut self, letters: &Letters, rest: &[u8]) {
        self.mobile = true;
        // Firefox OS and KaiOS name no system.
        if letters.comment && self.platform == Platform::None {
            self.platform = Platform::Other;
        }
        self.has.frozen_build |= starts(rest, b"/15E148");
    }

    /// The first platform counts; `Linux` gives way to the `Android` behind it, and `X11` to
    /// `CrOS`.
    fn place(&mut self, platform: Platform, rest: &[u8]) {
        // `Android 10`, and the X of `Mac OS X 10_15_7`.
        let mac = self.platform == Platform::Mac && platform == Platform::Linux;
        if platform == Platform::Android || mac {
            self.system(rest);
        }
        self.has.linux |= platform == Platform::Linux;
        let vague = matches!(self.platform, Platform::Linux | Platform::Other);
        let exact = matches!(platform, Platform::Android | Platform::ChromeOs);
        if self.platform == Platform::None || (vague && exact) {
            self.platform = platform;
        }
    }

    /// The version behind a system's name; the first counts.
    fn system(&mut self, rest: &[u8]) {
        if let ([b' ', version @ ..], 0) = (rest, self.system.parts) {
            self.system = dotted(version);
        }
    }

    fn conclude(&mut self, text: &[u8]) {
        self.compatible &= !self.has.old_engine && !self.has.rare;
        self.tool_word |= self.has.tool_in_comment && (self.compatible || !self.mozilla);
        // Lynx names the library that it is made of.
        self.tool_word &= !self.has.rare_first;
        let mozilla = matches!(text.strip_prefix(b"Mozilla/"), Some([b'0'..=b'9', ..]));
        self.frame = (mozilla && self.comment && !self.compatible)
            || text.starts_with(b"Opera/")
            || self.has.rare;
        if self.frame {
            self.unknown_products = 0;
        }
        let ios = self.platform == Platform::Ios;
        // WebKitGTK says what Safari says, on Linux.
        let webkit = ios || self.platform == Platform::Mac || self.webkit.major == 605;
        self.family = if !self.mozilla || self.has.old_engine || self.has.edge_legacy {
            Family::None
        } else if self.has.ios_browser || (ios && self.webkit.parts != 0) {
            Family::Safari
        } else if self.chrome.parts != 0 {
            Family::Chromium
        } else if self.firefox.parts != 0 {
            // Rare browsers that are made of it say `like Firefox`.
            if self.has.rare {
                Family::None
            } else {
                Family::Firefox
            }
        } else if self.has.safari && self.version.parts != 0 && webkit {
            Family::Safari
        } else {
            Family::None
        };
        self.contradictions = self.count_contradictions(ios);
        self.platform_unreduced = self.reduced() && !frozen_comment(from(text, 13));
    }

    /// Whether it claims a Chromium that has reduced its User-Agent: all of them from 110 on,
    /// but not the views of apps.
    fn reduced(&self) -> bool {
        self.family == Family::Chromium && self.chrome.major >= 110 && !self.in_app
    }

    /// A build number from a Chromium that sends zeros. None where no such is claimed.
    pub fn version_unreduced(&self) -> Option<bool> {
        self.reduced().then_some(self.chrome.build != 0)
    }

    /// A comment that a Chromium with a reduced User-Agent does not send. None where no such is
    /// claimed.
    pub fn platform_unreduced(&self) -> Option<bool> {
        self.reduced().then_some(self.platform_unreduced)
    }

    /// A browser on a system that it does not run on, or that is not the system's own version of
    /// it. None where the system's version is not told.
    pub fn platform_impossible(&self) -> Option<bool> {
        if self.family == Family::None || self.system.parts == 0 {
            return None;
        }
        let (major, minor) = (self.system.major, self.system.minor);
        let (chrome, firefox) = (self.chrome.major, self.firefox.major);
        let chromium = self.family == Family::Chromium;
        Some(match self.platform {
            // Both left Windows 7 and 8, which say NT 6, behind.
            Platform::Windows => major < 10 && (chrome >= 110 || firefox >= 116),
            Platform::Mac => chromium && chrome >= 117 && major == 10 && minor < 15,
            Platform::Android => chromium && chrome >= 120 && major < 8,
            // Safari has its system's version; iOS 26 stopped telling it.
            Platform::Ios => {
                let version = self.version.major;
                (1..26).contains(&version) && version != major
            }
            _ => false,
        })
    }

    /// Whether it claims one of Apple's systems.
    pub fn is_apple(&self) -> bool {
        matches!(self.platform, Platform::Mac | Platform::Ios)
    }

    /// `Mobile` where the platform has none, or none on a phone. None where no browser is claimed.
    pub fn mobile_odd(&self) -> Option<bool> {
        let odd = match self.platform {
            Platform::Ios => !self.mobile,
            Platform::Windows | Platform::Mac | Platform::ChromeOs => self.mobile,
            _ => false,
        };
        (self.family != Family::None).then_some(odd)
    }

    /// Numbers that Safari has frozen, in another form. None where no Safari of such a version is
    /// claimed.
    pub fn safari_form(&self) -> Option<bool> {
        let own = self.family == Family::Safari && self.has.safari && !self.has.ios_browser;
        if !own || self.version.major < 13 || self.in_app {
            return None;
        }
        let is = |version: Dotted, numbers: (u32, u32, u32)| {
            (version.major, version.minor, version.build) == numbers
        };
        let tail = match self.platform {
            Platform::Ios => is(self.safari, (604, 1, 0)) && self.has.frozen_build,
            _ => is(self.safari, (605, 1, 15)),
        };
        Some(!tail || !is(self.webkit, (605, 1, 15)))
    }

    fn count_contradictions(&self, ios: bool) -> u8 {
        let browser = self.family != Family::None;
        let webkit = self.webkit.parts != 0;
        let found = [
            // Apple's rules: every browser on iOS is a WebKit with a name of its own.
            ios && self.chrome.parts != 0,
            ios && !webkit && self.mozilla,
            self.has.ios_browser && !ios && self.platform != Platform::Mac,
            self.firefox.parts != 0 && webkit,
            self.firefox.parts != 0 && self.chrome.parts != 0,
            self.chrome.parts != 0 && !webkit && self.mozilla,
            // Blink has said 537.36 since it left WebKit.
            self.chrome.major >= 30
                && webkit
                && (self.webkit.major, self.webkit.minor) != (537, 36),
            // Safari left Windows with version 5.
            self.platform == Platform::Windows
                && self.has.safari
                && self.version.major > 5
                && self.chrome.parts == 0,
            browser && self.platform == Platform::None,
            self.has.old_engine && self.chrome.parts != 0 && !self.edge && !self.has.edge_legacy,
        ];
        let count = found.into_iter().filter(|one| *one).count();
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// Whether the claimed version is one that the family never had. None where no family with
    /// known version forms is claimed.
    pub fn version_impossible(&self) -> Option<bool> {
        match self.family {
            Family::Chromium => {
                // Android's views were shipped with zeros for a build, and names of their own
                // have patch numbers of their own.
                let view = self.platform == Platform::Android && self.version.parts != 0;
                Some(chrome_impossible(&self.chrome, view))
            }
            Family::Firefox => Some(firefox_impossible(&self.firefox, &self.revision)),
            _ => None,
        }
    }
}

/// Whether letters behind a dot end a domain's name.
fn is_domain(head: u64) -> bool {
    [key("com"), key("org"), key("net"), key("io")].contains(&head)
}

/// The letters that a text begins with, eight at most, in lower case as in [`key`], and what
/// follows them.
fn leading_letters(text: &[u8]) -> (u64, &[u8]) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let mut bytes = [0; 8];
    match text.first_chunk::<8>() {
        Some(chunk) => bytes = *chunk,
        None => {
            for (to, byte) in bytes.iter_mut().zip(text) {
                *to = *byte;
            }
        }
    }
    let lower = u64::from_be_bytes(bytes) | (0x20 * ONES);
    // The high bit of a byte: at least `a`, above `z`, or no ASCII.
    let seven = lower & !HIGH;
    let from_a = seven.wrapping_add((0x80 - 0x61) * ONES);
    let above_z = seven.wrapping_add((0x80 - 0x7b) * ONES);
    let others = !(from_a & !above_z & !lower) & HIGH;
    let bits = others.leading_zeros() & !7;
    let letters = lower.checked_shr(64_u32.saturating_sub(bits));
    let count = usize::try_from(bits / 8).unwrap_or_default();
    (letters.unwrap_or_default(), from(text, count))
}

/// Whether a byte, other than a letter, is one of which no feature of an agent tells anything.
fn is_dull(byte: u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9' | b'.' | b';' | b',' | b'_' | b':' | b'-' | b'+'
    )
}

/// Whether `text` begins with a comment of a reduced User-Agent.
fn frozen_comment(text: &[u8]) -> bool {
    const COMMENTS: [&[u8]; 5] = [
        b"Windows NT 10.0; Win64; x64)",
        b"Macintosh; Intel Mac OS X 10_15_7)",
        b"X11; Linux x86_64)",
        b"X11; CrOS x86_64 14541.0.0)",
        b"Linux; Android 10; K)",
    ];
    COMMENTS.iter().any(|comment| text.starts_with(comment))
}

/// The build number that belongs to a major version of Chrome, every tenth.
const CHROME_BUILDS: [u32; 13] = [
    1_000, 1_599, 2_214, 2_661, 3_112, 3_538, 3_987, 4_430, 4_896, 5_481, 6_099, 6_723, 7_339,
];

/// The major version that [`CHROME_BUILDS`] begins with.
const CHROME_BUILDS_FROM: u32 = 20;

/// How far a build may stand from the interpolation: three releases.
const CHROME_BUILD_SLACK: u32 = 160;

fn chrome_impossible(version: &Dotted, view: bool) -> bool {
    let Dotted {
        major,
        minor,
        build,
        patch,
        parts,
    } = *version;
    if parts != 4 || minor != 0 || major == 0 {
        return true;
    }
    if build == 0 {
        return patch != 0 || (major < 80 && !(view && major >= 30));
    }
    if patch >= 100_000 {
        return true;
    }
    // Majors beyond the list have builds that nobody knows yet.
    let tens = (major / 10).checked_sub(CHROME_BUILDS_FROM / 10);
    let Some(at) = tens.and_then(|tens| usize::try_from(tens).ok()) else {
        return false;
    };
    let (Some(low), Some(high)) = (
        CHROME_BUILDS.get(at),
        at.checked_add(1).and_then(|next| CHROME_BUILDS.get(next)),
    ) else {
        return false;
    };
    let step = high.saturating_sub(*low).saturating_mul(major % 10) / 10;
    build.abs_diff(low.saturating_add(step)) > CHROME_BUILD_SLACK
}

fn firefox_impossible(version: &Dotted, revision: &Dotted) -> bool {
    if version.parts < 2 || version.major == 0 || revision.parts == 0 {
        return true;
    }
    // Until version 4 the engine had a count of its own.
    if version.major <= 4 && (1..=2).contains(&revision.major) {
        return false;
    }
    // Firefox 110 to 119 said rv:109.0, so that no site took 11 for Internet Explorer.
    revision.major != version.major
        && !((110..120).contains(&version.major) && revision.major == 109)
}
