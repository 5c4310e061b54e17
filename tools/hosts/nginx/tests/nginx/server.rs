//! Debian's nginx with the module, on loopback, in a folder of a test's own.

use hedgerow_testkit::{folder, free_port, required, script, terminate, until};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The module, built once; none where nginx is missing. It is installed only where tests must have
/// it: a test is not what a person expects a server to come by.
pub fn module() -> Option<&'static Path> {
    static MODULE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = MODULE.get_or_init(|| {
        let how: &[&str] = if required() { &[] } else { &["--installed"] };
        match script("tools/hosts/nginx/build.sh", how) {
            Ok(path) => Some(PathBuf::from(path)),
            Err(why) => {
                // What is there and does not build is no reason to skip.
                assert!(why.contains("installs them"), "{why}");
                hedgerow_testkit::skipped(&format!("nginx is missing: {why}"));
                None
            }
        }
    });
    built.as_deref()
}

/// A running nginx, which ends with it.
pub struct Nginx {
    child: Child,
    pub folder: PathBuf,
    pub port: u16,
    /// Where the server behind listens.
    pub upstream: u16,
}

impl Nginx {
    /// Starts one. `top` stands in the block `http`, `inside` in a server that proxies to another
    /// server of the same process, whose answers are the headers that reached it.
    pub fn start(module: &Path, name: &str, top: &str, inside: &str) -> Nginx {
        let (port, upstream) = (free_port(), free_port());
        // Where nobody listens.
        let inside = inside.replace("DEAD", &free_port().to_string());
        let conf = conf(module, [port, upstream], top, &inside);
        let mut nginx = Nginx::run(name, port, &conf);
        nginx.upstream = upstream;
        nginx
    }

    /// Starts one with this configuration, in a folder of its own.
    pub fn run(name: &str, port: u16, conf: &str) -> Nginx {
        let folder = place(name, conf);
        let child = command(&folder)
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let mut nginx = Nginx {
            child,
            folder,
            port,
            upstream: 0,
        };
        nginx.wait();
        nginx
    }

    fn wait(&mut self) {
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let gone = self.child.try_wait().expect("a child");
            assert!(gone.is_none(), "nginx ended: {}", self.errors());
            assert!(Instant::now() < end, "nginx is not up: {}", self.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What its error log holds.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.join("logs/error.log")).unwrap_or_default()
    }

    /// Waits until the error log holds a text.
    pub fn wait_for_error(&self, text: &str) {
        let missing = || format!("no {text:?} in {}", self.errors());
        until(
            Duration::from_secs(20),
            || self.errors().contains(text),
            missing,
        );
    }

    /// `nginx -s reload`.
    pub fn reload(&self) {
        let reloaded = command(&self.folder).args(["-s", "reload"]).output();
        let reloaded = reloaded.expect("nginx runs");
        let errors = String::from_utf8_lossy(&reloaded.stderr);
        assert!(reloaded.status.success(), "{errors}");
    }

    /// The whole answer to what is sent, byte by byte as it is.
    pub fn raw(&self, sent: &[u8]) -> String {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect(address).expect("a connection");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a limit");
        // A server that has had enough may close before all is sent.
        let _ = stream.write_all(sent);
        let (mut answer, mut chunk) = (Vec::new(), [0; 4_096]);
        while !is_whole(&answer) {
            match stream.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(count) => answer.extend_from_slice(&chunk[..count]),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends this, and closes before an answer is there.
    pub fn send_and_leave(&self, sent: &[u8]) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(sent).expect("sent");
    }

    /// The answer to a GET with these header lines.
    pub fn get(&self, target: &str, headers: &[&str]) -> String {
        let headers = headers.join("\r\n");
        let sent = format!("GET {target} HTTP/1.1\r\n{headers}\r\n\r\n");
        self.raw(sent.as_bytes())
    }

    /// Process numbers of the workers.
    pub fn workers(&self) -> Vec<String> {
        let pid = self.child.id();
        let children = format!("/proc/{pid}/task/{pid}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        children.split_whitespace().map(String::from).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGQUIT would wait for clients; SIGTERM ends workers, too.
        terminate(&mut self.child);
    }
}

/// What `nginx -t` says of such a configuration: none where it is fine.
pub fn refusal(module: &Path, name: &str, top: &str, inside: &str) -> Option<String> {
    let (taken, said) = tried(module, name, top, inside);
    (!taken).then_some(said)
}

/// Whether `nginx -t` takes such a configuration, and what it says of it.
pub fn tried(module: &Path, name: &str, top: &str, inside: &str) -> (bool, String) {
    let conf = conf(module, [free_port(), free_port()], top, inside);
    let folder = place(name, &conf);
    let tried = command(&folder).arg("-t").output().expect("nginx runs");
    let said = String::from_utf8_lossy(&tried.stderr).into_owned();
    (tried.status.success(), said)
}

/// Whether an answer has all that its head promises; one without a length ends with its
/// connection.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = length.and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| body.len() >= length)
}

/// The status line's number.
pub fn status(answer: &str) -> u16 {
    let number = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    number.unwrap_or_default()
}

/// The body.
pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A folder with this configuration, and with what comes before it for every nginx of the tests.
fn place(name: &str, conf: &str) -> PathBuf {
    let folder = folder(name).expect("a folder");
    for inside in ["logs", "temp"] {
        std::fs::create_dir(folder.join(inside)).expect("a folder");
    }
    // The tests run as whoever builds; where that is root, workers must be able to read its files.
    // The second log has what comes where nobody sets a level.
    let head = "user root; daemon off; worker_processes 2; worker_rlimit_nofile 16384;\n\
                pid nginx.pid; error_log logs/error.log notice; error_log logs/default.log;\n";
    let temp = |kind| format!("{kind}_temp_path temp/{kind};\n");
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(temp);
    let conf = conf.replacen("http {\n", &format!("http {{\n{}", temp.concat()), 1);
    std::fs::write(folder.join("nginx.conf"), format!("{head}{conf}")).expect("a file");
    folder
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(folder);
    command.args(["-c", "nginx.conf", "-e", "logs/error.log"]);
    command
}

fn conf(module: &Path, ports: [u16; 2], top: &str, inside: &str) -> String {
    let ([port, upstream], module) = (ports, module.display());
    format!(
        r#"
load_module {module};
events {{ worker_connections 16384; }}
http {{
    access_log logs/access.log combined;
    log_format bot '$status $bot_score $bot_source $bot_generation $bot_detections $bot_reason';
    upstream behind {{ server 127.0.0.1:{upstream}; keepalive 64; }}
    {top}
    server {{
        listen 127.0.0.1:{upstream};
        keepalive_requests 1000000;
        access_log off;
        bot_score off;
        set $two "$http_x_bot_generation|$http_x_bot_detections";
        return 200 "$http_x_bot_score|$http_x_bot_source|$two";
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        keepalive_requests 1000000;
        access_log logs/bot.log bot;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Bot-Score $bot_score;
        proxy_set_header X-Bot-Source $bot_source;
        proxy_set_header X-Bot-Generation $bot_generation;
        proxy_set_header X-Bot-Detections $bot_detections;
        location / {{ proxy_pass http://behind; }}
        {inside}
    }}
}}
"#
    )
}
