//! The binary, an upstream that tells what it got, and a client that writes bytes as they are.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Answers each request with 200 and the request's head as it came.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Receiver<String>,
}

impl Upstream {
    pub fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        // The latest heads; those that nobody asks for are left out.
        let (tell, seen) = sync_channel(256);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let tell = tell.clone();
                std::thread::spawn(move || echo(stream, &tell));
            }
        });
        Upstream { address, seen }
    }

    /// The next head of a request for a path, for as long as one may take to come.
    pub fn sees(&self, path: &str, patience: Duration) -> Option<String> {
        let start = Instant::now();
        loop {
            let rest = patience.checked_sub(start.elapsed())?;
            let head = self.seen.recv_timeout(rest).ok()?;
            if head.split(' ').nth(1) == Some(path) {
                return Some(head);
            }
        }
    }
}

impl Upstream {
    /// The first heads of requests for these paths, for as long as all may take to come.
    pub fn sees_all(&self, paths: &[String], patience: Duration) -> HashMap<String, String> {
        let start = Instant::now();
        let mut heads = HashMap::new();
        while heads.len() < paths.len() {
            let Some(rest) = patience.checked_sub(start.elapsed()) else {
                break;
            };
            let Ok(head) = self.seen.recv_timeout(rest) else {
                break;
            };
            let path = head.split(' ').nth(1).unwrap_or_default().to_string();
            if paths.contains(&path) {
                heads.entry(path).or_insert(head);
            }
        }
        heads
    }
}

fn echo(stream: TcpStream, tell: &SyncSender<String>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let head = head(&mut reader)?;
        let length = header(&head, "content-length").and_then(|value| value.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let bodiless = head.starts_with("HEAD ");
        let said = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
            head.len()
        );
        let _ = tell.try_send(head.clone());
        let body = if bodiless { "" } else { &head };
        writer.write_all((said + body).as_bytes()).ok()?;
    }
}

/// A head, up to and without its empty line.
fn head(reader: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        if line == b"\r\n" {
            return Some(head);
        }
        head.push_str(&String::from_utf8_lossy(&line));
    }
}

/// The value of the first header of a name, whatever its case.
pub fn header(head: &str, name: &str) -> Option<String> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim().to_string())
}

/// A folder that goes with its test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hedgerow-proxy-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a folder");
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a new file and moves it into place.
    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).expect("a file");
        fs::rename(&new, &path).expect("a place");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running proxy.
pub struct Proxy {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub folder: Folder,
    child: Child,
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

impl Proxy {
    pub fn start(upstream: SocketAddr, more: &[&str]) -> Proxy {
        Proxy::start_in(Folder::new(), upstream, more)
    }

    pub fn start_in(mut folder: Folder, upstream: SocketAddr, more: &[&str]) -> Proxy {
        // A port may be taken by another before the proxy has it.
        for _ in 0..5 {
            let (address, admin) = (free(), free());
            let stderr = fs::File::create(folder.path("stderr")).expect("a file");
            let child = Command::new(env!("CARGO_BIN_EXE_hedgerow-proxy"))
                .args(["--upstream", &upstream.to_string()])
                .args([
                    "--listen",
                    &address.to_string(),
                    "--admin",
                    &admin.to_string(),
                ])
                .args(more)
                .stdin(Stdio::null())
                .stderr(stderr)
                .spawn()
                .expect("the proxy");
            let mut proxy = Proxy {
                address,
                admin,
                folder,
                child,
            };
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                if proxy
                    .get("/healthz")
                    .is_some_and(|answer| answer.status == 200)
                    && TcpStream::connect(address).is_ok()
                {
                    return proxy;
                }
                if proxy.child.try_wait().expect("a state").is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            println!("again, after: {}", proxy.stderr());
            folder = std::mem::replace(&mut proxy.folder, Folder::new());
        }
        panic!("the proxy does not start");
    }

    /// What it wrote to its standard error.
    pub fn stderr(&self) -> String {
        let file = fs::File::open(self.folder.path("stderr")).expect("a file");
        let mut text = String::new();
        file.take(1 << 20).read_to_string(&mut text).expect("text");
        text
    }

    /// How often something stands in its standard error, once it does: a thread of its own writes
    /// there.
    pub fn says(&self, what: &str) -> usize {
        let start = Instant::now();
        loop {
            let count = self.stderr().matches(what).count();
            if count > 0 || start.elapsed() > PATIENCE {
                return count;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// An answer of the admin listener.
    pub fn get(&self, path: &str) -> Option<Answer> {
        let mut connection = Connection::new(self.admin)?;
        let host = self.admin;
        connection.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
    }

    /// The status page's data.
    pub fn status(&self) -> serde_json::Value {
        let answer = self.get("/status.json").expect("an answer");
        serde_json::from_str(&answer.body).expect("JSON")
    }

    /// Whether something comes true of the status.
    pub fn comes(&self, holds: impl Fn(&serde_json::Value) -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if holds(&self.status()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("{}", self.status());
        false
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: i32) {
        let sent = Command::new("kill")
            .args([format!("-{signal}"), self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end; whether that was a success.
    pub fn ends(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a state") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// A connection that sends bytes as they are.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn new(address: SocketAddr) -> Option<Connection> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Connection {
            reader: BufReader::new(stream),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Option<()> {
        self.reader.get_mut().write_all(bytes).ok()
    }

    /// Reads what comes until the connection ends.
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.reader.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a request, and reads an answer.
    pub fn ask(&mut self, request: &[u8]) -> Option<Answer> {
        self.send(request)?;
        self.answer(request.starts_with(b"HEAD "))
    }

    /// Reads an answer; none where the connection ends before one.
    pub fn answer(&mut self, bodiless: bool) -> Option<Answer> {
        let head = head(&mut self.reader)?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length = header(&head, "content-length").and_then(|value| value.parse().ok());
        let mut body = vec![0; length.filter(|_| !bodiless).unwrap_or(0)];
        self.reader.read_exact(&mut body).ok()?;
        let body = String::from_utf8_lossy(&body).into_owned();
        Some(Answer { status, head, body })
    }
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, request: &str) -> Option<Answer> {
    Connection::new(address)?.ask(request.as_bytes())
}

/// A request of curl's.
pub fn curl(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5\r\nAccept: */*\r\n\r\n"
    )
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("../../..").canonicalize().expect("the checkout")
}
