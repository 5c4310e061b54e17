//! When requests come: times that do not wait for anybody's answer.

use super::statistics::Random;

/// How arrivals are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Evenly.
    Constant,
    /// Each independent of the others, as from many clients.
    Poisson,
    /// Many at the same moment, and the moments independent of each other.
    Bursts,
    /// Each as the one before has its verdict: no load that comes by itself, but what the engine
    /// can do at most.
    Saturate,
}

impl Shape {
    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Constant => "constant",
            Shape::Poisson => "poisson",
            Shape::Bursts => "bursts",
            Shape::Saturate => "saturate",
        }
    }
}

/// The times of one thread's requests, in nanoseconds from the start, ascending.
#[derive(Debug, Clone)]
pub struct Arrivals {
    shape: Shape,
    /// Nanoseconds between two on average.
    gap: f64,
    at: f64,
    burst: u32,
    /// Requests that still come at this moment.
    left: u32,
    random: Random,
}

impl Arrivals {
    /// The share of the thread at a place among so many, of a rate a second for all.
    pub fn new(shape: Shape, rate: f64, burst: u32, place: usize, of: usize) -> Arrivals {
        let of = of.max(1) as f64;
        let gap = of * 1e9 / rate;
        let mut arrivals = Arrivals {
            shape,
            gap,
            // Threads take turns.
            at: gap * place as f64 / of,
            burst: burst.max(1),
            left: 0,
            random: Random::new(0x6c6f_6164 + place as u64),
        };
        if shape == Shape::Poisson || shape == Shape::Bursts {
            arrivals.at = arrivals.exponential();
            arrivals.left = arrivals.burst;
        }
        arrivals
    }

    /// Whether requests have no times of their own.
    pub fn is_saturating(&self) -> bool {
        self.shape == Shape::Saturate
    }

    /// Nanoseconds between two on average.
    pub fn gap(&self) -> f64 {
        self.gap
    }

    /// When the next one comes.
    #[inline]
    pub fn next(&mut self) -> u64 {
        let now = self.at as u64;
        match self.shape {
            Shape::Constant => self.at += self.gap,
            Shape::Poisson => self.at += self.exponential(),
            Shape::Bursts => {
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.left = self.burst;
                    self.at += self.exponential() * f64::from(self.burst);
                }
            }
            Shape::Saturate => return 0,
        }
        now
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.random.unit()).ln() * self.gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(shape: Shape, count: usize) -> Vec<u64> {
        let mut arrivals = Arrivals::new(shape, 1e6, 10, 0, 2);
        (0..count).map(|_| arrivals.next()).collect()
    }

    #[test]
    fn the_rate_is_as_asked_and_times_ascend() {
        for shape in [Shape::Constant, Shape::Poisson, Shape::Bursts] {
            let times = times(shape, 100_000);
            assert!(times.is_sorted(), "{shape:?}");
            // Half a million a second on each of two threads.
            let rate = 100_000.0 / (*times.last().unwrap() as f64 / 1e9);
            assert!((rate / 5e5 - 1.0).abs() < 0.05, "{shape:?}: {rate}");
        }
    }

    #[test]
    fn gaps_are_even_exponential_or_none() {
        let gaps = |shape| -> Vec<f64> {
            let pairs = times(shape, 50_001);
            pairs.windows(2).map(|w| (w[1] - w[0]) as f64).collect()
        };
        assert!(
            gaps(Shape::Constant)
                .iter()
                .all(|gap| (gap - 2000.0).abs() <= 1.0)
        );
        // Of exponential gaps the deviation is the mean, and 1/e are above it.
        let poisson = gaps(Shape::Poisson);
        let above = poisson.iter().filter(|gap| **gap > 2000.0).count() as f64 / 50_000.0;
        assert!((above - 0.3679).abs() < 0.01, "{above}");
        let none = gaps(Shape::Bursts)
            .iter()
            .filter(|gap| **gap == 0.0)
            .count();
        // A gap between bursts may be shorter than a nanosecond, too.
        assert!((45_000..45_010).contains(&none), "{none}");
    }

    #[test]
    fn threads_do_not_march_in_step() {
        let first: Vec<u64> = (0..2)
            .map(|place| Arrivals::new(Shape::Constant, 1e6, 1, place, 2).next())
            .collect();
        assert_eq!(first, [0, 1000]);
        let poisson = |place| Arrivals::new(Shape::Poisson, 1e6, 1, place, 2).next();
        assert_ne!(poisson(0), poisson(1));
    }
}
