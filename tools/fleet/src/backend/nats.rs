//! The fleet's store on NATS JetStream: tables as objects, pointers and reports as keys.
//!
//! | what | bucket | key |
//! |---|---|---|
//! | tables | object store `FLEET` | `<content id>-<digest>` |
//! | pointers, switches, the counter | KV `FLEET` | `pointer.<ring>`, `switches`, `generation` |
//! | reports | KV `FLEET_nodes` | the node's name |
//!
//! Every step has a time-out and is tried again until its time is up: when a server dies, a client
//! that waits for an answer waits for ever. Keys are in another stream than tables, so that a kill
//! switch needs no table.

use async_nats::jetstream::kv::{self, Operation, UpdateErrorKind};
use async_nats::jetstream::object_store::{self, InfoErrorKind, ObjectStore};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};
use futures_util::StreamExt;
use hedgerow::limits::TABLE_BYTES_MAX;
use hedgerow_cli::failure::{Failure, harmless};
use hedgerow_cli::files;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// How to reach a fleet.
#[derive(clap::Args, Clone)]
pub struct Address {
    /// The servers: nats://HOST:PORT, or tls://…, several with commas; or s3://BUCKET/FOLDER
    #[arg(value_name = "nats://…|s3://…")]
    pub servers: String,
    /// The fleet's name: letters, digits, `-` and `_`
    #[arg(long, value_name = "NAME", default_value = "hedgerow", value_parser = name)]
    pub fleet: String,
    /// A file with the nkey seed to sign in with, which nobody else can read
    #[arg(long, value_name = "FILE", env = "HEDGEROW_FLEET_NKEY")]
    pub nkey: Option<PathBuf>,
    /// Encrypt, and trust servers whose certificates are signed by those of this PEM file
    #[arg(long, value_name = "FILE", env = "HEDGEROW_FLEET_CA")]
    pub ca: Option<PathBuf>,
    /// The servers' JetStream domain, where a leaf server is between
    #[arg(long, value_name = "NAME", value_parser = name)]
    domain: Option<String>,
    /// Try for this long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    pub within: u64,
    /// What a bucket needs besides.
    #[command(flatten)]
    pub s3: super::Options,
}

/// A name that is a part of a subject.
pub fn name(text: &str) -> Result<String, String> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(sound) {
        true => Ok(text.into()),
        false => Err("expected 1 to 64 letters, digits, `-` and `_`".into()),
    }
}

/// What stands under a key and is no value.
pub fn malformed(at: &str, expected: &str, got: impl Display) -> Failure {
    Failure {
        code: 801,
        ..Failure::new("fleet-record", at, expected, got)
    }
}

/// A step that did not come about.
pub fn failed(at: &str, expected: &str, got: impl Display) -> Failure {
    Failure {
        code: 802,
        ..Failure::new("fleet-store", at, expected, got)
    }
}

/// How one attempt of a step ended, where it did not succeed.
pub enum Miss {
    /// The same may go well a little later.
    Again(String),
    /// It will not.
    Never(Failure),
}

impl Miss {
    fn again(error: impl Display) -> Miss {
        Miss::Again(error.to_string())
    }
}

/// Time for one attempt of a step.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// Time for one attempt that moves a table.
pub const ATTEMPT_TABLE: Duration = Duration::from_secs(20);

/// Pauses between attempts: the first, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(400)];

/// Tries a step until it succeeds, will not, or its time is up.
pub async fn step<T, F, Fut>(
    what: &str,
    within: Duration,
    attempt: Duration,
    mut make: F,
) -> Result<T, Failure>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Miss>>,
{
    let started = Instant::now();
    let mut pause = PAUSES[0];
    loop {
        let left = within.saturating_sub(started.elapsed());
        let last = match timeout(attempt.min(left.max(PAUSES[0])), make()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Miss::Never(failure))) => return Err(failure),
            Ok(Err(Miss::Again(why))) => why,
            Err(_) => "no answer in time".into(),
        };
        if started.elapsed() + pause >= within {
            let expected = format!("it done within {} s", within.as_secs_f64());
            return Err(failed(what, &expected, last));
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES[1]);
    }
}

/// A value under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its number in the bucket; each change has a higher one.
    pub revision: u64,
    /// The bytes; none where it was deleted.
    pub bytes: Vec<u8>,
    /// When the server took it, in nanoseconds since 1970.
    pub at: i128,
}

/// A fleet on NATS.
#[derive(Clone)]
pub struct Nats {
    /// The fleet's name.
    pub fleet: String,
    /// How long steps are tried.
    pub within: Duration,
    client: Client,
    context: Context,
    known: Arc<Known>,
}

/// Buckets that were found: they are asked for once.
#[derive(Default)]
struct Known {
    keys: OnceCell<kv::Store>,
    nodes: OnceCell<kv::Store>,
    objects: OnceCell<ObjectStore>,
}

impl Nats {
    /// Connects. Where no server answers yet, an agent's steps wait for one; others try again until
    /// their time is up.
    ///
    /// # Errors
    /// Where the address, the seed or the certificates are not what they must be.
    pub async fn connect(address: &Address, who: &str) -> Result<Nats, Failure> {
        let mut options = ConnectOptions::new()
            .name(format!("hedgerow {who}"))
            .connection_timeout(ATTEMPT)
            .request_timeout(Some(ATTEMPT))
            .ping_interval(Duration::from_secs(2))
            .reconnect_delay_callback(|attempts| {
                let pause = PAUSES[0] * 2u32.pow(attempts.clamp(1, 6) as u32 - 1);
                pause.min(PAUSES[1])
            });
        if let Some(path) = &address.nkey {
            options = options.nkey(seed(path)?);
        }
        if let Some(path) = &address.ca {
            File::open(path).map_err(|error| Failure::io(path, "a PEM file", error))?;
            options = options
                .add_root_certificates(path.clone())
                .require_tls(true);
        }
        // A client of the library's goes on without encryption where one of several is `tls://`.
        if address.servers.contains("tls://") {
            options = options.require_tls(true);
        }
        let client = connected(options, address, who == AGENT).await?;
        let mut context = match &address.domain {
            Some(domain) => jetstream::with_domain(client.clone(), domain),
            None => jetstream::new(client.clone()),
        };
        context.set_timeout(ATTEMPT);
        Ok(Nats {
            fleet: address.fleet.clone(),
            within: Duration::from_secs(address.within),
            client,
            context,
            known: Arc::default(),
        })
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Makes the buckets. Those that are there stay as they are.
    ///
    /// # Errors
    /// Where a bucket cannot be made.
    pub async fn make(&self, replicas: usize) -> Result<(), Failure> {
        for (bucket, history) in [(self.fleet.clone(), HISTORY), (self.nodes(), 1)] {
            let made = || async {
                let config = kv::Config {
                    bucket: bucket.clone(),
                    history,
                    num_replicas: replicas,
                    ..kv::Config::default()
                };
                if self.context.get_key_value(&bucket).await.is_ok() {
                    return Ok(());
                }
                let made = self.context.create_key_value(config).await;
                made.map(|_| ()).map_err(Miss::again)
            };
            step(
                &format!("bucket {bucket}"),
                self.within,
                ATTEMPT_TABLE,
                made,
            )
            .await?;
        }
        let made = || async {
            if self.context.get_object_store(&self.fleet).await.is_ok() {
                return Ok(());
            }
            let config = object_store::Config {
                bucket: self.fleet.clone(),
                num_replicas: replicas,
                ..object_store::Config::default()
            };
            let made = self.context.create_object_store(config).await;
            made.map(|_| ()).map_err(Miss::again)
        };
        let what = format!("object store {}", self.fleet);
        step(&what, self.within, ATTEMPT_TABLE, made).await
    }

    /// The bucket of reports.
    pub fn nodes(&self) -> String {
        format!("{}_nodes", self.fleet)
    }

    async fn keys(&self) -> Result<&kv::Store, Miss> {
        self.bucket(&self.known.keys, &self.fleet).await
    }

    async fn reported(&self) -> Result<&kv::Store, Miss> {
        self.bucket(&self.known.nodes, &self.nodes()).await
    }

    async fn bucket<'a>(
        &self,
        cell: &'a OnceCell<kv::Store>,
        bucket: &str,
    ) -> Result<&'a kv::Store, Miss> {
        let found = cell.get_or_try_init(|| self.context.get_key_value(bucket));
        found.await.map_err(|error| {
            Miss::Again(format!(
                "{error} (hedgerow-fleet init makes a fleet's buckets)"
            ))
        })
    }

    /// The value under a key, as any server has it, perhaps not the last; none where there is none.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        step(key, self.within, ATTEMPT, || async {
            let keys = self.keys().await?;
            let found = keys.get(key).await.map_err(Miss::again)?;
            Ok(found.map(|bytes| bytes.to_vec()))
        })
        .await
    }

    /// The value under a key, as the bucket's leader has it; none where there never was one.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn read(&self, key: &str) -> Result<Option<Value>, Failure> {
        step(key, self.within, ATTEMPT, || async {
            let keys = self.keys().await?;
            let subject = format!("$KV.{}.{key}", self.fleet);
            let found = keys.stream.get_last_raw_message_by_subject(&subject).await;
            match found {
                Ok(message) => Ok(Some(Value {
                    revision: message.sequence,
                    bytes: message.payload.to_vec(),
                    at: message.time.unix_timestamp_nanos(),
                })),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(Miss::again(error)),
            }
        })
        .await
    }

    /// Writes a value where the last one has this revision, 0 for none; the new revision, or none
    /// where somebody else has written in between. An attempt whose answer was lost is not taken
    /// for somebody else's.
    ///
    /// # Errors
    /// Where the store does not answer in time, or the right is missing.
    pub async fn write(
        &self,
        key: &str,
        bytes: &[u8],
        revision: u64,
    ) -> Result<Option<u64>, Failure> {
        let value = bytes::Bytes::copy_from_slice(bytes);
        let wrote = step(key, self.within, ATTEMPT, || async {
            let keys = self.keys().await?;
            match keys.update(key, value.clone(), revision).await {
                Ok(revision) => Ok(Some(revision)),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
                Err(error) => Err(Miss::again(error)),
            }
        })
        .await?;
        if wrote.is_some() {
            return Ok(wrote);
        }
        let there = self.read(key).await?;
        let own = there.filter(|there| there.bytes == bytes && there.revision > revision);
        Ok(own.map(|own| own.revision))
    }

    /// All values that a key had, oldest first, as far as the bucket keeps them. Any server may
    /// list them: one that is behind the bucket's leader is asked again.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn history(&self, key: &str) -> Result<Vec<Value>, Failure> {
        let Some(last) = self.read(key).await? else {
            return Ok(Vec::new());
        };
        step(key, self.within, ATTEMPT_TABLE, || async {
            let keys = self.keys().await?;
            let mut all = keys.history(key).await.map_err(Miss::again)?;
            let (mut found, mut newest) = (Vec::new(), 0);
            while let Some(entry) = all.next().await {
                let entry = entry.map_err(Miss::again)?;
                newest = newest.max(entry.revision);
                if entry.operation == Operation::Put {
                    found.push(Value {
                        revision: entry.revision,
                        bytes: entry.value.to_vec(),
                        at: entry.created.unix_timestamp_nanos(),
                    });
                }
            }
            if newest < last.revision {
                return Err(Miss::Again("the history of a server that is behind".into()));
            }
            found.sort_by_key(|value| value.revision);
            Ok(found)
        })
        .await
    }

    /// Changes of keys that match, as the store tells of them: hints, which may fail to come.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn watch(&self, keys: &'static str) -> Result<kv::Watch, Failure> {
        step(keys, self.within, ATTEMPT, || async {
            let bucket = self.keys().await?;
            bucket.watch(keys).await.map_err(Miss::again)
        })
        .await
    }

    async fn objects(&self) -> Result<&ObjectStore, Miss> {
        let cell = &self.known.objects;
        let found = cell.get_or_try_init(|| self.context.get_object_store(&self.fleet));
        found.await.map_err(Miss::again)
    }

    /// A table's file, of at most as many bytes as a table may have.
    ///
    /// # Errors
    /// Where it is not there, or the store does not give it in time.
    pub async fn table(&self, object: &str, bytes: u64) -> Result<Vec<u8>, Failure> {
        let most = (bytes as usize).min(TABLE_BYTES_MAX);
        step(object, self.within, ATTEMPT_TABLE, || async {
            let objects = self.objects().await?;
            let found = objects.get(object).await.map_err(Miss::again)?;
            let size = found.info().size;
            if size > most {
                let (expected, got) = (format!("{most} bytes"), format!("{size}"));
                return Err(Miss::Never(failed(object, &expected, got)));
            }
            let mut file = Vec::with_capacity(size);
            let mut bounded = found.take(most as u64 + 1);
            bounded.read_to_end(&mut file).await.map_err(Miss::again)?;
            Ok(file)
        })
        .await
    }

    /// Whether an object of this name is there. What is in it is another question.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn has(&self, object: &str) -> Result<bool, Failure> {
        step(object, self.within, ATTEMPT, || async {
            let objects = self.objects().await?;
            match objects.info(object).await {
                Ok(info) => Ok(!info.deleted),
                Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
                Err(error) => Err(Miss::again(error)),
            }
        })
        .await
    }

    /// Puts a table's file in its place, and reads it again. One that is there and whole stays.
    ///
    /// # Errors
    /// Where the store does not take it in time, or gives another back.
    pub async fn put_table(&self, object: &str, file: &[u8]) -> Result<(), Failure> {
        if self.has(object).await? {
            let there = self.table(object, file.len() as u64).await;
            if there.is_ok_and(|there| there == file) {
                return Ok(());
            }
        }
        step(object, self.within, ATTEMPT_TABLE, || async {
            let objects = self.objects().await?;
            let mut reader = file;
            let put = objects.put(object, &mut reader).await;
            put.map(|_| ()).map_err(Miss::again)
        })
        .await
    }

    /// Every table that is there: the objects' names, and their bytes.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn tables(&self) -> Result<Vec<(String, u64)>, Failure> {
        step("tables", self.within, ATTEMPT_TABLE, || async {
            let objects = self.objects().await?;
            let mut all = objects.list().await.map_err(Miss::again)?;
            let mut found = Vec::new();
            while let Some(info) = all.next().await {
                let info = info.map_err(Miss::again)?;
                if !info.deleted {
                    found.push((info.name, info.size as u64));
                }
            }
            found.sort();
            Ok(found)
        })
        .await
    }

    /// Takes a table out. One that is not there is taken out already.
    ///
    /// # Errors
    /// Where the store does not do it in time, or the right is missing.
    pub async fn remove_table(&self, object: &str) -> Result<(), Failure> {
        step(object, self.within, ATTEMPT_TABLE, || async {
            let objects = self.objects().await?;
            match objects.info(object).await {
                Ok(info) if info.deleted => return Ok(()),
                Err(error) if error.kind() == InfoErrorKind::NotFound => return Ok(()),
                _ => {}
            }
            objects.delete(object).await.map_err(Miss::again)
        })
        .await
    }

    /// Writes a node's report.
    ///
    /// # Errors
    /// Where the store does not take it at once: the next one is newer.
    pub async fn report(&self, node: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        step(node, ATTEMPT, ATTEMPT, || async {
            let keys = self.reported().await?;
            let put = keys.put(node, bytes.clone().into()).await;
            put.map(|_| ()).map_err(Miss::again)
        })
        .await
    }

    /// Takes a node's report out.
    ///
    /// # Errors
    /// Where the store does not do it in time, or the right is missing.
    pub async fn forget(&self, node: &str) -> Result<(), Failure> {
        step(node, self.within, ATTEMPT, || async {
            let keys = self.reported().await?;
            keys.purge(node).await.map_err(Miss::again)
        })
        .await
    }

    /// Every node's last report, by name.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn reports(&self) -> Result<Vec<(String, Value)>, Failure> {
        step("reports", self.within, ATTEMPT_TABLE, || async {
            let keys = self.reported().await?;
            let info = keys.stream.get_info().await.map_err(Miss::again)?;
            let mut found = BTreeMap::new();
            // A report that is replaced while they are read comes behind what was the last one.
            for _ in 0..READS_MAX {
                if found.len() as u64 >= info.state.messages {
                    break;
                }
                let mut all = keys.watch_with_history(">").await.map_err(Miss::again)?;
                while let Some(entry) = all.next().await {
                    let entry = entry.map_err(Miss::again)?;
                    let last = entry.delta == 0;
                    let value = Value {
                        revision: entry.revision,
                        bytes: entry.value.to_vec(),
                        at: entry.created.unix_timestamp_nanos(),
                    };
                    found.insert(entry.key, (entry.operation, value));
                    if last {
                        break;
                    }
                }
            }
            let there = found.into_iter();
            let there = there.filter(|(_, (operation, _))| *operation == Operation::Put);
            Ok(there.map(|(key, (_, value))| (key, value)).collect())
        })
        .await
    }
}

/// How often all reports are read where some were replaced meanwhile.
const READS_MAX: usize = 5;

/// What an agent calls itself.
pub const AGENT: &str = "agent";

/// Connects: an agent when it can be, and says why it is not yet; others now, or not.
async fn connected(
    options: ConnectOptions,
    address: &Address,
    patient: bool,
) -> Result<Client, Failure> {
    let servers = servers(&address.servers)?;
    if patient {
        match options.clone().connect(servers.clone()).await {
            Ok(client) => return Ok(client),
            Err(error) => {
                let why = harmless(&error.to_string()).to_string();
                eprintln!("agent: no connection yet: {why}");
            }
        }
        let client = options.retry_on_initial_connect().connect(servers).await;
        return client.map_err(|error| failed(SERVERS, "a server to connect to", error));
    }
    let within = Duration::from_secs(address.within);
    step(SERVERS, within, ATTEMPT, || async {
        let client = options.clone().connect(servers.clone()).await;
        client.map_err(|error| match error.to_string() {
            // It does not become another one.
            text if text.contains("certificate") => {
                let expected = "a server whose certificate is trusted (--ca FILE)";
                Miss::Never(failed(SERVERS, expected, text))
            }
            text => Miss::Again(text),
        })
    })
    .await
}

/// What a list of servers is called.
const SERVERS: &str = "the fleet's address";

/// The servers of a list.
fn servers(list: &str) -> Result<Vec<ServerAddr>, Failure> {
    let expected = "nats://HOST:PORT or tls://HOST:PORT, without a user (--nkey FILE)";
    let parse = |server: &str| {
        let sound = server.starts_with("nats://") || server.starts_with("tls://");
        // What stands before an @ may be secret, and is not shown.
        match sound && !server.contains('@') {
            false => Err(Failure::usage(SERVERS, expected, "another")),
            true => server
                .parse()
                .map_err(|error| Failure::usage(SERVERS, expected, error)),
        }
    };
    list.split(',').map(parse).collect()
}

/// Values of a key that the fleet's bucket keeps: the most that a bucket can.
const HISTORY: i64 = 64;

/// The seed of a file that nobody else can read.
fn seed(path: &Path) -> Result<String, Failure> {
    let text = files::read_text(path, "nkey", "an nkey seed")?;
    files::check_private(path, "nkey")?;
    let seed = text.trim();
    if !seed.starts_with("SU") || seed.len() != 58 {
        let got = "another text, which is not shown";
        return Err(Failure::new(
            "nkey",
            path.display(),
            "a user's seed (SU…)",
            got,
        ));
    }
    Ok(seed.into())
}
