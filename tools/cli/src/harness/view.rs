//! The live view of a run, on a terminal and nowhere else.

use super::publisher::Published;
use hedgerow::stats::{Latency, LatencySnapshot};
use indicatif::{ProgressBar, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::Duration;

/// How often it changes.
const EVERY: Duration = Duration::from_millis(250);

/// A line that shows the last moment's rate and latency, and what was published.
pub struct View {
    bar: ProgressBar,
    latencies: Vec<Latency>,
    last: RefCell<(Duration, LatencySnapshot)>,
}

impl View {
    /// Of so many threads and so many seconds; `None` if nobody sees it, or only for a moment.
    pub fn new(threads: usize, seconds: f64) -> Option<View> {
        if !std::io::stderr().is_terminal() || seconds <= 1.0 {
            return None;
        }
        let bar = ProgressBar::new((seconds * 1e3) as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:12} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        let latencies = (0..threads).map(|_| Latency::default()).collect();
        let last = RefCell::default();
        Some(View {
            bar,
            latencies,
            last,
        })
    }

    /// Where a thread records for it.
    pub fn latency(&self, thread: usize) -> Option<&Latency> {
        self.latencies.get(thread)
    }

    /// Shows what was recorded since the last time.
    pub fn show(&self, now: Duration, published: &Published) {
        let (then, before) = &mut *self.last.borrow_mut();
        let passed = now.saturating_sub(*then);
        if passed < EVERY {
            return;
        }
        let mut all = LatencySnapshot::default();
        self.latencies
            .iter()
            .for_each(|latency| latency.add_to(&mut all));
        let new = all.since(before);
        let micros = |share: f64| new.quantile(share) as f64 / 1e3;
        self.bar.set_position(now.as_millis() as u64);
        self.bar.set_message(format!(
            "{:.0}/s p50 {:.1} p99 {:.1} p99.9 {:.1} µs, gen {}, {} refused",
            new.count() as f64 / passed.as_secs_f64(),
            micros(0.5),
            micros(0.99),
            micros(0.999),
            published.generation,
            published.refused
        ));
        (*then, *before) = (now, all);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
