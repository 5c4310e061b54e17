//! Who a request comes from: verified bots, visitors behind another proxy, and HTTP/2.

use crate::server::{Nginx, body, module, status};
use crate::{BROWSER, CURL};
use hedgerow::model::{BuildOptions, Ensemble, Node, Tree, build};
use hedgerow::table::bots::{AddressRange, Bot, Category};
use hedgerow::{Feature, FeatureKind};
use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What each request came to.
const TELL: &str = r#"
    location /tell {
        return 200 "$remote_addr|$bot_score|$bot_source|$bot_name|$bot_detections|$bot_reason";
    }
    location /block { bot_score_block 99; proxy_pass http://behind; }
"#;

/// A table that scores every request 50, and knows one bot, at two addresses.
fn table(folder: &Path) -> PathBuf {
    let feature = Feature {
        name: "ua_missing".into(),
        kind: FeatureKind::Flag,
    };
    let ensemble = Ensemble {
        features: vec![feature],
        trees: vec![Tree::Any {
            nodes: vec![Node::Leaf { value: 0.0 }],
        }],
        bias: 0.0,
    };
    let ranges = ["192.0.2.0/24", "2001:db8::/32"].map(|text| AddressRange::parse(text).unwrap());
    let bot = Bot {
        name: "Examplebot".into(),
        category: Category::SearchEngine,
        agent: Some("examplebot".into()),
        ranges: ranges.into(),
    };
    let options = BuildOptions {
        bots: vec![bot],
        ..BuildOptions::default()
    };
    let path = folder.join("bots.hedge");
    let built = build(&ensemble, &options).expect("a table");
    std::fs::write(&path, built.bytes).expect("a file");
    path
}

/// A verified bot has no score, and no rule on the score blocks it. The visitor's address is the
/// one that `realip` knows, also where only a location believes the proxy in front.
#[test]
fn a_verified_bot_has_no_score_and_is_not_blocked() {
    let Some(module) = module() else { return };
    let folder = hedgerow_testkit::folder("nginx-bots-table").expect("a folder");
    let top = format!(
        "bot_score on; bot_score_table {}; real_ip_header X-Real-IP;",
        table(&folder).display()
    );
    let trusted = "set_real_ip_from 127.0.0.1;";
    let inside = TELL
        .replace("location /tell {", &format!("location /tell {{ {trusted}"))
        .replace(
            "location /block {",
            &format!("location /block {{ {trusted}"),
        );
    let nginx = Nginx::start(module, "nginx-bots", &top, &inside);
    let agent = "User-Agent: Mozilla/5.0 (compatible; Examplebot/2.1)";
    let bot = ["Host: x", agent, "X-Real-IP: 192.0.2.77"];
    let told = nginx.get("/block", &bot);
    assert_eq!(
        (status(&told), body(&told)),
        (200, "|verified-bot|1|"),
        "{told}"
    );
    let told = nginx.get("/block", &["Host: x", agent, "X-Real-IP: 2001:db8::1"]);
    assert_eq!(
        (status(&told), body(&told)),
        (200, "|verified-bot|1|"),
        "{told}"
    );
    // The name alone verifies nobody, nor does the address alone.
    for impostor in [
        ["Host: x", agent, "X-Real-IP: 198.51.100.1"],
        ["Host: x", "User-Agent: curl/8.5.0", "X-Real-IP: 192.0.2.77"],
    ] {
        assert_eq!(status(&nginx.get("/block", &impostor)), 403, "{impostor:?}");
    }
}

/// What nginx makes of HTTP/2 is undone: `:authority` is no Host header.
#[test]
fn http_2_is_scored() {
    let Some(module) = module() else { return };
    let nginx = Nginx::start(module, "nginx-http2", "bot_score on;", TELL);
    let conf = nginx.folder.join("nginx.conf");
    let text = std::fs::read_to_string(&conf).expect("a file");
    std::fs::write(
        &conf,
        text.replace(" backlog=4096;", " backlog=4096 http2;"),
    )
    .expect("a file");
    nginx.reload();
    let fetch = |headers: &[&str]| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--http2-prior-knowledge", "--max-time", "20"]);
        // The host is in the address.
        for header in headers.iter().skip(1) {
            curl.args(["-H", header]);
        }
        let url = format!("http://127.0.0.1:{}/tell", nginx.port);
        let fetched = curl.arg(url).output().ok()?;
        Some(String::from_utf8_lossy(&fetched.stdout).into_owned())
    };
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let Some(told) = fetch(CURL) else {
            hedgerow_testkit::skipped("curl is missing");
            return;
        };
        // Until the reload has come through, nobody answers in HTTP/2.
        if told == "127.0.0.1|2|detection||9|" {
            break;
        }
        assert!(Instant::now() < end, "{told} {}", nginx.errors());
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = fetch(BROWSER).expect("curl");
    assert!(
        told.starts_with("127.0.0.1|") && told.contains("|ensemble|"),
        "{told}"
    );
}

/// What nginx pushes beside an answer is a request of its own making: none is scored or blocked.
#[test]
fn a_push_is_not_scored() {
    let Some(module) = module() else { return };
    let port = hedgerow_testkit::free_port();
    let inside = format!(
        "listen 127.0.0.1:{port} http2;
         location /page {{ http2_push /pushed; access_log logs/page.log bot; return 200 page; }}
         location /pushed {{
             access_log logs/pushed.log bot; bot_score_block 99; proxy_pass http://behind;
         }}"
    );
    let nginx = Nginx::start(module, "nginx-push", "bot_score on;", &inside);
    // The preface, no settings, and the head of stream 1: GET, http, the path and the authority.
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    let head = b"\x82\x86\x04\x05/page\x01\x01x";
    sent.extend([0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1]);
    sent.extend(head);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    stream.write_all(&sent).expect("sent");
    let log = |name: &str| {
        let path = nginx.folder.join("logs").join(name);
        std::fs::read_to_string(path).unwrap_or_default()
    };
    let end = Instant::now() + Duration::from_secs(20);
    while !log("pushed.log").ends_with('\n') || !log("page.log").ends_with('\n') {
        assert!(Instant::now() < end, "no push: {}", nginx.errors());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(log("pushed.log"), "200 - - - - -\n");
    assert!(log("page.log").starts_with("200 "), "{}", log("page.log"));
    assert!(!log("page.log").contains("- -"), "{}", log("page.log"));
}
