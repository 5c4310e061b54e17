//! Faults, with real processes: the real command as publisher, and an engine in a process of its
//! own. After each the last good table runs, the ledger tells the truth, and no request failed.
//!
//! Each prints how often it was tried. `ci/faults.sh` runs the long version.

mod clock;
mod disk;
mod engine;
mod kills;
mod place;

use engine::Engine;
use place::{Place, rounds};
use std::time::{Duration, Instant};

#[test]
fn good_and_bad_tables_in_alternation() {
    let seconds = rounds("HEDGEROW_ALTERNATION_SECONDS", 10, 60);
    let place = Place::new("alternation");
    place.publish("even");
    let mut engine = Engine::start(&place);
    engine.until(|line| line.generation() == 1);
    let (mut good, mut bad, start) = (1u64, 0u64, Instant::now());
    let mut generation = 1u64;
    while start.elapsed() < Duration::from_secs(seconds) {
        generation += 1;
        if generation.is_multiple_of(2) {
            place.offer_bad(generation);
            bad += 1;
        } else {
            place.publish_above(
                if generation % 4 == 1 { "even" } else { "odd" },
                generation - 1,
            );
            good += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let last = if generation.is_multiple_of(2) {
        generation - 1
    } else {
        generation
    };
    engine.until(|line| line.generation() == last);
    let line = engine.last();
    assert!(line.refused() >= bad * 9 / 10, "{bad} bad ones: {line:?}");
    let said = engine.end(&place);
    let about = said
        .iter()
        .filter(|line| line.contains("content-hash"))
        .count();
    assert_eq!(about, 1, "{said:?}");
    println!("good and bad in alternation: {good} good, {bad} bad, {seconds} s");
}

#[test]
fn two_publishers_at_once() {
    let rounds = rounds("HEDGEROW_PUBLISHERS", 20, 200);
    let place = Place::new("two-publishers");
    place.publish("even");
    let mut engine = Engine::start(&place);
    for _ in 0..rounds {
        let children = [place.spawn("even"), place.spawn("odd"), place.spawn("even")];
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    }
    let last = 1 + 3 * rounds;
    engine.until(|line| line.generation() == last);
    // Nobody's publish is lost, and no number is used twice.
    let generations = place.generations();
    assert_eq!(generations, (1..=last).collect::<Vec<_>>());
    engine.end(&place);
    println!("two or three publishers at once: {rounds} times");
}

#[test]
fn a_publisher_that_hangs_on_to_the_lock_is_named() {
    let place = Place::new("held");
    place.publish("even");
    let held = std::fs::File::open(place.path("lock")).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let started = Instant::now();
    let refused = place.run(&["publish", &place.table("odd"), place.dir(), "--wait", "0.2"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("the directory is locked") && said.contains("who holds it"),
        "{said}"
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    drop(held);
    place.publish("odd");
    println!("a publisher that hangs on to the lock: once");
}

#[test]
fn of_publishers_that_do_not_wait_one_wins_and_the_others_are_told() {
    let rounds = rounds("HEDGEROW_IMPATIENT_PUBLISHERS", 20, 200);
    let place = Place::new("impatient");
    place.publish("even");
    let mut engine = Engine::start(&place);
    let (mut done, mut refused) = (0, 0);
    for _ in 0..rounds {
        let children = ["even", "odd", "even"].map(|name| place.spawn_waiting(name, "0"));
        let before = done;
        for child in children {
            let output = child.wait_with_output().unwrap();
            if output.status.success() {
                done += 1;
                continue;
            }
            refused += 1;
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("the directory is locked"), "{said}");
        }
        assert!(done > before, "nobody has won");
    }
    let last = 1 + done;
    engine.until(|line| line.generation() == last);
    assert_eq!(place.generations(), (1..=last).collect::<Vec<_>>());
    engine.end(&place);
    println!("three publishers that do not wait: {rounds} times; {done} won, {refused} were told");
}

#[test]
fn a_file_is_replaced_while_it_is_read() {
    let rounds = rounds("HEDGEROW_REPLACEMENTS", 200, 2_000);
    let place = Place::new("replaced");
    place.publish("even");
    let mut engine = Engine::start(&place);
    engine.until(|line| line.generation() == 1);
    let (good, path) = (
        std::fs::read(place.table("odd")).unwrap(),
        place.table_path("odd"),
    );
    place.publish("odd");
    for round in 0..rounds {
        // In place, as no publisher does: cut, overwritten and grown under the reader's hands.
        let part = good.len() * (round as usize % 10) / 10;
        std::fs::write(&path, &good[..part]).unwrap();
        if round % 10 == 0 {
            place.point(3 + round / 10, "odd", good.len());
        }
        std::fs::write(&path, [&good[..], b"more"].concat()).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::write(&path, &good).unwrap();
    let last = 3 + (rounds - 1) / 10;
    engine.until(|line| line.generation() == last);
    engine.end(&place);
    println!("a file replaced while it is read: {rounds} times");
}

#[test]
fn a_bad_newest_file_at_the_start() {
    let rounds = rounds("HEDGEROW_BAD_STARTS", 5, 50);
    let place = Place::new("bad-start");
    place.publish("even");
    place.publish("odd");
    let good = std::fs::read(place.table("odd")).unwrap();
    for round in 0..rounds as usize {
        let mut bad = good.clone();
        let at = good.len() * round / rounds as usize;
        bad[at] ^= 1 << (round % 8);
        std::fs::write(place.table_path("odd"), bad).unwrap();
        let mut engine = Engine::start(&place);
        engine.until(|line| line.generation() == 1);
        assert_eq!(engine.last().json["status"]["source"], "ledger");
        engine.end(&place);
    }
    println!("a bad newest file at the start: {rounds} times");
}

#[test]
fn ten_thousand_stale_files() {
    const STALE: usize = 10_000;
    let rounds = rounds("HEDGEROW_STALE_FILES", 1, 5);
    let place = Place::new("stale");
    place.publish("even");
    let mut last = 1;
    for _ in 0..rounds {
        for number in 0..STALE {
            let path = place.path(&format!("tables/{number:032x}.hedge"));
            std::fs::write(path, b"stale").unwrap();
        }
        let mut engine = Engine::start(&place);
        engine.until(|line| line.generation() == last);
        // The publisher clears up; what runs, and what can be gone back to, stays.
        for name in ["odd", "even"] {
            last = place.publish(name);
            engine.until(|line| line.generation() == last);
        }
        let left = std::fs::read_dir(place.path("tables")).unwrap().count();
        assert!(left < 10, "{left} files are left");
        assert!(place.table_path("odd").exists() && place.table_path("even").exists());
        assert_eq!(engine.last().refused(), 0, "{:?}", engine.last());
        engine.end(&place);
    }
    assert_eq!(place.generations(), (1..=last).collect::<Vec<_>>());
    println!("a directory of {STALE} stale files: {rounds} times");
}
