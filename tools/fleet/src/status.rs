//! `init`, `status`, `history` and `node`: a fleet's buckets, and what they tell.

use crate::backend::{Address, Store, Value, name};
use crate::health::Summary;
use crate::record::{COUNTER, Envelope, FleetSwitches, NodeReport, Ring, RingPointer, SWITCHES};
use crate::waiting::{LOST, Seen, seen};
use hedgerow_cli::Report;
use hedgerow_cli::failure::{Failure, harmless};
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

/// Forgets a node.
///
/// # Errors
/// Where there is no report of that name, or the store does not take it out in time.
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

/// Makes the buckets.
///
/// # Errors
/// Where one cannot be made.
pub async fn init(args: &InitArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "init").await?;
    store.create(args.replicas as usize).await?;
    let fleet = &store.fleet;
    let text = format!("fleet {fleet}: its buckets are there\n");
    Ok(Report::done(text, json!({ "ok": true, "fleet": fleet })))
}

/// Shows what happened.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn history(args: &HistoryArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "history").await?;
    let all = past(&store).await?;
    let mut text = String::new();
    for line in &all {
        let body = &line["body"];
        let key = line["key"].as_str().unwrap_or_default();
        let (at, what) = match key {
            SWITCHES => (&body["file"], format!("off: {}", body["file"]["off"])),
            key if key.starts_with("pointer.") => {
                let pointer = &body["pointer"];
                let from = match pointer["from_generation"].as_u64() {
                    Some(from) => format!(", which was {from}"),
                    None => String::new(),
                };
                let table = pointer["content_id"].as_str().unwrap_or_default();
                let what = format!("generation {}{from}, table {table}", pointer["generation"]);
                (pointer, what)
            }
            _ => (body, format!("claims {}", body["generation"])),
        };
        let who = format!(
            "{}@{}",
            text_of(&at["origin"]["who"]),
            text_of(&at["origin"]["host"])
        );
        let when = text_of(&at["at"]);
        let _ = writeln!(
            text,
            "{when}  {key:<14}  {}  {}",
            harmless(&what),
            harmless(&who)
        );
    }
    Ok(Report::done(text, json!({ "ok": true, "history": all })))
}

fn text_of(value: &Json) -> &str {
    value.as_str().unwrap_or("?")
}

/// A node as `status` shows it.
struct Row {
    report: NodeReport,
    wanted: u64,
    /// The table of that generation.
    content_id: String,
    /// The last change of the switches.
    change: u64,
    /// Seconds before the newest report of any node; where none is heard of, before now.
    age: u64,
}

impl Row {
    fn state(&self) -> String {
        let running = self.report.running();
        if self.age >= LOST.as_secs() {
            return format!("not heard of for {} s", self.age);
        }
        if let Some(why) = self.report.ahead(self.wanted, self.change) {
            return why;
        }
        match self.report.trouble(self.wanted) {
            Some(why) => why,
            None if running < self.wanted => format!("behind by {}", self.wanted - running),
            None if self.report.is_other(&self.content_id) => {
                format!("another table under generation {running}")
            }
            None => "ok".into(),
        }
    }
}

/// How often reports are read while it is not known whether any node is heard of.
const LOOK: Duration = Duration::from_millis(200);

/// Every node's last report, and how long ago the newest was where none is heard of any more. A
/// clock that is wrong tells nothing: where the newest is of another time, another one is waited
/// for.
async fn heard(store: &Store) -> Result<(Vec<Seen>, u64), Failure> {
    let newest = |all: &[Seen]| all.iter().map(|seen| seen.at).max();
    let started = Instant::now();
    let mut all = seen(store).await?;
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
        all = seen(store).await?;
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
/// Where the store does not answer in time.
pub async fn status(args: &StatusArgs) -> Result<Report, Failure> {
    let store = Store::connect(&args.address, "status").await?;
    // The reports first: what nodes have by now stands in the store by then.
    let (all, silent) = heard(&store).await?;
    let mut pointers = Vec::new();
    for ring in Ring::EACH {
        let key = ring.key();
        let open = |value: Value| {
            Envelope::unverified::<RingPointer>(&value.bytes, &store.fleet, &key).ok()
        };
        pointers.push((ring, store.last(&key).await?.and_then(open)));
    }
    let switches = store.last(SWITCHES).await?.and_then(|value| {
        Envelope::unverified::<FleetSwitches>(&value.bytes, &store.fleet, SWITCHES).ok()
    });
    let newest = all.iter().map(|seen| seen.at).max().unwrap_or_default();
    let wanted = |ring: Ring| {
        let followed = pointers
            .iter()
            .filter(|(of, _)| ring.followed().contains(of));
        let pointers = followed.filter_map(|(_, body)| Some(&body.as_ref()?.pointer));
        let highest = pointers.max_by_key(|pointer| pointer.generation);
        highest.map_or((0, String::new()), |highest| {
            (highest.generation, highest.content_id.clone())
        })
    };
    let change = switches.as_ref().map_or(0, |body| body.file.change);
    let rows: Vec<Row> = all
        .into_iter()
        .map(|seen| {
            let (wanted, content_id) = wanted(seen.report.ring);
            Row {
                wanted,
                content_id,
                change,
                age: silent.saturating_add(((newest - seen.at) / 1_000_000_000) as u64),
                report: seen.report,
            }
        })
        .collect();
    let off = switches.map(|body| body.file.off).unwrap_or_default();
    Ok(shown(&store.fleet, &pointers, &off, &rows))
}

fn shown(
    fleet: &str,
    pointers: &[(Ring, Option<RingPointer>)],
    off: &[String],
    rows: &[Row],
) -> Report {
    let mut text = format!("fleet {fleet}: {} nodes\n", rows.len());
    let mut rings = Vec::new();
    for (ring, body) in pointers {
        let Some(body) = body else { continue };
        let (generation, table) = (body.pointer.generation, &body.pointer.content_id);
        let _ = writeln!(
            text,
            "{:<7} generation {generation}, table {table}",
            ring.name()
        );
        rings.push(json!({ "ring": ring.name(), "generation": generation, "content_id": table }));
    }
    if !off.is_empty() {
        let _ = writeln!(text, "switched off: {}", harmless(&off.join(", ")));
    }
    let (name, health) = ("NODE", "HEALTH");
    let _ = writeln!(
        text,
        "{name:<24} RING    WANTED  RUNS    HEARD  {health:<44} STATE"
    );
    let mut nodes = Vec::new();
    for row in rows {
        let Row {
            report,
            wanted,
            age,
            ..
        } = row;
        let (node, ring, running) = (&report.node, report.ring.name(), report.running());
        let state = row.state();
        let mut health = Summary::default();
        health.add(report, None);
        let told = health.to_string();
        let _ = writeln!(
            text,
            "{node:<24} {ring:<7} {wanted:>6} {running:>5} {age:>5} s  {told:<44} {}",
            harmless(&state)
        );
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
    let ok = rows.iter().all(|row| row.state() == "ok");
    let json = json!({
        "ok": ok,
        "fleet": fleet,
        "rings": rings,
        "switches": off,
        "nodes": nodes,
    });
    Report::checked(text, json, ok)
}

/// Shows what a machine's agent knows.
///
/// # Errors
/// Where there is no agent's file.
pub fn node(args: &NodeArgs) -> Result<Report, Failure> {
    let path = args.directory.join("agent");
    let text = files::read_text(&path, "agent", "what an agent writes")?;
    let json: Json = serde_json::from_str(&text)
        .map_err(|error| Failure::new("agent", path.display(), "what an agent writes", error))?;
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
        harmless(text_of(&json["node"])),
        harmless(text_of(&json["ring"])),
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

/// What the keys of a fleet have had, oldest first.
///
/// # Errors
/// Where the store does not answer in time.
async fn past(store: &Store) -> Result<Vec<Json>, Failure> {
    let mut all: Vec<(u64, Json)> = Vec::new();
    let keys = Ring::EACH.map(Ring::key);
    let keys = keys.iter().map(String::as_str).chain([SWITCHES, COUNTER]);
    for key in keys {
        for value in store.history(key).await? {
            let text: Json = serde_json::from_slice(&value.bytes).unwrap_or_default();
            let signed = text["signed"]["key"].as_str().map(ToString::to_string);
            let body = text["body"].as_str();
            let body = body.and_then(|body| serde_json::from_str::<Json>(body).ok());
            let mut body = body.unwrap_or(text);
            if let Some(body) = body.as_object_mut() {
                body.remove("features");
                body.remove("detections");
            }
            let line = json!({
                "revision": value.revision,
                "key": key,
                "signed_by": signed,
                "body": body,
            });
            all.push((value.revision, line));
        }
    }
    all.sort_by_key(|(revision, _)| *revision);
    Ok(all.into_iter().map(|(_, line)| line).collect())
}
