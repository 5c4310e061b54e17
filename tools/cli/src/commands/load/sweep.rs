//! Throughput against latency up to saturation, along four axes, within a time.

use crate::failure::Failure;
use crate::harness::Interruption;
use crate::harness::arrivals::Shape;
use crate::harness::run::{Curve, Point, Run};
use crate::harness::source::Source;
use crate::harness::stage::{Plan, Stage, Sums};
use core_affinity::CoreId;
use hedgerow::limits::BATCH_ROWS_MAX;
use std::time::Duration;

/// Trees of the synthetic tables.
const TREES: [usize; 4] = [100, 400, 1_000, 4_000];

/// Batch limits besides 1.
const BATCHES: [usize; 2] = [8, BATCH_ROWS_MAX];

/// Tables per second besides none.
const SWAPS: [f64; 2] = [10.0, 100.0];

/// Offered rates, as shares of what the engine does without a pause.
const SHARES: [f64; 8] = [0.1, 0.3, 0.5, 0.65, 0.75, 0.85, 0.92, 1.0];

/// Rounds of each rate, by turns: what disturbs one moment disturbs all alike.
const ROUNDS: usize = 3;

/// A median above so many times that at the lightest load is beyond the knee.
const KNEE: u64 = 2;

/// The share of offered requests that must be answered in time, or it is beyond the knee.
const KNEE_ANSWERED: f64 = 0.98;

/// Measures all curves, and adds them to the run: cores, batch limits and swap rates on the stage's
/// table, and synthetic tables. An interruption leaves what was measured until then.
pub fn sweep(
    stage: &mut Stage,
    cores: Vec<CoreId>,
    kernel: Option<&str>,
    seconds: f64,
    interruption: &Interruption,
    run: &mut Run,
) -> Result<(), Failure> {
    let curves = core_counts(cores.len()).len() + TREES.len() + BATCHES.len() + SWAPS.len();
    let seconds = seconds / curves as f64;
    let mut sweep = Sweep {
        interruption,
        cores,
        kernel,
        seconds,
        run,
    };
    match sweep.all(stage) {
        Err(failure) if !interruption.is_raised() => Err(failure),
        _ => Ok(()),
    }
}

/// A sweep under way.
struct Sweep<'a> {
    interruption: &'a Interruption,
    /// Cores, of which the first ones are used.
    cores: Vec<CoreId>,
    kernel: Option<&'a str>,
    /// For each curve.
    seconds: f64,
    run: &'a mut Run,
}

/// Numbers of cores to try: powers of two, and all.
fn core_counts(all: usize) -> Vec<usize> {
    let powers = (0..).map(|power| 1usize << power);
    let mut counts: Vec<usize> = powers.take_while(|count| *count < all).collect();
    counts.push(all.max(1));
    counts
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
    fn add(&mut self, round: Sums) {
        let median = round.latency.value_at_quantile(0.5);
        self.rounds.push((round.rate(), median));
        let Some(sums) = &mut self.sums else {
            self.sums = Some(round);
            return;
        };
        // Histograms of one shape always add up.
        let _ = sums.latency.add(&round.latency);
        sums.counts.add(&round.counts);
        sums.seconds += round.seconds;
    }

    /// The point of all rounds, which were so long together.
    fn point(self, time: f64) -> Option<Point> {
        let sums = self.sums?;
        Some(Point {
            // What came, which at random is not quite what was asked for.
            offered: sums.counts.offered as f64 / time,
            answered: sums.rate(),
            p50: sums.latency.value_at_quantile(0.5),
            p99: sums.latency.value_at_quantile(0.99),
            p999: sums.latency.value_at_quantile(0.999),
            rounds: self.rounds,
        })
    }
}

impl Sweep<'_> {
    fn all(&mut self, stage: &mut Stage) -> Result<(), Failure> {
        let table = stage.source.name.clone();
        for cores in core_counts(self.cores.len()) {
            let about = format!("{table}, one by one, no swaps");
            self.curve(stage, &self.plan(cores), ("cores", cores as f64), about)?;
        }
        // One core, one by one and without swaps is where the other two axes begin.
        let Some(first) = self.run.sweep.first().cloned() else {
            return Ok(());
        };
        let begin = |axis: &str, value, about: &str| {
            let (axis, about) = (axis.to_string(), about.to_string());
            Curve {
                axis,
                value,
                about,
                ..first.clone()
            }
        };
        let about = format!("{table}, one core, no swaps");
        self.run.sweep.push(begin("batch", 1.0, &about));
        for batch in BATCHES {
            let plan = Plan {
                batch,
                ..self.plan(1)
            };
            self.curve(stage, &plan, ("batch", batch as f64), about.clone())?;
        }
        let about = format!("{table}, one core, one by one, half of the tables bad");
        self.run.sweep.push(begin("swaps", 0.0, &about));
        for rate in SWAPS {
            let swaps = Some([Duration::from_secs_f64(1.0 / rate); 2]);
            let plan = Plan {
                swaps,
                ..self.plan(1)
            };
            self.curve(stage, &plan, ("swaps", rate), about.clone())?;
        }
        for trees in TREES {
            let source = Source::open(format!("made:{trees}").as_ref(), None)?;
            let mut made = Stage::new(source, self.kernel)?;
            let about = String::from("made tables, one core, one by one, no swaps");
            self.curve(&mut made, &self.plan(1), ("trees", trees as f64), about)?;
        }
        Ok(())
    }

    fn plan(&self, cores: usize) -> Plan {
        let seconds = self.seconds * 0.85 / (SHARES.len() * ROUNDS) as f64;
        let cores = self.cores.iter().copied().take(cores).collect();
        let warm_up = seconds * 0.1;
        Plan {
            shape: Shape::Poisson,
            warm_up,
            ..Plan::saturating(cores, seconds * 0.9)
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
        let rate = |share: &f64| {
            let asked = (share * saturation).max(1.0);
            Rate {
                asked,
                rounds: Vec::new(),
                sums: None,
            }
        };
        let mut rates: Vec<Rate> = SHARES.iter().map(rate).collect();
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
        let points = rates.into_iter().filter_map(|rate| rate.point(time));
        let points: Vec<Point> = points.collect();
        let (axis, knee) = (axis.to_string(), knee(&points));
        self.run.sweep.push(Curve {
            axis,
            value,
            about,
            saturation,
            knee,
            points,
        });
        Ok(())
    }

    fn measure(&mut self, stage: &mut Stage, plan: &Plan) -> Result<Sums, Failure> {
        let before = stage.publisher.published.surprises.len();
        let sums = stage.run(plan, self.interruption, None)?;
        self.run.totals.lost += sums.lost;
        self.run.totals.wrong += sums.counts.wrong;
        if sums.dead > 0 {
            self.run
                .unexpected
                .push("a thread ended before its report".into());
        }
        let surprises = stage.publisher.published.surprises.iter().skip(before);
        self.run.unexpected.extend(surprises.cloned());
        match self.interruption.is_raised() {
            true => {
                let expected = "time for the whole sweep";
                Err(Failure::new("load", "sweep", expected, "an interruption"))
            }
            false => Ok(sums),
        }
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
        let points = [
            (10.0, 10.0, 100),
            (20.0, 20.0, 110),
            (30.0, 29.9, 199),
            (40.0, 39.9, 400),
            (50.0, 50.0, 150),
        ];
        let point = |(offered, answered, p50)| Point {
            offered,
            answered,
            p50,
            ..Point::default()
        };
        let points = points.map(point);
        assert_eq!(knee(&points), Some(2));
        assert_eq!(knee(&[point((10.0, 9.0, 100))]), None);
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
