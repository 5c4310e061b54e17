//! One piece of the hot path, for a tool that counts the instructions.
//!
//! `counted KERNEL TABLE HOW`: TABLE is oblivious, leafwise, complete or borders, all made, or
//! default, the bundled one; HOW is `alone` or `batches` of 64, from rows to margins, or, of the
//! bundled table, `verdicts`, each by a scorer; or `planted`: `alone` with some instructions more,
//! which `instructions.sh --test` must notice. `counted - http extract` fills rows from the
//! recorded requests; `counted - swap enter` enters and leaves a swap. All that is counted
//! happens in functions whose names begin with `counted`; `instructions.sh` reads the counts.
//! Prints how many rows, and a sum of what came out.

#[path = "../../../benches/made/mod.rs"]
mod made;
#[path = "../../../tests/common/requests.rs"]
mod requests;

use hedgerow::epoch::{Barrier, Reader, Swap};
use hedgerow::http::{Request, extract};
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::model::{BuildOptions, Ensemble, build};
use hedgerow::{DEFAULT_TABLE, Engine, PreparedTable, Row, Schema, Scorer, Table, Verdict};
use made::{FEATURES, ensemble, leafwise, oblivious, schema_of};
use std::hint::black_box;

/// Rows of a made table: four whole batches.
const ROWS: usize = 4 * BATCH_ROWS_MAX;

/// Times that a reader enters.
const ENTRIES: u64 = 1_000;

const USAGE: &str = "counted KERNEL oblivious|leafwise|complete|borders alone|batches|planted\n\
                     counted KERNEL default verdicts\n\
                     counted - http extract\n\
                     counted - swap enter";

/// Scores rows so many at a time.
#[inline(never)]
fn counted_margins(prepared: &PreparedTable, rows: &[Row], at_once: usize, margins: &mut [i64]) {
    for (rows, margins) in rows.chunks(at_once).zip(margins.chunks_mut(at_once)) {
        match (rows, margins) {
            ([row], [margin]) => *margin = prepared.margin(row),
            (rows, margins) => prepared.margins(rows, margins),
        }
    }
}

/// Reads a hundred values of each row: some 4 % of what scoring takes.
#[inline(never)]
fn counted_slowdown(rows: &[Row]) {
    for value in rows.iter().flat_map(|row| row.values().iter().take(100)) {
        black_box(*value);
    }
}

/// From filled rows to verdicts, as a host calls it.
#[inline(never)]
fn counted_verdicts(scorer: &mut Scorer, rows: &[Row]) -> i64 {
    let score = |row| match scorer.score(row) {
        Verdict::Scored(scored) => i64::from(scored.score.get()),
        other => panic!("expected a score, got {other:?}"),
    };
    rows.iter().map(score).sum()
}

/// Fills one row again and again.
#[inline(never)]
fn counted_extract(requests: &[Request<'_>], row: &mut Row) {
    for request in requests {
        extract(black_box(request), row);
    }
}

/// Enters and leaves.
#[inline(never)]
fn counted_enter(reader: &mut Reader<u64>) -> u64 {
    (0..ENTRIES).fold(0, |sum, _| {
        sum + black_box(&mut *reader).enter().map_or(0, |value| *value)
    })
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (rows, sum) = match words[..] {
        ["-", "http", "extract"] => extracted(),
        ["-", "swap", "enter"] => entered(),
        [kernel, "default", "verdicts"] => verdicts(kernel),
        [kernel, table, how] => margins(kernel, &made_of(table), how),
        _ => panic!("usage: {USAGE}"),
    };
    println!("{rows} rows, {sum}");
}

fn made_of(table: &str) -> Ensemble {
    match table {
        "oblivious" => ensemble(1_000, |random| oblivious(FEATURES, random)),
        "leafwise" => ensemble(500, |random| leafwise(31, 19, random)),
        "complete" => ensemble(500, |random| leafwise(64, 6, random)),
        "borders" => made::borders_alone(),
        _ => panic!("usage: {USAGE}"),
    }
}

fn margins(kernel: &str, ensemble: &Ensemble, how: &str) -> (usize, i64) {
    let at_once = match how {
        "alone" | "planted" => 1,
        "batches" => BATCH_ROWS_MAX,
        _ => panic!("usage: {USAGE}"),
    };
    let built = build(ensemble, &BuildOptions::default()).expect("a table");
    let table = Table::from_bytes(&built.bytes).expect("a valid table");
    let prepared =
        PreparedTable::with_kernel(table, &schema_of(ensemble), kernel).expect("a prepared table");
    let values = made::rows(ROWS);
    let rows: Vec<Row> = values.iter().map(|values| prepared.row(values)).collect();
    let mut margins = vec![0; ROWS];
    counted_margins(&prepared, black_box(&rows), at_once, &mut margins);
    if how == "planted" {
        counted_slowdown(&rows);
    }
    let sum = |sum: i64, margin: &i64| sum.wrapping_add(*margin);
    (ROWS, margins.iter().fold(0, sum))
}

fn verdicts(kernel: &str) -> (usize, i64) {
    let engine = Engine::new(Schema::http());
    let table = Table::from_bytes(DEFAULT_TABLE).expect("the bundled table");
    engine.publish_on(table, kernel).expect("a generation");
    let mut scorer = engine.scorer().expect("a slot");
    let rows = requests::rows(&requests::requests());
    let sum = counted_verdicts(&mut scorer, black_box(&rows));
    (rows.len(), sum)
}

fn extracted() -> (usize, i64) {
    let requests = requests::requests();
    let mut row = Row::MISSING;
    counted_extract(&requests, &mut row);
    let known = row.values().iter().filter(|value| !value.is_nan());
    (requests.len(), known.count() as i64)
}

/// On the fence: valgrind may refuse the other barrier, which differs by that one instruction.
fn entered() -> (usize, i64) {
    let swap = Swap::with_barrier(1, Barrier::Fence);
    swap.publish(|_| Box::new(1)).expect("room");
    let mut reader = swap.reader().expect("a slot");
    (ENTRIES as usize, counted_enter(&mut reader) as i64)
}
