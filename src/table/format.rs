//! The `.hedge` file format, version 1: this page is its specification.
//!
//! A table is one immutable little-endian file. Its layout is the layout that kernels execute:
//! mapping it is all the loading there is, and nothing is decoded.
//!
//! ```text
//!      0  header, 512 bytes                                     [`Header`]
//!    512  section 0 … section 19, in the order of [`SECTIONS`]
//!         every section starts at the next multiple of 64 after the one before it,
//!         is `count × record bytes` long, and the gap after it is zero
//!    end  the file ends at the multiple of 64 after the last section
//! ```
//!
//! There is exactly one way to lay out given contents, so offsets can neither overlap nor leave
//! room for anything that is not checked.
//!
//! ## Definitions
//! - A **lane** is one byte of a binarised row. It belongs to one feature and holds that value's
//!   **bin**: how many of the lane's borders the value exceeds (`value > border`, in `f32`).
//!   A missing value (NaN) has the bin `missing_bin`: one of the bins that values have, or 255 in a
//!   lane of at most 254 borders, which is then a bin of its **own**. A feature has several lanes
//!   where its splits treat missing values differently, or where it has more than 255 borders.
//! - A **split** is a lane and a threshold; a row goes right where `bin > threshold`.
//!   Threshold 255 therefore always goes left; padding uses it. In a lane with a bin of its own
//!   for missing values these go right, then.
//! - A split of a tree of any shape can say more. **Marked**, in a lane with that bin, it sends
//!   missing values left. With a **set** of bins it sends those right that are in the set, and its
//!   threshold is 0. Unmarked and without a set, in a lane with that bin, its threshold may be the
//!   lane's border count: only what is missing goes right.
//! - A **set** is 256 bits, bin `b` being bit `b % 64` of word `b / 64`. It names no bin that the
//!   lanes it is used with do not have, and nothing that a threshold can say. Sets differ from one
//!   another and are in the order in which nodes first name them.
//! - Lanes are ordered by border count, descending, and form **groups** of 16. A group's
//!   borders are stored transposed: **rank** `j` is one record of 16 floats, border `j` of each
//!   lane, positive infinity where a lane has no border `j`.
//! - A feature with more than 255 borders has its ascending borders cut into lanes of up to 255;
//!   lanes that differ in how they treat missing values are lanes of their own.
//! - Oblivious trees form **blocks** of 64, deepest first. A block has as many **levels** as
//!   its deepest tree; a level is a record of 64 lanes and 64 thresholds. Level `i` decides bit
//!   `i` of a tree's leaf index. A tree's leaves are consecutive in the leaf section, in the
//!   order of trees. The rest of the last block is padding: trees without levels, with
//!   the source `u32::MAX`, that all start at one extra leaf of value zero at the section's end.
//! - Kernels look up a level's lanes faster the closer they are. So the compile side sorts a
//!   tree's levels by lane, and equally deep trees by the sum of their lanes. A tree's **order**
//!   says which level of the source its level `i` is, in bits `4i` to `4i + 3`: only the
//!   source's leaf index needs it. Without orders all levels are as in the source.
//! - Trees of any shape without marks and sets come first, deepest first, then those with some,
//!   deepest first: the **special** ones. Each is a run of **nodes**, root first. Both children of
//!   a node follow it as neighbours, `child` and `child + 1`. A leaf's child is itself, and its
//!   threshold is 255: a walk that has reached it stays.
//! - Leaves and margins are **fixed point**: the value times `2^margin_shift`, rounded to
//!   nearest. The margin of a row is `bias` plus its leaves.
//! - The **score** of a margin is 1 plus how many of the score map's 98 margins are at most it.
//!
//! - A **detection** is a run of conditions that must all hold for a row's values, which are not
//!   binarised. Detections ascend by id, and their conditions are in the same order, without a
//!   gap. Where one that is active matches, its score takes the place of the ensemble's: the lowest
//!   such score, by the smallest id. One that is not active, a **shadow**, is only reported.
//! - A **verified bot** is known by the address that a request comes from, and where it has an
//!   **agent token**, by that too: the User-Agent holds it, whatever the case of ASCII letters.
//!   Addresses are numbers of 128 bits, an IPv4 address is its IPv4-mapped IPv6 address
//!   (`::ffff:a.b.c.d`), and no range has addresses of both families.
//!
//! ## The content hash
//! XXH3-128 over the whole file except the hash itself and the signature, stored big end first.
//! It detects damage, not malice; against malice there is the signature.
//!
//! ## The signature
//! Ed25519 by the key whose public half is in the field's first 32 bytes, over
//! [`SIGNED_PREFIX`] and the SHA-512 of the whole file without the field's last 64 bytes, which
//! hold the signature. An unsigned file has 96 zeros there. Signing a file changes neither its
//! content hash nor anything else of it.

use crate::limits::{
    BOT_AGENT_BYTES_MAX, BOT_NAME_BYTES_MAX, DETECTION_NAME_BYTES_MAX, FEATURE_NAME_BYTES_MAX,
};
use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::Xxh3;

#[cfg(target_endian = "big")]
compile_error!("the table format is executed in place, and is little-endian");

/// First bytes of a table. The line ends and the high bit show a transfer in text mode.
pub const MAGIC: [u8; 8] = *b"\x89HEDGE\r\n";

/// Value of [`Header::byte_order`] as this format writes it.
pub const BYTE_ORDER: u32 = 0x0102_0304;

/// The format's version.
pub const FORMAT_VERSION: u32 = 1;

/// Alignment of sections, and of the file's length, in bytes.
pub const ALIGN: usize = 64;

/// Trees of a block, and width of a level record.
pub const BLOCK_TREES: usize = 64;

/// Lanes of a border group, and width of a rank record.
pub const GROUP_LANES: usize = 16;

/// A threshold that no bin exceeds.
pub const NEVER: u8 = u8::MAX;

/// A missing value's bin where it is its own.
pub const OWN_BIN: u8 = u8::MAX;

/// [`NodeRecord::value`] of a split that is marked: missing values go left.
pub const MISSING_LEFT: i32 = -1;

/// Values of at most this magnitude are zero where zero counts as missing (LightGBM's
/// `kZeroThreshold`).
pub const ZERO_MAX: f32 = 1e-35;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 512;

/// Sections of a table.
pub const SECTION_COUNT: usize = 20;

/// Position of a section in [`Header::counts`] and in [`SECTIONS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
#[allow(missing_docs, reason = "SECTIONS describes each")]
pub enum Section {
    Features = 0,
    Lanes = 1,
    Groups = 2,
    Borders = 3,
    Blocks = 4,
    Levels = 5,
    LeafStarts = 6,
    Sources = 7,
    Leaves = 8,
    Trees = 9,
    Nodes = 10,
    ScoreMap = 11,
    Golden = 12,
    Provenance = 13,
    Sets = 14,
    Orders = 15,
    Detections = 16,
    Conditions = 17,
    Bots = 18,
    BotRanges = 19,
}

/// A section's name, record and largest count.
#[derive(Debug, Clone, Copy)]
pub struct SectionSpec {
    /// Name, as refusals show it.
    pub name: &'static str,
    /// Bytes of one record. Golden rows differ by table: see [`golden_bytes`].
    pub record_bytes: usize,
    /// What a record is.
    pub record: &'static str,
}

const fn spec<T>(name: &'static str, record: &'static str) -> SectionSpec {
    SectionSpec {
        name,
        record_bytes: size_of::<T>(),
        record,
    }
}

/// The sections, in file order.
pub const SECTIONS: [SectionSpec; SECTION_COUNT] = [
    spec::<FeatureRecord>("features", "a feature's name and kind"),
    spec::<LaneRecord>("lanes", "a lane; padded to whole groups with zero records"),
    spec::<GroupRecord>("groups", "where the ranks of 16 lanes are"),
    spec::<[f32; GROUP_LANES]>("borders", "one rank: a border of each of 16 lanes"),
    spec::<BlockRecord>("blocks", "where the levels of 64 oblivious trees are"),
    spec::<LevelRecord>("levels", "one level of 64 oblivious trees"),
    spec::<u32>("leaf_starts", "first leaf of an oblivious tree; 64 a block"),
    spec::<u32>(
        "sources",
        "an oblivious tree's position in the source; 64 a block",
    ),
    spec::<i32>("leaves", "a leaf of an oblivious tree, fixed point"),
    spec::<TreeRecord>("trees", "a tree of any shape"),
    spec::<NodeRecord>("nodes", "a node of a tree of any shape"),
    spec::<i64>(
        "score_map",
        "the smallest margin of scores 2 to 99, fixed point, ascending",
    ),
    spec::<u64>(
        "golden",
        "a margin (i64), then one f32 a feature, padded to 8 bytes",
    ),
    spec::<u8>("provenance", "UTF-8 text, JSON; for people"),
    spec::<[u64; 4]>("sets", "the bins that a split sends right"),
    spec::<u64>(
        "orders",
        "an oblivious tree's levels in the source, 4 bits each; 64 a block, or none at all",
    ),
    spec::<DetectionRecord>("detections", "a detection, ascending by id"),
    spec::<ConditionRecord>("conditions", "one condition of a detection"),
    spec::<BotRecord>("bots", "a verified bot"),
    spec::<BotRangeRecord>("bot_ranges", "addresses of a verified bot, ascending"),
];

/// Bytes of one golden row's record: its margin, then one `f32` a feature, padded to 8 bytes.
pub const fn golden_bytes(feature_count: usize) -> usize {
    feature_count
        .saturating_mul(4)
        .saturating_add(8)
        .next_multiple_of(8)
}

/// The header. All fields are checked; those described as zero must be zero.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`BYTE_ORDER`].
    pub byte_order: u32,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Length of the whole file in bytes.
    pub file_bytes: u64,
    /// XXH3-128 of everything but this field and the signature.
    pub content_hash: [u8; 16],
    /// The publisher's running number of this table; 0 where it was never published.
    pub generation: u64,
    /// When the table was compiled, in seconds since 1970.
    pub created_at: u64,
    /// [`fingerprint`] of the feature list that the ensemble was built with.
    pub fingerprint: u64,
    /// Bits behind the binary point of leaves and margins.
    pub margin_shift: u32,
    /// Oblivious trees; the rest of the last block is padding.
    pub oblivious_trees: u32,
    /// Lanes in use; the rest of the last group is padding.
    pub lanes_used: u32,
    /// Zero.
    pub zero_word: u32,
    /// What is added to the sum of leaves, fixed point.
    pub bias: i64,
    /// Smallest attainable margin, fixed point.
    pub margin_min: i64,
    /// Largest attainable margin, fixed point.
    pub margin_max: i64,
    /// Records of each section.
    pub counts: [u32; SECTION_COUNT],
    /// First byte of each section.
    pub offsets: [u64; SECTION_COUNT],
    /// Zero.
    pub zero: [u8; 72],
    /// The public key (32 bytes), then its ed25519 signature (64); zero in an unsigned file.
    pub signature: [u8; 96],
}

const _: () = assert!(size_of::<Header>() == HEADER_BYTES);

/// One feature.
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub struct FeatureRecord {
    /// The name in UTF-8, then zeros.
    pub name: [u8; FEATURE_NAME_BYTES_MAX],
    /// Bytes of the name.
    pub name_bytes: u8,
    /// [`FeatureKind`](crate::FeatureKind) as a number.
    pub kind: u8,
    /// Zero.
    pub zero: [u8; 6],
}

/// One lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct LaneRecord {
    /// Position of its feature in the feature section.
    pub feature: u8,
    /// How many borders it has: 1 to 255; 0 in padding.
    pub borders: u8,
    /// The bin of a missing value: at most `borders`, or [`OWN_BIN`].
    pub missing_bin: u8,
    /// 1 where values within ±1e-35 count as missing, else 0.
    pub zero_is_missing: u8,
}

/// Where the ranks of a group of lanes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct GroupRecord {
    /// First rank in the border section: the sum of `ranks` of the groups before.
    pub start: u32,
    /// Number of ranks: the most borders that a lane of the group has.
    pub ranks: u32,
}

/// Where the levels of a block of oblivious trees are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BlockRecord {
    /// First level in the level section: the sum of `levels` of the blocks before.
    pub start: u32,
    /// Number of levels: depth of the block's deepest tree.
    pub levels: u32,
}

/// One level of a block of oblivious trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct LevelRecord {
    /// Each tree's lane.
    pub lanes: [u8; BLOCK_TREES],
    /// Each tree's threshold, below its lane's border count; [`NEVER`] with lane 0 where the tree
    /// has no such level.
    pub thresholds: [u8; BLOCK_TREES],
}

/// One tree of any shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct TreeRecord {
    /// First node in the node section: the sum of `nodes` of the trees before.
    pub start: u32,
    /// Number of nodes.
    pub nodes: u32,
    /// Splits from the root to the deepest leaf.
    pub depth: u32,
    /// The tree's position in the source, counted over trees of either form.
    pub source: u32,
}

/// One node of a tree of any shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct NodeRecord {
    /// Lane of the split; 0 in a leaf.
    pub lane: u8,
    /// Threshold of the split, below its lane's border count, or at it where a missing value has
    /// a bin of its own; 0 with a set; [`NEVER`] in a leaf.
    pub threshold: u8,
    /// The left child, counted from the tree's first node; the right one is next to it. A leaf's
    /// own position in a leaf.
    pub child: u16,
    /// The leaf's value, fixed point. In a split 0, [`MISSING_LEFT`], or one more than the position
    /// of its set in the section.
    pub value: i32,
}

/// One detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct DetectionRecord {
    /// The name in UTF-8, then zeros.
    pub name: [u8; DETECTION_NAME_BYTES_MAX],
    /// Its number: above that of the detection before.
    pub id: u32,
    /// First condition in the condition section: the sum of `conditions` of the detections before.
    pub start: u32,
    /// Bytes of the name.
    pub name_bytes: u8,
    /// Number of conditions: 1 to 8.
    pub conditions: u8,
    /// The score that it gives: 1 to 99.
    pub score: u8,
    /// 1 where it decides, 0 where it is a shadow.
    pub active: u8,
    /// Zero.
    pub zero: [u8; 12],
}

/// One condition of a detection.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct ConditionRecord {
    /// Position of the feature in the feature section.
    pub feature: u8,
    /// 0 above, 1 at most, 2 equals, 3 missing, 4 present.
    pub operator: u8,
    /// Zero.
    pub zero: [u8; 2],
    /// The bound of the test: finite; 0.0 for missing and present.
    pub value: f32,
}

/// One verified bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BotRecord {
    /// The name in UTF-8, then zeros.
    pub name: [u8; BOT_NAME_BYTES_MAX],
    /// The agent token in printable ASCII without capitals, then zeros.
    pub agent: [u8; BOT_AGENT_BYTES_MAX],
    /// Bytes of the name.
    pub name_bytes: u8,
    /// Bytes of the agent token; 0 without one.
    pub agent_bytes: u8,
    /// [`Category`](super::bots::Category) as a number.
    pub category: u8,
    /// Zero.
    pub zero: [u8; 37],
}

/// A range of addresses that belong to one verified bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct BotRangeRecord {
    /// First address, upper half first: above the last one of the range before.
    pub low: [u64; 2],
    /// Last address, upper half first.
    pub high: [u64; 2],
    /// Position of the bot in the bot section.
    pub bot: u32,
    /// Zero.
    pub zero: u32,
}

impl BotRangeRecord {
    /// The first address.
    #[inline]
    pub fn first(&self) -> u128 {
        let [upper, lower] = self.low;
        u128::from(upper) << 64 | u128::from(lower)
    }

    /// The last address.
    #[inline]
    pub fn last(&self) -> u128 {
        let [upper, lower] = self.high;
        u128::from(upper) << 64 | u128::from(lower)
    }
}

/// The halves of an address, upper half first.
pub fn halves(address: u128) -> [u64; 2] {
    [(address >> 64) as u64, address as u64]
}

impl LaneRecord {
    /// Whether a missing value has a bin of its own.
    #[inline]
    pub fn has_own_bin(&self) -> bool {
        self.missing_bin > self.borders
    }
}

impl NodeRecord {
    /// Whether it is a split with a mark or a set.
    #[inline]
    pub fn is_special(&self) -> bool {
        (self.value != 0) & (self.threshold != NEVER)
    }
}

/// Offset of [`Header::content_hash`] in the file.
pub const HASH_OFFSET: usize = std::mem::offset_of!(Header, content_hash);

/// Offset of [`Header::signature`] in the file.
pub const SIGNATURE_OFFSET: usize = std::mem::offset_of!(Header, signature);

/// Bytes of the public key, the first part of [`Header::signature`].
pub const SIGNATURE_KEY_BYTES: usize = 32;

/// The signed message's prefix before the file's SHA-512: so a signature over anything else is not
/// a signature of a table.
pub const SIGNED_PREFIX: &[u8] = b"hedgerow table 1\n";

/// The content hash of a whole file, see [the module](self). A file shorter than a header has the
/// hash of what there is.
pub fn content_hash(file: &[u8]) -> [u8; 16] {
    let mut hash = Xxh3::new();
    let after_hash = HASH_OFFSET + 16;
    hash.update(file.get(..HASH_OFFSET).unwrap_or(file));
    hash.update(file.get(after_hash..SIGNATURE_OFFSET).unwrap_or_default());
    hash.update(file.get(HEADER_BYTES..).unwrap_or_default());
    hash.digest128().to_be_bytes()
}

/// The text of a field that is padded with zeros.
pub(crate) fn text(field: &[u8], bytes: u8) -> String {
    let field = field.get(..usize::from(bytes)).unwrap_or_default();
    String::from_utf8_lossy(field).into_owned()
}

/// Writes the content hash of a table's bytes into its header, as after a change.
pub fn rehash(file: &mut [u8]) {
    let hash = content_hash(file);
    if let Some(place) = file.get_mut(HASH_OFFSET..HASH_OFFSET.saturating_add(16)) {
        place.copy_from_slice(&hash);
    }
}

/// The fingerprint of a list of features: XXH3-64 over each name, a zero byte, and the kind.
pub fn fingerprint<'a>(features: impl Iterator<Item = (&'a [u8], u8)>) -> u64 {
    let mut hash = Xxh3::new();
    for (name, kind) in features {
        hash.update(name);
        hash.update(&[0, kind]);
    }
    hash.digest()
}
