//! Values under keys: each has its revision in its first line, and is replaced by compare-and-set.

use super::{Got, S3, SIDE_BY_SIDE, VALUE_BYTES_MAX, lock, said};
use crate::backend::{ATTEMPT, ATTEMPT_TABLE, Miss, Value, malformed, step};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use hedgerow_cli::failure::Failure;
use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, UpdateVersion};
use tokio::time::timeout;

/// What stands under a key now.
struct Current {
    revision: u64,
    /// None where nothing does.
    tag: Option<String>,
    /// With its first line; none where it is no value.
    framed: Option<Bytes>,
    value: Value,
}

/// The first word of a value's first line, which its revision follows.
const FIRST: &str = "hedgerow-fleet-value";

/// Revisions are below this: nobody can use the numbers up by one object.
const REVISION_MAX: u64 = 1 << 62;

/// Values of a key that a history shows, as the other carrier keeps them.
const HISTORY: u64 = 64;

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
    let bytes = rest.get(1..)?;
    (1..REVISION_MAX)
        .contains(&revision)
        .then_some((revision, bytes))
}

impl S3 {
    /// The value under a key; where its entity tag is known, as it was read before.
    ///
    /// # Errors
    /// Where the store does not answer in time, or what stands there is no value.
    pub async fn look(&self, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.path("keys", key);
        let before = lock(&self.known.values).get(key).cloned();
        let tag = before.as_ref().map(|(tag, _)| tag.as_str());
        let got = step(key, self.within, ATTEMPT, || async {
            self.is_there().await?;
            self.get(&path, VALUE_BYTES_MAX, tag).await
        })
        .await?;
        let object = match got {
            Got::Missing => return Ok(None),
            Got::Same => return Ok(before.map(|(_, bytes)| bytes)),
            Got::Object(object) => object,
        };
        let Some(framed) = &object.bytes else {
            let (expected, got) = (format!("at most {VALUE_BYTES_MAX} bytes"), "more");
            return Err(malformed(key, &expected, got));
        };
        let Some((_, bytes)) = unframe(framed) else {
            return Err(malformed(key, "what `hedgerow-fleet` writes", "another"));
        };
        let (tag, bytes) = (object.tag, bytes.to_vec());
        lock(&self.known.values).insert(key.into(), (tag, bytes.clone()));
        Ok(Some(bytes))
    }

    /// The revisions in a key's history after this one, in order.
    async fn revisions(&self, key: &str, after: u64) -> Result<Vec<u64>, Miss> {
        let folder = self.path("history", key);
        let offset = folder.clone().join(format!("{after:020}"));
        let all = self.objects.list_with_offset(Some(&folder), &offset);
        let found: Result<Vec<_>, Error> = all.try_collect().await;
        let found = self.noted(found).map_err(|error| self.miss(&error))?;
        let number = |path: &Path| path.filename().and_then(|name| name.parse().ok());
        let numbers = found.iter().filter_map(|meta| number(&meta.location));
        let mut numbers: Vec<u64> = numbers.filter(|number| *number < REVISION_MAX).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What stands under a key. What is no value, or was deleted, has the revision after the last
    /// one of the history, so that numbers never come back.
    async fn current(&self, key: &str) -> Result<Current, Miss> {
        self.is_there().await?;
        let object = match self
            .get(&self.path("keys", key), VALUE_BYTES_MAX, None)
            .await?
        {
            Got::Object(object) => Some(object),
            Got::Missing | Got::Same => None,
        };
        let framed = object.as_ref().and_then(|object| object.bytes.clone());
        if let Some((object, framed)) = object.as_ref().zip(framed)
            && let Some((revision, bytes)) = unframe(&framed)
        {
            let (bytes, at) = (bytes.to_vec(), object.at);
            return Ok(Current {
                revision,
                tag: Some(object.tag.clone()),
                framed: Some(framed),
                value: Value {
                    revision,
                    bytes,
                    at,
                },
            });
        }
        let last = self.revisions(key, 0).await?.last().copied();
        let revision = match (&object, last) {
            (None, None) => 0,
            (_, last) => last.unwrap_or_default().saturating_add(1),
        };
        let at = object.as_ref().map_or(0, |object| object.at);
        Ok(Current {
            revision,
            tag: object.map(|object| object.tag),
            framed: None,
            value: Value {
                revision,
                bytes: Vec::new(),
                at,
            },
        })
    }

    /// The last value under a key; none where there never was one.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn read(&self, key: &str) -> Result<Option<Value>, Failure> {
        step(key, self.within, ATTEMPT, || async {
            let current = self.current(key).await?;
            Ok((current.revision > 0).then_some(current.value))
        })
        .await
    }

    /// Puts a value into the history, where it is not there yet.
    async fn keep(&self, key: &str, revision: u64, framed: &Bytes) -> Result<(), Miss> {
        let path = self.path("history", key).join(format!("{revision:020}"));
        match self.put(&path, framed, PutMode::Create).await {
            Ok(()) | Err(Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(self.miss(&error)),
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
        let next = revision.saturating_add(1);
        let (path, framed) = (self.path("keys", key), frame(next, bytes));
        let wrote = step(key, self.within, ATTEMPT, || async {
            let current = self.current(key).await?;
            let own = current.framed.as_ref() == Some(&framed);
            if own || current.revision != revision {
                return Ok(own);
            }
            if let Some(before) = &current.framed {
                self.keep(key, revision, before).await?;
            }
            let mode = match current.tag {
                None => PutMode::Create,
                tag => PutMode::Update(UpdateVersion {
                    e_tag: tag,
                    version: None,
                }),
            };
            match self.put(&path, &framed, mode).await {
                Ok(()) => Ok(true),
                // Somebody came first, or it was an attempt of one's own: what stands now says.
                Err(error @ (Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                    Err(Miss::Again(said(&error)))
                }
                Err(error) => Err(self.miss(&error)),
            }
        })
        .await?;
        if wrote {
            // For the case that it is overwritten by something else; the next writer does it too.
            let _ = timeout(ATTEMPT, self.keep(key, next, &framed)).await;
        }
        Ok(wrote.then_some(next))
    }

    /// All values that a key had, oldest first, the last 64 of them.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn history(&self, key: &str) -> Result<Vec<Value>, Failure> {
        step(key, self.within, ATTEMPT_TABLE, || async {
            let current = self.current(key).await?;
            let after = current.revision.saturating_sub(HISTORY);
            let mut numbers = self.revisions(key, after).await?;
            numbers.retain(|number| *number < current.revision);
            let folder = self.path("history", key);
            let read = |number: u64| {
                let path = folder.clone().join(format!("{number:020}"));
                async move {
                    let Got::Object(object) = self.get(&path, VALUE_BYTES_MAX, None).await? else {
                        return Ok(None);
                    };
                    let framed = object.bytes.unwrap_or_default();
                    let value = unframe(&framed).filter(|(revision, _)| *revision == number);
                    Ok(value.map(|(revision, bytes)| Value {
                        revision,
                        bytes: bytes.to_vec(),
                        at: object.at,
                    }))
                }
            };
            let all = stream::iter(numbers.into_iter().map(read)).buffered(SIDE_BY_SIDE);
            let all: Vec<Option<Value>> = all.try_collect().await?;
            let mut all: Vec<Value> = all.into_iter().flatten().collect();
            if current.framed.is_some() {
                all.push(current.value);
            }
            Ok(all)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_its_revision_and_nothing_else_does() {
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
