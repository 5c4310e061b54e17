//! The artefacts of past outages, by name, and damage at every byte.

mod common;
#[path = "gate/edit.rs"]
mod edit;
#[path = "gate/oracle.rs"]
mod oracle;
#[path = "gate/tables.rs"]
mod tables;

use common::{Random, oblivious_ensemble, random_row};
use edit::{Aligned, Edit};
use hedgerow::model::{BuildError, BuildOptions, Ensemble, build};
use hedgerow::table::format::{HEADER_BYTES, Section};
use hedgerow::table::validate::validate;
use hedgerow::{Engine, PreparedTable, PublishError, Refusal, Row, SchemaError, Table};
use tables::{mixed, plain, plain_table, schema, small_tables, table, with_golden};

fn refused(bytes: &[u8]) -> Refusal {
    Table::from_bytes(bytes).expect_err("a refusal")
}

/// A table over 60 features, as many as were in use on the day.
fn sixty() -> (Ensemble, Vec<u8>) {
    let mut ensemble = mixed(60, 30);
    for (index, feature) in ensemble.features.iter_mut().enumerate() {
        feature.name = format!("feature_{index:02}");
    }
    let bytes = table(&ensemble, &with_golden(&ensemble, 5));
    (ensemble, bytes)
}

/// Doubles the list once and again; checks that nothing but the names gave it away: with names of
/// their own the same bytes are a good table.
fn doubled(times: usize) -> Refusal {
    let (ensemble, bytes) = sixty();
    let (mut same, mut other) = (Edit::new(&bytes), Edit::new(&bytes));
    for suffix in ["_r0", "_r1", "_r2"].iter().take(times) {
        same.double_features("");
        other.double_features(suffix);
    }
    let table = Table::from_bytes(&other.finish()).expect("a table with distinct names");
    assert_eq!(table.features().len(), ensemble.features.len() << times);
    let schema = hedgerow::Schema::new(table.features()).expect("a schema");
    PreparedTable::new(table, &schema).expect("a table whose golden rows come out");
    refused(&same.finish())
}

#[test]
fn doubled_60_to_120_under_the_cap() {
    let refused = doubled(1);
    assert_eq!(refused.name(), "feature-duplicate");
    assert_eq!(refused.at(), "features[60]");
    assert_eq!(refused.got(), "\"feature_00\" also at features[0]");
}

#[test]
fn doubled_60_to_240_under_the_cap() {
    let refused = doubled(2);
    assert_eq!(refused.name(), "feature-duplicate");
    assert_eq!(refused.at(), "features[60]");
}

#[test]
fn doubled_lists_are_refused_by_the_writer_too() {
    let mut ensemble = sixty().0;
    for times in 1..=3 {
        ensemble.features.extend(ensemble.features.clone());
        let error = build(&ensemble, &BuildOptions::default()).expect_err("a refusal");
        let BuildError::Features(SchemaError::Duplicate {
            first,
            second,
            duplicates,
            ..
        }) = error
        else {
            panic!("{error}");
        };
        assert_eq!((first, second, duplicates), (0, 60, (60 << times) - 60));
        assert!(hedgerow::Schema::new(ensemble.features.clone()).is_err());
    }
}

#[test]
fn more_than_the_cap() {
    let ensemble = mixed(256, 30);
    let bytes = table(&ensemble, &with_golden(&ensemble, 2));
    Table::from_bytes(&bytes).expect("as many as the capacity");
    let mut twice = Edit::new(&bytes);
    twice.double_features("_r0");
    let error = refused(&twice.finish());
    assert_eq!(error.name(), "over-capacity");
    assert_eq!((error.expected(), error.got()), ("at most 256", "512"));
    let mut one_more = Edit::new(&bytes);
    one_more.section(Section::Golden, Vec::clear);
    one_more.section(Section::Features, |features| {
        let mut last = features[255 * 64..].to_vec();
        last[0] = b'g';
        features.extend(last);
    });
    one_more.fingerprint();
    let error = refused(&one_more.finish());
    assert_eq!(error.name(), "over-capacity");
    assert_eq!((error.expected(), error.got()), ("at most 256", "257"));
    let named = Ensemble {
        features: common::named(257),
        ..ensemble
    };
    let error = build(&named, &BuildOptions::default()).expect_err("a refusal");
    assert_eq!(
        error,
        BuildError::Features(SchemaError::TooMany { got: 257 })
    );
}

/// One tick of whoever publishes: open, then publish.
fn tick(engine: &Engine, bytes: &[u8]) -> Result<u64, PublishError> {
    engine.publish(Table::from_bytes(bytes)?)
}

#[test]
fn good_and_bad_alternating_at_every_tick() {
    let (ensemble, good) = sixty();
    let engine = Engine::new(schema(&ensemble));
    let mut scorer = engine.scorer().expect("a slot");
    let mut random = Random::new(9);
    let rows: Vec<_> = (0..20)
        .map(|_| random_row(&ensemble, &mut random))
        .collect();
    let oracle = oracle::Oracle::new(&good);
    let expected: Vec<_> = rows
        .iter()
        .map(|row| oracle.score(oracle.margin(row)))
        .collect();
    let mut duplicate = Edit::new(&good);
    duplicate.double_features("");
    let mut golden = Edit::new(&good);
    golden.record(Section::Golden, 0, |margin: &mut i64| *margin ^= 1);
    let bad = [
        (duplicate.finish(), "feature-duplicate"),
        (golden.finish(), "golden"),
        (plain_table(), "feature-unknown"),
        (good[..good.len() / 2].to_vec(), "truncated"),
        (vec![0; good.len()], "magic"),
        (vec![], "empty"),
    ];
    let mut scores = |generation: u64| {
        for (row, expected) in rows.iter().zip(&expected) {
            let verdict = scorer.score(&Row::from_slice(row));
            assert_eq!(verdict.generation(), generation);
            match verdict.score() {
                Some(score) => assert_eq!(score.get(), *expected),
                None => assert_eq!(generation, 0, "{verdict:?}"),
            }
        }
    };
    scores(0);
    for (round, (bad, name)) in bad.iter().cycle().take(50).enumerate() {
        let before = round as u64;
        for _ in 0..2 {
            let Err(PublishError::Refused(refused)) = tick(&engine, bad) else {
                panic!("{name} was published");
            };
            assert_eq!(refused.name(), *name);
            scores(before);
        }
        assert_eq!(tick(&engine, &good), Ok(before + 1));
        scores(before + 1);
    }
}

#[test]
fn empty() {
    assert_eq!(refused(&[]).name(), "empty");
}

#[test]
fn all_zero() {
    for len in [1, 7, 8, 64, 511, 512, 513, 4096, 1 << 20] {
        assert_eq!(refused(&vec![0; len]).name(), "magic", "{len} bytes");
    }
    // Everything but the magic, with the right length and hash.
    let mut bytes = vec![0; 4096];
    bytes[..8].copy_from_slice(&hedgerow::table::format::MAGIC);
    let mut zeros = Edit::new(&bytes);
    assert_eq!(refused(&zeros.clone().finish()).name(), "endianness");
    zeros.header(|header| {
        header.byte_order = 0x0102_0304;
        header.format_version = 1;
        header.file_bytes = 4096;
    });
    assert_eq!(refused(&zeros.finish()).name(), "no-features");
}

#[test]
fn one_byte_too_long() {
    for (name, _, bytes) in small_tables() {
        for extra in [0u8, 1, 0xff] {
            let long = [bytes.as_slice(), &[extra]].concat();
            assert_eq!(refused(&long).name(), "trailing-bytes", "{name}");
            let mut known = Edit::new(&long);
            known.header(|header| header.file_bytes += 1);
            assert_eq!(refused(&known.finish()).name(), "trailing-bytes", "{name}");
        }
    }
}

/// The tables to damage, by name: the small ones, and the bundled one where it is there.
fn tables() -> Vec<(String, Vec<u8>)> {
    let small = small_tables().into_iter();
    let mut all: Vec<_> = small
        .map(|(name, _, bytes)| (name.to_string(), bytes))
        .collect();
    all.push((
        "data/default.hedge".into(),
        hedgerow::DEFAULT_TABLE.to_vec(),
    ));
    all
}

/// Below this a damaged table goes through the whole of `Table::from_bytes`, above it to the gate
/// alone, without a sealed copy each.
const SMALL: usize = 64 * 1024;

#[test]
fn truncated_at_every_byte() {
    for (name, bytes) in tables() {
        let aligned = Aligned::of(&bytes);
        for len in 0..bytes.len() {
            let (got, expected) = match bytes.len() <= SMALL || len == 0 {
                true => (
                    refused(&bytes[..len]),
                    if len == 0 { "empty" } else { "truncated" },
                ),
                false => {
                    let refused = validate(&aligned.bytes()[..len]);
                    (refused.expect_err("a refusal"), "truncated")
                }
            };
            assert_eq!(got.name(), expected, "{name} at {len}");
        }
    }
}

/// Whoever truncates and then writes length and hash anew does not get through either.
#[test]
fn truncated_at_every_byte_with_length_and_hash_to_match() {
    let mut codes = std::collections::BTreeMap::<_, u32>::new();
    for (name, bytes) in tables() {
        // The hash of every beginning of a large file is a quadratic amount of work: every 61st.
        let step = if bytes.len() <= SMALL { 1 } else { 61 };
        for len in (HEADER_BYTES..bytes.len()).step_by(step) {
            let mut short = Edit::new(&bytes[..len]);
            short.header(|header| header.file_bytes = len as u64);
            let refused = match validate(Aligned::of(&short.finish()).bytes()) {
                Ok(_) => panic!("{name} is good at {len} of {} bytes", bytes.len()),
                Err(refused) => refused,
            };
            *codes.entry(refused.name().to_string()).or_default() += 1;
        }
    }
    println!("{codes:?}");
    assert!(
        codes.keys().all(|code| *code == "section-length"),
        "{codes:?}"
    );
}

/// What is refused where a byte is wrong, by its place in the file.
fn expected_at(place: usize) -> &'static [&'static str] {
    match place {
        0..8 => &["magic"],
        8..12 => &["endianness"],
        12..16 => &["format-version"],
        16..24 => &["truncated", "trailing-bytes"],
        416..512 => &["signature"],
        _ => &["content-hash"],
    }
}

#[test]
fn every_single_byte_flipped() {
    for (name, bytes) in tables() {
        let mut damaged = Aligned::of(&bytes);
        let mut flip = |at: usize, mask: u8, seal: bool| {
            damaged.bytes_mut()[at] ^= mask;
            let refused = match seal {
                true => Table::from_bytes(damaged.bytes()).err(),
                false => validate(damaged.bytes()).err(),
            };
            let refused = refused.unwrap_or_else(|| panic!("{name} is good with {mask} at {at}"));
            assert!(
                expected_at(at).contains(&refused.name()),
                "{name} at {at}: {refused}"
            );
            damaged.bytes_mut()[at] ^= mask;
        };
        for at in 0..bytes.len() {
            flip(at, 0xff, bytes.len() <= SMALL);
            if bytes.len() <= SMALL {
                (0..8).for_each(|bit| flip(at, 1 << bit, false));
            }
        }
        assert!(damaged.bytes() == bytes);
    }
}

/// With the hash written anew, a flipped byte is either refused by what is wrong, or makes a table
/// that is good and scores as its bytes say.
#[test]
fn every_single_byte_flipped_with_the_hash_to_match() {
    let (mut accepted, mut codes) = (0u32, std::collections::BTreeMap::<_, u32>::new());
    for (name, ensemble, bytes) in small_tables() {
        let mut random = Random::new(3);
        let rows: Vec<_> = (0..4).map(|_| random_row(&ensemble, &mut random)).collect();
        for at in 0..bytes.len() {
            let mut flipped = Edit::new(&bytes);
            flipped.bytes[at] ^= 0xff;
            let flipped = flipped.finish();
            match validate(Aligned::of(&flipped).bytes()) {
                Err(refused) => *codes.entry(refused.name().to_string()).or_default() += 1,
                Ok(_) => {
                    accepted += 1;
                    let table = Table::from_bytes(&flipped).expect("a good table");
                    let own = hedgerow::Schema::new(table.features()).expect("a schema");
                    let Ok(prepared) = PreparedTable::new(table, &own) else {
                        continue;
                    };
                    for row in &rows {
                        let margin = prepared.margin(&prepared.row(row));
                        let expected = oracle::Oracle::new(&flipped).margin(row);
                        assert_eq!(margin, expected, "{name} with {at} flipped");
                    }
                }
            }
        }
    }
    println!("{accepted} accepted, refused: {codes:?}");
    assert!(
        codes.len() > 15 && !codes.contains_key("content-hash"),
        "{codes:?}"
    );
}

/// The arithmetic of the capacities: as many lanes, trees and borders as there may be are good.
#[test]
fn full_tables_are_good() {
    let ensemble = oblivious_ensemble(256, 8192, 1, 17);
    let options = BuildOptions::default();
    match build(&ensemble, &options) {
        Ok(built) => {
            let table = Table::from_bytes(&built.bytes).expect("a good table");
            assert_eq!(table.tree_count(), 8192);
        }
        // Three missing directions, two ways of zero: more lanes than there may be.
        Err(BuildError::OverCapacity { what, .. }) => assert!(what.starts_with("lanes"), "{what}"),
        Err(other) => panic!("{other}"),
    }
    let mut ensemble = plain();
    ensemble.trees = ensemble.trees.iter().cycle().take(8192).cloned().collect();
    let table = Table::from_bytes(&table(&ensemble, &options)).expect("a good table");
    assert_eq!(table.tree_count(), 8192);
    let prepared = PreparedTable::new(table, &schema(&ensemble)).expect("a prepared table");
    let row = [2.0, 1.0, 0.0];
    let oracle = oracle::Oracle::new(prepared.table().bytes());
    assert_eq!(prepared.margin(&prepared.row(&row)), oracle.margin(&row));
}
