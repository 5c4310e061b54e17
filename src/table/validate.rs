//! The one gate: checks every byte of a table once, so that scoring needs no check at all.
//!
//! Nothing here relies on what it has yet to check: counts are held against capacities before
//! they are multiplied, offsets against the one layout that is allowed before anything is read
//! through them. The work is linear in the file's length. There is no `unsafe` in this file, and
//! only it can make a [`Validated`].

use super::format::*;
use crate::error::{Detail, OpenError};
use crate::limits::*;
use crate::schema::{FeatureKind, check_name};
use bytemuck::Pod;
use std::collections::HashMap;
use std::ops::Range;

type Check<T> = Result<T, OpenError>;

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
///   itself; every tree's nodes lie within the node section;
/// - **T8** no sum of bias and one leaf a tree exceeds `MARGIN_MAX` in magnitude.
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

/// Checks a whole table, aligned to 64 bytes.
///
/// # Errors
/// The first thing that is wrong, in the order of the file.
pub fn validate(file: &[u8]) -> Check<Validated> {
    let header = check_header(file)?;
    check_hash(file, &header)?;
    let ranges = check_sections(file, &header)?;
    let parts = Parts {
        file,
        header: &header,
        ranges: &ranges,
    };
    check_features(&parts)?;
    let lanes = check_lanes(&parts)?;
    check_borders(&parts, lanes)?;
    let bias = header.bias;
    let mut margins = Margins::new(bias, header.margin_shift)?;
    let mut sources = Sources::new(&parts)?;
    check_oblivious(&parts, lanes, &mut margins, &mut sources)?;
    check_trees(&parts, lanes, &mut margins, &mut sources)?;
    margins.check_against(&header)?;
    check_score_map(&parts)?;
    check_golden(&parts)?;
    check_provenance(&parts)?;
    Ok(Validated { header, ranges })
}

fn check_header(file: &[u8]) -> Check<Header> {
    let start = file.get(..MAGIC.len().min(file.len())).unwrap_or_default();
    if !MAGIC.starts_with(start) || file.is_empty() {
        return Err(OpenError::Magic(Detail::new(
            "header.magic",
            MAGIC.escape_ascii(),
            start.escape_ascii(),
        )));
    }
    let bytes = file.get(..HEADER_BYTES).ok_or_else(|| {
        OpenError::Truncated(Detail::new(
            "header",
            format!("{HEADER_BYTES} bytes"),
            format!("{} bytes", file.len()),
        ))
    })?;
    let header: Header = bytemuck::try_pod_read_unaligned(bytes).map_err(|error| {
        OpenError::Truncated(Detail::new(
            "header",
            format!("{HEADER_BYTES} bytes"),
            error,
        ))
    })?;
    if header.byte_order != BYTE_ORDER {
        let (expected, got) = (format!("{BYTE_ORDER:#010x}"), header.byte_order);
        let detail = Detail::new("header.byte_order", expected, format!("{got:#010x}"));
        return Err(OpenError::Endianness(detail));
    }
    if header.format_version != FORMAT_VERSION {
        let detail = Detail::new(
            "header.format_version",
            FORMAT_VERSION,
            header.format_version,
        );
        return Err(OpenError::FormatVersion(detail));
    }
    let (expected, got) = (header.file_bytes, file.len() as u64);
    let detail = || Detail::new("file", format!("{expected} bytes"), format!("{got} bytes"));
    if got < expected {
        return Err(OpenError::Truncated(detail()));
    }
    if got > expected {
        return Err(OpenError::TrailingBytes(detail()));
    }
    if got > TABLE_BYTES_MAX as u64 {
        let most = format!("at most {TABLE_BYTES_MAX} bytes");
        return Err(OpenError::TooLarge(Detail::new(
            "file",
            most,
            format!("{got} bytes"),
        )));
    }
    Ok(header)
}

fn check_hash(file: &[u8], header: &Header) -> Check<()> {
    let hash = content_hash(file);
    if hash != header.content_hash {
        let (expected, got) = (hex(&header.content_hash), hex(&hash));
        return Err(OpenError::ContentHash(Detail::new(
            "header.content_hash",
            expected,
            got,
        )));
    }
    if header.signature.iter().any(|byte| *byte != 0) {
        return Err(OpenError::Signature(Detail::new(
            "header.signature",
            "no signature",
            "a signature of a kind that this build does not know",
        )));
    }
    let zero = header.zero_word == 0 && header.zero.iter().all(|byte| *byte == 0);
    if !zero {
        return Err(OpenError::Reserved(Detail::new(
            "header",
            "zero",
            "another value",
        )));
    }
    Ok(())
}

/// Hexadecimal digits of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at_most(at: &str, max: usize, got: usize) -> Check<()> {
    if got > max {
        return Err(OpenError::OverCapacity(Detail::new(
            at,
            format!("at most {max}"),
            got,
        )));
    }
    Ok(())
}

fn exactly(at: &str, expected: usize, got: usize) -> Check<()> {
    if got != expected {
        return Err(OpenError::CountMismatch(Detail::new(at, expected, got)));
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
        return Err(OpenError::NoFeatures(Detail::new(
            "features",
            "at least 1",
            0,
        )));
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
        return Err(OpenError::NoTrees(Detail::new("trees", "at least 1", 0)));
    }
    let blocks = oblivious.div_ceil(BLOCK_TREES);
    exactly("blocks", blocks, count(Section::Blocks))?;
    let slots = blocks.saturating_mul(BLOCK_TREES);
    exactly("leaf_starts", slots, count(Section::LeafStarts))?;
    exactly("sources", slots, count(Section::Sources))?;
    at_most(
        "levels",
        blocks.saturating_mul(OBLIVIOUS_DEPTH_MAX),
        count(Section::Levels),
    )?;
    at_most("leaves", LEAVES_MAX, count(Section::Leaves))?;
    at_most("nodes", LEAVES_MAX, count(Section::Nodes))?;
    exactly("score_map", SCORE_MAP_LEN, count(Section::ScoreMap))?;
    at_most("golden", GOLDEN_ROWS_MAX, count(Section::Golden))?;
    at_most(
        "provenance",
        PROVENANCE_BYTES_MAX,
        count(Section::Provenance),
    )
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
            return Err(OpenError::SectionOffset(Detail::new(at, next, offset)));
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
            return Err(OpenError::SectionLength(Detail::new(spec.name, most, got)));
        };
        if gap.iter().any(|byte| *byte != 0) {
            let at = format!("gap after {}", spec.name);
            return Err(OpenError::Reserved(Detail::new(
                at,
                "zero",
                "another value",
            )));
        }
        *range = next..end;
        next = padded;
    }
    if next != file.len() {
        let got = format!("{} bytes", file.len());
        let detail = Detail::new("end of the last section", format!("{next} bytes"), got);
        return Err(OpenError::TrailingBytes(detail));
    }
    Ok(ranges)
}

/// The file's sections, within bounds, their contents not yet checked.
struct Parts<'a> {
    file: &'a [u8],
    header: &'a Header,
    ranges: &'a [Range<usize>; SECTION_COUNT],
}

impl<'a> Parts<'a> {
    fn bytes(&self, section: Section) -> Check<&'a [u8]> {
        let range = self
            .ranges
            .get(section as usize)
            .cloned()
            .unwrap_or_default();
        self.file.get(range).ok_or_else(|| {
            OpenError::SectionLength(Detail::new("section", "within the file", "beyond it"))
        })
    }

    fn records<T: Pod>(&self, section: Section) -> Check<&'a [T]> {
        bytemuck::try_cast_slice(self.bytes(section)?).map_err(|error| {
            OpenError::SectionLength(Detail::new("section", "aligned whole records", error))
        })
    }
}

fn check_features(parts: &Parts<'_>) -> Check<()> {
    let records: &[FeatureRecord] = parts.records(Section::Features)?;
    let mut seen: HashMap<&[u8], usize> = HashMap::with_capacity(records.len());
    let mut named = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let at = || format!("features[{index}]");
        let split = record.name.split_at_checked(usize::from(record.name_bytes));
        let Some((name, rest)) = split else {
            let most = format!("a name of at most {FEATURE_NAME_BYTES_MAX} bytes");
            return Err(OpenError::FeatureName(Detail::new(
                at(),
                most,
                record.name_bytes,
            )));
        };
        if let Err(problem) = check_name(name) {
            let got = format!("a name that {problem}");
            return Err(OpenError::FeatureName(Detail::new(
                at(),
                "a well-formed name",
                got,
            )));
        }
        if rest.iter().chain(&record.zero).any(|byte| *byte != 0) {
            return Err(OpenError::Reserved(Detail::new(
                at(),
                "zero",
                "another value",
            )));
        }
        if FeatureKind::from_u8(record.kind).is_none() {
            return Err(OpenError::FeatureKind(Detail::new(
                at(),
                "0, 1 or 2",
                record.kind,
            )));
        }
        if let Some(first) = seen.insert(name, index) {
            let name = String::from_utf8_lossy(name);
            let got = format!("\"{name}\" also at features[{first}]");
            return Err(OpenError::FeatureDuplicate(Detail::new(
                at(),
                "a name of its own",
                got,
            )));
        }
        named.push((name, record.kind));
    }
    let got = fingerprint(named.into_iter());
    let expected = parts.header.fingerprint;
    if got != expected {
        let (expected, got) = (format!("{expected:016x}"), format!("{got:016x}"));
        return Err(OpenError::Fingerprint(Detail::new(
            "header.fingerprint",
            expected,
            got,
        )));
    }
    Ok(())
}

/// Returns the lanes in use.
fn check_lanes<'a>(parts: &Parts<'a>) -> Check<&'a [LaneRecord]> {
    let records: &[LaneRecord] = parts.records(Section::Lanes)?;
    let features = parts.records::<FeatureRecord>(Section::Features)?.len();
    let used = parts.header.lanes_used as usize;
    for (index, lane) in records.iter().enumerate() {
        if index >= used {
            if *lane != bytemuck::Zeroable::zeroed() {
                let at = format!("lanes[{index}]");
                return Err(OpenError::Padding(Detail::new(
                    at,
                    "zero",
                    format!("{lane:?}"),
                )));
            }
            continue;
        }
        let at = |field: &str| format!("lanes[{index}].{field}");
        if usize::from(lane.feature) >= features {
            let detail = Detail::new(at("feature"), format!("below {features}"), lane.feature);
            return Err(OpenError::FeatureIndex(detail));
        }
        if lane.borders == 0 {
            return Err(OpenError::Lane(Detail::new(at("borders"), "at least 1", 0)));
        }
        if lane.missing_bin > lane.borders {
            let most = format!("at most {}", lane.borders);
            return Err(OpenError::Lane(Detail::new(
                at("missing_bin"),
                most,
                lane.missing_bin,
            )));
        }
        if lane.zero_is_missing > 1 {
            let detail = Detail::new(at("zero_is_missing"), "0 or 1", lane.zero_is_missing);
            return Err(OpenError::Lane(detail));
        }
    }
    records.get(..used).ok_or_else(|| {
        OpenError::CountMismatch(Detail::new("header.lanes_used", records.len(), used))
    })
}

fn check_borders(parts: &Parts<'_>, lanes: &[LaneRecord]) -> Check<()> {
    let groups: &[GroupRecord] = parts.records(Section::Groups)?;
    let ranks: &[[f32; GROUP_LANES]] = parts.records(Section::Borders)?;
    let mut start = 0usize;
    for (index, (group, lanes)) in groups.iter().zip(lanes.chunks(GROUP_LANES)).enumerate() {
        let count = lanes
            .iter()
            .map(|lane| usize::from(lane.borders))
            .max()
            .unwrap_or_default();
        exactly(
            &format!("groups[{index}].start"),
            start,
            group.start as usize,
        )?;
        exactly(
            &format!("groups[{index}].ranks"),
            count,
            group.ranks as usize,
        )?;
        let end = start.saturating_add(count);
        let Some(ranks) = ranks.get(start..end) else {
            return Err(OpenError::CountMismatch(Detail::new(
                "borders",
                end,
                ranks.len(),
            )));
        };
        for place in 0..GROUP_LANES {
            let borders = lanes.get(place).map_or(0, |lane| usize::from(lane.borders));
            let column = ranks
                .iter()
                .map(|rank| rank.get(place).copied().unwrap_or(f32::NAN));
            check_column(
                index.saturating_mul(GROUP_LANES).saturating_add(place),
                borders,
                column,
            )?;
        }
        start = end;
    }
    exactly("borders", start, ranks.len())
}

fn check_column(lane: usize, borders: usize, column: impl Iterator<Item = f32>) -> Check<()> {
    let mut before = f32::NEG_INFINITY;
    for (rank, border) in column.enumerate() {
        let at = || format!("borders[{rank}] of lane {lane}");
        if rank >= borders {
            if border != f32::INFINITY {
                return Err(OpenError::Padding(Detail::new(at(), "infinity", border)));
            }
        } else if !border.is_finite() {
            return Err(OpenError::BorderNotFinite(Detail::new(
                at(),
                "a finite border",
                border,
            )));
        } else if border <= before {
            let detail = Detail::new(at(), format!("more than {before}"), border);
            return Err(OpenError::BorderOrder(detail));
        }
        before = border;
    }
    Ok(())
}

/// Checks a split; returns whether there is one, [`NEVER`] being none.
fn check_split(
    lanes: &[LaneRecord],
    lane: u8,
    threshold: u8,
    at: impl Fn() -> String,
) -> Check<bool> {
    if threshold == NEVER {
        if lane != 0 {
            return Err(OpenError::Padding(Detail::new(at(), "lane 0", lane)));
        }
        return Ok(false);
    }
    let Some(record) = lanes.get(usize::from(lane)) else {
        let below = format!("a lane below {}", lanes.len());
        return Err(OpenError::LaneIndex(Detail::new(at(), below, lane)));
    };
    if threshold >= record.borders {
        let below = format!("a threshold below {}", record.borders);
        return Err(OpenError::Threshold(Detail::new(at(), below, threshold)));
    }
    Ok(true)
}

/// The smallest and largest margins that are attainable so far.
struct Margins {
    min: i64,
    max: i64,
}

impl Margins {
    fn new(bias: i64, shift: u32) -> Check<Margins> {
        if shift > MARGIN_SHIFT_MAX {
            let most = format!("at most {MARGIN_SHIFT_MAX}");
            return Err(OpenError::MarginShift(Detail::new(
                "header.margin_shift",
                most,
                shift,
            )));
        }
        let margins = Margins {
            min: bias,
            max: bias,
        };
        margins.check("header.bias")?;
        Ok(margins)
    }

    fn check(&self, at: &str) -> Check<()> {
        let most = MARGIN_MAX.unsigned_abs();
        for got in [self.min, self.max] {
            if got.unsigned_abs() > most {
                let expected = format!("a magnitude of at most {most}");
                return Err(OpenError::MarginRange(Detail::new(at, expected, got)));
            }
        }
        Ok(())
    }

    /// Adds a tree. Trees are few enough, and leaves narrow enough, that sums cannot overflow.
    fn add(&mut self, leaves: impl Iterator<Item = i32>) {
        let (mut min, mut max) = (i32::MAX, i32::MIN);
        for leaf in leaves {
            (min, max) = (min.min(leaf), max.max(leaf));
        }
        self.min = self.min.saturating_add(i64::from(min));
        self.max = self.max.saturating_add(i64::from(max));
    }

    fn check_against(&self, header: &Header) -> Check<()> {
        self.check("attainable margins")?;
        let pairs = [
            ("header.margin_min", self.min, header.margin_min),
            ("header.margin_max", self.max, header.margin_max),
        ];
        for (at, expected, got) in pairs {
            if expected != got {
                return Err(OpenError::MarginRange(Detail::new(at, expected, got)));
            }
        }
        Ok(())
    }
}

/// Which positions of the source have been taken by a tree.
struct Sources {
    taken: Vec<bool>,
}

impl Sources {
    fn new(parts: &Parts<'_>) -> Check<Sources> {
        let any = parts.records::<TreeRecord>(Section::Trees)?.len();
        let count = any.saturating_add(parts.header.oblivious_trees as usize);
        Ok(Sources {
            taken: vec![false; count],
        })
    }

    fn take(&mut self, source: u32, at: impl Fn() -> String) -> Check<()> {
        let count = self.taken.len();
        match self.taken.get_mut(source as usize) {
            Some(taken) if !*taken => {
                *taken = true;
                Ok(())
            }
            _ => {
                let expected = format!("a position below {count} of its own");
                Err(OpenError::TreeOrder(Detail::new(at(), expected, source)))
            }
        }
    }
}

fn check_oblivious(
    parts: &Parts<'_>,
    lanes: &[LaneRecord],
    margins: &mut Margins,
    sources: &mut Sources,
) -> Check<()> {
    let blocks: &[BlockRecord] = parts.records(Section::Blocks)?;
    let levels: &[LevelRecord] = parts.records(Section::Levels)?;
    let leaves: &[i32] = parts.records(Section::Leaves)?;
    let starts: &[u32] = parts.records(Section::LeafStarts)?;
    let places: &[u32] = parts.records(Section::Sources)?;
    let trees = parts.header.oblivious_trees as usize;
    let (mut level_start, mut leaf_start) = (0usize, 0usize);
    let slots = starts.chunks(BLOCK_TREES).zip(places.chunks(BLOCK_TREES));
    for (index, (block, (starts, places))) in blocks.iter().zip(slots).enumerate() {
        exactly(
            &format!("blocks[{index}].start"),
            level_start,
            block.start as usize,
        )?;
        at_most(
            &format!("blocks[{index}].levels"),
            OBLIVIOUS_DEPTH_MAX,
            block.levels as usize,
        )?;
        let level_end = level_start.saturating_add(block.levels as usize);
        let Some(levels) = levels.get(level_start..level_end) else {
            return Err(OpenError::CountMismatch(Detail::new(
                "levels",
                level_end,
                levels.len(),
            )));
        };
        level_start = level_end;
        for (slot, (start, source)) in starts.iter().zip(places).enumerate() {
            let tree = index.saturating_mul(BLOCK_TREES).saturating_add(slot);
            let depth = check_tree_levels(levels, slot, tree, lanes)?;
            let at = |field: &str| format!("{field}[{tree}]");
            if *start as usize != leaf_start {
                return Err(OpenError::LeafIndex(Detail::new(
                    at("leaf_starts"),
                    leaf_start,
                    start,
                )));
            }
            let end = leaf_start.saturating_add(1usize << depth);
            let Some(own) = leaves.get(leaf_start..end) else {
                let (most, got) = (format!("leaves within {}", leaves.len()), end);
                return Err(OpenError::LeafIndex(Detail::new(
                    at("leaf_starts"),
                    most,
                    got,
                )));
            };
            if tree < trees {
                margins.add(own.iter().copied());
                sources.take(*source, || at("sources"))?;
                leaf_start = end;
            } else if *source != u32::MAX || own != [0] {
                let got = format!("source {source}, leaves {own:?}");
                let detail = Detail::new(at("sources"), "source 4294967295, leaves [0]", got);
                return Err(OpenError::Padding(detail));
            }
        }
    }
    exactly("levels", level_start, levels.len())?;
    // Padding shares one zero leaf at the end.
    let padded = usize::from(!trees.is_multiple_of(BLOCK_TREES));
    exactly("leaves", leaf_start.saturating_add(padded), leaves.len())
}

/// Returns the depth of an oblivious tree: levels in use come first, padding after them.
fn check_tree_levels(
    levels: &[LevelRecord],
    slot: usize,
    tree: usize,
    lanes: &[LaneRecord],
) -> Check<usize> {
    let mut depth = 0usize;
    for (level, record) in levels.iter().enumerate() {
        let at = || format!("level {level} of oblivious tree {tree}");
        let lane = record.lanes.get(slot).copied().unwrap_or_default();
        let threshold = record.thresholds.get(slot).copied().unwrap_or_default();
        if check_split(lanes, lane, threshold, at)? {
            if depth != level {
                return Err(OpenError::Padding(Detail::new(at(), "no split", "a split")));
            }
            depth = depth.saturating_add(1);
        }
    }
    Ok(depth)
}

fn check_trees(
    parts: &Parts<'_>,
    lanes: &[LaneRecord],
    margins: &mut Margins,
    sources: &mut Sources,
) -> Check<()> {
    let trees: &[TreeRecord] = parts.records(Section::Trees)?;
    let nodes: &[NodeRecord] = parts.records(Section::Nodes)?;
    let mut depths = Vec::with_capacity(TREE_NODES_MAX);
    let mut start = 0usize;
    for (index, tree) in trees.iter().enumerate() {
        let at = |field: &str| format!("trees[{index}].{field}");
        exactly(&at("start"), start, tree.start as usize)?;
        at_most(&at("nodes"), TREE_NODES_MAX, tree.nodes as usize)?;
        let end = start.saturating_add(tree.nodes as usize);
        let Some(own) = nodes.get(start..end).filter(|own| !own.is_empty()) else {
            let expected = format!("1 to {} nodes", nodes.len().saturating_sub(start));
            return Err(OpenError::CountMismatch(Detail::new(
                at("nodes"),
                expected,
                tree.nodes,
            )));
        };
        let depth = check_nodes(index, own, lanes, &mut depths)?;
        if depth > TREE_DEPTH_MAX || tree.depth as usize != depth {
            let expected = format!("{depth}, at most {TREE_DEPTH_MAX}");
            return Err(OpenError::TooDeep(Detail::new(
                at("depth"),
                expected,
                tree.depth,
            )));
        }
        margins.add(
            own.iter()
                .filter(|node| node.threshold == NEVER)
                .map(|node| node.value),
        );
        sources.take(tree.source, || at("source"))?;
        start = end;
    }
    exactly("nodes", start, nodes.len())
}

/// Returns the depth of a tree whose nodes stand breadth first: then the children of the `k`-th
/// split are the nodes `2k + 1` and `2k + 2`, and there is no other way to write the tree.
fn check_nodes(
    tree: usize,
    nodes: &[NodeRecord],
    lanes: &[LaneRecord],
    depths: &mut Vec<usize>,
) -> Check<usize> {
    depths.clear();
    depths.push(0);
    let mut deepest = 0;
    for (index, node) in nodes.iter().enumerate() {
        let at = || format!("node {index} of tree {tree}");
        let Some(depth) = depths.get(index).copied() else {
            return Err(OpenError::Cycle(Detail::new(
                at(),
                "a parent before it",
                "none",
            )));
        };
        deepest = deepest.max(depth);
        let child = usize::from(node.child);
        if !check_split(lanes, node.lane, node.threshold, at)? {
            if child != index {
                return Err(OpenError::ChildIndex(Detail::new(
                    at(),
                    "itself, as a leaf",
                    child,
                )));
            }
            continue;
        }
        if child.saturating_add(1) >= nodes.len() {
            let below = format!("children below {}", nodes.len());
            return Err(OpenError::ChildIndex(Detail::new(at(), below, child)));
        }
        if child != depths.len() {
            let expected = format!("the children {}", depths.len());
            return Err(OpenError::Cycle(Detail::new(at(), expected, child)));
        }
        if node.value != 0 {
            return Err(OpenError::Reserved(Detail::new(
                at(),
                "value 0 in a split",
                node.value,
            )));
        }
        depths.extend([depth.saturating_add(1); 2]);
    }
    Ok(deepest)
}

fn check_score_map(parts: &Parts<'_>) -> Check<()> {
    let margins: &[i64] = parts.records(Section::ScoreMap)?;
    let mut before = MARGIN_MAX.saturating_neg();
    for (index, margin) in margins.iter().enumerate() {
        if *margin < before || *margin > MARGIN_MAX {
            let at = format!("score_map[{index}]");
            let expected = format!("{before} to {MARGIN_MAX}");
            return Err(OpenError::ScoreMap(Detail::new(at, expected, margin)));
        }
        before = *margin;
    }
    Ok(())
}

fn check_golden(parts: &Parts<'_>) -> Check<()> {
    let features = parts.records::<FeatureRecord>(Section::Features)?.len();
    let (min, max) = (parts.header.margin_min, parts.header.margin_max);
    let rows = parts
        .bytes(Section::Golden)?
        .chunks_exact(golden_bytes(features));
    for (index, row) in rows.enumerate() {
        let at = || format!("golden[{index}]");
        let (margin, _) = golden_row(row, features);
        if margin < min || margin > max {
            let expected = format!("a margin of {min} to {max}");
            return Err(OpenError::GoldenMargin(Detail::new(at(), expected, margin)));
        }
        let used = 8usize.saturating_add(features.saturating_mul(4));
        if row.iter().skip(used).any(|byte| *byte != 0) {
            return Err(OpenError::Reserved(Detail::new(
                at(),
                "zero padding",
                "another value",
            )));
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

fn check_provenance(parts: &Parts<'_>) -> Check<()> {
    let bytes = parts.bytes(Section::Provenance)?;
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(OpenError::Provenance(Detail::new(
            "provenance",
            "UTF-8 text",
            error,
        ))),
    }
}
