//! The store of a fleet: one interface, on NATS JetStream or on a bucket of S3.
//!
//! A fleet needs values under keys, which are replaced by compare-and-set and keep their history,
//! tables under the name of their content, and one report per node. A [`Backend`] makes single
//! attempts; the [`Store`] repeats them until they succeed or their time is up. Changes that a
//! backend announces are hints: agents also poll.

mod attempt;
mod nats;
mod s3;

pub use attempt::AttemptError;

use async_trait::async_trait;
use attempt::repeat;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use hedgerow::limits::TABLE_BYTES_MAX;
use hedgerow_cli::failure::Failure;
use nats::Nats;
use s3::S3;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to reach a fleet.
#[derive(clap::Args, Clone)]
pub struct Address {
    /// The servers: nats://HOST:PORT, or tls://…, several with commas; or s3://BUCKET/FOLDER
    #[arg(value_name = "nats://…|s3://…")]
    servers: String,
    /// The fleet's name: letters, digits, `-` and `_`
    #[arg(long, value_name = "NAME", default_value = "hedgerow", value_parser = name)]
    fleet: String,
    /// A file with the nkey seed to sign in with, which nobody else can read
    #[arg(long, value_name = "FILE", env = "HEDGEROW_FLEET_NKEY")]
    nkey: Option<PathBuf>,
    /// Encrypt, and trust servers whose certificates are signed by those of this PEM file
    #[arg(long, value_name = "FILE", env = "HEDGEROW_FLEET_CA")]
    ca: Option<PathBuf>,
    /// The servers' JetStream domain, where a leaf server is between
    #[arg(long, value_name = "NAME", value_parser = name)]
    domain: Option<String>,
    /// Try for this long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 15,
        value_parser = clap::value_parser!(u64).range(1..=600))]
    within: u64,
    /// Options of a bucket.
    #[command(flatten)]
    s3: s3::Options,
}

impl Address {
    fn within(&self) -> Duration {
        Duration::from_secs(self.within)
    }
}

/// Parses a name that is a part of a key.
pub fn name(text: &str) -> Result<String, String> {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match (1..=64).contains(&text.len()) && text.bytes().all(is_sound) {
        true => Ok(text.into()),
        false => Err("expected 1 to 64 letters, digits, `-` and `_`".into()),
    }
}

/// Returns the failure of a record that cannot be read.
pub fn malformed(at: &str, expected: &str, got: impl Display) -> Failure {
    Failure {
        code: 801,
        ..Failure::new("fleet-record", at, expected, got)
    }
}

/// Returns the failure of an operation that the store did not carry out.
pub fn failed(at: &str, expected: &str, got: impl Display) -> Failure {
    Failure {
        code: 802,
        ..Failure::new("fleet-store", at, expected, got)
    }
}

/// A value under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The number of this change of the key; later changes have higher numbers.
    pub revision: u64,
    /// The bytes; empty if the value was deleted.
    pub bytes: Vec<u8>,
    /// When the server took it, in nanoseconds since 1970.
    pub at: i128,
}

/// Changes of keys: each key, and its new bytes.
pub type Hints = BoxStream<'static, (String, Vec<u8>)>;

/// What one attempt of an operation returns.
type Attempt<T> = Result<T, AttemptError>;

/// Single attempts of a store's operations.
#[async_trait]
trait Backend: Send + Sync {
    /// Returns `true` if the store answers at the moment.
    fn is_connected(&self) -> bool;

    /// Returns how often a node reports while nothing changes.
    fn heartbeat(&self) -> Duration;

    /// Creates what a fleet needs, as far as it is missing.
    async fn create(&self, replicas: usize) -> Attempt<()>;

    /// Returns the value under a key, as any server has it: perhaps not the last one.
    async fn get(&self, key: &str) -> Attempt<Option<Vec<u8>>>;

    /// Returns the last value under a key, or `None` if there never was one.
    async fn last(&self, key: &str) -> Attempt<Option<Value>>;

    /// Replaces the value of this revision, 0 for none. Returns the new revision, or `None` if
    /// another writer was first. A value that an earlier attempt wrote is recognised.
    async fn replace(&self, key: &str, bytes: &Bytes, revision: u64) -> Attempt<Option<u64>>;

    /// Returns the values that a key had, oldest first, as far as they are kept.
    async fn history(&self, key: &str) -> Attempt<Vec<Value>>;

    /// Returns changes of keys that match a pattern, as the store announces them.
    async fn watch(&self, keys: &str) -> Attempt<Hints>;

    /// Returns a table's file of at most `most` bytes.
    async fn table(&self, object: &str, most: usize) -> Attempt<Vec<u8>>;

    /// Returns `true` if there is an object of this name, whatever its bytes.
    async fn has_table(&self, object: &str) -> Attempt<bool>;

    /// Writes a table's file, unless the same bytes are there.
    async fn put_table(&self, object: &str, file: &Bytes) -> Attempt<()>;

    /// Returns the name and the size of every table.
    async fn tables(&self) -> Attempt<Vec<(String, u64)>>;

    /// Removes a table, if it is there.
    async fn remove_table(&self, object: &str) -> Attempt<()>;

    /// Writes a node's report.
    async fn report(&self, node: &str, bytes: &Bytes) -> Attempt<()>;

    /// Removes a node's report, if it is there.
    async fn forget(&self, node: &str) -> Attempt<()>;

    /// Returns the last report of every node, by name.
    async fn reports(&self) -> Attempt<Vec<(String, Value)>>;
}

/// Time for one attempt.
pub const ATTEMPT: Duration = Duration::from_secs(2);

/// Time for one attempt that moves a table or reads many values.
const LONG_ATTEMPT: Duration = Duration::from_secs(20);

/// The name of an agent's connection, which waits for a server that is not there yet.
pub const AGENT: &str = "agent";

/// The store of a fleet.
///
/// Each operation is tried until it succeeds. It fails with `fleet-store` if the store does not
/// carry it out within the time of the [`Address`], or refuses it, and with `fleet-record` if what
/// is stored is not a value.
#[derive(Clone)]
pub struct Store {
    /// The fleet's name.
    pub fleet: String,
    within: Duration,
    backend: Arc<dyn Backend>,
}

impl Store {
    /// Connects to a fleet's store. If no server answers yet, an agent's operations wait for one.
    ///
    /// # Errors
    /// `usage` if the address is malformed; else as [`Store`].
    pub async fn connect(address: &Address, who: &str) -> Result<Store, Failure> {
        let backend: Arc<dyn Backend> = match address.servers.starts_with("s3://") {
            true => Arc::new(S3::connect(address)?),
            false => Arc::new(Nats::connect(address, who).await?),
        };
        Ok(Store {
            fleet: address.fleet.clone(),
            within: address.within(),
            backend,
        })
    }

    /// Returns `true` if the store answers at the moment.
    pub fn is_connected(&self) -> bool {
        self.backend.is_connected()
    }

    /// Returns how often a node reports while nothing changes.
    pub fn heartbeat(&self) -> Duration {
        self.backend.heartbeat()
    }

    /// Repeats attempts of an operation, each of at most this long.
    async fn repeat<T, Fut>(
        &self,
        what: &str,
        attempt: Duration,
        make: impl FnMut() -> Fut,
    ) -> Result<T, Failure>
    where
        Fut: Future<Output = Attempt<T>>,
    {
        repeat(what, self.within, attempt, make).await
    }

    /// Creates what a fleet needs, as far as it is missing.
    pub async fn create(&self, replicas: usize) -> Result<(), Failure> {
        let what = format!("the store of {}", self.fleet);
        self.repeat(&what, LONG_ATTEMPT, || self.backend.create(replicas))
            .await
    }

    /// Returns the value under a key, as any server has it: perhaps not the last one.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        self.repeat(key, ATTEMPT, || self.backend.get(key)).await
    }

    /// Returns the last value under a key, or `None` if there never was one.
    pub async fn last(&self, key: &str) -> Result<Option<Value>, Failure> {
        self.repeat(key, ATTEMPT, || self.backend.last(key)).await
    }

    /// Replaces the value of this revision, 0 for none. Returns the new revision, or `None` if
    /// another writer was first.
    pub async fn replace(
        &self,
        key: &str,
        bytes: Vec<u8>,
        revision: u64,
    ) -> Result<Option<u64>, Failure> {
        let bytes = Bytes::from(bytes);
        self.repeat(key, ATTEMPT, || self.backend.replace(key, &bytes, revision))
            .await
    }

    /// Returns the values that a key had, oldest first: the last 64.
    pub async fn history(&self, key: &str) -> Result<Vec<Value>, Failure> {
        self.repeat(key, LONG_ATTEMPT, || self.backend.history(key))
            .await
    }

    /// Returns changes of keys that match a pattern, as the store announces them: hints, which may
    /// be lost, and never come from a bucket.
    pub async fn watch(&self, keys: &str) -> Result<Hints, Failure> {
        self.repeat(keys, ATTEMPT, || self.backend.watch(keys))
            .await
    }

    /// Returns a table's file of at most `bytes` bytes.
    pub async fn table(&self, object: &str, bytes: u64) -> Result<Vec<u8>, Failure> {
        let most = usize::try_from(bytes).map_or(TABLE_BYTES_MAX, |most| most.min(TABLE_BYTES_MAX));
        self.repeat(object, LONG_ATTEMPT, || self.backend.table(object, most))
            .await
    }

    /// Returns `true` if there is an object of this name, whatever its bytes.
    pub async fn has_table(&self, object: &str) -> Result<bool, Failure> {
        self.repeat(object, ATTEMPT, || self.backend.has_table(object))
            .await
    }

    /// Writes a table's file, unless the same bytes are there.
    pub async fn put_table(&self, object: &str, file: &[u8]) -> Result<(), Failure> {
        let file = Bytes::copy_from_slice(file);
        self.repeat(object, LONG_ATTEMPT, || {
            self.backend.put_table(object, &file)
        })
        .await
    }

    /// Returns the name and the size of every table.
    pub async fn tables(&self) -> Result<Vec<(String, u64)>, Failure> {
        self.repeat("tables", LONG_ATTEMPT, || self.backend.tables())
            .await
    }

    /// Removes a table, if it is there.
    pub async fn remove_table(&self, object: &str) -> Result<(), Failure> {
        self.repeat(object, LONG_ATTEMPT, || self.backend.remove_table(object))
            .await
    }

    /// Writes a node's report, in one attempt's time: the next report is newer.
    pub async fn report(&self, node: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let bytes = Bytes::from(bytes);
        repeat(node, ATTEMPT, ATTEMPT, || self.backend.report(node, &bytes)).await
    }

    /// Removes a node's report, if it is there.
    pub async fn forget(&self, node: &str) -> Result<(), Failure> {
        self.repeat(node, ATTEMPT, || self.backend.forget(node))
            .await
    }

    /// Returns the last report of every node, by name.
    pub async fn reports(&self) -> Result<Vec<(String, Value)>, Failure> {
        self.repeat("reports", LONG_ATTEMPT, || self.backend.reports())
            .await
    }
}
