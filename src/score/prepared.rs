//! A table prepared for a host's schema and for one kernel, proved on its golden rows.

use super::client::{Client, verified};
use super::detect::Detectors;
use super::kernel::{KERNELS, Kernel, choose};
use super::layout::{Prepared, Shapes};
use super::verdict::{Matches, Score, Scored, Source, VerifiedBot};
use crate::limits::FEATURES_MAX;
use crate::refusal::{Refusal, RefusalKind};
use crate::row::Row;
use crate::schema::Schema;
use crate::table::{Table, View};

/// A table that is ready to be published: its features are resolved to row positions, and its
/// kernel has reproduced every golden row.
#[derive(Debug)]
pub struct PreparedTable {
    prepared: Prepared,
    kernel: &'static Kernel,
    /// Row position of each feature of the table.
    positions: [u8; FEATURES_MAX],
    detectors: Detectors,
}

impl PreparedTable {
    /// Prepares a table for a schema, on the best kernel of this machine.
    ///
    /// # Errors
    /// `FeatureUnknown`, `FeatureKindMismatch` or `Golden`.
    pub fn new(table: Table, schema: &Schema) -> Result<PreparedTable, Refusal> {
        PreparedTable::prepare(table, schema, None)
    }

    /// As [`new`](PreparedTable::new), on the kernel with this name; on the best one if `None`.
    ///
    /// # Errors
    /// As [`new`](PreparedTable::new), and `Kernel` if this machine has no kernel with this name.
    pub fn with_kernel<'k>(
        table: Table,
        schema: &Schema,
        kernel: impl Into<Option<&'k str>>,
    ) -> Result<PreparedTable, Refusal> {
        PreparedTable::prepare(table, schema, kernel.into())
    }

    fn prepare(
        table: Table,
        schema: &Schema,
        kernel: Option<&str>,
    ) -> Result<PreparedTable, Refusal> {
        let mut positions = [0; FEATURES_MAX];
        for (index, (feature, to)) in table.features().iter().zip(&mut positions).enumerate() {
            let at = || format!("features[{index}]");
            let Some(position) = schema.index_of(&feature.name) else {
                let (expected, got) = unknown(&table, schema);
                return Err(RefusalKind::FeatureUnknown.at(at(), expected, got));
            };
            let kind = schema
                .features()
                .get(usize::from(position))
                .map(|feature| feature.kind);
            if let Some(kind) = kind.filter(|kind| *kind != feature.kind) {
                let got = format!("\"{}\" as {}", feature.name, feature.kind.name());
                return Err(RefusalKind::FeatureKindMismatch.at(at(), kind.name(), got));
            }
            *to = position;
        }
        let kernel = choose(kernel).ok_or_else(|| no_kernel(kernel))?;
        let mut lane_positions = [0; FEATURES_MAX];
        for (lane, to) in table.view().lanes.iter().zip(&mut lane_positions) {
            *to = positions
                .get(usize::from(lane.feature))
                .copied()
                .unwrap_or_default();
        }
        let trees = Shapes::of(table.view());
        let layouts = (kernel.prepare)(table.view(), trees).ok_or_else(|| {
            let expected = "memory for the layout of its trees";
            RefusalKind::Seal.at("trees", expected, "none left")
        })?;
        let detectors = Detectors::of(table.view(), &positions);
        let prepared = PreparedTable {
            prepared: Prepared::new(table, lane_positions, layouts),
            kernel,
            positions,
            detectors,
        };
        prepared.check_golden()?;
        Ok(prepared)
    }

    /// Every golden row must come out bit for bit, alone and in a batch.
    fn check_golden(&self) -> Result<(), Refusal> {
        let golden: Vec<_> = self.table().golden_rows().collect();
        let rows: Vec<Row> = golden
            .iter()
            .map(|golden| self.row(&golden.values))
            .collect();
        let mut batch = vec![0; rows.len()];
        self.margins(&rows, &mut batch);
        for (index, (golden, row)) in golden.iter().zip(&rows).enumerate() {
            let pair = [
                self.margin(row),
                batch.get(index).copied().unwrap_or_default(),
            ];
            for (how, got) in ["alone", "in a batch"].iter().zip(pair) {
                if got != golden.margin {
                    let at = format!("golden[{index}] {how} on {}", self.kernel.name);
                    return Err(RefusalKind::Golden.at(at, golden.margin, got));
                }
            }
        }
        Ok(())
    }

    /// A row of the host's schema from values in the table's feature order.
    pub fn row(&self, values: &[f32]) -> Row {
        let mut row = Row::MISSING;
        let used = self.prepared.view().features.len();
        for (value, position) in values.iter().take(used).zip(self.positions) {
            row.set(position, *value);
        }
        row
    }

    /// The table.
    pub fn table(&self) -> &Table {
        self.prepared.table()
    }

    /// The kernel that runs it.
    pub fn kernel(&self) -> &'static Kernel {
        self.kernel
    }

    #[inline]
    pub(super) fn view(&self) -> &View<'_> {
        self.prepared.view()
    }

    /// Row position of a feature of the table.
    pub(super) fn position(&self, feature: usize) -> Option<u8> {
        let used = self.view().features.len();
        self.positions.iter().take(used).nth(feature).copied()
    }

    /// Row position of each lane's value.
    pub(super) fn lane_positions(&self) -> &[u8; FEATURES_MAX] {
        self.prepared.lane_positions()
    }

    /// A row's margin, fixed point.
    #[inline]
    pub fn margin(&self, row: &Row) -> i64 {
        (self.kernel.margin)(&self.prepared, row)
    }

    /// The margins of rows, fixed point; as many as the shorter of the two.
    #[inline]
    pub fn margins(&self, rows: &[Row], margins: &mut [i64]) {
        (self.kernel.margins)(&self.prepared, rows, margins);
    }

    /// A row's margin on this kernel; `None` if the table is prepared for another one. For the
    /// proofs, which must know at compile time which kernel they call.
    #[doc(hidden)]
    #[inline]
    pub fn margin_on(&self, kernel: &'static Kernel, row: &Row) -> Option<i64> {
        std::ptr::eq(kernel, self.kernel).then(|| (kernel.margin)(&self.prepared, row))
    }

    /// As [`margin_on`](PreparedTable::margin_on), of rows; `false` if the table is prepared for
    /// another kernel.
    #[doc(hidden)]
    #[inline]
    pub fn margins_on(&self, kernel: &'static Kernel, rows: &[Row], margins: &mut [i64]) -> bool {
        let own = std::ptr::eq(kernel, self.kernel);
        if own {
            (kernel.margins)(&self.prepared, rows, margins);
        }
        own
    }

    /// The detections that a row matches, shadows included.
    #[inline]
    pub fn matches(&self, row: &Row) -> Matches {
        self.detectors.matches(row)
    }

    /// The outcome for a row whose margin is known, as this generation's.
    #[inline]
    pub fn scored(&self, row: &Row, margin: i64, generation: u64) -> Scored {
        let detections = self.matches(row);
        let (score, source) = match self.detectors.decides(detections) {
            Some((score, id)) => (score, Source::Detection(id)),
            None => (self.score(margin), Source::Ensemble),
        };
        Scored {
            score,
            source,
            margin: self.table().margin_f64(margin),
            generation,
            detections,
        }
    }

    /// As [`scored`](PreparedTable::scored), without the detections whose bits are set, and
    /// without the ensemble if there is no margin: then only a detection gives a score.
    pub(crate) fn scored_without(
        &self,
        row: &Row,
        margin: Option<i64>,
        generation: u64,
        detections_off: u64,
    ) -> Option<Scored> {
        let detections = Matches::from_bits(self.matches(row).bits() & !detections_off);
        let decided = self.detectors.decides(detections);
        let by_ensemble = || Some((self.score(margin?), Source::Ensemble));
        let by_detection = decided.map(|(score, id)| (score, Source::Detection(id)));
        let (score, source) = by_detection.or_else(by_ensemble)?;
        Some(Scored {
            score,
            source,
            margin: margin.map_or(f64::NAN, |margin| self.table().margin_f64(margin)),
            generation,
            detections,
        })
    }

    /// The verified bot that a client is, as this generation's.
    #[inline]
    pub fn verified(&self, client: &Client<'_>, generation: u64) -> Option<VerifiedBot> {
        let (bot, category) = verified(self.view(), client)?;
        Some(VerifiedBot {
            bot,
            category,
            generation,
        })
    }

    /// The score of a fixed-point margin: 1 plus how many entries of the score map are at most it.
    #[inline]
    pub fn score(&self, margin: i64) -> Score {
        // Seven halvings of 98 entries; the first six leave 1 or 2.
        Score::from_steps(
            self.view()
                .score_map
                .partition_point(|entry| *entry <= margin),
        )
    }
}

/// Names that a refusal lists at most.
const NAMES_LISTED_MAX: usize = 8;

/// What the host has, and what the table has that the host does not, for a refusal.
fn unknown(table: &Table, schema: &Schema) -> (String, String) {
    let known = schema.features().len();
    let expected = format!("one of the host's {known} features");
    let mut missing: Vec<_> = table.features().into_iter().map(|one| one.name).collect();
    missing.retain(|name| schema.index_of(name).is_none());
    let listed = missing.iter().take(NAMES_LISTED_MAX);
    let listed: Vec<_> = listed.map(|name| format!("\"{name}\"")).collect();
    let mut got = listed.join(", ");
    let more = missing.len().saturating_sub(NAMES_LISTED_MAX);
    if more > 0 {
        got.push_str(&format!(" and {more} more"));
    }
    (expected, got)
}

fn no_kernel(name: Option<&str>) -> Refusal {
    let all: Vec<_> = KERNELS
        .iter()
        .map(|kernel| match kernel.available() {
            true => kernel.name.to_string(),
            false => format!("{} (not on this machine)", kernel.name),
        })
        .collect();
    let got = name.unwrap_or("none");
    RefusalKind::Kernel.at("kernel", format!("one of {}", all.join(", ")), got)
}
