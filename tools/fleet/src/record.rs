//! What a fleet's store says: pointers by ring, switches, and what each node reports.
//!
//! A pointer and the switches are texts with a signature beside them, so that what a node acts on
//! is signed whoever carried it.

use crate::backend::malformed;
use hedgerow::watch::directory::{FILES_VERSION, Pointer, SwitchesFile, is_content_id};
use hedgerow::watch::{Keys, NoteSignature, Origin, SecretKey, Told};
use hedgerow_cli::failure::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// A part of a fleet. A table goes to one after the other.
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
    /// The few that go first.
    Canary,
    /// Some more.
    Early,
    /// Everybody, the two others included.
    All,
}

impl Ring {
    /// Every ring, the first one first.
    pub const EACH: [Ring; 3] = [Ring::Canary, Ring::Early, Ring::All];

    /// The name in keys.
    pub fn name(self) -> &'static str {
        match self {
            Ring::Canary => "canary",
            Ring::Early => "early",
            Ring::All => "all",
        }
    }

    /// The key of its pointer.
    pub fn key(self) -> String {
        format!("pointer.{}", self.name())
    }

    /// The rings whose pointers a node of this ring follows, by the highest generation.
    pub fn followed(self) -> &'static [Ring] {
        let from = Ring::EACH.iter().position(|ring| *ring == self);
        Ring::EACH.get(from.unwrap_or(2)..).unwrap_or_default()
    }
}

/// The key of the switches.
pub const SWITCHES: &str = "switches";

/// The key of the counter of generations.
pub const COUNTER: &str = "generation";

/// A text, and who signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// JSON.
    pub body: String,
    /// Over the body and the key that it stands under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<NoteSignature>,
}

/// What stands under a ring's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RingPointer {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// The fleet.
    pub fleet: String,
    /// The ring.
    pub ring: Ring,
    /// What its nodes are to run.
    pub pointer: Pointer,
    /// XXH3-128 of the whole file, signature included: with the content id, the object's name.
    pub digest: String,
    /// The table's own running number.
    pub table_generation: u64,
    /// Names of its features, so that a switch can be checked without the table.
    pub features: Vec<String>,
    /// Ids of its detections, for the same.
    pub detections: Vec<u32>,
}

/// What stands under the switches' key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetSwitches {
    /// The fleet.
    pub fleet: String,
    /// What is switched off.
    pub file: SwitchesFile,
}

/// What stands under the counter's key: the last generation that anybody claimed, and who did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The generation. It may never come about: then it is passed over.
    pub generation: u64,
    /// The ring that it was claimed for.
    pub ring: Ring,
    /// The table.
    pub content_id: String,
    /// When, for people.
    pub at: String,
    /// By whom.
    pub origin: Origin,
}

/// Generations and changes of the switches are below this: nobody can use the numbers up by one
/// record.
pub const GENERATION_MAX: u64 = 1 << 62;

/// The parts of a record that all have.
pub trait Body: Serialize + DeserializeOwned {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure>;
}

impl Body for RingPointer {
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure> {
        let wrong = |field: &str, expected: &str, got: &dyn ToString| {
            Err(malformed(
                &format!("{key}: {field}"),
                expected,
                got.to_string(),
            ))
        };
        if self.version != FILES_VERSION {
            return wrong("version", &FILES_VERSION.to_string(), &self.version);
        }
        if self.fleet != fleet {
            return wrong("fleet", fleet, &self.fleet);
        }
        if self.ring.key() != key {
            return wrong("ring", key, &self.ring.name());
        }
        if !is_content_id(&self.pointer.content_id) || !is_content_id(&self.digest) {
            return wrong("digest", "32 lower-case hexadecimal digits", &self.digest);
        }
        if !(1..GENERATION_MAX).contains(&self.pointer.generation) {
            let expected = format!("1 to {GENERATION_MAX}");
            return wrong("generation", &expected, &self.pointer.generation);
        }
        Ok(())
    }
}

impl Body for FleetSwitches {
    fn check(&self, fleet: &str, key: &str) -> Result<(), Failure> {
        if self.fleet != fleet {
            return Err(malformed(&format!("{key}: fleet"), fleet, &self.fleet));
        }
        if self.file.change >= GENERATION_MAX {
            let expected = format!("below {GENERATION_MAX}");
            return Err(malformed(
                &format!("{key}: change"),
                &expected,
                self.file.change,
            ));
        }
        let switches = self.file.switches(key.as_ref());
        switches
            .map(|_| ())
            .map_err(|refusal| Failure::of(&refusal))
    }
}

impl Envelope {
    /// Seals a body under a key, signed where there is a secret.
    pub fn seal<T: Body>(body: &T, key: &str, secret: Option<&SecretKey>) -> Vec<u8> {
        // Strings, numbers and lists of them are JSON in any case.
        let body = serde_json::to_string(body).unwrap_or_default();
        let signed = secret.map(|secret| secret.sign_note(key, &body));
        serde_json::to_vec(&Envelope { body, signed }).unwrap_or_default()
    }

    /// Opens what stands under a key.
    ///
    /// # Errors
    /// Where it is malformed, of another fleet or key, or not signed as it must be.
    pub fn open<T: Body>(bytes: &[u8], fleet: &str, key: &str, keys: &Keys) -> Result<T, Failure> {
        let expected = "what `hedgerow-fleet` writes";
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|error| malformed(key, expected, error))?;
        keys.check_note(key, &envelope.body, envelope.signed.as_ref())
            .map_err(|refusal| Failure::of(&refusal))?;
        envelope.body(fleet, key)
    }

    /// Opens what stands under a key, whoever signed it: to read it, not to act on it.
    ///
    /// # Errors
    /// Where it is malformed, or of another fleet or key.
    pub fn unverified<T: Body>(bytes: &[u8], fleet: &str, key: &str) -> Result<T, Failure> {
        let expected = "what `hedgerow-fleet` writes";
        let envelope: Envelope =
            serde_json::from_slice(bytes).map_err(|error| malformed(key, expected, error))?;
        envelope.body(fleet, key)
    }

    fn body<T: Body>(&self, fleet: &str, key: &str) -> Result<T, Failure> {
        let expected = "what `hedgerow-fleet` writes";
        let body: T =
            serde_json::from_str(&self.body).map_err(|error| malformed(key, expected, error))?;
        body.check(fleet, key)?;
        Ok(body)
    }
}

impl RingPointer {
    /// The name of its table among the objects.
    pub fn object(&self) -> String {
        object(&self.pointer.content_id, &self.digest)
    }
}

/// The name of a table among the objects. Two files of one content that are signed otherwise are
/// two objects.
pub fn object(content_id: &str, digest: &str) -> String {
    format!("{content_id}-{digest}")
}

/// XXH3-128 of a file in hexadecimal.
pub fn digest(file: &[u8]) -> String {
    format!("{:032x}", xxh3_128(file))
}

/// What an engine has seen of late, as its own health file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineHealth {
    /// The generation that ran all the while.
    pub generation: u64,
    /// For how long, in seconds.
    pub seconds: f64,
    /// Requests.
    pub rows: u64,
    /// The share of them without a score.
    pub not_scored: f64,
    /// Requests whose latency was recorded.
    pub timed: u64,
    /// The 99th percentile of those.
    pub p99: u64,
}

impl EngineHealth {
    /// The 99th percentile of the latencies in nanoseconds, where any were recorded.
    pub fn p99_nanos(&self) -> Option<u64> {
        (self.timed > 0).then_some(self.p99)
    }
}

/// What one engine of a node does, as its own status says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineReport {
    /// Its name: the folder of its state.
    pub name: String,
    /// Whether its process is there.
    pub alive: bool,
    /// The generation that it runs.
    pub generation: u64,
    /// The table that it runs; empty where it does not say.
    #[serde(default)]
    pub content_id: String,
    /// Where its table came from.
    pub source: String,
    /// The generation that it refused or holds back, and why.
    pub refused: Option<(u64, String)>,
    /// The generation that it went back from by itself, last.
    pub reverted: Option<u64>,
    /// The selectors that are off.
    pub switches: Vec<String>,
    /// The stability index of its table's scores beside those of the one before, where both were
    /// compared.
    #[serde(default)]
    pub drift: Option<f64>,
    /// What it has seen of late; none where it does not say.
    #[serde(default)]
    pub health: Option<EngineHealth>,
}

/// What a node reports of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// [`FILES_VERSION`].
    pub version: u32,
    /// Its name.
    pub node: String,
    /// Its ring.
    pub ring: Ring,
    /// The agent's process.
    pub origin: Origin,
    /// The generation that it is to have.
    pub wanted: u64,
    /// The generation that its directory has.
    pub generation: u64,
    /// The table of that generation; empty where it does not say.
    #[serde(default)]
    pub content_id: String,
    /// The number of the last change of switches that its directory has.
    pub switches: u64,
    /// What it refused last, until it takes another.
    pub refused: Option<(u64, Told)>,
    /// Its engines.
    pub engines: Vec<EngineReport>,
}

impl NodeReport {
    /// Its engines whose processes are there.
    pub fn alive(&self) -> impl Iterator<Item = &EngineReport> {
        self.engines.iter().filter(|engine| engine.alive)
    }

    /// The same without what changes by itself all the time.
    pub fn without_health(&self) -> NodeReport {
        let mut report = self.clone();
        report
            .engines
            .iter_mut()
            .for_each(|engine| engine.health = None);
        report
    }

    /// The generation that all its engines run; of a node without engines, its directory's.
    pub fn running(&self) -> u64 {
        let least = self.alive().map(|engine| engine.generation).min();
        least.unwrap_or(self.generation)
    }

    /// Whether it runs another table under the generation that it runs, as far as it says.
    pub fn is_other(&self, content_id: &str) -> bool {
        let other = |own: &str| !own.is_empty() && own != content_id;
        let mut alive = self.alive().peekable();
        match alive.peek() {
            None => other(&self.content_id),
            Some(_) => alive.any(|engine| other(&engine.content_id)),
        }
    }

    /// Why it does not take part in what the fleet does: its directory has higher numbers than the
    /// fleet's store, and takes nothing until that is above them.
    pub fn ahead(&self, generation: u64, change: u64) -> Option<String> {
        let own = self.generation.max(self.running());
        if own > generation {
            return Some(format!(
                "ahead of the fleet: it has generation {own}, of {generation} (--above {own})"
            ));
        }
        let own = self.switches;
        (own > change).then(|| {
            let has = format!("it has change {own} of the switches, of {change}");
            format!("ahead of the fleet: {has} (--above {own})")
        })
    }

    /// Why it does not run a generation, in a few words; none where it does, or may soon.
    pub fn trouble(&self, wanted: u64) -> Option<String> {
        let told = self.refused.as_ref().filter(|told| told.0 == wanted);
        if let Some((_, told)) = told {
            return Some(format!("refused {wanted}: {}", told.name));
        }
        self.alive().find_map(|engine| {
            let name = &engine.name;
            let refused = engine.refused.as_ref().filter(|told| told.0 == wanted);
            match refused {
                Some((_, why)) => Some(format!("{name} refused {wanted}: {why}")),
                None if engine.reverted == Some(wanted) => {
                    Some(format!("{name} went back from {wanted} by itself"))
                }
                None => None,
            }
        })
    }
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
            Envelope::open::<FleetSwitches>(bytes, fleet, at, keys).map_err(|failure| failure.name)
        };
        assert_eq!(open(&sealed, "f", SWITCHES, &keys), Ok(switches("f")));
        assert_eq!(open(&sealed, "g", SWITCHES, &keys), Err("fleet-record"));
        assert_eq!(open(&sealed, "f", "pointer.all", &keys), Err("key"));
        let unsigned = Envelope::seal(&switches("f"), SWITCHES, None);
        assert_eq!(open(&unsigned, "f", SWITCHES, &keys), Err("key"));
        assert!(open(&unsigned, "f", SWITCHES, &Keys::default()).is_ok());
        let mut last = switches("f");
        last.file.change = u64::MAX;
        let last = Envelope::seal(&last, SWITCHES, Some(&key));
        assert_eq!(open(&last, "f", SWITCHES, &keys), Err("fleet-record"));
        for end in 0..sealed.len() {
            assert!(open(&sealed[..end], "f", SWITCHES, &keys).is_err());
        }
        for place in 0..sealed.len() {
            let mut edited = sealed.clone();
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
