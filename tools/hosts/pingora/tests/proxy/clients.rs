//! Real clients through the proxy: what the upstream is told of each.
//!
//! `tools/hosts/pingora/setup.sh` installs them. One that is not there is skipped, and said so;
//! with `HEDGEROW_REQUIRE_PEERS=1` that fails.

use crate::common::*;
use hedgerow_testkit::browsers::{self, Browser, CHROMIUM, Display, PATIENCE as BROWSER, Running};
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn skipped(what: &str) {
    let what = format!("{what} is not installed: tools/hosts/pingora/setup.sh");
    hedgerow_testkit::skipped(&what);
}

pub fn find(names: &[&str]) -> Option<PathBuf> {
    let found = browsers::find(names);
    if found.is_none() {
        skipped(names[0]);
    }
    found
}

/// The score in a head that the upstream got; it must lie within a band.
pub fn band(head: Option<String>, low: u8, high: u8, who: &str) {
    let head = head.unwrap_or_else(|| panic!("{who}: nothing came"));
    let score = header(&head, "x-bot-score").and_then(|score| score.parse::<u8>().ok());
    println!("{who}: {score:?}\n{head}");
    let score = score.unwrap_or_else(|| panic!("{who}: no score"));
    assert!(
        (low..=high).contains(&score),
        "{who}: {score} is not {low} to {high}\n{head}"
    );
}

fn served() -> (Upstream, Proxy) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(upstream.address, &[]);
    (upstream, proxy)
}

#[test]
fn tools_are_told_as_such() {
    let (upstream, proxy) = served();
    let url = |path: &str| format!("http://{}{path}", proxy.address);
    if let Some(curl) = find(&["curl"]) {
        let ran = Command::new(curl)
            .args(["-s", "-o", "/dev/null", &url("/curl")])
            .status();
        assert!(ran.expect("curl").success());
        band(upstream.sees("/curl", PATIENCE), 1, 29, "curl");
    }
    let python = root().join("target/proxy/venv/bin/python");
    if python.is_file() {
        let code = format!(
            "import requests; requests.get('{}').raise_for_status()",
            url("/py")
        );
        let ran = Command::new(python).args(["-c", &code]).status();
        assert!(ran.expect("python").success());
        band(upstream.sees("/py", PATIENCE), 1, 29, "python-requests");
    } else {
        skipped("python-requests");
    }
    if let Some(wrk) = find(&["wrk"]) {
        let arguments = ["-t1", "-c4", "-d1s", &url("/wrk")];
        let ran = Command::new(wrk).args(arguments).output().expect("wrk");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.status.success() && !said.contains("Non-2xx"), "{said}");
        band(upstream.sees("/wrk", PATIENCE), 1, 29, "wrk");
    }
    if let Some(h2load) = find(&["h2load"]) {
        let arguments = ["--h1", "-n100", "-c4", &url("/h2load")];
        let ran = Command::new(h2load)
            .args(arguments)
            .output()
            .expect("h2load");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(said.contains("100 succeeded"), "{said}");
    }
}

#[test]
fn headless_chromium_is_told_as_such() {
    let Some(chromium) = find(&["chromium", "chromium-browser", "google-chrome"]) else {
        return;
    };
    let (upstream, proxy) = served();
    let data = format!("--user-data-dir={}", proxy.folder.path("data").display());
    let url = format!("http://{}/headless", proxy.address);
    let mut command = Command::new(chromium);
    command
        .args(CHROMIUM)
        .args(["--headless", "--dump-dom", &data, &url]);
    let _running = Running::start(command.stderr(Stdio::null()));
    // The bundled table's ensemble alone leaves it in doubt; the detection that knows its agent is
    // a shadow.
    let head = upstream.sees("/headless", BROWSER);
    let matched = head
        .as_deref()
        .and_then(|head| header(head, "x-bot-detections"));
    band(head, 1, 59, "headless Chromium");
    assert_eq!(matched.as_deref(), Some("2"), "agent names automation");
}

#[test]
fn people_with_browsers_are_taken_for_people() {
    let Some(display) = Display::start() else {
        return;
    };
    let (upstream, proxy) = served();
    for browser in [Browser::Chromium, Browser::Firefox] {
        let path = format!("/{}", browser.name());
        let url = format!("http://{}{path}", proxy.address);
        let Some(_running) = browser.open(&display, &proxy.folder.0, None, &[url]) else {
            continue;
        };
        band(upstream.sees(&path, BROWSER), 60, 99, browser.name());
    }
}
