//! A histogram as text, in the form that HdrHistogram's plotters read.

use crate::failure::Failure;
use crate::files;
use hdrhistogram::Histogram;
use std::io::{self, Write};
use std::path::Path;

/// Steps from one half of the remaining distance to the next.
const TICKS: u32 = 5;

/// Writes latencies of nanoseconds in microseconds.
pub fn write(path: &Path, histogram: &Histogram<u64>) -> Result<(), Failure> {
    files::write_whole(path, |to| {
        fill(to, histogram).map_err(|error| Failure::io(path, "a writable file", error))
    })
}

fn fill(to: &mut dyn Write, histogram: &Histogram<u64>) -> io::Result<()> {
    let micros = |nanos: f64| nanos / 1e3;
    writeln!(
        to,
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    )?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS) {
        count += step.count_since_last_iteration();
        let (value, share) = (
            micros(step.value_iterated_to() as f64),
            step.quantile_iterated_to(),
        );
        let share = share.min(1.0);
        match share < 1.0 {
            true => writeln!(
                to,
                "{value:>12.3} {share:>14.12} {count:>10} {:>14.2}",
                1.0 / (1.0 - share)
            )?,
            false => writeln!(to, "{value:>12.3} {share:>14.12} {count:>10}")?,
        }
    }
    let (mean, deviation) = (micros(histogram.mean()), micros(histogram.stdev()));
    writeln!(
        to,
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    )?;
    let (max, total) = (micros(histogram.max() as f64), histogram.len());
    writeln!(to, "#[Max     = {max:>12.3}, Total count    = {total:>12}]")?;
    let buckets = histogram.buckets();
    writeln!(
        to,
        "#[Buckets = {buckets:>12}, SubBuckets     = {:>12}]",
        2048
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_ascend_to_all_requests_and_the_largest() {
        let mut histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3).unwrap();
        (1..=10_000u64).for_each(|nanos| histogram.record(nanos * 10).unwrap());
        let mut bytes = Vec::new();
        fill(&mut bytes, &histogram).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let rows: Vec<Vec<f64>> = { text.lines().skip(2) }
            .take_while(|line| !line.starts_with('#'))
            .map(|line| {
                line.split_whitespace()
                    .map(|word| word.parse().unwrap())
                    .collect()
            })
            .collect();
        assert!(rows.len() > 20, "{text}");
        assert!(
            rows.windows(2)
                .all(|w| w[0][0] <= w[1][0] && w[0][1] <= w[1][1])
        );
        let last = rows.last().unwrap();
        assert_eq!((last.len(), last[2]), (3, 10_000.0));
        assert!((last[0] - 100.0).abs() < 0.2, "{last:?}");
        let half = rows.iter().find(|row| row[1] >= 0.5).unwrap();
        assert!((half[0] - 50.0).abs() < 1.0, "{half:?}");
        assert!(text.contains("#[Max     ="));
    }
}
