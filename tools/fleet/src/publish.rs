//! `publish` and `rollback` of a fleet: what changes the tables that nodes run.
//!
//! A publish puts the table among the objects, claims the next generation by compare-and-set on the
//! counter, and replaces its ring's pointer by compare-and-set on what it read first. So two
//! publishers never give one number to two tables, and the slower one of a ring is told so. Killed
//! in between, it leaves an object that nobody names and a number that nobody has.
//!
//! Whoever signs goes on from what a trusted key has signed alone: what somebody else put into the
//! store would else be signed with the next record. Numbers that nobody signed are above what is
//! claimed, as far as they are near.

use crate::NAME;
use crate::backend::{ATTEMPT, Address, Store, Value, malformed};
use crate::record::{
    Body, COUNTER, Claim, Envelope, GENERATION_MAX, NodeReport, Ring, RingPointer, digest, object,
};
use crate::waiting::{self, Wanted};
use hedgerow::watch::directory::{FILES_VERSION, Pointer};
use hedgerow::watch::{Keys, Origin, PublicKey, SecretKey, moment};
use hedgerow::{PreparedTable, Table};
use hedgerow_cli::failure::{Failure, harmless};
use hedgerow_cli::trust::{self, Trust};
use hedgerow_cli::{Report, publishing};
use serde_json::json;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    address: Address,
}

/// What `--above` may say, at most: numbers that come later have room.
const ABOVE_MAX: u64 = GENERATION_MAX / 2;

/// Publish a table to a fleet
///
/// Every check is made first, on this machine, and again by every engine.
///
/// Example: hedgerow-fleet publish bots.hedge nats://127.0.0.1:4222 --key ops.key --wait 10
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Who gets it: canary, early (canary as well where it is newer there), or all
    #[arg(long, value_enum, default_value = "all")]
    ring: Ring,
}

/// A table that is to be published, and by whom.
#[derive(clap::Args)]
pub struct What {
    /// The table, or `default`
    table: String,
    /// Who publishes.
    #[command(flatten)]
    pub change: Change,
    /// What the engines fill: `http`, a schema file, or `model` for the table's own
    #[arg(long, value_name = "NAME|FILE", default_value = "http")]
    schema: String,
    /// Have engines take it however much it differs from the running one; every other check stands
    #[arg(long)]
    pub force: bool,
}

impl What {
    /// Every check of an engine's admission that needs no running table. Whoever signs the pointer
    /// trusts the own key, too.
    ///
    /// # Errors
    /// The first check that it does not pass.
    pub fn admit(&self, changer: &Changer) -> Result<Arc<PreparedTable>, Failure> {
        let trust = &self.change.trust;
        let mut trusted = changer.own();
        trusted.extend(trust.keys()?.trusted().iter().cloned());
        let keys = Keys::new(trusted, trust.requires());
        publishing::admit_with(&self.table, &self.schema, keys)
    }
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

/// A connection of one who changes the fleet.
pub struct Changer {
    /// The store.
    pub store: Store,
    pub(super) secret: Option<SecretKey>,
    /// Whose records are gone on from.
    keys: Keys,
    /// Whether others' records are passed over.
    verifies: bool,
    pub(super) above: u64,
    pub(super) origin: Origin,
    pub(super) wait: Duration,
    warnings: RefCell<Vec<String>>,
}

/// A ring's pointer as it was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its number in the bucket.
    pub revision: u64,
    /// The last one by somebody who is trusted here.
    pub body: Option<RingPointer>,
    /// The one that stands there, whoever wrote it.
    pub said: Option<RingPointer>,
}

/// A pointer that was replaced.
pub struct Pointed {
    /// What stands there now.
    pub body: RingPointer,
    /// Its number in the bucket.
    pub revision: u64,
}

/// Two changed the same at once.
pub fn crossed(key: &str, expected: &str, got: impl ToString) -> Failure {
    Failure {
        code: 803,
        ..Failure::new("fleet-crossed", key, expected, got)
    }
}

impl Changer {
    /// Connects.
    ///
    /// # Errors
    /// Where a key cannot be used, or the address is none.
    pub async fn connect(change: &Change) -> Result<Changer, Failure> {
        let wait = match change.wait {
            wait if (0.0..=86_400.0).contains(&wait) => Duration::from_secs_f64(wait),
            wait => return Err(Failure::usage("--wait", "0 to 86400 seconds", wait)),
        };
        let secret = change.key.as_deref().map(trust::secret).transpose()?;
        let given = change.trust.keys()?;
        let mut trusted: Vec<PublicKey> = secret.iter().map(SecretKey::public).collect();
        trusted.extend(given.trusted().iter().cloned());
        let required = secret.is_some() || change.trust.requires();
        Ok(Changer {
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

    /// The own public key, where there is one.
    fn own(&self) -> Vec<PublicKey> {
        self.secret.iter().map(SecretKey::public).collect()
    }

    /// Whose records are gone on from.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Says once what was passed over.
    pub fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        if !warnings.contains(&warning) {
            eprintln!("{NAME}: warning: {}", harmless(&warning));
            warnings.push(warning);
        }
    }

    /// Says what is wrong with a record.
    pub fn passed_over(&self, failure: &Failure) {
        let warning = format!("passed over what stands under {failure} (--trust FILE trusts more)");
        self.warn(warning.chars().take(WARNING_MAX).collect());
    }

    /// What was passed over.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// The body of what stands under a key, by somebody who is trusted here. Who neither signs nor
    /// says whom to trust reads what anybody wrote.
    pub fn body<T: Body>(&self, key: &str, value: &Value) -> Result<T, Failure> {
        let fleet = &self.store.fleet;
        let opened = Envelope::open(&value.bytes, fleet, key, &self.keys);
        match self.verifies {
            true => opened,
            false => opened.or_else(|_| Envelope::unverified(&value.bytes, fleet, key)),
        }
    }

    /// The body under a key; where that is none by somebody who is trusted here, the newest one
    /// that is.
    ///
    /// # Errors
    /// Where the store does not tell what stood there in time.
    pub async fn last<T: Body>(&self, key: &str, value: &Value) -> Result<Option<T>, Failure> {
        let failure = match self.body(key, value) {
            Ok(body) => return Ok(Some(body)),
            Err(failure) => failure,
        };
        self.passed_over(&failure);
        let all = self.store.history(key).await?;
        Ok(all
            .iter()
            .rev()
            .find_map(|value| self.body(key, value).ok()))
    }

    /// A ring's pointer.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn pointer(&self, ring: Ring) -> Result<Found, Failure> {
        let key = ring.key();
        let Some(value) = self.store.last(&key).await? else {
            return Ok(Found {
                revision: 0,
                body: None,
                said: None,
            });
        };
        let said = Envelope::unverified::<RingPointer>(&value.bytes, &self.store.fleet, &key);
        Ok(Found {
            revision: value.revision,
            body: self.last(&key, &value).await?,
            said: said.ok(),
        })
    }

    /// The highest of the numbers that are near enough to one that is known: those that nobody
    /// signed could use the numbers up else.
    pub fn highest(&self, known: u64, said: impl IntoIterator<Item = u64>) -> u64 {
        let near = known.saturating_add(GAP_MAX);
        let mut highest = known;
        for number in said {
            match number <= near {
                true => highest = highest.max(number),
                false => self.warn(format!(
                    "passed over the number {number}, far above {known}"
                )),
            }
        }
        highest
    }

    /// A number of each node that has reported. A fleet that does not tell in time is not waited
    /// for.
    pub async fn reported(&self, of: impl Fn(&NodeReport) -> u64) -> Vec<u64> {
        let why = match timeout(ATTEMPT, waiting::seen(&self.store)).await {
            Ok(Ok(all)) => return all.iter().map(|seen| of(&seen.report)).collect(),
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "no answer in time".into(),
        };
        let warning = "it is not known what numbers nodes have (--above N is above theirs)";
        self.warn(format!("{warning}: {why}"));
        Vec::new()
    }

    /// Everything that a ring has run, by generation: its own pointers, and those that it follows;
    /// whoever wrote them, or by those who are trusted here.
    async fn past(&self, ring: Ring, anybody: bool) -> Result<BTreeMap<u64, RingPointer>, Failure> {
        let mut all = BTreeMap::new();
        for ring in ring.followed() {
            let key = ring.key();
            for value in self.store.history(&key).await? {
                let body = match anybody {
                    true => Envelope::unverified(&value.bytes, &self.store.fleet, &key),
                    false => self.body::<RingPointer>(&key, &value),
                };
                if let Ok(body) = body {
                    all.insert(body.pointer.generation, body);
                }
            }
        }
        Ok(all)
    }

    /// The generation that a ring is to run.
    ///
    /// # Errors
    /// Where the store does not answer in time.
    pub async fn running(&self, ring: Ring) -> Result<Option<u64>, Failure> {
        let mut highest = None;
        for ring in ring.followed() {
            let body = self.pointer(*ring).await?.body;
            highest = highest.max(body.map(|body| body.pointer.generation));
        }
        Ok(highest)
    }

    /// What a ring and a rollback of it can want: its pointer, its last generations, and what it
    /// would go back to.
    ///
    /// # Errors
    /// Where the store does not answer in time, or there is a pointer that cannot be read.
    pub async fn wanted(&self, ring: Ring, keep: usize) -> Result<Vec<RingPointer>, Failure> {
        let key = ring.key();
        let mut wanted: Vec<RingPointer> = Vec::new();
        if let Some(value) = self.store.last(&key).await? {
            // Whoever wrote it: nodes may be about to take it.
            let body = Envelope::unverified(&value.bytes, &self.store.fleet, &key);
            wanted.push(body.map_err(|_| {
                let expected = "a pointer that can be read";
                Failure::new("fleet-record", &key, expected, "another")
            })?);
        }
        // Each for itself: what nobody signed keeps no room from what is signed.
        for anybody in [false, true] {
            let past = self.past(ring, anybody).await?;
            wanted.extend(past.values().rev().take(keep).cloned());
            wanted.extend(before(&past).cloned());
        }
        Ok(wanted)
    }

    /// Claims the next generation: above the counter, every pointer, and what nodes have.
    async fn claim(&self, ring: Ring, content_id: &str) -> Result<u64, Failure> {
        let mut above = self.above;
        let mut said = self
            .reported(|node| node.generation.max(node.running()))
            .await;
        for ring in Ring::EACH {
            let found = self.pointer(ring).await?;
            above = above.max(found.body.map_or(0, |body| body.pointer.generation));
            said.extend(found.said.map(|said| said.pointer.generation));
        }
        for _ in 0..CLAIMS_MAX {
            let value = self.store.last(COUNTER).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let near = |last: &u64| *last <= above.saturating_add(GAP_MAX);
            let mut said = said.clone();
            match value.as_ref().map(|value| claimed(value).filter(near)) {
                // The counter was deleted, or overwritten: its history says what was given.
                Some(None) => {
                    let all = self.store.history(COUNTER).await?;
                    said.extend(all.iter().filter_map(claimed));
                }
                last => said.extend(last.flatten()),
            }
            let generation = self.highest(above, said).saturating_add(1);
            if generation >= GENERATION_MAX {
                let expected = format!("a generation below {GENERATION_MAX} to be left");
                return Err(malformed(COUNTER, &expected, "none"));
            }
            let claim = Claim {
                generation,
                ring,
                content_id: content_id.into(),
                at: moment::now(),
                origin: self.origin.clone(),
            };
            let bytes = serde_json::to_vec(&claim).unwrap_or_default();
            if self
                .store
                .replace(COUNTER, bytes, revision)
                .await?
                .is_some()
            {
                return Ok(claim.generation);
            }
        }
        let got = format!("others, {CLAIMS_MAX} times in a row");
        Err(crossed(COUNTER, "to claim a generation", got))
    }

    /// Replaces a ring's pointer, if it is still as it was found.
    async fn point(
        &self,
        found: &Found,
        mut body: RingPointer,
        from_generation: Option<u64>,
        generation: Option<u64>,
    ) -> Result<Pointed, Failure> {
        let generation = match generation {
            Some(generation) => generation,
            None => self.claim(body.ring, &body.pointer.content_id).await?,
        };
        body.pointer = Pointer {
            version: FILES_VERSION,
            generation,
            from_generation,
            at: moment::now(),
            origin: self.origin.clone(),
            ..body.pointer
        };
        let key = body.ring.key();
        let bytes = Envelope::seal(&body, &key, self.secret.as_ref());
        let written = self.store.replace(&key, bytes, found.revision).await?;
        if let Some(revision) = written {
            return Ok(Pointed { body, revision });
        }
        let now = self.pointer(body.ring).await?.said;
        let got = now.map_or("another pointer".into(), |now| told(&now.pointer));
        Err(crossed(&key, "the pointer as it was when this began", got))
    }

    /// Publishes a table that was admitted here: under the next generation, or under one that was
    /// claimed for another ring.
    ///
    /// # Errors
    /// Where the store does not take it, or somebody else published to the ring meanwhile.
    pub async fn publish(
        &self,
        table: &Table,
        ring: Ring,
        forced: bool,
        generation: Option<u64>,
    ) -> Result<Pointed, Failure> {
        let found = self.pointer(ring).await?;
        // The own one, of which the answer was lost.
        if let Some(done) = self.done(&found, |own| Some(own.generation) == generation) {
            return Ok(done);
        }
        for followed in ring.followed() {
            let last = self.pointer(*followed).await?;
            let last = [last.body, last.said].into_iter().flatten();
            let last = last.map(|last| last.pointer);
            let newer = |last: &Pointer| generation.is_some_and(|own| newer(last.generation, own));
            if let Some(last) = last.into_iter().find(newer) {
                return Err(crossed(&followed.key(), "nothing newer", told(&last)));
            }
        }
        let own = table.header().generation;
        let last = found.body.as_ref().map_or(0, |body| body.table_generation);
        if own < last {
            let expected = format!("a table numbered {last} or above (or a rollback)");
            return Err(Failure {
                code: 616,
                ..Failure::new("replayed", table.content_id(), expected, own)
            });
        }
        let (content_id, digest) = (table.content_id(), digest(table.bytes()));
        let name = object(&content_id, &digest);
        self.store.put_table(&name, table.bytes()).await?;
        let body = RingPointer {
            version: FILES_VERSION,
            fleet: self.store.fleet.clone(),
            ring,
            pointer: Pointer {
                version: FILES_VERSION,
                generation: 0,
                content_id,
                bytes: table.byte_count() as u64,
                from_generation: None,
                forced,
                at: String::new(),
                origin: self.origin.clone(),
            },
            digest,
            table_generation: own,
            features: table.features().into_iter().map(|f| f.name).collect(),
            detections: table.detections().into_iter().map(|d| d.id).collect(),
        };
        let done = self.point(&found, body, None, generation).await?;
        // Somebody may have pruned what nobody named yet. The pointer stands, whatever comes of it.
        let there = match self.store.has_table(&name).await {
            Ok(false) => self.store.put_table(&name, table.bytes()).await,
            had => had.map(|_| ()),
        };
        if let Err(failure) = there {
            self.warn(format!(
                "published, and it is not known whether {name} is still there: {failure}"
            ));
        }
        Ok(done)
    }

    /// A ring's pointer, where it is one that this process has written.
    fn done(&self, found: &Found, is_it: impl Fn(&Pointer) -> bool) -> Option<Pointed> {
        let body = found.body.as_ref()?;
        let own = found.said.as_ref() == Some(body) && body.pointer.origin == self.origin;
        (own && is_it(&body.pointer)).then(|| Pointed {
            body: body.clone(),
            revision: found.revision,
        })
    }

    /// Publishes the table of an earlier generation of a ring again; where it is said from which
    /// value of the ring's pointer, from that one alone.
    ///
    /// # Errors
    /// `no-generation` where there is none, or its table is gone; else as `publish`.
    pub async fn rollback(
        &self,
        ring: Ring,
        to: Option<u64>,
        from: Option<u64>,
    ) -> Result<Pointed, Failure> {
        let found = self.pointer(ring).await?;
        if from.is_some_and(|from| from != found.revision) {
            // The own one, of which the answer was lost.
            if let Some(done) = self.done(&found, |own| own.from_generation.is_some()) {
                return Ok(done);
            }
            let got = found
                .said
                .map_or("another".into(), |said| told(&said.pointer));
            return Err(crossed(
                &ring.key(),
                "the pointer that is gone back from",
                got,
            ));
        }
        let past = self.past(ring, false).await?;
        let target = match to {
            Some(to) => past.get(&to),
            None => before(&past),
        };
        let Some(target) = target else {
            let known: Vec<String> = past.keys().map(u64::to_string).collect();
            let expected = format!("one of {}, with another table before it", known.join(", "));
            let got = to.map_or("nothing before the running one".into(), |to| to.to_string());
            return Err(Failure {
                code: 607,
                ..Failure::new("no-generation", ring.key(), expected, got)
            });
        };
        let from = source(&past, target.pointer.generation);
        let mut body = RingPointer {
            ring,
            ..target.clone()
        };
        body.pointer.forced = false;
        let number = target.pointer.generation;
        if !self.is_there(&body).await {
            let expected = "a generation whose table is still in the store";
            return Err(Failure {
                code: 607,
                ..Failure::new("no-generation", ring.key(), expected, number)
            });
        }
        let done = self.point(&found, body, Some(from), None).await?;
        if !self.is_there(&done.body).await {
            self.warn(format!(
                "the table of generation {number} was pruned meanwhile: nodes that do not have it \
                 cannot take it until it is published again"
            ));
        }
        Ok(done)
    }

    /// Whether a pointer's table is in the store. Nodes have what they ran: a store of tables that
    /// does not answer keeps nobody from going back.
    async fn is_there(&self, body: &RingPointer) -> bool {
        let object = body.object();
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

/// How often a change that others came before is tried.
pub const CLAIMS_MAX: usize = 20;

/// How far a number that nobody signed may be above one that is known.
pub const GAP_MAX: u64 = 1 << 40;

/// Characters of a warning, at most.
const WARNING_MAX: usize = 500;

/// Whether a generation that somebody says is at or above the own one, and not out of reach.
pub fn newer(said: u64, own: u64) -> bool {
    said >= own && said <= own.saturating_add(GAP_MAX)
}

/// A pointer, in a few words.
pub fn told(pointer: &Pointer) -> String {
    format!("generation {} by {}", pointer.generation, pointer.origin)
}

/// The generation of a claim, where it is one.
fn claimed(value: &Value) -> Option<u64> {
    let claim = serde_json::from_slice::<Claim>(&value.bytes).ok()?;
    Some(claim.generation)
}

/// The generation that first had a generation's table.
fn source(past: &BTreeMap<u64, RingPointer>, generation: u64) -> u64 {
    let body = past.get(&generation);
    let from = body.and_then(|body| body.pointer.from_generation);
    // Each is below the one before it, so that this ends.
    match from.filter(|from| *from < generation) {
        Some(from) if past.contains_key(&from) => source(past, from),
        Some(from) => from,
        None => generation,
    }
}

/// What to go back to from the last generation. After a rollback it is one before the one that was
/// gone back to: rolling back twice does not come back to where it started.
fn before(past: &BTreeMap<u64, RingPointer>) -> Option<&RingPointer> {
    let (last, running) = past.last_key_value()?;
    let last = source(past, *last);
    let mut earlier = past.range(..last).rev().map(|(_, body)| body);
    earlier.find(|body| body.pointer.content_id != running.pointer.content_id)
}

/// Publishes a table.
///
/// # Errors
/// As [`Changer::publish`], and where the table is refused here.
pub async fn run(args: &Args) -> Result<Report, Failure> {
    let changer = Changer::connect(&args.what.change).await?;
    let prepared = args.what.admit(&changer)?;
    let started = Instant::now();
    let pointed = changer
        .publish(prepared.table(), args.ring, args.what.force, None)
        .await?;
    done(&changer, "published", &pointed.body, started).await
}

/// Goes back.
///
/// # Errors
/// As [`Changer::rollback`].
pub async fn rollback(args: &RollbackArgs) -> Result<Report, Failure> {
    let changer = Changer::connect(&args.change).await?;
    let started = Instant::now();
    let pointed = changer.rollback(args.ring, args.to, None).await?;
    done(&changer, "rolled back", &pointed.body, started).await
}

async fn done(
    changer: &Changer,
    verb: &str,
    body: &RingPointer,
    started: Instant,
) -> Result<Report, Failure> {
    let pointer = &body.pointer;
    let (ring, generation) = (body.ring, pointer.generation);
    let wait = changer.wait;
    let wanted = Wanted::of(body);
    let nodes = waiting::until(&changer.store, &wanted, wait, started).await?;
    let mut text = format!(
        "{verb}: generation {generation} to {}, table {}",
        ring.name(),
        pointer.content_id
    );
    if let Some(from) = pointer.from_generation {
        let _ = write!(text, ", which was generation {from}");
    }
    text.push('\n');
    let ok = waiting::told(&mut text, &nodes);
    let json = json!({
        "ok": ok,
        "program": NAME,
        "ring": ring.name(),
        "generation": generation,
        "content_id": pointer.content_id,
        "from_generation": pointer.from_generation,
        "forced": pointer.forced,
        "at": pointer.at,
        "origin": pointer.origin,
        "nodes": nodes,
        "warnings": changer.warnings(),
    });
    Ok(Report::checked(text, json, ok))
}
