//! The command line of `hedgerow-proxy`.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// What `--help` prints.
pub const HELP: &str = "\
hedgerow-proxy: a reverse proxy that scores every request

usage: hedgerow-proxy --upstream ADDR [options]

  --upstream ADDR   where requests go, such as 127.0.0.1:8000
  --listen ADDR     where they come from (127.0.0.1:6188)
  --h2c             takes HTTP/2 without TLS, too, as from what ends TLS in front
  --cert FILE       ends TLS here, and takes HTTP/2: a chain of certificates in PEM, and
  --key FILE        their key; for builds with --features tls
  --admin ADDR      /metrics, and a status page at / (127.0.0.1:6189; `off`: none)
  --config FILE     the policy, in TOML; watched, and read anew on SIGHUP
  --check           reads the policy, says whether it would be taken, and ends
  --tables DIR      a watched directory of tables (the bundled table)
  --state DIR       this engine's own folder, for a watched directory (DIR/engines/proxy)
  --trust FILE      a public key whose tables are taken; with one, no others are
  --log FILE        the access log, a line of JSON for each request; `-`: standard output
  --threads N       threads that handle requests (one for each core)
  --no-affinity     leaves threads to the system, not bound to cores
  --no-scoring      passes everything on unscored, to measure what scoring costs
";

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// Where requests go.
    pub upstream: Option<SocketAddr>,
    /// Where they come from.
    pub listen: SocketAddr,
    /// Whether HTTP/2 is taken without TLS.
    pub h2c: bool,
    /// A chain of certificates and its key, where TLS ends here.
    pub tls: Option<(String, String)>,
    /// Where metrics are.
    pub admin: Option<SocketAddr>,
    /// The policy's file.
    pub config: Option<PathBuf>,
    /// Whether to read the policy and end.
    pub check: bool,
    /// The watched directory.
    pub tables: Option<PathBuf>,
    /// The engine's own folder.
    pub state: Option<PathBuf>,
    /// Public keys.
    pub trust: Vec<PathBuf>,
    /// The access log.
    pub log: Option<String>,
    /// Threads.
    pub threads: Option<usize>,
    /// Whether threads are bound to cores.
    pub affinity: bool,
    /// Whether requests are scored.
    pub scoring: bool,
}

impl Args {
    /// Reads a command line; none where help is asked for.
    ///
    /// # Errors
    /// What was expected, and what came.
    pub fn parse(mut from: impl Iterator<Item = String>) -> Result<Option<Args>, String> {
        let mut args = Args {
            upstream: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 6188)),
            h2c: false,
            tls: None,
            admin: Some(SocketAddr::from(([127, 0, 0, 1], 6189))),
            config: None,
            check: false,
            tables: None,
            state: None,
            trust: Vec::new(),
            log: None,
            threads: None,
            affinity: true,
            scoring: true,
        };
        let (mut cert, mut key) = (None, None);
        while let Some(option) = from.next() {
            let mut value = || {
                let value = from.next();
                value.ok_or(format!("expected a value behind {option}, got nothing"))
            };
            match option.as_str() {
                "-h" | "--help" => return Ok(None),
                "--upstream" => args.upstream = Some(address(&option, &value()?)?),
                "--listen" => args.listen = address(&option, &value()?)?,
                "--admin" => {
                    let text = value()?;
                    args.admin = match text.as_str() {
                        "off" => None,
                        text => Some(address(&option, text)?),
                    };
                }
                "--h2c" => args.h2c = true,
                "--cert" => cert = Some(value()?),
                "--key" => key = Some(value()?),
                "--config" => args.config = Some(value()?.into()),
                "--check" => args.check = true,
                "--tables" => args.tables = Some(value()?.into()),
                "--state" => args.state = Some(value()?.into()),
                "--trust" => args.trust.push(value()?.into()),
                "--log" => args.log = Some(value()?),
                "--threads" => args.threads = Some(threads(&value()?)?),
                "--no-affinity" => args.affinity = false,
                "--no-scoring" => args.scoring = false,
                other => return Err(format!("expected an option of --help, got {other:?}")),
            }
        }
        args.tls = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) if cfg!(feature = "tls") => Some((cert, key)),
            (Some(_), Some(_)) => {
                return Err("expected a build with --features tls for --cert".into());
            }
            _ => return Err("expected --cert FILE and --key FILE, got one of them".into()),
        };
        args.checked().map(Some)
    }

    /// Whether what was said goes together.
    fn checked(self) -> Result<Args, String> {
        if self.tables.is_none() && (self.state.is_some() || !self.trust.is_empty()) {
            return Err("expected --tables DIR with --state and --trust, got none".into());
        }
        for (option, other) in [("--upstream", self.upstream), ("--admin", self.admin)] {
            if other == Some(self.listen) {
                return Err(format!("{option}: expected another address than --listen"));
            }
        }
        match (self.upstream, self.check, &self.config) {
            (_, true, None) => Err("expected --config FILE to check, got none".into()),
            (None, false, _) => Err("expected --upstream ADDR, got none".into()),
            _ => Ok(self),
        }
    }
}

fn address(option: &str, text: &str) -> Result<SocketAddr, String> {
    let wrong = |why: &dyn std::fmt::Display| {
        format!("{option}: expected HOST:PORT, such as 127.0.0.1:8000, got {text:?}: {why}")
    };
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error))?;
    found.next().ok_or_else(|| wrong(&"no address"))
}

fn threads(text: &str) -> Result<usize, String> {
    let parsed = text
        .parse()
        .ok()
        .filter(|number| (1..=1_024).contains(number));
    parsed.ok_or_else(|| format!("--threads: expected a number from 1 to 1024, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Args>, String> {
        Args::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, said) in [
            ("", "--upstream"),
            ("--upstream", "a value behind --upstream"),
            ("--upstream 8000", "HOST:PORT"),
            ("--upstream 127.0.0.1:1 --threads 0", "1 to 1024"),
            ("--upstream 127.0.0.1:1 --thread 1", "\"--thread\""),
            ("--check", "--config FILE"),
            ("--upstream 127.0.0.1:1 --cert a", "--key FILE"),
            ("--upstream nowhere.invalid:80", "lookup"),
            ("--upstream 127.0.0.1:6188", "another address than --listen"),
            (
                "--upstream 127.0.0.1:1 --listen 127.0.0.1:2 --admin 127.0.0.1:2",
                "--admin: expected another",
            ),
            ("--upstream 127.0.0.1:1 --trust a", "--tables DIR"),
        ] {
            let wrong = parse(line).expect_err(line);
            assert!(wrong.contains(said), "{line}: {wrong}");
        }
        assert_eq!(parse("--help"), Ok(None));
        let args = parse("--upstream 127.0.0.1:1 --admin off")
            .unwrap()
            .unwrap();
        assert_eq!((args.admin, args.scoring), (None, true));
    }
}
