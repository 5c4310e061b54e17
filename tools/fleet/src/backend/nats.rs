//! A fleet on NATS JetStream: tables are objects, pointers and reports are values of keys.
//!
//! | what | bucket | key |
//! |---|---|---|
//! | tables | object store `FLEET` | `<content id>-<digest>` |
//! | pointers, switches, the counter | KV `FLEET` | `pointer.<ring>`, `switches`, `generation` |
//! | reports | KV `FLEET_nodes` | the node's name |
//!
//! Keys are in another stream than tables, so that a kill switch needs no table.

use super::attempt::{PAUSES, repeat};
use super::{
    AGENT, ATTEMPT, Address, Attempt, AttemptError, Backend, Hints, Value, failed, table_bytes,
};
use async_nats::connection::State;
use async_nats::jetstream::kv::{self, Operation, UpdateErrorKind};
use async_nats::jetstream::object_store::{self, InfoErrorKind, ObjectStore};
use async_nats::jetstream::stream::LastRawMessageErrorKind;
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
use std::future::ready;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::OnceCell;

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

/// How often the reports are read again while nodes replace some of them.
const READS_MAX: usize = 5;

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
        let hint = "(hedgerow-fleet init makes a fleet's buckets)";
        let found = found.await;
        found.map_err(|error| AttemptError::Transient(format!("{error} {hint}")))
    }

    async fn objects(&self) -> Attempt<&ObjectStore> {
        let found = || self.context.get_object_store(&self.fleet);
        Ok(self.objects.get_or_try_init(found).await?)
    }
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
            if self.context.get_key_value(&bucket).await.is_err() {
                let config = kv::Config {
                    bucket,
                    history,
                    num_replicas,
                    ..kv::Config::default()
                };
                self.context.create_key_value(config).await?;
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
        let mut all = self.keys().await?.history(key).await?;
        let (mut found, mut newest) = (Vec::new(), 0);
        while let Some(entry) = all.next().await {
            let entry = entry?;
            newest = newest.max(entry.revision);
            if entry.operation == Operation::Put {
                found.push(of(&entry));
            }
        }
        if newest < last.revision {
            let why = "the history of a server that is behind";
            return Err(AttemptError::Transient(why.into()));
        }
        found.sort_by_key(|value| value.revision);
        Ok(found)
    }

    async fn watch(&self, keys: &str) -> Attempt<Hints> {
        let entries = self.keys().await?.watch(keys).await?;
        // An error ends the hints; the caller asks for new ones.
        let entries = entries.take_while(|entry| ready(entry.is_ok()));
        let hints = entries.filter_map(|entry| ready(entry.ok()));
        Ok(hints.map(|entry| (entry.key, entry.value.into())).boxed())
    }

    async fn table(&self, object: &str, bytes: u64) -> Attempt<Vec<u8>> {
        let most = table_bytes(bytes);
        let found = self.objects().await?.get(object).await?;
        let size = found.info().size;
        if size > most {
            let failure = failed(object, &format!("{most} bytes"), size);
            return Err(AttemptError::Final(failure));
        }
        let mut file = Vec::with_capacity(size);
        let mut bounded = found.take(most as u64 + 1);
        bounded.read_to_end(&mut file).await?;
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
        let mut all = self.objects().await?.list().await?;
        let mut found = Vec::new();
        while let Some(info) = all.next().await {
            let info = info?;
            if !info.deleted {
                found.push((info.name, info.size as u64));
            }
        }
        found.sort();
        Ok(found)
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
        Ok(self.nodes().await?.purge(node).await?)
    }

    async fn reports(&self) -> Attempt<Vec<(String, Value)>> {
        let nodes = self.nodes().await?;
        let count = nodes.stream.get_info().await?.state.messages;
        let mut found = BTreeMap::new();
        // A report that is replaced during the read comes after the entry that was the last one.
        for _ in 0..READS_MAX {
            if found.len() as u64 >= count {
                break;
            }
            let mut all = nodes.watch_with_history(">").await?;
            while let Some(entry) = all.next().await {
                let entry = entry?;
                let (value, is_last) = (of(&entry), entry.delta == 0);
                found.insert(entry.key, (entry.operation, value));
                if is_last {
                    break;
                }
            }
        }
        let there = found.into_iter();
        let there = there.filter(|(_, (operation, _))| *operation == Operation::Put);
        Ok(there.map(|(node, (_, value))| (node, value)).collect())
    }
}

fn of(entry: &kv::Entry) -> Value {
    Value {
        revision: entry.revision,
        bytes: entry.value.to_vec(),
        at: entry.created.unix_timestamp_nanos(),
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
