//! Objects of a bucket: whole reads, conditional writes, and what a server's errors mean.

use super::settings;
use crate::backend::{ATTEMPT, Address, Attempt, AttemptError, LONG_ATTEMPT, failed};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use hedgerow_cli::failure::Failure;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, RetryConfig, UpdateVersion,
};
use std::sync::atomic::{AtomicBool, Ordering};

/// A bucket of a server.
pub struct Bucket {
    objects: AmazonS3,
    /// The address that messages name.
    pub place: String,
    answers: AtomicBool,
}

/// An object as it was read.
#[derive(Clone)]
pub struct Object {
    /// The entity tag.
    pub tag: String,
    /// When the server took it, in nanoseconds since 1970.
    pub at: i128,
    /// The bytes; `None` if there are more than the caller allows.
    pub bytes: Option<Bytes>,
}

/// Returns the mode of a write that replaces the object of this entity tag, and no other.
pub fn update(tag: String) -> PutMode {
    PutMode::Update(UpdateVersion {
        e_tag: Some(tag),
        version: None,
    })
}

/// Returns when an object was written, in nanoseconds since 1970.
pub fn at(meta: &ObjectMeta) -> i128 {
    let at = meta.last_modified.timestamp_nanos_opt();
    at.unwrap_or_default().into()
}

/// Returns what a server says of an error, without the request that it repeats.
fn said(error: &Error) -> String {
    let all = error.to_string();
    let part = |name: &str| {
        let (_, rest) = all.split_once(&format!("<{name}>"))?;
        rest.split_once(&format!("</{name}>")).map(|(part, _)| part)
    };
    match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => {
            // The innermost cause names no more than the request.
            let mut cause: &dyn std::error::Error = error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
    }
}

impl Bucket {
    /// Prepares requests to a bucket, and sends none.
    ///
    /// # Errors
    /// `usage`, `s3-keys` or `ca` if the address, the keys or the certificates are wrong.
    pub fn of(address: &Address, name: &str) -> Result<Bucket, Failure> {
        let (options, endpoint) = (&address.s3, address.s3.endpoint()?);
        let is_plain = endpoint.as_ref().is_some_and(|(_, is_plain)| *is_plain);
        // Fails only if another one is installed, which is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let times = [ATTEMPT, LONG_ATTEMPT];
        let client = settings::client(address.ca.as_deref(), times, is_plain)?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(options.region())
            .with_client_options(client)
            // Attempts are repeated by the caller, who knows what a lost answer may mean.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        builder = options.sign_in(builder)?;
        if let Some((url, _)) = &endpoint {
            builder = builder.with_endpoint(url);
        }
        let place = address.servers.trim_end_matches('/').to_string();
        let objects = builder.build();
        Ok(Bucket {
            objects: objects.map_err(|error| failed(&place, "a bucket to reach", said(&error)))?,
            place,
            answers: AtomicBool::new(false),
        })
    }

    /// Returns `true` if the last request was answered.
    pub fn is_answering(&self) -> bool {
        // Relaxed: shown to people, and used for nothing else.
        self.answers.load(Ordering::Relaxed)
    }

    fn noted<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let answered = !matches!(&result, Err(Error::Generic { .. }));
        // Relaxed: shown to people, and used for nothing else.
        self.answers.store(answered, Ordering::Relaxed);
        result
    }

    /// Returns an error that no later attempt would mend.
    pub fn refused<T>(&self, expected: &str, got: impl std::fmt::Display) -> Attempt<T> {
        Err(AttemptError::Final(failed(&self.place, expected, got)))
    }

    /// Returns what an error means. A missing right does not come by waiting.
    fn error<T>(&self, error: &Error) -> Attempt<T> {
        let expected = match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                "keys that the bucket knows, and their right to it"
            }
            Error::NotFound { .. } => "a bucket that is there",
            Error::NotImplemented { .. } | Error::NotSupported { .. } => "what S3 can do",
            _ => return Err(AttemptError::Transient(said(error))),
        };
        self.refused(expected, said(error))
    }

    /// Reads an object of at most `most` bytes. Returns `known` if its entity tag is the same, and
    /// `None` if there is no object.
    pub async fn read(
        &self,
        path: &Path,
        most: usize,
        known: Option<Object>,
    ) -> Attempt<Option<Object>> {
        let options = GetOptions {
            if_none_match: known.as_ref().map(|known| known.tag.clone()),
            ..GetOptions::default()
        };
        let found = match self.noted(self.objects.get_opts(path, options).await) {
            Ok(found) => found,
            Err(Error::NotModified { .. }) => return Ok(known),
            Err(error @ Error::NotFound { .. }) => {
                return match error.to_string().contains("NoSuchBucket") {
                    true => self.error(&error),
                    false => Ok(None),
                };
            }
            Err(error) => return self.error(&error),
        };
        let Some(tag) = found.meta.e_tag.clone() else {
            return self.refused("objects with entity tags", "one without");
        };
        let mut object = Object {
            tag,
            at: at(&found.meta),
            bytes: None,
        };
        let size = usize::try_from(found.meta.size).unwrap_or(usize::MAX);
        if size <= most {
            let mut bytes = Vec::with_capacity(size);
            let mut parts = found.into_stream();
            while let Some(part) = parts.next().await {
                match part {
                    Ok(part) => bytes.extend_from_slice(&part),
                    Err(error) => return self.error(&error),
                }
                if bytes.len() > size {
                    break;
                }
            }
            if bytes.len() != size {
                let why = format!("an object of {size} bytes gave {}", bytes.len());
                return Err(AttemptError::Transient(why));
            }
            object.bytes = Some(bytes.into());
        }
        Ok(Some(object))
    }

    /// Returns `true` if there is an object.
    pub async fn has(&self, path: &Path) -> Attempt<bool> {
        let options = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        match self.noted(self.objects.get_opts(path, options).await) {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => self.error(&error),
        }
    }

    /// Writes an object. Returns `false` if the condition of the mode is not met.
    pub async fn put(&self, path: &Path, bytes: &Bytes, mode: PutMode) -> Attempt<bool> {
        let put = self
            .objects
            .put_opts(path, bytes.clone().into(), mode.into());
        match self.noted(put.await) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => self.error(&error),
        }
    }

    /// Returns what is in a folder; if a path is given, what comes after it in order.
    pub async fn list(&self, folder: &Path, after: Option<&Path>) -> Attempt<Vec<ObjectMeta>> {
        let all = match after {
            Some(after) => self.objects.list_with_offset(Some(folder), after),
            None => self.objects.list(Some(folder)),
        };
        match self.noted(all.try_collect().await) {
            Ok(all) => Ok(all),
            Err(error) => self.error(&error),
        }
    }

    /// Removes an object, if it is there.
    pub async fn remove(&self, path: &Path) -> Attempt<()> {
        match self.noted(self.objects.delete(path).await) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => self.error(&error),
        }
    }
}
