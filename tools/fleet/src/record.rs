//! The records of a fleet's store: pointers by ring, switches, and the counter of generations.
//!
//! A pointer and the switches are texts with a signature, so that a node acts only on what a
//! trusted key signed, whichever way it came.

use crate::backend::malformed;
use bytes::Bytes;
use hedgerow::ContentId;
use hedgerow::watch::directory::{FILES_VERSION, Pointer, SwitchesFile};
use hedgerow::watch::{Keys, NoteSignature, Origin, SecretKey};
use hedgerow_cli::failure::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use xxhash_rust::xxh3::xxh3_128;

/// A part of a fleet. A rollout publishes to one after the other.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Ring {
    /// The first few nodes.
    Canary,
    /// Some more.
    Early,
    /// Every node, the other two rings included.
    All,
}

impl Ring {
    /// Every ring, in the order of a rollout.
    pub const EACH: [Ring; 3] = [Ring::Canary, Ring::Early, Ring::All];

    /// Returns the name in keys.
    pub fn name(self) -> &'static str {
        match self {
            Ring::Canary => "canary",
            Ring::Early => "early",
            Ring::All => "all",
        }
    }

    /// Returns the key of the ring's pointer.
    pub fn key(self) -> String {
        format!("pointer.{}", self.name())
    }

    /// Returns the rings whose pointers a node of this ring follows: of these pointers, it takes
    /// the one with the highest generation.
    pub fn followed(self) -> &'static [Ring] {
        let from = Ring::EACH.iter().position(|ring| *ring == self);
        Ring::EACH.get(from.unwrap_or(2)..).unwrap_or_default()
    }
}

/// The key of the switches.
pub const SWITCHES: &str = "switches";

/// The key of the counter of generations.
pub const COUNTER: &str = "generation";

/// Generations and changes of the switches are below this, so that one record cannot use the
/// numbers up.
pub const GENERATION_MAX: u64 = 1 << 62;

/// A text and its signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The record, in JSON.
    pub body: String,
    /// The signature of the body and the record's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<NoteSignature>,
}

/// The record of a ring's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingPointer {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The fleet's name.
    pub fleet: String,
    /// The ring.
    pub ring: Ring,
    /// The table that the ring's nodes are to run.
    pub pointer: Pointer,
    /// XXH3-128 of the whole file, signature included: with the content id, the object's name.
    pub digest: String,
    /// The table's own running number.
    pub table_generation: u64,
    /// Names of its features, so that a switch can be checked without the table.
    pub features: Vec<String>,
    /// Ids of its detections, for the same purpose.
    pub detections: Vec<u32>,
}

/// The record of the switches' key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSwitches {
    /// The fleet's name.
    pub fleet: String,
    /// The selectors that are off.
    pub file: SwitchesFile,
}

/// The record of the counter's key: the last generation that a publisher claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The generation. It is skipped if the publisher never publishes it.
    pub generation: u64,
    /// The ring that it was claimed for.
    pub ring: Ring,
    /// The table.
    pub content_id: ContentId,
    /// RFC 3339 time of the claim. Informational.
    pub at: String,
    /// User, host and process that claimed it.
    pub origin: Origin,
}

/// A record that comes in an [`Envelope`].
pub trait Record: Serialize + DeserializeOwned {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// `fleet-record`, for the field that is wrong.
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure>;
}

/// Returns the failure of a field.
fn wrong(key: &str, field: &str, expected: impl Display, got: impl Display) -> Failure {
    malformed(&format!("{key}: {field}"), &expected.to_string(), got)
}

/// Checks that a record is of this fleet.
///
/// # Errors
/// `fleet-record` if it is of another.
pub fn check_fleet(key: &str, fleet: &str, got: &str) -> Result<(), Failure> {
    match got == fleet {
        true => Ok(()),
        false => Err(wrong(key, "fleet", fleet, got)),
    }
}

impl Record for RingPointer {
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure> {
        let (digest, generation) = (&self.digest, self.pointer.generation);
        if self.version != FILES_VERSION {
            return Err(wrong(key, "version", FILES_VERSION, self.version));
        }
        check_fleet(key, fleet, &self.fleet)?;
        if self.ring.key() != key {
            return Err(wrong(key, "ring", key, self.ring.name()));
        }
        // The form of both halves of an object's name.
        if digest.parse::<ContentId>().is_err() {
            let expected = "32 lower-case hexadecimal digits";
            return Err(wrong(key, "digest", expected, digest));
        }
        if !(1..GENERATION_MAX).contains(&generation) {
            let expected = format!("1 to {GENERATION_MAX}");
            return Err(wrong(key, "generation", expected, generation));
        }
        Ok(())
    }
}

impl Record for FleetSwitches {
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure> {
        check_fleet(key, fleet, &self.fleet)?;
        let change = self.file.change;
        if change >= GENERATION_MAX {
            let expected = format!("below {GENERATION_MAX}");
            return Err(wrong(key, "change", expected, change));
        }
        let switches = self.file.switches(key.as_ref());
        switches.map(|_| ()).map_err(Failure::from)
    }
}

/// Parses JSON that a publisher wrote.
fn parsed<T: DeserializeOwned>(key: &str, json: &[u8]) -> Result<T, Failure> {
    let expected = "what `hedgerow-fleet` writes";
    serde_json::from_slice(json).map_err(|error| malformed(key, expected, error))
}

impl Envelope {
    /// Writes a record of a key, signed if there is a secret key.
    pub fn seal<T: Record>(record: &T, key: &str, secret: Option<&SecretKey>) -> Bytes {
        // Strings, numbers and lists of them are always valid JSON.
        let body = serde_json::to_string(record).unwrap_or_default();
        let signed = secret.map(|secret| secret.sign_note(key, &body));
        let envelope = serde_json::to_vec(&Envelope { body, signed });
        envelope.unwrap_or_default().into()
    }

    /// Reads a record, and verifies its signature.
    ///
    /// # Errors
    /// `fleet-record` if it is malformed, or of another fleet or key; `key` if the keys require
    /// another signature.
    pub fn open<T: Record>(
        bytes: &[u8],
        fleet: &str,
        key: &str,
        keys: &Keys,
    ) -> Result<T, Failure> {
        let envelope: Envelope = parsed(key, bytes)?;
        let signed = envelope.signed.as_ref();
        keys.check_note(key, &envelope.body, signed)?;
        envelope.record(fleet, key)
    }

    /// Reads a record and ignores its signature: for reports, not for decisions.
    ///
    /// # Errors
    /// `fleet-record` if it is malformed, or of another fleet or key.
    pub fn unverified<T: Record>(bytes: &[u8], fleet: &str, key: &str) -> Result<T, Failure> {
        parsed::<Envelope>(key, bytes)?.record(fleet, key)
    }

    fn record<T: Record>(&self, fleet: &str, key: &str) -> Result<T, Failure> {
        let record: T = parsed(key, self.body.as_bytes())?;
        record.check(fleet, key)?;
        Ok(record)
    }
}

impl RingPointer {
    /// Returns the name of the table's object.
    pub fn object(&self) -> String {
        object(self.pointer.content_id, &self.digest)
    }
}

/// Returns the name of a table's object. The same table with two signatures is two objects.
pub fn object(content_id: ContentId, digest: &str) -> String {
    format!("{content_id}-{digest}")
}

/// Returns the XXH3-128 of a file in hexadecimal.
pub fn digest(file: &[u8]) -> String {
    format!("{:032x}", xxh3_128(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(fleet: &str) -> FleetSwitches {
        FleetSwitches {
            fleet: fleet.into(),
            file: SwitchesFile {
                version: FILES_VERSION,
                change: 3,
                off: vec!["ensemble".into()],
                at: String::new(),
                origin: Origin::here("me"),
            },
        }
    }

    #[test]
    fn a_record_holds_for_its_fleet_its_key_and_its_signer() {
        let key = SecretKey::new("ops").unwrap();
        let keys = Keys::new(vec![key.public()], true);
        let sealed = Envelope::seal(&switches("f"), SWITCHES, Some(&key));
        let open = |bytes: &[u8], fleet: &str, at: &str, keys: &Keys| {
            Envelope::open::<FleetSwitches>(bytes, fleet, at, keys)
                .map_err(|failure| failure.refusal().name().to_string())
        };
        assert_eq!(open(&sealed, "f", SWITCHES, &keys), Ok(switches("f")));
        assert_eq!(
            open(&sealed, "g", SWITCHES, &keys),
            Err("fleet-record".into())
        );
        assert_eq!(open(&sealed, "f", "pointer.all", &keys), Err("key".into()));
        let unsigned = Envelope::seal(&switches("f"), SWITCHES, None);
        assert_eq!(open(&unsigned, "f", SWITCHES, &keys), Err("key".into()));
        assert!(open(&unsigned, "f", SWITCHES, &Keys::default()).is_ok());
        let mut last = switches("f");
        last.file.change = u64::MAX;
        let last = Envelope::seal(&last, SWITCHES, Some(&key));
        assert_eq!(
            open(&last, "f", SWITCHES, &keys),
            Err("fleet-record".into())
        );
        for end in 0..sealed.len() {
            assert!(open(&sealed[..end], "f", SWITCHES, &keys).is_err());
        }
        for place in 0..sealed.len() {
            let mut edited = sealed.to_vec();
            edited[place] ^= 1;
            assert_ne!(
                open(&edited, "f", SWITCHES, &keys),
                Ok(switches("f")),
                "{place}"
            );
        }
    }

    #[test]
    fn rings_follow_those_behind_them() {
        assert_eq!(Ring::Canary.followed(), Ring::EACH);
        assert_eq!(Ring::Early.followed(), [Ring::Early, Ring::All]);
        assert_eq!(Ring::All.followed(), [Ring::All]);
    }
}
