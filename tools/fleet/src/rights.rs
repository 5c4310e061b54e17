//! `nkey`: a key to sign in with, and the least rights that go with it on the servers.

use crate::backend::name;
use crate::record::{COUNTER, Ring, SWITCHES};
use crate::rollout;
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
/// Where the file is there, or cannot be written.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let pair = nkeys::KeyPair::new_user();
    let seed = pair
        .seed()
        .map_err(|error| Failure::new("nkey", "a new key", "a seed", error))?;
    let failed = |error| Failure::io(&args.file, "a new file in a writable folder", error);
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&args.file)
        .map_err(failed)?;
    file.write_all(format!("{seed}\n").as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)?;
    let (key, publish) = (pair.public_key(), args.publish());
    let list: Vec<String> = publish
        .iter()
        .map(|subject| format!("\"{subject}\""))
        .collect();
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

impl Args {
    /// The subjects that the key may publish to: requests for what it reads, and what it writes.
    fn publish(&self) -> Vec<String> {
        let fleet = &self.fleet;
        let mut all = Vec::new();
        for stream in [
            format!("KV_{fleet}"),
            format!("KV_{fleet}_nodes"),
            format!("OBJ_{fleet}"),
        ] {
            all.push(format!("$JS.API.STREAM.INFO.{stream}"));
            all.push(format!("$JS.API.STREAM.MSG.GET.{stream}"));
            all.push(format!("$JS.API.DIRECT.GET.{stream}"));
            all.push(format!("$JS.API.DIRECT.GET.{stream}.>"));
            all.push(format!("$JS.API.CONSUMER.CREATE.{stream}"));
            all.push(format!("$JS.API.CONSUMER.CREATE.{stream}.>"));
            all.push(format!("$JS.API.CONSUMER.INFO.{stream}.>"));
            all.push(format!("$JS.API.CONSUMER.DELETE.{stream}.>"));
        }
        all.push("$JS.FC.>".into());
        match (self.role, &self.node) {
            (Role::Node, Some(node)) => all.push(format!("$KV.{fleet}_nodes.{node}")),
            (Role::Publisher, _) => {
                let rings = self.rings.iter();
                all.extend(rings.map(|ring| format!("$KV.{fleet}.{}", ring.key())));
                all.push(format!("$KV.{fleet}.{COUNTER}"));
                // Whoever steers has a say over every ring.
                if self.rings.contains(&Ring::All) {
                    all.push(format!("$KV.{fleet}.{}", rollout::KEY));
                }
                all.push(format!("$O.{fleet}.>"));
                all.push(format!("$JS.API.STREAM.PURGE.OBJ_{fleet}"));
                if self.switches {
                    all.push(format!("$KV.{fleet}.{SWITCHES}"));
                }
            }
            _ => {}
        }
        all
    }
}
