//! A fleet on NATS JetStream: tables are objects, pointers and reports are values of keys.
//!
//! | what | bucket | key |
//! |---|---|---|
//! | tables | object store `FLEET` | `<content id>-<digest>` |
//! | pointers, switches, the counter | KV `FLEET` | `pointer.<ring>`, `switches`, `generation` |
//! | reports | KV `FLEET_nodes` | the node's name |
//!
//! Keys are in another stream than tables, so that a kill switch needs no table.
//!
//! Everything is read by requests with one answer, and hints are plain subscriptions: no consumer
//! delivers anything, so that an account which imports a few subjects of the store's suffices.

use super::attempt::{PAUSES, repeat};
use super::{
    AGENT, ATTEMPT, Address, Attempt, AttemptError, Backend, Hints, LONG_ATTEMPT, Value, failed,
    table_bytes,
};
use async_nats::connection::State;
use async_nats::jetstream::kv::{self, UpdateErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::object_store::{self, InfoErrorKind, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{
    self, DirectGetErrorKind, DiscardPolicy, LastRawMessageErrorKind, RawMessageErrorKind, Stream,
};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use hedgerow::refusal::printable;
use hedgerow_cli::failure::Failure;
use hedgerow_cli::files;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::sleep;

/// A fleet on NATS.
pub struct Nats {
    fleet: String,
    client: Client,
    context: Context,
    // Each bucket is looked up once.
    keys: OnceCell<kv::Store>,
    nodes: OnceCell<kv::Store>,
    objects: OnceCell<ObjectStore>,
}

/// Values that a bucket keeps of a key: the most that JetStream allows.
const HISTORY: i64 = 64;

/// When the store is asked for a message that was seen: it takes a moment to store it.
const STORED_AFTER: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(100),
];

/// How many messages more than a stream holds are read, while nodes replace some of them.
const MORE_MAX: u64 = 256;

/// Bytes of a value at most: the names of every feature that is switched off fit.
const VALUE_BYTES_MAX: i32 = 1 << 20;

/// Bytes of a node's report at most. Larger ones are no node's.
pub const REPORT_BYTES_MAX: usize = 1 << 16;

/// What messages call a list of servers.
const SERVERS: &str = "the fleet's address";

impl Nats {
    /// Connects. An agent gets a client that waits for a server; others need an answer in time.
    ///
    /// # Errors
    /// `usage`, `nkey` or `io` if the address, the seed or the certificates are wrong;
    /// `fleet-store` if no server answers.
    pub async fn connect(address: &Address, who: &str) -> Result<Nats, Failure> {
        address.s3.check_unset()?;
        let mut options = ConnectOptions::new()
            .name(format!("hedgerow {who}"))
            .connection_timeout(ATTEMPT)
            .request_timeout(Some(LONG_ATTEMPT))
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
            options = options.add_root_certificates(path.clone());
        }
        // Without this the client connects unencrypted if only one of several is `tls://`.
        if address.ca.is_some() || address.servers.contains("tls://") {
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
            client,
            context,
            keys: OnceCell::new(),
            nodes: OnceCell::new(),
            objects: OnceCell::new(),
        })
    }

    fn nodes_bucket(&self) -> String {
        format!("{}_nodes", self.fleet)
    }

    async fn keys(&self) -> Attempt<&kv::Store> {
        self.bucket(&self.keys, &self.fleet).await
    }

    async fn nodes(&self) -> Attempt<&kv::Store> {
        self.bucket(&self.nodes, &self.nodes_bucket()).await
    }

    async fn bucket<'a>(
        &self,
        cell: &'a OnceCell<kv::Store>,
        bucket: &str,
    ) -> Attempt<&'a kv::Store> {
        let found = cell.get_or_try_init(|| self.context.get_key_value(bucket));
        found.await.map_err(|error| {
            let text = chain(&error);
            let hint = match text.contains("not enabled for account") {
                true => "the key's account needs the --domain that `nkey` named",
                false => "hedgerow-fleet init makes a fleet's buckets",
            };
            AttemptError::Transient(format!("{text} ({hint})"))
        })
    }

    async fn objects(&self) -> Attempt<&ObjectStore> {
        let found = || self.context.get_object_store(&self.fleet);
        Ok(self.objects.get_or_try_init(found).await?)
    }

    /// The stream of the tables.
    async fn tables_stream(&self) -> Attempt<Stream<()>> {
        // A part of a table takes a while on a slow link.
        let mut context = self.context.clone();
        context.set_timeout(LONG_ATTEMPT);
        let name = format!("OBJ_{}", self.fleet);
        Ok(context.get_stream_no_info(name).await?)
    }
}

/// The text of an error and of those that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Returns the first message from a sequence number on whose subject matches, as the leader has it.
async fn next<I>(stream: &Stream<I>, from: u64, subject: &str) -> Attempt<Option<StreamMessage>> {
    let request = stream.raw_message_builder().sequence(from);
    match request.next_by_subject(subject).send().await {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns what the store has of a subject, on which a message was just seen. It may have refused
/// that message, or not have stored it yet.
async fn stored(stream: &Stream, subject: &str, seen: &[u8]) -> Option<Vec<u8>> {
    let mut last = None;
    for pause in STORED_AFTER {
        sleep(pause).await;
        let message = stream.get_last_raw_message_by_subject(subject).await.ok()?;
        let is_seen = message.payload == seen;
        last = Some(message.payload.to_vec());
        if is_seen {
            break;
        }
    }
    last
}

/// Whether a message is a value, and not the mark of its removal.
fn is_value(message: &StreamMessage) -> bool {
    message.headers.get("KV-Operation").is_none()
}

#[async_trait]
impl Backend for Nats {
    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn heartbeat(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn create(&self, num_replicas: usize) -> Attempt<()> {
        for (bucket, history) in [(self.fleet.clone(), HISTORY), (self.nodes_bucket(), 1)] {
            if let Ok(there) = self.context.get_key_value(&bucket).await {
                // Of an earlier version.
                let mut config = there.stream.cached_info().config.clone();
                if std::mem::take(&mut config.allow_rollup) {
                    self.context.update_stream(config).await?;
                }
            } else {
                // As buckets are, but for rollups: with their header a user who may write one key
                // removes all others.
                let config = stream::Config {
                    name: format!("KV_{bucket}"),
                    subjects: vec![format!("$KV.{bucket}.>")],
                    max_messages_per_subject: history,
                    max_message_size: VALUE_BYTES_MAX,
                    discard: DiscardPolicy::New,
                    allow_rollup: false,
                    deny_delete: true,
                    allow_direct: true,
                    num_replicas,
                    ..stream::Config::default()
                };
                self.context.create_stream(config).await?;
            }
        }
        if self.context.get_object_store(&self.fleet).await.is_err() {
            let config = object_store::Config {
                bucket: self.fleet.clone(),
                num_replicas,
                ..object_store::Config::default()
            };
            self.context.create_object_store(config).await?;
        }
        Ok(())
    }

    async fn get(&self, key: &str) -> Attempt<Option<Vec<u8>>> {
        let found = self.keys().await?.get(key).await?;
        Ok(found.map(Vec::from))
    }

    async fn last(&self, key: &str) -> Attempt<Option<Value>> {
        let subject = format!("$KV.{}.{key}", self.fleet);
        let stream = &self.keys().await?.stream;
        // The leader answers, and no other server.
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => Ok(Some(Value {
                revision: message.sequence,
                bytes: message.payload.to_vec(),
                at: message.time.unix_timestamp_nanos(),
            })),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn replace(&self, key: &str, bytes: &Bytes, revision: u64) -> Attempt<Option<u64>> {
        let keys = self.keys().await?;
        match keys.update(key, bytes.clone(), revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                let last = self.last(key).await?;
                let own = last.filter(|last| last.bytes == *bytes && last.revision > revision);
                Ok(own.map(|own| own.revision))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn history(&self, key: &str) -> Attempt<Vec<Value>> {
        let Some(last) = self.last(key).await? else {
            return Ok(Vec::new());
        };
        let subject = format!("$KV.{}.{key}", self.fleet);
        let stream = &self.keys().await?.stream;
        let (mut found, mut from) = (Vec::new(), 1);
        while from <= last.revision {
            let Some(message) = next(stream, from, &subject).await? else {
                break;
            };
            from = message.sequence.saturating_add(1);
            if is_value(&message) {
                found.push(of(&message));
            }
        }
        Ok(found)
    }

    async fn watch(&self, keys: &str) -> Attempt<Hints> {
        // Lost while there is no connection: agents also poll.
        let prefix = format!("$KV.{}.", self.fleet);
        let messages = self.client.subscribe(format!("{prefix}{keys}")).await?;
        let stream = self.keys().await?.stream.clone();
        let hints = messages.filter_map(move |message| {
            let (stream, prefix) = (stream.clone(), prefix.clone());
            async move {
                let key = message.subject.strip_prefix(&prefix)?.to_string();
                let bytes = stored(&stream, &message.subject, &message.payload).await?;
                Some((key, bytes))
            }
        });
        Ok(hints.boxed())
    }

    async fn table(&self, object: &str, bytes: u64) -> Attempt<Vec<u8>> {
        let most = table_bytes(bytes);
        let objects = self.objects().await?;
        let info = objects.info(object).await?;
        if info.deleted {
            return Err(AttemptError::Transient("the table was removed".into()));
        }
        let size = info.size;
        if size > most {
            let failure = failed(object, &format!("{most} bytes"), size);
            return Err(AttemptError::Final(failure));
        }
        let stream = self.tables_stream().await?;
        let subject = format!("$O.{}.C.{}", self.fleet, info.nuid);
        let mut file = Vec::with_capacity(size);
        let mut from = 1;
        while file.len() < size {
            // Any server with a copy answers.
            let request = stream.direct_get_builder().sequence(from);
            let chunk = match request.next_by_subject(subject.as_str()).send().await {
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => {
                    let why = format!("{} bytes of {size} are there", file.len());
                    return Err(AttemptError::Transient(why));
                }
                chunk => chunk?,
            };
            from = chunk.sequence.saturating_add(1);
            file.extend_from_slice(&chunk.payload);
            if chunk.payload.is_empty() || file.len() > size {
                let failure = failed(object, &format!("{size} bytes"), file.len());
                return Err(AttemptError::Final(failure));
            }
        }
        Ok(file)
    }

    async fn has_table(&self, object: &str) -> Attempt<bool> {
        match self.objects().await?.info(object).await {
            Ok(info) => Ok(!info.deleted),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_table(&self, object: &str, file: &Bytes) -> Attempt<()> {
        if self.has_table(object).await? {
            let there = self.table(object, file.len() as u64).await;
            if there.is_ok_and(|there| there == *file) {
                return Ok(());
            }
        }
        let mut reader = file.as_ref();
        self.objects().await?.put(object, &mut reader).await?;
        Ok(())
    }

    async fn tables(&self) -> Attempt<Vec<(String, u64)>> {
        let stream = self.tables_stream().await?;
        let subject = format!("$O.{}.M.>", self.fleet);
        let (mut found, mut from) = (BTreeMap::new(), 1);
        while let Some(message) = next(&stream, from, &subject).await? {
            from = message.sequence.saturating_add(1);
            let info: ObjectInfo = match serde_json::from_slice(&message.payload) {
                Ok(info) => info,
                Err(_) => continue,
            };
            match info.deleted {
                true => found.remove(&info.name),
                false => found.insert(info.name, info.size as u64),
            };
        }
        Ok(found.into_iter().collect())
    }

    async fn remove_table(&self, object: &str) -> Attempt<()> {
        if self.has_table(object).await? {
            self.objects().await?.delete(object).await?;
        }
        Ok(())
    }

    async fn report(&self, node: &str, bytes: &Bytes) -> Attempt<()> {
        self.nodes().await?.put(node, bytes.clone()).await?;
        Ok(())
    }

    async fn forget(&self, node: &str) -> Attempt<()> {
        Ok(self.nodes().await?.delete(node).await?)
    }

    async fn reports(&self) -> Attempt<Vec<(String, Value)>> {
        let stream = &self.nodes().await?.stream;
        let prefix = format!("$KV.{}.", self.nodes_bucket());
        let (pattern, mut found, mut from) = (format!("{prefix}>"), BTreeMap::new(), 1);
        // A report that is replaced during the read comes once more, at the end.
        let most = stream.get_info().await?.state.messages + MORE_MAX;
        for _ in 0..most {
            let Some(message) = next(stream, from, &pattern).await? else {
                break;
            };
            from = message.sequence.saturating_add(1);
            let node = message.subject.strip_prefix(&prefix).unwrap_or_default();
            match is_value(&message) && message.payload.len() <= REPORT_BYTES_MAX {
                true => found.insert(node.to_string(), of(&message)),
                false => found.remove(node),
            };
        }
        Ok(found.into_iter().collect())
    }
}

fn of(message: &StreamMessage) -> Value {
    Value {
        revision: message.sequence,
        bytes: message.payload.to_vec(),
        at: message.time.unix_timestamp_nanos(),
    }
}

/// Connects: an agent as soon as a server answers, and logs why it waits; others now, or fails.
async fn connected(
    options: ConnectOptions,
    address: &Address,
    waits: bool,
) -> Result<Client, Failure> {
    let servers = servers(&address.servers)?;
    if waits {
        match options.clone().connect(servers.clone()).await {
            Ok(client) => return Ok(client),
            Err(error) => {
                eprintln!(
                    "agent: no connection yet: {}",
                    printable(&error.to_string())
                );
            }
        }
        let client = options.retry_on_initial_connect().connect(servers).await;
        return client.map_err(|error| failed(SERVERS, "a server to connect to", error));
    }
    repeat(SERVERS, address.within(), ATTEMPT, || async {
        let client = options.clone().connect(servers.clone()).await;
        client.map_err(|error| match error.to_string() {
            // Another attempt would get the same certificate.
            text if text.contains("certificate") => {
                let expected = "a server whose certificate is trusted (--ca FILE)";
                AttemptError::Final(failed(SERVERS, expected, text))
            }
            text => AttemptError::Transient(text),
        })
    })
    .await
}

/// Parses a list of servers.
fn servers(list: &str) -> Result<Vec<ServerAddr>, Failure> {
    let expected = "nats://HOST:PORT or tls://HOST:PORT, without a user (--nkey FILE)";
    let parse = |server: &str| {
        let is_sound = server.starts_with("nats://") || server.starts_with("tls://");
        // Text before an @ may be secret, and is not shown.
        match is_sound && !server.contains('@') {
            false => Err(Failure::usage(SERVERS, expected, "another")),
            true => server
                .parse()
                .map_err(|error| Failure::usage(SERVERS, expected, error)),
        }
    };
    list.split(',').map(parse).collect()
}

/// Reads the seed of a file that nobody else can read.
fn seed(path: &Path) -> Result<String, Failure> {
    let text = files::read_text(path, "nkey", "an nkey seed")?;
    files::check_private(path, "nkey")?;
    let seed = text.trim();
    if !seed.starts_with("SU") || seed.len() != 58 {
        let (expected, got) = ("a user's seed (SU…)", "another text, which is not shown");
        return Err(Failure::new("nkey", path.display(), expected, got));
    }
    Ok(seed.into())
}
