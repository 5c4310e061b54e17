//! Who is at the other end of connections: trusted proxies, strangers that say so, realip, rules.

use crate::server::{Nginx, module, refusal};
use crate::{BROWSER, CURL, reached};
use hedgerow_testkit::probe::{self, Known};
use std::path::Path;

/// An nginx whose scores say what it knows; none where nginx is missing.
fn knowing(name: &str, top: &str, inside: &str) -> Option<Nginx> {
    let module: &Path = module()?;
    let folder = hedgerow_testkit::folder(&format!("{name}-table")).expect("a folder");
    let table = folder.join("probe.hedge");
    std::fs::write(&table, probe::table()).expect("a file");
    let top = format!("bot_score on; bot_score_table {}; {top}", table.display());
    Some(Nginx::start(module, name, &top, inside))
}

/// What nginx knows of a request with these header lines more.
fn known(nginx: &Nginx, target: &str, lines: &[&str]) -> String {
    let agent = format!("User-Agent: {}", probe::AGENT);
    let lines = [&["Host: shop.example", &agent], lines].concat();
    let answer = nginx.get(target, &lines);
    let score = reached(&answer)
        .first()
        .and_then(|score| score.parse().ok());
    Known::of(score.unwrap_or_else(|| panic!("no score: {answer}"))).to_string()
}

/// What a proxy in front may say, and a client may make up.
const SAID: &[&str] = &[
    "X-Forwarded-For: 8.8.8.8",
    "X-Forwarded-Proto: https",
    "X-Client-Version: HTTP/2.0",
    "X-Client-JA4: t13d1516h2_8daaf6152771_02713d6af862",
];

const HEADERS: &str = "bot_score_version_header X-Client-Version; \
                       bot_score_ja4_header X-Client-JA4;";

const DIRECT: &str = "client, private address, http, version 1 or unknown";
const UNKNOWN: &str = "proxy, unknown address, unknown scheme, version 1 or unknown";

#[test]
fn a_strangers_word_of_a_proxy_changes_no_fact() {
    let top = format!("bot_score_trusted 10.0.0.0/8 2001:db8::/32; {HEADERS}");
    let Some(nginx) = knowing("nginx-hop-stranger", &top, "") else {
        return;
    };
    let passed = "forward proxy, private address, unknown scheme, version 1 or unknown";
    assert_eq!(known(&nginx, "/", &[]), DIRECT);
    assert_eq!(known(&nginx, "/", &["Via: 1.1 squid"]), passed);
    assert_eq!(known(&nginx, "/", SAID), passed);
    for forged in [
        "Forwarded: for=8.8.8.8;proto=https",
        "X-Forwarded-For: 8.8.8.8, 10.1.1.1",
        "X-Forwarded-Proto: https",
    ] {
        assert_eq!(known(&nginx, "/", &[forged]), passed, "{forged}");
    }
    for forged in ["X-Bot-Score: 99", SAID[2], SAID[3]] {
        assert_eq!(known(&nginx, "/", &[forged]), DIRECT, "{forged}");
    }
}

const RULES: &str = "
    location /client { bot_score_hop client; proxy_pass http://behind; }
    location /proxy { bot_score_hop proxy; proxy_pass http://behind; }
    location /real { set_real_ip_from 127.0.0.1; proxy_pass http://behind; }
    location /real/client {
        set_real_ip_from 127.0.0.1; bot_score_hop client; proxy_pass http://behind;
    }
";

#[test]
fn a_trusted_proxy_is_no_client_and_says_what_it_knows_of_one() {
    let top = format!("bot_score_trusted 127.0.0.0/8; {HEADERS}");
    let Some(nginx) = knowing("nginx-hop-trusted", &top, RULES) else {
        return;
    };
    assert_eq!(known(&nginx, "/", &[]), UNKNOWN);
    let most = "proxy, public address, https, JA4 known";
    assert_eq!(known(&nginx, "/", SAID), most);
    let most = "proxy, public address, https, version 2";
    assert_eq!(known(&nginx, "/", &SAID[..3]), most);
    let forged = ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 192.168.1.1"];
    let private = "proxy, private address, unknown scheme, version 1 or unknown";
    assert_eq!(known(&nginx, "/", &forged), private);
    // A rule of a place counts more.
    assert_eq!(known(&nginx, "/client", &[]), DIRECT);
}

/// An address that realip has from a proxy is the client's, and so that is no client.
#[test]
fn realip_says_which_peers_are_proxies() {
    let top = "real_ip_header X-Real-IP; bot_score_client_scheme https;";
    let Some(nginx) = knowing("nginx-hop-realip", top, RULES) else {
        return;
    };
    let direct = "client, private address, https, version 1 or unknown";
    assert_eq!(known(&nginx, "/", &[]), direct);
    let real = ["X-Real-IP: 8.8.8.8", "X-Forwarded-For: 192.168.1.1"];
    let through = "proxy, public address, https, version 1 or unknown";
    assert_eq!(known(&nginx, "/real", &real), through);
    // By the PROXY protocol or the like: the client's own bytes, this header included.
    let bytes = "forward proxy, public address, https, version 1 or unknown";
    assert_eq!(known(&nginx, "/real/client", &real[..1]), bytes);
    // The rule alone: nobody but proxies can connect here.
    let said = ["X-Forwarded-For: 8.8.8.8"];
    assert_eq!(known(&nginx, "/proxy", &said), through);
    let unknown = "proxy, unknown address, https, version 1 or unknown";
    assert_eq!(known(&nginx, "/proxy", &[]), unknown);
}

/// The order of headers counts behind a proxy that keeps it, and not behind another.
#[test]
fn a_kept_order_counts() {
    let Some(module) = module() else { return };
    let mut turned = BROWSER.to_vec();
    turned[1..].reverse();
    let scores = ["off", "on"].map(|keeps| {
        let top =
            format!("bot_score on; bot_score_trusted 127.0.0.1; bot_score_keeps_order {keeps};");
        let nginx = Nginx::start(module, &format!("nginx-order-{keeps}"), &top, "");
        let score = |lines: &[&str]| {
            let answer = nginx.get("/", lines);
            reached(&answer)
                .first()
                .and_then(|score| score.parse::<u8>().ok())
        };
        (score(BROWSER), score(&turned))
    });
    let [(any, any_turned), (right, wrong)] = scores;
    assert!(any.is_some() && any == any_turned, "{scores:?}");
    assert!(right >= Some(30) && wrong < right, "{scores:?}");
}

/// A tool's agent stays what it is, whatever it says of proxies.
#[test]
fn forged_headers_help_no_bot() {
    let Some(module) = module() else { return };
    let nginx = Nginx::start(module, "nginx-hop-forged", "bot_score on;", "");
    let score = |lines: &[&str]| {
        let answer = nginx.get("/", &[CURL, lines].concat());
        reached(&answer)
            .first()
            .and_then(|score| score.parse::<u8>().ok())
    };
    let plain = score(&[]);
    assert!(plain.is_some_and(|score| score < 30), "{plain:?}");
    let more = ["X-Bot-Score: 99", "Via: 2.0 shop", "Forwarded: for=8.8.8.8"];
    for lines in [SAID, &[SAID, &more].concat()] {
        assert!(score(lines) <= plain, "{lines:?}");
    }
}

#[test]
fn a_wrong_setting_of_what_is_in_front_is_refused_with_its_reason() {
    let Some(module) = module() else { return };
    for (top, said) in [
        ("bot_score_hop both;", "invalid value \"both\""),
        (
            "bot_score_trusted shop.example;",
            "expects a range of addresses",
        ),
        (
            "bot_score_trusted 10.0.0.1/8;",
            "with zeros behind its prefix",
        ),
        ("bot_score_client_scheme ftp;", "invalid value \"ftp\""),
        ("bot_score_ja4_header \"a b\";", "expects a header's name"),
        (
            "bot_score_ja4_header a; bot_score_ja4_header b;",
            "is duplicate",
        ),
    ] {
        let refused = refusal(module, "nginx-hop-refused", top, "");
        let refused = refused.unwrap_or_default();
        assert!(refused.contains(said), "{top}: {refused}");
    }
    let top = "bot_score on; bot_score_address_header \"\"; bot_score_scheme_header Forwarded;";
    assert_eq!(refusal(module, "nginx-hop-refused", top, ""), None);
}
