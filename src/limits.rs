//! Every capacity of the engine on one page, each with its reason.
//!
//! A table that exceeds one of these is refused when it is loaded; the hot path relies on them.
//! The command line prints this page (`hedgerow limits`), and a snapshot test pins it.

/// Features of a table, features of a host's schema, and lanes of a binarised row.
///
/// One byte indexes a lane, and a binarised row is 256 bytes: four cache lines, four vector
/// registers.
pub const FEATURES_MAX: usize = 256;

/// Bytes of a feature's name. Names are identifiers, not prose.
pub const FEATURE_NAME_BYTES_MAX: usize = 56;

/// Borders of one lane. A bin, the number of borders below a value, must fit a byte; a feature
/// with more distinct borders takes several lanes.
pub const LANE_BORDERS_MAX: usize = 255;

/// Borders of a table: every lane full.
pub const BORDERS_MAX: usize = FEATURES_MAX * LANE_BORDERS_MAX;

/// Trees of a table. Ensembles beyond 4,000 trees bring no measurable gain in this use, and cost
/// microseconds a row.
pub const TREES_MAX: usize = 8_192;

/// Depth of an oblivious tree: 65,536 leaves, the most that CatBoost trains.
pub const OBLIVIOUS_DEPTH_MAX: usize = 16;

/// Nodes (splits and leaves) of one tree of any shape. A child is named by 16 bits.
pub const TREE_NODES_MAX: usize = 65_535;

/// Depth of a tree of any shape: a bound on the walk. LightGBM grows leaf by leaf, and its
/// chains get deep; a tree of 256 leaves cannot be deeper than this.
pub const TREE_DEPTH_MAX: usize = 255;

/// Steps of a row through a table: the depths of all trees, added up. It bounds the time that a row
/// takes, whatever the trees look like: the slowest tables within it, chains of splits, take some
/// 200 µs. 4,000 trees of depth 8, or 500 of LightGBM's deepest, use an eighth of it.
pub const STEPS_MAX: usize = 256 * 1024;

/// Leaves (oblivious trees) and nodes (trees of any shape) of a table, each: at 4 and 8 bytes
/// they stay within [`TABLE_BYTES_MAX`].
pub const LEAVES_MAX: usize = 16 * 1024 * 1024;

/// Different sets of a table's set splits: 2 MiB of them, what a core's second-level cache holds.
/// A set is a categorical split's; models have some thousands.
pub const SETS_MAX: usize = 64 * 1024;

/// Bytes of a table file, 128 MiB: the largest ensemble within the other bounds that still makes
/// sense to copy into memory on every host.
pub const TABLE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Entries of the score map: scores 1 to 99 are told apart by 98 margins.
pub const SCORE_MAP_LEN: usize = 98;

/// Golden rows of a table: enough to touch most trees' popular leaves, cheap enough to be scored
/// on every load.
pub const GOLDEN_ROWS_MAX: usize = 256;

/// Bytes of the provenance text (JSON). It is for people.
pub const PROVENANCE_BYTES_MAX: usize = 64 * 1024;

/// Detections of a table: which of them match a row is one 64-bit word in its verdict.
pub const DETECTIONS_MAX: usize = 64;

/// Conditions of one detection, all of which must hold. A longer conjunction is a tree's work.
pub const DETECTION_CONDITIONS_MAX: usize = 8;

/// Conditions of a table: every detection full.
pub const CONDITIONS_MAX: usize = DETECTIONS_MAX * DETECTION_CONDITIONS_MAX;

/// Bytes of a detection's name. Names are identifiers, not prose.
pub const DETECTION_NAME_BYTES_MAX: usize = 40;

/// Verified bots of a table: public lists know some 650, most of them without addresses.
pub const BOTS_MAX: usize = 1_024;

/// Address ranges of all verified bots. The lists that thirteen large operators publish for their
/// crawlers and monitors have some 1,800 in all; this leaves room for nine times as many, takes
/// 640 KiB, and one lookup is 14 halvings.
pub const BOT_RANGES_MAX: usize = 16 * 1024;

/// Bytes of a verified bot's name.
pub const BOT_NAME_BYTES_MAX: usize = 56;

/// Bytes of the token that a verified bot's User-Agent must hold: a product's name or a domain.
pub const BOT_AGENT_BYTES_MAX: usize = 32;

/// Bytes of a User-Agent that are searched for a bot's token. Agents of crawlers have at most 300
/// bytes; the bound keeps the time that a request takes independent of what it sends.
pub const AGENT_BYTES_MAX: usize = 512;

/// Detections whose matches an engine counts over its life, by id and by whether they decide: four
/// full tables' worth. What is beyond is counted together.
pub const DETECTION_COUNTERS_MAX: usize = 256;

/// Generations whose names of detections and bots an engine keeps, so that a verdict given just
/// before a publish can still be told.
pub const CATALOGS_MAX: usize = 8;

/// Bits behind the binary point of leaves and margins, at most: `2^-62` is far below any leaf.
pub const MARGIN_SHIFT_MAX: u32 = 62;

/// Magnitude of any attainable margin in fixed point, at most: up to `2^53` an `i64` converts to
/// `f64` without rounding, and sums are far from overflow.
pub const MARGIN_MAX: i64 = 1 << 53;

/// Reader slots of an engine: one for each scoring thread of a host. Machines with more cores
/// than this run several engines.
pub const READERS_MAX: usize = 1_024;

/// Retired tables that may wait for a reader that stays inside, at most. At the bound publishing
/// is refused: memory stays bounded, by as many tables of [`TABLE_BYTES_MAX`] at worst, and the
/// running table stays.
pub const RETIRED_MAX: usize = 64;

/// Requests that a worker's ring holds, at most: 100 MiB of rows and
/// their senders.
pub const RING_MAX: usize = 64 * 1024;

/// Rows of one batch: one bit of a 64-bit word each, and 64 bytes a lane.
pub const BATCH_ROWS_MAX: usize = 64;

/// Rows of live requests that each scorer keeps for comparing tables: 256 KiB, which stay within
/// the second-level cache even where every row would be kept.
pub const RESERVOIR_ROWS: usize = 256;

/// A scorer keeps one row of this many, once its reservoir is full: the copy of a row, some 50 ns,
/// is below a nanosecond a request then.
pub const RESERVOIR_EVERY: u32 = 64;

/// Live rows that two tables are compared on, at most: both score them within some 10 ms, on the
/// control thread.
pub const DRIFT_ROWS_MAX: usize = 4_096;

/// Shadow tables of a directory: as many large tables in memory beside the running one.
pub const SHADOWS_MAX: usize = 3;

/// Headers of a request that are looked at; those beyond are ignored. Browsers send fewer than
/// 30, and common servers refuse more than 100. With the two below it bounds the time that a
/// request takes, whatever came: 128 kilobyte-long headers take some tens of µs.
pub const HEADERS_SCANNED_MAX: usize = 128;

/// Bytes of a header's value that are looked at. The longest value that a feature reads, the
/// User-Agent of an in-app browser, stays below 600.
pub const VALUE_SCANNED_MAX: usize = 1_024;

/// Bytes of a request's target that are looked at. What an attack needs stands further in front.
pub const TARGET_SCANNED_MAX: usize = 1_024;

/// Values of a list in a ClientHello that are looked at. There are not as many cipher suites, and
/// no client sends half of this.
pub const TLS_LIST_MAX: usize = 256;

/// Clients of one core's traffic windows: 8.5 MiB. More would leave the caches of any core, and
/// more clients a minute than that are more than one core serves.
pub const TRAFFIC_CLIENTS_MAX: usize = 64 * 1024;

/// Seconds for which an established client must be idle before another may take its place: as
/// long as the longest window.
pub const TRAFFIC_IDLE_SECONDS: u32 = 60;

const _: () = assert!(FEATURES_MAX == u8::MAX as usize + 1);
const _: () = assert!(LANE_BORDERS_MAX == u8::MAX as usize);
const _: () = assert!(TREE_NODES_MAX <= u16::MAX as usize);
const _: () = assert!(1 << OBLIVIOUS_DEPTH_MAX <= LEAVES_MAX);
const _: () = assert!(8 * LEAVES_MAX <= TABLE_BYTES_MAX);
const _: () = assert!(TRAFFIC_CLIENTS_MAX.is_power_of_two());
const _: () = assert!(TREES_MAX as i64 * (1 << 31) <= MARGIN_MAX);
const _: () = assert!(DETECTIONS_MAX == u64::BITS as usize);
const _: () = assert!(BOTS_MAX <= u16::MAX as usize);

/// One capacity: its name, its value and its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The constant's name, in lower case.
    pub name: &'static str,
    /// The largest value allowed.
    pub max: u64,
    /// What is counted.
    pub unit: &'static str,
}

/// All capacities, in the order of this page.
#[rustfmt::skip]
pub const LIMITS: &[Limit] = &[
    Limit { name: "features", max: FEATURES_MAX as u64, unit: "features a table" },
    Limit { name: "feature_name_bytes", max: FEATURE_NAME_BYTES_MAX as u64, unit: "bytes a name" },
    Limit { name: "lane_borders", max: LANE_BORDERS_MAX as u64, unit: "borders a lane" },
    Limit { name: "borders", max: BORDERS_MAX as u64, unit: "borders a table" },
    Limit { name: "trees", max: TREES_MAX as u64, unit: "trees a table" },
    Limit { name: "oblivious_depth", max: OBLIVIOUS_DEPTH_MAX as u64, unit: "levels a tree" },
    Limit { name: "tree_nodes", max: TREE_NODES_MAX as u64, unit: "nodes a tree" },
    Limit { name: "tree_depth", max: TREE_DEPTH_MAX as u64, unit: "levels a tree" },
    Limit { name: "steps", max: STEPS_MAX as u64, unit: "levels a table" },
    Limit { name: "leaves", max: LEAVES_MAX as u64, unit: "leaves a table" },
    Limit { name: "sets", max: SETS_MAX as u64, unit: "sets a table" },
    Limit { name: "table_bytes", max: TABLE_BYTES_MAX as u64, unit: "bytes a file" },
    Limit { name: "score_map", max: SCORE_MAP_LEN as u64, unit: "margins a table" },
    Limit { name: "golden_rows", max: GOLDEN_ROWS_MAX as u64, unit: "rows a table" },
    Limit { name: "provenance_bytes", max: PROVENANCE_BYTES_MAX as u64, unit: "bytes a table" },
    Limit { name: "detections", max: DETECTIONS_MAX as u64, unit: "detections a table" },
    Limit {
        name: "detection_conditions",
        max: DETECTION_CONDITIONS_MAX as u64,
        unit: "conditions a detection",
    },
    Limit { name: "conditions", max: CONDITIONS_MAX as u64, unit: "conditions a table" },
    Limit {
        name: "detection_name_bytes",
        max: DETECTION_NAME_BYTES_MAX as u64,
        unit: "bytes a name",
    },
    Limit { name: "bots", max: BOTS_MAX as u64, unit: "verified bots a table" },
    Limit { name: "bot_ranges", max: BOT_RANGES_MAX as u64, unit: "address ranges a table" },
    Limit { name: "bot_name_bytes", max: BOT_NAME_BYTES_MAX as u64, unit: "bytes a name" },
    Limit { name: "bot_agent_bytes", max: BOT_AGENT_BYTES_MAX as u64, unit: "bytes a token" },
    Limit { name: "agent_bytes", max: AGENT_BYTES_MAX as u64, unit: "bytes searched" },
    Limit {
        name: "detection_counters",
        max: DETECTION_COUNTERS_MAX as u64,
        unit: "counters an engine",
    },
    Limit { name: "catalogs", max: CATALOGS_MAX as u64, unit: "generations an engine" },
    Limit { name: "margin_shift", max: MARGIN_SHIFT_MAX as u64, unit: "bits" },
    Limit { name: "margin", max: MARGIN_MAX as u64, unit: "fixed-point units" },
    Limit { name: "readers", max: READERS_MAX as u64, unit: "slots an engine" },
    Limit { name: "retired", max: RETIRED_MAX as u64, unit: "tables an engine" },
    Limit { name: "ring", max: RING_MAX as u64, unit: "requests a worker" },
    Limit { name: "batch_rows", max: BATCH_ROWS_MAX as u64, unit: "rows a batch" },
    Limit { name: "reservoir_rows", max: RESERVOIR_ROWS as u64, unit: "rows a scorer" },
    Limit { name: "reservoir_every", max: RESERVOIR_EVERY as u64, unit: "rows a kept one" },
    Limit { name: "drift_rows", max: DRIFT_ROWS_MAX as u64, unit: "rows a comparison" },
    Limit { name: "shadows", max: SHADOWS_MAX as u64, unit: "tables a directory" },
    Limit { name: "headers_scanned", max: HEADERS_SCANNED_MAX as u64, unit: "headers a request" },
    Limit { name: "value_scanned", max: VALUE_SCANNED_MAX as u64, unit: "bytes a header's value" },
    Limit { name: "target_scanned", max: TARGET_SCANNED_MAX as u64, unit: "bytes a target" },
    Limit { name: "tls_list", max: TLS_LIST_MAX as u64, unit: "values a list of a ClientHello" },
    Limit { name: "traffic_clients", max: TRAFFIC_CLIENTS_MAX as u64, unit: "clients a core" },
    Limit { name: "traffic_idle", max: TRAFFIC_IDLE_SECONDS as u64, unit: "seconds" },
];
