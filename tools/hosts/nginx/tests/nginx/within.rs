//! Requests that nginx makes of a visitor's: subrequests and redirects. Each visitor's request is
//! scored as it came, blocked at most once, and told to the windows as it was answered.

use crate::server::{Nginx, body, module, status};
use crate::trouble::in_trouble;
use crate::{CURL, score};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

const PLACES: &str = r#"
    location /webhook { bot_score_block off; auth_request /auth; proxy_pass http://behind; }
    location /webhook/down {
        bot_score_block off; auth_request /auth; proxy_pass http://127.0.0.1:DEAD;
    }
    location = /auth { internal; proxy_pass http://behind; }
    location /shown { error_page 429 /blocked.html; proxy_pass http://behind; }
    location = /blocked.html { proxy_pass http://behind; }
    location /moved { error_page 404 /landed; return 404; }
    location /landed { bot_score_block off; proxy_pass http://behind; }
    location /dropped { if ($bot_score) { return 444; } }
    location /mute { bot_score_block off; proxy_pass http://127.0.0.1:MUTE; }
"#;

const TOP: &str = "bot_score on; bot_score_block 30 429; bot_score_traffic 1024; \
                   log_subrequest on;";

/// What the module said of a kind since the last time.
fn told(nginx: &Nginx, kind: &str, seen: &mut usize) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(20);
    let start = format!("told {kind} ");
    loop {
        let errors = nginx.errors();
        let all = errors.lines().filter_map(|line| line.strip_prefix(&start));
        let all: Vec<String> = all.skip(*seen).map(String::from).collect();
        if !all.is_empty() || Instant::now() > end {
            *seen += all.len();
            return all;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn post(nginx: &Nginx, target: &str) -> String {
    let headers = CURL.join("\r\n");
    let sent = format!("POST {target} HTTP/1.1\r\n{headers}\r\nContent-Length: 3\r\n\r\na=b");
    nginx.raw(sent.as_bytes())
}

#[test]
fn a_visitors_request_is_what_counts() {
    let Some(module) = module() else { return };
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
    let port = mute.local_addr().expect("an address").port();
    let inside = PLACES.replace("MUTE", &port.to_string());
    let nginx = Nginx::start(in_trouble(module), "nginx-within", TOP, &inside);
    let (mut scored, mut finished) = (0, 0);
    let mut both = || {
        let finished = told(&nginx, "finished", &mut finished);
        (told(&nginx, "scored", &mut scored), finished)
    };
    let one = |method: &str, answer: &str| (vec![method.to_string()], vec![answer.to_string()]);
    assert_eq!(status(&nginx.get("/", CURL)), 429);
    assert_eq!(both(), one("GET", "429"));

    // The subrequest is neither scored nor blocked, and its answer is not the visitor's.
    let answer = post(&nginx, "/webhook");
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(score(&answer).is_some_and(|score| score < 30), "{answer}");
    assert_eq!(both(), one("POST", "200"));
    assert_eq!(status(&post(&nginx, "/webhook/down")), 502);
    assert_eq!(both(), one("POST", "502"));

    // Its own page for those who are blocked.
    let answer = nginx.get("/shown", CURL);
    assert_eq!(status(&answer), 429, "{answer}");
    assert!(score(&answer).is_some_and(|score| score < 30), "{answer}");
    assert_eq!(both(), one("GET", "429"));

    // A redirect within makes a GET of it.
    assert_eq!(status(&post(&nginx, "/moved")), 404);
    assert_eq!(both(), one("POST", "404"));

    // What never was an answer is none.
    assert_eq!(nginx.get("/dropped", CURL), "");
    assert_eq!(both(), one("GET", "0"));
    let sent = format!("GET /mute HTTP/1.1\r\n{}\r\n\r\n", CURL.join("\r\n"));
    nginx.send_and_leave(sent.as_bytes());
    assert_eq!(both(), one("GET", "0"));
    assert_eq!(body(&nginx.get("/landed", CURL)).split('|').count(), 4);
    assert!(!nginx.errors().contains("[alert]"), "{}", nginx.errors());
}
