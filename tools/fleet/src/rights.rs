//! `nkey`: a key to sign in with, and the least rights that the servers need to allow it.

use crate::backend::name;
use crate::record::{COUNTER, Ring, SWITCHES};
use crate::rollout::STEERING;
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Make an nkey to sign in with, and show what the servers are to allow it
///
/// The seed goes to a file that nobody else can read. What is printed is the user's entry in the
/// servers' configuration, under authorization { users: [ … ] }: with it a node reads tables and
/// writes its own report, a publisher also changes its rings, and a reader only reads.
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
    let (key, publish) = (pair.public_key(), args.publish());
    let list: Vec<String> = publish.iter().map(|it| format!("\"{it}\"")).collect();
    let text = format!(
        "{{ nkey: {key}, permissions: {{\n    publish: [{}]\n    subscribe: [\"_INBOX.>\"] }} }}\n",
        list.join(", ")
    );
    let json = json!({
        "ok": true,
        "nkey": key,
        "file": args.file.display().to_string(),
        "publish": publish,
        "subscribe": ["_INBOX.>"],
        "entry": text,
    });
    Ok(Report::done(text, json))
}

/// Subjects of requests that read a stream; the stream's name takes the place of `*`.
const READS: [&str; 8] = [
    "STREAM.INFO.*",
    "STREAM.MSG.GET.*",
    "DIRECT.GET.*",
    "DIRECT.GET.*.>",
    "CONSUMER.CREATE.*",
    "CONSUMER.CREATE.*.>",
    "CONSUMER.INFO.*.>",
    "CONSUMER.DELETE.*.>",
];

impl Args {
    /// Returns the subjects that the key may publish to: requests for what it reads, and the keys
    /// that it writes.
    fn publish(&self) -> Vec<String> {
        let fleet = &self.fleet;
        let streams = [
            format!("KV_{fleet}"),
            format!("KV_{fleet}_nodes"),
            format!("OBJ_{fleet}"),
        ];
        let reads = |stream: &String| READS.map(|subject| subject.replace('*', stream));
        let reads = streams.iter().flat_map(reads);
        let mut all: Vec<String> = reads.map(|subject| format!("$JS.API.{subject}")).collect();
        all.push("$JS.FC.>".into());
        match (self.role, &self.node) {
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
                all.push(format!("$O.{fleet}.>"));
                all.push(format!("$JS.API.STREAM.PURGE.OBJ_{fleet}"));
            }
            _ => {}
        }
        all
    }
}
