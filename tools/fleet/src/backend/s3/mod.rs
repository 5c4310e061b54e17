//! A fleet in a bucket of S3, or of a server with the same interface.
//!
//! | what | object, below `FOLDER/FLEET/` |
//! |---|---|
//! | the marker of a fleet | `fleet` |
//! | pointers, switches, the counter | `keys/<key>` |
//! | their earlier values | `history/<key>/<revision>` |
//! | tables | `tables/<content id>-<digest>` |
//! | reports | `nodes/<node>` |
//!
//! A value carries its revision in its first line. It is replaced by a conditional request
//! (`If-Match` with the entity tag that was read, `If-None-Match` for a new key), after the value
//! before it was copied into the history. So each value is in the history or current, whichever
//! publisher dies at whichever step. `init` checks that the server honours these conditions:
//! without them two publishers could cross.

mod bucket;
mod settings;

pub use settings::Options;

use super::{
    ATTEMPT, Address, Attempt, AttemptError, Backend, Hints, Value, failed, malformed, table_bytes,
};
use async_trait::async_trait;
use bucket::{Bucket, Object, at, update};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hedgerow_cli::failure::Failure;
use object_store::PutMode;
use object_store::path::Path;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::{sleep, timeout};

/// A fleet in a bucket.
pub struct S3 {
    bucket: Bucket,
    fleet: String,
    root: Path,
    /// Set once the fleet's marker was read.
    found: OnceCell<()>,
    /// Values and reports that were read, which are read again only if their entity tag changes.
    values: Mutex<BTreeMap<String, Object>>,
    reports: Mutex<BTreeMap<String, Object>>,
}

/// Bytes of a value or of a report, at most: as a message of NATS.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Objects that are read at the same time.
const READS_AT_ONCE: usize = 16;

/// How long a report that was refused delays the next one.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Values of a key that a history shows, as NATS keeps them.
const HISTORY: u64 = 64;

/// The first word of a value's first line; the revision follows.
const FIRST: &str = "hedgerow-fleet-value";

/// Revisions are below this, so that one object cannot use the numbers up.
const REVISION_MAX: u64 = 1 << 62;

fn frame(revision: u64, bytes: &[u8]) -> Bytes {
    let mut framed = format!("{FIRST} {revision}\n").into_bytes();
    framed.extend_from_slice(bytes);
    framed.into()
}

fn unframe(framed: &[u8]) -> Option<(u64, &[u8])> {
    let end = framed.iter().position(|byte| *byte == b'\n')?;
    let (first, rest) = framed.split_at_checked(end)?;
    let first = std::str::from_utf8(first).ok()?;
    let revision = first.strip_prefix(FIRST)?.strip_prefix(' ')?.parse().ok()?;
    let is_revision = (1..REVISION_MAX).contains(&revision);
    is_revision.then_some((revision, rest.get(1..)?))
}

/// The value of an object, if it is one.
fn value_of(object: &Object) -> Option<Value> {
    let (revision, bytes) = unframe(object.bytes.as_ref()?)?;
    Some(Value {
        revision,
        bytes: bytes.to_vec(),
        at: object.at,
    })
}

/// No thread panics while it holds the lock: the maps are replaced by single assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is stored under a key.
struct Current {
    /// The value. If the object is not one, or was deleted, its bytes are empty and its revision
    /// is the one after the history's last, so that numbers never come back.
    value: Value,
    /// The object, if there is one.
    object: Option<Object>,
    /// The object's bytes, if it is a value.
    framed: Option<Bytes>,
}

impl S3 {
    /// Prepares requests to a bucket, and sends none.
    ///
    /// # Errors
    /// `usage`, `s3-keys` or `ca` if the address, the keys or the certificates are wrong.
    pub fn connect(address: &Address) -> Result<S3, Failure> {
        if address.nkey.is_some() {
            let expected = "an address of NATS; a bucket's keys come by --credentials";
            return Err(Failure::usage("--nkey", expected, "s3://…"));
        }
        let (bucket, folder) = settings::bucket(&address.servers)?;
        Ok(S3 {
            bucket: Bucket::of(address, bucket)?,
            fleet: address.fleet.clone(),
            root: Path::from(format!("{folder}/{}", address.fleet)),
            found: OnceCell::new(),
            values: Mutex::default(),
            reports: Mutex::default(),
        })
    }

    /// Returns the marker's path and bytes.
    fn marker(&self) -> (Path, Bytes) {
        let text = serde_json::json!({ "version": 1, "fleet": self.fleet });
        (self.root.clone().join("fleet"), format!("{text}\n").into())
    }

    /// Checks that a fleet is here. Otherwise a misspelt address would be an empty fleet.
    async fn find(&self) -> Attempt<()> {
        let find = async || {
            let (path, marker) = self.marker();
            let found = self.bucket.read(&path, VALUE_BYTES_MAX, None).await?;
            let got = match found {
                Some(object) if object.bytes == Some(marker) => return Ok(()),
                Some(_) => "another object",
                None => "nothing",
            };
            let at = format!("{}: {path}", self.bucket.place);
            let expected = format!("a fleet {} (hedgerow-fleet init makes it)", self.fleet);
            Err(AttemptError::Final(failed(&at, &expected, got)))
        };
        self.found.get_or_try_init(find).await.map(|_| ())
    }

    /// Returns the path of an object of the fleet, once the fleet was found.
    async fn path(&self, kind: &str, name: &str) -> Attempt<Path> {
        self.find().await?;
        Ok(self.root.clone().join(kind).join(name))
    }

    /// Returns the revisions of a key's history after this one, in order.
    async fn revisions(&self, key: &str, after: u64) -> Attempt<Vec<u64>> {
        let folder = self.path("history", key).await?;
        let after = folder.clone().join(format!("{after:020}"));
        let found = self.bucket.list(&folder, Some(&after)).await?;
        let number = |path: &Path| path.filename().and_then(|name| name.parse().ok());
        let numbers = found.iter().filter_map(|meta| number(&meta.location));
        let mut numbers: Vec<u64> = numbers.filter(|number| *number < REVISION_MAX).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    async fn current(&self, key: &str) -> Attempt<Current> {
        let path = self.path("keys", key).await?;
        let object = self.bucket.read(&path, VALUE_BYTES_MAX, None).await?;
        if let Some(value) = object.as_ref().and_then(value_of) {
            return Ok(Current {
                value,
                framed: object.as_ref().and_then(|object| object.bytes.clone()),
                object,
            });
        }
        let last = self.revisions(key, 0).await?.last().copied();
        let revision = match (&object, last) {
            (None, None) => 0,
            (_, last) => last.unwrap_or_default().saturating_add(1),
        };
        Ok(Current {
            value: Value {
                revision,
                bytes: Vec::new(),
                at: object.as_ref().map_or(0, |object| object.at),
            },
            object,
            framed: None,
        })
    }

    /// Copies a value into the history, if it is not there.
    async fn keep(&self, key: &str, revision: u64, framed: &Bytes) -> Attempt<()> {
        let folder = self.path("history", key).await?;
        let path = folder.join(format!("{revision:020}"));
        self.bucket.put(&path, framed, PutMode::Create).await?;
        Ok(())
    }
}

#[async_trait]
impl Backend for S3 {
    fn is_connected(&self) -> bool {
        self.bucket.is_answering()
    }

    /// Requests are paid for: reports are fewer.
    fn heartbeat(&self) -> Duration {
        Duration::from_secs(5)
    }

    /// Also checks that the server honours conditions.
    async fn create(&self, replicas: usize) -> Attempt<()> {
        if replicas != 1 {
            let expected = "1: a bucket keeps its own copies";
            let failure = Failure::usage("--replicas", expected, replicas);
            return Err(AttemptError::Final(failure));
        }
        let (path, marker) = self.marker();
        self.bucket.put(&path, &marker, PutMode::Create).await?;
        self.find().await?;
        let Some(there) = self.bucket.read(&path, VALUE_BYTES_MAX, None).await? else {
            return Err(AttemptError::Transient("the object is gone again".into()));
        };
        let other = "\"00000000000000000000000000000000\"".into();
        // Each writes the same bytes: nothing is lost if a condition is not honoured.
        for (mode, got) in [
            (PutMode::Create, "one that replaces what must not be there"),
            (update(other), "one that replaces what is another"),
        ] {
            if self.bucket.put(&path, &marker, mode).await? {
                let expected = "a store that keeps to If-Match and If-None-Match";
                return self.bucket.refused(expected, got);
            }
        }
        // Not written if another `init` was first.
        self.bucket.put(&path, &marker, update(there.tag)).await?;
        Ok(())
    }

    async fn get(&self, key: &str) -> Attempt<Option<Vec<u8>>> {
        let path = self.path("keys", key).await?;
        let known = lock(&self.values).get(key).cloned();
        let Some(object) = self.bucket.read(&path, VALUE_BYTES_MAX, known).await? else {
            return Ok(None);
        };
        let (expected, got) = match (&object.bytes, value_of(&object)) {
            (_, Some(value)) => {
                lock(&self.values).insert(key.into(), object);
                return Ok(Some(value.bytes));
            }
            (None, _) => (format!("at most {VALUE_BYTES_MAX} bytes"), "more"),
            (Some(_), None) => ("what `hedgerow-fleet` writes".into(), "another"),
        };
        Err(AttemptError::Final(malformed(key, &expected, got)))
    }

    async fn last(&self, key: &str) -> Attempt<Option<Value>> {
        let value = self.current(key).await?.value;
        Ok((value.revision > 0).then_some(value))
    }

    async fn replace(&self, key: &str, bytes: &Bytes, revision: u64) -> Attempt<Option<u64>> {
        let next = revision.saturating_add(1);
        let framed = frame(next, bytes);
        let current = self.current(key).await?;
        if current.framed.as_ref() != Some(&framed) {
            if current.value.revision != revision {
                return Ok(None);
            }
            if let Some(before) = &current.framed {
                self.keep(key, revision, before).await?;
            }
            let path = self.path("keys", key).await?;
            let mode = match current.object {
                Some(object) => update(object.tag),
                None => PutMode::Create,
            };
            if !self.bucket.put(&path, &framed, mode).await? {
                // The next attempt sees whether it was another writer.
                let why = "another writer was first, or an answer was lost";
                return Err(AttemptError::Transient(why.into()));
            }
        }
        // In case it is overwritten by other means; the next writer does the same.
        let _ = timeout(ATTEMPT / 2, self.keep(key, next, &framed)).await;
        Ok(Some(next))
    }

    async fn history(&self, key: &str) -> Attempt<Vec<Value>> {
        let current = self.current(key).await?;
        let revision = current.value.revision;
        let after = revision.saturating_sub(HISTORY);
        let mut numbers = self.revisions(key, after).await?;
        numbers.retain(|number| *number < revision);
        let folder = self.path("history", key).await?;
        let read = async |number: u64| {
            let path = folder.clone().join(format!("{number:020}"));
            let object = self.bucket.read(&path, VALUE_BYTES_MAX, None).await?;
            let value = object.as_ref().and_then(value_of);
            Ok::<_, AttemptError>(value.filter(|value| value.revision == number))
        };
        let all = stream::iter(numbers.into_iter().map(read)).buffered(READS_AT_ONCE);
        let all: Vec<Option<Value>> = all.try_collect().await?;
        let last = current.framed.map(|_| current.value);
        Ok(all.into_iter().flatten().chain(last).collect())
    }

    /// A bucket announces nothing.
    async fn watch(&self, _: &str) -> Attempt<Hints> {
        Ok(stream::pending().boxed())
    }

    async fn table(&self, object: &str, bytes: u64) -> Attempt<Vec<u8>> {
        let most = table_bytes(bytes);
        let path = self.path("tables", object).await?;
        let got = match self.bucket.read(&path, most, None).await? {
            Some(Object {
                bytes: Some(bytes), ..
            }) => return Ok(bytes.into()),
            Some(_) => "more",
            None => "none",
        };
        let expected = format!("an object of at most {most} bytes");
        Err(AttemptError::Final(failed(object, &expected, got)))
    }

    async fn has_table(&self, object: &str) -> Attempt<bool> {
        self.bucket.has(&self.path("tables", object).await?).await
    }

    async fn put_table(&self, object: &str, file: &Bytes) -> Attempt<()> {
        let path = self.path("tables", object).await?;
        let is_whole = async || {
            let there = self.bucket.read(&path, file.len(), None).await?;
            Ok::<_, AttemptError>(there.is_some_and(|there| there.bytes.as_ref() == Some(file)))
        };
        if is_whole().await? {
            return Ok(());
        }
        self.bucket.put(&path, file, PutMode::Overwrite).await?;
        match is_whole().await? {
            true => Ok(()),
            false => {
                let why = "another object than was put";
                Err(AttemptError::Transient(why.into()))
            }
        }
    }

    async fn tables(&self) -> Attempt<Vec<(String, u64)>> {
        Err(unpruned())
    }

    async fn remove_table(&self, _: &str) -> Attempt<()> {
        Err(unpruned())
    }

    async fn report(&self, node: &str, bytes: &Bytes) -> Attempt<()> {
        let path = self.path("nodes", node).await?;
        let put = self.bucket.put(&path, bytes, PutMode::Overwrite).await;
        if let Err(AttemptError::Final(_)) = put {
            // Otherwise the agent would try again at once.
            sleep(AFTER_REFUSAL).await;
        }
        put.map(|_| ())
    }

    async fn forget(&self, node: &str) -> Attempt<()> {
        self.bucket.remove(&self.path("nodes", node).await?).await
    }

    async fn reports(&self) -> Attempt<Vec<(String, Value)>> {
        self.find().await?;
        let folder = self.root.clone().join("nodes");
        let listed = self.bucket.list(&folder, None).await?;
        let before = lock(&self.reports).clone();
        let read = async |meta: object_store::ObjectMeta| {
            let node = meta.location.filename().unwrap_or_default().to_string();
            let known = before.get(&node).cloned();
            let object = match known.filter(|known| meta.e_tag.as_ref() == Some(&known.tag)) {
                // A node may have written the same report again.
                Some(known) => Some(Object {
                    at: at(&meta),
                    ..known
                }),
                None => {
                    self.bucket
                        .read(&meta.location, VALUE_BYTES_MAX, None)
                        .await?
                }
            };
            Ok::<_, AttemptError>(object.map(|object| (node, object)))
        };
        let all = stream::iter(listed.into_iter().map(read)).buffered(READS_AT_ONCE);
        let all: Vec<Option<(String, Object)>> = all.try_collect().await?;
        let all: BTreeMap<String, Object> = all.into_iter().flatten().collect();
        lock(&self.reports).clone_from(&all);
        let report = |(node, object): (String, Object)| {
            let value = Value {
                revision: 0,
                bytes: object.bytes?.to_vec(),
                at: object.at,
            };
            Some((node, value))
        };
        Ok(all.into_iter().filter_map(report).collect())
    }
}

/// Old tables are removed from NATS only.
fn unpruned() -> AttemptError {
    AttemptError::Final(Failure::usage("prune", "a fleet on NATS", "a bucket of S3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_carries_its_revision_and_nothing_else_does() {
        let framed = frame(7, b"a\nb");
        assert_eq!(unframe(&framed), Some((7, &b"a\nb"[..])));
        assert_eq!(unframe(&frame(1, b"")), Some((1, &b""[..])));
        for other in [
            "",
            "\n",
            "hedgerow-fleet-value 7",
            "hedgerow-fleet-value 0\n",
            "hedgerow-fleet-value -1\n",
            "hedgerow-fleet-value 4611686018427387904\n",
            "hedgerow-fleet-value 99999999999999999999\n",
            "hedgerow-fleet-value7\n",
            "hedgerow-fleet-value 7 \n",
            "{}\n",
        ] {
            assert_eq!(unframe(other.as_bytes()), None, "{other}");
        }
        for end in 0..framed.len() - 3 {
            assert_eq!(unframe(&framed[..end]), None, "{end}");
        }
    }
}
