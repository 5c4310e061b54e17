//! Scoring in trouble, and clients that are many, slow or long-winded: nginx serves as always.

use crate::server::{Nginx, body, module, status, tried};
use crate::{BROWSER, CURL, score};
use hedgerow_testkit::{folder, root};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The module, in which a request can ask for trouble: `tools/capi/c/trouble.c` stands before the
/// library's own calls, and tells of them in the error log.
pub fn in_trouble(module: &Path) -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| link_in_trouble(module))
}

fn link_in_trouble(module: &Path) -> PathBuf {
    let to = folder("nginx-trouble-module").expect("a folder");
    let objects = module.parent().expect("a folder");
    let library = hedgerow_testkit::script("tools/capi/build.sh", &[]).expect("the library builds");
    let made = to.join("ngx_http_bot_score_module.so");
    let linked = Command::new("cc")
        .args([
            "-shared", "-fPIC", "-O2", "-std=c11", "-Wall", "-Wextra", "-Werror",
        ])
        .arg("-I")
        .arg(root().join("include"))
        .arg(objects.join("addon/nginx/ngx_http_bot_score_module.o"))
        .arg(objects.join("ngx_http_bot_score_module_modules.o"))
        .arg(root().join("tools/capi/c/trouble.c"))
        .arg(library)
        .args([
            "-Wl,--wrap=hedgerow_score",
            "-Wl,--wrap=hedgerow_finish",
            "-Wl,--wrap=clock_gettime",
            "-lgcc_s",
            "-lpthread",
            "-ldl",
            "-lm",
            "-o",
        ])
        .arg(&made)
        .output()
        .expect("a linker");
    let errors = String::from_utf8_lossy(&linked.stderr);
    assert!(linked.status.success(), "{errors}");
    made
}

const TELL: &str = r#"
    location /tell { return 200 "$bot_score|$bot_source|$bot_reason"; }
    location /block { bot_score_block 99; proxy_pass http://behind; }
"#;

/// Calls that panic or take too long open the breaker; requests pass without a score, and a second
/// later one call is tried.
#[test]
fn scoring_in_trouble_lets_requests_pass_and_is_left_alone_for_a_while() {
    let Some(module) = module() else { return };
    let module = in_trouble(module);
    for (trouble, calls, said) in [
        ("panic", 8, "too many panicking"),
        ("late", 16, "too many late"),
    ] {
        let name = format!("nginx-trouble-{trouble}");
        let nginx = Nginx::start(module, &name, "bot_score on;", TELL);
        // One worker, so that all calls are its own.
        let conf = nginx.folder.join("nginx.conf");
        let text = std::fs::read_to_string(&conf).expect("a file");
        let one = text.replace("worker_processes 2;", "worker_processes 1;");
        std::fs::write(&conf, one).expect("a file");
        nginx.reload();
        let end = Instant::now() + Duration::from_secs(20);
        while nginx.workers().len() != 1 {
            assert!(Instant::now() < end, "{}", nginx.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
        let asks = format!("X-Trouble: {trouble}");
        let asking: Vec<&str> = CURL.iter().copied().chain([&asks[..]]).collect();
        let tell = |headers: &[&str]| {
            let answer = nginx.get("/tell", headers);
            assert_eq!(status(&answer), 200, "{answer}");
            body(&answer).to_string()
        };
        assert_eq!(tell(CURL), "2|detection|");
        for call in 0..calls {
            // Panics count whatever comes between, late calls in a row: these have their score.
            let expected = match trouble {
                "panic" => {
                    assert_eq!(tell(CURL), "2|detection|", "call {call}");
                    "|not-scored|panic"
                }
                _ => "2|detection|",
            };
            assert_eq!(tell(&asking), expected, "call {call}");
        }
        assert_eq!(tell(CURL), "|not-scored|breaker-open", "{}", nginx.errors());
        // Nothing is blocked without a score.
        assert_eq!(status(&nginx.get("/block", CURL)), 200);
        let end = Instant::now() + Duration::from_secs(20);
        while tell(CURL) != "2|detection|" {
            assert!(Instant::now() < end, "{}", nginx.errors());
            std::thread::sleep(Duration::from_millis(50));
        }
        // Trouble stays away: blocking is back.
        assert_eq!(status(&nginx.get("/block", CURL)), 403);
        let errors = nginx.errors();
        assert_eq!(errors.matches(said).count(), 1, "{errors}");
        assert!(!errors.contains("[alert]"), "{errors}");
    }
}

/// How many files a process may have open.
fn open_files() -> usize {
    let text = std::fs::read_to_string("/proc/self/limits").expect("limits");
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    soft.unwrap_or(1_024)
}

fn reads(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut chunk = [0; 1_024];
    while !answer.ends_with(b"|") {
        match stream.read(&mut chunk).expect("an answer") {
            0 => break,
            count => answer.extend_from_slice(&chunk[..count]),
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Ten thousand connections, or as many as this process may have: all are answered, twice, and
/// scored.
#[test]
fn ten_thousand_connections_are_served() {
    let Some(module) = module() else { return };
    let inside = r#"location /tell { return 200 "$bot_score|"; }"#;
    let nginx = Nginx::start(module, "nginx-many", "bot_score on;", inside);
    let count = open_files().saturating_sub(1_000).min(10_000);
    if count < 10_000 {
        println!("SKIPPED in part: {count} connections: more files may not be open");
    }
    let sent = format!("GET /tell HTTP/1.1\r\n{}\r\n\r\n", CURL.join("\r\n"));
    let connect = |_| {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, nginx.port)).expect("a connection");
        let limit = Some(Duration::from_secs(30));
        stream.set_read_timeout(limit).expect("a limit");
        stream
    };
    let mut streams: Vec<TcpStream> = (0..count).map(connect).collect();
    for round in 0..2 {
        for some in streams.chunks_mut(100) {
            for stream in some.iter_mut() {
                stream.write_all(sent.as_bytes()).expect("sent");
            }
            for stream in some {
                let answer = reads(stream);
                assert_eq!((status(&answer), body(&answer)), (200, "2|"), "{round}");
            }
        }
    }
    assert!(!nginx.errors().contains("[alert]"), "{}", nginx.errors());
}

#[test]
fn slow_and_long_winded_clients_are_scored() {
    let Some(module) = module() else { return };
    let top = "bot_score on; large_client_header_buffers 4 128k;";
    let nginx = Nginx::start(module, "nginx-slow", top, TELL);
    let plain = nginx.get("/", BROWSER);
    let human = score(&plain).expect("a score");
    // A piece at a time.
    let sent = format!("GET / HTTP/1.1\r\n{}\r\n\r\n", BROWSER.join("\r\n"));
    let mut slow = TcpStream::connect((Ipv4Addr::LOCALHOST, nginx.port)).expect("a connection");
    slow.set_nodelay(true).expect("a setting");
    for piece in sent.as_bytes().chunks(97) {
        slow.write_all(piece).expect("sent");
        std::thread::sleep(Duration::from_millis(40));
    }
    let mut answer = vec![0; 1_024];
    let count = slow.read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
    assert_eq!(
        (status(&answer), score(&answer)),
        (200, Some(human)),
        "{answer}"
    );
    // 64 KiB of headers, in one and in many.
    let long = format!("X-Long: {}", "x".repeat(64 * 1_024));
    let many: Vec<String> = (0..512)
        .map(|at| format!("X-{at}: {}", "y".repeat(128)))
        .collect();
    for more in [vec![&long[..]], many.iter().map(String::as_str).collect()] {
        let headers: Vec<&str> = BROWSER.iter().copied().chain(more).collect();
        let answer = nginx.get("/", &headers);
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(score(&answer).is_some_and(|score| score >= 20), "{answer}");
    }
    assert!(!nginx.errors().contains("[alert]"), "{}", nginx.errors());
}

/// A real browser without a head: the agent says so, and the ensemble has its doubts.
#[test]
fn a_real_browser_is_scored() {
    let Some(module) = module() else { return };
    let nginx = Nginx::start(module, "nginx-browser", "bot_score on;", TELL);
    let data = format!("--user-data-dir={}", nginx.folder.join("data").display());
    let url = format!("http://127.0.0.1:{}/", nginx.port);
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let fetched = names.iter().find_map(|name| {
        let mut browser = Command::new(name);
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
        ];
        browser.args(flags).args(["--dump-dom", &data, &url]);
        browser.output().ok()
    });
    let Some(fetched) = fetched else {
        hedgerow_testkit::skipped("Chromium is missing");
        return;
    };
    let page = String::from_utf8_lossy(&fetched.stdout);
    let told = page
        .split('>')
        .find(|text| text.contains('|'))
        .unwrap_or_default();
    let told: Vec<&str> = told
        .split('<')
        .next()
        .unwrap_or_default()
        .split('|')
        .collect();
    let score = told
        .first()
        .and_then(|score| score.trim().parse::<u8>().ok());
    assert!(
        score.is_some_and(|score| (1..60).contains(&score)),
        "{page}"
    );
    // The shadow that knows its agent.
    assert_eq!(told.get(3).map(|ids| ids.trim()), Some("2"), "{page}");
}

#[test]
fn without_an_engine_the_variables_say_why() {
    let Some(module) = module() else { return };
    let top = "bot_score on; bot_score_table /no/such.hedge;";
    let inside = format!(
        "{TELL} location /closed {{ if ($bot_source = not-scored) {{ return 503; }} \
         proxy_pass http://behind; }} location /off {{ bot_score off; return 200 $bot_source|; }}"
    );
    let nginx = Nginx::start(module, "nginx-no-engine", top, &inside);
    let answer = nginx.get("/tell", CURL);
    let told: Vec<&str> = body(&answer).split('|').collect();
    assert_eq!(told[..2], ["", "not-scored"], "{answer}");
    assert!(!told[2].is_empty(), "{answer}");
    nginx.wait_for_error(&format!("bot_score: /no/such.hedge: {}: ", told[2]));
    // Who fails closed does so here, too; others pass.
    assert_eq!(status(&nginx.get("/closed", CURL)), 503);
    assert_eq!(status(&nginx.get("/", CURL)), 200);
    assert_eq!(body(&nginx.get("/off", CURL)), "|");
}

#[test]
fn a_directory_without_a_table_is_one_warning() {
    let Some(module) = module() else { return };
    let empty = folder("nginx-empty-tables").expect("a folder");
    for (name, table) in [
        ("nginx-empty", empty.display().to_string()),
        ("nginx-missing", format!("{}/no/", empty.display())),
    ] {
        let top = format!("bot_score on; bot_score_table {table};");
        let nginx = Nginx::start(module, name, &top, TELL);
        nginx.wait_for_error("the directory has no table: the bundled one runs");
        assert_eq!(body(&nginx.get("/tell", CURL)), "2|detection|");
    }
}

/// Configurations, and whether they return a page that `bot_score_block` does not stop.
const RETURNS: &[(&str, bool)] = &[
    ("location /x { bot_score_block 99; return 200 page; }", true),
    (
        "location /x { bot_score_block 99; if ($arg_x) { return 200 page; } }",
        true,
    ),
    (
        "bot_score_block 99; location /x { set $a b; return 204; }",
        true,
    ),
    ("bot_score_block 99; if ($arg_x) { return 200 page; }", true),
    ("location /x { bot_score_block 99; return 403; }", false),
    (
        "location /x { bot_score_block 99; return 301 https://a/; }",
        false,
    ),
    (
        "location /x { bot_score_block 99; set $a 200; rewrite ^ /y break; }",
        false,
    ),
    (
        "bot_score_block 99; location /x { bot_score_block off; return 200 page; }",
        false,
    ),
    (
        "bot_score_block 99; location /x { bot_score off; return 200 page; }",
        false,
    ),
    (
        "location /x { return 200 page; } location /y { bot_score_block 99; }",
        false,
    ),
];

#[test]
fn a_page_that_is_returned_before_access_is_warned_of() {
    let Some(module) = module() else { return };
    for (inside, warned) in RETURNS {
        let (taken, said) = tried(module, "nginx-return", "bot_score on;", inside);
        assert!(taken, "{inside}: {said}");
        let found = said.contains("\"bot_score_block\" does not stop \"return\"");
        assert_eq!(found, *warned, "{inside}: {said}");
    }
}
