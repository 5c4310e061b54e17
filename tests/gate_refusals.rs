//! Every refusal is produced by a table that is wrong in one thing alone, and says what it is.

#[path = "gate/build.rs"]
mod build;
mod common;
#[path = "gate/edit.rs"]
mod edit;
#[path = "gate/tables.rs"]
mod tables;

use bytemuck::Zeroable;
use edit::Edit;
use hedgerow::table::format::*;
use hedgerow::watch::{Keys, SecretKey};
use hedgerow::{Feature, FeatureKind, PreparedTable, Refusal, RefusalKind, Schema, Table};
use tables::{plain, plain_table, schema, special_table};

/// One thing that is wrong: what it is called, and what the refusal must say.
struct Case {
    make: fn() -> Refusal,
    name: &'static str,
    at: &'static str,
    expected: &'static str,
    got: &'static str,
}

impl Case {
    fn check(&self) {
        let refused = (self.make)();
        let said = (
            refused.name(),
            refused.at(),
            refused.expected(),
            refused.got(),
        );
        assert_eq!(said, (self.name, self.at, self.expected, self.got));
        assert_eq!(refused.kind().map(RefusalKind::name), Some(refused.name()));
        assert!(refused.to_string().ends_with(&format!(
            "{}: expected {}, got {}",
            self.at, self.expected, self.got
        )));
    }
}

macro_rules! cases {
    ($($test:ident: $make:expr => $name:literal, $at:expr, $expected:expr, $got:expr;)+) => {
        mod case {
            #![allow(non_upper_case_globals, reason = "a case and its test share a name")]
            use super::*;
            $(pub const $test: Case = Case {
                make: || $make,
                name: $name,
                at: $at,
                expected: $expected,
                got: $got,
            };)+
        }
        $(#[test]
        fn $test() {
            case::$test.check();
        })+
        const CASES: &[Case] = &[$(case::$test),+];
    };
}

fn open(bytes: &[u8]) -> Refusal {
    Table::from_bytes(bytes).expect_err("a refusal")
}

/// The plain table, edited, with the hash of what it became.
fn edited(edit: impl FnOnce(&mut Edit)) -> Refusal {
    let mut table = Edit::new(&plain_table());
    edit(&mut table);
    open(&table.finish())
}

/// A key whose seed is one digit over and over.
fn key(name: &str, digit: &str) -> SecretKey {
    let text = format!("hedgerow-secret-key-1 {name} {}\n", digit.repeat(64));
    SecretKey::parse(&text, "key").expect("a key")
}

/// Keys that trust a friend.
fn keys(required: bool) -> Keys {
    Keys::new(vec![key("friend", "1").public()], required)
}

fn signed() -> Vec<u8> {
    key("stranger", "0").sign(&plain_table())
}

fn header(edit: impl FnOnce(&mut Header)) -> Refusal {
    edited(|table| table.header(edit))
}

fn feature(index: usize, edit: impl FnOnce(&mut FeatureRecord)) -> Refusal {
    edited(|table| table.record(Section::Features, index, edit))
}

fn lane(index: usize, edit: impl FnOnce(&mut LaneRecord)) -> Refusal {
    edited(|table| table.record(Section::Lanes, index, edit))
}

/// One border: the lane's place in the first group, and the rank.
fn border(lane: usize, rank: usize, border: f32) -> Refusal {
    edited(|table| {
        let edit = |record: &mut [f32; 16]| record[lane] = border;
        table.record(Section::Borders, rank, edit);
    })
}

fn group(edit: impl FnOnce(&mut GroupRecord)) -> Refusal {
    edited(|table| table.record(Section::Groups, 0, edit))
}

fn block(edit: impl FnOnce(&mut BlockRecord)) -> Refusal {
    edited(|table| table.record(Section::Blocks, 0, edit))
}

/// The plain table with another order of a tree's levels.
fn order(tree: usize, order: u64) -> Refusal {
    edited(|t| t.record(Section::Orders, tree, |o: &mut u64| *o = order))
}

fn leaf_start(tree: usize, start: u32) -> Refusal {
    edited(|table| table.record(Section::LeafStarts, tree, |place: &mut u32| *place = start))
}

fn level(index: usize, edit: impl FnOnce(&mut LevelRecord)) -> Refusal {
    edited(|table| table.record(Section::Levels, index, edit))
}

/// The nodes of the first tree of any shape are 0 to 4, of the second 5 to 7.
fn node(index: usize, edit: impl FnOnce(&mut NodeRecord)) -> Refusal {
    edited(|table| table.record(Section::Nodes, index, edit))
}

fn tree(index: usize, edit: impl FnOnce(&mut TreeRecord)) -> Refusal {
    edited(|table| table.record(Section::Trees, index, edit))
}

/// The special table, edited: its plain tree has the nodes 0 to 2, the first special one 3 to 9,
/// the second one 10 to 14.
fn special(edit: impl FnOnce(&mut Edit)) -> Refusal {
    let mut table = Edit::new(&special_table());
    edit(&mut table);
    open(&table.finish())
}

fn special_node(index: usize, edit: impl FnOnce(&mut NodeRecord)) -> Refusal {
    special(|table| table.record(Section::Nodes, index, edit))
}

/// The second set, which has the bins 1 and 3.
fn set(words: [u64; 4]) -> Refusal {
    special(|table| table.record(Section::Sets, 1, |set: &mut [u64; 4]| *set = words))
}

/// What is expected of a bias and of sums.
const MAGNITUDE: &str = "a magnitude of at most 9007199254740992";

/// Another tree of any depth, a chain, with everything else in order.
fn chain_of(depth: u16) -> Refusal {
    edited(|table| {
        table.section(Section::Nodes, |nodes| {
            for at in 0..depth {
                // Breadth first: the split of level k is node 2k, its leaf stands before it.
                let (split, leaf) = (2 * at, 2 * at + 1);
                let fork = NodeRecord {
                    child: leaf,
                    ..NodeRecord::zeroed()
                };
                let end = NodeRecord {
                    threshold: NEVER,
                    child: leaf,
                    ..NodeRecord::zeroed()
                };
                assert_eq!(split + 1, leaf);
                nodes.extend_from_slice(bytemuck::bytes_of(&fork));
                nodes.extend_from_slice(bytemuck::bytes_of(&end));
            }
            let last = NodeRecord {
                threshold: NEVER,
                child: 2 * depth,
                ..NodeRecord::zeroed()
            };
            nodes.extend_from_slice(bytemuck::bytes_of(&last));
        });
        table.section(Section::Trees, |trees| {
            let deep = TreeRecord {
                start: 8,
                nodes: u32::from(2 * depth + 1),
                depth: u32::from(depth),
                source: 4,
            };
            trees.extend_from_slice(bytemuck::bytes_of(&deep));
        });
    })
}

fn bind(features: &[(&str, FeatureKind)]) -> Refusal {
    let feature = |(name, kind): &(&str, FeatureKind)| Feature {
        name: name.to_string(),
        kind: *kind,
    };
    let schema = Schema::new(features.iter().map(feature).collect()).expect("a schema");
    let table = Table::from_bytes(&plain_table()).expect("a table");
    PreparedTable::new(table, &schema).expect_err("a refusal")
}

fn golden_margin_of_a_wrong_walk() -> Refusal {
    let mut table = Edit::new(&plain_table());
    table.record(Section::Golden, 0, |margin: &mut i64| *margin = 1);
    let table = Table::from_bytes(&table.finish()).expect("a well-formed table");
    let refused = PreparedTable::new(table, &schema(&plain())).expect_err("a refusal");
    // Without the name of the kernel, which depends on the machine.
    let at = refused.at();
    let end = at.rfind(' ').map_or(at.len(), |space| space + 1);
    let kind = refused.kind().expect("a kind");
    kind.at(&at[..end], refused.expected(), refused.got())
}

cases! {
    // 1 size and seal
    no_file: Table::open("/nonexistent/x.hedge").expect_err("a refusal")
        => "io", "/nonexistent/x.hedge", "a readable file",
        "No such file or directory (os error 2)";
    a_directory: Table::open("/").expect_err("a refusal")
        => "io", "/", "a regular file", "something else";
    empty: open(&[]) => "empty", "bytes", "a table", "0 bytes";
    one_byte_over_capacity: open(&vec![0; hedgerow::limits::TABLE_BYTES_MAX + 1])
        => "too-large", "bytes", "at most 134217728 bytes", "134217729 bytes";

    // 2 format and hash
    shorter_than_a_header: open(&plain_table()[..511])
        => "truncated", "header", "512 bytes", "511 bytes";
    the_last_byte_is_missing: { let table = plain_table(); open(&table[..table.len() - 1]) }
        => "truncated", "file", "3456 bytes", "3455 bytes";
    wrong_magic: header(|h| h.magic[1] = b'h')
        => "magic", "header.magic", r"\x89HEDGE\r\n", r"\x89hEDGE\r\n";
    wrong_endianness: header(|h| h.byte_order = h.byte_order.swap_bytes())
        => "endianness", "header.byte_order", "0x01020304", "0x04030201";
    wrong_version: header(|h| h.format_version = 2)
        => "format-version", "header.format_version", "1", "2";
    trailing_byte: open(&[plain_table(), vec![0]].concat())
        => "trailing-bytes", "file", "3456 bytes", "3457 bytes";
    trailing_bytes_that_the_header_knows: edited(|t| {
        t.bytes.extend([0; 64]);
        t.header(|h| h.file_bytes += 64);
    }) => "trailing-bytes", "end of the last section", "3456 bytes", "3520 bytes";
    bad_hash: { let mut table = plain_table(); table[24..40].fill(0xab); open(&table) }
        => "content-hash", "header.content_hash", "abababababababababababababababab",
        "60f670872eb8d39aeeb9131f7dcb27ea";
    reserved_word: header(|h| h.zero_word = 1) => "reserved", "header", "zero", "another value";
    reserved_bytes: header(|h| h.zero[71] = 1) => "reserved", "header", "zero", "another value";
    reserved_gap: edited(|t| { let end = t.range(Section::Groups).end; t.bytes[end] = 1; })
        => "reserved", "gap after groups", "zero", "another value";
    reserved_behind_a_name: feature(1, |f| f.name[55] = 1)
        => "reserved", "features[1]", "zero", "another value";
    mark_in_a_table_without_any: node(0, |n| n.value = -1)
        => "missing-mark", "node 0 of tree 0",
        "no mark in a lane without a bin for missing values", "-1";
    reserved_behind_a_golden_row: edited(|t| {
        let end = t.range(Section::Golden).end;
        t.bytes[end - 1] = 1;
    })
        => "reserved", "golden[1]", "zero padding", "another value";
    a_signature: header(|h| h.signature[95] = 1)
        => "signature", "header.signature", "a key and a signature, or neither",
        "no key and a signature";
    a_signature_by_a_stranger: keys(false).check(&signed()).unwrap_err()
        => "signature-key", "header.signature", "a signature by one of: friend",
        "one by the key 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
    no_signature: keys(true).check(&plain_table()).unwrap_err()
        => "signature-missing", "header.signature", "a signature by one of: friend", "none";

    // 3 structure and limits: offsets and lengths
    offset_overlaps: header(|h| h.offsets[2] = h.offsets[1])
        => "section-offset", "header.offsets[2] (groups)", "768", "704";
    offset_beyond_the_file: header(|h| h.offsets[5] = u64::MAX)
        => "section-offset", "header.offsets[5] (levels)", "1024", "18446744073709551615";
    offset_unaligned: header(|h| h.offsets[0] = 513)
        => "section-offset", "header.offsets[0] (features)", "512", "513";
    length_beyond_the_file: header(|h| h.counts[Section::Provenance as usize] = 65_536)
        => "section-length", "provenance", "an end within 3456 bytes", "68416";
    length_that_would_overflow: header(|h| h.counts[Section::Nodes as usize] = 16_777_216)
        => "section-length", "nodes", "an end within 3456 bytes", "134219648";

    // 3 structure and limits: counts
    more_than_capacity: header(|h| h.counts[0] = 257)
        => "over-capacity", "features", "at most 256", "257";
    count_of_all_ones: header(|h| h.counts[0] = u32::MAX)
        => "over-capacity", "features", "at most 256", "4294967295";
    more_lanes_than_capacity: header(|h| { h.counts[1] = 272; h.lanes_used = 272; })
        => "over-capacity", "lanes", "at most 256", "272";
    more_borders_than_capacity: header(|h| h.counts[3] = 4_081)
        => "over-capacity", "borders", "at most 4080", "4081";
    more_oblivious_trees_than_capacity: header(|h| h.oblivious_trees = 8_193)
        => "over-capacity", "oblivious trees", "at most 8192", "8193";
    more_trees_than_capacity: header(|h| h.counts[9] = 8_191)
        => "over-capacity", "trees", "at most 8192", "8193";
    more_levels_than_capacity: header(|h| h.counts[5] = 17)
        => "over-capacity", "levels", "at most 16", "17";
    more_leaves_than_capacity: header(|h| h.counts[8] = 16_777_217)
        => "over-capacity", "leaves", "at most 16777216", "16777217";
    more_nodes_than_capacity: header(|h| h.counts[10] = 16_777_217)
        => "over-capacity", "nodes", "at most 16777216", "16777217";
    more_golden_rows_than_capacity: header(|h| h.counts[12] = 257)
        => "over-capacity", "golden", "at most 256", "257";
    more_provenance_than_capacity: header(|h| h.counts[13] = 65_537)
        => "over-capacity", "provenance", "at most 65536", "65537";
    more_nodes_in_a_tree_than_capacity: tree(0, |t| t.nodes = 65_536)
        => "over-capacity", "trees[0].nodes", "at most 65535", "65536";
    more_levels_in_a_block_than_capacity: block(|b| b.levels = 17)
        => "over-capacity", "blocks[0].levels", "at most 16", "17";
    lanes_used_disagree: header(|h| h.lanes_used = 17)
        => "count-mismatch", "lanes", "32", "16";
    lanes_used_of_all_ones: header(|h| h.lanes_used = u32::MAX)
        => "count-mismatch", "lanes", "4294967296", "16";
    groups_disagree: header(|h| h.counts[2] = 2) => "count-mismatch", "groups", "1", "2";
    blocks_disagree: header(|h| h.counts[4] = 0) => "count-mismatch", "blocks", "1", "0";
    leaf_starts_disagree: header(|h| h.counts[6] = 63)
        => "count-mismatch", "leaf_starts", "64", "63";
    sources_disagree: header(|h| h.counts[7] = 65) => "count-mismatch", "sources", "64", "65";
    score_map_of_another_length: header(|h| h.counts[11] = 97)
        => "count-mismatch", "score_map", "98", "97";
    groups_overlap: group(|g| g.start = 1)
        => "count-mismatch", "groups[0].start", "0", "1";
    ranks_disagree: group(|g| g.ranks = 3)
        => "count-mismatch", "groups[0].ranks", "2", "3";
    ranks_beyond_the_borders: edited(|t| t.section(Section::Borders, |b| b.truncate(64)))
        => "count-mismatch", "borders", "2", "1";
    a_rank_too_many: edited(|t| t.section(Section::Borders, |b| b.extend([0; 64])))
        => "count-mismatch", "borders", "2", "3";
    blocks_overlap: block(|b| b.start = 1)
        => "count-mismatch", "blocks[0].start", "0", "1";
    levels_beyond_the_section: block(|b| b.levels = 3)
        => "count-mismatch", "levels", "3", "2";
    a_level_too_many: edited(|t| t.section(Section::Levels, |l| l.extend([0; 128])))
        => "count-mismatch", "levels", "2", "3";
    a_level_that_no_tree_has: edited(|t| {
        t.section(Section::Levels, |l| { l.extend([0; 64]); l.extend([NEVER; 64]); });
        t.record(Section::Blocks, 0, |b: &mut BlockRecord| b.levels = 3);
    }) => "count-mismatch", "blocks[0].levels", "2", "3";
    a_leaf_too_many: edited(|t| t.section(Section::Leaves, |l| l.extend([0; 4])))
        => "count-mismatch", "leaves", "7", "8";
    a_node_too_many: edited(|t| t.section(Section::Nodes, |n| n.extend([0; 8])))
        => "count-mismatch", "nodes", "8", "9";
    trees_overlap: tree(1, |t| t.start = 4) => "count-mismatch", "trees[1].start", "5", "4";
    a_tree_beyond_the_nodes: tree(1, |t| t.nodes = 4)
        => "count-mismatch", "trees[1].nodes", "1 to 3 nodes", "4";
    a_tree_without_nodes: tree(1, |t| t.nodes = 0)
        => "count-mismatch", "trees[1].nodes", "1 to 3 nodes", "0";
    no_trees: header(|h| { h.oblivious_trees = 0; h.counts[9] = 0; })
        => "no-trees", "trees", "at least 1", "0";

    // 3 structure and limits: features
    no_features: header(|h| h.counts[0] = 0) => "no-features", "features", "at least 1", "0";
    duplicate_name: edited(|t| {
        t.record(Section::Features, 2, |f: &mut FeatureRecord| f.name[1] = b'0');
        t.fingerprint();
    }) => "feature-duplicate", "features[2]", "a name of its own", "\"f0\" also at features[0]";
    name_without_letters: feature(1, |f| f.name_bytes = 0)
        => "feature-name", "features[1]", "a well-formed name", "a name that is empty";
    name_longer_than_its_field: feature(1, |f| f.name_bytes = 57)
        => "feature-name", "features[1]", "a name of at most 56 bytes", "57";
    name_that_is_not_text: feature(1, |f| f.name[0] = 0xff)
        => "feature-name", "features[1]", "a well-formed name", "a name that is not UTF-8";
    unknown_kind: feature(1, |f| f.kind = 3)
        => "feature-kind", "features[1]", "0, 1 or 2", "3";
    fingerprint_of_another_feature_list: feature(1, |f| f.name[1] = b'9')
        => "fingerprint", "header.fingerprint", "2436b8b5c11f2146", "ce1c03202f3726e4";
    fingerprint_of_another_kind: feature(1, |f| f.kind = 2)
        => "fingerprint", "header.fingerprint", "2436b8b5c11f2146", "d7ff8081007beeb4";

    // 3 structure and limits: lanes, borders, splits
    feature_index_out_of_range: lane(1, |l| l.feature = 3)
        => "feature-index", "lanes[1].feature", "below 3", "3";
    lane_without_borders: lane(2, |l| l.borders = 0)
        => "lane", "lanes[2].borders", "at least 1", "0";
    missing_bin_out_of_range: lane(0, |l| l.missing_bin = 3)
        => "lane", "lanes[0].missing_bin", "at most 2, or 255", "3";
    zero_flag_out_of_range: lane(0, |l| l.zero_is_missing = 2)
        => "lane", "lanes[0].zero_is_missing", "0 or 1", "2";
    nan_border: border(0, 1, f32::NAN)
        => "border-not-finite", "borders[1] of lane 0", "a finite border", "NaN";
    infinite_border: border(1, 0, f32::INFINITY)
        => "border-not-finite", "borders[0] of lane 1", "a finite border", "inf";
    border_at_minus_infinity: border(0, 0, f32::NEG_INFINITY)
        => "border-not-finite", "borders[0] of lane 0", "a finite border", "-inf";
    borders_that_descend: border(0, 1, 0.5)
        => "border-order", "borders[1] of lane 0", "more than 1", "0.5";
    borders_that_are_equal: border(0, 1, 1.0)
        => "border-order", "borders[1] of lane 0", "more than 1", "1";
    lane_index_out_of_range: level(0, |l| l.lanes[0] = 3)
        => "lane-index", "level 0 of oblivious tree 0", "a lane below 3", "3";
    lane_index_out_of_range_in_a_node: node(0, |n| n.lane = 255)
        => "lane-index", "node 0 of tree 0", "a lane below 3", "255";
    threshold_out_of_range: level(0, |l| l.thresholds[1] = 2)
        => "threshold", "level 0 of oblivious tree 1", "a threshold below 2", "2";
    threshold_out_of_range_in_a_node: node(5, |n| n.threshold = 1)
        => "threshold", "node 0 of tree 1", "a threshold below 1", "1";
    padding_lane: lane(15, |l| l.feature = 1)
        => "padding", "lanes[15]", "zero",
        "LaneRecord { feature: 1, borders: 0, missing_bin: 0, zero_is_missing: 0 }";
    padding_border: border(1, 1, 5.0)
        => "padding", "borders[1] of lane 1", "infinity", "5";
    padding_border_of_no_lane: border(15, 0, f32::NAN)
        => "padding", "borders[0] of lane 15", "infinity", "NaN";
    padding_level_lane: level(1, |l| l.lanes[63] = 1)
        => "padding", "level 1 of oblivious tree 63", "lane 0", "1";
    padding_above_a_level: level(0, |l| l.thresholds[0] = NEVER)
        => "padding", "level 1 of oblivious tree 0", "no split", "a split";
    padding_source: edited(|t| t.record(Section::Sources, 63, |s: &mut u32| *s = 2))
        => "padding", "sources[63]", "source 4294967295, leaves [0]", "source 2, leaves [0]";
    padding_leaf: edited(|t| t.record(Section::Leaves, 6, |l: &mut i32| *l = 7))
        => "padding", "sources[2]", "source 4294967295, leaves [0]",
        "source 4294967295, leaves [7]";

    // 3 structure and limits: leaves and trees
    leaf_index_out_of_range: leaf_start(1, 7)
        => "leaf-index", "leaf_starts[1]", "4", "7";
    leaf_index_shared: leaf_start(1, 0)
        => "leaf-index", "leaf_starts[1]", "4", "0";
    leaf_index_of_all_ones: leaf_start(63, u32::MAX)
        => "leaf-index", "leaf_starts[63]", "6", "4294967295";
    leaves_beyond_the_section: edited(|t| t.section(Section::Leaves, |l| l.truncate(20)))
        => "leaf-index", "leaf_starts[1]", "leaves within 5", "6";
    child_index_out_of_range: node(0, |n| n.child = 4)
        => "child-index", "node 0 of tree 0", "children below 5", "4";
    child_index_of_all_ones: node(2, |n| n.child = u16::MAX)
        => "child-index", "node 2 of tree 0", "children below 5", "65535";
    leaf_that_is_not_its_own_child: node(1, |n| n.child = 0)
        => "child-index", "node 1 of tree 0", "itself, as a leaf", "0";
    cycle: node(2, |n| n.child = 0) => "cycle", "node 2 of tree 0", "the children 3", "0";
    cycle_of_one: node(2, |n| n.child = 2) => "cycle", "node 2 of tree 0", "the children 3", "2";
    two_parents: node(2, |n| n.child = 1) => "cycle", "node 2 of tree 0", "the children 3", "1";
    no_parent: node(2, |n| *n = NodeRecord { threshold: NEVER, child: 2, ..NodeRecord::zeroed() })
        => "cycle", "node 3 of tree 0", "a parent before it", "none";
    too_deep: chain_of(256) => "too-deep", "trees[2].depth", "256, at most 255", "256";
    deeper_than_it_says: tree(0, |t| t.depth = 1)
        => "too-deep", "trees[0].depth", "2, at most 255", "1";
    deeper_than_allowed: tree(0, |t| t.depth = u32::MAX)
        => "too-deep", "trees[0].depth", "2, at most 255", "4294967295";
    deeper_than_the_tree_before: chain_of(3)
        => "tree-order", "trees[2].depth", "at most 1, as the tree before it", "3";
    deeper_than_the_oblivious_tree_before: level(0, |l| {
        l.thresholds[1] = NEVER;
        l.lanes[1] = 0;
        l.thresholds[2] = 0;
    }) => "tree-order", "depth of oblivious tree 2", "at most 0, as the tree before it", "1";
    source_out_of_range: tree(0, |t| t.source = 4)
        => "tree-order", "trees[0].source", "a position below 4 of its own", "4";
    source_taken: tree(1, |t| t.source = 0)
        => "tree-order", "trees[1].source", "a position below 4 of its own", "0";
    level_twice_in_the_source: order(0, 0x11)
        => "tree-order", "orders[0]", "the levels below 2, each once, then zeros",
        "0x0000000000000011";
    level_not_in_the_source: order(0, 0x20)
        => "tree-order", "orders[0]", "the levels below 2, each once, then zeros",
        "0x0000000000000020";
    order_beyond_the_depth: order(0, 0x110)
        => "tree-order", "orders[0]", "the levels below 2, each once, then zeros",
        "0x0000000000000110";
    order_of_padding: order(63, 1)
        => "tree-order", "orders[63]", "the levels below 0, each once, then zeros",
        "0x0000000000000001";
    too_few_orders: edited(|t| t.section(Section::Orders, |o| o.truncate(63 * 8)))
        => "count-mismatch", "orders", "64", "63";
    source_of_padding_in_use: edited(|t| t.record(Section::Sources, 1, |s: &mut u32| *s = u32::MAX))
        => "tree-order", "sources[1]", "a position below 4 of its own", "4294967295";

    // 3 structure and limits: sets and marks
    set_out_of_range: special_node(3, |n| n.value = 3)
        => "set", "node 0 of tree 1", "a set below 2", "2";
    set_of_all_ones: special_node(3, |n| n.value = i32::MAX)
        => "set", "node 0 of tree 1", "a set below 2", "2147483646";
    set_named_too_soon: special_node(3, |n| n.value = 2)
        => "set", "node 0 of tree 1", "set 0, the next one", "1";
    set_that_no_node_names: special(|t| t.section(Section::Sets, |s| s.extend([0; 32])))
        => "count-mismatch", "sets", "2", "3";
    too_many_sets: special(|t| t.header(|h| h.counts[14] = 65_537))
        => "over-capacity", "sets", "at most 65536", "65537";
    set_that_stands_twice: set([6, 0, 0, 1 << 63])
        => "set", "node 0 of tree 2", "a set of its own", "set 1, there before";
    set_with_a_bin_too_many: set([0b11010, 0, 0, 0])
        => "set", "node 0 of tree 2", "bins up to 3", "set 1 with others";
    set_with_a_bin_for_what_is_missing: set([0b1010, 0, 0, 1 << 63])
        => "set", "node 0 of tree 2", "bins up to 3", "set 1 with others";
    set_that_is_a_threshold: set([0b1100, 0, 0, 0])
        => "set", "node 0 of tree 2", "a set that no threshold says", "set 1";
    set_of_what_is_missing: special(|t| {
        t.record(Section::Sets, 0, |set: &mut [u64; 4]| *set = [0, 0, 0, 1 << 63]);
    }) => "set", "node 0 of tree 1", "a set that no threshold says", "set 0";
    set_that_is_a_marked_threshold: special(|t| {
        t.record(Section::Sets, 0, |set: &mut [u64; 4]| *set = [0b1000, 0, 0, 0]);
    }) => "set", "node 0 of tree 1", "a set that no threshold says", "set 0";
    set_with_a_threshold: special_node(3, |n| n.threshold = 1)
        => "set", "node 0 of tree 1", "threshold 0 with a set", "1";
    mark_without_a_bin_for_missing_values: special_node(10, |n| n.value = -1)
        => "missing-mark", "node 0 of tree 2",
        "no mark in a lane without a bin for missing values", "-1";
    mark_of_another_number: special_node(5, |n| n.value = -2)
        => "missing-mark", "node 2 of tree 1", "at least -1", "-2";
    mark_on_what_only_missing_values_pass: special_node(4, |n| n.value = -1)
        => "threshold", "node 1 of tree 1", "a threshold below 3", "3";
    missing_only_without_a_bin_for_it: special_node(10, |n| (n.threshold, n.value) = (3, 0))
        => "threshold", "node 0 of tree 2", "a threshold below 3", "3";
    plain_tree_behind_a_special_one: special(|t| {
        for node in [10, 12] {
            t.record(Section::Nodes, node, |n: &mut NodeRecord| n.value = 0);
        }
    }) => "tree-order", "trees[2].nodes", "a mark or a set, as in the tree before it", "none";

    // 3 structure and limits: margins, scores, golden rows, provenance
    binary_point_out_of_range: header(|h| h.margin_shift = 63)
        => "margin-shift", "header.margin_shift", "at most 62", "63";
    bias_that_would_overflow: header(|h| h.bias = i64::MAX)
        => "margin-range", "header.bias", MAGNITUDE, "9223372036854775807";
    bias_at_the_other_end: header(|h| h.bias = i64::MIN)
        => "margin-range", "header.bias", MAGNITUDE, "-9223372036854775808";
    sum_out_of_range: header(|h| h.bias = 1 << 53)
        => "margin-range", "attainable margins", MAGNITUDE, "9007202207531008";
    smallest_margin_wrong: header(|h| h.margin_min -= 1)
        => "margin-range", "header.margin_min", "-1744830464", "-1744830465";
    largest_margin_wrong: header(|h| h.margin_max += 1)
        => "margin-range", "header.margin_max", "3221225472", "3221225473";
    leaf_above_the_largest_margin: node(4, |n| n.value = i32::MAX)
        => "margin-range", "header.margin_max", "4563402751", "3221225472";
    score_map_descends: edited(|t| t.swap::<i64>(Section::ScoreMap, 48, 49))
        => "score-map", "score_map[49]", "21475552 to 9007199254740992", "-21475552";
    score_map_out_of_range: edited(|t| t.record(Section::ScoreMap, 97, |m: &mut i64| *m = i64::MAX))
        => "score-map", "score_map[97]", "3933719364 to 9007199254740992", "9223372036854775807";
    golden_margin_out_of_range: edited(|t| {
        t.record(Section::Golden, 0, |m: &mut i64| *m = i64::MIN);
    })
        => "golden-margin", "golden[0]", "a margin of -1744830464 to 3221225472",
        "-9223372036854775808";
    provenance_that_is_not_text: edited(|t| {
        t.record(Section::Provenance, 2, |b: &mut u8| *b = 0xff);
    })
        => "provenance", "provenance", "UTF-8 text",
        "invalid utf-8 sequence of 1 bytes from index 2";

    // 4 schema
    unknown_name: bind(&[("f0", FeatureKind::Number), ("f2", FeatureKind::Category)])
        => "feature-unknown", "features[1]", "one of the host's 2 features", "\"f1\"";
    other_kind: bind(&[
        ("f2", FeatureKind::Category),
        ("f1", FeatureKind::Number),
        ("f0", FeatureKind::Number),
    ])
        => "feature-kind-mismatch", "features[1]", "number", "\"f1\" as flag";

    // 5 golden rows and kernel
    golden_row_of_another_margin: golden_margin_of_a_wrong_walk()
        => "golden", "golden[0] alone on ", "1", "2550136832";
}

#[test]
fn unknown_kernel() {
    let table = Table::from_bytes(&plain_table()).expect("a table");
    let refused =
        PreparedTable::with_kernel(table, &schema(&plain()), "abacus").expect_err("a refusal");
    assert_eq!(refused.name(), "kernel");
    assert_eq!((refused.at(), refused.got()), ("kernel", "abacus"));
    assert!(refused.expected().starts_with("one of "), "{refused:?}");
    assert!(refused.expected().contains("portable"), "{refused:?}");
}

/// The gate holds the length against the capacity too: it may be asked without a seal.
#[test]
fn over_capacity_without_a_seal() {
    let mut table = Edit::new(&plain_table());
    let len = hedgerow::limits::TABLE_BYTES_MAX + 64;
    table.bytes.resize(len, 0);
    table.header(|header| header.file_bytes = len as u64);
    let refused = hedgerow::table::validate::validate(&table.bytes).expect_err("a refusal");
    assert_eq!(refused.name(), "too-large");
    let said = (refused.at(), refused.expected(), refused.got());
    assert_eq!(said, ("file", "at most 134217728 bytes", "134217792 bytes"));
}

/// A file of the system says 4,096 bytes and holds fewer: it changes while it is read, so to speak.
#[test]
fn file_that_changes_its_length() {
    let path = "/sys/devices/system/cpu/online";
    if !std::path::Path::new(path).is_file() {
        eprintln!("{path} is not here: skipped");
        return;
    }
    let refused = Table::open(path).expect_err("a refusal");
    assert_eq!(refused.name(), "changing");
    assert_eq!((refused.at(), refused.expected()), (path, "4096 bytes"));
    assert!(
        refused.got().parse::<usize>().is_ok_and(|got| got < 4096),
        "{refused:?}"
    );
}

/// Where the process has no descriptor left, there is no memory file to seal. Runs in a process of
/// its own, because it takes them all.
#[test]
fn no_descriptor_left_to_seal_with() {
    const CHILD: &str = "HEDGEROW_TEST_NO_DESCRIPTOR";
    if std::env::var_os(CHILD).is_none() {
        let name = "no_descriptor_left_to_seal_with";
        let exe = std::env::current_exe().expect("this test");
        let status = std::process::Command::new("sh")
            .args(["-c", r#"ulimit -n 64 && exec "$0" --exact "$1""#])
            .arg(exe)
            .arg(name)
            .env(CHILD, "1")
            .status();
        assert!(status.expect("a shell").success());
        return;
    }
    let mut held = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        held.push(file);
    }
    let refused = open(&plain_table());
    drop(held);
    assert_eq!(refused.name(), "seal");
    assert_eq!(refused.at(), "bytes");
    assert_eq!(refused.expected(), "memory that can be sealed and mapped");
    assert!(refused.got().contains("os error 24"), "{refused:?}");
}

/// Refusals that have a test of their own above, because what they say is this machine's.
const OWN_TESTS: [&str; 3] = ["changing", "kernel", "seal"];

/// Refusals of detections and verified bots: `gate_refusals_beside.rs` makes each.
const BESIDE: [&str; 8] = [
    "detection-id",
    "detection-name",
    "detection",
    "condition",
    "bot-name",
    "bot",
    "bot-index",
    "bot-range",
];

#[test]
fn every_refusal_is_covered() {
    let beside = include_str!("gate_refusals_beside.rs");
    for name in BESIDE {
        assert!(
            beside.contains(&format!("\"{name}\"")),
            "{name} is not made"
        );
    }
    let covered: Vec<_> = CASES
        .iter()
        .map(|case| case.name)
        .chain(OWN_TESTS)
        .chain(BESIDE)
        .collect();
    // From 600 on, kinds belong to other artefacts than tables.
    let tables = RefusalKind::ALL.iter().filter(|kind| kind.code() < 600);
    let names: Vec<_> = tables.map(|kind| kind.name()).collect();
    for name in &names {
        assert!(covered.contains(name), "nothing is refused with {name}");
    }
    for name in covered {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn the_special_table_is_a_good_one() {
    let table = Table::from_bytes(&special_table()).expect("a table");
    PreparedTable::new(table, &schema(&tables::special())).expect("a prepared table");
}

#[test]
fn the_table_that_all_this_is_made_from_is_a_good_one() {
    let bytes = Edit::new(&plain_table()).finish();
    assert_eq!(bytes, plain_table());
    let table = Table::from_bytes(&bytes).expect("a table");
    PreparedTable::new(table, &schema(&plain())).expect("a prepared table");
}
