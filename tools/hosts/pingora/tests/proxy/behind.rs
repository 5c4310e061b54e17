//! Behind real proxies: people's browsers, and people's recorded requests, are taken for people.

use crate::clients::band;
use crate::common::*;
use crate::recorded;
use hedgerow_testkit::browsers::{Browser, Display, PATIENCE as BROWSER};
use hedgerow_testkit::fronts::{Certificates, Front, profiles};

/// A proxy that trusts loopback, and every real proxy that is there in front of it.
fn behind(test: &str, tls: Option<&Certificates>) -> (Upstream, Proxy, Vec<Front>) {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let policy = folder.put("policy.toml", "[client]\ntrusted = [\"127.0.0.0/8\"]\n");
    let policy = policy.display().to_string();
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
    let (upstream, _proxy, fronts) = behind("behind", certificates.as_ref());
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

/// The recorded requests of people; each may be taken for a bot's once in fifty.
#[test]
fn recorded_people_behind_real_proxies_are_taken_for_people() {
    let (_upstream, _proxy, fronts) = behind("behind-recorded", None);
    let people: Vec<_> = recorded::requests()
        .into_iter()
        .filter(|one| one.label == "human")
        .collect();
    assert!(people.len() > 100, "{}", people.len());
    let mut worst = Vec::new();
    for front in &fronts {
        let score = |one: &recorded::Recorded| {
            let mut open = Connection::new(([127, 0, 0, 1], front.port()).into())?;
            let answer = open.ask(&one.wire())?;
            header(&answer.body, "x-bot-score")?.parse::<u8>().ok()
        };
        let scores: Vec<_> = people.iter().filter_map(score).collect();
        let low = scores.iter().filter(|score| **score < 30).count();
        println!("{}: {low} of {} below 30", front.name, scores.len());
        assert!(scores.len() * 10 > people.len() * 9, "{}", front.name);
        if low * 50 > scores.len() {
            worst.push((front.name, low, scores.len()));
        }
    }
    assert!(worst.is_empty(), "{worst:?}");
}
