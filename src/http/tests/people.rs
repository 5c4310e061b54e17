//! What people's browsers do that looks like a tool's doing.

use super::*;

#[test]
fn devices_and_apps_are_no_tools() {
    for browser in [
        "Mozilla/5.0 (X11; Linux x86_64; Valve Steam Client/default/1691097434) \
         AppleWebKit/537.36 (KHTML, like Gecko) Chrome/85.0.4183.121 Safari/537.36",
        "Mozilla/5.0 (Linux; Android 8.1.0; Redmi Go Build/OPM1.171019.026) \
         AppleWebKit/537.36 (KHTML, like Gecko) Chrome/81.0.4044.138 Mobile Safari/537.36",
    ] {
        let told = [(Id::UaTool, 0.0), (Id::UaBrowser, 1.0)];
        expect(&agent_row(browser), &told);
    }
    // The device's first browser, which is of no family.
    let old = "Mozilla/5.0 (Linux; U; Android 4.4; Redmi Go) AppleWebKit/534.30 \
         (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30";
    expect(&agent_row(old), &[(Id::UaTool, 0.0), (Id::UaBrowser, 0.0)]);
    for tool in [
        "Apache-HttpClient/4.5.13 (Java/11.0.11)",
        "x/1 (git)",
        "Mozilla/5.0 (compatible; SomeClient/1.0)",
        "Mozilla/5.0 (X11; curl; compatible)",
        "Mozilla/5.0 (Windows NT 10.0) python-requests/2.31.0",
    ] {
        expect(&agent_row(tool), &[(Id::UaTool, 1.0), (Id::UaBrowser, 0.0)]);
    }
    let told = [(Id::UaBot, 1.0), (Id::UaUnknownProducts, 1.0)];
    expect(
        &agent_row("DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)"),
        &told,
    );
}

/// Firefox, fetching with this Accept, as `<link rel="prefetch">` does in mode `no-cors`.
fn fetching<'a>(mode: &'a str, accept: &'a str) -> Vec<Pair<'a>> {
    vec![
        ("Host", "example.org"),
        ("User-Agent", FIREFOX_UA),
        ("Accept", accept),
        ("Accept-Language", "de,en-US;q=0.7,en;q=0.3"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Connection", "keep-alive"),
        ("Referer", "https://example.org/x"),
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", mode),
        ("Sec-Fetch-Site", "same-origin"),
        ("Priority", "u=6"),
    ]
}

#[test]
fn scripts_and_prefetches_ask_for_pages() {
    for (mode, accept) in [
        ("no-cors", PLAIN_ACCEPT),
        ("cors", "text/html, application/xhtml+xml"),
        ("same-origin", "text/html, */*; q=0.01"),
    ] {
        let row = https(&fetching(mode, accept));
        expect_browser(&row);
        expect(&row, &[(Id::DocumentVersion, 0.0), (Id::AcceptPage, 0.0)]);
        let mut chromium = fetching(mode, accept);
        chromium[1].1 = CHROME_UA;
        let told = [
            (Id::AcceptPage, 0.0),
            (Id::AcceptDocumentOdd, 0.0),
            (Id::DocumentVersion, 0.0),
            (Id::FetchErrors, 0.0),
        ];
        expect(&https(&chromium), &told);
    }
    // A mode that does not exist is no fetch.
    let row = https(&fetching("same-site", "text/html"));
    let told = [
        (Id::AcceptPage, 1.0),
        (Id::AcceptDocumentOdd, 1.0),
        (Id::FetchErrors, 1.0),
    ];
    expect(&row, &told);
}

#[test]
fn the_own_machine_is_asked_as_over_tls() {
    for (host, local) in [
        ("localhost", true),
        ("LocalHost:8080", true),
        ("app.localhost:3000", true),
        ("127.0.0.1:80", true),
        ("127.8.9.1", true),
        ("[::1]:8000", true),
        ("127.0.0.1.example.org", false),
        ("notlocalhost", false),
        ("localhost.example.org", false),
        ("[::2]", false),
        ("", false),
    ] {
        let row = row_of(&replaced("Host", host), Version::Http11, Scheme::Http);
        if local {
            expect_browser(&row);
            expect_missing(&row, &[Id::SecureOnPlain]);
        } else {
            expect(&row, &[(Id::SecureOnPlain, 1.0), (Id::EncodingOdd, 1.0)]);
        }
    }
}

#[test]
fn a_sign_on_elsewhere_leaves_the_own_referer() {
    let mut pairs = replaced("Sec-Fetch-Site", "cross-site");
    pairs.push(("Referer", "https://example.org/login"));
    expect(&https(&pairs), &[(Id::RefererMismatch, 0.0)]);
}

fn target_row(target: &str) -> Row {
    let request = Request::new(b"GET", target.as_bytes(), &[], HeadersKnown::Partial);
    filled(&request)
}

#[test]
fn a_cut_breaks_no_escape() {
    for shift in 0..6 {
        let long = format!("/{}{}", "a".repeat(shift), "%C3%A9".repeat(400));
        expect(&target_row(&long), &[(Id::TargetMalformed, 0.0)]);
    }
    for odd in ["/a?b=%2", "/a?b=%", "/%2/"] {
        expect(&target_row(odd), &[(Id::TargetMalformed, 1.0)]);
    }
    // Browsers leave a backslash in the query, and make a slash of it before.
    for (target, odd) in [("/a?b=c\\d", 0.0), ("/a\\b?c", 1.0), ("/a\\b", 1.0)] {
        expect(&target_row(target), &[(Id::TargetMalformed, odd)]);
    }
}
