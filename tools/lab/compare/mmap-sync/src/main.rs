//! The stress and the handle's cost of hedgerow's swap beside mmap-sync 2.0.4, in one run.
//!
//! `cargo run --release -- [SECONDS]`

use hedgerow::epoch::{Barrier, Swap};
use mmap_sync::locks::LockDisabled;
use mmap_sync::synchronizer::Synchronizer;
use rkyv::{Archive, Serialize};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// 64 KB that is made of its generation, so that a torn one shows.
#[derive(Archive, Serialize)]
#[archive_attr(derive(bytecheck::CheckBytes))]
struct Value {
    words: [u64; WORDS],
}

const WORDS: usize = 8_192;

/// One word of so many is checked: a short visit, so that many begin while a write is under way.
const STRIDE: usize = 256;

/// Readers of a storm.
const READERS: usize = 4;

/// mmap-sync with writers that wait a microsecond at a time for readers, not a second.
type MmapSync = Synchronizer<wyhash::WyHash, LockDisabled, 1024, 1_000>;

/// Long enough that no reader is ever declared dead: correct use, by its documentation.
const GRACE: Duration = Duration::from_secs(3_600);

fn value(generation: u64) -> Value {
    let word = |index| match index {
        0 => generation,
        _ => word(generation, index),
    };
    Value {
        words: std::array::from_fn(word),
    }
}

fn word(generation: u64, index: usize) -> u64 {
    (generation ^ index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Whether every word that is looked at belongs to the first one's generation. Volatile: the
/// compiler may not assume that the words stay as they are.
fn whole(words: &[u64; WORDS]) -> bool {
    // SAFETY: references to words are valid for reads.
    let read = |at: &u64| unsafe { std::ptr::read_volatile(at) };
    let generation = read(&words[0]);
    let mut rest = words.iter().enumerate().step_by(STRIDE).skip(1);
    rest.all(|(index, at)| read(at) == word(generation, index))
}

/// What a storm came to.
#[derive(Debug, Default)]
struct Outcome {
    reads: u64,
    torn: u64,
    writes: u64,
    refused: u64,
}

/// Runs readers and a writer for a while. `reader` makes a check that says whether what it read
/// is whole; `write` says whether it could.
fn storm<R: FnMut() -> bool>(
    lasts: Duration,
    reader: impl Fn() -> R + Sync,
    mut write: impl FnMut(u64) -> bool,
) -> Outcome {
    let (stop, reader) = (AtomicBool::new(false), &reader);
    let mut outcome = Outcome::default();
    write(1);
    let until = Instant::now() + lasts;
    thread::scope(|scope| {
        let count = || {
            let (mut check, mut reads, mut torn) = (reader(), 0u64, 0u64);
            while !stop.load(Ordering::Relaxed) {
                torn += u64::from(!check());
                reads += 1;
            }
            (reads, torn)
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(count)).collect();
        let mut generation = 1;
        while Instant::now() < until {
            generation += 1;
            match write(generation) {
                true => outcome.writes += 1,
                false => outcome.refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            let (reads, torn) = reader.join().expect("a reader");
            outcome.reads += reads;
            outcome.torn += torn;
        }
    });
    outcome
}

fn storms(folder: &Path, lasts: Duration) {
    for barrier in [Barrier::Fence, Barrier::Membarrier] {
        let swap = Swap::<Value>::with_barrier(READERS, barrier);
        let reader = || {
            let mut reader = swap.reader().expect("a slot");
            move || reader.enter().is_some_and(|value| whole(&value.words))
        };
        let write = |generation| swap.publish(|_| Box::new(value(generation))).is_ok();
        println!("hedgerow, {barrier:?}: {:?}", storm(lasts, reader, write));
    }
    let prefix = folder.join("storm");
    let reader = || {
        let mut reader = MmapSync::with_params(prefix.as_os_str());
        move || {
            // SAFETY: the guard goes long before the grace period.
            let value = unsafe { reader.read::<Value>(false) }.expect("a value");
            whole(&value.words)
        }
    };
    let mut writer = MmapSync::with_params(prefix.as_os_str());
    let write = |generation| {
        let (_, reset) = writer.write(&value(generation), GRACE).expect("a write");
        assert!(!reset, "no reader was declared dead");
        true
    };
    println!("mmap-sync 2.0.4: {:?}", storm(lasts, reader, write));
}

/// Nanoseconds of one handle, taken and given back, on each of so many threads at once: the
/// median of 15 runs.
fn handle<R: FnMut() -> u64>(threads: usize, reader: impl Fn() -> R + Sync) -> f64 {
    const ROUNDS: u32 = 2_000_000;
    let reader = &reader;
    let run = || {
        let mut take = reader();
        let start = Instant::now();
        for _ in 0..ROUNDS {
            black_box(take());
        }
        start.elapsed().as_nanos() as f64 / f64::from(ROUNDS)
    };
    let mut runs: Vec<f64> = (0..15)
        .map(|_| {
            thread::scope(|scope| {
                let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                let each = running.into_iter().map(|run| run.join().expect("a run"));
                each.sum::<f64>() / threads as f64
            })
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

fn handles(folder: &Path) {
    for barrier in [Barrier::Fence, Barrier::Membarrier] {
        let swap = Swap::<Value>::with_barrier(READERS, barrier);
        swap.publish(|_| Box::new(value(1))).expect("room");
        let [one, two] = [1, 2].map(|threads| {
            handle(threads, || {
                let mut reader = swap.reader().expect("a slot");
                move || reader.enter().map_or(0, |value| value.words[0])
            })
        });
        println!("hedgerow, {barrier:?}: {one:.1} ns a handle on one thread, {two:.1} on two");
    }
    let prefix = folder.join("handle");
    let mut writer = MmapSync::with_params(prefix.as_os_str());
    writer.write(&value(1), GRACE).expect("a write");
    let [one, two] = [1, 2].map(|threads| {
        handle(threads, || {
            let mut reader = MmapSync::with_params(prefix.as_os_str());
            move || {
                // SAFETY: the guard goes long before the grace period.
                let value = unsafe { reader.read::<Value>(false) }.expect("a value");
                value.words[0]
            }
        })
    });
    println!("mmap-sync 2.0.4: {one:.1} ns a handle on one thread, {two:.1} on two");
}

/// A folder in memory where there is one.
fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.into()
    } else {
        std::env::temp_dir()
    };
    parent.join(format!("compare-mmap-sync-{}", std::process::id()))
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let folder = folder();
    std::fs::create_dir(&folder).expect("a folder");
    handles(&folder);
    storms(&folder, Duration::from_secs(seconds.unwrap_or(20)));
    std::fs::remove_dir_all(&folder).expect("the folder's end");
}
