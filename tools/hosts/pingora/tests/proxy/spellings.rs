//! Blocked routes in front of real servers: no spelling of a request reaches what a route blocks.

use crate::common::*;
use hedgerow_testkit::{free_port, required, skipped, terminate};
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Spellings for each server.
const ROUNDS: usize = 2_500;

/// A server of another kind behind the proxy. It ends with the test.
struct Server {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}

const KINDS: [&str; 4] = ["nginx", "express", "django", "tomcat"];

/// The command of a server; `None` where what it needs is not installed.
fn command(kind: &str, port: u16, folder: &Path) -> Option<Command> {
    let here = root().join("tools/hosts/pingora/tests/upstreams");
    let is_there = |path: &str| Path::new(path).exists();
    let mut command;
    match kind {
        "nginx" if is_there("/usr/sbin/nginx") => {
            let conf = fs::read_to_string(here.join("nginx.conf")).expect("a configuration");
            let conf = conf.replace("PORT", &port.to_string());
            let conf = conf.replace("FOLDER", &folder.display().to_string());
            fs::write(folder.join("nginx.conf"), conf).expect("a file");
            command = Command::new("/usr/sbin/nginx");
            command.arg("-c").arg(folder.join("nginx.conf"));
        }
        "express" if is_there("/usr/share/nodejs/express") => {
            command = Command::new("node");
            command.env("NODE_PATH", "/usr/share/nodejs");
            command.arg(here.join("express.js")).arg(port.to_string());
        }
        "django" if is_there("/usr/lib/python3/dist-packages/django") => {
            command = Command::new("/usr/bin/python3");
            command
                .arg(here.join("django_app.py"))
                .arg(port.to_string());
        }
        "tomcat" if is_there("/usr/share/java/tomcat10-catalina.jar") => {
            command = Command::new("java");
            command.args(["-cp", "/usr/share/java/*"]);
            command
                .arg(here.join("Upstream.java"))
                .arg(port.to_string());
            command.arg(folder);
        }
        _ => return None,
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Some(command)
}

/// Starts a server, and waits until it serves what routes block.
fn start(kind: &str) -> Option<Server> {
    let (folder, port) = (Folder::new(), free_port());
    let Some(mut command) = command(kind, port, &folder.0) else {
        assert!(
            !required(),
            "{kind} is missing: tools/hosts/pingora/setup.sh installs it"
        );
        skipped(&format!("{kind} is missing"));
        return None;
    };
    let mut server = Server {
        child: command.spawn().expect("a server"),
        address: (Ipv4Addr::LOCALHOST, port).into(),
        _folder: folder,
    };
    let start = Instant::now();
    loop {
        let up = TcpStream::connect(server.address).is_ok();
        let plain = Spelling::plain("GET", "/login");
        if up && plain.is_served(server.address) {
            return Some(server);
        }
        let gone = server.child.try_wait().expect("a state");
        assert!(
            gone.is_none() && start.elapsed() < PATIENCE * 4,
            "{kind}: {gone:?}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One way to write a request.
#[derive(Debug)]
struct Spelling {
    method: String,
    path: String,
    host: String,
}

impl Spelling {
    fn plain(method: &str, path: &str) -> Spelling {
        let [method, path, host] = [method, path, "shop.example"].map(String::from);
        Spelling { method, path, host }
    }

    /// A random way to write a request for one of the blocked resources.
    fn random(dice: &mut Dice) -> Spelling {
        let (method, path) =
            dice.pick(&[("GET", "/login"), ("GET", "/account/x"), ("POST", "/write")]);
        let mut spelling = Spelling::plain(method, path);
        for _ in 0..dice.below(4) {
            spelling.path = respelled(spelling.path, dice);
        }
        if dice.below(3) == 0 {
            let host = dice.pick(&[
                "SHOP.example",
                "shop.example.",
                "shop.example:80",
                "shop.example:x",
                "shop.example:",
                "shop.example..",
                "a@shop.example",
                "shop.example:80:x",
                "shop.example,x",
                "shop.example :80",
                "shop.example.:x",
                "shop.example;x",
                "shop.example?x",
                "shop.example/x",
                "shop%2eexample",
                "[shop.example]",
                "",
            ]);
            spelling.host = host.to_string();
        }
        if dice.below(8) == 0 {
            spelling.method = cased(method, dice);
        }
        spelling
    }

    /// Whether a server's answer has what routes block.
    fn is_served(&self, address: SocketAddr) -> bool {
        let Spelling { method, path, host } = self;
        let length = if method.eq_ignore_ascii_case("POST") {
            "Content-Length: 0\r\n"
        } else {
            ""
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: curl/8.5\r\n{length}\
             Connection: close\r\n\r\n"
        );
        let Some(mut connection) = Connection::new(address) else {
            return false;
        };
        connection.send(request.as_bytes());
        connection.rest().contains("SECRET")
    }
}

fn cased(text: &str, dice: &mut Dice) -> String {
    let flip = |c: char| {
        if dice.below(2) == 0 {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    text.chars().map(flip).collect()
}

/// What some server leaves out at the end of a path.
const ENDS: &[&str] = &[
    "/",
    ".",
    "%20",
    "%00",
    "%09",
    ";",
    ";a=b",
    "?x",
    "#x",
    "%2f",
    "%5c",
    "\\",
    "/.",
    "/..",
    "/x/..",
    "/;x",
    "%3b",
    "%3f",
    "%23",
    ";/",
    "%0a",
    "..",
    "/../login",
];

/// What some server resolves in front of a slash.
const MIDDLES: &[&str] = &[
    "/.",
    "/x/..",
    "/x/..;",
    "/x/..;a=b",
    "/",
    "/;x",
    "/x/%2e%2e",
    "/x/%252e%252e",
    "/x/..%2f..",
    "/x%2f..",
    "/x%5c..",
    "\\x\\..",
    "/%2e",
    "/x/.%2e;",
    "/account/..",
    "/..",
    "/x;/..",
    "/./.",
    "/x/y/../..",
];

/// One more change to a path.
fn respelled(mut path: String, dice: &mut Dice) -> String {
    let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
    let slash = slashes[dice.below(slashes.len().max(1)).min(slashes.len() - 1)];
    match dice.below(8) {
        0 => cased(&path, dice),
        1 => path + dice.pick(ENDS),
        2 => {
            path.insert_str(slash, dice.pick(MIDDLES));
            path
        }
        3 => {
            let other = dice.pick(&["\\", "%2f", "%5c", "%2F", "%252f", "//", "/\\", "%c0%af"]);
            path.replace_range(slash..=slash, other);
            if path.starts_with('/') {
                path
            } else {
                format!("/{path}")
            }
        }
        escape => {
            // One character, or all letters.
            let only = (escape < 7).then(|| dice.below(path.len()));
            let mut escaped = String::new();
            for (at, c) in path.chars().enumerate() {
                let chosen = only.map_or(c.is_ascii_alphanumeric(), |only| only == at);
                let _ = match (chosen && c != '/' && c != '%', dice.below(4)) {
                    (false, _) => write!(escaped, "{c}"),
                    (true, 0) => write!(escaped, "%25{:02x}", u32::from(c)),
                    (true, 1) => write!(escaped, "%u{:04x}", u32::from(c)),
                    (true, _) => write!(escaped, "%{:02X}", u32::from(c)),
                };
            }
            escaped
        }
    }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from((self.0 >> 33) % end.max(1) as u64).expect("a number")
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

fn policy(paths: &str) -> String {
    let route = |name: &str, conditions: &str| {
        format!(
            "[[route]]\nname = \"{name}\"\nhosts = [\"shop.example\"]\n{conditions}\n\
             action = \"block\"\nbelow = 100\n"
        )
    };
    let pages = route("pages", "paths = [\"/login\", \"/account/*\"]");
    let write = route("write", "paths = [\"/write\"]\nmethods = [\"POST\"]");
    // An exception ahead of what is blocked must not help either.
    let open = "[[route]]\nname = \"open\"\npaths = [\"/x/*\", \"/static/*\"]\n";
    format!("paths = \"{paths}\"\n{open}{pages}{write}")
}

/// Spellings that a server serves through a proxy with this policy, and how many it serves to who
/// asks it directly.
fn served(server: &Server, paths: &str, rounds: usize) -> (Vec<Spelling>, usize) {
    let folder = Folder::new();
    let config = folder.put("policy.toml", &policy(paths));
    let arguments = ["--config", config.to_str().expect("a path")];
    let proxy = Proxy::start_in(folder, server.address, &arguments);
    let mut dice = Dice(20_261_201);
    let (mut missed, mut direct) = (Vec::new(), 0);
    for _ in 0..rounds {
        let spelling = Spelling::random(&mut dice);
        direct += usize::from(spelling.is_served(server.address));
        if spelling.is_served(proxy.address) {
            missed.push(spelling);
        }
    }
    (missed, direct)
}

fn no_spelling_passes(kind: &str) {
    assert!(KINDS.contains(&kind));
    let Some(server) = start(kind) else { return };
    let (missed, direct) = served(&server, "any", ROUNDS);
    println!("{kind}: {direct} of {ROUNDS} spellings are served without the proxy");
    assert!(direct > ROUNDS / 20, "{kind}: {direct}");
    assert!(
        missed.is_empty(),
        "{kind}: {} of {ROUNDS}: {missed:#?}",
        missed.len()
    );
    // A comparison that is too strict for the server is found.
    let (missed, _) = served(&server, "exact", ROUNDS / 4);
    assert!(
        !missed.is_empty(),
        "{kind}: nothing passes by exact comparison"
    );
}

#[test]
fn no_spelling_passes_to_nginx() {
    no_spelling_passes("nginx");
}

#[test]
fn no_spelling_passes_to_express() {
    no_spelling_passes("express");
}

#[test]
fn no_spelling_passes_to_django() {
    no_spelling_passes("django");
}

#[test]
fn no_spelling_passes_to_tomcat() {
    no_spelling_passes("tomcat");
}
