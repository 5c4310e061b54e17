//! What the upstream is told is what the library says, and nothing that a client made up.

use crate::common::*;
use crate::recorded;

#[test]
fn every_recorded_request_gets_the_score_that_the_library_gives() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(upstream.address, &[]);
    let requests = recorded::requests();
    let expected = recorded::bundled(&requests);
    assert!(requests.len() > 500, "{}", requests.len());
    let mut connection = None;
    let mut others = Vec::new();
    for (request, expected) in requests.iter().zip(&expected) {
        let open = connection.take().or_else(|| Connection::new(proxy.address));
        let mut open = open.expect("a connection");
        let answer = open.ask(&request.wire()).expect("an answer");
        assert_eq!(answer.status, 200, "{}", request.id);
        let score = header(&answer.body, "x-bot-score");
        if score != Some(expected.to_string()) {
            others.push((request.id.clone(), *expected, score));
        }
        assert_eq!(
            header(&answer.body, "x-bot-generation").as_deref(),
            Some("1")
        );
        if !request.closes() {
            connection = Some(open);
        }
    }
    assert!(
        others.is_empty(),
        "{} of {}: {others:?}",
        others.len(),
        requests.len()
    );
    let status = proxy.status();
    let counted: u64 = { status["scores"].as_array().expect("scores").iter() }
        .filter_map(serde_json::Value::as_u64)
        .sum();
    assert_eq!(counted, requests.len() as u64);
    let bands = |label: &str, low: u8, high: u8| {
        let all = requests
            .iter()
            .zip(&expected)
            .filter(|(one, _)| one.label == label);
        let scores: Vec<_> = all.map(|(_, score)| *score).collect();
        let within = scores
            .iter()
            .filter(|score| (low..=high).contains(score))
            .count();
        within as f64 / scores.len() as f64
    };
    assert!(bands("bot", 1, 29) > 0.7, "{}", bands("bot", 1, 29));
    assert!(bands("human", 70, 99) > 0.9, "{}", bands("human", 70, 99));
}

#[test]
fn what_a_client_says_under_these_names_does_not_come_through() {
    let upstream = Upstream::start();
    for more in [&[][..], &["--no-scoring"]] {
        let proxy = Proxy::start(upstream.address, more);
        let made_up = "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.5\r\n\
             X-Bot-Score: 99\r\nx-bot-score: 98\r\nX_Bot_Score: 97\r\nX-BOT-SOURCE: made-up\r\n\
             x-bot-generation: 777\r\nX-Bot-Detections: 666\r\nx-bot-action: made-up\r\n\
             Connection: keep-alive, x-bot-score, x-bot-source\r\n\r\n";
        let body = ask(proxy.address, made_up).expect("an answer").body;
        // The number of the request is random, and may hold any digits.
        let number = header(&body, "x-bot-request").unwrap_or_default();
        let body = match number.is_empty() {
            true => body,
            false => body.replace(&number, "number"),
        };
        for said in ["99", "98", "97", "777", "666", "made-up"] {
            assert!(!body.contains(said), "{said} in {body}");
        }
        let ours = body.to_lowercase().matches("\r\nx-bot-").count();
        if more.is_empty() {
            assert_eq!(header(&body, "x-bot-score").as_deref(), Some("2"), "{body}");
            assert_eq!(
                header(&body, "x-bot-source").as_deref(),
                Some("detection:9")
            );
            assert_eq!(ours, 5, "{body}");
        } else {
            assert_eq!(ours, 0, "{body}");
        }
    }
}

#[test]
fn metrics_and_log_tell_what_happened() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let log = folder.path("access.log");
    let arguments = ["--log", log.to_str().expect("a path")];
    let proxy = Proxy::start_in(folder, upstream.address, &arguments);
    let odd = "GET /\"\\x?\x07 HTTP/1.1\r\nHost: a\r\nUser-Agent: \"q\\\u{e9}\r\n\r\n";
    for request in [curl("/a"), curl("/b"), odd.into()] {
        ask(proxy.address, &request);
    }
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let whole = text.lines().filter(|_| text.ends_with('\n'));
        whole
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let start = std::time::Instant::now();
    while lines().len() < 3 && start.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let lines = lines();
    assert_eq!(lines[0]["target"], "/a");
    assert_eq!(
        (&lines[0]["score"], &lines[0]["source"]),
        (&2.into(), &"detection:9".into())
    );
    assert_eq!(
        (&lines[0]["status"], &lines[0]["action"]),
        (&200.into(), &"observe".into())
    );
    assert_eq!(lines[2]["target"], "/%22\\x?%07");
    assert_eq!(lines[2]["agent"], "\"q\\\u{e9}");
    let metrics = proxy.get("/metrics").expect("an answer").body;
    for line in [
        "hedgerow_verdicts_total{source=\"detection\"} 2",
        "hedgerow_scores_total{from=\"0\"} 3",
        "hedgerow_generation 1",
        "hedgerow_policy_decisions_total{route=\"default\",action=\"observe\"} 3",
        "hedgerow_not_scored_total{reason=\"panic\"} 0",
        "hedgerow_detection_matches_total{id=\"9\",mode=\"active\"} 2",
    ] {
        assert!(
            metrics.lines().any(|known| known == line),
            "{line}\n{metrics}"
        );
    }
    // Every line is a comment, or a name with labels and a number.
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(
            name.starts_with("hedgerow_") && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    let page = proxy.get("/").expect("the page");
    assert!(page.body.contains("<title>hedgerow-proxy</title>"));
    assert!(
        !page.body.contains("http://") && !page.body.contains("https://"),
        "nothing outside"
    );
    assert_eq!(proxy.get("/other").map(|answer| answer.status), Some(404));
}

#[test]
fn the_access_log_is_whole_at_the_end_and_written_while_requests_keep_coming() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let log = folder.path("access.log");
    let arguments = ["--log", log.to_str().expect("a path")];
    let mut proxy = Proxy::start_in(folder, upstream.address, &arguments);
    let lines = || std::fs::read_to_string(&log).expect("a log");
    // Never as long a silence as the writer would wait for.
    let start = std::time::Instant::now();
    let mut sent = 0;
    while lines().is_empty() {
        assert!(start.elapsed() < PATIENCE, "no line after {sent} requests");
        assert!(sent < 100, "no line after {sent} requests");
        ask(proxy.address, &curl("/steady")).expect("an answer");
        sent += 1;
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let method = "M".repeat(100_000);
    let long = curl("/long").replace("GET", &method);
    ask(proxy.address, &long);
    for _ in 0..20 {
        ask(proxy.address, &curl("/last")).expect("an answer");
    }
    proxy.signal(libc::SIGTERM);
    assert!(proxy.ends(), "{}", proxy.stderr());
    let text = lines();
    let count = |target: &str| text.matches(&format!("\"target\":\"{target}\"")).count();
    let counts = [count("/steady"), count("/long"), count("/last")];
    assert_eq!(counts, [sent, 1, 20], "{text}");
    let longest = text.lines().map(str::len).max();
    assert!(longest < Some(12_000), "{longest:?}");
}

/// A line holds what the score was made of, and nothing that is personal.
#[test]
fn a_low_scores_line_explains_it() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let log = folder.path("access.log");
    let arguments = ["--log", log.to_str().expect("a path")];
    let proxy = Proxy::start_in(folder, upstream.address, &arguments);
    let request = "GET /secret-path?token=secret HTTP/1.1\r\nHost: shop.example\r\n\
        User-Agent: curl/8.5.0\r\nCookie: secret\r\nAuthorization: secret\r\n\
        Referer: https://shop.example/secret?secret\r\nX-Own: secret\r\nAccept: */*\r\n\
        Origin: https://me:secret@shop.example\r\n\r\n";
    let answer = ask(proxy.address, request).expect("an answer");
    let id = header(&answer.body, "x-bot-request").expect("a number");
    let start = std::time::Instant::now();
    let line = loop {
        let text = std::fs::read_to_string(&log).expect("a log");
        if let Some(line) = text.lines().find(|line| line.contains(&id)) {
            break line.to_owned();
        }
        assert!(start.elapsed() < PATIENCE, "no line of {id}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["id"], id.as_str());
    let facts = line["facts"].as_str().expect("facts");
    let facts = hedgerow::host::parse_facts(facts).expect("facts");
    let schema = hedgerow::Schema::http();
    let mut row = hedgerow::Row::MISSING;
    for (name, value) in facts {
        if let Some(at) = schema.index_of(name) {
            row.set(at, value);
        }
    }
    let table = hedgerow::Table::from_bytes(hedgerow::DEFAULT_TABLE).expect("a table");
    let prepared = hedgerow::PreparedTable::new(table, &schema).expect("prepared");
    let margin = prepared.explain(&row).margin;
    let margin = prepared.table().margin_f64(margin);
    assert!((margin - line["margin"].as_f64().expect("a margin")).abs() < 1e-6);
    let seen = line["request"].to_string();
    assert!(
        seen.contains("https://shop.example/\"") && seen.contains("\"X-Own\""),
        "{seen}"
    );
    assert!(!seen.contains("secret"), "{seen}");
}

#[test]
fn lines_that_a_full_disk_does_not_take_are_counted() {
    let upstream = Upstream::start();
    let proxy = Proxy::start(upstream.address, &["--log", "/dev/full"]);
    let path = format!("/{}", "p".repeat(1_000));
    let answered = |_| ask(proxy.address, &curl(&path)).expect("an answer").status == 200;
    // More than the writer's memory holds.
    assert!((0..100).all(answered));
    assert!(proxy.comes(|status| status["unlogged"].as_u64() > Some(0)));
    assert_eq!(proxy.says("the access log cannot be written"), 1);
    // Opened anew, the writer leaves what it still had.
    let before = proxy.status()["unlogged"].as_u64();
    proxy.signal(libc::SIGHUP);
    assert!(proxy.comes(|status| status["unlogged"].as_u64() == Some(100) && before < Some(100)));
}
