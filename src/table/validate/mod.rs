//! The one gate: checks every byte of a table once, so that scoring needs no check at all.
//!
//! Nothing here relies on an unchecked value: counts are checked against capacities before
//! they are multiplied, offsets against the one layout that is allowed before anything is read
//! through them. The work is linear in the file's length. There is no `unsafe` in this file, and
//! only it can make a [`Validated`].

mod bots;
mod detections;
mod lanes;
mod sets;
mod trees;

use super::format::*;
use crate::ids::ContentId;
use crate::limits::*;
use crate::refusal::{Refusal, RefusalKind};
use crate::schema::{FeatureKind, check_name};
use bytemuck::Pod;
use lanes::{check_borders, check_lanes};
use std::collections::HashMap;
use std::ops::Range;
use trees::{Margins, Sources, check_oblivious, check_steps, check_trees};

type Check<T> = Result<T, Refusal>;

/// Proof that bytes passed every check, and where their sections are.
///
/// What it proves, by number, as `SAFETY` comments cite it:
/// - **T2** every section lies within the bytes, aligned to 64, and holds whole records;
/// - **T3** every lane's feature is below the feature count, and `groups` cover all lanes;
/// - **T4** every group's ranks lie within the border section;
/// - **T5** every block's levels lie within the level section;
/// - **T6** the largest leaf index that an oblivious tree's levels can form, added to its first
///   leaf, lies within the leaf section;
/// - **T7** every node's child, and the node next to it, lie within its tree; a leaf's child is
///   itself; every tree's nodes lie within the node section; no tree is deeper than it says, or
///   than the one before it, special trees counted by themselves and behind the others; a node's
///   set lies within the set section;
/// - **T8** no sum of bias and one leaf a tree exceeds `MARGIN_MAX` in magnitude;
/// - **T9** every detection's conditions lie within the condition section, every condition's
///   feature is below the feature count, and every detection's score is 1 to 99;
/// - **T10** address ranges ascend without overlap, and every range's bot is below the bot count.
///
/// No `unsafe` block relies on T9 and T10: they are what makes matches and lookups right.
#[derive(Debug, Clone)]
pub struct Validated {
    header: Header,
    ranges: [Range<usize>; SECTION_COUNT],
}

impl Validated {
    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes of a section in the file.
    pub fn range(&self, section: Section) -> Range<usize> {
        self.ranges
            .get(section as usize)
            .cloned()
            .unwrap_or_default()
    }
}

/// Checks a whole table, aligned to 64 bytes. A signature is not verified.
///
/// # Errors
/// The first thing that is wrong, in the order of the file.
pub fn validate(file: &[u8]) -> Check<Validated> {
    validate_with(file, |_| Ok(()))
}

/// As [`validate`], with a check of the signature, which comes behind the content hash and before
/// anything that the file describes: what nobody trusted has signed is not looked into.
pub(crate) fn validate_with(
    file: &[u8],
    signature: impl FnOnce(&[u8]) -> Check<()>,
) -> Check<Validated> {
    let header = check_header(file)?;
    check_hash(file, &header)?;
    signature(file)?;
    let ranges = check_sections(file, &header)?;
    let sections = Sections {
        file,
        header: &header,
        ranges: &ranges,
    };
    check_features(&sections)?;
    let lanes = check_lanes(&sections)?;
    check_borders(&sections, lanes)?;
    let bias = header.bias;
    let mut margins = Margins::new(bias, header.margin_shift)?;
    let mut sources = Sources::new(&sections)?;
    check_oblivious(&sections, lanes, &mut margins, &mut sources)?;
    check_trees(&sections, lanes, &mut margins, &mut sources)?;
    check_steps(&sections)?;
    margins.check_against(&header)?;
    check_score_map(&sections)?;
    check_golden(&sections)?;
    check_provenance(&sections)?;
    detections::check_detections(&sections)?;
    bots::check_bots(&sections)?;
    Ok(Validated { header, ranges })
}

/// The header of a file whose content hash is right. What it describes is not looked into.
pub(crate) fn header_of(file: &[u8]) -> Check<Header> {
    let header = check_header(file)?;
    check_hash(file, &header)?;
    Ok(header)
}

fn check_header(file: &[u8]) -> Check<Header> {
    let start = file.get(..MAGIC.len().min(file.len())).unwrap_or_default();
    if !MAGIC.starts_with(start) || file.is_empty() {
        let (expected, got) = (MAGIC.escape_ascii(), start.escape_ascii());
        return Err(RefusalKind::Magic.at("header.magic", expected, got));
    }
    let truncated =
        |got: String| RefusalKind::Truncated.at("header", format!("{HEADER_BYTES} bytes"), got);
    let bytes = file
        .get(..HEADER_BYTES)
        .ok_or_else(|| truncated(format!("{} bytes", file.len())))?;
    let header: Header =
        bytemuck::try_pod_read_unaligned(bytes).map_err(|error| truncated(error.to_string()))?;
    if header.byte_order != BYTE_ORDER {
        let [expected, got] = [BYTE_ORDER, header.byte_order].map(|order| format!("{order:#010x}"));
        return Err(RefusalKind::Endianness.at("header.byte_order", expected, got));
    }
    if header.format_version != FORMAT_VERSION {
        let (at, got) = ("header.format_version", header.format_version);
        return Err(RefusalKind::FormatVersion.at(at, FORMAT_VERSION, got));
    }
    let (expected, got) = (header.file_bytes, file.len() as u64);
    let wrong =
        |kind: RefusalKind| kind.at("file", format!("{expected} bytes"), format!("{got} bytes"));
    if got < expected {
        return Err(wrong(RefusalKind::Truncated));
    }
    if got > expected {
        return Err(wrong(RefusalKind::TrailingBytes));
    }
    if got > TABLE_BYTES_MAX as u64 {
        let most = format!("at most {TABLE_BYTES_MAX} bytes");
        return Err(RefusalKind::TooLarge.at("file", most, format!("{got} bytes")));
    }
    Ok(header)
}

fn check_hash(file: &[u8], header: &Header) -> Check<()> {
    let hash = content_hash(file);
    if hash != header.content_hash {
        let (expected, got) = (ContentId(header.content_hash), ContentId(hash));
        return Err(RefusalKind::ContentHash.at("header.content_hash", expected, got));
    }
    // Either all of it is there or nothing: half a signature is damage that no hash covers.
    let (key, signature) = header.signature.split_at(SIGNATURE_KEY_BYTES);
    let there = |part: &[u8]| part.iter().any(|byte| *byte != 0);
    if there(key) != there(signature) {
        let part = |part, name| match there(part) {
            true => format!("a {name}"),
            false => format!("no {name}"),
        };
        let got = format!("{} and {}", part(key, "key"), part(signature, "signature"));
        let expected = "a key and a signature, or neither";
        return Err(RefusalKind::Signature.at("header.signature", expected, got));
    }
    let zero = header.zero_word == 0 && header.zero.iter().all(|byte| *byte == 0);
    if !zero {
        return Err(RefusalKind::Reserved.at("header", "zero", "another value"));
    }
    Ok(())
}

fn at_most(at: &str, max: usize, got: usize) -> Check<()> {
    if got > max {
        return Err(RefusalKind::OverCapacity.at(at, format!("at most {max}"), got));
    }
    Ok(())
}

fn exactly(at: &str, expected: usize, got: usize) -> Check<()> {
    if got != expected {
        return Err(RefusalKind::CountMismatch.at(at, expected, got));
    }
    Ok(())
}

/// Holds the counts against the capacities and against each other.
fn check_counts(header: &Header) -> Check<()> {
    let count = |section: Section| {
        header
            .counts
            .get(section as usize)
            .copied()
            .unwrap_or_default() as usize
    };
    let features = count(Section::Features);
    if features == 0 {
        return Err(RefusalKind::NoFeatures.at("features", "at least 1", 0));
    }
    at_most("features", FEATURES_MAX, features)?;
    at_most("lanes", FEATURES_MAX, count(Section::Lanes))?;
    let lanes = header.lanes_used as usize;
    exactly(
        "lanes",
        lanes.next_multiple_of(GROUP_LANES),
        count(Section::Lanes),
    )?;
    exactly(
        "groups",
        lanes.div_ceil(GROUP_LANES),
        count(Section::Groups),
    )?;
    at_most(
        "borders",
        BORDERS_MAX / GROUP_LANES,
        count(Section::Borders),
    )?;
    let (oblivious, any) = (header.oblivious_trees as usize, count(Section::Trees));
    at_most("oblivious trees", TREES_MAX, oblivious)?;
    at_most("trees", TREES_MAX, oblivious.saturating_add(any))?;
    if oblivious.saturating_add(any) == 0 {
        return Err(RefusalKind::NoTrees.at("trees", "at least 1", 0));
    }
    let blocks = oblivious.div_ceil(BLOCK_TREES);
    exactly("blocks", blocks, count(Section::Blocks))?;
    let slots = blocks.saturating_mul(BLOCK_TREES);
    exactly("leaf_starts", slots, count(Section::LeafStarts))?;
    exactly("sources", slots, count(Section::Sources))?;
    if count(Section::Orders) > 0 {
        exactly("orders", slots, count(Section::Orders))?;
    }
    at_most(
        "levels",
        blocks.saturating_mul(OBLIVIOUS_DEPTH_MAX),
        count(Section::Levels),
    )?;
    at_most("leaves", LEAVES_MAX, count(Section::Leaves))?;
    at_most("nodes", LEAVES_MAX, count(Section::Nodes))?;
    at_most("sets", SETS_MAX, count(Section::Sets))?;
    exactly("score_map", SCORE_MAP_LEN, count(Section::ScoreMap))?;
    at_most("golden", GOLDEN_ROWS_MAX, count(Section::Golden))?;
    at_most(
        "provenance",
        PROVENANCE_BYTES_MAX,
        count(Section::Provenance),
    )?;
    detections::check_counts(count(Section::Detections), count(Section::Conditions))?;
    bots::check_counts(count(Section::Bots), count(Section::BotRanges))
}

fn check_sections(file: &[u8], header: &Header) -> Check<[Range<usize>; SECTION_COUNT]> {
    check_counts(header)?;
    let features = header.counts.first().copied().unwrap_or_default() as usize;
    let mut ranges: [Range<usize>; SECTION_COUNT] = Default::default();
    let mut next = HEADER_BYTES;
    let fields = header
        .counts
        .iter()
        .zip(&header.offsets)
        .zip(SECTIONS)
        .zip(&mut ranges);
    for (index, (((count, offset), spec), range)) in fields.enumerate() {
        let at = format!("header.offsets[{index}] ({})", spec.name);
        if *offset != next as u64 {
            return Err(RefusalKind::SectionOffset.at(at, next, offset));
        }
        let golden = index == Section::Golden as usize;
        let record = if golden {
            golden_bytes(features)
        } else {
            spec.record_bytes
        };
        // Counts are within capacities, so that neither product nor sum can overflow.
        let end = next.saturating_add(record.saturating_mul(*count as usize));
        let padded = end.next_multiple_of(ALIGN);
        let Some(gap) = file.get(end..padded) else {
            let (most, got) = (format!("an end within {} bytes", file.len()), padded);
            return Err(RefusalKind::SectionLength.at(spec.name, most, got));
        };
        if gap.iter().any(|byte| *byte != 0) {
            let at = format!("gap after {}", spec.name);
            return Err(RefusalKind::Reserved.at(at, "zero", "another value"));
        }
        *range = next..end;
        next = padded;
    }
    if next != file.len() {
        let (expected, got) = (format!("{next} bytes"), format!("{} bytes", file.len()));
        return Err(RefusalKind::TrailingBytes.at("end of the last section", expected, got));
    }
    Ok(ranges)
}

/// The file's sections, within bounds, their contents not yet checked.
struct Sections<'a> {
    file: &'a [u8],
    header: &'a Header,
    ranges: &'a [Range<usize>; SECTION_COUNT],
}

impl<'a> Sections<'a> {
    fn bytes(&self, section: Section) -> Check<&'a [u8]> {
        let range = self
            .ranges
            .get(section as usize)
            .cloned()
            .unwrap_or_default();
        self.file
            .get(range)
            .ok_or_else(|| RefusalKind::SectionLength.at("section", "within the file", "beyond it"))
    }

    fn records<T: Pod>(&self, section: Section) -> Check<&'a [T]> {
        bytemuck::try_cast_slice(self.bytes(section)?).map_err(|error| {
            RefusalKind::SectionLength.at("section", "aligned whole records", error)
        })
    }
}

fn check_features(sections: &Sections<'_>) -> Check<()> {
    let records: &[FeatureRecord] = sections.records(Section::Features)?;
    let mut seen: HashMap<&[u8], usize> = HashMap::with_capacity(records.len());
    let mut named = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let at = || format!("features[{index}]");
        let split = record.name.split_at_checked(usize::from(record.name_bytes));
        let Some((name, rest)) = split else {
            let most = format!("a name of at most {FEATURE_NAME_BYTES_MAX} bytes");
            return Err(RefusalKind::FeatureName.at(at(), most, record.name_bytes));
        };
        if let Err(problem) = check_name(name) {
            let got = format!("a name that {problem}");
            return Err(RefusalKind::FeatureName.at(at(), "a well-formed name", got));
        }
        if rest.iter().chain(&record.zero).any(|byte| *byte != 0) {
            return Err(RefusalKind::Reserved.at(at(), "zero", "another value"));
        }
        if FeatureKind::from_u8(record.kind).is_none() {
            return Err(RefusalKind::FeatureKind.at(at(), "0, 1 or 2", record.kind));
        }
        if let Some(first) = seen.insert(name, index) {
            let name = String::from_utf8_lossy(name);
            let got = format!("\"{name}\" also at features[{first}]");
            return Err(RefusalKind::FeatureDuplicate.at(at(), "a name of its own", got));
        }
        named.push((name, record.kind));
    }
    let got = fingerprint(named.into_iter());
    let expected = sections.header.fingerprint;
    if got != expected {
        let (expected, got) = (format!("{expected:016x}"), format!("{got:016x}"));
        return Err(RefusalKind::Fingerprint.at("header.fingerprint", expected, got));
    }
    Ok(())
}

fn check_score_map(sections: &Sections<'_>) -> Check<()> {
    let margins: &[i64] = sections.records(Section::ScoreMap)?;
    let mut before = MARGIN_MAX.saturating_neg();
    for (index, margin) in margins.iter().enumerate() {
        if *margin < before || *margin > MARGIN_MAX {
            let at = format!("score_map[{index}]");
            let expected = format!("{before} to {MARGIN_MAX}");
            return Err(RefusalKind::ScoreMap.at(at, expected, margin));
        }
        before = *margin;
    }
    Ok(())
}

fn check_golden(sections: &Sections<'_>) -> Check<()> {
    let features = sections.records::<FeatureRecord>(Section::Features)?.len();
    let (min, max) = (sections.header.margin_min, sections.header.margin_max);
    let rows = sections
        .bytes(Section::Golden)?
        .chunks_exact(golden_bytes(features));
    for (index, row) in rows.enumerate() {
        let at = || format!("golden[{index}]");
        let (margin, _) = golden_row(row, features);
        if margin < min || margin > max {
            let expected = format!("a margin of {min} to {max}");
            return Err(RefusalKind::GoldenMargin.at(at(), expected, margin));
        }
        let used = 8usize.saturating_add(features.saturating_mul(4));
        if row.iter().skip(used).any(|byte| *byte != 0) {
            return Err(RefusalKind::Reserved.at(at(), "zero padding", "another value"));
        }
    }
    Ok(())
}

/// A golden row's margin and values; `row` is one record.
pub(super) fn golden_row(row: &[u8], features: usize) -> (i64, impl Iterator<Item = f32> + '_) {
    let margin = row
        .first_chunk()
        .map_or(0, |bytes| i64::from_le_bytes(*bytes));
    let values = row
        .get(8..)
        .unwrap_or_default()
        .chunks_exact(4)
        .take(features);
    let value = |bytes: &[u8]| {
        bytes
            .first_chunk()
            .map_or(f32::NAN, |b| f32::from_le_bytes(*b))
    };
    (margin, values.map(value))
}

fn check_provenance(sections: &Sections<'_>) -> Check<()> {
    let bytes = sections.bytes(Section::Provenance)?;
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(RefusalKind::Provenance.at("provenance", "UTF-8 text", error)),
    }
}
