//! Scores rows on one kernel and one made table, for a tool that counts the instructions.
//!
//! `counted KERNEL TABLE MODE [PASSES]`: TABLE is oblivious, leafwise or complete; MODE is `alone`
//! or `batches` of 64. All that is counted happens in [`counted`]; `instructions.sh` reads the
//! counts. Prints the rows of one pass and the sum of their margins. PASSES of 2 scores every row
//! twice: a regression, to see that the gate catches one.

#[path = "../../benches/made/mod.rs"]
mod made;

use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::table::build::{BuildOptions, build};
use hedgerow::{Bound, Row, Table};
use made::{FEATURES, ensemble, leafwise, oblivious, schema_of};
use std::hint::black_box;

/// Rows of a pass: four whole batches.
const ROWS: usize = 4 * BATCH_ROWS_MAX;

/// Scores the rows so many at a time.
#[inline(never)]
fn counted(bound: &Bound, rows: &[Row], at_once: usize, margins: &mut [i64]) {
    for (rows, margins) in rows.chunks(at_once).zip(margins.chunks_mut(at_once)) {
        match (rows, margins) {
            ([row], [margin]) => *margin = bound.margin(row),
            (rows, margins) => bound.margins(rows, margins),
        }
    }
}

fn main() {
    let usage = "counted KERNEL oblivious|leafwise|complete alone|batches [PASSES]";
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| words.get(at).map(String::as_str);
    let ensemble = match word(1) {
        Some("oblivious") => ensemble(1_000, |random| oblivious(FEATURES, random)),
        Some("leafwise") => ensemble(500, |random| leafwise(31, 19, random)),
        Some("complete") => ensemble(500, |random| leafwise(64, 6, random)),
        _ => panic!("usage: {usage}"),
    };
    let at_once = match word(2) {
        Some("alone") => 1,
        Some("batches") => BATCH_ROWS_MAX,
        _ => panic!("usage: {usage}"),
    };
    let passes = word(3).map_or(1, |passes| passes.parse().expect(usage));
    let built = build(&ensemble, &BuildOptions::default()).expect("a table");
    let table = Table::from_bytes(&built.bytes).expect("a valid table");
    let bound = Bound::new(table, &schema_of(&ensemble), word(0)).expect("a bound table");
    let values = made::rows(ROWS);
    let rows: Vec<Row> = values.iter().map(|values| bound.row(values)).collect();
    let mut margins = vec![0; ROWS];
    for _ in 0..passes {
        counted(&bound, black_box(&rows), at_once, &mut margins);
    }
    let sum = margins
        .iter()
        .fold(0i64, |sum, margin| sum.wrapping_add(*margin));
    println!("{ROWS} rows, {sum}");
}
