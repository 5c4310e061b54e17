//! Agents of rare browsers, apps and devices, and of robots in a browser's form: the form decides,
//! no list of names.

use super::*;

/// Agents that people send. No product behind the form counts against them.
const PEOPLE: &[&str] = &[
    // Regional browsers and apps around a web view.
    "Mozilla/5.0 (Linux; Android 13; SM-A546B) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/124.0.6367.46 Somebrowser/24.6.5.46.00 XY/3 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; U; Android 12; de-de; CPH2211 Build/RKQ1.201217.002) \
     AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/100.0.4896.58 Mobile \
     Safari/537.36 Vendor/OwnBrowser/45.9.0.1",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Mobile/15E148 ChatterApp/334.0 (iPhone15,2; iOS 17_5; en_GB)",
    // Views of Android 4 and 5.
    "Mozilla/5.0 (Linux; Android 4.4.2; GT-I9505 Build/KOT49H) AppleWebKit/537.36 \
     (KHTML, like Gecko) Version/4.0 Chrome/30.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 5.0; SM-G900F Build/LRX21T) AppleWebKit/537.36 \
     (KHTML, like Gecko) Version/4.0 Chrome/37.0.0.0 Mobile Safari/537.36",
    // Devices whose names are words.
    "Mozilla/5.0 (Linux; Android 12; motorola edge 30) AppleWebKit/537.36 \
     (KHTML, like Gecko) Chrome/103.0.5060.71 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; CUBOT_X20_PRO) AppleWebKit/537.36 \
     (KHTML, like Gecko) Chrome/96.0.4664.104 Mobile Safari/537.36",
    // Consoles, televisions, small systems.
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 \
     (KHTML, like Gecko) Chrome/58.0.3029.110 Safari/537.36 Edge/16.16299",
    "Mozilla/5.0 (PlayStation; PlayStation 4/11.00) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Version/15.4 Safari/605.1.15",
    "Mozilla/5.0 (Nintendo WiiU) AppleWebKit/536.30 (KHTML, like Gecko) NX/3.0.4.2.12 \
     NintendoBrowser/4.3.1.11264.US",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) \
     76.0.3809.146/6.0 TV Safari/537.36",
    "Mozilla/5.0 (Mobile; Nokia_8110_4G; rv:48.0) Gecko/48.0 Firefox/48.0 KAIOS/2.5",
    "Mozilla/5.0 (X11; U; Linux armv7l like Android; en-us) AppleWebKit/531.2+ \
     (KHTML, like Gecko) Version/5.0 Safari/533.2+ Kindle/3.0+",
];

#[test]
fn peoples_agents_are_judged_by_their_form() {
    let clean = [
        (Id::UaFrame, 1.0),
        (Id::UaUnknownProducts, 0.0),
        (Id::UaBot, 0.0),
        (Id::UaTool, 0.0),
        (Id::UaContact, 0.0),
        (Id::UaEngineComment, 0.0),
        (Id::UaContradictions, 0.0),
        (Id::UaPlatform, 1.0),
    ];
    for agent in PEOPLE {
        let row = agent_row(agent);
        for (id, value) in clean {
            assert_eq!(row.get(id as u8), value, "{id:?} of {agent}");
        }
        let impossible = row.get(Id::UaVersionImpossible as u8);
        assert!(impossible.is_nan() || impossible == 0.0, "{agent}");
    }
}

#[test]
fn a_chromebook_fits_its_hint() {
    let chromebook = "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 \
                      (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
    for (hint, odd) in [
        ("\"Chrome OS\"", 0.0),
        ("\"Chromium OS\"", 0.0),
        ("\"Linux\"", 1.0),
        ("\"Windows\"", 1.0),
    ] {
        let mut pairs = replaced("User-Agent", chromebook);
        for (name, value) in &mut pairs {
            if name.eq_ignore_ascii_case("sec-ch-ua-platform") {
                *value = hint;
            }
        }
        expect(&https(&pairs), &[(Id::HintsPlatform, odd)]);
    }
}

#[test]
fn text_browsers_are_no_tools() {
    for agent in [
        "w3m/0.5.3",
        "Lynx/2.8.9rel.1 libwww-FM/2.14 SSL-MM/1.4.1 OpenSSL/1.1.1d",
        "Links (2.25; Linux 6.1 x86_64; GNU C 12.2; text)",
        "ELinks/0.16.1.1 (textmode; Linux; 80x24-2)",
    ] {
        let told = [
            (Id::UaFrame, 1.0),
            (Id::UaTool, 0.0),
            (Id::UaUnknownProducts, 0.0),
        ];
        expect(&agent_row(agent), &told);
    }
    // What only contains the name is none.
    let tool = "libwww-perl/6.67 lynxlike";
    expect(&agent_row(tool), &[(Id::UaFrame, 0.0), (Id::UaTool, 1.0)]);
}

#[test]
fn robots_show_in_a_browsers_form() {
    let has = |agent: &str, id: Id| {
        let value = agent_row(agent).get(id as u8);
        assert!(value >= 1.0, "{id:?} is {value} of {agent}");
    };
    let inside = |end: &str| {
        format!(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko{end} \
             Chrome/120.0.0.0 Safari/537.36"
        )
    };
    has(&inside("; Some Page Analyser)"), Id::UaEngineComment);
    has(&inside(") (compatible; Something-AMP)"), Id::UaCompatible);
    has(&inside(") (+https://example.org/about)"), Id::UaContact);
    has(&inside(") (via example.com proxy)"), Id::UaContact);
    has(&inside(") (SomeBot/0.1)"), Id::UaBot);
    has(&inside(") Somespider"), Id::UaBot);
    has(
        "Mozilla/5.0 (X11; Fetcher https://example.org/; Linux x86_64)",
        Id::UaContact,
    );
    has(
        "Mozilla/5.0 (Linux; Android 8.0; Pixel 2; Duplex-Google/1.0)",
        Id::UaBot,
    );
    has(
        "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; Some Transcoder)",
        Id::UaBot,
    );
    assert_eq!(agent_row(&inside(")")).get(Id::UaEngineComment as u8), 0.0);
    // A runtime's version is no address, and an app's word no robot's.
    for person in [
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; .NET CLR 2.0.50727)",
        "Mozilla/5.0 (Linux; U; Android 4.0.4; de; HTC Desire S Build/IMM76D) \
         AppleWebKit/534.30 (KHTML, like Gecko) Version/4.0 Mobile Safari/534.30; \
         some360browser(securityinstalled)",
        "Mozilla/5.0 (X11; U; Linux; en-US) AppleWebKit/527+ (KHTML, like Gecko, Safari/419.3) \
         Arora/0.10.1",
    ] {
        let told = [
            (Id::UaContact, 0.0),
            (Id::UaBot, 0.0),
            (Id::UaEngineComment, 0.0),
        ];
        expect(&agent_row(person), &told);
    }
}
