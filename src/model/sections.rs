//! The sections of a table file in the making, in execution layout.

use super::arrange::Arranged;
use super::ensemble::Ensemble;
use super::error::{BuildError, at_most};
use super::fixed_point::FixedPoint;
use super::lanes::Lanes;
use super::options::BuildOptions;
use crate::limits::{LEAVES_MAX, TABLE_BYTES_MAX};
use crate::schema::Feature;
use crate::table::Table;
use crate::table::format::*;
use bytemuck::Zeroable;

/// The header and the sections, as far as they are written.
pub(super) struct SectionWriter {
    pub(super) header: Header,
    bytes: [Vec<u8>; SECTION_COUNT],
    counts: [usize; SECTION_COUNT],
    margin_min: i64,
    margin_max: i64,
}

impl SectionWriter {
    pub(super) fn new(
        ensemble: &Ensemble,
        options: &BuildOptions,
        lanes: &Lanes,
        fixed: &FixedPoint,
    ) -> SectionWriter {
        let bias = fixed.margin(ensemble.bias);
        let mut sections = SectionWriter {
            header: Header::zeroed(),
            bytes: Default::default(),
            counts: [0; SECTION_COUNT],
            margin_min: bias,
            margin_max: bias,
        };
        sections.header = Header {
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
        sections.add_features(&ensemble.features);
        sections.add_lanes(lanes);
        for margin in &options.score_map {
            sections.push(Section::ScoreMap, &fixed.entry(*margin));
        }
        sections
    }

    /// The header and the sections of a table.
    pub(super) fn copied(table: &Table) -> SectionWriter {
        let header = *table.header();
        let mut sections = SectionWriter {
            header,
            bytes: Default::default(),
            counts: header.counts.map(|count| count as usize),
            margin_min: header.margin_min,
            margin_max: header.margin_max,
        };
        let features = header.counts.first().map_or(0, |count| *count as usize);
        for (at, (spec, place)) in SECTIONS.iter().zip(&mut sections.bytes).enumerate() {
            let count = header.counts.get(at).map_or(0, |count| *count as usize);
            let record = match at == Section::Golden as usize {
                true => golden_bytes(features),
                false => spec.record_bytes,
            };
            let start = header.offsets.get(at).map_or(0, |offset| *offset as usize);
            let end = start.saturating_add(count.saturating_mul(record));
            place.extend_from_slice(table.bytes().get(start..end).unwrap_or_default());
        }
        sections
    }

    /// Removes all records of a section.
    pub(super) fn clear(&mut self, section: Section) {
        if let Some(bytes) = self.bytes.get_mut(section as usize) {
            bytes.clear();
        }
        if let Some(count) = self.counts.get_mut(section as usize) {
            *count = 0;
        }
    }

    pub(super) fn add_features(&mut self, features: &[Feature]) {
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

    pub(super) fn push<T: bytemuck::NoUninit>(&mut self, section: Section, record: &T) {
        if let Some(bytes) = self.bytes.get_mut(section as usize) {
            bytes.extend_from_slice(bytemuck::bytes_of(record));
        }
        if let Some(count) = self.counts.get_mut(section as usize) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn count(&self, section: Section) -> usize {
        self.counts
            .get(section as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn add_all<A: bytemuck::NoUninit, B: bytemuck::NoUninit>(
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

    pub(super) fn widen(&mut self, leaves: impl Iterator<Item = i32>) {
        let (mut min, mut max) = (i32::MAX, i32::MIN);
        for leaf in leaves {
            (min, max) = (min.min(leaf), max.max(leaf));
        }
        self.margin_min = self.margin_min.saturating_add(i64::from(min));
        self.margin_max = self.margin_max.saturating_add(i64::from(max));
    }

    pub(super) fn add_oblivious(
        &mut self,
        trees: &[Arranged],
        fixed: &FixedPoint,
    ) -> Result<(), BuildError> {
        let leaves: usize = trees.iter().map(|tree| tree.leaves.len()).sum();
        at_most(
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
    pub(super) fn add_golden(
        &mut self,
        ensemble: &Ensemble,
        options: &BuildOptions,
        fixed: &FixedPoint,
    ) {
        for row in &options.golden {
            let mut margin = fixed.margin(ensemble.bias);
            for tree in &ensemble.trees {
                margin = margin.saturating_add(i64::from(fixed.leaf(tree.value(row))));
            }
            let mut record = margin.to_le_bytes().to_vec();
            record.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            record.resize(golden_bytes(row.len()), 0);
            if let Some(bytes) = self.bytes.get_mut(Section::Golden as usize) {
                bytes.extend_from_slice(&record);
            }
            if let Some(count) = self.counts.get_mut(Section::Golden as usize) {
                *count = count.saturating_add(1);
            }
        }
    }

    pub(super) fn lay_out(mut self, provenance: &str) -> Result<Vec<u8>, BuildError> {
        if let Some(bytes) = self.bytes.get_mut(Section::Provenance as usize) {
            bytes.extend_from_slice(provenance.as_bytes());
        }
        if let Some(count) = self.counts.get_mut(Section::Provenance as usize) {
            *count = provenance.len();
        }
        (self.header.margin_min, self.header.margin_max) = (self.margin_min, self.margin_max);
        let mut file = vec![0; HEADER_BYTES];
        let fields = self.header.counts.iter_mut().zip(&mut self.header.offsets);
        for ((count, offset), (section, records)) in fields.zip(self.bytes.iter().zip(&self.counts))
        {
            (*count, *offset) = (*records as u32, file.len() as u64);
            file.extend_from_slice(section);
            file.resize(file.len().next_multiple_of(ALIGN), 0);
        }
        at_most("bytes of a table", TABLE_BYTES_MAX, file.len())?;
        self.header.file_bytes = file.len() as u64;
        if let Some(place) = file.get_mut(..HEADER_BYTES) {
            place.copy_from_slice(bytemuck::bytes_of(&self.header));
        }
        rehash(&mut file);
        Ok(file)
    }
}
