//! `publish`, `rollback`, `kill` and `restore` of a fleet: everything that changes what nodes do.
//!
//! A publish puts the table among the objects, claims the next generation by compare-and-set on the
//! counter, and replaces its ring's pointer by compare-and-set on what it read first. So two
//! publishers never give one number to two tables, and the slower one of a ring is told so. Killed
//! in between, it leaves an object that nobody names and a number that nobody has.

use super::record::{
    Body, COUNTER, Claim, Envelope, FleetSwitches, Ring, RingPointer, SWITCHES, digest, object,
};
use super::store::{Address, Store, Value};
use super::waiting;
use crate::NAME;
use hedgerow::watch::directory::{FILES_VERSION, Pointer, SwitchesFile};
use hedgerow::watch::{Keys, Origin, PublicKey, SecretKey, moment};
use hedgerow::{Bound, Selector, Switches, Table};
use hedgerow_cli::Report;
use hedgerow_cli::commands::{key, publish};
use hedgerow_cli::failure::Failure;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    #[command(flatten)]
    address: Address,
}

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
    #[command(flatten)]
    trust: key::Trust,
    /// Have engines take it however much it differs from the running one; every other check stands
    #[arg(long)]
    pub force: bool,
}

impl What {
    /// Every check of an engine's admission that needs no running table. Whoever signs the pointer
    /// trusts the own key, unless it is said whom to trust.
    ///
    /// # Errors
    /// The first check that it does not pass.
    pub fn admit(&self, changer: &Changer) -> Result<Arc<Bound>, Failure> {
        let keys = match self.trust.is_given() {
            true => self.trust.keys()?,
            false => changer.keys.clone(),
        };
        publish::admit_with(&self.table, &self.schema, keys)
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

/// Switch a part of the engines of a whole fleet off, or on again
///
/// Needs the fleet's keys alone, not its tables.
///
/// Example: hedgerow-fleet kill ensemble nats://127.0.0.1:4222 --key ops.key --wait 5
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct SwitchArgs {
    /// engine, ensemble, feature:NAME or detection:ID
    selector: String,
    #[command(flatten)]
    change: Change,
}

/// A connection of one who changes the fleet.
pub struct Changer {
    /// The store.
    pub store: Store,
    secret: Option<SecretKey>,
    keys: Keys,
    origin: Origin,
    wait: Duration,
}

/// A ring's pointer as it was read.
#[derive(Debug, Clone)]
struct Found {
    revision: u64,
    body: Option<RingPointer>,
}

/// Two changed the same at once.
fn crossed(key: &str, expected: &str, got: impl ToString) -> Failure {
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
        let secret = change.key.as_deref().map(key::secret).transpose()?;
        let trusted: Vec<PublicKey> = secret.iter().map(SecretKey::public).collect();
        Ok(Changer {
            store: Store::connect(&change.address, "publisher").await?,
            // What another publisher has signed is read, not trusted: nodes decide.
            keys: Keys::new(trusted, false),
            secret,
            origin: Origin::here(&publish::who(change.by.as_deref())),
            wait,
        })
    }

    /// The body of what stands under a key. One that somebody else has signed is read as well.
    fn body<T: Body>(&self, key: &str, value: &Value) -> Result<T, Failure> {
        let fleet = &self.store.fleet;
        Envelope::open(&value.bytes, fleet, key, &self.keys)
            .or_else(|_| Envelope::unverified(&value.bytes, fleet, key))
    }

    async fn pointer(&self, ring: Ring) -> Result<Found, Failure> {
        let key = ring.key();
        let value = self.store.read(&key).await?;
        Ok(Found {
            revision: value.as_ref().map_or(0, |value| value.revision),
            body: value.and_then(|value| self.body(&key, &value).ok()),
        })
    }

    /// Everything that a ring has run, by generation: its own pointers, and those that it follows.
    async fn past(&self, ring: Ring) -> Result<BTreeMap<u64, RingPointer>, Failure> {
        let mut all = BTreeMap::new();
        for ring in ring.followed() {
            let key = ring.key();
            for value in self.store.history(&key).await? {
                if let Ok(body) = self.body::<RingPointer>(&key, &value) {
                    all.insert(body.pointer.generation, body);
                }
            }
        }
        Ok(all)
    }

    /// What a ring and a rollback of it can want: its pointer, its last generations, and what it
    /// would go back to.
    ///
    /// # Errors
    /// Where the store does not answer in time, or there is a pointer that cannot be read.
    pub async fn wanted(&self, ring: Ring, keep: usize) -> Result<Vec<RingPointer>, Failure> {
        let found = self.pointer(ring).await?;
        if found.revision > 0 && found.body.is_none() {
            let expected = "a pointer that can be read";
            return Err(Failure::new(
                "fleet-record",
                ring.key(),
                expected,
                "another",
            ));
        }
        let past = self.past(ring).await?;
        let mut wanted: Vec<RingPointer> = found.body.into_iter().collect();
        wanted.extend(past.values().rev().take(keep).cloned());
        wanted.extend(before(&past).cloned());
        Ok(wanted)
    }

    /// Claims the next generation: above the counter, and above every pointer.
    async fn claim(&self, ring: Ring, content_id: &str) -> Result<u64, Failure> {
        let mut above = 0;
        for ring in Ring::EACH {
            let body = self.pointer(ring).await?.body;
            above = above.max(body.map_or(0, |body| body.pointer.generation));
        }
        for _ in 0..CLAIMS_MAX {
            let value = self.store.read(COUNTER).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            let last = match value.as_ref().map(claimed) {
                // The counter was deleted, or overwritten: its history says what was given.
                Some(None) => {
                    let all = self.store.history(COUNTER).await?;
                    all.iter().filter_map(claimed).max()
                }
                last => last.flatten(),
            };
            let last = last.unwrap_or_default().max(above);
            let claim = Claim {
                generation: last.saturating_add(1),
                ring,
                content_id: content_id.into(),
                at: moment::now(),
                origin: self.origin.clone(),
            };
            let bytes = serde_json::to_vec(&claim).unwrap_or_default();
            if self.store.write(COUNTER, &bytes, revision).await?.is_some() {
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
    ) -> Result<RingPointer, Failure> {
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
        if self
            .store
            .write(&key, &bytes, found.revision)
            .await?
            .is_some()
        {
            return Ok(body);
        }
        let now = self.pointer(body.ring).await?.body.map(|body| body.pointer);
        let got = now.map_or("another pointer".into(), |now| {
            format!("generation {} by {}", now.generation, now.origin)
        });
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
    ) -> Result<RingPointer, Failure> {
        let found = self.pointer(ring).await?;
        for followed in ring.followed() {
            let last = self.pointer(*followed).await?.body.map(|body| body.pointer);
            let newer = |last: &Pointer| generation.is_some_and(|own| last.generation >= own);
            if let Some(last) = last.filter(newer) {
                let got = format!("generation {} by {}", last.generation, last.origin);
                return Err(crossed(&followed.key(), "nothing newer", got));
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
        // Somebody may have pruned what nobody named yet.
        if !self.store.has(&name).await? {
            self.store.put_table(&name, table.bytes()).await?;
        }
        Ok(done)
    }

    /// Publishes the table of an earlier generation of a ring again.
    ///
    /// # Errors
    /// `no-generation` where there is none, or its table is gone; else as `publish`.
    pub async fn rollback(&self, ring: Ring, to: Option<u64>) -> Result<RingPointer, Failure> {
        let found = self.pointer(ring).await?;
        let past = self.past(ring).await?;
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
        if !self.store.has(&body.object()).await? {
            let expected = "a generation whose table is still in the store";
            return Err(Failure {
                code: 607,
                ..Failure::new(
                    "no-generation",
                    ring.key(),
                    expected,
                    target.pointer.generation,
                )
            });
        }
        self.point(&found, body, Some(from), None).await
    }

    /// Switches a selector off, or on again.
    ///
    /// # Errors
    /// `selector` where there is nothing of that name; else where the store does not take it.
    pub async fn switch(&self, selector: &Selector, off: bool) -> Result<SwitchesFile, Failure> {
        if off {
            self.known(selector).await?;
        }
        for _ in 0..CLAIMS_MAX {
            let value = self.store.read(SWITCHES).await?;
            let revision = value.as_ref().map_or(0, |value| value.revision);
            // Switches that cannot be read do not keep anybody from switching off.
            let last = value
                .as_ref()
                .and_then(|value| self.body::<FleetSwitches>(SWITCHES, value).ok())
                .map(|body| body.file);
            let mut all = match &last {
                Some(file) => file
                    .switches(SWITCHES.as_ref())
                    .map_err(|refusal| Failure::of(&refusal))?,
                None => Switches::default(),
            };
            match off {
                true => _ = all.kill(selector.clone()),
                false if !all.restore(selector) => {
                    let expected = "something that is off";
                    return Err(no_selector(expected, selector));
                }
                false => {}
            }
            let file = SwitchesFile {
                version: FILES_VERSION,
                // Above the last one's also where that cannot be read.
                change: last
                    .map_or(0, |last| last.change)
                    .max(revision)
                    .saturating_add(1),
                off: all.iter().map(Selector::to_string).collect(),
                at: moment::now(),
                origin: self.origin.clone(),
            };
            let body = FleetSwitches {
                fleet: self.store.fleet.clone(),
                file,
            };
            let bytes = Envelope::seal(&body, SWITCHES, self.secret.as_ref());
            if self
                .store
                .write(SWITCHES, &bytes, revision)
                .await?
                .is_some()
            {
                return Ok(body.file);
            }
        }
        let got = format!("others, {CLAIMS_MAX} times in a row");
        Err(crossed(SWITCHES, "to change the switches", got))
    }

    /// What is switched off must be there: a slip of the finger would leave the trouble on.
    async fn known(&self, selector: &Selector) -> Result<(), Failure> {
        let (mut features, mut detections) = (Vec::new(), Vec::new());
        if matches!(selector, Selector::Engine | Selector::Ensemble) {
            return Ok(());
        }
        for ring in Ring::EACH {
            if let Some(body) = self.pointer(ring).await?.body {
                features.extend(body.features);
                detections.extend(body.detections);
            }
        }
        match selector {
            Selector::Feature(name) if !features.contains(name) => {
                let expected = "a feature of a table that a ring runs";
                Err(no_selector(expected, selector))
            }
            Selector::Detection(id) if !detections.contains(id) => {
                let expected = "a detection of a table that a ring runs";
                Err(no_selector(expected, selector))
            }
            _ => Ok(()),
        }
    }
}

fn no_selector(expected: &str, got: &Selector) -> Failure {
    Failure {
        code: 608,
        ..Failure::new("selector", SWITCHES, expected, got)
    }
}

/// How often a change that others came before is tried.
const CLAIMS_MAX: usize = 20;

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
    let bound = args.what.admit(&changer)?;
    let started = Instant::now();
    let body = changer
        .publish(bound.table(), args.ring, args.what.force, None)
        .await?;
    done(&changer, "published", &body, started).await
}

/// Goes back.
///
/// # Errors
/// As [`Changer::rollback`].
pub async fn rollback(args: &RollbackArgs) -> Result<Report, Failure> {
    let changer = Changer::connect(&args.change).await?;
    let started = Instant::now();
    let body = changer.rollback(args.ring, args.to).await?;
    done(&changer, "rolled back", &body, started).await
}

/// Switches a selector off, or on.
///
/// # Errors
/// As [`Changer::switch`].
pub async fn switch(args: &SwitchArgs, off: bool) -> Result<Report, Failure> {
    let selector: Selector = args.selector.parse().map_err(|_| {
        let expected = "engine, ensemble, feature:NAME or detection:ID";
        Failure::usage("SELECTOR", expected, format!("{:?}", args.selector))
    })?;
    let changer = Changer::connect(&args.change).await?;
    let started = Instant::now();
    let file = changer.switch(&selector, off).await?;
    let nodes = waiting::switched(&changer.store, file.change, changer.wait, started).await?;
    let (verb, change) = (if off { "switched off" } else { "restored" }, file.change);
    let mut text = format!("{verb}: {selector}, change {change}; off now: ");
    text.push_str(match file.off.is_empty() {
        true => "nothing",
        false => "",
    });
    let _ = writeln!(text, "{}", file.off.join(", "));
    let ok = waiting::told(&mut text, &nodes);
    let json = json!({
        "ok": ok,
        "change": change,
        "off": file.off,
        "nodes": nodes,
    });
    Ok(Report::checked(text, json, ok))
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
    let nodes = waiting::running(&changer.store, ring, generation, wait, started).await?;
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
    });
    Ok(Report::checked(text, json, ok))
}

/// What the keys of a fleet have had, oldest first.
///
/// # Errors
/// Where the store does not answer in time.
pub async fn history(changer: &Store) -> Result<Vec<Json>, Failure> {
    let mut all: Vec<(u64, Json)> = Vec::new();
    let keys = Ring::EACH.map(Ring::key);
    let keys = keys.iter().map(String::as_str).chain([SWITCHES, COUNTER]);
    for key in keys {
        for value in changer.history(key).await? {
            let text: Json = serde_json::from_slice(&value.bytes).unwrap_or_default();
            let signed = text["signed"]["key"].as_str().map(ToString::to_string);
            let body = text["body"].as_str();
            let body = body.and_then(|body| serde_json::from_str::<Json>(body).ok());
            let mut body = body.unwrap_or(text);
            if let Some(body) = body.as_object_mut() {
                body.remove("features");
                body.remove("detections");
            }
            let line = json!({
                "revision": value.revision,
                "key": key,
                "signed_by": signed,
                "body": body,
            });
            all.push((value.revision, line));
        }
    }
    all.sort_by_key(|(revision, _)| *revision);
    Ok(all.into_iter().map(|(_, line)| line).collect())
}
