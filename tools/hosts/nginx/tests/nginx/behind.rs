//! Behind real proxies, people's browsers are taken for people.

use crate::server::{Nginx, module};
use hedgerow_testkit::browsers::{Browser, Display, PATIENCE};
use hedgerow_testkit::fronts::{Certificates, Front, profiles};
use std::time::{Duration, Instant};

const SEEN: &str = r#"
    location /seen/ { access_log logs/seen.log seen; proxy_pass http://behind; }
"#;

#[test]
fn browsers_behind_real_proxies_are_taken_for_people() {
    let Some(module) = module() else { return };
    let Some(display) = Display::start() else {
        return;
    };
    let top = "bot_score on; bot_score_trusted 127.0.0.0/8; \
               log_format seen '$uri $bot_score $bot_source';";
    let nginx = Nginx::start(module, "nginx-behind", top, SEEN);
    let certificates = Certificates::new("nginx-behind-certificates");
    let fronts = Front::all("nginx-behind", nginx.port, certificates.as_ref());
    let authority = certificates.as_ref().map(Certificates::authority);
    for browser in [Browser::Chromium, Browser::Firefox] {
        let path = |front: &Front| format!("/seen/{}/{}", front.name, browser.name());
        let pages: Vec<_> = fronts.iter().map(|front| front.url(&path(front))).collect();
        let folder = profiles("nginx-behind");
        let opened = browser.open(&display, &folder, authority.as_deref(), &pages);
        let Some(_running) = opened else { continue };
        let end = Instant::now() + PATIENCE;
        for front in &fronts {
            let score = loop {
                let log = std::fs::read_to_string(nginx.folder.join("logs/seen.log"));
                let log = log.unwrap_or_default();
                let line = log.lines().find_map(|line| line.strip_prefix(&path(front)));
                match line.and_then(|line| line.split_whitespace().next()) {
                    Some(score) => break score.parse::<u8>().ok(),
                    None => assert!(Instant::now() < end, "no {}: {log}", path(front)),
                }
                std::thread::sleep(Duration::from_millis(50));
            };
            println!("{} behind {}: {score:?}", browser.name(), front.name);
            assert!(score >= Some(30), "{}: {score:?}", path(front));
        }
    }
}
