//! Times of work that is repeated: the best of many runs, and the median with cold caches.

use hedgerow::limits::BATCH_ROWS_MAX;
use hedgerow::{PreparedTable, Row};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Runs `pass` for a time, at least three times; returns the shortest run.
pub fn best(seconds: f64, mut pass: impl FnMut()) -> Duration {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut best = Duration::MAX;
    let mut runs = 0;
    while runs < 3 || Instant::now() < end {
        let start = Instant::now();
        pass();
        best = best.min(start.elapsed());
        runs += 1;
    }
    best
}

/// Nanoseconds a row in batches, from a filled row to its score.
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

/// Bytes that are read before each row: more than first and second caches hold.
const EVICT_BYTES: usize = 4 << 20;

/// The median time of a row's score where other work has had the caches since the row before. The
/// row itself is warm, as one that has just been filled.
pub fn cold_row_ns(prepared: &PreparedTable, rows: &[Row], seconds: f64) -> u64 {
    let other = vec![1u8; EVICT_BYTES];
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut times = Vec::new();
    while times.is_empty() || Instant::now() < end {
        for row in rows.iter().take(256) {
            let lines = black_box(&other).iter().step_by(64);
            black_box(lines.map(|byte| u64::from(*byte)).sum::<u64>());
            let row = black_box(row.clone());
            let start = Instant::now();
            black_box(prepared.score(prepared.margin(&row)));
            times.push(start.elapsed().as_nanos() as u64);
        }
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
