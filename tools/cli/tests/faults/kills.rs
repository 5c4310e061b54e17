//! Processes that are killed at random points of their work.

use super::engine::Engine;
use super::place::{Place, rounds};
use hedgerow::watch::ledger::{Event, Ledger};
use std::time::{Duration, Instant};

#[test]
fn kill_9_of_the_publisher_at_random_points() {
    let rounds = rounds("HEDGEROW_PUBLISHER_KILLS", 50, 1_000);
    let place = Place::new("publisher-kills");
    place.publish("even");
    let mut engine = Engine::start(&place);
    let mut random = fastrand::Rng::with_seed(0x5eed);
    // How long a whole publish takes here: kills fall within it, and somewhat behind.
    let started = Instant::now();
    place.publish("odd");
    let whole = started.elapsed().as_micros() as u64;
    let (mut before, mut killed, mut came_about) = (2, 0u64, 0u64);
    for round in 0..rounds {
        let mut child = place.spawn(if round % 2 == 0 { "even" } else { "odd" });
        std::thread::sleep(Duration::from_micros(random.u64(..whole * 5 / 4)));
        child.kill().unwrap();
        killed += u64::from(!child.wait().unwrap().success());
        // The pointer is whole, whatever has happened, and it never goes back.
        let now = place
            .directory()
            .read_pointer()
            .unwrap()
            .unwrap()
            .generation;
        assert!(now >= before, "{before} {now}");
        came_about += u64::from(now > before);
        before = now;
        if round % 50 == 49 {
            let generation = place.publish("even");
            assert!(generation > before);
            before = generation;
            engine.until(|line| line.generation() == generation);
        }
    }
    let last = place.publish("odd");
    engine.until(|line| line.generation() == last);
    let line = engine.last();
    assert_eq!(line.refused(), 0, "{line:?}");
    // What the ledger says came about is what the pointer has shown, once each and in order.
    let generations = place.generations();
    assert!(
        generations.windows(2).all(|pair| pair[0] < pair[1]),
        "{generations:?}"
    );
    assert_eq!(generations.last(), Some(&last));
    let whole_rounds = rounds / 50;
    assert_eq!(generations.len() as u64, 3 + came_about + whole_rounds);
    let records = Ledger::of(&place.path("")).read().unwrap().records;
    let count = |event| {
        records
            .iter()
            .filter(|record| record.event == event)
            .count()
    };
    let (abandoned, repaired) = (count(Event::Abandon), count(Event::Repair));
    engine.end(&place);
    println!(
        "kill -9 of the publisher: {rounds} times, {killed} before its end; {came_about} publishes \
         came about, {abandoned} were announced and marked as abandoned, {repaired} torn lines"
    );
}

#[test]
fn kill_9_of_the_engine_during_admission() {
    let rounds = rounds("HEDGEROW_ENGINE_KILLS", 20, 200);
    let place = Place::new("engine-kills");
    let state = place.path("engines/a");
    let state = state.to_str().unwrap();
    let mut generation = place.publish("even");
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..rounds {
        let mut engine = Engine::start_with(&place, &["--state", state]);
        let want = generation;
        engine.until(|line| line.generation() == want);
        generation = place.publish(if round % 2 == 0 { "odd" } else { "even" });
        std::thread::sleep(Duration::from_micros(random.u64(..60_000)));
        engine.kill();
        // What it wrote down can be read, and names tables that are whole.
        let status = hedgerow::watch::status::read(state.as_ref()).unwrap();
        assert!(
            status.generation == want || status.generation == generation,
            "{status:?}"
        );
        assert!(!hedgerow::watch::status::is_alive(state.as_ref()));
        for good in &status.good {
            let copy = format!("{state}/good/{}.hedge", good.content_id);
            hedgerow::Table::open(&copy).unwrap();
        }
    }
    // Its last good tables alone bring it up again.
    std::fs::remove_file(place.path("active")).unwrap();
    std::fs::remove_dir_all(place.path("tables")).unwrap();
    let mut engine = Engine::start_with(&place, &["--state", state]);
    engine.until(|line| line.generation() > 0);
    assert_eq!(engine.last().json["status"]["source"], "kept");
    engine.end(&place);
    let history = Ledger::of(state.as_ref()).read().unwrap();
    assert!(
        history
            .records
            .iter()
            .any(|record| record.event == Event::Admit)
    );
    let torn = history.problems.len();
    println!("kill -9 of the engine during admission: {rounds} times, {torn} torn lines");
}
