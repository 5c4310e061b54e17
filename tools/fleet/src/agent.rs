//! `agent`: keeps a machine's directory in step with its fleet.
//!
//! Loops of their own watch for hints, poll for the truth, take tables, take switches, and report.
//! A table that is under way gives way to a newer pointer, so that a rollback does not wait for a
//! download; switches wait for no table. What is taken was signed as it must be and passed every
//! check of a table; engines hold it against theirs again. Without a connection everything stays as
//! it is.

use crate::backend::{AGENT, Address, Store, failed, name};
use crate::record::{EngineHealth, EngineReport, digest};
use crate::record::{Envelope, FleetSwitches, NodeReport, Ring, RingPointer, SWITCHES};
use futures_util::StreamExt;
use hedgerow::Table;
use hedgerow::watch::directory::{FILES_VERSION, SwitchesFile};
use hedgerow::watch::{Directory, Keys, Origin, Publisher, Refusal, Told, WatchStatus};
use hedgerow::watch::{moment, status};
use hedgerow_cli::Report;
use hedgerow_cli::failure::{Failure, harmless};
use hedgerow_cli::trust::Trust;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use xxhash_rust::xxh3::xxh3_64;

/// Keep this machine's directory in step with a fleet
///
/// Engines watch the directory as they watch any. The agent runs until it is told to stop
/// (SIGTERM); without a connection engines go on with what they have.
///
/// Example: hedgerow-fleet agent nats://127.0.0.1:4222 --dir /var/lib/hedgerow --ring canary \
///     --trust ops.key.pub --require-signature
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    address: Address,
    /// The directory that engines watch; made where it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// This machine's part of the fleet
    #[arg(long, value_enum, default_value = "all")]
    ring: Ring,
    /// This machine's name in the fleet; else its own
    #[arg(long, value_name = "NAME", value_parser = name)]
    node: Option<String>,
    /// Ask the store this often, in seconds, whatever hints come
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = poll)]
    poll: f64,
    #[command(flatten)]
    trust: Trust,
}

fn poll(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected 0.05 to 600".into()),
    }
}

/// How soon hints are asked for again where they ended.
const AGAIN: Duration = Duration::from_secs(1);

/// How often the engines of the machine are looked at while something changes, and else.
const LOOK: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// How long after a change something may still change, and somebody watches: reports come twice as
/// often then.
const SETTLED: Duration = Duration::from_secs(2);
const WATCHED: Duration = Duration::from_secs(60);

/// How long a change waits for another publisher of the directory.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How soon a table that was refused is tried again: the first time, and at the longest.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// Distinct refusals that are said, at most.
const SAID_MAX: usize = 4_096;

struct Agent {
    store: Store,
    directory: Directory,
    node: String,
    ring: Ring,
    keys: Keys,
    poll: Duration,
    origin: Origin,
    state: Mutex<State>,
    pointer_came: Notify,
    switches_came: Notify,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The highest pointer that came and was well signed.
    wanted: Option<RingPointer>,
    /// The last switches that came and were well signed.
    switches: Option<SwitchesFile>,
    /// What the directory has.
    generation: u64,
    content_id: String,
    change: u64,
    refused: Option<(u64, Told)>,
    /// Whether the generation of that was well signed.
    signed: bool,
    /// Hashes of the lines about refusals that were said.
    said: BTreeSet<u64>,
    /// When the store last answered.
    contact: Option<Instant>,
}

/// Runs an agent.
///
/// # Errors
/// Where it cannot begin: the directory, a key or the address is not what it must be.
pub async fn run(args: &Args) -> Result<Report, Failure> {
    let origin = Origin::here("agent");
    let own: String = origin
        .host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let tables = args.dir.join("tables");
    fs::create_dir_all(&tables)
        .map_err(|error| Failure::io(&tables, "a directory that can be made", error))?;
    let _lock = alone(&args.dir)?;
    let agent = Agent {
        store: Store::connect(&args.address, AGENT).await?,
        directory: Directory::new(&args.dir),
        node: args.node.clone().unwrap_or(own),
        ring: args.ring,
        keys: args.trust.keys()?,
        poll: Duration::from_secs_f64(args.poll),
        origin,
        state: Mutex::default(),
        pointer_came: Notify::new(),
        switches_came: Notify::new(),
        changed: Notify::new(),
    };
    agent.begin();
    eprintln!(
        "agent {} of the ring {} keeps {} in step with {}",
        agent.node,
        agent.ring.name(),
        args.dir.display(),
        agent.store.fleet
    );
    let told = |error| Failure::new("agent", "signals", "a handler", error);
    let mut term = signal(SignalKind::terminate()).map_err(told)?;
    let mut int = signal(SignalKind::interrupt()).map_err(told)?;
    tokio::select! {
        () = agent.hints("pointer.*") => {}
        () = agent.hints(SWITCHES) => {}
        () = agent.polls() => {}
        () = agent.take_tables() => {}
        () = agent.take_switches() => {}
        () = agent.reports() => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    let generation = agent.state().generation;
    let text = format!("agent {} stops at generation {generation}\n", agent.node);
    Ok(Report::done(
        text,
        json!({ "ok": true, "generation": generation }),
    ))
}

/// The right to be the directory's one agent. It goes with the process.
fn alone(directory: &Path) -> Result<File, Failure> {
    let path = directory.join("agent.lock");
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let file = options
        .open(&path)
        .map_err(|error| Failure::io(&path, "a writable directory", error))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
        let expected = "no other agent of this directory";
        Failure::new("agent", path.display(), expected, error)
    })?;
    Ok(file)
}

impl Agent {
    fn state(&self) -> MutexGuard<'_, State> {
        // Fields are set by single assignments.
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What the directory has from before.
    fn begin(&self) {
        let pointer = self.directory.read_pointer().ok().flatten();
        let switches = self.directory.read_switches().ok().flatten();
        let mut state = self.state();
        state.change = switches.map_or(0, |switches| switches.change);
        let has = pointer.map(|pointer| (pointer.generation, pointer.content_id));
        (state.generation, state.content_id) = has.unwrap_or_default();
    }

    /// Takes note of what stands under a key. What is not signed as it must be, or malformed, is
    /// told and changes nothing.
    fn consider(&self, key: &str, bytes: &[u8]) {
        self.state().contact = Some(Instant::now());
        if key == SWITCHES {
            let fleet = &self.store.fleet;
            let body = match Envelope::open::<FleetSwitches>(bytes, fleet, key, &self.keys) {
                Ok(body) => body,
                Err(failure) => return self.refuse(0, false, told(&failure)),
            };
            let mut state = self.state();
            let known = state.switches.as_ref().map_or(0, |known| known.change);
            if body.file.change > known.max(state.change) {
                state.switches = Some(body.file);
                self.switches_came.notify_one();
            }
            return;
        }
        let followed = self.ring.followed();
        if !followed.iter().any(|ring| ring.key() == key) {
            return;
        }
        let fleet = &self.store.fleet;
        let body = match Envelope::open::<RingPointer>(bytes, fleet, key, &self.keys) {
            Ok(body) => body,
            Err(failure) => {
                // The number is only told: it is somebody's word.
                let said = Envelope::unverified::<RingPointer>(bytes, fleet, key);
                let generation = said.map_or(0, |said| said.pointer.generation);
                if generation == 0 || generation > self.state().generation {
                    self.refuse(generation, false, told(&failure));
                }
                return;
            }
        };
        let mut state = self.state();
        let known = state.wanted.as_ref();
        let known = known.map_or(0, |known| known.pointer.generation);
        if body.pointer.generation > known.max(state.generation) {
            state.wanted = Some(body);
            self.pointer_came.notify_one();
        }
    }

    /// Writes down a refusal, if none of a later generation stands there that was well signed; says
    /// it once.
    fn refuse(&self, generation: u64, signed: bool, told: Told) {
        let Told {
            name,
            at,
            expected,
            got,
            ..
        } = &told;
        let line = format!("{name}: {at}: expected {expected}, got {got}");
        let line = format!("refused generation {generation}: {}", harmless(&line));
        self.say(&line);
        let mut state = self.state();
        // A number that nobody signed gives way to one that somebody did.
        let gives_way = signed && !state.signed;
        let hides = state.signed && !signed;
        let pending = state.generation;
        let later = |before: &(u64, Told)| {
            (before.0 > generation && !gives_way) || (hides && before.0 > pending)
        };
        let refused = Some((generation, told));
        if state.refused != refused && !state.refused.as_ref().is_some_and(later) {
            (state.refused, state.signed) = (refused, signed);
            self.changed.notify_one();
        }
    }

    /// Takes note of what stands under a key and is no value.
    fn consider_none(&self, failure: &Failure) {
        self.state().contact = Some(Instant::now());
        self.refuse(0, false, told(failure));
    }

    /// Says a line once.
    fn say(&self, line: &str) {
        let mut state = self.state();
        if state.said.len() < SAID_MAX && state.said.insert(xxh3_64(line.as_bytes())) {
            eprintln!("agent: {}", cut(line));
        }
    }

    /// Follows what the store tells of its own accord.
    async fn hints(&self, keys: &'static str) {
        loop {
            match self.store.watch(keys).await {
                Ok(mut hints) => {
                    while let Some((key, bytes)) = hints.next().await {
                        self.consider(&key, &bytes);
                    }
                }
                Err(_) => {}
            }
            sleep(AGAIN).await;
        }
    }

    /// Asks the store.
    async fn polls(&self) {
        loop {
            let rings = self.ring.followed().iter().map(|ring| ring.key());
            // The switches first: a pointer that cannot be had keeps none away.
            for key in [SWITCHES.to_string()].into_iter().chain(rings) {
                match self.store.get(&key).await {
                    Ok(Some(bytes)) => self.consider(&key, &bytes),
                    Ok(None) => self.state().contact = Some(Instant::now()),
                    // No value: the others under their keys are none the worse.
                    Err(failure) if failure.code == 801 => self.consider_none(&failure),
                    Err(failure) => {
                        self.say(&format!("cannot ask the fleet: {failure}"));
                        break;
                    }
                }
            }
            sleep(self.poll).await;
        }
    }

    /// The pointer that the directory is behind of.
    fn due(&self) -> Option<RingPointer> {
        let state = self.state();
        let wanted = state.wanted.clone();
        wanted.filter(|wanted| wanted.pointer.generation > state.generation)
    }

    async fn take_tables(&self) {
        let mut pause = RETRY[0];
        loop {
            let Some(wanted) = self.due() else {
                self.pointer_came.notified().await;
                pause = RETRY[0];
                continue;
            };
            let generation = wanted.pointer.generation;
            tokio::select! {
                biased;
                // A newer one: what is under way is dropped.
                () = self.pointer_came.notified() => continue,
                taken = self.take(&wanted) => match taken {
                    Ok(()) => {
                        let mut state = self.state();
                        (state.generation, state.refused) = (generation, None);
                        state.content_id = wanted.pointer.content_id;
                        self.changed.notify_one();
                        eprintln!("agent: took generation {generation}");
                        continue;
                    }
                    Err(failure) => {
                        self.refuse(generation, true, told(&failure));
                        // Somebody else may have published to the directory meanwhile.
                        self.begin();
                    }
                },
            }
            tokio::select! {
                () = self.pointer_came.notified() => pause = RETRY[0],
                () = sleep(pause) => pause = (pause * 2).min(RETRY[1]),
            }
        }
    }

    /// Fetches, verifies and publishes to the directory.
    async fn take(&self, wanted: &RingPointer) -> Result<(), Failure> {
        let pointer = &wanted.pointer;
        let path = self.directory.table(&pointer.content_id);
        let there = fs::read(&path).ok();
        let file = match there.filter(|file| digest(file) == wanted.digest) {
            Some(file) => file,
            None => self.store.table(&wanted.object(), pointer.bytes).await?,
        };
        let at = wanted.object();
        if file.len() as u64 != pointer.bytes || digest(&file) != wanted.digest {
            let expected = format!("{} bytes of that digest", pointer.bytes);
            let got = format!("{} bytes of {}", file.len(), digest(&file));
            return Err(failed(&at, &expected, got));
        }
        let (keys, directory) = (self.keys.clone(), self.directory.clone());
        let (pointer, origin) = (pointer.clone(), self.origin.who.clone());
        let taken = tokio::task::spawn_blocking(move || -> Result<(), Failure> {
            let refused = |refused| Failure::refused(&at, &refused);
            keys.check(&file).map_err(refused)?;
            let table = Table::from_bytes(&file).map_err(refused)?;
            if table.content_id() != pointer.content_id {
                return Err(failed(&at, &pointer.content_id, table.content_id()));
            }
            let root = directory.root();
            Publisher::create(root, LOCK_WAIT, &origin)
                .and_then(|publisher| publisher.follow(&table, &pointer))
                .map(|_| ())
                .map_err(|refusal: Refusal| Failure::of(&refusal))
        });
        match taken.await {
            Ok(taken) => taken,
            Err(error) => Err(failed("the agent", "a thread that ends well", error)),
        }
    }

    async fn take_switches(&self) {
        loop {
            let due = {
                let state = self.state();
                let switches = state.switches.clone();
                switches.filter(|switches| switches.change > state.change)
            };
            let Some(switches) = due else {
                self.switches_came.notified().await;
                continue;
            };
            let (root, origin) = (self.directory.root().to_path_buf(), self.origin.who.clone());
            let change = switches.change;
            let taken = tokio::task::spawn_blocking(move || {
                Publisher::create(&root, LOCK_WAIT, &origin)
                    .and_then(|publisher| publisher.follow_switches(&switches))
            });
            match taken.await {
                Ok(Ok(_)) => {
                    self.state().change = change;
                    self.changed.notify_one();
                    eprintln!("agent: took change {change} of the switches");
                }
                Ok(Err(refusal)) => {
                    self.refuse(0, false, told(&Failure::of(&refusal)));
                    // Somebody else may have switched in the directory meanwhile.
                    self.begin();
                    sleep(RETRY[0]).await;
                }
                Err(_) => sleep(RETRY[0]).await,
            }
        }
    }

    fn report(&self) -> NodeReport {
        let engines = status::engines(&self.directory);
        let state = self.state();
        let wanted = state
            .wanted
            .as_ref()
            .map_or(0, |wanted| wanted.pointer.generation);
        NodeReport {
            version: FILES_VERSION,
            node: self.node.clone(),
            ring: self.ring,
            origin: self.origin.clone(),
            wanted: wanted.max(state.generation),
            generation: state.generation,
            content_id: state.content_id.clone(),
            switches: state.change,
            refused: state.refused.clone(),
            engines: engines
                .iter()
                .map(|(folder, engine)| of(folder, engine))
                .collect(),
        }
    }

    async fn reports(&self) {
        let mut last: Option<(NodeReport, Instant)> = None;
        let mut changed = Instant::now();
        loop {
            let report = self.report();
            let fixed = report.without_health();
            let differs = last.as_ref().is_none_or(|(before, _)| *before != fixed);
            if differs {
                changed = Instant::now();
            }
            let beat = match changed.elapsed() < WATCHED {
                true => self.store.heartbeat() / 2,
                false => self.store.heartbeat(),
            };
            let sent = last.as_ref().map(|(_, at)| at.elapsed());
            let due = differs || sent.is_none_or(|sent| sent >= beat);
            if due {
                let bytes = serde_json::to_vec(&report).unwrap_or_default();
                // A report that is not taken is sent again with the next look.
                if self.store.report(&self.node, bytes).await.is_ok() {
                    last = Some((fixed, Instant::now()));
                    self.state().contact = Some(Instant::now());
                }
                self.save();
            }
            // A look reads files: many machines' agents may be on one.
            let look = match changed.elapsed() < SETTLED {
                true => LOOK[0],
                false => LOOK[1],
            };
            if timeout(look, self.changed.notified()).await.is_ok() {
                changed = Instant::now();
            }
        }
    }

    /// Writes down how old is what this machine knows of its fleet.
    fn save(&self) {
        let (contact, generation) = {
            let state = self.state();
            (state.contact, state.generation)
        };
        let heard = contact.map(|contact| contact.elapsed().as_secs());
        let text = json!({
            "version": FILES_VERSION,
            "node": self.node,
            "ring": self.ring.name(),
            "fleet": self.store.fleet,
            "generation": generation,
            "at": moment::now(),
            "heard_seconds_before": heard,
            "connected": self.store.is_connected(),
        });
        let (path, new) = (self.directory.root().join("agent"), ".agent.new");
        let new = self.directory.root().join(new);
        // For people alone: where it cannot be written, engines are none the worse.
        let _ = fs::write(&new, format!("{text}\n")).and_then(|()| fs::rename(&new, &path));
    }
}

fn of(folder: &Path, engine: &WatchStatus) -> EngineReport {
    let name = folder.file_name().map(|name| name.to_string_lossy().into());
    let waiting = engine.waiting.as_ref().filter(|waiting| waiting.refused);
    let why = |waiting: &status::Waiting| match waiting.quarantined {
        true => "quarantined".to_string(),
        false => {
            let last = engine.last_refusals.first();
            last.map_or("refused".into(), |last| last.reason.name.clone())
        }
    };
    EngineReport {
        name: name.unwrap_or_default(),
        alive: status::is_alive(folder),
        generation: engine.generation,
        content_id: engine.content_id.clone(),
        source: engine.source.name().into(),
        refused: waiting.map(|waiting| (waiting.generation, why(waiting))),
        reverted: engine.reverted.first().map(|last| last.generation),
        switches: engine.switches.clone(),
        drift: engine.drift.as_ref().map(|drift| drift.psi),
        health: status::health(folder).map(|health| EngineHealth {
            generation: health.generation,
            seconds: health.seconds,
            rows: health.seen.rows,
            not_scored: health.seen.not_scored,
            timed: health.timed,
            p99: health.seen.p99_nanos,
        }),
    }
}

fn told(failure: &Failure) -> Told {
    let Failure {
        code,
        name,
        message,
        at,
        expected,
        got,
    } = failure.clone();
    // What was refused may be long, and by anybody.
    Told {
        code,
        name: name.to_string(),
        message: cut(&message),
        at: cut(&at),
        expected: cut(&expected),
        got: cut(&got),
    }
}

/// Characters of what is told of a refusal, at most.
const TOLD_MAX: usize = 300;

fn cut(text: &str) -> String {
    match text.char_indices().nth(TOLD_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_refusal_is_short() {
        let long = "ü".repeat(900_000);
        let short = told(&Failure::new("fleet-record", &long, &long, &long));
        for text in [&short.message, &short.at, &short.expected, &short.got] {
            assert_eq!(text.chars().count(), TOLD_MAX + 1);
        }
        let told = told(&Failure::new("fleet-record", "at", "this", "that"));
        assert_eq!(told.message, "at: expected this, got that");
    }
}
