//! Who is at the other end of connections: trusted proxies, strangers that say so, and rules.

use crate::common::*;
use hedgerow::watch::{PublishOptions, Publisher};
use hedgerow_testkit::probe::{self, Known};
use std::time::Duration;

/// A proxy whose scores say what it knows, under a policy.
fn knowing(policy: &str) -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let tables = folder.path("tables");
    let publisher = Publisher::create(&tables, Duration::from_secs(10), "test");
    let table = hedgerow::Table::from_bytes(&probe::table()).expect("a table");
    let published = publisher.and_then(|one| one.publish(&table, &PublishOptions::default()));
    published.expect("published");
    let policy = folder.put("policy.toml", policy);
    let [tables, policy] = [tables, policy].map(|path| path.display().to_string());
    let arguments = ["--tables", &tables, "--config", &policy];
    let proxy = Proxy::start_in(folder, upstream.address, &arguments);
    assert!(
        proxy.comes(|status| status["generation"] == 1),
        "{}",
        proxy.stderr()
    );
    (upstream, proxy)
}

/// What the proxy knows of a request with these header lines more.
fn known(proxy: &Proxy, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let agent = probe::AGENT;
    let request =
        format!("GET / HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: {agent}\r\n{lines}\r\n");
    let answer = ask(proxy.address, &request).expect("an answer");
    let score = header(&answer.body, "x-bot-score").and_then(|score| score.parse().ok());
    Known::of(score.unwrap_or_else(|| panic!("no score: {}", answer.body))).to_string()
}

/// What a proxy in front may say, and a client may make up.
pub const SAID: &[&str] = &[
    "X-Forwarded-For: 8.8.8.8",
    "X-Forwarded-Proto: https",
    "X-Client-Version: HTTP/2.0",
    "X-Client-JA4: t13d1516h2_8daaf6152771_02713d6af862",
];

const HEADERS: &str = "version-header = \"x-client-version\"\nja4-header = \"x-client-ja4\"\n";

#[test]
fn a_strangers_word_of_a_proxy_changes_no_fact() {
    let trusted = format!("[client]\ntrusted = [\"10.0.0.0/8\"]\n{HEADERS}");
    let direct = "client, private address, http, version 1 or unknown";
    let passed = "forward proxy, private address, unknown scheme, version 1 or unknown";
    for policy in [&*trusted, "", "[client]\nhop = \"auto\"\n"] {
        let (_upstream, proxy) = knowing(policy);
        assert_eq!(known(&proxy, &[]), direct, "{policy}");
        assert_eq!(known(&proxy, &["Via: 1.1 squid"]), passed, "{policy}");
        assert_eq!(known(&proxy, SAID), passed, "{policy}");
        for forged in [
            "Forwarded: for=8.8.8.8;proto=https",
            "X-Forwarded-For: 8.8.8.8, 10.1.1.1",
            "X-Forwarded-Proto: https",
        ] {
            assert_eq!(known(&proxy, &[forged]), passed, "{policy} {forged}");
        }
        for forged in [
            "X-Bot-Score: 99",
            SAID[2],
            SAID[3],
            "X_Forwarded_For: 8.8.8.8",
        ] {
            assert_eq!(known(&proxy, &[forged]), direct, "{policy} {forged}");
        }
    }
}

#[test]
fn a_trusted_proxy_is_no_client_and_says_what_it_knows_of_one() {
    let trusted = format!("[client]\ntrusted = [\"127.0.0.0/8\"]\n{HEADERS}");
    let unknown = "proxy, unknown address, unknown scheme, version 1 or unknown";
    let (_upstream, proxy) = knowing(&trusted);
    assert_eq!(known(&proxy, &[]), unknown);
    assert_eq!(
        known(&proxy, SAID),
        "proxy, public address, https, JA4 known"
    );
    let most = "proxy, public address, https, version 2";
    assert_eq!(known(&proxy, &SAID[..3]), most);
    // What a client wrote ahead of it does not count.
    let forged = ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 192.168.1.1"];
    let private = "proxy, private address, unknown scheme, version 1 or unknown";
    assert_eq!(known(&proxy, &forged), private);
    let (_upstream, proxy) = knowing("[client]\nhop = \"proxy\"\nscheme = \"https\"\n");
    let fixed = "proxy, public address, https, version 1 or unknown";
    assert_eq!(known(&proxy, &SAID[..1]), fixed);
    let (_upstream, proxy) =
        knowing("[client]\nhop = \"client\"\ntrusted = [\"127.0.0.0/8\"]\nscheme = \"https\"\n");
    let through = "client, private address, https, version 1 or unknown";
    assert_eq!(known(&proxy, &[]), through);
}

/// A refused client's agent stays what it is, whatever it says of proxies.
#[test]
fn forged_headers_help_no_bot() {
    let (_upstream, proxy) = {
        let upstream = Upstream::start();
        let proxy = Proxy::start(upstream.address, &[]);
        (upstream, proxy)
    };
    let score = |lines: &[&str]| {
        let lines: String = lines.iter().map(|line| format!("\r\n{line}")).collect();
        let request = curl("/").replace("\r\nAccept", &format!("{lines}\r\nAccept"));
        let answer = ask(proxy.address, &request).expect("an answer");
        header(&answer.body, "x-bot-score").and_then(|score| score.parse::<u8>().ok())
    };
    let plain = score(&[]);
    assert!(plain < Some(30), "{plain:?}");
    let all: Vec<_> = SAID
        .iter()
        .chain(&["X-Bot-Score: 99", "Via: 2.0 shop", "Forwarded: for=8.8.8.8"])
        .copied()
        .collect();
    for lines in [SAID, &all] {
        assert!(score(lines) <= plain, "{lines:?}");
    }
}
