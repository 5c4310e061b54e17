//! Real browsers of people, on a display without a screen.

use crate::{root, skipped};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a browser may take to show a page, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The first program of these names in `PATH`, or where a system keeps its servers.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin".into(), root().join("target/envoy/bin")]);
    let mut all =
        { names.iter() }.flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.find(|file| file.is_file())
}

/// A process that ends with its test, with all that it started.
pub struct Running(Child);

impl Running {
    /// Starts it in a group of its own, without input and output.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(command: &mut Command) -> Running {
        use std::os::unix::process::CommandExt;
        command.process_group(0).stdin(Stdio::null());
        command.stdout(Stdio::null());
        Running(command.spawn().expect("a process"))
    }

    /// Returns `true` if it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-9", "--", &group]).status();
        let _ = self.0.wait();
    }
}

/// A display without a screen.
pub struct Display {
    name: String,
    _server: Running,
}

impl Display {
    /// Starts one; none, said loudly, where Xvfb is missing.
    ///
    /// # Panics
    /// If no number is free.
    pub fn start() -> Option<Display> {
        let Some(xvfb) = find(&["Xvfb"]) else {
            skipped("Xvfb is not installed: tools/hosts/pingora/setup.sh");
            return None;
        };
        for number in 90..120 {
            let name = format!(":{number}");
            let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
            if socket.exists() {
                continue;
            }
            let mut command = Command::new(&xvfb);
            command.args([&name, "-screen", "0", "1280x900x24", "-nolisten", "tcp"]);
            let mut server = Running::start(command.stderr(Stdio::null()));
            for _ in 0..200 {
                std::thread::sleep(Duration::from_millis(50));
                if server.ended() {
                    break;
                }
                if socket.exists() {
                    let _server = server;
                    return Some(Display { name, _server });
                }
            }
        }
        panic!("no display starts");
    }
}

/// Settings of Chromium that keep it from asking and from calling home.
pub const CHROMIUM: &[&str] = &[
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// A browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Browser {
    /// Chromium.
    Chromium,
    /// Firefox, or its release with long support.
    Firefox,
}

impl Browser {
    /// Its name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Browser::Chromium => "chromium",
            Browser::Firefox => "firefox",
        }
    }

    /// The program; none, said loudly, where it is missing.
    pub fn program(self) -> Option<PathBuf> {
        let names: &[&str] = match self {
            Browser::Chromium => &["chromium", "chromium-browser", "google-chrome"],
            Browser::Firefox => &["firefox-esr", "firefox"],
        };
        let found = find(names);
        if found.is_none() {
            skipped(&format!(
                "{} is not installed: tools/hosts/pingora/setup.sh",
                self.name()
            ));
        }
        found
    }

    /// Opens pages, each in a tab of its own, with a new profile in `folder`. Certificates of `ca`
    /// are trusted.
    ///
    /// # Panics
    /// If the profile cannot be made.
    pub fn open(
        self,
        display: &Display,
        folder: &Path,
        ca: Option<&Path>,
        pages: &[String],
    ) -> Option<Running> {
        let mut command = Command::new(self.program()?);
        let profile = folder.join(self.name());
        std::fs::create_dir_all(&profile).expect("a folder");
        match self {
            Browser::Chromium => {
                command.args(CHROMIUM);
                if ca.is_some() {
                    command.arg("--ignore-certificate-errors");
                }
                command.arg(format!("--user-data-dir={}", profile.display()));
            }
            Browser::Firefox => {
                if let Some(ca) = ca {
                    trust(&profile, ca);
                }
                command.args(["--no-remote", "--profile"]).arg(&profile);
                command.env("HOME", &profile);
                command.env("MOZ_DISABLE_CONTENT_SANDBOX", "1");
            }
        }
        command.args(pages).env("DISPLAY", &display.name);
        Some(Running::start(command.stderr(Stdio::null())))
    }
}

/// Has a profile of Firefox trust what a certificate signs.
fn trust(profile: &Path, ca: &Path) {
    let database = format!("sql:{}", profile.display());
    let run = |arguments: &[&str]| {
        let ran = Command::new("certutil")
            .args(arguments)
            .args(["-d", &database])
            .output();
        assert!(
            ran.is_ok_and(|ran| ran.status.success()),
            "certutil {arguments:?}"
        );
    };
    run(&["-N", "--empty-password"]);
    let ca = ca.display().to_string();
    run(&["-A", "-n", "test", "-t", "C,,", "-i", &ca]);
}
