//! An operator's connection: reads what trusted keys signed, and changes the fleet.
//!
//! An operator who signs goes on from trusted records only: otherwise the next signature would
//! cover what an intruder wrote. Numbers in unsigned records count as far as they are near, so that
//! a new number is above theirs.

use crate::NAME;
use crate::backend::{ATTEMPT, Address, Store, Value};
use crate::liveness;
use crate::record::{Envelope, GENERATION_MAX, Record, Ring, RingPointer};
use crate::report::NodeReport;
use crate::signed::SignedValues;
use hedgerow::PreparedTable;
use hedgerow::RefusalKind;
use hedgerow::refusal::printable;
use hedgerow::watch::directory::Pointer;
use hedgerow::watch::{Keys, Origin, PublicKey, SecretKey};
use hedgerow_cli::failure::Failure;
use hedgerow_cli::publishing;
use hedgerow_cli::trust::{self, Trust};
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Who changes a fleet.
#[derive(clap::Args)]
pub struct Change {
    /// Sign with this secret key, as nodes that trust keys want it
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Your name in the fleet's history; else the user's
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Wait until every node of the ring runs it, or has refused it, no longer than this (seconds)
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0)]
    wait: f64,
    /// Take a number above this one, where nodes have higher ones than the fleet's store
    #[arg(long, value_name = "N", default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..ABOVE_MAX))]
    above: u64,
    /// Sign although nodes have later switches or generations than the newest signed ones
    #[arg(long)]
    overtake: bool,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    address: Address,
}

/// The highest `--above`, which leaves room for later numbers.
const ABOVE_MAX: u64 = GENERATION_MAX / 2;

/// How far an unsigned number may be above a known one.
pub const GAP_MAX: u64 = 1 << 40;

/// Characters of a warning, at most.
const WARNING_MAX: usize = 500;

/// How often a change is tried again after another operator's.
pub const CLAIMS_MAX: usize = 20;

/// A table to publish, and the operator.
#[derive(clap::Args)]
pub struct Candidate {
    /// The table, or `default`
    table: String,
    /// The operator.
    #[command(flatten)]
    pub change: Change,
    /// What the engines fill: `http`, a schema file, or `model` for the table's own
    #[arg(long, value_name = "NAME|FILE", default_value = "http")]
    schema: String,
    /// Have engines take it however much it differs from the running one; every other check stands
    #[arg(long)]
    pub force: bool,
}

impl Candidate {
    /// Makes every check of an engine's admission that needs no running table. An operator's own
    /// key is trusted, too.
    ///
    /// # Errors
    /// The first check that the table does not pass.
    pub fn admit(&self, operator: &Operator) -> Result<Arc<PreparedTable>, Failure> {
        let trust = &self.change.trust;
        let (own, given) = (operator.secret.iter(), trust.keys()?);
        let own = own.map(SecretKey::public);
        let trusted = own.chain(given.trusted().iter().cloned());
        let keys = Keys::new(trusted.collect(), trust.requires());
        publishing::admit_with(&self.table, &self.schema, keys)
    }
}

/// An operator's connection.
pub struct Operator {
    /// The store.
    pub store: Store,
    /// The key that signs changes.
    pub secret: Option<SecretKey>,
    /// The keys whose records are trusted.
    pub keys: Keys,
    /// Numbers of changes are above this one.
    pub above: u64,
    /// What the key signed last.
    pub signed: SignedValues,
    /// Whether to sign although the store is older than its nodes.
    overtake: bool,
    /// User, host and process.
    pub origin: Origin,
    /// How long to wait for nodes.
    pub wait: Duration,
    /// Whether records of other keys are passed over.
    verifies: bool,
    warnings: RefCell<Vec<String>>,
}

/// A ring's pointer as it was read.
#[derive(Debug, Clone, Default)]
pub struct FoundPointer {
    /// The number of the value, 0 for none.
    pub revision: u64,
    /// The last trusted record.
    pub trusted: Option<RingPointer>,
    /// The current record, whoever wrote it.
    pub current: Option<RingPointer>,
}

/// Returns the failure of a change that another operator's change came before.
pub fn crossed(key: &str, expected: &str, got: impl ToString) -> Failure {
    RefusalKind::FleetCrossed.at(key, expected, got).into()
}

/// Returns a pointer in a few words.
pub fn summary(pointer: &Pointer) -> String {
    format!("generation {} by {}", pointer.generation, pointer.origin)
}

/// Returns `true` if a generation is at or above another one, and not out of reach.
pub fn is_newer(generation: u64, own: u64) -> bool {
    generation >= own && generation <= own.saturating_add(GAP_MAX)
}

impl Operator {
    /// Connects.
    ///
    /// # Errors
    /// A key that cannot be used, or as [`Store::connect`].
    pub async fn connect(change: &Change) -> Result<Operator, Failure> {
        let wait = match change.wait {
            wait if (0.0..=86_400.0).contains(&wait) => Duration::from_secs_f64(wait),
            wait => return Err(Failure::usage("--wait", "0 to 86400 seconds", wait)),
        };
        let secret = change.key.as_deref().map(trust::secret).transpose()?;
        let given = change.trust.keys()?;
        let mut trusted: Vec<PublicKey> = secret.iter().map(SecretKey::public).collect();
        trusted.extend(given.trusted().iter().cloned());
        let required = secret.is_some() || change.trust.requires();
        let (servers, fleet) = change.address.store();
        Ok(Operator {
            signed: SignedValues::of(secret.as_ref(), servers, fleet),
            overtake: change.overtake,
            store: Store::connect(&change.address, "publisher").await?,
            keys: Keys::new(trusted, required),
            verifies: secret.is_some() || change.trust.is_given(),
            secret,
            above: change.above,
            origin: Origin::here(&publishing::who(change.by.as_deref())),
            wait,
            warnings: RefCell::default(),
        })
    }

    /// Prints a warning, once.
    pub fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            eprintln!("{NAME}: warning: {}", printable(&warning));
            warnings.push(warning);
        }
    }

    /// Warns of a record that was passed over.
    pub fn passed_over(&self, failure: &Failure) {
        let warning = format!("passed over what stands under {failure} (--trust FILE trusts more)");
        self.warn(warning.chars().take(WARNING_MAX).collect());
    }

    /// Returns the warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// Reads a record of a trusted key. Without keys, reads any record.
    ///
    /// # Errors
    /// As [`Envelope::open`].
    pub fn trusted<T: Record>(&self, key: &str, value: &Value) -> Result<T, Failure> {
        let opened = Envelope::open(&value.bytes, &self.store.fleet, key, &self.keys);
        match self.verifies {
            true => opened,
            false => opened.or_else(|_| self.unverified(key, value)),
        }
    }

    /// Reads a record, whoever wrote it.
    ///
    /// # Errors
    /// As [`Envelope::unverified`].
    pub fn unverified<T: Record>(&self, key: &str, value: &Value) -> Result<T, Failure> {
        Envelope::unverified(&value.bytes, &self.store.fleet, key)
    }

    /// Returns the last trusted record: the current one, or else the newest in the history.
    ///
    /// # Errors
    /// `fleet-store` if the history cannot be read.
    pub async fn last_trusted<T: Record>(
        &self,
        key: &str,
        value: &Value,
    ) -> Result<Option<T>, Failure> {
        let failure = match self.trusted(key, value) {
            Ok(record) => return Ok(Some(record)),
            Err(failure) => failure,
        };
        self.passed_over(&failure);
        let all = self.store.history(key).await?;
        let mut records = all.iter().rev().map(|value| self.trusted(key, value));
        Ok(records.find_map(Result::ok))
    }

    /// Reads a ring's pointer.
    ///
    /// # Errors
    /// `fleet-store` if it cannot be read.
    pub async fn pointer(&self, ring: Ring) -> Result<FoundPointer, Failure> {
        let key = ring.key();
        let own: Option<RingPointer> = self.own_last(&key);
        let Some(value) = self.store.last(&key).await? else {
            return Ok(FoundPointer {
                trusted: own,
                ..FoundPointer::default()
            });
        };
        let number = |record: &RingPointer| record.pointer.generation;
        let mut trusted = self.last_trusted(&key, &value).await?;
        if own.as_ref().map(number) > trusted.as_ref().map(number) {
            self.warn(format!("passed over an older signed value under {key}"));
            trusted = own;
        }
        Ok(FoundPointer {
            revision: value.revision,
            trusted,
            current: self.unverified(&key, &value).ok(),
        })
    }

    /// Returns what this key signed last under a key of the store.
    pub fn own_last<T: Record>(&self, key: &str) -> Option<T> {
        let bytes = self.signed.last(key)?;
        let value = Value {
            revision: 0,
            bytes,
            at: 0,
        };
        self.trusted(key, &value).ok()
    }

    /// Refuses to sign on from a value that is older than what nodes have: an old one that was put
    /// back would be signed anew, for all of them.
    ///
    /// # Errors
    /// `fleet-stale`, without `--overtake`.
    pub fn check_fresh(
        &self,
        key: &str,
        signed: Option<u64>,
        nodes: &[(String, u64)],
    ) -> Result<(), Failure> {
        if self.secret.is_none() || self.overtake {
            return Ok(());
        }
        let newest = signed.unwrap_or(0);
        let later = |number: u64| number > newest && is_newer(number, newest);
        let later = nodes.iter().filter(|(_, number)| later(*number));
        let Some((node, number)) = later.max_by_key(|(_, number)| *number) else {
            return Ok(());
        };
        let signed = signed.map_or("none".into(), |number| number.to_string());
        let expected = "the newest signed value to be as late as those of the nodes";
        let got = format!(
            "{signed} in the store, and {number} on {node}; if the store was made again, or the \
             node lies, --overtake signs on from {signed}"
        );
        Err(RefusalKind::FleetStale.at(key, expected, got).into())
    }

    /// Returns the highest of a known number and of those that are near it. Numbers that no
    /// trusted key signed could be out of reach.
    pub fn highest(&self, known: u64, others: impl IntoIterator<Item = u64>) -> u64 {
        let near = known.saturating_add(GAP_MAX);
        let mut highest = known;
        for number in others {
            match number <= near {
                true => highest = highest.max(number),
                false => self.warn(format!(
                    "passed over the number {number}, far above {known}"
                )),
            }
        }
        highest
    }

    /// Returns a number of each node's report that has one, by name. Warns if the reports cannot be
    /// read at once.
    pub async fn reported(&self, of: impl Fn(&NodeReport) -> Option<u64>) -> Vec<(String, u64)> {
        let why = match timeout(ATTEMPT, liveness::snapshots(&self.store)).await {
            Ok(Ok(all)) => {
                let numbers = all.into_iter().map(|node| {
                    let number = of(&node.report);
                    (node.report.node, number)
                });
                let known = numbers.filter_map(|(node, number)| Some((node, number?)));
                return known.collect();
            }
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "no answer in time".into(),
        };
        let warning = "it is not known what numbers nodes have (--above N is above theirs)";
        self.warn(format!("{warning}: {why}"));
        Vec::new()
    }
}
