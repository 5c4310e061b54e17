//! `init`, `status`, `history`, `forget` and `node`: a fleet's store, and what is in it.

use crate::backend::{Address, Store, name};
use crate::health::Summary;
use crate::liveness::{LOST, NodeSnapshot, snapshots};
use crate::record::{COUNTER, FleetSwitches, Ring, RingPointer, SWITCHES};
use crate::report::NodeReport;
use crate::waiting::current;
use hedgerow::ContentId;
use hedgerow::refusal::printable;
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use hedgerow_cli::files;
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tokio::time::sleep;

/// Make a fleet's buckets on its servers
///
/// Example: hedgerow-fleet init nats://127.0.0.1:4222 --replicas 3
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct InitArgs {
    #[command(flatten)]
    address: Address,
    /// How many servers keep each bucket: 1, 3 or 5
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=5))]
    replicas: u64,
}

/// Show every node of a fleet: its generation, how far it is behind, and its last refusal
///
/// Exit status 1 where a node is behind, has refused its table, or has not been heard of.
///
/// Example: hedgerow-fleet status nats://127.0.0.1:4222
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct StatusArgs {
    #[command(flatten)]
    address: Address,
}

/// Show what was published, rolled back and switched in a fleet
///
/// Example: hedgerow-fleet history nats://127.0.0.1:4222
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct HistoryArgs {
    #[command(flatten)]
    address: Address,
}

/// Show what this machine's agent knows, and how old that is; needs no connection
///
/// Example: hedgerow-fleet node /var/lib/hedgerow
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct NodeArgs {
    /// The directory that the agent keeps
    directory: PathBuf,
}

/// Forget a node that is out of service: its last report goes
///
/// One that is in service reports again. Needs the rights of whoever made the fleet.
///
/// Example: hedgerow-fleet forget edge-1 nats://127.0.0.1:4222
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ForgetArgs {
    /// The node's name
    #[arg(value_name = "NODE", value_parser = name)]
    node: String,
    #[command(flatten)]
    address: Address,
}

/// Removes a node's report.
///
/// # Errors
/// `no-node` if there is none; `fleet-store` if it cannot be removed.
pub async fn forget(args: &ForgetArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "forget").await?;
    let node = &args.node;
    if !store.reports().await?.iter().any(|(name, _)| name == node) {
        let expected = "a node that has reported";
        return Err(Failure::new("no-node", node, expected, "none"));
    }
    store.forget(node).await?;
    let text = format!("forgotten: {node}\n");
    Ok(Report::done(text, json!({ "ok": true, "node": node })))
}

/// Creates a fleet's store.
///
/// # Errors
/// `fleet-store` if it cannot be created.
pub async fn init(args: &InitArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "init").await?;
    store.create(args.replicas as usize).await?;
    let fleet = &store.fleet;
    let text = format!("fleet {fleet}: its buckets are there\n");
    Ok(Report::done(text, json!({ "ok": true, "fleet": fleet })))
}

/// Shows the history of a fleet's keys.
///
/// # Errors
/// `fleet-store` if it cannot be read.
pub async fn history(args: &HistoryArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "history").await?;
    let all = changes(&store).await?;
    let mut text = String::new();
    for change in &all {
        let (body, key) = (&change["body"], text_of(&change["key"]));
        let (made, what) = match key {
            SWITCHES => (&body["file"], format!("off: {}", body["file"]["off"])),
            COUNTER => (body, format!("claims {}", body["generation"])),
            _ => {
                let pointer = &body["pointer"];
                let from = pointer["from_generation"].as_u64();
                let from = from.map_or(String::new(), |from| format!(", which was {from}"));
                let table = pointer["content_id"].as_str().unwrap_or_default();
                let what = format!("generation {}{from}, table {table}", pointer["generation"]);
                (pointer, what)
            }
        };
        let origin = &made["origin"];
        let who = format!("{}@{}", text_of(&origin["who"]), text_of(&origin["host"]));
        let (at, what, who) = (text_of(&made["at"]), printable(&what), printable(&who));
        let _ = writeln!(text, "{at}  {key:<14}  {what}  {who}");
    }
    Ok(Report::done(text, json!({ "ok": true, "history": all })))
}

fn text_of(value: &Json) -> &str {
    value.as_str().unwrap_or("?")
}

/// Returns what the keys of a fleet were, oldest first.
async fn changes(store: &Store) -> Result<Vec<Json>, Failure> {
    let mut all: Vec<(u64, Json)> = Vec::new();
    let rings = Ring::EACH.map(Ring::key);
    let keys = rings.iter().map(String::as_str).chain([SWITCHES, COUNTER]);
    for key in keys {
        for value in store.history(key).await? {
            let record: Json = serde_json::from_slice(&value.bytes).unwrap_or_default();
            let signed_by = record["signed"]["key"].as_str().map(ToString::to_string);
            let body = record["body"].as_str();
            let body = body.and_then(|body| serde_json::from_str::<Json>(body).ok());
            let mut body = body.unwrap_or(record);
            if let Some(body) = body.as_object_mut() {
                body.remove("features");
                body.remove("detections");
            }
            let change = json!({
                "revision": value.revision,
                "key": key,
                "signed_by": signed_by,
                "body": body,
            });
            all.push((value.revision, change));
        }
    }
    all.sort_by_key(|(revision, _)| *revision);
    Ok(all.into_iter().map(|(_, change)| change).collect())
}

/// A node as `status` shows it.
struct Row {
    report: NodeReport,
    /// The generation that it is to run.
    wanted: u64,
    /// The table of that generation.
    content_id: Option<ContentId>,
    /// The last change of the switches.
    change: u64,
    /// Seconds since its report, measured as in [`crate::liveness`].
    age: u64,
}

impl Row {
    fn state(&self) -> String {
        let (report, wanted, running) = (&self.report, self.wanted, self.report.running());
        if self.age >= LOST.as_secs() {
            return format!("not heard of for {} s", self.age);
        }
        let why = report.ahead(wanted, self.change);
        match why.or_else(|| report.trouble(wanted)) {
            Some(why) => why,
            None if running < wanted => format!("behind by {}", wanted - running),
            None if report.is_other(self.content_id) => {
                format!("another table under generation {running}")
            }
            None => "ok".into(),
        }
    }
}

/// How often reports are read while it is unknown whether any node still reports.
const LOOK: Duration = Duration::from_millis(200);

/// Returns the last report of every node, and for how many seconds no node has reported: 0 if one
/// does. The local clock may be wrong: if it makes the newest report look old, waits for the next.
async fn heard(store: &Store) -> Result<(Vec<NodeSnapshot>, u64), Failure> {
    let newest = |all: &[NodeSnapshot]| all.iter().map(|node| node.at).max();
    let started = Instant::now();
    let mut all = snapshots(store).await?;
    let Some(first) = newest(&all) else {
        return Ok((all, 0));
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ago = now.map_or(0, |now| now.as_nanos() as i128) - first;
    if ago.unsigned_abs() < LOST.as_nanos() {
        return Ok((all, 0));
    }
    while started.elapsed() < store.heartbeat() * 2 + LOOK {
        sleep(LOOK).await;
        all = snapshots(store).await?;
        if newest(&all) != Some(first) {
            return Ok((all, 0));
        }
    }
    let least = i128::from(LOST.as_secs());
    Ok((all, (ago / 1_000_000_000).max(least) as u64))
}

/// Shows every node.
///
/// # Errors
/// `fleet-store` if the store cannot be read.
pub async fn status(args: &StatusArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "status").await?;
    // The reports first: what nodes have by now is in the store by then.
    let (all, silent) = heard(&store).await?;
    let mut pointers: Vec<RingPointer> = Vec::new();
    for ring in Ring::EACH {
        pointers.extend(current(&store, &ring.key()).await?);
    }
    let switches: Option<FleetSwitches> = current(&store, SWITCHES).await?;
    let change = switches.as_ref().map_or(0, |record| record.file.change);
    let newest = all.iter().map(|node| node.at).max().unwrap_or_default();
    let row = |node: NodeSnapshot| {
        let followed = node.report.ring.followed();
        let followed = pointers.iter().filter(|it| followed.contains(&it.ring));
        let wanted = followed.map(|record| &record.pointer);
        let wanted = wanted.max_by_key(|pointer| pointer.generation);
        Row {
            wanted: wanted.map_or(0, |pointer| pointer.generation),
            content_id: wanted.map(|pointer| pointer.content_id),
            change,
            age: silent.saturating_add(((newest - node.at) / 1_000_000_000) as u64),
            report: node.report,
        }
    };
    let rows: Vec<Row> = all.into_iter().map(row).collect();
    let off = switches.map(|record| record.file.off).unwrap_or_default();
    Ok(shown(&store.fleet, &pointers, &off, &rows))
}

fn shown(fleet: &str, pointers: &[RingPointer], off: &[String], rows: &[Row]) -> Report {
    let mut text = format!("fleet {fleet}: {} nodes\n", rows.len());
    let mut rings = Vec::new();
    for record in pointers {
        let (ring, pointer) = (record.ring.name(), &record.pointer);
        let (generation, table) = (pointer.generation, pointer.content_id);
        let _ = writeln!(text, "{ring:<7} generation {generation}, table {table}");
        rings.push(json!({ "ring": ring, "generation": generation, "content_id": table }));
    }
    if !off.is_empty() {
        let _ = writeln!(text, "switched off: {}", printable(&off.join(", ")));
    }
    let (name, health) = ("NODE", "HEALTH");
    let _ = writeln!(
        text,
        "{name:<24} RING    WANTED  RUNS    HEARD  {health:<44} STATE"
    );
    let (mut nodes, mut ok) = (Vec::new(), true);
    for row in rows {
        let (report, wanted, age) = (&row.report, row.wanted, row.age);
        let (node, ring, running) = (&report.node, report.ring.name(), report.running());
        let mut health = Summary::default();
        health.add(report, None);
        let (summary, state) = (health.to_string(), row.state());
        let _ = writeln!(
            text,
            "{node:<24} {ring:<7} {wanted:>6} {running:>5} {age:>5} s  {summary:<44} {}",
            printable(&state)
        );
        ok &= state == "ok";
        nodes.push(json!({
            "node": node,
            "ring": ring,
            "wanted": wanted,
            "running": running,
            "behind": wanted.saturating_sub(running),
            "age": age,
            "state": state,
            "health": (health.reporting > 0).then_some(health),
            "report": report,
        }));
    }
    let json = json!({
        "ok": ok,
        "fleet": fleet,
        "rings": rings,
        "switches": off,
        "nodes": nodes,
    });
    Report::checked(text, json, ok)
}

/// Shows the file of this machine's agent.
///
/// # Errors
/// `agent` if there is none.
pub fn node(args: &NodeArgs) -> Result<Report, Failure> {
    let path = args.directory.join("agent");
    let expected = "what an agent writes";
    let text = files::read_text(&path, "agent", expected)?;
    let json: Json = serde_json::from_str(&text)
        .map_err(|error| Failure::new("agent", path.display(), expected, error))?;
    let meta = std::fs::metadata(&path).map_err(|error| Failure::io(&path, "a file", error))?;
    let written = meta.modified().ok().and_then(|at| at.elapsed().ok());
    let written = written.map_or(0, |since| since.as_secs());
    let ago = json["heard_seconds_before"].as_u64();
    let ago = ago.map(|before| before + written);
    let heard = match ago {
        Some(ago) => format!("heard of the fleet {ago} s ago"),
        None => "has not heard of the fleet since it started".into(),
    };
    let text = format!(
        "agent {} of the ring {}: generation {}; {heard}; wrote this {written} s ago\n",
        printable(text_of(&json["node"])),
        printable(text_of(&json["ring"])),
        json["generation"]
    );
    let json = json!({
        "ok": true,
        "heard_seconds_ago": ago,
        "written_seconds_ago": written,
        "agent": json,
    });
    Ok(Report::done(text, json))
}
