//! The control plane of an engine: publishes tables, flips switches, keeps names and counts.

use super::live::{ActiveSwitches, LiveTable};
use crate::epoch::{Barrier, NoSlot, Reader, RetiredFull, Swap};
use crate::ids::ContentId;
use crate::limits::{CATALOGS_MAX, DETECTION_COUNTERS_MAX, READERS_MAX, RESERVOIR_ROWS};
use crate::probe;
use crate::refusal::{Refusal, RefusalKind};
use crate::schema::Schema;
use crate::score::PreparedTable;
use crate::stats::{Counters, ScorerSnapshot, ScorerStats};
use crate::switches::Switches;
use crate::table::{Catalog, Table, Usage};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Publishes tables to any number of [`Scorer`](super::Scorer)s. Cheap to clone and to share.
///
/// A process that forks makes its engine in the child: a scorer that is scoring during the fork
/// leaves its slot occupied in the child. The last owner of an engine, a [`Scorer`](super::Scorer)
/// included, drops its tables.
///
/// ```
/// use hedgerow::{DEFAULT_TABLE, Engine, Row, Schema, Table};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::new(Schema::http());
/// engine.publish(Table::from_bytes(DEFAULT_TABLE)?)?;
/// let mut scorer = engine.scorer()?; // one for each thread
/// let verdict = scorer.score(&Row::MISSING);
/// assert!(verdict.score().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

/// The parts that an engine and its scorers share.
#[derive(Debug)]
struct Shared {
    schema: Schema,
    swap: crate::sync::Arc<Swap<LiveTable>>,
    /// Taken by control threads, and by threads that make or drop a scorer.
    control: Mutex<Control>,
}

/// The place of a scorer in its engine. Dropping the scorer gives it back.
#[derive(Debug)]
pub(super) struct Enlisted {
    pub(super) reader: Reader<LiveTable>,
    pub(super) stats: Arc<ScorerStats>,
    shared: Arc<Shared>,
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        let mut control = self.shared.control();
        self.stats.add_to(&mut control.gone);
        control
            .scorers
            .retain(|other| !Arc::ptr_eq(other, &self.stats));
    }
}

/// The state of the control plane.
#[derive(Debug, Default)]
pub(super) struct Control {
    pub(super) generation: u64,
    pub(super) live: Option<Arc<PreparedTable>>,
    pub(super) switches: Switches,
    content_id: Option<ContentId>,
    usage: Vec<Usage>,
    /// Ascending by code.
    refusals: BTreeMap<RefusalKind, u64>,
    held_back: u64,
    pub(super) scorers: Vec<Arc<ScorerStats>>,
    /// Scorers that were ever made.
    scorers_made: u64,
    /// Counts of scorers that were dropped.
    gone: ScorerSnapshot,
    /// The detection of each counter: its id, and whether it decides. Entries never change, so
    /// that counts only grow.
    counted: Vec<(u32, bool)>,
    /// The names of the latest generations.
    catalogs: VecDeque<(u64, Arc<Catalog>)>,
}

impl Control {
    /// Returns the counter of each detection of a table. New detections take a counter.
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
        // A flipped switch publishes the same table again.
        self.catalogs.retain(|(of, _)| *of != generation);
        if self.catalogs.len() >= CATALOGS_MAX {
            self.catalogs.pop_front();
        }
        self.catalogs.push_back((generation, Arc::new(catalog)));
    }

    /// Returns the number of rows in the reservoirs of live scorers.
    fn sampled_rows(&self) -> u64 {
        let scorers = self.scorers.iter();
        let rows = scorers.map(|scorer| scorer.reservoir.kept().min(RESERVOIR_ROWS as u64));
        rows.sum()
    }

    /// Returns the matches by detection, and the number of those beyond the counters.
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

/// The number of rows that a detection matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DetectionCount {
    /// Its id.
    pub id: u32,
    /// `true` if it decided; a shadow that was made active has two counts.
    pub active: bool,
    /// Rows that it matched, in all generations.
    pub matched: u64,
}

/// The state of an engine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineStats {
    /// The live generation; 0 if none was published.
    pub generation: u64,
    /// The content hash of the live table.
    pub content_id: Option<ContentId>,
    /// The parts that are switched off.
    pub switches: Switches,
    /// Used and available amount of each capacity of the live table.
    pub headroom: Vec<Usage>,
    /// The number of refused tables by kind.
    pub refusals: BTreeMap<RefusalKind, u64>,
    /// Good tables that were not published because too many retired ones waited.
    pub held_back: u64,
    /// Scorers that are alive, of [`READERS_MAX`].
    pub scorers: usize,
    /// Rows in the reservoirs of live scorers, at most
    /// [`RESERVOIR_ROWS`](crate::limits::RESERVOIR_ROWS) each.
    pub reservoir: u64,
    /// Replaced tables that were not reclaimed yet, of [`RETIRED_MAX`](crate::limits::RETIRED_MAX).
    /// A reader stays inside if it is above 1 for long.
    pub retired: usize,
    /// The sum of all scorers' counts, including scorers that were dropped.
    pub rows: ScorerSnapshot,
    /// Matches of every detection that was ever live, active or shadow.
    pub detections: Vec<DetectionCount>,
    /// Matches of detections beyond [`DETECTION_COUNTERS_MAX`].
    pub detections_beyond: u64,
}

impl EngineStats {
    /// Returns the number of tables that were refused for a kind.
    pub fn refused(&self, kind: RefusalKind) -> u64 {
        self.refusals.get(&kind).copied().unwrap_or_default()
    }
}

/// Why a table was not published. The running table stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The table was refused.
    Refused(Refusal),
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

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PublishError::Refused(refused) => Some(refused),
            PublishError::RetiredFull(full) => Some(full),
        }
    }
}

impl From<RetiredFull> for PublishError {
    fn from(full: RetiredFull) -> PublishError {
        PublishError::RetiredFull(full)
    }
}

impl From<Refusal> for PublishError {
    fn from(refused: Refusal) -> PublishError {
        PublishError::Refused(refused)
    }
}

impl Engine {
    /// Creates an engine without a table, for a host that fills this schema. Verdicts are
    /// `NotScored(NoTable)` until a table is published.
    pub fn new(schema: Schema) -> Engine {
        Engine::with_barrier(schema, Barrier::Membarrier)
    }

    /// Creates an engine with this barrier: for a host that publishes hundreds of tables a second,
    /// or that enters a sandbox without `membarrier` later.
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

    /// Returns the schema that tables are prepared for.
    pub fn schema(&self) -> &Schema {
        &self.shared.schema
    }

    /// Opens a table file and publishes it. Returns its generation.
    ///
    /// # Errors
    /// Those of [`Table::open`] and [`publish`](Engine::publish). The running table stays.
    pub fn publish_file(&self, path: impl AsRef<Path>) -> Result<u64, PublishError> {
        let opened = Table::open(path).map_err(PublishError::Refused);
        self.counted(opened.and_then(|table| self.try_publish(table, None)))
    }

    /// Prepares a table, has the kernel reproduce its golden rows, and makes it live. Returns its
    /// generation.
    ///
    /// # Errors
    /// `Refused` if the table does not fit the schema or fails a golden row, `RetiredFull` if the
    /// list of retired tables is full. The running table stays.
    pub fn publish(&self, table: Table) -> Result<u64, PublishError> {
        self.counted(self.try_publish(table, None))
    }

    /// Publishes a table on the kernel of this name: for tests, measurements and incidents.
    ///
    /// # Errors
    /// Those of [`publish`](Engine::publish); `Refused` if there is no such kernel, or if it cannot
    /// run here.
    pub fn publish_on(&self, table: Table, kernel: &str) -> Result<u64, PublishError> {
        self.counted(self.try_publish(table, Some(kernel)))
    }

    /// Makes a prepared table live under the generation that its publisher gave it.
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
        // Held during the publish: two publishers' tables come in the order of generations.
        let mut control = self.control();
        let generation = control.generation.saturating_add(1);
        self.make_live(&mut control, prepared, generation)?;
        Ok(generation)
    }

    fn make_live(
        &self,
        control: &mut Control,
        prepared: Arc<PreparedTable>,
        generation: u64,
    ) -> Result<(), RetiredFull> {
        let catalog = Catalog::of(prepared.table());
        let live = LiveTable {
            prepared: prepared.clone(),
            generation,
            counters: control.counters(&catalog),
            off: ActiveSwitches::new(&control.switches, self.schema(), &catalog),
        };
        self.shared.swap.publish(|_| Box::new(live))?;
        (control.generation, control.usage) = (generation, prepared.table().usage());
        control.content_id = Some(prepared.table().content_id());
        control.live = Some(prepared);
        control.keep(generation, catalog);
        Ok(())
    }

    /// Switches off the members of the set, and everything else on. Every scorer sees it with its
    /// next row, and it holds for tables that are published later. A feature that the schema does
    /// not have is kept and changes nothing.
    ///
    /// # Errors
    /// `RetiredFull` if the list of retired tables is full; the switches stay as they were.
    pub fn set_switches(&self, switches: Switches) -> Result<(), PublishError> {
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
        Ok(flipped?)
    }

    /// Counts a refused table by its kind.
    pub(crate) fn count(&self, refused: &Refusal) {
        probe::refuse(refused.code());
        if let Some(kind) = refused.kind() {
            let mut control = self.control();
            let count = control.refusals.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
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

    /// Drops the retired tables that no scorer can see. Returns the number that still wait.
    pub fn reclaim(&self) -> usize {
        self.shared.swap.reclaim()
    }

    /// Returns the names of a generation's detections and bots; `None` if the generation is older
    /// than the latest [`CATALOGS_MAX`]. For logs and metrics: it takes a lock and searches.
    pub fn catalog(&self, generation: u64) -> Option<Arc<Catalog>> {
        let control = self.control();
        let mut known = control.catalogs.iter();
        known
            .find(|(of, _)| *of == generation)
            .map(|(_, catalog)| catalog.clone())
    }

    /// Takes a slot and counters for a new scorer.
    pub(super) fn enlist(&self) -> Result<Enlisted, NoSlot> {
        let reader = self.shared.swap.reader()?;
        let features = self.schema().features().len();
        let mut control = self.control();
        control.scorers_made = control.scorers_made.saturating_add(1);
        let stats = Arc::new(ScorerStats::new(control.scorers_made, features));
        control.scorers.push(stats.clone());
        Ok(Enlisted {
            reader,
            stats,
            shared: self.shared.clone(),
        })
    }

    /// Returns the state of the engine now. Scoring threads are not delayed.
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
            content_id: control.content_id,
            switches: control.switches.clone(),
            headroom: control.usage.clone(),
            refusals: control.refusals.clone(),
            held_back: control.held_back,
            scorers: control.scorers.len(),
            reservoir: control.sampled_rows(),
            retired: self.shared.swap.retired(),
            rows,
        }
    }

    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
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
