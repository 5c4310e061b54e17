//! What detections and verified bots cost: matching alone, a whole score with and without them, and
//! the lookup of an address among more and more ranges.
//!
//! `cargo bench --bench detections`. All take turns in short slices, and the shortest of each
//! counts, so that what else the machine does hits all alike.

#[path = "../tests/common/requests.rs"]
mod requests;

use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};
use hedgerow::table::bots::{AddressRange, Bot, Category};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::{Client, Engine, PreparedTable, Row, Schema, Table, Verdict};
use requests::{requests, rows};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// 64 oblivious trees of depth 6 over the built-in schema: little beside the detections.
fn ensemble() -> Ensemble {
    let features = Schema::http().features().to_vec();
    let split = |tree: usize, level: usize| Split {
        feature: ((tree * 7 + level * 5) % features.len()) as u16,
        test: Test::Above(0.5),
        missing: Missing::Left,
        zero_is_missing: false,
    };
    let tree = |tree: usize| Tree::Oblivious {
        splits: (0..6).map(|level| split(tree, level)).collect(),
        leaves: (0..64)
            .map(|leaf| (leaf * (tree % 9)) as f64 * 1e-3)
            .collect(),
        weights: Vec::new(),
    };
    let trees = (0..64).map(tree).collect();
    Ensemble {
        features,
        trees,
        bias: 0.0,
    }
}

/// So many detections of so many conditions, the first of which rarely holds, or always.
fn detections(count: u32, conditions: usize, rare: bool) -> Vec<Detection> {
    let features = Schema::http().features().len();
    let condition = |at: u32, place: usize| Condition {
        feature: FeatureRef::Index(((at as usize * 5 + place * 11) % features) as u16),
        test: match (rare, place) {
            (true, 0) => ConditionTest::Above(3.5),
            _ => ConditionTest::AtMost(1e9),
        },
    };
    let detection = |at: u32| Detection {
        id: at,
        name: at.to_string(),
        score: 1,
        active: at.is_multiple_of(2),
        conditions: (0..conditions).map(|place| condition(at, place)).collect(),
    };
    (0..count).map(detection).collect()
}

fn bots(ranges: u32) -> Vec<Bot> {
    let range = |at: u32| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(at * 4096 + 256));
        AddressRange::new(address, address).expect("one address")
    };
    vec![Bot {
        name: "Bench".into(),
        category: Category::Monitor,
        agent: None,
        ranges: (0..ranges).map(range).collect(),
    }]
}

fn table(detections: Vec<Detection>, bots: Vec<Bot>) -> Table {
    let options = BuildOptions {
        detections,
        bots,
        ..BuildOptions::default()
    };
    let built = build(&ensemble(), &options).expect("a table");
    Table::from_bytes(&built.bytes).expect("a good table")
}

/// Something that is measured: its name, and one pass over the rows, which counts for its check.
type Case<'a> = (String, Box<dyn FnMut(&[Row]) -> u64 + 'a>);

fn cases() -> Vec<Case<'static>> {
    let mut cases: Vec<Case<'static>> = Vec::new();
    for (count, conditions, rare) in [
        (0, 1, true),
        (8, 3, true),
        (64, 3, true),
        (8, 3, false),
        (64, 3, false),
        (64, 8, false),
    ] {
        let how = if rare {
            "first condition rare"
        } else {
            "every condition tested"
        };
        let name = format!("{count} of {conditions}, {how}");
        let engine = Engine::new(Schema::http());
        let table = || table(detections(count, conditions, rare), Vec::new());
        let prepared = PreparedTable::new(table(), engine.schema()).expect("a prepared table");
        let matched = move |rows: &[Row]| {
            let count = |row| u64::from(prepared.matches(black_box(row)).count());
            rows.iter().map(count).sum()
        };
        cases.push((format!("matches: {name}"), Box::new(matched)));
        engine.publish(table()).expect("a good table");
        let mut scorer = engine.scorer().expect("a slot");
        let scored = move |rows: &[Row]| {
            let score = |row| u64::from(scorer.score(black_box(row)).score().is_some());
            rows.iter().map(score).sum()
        };
        cases.push((format!("score: {name}"), Box::new(scored)));
    }
    for ranges in [0, 1, 64, 2_048, 16_384] {
        let prepared = PreparedTable::new(table(Vec::new(), bots(ranges)), &Schema::http());
        let prepared = prepared.expect("a prepared table");
        let mut at = 1u32;
        let found = move |rows: &[Row]| {
            let mut found = 0;
            for _ in rows {
                // An address anywhere among the ranges, another each time.
                at = at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let address = Ipv4Addr::from_bits((at >> 8) % (ranges.max(1) * 4096));
                let client = Client::new(IpAddr::V4(address), b"");
                found += u64::from(prepared.verified(black_box(&client), 1).is_some());
            }
            found
        };
        cases.push((format!("address among {ranges} ranges"), Box::new(found)));
    }
    cases
}

fn main() {
    // `cargo test --benches` runs this without `--bench`: small, for the checks alone.
    let small = !std::env::args().any(|arg| arg == "--bench");
    let rows = rows(&requests());
    let rows = rows.get(..512).unwrap_or(&rows);
    let mut cases = cases();
    let mut best = vec![f64::INFINITY; cases.len()];
    for round in 0..if small { 2 } else { 300 } {
        for ((name, pass), best) in cases.iter_mut().zip(&mut best) {
            let start = Instant::now();
            let counted = black_box(pass(black_box(rows)));
            let nanos = start.elapsed().as_nanos() as f64 / rows.len() as f64;
            *best = best.min(nanos);
            let expected = name.starts_with("score").then_some(rows.len() as u64);
            assert!(
                expected.is_none_or(|all| all == counted),
                "{name}: {counted}"
            );
            let all = name.starts_with("matches: 64 of 3, every");
            // Values that are missing hold no condition.
            assert!(!all || counted > 0, "{name} in round {round}");
        }
    }
    println!("| case | ns |\n|---|---|");
    for ((name, _), best) in cases.iter().zip(best) {
        println!("| {name} | {best:.1} |");
    }
    let engine = Engine::new(Schema::http());
    engine
        .publish(table(detections(64, 3, true), bots(64)))
        .expect("a good table");
    let client = Client::new(IpAddr::V4(Ipv4Addr::from_bits(256)), b"");
    let verdict = engine
        .scorer()
        .expect("a slot")
        .score_client(&rows[0], &client);
    assert!(matches!(verdict, Verdict::VerifiedBot(_)), "{verdict:?}");
}
