//! The User-Agent, read once: what it claims to be, and what no browser writes.

use super::VALUE_SCANNED_MAX;
use super::bytes::{Dotted, dotted, first, from, key, starts};

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

/// The platform in the first comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Platform {
    #[default]
    None,
    Windows,
    Mac,
    Linux,
    Android,
    Ios,
    ChromeOs,
}

/// What one word of a User-Agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Other,
    /// A word of ordinary browsers that needs no closer look.
    Browser,
    Chrome,
    Firefox,
    IosBrowser,
    Edge,
    OldEngine,
    Version,
    Safari,
    WebKit,
    Gecko,
    Revision,
    Mobile,
    Compatible,
    Platform(Platform),
    Tool,
    Automation,
    Bot,
}

/// What a User-Agent says.
#[derive(Debug, Clone, Copy, Default)]
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
    /// The name of an HTTP library or a command-line tool.
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
    /// Claims that cannot stand together.
    pub contradictions: u8,
    webkit: Dotted,
    revision: Dotted,
    has: Has,
}

#[derive(Debug, Clone, Copy, Default)]
struct Has {
    ios_browser: bool,
    safari: bool,
    gecko: bool,
    old_engine: bool,
    linux: bool,
}

/// Where the pass over the bytes stands.
#[derive(Default)]
struct Cursor {
    /// The first eight letters of the current word.
    head: u64,
    /// Its last eight letters.
    tail: u64,
    letters: u8,
    depth: u8,
    /// The word begins a product: it stands at the beginning or behind a space.
    product: bool,
    before: u8,
}

impl Agent {
    /// Reads a User-Agent; the first [`VALUE_SCANNED_MAX`] bytes of it.
    pub fn parse(value: &[u8]) -> Agent {
        let text = first(value, VALUE_SCANNED_MAX);
        let mut agent = Agent {
            mozilla: text.starts_with(b"Mozilla/5.0 ("),
            starts_lower: text.first().is_some_and(u8::is_ascii_lowercase),
            ..Agent::default()
        };
        let mut cursor = Cursor {
            before: b' ',
            ..Cursor::default()
        };
        for (at, byte) in text.iter().enumerate() {
            let lower = byte | 0x20;
            if lower.is_ascii_lowercase() && *byte >= b'A' {
                if cursor.letters == 0 {
                    cursor.head = 0;
                    cursor.tail = 0;
                    cursor.product = cursor.before == b' ';
                    agent.contact |= cursor.before == b'@';
                }
                cursor.tail = (cursor.tail << 8) | u64::from(lower);
                cursor.letters = cursor.letters.saturating_add(1);
                if cursor.letters <= 8 {
                    cursor.head = cursor.tail;
                }
            } else {
                if cursor.letters != 0 {
                    agent.word(&cursor, from(text, at));
                    cursor.letters = 0;
                }
                agent.mark(*byte, &mut cursor);
            }
            cursor.before = *byte;
        }
        if cursor.letters != 0 {
            agent.word(&cursor, b"");
        }
        agent.unbalanced |= cursor.depth != 0;
        agent.conclude();
        agent
    }

    /// A byte that is no letter.
    fn mark(&mut self, byte: u8, cursor: &mut Cursor) {
        match byte {
            b'(' => {
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

    /// The end of a word; `rest` is what follows it.
    fn word(&mut self, cursor: &Cursor, rest: &[u8]) {
        let word = classify(cursor.head, cursor.tail);
        if cursor.depth == 0 && cursor.product {
            let unknown = matches!(word, Word::Other | Word::Tool | Word::Bot);
            self.unknown_products = self.unknown_products.saturating_add(u8::from(unknown));
        }
        let version = || match rest {
            [b'/' | b':', tail @ ..] => dotted(tail),
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
            Word::OldEngine => self.has.old_engine = true,
            Word::Safari => self.has.safari = true,
            Word::Gecko => self.has.gecko |= starts(rest, b"/"),
            Word::Mobile => self.mobile = true,
            Word::Compatible => self.compatible = true,
            Word::Platform(platform) if cursor.depth != 0 => self.place(platform),
            Word::Tool => self.tool_word = true,
            Word::Bot => self.bot_word = true,
            Word::Automation => {
                self.automation_word = true;
                if cursor.head == key("headlesschrome") && starts(rest, b"/") {
                    self.chrome = version();
                }
            }
            _ => {}
        }
    }

    /// The first platform counts; `Linux` gives way to the `Android` behind it.
    fn place(&mut self, platform: Platform) {
        self.has.linux |= platform == Platform::Linux;
        if self.platform == Platform::None
            || (self.platform == Platform::Linux && platform == Platform::Android)
        {
            self.platform = platform;
        }
    }

    fn conclude(&mut self) {
        self.compatible &= !self.has.old_engine;
        let ios = self.platform == Platform::Ios;
        // WebKitGTK says what Safari says, on Linux.
        let webkit = ios || self.platform == Platform::Mac || self.webkit.major == 605;
        self.family = if !self.mozilla || self.has.old_engine {
            Family::None
        } else if self.has.ios_browser || (ios && self.webkit.parts != 0) {
            Family::Safari
        } else if self.chrome.parts != 0 {
            Family::Chromium
        } else if self.firefox.parts != 0 {
            Family::Firefox
        } else if self.has.safari && self.version.parts != 0 && webkit {
            Family::Safari
        } else {
            Family::None
        };
        self.contradictions = self.count_contradictions(ios);
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
            self.has.old_engine && self.chrome.parts != 0 && !self.edge,
        ];
        let count = found.into_iter().filter(|one| *one).count();
        u8::try_from(count).unwrap_or(u8::MAX)
    }

    /// Whether the claimed version is one that the family never had. None where no family with
    /// known version forms is claimed.
    pub fn version_impossible(&self) -> Option<bool> {
        match self.family {
            Family::Chromium => Some(chrome_impossible(&self.chrome)),
            Family::Firefox => Some(firefox_impossible(&self.firefox, &self.revision)),
            _ => None,
        }
    }
}

/// The build number that belongs to a major version of Chrome, every tenth.
const CHROME_BUILDS: [u32; 13] = [
    1_000, 1_599, 2_214, 2_661, 3_112, 3_538, 3_987, 4_430, 4_896, 5_481, 6_099, 6_723, 7_339,
];

/// The major version that [`CHROME_BUILDS`] begins with.
const CHROME_BUILDS_FROM: u32 = 20;

/// How far a build may stand from the interpolation: three releases.
const CHROME_BUILD_SLACK: u32 = 160;

fn chrome_impossible(version: &Dotted) -> bool {
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
        return patch != 0 || major < 80;
    }
    if patch >= 400 {
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
    // Firefox 110 to 119 said rv:109.0, so that no site took 11 for Internet Explorer.
    revision.major != version.major
        && !((110..120).contains(&version.major) && revision.major == 109)
}

/// Whether a key's last letters are `suffix`, of at most eight letters.
const fn ends(tail: u64, suffix: &str) -> bool {
    let unused = 64_u32.saturating_sub((suffix.len() as u32).saturating_mul(8));
    let mask = match u64::MAX.checked_shr(unused) {
        Some(mask) => mask,
        None => 0,
    };
    tail & mask == key(suffix)
}

macro_rules! words {
    ($head:expr; $($word:ident: $($text:literal)+;)+) => {
        $($(if $head == const { key($text) } { return Word::$word; })+)+
    };
}

/// What a word says: by its first eight letters, then by its ending.
fn classify(head: u64, tail: u64) -> Word {
    // A chain of comparisons with constants: the compiler makes a search tree of it.
    words! { head;
        Chrome: "chrome";
        Firefox: "firefox";
        Safari: "safari";
        Version: "version";
        WebKit: "applewebkit";
        Gecko: "gecko";
        Revision: "rv";
        Mobile: "mobile";
        Compatible: "compatible";
        Edge: "edg" "edga";
        IosBrowser: "crios" "fxios" "edgios" "opios" "opt" "gsa" "ddg";
        OldEngine: "msie" "trident" "edge" "presto";
        Browser: "mozilla" "khtml" "like" "chromium" "opr" "opera" "samsungbrowser" "yabrowser"
            "vivaldi" "ucbrowser" "build" "brave" "fban" "fbav" "instagram" "line" "whatsapp"
            "ubuntu" "electron" "miuibrowser" "huaweibrowser" "duckduckgo" "silk" "coc" "whale"
            "focus" "klar" "puffin" "maxthon" "seamonkey" "palemoon" "waterfox" "iron"
            "qtwebengine" "epiphany" "konqueror" "falkon" "surf" "qutebrowser" "netsurf";
        Tool: "curl" "libcurl" "wget" "python" "urllib" "aiohttp" "httpx" "okhttp" "java" "axios"
            "node" "undici" "got" "libwww" "lwp" "perl" "ruby" "php" "guzzlehttp" "scrapy" "httpie"
            "postmanruntime" "insomnia" "winhttp" "faraday" "restsharp" "reqwest" "hyper" "wrk"
            "apachebench" "siege" "jmeter" "nmap" "nikto" "sqlmap" "masscan" "zgrab" "nuclei"
            "gobuster" "wpscan" "dirbuster" "fasthttp" "go" "mechanize" "superagent" "dart" "rust"
            "dalvik" "cfnetwork" "powershell" "aria" "git" "apt" "colly" "needle" "ktor" "resty"
            "client" "request" "requests" "typhoeus" "httrack" "feedparser";
        Automation: "headlesschrome" "phantomjs" "selenium" "puppeteer" "playwright" "webdriver"
            "slimerjs" "casperjs" "cypress" "lighthouse" "splash" "htmlunit" "nightmare" "zombie"
            "chromedriver" "geckodriver" "testcafe" "electronbot" "prerender" "rendertron";
        Bot: "bots" "crawl" "crawling" "crawlers" "spiders" "scan" "scanning" "slurp" "indexer"
            "fetch" "validator" "archive" "uptime" "ping" "probe" "check" "monitoring" "research"
            "harvest" "analysis" "security" "inspect" "facebookexternalhit" "feed" "feeds" "rss";
        Other: "cubot";
    }
    if let Some(platform) = platform(head) {
        return Word::Platform(platform);
    }
    let bot = ends(tail, "bot")
        || ends(tail, "crawler")
        || ends(tail, "spider")
        || ends(tail, "scanner")
        || ends(tail, "monitor")
        || ends(tail, "preview")
        || ends(tail, "fetcher")
        || ends(tail, "checker")
        || ends(tail, "archiver")
        || ends(tail, "scraper")
        || ends(tail, "parser")
        || ends(tail, "robot");
    if bot {
        return Word::Bot;
    }
    if ends(tail, "client") || (ends(tail, "http") && head != key("http")) {
        return Word::Tool;
    }
    Word::Other
}

fn platform(head: u64) -> Option<Platform> {
    const PLATFORMS: [(u64, Platform); 11] = [
        (key("windows"), Platform::Windows),
        (key("macintosh"), Platform::Mac),
        (key("linux"), Platform::Linux),
        (key("android"), Platform::Android),
        (key("iphone"), Platform::Ios),
        (key("ipad"), Platform::Ios),
        (key("ipod"), Platform::Ios),
        (key("cros"), Platform::ChromeOs),
        (key("x"), Platform::Linux),
        (key("freebsd"), Platform::Linux),
        (key("openbsd"), Platform::Linux),
    ];
    PLATFORMS
        .iter()
        .find(|(word, _)| *word == head)
        .map(|(_, platform)| *platform)
}
