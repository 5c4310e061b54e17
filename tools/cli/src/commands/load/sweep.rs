//! Throughput against latency up to saturation, along four axes, within a time.

use crate::failure::Failure;
use crate::harness::arrivals::Shape;
use crate::harness::cache_pressure::By;
use crate::harness::run::{Curve, Point};
use crate::harness::source::Source;
use crate::harness::stage::{Mode, Plan, Stage, Sums};
use core_affinity::CoreId;
use hedgerow::limits::BATCH_ROWS_MAX;
use std::sync::atomic::{AtomicBool, Ordering};

/// Trees of the made tables.
const TREES: [usize; 4] = [100, 400, 1_000, 4_000];

/// Batch limits beside 1.
const BATCHES: [usize; 2] = [8, BATCH_ROWS_MAX];

/// Tables a second beside none.
const SWAPS: [f64; 2] = [10.0, 100.0];

/// Offered rates, as shares of what the engine does without a pause.
const SHARES: [f64; 8] = [0.1, 0.3, 0.5, 0.65, 0.75, 0.85, 0.92, 1.0];

/// Rounds of each rate, by turns: what disturbs one moment disturbs all alike.
const ROUNDS: usize = 3;

/// A median above so many times that at the lightest load is beyond the knee.
const KNEE: u64 = 2;

/// The share of offered requests that must be answered in time, or it is beyond the knee.
const KNEE_ANSWERED: f64 = 0.98;

/// A sweep under way.
pub struct Sweep<'a> {
    pub interrupted: &'a AtomicBool,
    /// Cores, of which the first ones are used.
    pub cores: Vec<CoreId>,
    pub kernel: Option<&'a str>,
    /// For each curve.
    pub seconds: f64,
    /// Requests lost, verdicts wrong, and surprises, over all of it.
    pub lost: u64,
    pub wrong: u64,
    pub surprises: Vec<String>,
    /// What is measured so far.
    pub curves: Vec<Curve>,
}

/// Numbers of cores to try: powers of two, and all.
fn core_counts(all: usize) -> Vec<usize> {
    let powers = (0..).map(|power| 1usize << power);
    let mut counts: Vec<usize> = powers.take_while(|count| *count < all).collect();
    counts.push(all.max(1));
    counts
}

/// Curves of a sweep over so many cores.
pub fn curves(cores: usize) -> usize {
    core_counts(cores).len() + TREES.len() + BATCHES.len() + SWAPS.len()
}

/// A rate that is being measured.
struct Rate {
    asked: f64,
    /// The answered rate and the median of each round.
    rounds: Vec<(f64, u64)>,
    /// Of the rounds so far.
    sums: Option<Sums>,
}

impl Rate {
    fn new(asked: f64) -> Rate {
        Rate {
            asked,
            rounds: Vec::new(),
            sums: None,
        }
    }

    fn add(&mut self, round: Sums) {
        let median = round.latency.value_at_quantile(0.5);
        self.rounds.push((round.rate(), median));
        let Some(sums) = &mut self.sums else {
            self.sums = Some(round);
            return;
        };
        // Histograms of one shape always add up.
        let _ = sums.latency.add(&round.latency);
        sums.offered += round.offered;
        sums.answered += round.answered;
        sums.seconds += round.seconds;
    }

    /// The point of all rounds, which were so long together.
    fn point(self, time: f64) -> Option<Point> {
        let sums = self.sums?;
        Some(Point {
            // What came, which at random is not quite what was asked for.
            offered: sums.offered as f64 / time,
            answered: sums.rate(),
            p50: sums.latency.value_at_quantile(0.5),
            p99: sums.latency.value_at_quantile(0.99),
            p999: sums.latency.value_at_quantile(0.999),
            rounds: self.rounds,
        })
    }
}

impl Sweep<'_> {
    /// All curves: cores, batch limits and swap rates on the stage's table, and made tables.
    ///
    /// # Errors
    /// Where it is interrupted, too: what was measured until then stays.
    pub fn run(&mut self, stage: &mut Stage) -> Result<(), Failure> {
        let table = stage.source.name.clone();
        for cores in core_counts(self.cores.len()) {
            let plan = self.plan(cores);
            let about = format!("{table}, one by one, no swaps");
            self.curve(stage, &plan, ("cores", cores as f64), about)?;
        }
        // One core, one by one and without swaps is where the other two axes begin.
        let Some(first) = self.curves.first().cloned() else {
            return Ok(());
        };
        let begin = |axis: &str, value, about| Curve {
            axis: axis.into(),
            value,
            about,
            ..first.clone()
        };
        let about = format!("{table}, one core, no swaps");
        self.curves.push(begin("batch", 1.0, about.clone()));
        for batch in BATCHES {
            let plan = Plan {
                batch,
                ..self.plan(1)
            };
            self.curve(stage, &plan, ("batch", batch as f64), about.clone())?;
        }
        let about = format!("{table}, one core, one by one, half of the tables bad");
        self.curves.push(begin("swaps", 0.0, about.clone()));
        for swap_rate in SWAPS {
            let plan = Plan {
                swap_rate,
                ..self.plan(1)
            };
            self.curve(stage, &plan, ("swaps", swap_rate), about.clone())?;
        }
        for trees in TREES {
            let source = Source::open(&format!("made:{trees}"), None)?;
            let mut made = Stage::new(source, self.kernel)?;
            let plan = self.plan(1);
            let about = String::from("made tables, one core, one by one, no swaps");
            self.curve(&mut made, &plan, ("trees", trees as f64), about)?;
        }
        Ok(())
    }

    fn plan(&self, cores: usize) -> Plan {
        let seconds = self.seconds * 0.85 / (SHARES.len() * ROUNDS) as f64;
        Plan {
            mode: Mode::Inline,
            cores: self.cores.iter().copied().take(cores).collect(),
            feeders: 1,
            shape: Shape::Poisson,
            rate: 1.0,
            burst: 1,
            batch: 1,
            seconds: seconds * 0.9,
            warm_up: seconds * 0.1,
            pieces: 1,
            swap_rate: 0.0,
            evict_mib: 0.0,
            evict_by: By::Between,
        }
    }

    fn curve(
        &mut self,
        stage: &mut Stage,
        plan: &Plan,
        (axis, value): (&str, f64),
        about: String,
    ) -> Result<(), Failure> {
        let most = Plan {
            shape: Shape::Saturate,
            seconds: self.seconds * 0.12,
            warm_up: self.seconds * 0.03,
            ..plan.clone()
        };
        let saturation = self.measure(stage, &most)?.rate();
        let mut rates: Vec<Rate> = { SHARES.iter() }
            .map(|share| Rate::new((share * saturation).max(1.0)))
            .collect();
        for _ in 0..ROUNDS {
            for rate in &mut rates {
                let plan = Plan {
                    rate: rate.asked,
                    ..plan.clone()
                };
                rate.add(self.measure(stage, &plan)?);
            }
        }
        let time = plan.seconds * ROUNDS as f64;
        let points: Vec<Point> = { rates.into_iter() }
            .filter_map(|rate| rate.point(time))
            .collect();
        self.curves.push(Curve {
            axis: axis.into(),
            value,
            about,
            saturation,
            knee: knee(&points),
            points,
        });
        Ok(())
    }

    fn measure(&mut self, stage: &mut Stage, plan: &Plan) -> Result<Sums, Failure> {
        let before = stage.publisher.published.surprises.len();
        let sums = stage.run(plan, self.interrupted, None)?;
        self.lost += sums.lost;
        self.wrong += sums.wrong;
        if !sums.whole {
            let ended = "a thread ended before it told what it had done";
            self.surprises.push(ended.to_string());
        }
        let surprises = { stage.publisher.published.surprises.iter() }.skip(before);
        self.surprises.extend(surprises.cloned());
        // Relaxed: a flag.
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::new(
                "load",
                "sweep",
                "time for the whole sweep",
                "an interruption",
            ));
        }
        Ok(sums)
    }
}

/// The last point, from the lightest load on, whose median request waits no longer than it is
/// worked on, and that leaves nothing behind. The median, because what the system takes away from
/// a thread now and then is in the higher percentiles at every load.
fn knee(points: &[Point]) -> Option<usize> {
    let lightest = points.first()?.p50;
    let holds = |point: &&Point| {
        point.p50 <= KNEE * lightest && point.answered >= KNEE_ANSWERED * point.offered
    };
    points.iter().take_while(holds).count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_knee_is_the_last_point_before_queueing_or_loss() {
        let point = |offered: f64, answered: f64, p50| Point {
            offered,
            answered,
            p50,
            ..Point::default()
        };
        let points = [
            point(10.0, 10.0, 100),
            point(20.0, 20.0, 110),
            point(30.0, 29.9, 199),
            point(40.0, 39.9, 400),
            point(50.0, 50.0, 150),
        ];
        assert_eq!(knee(&points), Some(2));
        assert_eq!(knee(&[point(10.0, 9.0, 100)]), None);
        assert_eq!(knee(&points[..2]), Some(1));
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn cores_go_up_to_all() {
        assert_eq!(core_counts(1), [1]);
        assert_eq!(core_counts(2), [1, 2]);
        assert_eq!(core_counts(6), [1, 2, 4, 6]);
    }
}
