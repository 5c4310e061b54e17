//! The swap under a storm: no torn value, no value that was dropped, every value dropped once.
//!
//! Seconds by default; `HEDGEROW_STRESS_SECONDS=600` for longer. Each test runs on both barriers.

#[path = "common/hot.rs"]
mod hot;

use hedgerow::epoch::{Barrier, RetiredFull, Swap};
use hedgerow::limits::RETIRED_MAX;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const BARRIERS: [Barrier; 2] = [Barrier::Fence, Barrier::Membarrier];

/// Words of a value: a page, so that a torn or reused one shows.
const WORDS: usize = 512;

/// A value that is made of its generation, and counted.
struct Value {
    words: [u64; WORDS],
    made: Arc<Count>,
}

/// Values made and dropped.
#[derive(Default)]
struct Count {
    made: AtomicU64,
    dropped: AtomicU64,
}

const DROPPED: u64 = u64::MAX;

fn word(generation: u64, index: usize) -> u64 {
    (generation ^ index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Value {
    fn new(generation: u64, made: &Arc<Count>) -> Box<Value> {
        made.made.fetch_add(1, Ordering::Relaxed);
        Box::new(Value {
            words: std::array::from_fn(|index| match index {
                0 => generation,
                _ => word(generation, index),
            }),
            made: made.clone(),
        })
    }

    /// The generation, where every word belongs to it.
    fn whole(&self) -> Option<u64> {
        let generation = self.words[0];
        let mut words = self.words.iter().enumerate().skip(1);
        let whole = words.all(|(index, got)| *got == word(generation, index));
        whole.then_some(generation)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let whole = self.whole().is_some();
        for word in &mut self.words {
            // SAFETY: an exclusive reference. Volatile, so that a reader which is still here
            // finds the mark.
            unsafe { std::ptr::write_volatile(word, DROPPED) };
        }
        // A value that is dropped twice is not whole the second time.
        let dropped = if whole { 1 } else { 1 << 32 };
        self.made.dropped.fetch_add(dropped, Ordering::Relaxed);
    }
}

/// How long a storm lasts, of so many in one test.
fn storm(storms: u32) -> Duration {
    let seconds = std::env::var("HEDGEROW_STRESS_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(4.0);
    Duration::from_secs_f64(seconds) / storms
}

#[test]
fn every_value_is_whole_at_every_entry_and_dropped_once() {
    for barrier in BARRIERS {
        let count = Arc::new(Count::default());
        let swap = Swap::with_barrier(4, barrier);
        swap.publish(|generation| Value::new(generation, &count))
            .expect("room");
        let stop = AtomicBool::new(false);
        let until = Instant::now() + storm(2);
        let (mut entries, mut changes) = (0u64, 0u64);
        thread::scope(|scope| {
            let stopping = Stop(&stop);
            // One reader stays, two come and go: slots are handed on.
            let readers: Vec<_> = [u64::MAX, 1_000, 7]
                .map(|entries_each| {
                    let (swap, stop) = (&swap, &stop);
                    scope.spawn(move || read(swap, stop, entries_each))
                })
                .into_iter()
                .collect();
            while Instant::now() < until {
                for _ in 0..64 {
                    // Full only where a reader was put off the core inside a guard.
                    let _ = swap.publish(|generation| Value::new(generation, &count));
                }
            }
            drop(stopping);
            for reader in readers {
                let (entered, changed) = reader.join().expect("a reader");
                entries += entered;
                changes += changed;
            }
        });
        let made = count.made.load(Ordering::Relaxed);
        println!(
            "{:?}: {entries} entries of 3 readers, {made} values, {changes} changes seen",
            swap.barrier()
        );
        assert!(changes > 0 && made > 1_000, "no storm");
        assert_eq!(swap.reclaim(), 0, "no reader is left");
        assert_eq!(
            count.dropped.load(Ordering::Relaxed),
            made - 1,
            "all but the current one"
        );
        drop(swap);
        assert_eq!(count.dropped.load(Ordering::Relaxed), made, "each once");
    }
}

/// Stops the readers, also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Checks every value, in readers that last for so many entries. Returns the entries, and how
/// often the value was another than before.
fn read(swap: &Arc<Swap<Value>>, stop: &AtomicBool, entries_each: u64) -> (u64, u64) {
    let (mut entries, mut changes, mut last) = (0, 0, 0);
    while !stop.load(Ordering::Relaxed) {
        let mut reader = swap.reader().expect("a slot");
        let mut left = entries_each;
        while left > 0 && !stop.load(Ordering::Relaxed) {
            left -= 1;
            let guard = reader.enter().expect("a value");
            let Some(generation) = guard.whole() else {
                panic!("entry {entries}: torn or dropped, {:x?}", &guard.words[..4]);
            };
            assert!(generation >= last, "{generation} after {last}");
            changes += u64::from(generation != last);
            (entries, last) = (entries + 1, generation);
        }
    }
    (entries, changes)
}

/// A table whose margin is its number in sixteenths, whatever the row.
fn numbered_table(number: u64) -> Vec<u8> {
    use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};
    let split = Split {
        feature: 0,
        test: Test::Above(0.5),
        missing: Missing::Left,
        zero_is_missing: false,
    };
    let tree = Tree::Oblivious {
        splits: vec![split],
        leaves: vec![number as f64 / 1024.0; 2],
        weights: Vec::new(),
    };
    let ensemble = Ensemble {
        features: hedgerow::Schema::http().features().to_vec(),
        trees: vec![tree; 64],
        bias: 0.0,
    };
    let built = build(&ensemble, &BuildOptions::default()).expect("a table");
    built.bytes
}

#[test]
fn verdicts_name_the_generation_whose_margin_they_carry() {
    use hedgerow::http::extract;
    use hedgerow::{Engine, PublishError, Row, Schema, Table, Verdict};

    // Generation g carries table g % 7.
    let tables: Vec<Vec<u8>> = (0..7).map(numbered_table).collect();
    let margin = |generation: u64| (generation % 7) as f64 / 16.0;

    let engine = Engine::new(Schema::http());
    // Full only where a reader was put off the core inside a guard.
    let publish = |generation: u64| {
        let table = Table::from_bytes(&tables[(generation % 7) as usize]).expect("a table");
        match engine.publish(table) {
            Ok(published) => {
                assert_eq!(published, generation);
                true
            }
            Err(PublishError::RetiredFull(_)) => false,
            Err(refused) => panic!("{refused}"),
        }
    };
    assert!(publish(1));
    let (stop, requests) = (AtomicBool::new(false), hot::requests());
    let until = Instant::now() + storm(2);
    thread::scope(|scope| {
        let stopping = Stop(&stop);
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut scorer = engine.scorer().expect("a slot");
                    let (mut row, mut scores, mut last) = (Row::MISSING, 0u64, 0);
                    while !stop.load(Ordering::Relaxed) {
                        for request in &requests {
                            extract(request, &mut row);
                            let Verdict::Scored(scored) = scorer.score(&row) else {
                                panic!("not scored");
                            };
                            assert_eq!(scored.margin, margin(scored.generation), "{scored:?}");
                            assert!(scored.generation >= last);
                            (scores, last) = (scores + 1, scored.generation);
                        }
                    }
                    (scores, last)
                })
            })
            .collect();
        let mut generation = 1;
        while Instant::now() < until {
            generation += u64::from(publish(generation + 1));
        }
        drop(stopping);
        for reader in readers {
            let (scores, last) = reader.join().expect("a reader");
            println!("{scores} verdicts, the last of generation {last} of {generation}");
            assert!(scores > 0 && last > 1);
        }
    });
    assert_eq!(engine.reclaim(), 0);
}

/// Fills the list of retired values behind something that stays inside, and finds it refused.
fn fill(swap: &Swap<Value>, count: &Arc<Count>, stuck: u64) {
    let made = count.made.load(Ordering::Relaxed);
    for waiting in 1..=RETIRED_MAX as u64 {
        let generation = swap.publish(|generation| Value::new(generation, count));
        assert_eq!(generation, Ok(stuck + waiting));
        assert_eq!(
            swap.retired() as u64,
            waiting,
            "nothing is dropped, and it shows"
        );
    }
    for _ in 0..3 {
        let refused = swap.publish(|_| unreachable!("not asked for a value"));
        assert_eq!(refused, Err(RetiredFull { max: RETIRED_MAX }));
        assert_eq!(swap.reclaim(), RETIRED_MAX);
    }
    let now = count.made.load(Ordering::Relaxed);
    assert_eq!(now - made, RETIRED_MAX as u64);
}

#[test]
fn a_reader_that_stays_inside_delays_reclamation_and_nothing_else() {
    for barrier in BARRIERS {
        let count = Arc::new(Count::default());
        let swap = Swap::with_barrier(2, barrier);
        let first = swap
            .publish(|generation| Value::new(generation, &count))
            .expect("room");
        let (entered, wait_entered) = mpsc::channel();
        let (release, wait_release) = mpsc::channel::<()>();
        let mut stuck = swap.reader().expect("a slot");
        let stuck = thread::spawn(move || {
            let guard = stuck.enter().expect("a value");
            entered.send(()).expect("a listener");
            wait_release.recv().expect("a release");
            assert_eq!(guard.whole(), Some(first), "the value that it entered with");
        });
        wait_entered.recv().expect("a guard");
        fill(&swap, &count, first);
        // Others go on with the newest value.
        let mut other = swap.reader().expect("a slot");
        let newest = other.enter().expect("a value").whole();
        assert_eq!(newest, Some(first + RETIRED_MAX as u64));
        assert_eq!(count.dropped.load(Ordering::Relaxed), 0);

        release.send(()).expect("a listener");
        stuck.join().expect("a reader");
        let next = swap.publish(|generation| Value::new(generation, &count));
        assert_eq!(
            next,
            Ok(first + RETIRED_MAX as u64 + 1),
            "publishing recovers"
        );
        assert_eq!(swap.retired(), 0);
        drop((swap, other));
        assert_eq!(
            count.dropped.load(Ordering::Relaxed),
            RETIRED_MAX as u64 + 2,
            "each once"
        );
    }
}

#[test]
fn a_thread_that_dies_inside_delays_reclamation_and_nothing_else() {
    for barrier in BARRIERS {
        let count = Arc::new(Count::default());
        let swap = Swap::with_barrier(3, barrier);
        let first = swap
            .publish(|generation| Value::new(generation, &count))
            .expect("room");
        // Dies outside: its slot is lost, nothing else.
        let outside = swap.reader().expect("a slot");
        thread::spawn(move || std::mem::forget(outside))
            .join()
            .expect("a thread");
        swap.publish(|generation| Value::new(generation, &count))
            .expect("room");
        assert_eq!(swap.retired(), 0);
        // Dies inside, and leaves its reader to nobody.
        let mut inside = swap.reader().expect("a slot");
        let dead = thread::spawn(move || {
            std::mem::forget(inside.enter().expect("a value"));
            inside
        });
        let inside = dead.join().expect("a thread");
        fill(&swap, &count, first + 1);
        let mut other = swap.reader().expect("a slot");
        assert!(other.enter().expect("a value").whole().is_some());
        assert!(swap.reader().is_err(), "the slots of the dead stay taken");
        // Whoever has the reader can end it: its slot is cleared.
        drop(inside);
        assert_eq!(swap.reclaim(), 0);
        swap.publish(|generation| Value::new(generation, &count))
            .expect("publishing recovers");
        assert!(swap.reader().is_ok(), "the slot is free");
    }
}

#[test]
fn a_publisher_that_panics_leaves_the_swap_whole() {
    let count = Arc::new(Count::default());
    let swap = Swap::new(1);
    swap.publish(|generation| Value::new(generation, &count))
        .expect("room");
    let other = swap.clone();
    let died = thread::spawn(move || other.publish(|_| panic!("planted"))).join();
    assert!(died.is_err());
    let mut reader = swap.reader().expect("a slot");
    assert_eq!(reader.enter().expect("a value").whole(), Some(1));
    assert_eq!(
        swap.publish(|generation| Value::new(generation, &count)),
        Ok(2)
    );
    assert_eq!(reader.enter().expect("a value").whole(), Some(2));
}
