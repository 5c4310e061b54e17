//! Reads rows from ClickHouse over its HTTP interface.
//!
//! A request is a GET, which the server runs read-only. The password goes in a header, never in
//! the address, and over TLS unless the server is this machine. The answer is JSON with its own
//! count of rows, so that an answer that was cut, or ends in an error, is refused.

use super::list::{Column, Place};
use hedgerow::RefusalKind;
use hedgerow_cli::failure::Failure;
use hedgerow_cli::files;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use url::{Position, Url};

/// Bytes of an answer, 4 MiB: a thousand times a list of features.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Bytes of a query, 8 KiB: it goes in the address, of which servers take 16.
const QUERY_BYTES_MAX: usize = 8 << 10;

/// A server, and the user who asks it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// `https://HOST:8443` or `http://HOST:8123`.
    url: String,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    password: Option<String>,
    /// A PEM file of the certificates to trust, in place of the public ones.
    #[serde(default)]
    ca: Option<PathBuf>,
    /// Whether a password may go over plain HTTP to another machine.
    #[serde(default)]
    plain: bool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Server { url, user, .. } = self;
        f.debug_struct("Server")
            .field("url", url)
            .field("user", user)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Column>,
    rows: usize,
    /// What went wrong behind the first rows, whose count is then right all the same.
    exception: Option<String>,
}

/// The content of a server's file.
const FILE: &str = "url, and user, password, ca and plain where needed, in TOML";

impl Server {
    /// Reads the server from a file, or else from the environment: `HEDGEROW_CLICKHOUSE_URL`,
    /// `_USER`, `_PASSWORD`, `_CA` and `_PLAIN`.
    ///
    /// # Errors
    /// `usage` or `server` if there is none, or others can read the file with the password.
    pub fn find(file: Option<&Path>) -> Result<Server, Failure> {
        let server = match file {
            Some(path) => Server::read(path)?,
            None => {
                let of = |name: &str| std::env::var(format!("HEDGEROW_CLICKHOUSE_{name}")).ok();
                let expected = "an address, or --server FILE";
                let none = || Failure::usage("HEDGEROW_CLICKHOUSE_URL", expected, "none");
                Server {
                    url: of("URL").ok_or_else(none)?,
                    user: of("USER"),
                    password: of("PASSWORD"),
                    ca: of("CA").map(PathBuf::from),
                    plain: of("PLAIN").is_some_and(|plain| plain == "1"),
                }
            }
        };
        server.check()?;
        Ok(server)
    }

    fn read(path: &Path) -> Result<Server, Failure> {
        let text = files::read_text(path, "server", FILE)?;
        // The text is not shown: it may have the password.
        let wrong = |error: toml::de::Error| {
            let line = error.span().map_or(0, |span| {
                text.get(..span.start).unwrap_or_default().lines().count()
            });
            Failure::new(
                "server",
                path.display(),
                FILE,
                format!("another, in line {line}"),
            )
        };
        let server: Server = toml::from_str(&text).map_err(wrong)?;
        if server.password.is_some() {
            files::check_private(path, "server")?;
        }
        Ok(server)
    }

    fn check(&self) -> Result<(), Failure> {
        let wrong = |expected: &str, got: &str| {
            let at = "the server's url";
            Err(Failure::usage(at, expected, got))
        };
        let expected = "https://HOST:PORT or http://HOST:PORT, without a user or a path";
        let url = Url::parse(&self.url).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url else {
            return wrong(expected, "another beginning");
        };
        let is_bare = url.username().is_empty() && url.password().is_none();
        if !is_bare || !matches!(&url[Position::AfterPort..], "" | "/") {
            return wrong(expected, "more than a host and a port");
        }
        let is_plain = url.scheme() == "http";
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if is_plain && self.password.is_some() && !is_here && !self.plain {
            let expected =
                "https for a password (plain = true, or _PLAIN=1, sends it all the same)";
            return wrong(expected, "http");
        }
        Ok(())
    }

    fn tls(&self) -> Result<TlsConfig, Failure> {
        let Some(path) = &self.ca else {
            return Ok(TlsConfig::default());
        };
        let expected = "certificates in PEM";
        let text = files::read_text(path, "server", expected)?;
        let wrong = |got: String| Failure::new("server", path.display(), expected, got);
        let mut all: Vec<Certificate<'static>> = Vec::new();
        for item in ureq::tls::parse_pem(text.as_bytes()) {
            if let PemItem::Certificate(it) = item.map_err(|error| wrong(error.to_string()))? {
                all.push(it);
            }
        }
        if all.is_empty() {
            return Err(wrong("none".into()));
        }
        let roots = RootCerts::new_with_certs(&all);
        Ok(TlsConfig::builder().root_certs(roots).build())
    }

    /// Returns the columns of a query.
    ///
    /// # Errors
    /// `ListDatabase` if the server gives no whole answer in time.
    pub fn ask(&self, query: &str, within: Duration) -> Result<Vec<Column>, Failure> {
        let failed = |expected: &str, got: &dyn std::fmt::Display| -> Failure {
            RefusalKind::ListDatabase
                .at(&self.url, expected, got)
                .into()
        };
        if query.len() > QUERY_BYTES_MAX {
            let expected = format!("a query of at most {QUERY_BYTES_MAX} bytes");
            return Err(Failure::usage("--query", expected, query.len()));
        }
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(within))
            .tls_config(self.tls()?)
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .new_agent();
        let mut request = agent
            .get(format!("{}/", self.url.trim_end_matches('/')))
            .query("query", query)
            .query("default_format", "JSON");
        if let Some(user) = &self.user {
            request = request.header("X-ClickHouse-User", user);
        }
        if let Some(password) = &self.password {
            request = request.header("X-ClickHouse-Key", password);
        }
        let mut answer = request
            .call()
            .map_err(|error| failed("an answer", &error))?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let text = body
            .read_to_vec()
            .map_err(|error| failed("a whole answer", &error))?;
        if status != 200 {
            let text: String = String::from_utf8_lossy(&text).chars().take(300).collect();
            let got = format!("the status {status}: {}", text.trim());
            return Err(failed("the status 200", &got));
        }
        let expected = "rows with name and type, as JSON (no FORMAT in the query)";
        let answer: Answer =
            serde_json::from_slice(&text).map_err(|error| failed(expected, &error))?;
        if let Some(exception) = &answer.exception {
            let text: String = exception.chars().take(300).collect();
            return Err(failed("an answer without an exception", &text));
        }
        // Without them nothing shows rows of another table.
        let lacks = |row: &Column| row.database.is_none() || row.table.is_none();
        if query.starts_with(PLACED) && answer.data.iter().any(lacks) {
            let expected = "database and table in every row, as the query asks";
            return Err(failed(expected, &"rows without"));
        }
        if answer.rows != answer.data.len() {
            let (rows, got) = (answer.rows, answer.data.len());
            return Err(failed(&format!("the {rows} rows that it counts"), &got));
        }
        Ok(answer.data)
    }
}

/// The beginning of queries whose rows say which table they are of.
const PLACED: &str = "SELECT database, table,";

/// Returns the query for the columns of one table.
pub fn scoped(place: &Place) -> String {
    let Place { database, table } = place;
    format!(
        "{PLACED} name, type FROM system.columns \
         WHERE database = '{database}' AND table = '{table}' ORDER BY name"
    )
}

/// Returns the query for the databases in which the user sees a table of this name.
pub fn homes(table: &str) -> String {
    format!(
        "{PLACED} database AS name, '' AS type FROM system.columns \
         WHERE table = '{table}' GROUP BY database, table ORDER BY database LIMIT 16"
    )
}

/// Parses an identifier that needs no quotes; others are refused.
pub fn identifier(text: &str) -> Result<String, String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match (1..=128).contains(&text.len()) && text.bytes().all(sound) {
        true => Ok(text.into()),
        false => Err("expected 1 to 128 letters, digits and `_`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, password: Option<&str>, plain: bool) -> Server {
        Server {
            url: url.into(),
            user: None,
            password: password.map(Into::into),
            ca: None,
            plain,
        }
    }

    #[test]
    fn a_password_goes_nowhere_in_the_open() {
        for (url, plain, good) in [
            ("http://127.0.0.1:8123", false, true),
            ("http://localhost", false, true),
            ("http://[::1]:8123/", false, true),
            ("https://db.example:8443", false, true),
            ("http://db.example:8123", false, false),
            ("http://127.0.0.1.example:8123", false, false),
            ("http://db.example:8123", true, true),
            ("ftp://127.0.0.1", false, false),
            ("https://user:word@db.example", false, false),
            ("https://db.example/path", false, false),
            ("https://", false, false),
            ("db.example", false, false),
        ] {
            let checked = server(url, Some("secret"), plain).check();
            assert_eq!(checked.is_ok(), good, "{url}: {checked:?}");
        }
        server("http://db.example:8123", None, false)
            .check()
            .unwrap();
        let shown = format!("{:?}", server("http://x", Some("secret"), false));
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn nothing_but_identifiers_gets_into_a_query() {
        for bad in ["", "a'b", "a\\", "a b", "a;", "a.b", "é", &"x".repeat(129)] {
            assert!(identifier(bad).is_err(), "{bad}");
        }
        assert_eq!(
            identifier("http_requests_features").unwrap(),
            "http_requests_features"
        );
    }

    /// A server that gives one answer, whatever it is asked.
    fn answering(body: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4_096];
            let _ = std::io::Read::read(&mut stream, &mut head);
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
        });
        format!("http://{address}")
    }

    #[test]
    fn an_answer_that_ends_in_an_error_or_lacks_its_table_is_refused() {
        let place = Place {
            database: "d".into(),
            table: "t".into(),
        };
        let row = r#"{"database":"d","table":"t","name":"a","type":"UInt8"}"#;
        let whole: &str = Box::leak(format!(r#"{{"data":[{row}],"rows":1}}"#).into_boxed_str());
        let ask = |body, query: &str| {
            let server = server(&answering(body), None, false);
            server.ask(query, Duration::from_secs(5))
        };
        assert_eq!(ask(whole, &scoped(&place)).unwrap().len(), 1);
        let failed = whole.replace("\"rows\":1", "\"rows\":1,\"exception\":\"Code: 241\"");
        let failed = ask(Box::leak(failed.into_boxed_str()), &scoped(&place)).unwrap_err();
        assert!(failed.to_string().contains("Code: 241"), "{failed}");
        let bare = r#"{"data":[{"name":"a","type":"UInt8"}],"rows":1}"#;
        for query in [scoped(&place), homes("t")] {
            let refused = ask(bare, &query).unwrap_err();
            assert!(
                refused.to_string().contains("database and table"),
                "{refused}"
            );
        }
        // A query of one's own need not ask for them.
        assert_eq!(ask(bare, "SELECT name, type FROM x").unwrap().len(), 1);
    }
}
