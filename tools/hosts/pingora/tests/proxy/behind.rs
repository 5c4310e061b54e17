//! Behind real proxies: people's browsers, and people's recorded requests, are taken for people.

use crate::clients::band;
use crate::common::*;
use crate::recorded;
use hedgerow_testkit::browsers::{Browser, Display, PATIENCE as BROWSER};
use hedgerow_testkit::fronts::{Certificates, Front, profiles};
use std::process::Command;

/// A proxy that trusts loopback, with a line more, and every real proxy that is there in front of
/// it.
fn behind(test: &str, line: &str, tls: Option<&Certificates>) -> (Upstream, Proxy, Vec<Front>) {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let policy = format!("[client]\ntrusted = [\"127.0.0.0/8\"]\n{line}\n");
    let policy = folder.put("policy.toml", &policy).display().to_string();
    let proxy = Proxy::start_in(folder, upstream.address, &["--config", &policy]);
    let fronts = Front::all(test, proxy.address.port(), tls);
    (upstream, proxy, fronts)
}

#[test]
fn browsers_behind_real_proxies_are_taken_for_people() {
    let Some(display) = Display::start() else {
        return;
    };
    let certificates = Certificates::new("behind-certificates");
    let (upstream, _proxy, fronts) = behind("behind", "", certificates.as_ref());
    let authority = certificates.as_ref().map(Certificates::authority);
    for browser in [Browser::Chromium, Browser::Firefox] {
        let path = |front: &Front| format!("/{}/{}", front.name, browser.name());
        let pages: Vec<_> = fronts.iter().map(|front| front.url(&path(front))).collect();
        let folder = profiles("behind");
        let opened = browser.open(&display, &folder, authority.as_deref(), &pages);
        let Some(_running) = opened else { continue };
        let mut heads = upstream.sees_all(&fronts.iter().map(path).collect::<Vec<_>>(), BROWSER);
        for front in &fronts {
            let head = heads.remove(&path(front));
            band(
                head,
                30,
                99,
                &format!("{} behind {}", browser.name(), front.name),
            );
        }
    }
}

/// Real proxies that keep the order of a client's headers, which `keeps-order` says of them.
const ORDERLY: [&str; 7] = [
    "nginx",
    "nginx-bare",
    "haproxy",
    "envoy",
    "apache",
    "varnish",
    "squid",
];

#[test]
fn real_proxies_keep_the_order_of_headers_or_sort_them() {
    let upstream = Upstream::start();
    let certificates = Certificates::new("behind-order-certificates");
    for certificates in [None, certificates.as_ref()] {
        for front in Front::all("behind-order", upstream.address.port(), certificates) {
            // In no order of the alphabet, and in no browser's.
            let names = [
                "sec-fetch-site",
                "user-agent",
                "priority",
                "accept",
                "sec-ch-ua",
                "accept-language",
                "sec-fetch-mode",
                "accept-encoding",
                "sec-fetch-dest",
            ];
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--insecure", "--http2", "-A", ""]);
            for name in names {
                curl.args(["-H", &format!("{name}: x")]);
            }
            let Ok(ran) = curl.arg(front.url("/")).output() else {
                return hedgerow_testkit::skipped("curl is missing");
            };
            let head = String::from_utf8_lossy(&ran.stdout).into_owned();
            let came = head.lines().filter_map(|line| line.split_once(':'));
            let came = came.map(|(name, _)| name.to_ascii_lowercase());
            let came: Vec<_> = came.filter(|name| names.contains(&&**name)).collect();
            println!("{} {}: {came:?}", front.name, front.ends_tls());
            assert_eq!(came.len(), names.len(), "{}: {head}", front.name);
            assert_eq!(
                came == names,
                ORDERLY.contains(&front.name),
                "{}: {head}",
                front.name
            );
        }
    }
}

/// How many recorded requests that a real proxy has passed on are below 30, and of how many.
fn low(front: &Front, requests: &[recorded::Recorded]) -> (usize, usize) {
    let score = |one: &recorded::Recorded| {
        let mut open = Connection::new(([127, 0, 0, 1], front.port()).into())?;
        let answer = open.ask(&one.wire())?;
        header(&answer.body, "x-bot-score")?.parse::<u8>().ok()
    };
    let scores: Vec<_> = requests.iter().filter_map(score).collect();
    assert!(scores.len() * 10 > requests.len() * 9, "{}", front.name);
    let low = scores.iter().filter(|score| **score < 30).count();
    (low, scores.len())
}

/// At most one in fifty requests of people is below 30, and the order of headers finds more bots.
#[test]
fn recorded_people_behind_real_proxies_are_taken_for_people() {
    let (bots, people): (Vec<_>, Vec<_>) = recorded::requests()
        .into_iter()
        .partition(|one| one.label == "bot");
    assert!(people.len() > 100 && bots.len() > 100);
    let (_upstream, _proxy, fronts) = behind("behind-recorded", "", None);
    let (_upstream, _orderly, with_order) = behind("behind-orderly", "keeps-order = true", None);
    for (front, orderly) in fronts.iter().zip(&with_order) {
        assert_eq!(front.name, orderly.name);
        let mut found = Vec::new();
        for front in [front, orderly] {
            if std::ptr::eq(front, orderly) && !ORDERLY.contains(&front.name) {
                continue;
            }
            let (lost, all) = low(front, &people);
            let (bots, of) = low(front, &bots);
            println!(
                "{}: {lost} of {all} people, {bots} of {of} bots below 30",
                front.name
            );
            assert!(lost * 50 <= all, "{}: {lost} of {all}", front.name);
            found.push(bots);
        }
        assert!(found.is_sorted(), "{}: {found:?}", front.name);
    }
}
