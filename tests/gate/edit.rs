//! Edits a table's bytes by section and record, and lays them out again, without any check.
#![allow(dead_code, reason = "each test takes what it needs")]

use bytemuck::{Pod, bytes_of, pod_read_unaligned};
use hedgerow::table::format::rehash;
use hedgerow::table::format::*;
use std::ops::Range;

/// A table under the knife.
#[derive(Clone)]
pub struct Edit {
    pub bytes: Vec<u8>,
}

impl Edit {
    pub fn new(bytes: &[u8]) -> Edit {
        Edit {
            bytes: bytes.to_vec(),
        }
    }

    pub fn get_header(&self) -> Header {
        pod_read_unaligned(&self.bytes[..HEADER_BYTES])
    }

    /// Edits the header.
    pub fn header(&mut self, edit: impl FnOnce(&mut Header)) {
        let mut header = self.get_header();
        edit(&mut header);
        self.bytes[..HEADER_BYTES].copy_from_slice(bytes_of(&header));
    }

    fn record_bytes(&self, section: Section) -> usize {
        match section {
            Section::Golden => golden_bytes(self.get_header().counts[0] as usize),
            _ => SECTIONS[section as usize].record_bytes,
        }
    }

    /// Where a section stands, by the header.
    pub fn range(&self, section: Section) -> Range<usize> {
        let header = self.get_header();
        let start = header.offsets[section as usize] as usize;
        let count = header.counts[section as usize] as usize;
        start..start + count * self.record_bytes(section)
    }

    fn place<T>(&self, section: Section, index: usize) -> Range<usize> {
        let start = self.range(section).start + index * size_of::<T>();
        start..start + size_of::<T>()
    }

    /// Reads a record.
    pub fn get<T: Pod>(&self, section: Section, index: usize) -> T {
        pod_read_unaligned(&self.bytes[self.place::<T>(section, index)])
    }

    /// Edits a record.
    pub fn record<T: Pod>(&mut self, section: Section, index: usize, edit: impl FnOnce(&mut T)) {
        let place = self.place::<T>(section, index);
        let mut record: T = self.get(section, index);
        edit(&mut record);
        self.bytes[place].copy_from_slice(bytes_of(&record));
    }

    /// Exchanges two records.
    pub fn swap<T: Pod>(&mut self, section: Section, a: usize, b: usize) {
        let (first, second): (T, T) = (self.get(section, a), self.get(section, b));
        self.record(section, a, |record| *record = second);
        self.record(section, b, |record| *record = first);
    }

    /// Edits a section's bytes, and lays the file out anew: counts, offsets and length follow.
    pub fn section(&mut self, section: Section, edit: impl FnOnce(&mut Vec<u8>)) {
        let all = (0..SECTION_COUNT).map(|index| self.bytes[self.range(ORDER[index])].to_vec());
        let mut all: Vec<Vec<u8>> = all.collect();
        edit(&mut all[section as usize]);
        self.lay_out(&all);
    }

    fn lay_out(&mut self, sections: &[Vec<u8>]) {
        let mut header = self.get_header();
        let mut file = vec![0; HEADER_BYTES];
        for (index, bytes) in sections.iter().enumerate() {
            header.offsets[index] = file.len() as u64;
            let record = match ORDER[index] {
                Section::Golden => golden_bytes(header.counts[0] as usize),
                other => SECTIONS[other as usize].record_bytes,
            };
            header.counts[index] = (bytes.len() / record) as u32;
            file.extend_from_slice(bytes);
            file.resize(file.len().next_multiple_of(ALIGN), 0);
        }
        header.file_bytes = file.len() as u64;
        file[..HEADER_BYTES].copy_from_slice(bytes_of(&header));
        self.bytes = file;
    }

    /// Writes the fingerprint of the feature list that is there.
    pub fn fingerprint(&mut self) {
        let count = self.get_header().counts[0] as usize;
        let records: Vec<FeatureRecord> = (0..count)
            .map(|at| self.get(Section::Features, at))
            .collect();
        let names = records
            .iter()
            .map(|record| (&record.name[..usize::from(record.name_bytes)], record.kind));
        let fingerprint = fingerprint(names);
        self.header(|header| header.fingerprint = fingerprint);
    }

    /// Writes the feature list twice, as the query of the outage did: counts, offsets, golden
    /// rows, length and fingerprint all follow, so that nothing but the names gives it away.
    /// `suffix` is put behind the names of the second half.
    pub fn double_features(&mut self, suffix: &str) {
        let features = self.get_header().counts[0] as usize;
        let old = golden_bytes(features);
        let golden = self.bytes[self.range(Section::Golden)].to_vec();
        let rows = golden.chunks_exact(old).flat_map(|row| {
            let values = &row[8..8 + 4 * features];
            let mut twice = [&row[..8], values, values].concat();
            twice.resize(golden_bytes(2 * features), 0);
            twice
        });
        let rows: Vec<u8> = rows.collect();
        self.section(Section::Golden, Vec::clear);
        self.section(Section::Features, |bytes| {
            for at in 0..features {
                let place = at * size_of::<FeatureRecord>();
                let place = place..place + size_of::<FeatureRecord>();
                let mut record: FeatureRecord = pod_read_unaligned(&bytes[place]);
                let end = usize::from(record.name_bytes);
                record.name[end..end + suffix.len()].copy_from_slice(suffix.as_bytes());
                record.name_bytes += suffix.len() as u8;
                bytes.extend_from_slice(bytes_of(&record));
            }
        });
        self.section(Section::Golden, |bytes| *bytes = rows);
        self.fingerprint();
    }

    /// The bytes, with the hash of what they have become.
    pub fn finish(mut self) -> Vec<u8> {
        rehash(&mut self.bytes);
        self.bytes
    }
}

/// The sections in file order.
pub const ORDER: [Section; SECTION_COUNT] = [
    Section::Features,
    Section::Lanes,
    Section::Groups,
    Section::Borders,
    Section::Blocks,
    Section::Levels,
    Section::LeafStarts,
    Section::Sources,
    Section::Leaves,
    Section::Trees,
    Section::Nodes,
    Section::ScoreMap,
    Section::Golden,
    Section::Provenance,
    Section::Sets,
    Section::Orders,
    Section::Detections,
    Section::Conditions,
    Section::Bots,
    Section::BotRanges,
];

/// Bytes at the alignment that the gate wants, to check without sealing.
#[derive(Default)]
pub struct Aligned {
    chunks: Vec<Chunk>,
    len: usize,
}

#[derive(Clone, Copy, Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Chunk([u8; 64]);

impl Aligned {
    pub fn of(bytes: &[u8]) -> Aligned {
        let mut aligned = Aligned::default();
        aligned.set(bytes);
        aligned
    }

    /// Becomes a copy of bytes.
    pub fn set(&mut self, bytes: &[u8]) {
        self.len = bytes.len();
        self.chunks.resize(bytes.len().div_ceil(64), Chunk([0; 64]));
        self.bytes_mut().copy_from_slice(bytes);
    }

    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.chunks)[..self.len]
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.chunks)[..self.len]
    }
}
