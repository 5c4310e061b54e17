//! A filter's configuration: its engine, and what becomes of low scores.

use crate::abi;
use hedgerow::host::{
    self, Front, HopRule, HostOptions, OpenFailure, OpenOptions, TableSource, ThreadScorers,
    is_header_name,
};
use hedgerow::http::Scheme;
use hedgerow::table::bots::AddressRange;
use hedgerow::{Schema, Watcher};
use serde::Deserialize;
use std::path::PathBuf;

/// What Envoy's configuration holds, as JSON.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// `default`, a table's file, or a directory to watch.
    table: Option<String>,
    /// The engine's own folder, for a directory to watch; within the directory by default.
    state: Option<PathBuf>,
    /// Files of public keys: tables that none of them signed are refused, except the bundled one.
    keys: Vec<PathBuf>,
    /// Clients whose traffic each thread remembers; 0 for none.
    traffic_clients: Option<usize>,
    /// Requests that score below it are answered here; nothing is blocked without it.
    block_below: Option<u8>,
    /// The answer's status.
    block_status: Option<u32>,
    /// `auto`, `client` or `proxy`: who is at the other end of connections.
    hop: Option<String>,
    /// The addresses of the site's proxies.
    trusted: Vec<String>,
    /// The scheme of every client: `http` or `https`.
    client_scheme: Option<String>,
    /// Headers in which these proxies name a client's address, scheme, version and JA4.
    address_header: Option<String>,
    scheme_header: Option<String>,
    version_header: Option<String>,
    ja4_header: Option<String>,
}

/// A configuration that Envoy runs.
#[derive(Debug)]
pub struct Config {
    /// One scorer of requests for each thread.
    pub scorers: ThreadScorers,
    /// Ends with the configuration.
    _watcher: Option<Watcher>,
    /// The score below which requests are blocked, and the status that they get.
    pub block: Option<(u8, u32)>,
    /// What is in front of Envoy.
    pub front: Front,
}

impl Config {
    /// Reads a configuration and opens its table.
    pub fn new(text: &[u8]) -> Result<Config, String> {
        let text = text.trim_ascii();
        let options: Options = match text {
            b"" => Options::default(),
            text => serde_json::from_slice(text).map_err(|error| error.to_string())?,
        };
        let status = options.block_status.unwrap_or(403);
        if options
            .block_below
            .is_some_and(|below| !(2..=99).contains(&below))
        {
            return Err("block_below: expected a score from 2 to 99".into());
        }
        if !(400..=599).contains(&status) {
            return Err("block_status: expected a status from 400 to 599".into());
        }
        let _ = log::set_logger(&Lines).map(|()| log::set_max_level(log::LevelFilter::Info));
        let mut scoring = HostOptions::default();
        scoring.traffic_clients = match options.traffic_clients {
            None => scoring.traffic_clients,
            Some(clients) => (clients > 0).then_some(clients),
        };
        let block = options.block_below.map(|below| (below, status));
        let front = options.front()?;
        let opened = host::open(options.open(scoring.traffic_clients.is_some())?);
        let opened = opened.map_err(|failure| match failure {
            OpenFailure::Key(refusal) => format!("keys: {refusal}"),
            failure => failure.to_string(),
        })?;
        // Made once here, so that trouble shows in the configuration, and not with a request.
        let tried = opened.engine.request_scorer(scoring.clone());
        tried.map_err(|error| format!("traffic_clients: {error}"))?;
        Ok(Config {
            scorers: ThreadScorers::new(opened.engine, scoring),
            _watcher: opened.watcher,
            block,
            front,
        })
    }
}

impl Options {
    /// What is in front of Envoy. Envoy itself writes `x-forwarded-proto`, so that no header is
    /// read for the scheme unless one is named.
    fn front(&self) -> Result<Front, String> {
        let hop = self.hop.as_deref().unwrap_or("auto");
        let hop = HopRule::from_name(hop)
            .ok_or_else(|| format!("hop: expected auto, client or proxy, got {hop:?}"))?;
        let scheme = match self.client_scheme.as_deref() {
            None => Scheme::Unknown,
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(got) => {
                return Err(format!(
                    "client_scheme: expected http or https, got {got:?}"
                ));
            }
        };
        let trusted = self.trusted.iter().map(|text| AddressRange::parse(text));
        let mut front = Front {
            hop,
            scheme,
            trusted: trusted
                .collect::<Result<_, _>>()
                .map_err(|wrong| format!("trusted: {wrong}"))?,
            scheme_header: String::new(),
            ..Front::default()
        };
        for (key, said, header) in [
            (
                "address_header",
                &self.address_header,
                &mut front.address_header,
            ),
            (
                "scheme_header",
                &self.scheme_header,
                &mut front.scheme_header,
            ),
            (
                "version_header",
                &self.version_header,
                &mut front.version_header,
            ),
            ("ja4_header", &self.ja4_header, &mut front.ja4_header),
        ] {
            let Some(name) = said else { continue };
            if !is_header_name(name) {
                return Err(format!("{key}: expected a header's name, got {name:?}"));
            }
            header.clone_from(name);
        }
        Ok(front)
    }

    /// How the engine is opened.
    fn open(self, traffic: bool) -> Result<OpenOptions, String> {
        let table = self.table.unwrap_or_else(|| "default".into());
        let mut open = OpenOptions {
            table: TableSource::of(&table),
            schema: match traffic {
                true => Schema::http_with_traffic(),
                false => Schema::http(),
            },
            keys: self.keys,
            ..OpenOptions::default()
        };
        open.watch.name = "envoy".into();
        open.watch.state = match (open.table.directory(), self.state) {
            (None, Some(_)) => {
                return Err(format!(
                    "state: expected it with a directory as table, got {table:?}"
                ));
            }
            (Some(directory), None) => Some(directory.join("engines/envoy")),
            (_, state) => state,
        };
        Ok(open)
    }
}

/// Hands the library's log lines to Envoy.
struct Lines;

impl log::Log for Lines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                log::Level::Error => abi::ERROR,
                log::Level::Warn => abi::WARN,
                _ => abi::INFO,
            };
            abi::log(level, &format!("hedgerow: {}", record.args()));
        }
    }

    fn flush(&self) {}
}
