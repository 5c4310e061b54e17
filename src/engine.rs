//! The engine: one live table, swapped under the scorers of a host's threads.

mod sampling;

use crate::epoch::{Barrier, NoSlot, Reader, RetiredFull, Swap};
use crate::error::OpenError;
use crate::limits::{
    BATCH_ROWS_MAX, CATALOGS_MAX, DETECTION_COUNTERS_MAX, FEATURES_MAX, READERS_MAX,
};
use crate::probe;
use crate::row::Row;
use crate::schema::Schema;
use crate::score::{Client, NotScored, PreparedTable, Reason, Verdict};
use crate::stats::{Counters, ScorerSnapshot, ScorerStats};
use crate::switches::{Selector, Switches};
use crate::table::{Catalog, Table, Usage};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// A table, the generation it was published as, and what is switched off. A switch that is flipped
/// is a publish of the same table.
#[derive(Debug)]
struct Live {
    prepared: Arc<PreparedTable>,
    generation: u64,
    /// Where scorers count each detection.
    counters: Counters,
    /// Nothing, as a rule: the hot path pays for one comparison.
    off: Option<Off>,
}

/// What is switched off, as the hot path wants it.
#[derive(Debug)]
struct Off {
    engine: bool,
    ensemble: bool,
    /// Row positions of the features that are switched off.
    features: [bool; FEATURES_MAX],
    /// Bits of the table's detections that are switched off.
    detections: u64,
}

/// Publishes tables to any number of [`Scorer`]s. Cheap to clone and to share.
///
/// A process that forks makes its engine in the child: a scorer that is scoring during the fork
/// leaves its slot occupied there for ever. The last owner of an engine, a [`Scorer`] included,
/// drops its tables.
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    schema: Schema,
    swap: crate::sync::Arc<Swap<Live>>,
    /// Between control threads, and those that make or drop a scorer.
    control: Mutex<Control>,
}

/// What the control plane remembers.
#[derive(Debug, Default)]
struct Control {
    generation: u64,
    live: Option<Arc<PreparedTable>>,
    switches: Switches,
    content_id: String,
    usage: Vec<Usage>,
    refusals: BTreeMap<u16, (&'static str, u64)>,
    held_back: u64,
    scorers: Vec<Arc<ScorerStats>>,
    /// Scorers that were ever made.
    scorers_made: u64,
    /// What scorers counted that are gone.
    gone: ScorerSnapshot,
    /// What each counter of detections counts: id, and whether it decides. It never changes, so
    /// that counts only grow.
    counted: Vec<(u32, bool)>,
    /// The names of the latest generations.
    catalogs: VecDeque<(u64, Arc<Catalog>)>,
}

impl Control {
    /// The counter of each detection of a table; those of new ones are taken.
    fn counters(&mut self, catalog: &Catalog) -> Counters {
        let mut counters = [DETECTION_COUNTERS_MAX as u16; _];
        for (counter, detection) in counters.iter_mut().zip(catalog.detections()) {
            let key = (detection.id, detection.active);
            let known = self.counted.iter().position(|counted| *counted == key);
            let at = known.unwrap_or(self.counted.len());
            if at < DETECTION_COUNTERS_MAX {
                *counter = at as u16;
                if known.is_none() {
                    self.counted.push(key);
                }
            }
        }
        counters
    }

    fn keep(&mut self, generation: u64, catalog: Catalog) {
        // A switch that is flipped publishes the same table again.
        self.catalogs.retain(|(of, _)| *of != generation);
        if self.catalogs.len() >= CATALOGS_MAX {
            self.catalogs.pop_front();
        }
        self.catalogs.push_back((generation, Arc::new(catalog)));
    }

    /// Matches by detection, and those beyond the counters.
    fn detections(&self, rows: &ScorerSnapshot) -> (Vec<DetectionCount>, u64) {
        let matched = |at: usize| rows.matched.get(at).copied().unwrap_or_default();
        let counted = self.counted.iter().enumerate();
        let counts = counted.map(|(at, (id, active))| DetectionCount {
            id: *id,
            active: *active,
            matched: matched(at),
        });
        (counts.collect(), matched(DETECTION_COUNTERS_MAX))
    }
}

/// How many rows a detection matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectionCount {
    /// Its id.
    pub id: u32,
    /// Whether it decided then; a shadow that was made active has two counts.
    pub active: bool,
    /// Rows that it matched, in whatever generation.
    pub matched: u64,
}

/// The state of an engine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineStats {
    /// The generation that is live; 0 where none was published.
    pub generation: u64,
    /// The content hash of the live table, in hexadecimal.
    pub content_id: String,
    /// What is switched off.
    pub switches: Switches,
    /// How much of each capacity the live table uses.
    pub headroom: Vec<Usage>,
    /// Refused tables: by code, its name and how many.
    pub refusals: BTreeMap<u16, (&'static str, u64)>,
    /// Good tables that were not published because too many retired ones waited.
    pub held_back: u64,
    /// Scorers that are alive, of [`READERS_MAX`].
    pub scorers: usize,
    /// Rows in the reservoirs of live scorers, at most
    /// [`RESERVOIR_ROWS`](crate::limits::RESERVOIR_ROWS) each.
    pub reservoir: u64,
    /// Replaced tables that were not reclaimed yet, of
    /// [`RETIRED_MAX`](crate::limits::RETIRED_MAX): above 1 for long, a reader stays inside.
    pub retired: usize,
    /// What all scorers counted, those that are gone included.
    pub rows: ScorerSnapshot,
    /// Matches of every detection that was ever live, active or shadow.
    pub detections: Vec<DetectionCount>,
    /// Matches of detections beyond
    /// [`DETECTION_COUNTERS_MAX`].
    pub detections_beyond: u64,
}

/// Why a table was not published. The running table stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The table was refused.
    Refused(OpenError),
    /// Too many retired tables wait for readers that stay inside.
    RetiredFull(RetiredFull),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PublishError::Refused(refused) => refused.fmt(f),
            PublishError::RetiredFull(full) => full.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {}

impl From<OpenError> for PublishError {
    fn from(refused: OpenError) -> PublishError {
        PublishError::Refused(refused)
    }
}

impl Engine {
    /// An engine without a table, for a host that fills this schema. Verdicts are
    /// `NotScored(NoTable)` until one is published.
    pub fn new(schema: Schema) -> Engine {
        Engine::with_barrier(schema, Barrier::Membarrier)
    }

    /// As [`new`](Engine::new), on this barrier: for a host that publishes hundreds of tables a
    /// second, or enters a sandbox that refuses `membarrier` after the engine is made.
    pub fn with_barrier(schema: Schema, barrier: Barrier) -> Engine {
        let swap = Swap::with_barrier(READERS_MAX, barrier);
        let control = Mutex::default();
        Engine {
            shared: Arc::new(Shared {
                schema,
                swap,
                control,
            }),
        }
    }

    /// The schema that tables are bound to.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// Opens a table file and publishes it. Returns its generation.
    ///
    /// # Errors
    /// As [`Table::open`] and [`publish`](Engine::publish). The running table stays.
    pub fn publish_file(&self, path: impl AsRef<Path>) -> Result<u64, PublishError> {
        let opened = Table::open(path).map_err(PublishError::Refused);
        self.counted(opened.and_then(|table| self.try_publish(table, None)))
    }

    /// Binds a table, has the kernel reproduce its golden rows, and makes it live. Returns its
    /// generation.
    ///
    /// # Errors
    /// Where the table does not fit the schema, fails a golden row, or where the list of retired
    /// tables is full. The running table stays.
    pub fn publish(&self, table: Table) -> Result<u64, PublishError> {
        self.counted(self.try_publish(table, None))
    }

    /// As [`publish`](Engine::publish), on the kernel of a name: for tests, measurements and
    /// incidents.
    ///
    /// # Errors
    /// As `publish`, and where the kernel does not exist, cannot run here, or not on this table.
    pub fn publish_on(&self, table: Table, kernel: &str) -> Result<u64, PublishError> {
        self.counted(self.try_publish(table, Some(kernel)))
    }

    /// Makes a prepared table live under a number that its publisher gave it.
    pub(crate) fn publish_as(
        &self,
        prepared: Arc<PreparedTable>,
        generation: u64,
    ) -> Result<(), RetiredFull> {
        let mut control = self.control();
        self.make_live(&mut control, prepared, generation)
    }

    fn try_publish(&self, table: Table, kernel: Option<&str>) -> Result<u64, PublishError> {
        let prepared = Arc::new(PreparedTable::with_kernel(table, self.schema(), kernel)?);
        // Held over the publish, so that two publishers' tables come in the order of generations.
        let mut control = self.control();
        let generation = control.generation.saturating_add(1);
        self.make_live(&mut control, prepared, generation)
            .map_err(PublishError::RetiredFull)?;
        Ok(generation)
    }

    fn make_live(
        &self,
        control: &mut Control,
        prepared: Arc<PreparedTable>,
        generation: u64,
    ) -> Result<(), RetiredFull> {
        let catalog = Catalog::of(prepared.table());
        let live = Live {
            prepared: prepared.clone(),
            generation,
            counters: control.counters(&catalog),
            off: Off::new(&control.switches, self.schema(), &catalog),
        };
        self.shared.swap.publish(|_| Box::new(live))?;
        (control.generation, control.usage) = (generation, prepared.table().usage());
        control.content_id = prepared.table().content_id();
        control.live = Some(prepared);
        control.keep(generation, catalog);
        Ok(())
    }

    /// Switches off what the set names, and everything else on: every scorer sees it with its next
    /// row. It stays so for tables that are published later. A feature that the schema does not
    /// have is kept and changes nothing.
    ///
    /// # Errors
    /// Where the list of retired tables is full; the switches stay as they were then.
    pub fn set_switches(&self, switches: Switches) -> Result<(), RetiredFull> {
        let mut control = self.control();
        let before = std::mem::replace(&mut control.switches, switches);
        let Some(prepared) = control.live.clone() else {
            return Ok(());
        };
        let generation = control.generation;
        let flipped = self.make_live(&mut control, prepared, generation);
        if flipped.is_err() {
            control.switches = before;
        }
        flipped
    }

    /// Counts a refusal by its code.
    pub(crate) fn count(&self, refused: &OpenError) {
        probe::refuse(refused.code());
        let mut control = self.control();
        let name = refused.name();
        let entry = control.refusals.entry(refused.code()).or_insert((name, 0));
        entry.1 = entry.1.saturating_add(1);
    }

    fn counted(&self, published: Result<u64, PublishError>) -> Result<u64, PublishError> {
        match &published {
            Err(PublishError::Refused(refused)) => self.count(refused),
            Err(PublishError::RetiredFull(_)) => {
                let mut control = self.control();
                control.held_back = control.held_back.saturating_add(1);
            }
            Ok(_) => {}
        }
        published
    }

    /// Drops the retired tables that no scorer can see; returns how many still wait.
    pub fn reclaim(&self) -> usize {
        self.shared.swap.reclaim()
    }

    /// The names of a generation's detections and bots; none where it is older than the latest
    /// [`CATALOGS_MAX`]. For logs and metrics: it takes a lock and searches.
    pub fn catalog(&self, generation: u64) -> Option<Arc<Catalog>> {
        let control = self.control();
        let mut known = control.catalogs.iter();
        known
            .find(|(of, _)| *of == generation)
            .map(|(_, catalog)| catalog.clone())
    }

    /// A scorer for one thread.
    ///
    /// # Errors
    /// Where all slots are taken.
    pub fn scorer(&self) -> Result<Scorer, NoSlot> {
        let reader = self.shared.swap.reader()?;
        let features = self.schema().features().len();
        let mut control = self.control();
        control.scorers_made = control.scorers_made.saturating_add(1);
        let stats = Arc::new(ScorerStats::new(control.scorers_made, features));
        control.scorers.push(stats.clone());
        drop(control);
        Ok(Scorer {
            reader,
            pass: 0,
            stats,
            shared: self.shared.clone(),
        })
    }

    /// The state of the engine now. Scoring threads do not notice.
    pub fn stats(&self) -> EngineStats {
        let control = self.control();
        let mut rows = control.gone.clone();
        for scorer in &control.scorers {
            scorer.add_to(&mut rows);
        }
        let (detections, detections_beyond) = control.detections(&rows);
        EngineStats {
            detections,
            detections_beyond,
            generation: control.generation,
            content_id: control.content_id.clone(),
            switches: control.switches.clone(),
            headroom: control.usage.clone(),
            refusals: control.refusals.clone(),
            held_back: control.held_back,
            scorers: control.scorers.len(),
            reservoir: sampling::held(&control.scorers),
            retired: self.shared.swap.retired(),
            rows,
        }
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.shared.control()
    }
}

impl Shared {
    fn control(&self) -> MutexGuard<'_, Control> {
        // Every change is a single assignment or push: a thread that panicked left it whole.
        self.control
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Scores rows on one thread against whatever table is live.
///
/// It may move to another thread; two threads cannot share it:
///
/// ```compile_fail,E0277
/// fn shared<T: Sync>() {}
/// shared::<hedgerow::Scorer>();
/// ```
#[derive(Debug)]
pub struct Scorer {
    reader: Reader<Live>,
    /// Rows to pass over before the next is kept in the reservoir.
    pass: u32,
    stats: Arc<ScorerStats>,
    shared: Arc<Shared>,
}

impl Scorer {
    /// The verdict on a row, laid out by the engine's schema. Without an address no bot is
    /// verified.
    #[inline]
    pub fn score(&mut self, row: &Row) -> Verdict {
        self.score_known(row, None)
    }

    /// The verdict on a row of a client whose address is known. A verified bot has no score:
    /// neither detections nor the ensemble are asked.
    #[inline]
    pub fn score_client(&mut self, row: &Row, client: &Client<'_>) -> Verdict {
        self.score_known(row, Some(client))
    }

    #[inline(always)]
    fn score_known(&mut self, row: &Row, client: Option<&Client<'_>>) -> Verdict {
        self.pass = match self.pass.checked_sub(1) {
            Some(pass) => pass,
            None => self.stats.reservoir.keep(row),
        };
        let Some(live) = self.reader.enter() else {
            self.stats.count(&NO_TABLE);
            return NO_TABLE;
        };
        let verdict = live.judge(row, client);
        live.count(&self.stats, &verdict);
        verdict
    }

    /// The verdicts on rows, in their order; as many as the shorter of the two. Each 64 rows see
    /// one generation. Returns how many verdicts were given.
    #[inline]
    pub fn score_batch(&mut self, rows: &[Row], verdicts: &mut [Verdict]) -> usize {
        self.score_batch_known(rows, |_| None, verdicts)
    }

    /// As [`score_batch`](Scorer::score_batch), of clients whose addresses are known; as many as
    /// the shortest of the three.
    #[inline]
    pub fn score_batch_clients(
        &mut self,
        rows: &[Row],
        clients: &[Client<'_>],
        verdicts: &mut [Verdict],
    ) -> usize {
        let rows = rows.get(..clients.len()).unwrap_or(rows);
        self.score_batch_known(rows, |at| clients.get(at).copied(), verdicts)
    }

    /// As [`score_batch`](Scorer::score_batch); `client` knows the senders of some rows, by their
    /// position.
    #[inline(always)]
    pub(crate) fn score_batch_known<'a>(
        &mut self,
        rows: &[Row],
        client: impl Fn(usize) -> Option<Client<'a>>,
        verdicts: &mut [Verdict],
    ) -> usize {
        let count = rows.len().min(verdicts.len());
        let verdicts = verdicts.get_mut(..count).unwrap_or_default();
        let batches = rows
            .chunks(BATCH_ROWS_MAX)
            .zip(verdicts.chunks_mut(BATCH_ROWS_MAX));
        let mut first = 0usize;
        for (rows, verdicts) in batches {
            self.keep_some(rows);
            let Some(live) = self.reader.enter() else {
                verdicts.fill(NO_TABLE);
                verdicts.iter().for_each(|none| self.stats.count(none));
                continue;
            };
            if let Some(off) = &live.off {
                for (at, (verdict, row)) in (first..).zip(verdicts.iter_mut().zip(rows)) {
                    *verdict = live.judge_switched(off, row, client(at).as_ref());
                    live.count(&self.stats, verdict);
                }
                first = first.wrapping_add(BATCH_ROWS_MAX);
                continue;
            }
            let mut margins = [0; BATCH_ROWS_MAX];
            live.prepared.margins(rows, &mut margins);
            let outcomes = verdicts.iter_mut().zip(rows).zip(margins);
            for (at, ((verdict, row), margin)) in (first..).zip(outcomes) {
                let verified = client(at).and_then(|client| live.verified(&client));
                *verdict = match verified {
                    Some(verified) => verified,
                    None => live.verdict(row, margin),
                };
                live.count(&self.stats, verdict);
            }
            first = first.wrapping_add(BATCH_ROWS_MAX);
        }
        count
    }

    /// Keeps every n-th of some rows.
    #[inline]
    fn keep_some(&mut self, rows: &[Row]) {
        let mut rest = rows;
        while let Some((row, behind)) = rest
            .get(self.pass as usize..)
            .and_then(|rest| rest.split_first())
        {
            rest = behind;
            self.pass = self.stats.reservoir.keep(row);
        }
        self.pass = self.pass.saturating_sub(rest.len() as u32);
    }

    /// The counters, for those that turn requests away before they come to this scorer.
    pub(crate) fn counters(&self) -> Arc<ScorerStats> {
        self.stats.clone()
    }

    /// What this scorer counts. The host may record latencies here: the clock is not read by
    /// [`score`](Scorer::score).
    #[inline]
    pub fn stats(&self) -> &ScorerStats {
        &self.stats
    }
}

const NO_TABLE: Verdict = Verdict::NotScored(NotScored {
    reason: Reason::NoTable,
    generation: 0,
});

impl Live {
    #[inline]
    fn judge(&self, row: &Row, client: Option<&Client<'_>>) -> Verdict {
        if let Some(off) = &self.off {
            return self.judge_switched(off, row, client);
        }
        match client.and_then(|client| self.verified(client)) {
            Some(verified) => verified,
            None => self.verdict(row, self.prepared.margin(row)),
        }
    }

    /// With something switched off.
    #[cold]
    fn judge_switched(&self, off: &Off, row: &Row, client: Option<&Client<'_>>) -> Verdict {
        let disabled = Verdict::NotScored(NotScored {
            reason: Reason::Disabled,
            generation: self.generation,
        });
        if off.engine {
            return disabled;
        }
        if let Some(verified) = client.and_then(|client| self.verified(client)) {
            return verified;
        }
        let mut seen = row.clone();
        for (value, off) in seen.values_mut().iter_mut().zip(&off.features) {
            if *off {
                *value = f32::NAN;
            }
        }
        let margin = match off.ensemble {
            true => None,
            false => Some(self.prepared.margin(&seen)),
        };
        let scored = self
            .prepared
            .scored_without(&seen, margin, self.generation, off.detections);
        scored.map_or(disabled, Verdict::Scored)
    }

    #[inline]
    fn verdict(&self, row: &Row, margin: i64) -> Verdict {
        Verdict::Scored(self.prepared.scored(row, margin, self.generation))
    }

    #[inline]
    fn verified(&self, client: &Client<'_>) -> Option<Verdict> {
        let verified = self.prepared.verified(client, self.generation)?;
        Some(Verdict::VerifiedBot(verified))
    }

    /// Counts a verdict of this table.
    #[inline]
    fn count(&self, stats: &ScorerStats, verdict: &Verdict) {
        stats.count(verdict);
        if let Verdict::Scored(scored) = verdict {
            stats.count_matches(scored.detections, &self.counters);
        }
    }
}

impl Off {
    /// None where nothing of it concerns this schema and table.
    fn new(switches: &Switches, schema: &Schema, catalog: &Catalog) -> Option<Off> {
        let mut off = Off {
            engine: false,
            ensemble: false,
            features: [false; FEATURES_MAX],
            detections: 0,
        };
        for selector in switches.iter() {
            match selector {
                Selector::Engine => off.engine = true,
                Selector::Ensemble => off.ensemble = true,
                Selector::Feature(name) => {
                    let position = schema.index_of(name).map(usize::from);
                    if let Some(place) = position.and_then(|at| off.features.get_mut(at)) {
                        *place = true;
                    }
                }
                Selector::Detection(id) => {
                    let mut all = catalog.detections().iter();
                    let at = all.position(|detection| detection.id == *id);
                    let bit = at.and_then(|at| 1u64.checked_shl(at as u32));
                    off.detections |= bit.unwrap_or_default();
                }
            }
        }
        let any = off.engine || off.ensemble || off.detections != 0;
        (any || off.features.contains(&true)).then_some(off)
    }
}

impl Drop for Scorer {
    fn drop(&mut self) {
        let mut control = self.shared.control();
        self.stats.add_to(&mut control.gone);
        control
            .scorers
            .retain(|stats| !Arc::ptr_eq(stats, &self.stats));
    }
}
