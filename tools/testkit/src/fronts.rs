//! Real proxies in front of a host, with the settings that people give them.
//!
//! `tools/testkit/fronts/setup.sh` installs them. The folder has their configurations.

use crate::browsers::{Running, find};
use crate::{folder, free_port, root, skipped};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a proxy may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program, and how it is started with a configuration `FILE` in `FOLDER`.
struct Kind {
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// Whether it ends TLS.
    tls: bool,
}

const fn kind(
    name: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    tls: bool,
) -> Kind {
    Kind {
        name,
        program,
        arguments,
        tls,
    }
}

/// Every proxy, by the name of its configuration.
const KINDS: [Kind; 8] = [
    kind(
        "nginx",
        "nginx",
        &["-p", "FOLDER", "-c", "FILE", "-e", "stderr"],
        true,
    ),
    kind(
        "nginx-bare",
        "nginx",
        &["-p", "FOLDER", "-c", "FILE", "-e", "stderr"],
        false,
    ),
    kind("haproxy", "haproxy", &["-db", "-f", "FILE"], true),
    kind(
        "envoy",
        "envoy",
        &[
            "--disable-hot-restart",
            "--concurrency",
            "1",
            "--log-level",
            "error",
            "-c",
            "FILE",
        ],
        true,
    ),
    kind(
        "caddy",
        "caddy",
        &["run", "--adapter", "caddyfile", "--config", "FILE"],
        true,
    ),
    kind("apache", "apache2", &["-DFOREGROUND", "-f", "FILE"], false),
    kind(
        "varnish",
        "varnishd",
        &[
            "-F",
            "-j",
            "none",
            "-n",
            "FOLDER/work",
            "-a",
            "127.0.0.1:PORT",
            "-f",
            "FILE",
        ],
        false,
    ),
    kind("squid", "squid", &["-N", "-f", "FILE"], false),
];

/// A certificate for 127.0.0.1, and what signed it.
#[derive(Debug, Clone)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them; none, said loudly, where openssl or certutil is missing.
    pub fn new(name: &str) -> Option<Certificates> {
        if find(&["openssl"]).is_none() || find(&["certutil"]).is_none() {
            skipped("openssl or certutil is missing: tools/testkit/fronts/setup.sh");
            return None;
        }
        let folder = folder(name).expect("a folder");
        let script = root().join("tools/testkit/fronts/certificates.sh");
        let ran = Command::new("bash").arg(script).arg(&folder).output();
        let ran = ran.expect("bash");
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{errors}");
        Some(Certificates { folder })
    }

    /// The file of the certificate that signed the other.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }
}

/// A running proxy in front of a host.
pub struct Front {
    /// Its name.
    pub name: &'static str,
    port: u16,
    tls: bool,
    _running: Running,
}

impl Front {
    /// Starts every proxy that is there, in front of the host at this port of loopback. One that
    /// is missing is said loudly.
    ///
    /// # Panics
    /// If one that is there does not start.
    pub fn all(test: &str, behind: u16, certificates: Option<&Certificates>) -> Vec<Front> {
        let kinds = KINDS.iter();
        kinds
            .filter_map(|kind| Front::start(test, kind, behind, certificates))
            .collect()
    }

    fn start(test: &str, kind: &Kind, behind: u16, tls: Option<&Certificates>) -> Option<Front> {
        let Some(program) = find(&[kind.program]) else {
            let name = kind.program;
            skipped(&format!("{name} is missing: tools/testkit/fronts/setup.sh"));
            return None;
        };
        let tls = tls.filter(|_| kind.tls);
        let folder = folder(&format!("{test}-{}", kind.name)).expect("a folder");
        let port = free_port();
        // Envoy goes by the ending, and the others by nothing.
        let file = folder.join("conf.yaml");
        let filled = |text: &str| {
            let text = text.replace("FOLDER", &folder.display().to_string());
            let text = text.replace("FILE", &file.display().to_string());
            let text = text.replace("PORT", &port.to_string());
            text.replace("BEHIND", &behind.to_string())
        };
        std::fs::write(&file, filled(&configuration(kind, tls))).expect("a file");
        let errors = folder.join("errors");
        let mut command = Command::new(program);
        command.args(kind.arguments.iter().map(|argument| filled(argument)));
        command.env("HOME", &folder).current_dir(&folder);
        command.stderr(std::fs::File::create(&errors).expect("a file"));
        let mut running = Running::start(&mut command);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = running.ended() || Instant::now() > end;
            let said = std::fs::read_to_string(&errors).unwrap_or_default();
            assert!(!ended, "{} does not start: {said}", kind.name);
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Front {
            name: kind.name,
            port,
            tls: tls.is_some(),
            _running: running,
        })
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }

    /// Whether clients speak TLS, and with that HTTP/2.
    pub fn ends_tls(&self) -> bool {
        self.tls
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The text of a configuration. Lines that start with `#tls` are for TLS, those with `#plain` for
/// plain text.
fn configuration(kind: &Kind, tls: Option<&Certificates>) -> String {
    let path = root()
        .join("tools/testkit/fronts")
        .join(format!("{}.conf", kind.name));
    let text = std::fs::read_to_string(path).expect("a configuration");
    let (taken, left) = if tls.is_some() {
        ("#tls ", "#plain ")
    } else {
        ("#plain ", "#tls ")
    };
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(left));
    let text: String = lines
        .map(|line| line.replacen(taken, "", 1) + "\n")
        .collect();
    let folder = |tls: &Certificates| text.replace("TLS", &tls.folder.display().to_string());
    tls.map_or_else(|| text.clone(), folder)
}

/// A folder for the profiles of browsers.
///
/// # Panics
/// If it cannot be made.
pub fn profiles(test: &str) -> PathBuf {
    let path: &Path = &folder(&format!("{test}-profiles")).expect("a folder");
    path.to_path_buf()
}
