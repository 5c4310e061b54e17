//! A fleet in a bucket of S3, or of a store that speaks the same.
//!
//! | what | object, below `FOLDER/FLEET/` |
//! |---|---|
//! | that a fleet is here | `fleet` |
//! | pointers, switches, the counter | `keys/<key>` |
//! | what they were before | `history/<key>/<revision>` |
//! | tables | `tables/<content id>-<digest>` |
//! | reports | `nodes/<node>` |
//!
//! An object is there whole or not at all. A value carries its revision in its first line, and is
//! replaced by a request that holds for the entity tag that was read alone (`If-Match`, or
//! `If-None-Match` where there is none); whoever replaces it has put what was there into the
//! history first. So each value that ever stood is in the history or still stands, whoever dies
//! when. `init` tries whether the store keeps to these conditions: one that passes over them would
//! let two publishers cross.

pub mod settings;
mod values;

use super::{ATTEMPT, ATTEMPT_TABLE, Address, Miss, Value, failed, step};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hedgerow::limits::TABLE_BYTES_MAX;
use hedgerow_cli::failure::{Failure, harmless};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectStore, ObjectStoreExt, PutMode, RetryConfig, UpdateVersion,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::sleep;

/// A fleet in a bucket.
#[derive(Clone)]
pub struct S3 {
    objects: AmazonS3,
    fleet: String,
    /// The folder of everything.
    root: Path,
    /// What it is called.
    place: String,
    within: Duration,
    known: Arc<Known>,
}

/// What was read before, to be read again only where its entity tag is another.
#[derive(Default)]
struct Known {
    fleet: OnceCell<()>,
    answers: AtomicBool,
    values: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    reports: Mutex<BTreeMap<String, (String, Value)>>,
}

/// An object as it was read.
struct Object {
    tag: String,
    /// Nanoseconds since 1970, by the server's clock.
    at: i128,
    /// None where there are more than were asked for.
    bytes: Option<Bytes>,
}

/// How a read ended.
enum Got {
    Missing,
    /// It has the entity tag that was known.
    Same,
    Object(Object),
}

/// Bytes of a value or of a report: as many as a message of NATS has.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Objects that are read side by side.
const SIDE_BY_SIDE: usize = 16;

/// How long a report that was refused keeps the next one.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);

/// Fields are set by single assignments.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What a server says of a failure, without the request that it repeats.
fn said(error: &Error) -> String {
    let all = error.to_string();
    let part = |name: &str| {
        let (_, rest) = all.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(part, _)| part)
    };
    let text = match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => {
            // The cause stands last, and names no more than the request.
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
    };
    harmless(&text.chars().take(300).collect::<String>()).to_string()
}

impl S3 {
    /// A bucket, which is not asked yet.
    ///
    /// # Errors
    /// Where the address, the keys or the certificates are not what they must be.
    pub fn connect(address: &Address) -> Result<S3, Failure> {
        if address.nkey.is_some() {
            let expected = "an address of NATS; a bucket's keys come by --credentials";
            return Err(Failure::usage("--nkey", expected, "s3://…"));
        }
        let (bucket, folder) = settings::bucket(&address.servers)?;
        let (options, endpoint) = (&address.s3, address.s3.endpoint()?);
        let http = endpoint.as_ref().is_some_and(|(_, http)| *http);
        // The first one stands; all are the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let times = [ATTEMPT, ATTEMPT_TABLE];
        let client = settings::client(address.ca.as_deref(), times, http)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(options.region())
            .with_credentials(Arc::new(options.credentials()?))
            .with_client_options(client)
            // Steps are tried again here, where it is known what a lost answer may mean.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        if let Some((url, _)) = &endpoint {
            builder = builder.with_endpoint(url);
        }
        let place = address.servers.trim_end_matches('/').to_string();
        let objects = builder
            .build()
            .map_err(|error| failed(&place, "a bucket to reach", said(&error)))?;
        let root = match folder {
            "" => Path::from(address.fleet.as_str()),
            folder => Path::from(format!("{folder}/{}", address.fleet)),
        };
        Ok(S3 {
            objects,
            fleet: address.fleet.clone(),
            root,
            place,
            within: Duration::from_secs(address.within),
            known: Arc::default(),
        })
    }

    /// Whether the last request was answered.
    pub fn is_answering(&self) -> bool {
        // Relaxed: shown to people alone.
        self.known.answers.load(Ordering::Relaxed)
    }

    fn path(&self, kind: &str, name: &str) -> Path {
        self.root.clone().join(kind).join(name)
    }

    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let answered = !matches!(&result, Err(Error::Generic { .. }));
        // Relaxed: shown to people alone.
        self.known.answers.store(answered, Ordering::Relaxed);
        result
    }

    /// What a failure means. A right that is missing does not come by waiting.
    fn miss(&self, error: &Error) -> Miss {
        let never = |expected: &str| Miss::Never(failed(&self.place, expected, said(error)));
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                never("keys that the bucket knows, and their right to it")
            }
            Error::NotFound { .. } => never("a bucket that is there"),
            Error::NotImplemented { .. } | Error::NotSupported { .. } => never("what S3 can do"),
            _ => Miss::Again(said(error)),
        }
    }

    /// Reads an object of at most so many bytes, where its entity tag is not this one.
    async fn get(&self, path: &Path, most: usize, known: Option<&str>) -> Result<Got, Miss> {
        let options = GetOptions {
            if_none_match: known.map(Into::into),
            ..GetOptions::default()
        };
        let found = match self.noted(self.objects.get_opts(path, options).await) {
            Ok(found) => found,
            Err(Error::NotModified { .. }) => return Ok(Got::Same),
            Err(error @ Error::NotFound { .. }) => {
                return match error.to_string().contains("NoSuchBucket") {
                    true => Err(self.miss(&error)),
                    false => Ok(Got::Missing),
                };
            }
            Err(error) => return Err(self.miss(&error)),
        };
        let Some(tag) = found.meta.e_tag.clone() else {
            let (expected, got) = ("objects with entity tags", "one without");
            return Err(Miss::Never(failed(&self.place, expected, got)));
        };
        let at = found.meta.last_modified.timestamp_nanos_opt();
        let mut object = Object {
            tag,
            at: at.unwrap_or_default().into(),
            bytes: None,
        };
        let size = usize::try_from(found.meta.size).unwrap_or(usize::MAX);
        if size <= most {
            let mut bytes = Vec::with_capacity(size);
            let mut parts = found.into_stream();
            while let Some(part) = parts.next().await {
                bytes.extend_from_slice(&part.map_err(|error| self.miss(&error))?);
                if bytes.len() > size {
                    return Err(Miss::Again("more bytes than were told".into()));
                }
            }
            if bytes.len() < size {
                return Err(Miss::Again("fewer bytes than were told".into()));
            }
            object.bytes = Some(bytes.into());
        }
        Ok(Got::Object(object))
    }

    async fn put(&self, path: &Path, bytes: &Bytes, mode: PutMode) -> Result<(), Error> {
        let put = self
            .objects
            .put_opts(path, bytes.clone().into(), mode.into());
        self.noted(put.await).map(|_| ())
    }

    /// What says that a fleet is here.
    fn marker(&self) -> (Path, Bytes) {
        let text = serde_json::json!({ "version": 1, "fleet": self.fleet });
        (self.root.clone().join("fleet"), format!("{text}\n").into())
    }

    /// Whether a fleet is here. An address with a slip in it would be an empty fleet else.
    async fn is_there(&self) -> Result<(), Miss> {
        let looked = self.known.fleet.get_or_try_init(|| async {
            let (path, marker) = self.marker();
            let place = format!("{}: {path}", self.place);
            let expected = format!("a fleet {} (hedgerow-fleet init makes it)", self.fleet);
            let nothing = |got: &str| Err(Miss::Never(failed(&place, &expected, got)));
            match self.get(&path, VALUE_BYTES_MAX, None).await? {
                Got::Object(object) if object.bytes == Some(marker) => Ok(()),
                Got::Object(_) => nothing("another object"),
                Got::Missing | Got::Same => nothing("nothing"),
            }
        });
        looked.await.map(|_| ())
    }

    /// Makes the fleet, and tries whether the store keeps to conditions.
    ///
    /// # Errors
    /// Where it cannot be made, or the store passes over conditions.
    pub async fn make(&self) -> Result<(), Failure> {
        let (path, marker) = self.marker();
        let no = |got: &str| {
            let expected = "a store that keeps to If-Match and If-None-Match";
            Miss::Never(failed(&self.place, expected, got))
        };
        step(&self.place, self.within, ATTEMPT, || async {
            match self.put(&path, &marker, PutMode::Create).await {
                Ok(()) | Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(self.miss(&error)),
            }
            self.is_there().await?;
            let Got::Object(there) = self.get(&path, VALUE_BYTES_MAX, None).await? else {
                return Err(Miss::Again("the object is gone again".into()));
            };
            // The same bytes each time: where a condition is passed over, nothing is lost.
            let tag = |tag: String| {
                PutMode::Update(UpdateVersion {
                    e_tag: Some(tag),
                    version: None,
                })
            };
            match self.put(&path, &marker, PutMode::Create).await {
                Err(Error::AlreadyExists { .. }) => {}
                Ok(()) => return Err(no("one that replaces what must not be there")),
                Err(error) => return Err(self.miss(&error)),
            }
            let other = "\"00000000000000000000000000000000\"";
            match self.put(&path, &marker, tag(other.into())).await {
                Err(Error::Precondition { .. }) => {}
                Ok(()) => return Err(no("one that replaces what is another")),
                Err(error) => return Err(self.miss(&error)),
            }
            match self.put(&path, &marker, tag(there.tag)).await {
                // Somebody else makes it as well.
                Ok(()) | Err(Error::Precondition { .. }) => Ok(()),
                Err(error) => Err(self.miss(&error)),
            }
        })
        .await
    }

    /// A table's file, of at most as many bytes as a table may have.
    ///
    /// # Errors
    /// Where it is not there, is longer, or the store does not give it in time.
    pub async fn table(&self, object: &str, bytes: u64) -> Result<Vec<u8>, Failure> {
        let most = usize::try_from(bytes).map_or(TABLE_BYTES_MAX, |most| most.min(TABLE_BYTES_MAX));
        let path = self.path("tables", object);
        step(object, self.within, ATTEMPT_TABLE, || async {
            self.is_there().await?;
            let never = |got: &str| {
                let expected = format!("an object of at most {most} bytes");
                Err(Miss::Never(failed(object, &expected, got)))
            };
            match self.get(&path, most, None).await? {
                Got::Object(Object {
                    bytes: Some(bytes), ..
                }) => Ok(bytes.to_vec()),
                Got::Object(_) => never("more"),
                Got::Missing | Got::Same => never("none"),
            }
        })
        .await
    }

    /// Whether an object of this name is there. What is in it is another question.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn has(&self, object: &str) -> Result<bool, Failure> {
        let path = self.path("tables", object);
        step(object, self.within, ATTEMPT, || async {
            self.is_there().await?;
            let options = GetOptions {
                head: true,
                ..GetOptions::default()
            };
            match self.noted(self.objects.get_opts(&path, options).await) {
                Ok(_) => Ok(true),
                Err(Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(self.miss(&error)),
            }
        })
        .await
    }

    /// Puts a table's file in its place, and reads it again. One that is there and whole stays.
    ///
    /// # Errors
    /// Where the store does not take it in time, or gives another back.
    pub async fn put_table(&self, object: &str, file: &[u8]) -> Result<(), Failure> {
        let path = self.path("tables", object);
        let bytes = Bytes::copy_from_slice(file);
        step(object, self.within, ATTEMPT_TABLE, || async {
            self.is_there().await?;
            let is_whole =
                |got: Got| matches!(got, Got::Object(o) if o.bytes.as_ref() == Some(&bytes));
            if is_whole(self.get(&path, file.len(), None).await?) {
                return Ok(());
            }
            let put = self.put(&path, &bytes, PutMode::Overwrite).await;
            put.map_err(|error| self.miss(&error))?;
            match is_whole(self.get(&path, file.len(), None).await?) {
                true => Ok(()),
                false => Err(Miss::Again("another object than was put".into())),
            }
        })
        .await
    }

    /// Writes a node's report.
    ///
    /// # Errors
    /// Where the store does not take it at once: the next one is newer.
    pub async fn report(&self, node: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        let (path, bytes) = (self.path("nodes", node), Bytes::from(bytes));
        let reported = step(node, ATTEMPT, ATTEMPT, || async {
            self.is_there().await?;
            let put = self.put(&path, &bytes, PutMode::Overwrite).await;
            put.map_err(|error| self.miss(&error))
        })
        .await;
        if reported.is_err() {
            // What is refused at once is not asked ten times a second.
            sleep(AFTER_REFUSAL).await;
        }
        reported
    }

    /// Takes a node's report out.
    ///
    /// # Errors
    /// Where the store does not do it in time.
    pub async fn forget(&self, node: &str) -> Result<(), Failure> {
        let path = self.path("nodes", node);
        step(node, self.within, ATTEMPT, || async {
            self.is_there().await?;
            match self.noted(self.objects.delete(&path).await) {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.miss(&error)),
            }
        })
        .await
    }

    /// Every node's last report, by name. One whose entity tag is known is not read again.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn reports(&self) -> Result<Vec<(String, Value)>, Failure> {
        step("reports", self.within, ATTEMPT_TABLE, || async {
            self.is_there().await?;
            let all = self.objects.list(Some(&self.root.clone().join("nodes")));
            let listed: Result<Vec<_>, Error> = all.try_collect().await;
            let listed = self.noted(listed).map_err(|error| self.miss(&error))?;
            let before = lock(&self.known.reports).clone();
            let read = |meta: object_store::ObjectMeta| {
                let name = meta.location.filename().unwrap_or_default().to_string();
                let known = before
                    .get(&name)
                    .filter(|(tag, _)| meta.e_tag.as_ref() == Some(tag));
                let at = meta.last_modified.timestamp_nanos_opt();
                // The same report may have been sent again.
                let known = known.map(|(tag, value)| {
                    (
                        tag.clone(),
                        Value {
                            at: at.map_or(value.at, i128::from),
                            ..value.clone()
                        },
                    )
                });
                async move {
                    if let Some(known) = known {
                        return Ok(Some((name, known)));
                    }
                    let Got::Object(object) =
                        self.get(&meta.location, VALUE_BYTES_MAX, None).await?
                    else {
                        return Ok(None);
                    };
                    let Some(bytes) = object.bytes else {
                        return Ok(None);
                    };
                    let value = Value {
                        revision: 0,
                        bytes: bytes.to_vec(),
                        at: at.map_or(object.at, i128::from),
                    };
                    Ok(Some((name, (object.tag, value))))
                }
            };
            let all = stream::iter(listed.into_iter().map(read)).buffered(SIDE_BY_SIDE);
            let all: Vec<Option<(String, (String, Value))>> = all.try_collect().await?;
            let all: BTreeMap<String, (String, Value)> = all.into_iter().flatten().collect();
            lock(&self.known.reports).clone_from(&all);
            Ok(all
                .into_iter()
                .map(|(name, (_, value))| (name, value))
                .collect())
        })
        .await
    }
}
