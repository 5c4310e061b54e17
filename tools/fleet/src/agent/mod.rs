//! `agent`: keeps a machine's directory in step with its fleet.
//!
//! Separate loops follow hints, poll the store, take tables, take switches, and report. A download
//! gives way to a newer pointer, so that a rollback does not wait for it, and switches wait for no
//! table. What is taken is signed by a trusted key and passes every check of a table; engines make
//! the same checks again. Without a connection the directory stays as it is.

mod state;

use crate::backend::{AGENT, ATTEMPT, Address, Store, failed, name};
use crate::number;
use crate::record::{Ring, RingPointer, SWITCHES, digest};
use crate::report::{EngineReport, NodeReport};
use futures_util::StreamExt;
use hedgerow::watch::directory::FILES_VERSION;
use hedgerow::watch::{Directory, Keys, Origin, Publisher, status, time};
use hedgerow::{RefusalKind, Table};
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use hedgerow_cli::trust::Trust;
use rustix::fs::{FlockOperation, flock};
use serde_json::json;
use state::State;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

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
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, 
        value_parser = number(0.05..=600.0, "0.05 to 600"))]
    poll: f64,
    #[command(flatten)]
    trust: Trust,
}

/// The pause before hints that ended are asked for again.
const HINTS_AGAIN: Duration = Duration::from_secs(1);

/// How often the machine's engines are looked at: while something changes, and else.
const LOOK: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// How long after a change more changes are likely.
const SETTLED: Duration = Duration::from_secs(2);

/// How long after a change an operator is likely to watch: reports come twice as often.
const WATCHED: Duration = Duration::from_secs(60);

/// How long a change waits for another publisher of the directory.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Pauses before a refused table is tried again: the first, and the longest.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

struct Agent {
    store: Store,
    directory: Directory,
    node: String,
    ring: Ring,
    keys: Keys,
    poll: Duration,
    origin: Origin,
    state: Mutex<State>,
    new_pointer: Notify,
    new_switches: Notify,
    changed: Notify,
}

/// Runs an agent until a signal stops it.
///
/// # Errors
/// `agent`, `io`, `key` or `usage` if it cannot start.
pub async fn run(args: &Args) -> Result<Report, Failure> {
    let origin = Origin::here("agent");
    let host = origin.host.chars();
    let host = host.map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let host: String = host.collect();
    let made = Directory::new(&args.dir).create();
    made.map_err(|error| Failure::io(&args.dir, "a directory that can be made", error))?;
    let _lock = lock(&args.dir)?;
    let agent = Agent {
        store: Store::connect(&args.address, AGENT).await?,
        directory: Directory::new(&args.dir),
        node: args.node.clone().unwrap_or(host),
        ring: args.ring,
        keys: args.trust.keys()?,
        poll: Duration::from_secs_f64(args.poll),
        origin,
        state: Mutex::default(),
        new_pointer: Notify::new(),
        new_switches: Notify::new(),
        changed: Notify::new(),
    };
    agent.state().read(&agent.directory);
    let (node, ring, fleet) = (&agent.node, agent.ring.name(), &agent.store.fleet);
    let dir = args.dir.display();
    eprintln!("agent {node} of the ring {ring} keeps {dir} in step with {fleet}");
    let unhandled = |error| Failure::new("agent", "signals", "a handler", error);
    let mut term = signal(SignalKind::terminate()).map_err(unhandled)?;
    let mut int = signal(SignalKind::interrupt()).map_err(unhandled)?;
    tokio::select! {
        () = agent.follow_hints("pointer.*") => {}
        () = agent.follow_hints(SWITCHES) => {}
        () = agent.poll() => {}
        () = agent.take_tables() => {}
        () = agent.take_switches() => {}
        () = agent.report() => {}
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    let generation = agent.state().generation;
    let text = format!("agent {node} stops at generation {generation}\n");
    let json = json!({ "ok": true, "generation": generation });
    Ok(Report::done(text, json))
}

/// Locks the directory against other agents, until the file is closed.
fn lock(directory: &Path) -> Result<File, Failure> {
    let path = directory.join("agent.lock");
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    // A link would lead to a file of somebody else.
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let file = options
        .custom_flags(nofollow)
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
        // No thread panics while it holds the lock: fields are set by single assignments.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the changes that the store announces.
    async fn follow_hints(&self, keys: &str) {
        loop {
            if let Ok(mut hints) = self.store.watch(keys).await {
                while let Some((key, bytes)) = hints.next().await {
                    self.consider(&key, &bytes);
                }
            }
            sleep(HINTS_AGAIN).await;
        }
    }

    /// Asks the store again and again.
    async fn poll(&self) {
        loop {
            let rings = self.ring.followed().iter().map(|ring| ring.key());
            // The switches first: they do not depend on a pointer that cannot be read.
            for key in [SWITCHES.to_string()].into_iter().chain(rings) {
                match self.store.get(&key).await {
                    Ok(Some(bytes)) => self.consider(&key, &bytes),
                    Ok(None) => self.state().contact = Some(Instant::now()),
                    // A malformed record says nothing about the other keys.
                    Err(failure) if failure.is(RefusalKind::FleetRecord) => {
                        self.state().contact = Some(Instant::now());
                        self.refuse(0, false, &failure);
                    }
                    Err(failure) => {
                        self.state()
                            .log(&format!("cannot ask the fleet: {failure}"));
                        break;
                    }
                }
            }
            sleep(self.poll).await;
        }
    }

    async fn take_tables(&self) {
        let mut pause = RETRY[0];
        loop {
            let Some(wanted) = self.state().due_pointer() else {
                self.new_pointer.notified().await;
                pause = RETRY[0];
                continue;
            };
            let generation = wanted.pointer.generation;
            tokio::select! {
                biased;
                // A newer pointer: the download is dropped.
                () = self.new_pointer.notified() => continue,
                taken = self.take(&wanted) => match taken {
                    Ok(()) => {
                        let mut state = self.state();
                        (state.generation, state.refused) = (generation, None);
                        state.is_damaged = false;
                        state.content_id = Some(wanted.pointer.content_id);
                        self.changed.notify_one();
                        eprintln!("agent: took generation {generation}");
                        continue;
                    }
                    Err(failure) => {
                        self.refuse(generation, true, &failure);
                        // Another publisher may have changed the directory.
                        self.state().read(&self.directory);
                    }
                },
            }
            tokio::select! {
                () = self.new_pointer.notified() => pause = RETRY[0],
                () = sleep(pause) => pause = (pause * 2).min(RETRY[1]),
            }
        }
    }

    /// Fetches a table, verifies it, and publishes it to the directory.
    async fn take(&self, wanted: &RingPointer) -> Result<(), Failure> {
        let pointer = wanted.pointer.clone();
        let path = self.directory.table(pointer.content_id);
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
        let keys = self.keys.clone();
        let is_damaged = self.state().is_damaged;
        self.publish(move |publisher| {
            let refused = |refused| Failure::refused(&at, refused);
            keys.check(&file).map_err(refused)?;
            let table = Table::from_bytes(&file).map_err(refused)?;
            if table.content_id() != pointer.content_id {
                return Err(failed(
                    &at,
                    &pointer.content_id.to_string(),
                    table.content_id(),
                ));
            }
            match is_damaged {
                true => publisher()?.mend(&table)?,
                false => _ = publisher()?.follow(&table, &pointer)?,
            }
            Ok(())
        })
        .await
    }

    /// Changes the directory on another thread; `change` is given a lock of the directory.
    async fn publish(
        &self,
        change: impl FnOnce(&dyn Fn() -> Result<Publisher, Failure>) -> Result<(), Failure>
        + Send
        + 'static,
    ) -> Result<(), Failure> {
        let (root, who) = (self.directory.root().to_path_buf(), self.origin.who.clone());
        let publisher = move || Publisher::create(&root, LOCK_WAIT, &who).map_err(Failure::from);
        match spawn_blocking(move || change(&publisher)).await {
            Ok(done) => done,
            Err(error) => Err(failed("the agent", "a thread that ends well", error)),
        }
    }

    async fn take_switches(&self) {
        loop {
            let Some(switches) = self.state().due_switches() else {
                self.new_switches.notified().await;
                continue;
            };
            let change = switches.change;
            let taken = self.publish(move |publisher| {
                let followed = publisher()?.follow_switches(&switches);
                followed?;
                Ok(())
            });
            match taken.await {
                Ok(()) => {
                    self.state().change = change;
                    self.changed.notify_one();
                    eprintln!("agent: took change {change} of the switches");
                }
                Err(failure) => {
                    self.refuse(0, false, &failure);
                    // Another publisher may have changed the directory.
                    self.state().read(&self.directory);
                    sleep(RETRY[0]).await;
                }
            }
        }
    }

    /// Looks whether the directory still has what the agent put there, and has it put there again
    /// if not: by hand, by a restore of a backup, or by a broken disk it can be gone.
    fn look(&self) {
        let pointer = self.directory.read_pointer().ok().flatten();
        let switches = self.directory.read_switches().ok().flatten();
        let there = pointer.as_ref().map_or(0, |pointer| pointer.generation);
        let change = switches.map_or(0, |switches| switches.change);
        let mut state = self.state();
        if change < state.change {
            let lost = state.change;
            state.log(&format!("the directory lost change {lost} of the switches"));
            state.change = change;
            self.new_switches.notify_one();
        }
        if there < state.generation {
            let lost = state.generation;
            state.log(&format!("the directory lost generation {lost}"));
            (state.generation, state.is_damaged) = (there, false);
            self.new_pointer.notify_one();
            return;
        }
        let Some(pointer) = pointer.filter(|pointer| pointer.generation == state.generation) else {
            return;
        };
        let path = self.directory.table(pointer.content_id);
        let stamp = |it: fs::Metadata| (it.len(), it.mtime(), it.mtime_nsec(), it.ino());
        let stamp = fs::metadata(&path).ok().map(stamp);
        if stamp.is_some() && stamp == state.seen {
            return;
        }
        let table = fs::read(&path)
            .ok()
            .and_then(|file| Table::from_bytes(&file).ok());
        match table.is_some_and(|table| table.content_id() == pointer.content_id) {
            true => (state.seen, state.is_damaged) = (stamp, false),
            false => {
                let lost = state.generation;
                state.log(&format!(
                    "the directory lost the table of generation {lost}"
                ));
                state.is_damaged = true;
                self.new_pointer.notify_one();
            }
        }
    }

    fn node_report(&self) -> NodeReport {
        let engines = status::engines(&self.directory);
        let engines = engines.iter();
        let state = self.state();
        let wanted = state.wanted.as_ref();
        let wanted = wanted.map_or(0, |wanted| wanted.pointer.generation);
        NodeReport {
            version: FILES_VERSION,
            node: self.node.clone(),
            ring: self.ring,
            origin: self.origin.clone(),
            wanted: wanted.max(state.generation),
            generation: state.generation,
            content_id: state.content_id,
            switches: state.change,
            refused: state.refused.clone(),
            engines: engines
                .map(|(folder, engine)| EngineReport::of(folder, engine))
                .collect(),
        }
    }

    /// Reports changes at once, and everything from time to time.
    async fn report(&self) {
        let mut last: Option<(NodeReport, Instant)> = None;
        let mut changed = Instant::now();
        loop {
            self.look();
            let report = self.node_report();
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
            if differs || sent.is_none_or(|sent| sent >= beat) {
                let bytes = serde_json::to_vec(&report).unwrap_or_default().into();
                let sent = timeout(ATTEMPT, self.store.report(&self.node, &bytes));
                // A report that fails is sent again after the next look, and is newer then.
                if sent.await.is_ok_and(|sent| sent.is_ok()) {
                    last = Some((fixed, Instant::now()));
                    self.state().contact = Some(Instant::now());
                }
                self.save();
            }
            // A look reads files, and a machine may have many agents.
            let look = match changed.elapsed() < SETTLED {
                true => LOOK[0],
                false => LOOK[1],
            };
            if timeout(look, self.changed.notified()).await.is_ok() {
                changed = Instant::now();
            }
        }
    }

    /// Writes the file of the command `node`.
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
            "at": time::now(),
            "heard_seconds_before": heard,
            "connected": self.store.is_connected(),
        });
        let (path, new) = (self.directory.root().join("agent"), ".agent.new");
        let new = self.directory.root().join(new);
        // Informational: engines do not depend on it.
        let _ = fs::write(&new, format!("{text}\n")).and_then(|()| fs::rename(&new, &path));
    }
}
