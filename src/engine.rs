//! The engine: one live table, swapped under the scorers of a host's threads.

use crate::epoch::{Barrier, NoSlot, Reader, RetiredFull, Swap};
use crate::error::OpenError;
use crate::limits::{BATCH_ROWS_MAX, FEATURES_MAX, READERS_MAX};
use crate::row::Row;
use crate::schema::Schema;
use crate::score::{Bound, NotScored, Reason, Scored, Verdict};
use crate::stats::{ScorerSnapshot, ScorerStats};
use crate::switches::{Selector, Switches};
use crate::table::{Table, Usage};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// A table, the generation it was published as, and what is switched off. A switch that is flipped
/// is a publish of the same table.
#[derive(Debug)]
struct Live {
    bound: Arc<Bound>,
    generation: u64,
    /// Nothing, as a rule: the hot path pays for one comparison.
    off: Option<Off>,
}

/// What is switched off, as the hot path wants it.
#[derive(Debug)]
struct Off {
    /// The engine or the ensemble: no row is scored.
    all: bool,
    /// Row positions of the features that are switched off.
    features: [bool; FEATURES_MAX],
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
    live: Option<Arc<Bound>>,
    switches: Switches,
    content_id: String,
    usage: Vec<Usage>,
    refusals: BTreeMap<u16, (&'static str, u64)>,
    held_back: u64,
    scorers: Vec<Arc<ScorerStats>>,
    /// What scorers counted that are gone.
    gone: ScorerSnapshot,
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
    /// Replaced tables that were not reclaimed yet, of
    /// [`RETIRED_MAX`](crate::limits::RETIRED_MAX): above 1 for long, a reader stays inside.
    pub retired: usize,
    /// What all scorers counted, those that are gone included.
    pub rows: ScorerSnapshot,
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

    /// Makes a bound table live under a number that its publisher gave it.
    pub(crate) fn publish_as(&self, bound: Arc<Bound>, generation: u64) -> Result<(), RetiredFull> {
        let mut control = self.control();
        self.make_live(&mut control, bound, generation)
    }

    fn try_publish(&self, table: Table, kernel: Option<&str>) -> Result<u64, PublishError> {
        let bound = Arc::new(Bound::new(table, self.schema(), kernel)?);
        // Held over the publish, so that two publishers' tables come in the order of generations.
        let mut control = self.control();
        let generation = control.generation.saturating_add(1);
        self.make_live(&mut control, bound, generation)
            .map_err(PublishError::RetiredFull)?;
        Ok(generation)
    }

    fn make_live(
        &self,
        control: &mut Control,
        bound: Arc<Bound>,
        generation: u64,
    ) -> Result<(), RetiredFull> {
        let off = Off::new(&control.switches, self.schema());
        let live = Live {
            bound: bound.clone(),
            generation,
            off,
        };
        self.shared.swap.publish(|_| Box::new(live))?;
        (control.generation, control.usage) = (generation, bound.table().usage());
        control.content_id = bound.table().content_id();
        control.live = Some(bound);
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
        let Some(bound) = control.live.clone() else {
            return Ok(());
        };
        let generation = control.generation;
        let flipped = self.make_live(&mut control, bound, generation);
        if flipped.is_err() {
            control.switches = before;
        }
        flipped
    }

    /// Counts a refusal by its code.
    pub(crate) fn count(&self, refused: &OpenError) {
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

    /// A scorer for one thread.
    ///
    /// # Errors
    /// Where all slots are taken.
    pub fn scorer(&self) -> Result<Scorer, NoSlot> {
        let reader = self.shared.swap.reader()?;
        let stats = Arc::new(ScorerStats::default());
        self.control().scorers.push(stats.clone());
        Ok(Scorer {
            reader,
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
        EngineStats {
            generation: control.generation,
            content_id: control.content_id.clone(),
            switches: control.switches.clone(),
            headroom: control.usage.clone(),
            refusals: control.refusals.clone(),
            held_back: control.held_back,
            scorers: control.scorers.len(),
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
    stats: Arc<ScorerStats>,
    shared: Arc<Shared>,
}

impl Scorer {
    /// The verdict on a row, laid out by the engine's schema.
    #[inline]
    pub fn score(&mut self, row: &Row) -> Verdict {
        let verdict = match self.reader.enter() {
            Some(live) => live.judge(row),
            None => NO_TABLE,
        };
        self.stats.count(&verdict);
        verdict
    }

    /// The verdicts on rows, in their order; as many as the shorter of the two. Each 64 rows see
    /// one generation. Returns how many verdicts were given.
    #[inline]
    pub fn score_batch(&mut self, rows: &[Row], verdicts: &mut [Verdict]) -> usize {
        let count = rows.len().min(verdicts.len());
        let verdicts = verdicts.get_mut(..count).unwrap_or_default();
        let batches = rows
            .chunks(BATCH_ROWS_MAX)
            .zip(verdicts.chunks_mut(BATCH_ROWS_MAX));
        for (rows, verdicts) in batches {
            match self.reader.enter() {
                Some(live) => live.verdicts(rows, verdicts),
                None => verdicts.fill(NO_TABLE),
            }
            verdicts
                .iter()
                .for_each(|verdict| self.stats.count(verdict));
        }
        count
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
    fn judge(&self, row: &Row) -> Verdict {
        match &self.off {
            None => self.verdict(self.bound.margin(row)),
            Some(off) => self.judge_switched(off, row),
        }
    }

    /// With something switched off.
    #[cold]
    fn judge_switched(&self, off: &Off, row: &Row) -> Verdict {
        if off.all {
            return Verdict::NotScored(NotScored {
                reason: Reason::Disabled,
                generation: self.generation,
            });
        }
        let mut seen = row.clone();
        for (value, off) in seen.values_mut().iter_mut().zip(&off.features) {
            if *off {
                *value = f32::NAN;
            }
        }
        self.verdict(self.bound.margin(&seen))
    }

    #[inline]
    fn verdict(&self, margin: i64) -> Verdict {
        Verdict::Scored(Scored {
            score: self.bound.score(margin),
            margin: self.bound.table().margin_f64(margin),
            generation: self.generation,
        })
    }

    /// At most [`BATCH_ROWS_MAX`] rows.
    fn verdicts(&self, rows: &[Row], verdicts: &mut [Verdict]) {
        if let Some(off) = &self.off {
            for (row, verdict) in rows.iter().zip(verdicts) {
                *verdict = self.judge_switched(off, row);
            }
            return;
        }
        let mut margins = [0; BATCH_ROWS_MAX];
        self.bound.margins(rows, &mut margins);
        for (verdict, margin) in verdicts.iter_mut().zip(margins) {
            *verdict = self.verdict(margin);
        }
    }
}

impl Off {
    /// None where nothing of it concerns this schema.
    fn new(switches: &Switches, schema: &Schema) -> Option<Off> {
        let mut off = Off {
            all: false,
            features: [false; FEATURES_MAX],
        };
        let mut any = false;
        for selector in switches.iter() {
            match selector {
                Selector::Engine | Selector::Ensemble => (any, off.all) = (true, true),
                Selector::Feature(name) => {
                    let position = schema.index_of(name).map(usize::from);
                    if let Some(place) = position.and_then(|at| off.features.get_mut(at)) {
                        (any, *place) = (true, true);
                    }
                }
                // No table reports detections yet.
                Selector::Detection(_) => {}
            }
        }
        any.then_some(off)
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
