//! `nkey`: a key to sign in with, and the account that the servers need for it.
//!
//! The server answers a JetStream request on the subject that the client names for the answer, with
//! rights of its own: a client that may send any request could write every subject of the account
//! that holds the store. So each key has an account to itself, which imports the few subjects of
//! its role. Answers stay in that account, and no stream of the store listens there.

use crate::backend::{REPORT_BYTES_MAX, name};
use crate::record::{COUNTER, Ring, SWITCHES};
use crate::rollout::STEERING;
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Make an nkey to sign in with, and show the account that the servers need for it
///
/// The seed goes to a file that nobody else can read. What is printed belongs into the servers'
/// configuration, under accounts { … }: first the owner's account, which holds the store, then one
/// for each other key. A node reads tables and writes its own report, a publisher also changes its
/// rings, and a reader only reads. These sign in with --nkey and --domain; the owner makes the
/// store (`init`) and removes reports (`forget`).
///
/// Example: hedgerow-fleet nkey node edge-1.seed --node edge-1
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// What the key is for
    #[arg(value_enum)]
    role: Role,
    /// The seed's file, which must not be there yet
    file: PathBuf,
    /// The fleet's name
    #[arg(long, value_name = "NAME", default_value = "hedgerow", value_parser = name)]
    fleet: String,
    /// The node's name, for a node
    #[arg(long, value_name = "NAME", value_parser = name, required_if_eq("role", "node"))]
    node: Option<String>,
    /// The rings that a publisher may change
    #[arg(long, value_enum, value_delimiter = ',')]
    rings: Vec<Ring>,
    /// Whether a publisher may switch off and restore
    #[arg(long)]
    switches: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    Owner,
    Node,
    Publisher,
    Reader,
}

/// Makes a key.
///
/// # Errors
/// `io` if the file is there, or cannot be written.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let pair = nkeys::KeyPair::new_user();
    let seed = pair
        .seed()
        .map_err(|error| Failure::new("nkey", "a new key", "a seed", error))?;
    let failed = |error| Failure::io(&args.file, "a new file in a writable folder", error);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .map_err(failed)?;
    file.write_all(format!("{seed}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    let key = pair.public_key();
    let (account, domain) = (args.account(&key), args.domain());
    let imports = args.imports();
    let entry = args.entry(&account, &key, &imports);
    let sign_in = match domain {
        Some(domain) => format!(
            "sign in with --nkey {} --domain {domain}",
            args.file.display()
        ),
        None => format!("sign in with --nkey {}", args.file.display()),
    };
    let imported: Vec<&str> = imports
        .iter()
        .map(|(subject, _)| subject.as_str())
        .collect();
    let json = json!({
        "ok": true,
        "nkey": key,
        "file": args.file.display().to_string(),
        "account": account,
        "domain": domain,
        "imports": imported,
        "entry": entry,
    });
    Ok(Report::done(format!("{entry}\n# {sign_in}\n"), json))
}

/// Subjects of requests that read a stream; the stream's name takes the place of `*`.
const READS: [&str; 4] = [
    "STREAM.INFO.*",
    "STREAM.MSG.GET.*",
    "DIRECT.GET.*",
    "DIRECT.GET.*.>",
];

/// Connections of a node's or a reader's account at the same time.
const CONNECTIONS_MAX: usize = 16;

impl Args {
    /// The account's name. No two keys share one.
    fn account(&self, key: &str) -> String {
        let (fleet, short) = (&self.fleet, key.get(..12).unwrap_or(key));
        match (self.role, &self.node) {
            (Role::Owner, _) => fleet.clone(),
            (Role::Node, Some(node)) => format!("{fleet}-node-{node}"),
            (Role::Publisher, _) => format!("{fleet}-publisher-{short}"),
            _ => format!("{fleet}-reader-{short}"),
        }
    }

    /// What the account calls the owner's JetStream: its own API has the usual subjects.
    fn domain(&self) -> Option<&str> {
        (self.role != Role::Owner).then_some(self.fleet.as_str())
    }

    fn streams(&self) -> [String; 3] {
        let fleet = &self.fleet;
        [
            format!("KV_{fleet}"),
            format!("KV_{fleet}_nodes"),
            format!("OBJ_{fleet}"),
        ]
    }

    fn reads(&self) -> impl Iterator<Item = String> {
        let streams = self.streams().into_iter();
        streams.flat_map(|stream| {
            READS.map(|subject| format!("$JS.API.{}", subject.replace('*', &stream)))
        })
    }

    /// The subject that announces changes of keys.
    fn hints(&self) -> String {
        format!("$KV.{}.>", self.fleet)
    }

    /// The services that the key uses: each subject of the store, and its name in the account.
    fn imports(&self) -> Vec<(String, String)> {
        let fleet = &self.fleet;
        let mut all: Vec<String> = self.reads().collect();
        let mut objects = Vec::new();
        match (self.role, &self.node) {
            (Role::Owner, _) => return Vec::new(),
            (Role::Node, Some(node)) => all.push(format!("$KV.{fleet}_nodes.{node}")),
            (Role::Publisher, _) => {
                let mut keys: Vec<String> = self.rings.iter().map(|ring| ring.key()).collect();
                keys.push(COUNTER.into());
                // Steering concerns every ring.
                if self.rings.contains(&Ring::All) {
                    keys.push(STEERING.into());
                }
                if self.switches {
                    keys.push(SWITCHES.into());
                }
                all.extend(keys.iter().map(|key| format!("$KV.{fleet}.{key}")));
                all.push(format!("$JS.API.STREAM.PURGE.OBJ_{fleet}"));
                // Objects are written without the prefix of the API.
                let subject = format!("$O.{fleet}.>");
                objects.push((subject.clone(), subject));
            }
            _ => {}
        }
        let local = |subject: &String| match subject.strip_prefix("$JS.API.") {
            Some(rest) => format!("$JS.{fleet}.API.{rest}"),
            None => format!("$JS.{fleet}.API.{subject}"),
        };
        let prefixed = all
            .into_iter()
            .map(|subject| (subject.clone(), local(&subject)));
        prefixed.chain(objects).collect()
    }

    /// The account as the servers' configuration has it.
    fn entry(&self, account: &str, key: &str, imports: &[(String, String)]) -> String {
        let fleet = &self.fleet;
        let mut lines = vec![format!("\"{account}\" {{")];
        if self.role == Role::Owner {
            lines.push("    jetstream: enabled".into());
        }
        lines.push(format!("    users: [ {{ nkey: {key} }} ]"));
        if matches!(self.role, Role::Node | Role::Reader) {
            let payload = format!("max_payload: {REPORT_BYTES_MAX}");
            let connections = format!("max_connections: {CONNECTIONS_MAX}");
            lines.push(format!("    limits {{ {payload}, {connections} }}"));
        }
        if self.role == Role::Owner {
            lines.push("    exports: [".into());
            let writes = [
                format!("$KV.{fleet}.>"),
                format!("$KV.{fleet}_nodes.*"),
                format!("$O.{fleet}.>"),
                format!("$JS.API.STREAM.PURGE.OBJ_{fleet}"),
            ];
            let services = self.reads().chain(writes);
            lines.extend(services.map(|subject| format!("        {{ service: \"{subject}\" }}")));
            lines.push(format!("        {{ stream: \"{}\" }}", self.hints()));
        } else {
            lines.push("    imports: [".into());
            lines.extend(imports.iter().map(|(subject, local)| {
                let service = format!("{{ account: \"{fleet}\", subject: \"{subject}\" }}");
                format!("        {{ service: {service}, to: \"{local}\" }}")
            }));
            let stream = format!("{{ account: \"{fleet}\", subject: \"{}\" }}", self.hints());
            lines.push(format!("        {{ stream: {stream} }}"));
        }
        lines.push("    ]".into());
        lines.push("}".into());
        lines.join("\n") + "\n"
    }
}
