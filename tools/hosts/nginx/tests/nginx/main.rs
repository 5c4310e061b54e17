//! Debian's nginx with the module: scores, blocks, and answers as without it whatever happens.

mod behind;
mod clients;
mod hops;
mod load;
mod manual;
mod server;
mod trouble;
mod within;

use hedgerow_testkit::disturb;
use server::{Nginx, body, module, refusal, status};
use std::time::{Duration, Instant};

/// What curl sends.
pub const CURL: &[&str] = &[
    "Host: shop.example",
    "User-Agent: curl/8.5.0",
    "Accept: */*",
];

/// What Chromium sends for a page without TLS.
pub const BROWSER: &[&str] = &[
    "Host: shop.example",
    "Connection: keep-alive",
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/140.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
     image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    "Accept-Encoding: gzip, deflate",
    "Accept-Language: en-US,en;q=0.9",
];

/// Score, source, generation and detections as they reached the server behind.
pub fn reached(answer: &str) -> Vec<String> {
    body(answer).trim().split('|').map(String::from).collect()
}

fn score(answer: &str) -> Option<u8> {
    reached(answer).first().and_then(|score| score.parse().ok())
}

const PLACES: &str = r#"
    location /off { bot_score off; proxy_pass http://behind; }
    location /block { bot_score_block 30; proxy_pass http://behind; }
    location /slow { bot_score_block 30 429; proxy_pass http://behind; }
    location /block/open { bot_score_block off; proxy_pass http://behind; }
    location /down { bot_score_block 2; proxy_pass http://127.0.0.1:DEAD; }
    location /again { error_page 404 = /block; return 404; }
    location /early { if ($bot_score) { return 200 "early $bot_score"; } return 200 "none"; }
"#;

#[test]
fn requests_are_scored_and_blocked_where_it_is_asked_for() {
    let Some(module) = module() else { return };
    let nginx = Nginx::start(module, "nginx-scores", "bot_score on;", PLACES);
    let curl = nginx.get("/", CURL);
    assert_eq!(status(&curl), 200, "{curl}");
    assert!(score(&curl).is_some_and(|score| score < 30), "{curl}");
    let [_, source, generation, detections] = &reached(&curl)[..] else {
        panic!("{curl}");
    };
    assert!(matches!(&source[..], "ensemble" | "detection"), "{curl}");
    assert_eq!(generation, "1");
    assert!(
        detections.split(',').all(|id| id.parse::<u32>().is_ok()),
        "{curl}"
    );
    let browser = nginx.get("/", BROWSER);
    let human = score(&browser).expect("a score");
    assert!(human > score(&curl).expect("a score") + 20, "{browser}");

    // What a client sends under these names does not reach the server behind.
    let mut claims = CURL.to_vec();
    claims.extend(["X-Bot-Score: 99", "X-Bot-Source: ensemble"]);
    assert_eq!(reached(&nginx.get("/", &claims))[1..], reached(&curl)[1..]);
    assert_ne!(reached(&nginx.get("/", &claims))[0], "99");
    assert_eq!(reached(&nginx.get("/off", &claims)), ["", "", "", ""]);

    assert_eq!(status(&nginx.get("/block", CURL)), 403);
    assert_eq!(status(&nginx.get("/slow", CURL)), 429);
    assert_eq!(status(&nginx.get("/block/open", CURL)), 200);
    assert_eq!(status(&nginx.get("/again", CURL)), 403);
    for target in ["/block", "/slow", "/again"] {
        assert_eq!(status(&nginx.get(target, BROWSER)), 200, "{target}");
    }
    assert!(body(&nginx.get("/early", CURL)).starts_with("early "));
    drop_and_read(nginx);
}

/// The access log has a line for each request, with the verdict.
fn drop_and_read(nginx: Nginx) {
    let log = nginx.folder.join("logs/bot.log");
    drop(nginx);
    let log = std::fs::read_to_string(log).expect("a log");
    let blocked = log.lines().filter(|line| line.starts_with("403 ")).count();
    assert_eq!(blocked, 2, "{log}");
    assert!(log.lines().all(|line| line.ends_with(" -")), "{log}");
    assert!(log.contains("200 - - - - -"), "{log}");
}

#[test]
fn a_real_client_is_scored() {
    let Some(module) = module() else { return };
    let nginx = Nginx::start(module, "nginx-curl", "bot_score on;", PLACES);
    let url = format!("http://127.0.0.1:{}/", nginx.port);
    let fetched = std::process::Command::new("curl")
        .args(["--silent", "--max-time", "20", &url])
        .output();
    let Ok(fetched) = fetched else {
        hedgerow_testkit::skipped("curl is missing");
        return;
    };
    let text = String::from_utf8_lossy(&fetched.stdout);
    let score: Option<u8> = text.split('|').next().and_then(|score| score.parse().ok());
    assert!(score.is_some_and(|score| score < 30), "{text}");
}

/// Malformed, huge, to a dead server: the same answer with scoring and without.
#[test]
fn nginx_answers_as_it_always_does() {
    let Some(module) = module() else { return };
    let on = "bot_score on; bot_score_traffic 1024;";
    let with = Nginx::start(module, "nginx-usual-on", on, PLACES);
    let without = Nginx::start(module, "nginx-usual-off", "bot_score off;", PLACES);
    let huge = format!(
        "GET / HTTP/1.1\r\nHost: x\r\nX-Huge: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}Connection: close\r\n\r\n",
        "a: b\r\n".repeat(500)
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(64 * 1024));
    let sent: &[(&str, u16)] = &[
        ("GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GARBAGE\r\n\r\n", 400),
        ("GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("\u{0}\u{1}\u{2}\r\n\r\n", 400),
        (
            "GET /down HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            502,
        ),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET /\r\n", 0),
        (
            "POST /down HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (&huge, 400),
        (&many, 200),
        (&long, 414),
    ];
    for (sent, expected) in sent {
        let start: String = sent.chars().take(60).collect();
        let (with, without) = (with.raw(sent.as_bytes()), without.raw(sent.as_bytes()));
        assert_eq!(status(&with), status(&without), "{start:?}");
        if *expected != 0 {
            assert_eq!(status(&with), *expected, "{start:?}: {with}");
        }
    }
    // And both go on.
    assert_eq!(status(&with.get("/", CURL)), 200);
    assert_eq!(with.workers().len(), 2);
    for bad in ["signal", "alert"] {
        assert!(!with.errors().contains(bad), "{}", with.errors());
    }
}

#[test]
fn requests_pass_without_a_score_where_there_is_no_table() {
    let Some(module) = module() else { return };
    let top = "bot_score on; bot_score_table /nowhere/at/all.hedge; bot_score_block 99;";
    let nginx = Nginx::start(module, "nginx-no-table", top, PLACES);
    let curl = nginx.get("/", CURL);
    assert_eq!(
        (status(&curl), reached(&curl).concat()),
        (200, "not-scored".into())
    );
    nginx.wait_for_error("requests pass without a score");
    assert!(nginx.errors().contains("nowhere"), "{}", nginx.errors());
    // A reload with a good table scores again.
    let conf = nginx.folder.join("nginx.conf");
    let text = std::fs::read_to_string(&conf).expect("a file");
    let text = text.replace("/nowhere/at/all.hedge", "default");
    std::fs::write(&conf, text.replace("bot_score_block 99;", "")).expect("a file");
    nginx.reload();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while score(&nginx.get("/", CURL)).is_none() {
        assert!(std::time::Instant::now() < end, "{}", nginx.errors());
    }
}

#[test]
fn a_wrong_configuration_is_refused_with_its_reason() {
    let Some(module) = module() else { return };
    for (top, said) in [
        ("bot_score_block 1;", "a score from 2 to 99"),
        ("bot_score_block 100;", "a score from 2 to 99"),
        ("bot_score_block x;", "a score from 2 to 99"),
        ("bot_score_block 30 200;", "a status from 400 to 599"),
        ("bot_score_block 30; bot_score_block 40;", "is duplicate"),
        ("bot_score_traffic 1000;", "a power of two"),
        ("bot_score maybe;", "invalid value"),
        ("bot_score_table a; bot_score_table b;", "is duplicate"),
    ] {
        let refused = refusal(module, "nginx-refused", top, "");
        assert!(
            refused.clone().unwrap_or_default().contains(said),
            "{top} {refused:?}"
        );
    }
    let top = "bot_score on; bot_score_table default; bot_score_block 30 429; \
               bot_score_traffic 1024; bot_score_state /nowhere;";
    assert_eq!(refusal(module, "nginx-refused", top, PLACES_LIVE), None);
    let top = "bot_score_block 30;";
    let nginx = Nginx::start(module, "nginx-blocks-nothing", top, PLACES_LIVE);
    let errors = nginx.errors();
    assert!(errors.contains("\"bot_score\" is on nowhere"), "{errors}");
}

/// A refusal is an error to nginx, whose log has no warnings unless it is told to.
#[test]
fn a_refused_table_is_told_at_the_usual_level() {
    let Some(module) = module() else { return };
    let tables = hedgerow_testkit::folder("nginx-told-tables").expect("a folder");
    std::fs::write(tables.join("active"), "rubbish").expect("a file");
    let top = format!("bot_score on; bot_score_table {};", tables.display());
    let nginx = Nginx::start(module, "nginx-told", &top, "");
    nginx.wait_for_error("bot_score: warn: ");
    let usual = nginx.folder.join("logs/default.log");
    let usual = std::fs::read_to_string(usual).expect("a log");
    assert!(usual.contains("bot_score: warn: "), "{usual}");
}

/// A directory as a fleet's agent writes it: signed tables alone, by a key that nginx is told.
#[test]
fn signed_tables_are_taken_by_the_keys_that_are_named() {
    use hedgerow::watch::SecretKey;
    let Some(module) = module() else { return };
    let folder = hedgerow_testkit::folder("nginx-signed").expect("a folder");
    let key = SecretKey::new("ops").expect("a key");
    let signed = hedgerow::Table::from_bytes(&key.sign(hedgerow::DEFAULT_TABLE)).expect("a table");
    let tables = folder.join("tables");
    assert_eq!(disturb::publish(&tables, &signed), 1);
    let (ours, theirs) = (folder.join("ops.pub"), folder.join("other.pub"));
    std::fs::write(&ours, key.public().text()).expect("a file");
    let other = SecretKey::new("other").expect("a key").public();
    std::fs::write(&theirs, other.text()).expect("a file");
    let start = |name: &str, keys: &str| {
        let top = format!("bot_score on; bot_score_table {};{keys}", tables.display());
        Nginx::start(module, name, &top, "")
    };
    let (ours, theirs) = (ours.display(), theirs.display());
    let keys = format!("bot_score_keys {theirs} {ours};");
    let nginx = start("nginx-signed-known", &keys);
    let end = Instant::now() + Duration::from_secs(20);
    while reached(&nginx.get("/", BROWSER))[2] != "1" {
        assert!(Instant::now() < end, "{}", nginx.errors());
        std::thread::sleep(Duration::from_millis(20));
    }
    for (name, keys) in [
        ("nginx-signed-none", String::new()),
        ("nginx-signed-other", format!("bot_score_keys {theirs};")),
    ] {
        let nginx = start(name, &keys);
        nginx.wait_for_error("signature-key");
        assert_eq!(reached(&nginx.get("/", BROWSER))[2], "0", "{name}");
    }
}

const PLACES_LIVE: &str = "location /off { bot_score off; bot_score_block off; }";
