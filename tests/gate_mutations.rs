//! Mutants whose content hash is right: none makes the gate panic or hang, and what the gate lets
//! through scores exactly as a second, plain reading of its bytes says.
//!
//! `HEDGEROW_MUTATIONS` sets how many (100,000), `HEDGEROW_MUTATION_THREADS` on how many threads
//! (2), `HEDGEROW_MUTATION_FIRST` the number of the first (0), and `HEDGEROW_MUTATION_SECONDS` ends
//! the run early. A mutant is made from its number alone, and a failure names it.

mod common;
#[path = "gate/edit.rs"]
mod edit;
#[path = "gate/mutate.rs"]
mod mutate;
#[path = "gate/oracle.rs"]
mod oracle;
#[path = "gate/tables.rs"]
mod tables;

use common::{Random, random_row};
use edit::{Aligned, Edit};
use hedgerow::model::Ensemble;
use hedgerow::table::validate::validate;
use hedgerow::{Client, KERNELS, PreparedTable, Refusal, RefusalKind, Row, Schema, Source, Table};
use mutate::{mutate, repair};
use oracle::Oracle;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A mutant that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the mutants, by the name of the refusal.
type Histogram = BTreeMap<&'static str, u64>;

fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name}={value}"))
    })
}

struct Base {
    name: &'static str,
    table: Edit,
    /// Enough for a whole batch of every kernel and a rest.
    rows: Vec<Vec<f32>>,
}

fn bases() -> Vec<Base> {
    let base = |(name, ensemble, bytes): (&'static str, Ensemble, Vec<u8>)| {
        let mut random = Random::new(23);
        let widest = Ensemble {
            features: common::named(ensemble.features.len().max(16)),
            ..ensemble
        };
        Base {
            name,
            table: Edit::new(&bytes),
            rows: (0..67).map(|_| random_row(&widest, &mut random)).collect(),
        }
    };
    tables::small_tables().into_iter().map(base).collect()
}

/// Scores rows with an accepted mutant on every kernel; the margins must be the oracle's.
fn score(bytes: &[u8], rows: &[Vec<f32>]) -> Result<(), Refusal> {
    let oracle = Oracle::new(bytes);
    let (least, most) = oracle.margin_range();
    let mut features = 0;
    let mut expected = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| kernel.available()) {
        let table = Table::from_bytes(bytes).expect("what the gate let through");
        let schema = Schema::new(table.features()).expect("the table's own features");
        let prepared = PreparedTable::with_kernel(table, &schema, kernel.name)?;
        if expected.is_empty() {
            features = schema.features().len();
            let own = |row: &Vec<f32>| row.iter().copied().cycle().take(features).collect();
            let rows: Vec<Vec<f32>> = rows.iter().map(own).collect();
            expected = rows.iter().map(|row| oracle.margin(row)).collect();
        }
        let row = |row: &Vec<f32>| {
            let own: Vec<f32> = row.iter().copied().cycle().take(features).collect();
            prepared.row(&own)
        };
        let values = rows;
        let rows: Vec<Row> = rows.iter().map(row).collect();
        beside(&prepared, &oracle, &rows, values);
        let mut batch = vec![i64::MIN; rows.len()];
        prepared.margins(&rows, &mut batch);
        assert_eq!(batch, expected, "a batch on {}", kernel.name);
        for (row, expected) in rows.iter().zip(&expected).take(8) {
            let margin = prepared.margin(row);
            assert_eq!(margin, *expected, "a row on {}", kernel.name);
            assert!(
                margin >= least && margin <= most,
                "{margin} of {least} to {most}"
            );
            assert_eq!(prepared.score(margin).get(), oracle.score(margin));
            assert_eq!(
                prepared.leaf_indexes(row).len(),
                prepared.table().tree_count()
            );
        }
    }
    Ok(())
}

/// Holds what a table's detections and bots say against the oracle.
fn beside(prepared: &PreparedTable, oracle: &Oracle<'_>, rows: &[Row], values: &[Vec<f32>]) {
    let features = prepared.table().features().len();
    for (row, values) in rows.iter().zip(values).take(8) {
        let own: Vec<f32> = values.iter().copied().cycle().take(features).collect();
        let margin = prepared.margin(row);
        let scored = prepared.scored(row, margin, 1);
        let (matches, decides) = oracle.detections(&own);
        assert_eq!(scored.detections.bits(), matches);
        let expected = match decides {
            Some((score, id)) => (score, Source::Detection(id)),
            None => (oracle.score(margin), Source::Ensemble),
        };
        assert_eq!((scored.score.get(), scored.source), expected);
    }
    for (first, last, _) in oracle.ranges().into_iter().take(8) {
        for address in [first, last, first.wrapping_sub(1), last.wrapping_add(1)] {
            for agent in [&b""[..], b"Mozilla/5.0 (compatible; EXAMPLEbot/2)"] {
                let client = Client::new(Ipv6Addr::from_bits(address).into(), agent);
                let found = prepared.verified(&client, 1);
                let found = found.map(|found| (found.bot, found.category as u8));
                assert_eq!(found, oracle.bot(address, agent));
            }
        }
    }
}

/// Makes one mutant and holds it against the gate.
fn one(number: u64, bases: &[Base], aligned: &mut Aligned) -> &'static str {
    let mut random = Random::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let base = &bases[random.below(bases.len() as u64) as usize];
    aligned.set(&mutate(&base.table, &mut random));
    let outcome = match random.below(2) {
        0 => validate(aligned.bytes()),
        _ => repair(aligned.bytes_mut()),
    };
    if let Err(refused) = outcome {
        return refused.kind().map_or("no kind", RefusalKind::name);
    }
    if aligned.bytes() == base.table.bytes {
        return "unchanged";
    }
    // A whole batch now and then, else a few rows.
    let rows = if random.below(8) == 0 { 67 } else { 5 };
    match score(aligned.bytes(), &base.rows[..rows]) {
        Ok(()) => "accepted",
        Err(refused) if refused.is(RefusalKind::Golden) => "golden",
        Err(refused) => panic!("{refused}"),
    }
}

/// Ends the process with the mutant's number where one thread stands still.
fn watch(progress: &[AtomicU64], done: &AtomicU64) {
    let mut seen: Vec<(u64, Instant)> = progress.iter().map(|_| (0, Instant::now())).collect();
    while done.load(Ordering::SeqCst) < progress.len() as u64 {
        std::thread::sleep(Duration::from_millis(5));
        for (now, (before, since)) in progress.iter().zip(&mut seen) {
            let now = now.load(Ordering::Relaxed);
            if now != *before || now == u64::MAX {
                (*before, *since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                eprintln!("mutant {now} hangs");
                std::process::abort();
            }
        }
    }
}

fn run(first: u64, count: u64, threads: u64, until: Option<Instant>) -> Histogram {
    let bases = bases();
    let progress: Vec<AtomicU64> = (0..threads).map(|_| AtomicU64::new(0)).collect();
    let done = AtomicU64::new(0);
    let worker = |thread: u64| {
        let mut aligned = Aligned::default();
        let mut histogram = Histogram::new();
        for number in (first + thread..first + count).step_by(threads as usize) {
            progress[thread as usize].store(number, Ordering::Relaxed);
            if number % 1024 < threads && until.is_some_and(|until| Instant::now() > until) {
                break;
            }
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                one(number, &bases, &mut aligned)
            }));
            let Ok(outcome) = caught else {
                eprintln!("mutant {number}: HEDGEROW_MUTATION_FIRST={number} repeats it");
                std::process::abort();
            };
            *histogram.entry(outcome).or_default() += 1;
        }
        progress[thread as usize].store(u64::MAX, Ordering::Relaxed);
        done.fetch_add(1, Ordering::SeqCst);
        histogram
    };
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&progress, &done));
        let worker = &worker;
        let workers: Vec<_> = (0..threads)
            .map(|at| scope.spawn(move || worker(at)))
            .collect();
        let mut all = Histogram::new();
        for worker in workers {
            for (name, count) in worker.join().expect("a histogram") {
                *all.entry(name).or_default() += count;
            }
        }
        all
    })
}

#[test]
fn no_mutant_gets_the_better_of_the_gate() {
    let first = setting("HEDGEROW_MUTATION_FIRST", 0);
    let count = setting("HEDGEROW_MUTATIONS", 100_000);
    let threads = setting("HEDGEROW_MUTATION_THREADS", 2).max(1);
    let seconds = setting("HEDGEROW_MUTATION_SECONDS", 0);
    let start = Instant::now();
    let until = (seconds > 0).then(|| start + Duration::from_secs(seconds));
    let histogram = run(first, count, threads, until);
    let total: u64 = histogram.values().sum();
    let took = start.elapsed().as_secs_f64();
    let rate = total as f64 / took;
    println!("{total} mutations on {threads} threads in {took:.1} s, {rate:.0} a second");
    for (name, count) in &histogram {
        println!(
            "{count:>10} {:>6.2} % {name}",
            *count as f64 * 100.0 / total as f64
        );
    }
    let of = |names: &[&str]| -> u64 {
        names
            .iter()
            .map(|name| histogram.get(name).copied().unwrap_or_default())
            .sum()
    };
    assert_eq!(of(&["content-hash"]), 0, "the hash is always right");
    if total >= 50_000 {
        let preamble = of(&[
            "magic",
            "endianness",
            "format-version",
            "truncated",
            "trailing-bytes",
            "signature",
            "empty",
        ]);
        assert!(
            preamble * 2 < total,
            "most get to the structure: {histogram:?}"
        );
        assert!(
            of(&["accepted"]) * 50 > total,
            "some are accepted: {histogram:?}"
        );
        assert!(
            histogram.len() >= 30,
            "many checks are reached: {histogram:?}"
        );
    }
}

/// The oracle itself: it agrees with the unchanged tables, and notices a table that is led astray.
#[test]
fn oracle_is_no_yes_man() {
    for base in bases() {
        score(&base.table.bytes, &base.rows).expect("golden rows");
        let mut wrong = base.table.clone();
        wrong.bytes[80] ^= 1;
        let same = Oracle::new(&base.table.bytes).margin(&base.rows[0]);
        assert_ne!(
            Oracle::new(&wrong.bytes).margin(&base.rows[0]),
            same,
            "{}",
            base.name
        );
    }
    let mut wrong = Edit::new(&tables::plain_table());
    use hedgerow::table::format::{NodeRecord, Section};
    wrong.record(Section::Nodes, 0, |node: &mut NodeRecord| node.child = 99);
    let led = std::panic::catch_unwind(|| Oracle::new(&wrong.bytes).margin(&[9.0; 3]));
    assert!(led.is_err(), "a walk out of the tree");
}
