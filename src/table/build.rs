//! Writes a table: lanes from splits, leaves in fixed point, everything in execution layout.

mod refresh;
mod shapes;

pub use refresh::{Refresh, refresh};

use super::arrange::{self, Arranged};
use super::bots::{self, Bot};
use super::detections::{self, Detection};
use super::ensemble::{Ensemble, Split, Tree};
use super::format::*;
use super::lanes::Lanes;
use crate::limits::*;
use crate::schema::{Feature, SchemaError, check_features};
use bytemuck::Zeroable;
use std::fmt;

/// What goes into a table besides the ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildOptions {
    /// The publisher's running number; 0 where there is none.
    pub generation: u64,
    /// Seconds since 1970.
    pub created_at: u64,
    /// The smallest margin, in the ensemble's units, of the scores 2 to 99. Ascending.
    pub score_map: [f64; SCORE_MAP_LEN],
    /// Rows whose margins are stored as a proof: one value a feature, in the ensemble's order.
    pub golden: Vec<Vec<f32>>,
    /// JSON, for people.
    pub provenance: String,
    /// Rules beside the ensemble, in any order.
    pub detections: Vec<Detection>,
    /// Verified bots and their addresses.
    pub bots: Vec<Bot>,
}

impl Default for BuildOptions {
    fn default() -> BuildOptions {
        BuildOptions {
            generation: 0,
            created_at: 0,
            score_map: logistic_score_map(),
            golden: Vec::new(),
            provenance: String::from("{}"),
            detections: Vec::new(),
            bots: Vec::new(),
        }
    }
}

/// The score map of a margin that is the log-odds of a human: score = 100 × P(human), rounded.
pub fn logistic_score_map() -> [f64; SCORE_MAP_LEN] {
    std::array::from_fn(|index| {
        let p = (index as f64 + 1.5) / 100.0;
        (p / (1.0 - p)).ln()
    })
}

/// A table, as bytes, and what became of the ensemble.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// The largest possible distance between a margin of the table and the exact sum of the
    /// ensemble's leaves, in the ensemble's units.
    pub margin_error_max: f64,
}

/// Why an ensemble cannot become a table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BuildError {
    /// The feature list is no schema.
    Features(SchemaError),
    /// There are no trees.
    NoTrees,
    /// Something is over capacity.
    OverCapacity {
        /// What is counted, and where.
        what: String,
        /// The capacity.
        max: usize,
        /// How many there are.
        got: usize,
    },
    /// A number is NaN, infinite, or too large for fixed point.
    Number {
        /// Which number.
        what: String,
        /// What is accepted.
        expected: &'static str,
        /// The number.
        got: f64,
    },
    /// A tree is malformed.
    Tree {
        /// Position of the tree.
        tree: usize,
        /// What is wrong.
        problem: String,
    },
    /// A golden row has not one value a feature.
    GoldenRow {
        /// Position of the row.
        row: usize,
        /// Features of the ensemble.
        expected: usize,
        /// Values of the row.
        got: usize,
    },
    /// A detection is malformed.
    Detection {
        /// Its number.
        id: u32,
        /// What is wrong.
        problem: String,
    },
    /// A verified bot is malformed, or shares addresses with another.
    Bot {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The score map descends.
    ScoreMap {
        /// Position of the first entry below its predecessor.
        index: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::Features(error) => error.fmt(f),
            BuildError::NoTrees => write!(f, "expected at least 1 tree, got none"),
            BuildError::OverCapacity { what, max, got } => {
                write!(f, "expected at most {max} {what} (capacity), got {got}")
            }
            BuildError::Number {
                what,
                expected,
                got,
            } => {
                write!(f, "{what}: expected {expected}, got {got}")
            }
            BuildError::Tree { tree, problem } => write!(f, "tree {tree}: {problem}"),
            BuildError::GoldenRow { row, expected, got } => {
                write!(f, "golden row {row}: expected {expected} values, got {got}")
            }
            BuildError::Detection { id, problem } => write!(f, "detection {id}: {problem}"),
            BuildError::Bot { name, problem } => write!(f, "bot \"{name}\": {problem}"),
            BuildError::ScoreMap { index } => {
                write!(
                    f,
                    "score map: expected ascending margins, entry {index} descends"
                )
            }
        }
    }
}

impl std::error::Error for BuildError {}

/// Writes the table of an ensemble.
///
/// # Errors
/// Where the ensemble is malformed, holds a number that is not finite, or is over a capacity.
pub fn build(ensemble: &Ensemble, options: &BuildOptions) -> Result<Built, BuildError> {
    check_features(&ensemble.features).map_err(BuildError::Features)?;
    check_ensemble(ensemble)?;
    check_options(ensemble, options)?;
    let lanes = Lanes::of(ensemble)?;
    let written = shapes::in_writable_form(ensemble, &lanes)?;
    let fixed = FixedPoint::of(ensemble)?;

    let mut parts = Parts::new(ensemble, options, &lanes, &fixed);
    let (oblivious, any) = by_form(&written);
    check_steps(&oblivious, &any)?;
    let arranged = arrange::arranged(&oblivious, &lanes)?;
    parts.add_oblivious(&arranged, &fixed)?;
    parts.add_any(&any, &lanes, &fixed)?;
    parts.add_golden(ensemble, options, &fixed);
    parts.add_all(
        detections::records(&options.detections, &ensemble.features)?,
        [Section::Detections, Section::Conditions],
    );
    parts.add_all(
        bots::records(&options.bots)?,
        [Section::Bots, Section::BotRanges],
    );
    parts.header.oblivious_trees = oblivious.len() as u32;
    let bytes = parts.lay_out(options)?;
    Ok(Built {
        bytes,
        margin_error_max: fixed.error_max(ensemble),
    })
}

/// Writes the content hash of a table's bytes into its header, as after a change.
pub fn rehash(file: &mut [u8]) {
    let hash = content_hash(file);
    if let Some(place) = file.get_mut(HASH_OFFSET..HASH_OFFSET.saturating_add(16)) {
        place.copy_from_slice(&hash);
    }
}

fn over(what: impl Into<String>, max: usize, got: usize) -> Result<(), BuildError> {
    if got > max {
        return Err(BuildError::OverCapacity {
            what: what.into(),
            max,
            got,
        });
    }
    Ok(())
}

fn finite(what: impl Fn() -> String, got: f64) -> Result<(), BuildError> {
    if got.is_finite() {
        return Ok(());
    }
    Err(BuildError::Number {
        what: what(),
        expected: "a finite number",
        got,
    })
}

fn check_ensemble(ensemble: &Ensemble) -> Result<(), BuildError> {
    if ensemble.trees.is_empty() {
        return Err(BuildError::NoTrees);
    }
    over("trees", TREES_MAX, ensemble.trees.len())?;
    finite(|| "bias".into(), ensemble.bias)?;
    for (index, tree) in ensemble.trees.iter().enumerate() {
        let problem = |problem: String| BuildError::Tree {
            tree: index,
            problem,
        };
        tree.check().map_err(problem)?;
        let check_split = |split: &Split| {
            if usize::from(split.feature) >= ensemble.features.len() {
                let count = ensemble.features.len();
                let got = split.feature;
                return Err(problem(format!(
                    "expected a feature below {count}, got {got}"
                )));
            }
            let edges = split.test.edges();
            // Before a look at each edge: splits may share a set of any size.
            if edges.len() > LANE_BORDERS_MAX {
                let feature = split.feature;
                let what = format!("edges of sets of feature {feature} (all in one lane)");
                return over(what, LANE_BORDERS_MAX, edges.len());
            }
            for edge in edges {
                finite(|| format!("border in tree {index}"), f64::from(*edge))?;
            }
            let mut pairs = edges.iter().zip(edges.iter().skip(1));
            if let Some((a, b)) = pairs.find(|(a, b)| a >= b) {
                return Err(problem(format!(
                    "expected ascending edges, got {b} behind {a}"
                )));
            }
            Ok(())
        };
        tree.splits().try_for_each(check_split)?;
        tree.leaves()
            .try_for_each(|leaf| finite(|| format!("leaf in tree {index}"), leaf))?;
    }
    Ok(())
}

fn check_options(ensemble: &Ensemble, options: &BuildOptions) -> Result<(), BuildError> {
    over("golden rows", GOLDEN_ROWS_MAX, options.golden.len())?;
    over(
        "bytes of provenance",
        PROVENANCE_BYTES_MAX,
        options.provenance.len(),
    )?;
    let expected = ensemble.features.len();
    for (row, values) in options.golden.iter().enumerate() {
        if values.len() != expected {
            return Err(BuildError::GoldenRow {
                row,
                expected,
                got: values.len(),
            });
        }
    }
    for (index, margin) in options.score_map.iter().enumerate() {
        finite(|| format!("score map entry {index}"), *margin)?;
        let before = index
            .checked_sub(1)
            .and_then(|before| options.score_map.get(before));
        if before.is_some_and(|before| before > margin) {
            return Err(BuildError::ScoreMap { index });
        }
    }
    Ok(())
}

/// Trees of one form, each with its position in the source.
type Placed<'a> = Vec<(u32, &'a Tree)>;

fn by_form(ensemble: &Ensemble) -> (Placed<'_>, Placed<'_>) {
    let placed = ensemble
        .trees
        .iter()
        .enumerate()
        .map(|(at, tree)| (at as u32, tree));
    let (mut oblivious, mut any): (Placed<'_>, Placed<'_>) =
        placed.partition(|(_, tree)| matches!(tree, Tree::Oblivious { .. }));
    // Deepest first, so that a block's trees are equally deep but for one block a depth.
    oblivious.sort_by_key(|(_, tree)| std::cmp::Reverse(tree.depth()));
    any.sort_by_key(|(_, tree)| std::cmp::Reverse(tree.depth()));
    (oblivious, any)
}

/// Holds the depths of all trees, added up, against the capacity.
fn check_steps(oblivious: &Placed<'_>, any: &Placed<'_>) -> Result<(), BuildError> {
    let deepest = |block: &[(u32, &Tree)]| block.first().map_or(0, |(_, tree)| tree.depth());
    let blocks = oblivious.chunks(BLOCK_TREES).map(deepest);
    let oblivious = blocks.map(|levels| levels.saturating_mul(BLOCK_TREES));
    let steps = oblivious.chain(any.iter().map(|(_, tree)| tree.depth()));
    over("levels of all trees together", STEPS_MAX, steps.sum())
}

/// The binary point of a table, and the conversion to it.
struct FixedPoint {
    shift: u32,
    /// A bound on the magnitude of margins, in the ensemble's units.
    attainable: f64,
}

/// By how much rounding may move a margin, at most: a hundredth of the step between two scores.
const MARGIN_ERROR_MAX: f64 = 1e-3;

impl FixedPoint {
    /// The finest binary point that leaves and margins fit, if it is fine enough.
    fn of(ensemble: &Ensemble) -> Result<FixedPoint, BuildError> {
        let largest = |tree: &Tree| tree.leaves().map(f64::abs).fold(0.0, f64::max);
        let leaf = ensemble.trees.iter().map(largest).fold(0.0, f64::max);
        let sum: f64 = ensemble.trees.iter().map(largest).sum::<f64>() + ensemble.bias.abs();
        // A quarter of MARGIN_MAX leaves room for what rounding adds, and for the score map.
        let fits = |shift: &u32| {
            let scale = f64::from(*shift).exp2();
            leaf * scale <= f64::from(i32::MAX) && sum * scale <= (MARGIN_MAX / 4) as f64
        };
        let coarse = |got| BuildError::Number {
            what: "largest leaf, or sum of largest leaves and bias".into(),
            expected: "numbers of one order, so that rounding moves no margin by 0.001",
            got,
        };
        let shift = (0..=MARGIN_SHIFT_MAX).rev().find(fits);
        let fixed = FixedPoint {
            shift: shift.ok_or_else(|| coarse(sum))?,
            attainable: sum,
        };
        if fixed.error_max(ensemble) > MARGIN_ERROR_MAX {
            return Err(coarse(sum));
        }
        Ok(fixed)
    }

    /// An entry of the score map. One that no row attains stays one, and needs no room.
    fn entry(&self, margin: f64) -> i64 {
        let beyond = 2.0 * self.attainable + 1.0 / self.scale();
        self.margin(margin.clamp(-beyond, beyond))
    }

    fn scale(&self) -> f64 {
        f64::from(self.shift).exp2()
    }

    fn leaf(&self, value: f64) -> i32 {
        (value * self.scale()).round_ties_even() as i32
    }

    fn margin(&self, value: f64) -> i64 {
        (value * self.scale()).round_ties_even() as i64
    }

    fn error_max(&self, ensemble: &Ensemble) -> f64 {
        let leaf = |value: f64| (f64::from(self.leaf(value)) / self.scale() - value).abs();
        let tree = |tree: &Tree| tree.leaves().map(leaf).fold(0.0, f64::max);
        let bias = (self.margin(ensemble.bias) as f64 / self.scale() - ensemble.bias).abs();
        ensemble.trees.iter().map(tree).sum::<f64>() + bias
    }
}

/// The sections in the making.
struct Parts {
    header: Header,
    sections: [Vec<u8>; SECTION_COUNT],
    counts: [usize; SECTION_COUNT],
    margin_min: i64,
    margin_max: i64,
}

impl Parts {
    fn new(
        ensemble: &Ensemble,
        options: &BuildOptions,
        lanes: &Lanes,
        fixed: &FixedPoint,
    ) -> Parts {
        let bias = fixed.margin(ensemble.bias);
        let mut parts = Parts {
            header: Header::zeroed(),
            sections: Default::default(),
            counts: [0; SECTION_COUNT],
            margin_min: bias,
            margin_max: bias,
        };
        parts.header = Header {
            magic: MAGIC,
            byte_order: BYTE_ORDER,
            format_version: FORMAT_VERSION,
            generation: options.generation,
            created_at: options.created_at,
            margin_shift: fixed.shift,
            lanes_used: lanes.records().len() as u32,
            bias,
            ..Header::zeroed()
        };
        parts.add_features(&ensemble.features);
        parts.add_lanes(lanes);
        for margin in &options.score_map {
            parts.push(Section::ScoreMap, &fixed.entry(*margin));
        }
        parts
    }

    fn add_features(&mut self, features: &[Feature]) {
        for feature in features {
            let mut record = FeatureRecord::zeroed();
            record.name_bytes = feature.name.len() as u8;
            record.kind = feature.kind as u8;
            for (to, from) in record.name.iter_mut().zip(feature.name.bytes()) {
                *to = from;
            }
            self.push(Section::Features, &record);
        }
        let named = features.iter().map(|f| (f.name.as_bytes(), f.kind as u8));
        self.header.fingerprint = fingerprint(named);
    }

    fn push<T: bytemuck::NoUninit>(&mut self, section: Section, record: &T) {
        if let Some(bytes) = self.sections.get_mut(section as usize) {
            bytes.extend_from_slice(bytemuck::bytes_of(record));
        }
        if let Some(count) = self.counts.get_mut(section as usize) {
            *count = count.saturating_add(1);
        }
    }

    fn count(&self, section: Section) -> usize {
        self.counts
            .get(section as usize)
            .copied()
            .unwrap_or_default()
    }

    fn add_all<A: bytemuck::NoUninit, B: bytemuck::NoUninit>(
        &mut self,
        (outer, inner): (Vec<A>, Vec<B>),
        [of_outer, of_inner]: [Section; 2],
    ) {
        outer.iter().for_each(|record| self.push(of_outer, record));
        inner.iter().for_each(|record| self.push(of_inner, record));
    }

    fn add_lanes(&mut self, lanes: &Lanes) {
        for group in lanes.records().chunks(GROUP_LANES) {
            let start = self.count(Section::Borders) as u32;
            let ranks = group
                .iter()
                .map(|lane| lane.borders.len())
                .max()
                .unwrap_or_default();
            for rank in 0..ranks {
                let border = |lane: usize| {
                    let borders = group.get(lane).map(|lane| lane.borders.as_slice());
                    borders
                        .and_then(|all| all.get(rank))
                        .copied()
                        .unwrap_or(f32::INFINITY)
                };
                let record: [f32; GROUP_LANES] = std::array::from_fn(border);
                self.push(Section::Borders, &record);
            }
            self.push(
                Section::Groups,
                &GroupRecord {
                    start,
                    ranks: ranks as u32,
                },
            );
            for at in 0..GROUP_LANES {
                let record = group
                    .get(at)
                    .map_or(LaneRecord::zeroed(), |lane| lane.record());
                self.push(Section::Lanes, &record);
            }
        }
    }

    fn widen(&mut self, leaves: impl Iterator<Item = i32>) {
        let (mut min, mut max) = (i32::MAX, i32::MIN);
        for leaf in leaves {
            (min, max) = (min.min(leaf), max.max(leaf));
        }
        self.margin_min = self.margin_min.saturating_add(i64::from(min));
        self.margin_max = self.margin_max.saturating_add(i64::from(max));
    }

    fn add_oblivious(&mut self, trees: &[Arranged], fixed: &FixedPoint) -> Result<(), BuildError> {
        let leaves: usize = trees.iter().map(|tree| tree.leaves.len()).sum();
        over(
            "leaves of oblivious trees",
            LEAVES_MAX.saturating_sub(1),
            leaves,
        )?;
        for block in trees.chunks(BLOCK_TREES) {
            self.add_levels(block);
            for tree in block {
                let start = self.count(Section::Leaves) as u32;
                self.push(Section::LeafStarts, &start);
                self.push(Section::Sources, &tree.source);
                self.push(Section::Orders, &tree.order);
                self.widen(tree.leaves.iter().map(|leaf| fixed.leaf(*leaf)));
                for leaf in &tree.leaves {
                    self.push(Section::Leaves, &fixed.leaf(*leaf));
                }
            }
        }
        let padding = self
            .count(Section::LeafStarts)
            .next_multiple_of(BLOCK_TREES);
        if padding > self.count(Section::LeafStarts) {
            let zero_leaf = self.count(Section::Leaves) as u32;
            self.push(Section::Leaves, &0i32);
            while self.count(Section::LeafStarts) < padding {
                self.push(Section::LeafStarts, &zero_leaf);
                self.push(Section::Sources, &u32::MAX);
                self.push(Section::Orders, &0u64);
            }
        }
        Ok(())
    }

    fn add_levels(&mut self, block: &[Arranged]) {
        let levels = block.iter().map(|tree| tree.levels.len()).max();
        let levels = levels.unwrap_or_default();
        let start = self.count(Section::Levels) as u32;
        self.push(
            Section::Blocks,
            &BlockRecord {
                start,
                levels: levels as u32,
            },
        );
        for level in 0..levels {
            let mut record = LevelRecord::zeroed();
            record.thresholds = [NEVER; BLOCK_TREES];
            let places = record.lanes.iter_mut().zip(&mut record.thresholds);
            for ((lane, threshold), tree) in places.zip(block) {
                if let Some(found) = tree.levels.get(level) {
                    (*lane, *threshold) = (found.lane, found.threshold);
                }
            }
            self.push(Section::Levels, &record);
        }
    }

    /// Golden margins come from a plain walk of the ensemble, not from a kernel: so a golden row
    /// also checks this writer.
    fn add_golden(&mut self, ensemble: &Ensemble, options: &BuildOptions, fixed: &FixedPoint) {
        for row in &options.golden {
            let mut margin = fixed.margin(ensemble.bias);
            for tree in &ensemble.trees {
                margin = margin.saturating_add(i64::from(fixed.leaf(tree.value(row))));
            }
            let mut record = margin.to_le_bytes().to_vec();
            record.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            record.resize(golden_bytes(row.len()), 0);
            if let Some(bytes) = self.sections.get_mut(Section::Golden as usize) {
                bytes.extend_from_slice(&record);
            }
            if let Some(count) = self.counts.get_mut(Section::Golden as usize) {
                *count = count.saturating_add(1);
            }
        }
    }

    fn lay_out(mut self, options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
        if let Some(bytes) = self.sections.get_mut(Section::Provenance as usize) {
            bytes.extend_from_slice(options.provenance.as_bytes());
        }
        if let Some(count) = self.counts.get_mut(Section::Provenance as usize) {
            *count = options.provenance.len();
        }
        (self.header.margin_min, self.header.margin_max) = (self.margin_min, self.margin_max);
        let mut file = vec![0; HEADER_BYTES];
        let fields = self.header.counts.iter_mut().zip(&mut self.header.offsets);
        for ((count, offset), (section, records)) in
            fields.zip(self.sections.iter().zip(&self.counts))
        {
            (*count, *offset) = (*records as u32, file.len() as u64);
            file.extend_from_slice(section);
            file.resize(file.len().next_multiple_of(ALIGN), 0);
        }
        over("bytes of a table", TABLE_BYTES_MAX, file.len())?;
        self.header.file_bytes = file.len() as u64;
        if let Some(place) = file.get_mut(..HEADER_BYTES) {
            place.copy_from_slice(bytemuck::bytes_of(&self.header));
        }
        rehash(&mut file);
        Ok(file)
    }
}
