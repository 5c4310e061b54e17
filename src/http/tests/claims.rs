//! What a User-Agent claims, and whether the headers beside it fit the claim.

use super::*;

const CHROME_10: &str = "Mozilla/5.0 (X; Y) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/131.0.0.0 Safari/537.36";

fn chrome_on(comment: &str) -> Row {
    agent_row(&CHROME_10.replace("X; Y", comment))
}

#[test]
fn reduced_agents_are_held_to_their_form() {
    for comment in [
        "Windows NT 10.0; Win64; x64",
        "Macintosh; Intel Mac OS X 10_15_7",
        "X11; Linux x86_64",
        "X11; CrOS x86_64 14541.0.0",
        "Linux; Android 10; K",
    ] {
        let told = [
            (Id::UaPlatformUnreduced, 0.0),
            (Id::UaUnreduced, 0.0),
            (Id::UaMobileOdd, 0.0),
        ];
        expect(&chrome_on(comment), &told);
    }
    for comment in ["Windows NT 10.0; WOW64", "Linux; Android 13; SM-S901B", ""] {
        expect(&chrome_on(comment), &[(Id::UaPlatformUnreduced, 1.0)]);
    }
    let build = CHROME_UA.replace("131.0.0.0", "131.0.6778.86");
    expect(&agent_row(&build), &[(Id::UaUnreduced, 1.0)]);
    let view = chrome_on("Linux; Android 13; SM-S901B; wv");
    expect(&view, &[(Id::UaInApp, 1.0)]);
    let old = agent_row(&CHROME_UA.replace("131.0.0.0", "100.0.4896.60"));
    for row in [view, old, agent_row(FIREFOX_UA)] {
        expect_missing(&row, &[Id::UaUnreduced, Id::UaPlatformUnreduced]);
    }
}

#[test]
fn systems_carry_what_runs_on_them() {
    let impossible = |row: &Row, is: f32| expect(row, &[(Id::UaPlatformImpossible, is)]);
    impossible(&chrome_on("Windows NT 6.1; Win64; x64"), 1.0);
    impossible(&chrome_on("Windows NT 10.0; Win64; x64"), 0.0);
    impossible(&chrome_on("Macintosh; Intel Mac OS X 10_13_6"), 1.0);
    impossible(&chrome_on("Linux; Android 6.0.1; Nexus 5"), 1.0);
    impossible(&chrome_on("Linux; Android 10; K"), 0.0);
    let seven = agent_row(
        &CHROME_UA
            .replace("NT 10.0", "NT 6.1")
            .replace("131.", "109."),
    );
    impossible(&seven, 0.0);
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
         (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1";
    let row = agent_row(phone);
    impossible(&row, 0.0);
    expect(&row, &[(Id::UaMobileOdd, 0.0), (Id::UaSafariForm, 0.0)]);
    impossible(&agent_row(&phone.replace("OS 17_5", "OS 11_0")), 1.0);
    let row = agent_row(&phone.replace("Mobile/15E148 ", ""));
    expect(&row, &[(Id::UaMobileOdd, 1.0), (Id::UaSafariForm, 1.0)]);
    expect(
        &agent_row(SAFARI_UA),
        &[(Id::UaSafariForm, 0.0), (Id::UaSafari, 1.0)],
    );
    let frozen = SAFARI_UA.replace("605.1.15", "606.2.1");
    expect(&agent_row(&frozen), &[(Id::UaSafariForm, 1.0)]);
    expect_missing(&chrome_on("X11; Linux x86_64"), &[Id::UaPlatformImpossible]);
}

#[test]
fn agents_have_a_shape() {
    let told = [
        (Id::UaProducts, 1.0),
        (Id::UaBare, 1.0),
        (Id::UaLength, 0.0),
        (Id::UaSpaces, 0.0),
    ];
    expect(&agent_row("okhttp/4.12.0"), &told);
    let told = [
        (Id::UaProducts, 4.0),
        (Id::UaBare, 0.0),
        (Id::UaLength, 2.0),
        (Id::UaInApp, 0.0),
    ];
    expect(&agent_row(CHROME_UA), &told);
    for spaced in [" curl/8", "curl/8 ", "a  b"] {
        expect(&agent_row(spaced), &[(Id::UaSpaces, 1.0)]);
    }
    expect(&agent_row(&"a".repeat(256)), &[(Id::UaLength, 3.0)]);
}

#[test]
fn negotiation_is_held_to_the_version() {
    let told = [
        (Id::ZstdMissing, 0.0),
        (Id::EncodingInexact, 0.0),
        (Id::DocumentVersion, 0.0),
        (Id::LanguageUneven, 0.0),
        (Id::LanguageLower, 0.0),
        (Id::Languages, 2.0),
    ];
    expect(&https(&chrome()), &told);
    let row = https(&replaced("Accept-Encoding", "gzip, deflate, br"));
    expect(&row, &[(Id::ZstdMissing, 1.0), (Id::EncodingInexact, 0.0)]);
    let row = https(&replaced("Accept-Encoding", "gzip,deflate,br,zstd"));
    expect(&row, &[(Id::ZstdMissing, 0.0), (Id::EncodingInexact, 1.0)]);
    let row = https(&replaced("Accept-Language", "en-us,en;q=0.5"));
    expect(&row, &[(Id::LanguageUneven, 1.0), (Id::LanguageLower, 1.0)]);
    for old in [
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,\
         */*;q=0.8,application/signed-exchange;v=b3;q=0.9",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,image/apng,*/*;q=0.8",
    ] {
        let old: &'static str = old;
        let row = https(&replaced("Accept", old));
        expect(
            &row,
            &[(Id::DocumentVersion, 1.0), (Id::AcceptDocumentOdd, 0.0)],
        );
    }
}

/// Chrome's page load with some headers more.
fn with(more: &[Pair<'static>]) -> Vec<Pair<'static>> {
    let mut pairs = chrome();
    pairs.extend_from_slice(more);
    pairs
}

#[test]
fn imitators_over_plain_http_show() {
    let more = [("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABk")];
    let mut pairs = with(&more);
    pairs[1].1 = "Upgrade, HTTP2-Settings";
    let row = row_of(&pairs, Version::Http11, Scheme::Http);
    let told = [
        (Id::H2c, 1.0),
        (Id::ConnectionOdd, 1.0),
        (Id::SecureOnPlain, 1.0),
    ];
    expect(&row, &told);
    expect_missing(&row, &[Id::ZstdMissing, Id::OneOnTls]);
    let row = https(&with(&[
        ("Expect", "100-continue"),
        ("From", "a@example.org"),
    ]));
    expect(&row, &[(Id::Library, 2.0), (Id::H2c, 0.0)]);
}

#[test]
fn where_it_comes_from_must_fit() {
    let same = |more: &[Pair<'static>]| {
        let mut pairs = replaced("Sec-Fetch-Site", "same-origin");
        pairs.extend_from_slice(more);
        https(&pairs)
    };
    let own = same(&[("Referer", "https://example.org/x")]);
    let told = [
        (Id::RefererMismatch, 0.0),
        (Id::RefererCrossPath, 0.0),
        (Id::FetchNoReferer, 0.0),
        (Id::OriginOdd, 0.0),
        (Id::OriginNavigation, 0.0),
        (Id::UpgradeElsewhere, 0.0),
    ];
    expect(&own, &told);
    let other = same(&[("Referer", "https://other.example/search?q=a")]);
    let told = [(Id::RefererMismatch, 1.0), (Id::RefererCrossPath, 1.0)];
    expect(&other, &told);
    expect(&same(&[]), &[(Id::FetchNoReferer, 1.0)]);
    let origin = same(&[
        ("Referer", "https://example.org/x"),
        ("Origin", "https://other.example"),
    ]);
    expect(
        &origin,
        &[(Id::OriginOdd, 1.0), (Id::OriginNavigation, 1.0)],
    );
    for (origin, odd) in [
        ("null", 0.0),
        ("https://example.org", 0.0),
        ("moz-extension://a", 0.0),
        ("https://example.org/", 1.0),
        ("example.org", 1.0),
    ] {
        expect(&same(&[("Origin", origin)]), &[(Id::OriginOdd, odd)]);
    }
    let cors = https(&replaced("Sec-Fetch-Mode", "cors"));
    expect(&cors, &[(Id::UpgradeElsewhere, 1.0)]);
    // Without a host there is nothing to compare with.
    let headers = headers(&[("Referer", "https://a.example/b")]);
    let request = Request::new(b"GET", b"/", &headers, HeadersKnown::Complete);
    expect_missing(&filled(&request), &[Id::RefererCrossPath, Id::HostMismatch]);
    let request = request.authority(b"b.example").version(Version::Http2);
    let told = [(Id::RefererCrossPath, 1.0), (Id::HostMismatch, 0.0)];
    expect(&filled(&request), &told);
}

#[test]
fn order_and_case_tell_libraries() {
    let told = [
        (Id::HostFirst, 1.0),
        (Id::AgentBeforeAccept, 1.0),
        (Id::FetchOrder, 0.0),
        (Id::Sorted, 0.0),
        (Id::AllLower, 0.0),
        (Id::Count, 3.0),
        (Id::Unknown, 0.0),
    ];
    expect(&https(&chrome()), &told);
    let mut late = chrome();
    late.rotate_left(1);
    expect(&https(&late), &[(Id::HostFirst, 0.0)]);
    let firefox_like = [
        ("Host", "a"),
        ("User-Agent", CHROME_UA),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", "none"),
    ];
    expect(&https(&firefox_like), &[(Id::FetchOrder, 1.0)]);
    let go = [
        ("Host", "a"),
        ("User-Agent", CHROME_UA),
        ("Accept", "*/*"),
        ("Accept-Language", "en"),
        ("Cache-Control", "no-cache"),
        ("X-Own", "1"),
        ("Referer", "https://a/"),
    ];
    expect(&https(&go), &[(Id::Sorted, 1.0), (Id::Unknown, 1.0)]);
    let lower = [("host", "a"), ("user-agent", "node"), ("accept", "*/*")];
    expect(&https(&lower), &[(Id::AllLower, 1.0), (Id::Sorted, 0.0)]);
    let aiohttp = [("Host", "a"), ("Accept", "*/*"), ("User-Agent", "x/1")];
    expect(&https(&aiohttp), &[(Id::AgentBeforeAccept, 0.0)]);
}

#[test]
fn hints_and_priority_have_a_form() {
    let row = https(&with(&[("sec-ch-ua-arch", "\"x86\"")]));
    expect(&row, &[(Id::HintsMore, 1.0), (Id::HintsMalformed, 0.0)]);
    for brands in [
        r#""Not(A:Brand";v="8", "Chromium";v="131", "Google Chrome";v="131""#,
        r#"" Not A;Brand";v="99", "Chromium";v="131", "Google Chrome";v="131""#,
        r#""Not,A Brand";v="99", "Chromium";v="131""#,
    ] {
        let row = https(&replaced("sec-ch-ua", brands));
        expect(&row, &[(Id::HintsMalformed, 0.0)]);
    }
    for brands in [
        r#""Chromium";v="131","Google Chrome";v="131""#,
        r#""Chromium";v=131, "Google Chrome";v="131""#,
        "Chromium",
        "",
    ] {
        let row = https(&replaced("sec-ch-ua", brands));
        expect(&row, &[(Id::HintsMalformed, 1.0)]);
    }
    let priority = |value, version| row_of(&with(&[("Priority", value)]), version, Scheme::Https);
    let row = priority("u=0, i", Version::Http2);
    expect(&row, &[(Id::PriorityOdd, 0.0), (Id::PriorityMissing, 0.0)]);
    let row = priority("u=0, i", Version::Http11);
    expect(&row, &[(Id::PriorityOdd, 1.0), (Id::OneOnTls, 1.0)]);
    expect(&priority("u=9", Version::Http2), &[(Id::PriorityOdd, 1.0)]);
}

#[test]
fn targets_have_coarse_sizes() {
    let row = |target: &str| {
        let request = Request::new(b"GET", target.as_bytes(), &[], HeadersKnown::Partial);
        filled(&request)
    };
    let told = [
        (Id::TargetDepth, 2.0),
        (Id::TargetParameters, 3.0),
        (Id::TargetLength, 0.0),
        (Id::TargetNotPath, 0.0),
        (Id::TargetUnnormalised, 0.0),
    ];
    expect(&row("/a/b?c=/d/&e=f&g"), &told);
    expect(
        &row("/"),
        &[(Id::TargetParameters, 0.0), (Id::TargetQueryBits, 0.0)],
    );
    expect(&row("/?aaaaaaaa"), &[(Id::TargetQueryBits, 0.0)]);
    expect(&row("/?abcdefgh"), &[(Id::TargetQueryBits, 3.0)]);
    expect(&row("http://a/"), &[(Id::TargetNotPath, 1.0)]);
    for odd in ["/a/./b", "/a/../b", "/a#b"] {
        expect(&row(odd), &[(Id::TargetUnnormalised, 1.0)]);
    }
    let told = [(Id::TargetDouble, 1.0), (Id::TargetMalformed, 0.0)];
    expect(&row("/a?b=%2527"), &told);
    expect(&row("/a?b=%25zz"), &[(Id::TargetDouble, 0.0)]);
    expect(
        &row(&"/".repeat(2_000)),
        &[(Id::TargetLength, 4.0), (Id::TargetDepth, 7.0)],
    );
}

#[test]
fn addresses_count_by_kind() {
    let row = |peer: &str| {
        let request = Request::new(b"", b"", &[], HeadersKnown::Partial);
        filled(&request.peer(peer.parse().unwrap()))
    };
    expect(
        &row("10.0.0.1"),
        &[(Id::PeerPrivate, 1.0), (Id::PeerV6, 0.0)],
    );
    let told = [(Id::PeerSpecial, 1.0), (Id::PeerV6, 1.0)];
    expect(&row("2001:db8::1"), &told);
    expect(
        &row("::ffff:1.1.1.1"),
        &[(Id::PeerTranslated, 1.0), (Id::PeerV6, 0.0)],
    );
}
