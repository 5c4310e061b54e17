//! The real Envoy with the module, on loopback, and a server behind it.

use hedgerow_testkit::{block, folder, free_port, required, script, terminate};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Envoy and the module; none where Envoy is missing, which is installed only where tests must have
/// it.
pub fn parts() -> Option<(PathBuf, PathBuf)> {
    let how: &[&str] = if required() { &[] } else { &["--installed"] };
    let envoy = match script("tools/hosts/envoy/setup.sh", how) {
        Ok(path) => PathBuf::from(path),
        Err(why) => {
            hedgerow_testkit::skipped(&format!("Envoy is missing: {why}"));
            return None;
        }
    };
    let module = script("tools/hosts/envoy/build.sh", &["--package", "hedgerow-cli"])
        .expect("the module builds");
    Some((envoy, PathBuf::from(module)))
}

/// A server whose answers are the headers that reached it; 404 for the path `/missing`.
fn behind() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(stream: TcpStream) -> Option<()> {
    let mut to = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    loop {
        let mut body = String::new();
        loop {
            let line = lines.next()?.ok()?;
            if line.is_empty() {
                break;
            }
            body.push_str(&format!("{line}\n"));
        }
        let status = match body.contains(" /missing ") {
            true => "404 Not Found",
            false => "200 OK",
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        to.write_all(format!("{head}{body}").as_bytes()).ok()?;
    }
}

/// A running Envoy, which ends with it.
pub struct Envoy {
    child: Child,
    pub folder: PathBuf,
    pub port: u16,
}

impl Envoy {
    /// Starts one with the manual's configuration, in which `table: default` becomes `filter`. None
    /// where it ends by itself.
    pub fn start(name: &str, filter: &str) -> Option<Result<Envoy, String>> {
        Envoy::start_behind(name, filter, "")
    }

    /// As [`start`](Envoy::start), with a line more for the connection manager.
    pub fn start_behind(name: &str, filter: &str, line: &str) -> Option<Result<Envoy, String>> {
        let (envoy, module) = parts()?;
        let folder = folder(name).expect("a folder");
        let port = free_port();
        let conf = block("src/manual/envoy.md", "yaml");
        let conf = conf.replace("port_value: PORT", &format!("port_value: {port}"));
        let conf = conf.replace("BEHIND", &behind().to_string());
        let conf = conf.replace("LOG", &folder.join("access.log").display().to_string());
        let conf = conf.replace("table: default", filter);
        let manager = "use_remote_address: true";
        assert_eq!(conf.matches(manager).count(), 1);
        let conf = conf.replace(manager, &format!("{manager}\n          {line}"));
        std::fs::write(folder.join("envoy.yaml"), conf).expect("a file");
        let errors = std::fs::File::create(folder.join("errors")).expect("a file");
        let child = Command::new(envoy)
            .args(["--disable-hot-restart", "--concurrency", "2", "-c"])
            .arg(folder.join("envoy.yaml"))
            .env(
                "ENVOY_DYNAMIC_MODULES_SEARCH_PATH",
                module.parent().expect("a folder"),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .expect("Envoy starts");
        let mut envoy = Envoy {
            child,
            folder,
            port,
        };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if envoy.child.try_wait().expect("a child").is_some() {
                return Some(Err(envoy.errors()));
            }
            assert!(Instant::now() < end, "Envoy is not up: {}", envoy.errors());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Ok(envoy))
    }

    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.join("errors")).unwrap_or_default()
    }

    pub fn get(&self, headers: &str) -> String {
        self.get_path("/", headers)
    }

    pub fn get_path(&self, path: &str, headers: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n"
        ))
    }

    /// The answer to a request, up to the end of its connection.
    pub fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("Envoy");
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).expect("a limit");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        terminate(&mut self.child);
    }
}

/// The value of a header that reached the server behind.
pub fn reached<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let body = answer.split_once("\r\n\r\n")?.1;
    body.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
