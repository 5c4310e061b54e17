//! A ClickHouse server with the two databases of the outage: `r0` has the table, `default` has a
//! distributed table over it, and whether a user sees `r0` is a line in a file.

use super::outage::FEATURES;
use super::support::{Outcome, Process, certificate, command, missing, ports, wait_until};
use std::cell::RefCell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub const TABLE: &str = "http_requests_features";

/// The query of that day: no database in its filter.
pub const OLD_QUERY: &str =
    "SELECT name, type FROM system.columns WHERE table = 'http_requests_features' ORDER BY name;";

/// The reader's password.
pub const WORD: &str = "a-word-of-its-own";

pub struct ClickHouse {
    folder: PathBuf,
    http: u16,
    https: u16,
    process: RefCell<Option<Process>>,
}

/// The server's program: in Debian's folder, or in another of `PATH`.
fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let mut files = folders.map(|folder| folder.join("clickhouse-server"));
    files.find(|file| file.is_file())
}

impl ClickHouse {
    /// Starts one and creates the tables. `None` if it is not installed.
    pub fn start(name: &str) -> Option<ClickHouse> {
        let Some(binary) = binary() else {
            return missing("clickhouse-server");
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clickhouse-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        certificate(&folder);
        let [http, https, tcp, between] = ports();
        let at = folder.display();
        let config = format!(
            "<yandex><logger><level>error</level><log>{at}/log</log>\
             <errorlog>{at}/errors</errorlog></logger>\
             <listen_host>127.0.0.1</listen_host><http_port>{http}</http_port>\
             <https_port>{https}</https_port><tcp_port>{tcp}</tcp_port>\
             <interserver_http_port>{between}</interserver_http_port>\
             <interserver_http_host>127.0.0.1</interserver_http_host>\
             <openSSL><server><certificateFile>{at}/cert.pem</certificateFile>\
             <privateKeyFile>{at}/key.pem</privateKeyFile><verificationMode>none</verificationMode>\
             </server></openSSL>\
             <max_concurrent_queries>50</max_concurrent_queries>\
             <mark_cache_size>67108864</mark_cache_size>\
             <path>{at}/data/</path><tmp_path>{at}/tmp/</tmp_path>\
             <users_config>users.xml</users_config><default_profile>default</default_profile>\
             <default_database>default</default_database>\
             <remote_servers><one><shard><replica><host>127.0.0.1</host><port>{tcp}</port>\
             </replica></shard></one></remote_servers></yandex>"
        );
        fs::write(folder.join("config.xml"), config).unwrap();
        let server = ClickHouse {
            folder: folder.clone(),
            http,
            https,
            process: RefCell::new(None),
        };
        server.permit(false);
        let mut command = Command::new(binary);
        let command = command
            .arg(format!("--config-file={at}/config.xml"))
            .current_dir(&folder)
            .stdout(fs::File::create(folder.join("out")).unwrap())
            .stderr(Stdio::null());
        *server.process.borrow_mut() = Some(Process::start(command));
        let answers = || server.ask("owner", "", "SELECT 1").is_some();
        wait_until(Duration::from_secs(60), answers, || {
            let errors = fs::read_to_string(folder.join("errors")).unwrap_or_default();
            format!("the server does not answer: {errors}")
        });
        server.make();
        Some(server)
    }

    fn make(&self) {
        let columns: Vec<String> = (0..FEATURES)
            .map(|index| format!("f{index:02} Float32"))
            .collect();
        let columns = columns.join(", ");
        self.run("CREATE DATABASE r0");
        self.run(&format!(
            "CREATE TABLE r0.{TABLE} ({columns}) ENGINE = MergeTree ORDER BY f00"
        ));
        self.run(&format!(
            "CREATE TABLE default.{TABLE} ({columns}) ENGINE = Distributed(one, r0, {TABLE})"
        ));
    }

    /// Shows `r0` to the reader, as after the change of that day, or hides it.
    pub fn permit(&self, changed: bool) {
        let r0 = if changed {
            "<database>r0</database>"
        } else {
            ""
        };
        let rest = "<networks><ip>127.0.0.1</ip></networks><profile>default</profile>\
                    <quota>default</quota>";
        let users = format!(
            "<yandex><profiles><default/></profiles><quotas><default/></quotas><users>\
             <owner><password></password>{rest}</owner>\
             <reader><password>{WORD}</password>{rest}<allow_databases>\
             <database>default</database>{r0}</allow_databases></reader></users></yandex>"
        );
        let (new, place) = (self.folder.join("users.new"), self.folder.join("users.xml"));
        // The server distinguishes two versions of the file by the second of their writing.
        let written = fs::metadata(&place).and_then(|file| file.modified()).ok();
        let age = written.and_then(|written| written.elapsed().ok());
        if let Some(rest) = age.and_then(|age| Duration::from_millis(1_100).checked_sub(age)) {
            std::thread::sleep(rest);
        }
        fs::write(&new, users).unwrap();
        fs::rename(new, place).unwrap();
    }

    /// Waits until the old query gives the reader this many rows.
    pub fn wait_rows(&self, rows: usize) -> usize {
        let query = OLD_QUERY.trim_end_matches(';');
        let count = || {
            self.ask("reader", WORD, query)
                .map_or(0, |all| all.lines().count())
        };
        let within = Duration::from_secs(20);
        wait_until(within, || count() == rows, || format!("not {rows} rows"));
        rows
    }

    /// Runs a statement as the owner.
    pub fn run(&self, statement: &str) {
        let done = self.ask("owner", "", statement);
        assert!(done.is_some(), "{statement}");
    }

    /// Returns the answer to a query, by plain HTTP. `None` if it fails.
    fn ask(&self, user: &str, word: &str, query: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).ok()?;
        let time = Some(Duration::from_secs(10));
        stream.set_read_timeout(time).ok()?;
        let length = query.len();
        write!(
            stream,
            "POST / HTTP/1.0\r\nHost: localhost\r\nX-ClickHouse-User: {user}\r\n\
             X-ClickHouse-Key: {word}\r\nContent-Length: {length}\r\n\r\n{query}"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_string())
    }

    /// Returns the environment of a reader.
    pub fn as_reader(&self) -> Vec<(&'static str, String)> {
        self.with_password(WORD)
    }

    pub fn with_password(&self, word: &str) -> Vec<(&'static str, String)> {
        vec![
            (
                "HEDGEROW_CLICKHOUSE_URL",
                format!("http://127.0.0.1:{}", self.http),
            ),
            ("HEDGEROW_CLICKHOUSE_USER", "reader".into()),
            ("HEDGEROW_CLICKHOUSE_PASSWORD", word.into()),
        ]
    }

    /// Returns the environment of a reader over TLS who knows the server's certificate, or not.
    pub fn over_tls(&self, known: bool) -> Vec<(&'static str, String)> {
        let mut env = self.as_reader();
        env[0].1 = format!("https://localhost:{}", self.https);
        if known {
            let path = self.folder.join("cert.pem").display().to_string();
            env.push(("HEDGEROW_CLICKHOUSE_CA", path));
        }
        env
    }

    pub fn stop(&self) {
        *self.process.borrow_mut() = None;
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Runs a command with an environment.
pub fn run(env: &[(&str, String)], args: &[&str]) -> Outcome {
    let env = env.iter().map(|(name, value)| (name, value));
    Outcome::of(&command(args).envs(env).output().unwrap())
}

/// Runs `generate` on the table of the outage.
pub fn generate(env: &[(&str, String)], args: &[&str]) -> Outcome {
    let command = ["generate", "--table", TABLE, "--positive", "human"];
    run(env, &[&command[..], args].concat())
}

impl Outcome {
    pub fn ok(&self) -> bool {
        self.status == 0
    }

    pub fn warns_of(&self, what: &str) -> bool {
        self.json["warnings"].to_string().contains(what)
    }

    pub fn text(&self) -> String {
        format!("{} {}", self.json, self.err)
    }

    /// Asserts a refusal by its code, its name and words of its message.
    pub fn refused(&self, code: u64, name: &str, words: &[&str]) {
        assert_eq!(self.status, 1, "{self:?}");
        assert_eq!(self.json["code"].as_u64(), Some(code), "{self:?}");
        assert_eq!(self.name(), name, "{self:?}");
        let message = self.json["message"].as_str().unwrap();
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
}
