//! The circuit breaker around a scorer: what fails again and again is left alone for a while.
//!
//! Each scorer has its own, so that threads share nothing. An open breaker costs a request one
//! comparison, and the request goes on without a score.

use std::time::{Duration, Instant};

/// When a scorer stops, and for how long. Written as
/// `BreakerOptions { …, ..BreakerOptions::default() }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerOptions {
    /// The time that one call may take, 1 ms by default. A call runs on the host's thread and is
    /// never cut short: a longer one counts as late, and still gives its score.
    pub budget: Duration,
    /// Late calls in a row that open the breaker, 16 by default. A thread that loses its core for
    /// some milliseconds makes one call late, not many in a row.
    pub late_max: u32,
    /// Panics within [`window`](BreakerOptions::window) that open the breaker, 8 by default,
    /// whatever calls are between them.
    pub panics_max: u32,
    /// How long a panic counts, 10 s by default.
    pub window: Duration,
    /// How long the breaker stays open, 1 s by default. Then one call is tried: it closes the
    /// breaker, or opens it again.
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

/// How a call ended, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Noted {
    /// The call took longer than the budget.
    pub late: bool,
    /// The breaker opened.
    pub opened: bool,
}

/// One scorer's breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    options: Option<BreakerOptions>,
    calls: Calls,
}

/// What the breaker remembers of earlier calls.
#[derive(Debug, Default)]
struct Calls {
    open_until: Option<Instant>,
    late: u32,
    panics: u32,
    /// When the first of these panics was.
    since: Option<Instant>,
}

impl Breaker {
    /// Makes a closed breaker; without options it never opens.
    pub fn new(options: Option<BreakerOptions>) -> Breaker {
        Breaker {
            options,
            calls: Calls::default(),
        }
    }

    /// Returns `true` if a call may be made.
    #[inline]
    pub fn allows(&self, now: Instant) -> bool {
        self.calls.open_until.is_none_or(|until| now >= until)
    }

    /// Notes a call that returned.
    #[inline]
    pub fn returned(&mut self, took: Duration, now: Instant) -> Noted {
        let Some(options) = &self.options else {
            return Noted::default();
        };
        if took <= options.budget {
            self.calls.late = 0;
            if self.calls.open_until.is_some() {
                self.calls = Calls::default();
            }
            return Noted::default();
        }
        self.calls.late = self.calls.late.saturating_add(1);
        let opened = self.calls.late >= options.late_max || self.calls.open_until.is_some();
        Noted {
            late: true,
            opened: self.calls.open(opened, now, options),
        }
    }

    /// Notes a call that panicked.
    #[cold]
    pub fn panicked(&mut self, now: Instant) -> Noted {
        let Some(options) = &self.options else {
            return Noted::default();
        };
        let calls = &mut self.calls;
        let counts = calls
            .since
            .is_some_and(|since| now.saturating_duration_since(since) <= options.window);
        if !counts {
            (calls.since, calls.panics) = (Some(now), 0);
        }
        calls.panics = calls.panics.saturating_add(1);
        let opened = calls.panics >= options.panics_max || calls.open_until.is_some();
        Noted {
            late: false,
            opened: calls.open(opened, now, options),
        }
    }
}

impl Calls {
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

    fn breaker() -> Breaker {
        Breaker::new(Some(BreakerOptions {
            budget: MS,
            late_max: 3,
            panics_max: 2,
            window: 100 * MS,
            pause: 50 * MS,
        }))
    }

    const ON_TIME: Noted = Noted {
        late: false,
        opened: false,
    };
    const LATE: Noted = Noted {
        late: true,
        opened: false,
    };
    const OPENED: Noted = Noted {
        late: true,
        opened: true,
    };

    #[test]
    fn late_calls_in_a_row_open_it_and_one_good_call_closes_it() {
        let (mut breaker, start) = (breaker(), Instant::now());
        assert_eq!(breaker.returned(2 * MS, start), LATE);
        assert_eq!(breaker.returned(2 * MS, start), LATE);
        assert_eq!(breaker.returned(MS, start), ON_TIME, "within the budget");
        assert_eq!(breaker.returned(2 * MS, start), LATE);
        assert_eq!(breaker.returned(2 * MS, start), LATE);
        assert!(breaker.allows(start));
        assert_eq!(breaker.returned(2 * MS, start), OPENED, "third in a row");
        assert!(!breaker.allows(start + 49 * MS));
        assert!(breaker.allows(start + 50 * MS));
        let later = start + 60 * MS;
        let tried = breaker.returned(2 * MS, later);
        assert_eq!(tried, OPENED, "the call that was tried is late");
        assert!(!breaker.allows(later + 49 * MS));
        assert_eq!(breaker.returned(MS, later + 50 * MS), ON_TIME);
        assert_eq!(
            breaker.returned(2 * MS, later + 50 * MS),
            LATE,
            "counted from 0"
        );
        assert!(breaker.allows(later + 50 * MS));
    }

    #[test]
    fn panics_within_a_window_open_it() {
        let (mut breaker, start) = (breaker(), Instant::now());
        assert!(!breaker.panicked(start).opened);
        assert_eq!(breaker.returned(MS, start), ON_TIME);
        assert!(
            !breaker.panicked(start + 101 * MS).opened,
            "the first is forgotten"
        );
        assert!(breaker.panicked(start + 150 * MS).opened);
        assert!(!breaker.allows(start + 199 * MS));
        assert!(
            breaker.panicked(start + 200 * MS).opened,
            "the call that was tried"
        );
        assert!(!breaker.allows(start + 249 * MS));
    }

    #[test]
    fn without_options_it_never_opens() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..100 {
            assert_eq!(breaker.returned(1_000 * MS, start), ON_TIME);
            assert_eq!(breaker.panicked(start), ON_TIME);
        }
        assert!(breaker.allows(start));
    }
}
