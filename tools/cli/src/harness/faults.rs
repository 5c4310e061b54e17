//! Bad tables, made from a good one: each with one fault, and the refusal that it must meet.

use hedgerow::limits::FEATURES_MAX;
use hedgerow::table::format::rehash;
use hedgerow::table::format::*;
use hedgerow::{PreparedTable, Schema, Table};

/// One way to break a table.
#[derive(Clone, Copy)]
pub struct Fault {
    /// The fault's name.
    pub name: &'static str,
    /// The name of the refusal that it must meet.
    pub refused_as: &'static str,
    break_it: Break,
}

impl Fault {
    /// The broken table; `None` if the table does not have what this fault breaks.
    pub fn apply(&self, table: &Table) -> Option<Vec<u8>> {
        (self.break_it)(table)
    }
}

type Break = fn(&Table) -> Option<Vec<u8>>;

const fn fault(name: &'static str, refused_as: &'static str, break_it: Break) -> Fault {
    Fault {
        name,
        refused_as,
        break_it,
    }
}

/// Every fault.
pub const ALL: &[Fault] = &[
    fault("doubled-under-the-cap", "feature-duplicate", |table| {
        repeated(table, 2)
    }),
    fault("doubled-over-the-cap", "over-capacity", |table| {
        let features = table.features().len();
        repeated_unchecked(table, FEATURES_MAX / features + 1)
    }),
    fault("no-features", "no-features", |table| {
        repeated_unchecked(table, 0)
    }),
    fault("unknown-feature", "feature-unknown", |table| {
        Some(renamed(table))
    }),
    fault("other-fingerprint", "fingerprint", |table| {
        Some(edited(table, |header| header.fingerprint ^= 1))
    }),
    fault("truncated", "truncated", |table| {
        Some(table.bytes()[..table.byte_count() / 2].to_vec())
    }),
    fault("one-byte-too-long", "trailing-bytes", |table| {
        Some([table.bytes(), &[0]].concat())
    }),
    fault("flipped", "content-hash", |table| {
        let mut bytes = table.bytes().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        Some(bytes)
    }),
    fault("empty", "empty", |_| Some(Vec::new())),
    fault("all-zero", "magic", |table| {
        Some(vec![0; table.byte_count()])
    }),
    fault("not-a-table", "magic", |_| {
        Some(b"<html>502 Bad Gateway</html>".to_vec())
    }),
    fault("next-format", "format-version", |table| {
        Some(edited(table, |header| header.format_version += 1))
    }),
    fault("overlapping-sections", "section-offset", |table| {
        Some(edited(table, |header| {
            header.offsets[3] = header.offsets[2]
        }))
    }),
    fault("nan-border", "border-not-finite", |table| {
        patched(table, Section::Borders, 0, &f32::NAN.to_le_bytes())
    }),
    fault("feature-out-of-range", "feature-index", |table| {
        patched(table, Section::Lanes, 0, &[u8::MAX])
    }),
    fault("leaf-out-of-range", "leaf-index", |table| {
        patched(table, Section::LeafStarts, 0, &u32::MAX.to_le_bytes())
    }),
    fault("wrong-leaf", "golden", wrong_leaves),
];

/// The same table with all margins higher by 1/8: good, and told apart by every margin.
pub fn shifted(table: &Table) -> Vec<u8> {
    let step = 1i64 << table.header().margin_shift.saturating_sub(3);
    let mut bytes = edited(table, |header| {
        header.bias += step;
        header.margin_min += step;
        header.margin_max += step;
    });
    golden_margins(table, &mut bytes, |margin| margin + step);
    bytes
}

/// The same table with all leaves zero and a bias that means the score 1, for every request: valid
/// in all respects, its golden rows included. None where it has trees that are not oblivious.
pub fn constant(table: &Table) -> Option<Vec<u8>> {
    if table.header().oblivious_trees as usize != table.tree_count() {
        return None;
    }
    let bias = table.score_map()[0] - (1i64 << table.header().margin_shift);
    let mut bytes = edited(table, |header| {
        (header.bias, header.margin_min, header.margin_max) = (bias, bias, bias);
    });
    bytes[range(table, Section::Leaves)].fill(0);
    golden_margins(table, &mut bytes, |_| bias);
    Some(bytes)
}

/// Changes the margins of the golden rows.
fn golden_margins(table: &Table, bytes: &mut [u8], change: impl Fn(i64) -> i64) {
    let record = golden_bytes(table.features().len());
    for row in bytes[range(table, Section::Golden)].chunks_exact_mut(record) {
        let mut margin = [0; 8];
        margin.copy_from_slice(&row[..8]);
        row[..8].copy_from_slice(&change(i64::from_le_bytes(margin)).to_le_bytes());
    }
    rehash(bytes);
}

fn edited(table: &Table, edit: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut header = *table.header();
    edit(&mut header);
    let mut bytes = table.bytes().to_vec();
    bytes[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
    rehash(&mut bytes);
    bytes
}

fn range(table: &Table, section: Section) -> std::ops::Range<usize> {
    let header = table.header();
    let start = header.offsets[section as usize] as usize;
    let record = match section {
        Section::Golden => golden_bytes(table.features().len()),
        other => SECTIONS[other as usize].record_bytes,
    };
    start..start + record * header.counts[section as usize] as usize
}

fn patched(table: &Table, section: Section, at: usize, value: &[u8]) -> Option<Vec<u8>> {
    let range = range(table, section);
    let mut bytes = table.bytes().to_vec();
    bytes[range]
        .get_mut(at..at + value.len())?
        .copy_from_slice(value);
    rehash(&mut bytes);
    Some(bytes)
}

fn repeated(table: &Table, times: usize) -> Option<Vec<u8>> {
    (table.features().len() * times <= FEATURES_MAX).then(|| repeated_unchecked(table, times))?
}

/// The table of the outage: the feature list stands several times, as out of a query that sees
/// two databases; everything else is made to agree, the fingerprint and the hash too.
pub fn repeated_unchecked(table: &Table, times: usize) -> Option<Vec<u8>> {
    let features = &table.bytes()[range(table, Section::Features)];
    let count = table.features().len() * times;
    let mut sections: Vec<Vec<u8>> = (0..SECTION_COUNT).map(|_| Vec::new()).collect();
    for (index, spec) in SECTIONS.iter().enumerate() {
        let start = table.header().offsets[index] as usize;
        let bytes = spec.record_bytes * table.header().counts[index] as usize;
        sections[index] = match index {
            0 => features.repeat(times),
            // Golden rows have one value a feature: left out.
            12 => Vec::new(),
            _ => table.bytes()[start..start + bytes].to_vec(),
        };
    }
    let mut header = *table.header();
    header.counts[Section::Features as usize] = count as u32;
    header.counts[Section::Golden as usize] = 0;
    let records = sections[0].chunks_exact(FEATURE_BYTES);
    header.fingerprint = fingerprint(records.map(|r| (&r[..usize::from(r[56])], r[57])));
    let mut bytes = vec![0; HEADER_BYTES];
    for (section, offset) in sections.iter().zip(&mut header.offsets) {
        *offset = bytes.len() as u64;
        bytes.extend_from_slice(section);
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
    }
    header.file_bytes = bytes.len() as u64;
    bytes[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
    rehash(&mut bytes);
    Some(bytes)
}

const FEATURE_BYTES: usize = size_of::<FeatureRecord>();

/// The first feature has a name that no host knows.
fn renamed(table: &Table) -> Vec<u8> {
    let start = range(table, Section::Features).start;
    let mut bytes = table.bytes().to_vec();
    bytes[start] = b'~';
    let end = start + FEATURE_BYTES * table.features().len();
    let records = bytes[start..end].chunks_exact(FEATURE_BYTES);
    let fingerprint = fingerprint(records.map(|r| (&r[..usize::from(r[56])], r[57])));
    let mut header = *table.header();
    header.fingerprint = fingerprint;
    bytes[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
    rehash(&mut bytes);
    bytes
}

/// The first tree's leaves stand one place further: well-formed, and it scores wrongly. None where
/// the table has no such tree, or none of its golden rows would notice.
fn wrong_leaves(table: &Table) -> Option<Vec<u8>> {
    let range = range(table, Section::Leaves);
    let starts = self::range(table, Section::LeafStarts);
    let second = table.bytes().get(starts.start + 4..starts.start + 8)?;
    let first_tree = u32::from_le_bytes(second.try_into().ok()?) as usize * 4;
    let mut bytes = table.bytes().to_vec();
    if table.header().oblivious_trees == 0 || first_tree < 8 {
        return None;
    }
    bytes[range.start..range.start + first_tree.min(range.len())].rotate_left(4);
    rehash(&mut bytes);
    let other = Table::from_bytes(&bytes).ok();
    let schema = Schema::new(table.features()).ok()?;
    let scores_as_before = other.is_some_and(|other| PreparedTable::new(other, &schema).is_ok());
    (!scores_as_before).then_some(bytes)
}
