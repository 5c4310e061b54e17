//! The table: feature descriptors, ensemble, score map and golden rows in one sealed artefact.

pub mod bots;
mod catalog;
pub mod detections;
pub mod format;
pub(crate) mod sealed;
#[doc(hidden)]
pub mod validate;
mod view;

pub use catalog::Catalog;

use crate::ids::ContentId;
use crate::limits::*;
use crate::refusal::{Refusal, RefusalKind};
use crate::schema::{Feature, FeatureKind};
use format::Section;
use sealed::Sealed;
use std::path::Path;
use validate::{Validated, validate_with};
pub(crate) use view::View;

/// The bundled table: trained on recorded requests, bound to [`Schema::http`]. It serves where a
/// host has published none of its own.
///
/// [`Schema::http`]: crate::Schema::http
#[cfg(feature = "bundled-table")]
pub const DEFAULT_TABLE: &[u8] = include_bytes!("../../data/default.hedge");

/// A table whose bytes are sealed and whose contents passed every check.
///
/// There is no other way to make one than [`open`](Table::open) and
/// [`from_bytes`](Table::from_bytes), and both check everything. So a `Table` can be
/// scored with without a check.
#[derive(Debug)]
pub struct Table {
    /// Points into `sealed`; handed out no longer than the table lives.
    view: View<'static>,
    validated: Validated,
    sealed: Sealed,
}

/// How much of a capacity a table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What is counted.
    pub name: &'static str,
    /// How much of it there is.
    pub used: u64,
    /// The capacity, from [`crate::limits`].
    pub max: u64,
}

/// A row and the margin that every kernel must give it, bit for bit.
#[derive(Debug, Clone, PartialEq)]
pub struct GoldenRow {
    /// One value a feature of the table, in the table's order; NaN where missing.
    pub values: Vec<f32>,
    /// The margin, fixed point.
    pub margin: i64,
}

impl Table {
    /// Seals a copy of a file and checks it. A signature is not verified here: that needs keys, see
    /// [`Keys`](crate::watch::Keys).
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn open(path: impl AsRef<Path>) -> Result<Table, Refusal> {
        Table::from_sealed(Sealed::from_file(path.as_ref())?)
    }

    /// Seals a copy of a table's bytes and checks it.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Table, Refusal> {
        Table::from_sealed(Sealed::from_bytes(bytes)?)
    }

    fn from_sealed(sealed: Sealed) -> Result<Table, Refusal> {
        Table::from_sealed_with(sealed, |_| Ok(()))
    }

    /// Checks sealed bytes, and their signature by `signature`, before anything that they
    /// describe is looked into.
    pub(crate) fn from_sealed_with(
        sealed: Sealed,
        signature: impl FnOnce(&[u8]) -> Result<(), Refusal>,
    ) -> Result<Table, Refusal> {
        let validated = validate_with(sealed.bytes(), signature)?;
        let view = View::of(&sealed, &validated).ok_or_else(|| {
            RefusalKind::SectionLength.at("sections", "aligned whole records", "others")
        })?;
        Ok(Table {
            view,
            validated,
            sealed,
        })
    }

    #[inline]
    pub(crate) fn view(&self) -> &View<'_> {
        &self.view
    }

    /// The features that the table needs, in its own order.
    pub fn features(&self) -> Vec<Feature> {
        let feature = |record: &format::FeatureRecord| {
            let name = record
                .name
                .get(..usize::from(record.name_bytes))
                .unwrap_or_default();
            Feature {
                name: String::from_utf8_lossy(name).into_owned(),
                kind: FeatureKind::from_u8(record.kind).unwrap_or(FeatureKind::Number),
            }
        };
        self.view.features.iter().map(feature).collect()
    }

    /// The header.
    pub fn header(&self) -> &format::Header {
        self.validated.header()
    }

    /// Returns the content hash: the table's name among others.
    pub fn content_id(&self) -> ContentId {
        ContentId(self.header().content_hash)
    }

    /// The public key that the file names; [`Keys`] verify the signature.
    ///
    /// [`Keys`]: crate::watch::Keys
    pub fn signed_by(&self) -> Option<[u8; 32]> {
        let key = self.header().signature.first_chunk().copied()?;
        (key != [0; 32]).then_some(key)
    }

    /// Length of the file in bytes.
    pub fn byte_count(&self) -> usize {
        self.sealed.bytes().len()
    }

    /// The sealed bytes of the whole file.
    pub fn bytes(&self) -> &[u8] {
        self.sealed.bytes()
    }

    /// Number of trees, of either form.
    pub fn tree_count(&self) -> usize {
        (self.header().oblivious_trees as usize).saturating_add(self.view.trees.len())
    }

    /// A margin in the ensemble's units. Exact: fixed-point margins have at most 53 bits.
    #[inline]
    pub fn margin_f64(&self, fixed: i64) -> f64 {
        // 2^-shift, assembled from its bits: the shift is at most 62.
        let exponent = 1023u64.saturating_sub(u64::from(self.header().margin_shift));
        fixed as f64 * f64::from_bits(exponent << 52)
    }

    /// The smallest and the largest attainable margin, in the ensemble's units.
    pub fn margin_range(&self) -> (f64, f64) {
        let header = self.header();
        (
            self.margin_f64(header.margin_min),
            self.margin_f64(header.margin_max),
        )
    }

    /// The smallest margins of the scores 2 to 99, fixed point, ascending.
    pub fn score_map(&self) -> &[i64; SCORE_MAP_LEN] {
        self.view.score_map
    }

    /// The detections, ascending by id: the `i`-th is bit `i` of a verdict's matches. Features are
    /// given by name.
    pub fn detections(&self) -> Vec<detections::Detection> {
        let view = &self.view;
        detections::read(view.detections, view.conditions, view.features)
    }

    /// The verified bots, by their position, which a verdict names.
    pub fn bots(&self) -> Vec<bots::Bot> {
        bots::read(self.view.bots, self.view.bot_ranges)
    }

    /// What people wrote about the table's origin: JSON.
    pub fn provenance(&self) -> &str {
        std::str::from_utf8(self.view.provenance).unwrap_or_default()
    }

    /// The golden rows.
    pub fn golden_rows(&self) -> impl Iterator<Item = GoldenRow> + '_ {
        let features = self.view.features.len();
        self.view
            .golden
            .chunks_exact(format::golden_bytes(features))
            .map(move |record| {
                let (margin, values) = validate::golden_row(record, features);
                GoldenRow {
                    values: values.collect(),
                    margin,
                }
            })
    }

    /// The depths of all trees, added up; padding of oblivious blocks included.
    fn steps(&self) -> u64 {
        let blocks = self.view.blocks.iter();
        let oblivious = blocks.map(|block| u64::from(block.levels).saturating_mul(64));
        let any = self.view.trees.iter().map(|tree| u64::from(tree.depth));
        oblivious.chain(any).sum()
    }

    /// How much of each capacity is used: saturation is to be seen before it bites.
    pub fn usage(&self) -> Vec<Usage> {
        let count = |section: Section| {
            self.header()
                .counts
                .get(section as usize)
                .map_or(0, |count| u64::from(*count))
        };
        let row = |name, used, max: usize| Usage {
            name,
            used,
            max: max as u64,
        };
        let borders = self
            .view
            .lanes
            .iter()
            .map(|lane| u64::from(lane.borders))
            .sum();
        vec![
            row("features", count(Section::Features), FEATURES_MAX),
            row("lanes", u64::from(self.header().lanes_used), FEATURES_MAX),
            row("borders", borders, BORDERS_MAX),
            row("trees", self.tree_count() as u64, TREES_MAX),
            row("steps", self.steps(), STEPS_MAX),
            row("leaves", count(Section::Leaves), LEAVES_MAX),
            row("nodes", count(Section::Nodes), LEAVES_MAX),
            row("sets", count(Section::Sets), SETS_MAX),
            row("golden_rows", count(Section::Golden), GOLDEN_ROWS_MAX),
            row(
                "provenance_bytes",
                count(Section::Provenance),
                PROVENANCE_BYTES_MAX,
            ),
            row("detections", count(Section::Detections), DETECTIONS_MAX),
            row("conditions", count(Section::Conditions), CONDITIONS_MAX),
            row("bots", count(Section::Bots), BOTS_MAX),
            row("bot_ranges", count(Section::BotRanges), BOT_RANGES_MAX),
            row("table_bytes", self.byte_count() as u64, TABLE_BYTES_MAX),
        ]
    }
}
