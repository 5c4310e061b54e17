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
pub use nats::REPORT_BYTES_MAX;

use async_trait::async_trait;
use attempt::repeat;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use hedgerow::RefusalKind;
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
    /// Returns what tells the store from others: its servers, and the fleet's name.
    pub fn store(&self) -> (&str, &str) {
        (&self.servers, &self.fleet)
    }

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
    RefusalKind::FleetRecord.at(at, expected, got).into()
}

/// Returns the failure of an operation that the store did not carry out.
pub fn failed(at: &str, expected: &str, got: impl Display) -> Failure {
    RefusalKind::FleetStore.at(at, expected, got).into()
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

/// Returns how many bytes of a table to read at most, if it is to have this many.
fn table_bytes(bytes: u64) -> usize {
    usize::try_from(bytes).map_or(TABLE_BYTES_MAX, |bytes| bytes.min(TABLE_BYTES_MAX))
}

/// What one attempt of an operation returns.
type Attempt<T> = Result<T, AttemptError>;

/// Declares the operations of a store: a [`Backend`] makes single attempts, which the [`Store`]
/// repeats. Each has the place that failures name, and the time of an attempt.
macro_rules! operations {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident($($arg:ident: $type:ty),*) -> $out:ty, $at:expr, $time:expr;
    )+) => {
        /// A store that makes single attempts.
        #[async_trait]
        trait Backend: Send + Sync {
            /// Returns `true` if the store answers at the moment.
            fn is_connected(&self) -> bool;

            /// Returns how often a node reports while nothing changes.
            fn heartbeat(&self) -> Duration;

            $($(#[doc = $doc])+ async fn $name(&self, $($arg: $type),*) -> Attempt<$out>;)+
        }

        impl Store {
            $($(#[doc = $doc])+
            pub async fn $name(&self, $($arg: $type),*) -> Result<$out, Failure> {
                repeat($at, self.within, $time, || self.backend.$name($($arg),*)).await
            })+
        }
    };
}

operations! {
    /// Creates what a fleet needs, as far as it is missing.
    create(replicas: usize) -> (), "the fleet's store", LONG_ATTEMPT;
    /// Returns the value under a key, as any server has it: perhaps not the last one.
    get(key: &str) -> Option<Vec<u8>>, key, ATTEMPT;
    /// Returns the last value under a key, or `None` if there never was one.
    last(key: &str) -> Option<Value>, key, ATTEMPT;
    /// Replaces the value of this revision, 0 for none. Returns the new revision, or `None` if
    /// another writer was first. A value that an earlier attempt wrote is recognised.
    replace(key: &str, bytes: &Bytes, revision: u64) -> Option<u64>, key, ATTEMPT;
    /// Returns the values that a key had, oldest first: the last 64.
    history(key: &str) -> Vec<Value>, key, LONG_ATTEMPT;
    /// Returns changes of keys that match a pattern, as the store announces them. They may be
    /// lost, and a bucket announces none.
    watch(keys: &str) -> Hints, keys, ATTEMPT;
    /// Returns a table's file of at most this many bytes.
    table(object: &str, bytes: u64) -> Vec<u8>, object, LONG_ATTEMPT;
    /// Returns `true` if there is an object of this name, whatever its bytes.
    has_table(object: &str) -> bool, object, ATTEMPT;
    /// Writes a table's file, unless the same bytes are there.
    put_table(object: &str, file: &Bytes) -> (), object, LONG_ATTEMPT;
    /// Returns the name and the size of every table.
    tables() -> Vec<(String, u64)>, "tables", LONG_ATTEMPT;
    /// Removes a table, if it is there.
    remove_table(object: &str) -> (), object, LONG_ATTEMPT;
    /// Writes a node's report.
    report(node: &str, bytes: &Bytes) -> (), node, ATTEMPT;
    /// Removes a node's report, if it is there.
    forget(node: &str) -> (), node, ATTEMPT;
    /// Returns the last report of every node, by name.
    reports() -> Vec<(String, Value)>, "reports", LONG_ATTEMPT;
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
}
