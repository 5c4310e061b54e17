//! The same cases for each way of tables to engines: a directory, NATS, and S3.

use super::*;
use clap::Parser;
use hedgerow_cli::commands::{publish, switch};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A command that is ready to run, here or on another thread.
type Job = Box<dyn FnOnce() -> Outcome + Send>;

/// A way of tables to engines.
trait Backend {
    fn folder(&self) -> &Folder;
    fn publishing(&self, table: &str) -> Job;
    fn rollback(&self, to: u64) -> Outcome;
    fn switch(&self, verb: &str, selector: &str) -> Outcome;
    /// A machine with an engine.
    fn node(&self, name: &str) -> Node;
    /// Replaces a table's bytes, past every check.
    fn overwrite_table(&self, table: &[u8], bytes: &[u8]);
    /// Replaces the pointer's bytes, past every check.
    fn overwrite_pointer(&self, bytes: &[u8]);
    /// Stops the backend, or continues it.
    fn away(&self, away: bool);
    /// Publishes while it is away, if that makes sense.
    fn publish_away(&self, table: &str) -> Option<Outcome>;

    fn publish(&self, table: &str) -> Outcome {
        self.publishing(table)()
    }
}

/// A case: a fleet, its node, and the first number of the case's tables.
type Case = fn(&dyn Backend, &Node, u8);

/// All cases, in their order on one fleet.
const CASES: &[(&str, Case)] = &[
    ("what is published runs, and goes back", runs),
    ("a bad table is refused, and the last good one stays", bad),
    (
        "a corrupted table runs nowhere until it is put right",
        corrupted,
    ),
    ("a pointer of garbage changes nothing", garbage),
    ("two publishers do not cross", crossing),
    ("what is switched off is off everywhere", switches),
    ("without its backend a node stays as it is", gone),
    ("an older table comes back by a rollback alone", older),
];

fn conform(backend: &dyn Backend) {
    let node = backend.node("one");
    for (number, (name, case)) in (1..).zip(CASES) {
        println!("{name}");
        case(backend, &node, number * 10);
        node.is_sound();
    }
}

fn table(backend: &dyn Backend, number: u8) -> String {
    backend.folder().table(number)
}

/// Publishes and waits until the node runs it.
fn published(backend: &dyn Backend, node: &Node, number: u8) -> u64 {
    let generation = backend.publish(&table(backend, number)).generation();
    node.wait_table(generation, content_id(number));
    generation
}

fn runs(backend: &dyn Backend, node: &Node, number: u8) {
    let first = published(backend, node, number);
    let second = published(backend, node, number + 1);
    assert!(second > first);
    let back = backend.rollback(first);
    assert!(back.generation() > second, "{back:?}");
    assert_eq!(back.json["from_generation"], first, "{back:?}");
    node.wait_table(back.generation(), content_id(number));
    let none = backend.rollback(1_000_000);
    none.fails("no-generation");
}

fn bad(backend: &dyn Backend, node: &Node, number: u8) {
    let before = node.generation();
    let good = bytes(number);
    let mut flipped = good.clone();
    flipped[5_000] ^= 1;
    for (name, bad) in [("flipped", flipped), ("cut", good[..4_000].to_vec())] {
        let file = backend.folder().file(name, bad);
        let refused = backend.publish(&file);
        assert_eq!(refused.status, 1, "{name}: {refused:?}");
    }
    assert_eq!(node.generation(), before);
    // The next publish is not affected.
    assert!(published(backend, node, number) > before);
}

fn corrupted(backend: &dyn Backend, node: &Node, number: u8) {
    let generation = published(backend, node, number);
    let good = bytes(number);
    let mut flipped = good.clone();
    flipped[5_000] ^= 1;
    backend.overwrite_table(&good, &flipped);
    let late = backend.node("late");
    late.wait_refused();
    backend.overwrite_table(&good, &good[..4_000]);
    std::thread::sleep(Duration::from_millis(300));
    // It keeps the table before, or the bundled one.
    assert_ne!(late.watcher.status().content_id, Some(content_id(number)));
    assert_eq!(node.generation(), generation);
    // A publisher finds the wrong bytes, and replaces them.
    let again = backend.publish(&table(backend, number)).generation();
    for node in [node, &late] {
        node.wait_table(again, content_id(number));
    }
}

fn garbage(backend: &dyn Backend, node: &Node, number: u8) {
    let generation = published(backend, node, number);
    let huge = vec![b'{'; 900_000];
    for garbage in [&b"no pointer"[..], b"", b"{}", &huge] {
        backend.overwrite_pointer(garbage);
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(node.generation(), generation);
    }
    assert!(published(backend, node, number + 1) > generation);
}

fn crossing(backend: &dyn Backend, node: &Node, number: u8) {
    let mut taken = BTreeMap::new();
    for round in 0..2 {
        let numbers = [number + 2 * round, number + 2 * round + 1];
        let jobs = numbers.map(|number| backend.publishing(&table(backend, number)));
        let threads = jobs.map(std::thread::spawn);
        let outcomes = threads.map(|thread| thread.join().unwrap());
        for (number, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome.status {
                0 => assert_eq!(taken.insert(outcome.generation(), number), None),
                _ => assert_eq!(outcome.name(), "fleet-crossed", "{outcome:?}"),
            }
        }
    }
    let (last, number) = taken.last_key_value().unwrap();
    node.wait_table(*last, content_id(*number));
}

fn switches(backend: &dyn Backend, node: &Node, number: u8) {
    published(backend, node, number);
    let other = backend.node("other");
    for (verb, selector, off) in [
        ("kill", "ensemble", &["ensemble"][..]),
        (
            "kill",
            "feature:ua_bot_word",
            &["ensemble", "feature:ua_bot_word"],
        ),
        ("restore", "ensemble", &["feature:ua_bot_word"]),
        ("restore", "feature:ua_bot_word", &[]),
    ] {
        let done = backend.switch(verb, selector);
        assert_eq!(done.status, 0, "{verb} {selector}: {done:?}");
        node.wait_off(off);
        other.wait_off(off);
    }
    for (verb, selector) in [("restore", "ensemble"), ("kill", "feature:nothing")] {
        let refused = backend.switch(verb, selector);
        refused.fails("selector");
    }
}

fn gone(backend: &dyn Backend, node: &Node, number: u8) {
    let generation = published(backend, node, number);
    backend.away(true);
    if let Some(refused) = backend.publish_away(&table(backend, number + 1)) {
        refused.fails("fleet-store");
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(node.generation(), generation);
    assert_eq!(node.watcher.status().content_id, Some(content_id(number)));
    backend.away(false);
    assert!(published(backend, node, number + 2) > generation);
}

fn older(backend: &dyn Backend, node: &Node, number: u8) {
    let id = |bytes: &[u8]| hedgerow::Table::from_bytes(bytes).unwrap().content_id();
    let tables = [(0, 5), (1, 6), (2, 5)].map(|(at, own)| numbered(number + at, own));
    let files = [0, 1, 2].map(|at| {
        let bytes = &tables[at];
        backend
            .folder()
            .file(&format!("numbered-{at}.hedge"), bytes)
    });
    let first = backend.publish(&files[0]).generation();
    node.wait(first);
    let second = backend.publish(&files[1]).generation();
    node.wait(second);
    // The publisher refuses it, or every engine does.
    let third = backend.publish(&files[2]);
    match third.status {
        0 => node.wait_for("a refusal", || {
            let refused = node.watcher.status().last_refusals;
            refused.iter().any(|last| last.reason.name() == "replayed")
        }),
        _ => assert_eq!(third.name(), "replayed", "{third:?}"),
    }
    assert_eq!(node.watcher.status().content_id, Some(id(&tables[1])));
    let back = backend.rollback(first).generation();
    node.wait_table(back, id(&tables[0]));
}

/// A directory that engines watch, and the commands of `hedgerow`.
struct Directory {
    folder: Folder,
    root: PathBuf,
}

/// The commands of `hedgerow` that change a directory.
#[derive(Parser)]
enum Direct {
    Publish(publish::Args),
    Rollback(publish::RollbackArgs),
    Kill(switch::KillArgs),
    Restore(switch::RestoreArgs),
}

fn direct(args: &[&str]) -> Outcome {
    let done = match Direct::try_parse_from([&["hedgerow"], args].concat()).unwrap() {
        Direct::Publish(args) => publish::run(&args),
        Direct::Rollback(args) => publish::rollback(&args),
        Direct::Kill(args) => switch::kill(&args),
        Direct::Restore(args) => switch::restore(&args),
    };
    match done {
        Ok(report) => Outcome {
            status: i32::from(!report.ok),
            json: report.json,
            err: String::new(),
        },
        Err(failure) => Outcome {
            status: failure.status().into(),
            json: failure.json(),
            err: String::new(),
        },
    }
}

/// Replaces a file as a whole: engines may have the old one mapped.
fn replace(path: PathBuf, bytes: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, bytes).unwrap();
    fs::rename(new, path).unwrap();
}

impl Directory {
    fn at(&self) -> &str {
        self.root.to_str().unwrap()
    }
}

impl Backend for Directory {
    fn folder(&self) -> &Folder {
        &self.folder
    }

    fn publishing(&self, table: &str) -> Job {
        let (table, root) = (table.to_string(), self.at().to_string());
        Box::new(move || direct(&["publish", &table, &root, "--by", "ops"]))
    }

    fn rollback(&self, to: u64) -> Outcome {
        direct(&["rollback", self.at(), &to.to_string()])
    }

    fn switch(&self, verb: &str, selector: &str) -> Outcome {
        direct(&[verb, self.at(), selector])
    }

    fn node(&self, name: &str) -> Node {
        Node::watching(name, &self.root)
    }

    fn overwrite_table(&self, table: &[u8], bytes: &[u8]) {
        let id = hedgerow::Table::from_bytes(table).unwrap().content_id();
        let directory = hedgerow::watch::Directory::new(&self.root);
        replace(directory.table(id), bytes);
    }

    fn overwrite_pointer(&self, bytes: &[u8]) {
        replace(self.root.join("active"), bytes);
    }

    fn away(&self, away: bool) {
        let elsewhere = self.folder.path("elsewhere");
        let (from, to) = if away {
            (&self.root, &elsewhere)
        } else {
            (&elsewhere, &self.root)
        };
        fs::rename(from, to).unwrap();
    }

    // A publisher makes a directory that is not there.
    fn publish_away(&self, _: &str) -> Option<Outcome> {
        None
    }
}

/// A fleet. Its backends differ in the options of commands, and in the access past them.
struct Fleet<S> {
    server: S,
    folder: Folder,
    address: String,
    more: Vec<String>,
}

trait Server {
    fn put(&self, address: &str, object: Option<&str>, bytes: &[u8]);
    fn freeze(&self, frozen: bool);
}

impl<S> Fleet<S> {
    fn job(&self, args: &[&str]) -> Job {
        let mut args: Vec<String> = args.iter().map(ToString::to_string).collect();
        args.extend(self.more.iter().cloned());
        Box::new(move || run(&args.iter().map(String::as_str).collect::<Vec<_>>()))
    }
}

impl<S: Server> Backend for Fleet<S> {
    fn folder(&self) -> &Folder {
        &self.folder
    }

    fn publishing(&self, table: &str) -> Job {
        self.job(&["publish", table, &self.address, "--by", "ops"])
    }

    fn rollback(&self, to: u64) -> Outcome {
        self.job(&["rollback", &self.address, "--to", &to.to_string()])()
    }

    fn switch(&self, verb: &str, selector: &str) -> Outcome {
        self.job(&[verb, selector, &self.address])()
    }

    fn node(&self, name: &str) -> Node {
        let mut more: Vec<&str> = self.more.iter().map(String::as_str).collect();
        more.extend(["--poll", "0.1"]);
        Node::new(&self.folder, name, &self.address, &more)
    }

    fn overwrite_table(&self, table: &[u8], bytes: &[u8]) {
        self.server.put(&self.address, Some(&object(table)), bytes);
    }

    fn overwrite_pointer(&self, bytes: &[u8]) {
        self.server.put(&self.address, None, bytes);
    }

    fn away(&self, away: bool) {
        self.server.freeze(away);
    }

    fn publish_away(&self, table: &str) -> Option<Outcome> {
        Some(self.job(&[
            "publish",
            table,
            &self.address,
            "--within",
            "1",
        ])())
    }
}

impl Server for Servers {
    fn put(&self, address: &str, object: Option<&str>, bytes: &[u8]) {
        match object {
            Some(object) => put_object(address, object, bytes),
            None => put_key(address, "pointer.all", bytes),
        }
    }

    fn freeze(&self, frozen: bool) {
        Servers::freeze(self, 0, frozen);
    }
}

impl Server for Bucket {
    fn put(&self, _: &str, object: Option<&str>, bytes: &[u8]) {
        match object {
            Some(object) => Bucket::put(self, &format!("tables/{object}"), bytes.to_vec()),
            None => Bucket::put(self, "keys/pointer.all", bytes.to_vec()),
        }
    }

    fn freeze(&self, frozen: bool) {
        Bucket::freeze(self, frozen);
    }
}

fn begun<S: Server>(server: S, name: &str, address: String, more: Vec<String>) -> Fleet<S> {
    let fleet = Fleet {
        server,
        folder: Folder::new(&format!("conformance-{name}")),
        address,
        more,
    };
    let made = fleet.job(&["init", &fleet.address, "--within", "60"])();
    assert_eq!(made.status, 0, "{made:?}");
    fleet
}

#[test]
fn a_directory_conforms() {
    let folder = Folder::new("conformance-directory");
    let root = folder.path("directory");
    fs::create_dir_all(&root).unwrap();
    conform(&Directory { folder, root });
}

#[test]
fn nats_conforms() {
    let Some(servers) = Servers::start("conformance", 1) else {
        return;
    };
    let address = servers.address();
    conform(&begun(servers, "nats", address, Vec::new()));
}

#[test]
fn s3_conforms() {
    let Some(bucket) = Bucket::start("conformance") else {
        return;
    };
    let more = bucket.args("ops");
    conform(&begun(bucket, "s3", "s3://tables/edge".into(), more));
}
