//! The engine: one live table, swapped under the scorers of a host's threads.

use crate::epoch::{NoSlot, Reader, RetiredFull, Swap};
use crate::error::OpenError;
use crate::limits::READERS_MAX;
use crate::row::Row;
use crate::schema::Schema;
use crate::score::{Bound, NotScored, Reason, Scored, Verdict};
use crate::sync::Arc;
use crate::table::Table;
use std::fmt;

/// A table and the generation it was published as.
#[derive(Debug)]
struct Live {
    bound: Bound,
    generation: u64,
}

/// Publishes tables to any number of [`Scorer`]s. Cheap to clone and to share.
#[derive(Debug, Clone)]
pub struct Engine {
    schema: Arc<Schema>,
    swap: Arc<Swap<Live>>,
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
            PublishError::RetiredFull(full) => write!(
                f,
                "expected at most {} retired tables to wait for readers, got more: a reader stays \
                 inside a guard",
                full.max
            ),
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
        Engine {
            schema: Arc::new(schema),
            swap: Swap::new(READERS_MAX),
        }
    }

    /// The schema that tables are bound to.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Binds a table, has the kernel reproduce its golden rows, and makes it live. Returns its
    /// generation.
    ///
    /// # Errors
    /// Where the table does not fit the schema, fails a golden row, or where the list of retired
    /// tables is full. The running table stays.
    pub fn publish(&self, table: Table) -> Result<u64, PublishError> {
        self.publish_on(table, None)
    }

    /// As [`publish`](Engine::publish), on the kernel of a name: for tests, measurements and
    /// incidents.
    ///
    /// # Errors
    /// As `publish`, and where the kernel does not exist, cannot run here, or not on this table.
    pub fn publish_on(&self, table: Table, kernel: Option<&str>) -> Result<u64, PublishError> {
        let bound = Bound::new(table, &self.schema, kernel)?;
        let live = |generation| Box::new(Live { bound, generation });
        self.swap.publish(live).map_err(PublishError::RetiredFull)
    }

    /// Drops the retired tables that no scorer can see; returns how many still wait.
    pub fn reclaim(&self) -> usize {
        self.swap.reclaim()
    }

    /// A scorer for one thread.
    ///
    /// # Errors
    /// Where all slots are taken.
    pub fn scorer(&self) -> Result<Scorer, NoSlot> {
        Ok(Scorer {
            reader: self.swap.reader()?,
        })
    }
}

/// Scores rows on one thread against whatever table is live.
#[derive(Debug)]
pub struct Scorer {
    reader: Reader<Live>,
}

impl Scorer {
    /// The verdict on a row, laid out by the engine's schema.
    #[inline]
    pub fn score(&mut self, row: &Row) -> Verdict {
        let Some(live) = self.reader.enter() else {
            let reason = Reason::NoTable;
            return Verdict::NotScored(NotScored {
                reason,
                generation: 0,
            });
        };
        let margin = live.bound.margin(row);
        Verdict::Scored(Scored {
            score: live.bound.score(margin),
            margin: live.bound.table().margin_f64(margin),
            generation: live.generation,
        })
    }
}
