//! What the manual and README show is what works.

use crate::common::*;
use std::process::{Command, Stdio};
use std::time::Instant;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect("a file of the checkout")
}

/// The block of a manual's page that begins so.
fn block<'a>(page: &'a str, begins: &str) -> &'a str {
    let from = page.find(begins).expect("a block") + begins.len();
    let block = &page[from..];
    &block[..block.find("```").expect("its end")]
}

#[test]
fn the_filter_of_the_manual_and_of_readme_is_the_example() {
    let example = read("tools/hosts/pingora/examples/shop.rs");
    let from = example.find("#[async_trait]").expect("the filter");
    let filter = &example[from..];
    let filter = &filter[..filter.find("\n}\n").expect("its end") + 3];
    assert_eq!(
        block(&read("src/manual/pingora.md"), "```rust,ignore\n"),
        filter
    );
    // README shows a part of it, written more closely.
    let bare = |code: &str| -> String {
        let lines = code
            .lines()
            .map(|line| line.split(" //").next().unwrap_or_default());
        lines
            .flat_map(str::chars)
            .filter(|c| !c.is_whitespace())
            .collect()
    };
    let readme = read("README.md");
    let shown = readme
        .find("    type CTX = ScoredRequest;")
        .expect("the filter");
    let shown = &readme[shown..];
    let shown = bare(&shown[..shown.find("```").expect("its end")]);
    assert!(bare(&example).contains(&shown), "{shown}");
}

#[test]
fn the_example_scores() {
    let upstream = Upstream::start();
    let binary = std::env::current_exe().expect("this test");
    let built = { binary.parent() }
        .and_then(|deps| deps.parent())
        .expect("a profile's folder");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = listener.local_addr().expect("an address");
    drop(listener);
    let mut shop = Command::new(built.join("examples/shop"))
        .args([upstream.address.to_string(), listen.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .expect("the example, which tests build");
    let start = Instant::now();
    let mut answer = None;
    while answer.is_none() && start.elapsed() < PATIENCE {
        answer = ask(listen, &curl("/"));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _ = shop.kill();
    let _ = shop.wait();
    let body = answer.expect("an answer").body;
    assert_eq!(header(&body, "x-bot-score").as_deref(), Some("2"), "{body}");
}

#[test]
fn the_policy_and_the_command_of_the_manual_work() {
    let page = read("src/manual/pingora.md");
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let config = folder.put("policy.toml", block(&page, "```toml\n"));
    let log = folder.path("access.log");
    let command = block(&page, "```console\n$ hedgerow-proxy ");
    let words: Vec<_> = command.split_whitespace().collect();
    assert_eq!(
        words[..6],
        [
            "--upstream",
            "UPSTREAM",
            "--listen",
            "LISTEN",
            "--admin",
            "ADMIN"
        ]
    );
    let more: Vec<String> = { words[6..].iter() }
        .map(|word| match *word {
            "policy.toml" => config.display().to_string(),
            "access.log" => log.display().to_string(),
            word => word.to_string(),
        })
        .collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let proxy = Proxy::start_in(folder, upstream.address, &more);
    assert_eq!(proxy.status()["policy"]["taken"], 1, "{}", proxy.stderr());
    let login = "POST /account/x HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5\r\n\
                 Content-Length: 0\r\n\r\n";
    assert_eq!(ask(proxy.address, login).expect("an answer").status, 429);
    let tagged = ask(proxy.address, &curl("/search?q=x")).expect("an answer");
    assert_eq!(header(&tagged.body, "x-bot-action").as_deref(), Some("tag"));
}

/// What the manual has for each load balancer and CDN is a policy.
#[test]
fn the_settings_of_the_manual_for_what_is_in_front_are_taken() {
    let page = read("src/manual/front.md");
    let table = page
        .split_once("| in front | set there | write here |")
        .expect("a table")
        .1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut settings = 0;
    for row in rows {
        let last = row.trim_end_matches([' ', '|']).rsplit(" | ").next();
        let codes = last.unwrap_or_default().split('`').skip(1).step_by(2);
        let lines: Vec<_> = codes
            .map(|code| code.replace("RANGES", "\"10.0.0.0/8\""))
            .collect();
        let policy = format!("[client]\n{}\n", lines.join("\n"));
        let taken = hedgerow_proxy::policy::Policy::parse(&policy);
        assert!(taken.is_ok(), "{row}: {taken:?}");
        settings += lines.len();
    }
    assert!(settings > 25, "{settings}");
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let upstream = Upstream::start();
    let folder = Folder::new();
    let tables = folder.path("tables/");
    let arguments = ["--tables", tables.to_str().expect("a path")];
    let proxy = Proxy::start_in(folder, upstream.address, &arguments);
    let metrics = proxy.get("/metrics").expect("an answer").body;
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("tools/hosts/pingora/grafana.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 10);
    let mut asked = 0;
    for panel in panels {
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let names = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            for name in names.filter(|name| name.starts_with("hedgerow_")) {
                let family = name.strip_suffix("_bucket").unwrap_or(name);
                assert!(metrics.contains(&format!("# TYPE {family} ")), "{name}");
                asked += 1;
            }
        }
    }
    assert!(asked > 20, "{asked}");
}
