//! The swap: slots, the bound on retired values, exact drops, and readers that verify under stress.

use hedgerow::epoch::{NoSlot, RetiredFull, Swap};
use hedgerow::limits::{READERS_MAX, RETIRED_MAX};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A value that counts its drops, and whose words all say its generation.
struct Pattern {
    words: [u64; 64],
    drops: Arc<AtomicU64>,
}

impl Pattern {
    fn new(generation: u64, drops: &Arc<AtomicU64>) -> Box<Pattern> {
        let word = |at: usize| generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at as u64;
        Box::new(Pattern {
            words: std::array::from_fn(word),
            drops: drops.clone(),
        })
    }

    /// The generation, where every word agrees.
    fn verify(&self) -> u64 {
        let first = self.words[0];
        for (at, word) in self.words.iter().enumerate() {
            assert_eq!(*word, first ^ at as u64, "a torn or dropped value");
        }
        first.wrapping_mul(0xf1de_83e1_9937_733d)
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::SeqCst);
        // Whoever reads on after this sees it.
        self.words = [0xdead_dead_dead_dead; 64];
    }
}

fn swap(readers: usize) -> (Arc<Swap<Pattern>>, Arc<AtomicU64>) {
    (Swap::new(readers), Arc::default())
}

fn publish(swap: &Swap<Pattern>, drops: &Arc<AtomicU64>) -> Result<u64, RetiredFull> {
    swap.publish(|generation| Pattern::new(generation, drops))
}

#[test]
fn pattern_tells_its_generation() {
    for generation in [1, 2, 77, u64::MAX / 3] {
        assert_eq!(
            Pattern::new(generation, &Arc::default()).verify(),
            generation
        );
    }
}

#[test]
fn nothing_is_there_before_the_first_publish() {
    let (swap, drops) = swap(1);
    let mut reader = swap.reader().expect("a slot");
    assert!(reader.enter().is_none());
    assert_eq!(publish(&swap, &drops), Ok(1));
    assert_eq!(reader.enter().expect("a value").verify(), 1);
    assert_eq!(swap.retired(), 0);
}

#[test]
fn slots_run_out_and_come_back() {
    let (swap, drops) = swap(3);
    publish(&swap, &drops).expect("published");
    let mut readers: Vec<_> = (0..3).map(|_| swap.reader().expect("a slot")).collect();
    assert_eq!(swap.reader().err(), Some(NoSlot { max: 3 }));
    assert_eq!(readers[1].enter().expect("a value").verify(), 1);
    readers.remove(1);
    let mut again = swap.reader().expect("the slot that came back");
    assert_eq!(again.enter().expect("a value").verify(), 1);
    assert_eq!(swap.reader().err(), Some(NoSlot { max: 3 }));
}

#[test]
fn slots_are_bounded() {
    let (swap, _) = swap(usize::MAX);
    let readers: Vec<_> = (0..READERS_MAX)
        .map(|_| swap.reader().expect("a slot"))
        .collect();
    assert_eq!(swap.reader().err(), Some(NoSlot { max: READERS_MAX }));
    drop(readers);
    let none: Arc<Swap<u8>> = Swap::new(0);
    assert_eq!(none.reader().err(), Some(NoSlot { max: 0 }));
}

#[test]
fn old_values_go_with_the_next_publish_where_nobody_looks() {
    let (swap, drops) = swap(2);
    let mut reader = swap.reader().expect("a slot");
    for generation in 1..=100 {
        assert_eq!(publish(&swap, &drops), Ok(generation));
        assert_eq!(reader.enter().expect("a value").verify(), generation);
        assert_eq!(
            (swap.retired(), drops.load(Ordering::SeqCst)),
            (0, generation - 1)
        );
    }
    drop(reader);
    drop(swap);
    assert_eq!(drops.load(Ordering::SeqCst), 100);
}

#[test]
fn guard_keeps_its_value_and_every_later_one() {
    let (swap, drops) = swap(2);
    publish(&swap, &drops).expect("published");
    let (mut held, mut fresh) = (
        swap.reader().expect("a slot"),
        swap.reader().expect("a slot"),
    );
    let guard = held.enter().expect("a value");
    for generation in 2..=5 {
        assert_eq!(publish(&swap, &drops), Ok(generation));
        assert_eq!(fresh.enter().expect("a value").verify(), generation);
        assert_eq!(guard.verify(), 1);
    }
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (4, 0));
    drop(guard);
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (0, 4));
    assert_eq!(held.enter().expect("a value").verify(), 5);
}

#[test]
fn guard_of_a_later_value_lets_earlier_ones_go() {
    let (swap, drops) = swap(2);
    let (mut early, mut late) = (
        swap.reader().expect("a slot"),
        swap.reader().expect("a slot"),
    );
    publish(&swap, &drops).expect("published");
    let first = early.enter().expect("a value");
    publish(&swap, &drops).expect("published");
    publish(&swap, &drops).expect("published");
    let third = late.enter().expect("a value");
    publish(&swap, &drops).expect("published");
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (3, 0));
    drop(first);
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(third.verify(), 3);
    drop(third);
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (0, 3));
}

#[test]
fn full_list_of_retired_values_refuses_and_recovers() {
    let (swap, drops) = swap(2);
    publish(&swap, &drops).expect("published");
    let (mut held, mut fresh) = (
        swap.reader().expect("a slot"),
        swap.reader().expect("a slot"),
    );
    let guard = held.enter().expect("a value");
    for retired in 1..=RETIRED_MAX {
        assert_eq!(publish(&swap, &drops), Ok(1 + retired as u64));
        assert_eq!(swap.retired(), retired);
    }
    let current = 1 + RETIRED_MAX as u64;
    for _ in 0..3 {
        let refused = swap.publish(|_| unreachable!("no value is made for a full list"));
        assert_eq!(refused, Err(RetiredFull { max: RETIRED_MAX }));
        assert_eq!(
            fresh.enter().expect("a value").verify(),
            current,
            "the running value stays"
        );
    }
    assert_eq!((guard.verify(), drops.load(Ordering::SeqCst)), (1, 0));
    drop(guard);
    assert_eq!(
        publish(&swap, &drops),
        Ok(current + 1),
        "no generation was lost"
    );
    assert_eq!((swap.retired(), drops.load(Ordering::SeqCst)), (0, current));
    drop((held, fresh, swap));
    assert_eq!(drops.load(Ordering::SeqCst), current + 1);
}

#[test]
fn forgotten_guard_keeps_memory_and_not_more() {
    let (swap, drops) = swap(1);
    publish(&swap, &drops).expect("published");
    let mut reader = swap.reader().expect("a slot");
    std::mem::forget(reader.enter());
    publish(&swap, &drops).expect("published");
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (1, 0));
    drop(reader);
    assert_eq!((swap.reclaim(), drops.load(Ordering::SeqCst)), (0, 1));
}

#[test]
fn publisher_that_panics_leaves_the_running_value() {
    let (swap, drops) = swap(1);
    publish(&swap, &drops).expect("published");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        swap.publish(|_| panic!("a value that cannot be made"))
    }));
    assert!(panicked.is_err());
    let mut reader = swap.reader().expect("a slot");
    assert_eq!(reader.enter().expect("a value").verify(), 1);
    assert_eq!(publish(&swap, &drops), Ok(2));
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn reader_keeps_the_swap() {
    let (swap, drops) = swap(1);
    publish(&swap, &drops).expect("published");
    let mut reader = swap.reader().expect("a slot");
    drop(swap);
    assert_eq!(reader.enter().expect("a value").verify(), 1);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    drop(reader);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

/// Readers come, verify, hold on at times, and go, while two publishers work as fast as they can.
#[test]
fn readers_verify_under_stress() {
    let (swap, drops) = swap(8);
    let (stop, entered, published) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    publish(&swap, &drops).expect("published");
    published.fetch_add(1, Ordering::SeqCst);
    let read = |seed: u64| {
        let (mut random, mut last) = (seed, 0);
        while !stop.load(Ordering::Relaxed) {
            let mut reader = swap.reader().expect("a slot");
            for _ in 0..1000 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(seed);
                let guard = reader.enter().expect("a value");
                let generation = guard.verify();
                assert!(generation >= last, "generation {generation} after {last}");
                last = generation;
                if random >> 56 == 0 {
                    std::thread::yield_now();
                    assert_eq!(
                        guard.verify(),
                        generation,
                        "the value stays under its guard"
                    );
                }
                entered.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let write = || {
        let mut last = 0;
        while !stop.load(Ordering::Relaxed) {
            match publish(&swap, &drops) {
                Ok(generation) => {
                    assert!(generation > last, "generation {generation} after {last}");
                    last = generation;
                    published.fetch_add(1, Ordering::SeqCst);
                }
                Err(RetiredFull { .. }) => std::thread::yield_now(),
            }
        }
    };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || read(2 * seed + 1));
        }
        scope.spawn(write);
        scope.spawn(write);
        let until = Instant::now() + Duration::from_secs(2);
        while Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
            assert!(swap.reclaim() <= RETIRED_MAX);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let published = published.load(Ordering::SeqCst);
    println!(
        "{published} published, {} entered",
        entered.load(Ordering::Relaxed)
    );
    assert_eq!(swap.reclaim(), 0);
    assert_eq!(drops.load(Ordering::SeqCst), published - 1);
    assert!(published > 100 && entered.load(Ordering::Relaxed) > 1000);
    drop(swap);
    assert_eq!(drops.load(Ordering::SeqCst), published);
}
