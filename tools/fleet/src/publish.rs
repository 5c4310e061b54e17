//! `publish` and `rollback` of a fleet.
//!
//! A publish writes the table's object, claims the next generation by compare-and-set of the
//! counter, and replaces the ring's pointer by compare-and-set of the one that it read first. So
//! two publishers never give one number to two tables, and of two publishers to a ring the slower
//! one fails. A publisher that is killed leaves at worst an object without a pointer and a number
//! that is skipped.

use crate::NAME;
use crate::backend::{ATTEMPT, Value, malformed};
use crate::operator::{CLAIMS_MAX, Candidate, Change, FoundPointer, GAP_MAX, Operator};
use crate::operator::{crossed, is_newer, summary};
use crate::record::{COUNTER, Claim, Envelope, GENERATION_MAX, Ring, RingPointer, digest};
use crate::report::NodeReport;
use crate::waiting::{self, Target};
use bytes::Bytes;
use hedgerow::RefusalKind;
use hedgerow::watch::directory::{FILES_VERSION, Pointer};
use hedgerow::watch::ledger::{Event, Record};
use hedgerow::watch::publish::{self, Generation};
use hedgerow::watch::time;
use hedgerow::{ContentId, Table};
use hedgerow_cli::Report;
use hedgerow_cli::failure::Failure;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Instant;
use tokio::time::timeout;

/// Publish a table to a fleet
///
/// Every check is made first, on this machine, and again by every engine.
///
/// Example: hedgerow-fleet publish bots.hedge nats://127.0.0.1:4222 --key ops.key --wait 10
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    candidate: Candidate,
    /// Who gets it: canary, early (canary as well where it is newer there), or all
    #[arg(long, value_enum, default_value = "all")]
    ring: Ring,
}

/// Go back: have a fleet run the table of an earlier generation again, under a new one
///
/// Example: hedgerow-fleet rollback nats://127.0.0.1:4222 --key ops.key
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct RollbackArgs {
    #[command(flatten)]
    change: Change,
    /// Who goes back
    #[arg(long, value_enum, default_value = "all")]
    ring: Ring,
    /// The generation to go back to; else the one before the running one
    #[arg(long, value_name = "N")]
    to: Option<u64>,
}

/// A pointer that this process wrote.
pub struct Published {
    /// The record.
    pub record: RingPointer,
    /// The number of the value.
    pub revision: u64,
}

/// What a ring has run, by generation.
pub type Past = BTreeMap<u64, RingPointer>;

impl Operator {
    /// Returns what a ring has run: its own pointers and those that it follows, of trusted keys,
    /// or of anybody.
    ///
    /// # Errors
    /// `fleet-store` if a history cannot be read.
    pub async fn past(&self, ring: Ring, of_anybody: bool) -> Result<Past, Failure> {
        let mut all = BTreeMap::new();
        for ring in ring.followed() {
            let key = ring.key();
            for value in self.store.history(&key).await? {
                let record: Result<RingPointer, Failure> = match of_anybody {
                    true => self.unverified(&key, &value),
                    false => self.trusted(&key, &value),
                };
                if let Ok(record) = record {
                    all.insert(record.pointer.generation, record);
                }
            }
            if let Some(own) = self.own_last::<RingPointer>(&key) {
                all.insert(own.pointer.generation, own);
            }
        }
        Ok(all)
    }

    /// Refuses to go on from a ring's pointers if its nodes have later ones.
    ///
    /// # Errors
    /// `fleet-stale`, as [`check_fresh`](Operator::check_fresh); `fleet-store` if a pointer cannot
    /// be read.
    pub async fn check_pointers(&self, ring: Ring) -> Result<(), Failure> {
        let signed = self.running(ring).await?;
        let of = |node: &NodeReport| (node.ring == ring).then_some(node.generation);
        self.check_fresh(&ring.key(), signed, &self.reported(of).await)
    }

    /// Returns the generation that a ring is to run.
    ///
    /// # Errors
    /// `fleet-store` if a pointer cannot be read.
    pub async fn running(&self, ring: Ring) -> Result<Option<u64>, Failure> {
        let mut highest = None;
        for ring in ring.followed() {
            let trusted = self.pointer(*ring).await?.trusted;
            highest = highest.max(trusted.map(|record| record.pointer.generation));
        }
        Ok(highest)
    }

    /// Claims the next generation: above the counter, every pointer, and what nodes have.
    async fn claim(&self, ring: Ring, content_id: ContentId) -> Result<u64, Failure> {
        let mut above = self.above;
        let mut others = self
            .reported(|node| Some(node.generation.max(node.running())))
            .await
            .into_iter()
            .map(|(_, number)| number)
            .collect::<Vec<u64>>();
        let generation = |record: RingPointer| record.pointer.generation;
        for ring in Ring::EACH {
            let found = self.pointer(ring).await?;
            above = above.max(found.trusted.map_or(0, generation));
            others.extend(found.current.map(generation));
        }
        for _ in 0..CLAIMS_MAX {
            let value = self.store.last(COUNTER).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let is_near = |last: &u64| *last <= above.saturating_add(GAP_MAX);
            let mut others = others.clone();
            match value.as_ref().map(|value| claimed(value).filter(is_near)) {
                // The counter was deleted or overwritten: its history has the last claims.
                Some(None) => {
                    let all = self.store.history(COUNTER).await?;
                    others.extend(all.iter().filter_map(claimed));
                }
                last => others.extend(last.flatten()),
            }
            let generation = self.highest(above, others).saturating_add(1);
            if generation >= GENERATION_MAX {
                let expected = format!("a generation below {GENERATION_MAX} to be left");
                return Err(malformed(COUNTER, &expected, "none"));
            }
            let claim = Claim {
                generation,
                ring,
                content_id,
                at: time::now(),
                origin: self.origin.clone(),
            };
            let bytes = serde_json::to_vec(&claim).unwrap_or_default().into();
            if self
                .store
                .replace(COUNTER, &bytes, revision)
                .await?
                .is_some()
            {
                return Ok(generation);
            }
        }
        let got = format!("others, {CLAIMS_MAX} times in a row");
        Err(crossed(COUNTER, "to claim a generation", got))
    }

    /// Replaces a ring's pointer, if it is still the one that was found.
    async fn point(
        &self,
        found: &FoundPointer,
        mut record: RingPointer,
        from_generation: Option<u64>,
        generation: Option<u64>,
    ) -> Result<Published, Failure> {
        let generation = match generation {
            Some(generation) => generation,
            None => self.claim(record.ring, record.pointer.content_id).await?,
        };
        record.pointer = Pointer {
            version: FILES_VERSION,
            generation,
            from_generation,
            at: time::now(),
            origin: self.origin.clone(),
            ..record.pointer
        };
        let key = record.ring.key();
        let bytes = Envelope::seal(&record, &key, self.secret.as_ref());
        match self.store.replace(&key, &bytes, found.revision).await? {
            Some(revision) => {
                self.signed.keep(&key, &bytes);
                Ok(Published { record, revision })
            }
            None => {
                let expected = "the pointer as it was when this began";
                Err(self.pointer(record.ring).await?.crossed(&key, expected))
            }
        }
    }

    /// Publishes an admitted table: under the next generation, or under one that was claimed for
    /// another ring of a rollout.
    ///
    /// # Errors
    /// `fleet-store`, `replayed` if the table's own number is too low, and `fleet-crossed` if
    /// another operator changed the ring meanwhile.
    pub async fn publish(
        &self,
        table: &Table,
        ring: Ring,
        forced: bool,
        generation: Option<u64>,
    ) -> Result<Published, Failure> {
        let found = self.pointer(ring).await?;
        // An earlier attempt succeeded, and its answer was lost.
        if let Some(done) = self.own(&found, |own| Some(own.generation) == generation) {
            return Ok(done);
        }
        for followed in ring.followed() {
            let last = self.pointer(*followed).await?;
            let last = [last.trusted, last.current].into_iter().flatten();
            let newer = |last: &RingPointer| {
                generation.is_some_and(|own| is_newer(last.pointer.generation, own))
            };
            if let Some(last) = last.into_iter().find(newer) {
                let got = summary(&last.pointer);
                return Err(crossed(&followed.key(), "nothing newer", got));
            }
        }
        let number = table.header().generation;
        let last = found.trusted.as_ref();
        let last = last.map_or(0, |record| record.table_generation);
        if number < last {
            let expected = format!("a table numbered {last} or above (or a rollback)");
            let refused = RefusalKind::Replayed.at(table.content_id(), expected, number);
            return Err(refused.into());
        }
        let record = self.record(table, ring, forced);
        let (name, file) = (record.object(), Bytes::copy_from_slice(table.bytes()));
        self.store.put_table(&name, &file).await?;
        let done = self.point(&found, record, None, generation).await?;
        // A `prune` may have removed the object before the pointer named it. The publish is done
        // already, whatever the outcome.
        let there = match self.store.has_table(&name).await {
            Ok(false) => self.store.put_table(&name, &file).await,
            had => had.map(|_| ()),
        };
        if let Err(failure) = there {
            self.warn(format!(
                "published, and it is not known whether {name} is still there: {failure}"
            ));
        }
        Ok(done)
    }

    /// Returns the record of a table, without a generation.
    fn record(&self, table: &Table, ring: Ring, forced: bool) -> RingPointer {
        RingPointer {
            version: FILES_VERSION,
            fleet: self.store.fleet.clone(),
            ring,
            pointer: Pointer {
                version: FILES_VERSION,
                generation: 0,
                content_id: table.content_id(),
                bytes: table.byte_count() as u64,
                from_generation: None,
                forced,
                at: String::new(),
                origin: self.origin.clone(),
            },
            digest: digest(table.bytes()),
            table_generation: table.header().generation,
            features: table.features().into_iter().map(|f| f.name).collect(),
            detections: table.detections().into_iter().map(|d| d.id).collect(),
        }
    }

    /// Returns a ring's pointer, if this process wrote it.
    fn own(&self, found: &FoundPointer, is_it: impl Fn(&Pointer) -> bool) -> Option<Published> {
        let record = found.trusted.as_ref()?;
        let is_own = found.current.as_ref() == Some(record) && record.pointer.origin == self.origin;
        (is_own && is_it(&record.pointer)).then(|| Published {
            record: record.clone(),
            revision: found.revision,
        })
    }

    /// Publishes the table of an earlier generation of a ring again. If a revision of the ring's
    /// pointer is given, goes back from that one only.
    ///
    /// # Errors
    /// `no-generation` if there is none, or its table is gone; else as
    /// [`publish`](Operator::publish).
    pub async fn rollback(
        &self,
        ring: Ring,
        to: Option<u64>,
        from: Option<u64>,
    ) -> Result<Published, Failure> {
        let found = self.pointer(ring).await?;
        let key = ring.key();
        if from.is_some_and(|from| from != found.revision) {
            // An earlier attempt succeeded, and its answer was lost.
            let done = self.own(&found, |own| own.from_generation.is_some());
            let expected = "the pointer that is gone back from";
            return done.ok_or_else(|| found.crossed(&key, expected));
        }
        let past = self.past(ring, false).await?;
        // The one that is named is what to sign, whatever else there is.
        if to.is_none() {
            self.check_pointers(ring).await?;
        }
        let target = match to {
            Some(to) => past.get(&to),
            None => before(&past),
        };
        let missing = |expected: String, got: String| -> Failure {
            RefusalKind::NoGeneration.at(&key, expected, got).into()
        };
        let Some(target) = target else {
            let known: Vec<String> = past.keys().map(u64::to_string).collect();
            let expected = format!("one of {}, with another table before it", known.join(", "));
            let got = to.map_or("nothing before the running one".into(), |to| to.to_string());
            return Err(missing(expected, got));
        };
        let number = target.pointer.generation;
        let mut record = target.clone();
        (record.ring, record.pointer.forced) = (ring, false);
        if !self.is_there(&record).await {
            let expected = "a generation whose table is still in the store".into();
            return Err(missing(expected, number.to_string()));
        }
        let all = generations(&past);
        let from = all.iter().find(|it| it.generation == number);
        let from = from.map_or(number, |it| it.source);
        let done = self.point(&found, record, Some(from), None).await?;
        if !self.is_there(&done.record).await {
            self.warn(format!(
                "the table of generation {number} was pruned meanwhile: nodes that do not have it \
                 cannot take it until it is published again"
            ));
        }
        Ok(done)
    }

    /// Returns `true` unless a pointer's table is known to be missing. Nodes keep what they ran, so
    /// that a rollback does not need the objects.
    async fn is_there(&self, record: &RingPointer) -> bool {
        let object = record.object();
        let why = match timeout(ATTEMPT, self.store.has_table(&object)).await {
            Ok(Ok(there)) => return there,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "no answer in time".into(),
        };
        self.warn(format!(
            "it is not known whether {object} is in the store: {why}"
        ));
        true
    }
}

impl FoundPointer {
    /// Returns the failure of a change that this pointer came before.
    fn crossed(&self, key: &str, expected: &str) -> Failure {
        let current = self.current.as_ref();
        let got = current.map(|record| summary(&record.pointer));
        crossed(key, expected, got.unwrap_or("another pointer".into()))
    }
}

/// Returns the generation of a claim.
fn claimed(value: &Value) -> Option<u64> {
    let claim = serde_json::from_slice::<Claim>(&value.bytes).ok()?;
    Some(claim.generation)
}

/// Returns what a ring has run as generations, oldest first.
fn generations(past: &Past) -> Vec<Generation> {
    let record = |(generation, record): (&u64, &RingPointer)| {
        let pointer = &record.pointer;
        let from_generation = pointer.from_generation.filter(|from| from < generation);
        Record {
            generation: Some(*generation),
            content_id: Some(pointer.content_id),
            from_generation,
            ..Record::new(Event::Publish, &pointer.origin)
        }
    };
    let records: Vec<Record> = past.iter().map(record).collect();
    publish::generations(&records, None)
}

/// Returns the record that a rollback without a generation goes back to.
pub fn before(past: &Past) -> Option<&RingPointer> {
    let all = generations(past);
    past.get(&publish::before(&all, &BTreeSet::new())?.generation)
}

/// Publishes a table.
///
/// # Errors
/// As [`Operator::publish`], and the first check that the table does not pass.
pub async fn run(args: &Args) -> Result<Report, Failure> {
    let operator = Operator::connect(&args.candidate.change).await?;
    let prepared = args.candidate.admit(&operator)?;
    let (started, force) = (Instant::now(), args.candidate.force);
    let done = operator
        .publish(prepared.table(), args.ring, force, None)
        .await?;
    finished(&operator, "published", &done.record, started).await
}

/// Goes back.
///
/// # Errors
/// As [`Operator::rollback`].
pub async fn rollback(args: &RollbackArgs) -> Result<Report, Failure> {
    let operator = Operator::connect(&args.change).await?;
    let started = Instant::now();
    let done = operator.rollback(args.ring, args.to, None).await?;
    finished(&operator, "rolled back", &done.record, started).await
}

/// Waits for nodes, and reports the change.
async fn finished(
    operator: &Operator,
    verb: &str,
    record: &RingPointer,
    started: Instant,
) -> Result<Report, Failure> {
    let (ring, pointer) = (record.ring.name(), &record.pointer);
    let (generation, content_id) = (pointer.generation, pointer.content_id);
    let nodes = waiting::until(operator, &Target::of(record), started).await?;
    let mut text = format!("{verb}: generation {generation} to {ring}, table {content_id}");
    if let Some(from) = pointer.from_generation {
        let _ = write!(text, ", which was generation {from}");
    }
    text.push('\n');
    let ok = nodes.describe(&mut text);
    let json = json!({
        "ok": ok,
        "program": NAME,
        "ring": ring,
        "generation": generation,
        "content_id": content_id,
        "from_generation": pointer.from_generation,
        "forced": pointer.forced,
        "at": pointer.at,
        "origin": pointer.origin,
        "nodes": nodes,
        "warnings": operator.warnings(),
    });
    Ok(Report::checked(text, json, ok))
}
