//! Pins the capacities: a change of one is a decision, not an accident.

use hedgerow::limits::LIMITS;

const SNAPSHOT: &str = "\
features 256 features a table
feature_name_bytes 56 bytes a name
lane_borders 255 borders a lane
borders 65280 borders a table
trees 8192 trees a table
oblivious_depth 16 levels a tree
tree_nodes 65535 nodes a tree
tree_depth 255 levels a tree
steps 262144 levels a table
leaves 16777216 leaves a table
sets 65536 sets a table
table_bytes 134217728 bytes a file
score_map 98 margins a table
golden_rows 256 rows a table
provenance_bytes 65536 bytes a table
detections 64 detections a table
detection_conditions 8 conditions a detection
conditions 512 conditions a table
detection_name_bytes 40 bytes a name
bots 1024 verified bots a table
bot_ranges 16384 address ranges a table
bot_name_bytes 56 bytes a name
bot_agent_bytes 32 bytes a token
agent_bytes 512 bytes searched
detection_counters 256 counters an engine
catalogs 8 generations an engine
margin_shift 62 bits
margin 9007199254740992 fixed-point units
readers 1024 slots an engine
retired 64 tables an engine
ring 65536 requests a worker
batch_rows 64 rows a batch
reservoir_rows 256 rows a scorer
reservoir_every 64 rows a kept one
drift_rows 4096 rows a comparison
shadows 3 tables a directory
headers_scanned 128 headers a request
value_scanned 1024 bytes a header's value
target_scanned 1024 bytes a target
tls_list 256 values a list of a ClientHello
traffic_clients 65536 clients a core
traffic_idle 60 seconds
";

#[test]
fn capacities_are_the_pinned_ones() {
    let line =
        |limit: &hedgerow::limits::Limit| format!("{} {} {}\n", limit.name, limit.max, limit.unit);
    let now: String = LIMITS.iter().map(line).collect();
    assert_eq!(
        now, SNAPSHOT,
        "a capacity changed: say why in limits.rs, then pin it here"
    );
}

/// The layout of a table is pinned with them: format version 1 stays what it is.
#[test]
fn record_sizes_are_the_pinned_ones() {
    let sizes: String = hedgerow::table::format::SECTIONS
        .iter()
        .map(|section| format!("{} {}\n", section.name, section.record_bytes))
        .collect();
    let pinned = "\
features 64
lanes 4
groups 8
borders 64
blocks 8
levels 128
leaf_starts 4
sources 4
leaves 4
trees 16
nodes 8
score_map 8
golden 8
provenance 1
sets 32
orders 8
detections 64
conditions 8
bots 128
bot_ranges 40
";
    assert_eq!(sizes, pinned);
}
