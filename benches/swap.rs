//! What a handle on the live value costs: taken, used once, given back; beside its peers.
//!
//! Two threads do the same on one swap; the time is that of one handle on each of them.

use criterion::{Criterion, criterion_group, criterion_main};
use hedgerow::epoch::{Barrier, Swap};
use std::hint::black_box;
use std::sync::{Arc, Barrier as Start, RwLock};
use std::time::{Duration, Instant};

/// Runs a reader on each of so many threads, all at once; the mean time of their runs.
fn together<R: FnMut() -> u64>(
    threads: usize,
    rounds: u64,
    reader: impl Fn() -> R + Sync,
) -> Duration {
    let (start, reader) = (Start::new(threads), &reader);
    let run = || {
        let mut take = reader();
        assert_eq!(take(), LIVE, "the live value");
        start.wait();
        let from = Instant::now();
        for _ in 0..rounds {
            black_box(take());
        }
        from.elapsed()
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let times = running.into_iter().map(|run| run.join().expect("a run"));
        times.sum::<Duration>() / threads as u32
    })
}

/// The live value.
const LIVE: u64 = 42;

fn handles(criterion: &mut Criterion) {
    for threads in [1, 2] {
        let mut group = criterion.benchmark_group(format!("handle/{threads}-threads"));
        let mut add = |name: &str, run: &dyn Fn(u64) -> Duration| {
            group.bench_function(name, |bencher| bencher.iter_custom(run));
        };

        for (name, barrier) in [
            ("hedgerow-membarrier", Barrier::Membarrier),
            ("hedgerow-fence", Barrier::Fence),
        ] {
            let swap = Swap::with_barrier(threads, barrier);
            swap.publish(|_| Box::new(LIVE)).expect("room");
            add(name, &|rounds| {
                together(threads, rounds, || {
                    let mut reader = swap.reader().expect("a slot");
                    move || reader.enter().map_or(0, |value| *value)
                })
            });
        }

        let shared = crossbeam_epoch::Atomic::new(LIVE);
        add("crossbeam-epoch", &|rounds| {
            together(threads, rounds, || {
                let local = crossbeam_epoch::default_collector().register();
                let shared = &shared;
                move || {
                    let guard = local.pin();
                    let value = shared.load(std::sync::atomic::Ordering::Acquire, &guard);
                    // SAFETY: the value is never replaced.
                    unsafe { value.as_ref() }.map_or(0, |value| *value)
                }
            })
        });
        // SAFETY: no reader is left.
        drop(unsafe { shared.into_owned() });

        let shared = arc_swap::ArcSwap::from_pointee(LIVE);
        add("arc-swap-load", &|rounds| {
            together(threads, rounds, || || **shared.load())
        });
        let shared = Arc::new(shared);
        add("arc-swap-cache", &|rounds| {
            together(threads, rounds, || {
                let mut cache = arc_swap::cache::Cache::new(shared.clone());
                move || **cache.load()
            })
        });

        let (_writer, reader) = left_right::new_from_empty::<Number, Set>(Number(LIVE));
        let factory = reader.factory();
        add("left-right", &|rounds| {
            together(threads, rounds, || {
                let reader = factory.handle();
                move || reader.enter().map_or(0, |value| value.0)
            })
        });

        let shared = RwLock::new(LIVE);
        add("rwlock", &|rounds| {
            together(threads, rounds, || {
                || shared.read().map_or(0, |value| *value)
            })
        });
        group.finish();
    }
}

/// left-right's value, and its one operation.
#[derive(Clone)]
struct Number(u64);

struct Set(u64);

impl left_right::Absorb<Set> for Number {
    fn absorb_first(&mut self, set: &mut Set, _: &Self) {
        self.0 = set.0;
    }

    fn sync_with(&mut self, first: &Self) {
        self.0 = first.0;
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_200));
    targets = handles
}
criterion_main!(benches);
