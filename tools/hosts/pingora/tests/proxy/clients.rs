//! Real clients through the proxy: what the upstream is told of each.
//!
//! `tools/hosts/pingora/setup.sh` installs them. One that is not there is skipped, and said so;
//! with `HEDGEROW_REQUIRE_PEERS=1` that fails.

use crate::common::*;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Browsers take their time on a busy machine.
const BROWSER: Duration = Duration::from_secs(90);

fn skipped(what: &str) {
    let what = format!("{what} is not installed: tools/hosts/pingora/setup.sh");
    hedgerow_testkit::skipped(&what);
}

pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let all = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = { all }.find(|file| file.is_file());
    if found.is_none() {
        skipped(names[0]);
    }
    found
}

/// A process that ends with its test, with all that it started.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        use std::os::unix::process::CommandExt;
        // A group of its own.
        command.process_group(0).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("a process"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// The score in a head that the upstream got; it must lie within a band.
fn band(head: Option<String>, low: u8, high: u8, who: &str) {
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

const CHROMIUM: &[&str] = &[
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

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
    let _running = Running::start(&mut command);
    // The bundled table's ensemble alone leaves it in doubt; the detection that knows its agent is
    // a shadow.
    let head = upstream.sees("/headless", BROWSER);
    let matched = head
        .as_deref()
        .and_then(|head| header(head, "x-bot-detections"));
    band(head, 1, 59, "headless Chromium");
    assert_eq!(matched.as_deref(), Some("2"), "agent names automation");
}

/// A display without a screen.
fn display(xvfb: PathBuf) -> (Running, String) {
    for number in 90..120 {
        let name = format!(":{number}");
        let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
        if socket.exists() {
            continue;
        }
        let mut command = Command::new(&xvfb);
        command.args([&name, "-screen", "0", "1280x900x24", "-nolisten", "tcp"]);
        let mut running = Running::start(&mut command);
        for _ in 0..200 {
            std::thread::sleep(Duration::from_millis(50));
            let ended = running.0.try_wait().expect("a state").is_some();
            if socket.exists() && !ended {
                return (running, name);
            }
            if ended {
                break;
            }
        }
    }
    panic!("no display starts");
}

#[test]
fn people_with_browsers_are_taken_for_people() {
    let Some(xvfb) = find(&["Xvfb"]) else { return };
    let (_display, name) = display(xvfb);
    let (upstream, proxy) = served();
    if let Some(chromium) = find(&["chromium", "chromium-browser", "google-chrome"]) {
        let data = format!(
            "--user-data-dir={}",
            proxy.folder.path("chromium").display()
        );
        let url = format!("http://{}/chromium", proxy.address);
        let mut command = Command::new(chromium);
        command
            .args(CHROMIUM)
            .args([&data, &url])
            .env("DISPLAY", &name);
        let _running = Running::start(&mut command);
        band(
            upstream.sees("/chromium", BROWSER),
            60,
            99,
            "headful Chromium",
        );
    }
    if let Some(firefox) = find(&["firefox-esr", "firefox"]) {
        let profile = proxy.folder.path("firefox");
        std::fs::create_dir(&profile).expect("a folder");
        let url = format!("http://{}/firefox", proxy.address);
        let mut command = Command::new(firefox);
        command
            .args(["--no-remote", "--profile"])
            .arg(&profile)
            .arg(&url);
        command
            .env("DISPLAY", &name)
            .env("HOME", &profile)
            .env("MOZ_DISABLE_CONTENT_SANDBOX", "1");
        let _running = Running::start(&mut command);
        band(upstream.sees("/firefox", BROWSER), 60, 99, "Firefox");
    }
}
