//! The clock, the rounds, and what a subject of measurement must do.
//!
//! A call is timed alone: the row is filled into the caller's own memory, the clock is read, the
//! call is made, the clock is read. So rows are always just filled, as a host's are, and no call
//! overlaps with the next one. The clock's own time stays in every figure.

use crate::Result;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// All rows, one after the other.
pub struct Rows {
    pub values: Vec<f32>,
    pub features: usize,
}

impl Rows {
    pub fn count(&self) -> usize {
        self.values.len() / self.features
    }

    /// The values of `count` rows from `first` on.
    pub fn slice(&self, first: usize, count: usize) -> &[f32] {
        &self.values[first * self.features..(first + count) * self.features]
    }
}

/// Something that turns rows into margins, in this process.
pub trait Subject {
    /// Rows a call.
    fn rows(&self) -> usize;

    /// Copies [`rows`](Subject::rows) rows to where the call reads them, in the layout that it
    /// wants. Not timed.
    fn fill(&mut self, rows: &Rows, first: usize);

    /// The call that is timed. 0, or what the library calls an error.
    fn call(&mut self) -> i32;

    /// The margins of the last call. Not timed.
    fn margins(&mut self, to: &mut [f64]);
}

/// Something that another process times, at the same place of the round.
pub trait Remote {
    fn rows(&self) -> usize;
    /// The median of some calls, in nanoseconds, and how many they were.
    fn time(&mut self, calls: usize) -> Result<(f64, usize)>;
    /// The margins of all rows.
    fn margins(&mut self) -> Result<Vec<f64>>;
}

pub enum Runs {
    Here(Box<dyn Subject>),
    There(Box<dyn Remote>),
}

/// The processor's time stamp counter, or the system's clock where there is none.
#[derive(Clone, Copy)]
pub struct Clock {
    ns_a_tick: f64,
}

impl Clock {
    /// Measures the counter against the system's clock.
    pub fn new() -> Clock {
        let (start, from) = (Instant::now(), Clock::ticks());
        while start.elapsed() < Duration::from_millis(200) {}
        let ticks = Clock::ticks() - from;
        let ns_a_tick = start.elapsed().as_nanos() as f64 / ticks as f64;
        Clock { ns_a_tick }
    }

    /// Everything before it is done, and nothing after it has begun.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn ticks() -> u64 {
        use std::arch::x86_64::{__rdtscp, _mm_lfence, _mm_mfence};
        let mut core = 0;
        // SAFETY: SSE2 is part of x86-64; RDTSCP is in every x86-64 processor since 2008, and the
        // pointer is a local's.
        unsafe {
            _mm_mfence();
            let ticks = __rdtscp(&mut core);
            _mm_lfence();
            ticks
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn ticks() -> u64 {
        use std::sync::OnceLock;
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_nanos() as u64
    }

    /// What a call of nothing takes by this clock, in nanoseconds: the median of many.
    pub fn own_ns(self) -> f64 {
        let mut times: Vec<u64> = (0..10_001)
            .map(|_| {
                let from = Clock::ticks();
                Clock::ticks() - from
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2] as f64 * self.ns_a_tick
    }
}

/// Other memory, walked between calls so that the caches hold nothing of the callee's.
pub struct Walk(Vec<u64>);

impl Walk {
    pub fn new(bytes: usize) -> Walk {
        Walk((0..bytes as u64 / 8).collect())
    }

    /// Reads one word of every cache line, and writes it back: the line is dirty, as memory is
    /// that a host has worked in.
    pub fn go(&mut self) {
        for word in self.0.iter_mut().step_by(8) {
            *word = word.wrapping_add(1);
        }
        black_box(&mut self.0);
    }
}

/// How much of a subject a round measures.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Calls of one subject in a round, at most.
    pub calls_max: usize,
    /// Time of one subject in a round, about, in nanoseconds.
    pub round_ns: f64,
    /// Calls with cold caches of one subject in a round.
    pub cold_calls: usize,
}

/// Where a subject's rows go on in the next round, and how long its calls take, about.
#[derive(Default)]
pub struct Cursor {
    pub next: usize,
    pub call_ns: f64,
}

/// Times one call on rows from `first` on.
fn timed(subject: &mut dyn Subject, clock: Clock) -> Result<f64> {
    let from = Clock::ticks();
    let status = black_box(&mut *subject).call();
    let ticks = Clock::ticks() - from;
    match status {
        0 => Ok(ticks as f64 * clock.ns_a_tick),
        _ => Err(format!("the call returned {status}").into()),
    }
}

/// The middle of some times. Not the mean: on a machine with a load of 22, calls that lost the core
/// for milliseconds made means ten times and more the minima (2026-11-23, EPYC, 2 cores).
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Moves on by `count` rows; returns where they start.
fn advance(cursor: &mut Cursor, rows: &Rows, count: usize) -> usize {
    let first = if cursor.next + count > rows.count() {
        0
    } else {
        cursor.next
    };
    cursor.next = first + count;
    first
}

/// One round of one subject, warm: the median of its calls in nanoseconds a row, and how many.
pub fn warm_round(
    runs: &mut Runs,
    rows: &Rows,
    clock: Clock,
    effort: Effort,
    cursor: &mut Cursor,
) -> Result<(f64, usize)> {
    let per_round = effort.round_ns / cursor.call_ns.max(1.0);
    let calls = (per_round as usize).clamp(1, effort.calls_max);
    match runs {
        Runs::There(remote) => {
            let (ns, calls) = remote.time(calls)?;
            cursor.call_ns = ns;
            Ok((ns / remote.rows() as f64, calls))
        }
        Runs::Here(subject) => {
            let mut times = Vec::with_capacity(calls);
            for _ in 0..calls {
                let first = advance(cursor, rows, subject.rows());
                subject.fill(rows, first);
                times.push(timed(&mut **subject, clock)?);
            }
            cursor.call_ns = median(times);
            Ok((cursor.call_ns / subject.rows() as f64, calls))
        }
    }
}

/// One round of one subject, cold: before each call other memory is walked, then the row filled.
pub fn cold_round(
    subject: &mut dyn Subject,
    rows: &Rows,
    clock: Clock,
    calls: usize,
    walk: &mut Walk,
    cursor: &mut Cursor,
) -> Result<f64> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        walk.go();
        let first = advance(cursor, rows, subject.rows());
        subject.fill(rows, first);
        times.push(timed(subject, clock)?);
    }
    Ok(median(times) / subject.rows() as f64)
}

/// The margins of all rows.
pub fn all_margins(runs: &mut Runs, rows: &Rows) -> Result<Vec<f64>> {
    let subject = match runs {
        Runs::There(remote) => return remote.margins(),
        Runs::Here(subject) => subject,
    };
    let mut margins = vec![f64::NAN; rows.count()];
    let step = subject.rows();
    let mut first = 0;
    while first < rows.count() {
        // The last batch overlaps with the one before.
        let at = first.min(rows.count() - step);
        subject.fill(rows, at);
        let status = subject.call();
        if status != 0 {
            return Err(format!("row {at}: the call returned {status}").into());
        }
        subject.margins(&mut margins[at..at + step]);
        first = at + step;
    }
    Ok(margins)
}

/// Binds this process, and those that it starts, to one core: the last that it may use, or the
/// given one. Returns which.
pub fn bind(core: Option<usize>) -> Result<usize> {
    // SAFETY: the sets are plain bits, and both calls get their size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &mut set) != 0 {
            return Err(std::io::Error::last_os_error().into());
        }
        let allowed = |core: &usize| libc::CPU_ISSET(*core, &set);
        let last = (0..libc::CPU_SETSIZE as usize).rev().find(allowed);
        let core = core.or(last).ok_or("no core to run on")?;
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut one);
        if libc::sched_setaffinity(0, size, &one) != 0 {
            let error = std::io::Error::last_os_error();
            return Err(format!("core {core}: {error}").into());
        }
        Ok(core)
    }
}
