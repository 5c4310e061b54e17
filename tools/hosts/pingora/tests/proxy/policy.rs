//! The policy at work: blocked, tagged, failed closed, and replaced while requests come.

use crate::common::*;

const OBSERVE: &str = "[default]\naction = \"observe\"\n";
const TAG: &str = "[default]\naction = \"tag\"\nbelow = 10\n";
const BLOCK: &str = "[[route]]\nname = \"closed\"\npaths = [\"/closed/*\"]\naction = \"block\"\n\
    status = 429\n";

fn with(policy: &str) -> (Upstream, Proxy) {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let config = folder.put("policy.toml", policy);
    let arguments = ["--config", config.to_str().expect("a path")];
    let proxy = Proxy::start_in(folder, upstream.address, &arguments);
    (upstream, proxy)
}

/// Puts a policy in place, and waits until it was looked at.
fn put(proxy: &Proxy, policy: &str, taken: u64, refused: bool) {
    proxy.folder.put("policy.toml", policy);
    let is = |status: &serde_json::Value| {
        status["policy"]["taken"] == taken && status["policy"]["refused"].is_string() == refused
    };
    assert!(proxy.comes(is), "{taken} {refused}");
}

#[test]
fn routes_block_tag_and_let_pass() {
    let (_upstream, proxy) = with(BLOCK);
    let mut connection = Connection::new(proxy.address).expect("a connection");
    for _ in 0..3 {
        let answer = connection
            .ask(curl("/closed/a").as_bytes())
            .expect("an answer");
        assert_eq!(answer.status, 429);
        let id = answer.body.strip_prefix("refused: request ");
        assert_eq!(id.map(str::len), Some(17), "{}", answer.body);
        let answer = connection.ask(curl("/open").as_bytes()).expect("an answer");
        assert_eq!(
            (answer.status, header(&answer.body, "x-bot-action")),
            (200, None)
        );
        // Another way to write it.
        let answer = connection.ask(curl("//%63losed/../closed/a").as_bytes());
        assert_eq!(answer.expect("an answer").status, 429);
    }
    let head = curl("/closed/a").replace("GET", "HEAD");
    let answer = connection.ask(head.as_bytes()).expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (429, ""));
    let post = "POST /closed/b HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.5\r\n\
                Content-Length: 5\r\n\r\nhello";
    assert_eq!(
        connection.ask(post.as_bytes()).expect("an answer").status,
        429
    );
    // The body is not the next head, whether Pingora keeps the connection or not.
    if let Some(answer) = connection.ask(curl("/open").as_bytes()) {
        assert_eq!(answer.status, 200);
    }
    let mut connection = Connection::new(proxy.address).expect("a connection");
    let answer = connection.ask(curl("/open").as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200);

    put(&proxy, TAG, 2, false);
    let answer = connection
        .ask(curl("/closed/a").as_bytes())
        .expect("the same connection");
    assert_eq!(header(&answer.body, "x-bot-action").as_deref(), Some("tag"));
    put(&proxy, OBSERVE, 3, false);
    let answer = connection
        .ask(curl("/closed/a").as_bytes())
        .expect("the same connection");
    assert_eq!(
        (answer.status, header(&answer.body, "x-bot-action")),
        (200, None)
    );
}

#[test]
fn a_client_behind_two_proxies_that_write_lines_of_their_own_is_known() {
    let policy = "[client]\ntrusted = [\"127.0.0.0/8\"]\n[[route]]\nname = \"far\"\n\
                  addresses = [\"203.0.113.9\"]\naction = \"block\"\nbelow = 100\nstatus = 429\n";
    let (_upstream, proxy) = with(policy);
    let ask = |lines: &str| {
        let request = curl("/").replace("\r\nAccept", &format!("{lines}\r\nAccept"));
        ask(proxy.address, &request).expect("an answer").status
    };
    let line = |addresses: &str| format!("\r\nX-Forwarded-For: {addresses}");
    let near = line("127.0.0.2");
    assert_eq!(ask(&(line("203.0.113.9") + &near)), 429);
    assert_eq!(ask(&(line("192.0.2.66, 203.0.113.9") + &near)), 429);
    assert_eq!(
        ask(&(line("203.0.113.9") + &line("192.0.2.66") + &near)),
        200
    );
}

#[test]
fn a_bad_policy_is_refused_with_its_reason_and_the_running_one_stays() {
    let (_upstream, proxy) = with(BLOCK);
    let mut connection = Connection::new(proxy.address).expect("a connection");
    for (bad, name) in [
        // A writer in place that has truncated the file, or got so far.
        ("", "policy-part"),
        ("[default", "policy-syntax"),
        ("[default]\nbelow = 0\n", "policy-number"),
        ("[[route]]\nname = \"a\"\npaths = []\n", "policy-selector"),
    ] {
        put(&proxy, bad, 1, true);
        assert!(proxy.comes(|status| status["policy"]["refusals"][name] == 1));
        let answer = connection
            .ask(curl("/closed/a").as_bytes())
            .expect("an answer");
        assert_eq!(answer.status, 429, "{bad}");
        assert_eq!(proxy.says(name), 1, "{}", proxy.stderr());
    }
    put(&proxy, BLOCK, 1, false);
    let lines: Vec<&str> = BLOCK.split_inclusive('\n').collect();
    put(&proxy, &lines[..3].concat(), 1, true);
    assert!(proxy.comes(|status| status["policy"]["refusals"]["policy-part"] == 2));
    assert_eq!(
        proxy.says("routes"),
        1,
        "each change is a line: {}",
        proxy.stderr()
    );
    // The same once more: counted, not logged.
    put(&proxy, BLOCK, 1, false);
    put(&proxy, "[default", 1, true);
    assert_eq!(proxy.status()["policy"]["refusals"]["policy-syntax"], 2);
    assert_eq!(proxy.says("policy-syntax"), 1, "{}", proxy.stderr());
    // A file that is gone is refused, too.
    std::fs::remove_file(proxy.folder.path("policy.toml")).expect("removed");
    assert!(proxy.comes(|status| status["policy"]["refusals"]["policy-file"].is_number()));
    put(&proxy, OBSERVE, 2, false);
    let answer = connection
        .ask(curl("/closed/a").as_bytes())
        .expect("the same connection");
    assert_eq!(answer.status, 200);
    // A signal has it read, and harms nothing.
    proxy.signal(libc::SIGHUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    let answer = connection
        .ask(curl("/closed/a").as_bytes())
        .expect("the same connection");
    assert_eq!(answer.status, 200);
}

#[test]
fn a_proxy_that_starts_with_a_bad_policy_passes_traffic_and_says_so() {
    let (_upstream, proxy) = with("[default]\nbelow = 0\n");
    let answer = ask(proxy.address, &curl("/")).expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(proxy.says("policy-number"), 1, "{}", proxy.stderr());
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_hedgerow-proxy"))
        .arg("--check")
        .arg("--config")
        .arg(proxy.folder.path("policy.toml"))
        .output()
        .expect("the proxy");
    assert_eq!(check.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&check.stderr).contains("expected a number from 1 to 100"));
}

#[test]
fn without_a_score_a_route_fails_open_or_closed_as_it_says() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let policy = "[[route]]\nname = \"safe\"\npaths = [\"/safe\"]\naction = \"block\"\n\
                  below = 1\nfail = \"closed\"\nfail-status = 503\n";
    let config = folder.put("policy.toml", policy);
    let tables = folder.path("tables");
    let wait = std::time::Duration::from_secs(5);
    let publisher = || hedgerow::watch::Publisher::create(&tables, wait, "test").expect("one");
    let table = hedgerow::Table::from_bytes(hedgerow::DEFAULT_TABLE).expect("a table");
    publisher()
        .publish(&table, &Default::default())
        .expect("published");
    let arguments = [
        "--config",
        config.to_str().expect("a path"),
        "--tables",
        tables.to_str().expect("a path"),
    ];
    let proxy = Proxy::start_in(folder, upstream.address, &arguments);
    let status = |path: &str| ask(proxy.address, &curl(path)).expect("an answer").status;
    assert_eq!((status("/safe"), status("/")), (200, 200));

    publisher()
        .switch(&hedgerow::Selector::Engine, true)
        .expect("switched");
    assert!(proxy.comes(|status| !status["switches"].as_array().expect("a list").is_empty()));
    assert_eq!((status("/safe"), status("/")), (503, 200));
    let open = ask(proxy.address, &curl("/")).expect("an answer");
    assert_eq!(
        header(&open.body, "x-bot-score"),
        None,
        "0 is never a score"
    );
    assert_eq!(
        header(&open.body, "x-bot-source").as_deref(),
        Some("not-scored:disabled")
    );

    publisher()
        .switch(&hedgerow::Selector::Engine, false)
        .expect("switched");
    assert!(proxy.comes(|status| status["switches"].as_array().expect("a list").is_empty()));
    assert_eq!((status("/safe"), status("/")), (200, 200));
}

/// What `/closed/a` is answered with.
fn closed(proxy: &Proxy) -> u16 {
    ask(proxy.address, &curl("/closed/a"))
        .expect("an answer")
        .status
}

#[test]
fn a_file_that_is_cut_off_replaces_no_policy() {
    let (_upstream, proxy) = with(BLOCK);
    let path = proxy.folder.path("policy.toml");
    let refused =
        |name: &str| proxy.comes(|status| status["policy"]["refused"].to_string().contains(name));
    // In place, as an editor on a full disk leaves it.
    for cut in ["", "# a comment\n", "[client]\nscheme = \"https\"\n"] {
        std::fs::write(&path, cut).expect("written");
        assert!(refused("policy-part"), "{cut:?}: {}", proxy.status());
        assert_eq!(closed(&proxy), 429, "{cut:?}");
    }
    let before_action = BLOCK.find("action").expect("an action");
    let before_status = BLOCK.find("status").expect("a status");
    for end in [before_action, before_status] {
        std::fs::write(&path, &BLOCK[..end]).expect("written");
        assert!(refused("policy-part"), "{end}: {}", proxy.status());
        assert_eq!(closed(&proxy), 429, "{end}");
    }
    // What was meant says so.
    let meant = format!("{}# end\n", &BLOCK[..before_action]);
    put(&proxy, &meant, 2, false);
    assert_eq!(closed(&proxy), 200);
    // With the line at its end, what lacks it was cut off.
    let whole = format!("{BLOCK}# end\n");
    put(&proxy, &whole, 3, false);
    put(&proxy, "[default]\naction = \"tag\"\n", 3, true);
    assert_eq!(closed(&proxy), 429);
    put(&proxy, &format!("{OBSERVE}# end\n"), 4, false);
    for (number, routes) in [(1, 2), (2, 2), (4, 1)] {
        assert_eq!(
            proxy.says(&format!("policy {number} runs, {routes} routes")),
            1
        );
    }
}

#[test]
fn a_file_that_was_changed_with_its_length_and_time_kept_is_taken() {
    let (_upstream, proxy) = with(BLOCK);
    let path = proxy.folder.path("policy.toml");
    let modified = std::fs::metadata(&path)
        .and_then(|of| of.modified())
        .expect("a time");
    std::fs::write(&path, BLOCK.replace("429", "451")).expect("written");
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("a file");
    file.set_modified(modified).expect("a time");
    assert!(proxy.comes(|status| status["policy"]["taken"] == 2));
    assert_eq!(closed(&proxy), 451);
}

#[test]
fn a_file_that_could_not_be_read_is_read_again() {
    let (_upstream, proxy) = with(BLOCK);
    // Something else in its place, as unreadable as a file on a broken disk; no time changes.
    let (path, aside) = (proxy.folder.path("policy.toml"), proxy.folder.path("aside"));
    let refusals = |status: &serde_json::Value| status["policy"]["refused"].is_string();
    std::fs::rename(&path, &aside).expect("moved");
    std::fs::create_dir(&path).expect("a folder");
    assert!(proxy.comes(refusals));
    assert_eq!(closed(&proxy), 429);
    std::fs::remove_dir(&path).expect("removed");
    std::fs::rename(&aside, &path).expect("moved");
    assert!(
        proxy.comes(|status| !refusals(status)),
        "what runs is no refusal"
    );
    assert_eq!(proxy.status()["policy"]["taken"], 1);
}

/// Without file descriptors nothing can be read; what was put in place meanwhile is taken later.
#[test]
fn a_policy_that_came_while_descriptors_were_short_is_taken() {
    let (_upstream, proxy) = with(BLOCK);
    let limit = |count: &str| {
        let done = std::process::Command::new("prlimit")
            .args([
                format!("--nofile={count}:"),
                format!("--pid={}", proxy.pid()),
            ])
            .status();
        assert!(done.expect("prlimit").success());
    };
    limit("3");
    proxy
        .folder
        .put("policy.toml", &BLOCK.replace("429", "451"));
    assert_eq!(proxy.says("Too many open files"), 1, "{}", proxy.stderr());
    limit("1024");
    assert!(proxy.comes(|status| status["policy"]["taken"] == 2));
    assert_eq!(closed(&proxy), 451);
}

#[test]
fn a_directory_that_is_not_there_is_refused_or_warned_of() {
    let folder = Folder::new();
    let missing = folder.path("missing");
    let run = |tables: &str| {
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_hedgerow-proxy"))
            .args([
                "--upstream",
                "127.0.0.1:9",
                "--listen",
                "127.0.0.1:0",
                "--admin",
                "off",
            ])
            .args(["--tables", tables])
            .output();
        command.expect("the proxy")
    };
    let refused = run(missing.to_str().expect("a path"));
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("--tables: expected a directory that exists"),
        "{said}"
    );
    assert!(!missing.exists(), "nothing is made");
    // One that comes later has a slash; one without a table is a warning, too.
    std::fs::create_dir(folder.path("empty")).expect("a folder");
    for name in ["later/", "empty"] {
        let tables = folder.path(name);
        let upstream = Upstream::start();
        let proxy = Proxy::start(
            upstream.address,
            &["--tables", tables.to_str().expect("a path")],
        );
        assert_eq!(
            proxy.says("the directory has no table: the bundled one runs"),
            1
        );
    }
}
