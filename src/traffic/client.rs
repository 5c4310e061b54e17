//! What is remembered of one client: two cache lines.

use super::facts::Hashed;
use super::features::Id;
use super::sketch::Sketch;
use super::{BACK_MAX, BUCKETS, MEMORY, SHARE_MIN, VALUES, WINDOW_BUCKETS};

/// The state of one client. All times are nanoseconds on the caller's clock.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Client {
    first: u64,
    last: u64,
    /// Requests a bucket, for each of the three windows; each stops at the largest `u16`.
    buckets: [[u16; WINDOW_BUCKETS]; 3],
    paths: Sketch,
    agents: Sketch,
    gap_mean: f32,
    gap_variance: f32,
    errors: f32,
    assets: f32,
    bare: f32,
    repeats: f32,
    /// The hash of the last path, cut to 24 bits: of pairs of different paths, one in 2^24 counts
    /// as a repeat.
    path: [u8; 3],
    // How many values went into the means, and requests and paths one more: they stop counting
    // where the means do.
    requests: u8,
    paths_known: u8,
    assets_known: u8,
    referers_known: u8,
    answers: u8,
}

const _: () = assert!(size_of::<Client>() == 128);

impl Client {
    pub const EMPTY: Client = Client {
        first: 0,
        last: 0,
        buckets: [[0; WINDOW_BUCKETS]; 3],
        paths: Sketch::EMPTY,
        agents: Sketch::EMPTY,
        gap_mean: 0.0,
        gap_variance: 0.0,
        errors: 0.0,
        assets: 0.0,
        bare: 0.0,
        repeats: 0.0,
        path: [0; 3],
        requests: 0,
        paths_known: 0,
        assets_known: 0,
        referers_known: 0,
        answers: 0,
    };

    /// Requests so far; exact up to 65.
    #[inline]
    pub fn requests(&self) -> u8 {
        self.requests
    }

    /// Takes a request in.
    #[inline]
    pub fn observe(&mut self, facts: &Hashed, now: u64) {
        // A clock that jumped back: what is known lies in the future, and would stay there.
        if self.requests == 0 || now.saturating_add(BACK_MAX) < self.last {
            *self = Client::EMPTY;
            self.first = now;
            self.last = now;
        }
        let now = now.max(self.last);
        if self.requests != 0 {
            self.gap(now);
        }
        self.count(now);
        self.paths.advance(self.last, now);
        self.agents.advance(self.last, now);
        self.last = now;
        if let Some(path) = facts.path {
            self.paths.add(path);
            // The low half: the sketch takes its place from the high one.
            let [_, _, _, _, _, short @ ..] = path.to_be_bytes();
            if self.paths_known != 0 {
                let repeated = f32::from(u8::from(short == self.path));
                self.repeats = toward(self.repeats, repeated, self.paths_known);
            }
            self.path = short;
            self.paths_known = self.paths_known.saturating_add(1).min(MEMORY + 1);
        }
        if let Some(agent) = facts.agent {
            self.agents.add(agent);
        }
        if let Some(asset) = facts.asset {
            share(&mut self.assets, &mut self.assets_known, asset);
        }
        if let Some(referer) = facts.referer {
            share(&mut self.bare, &mut self.referers_known, !referer);
        }
        self.requests = self.requests.saturating_add(1).min(MEMORY + 1);
    }

    /// Takes the status of an answer in; what is no status is left out.
    #[inline]
    pub fn answer(&mut self, status: u16) {
        if matches!(status, 100..=599) {
            share(&mut self.errors, &mut self.answers, status >= 400);
        }
    }

    /// Mean and variance of the gaps, by Welford's recurrence.
    #[inline]
    fn gap(&mut self, now: u64) {
        let gap = now.saturating_sub(self.last) as f32 * 1e-9;
        // As many gaps as requests before this one.
        let weight = 1.0 / f32::from(self.requests.clamp(1, MEMORY));
        let distance = gap - self.gap_mean;
        self.gap_mean = settled(self.gap_mean + weight * distance);
        let variance = self.gap_variance + weight * distance * distance;
        self.gap_variance = settled((1.0 - weight) * variance);
    }

    #[inline]
    fn count(&mut self, now: u64) {
        for (buckets, bucket) in self.buckets.iter_mut().zip(BUCKETS) {
            let (before, at) = (self.last / bucket, now / bucket);
            let steps = at.saturating_sub(before).min(WINDOW_BUCKETS as u64);
            // The oldest are those after the last one.
            for step in 1..=steps {
                let oldest = before.wrapping_add(step) as usize % WINDOW_BUCKETS;
                if let Some(count) = buckets.get_mut(oldest) {
                    *count = 0;
                }
            }
            if let Some(count) = buckets.get_mut(at as usize % WINDOW_BUCKETS) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// The features, in their order.
    #[inline]
    pub fn values(&self) -> [f32; VALUES] {
        let mut values = [f32::NAN; VALUES];
        // The first request has no history.
        if self.requests < 2 {
            return values;
        }
        let mut set = |id: Id, value: f32| {
            if let Some(place) = values.get_mut(id as usize) {
                *place = value;
            }
        };
        let sums = self.buckets.map(|buckets| {
            let sum =
                { buckets.iter() }.fold(0_u32, |sum, count| sum.wrapping_add((*count).into()));
            sum as f32
        });
        let [second, ten, minute] = sums;
        set(Id::Second, second);
        set(Id::Ten, ten);
        set(Id::Minute, minute);
        set(Id::Paths, self.paths.estimate());
        set(Id::Agents, self.agents.estimate());
        set(Id::GapMean, self.gap_mean.min(GAP_MAX));
        if self.requests > SHARE_MIN && self.gap_mean > 0.0 {
            let variation = self.gap_variance.max(0.0).sqrt() / self.gap_mean;
            set(Id::GapVariation, variation.min(VARIATION_MAX));
        }
        let pairs = self.paths_known.saturating_sub(1);
        for (id, mean, known) in [
            (Id::Errors, self.errors, self.answers),
            (Id::Assets, self.assets, self.assets_known),
            (Id::Bare, self.bare, self.referers_known),
            (Id::Repeats, self.repeats, pairs),
        ] {
            if known >= SHARE_MIN {
                set(id, mean.clamp(0.0, 1.0));
            }
        }
        set(Id::Age, self.last.saturating_sub(self.first) as f32 * 1e-9);
        values
    }
}

/// The largest mean gap that is told, in seconds: a day.
pub(super) const GAP_MAX: f32 = 86_400.0;

/// The largest variation that is told.
pub(super) const VARIATION_MAX: f32 = 16.0;

/// A mean, after one more value: exact for the first values, then each new one counts the same.
#[inline]
fn toward(mean: f32, value: f32, count: u8) -> f32 {
    settled(mean + (value - mean) / f32::from(count.clamp(1, MEMORY)))
}

#[inline]
fn share(mean: &mut f32, known: &mut u8, value: bool) {
    *known = known.saturating_add(1).min(MEMORY);
    *mean = toward(*mean, f32::from(u8::from(value)), *known);
}

/// Ends the decay of a mean at 0: denormal numbers would cost each request a hundred nanoseconds.
#[inline]
fn settled(mean: f32) -> f32 {
    if mean < 1e-30 { 0.0 } else { mean }
}
