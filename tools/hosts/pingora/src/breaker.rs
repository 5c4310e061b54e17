//! The circuit breaker around the call: what fails again and again is left alone for a while.
//!
//! Each thread has its own, so that threads share nothing. A breaker that is open costs a request
//! one comparison; the request goes on without a score.

use std::time::{Duration, Instant};

/// When a thread stops calling, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerOptions {
    /// What one call may take. It cannot be cut short, since it runs on the host's thread: what is
    /// looked at of a request and of a table is bounded, and a call that took longer counts as
    /// late. A score that comes late is still given.
    pub budget: Duration,
    /// Late calls in a row that open the breaker. A thread that is not given the processor for
    /// some milliseconds makes one call late, not many in a row.
    pub late_max: u32,
    /// Panics within [`window`](BreakerOptions::window) that open it, whatever came between.
    pub panics_max: u32,
    /// For how long a panic counts.
    pub window: Duration,
    /// How long it stays open. Then one call is tried: it closes the breaker, or opens it anew.
    pub pause: Duration,
}

impl Default for BreakerOptions {
    fn default() -> BreakerOptions {
        BreakerOptions {
            budget: Duration::from_millis(1),
            late_max: 16,
            panics_max: 8,
            window: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// One thread's breaker.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    open_until: Option<Instant>,
    late: u32,
    panics: u32,
    /// When the first of these panics was.
    since: Option<Instant>,
}

impl Breaker {
    /// Whether to call.
    #[inline]
    pub fn allows(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    /// Takes in a call that came back; whether the breaker opened.
    #[inline]
    pub fn returned(&mut self, took: Duration, now: Instant, options: &BreakerOptions) -> bool {
        if took <= options.budget {
            self.late = 0;
            if self.open_until.is_some() {
                *self = Breaker::default();
            }
            return false;
        }
        self.late = self.late.saturating_add(1);
        let opens = self.late >= options.late_max || self.open_until.is_some();
        self.open(opens, now, options)
    }

    /// Takes in a call that panicked; whether the breaker opened.
    #[cold]
    pub fn panicked(&mut self, now: Instant, options: &BreakerOptions) -> bool {
        let counts = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) <= options.window);
        if !counts {
            (self.since, self.panics) = (Some(now), 0);
        }
        self.panics = self.panics.saturating_add(1);
        let opens = self.panics >= options.panics_max || self.open_until.is_some();
        self.open(opens, now, options)
    }

    fn open(&mut self, opens: bool, now: Instant, options: &BreakerOptions) -> bool {
        if opens {
            self.open_until = now.checked_add(options.pause);
        }
        opens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn options() -> BreakerOptions {
        BreakerOptions {
            budget: MS,
            late_max: 3,
            panics_max: 2,
            window: 100 * MS,
            pause: 50 * MS,
        }
    }

    #[test]
    fn late_calls_in_a_row_open_it_and_one_good_call_closes_it() {
        let (options, start) = (options(), Instant::now());
        let mut breaker = Breaker::default();
        assert!(!breaker.returned(2 * MS, start, &options));
        assert!(!breaker.returned(2 * MS, start, &options));
        assert!(!breaker.returned(MS, start, &options), "within the budget");
        assert!(!breaker.returned(2 * MS, start, &options));
        assert!(!breaker.returned(2 * MS, start, &options));
        assert!(breaker.allows(start));
        assert!(
            breaker.returned(2 * MS, start, &options),
            "the third in a row"
        );
        assert!(!breaker.allows(start + 49 * MS));
        assert!(breaker.allows(start + 50 * MS));
        let later = start + 60 * MS;
        assert!(
            breaker.returned(2 * MS, later, &options),
            "the call that was tried is late"
        );
        assert!(!breaker.allows(later + 49 * MS));
        assert!(!breaker.returned(MS, later + 50 * MS, &options));
        assert!(
            !breaker.returned(2 * MS, later + 50 * MS, &options),
            "counted from 0"
        );
        assert!(breaker.allows(later + 50 * MS));
    }

    #[test]
    fn panics_within_a_window_open_it() {
        let (options, start) = (options(), Instant::now());
        let mut breaker = Breaker::default();
        assert!(!breaker.panicked(start, &options));
        assert!(!breaker.returned(MS, start, &options));
        assert!(
            !breaker.panicked(start + 101 * MS, &options),
            "the first is forgotten"
        );
        assert!(breaker.panicked(start + 150 * MS, &options));
        assert!(!breaker.allows(start + 199 * MS));
        assert!(
            breaker.panicked(start + 200 * MS, &options),
            "the call that was tried"
        );
        assert!(!breaker.allows(start + 249 * MS));
    }
}
