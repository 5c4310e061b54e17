//! The fleet's store, whatever carries it: NATS JetStream, or a bucket of S3.
//!
//! What a fleet needs of a carrier is little: values under keys that are replaced by
//! compare-and-set and keep their history, tables by the name of what is in them, and a report for
//! each node. Telling of changes by itself is a hint that a carrier may have; agents read the
//! truth.

mod nats;
mod s3;

pub use nats::{
    AGENT, ATTEMPT, ATTEMPT_TABLE, Address, Miss, Value, failed, malformed, name, step,
};
pub use s3::settings::Options;

use async_nats::jetstream::kv::Watch;
use hedgerow_cli::failure::Failure;
use nats::Nats;
use s3::S3;
use std::time::Duration;

/// A fleet, as its store shows it.
#[derive(Clone)]
pub struct Store {
    /// The fleet's name.
    pub fleet: String,
    carrier: Carrier,
}

#[derive(Clone)]
enum Carrier {
    Nats(Box<Nats>),
    S3(Box<S3>),
}

/// How often a node reports where nothing changed: where each report is paid for, less often.
const HEARTBEATS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(5)];

impl Store {
    /// Connects. Where no server answers yet, steps wait for one.
    ///
    /// # Errors
    /// Where the address, or what one signs in with, is not what it must be.
    pub async fn connect(address: &Address, who: &str) -> Result<Store, Failure> {
        let carrier = match address.servers.starts_with("s3://") {
            true => Carrier::S3(Box::new(S3::connect(address)?)),
            false => {
                address.s3.only_of_s3()?;
                Carrier::Nats(Box::new(Nats::connect(address, who).await?))
            }
        };
        let fleet = address.fleet.clone();
        Ok(Store { fleet, carrier })
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        match &self.carrier {
            Carrier::Nats(nats) => nats.is_connected(),
            Carrier::S3(s3) => s3.is_answering(),
        }
    }

    /// How often a node reports where nothing changed.
    pub fn heartbeat(&self) -> Duration {
        match &self.carrier {
            Carrier::Nats(_) => HEARTBEATS[0],
            Carrier::S3(_) => HEARTBEATS[1],
        }
    }

    /// Makes what the fleet stands in. What is there stays as it is.
    ///
    /// # Errors
    /// Where it cannot be made, or the carrier has no compare-and-set.
    pub async fn make(&self, replicas: usize) -> Result<(), Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.make(replicas).await,
            Carrier::S3(s3) if replicas == 1 => s3.make().await,
            Carrier::S3(_) => {
                let expected = "1: a bucket keeps its own copies";
                Err(Failure::usage("--replicas", expected, replicas))
            }
        }
    }

    /// The value under a key, as any server has it, perhaps not the last; none where there is none.
    ///
    /// # Errors
    /// Where the store does not answer in time, or what stands there is no value.
    pub async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.look(key).await,
            Carrier::S3(s3) => s3.look(key).await,
        }
    }

    /// The last value under a key, to be replaced; none where there never was one.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn read(&self, key: &str) -> Result<Option<Value>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.read(key).await,
            Carrier::S3(s3) => s3.read(key).await,
        }
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
        match &self.carrier {
            Carrier::Nats(nats) => nats.write(key, bytes, revision).await,
            Carrier::S3(s3) => s3.write(key, bytes, revision).await,
        }
    }

    /// All values that a key had, oldest first, as far as they are kept.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn history(&self, key: &str) -> Result<Vec<Value>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.history(key).await,
            Carrier::S3(s3) => s3.history(key).await,
        }
    }

    /// Changes of keys that match, as the store tells of them: hints, which may fail to come; none
    /// of a carrier that tells nothing.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn watch(&self, keys: &'static str) -> Result<Option<Watch>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.watch(keys).await.map(Some),
            Carrier::S3(_) => Ok(None),
        }
    }

    /// A table's file, of at most as many bytes as a table may have.
    ///
    /// # Errors
    /// Where it is not there, or the store does not give it in time.
    pub async fn table(&self, object: &str, bytes: u64) -> Result<Vec<u8>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.table(object, bytes).await,
            Carrier::S3(s3) => s3.table(object, bytes).await,
        }
    }

    /// Whether an object of this name is there. What is in it is another question.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn has(&self, object: &str) -> Result<bool, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.has(object).await,
            Carrier::S3(s3) => s3.has(object).await,
        }
    }

    /// Puts a table's file in its place. One that is there and whole stays.
    ///
    /// # Errors
    /// Where the store does not take it in time, or gives another back.
    pub async fn put_table(&self, object: &str, file: &[u8]) -> Result<(), Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.put_table(object, file).await,
            Carrier::S3(s3) => s3.put_table(object, file).await,
        }
    }

    /// Every table that is there: the objects' names, and their bytes.
    ///
    /// # Errors
    /// Where the store does not answer in time, or the carrier does not tell.
    pub async fn tables(&self) -> Result<Vec<(String, u64)>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.tables().await,
            Carrier::S3(_) => Err(unpruned()),
        }
    }

    /// Takes a table out. One that is not there is taken out already.
    ///
    /// # Errors
    /// Where the store does not do it in time, or the right is missing.
    pub async fn remove_table(&self, object: &str) -> Result<(), Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.remove_table(object).await,
            Carrier::S3(_) => Err(unpruned()),
        }
    }

    /// Writes a node's report.
    ///
    /// # Errors
    /// Where the store does not take it at once: the next one is newer.
    pub async fn report(&self, node: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.report(node, bytes).await,
            Carrier::S3(s3) => s3.report(node, bytes).await,
        }
    }

    /// Takes a node's report out.
    ///
    /// # Errors
    /// Where the store does not do it in time, or the right is missing.
    pub async fn forget(&self, node: &str) -> Result<(), Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.forget(node).await,
            Carrier::S3(s3) => s3.forget(node).await,
        }
    }

    /// Every node's last report, by name.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn reports(&self) -> Result<Vec<(String, Value)>, Failure> {
        match &self.carrier {
            Carrier::Nats(nats) => nats.reports().await,
            Carrier::S3(s3) => s3.reports().await,
        }
    }
}

/// Old tables are taken out of NATS alone.
fn unpruned() -> Failure {
    Failure::usage("prune", "a fleet on NATS", "a bucket of S3")
}
