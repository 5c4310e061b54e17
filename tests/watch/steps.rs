//! Each step of admission refuses under its own code, and leaves the running table.

use super::common::*;
use hedgerow::table::format::rehash;
use hedgerow::table::format::{HEADER_BYTES, Header, Section, golden_bytes};
use hedgerow::watch::admission::Admission;
use hedgerow::watch::{Directory, Keys, SecretKey};
use hedgerow::{ContentId, Row, WatchOptions, Watcher};
use std::fs;
use std::path::Path;

/// A table with another header, and the hash of what it became.
fn edited(seed: u64, edit: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut bytes = bytes(seed);
    let mut header: Header = bytemuck::pod_read_unaligned(&bytes[..HEADER_BYTES]);
    edit(&mut header);
    bytes[..HEADER_BYTES].copy_from_slice(bytemuck::bytes_of(&header));
    rehash(&mut bytes);
    bytes
}

/// Points at a file of these bytes by its own id, as a publisher would that checks nothing.
fn offer(place: &Place, generation: u64, bytes: &[u8]) {
    let hash = bytes.get(24..).and_then(<[u8]>::first_chunk);
    let id = ContentId(hash.copied().unwrap_or_default());
    fs::create_dir_all(place.directory().tables()).unwrap();
    fs::write(place.directory().table(id), bytes).unwrap();
    let mut pointer = place.directory().read_pointer().unwrap().unwrap();
    (pointer.generation, pointer.content_id) = (generation, id);
    pointer.bytes = (bytes.len() as u64).max(1);
    place.write_pointer(&pointer);
}

fn refused(place: &Place, watcher: &Watcher, generation: u64, code: u16) {
    place.wait(watcher, |status| {
        let waiting = status.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.refused && waiting.generation == generation)
    });
    let status = watcher.status();
    let told = &status.last_refusals[0].reason;
    assert_eq!(told.code(), code, "{told:?}");
    assert_eq!(status.refusals[told.name()], 1);
    assert_eq!(status.generation, 1);
    let mut scorer = watcher.engine().scorer().unwrap();
    let verdict = scorer.score(&Row::MISSING);
    assert_eq!(
        (verdict.generation(), margin(&verdict)),
        (1, place.margin(1))
    );
}

#[test]
fn every_step_refuses_under_its_own_code() {
    let place = Place::new("steps");
    let watcher = place.watch();
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 1);
    let other = {
        use hedgerow::model::{BuildOptions, Ensemble, Node, Tree, build};
        let ensemble = Ensemble {
            features: vec![hedgerow::Feature {
                name: "not.of.this.host".into(),
                kind: hedgerow::FeatureKind::Number,
            }],
            trees: vec![Tree::Any {
                nodes: vec![Node::Leaf { value: 0.5 }],
            }],
            bias: 0.0,
        };
        build(&ensemble, &BuildOptions::default()).unwrap().bytes
    };
    let flipped = {
        let mut bytes = bytes(3);
        let last = bytes.len() - 65;
        bytes[last] ^= 1;
        bytes
    };
    let signed = SecretKey::new("nobody").unwrap().sign(&bytes(4));
    // The first golden row claims the margin of the second.
    let wrong_margin = {
        let mut bytes = bytes(5);
        let header: Header = bytemuck::pod_read_unaligned(&bytes[..HEADER_BYTES]);
        let first = header.offsets[Section::Golden as usize] as usize;
        let second = first + golden_bytes(header.counts[0] as usize);
        bytes.copy_within(second..second + 8, first);
        rehash(&mut bytes);
        bytes
    };
    let cases: Vec<(u16, Vec<u8>)> = vec![
        (202, b"<html>502 Bad Gateway</html>".repeat(40)),
        (204, edited(2, |header| header.format_version += 1)),
        (206, flipped),
        (209, signed),
        (309, edited(6, |header| header.fingerprint ^= 1)),
        (401, other),
        (501, wrong_margin),
    ];
    let mut codes = Vec::new();
    for (turn, (code, bytes)) in cases.iter().enumerate() {
        let generation = turn as u64 + 2;
        offer(&place, generation, bytes);
        refused(&place, &watcher, generation, *code);
        codes.push(*code);
    }
    let stats = watcher.engine().stats();
    assert_eq!(
        stats
            .refusals
            .keys()
            .map(|kind| kind.code())
            .collect::<Vec<_>>(),
        codes
    );
    place.publish(9);
    place.wait(&watcher, |status| status.generation > 1);
}

#[test]
fn a_file_that_is_not_what_the_pointer_says_is_no_candidate() {
    let place = Place::new("content");
    let watcher = place.watch();
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 1);
    // Another good table under this name.
    place.point(2, 2);
    fs::write(place.directory().table(place.id(2)), bytes(3)).unwrap();
    refused(&place, &watcher, 2, 602);
    // Longer than the pointer says, missing, and then there.
    let other = Place::new("content-longer");
    let watcher = other.watch();
    other.publish(1);
    other.wait(&watcher, |status| status.generation == 1);
    other.damage(2, |bytes| bytes.push(0));
    other.point(2, 2);
    refused(&other, &watcher, 2, 602);
    other.damage(2, |_| {});
    other.wait(&watcher, |status| status.generation == 2);
}

#[test]
fn a_half_copied_file_is_awaited_and_taken_when_it_is_whole() {
    let place = Place::new("half");
    let lines = lines_of(place.directory().root());
    let watcher = place.watch_with(WatchOptions {
        settle: std::time::Duration::from_secs(60),
        ..place.options()
    });
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 1);
    let (whole, path) = (bytes(2), place.directory().table(place.id(2)));
    place.point(2, 2);
    for share in 0..=10 {
        let end = whole.len() * share / 10;
        fs::write(&path, &whole[..end]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
        if share < 10 {
            let status = watcher.status();
            assert_eq!(status.generation, 1);
            assert!(status.waiting.is_some_and(|waiting| !waiting.refused));
            assert!(status.refusals.is_empty());
        }
    }
    place.wait(&watcher, |status| status.generation == 2);
    assert!(lines().is_empty(), "{:?}", lines());
}

#[test]
fn a_file_of_the_right_length_whose_bytes_arrive_costs_one_line() {
    let place = Place::new("arriving");
    let lines = lines_of(place.directory().root());
    let watcher = place.watch_with(WatchOptions {
        settle: std::time::Duration::from_secs(60),
        ..place.options()
    });
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 1);
    let (whole, path) = (bytes(2), place.directory().table(place.id(2)));
    place.point(2, 2);
    for share in 0..=20 {
        let mut there = whole.clone();
        there[whole.len() * share / 20..].fill(0);
        // In place: the length is the right one from the start.
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(false);
        let mut file = options.open(&path).unwrap();
        std::io::Write::write_all(&mut file, &there).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    place.wait(&watcher, |status| status.generation == 2);
    let status = watcher.status();
    let refused: u64 = status.refusals.values().sum();
    assert!(refused <= 1, "{:?}", status.refusals);
    assert!(lines().len() <= 1, "{:?}", lines());
}

#[test]
fn a_file_of_another_kind_in_any_place_neither_blocks_nor_runs() {
    let place = Place::new("kinds");
    let watcher = place.watch();
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 1);
    for file in ["active", "switches"] {
        let path = place.directory().root().join(file);
        let before = fs::read(&path).ok();
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).unwrap();
        place.wait(&watcher, |status| status.problems.len() == 1);
        fs::remove_dir(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(30));
        fs::remove_file(&path).unwrap();
        replace(&path, &vec![b' '; 300_000]);
        place.wait(&watcher, |status| {
            status
                .problems
                .values()
                .any(|told| told.expected().contains("at most"))
        });
        match before {
            Some(before) => replace(&path, &before),
            None => fs::remove_file(&path).unwrap(),
        }
        place.wait(&watcher, |status| status.problems.is_empty());
    }
    assert_eq!(watcher.status().generation, 1);
}

fn admitted(keys: &Keys, place: &Place, bytes: &[u8]) -> Result<(), u16> {
    let path = place.directory().root().join("offered");
    fs::write(&path, bytes).unwrap();
    let admission = Admission {
        keys: keys.clone(),
        kernel: None,
    };
    let admitted = admission.admit(&place.engine(), &path, None);
    admitted
        .map(drop)
        .map_err(|rejected| rejected.refusal.code())
}

#[test]
fn signatures_are_checked_where_keys_are_set() {
    let place = Place::new("signed");
    let (key, other) = (SecretKey::new("ops").unwrap(), SecretKey::new("x").unwrap());
    let may = Keys::new(vec![key.public()], false);
    let must = Keys::new(vec![key.public()], true);
    let plain = bytes(1);
    let signed = key.sign(&plain);
    let mut broken = signed.clone();
    broken[HEADER_BYTES - 1] ^= 1;
    for (keys, bytes, want) in [
        (&Keys::default(), &plain, Ok(())),
        (&Keys::default(), &signed, Err(209)),
        (&may, &plain, Ok(())),
        (&may, &signed, Ok(())),
        (&may, &other.sign(&plain), Err(209)),
        (&may, &broken, Err(208)),
        (&must, &plain, Err(210)),
        (&must, &signed, Ok(())),
        (&must, &other.sign(&plain), Err(209)),
        (&must, &broken, Err(208)),
    ] {
        assert_eq!(admitted(keys, &place, bytes), want, "{keys:?}");
    }
    // What is not signed by a trusted key is not looked into: its structure is wrong as well.
    let wrong = edited(2, |header| header.counts[0] = u32::MAX);
    assert_eq!(admitted(&must, &place, &wrong), Err(210));
    assert_eq!(admitted(&must, &place, &other.sign(&wrong)), Err(209));
    assert_eq!(admitted(&must, &place, &key.sign(&wrong)), Err(303));
}

#[test]
fn an_engine_that_wants_signatures_takes_a_table_once_it_is_signed() {
    let place = Place::new("signed-watch");
    let key = SecretKey::new("ops").unwrap();
    let admission = Admission {
        keys: Keys::new(vec![key.public()], true),
        kernel: None,
    };
    let watcher = place.watch_with(WatchOptions {
        admission,
        ..place.options()
    });
    place.publish(1);
    place.wait(&watcher, |status| {
        status.waiting.as_ref().is_some_and(|w| w.refused)
    });
    let signed = hedgerow::Table::from_bytes(&key.sign(&bytes(1))).unwrap();
    let options = hedgerow::watch::PublishOptions::default();
    place.publisher().publish(&signed, &options).unwrap();
    place.wait(&watcher, |status| status.generation == 2);
    // The unsigned one does not take the signed one's place: it is the same table.
    place.publish(1);
    place.wait(&watcher, |status| status.generation == 3);
    let path = place.directory().table(place.id(1));
    assert_eq!(fs::read(path).unwrap(), signed.bytes());
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let directory = Directory::new("/somewhere");
    let tables = directory.tables();
    let id = "0123456789abcdef0123456789abcdef";
    assert!(directory.table(id.parse().unwrap()).starts_with(&tables));
    for bad in [
        "../x",
        "",
        "/etc/passwd",
        "0123456789abcdef0123456789abcdeG",
        &id[1..],
    ] {
        assert!(bad.parse::<ContentId>().is_err(), "{bad}");
    }
    assert!(Path::new(&tables).ends_with("tables"));
}
