//! Times of work that is repeated: the best of many runs, and the median with cold caches.

use super::cache_pressure::Evict;
use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::{PreparedTable, Row};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// MiB of other work: more than first and second caches hold.
pub const COLD_MIB: f64 = 4.0;

/// Runs `pass` for a time, at least three times; returns the shortest run.
pub fn best(seconds: f64, mut pass: impl FnMut()) -> Duration {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut best, mut runs) = (Duration::MAX, 0);
    while runs < 3 || Instant::now() < end {
        let start = Instant::now();
        pass();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best
}

/// Nanoseconds per row in batches, from a filled row to its score.
pub fn batch_row_ns(prepared: &PreparedTable, rows: &[Row], seconds: f64) -> f64 {
    let mut rows = rows.to_vec();
    while rows.len() < BATCH_ROWS_MAX {
        rows.extend_from_within(..);
    }
    rows.truncate(rows.len() / BATCH_ROWS_MAX * BATCH_ROWS_MAX);
    let mut margins = [0i64; BATCH_ROWS_MAX];
    let best = best(seconds, || {
        for batch in rows.chunks_exact(BATCH_ROWS_MAX) {
            prepared.margins(black_box(batch), &mut margins);
            for margin in margins {
                black_box(prepared.score(margin));
            }
        }
    });
    best.as_nanos() as f64 / rows.len() as f64
}

/// The median time of a row's score after other work has had the caches. The row itself is warm,
/// as one that has just been filled.
pub fn cold_row_ns(prepared: &PreparedTable, rows: &[Row], seconds: f64) -> u64 {
    let other = Evict::new(COLD_MIB);
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut times = Vec::new();
    while times.is_empty() || Instant::now() < end {
        for row in rows.iter().take(256) {
            other.iter().for_each(Evict::walk);
            let row = black_box(row.clone());
            let start = Instant::now();
            black_box(prepared.score(prepared.margin(&row)));
            times.push(start.elapsed().as_nanos() as u64);
        }
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
