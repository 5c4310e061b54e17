//! The command line of `hedgerow-proxy`.

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser};
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// A reverse proxy that scores every request
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "hedgerow-proxy", args_override_self = true)]
pub struct Args {
    /// Where requests go, such as 127.0.0.1:8000
    #[arg(long, value_name = "ADDR", value_parser = address, required_unless_present = "check")]
    pub upstream: Option<SocketAddr>,
    /// Where they come from
    #[arg(long, value_name = "ADDR", value_parser = address, default_value = "127.0.0.1:6188")]
    pub listen: SocketAddr,
    /// Take HTTP/2 without TLS, too, as from what ends TLS in front
    #[arg(long)]
    pub h2c: bool,
    /// End TLS here, and take HTTP/2: a chain of certificates in PEM; for builds with
    /// --features tls
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<String>,
    /// The key of the certificates
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<String>,
    /// /metrics, and a status page at /; `off`: none
    #[arg(long, value_name = "ADDR", value_parser = admin, default_value = "127.0.0.1:6189")]
    // The full path: clap would take `Option` for an option that may be left out.
    pub admin: std::option::Option<SocketAddr>,
    /// The policy, in TOML; watched, and read again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Read the policy, say whether it would be taken, and end
    #[arg(long, requires = "config")]
    pub check: bool,
    /// A watched directory of tables, in place of the bundled one. One that does not exist yet
    /// has a slash at its end
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
    /// This engine's own folder, for a watched directory; TABLES/engines/proxy by default
    #[arg(long, value_name = "DIR", requires = "tables")]
    pub state: Option<PathBuf>,
    /// A public key whose tables are taken; with one, no others are. May be repeated
    #[arg(long, value_name = "FILE", requires = "tables")]
    pub trust: Vec<PathBuf>,
    /// The access log, a line of JSON for each request; `-`: standard output
    #[arg(long, value_name = "FILE")]
    pub log: Option<String>,
    /// Scores below which a line of the access log has the request's features and the headers that
    /// they are made of, for `hedgerow why`; 0: none, 100: all
    #[arg(long, value_name = "SCORE", default_value_t = 30, requires = "log")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
    pub log_facts_below: u8,
    /// Threads that handle requests; one for each core by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub threads: Option<u16>,
    /// Leave threads to the system, not bound to cores
    #[arg(long = "no-affinity", action = ArgAction::SetFalse)]
    pub affinity: bool,
    /// Pass everything on unscored, to measure what scoring costs
    #[arg(long = "no-scoring", action = ArgAction::SetFalse)]
    pub scoring: bool,
}

impl Args {
    /// Reads a command line, which starts with the program's name.
    ///
    /// # Errors
    /// What was expected, and what came; or the help, if it is asked for.
    pub fn read(from: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
        let args = Args::try_parse_from(from)?;
        let wrong = match args.conflict() {
            None => return Ok(args),
            Some(wrong) => wrong,
        };
        Err(Args::command().error(ErrorKind::ArgumentConflict, wrong))
    }

    /// What does not go together.
    fn conflict(&self) -> Option<String> {
        if self.cert.is_some() && !cfg!(feature = "tls") {
            return Some("expected a build with --features tls for --cert".into());
        }
        for (option, other) in [("--upstream", self.upstream), ("--admin", self.admin)] {
            if other == Some(self.listen) {
                return Some(format!("{option}: expected another address than --listen"));
            }
        }
        None
    }

    /// Returns the chain of certificates and its key, if TLS ends here.
    pub fn tls(&self) -> Option<(&str, &str)> {
        self.cert.as_deref().zip(self.key.as_deref())
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |why: &dyn std::fmt::Display| {
        format!("expected HOST:PORT, such as 127.0.0.1:8000, got {text:?}: {why}")
    };
    let mut found = text.to_socket_addrs().map_err(|error| wrong(&error))?;
    found.next().ok_or_else(|| wrong(&"no address"))
}

fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    match text {
        "off" => Ok(None),
        text => address(text).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        let words = ["hedgerow-proxy"]
            .into_iter()
            .chain(line.split_whitespace());
        Args::read(words.map(OsString::from))
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (line, said) in [
            ("", "--upstream"),
            ("--upstream", "a value is required for '--upstream <ADDR>'"),
            ("--upstream 8000", "HOST:PORT"),
            ("--upstream 127.0.0.1:1 --threads 0", "1..=1024"),
            ("--upstream 127.0.0.1:1 --thread 1", "'--thread'"),
            ("--check", "--config <FILE>"),
            ("--upstream 127.0.0.1:1 --cert a", "--key <FILE>"),
            ("--upstream nowhere.invalid:80", "lookup"),
            ("--upstream 127.0.0.1:6188", "another address than --listen"),
            (
                "--upstream 127.0.0.1:1 --listen 127.0.0.1:2 --admin 127.0.0.1:2",
                "--admin: expected another",
            ),
            ("--upstream 127.0.0.1:1 --trust a", "--tables <DIR>"),
            ("--upstream 127.0.0.1:1 --state a", "--tables <DIR>"),
        ] {
            let wrong = parse(line).expect_err(line);
            assert_eq!(wrong.exit_code(), 2);
            assert!(wrong.to_string().contains(said), "{line}: {wrong}");
        }
        for help in ["-h", "--help"] {
            assert_eq!(parse(help).unwrap_err().exit_code(), 0);
        }
        let line = "--upstream 127.0.0.1:1 --admin off --tables t --trust a --trust b --log a";
        let args = parse(&format!("{line} --log b")).unwrap();
        assert_eq!(
            (args.admin, args.scoring, args.affinity),
            (None, true, true)
        );
        assert_eq!(args.trust.len(), 2);
        assert_eq!(args.log.as_deref(), Some("b"), "the last one counts");
        assert!(parse("--check --config policy.toml").unwrap().check);
        Args::command().debug_assert();
    }
}
