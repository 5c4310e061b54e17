//! The words of User-Agents: which belong to browsers, tools, automation and crawlers.

use super::bytes::key;

/// The platform that the first comment of a User-Agent names.
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
    /// A television, console, car, e-reader, small phone, or a rare desktop system.
    Other,
}

/// What one word of a User-Agent says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Other,
    /// A word of ordinary browsers that needs no closer look.
    Browser,
    Chrome,
    Firefox,
    IosBrowser,
    Edge,
    /// Edge until version 18, which had an engine of its own.
    EdgeLegacy,
    OldEngine,
    /// A browser outside of the large families, or a form that only such browsers have.
    Rare,
    /// An operator of robots, where a dash joins it to another word.
    Operator,
    Version,
    Safari,
    WebKit,
    Gecko,
    Revision,
    Mobile,
    /// `NT` and `OS`, which a system's version follows.
    System,
    /// An app that shows pages in a view of its own.
    InApp,
    Compatible,
    Platform(Platform),
    Tool,
    Automation,
    Bot,
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
    ($($word:ident: $($text:literal)+;)+) => {
        /// The kind of a listed word, by its first eight letters.
        #[inline(always)]
        fn listed(head: u64) -> Option<Word> {
            // A chain of comparisons with constants: the compiler makes a search tree of it.
            $($(if head == const { key($text) } { return Some(Word::$word); })+)+
            None
        }

        #[cfg(test)]
        const LISTED: &[(&str, Word)] = &[$($(($text, Word::$word)),+),+];
    };
}

words! {
    Chrome: "chrome";
    Firefox: "firefox";
    Safari: "safari";
    Version: "version";
    WebKit: "applewebkit";
    Gecko: "gecko";
    Revision: "rv";
    Mobile: "mobile";
    System: "nt" "os";
    InApp: "wv" "fban" "fbav" "instagram" "line" "whatsapp" "gsa" "opt" "ddg";
    Compatible: "compatible";
    Edge: "edg" "edga";
    IosBrowser: "crios" "fxios" "edgios" "opios";
    EdgeLegacy: "edge";
    OldEngine: "msie" "trident" "presto";
    Rare: "lynx" "links" "elinks" "dillo" "edbrowse" "amaya" "retawq" "browsh" "konqueror"
        "netfront" "iemobile" "midp" "cldc" "obigo" "teleca" "sonyericsson" "ucweb" "netcast"
        "openwave" "polaris" "dolfin" "goanna" "iceweasel" "icecat" "iceape" "camino" "galeon"
        "netscape" "icab" "omniweb" "wayfarer" "ibrowse" "arachne" "hotjava" "nokia" "blackberry"
        "bolt" "jasmine" "browserng"
        "mosaic";
    Operator: "google";
    Browser: "mozilla" "khtml" "like" "chromium" "opr" "opera" "samsungbrowser" "yabrowser"
        "vivaldi" "ucbrowser" "build" "brave" "ubuntu" "miuibrowser"
        "huaweibrowser" "silk" "coc" "whale"
        "focus" "klar" "puffin" "maxthon" "seamonkey" "palemoon" "waterfox" "iron"
        "qtwebengine" "epiphany" "falkon" "surf" "qutebrowser" "netsurf";
    Tool: "curl" "libcurl" "wget" "python" "urllib" "aiohttp" "httpx" "okhttp" "java" "axios"
        "node" "undici" "got" "libwww" "lwp" "perl" "ruby" "php" "guzzlehttp" "scrapy" "httpie"
        "postmanruntime" "insomnia" "winhttp" "faraday" "restsharp" "reqwest" "hyper" "wrk"
        "apachebench" "siege" "jmeter" "nmap" "nikto" "sqlmap" "masscan" "zgrab" "nuclei"
        "gobuster" "wpscan" "dirbuster" "fasthttp" "go" "mechanize" "superagent" "dart" "rust"
        "dalvik" "cfnetwork" "powershell" "aria" "git" "apt" "colly" "needle" "ktor" "resty"
        "client" "request" "requests" "typhoeus" "httrack" "feedparser";
    Automation: "headlesschrome" "phantomjs" "selenium" "puppeteer" "playwright" "webdriver"
        "slimerjs" "casperjs" "cypress" "lighthouse" "splash" "htmlunit" "nightmare" "zombie"
        "chromedriver" "geckodriver" "testcafe" "prerender" "rendertron";
    Bot: "bots" "crawl" "crawling" "crawlers" "spiders" "scan" "scanning" "slurp" "indexer"
        "fetch" "validator" "archive" "uptime" "ping" "probe" "check" "monitoring" "research"
        "harvest" "analysis" "inspect" "facebookexternalhit" "feed" "feeds" "rss";
    Other: "cubot";
}

const PROXY: u64 = key("proxy");

/// What a word says: by its first eight letters, then by its ending.
pub(super) fn classify(head: u64, tail: u64) -> Word {
    if let Some(word) = listed(head) {
        return word;
    }
    // DuckDuckGo's browser and DuckDuckBot, Electron and Electronbot begin alike.
    match head {
        DUCKDUCK if !ends(tail, "bot") => return Word::Browser,
        ELECTRON if ends(tail, "bot") => return Word::Automation,
        ELECTRON => return Word::Browser,
        _ => {}
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
        || ends(tail, "robot")
        // A gateway of phones says `Proxy`, and a robot has a name in front.
        || (ends(tail, "proxy") && head != PROXY)
        // Of `transcoder`.
        || ends(tail, "anscoder");
    if bot {
        return Word::Bot;
    }
    if ends(tail, "browser") {
        return Word::Rare;
    }
    if ends(tail, "client") || (ends(tail, "http") && head != key("http")) {
        return Word::Tool;
    }
    Word::Other
}

macro_rules! platforms {
    ($($platform:ident: $($text:literal)+;)+) => {
        #[inline(always)]
        fn platform(head: u64) -> Option<Platform> {
            $($(if head == const { key($text) } { return Some(Platform::$platform); })+)+
            None
        }
    };
}

platforms! {
    Windows: "windows";
    Mac: "macintosh" "mac";
    Linux: "linux" "x" "freebsd" "openbsd" "netbsd" "dragonfly";
    Android: "android";
    Ios: "iphone" "ipad" "ipod";
    ChromeOs: "cros";
    Other: "playstation" "nintendo" "tizen" "kaios" "bb" "playbook" "symbian" "symbianos" "series"
        "meego" "maemo" "palm" "palmos" "palmsource" "webos" "hpwos" "bada" "brew" "haiku" "beos"
        "amigaos" "amiga" "morphos" "sunos" "warp" "unix" "irix" "aix" "openvms" "qnx" "smart"
        "tv" "roku" "xbox" "kindle" "pocketbook" "tablet" "hiptop";
}

const DUCKDUCK: u64 = key("duckduckgo");
const ELECTRON: u64 = key("electron");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_of_words_share_a_key() {
        for (at, (one, kind)) in LISTED.iter().enumerate() {
            assert_eq!(listed(key(one)), Some(*kind), "{one}");
            assert_eq!(platform(key(one)), None, "{one}");
            assert!(![DUCKDUCK, ELECTRON].contains(&key(one)), "{one}");
            for (other, other_kind) in LISTED.iter().skip(at) {
                let apart = key(one) != key(other) || kind == other_kind;
                assert!(apart, "{one} and {other}");
            }
        }
    }

    #[test]
    fn words_that_begin_alike_are_told_apart() {
        for (text, kind) in [
            ("duckduckgo", Word::Browser),
            ("duckduckbot", Word::Bot),
            ("electron", Word::Browser),
            ("electronbot", Word::Automation),
        ] {
            let tail = text.get(text.len().saturating_sub(8)..).unwrap_or_default();
            assert_eq!(classify(key(text), key(tail)), kind, "{text}");
        }
    }
}
