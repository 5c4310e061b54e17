//! What a run of `load` leaves: the JSON that `report`, `compare` and `capacity` read again.

use crate::failure::Failure;
use crate::files;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The version of this form. Readers take no other.
pub const FORM: u32 = 1;

/// A whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// [`FORM`].
    pub form: u32,
    /// Whether nothing was lost, wrong, or not treated as it should be.
    pub ok: bool,
    /// When it began.
    pub at: String,
    /// The words that it was called with.
    pub command: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was asked for.
    pub asked: Asked,
    /// The sums.
    pub totals: Totals,
    /// From the moment that a request was due to its verdict.
    pub latency: Distribution,
    /// From the start of the work on it to its verdict.
    pub service: Distribution,
    /// The run in pieces of equal length, by when requests were due.
    pub intervals: Vec<Interval>,
    /// Publishes and refusals.
    pub events: Vec<Event>,
    /// Refused tables.
    pub refusals: Vec<Refusals>,
    /// Verdicts without a score, by reason.
    pub not_scored: BTreeMap<String, u64>,
    /// How often each score was given.
    pub scores: Scores,
    /// Shadows, and what they scored.
    pub shadows: Vec<Shadow>,
    /// What should not have happened.
    pub unexpected: Vec<String>,
    /// What one thread can do, alone.
    pub profile: Option<Profile>,
    /// Every kernel on this table.
    pub kernels: Vec<KernelRounds>,
    /// Throughput against latency.
    pub sweep: Vec<Curve>,
}

/// The machine and the program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The processor, as the system names it.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Whether it is a virtual machine, as far as the processor tells.
    pub is_virtual: bool,
    /// The system and its release.
    pub system: String,
    /// Runnable threads on average over the minute before the run.
    pub load_before: f64,
    /// The version of hedgerow.
    pub hedgerow: String,
}

impl Machine {
    /// A warning if others were at work.
    pub fn busy(&self) -> Option<String> {
        let (load, cores) = (self.load_before, self.cores);
        let warning = format!(
            "{load:.1} threads were runnable on {cores} cores before: figures are disturbed"
        );
        (load > 0.5 * cores as f64).then_some(warning)
    }
}

/// What was asked for, in full.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    pub table: String,
    pub table_id: String,
    pub table_bytes: usize,
    pub trees: usize,
    pub features: usize,
    pub kernel: String,
    pub input: String,
    pub inputs: usize,
    pub mode: String,
    pub cores: Vec<usize>,
    pub feeders: usize,
    pub arrivals: String,
    pub rate: f64,
    pub batch: usize,
    pub seconds: f64,
    pub warm_up: f64,
    pub swap_rate: f64,
    pub bad_share: f64,
    pub evict_mib: f64,
    pub evict_by: String,
    pub shadows: usize,
}

/// Sums over the measured part of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Seconds that were measured.
    pub seconds: f64,
    /// Requests that came due.
    pub offered: u64,
    /// Requests whose verdict came.
    pub answered: u64,
    /// Requests that were never begun, because the end came first.
    pub unserved: u64,
    /// Requests, those of the warm-up included, that were begun and have no verdict.
    pub lost: u64,
    /// Verdicts that are not those of the table that they name, the warm-up's included.
    pub wrong: u64,
    /// Requests that came due while their thread was at work on others.
    pub queued: u64,
    /// Requests that began late although their thread only waited for them.
    pub late: u64,
    /// Verdicts a second.
    pub rate: f64,
    /// What a generator's thread can offer a second at most, scoring nothing.
    pub generator_max: f64,
    /// Generations published, the first included.
    pub generations: u64,
    /// Tables refused.
    pub refused: u64,
    /// Good tables that had to wait.
    pub held_back: u64,
    /// Threads that the system did not bind to their core.
    pub unbound: usize,
    /// Tables that were not reclaimed at the end.
    pub not_reclaimed: usize,
}

/// A distribution of times in nanoseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Distribution {
    pub count: u64,
    pub mean: f64,
    pub deviation: f64,
    pub min: u64,
    pub max: u64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub p9999: u64,
    /// A share below 1, and the time that it does not exceed; dense towards 1.
    pub curve: Vec<(f64, u64)>,
}

impl Distribution {
    /// Of a histogram.
    pub fn of(histogram: &Histogram<u64>) -> Distribution {
        if histogram.is_empty() {
            return Distribution::default();
        }
        let at = |share: f64| histogram.value_at_quantile(share);
        Distribution {
            count: histogram.len(),
            mean: histogram.mean(),
            deviation: histogram.stdev(),
            min: histogram.min(),
            max: histogram.max(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            curve: curve(histogram),
        }
    }
}

/// Twelve points between each share of nines and the next, as far as there are requests for.
fn curve(histogram: &Histogram<u64>) -> Vec<(f64, u64)> {
    const STEPS: i32 = 12;
    let nines = (histogram.len() as f64).log10();
    let last = (nines * f64::from(STEPS)).floor() as i32;
    let share = |step: i32| 1.0 - 10f64.powf(-f64::from(step) / f64::from(STEPS));
    let mut points: Vec<(f64, u64)> = (0..=last)
        .map(|step| (share(step), histogram.value_at_quantile(share(step))))
        .collect();
    // The largest stands where the last request does.
    let largest = 1.0 - 1.0 / histogram.len().max(2) as f64;
    points.push((largest, histogram.max()));
    points
}

/// A piece of a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Interval {
    /// Its beginning, in seconds from the end of the warm-up.
    pub at: f64,
    /// Requests due in it whose verdict came.
    pub answered: u64,
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
    /// The median and the mean of the time at work on a request.
    pub service_p50: u64,
    pub service_mean: f64,
}

impl Interval {
    /// Whether anything was due in it. What was never answered has a latency, too: how long it had
    /// waited when it was given up.
    pub fn had_requests(&self) -> bool {
        self.answered > 0 || self.max > 0
    }
}

/// A table that was published, refused or held back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// Seconds from the end of the warm-up, below 0 within it.
    pub at: f64,
    /// `published`, `refused`, `held-back` or `unexpected`.
    pub what: String,
    /// The refusal's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// How long the control side took over it, in milliseconds.
    pub ms: f64,
}

/// Refusals of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refusals {
    pub code: u16,
    pub name: String,
    pub count: u64,
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}  {} {}", self.count, self.code, self.name)
    }
}

/// How often each score was given, by position from 0 to 99.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Scores {
    pub humans: Vec<u64>,
    pub bots: Vec<u64>,
    pub unlabelled: Vec<u64>,
}

/// A shadow table at the end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shadow {
    pub name: String,
    /// Rows that it scored beside the table that was live at the end.
    pub rows: u64,
}

/// What one thread does with one request after the other, measured alone.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Profile {
    /// The table.
    pub table: String,
    pub table_bytes: usize,
    pub kernel: String,
    /// One request, input to verdict, in nanoseconds.
    pub one: Moments,
    /// The same with other work having had the caches in between.
    pub one_cold: Moments,
    /// So many at once: rows, and nanoseconds for all of them.
    pub batches: Vec<(usize, f64)>,
    /// So many at once through a worker's ring and back, in processor time of both sides; nothing
    /// where it was not measured.
    #[serde(default)]
    pub ring: Vec<(usize, f64)>,
    /// Bytes that the process grew by with an engine and its table.
    pub engine_bytes: u64,
    /// Bytes that it grew by with each scorer that had worked.
    pub scorer_bytes: u64,
}

/// A service time.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Moments {
    pub mean: f64,
    /// The mean of the squares, times above the 99.9th percentile taken as that.
    pub square: f64,
    pub p99: f64,
}

/// A kernel's nanoseconds per row, round by round.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct KernelRounds {
    pub name: String,
    pub row: Vec<f64>,
    pub batch_row: Vec<f64>,
    pub cold_row: Vec<f64>,
}

/// One manner of a kernel's rounds.
pub type Manner = fn(&KernelRounds) -> &Vec<f64>;

/// Throughput against latency while one thing stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Curve {
    /// What is varied from curve to curve: `cores`, `trees`, `batch` or `swaps`.
    pub axis: String,
    /// Its value here.
    pub value: f64,
    /// Everything that stays as it is.
    pub about: String,
    /// Verdicts a second without a pause.
    pub saturation: f64,
    /// The points, by offered rate.
    pub points: Vec<Point>,
    /// The point where queueing begins to cost more than scoring.
    pub knee: Option<usize>,
}

/// One rate.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Point {
    /// Requests that came due a second.
    pub offered: f64,
    pub answered: f64,
    pub p50: u64,
    pub p99: u64,
    pub p999: u64,
    /// The answered rate and the median of each round.
    pub rounds: Vec<(f64, u64)>,
}

/// A run that `load --json` printed.
pub fn read(path: &Path) -> Result<Run, Failure> {
    let at = path.display().to_string();
    let expected = format!("a run as `hedgerow load --json` prints it, form {FORM}");
    let value: Value = parse(path, &expected)?;
    if value["form"] != json!(FORM) {
        let got = match value.get("form") {
            Some(form) => format!("form {form}"),
            None => "something else".into(),
        };
        return Err(Failure::new("run", at, expected, got));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let at = format!("{at}: {}", error.path());
        Failure::new("run", at, &expected, error.inner())
    })
}

/// The JSON of a file.
pub fn parse(path: &Path, expected: &str) -> Result<Value, Failure> {
    let bytes = files::read(path, files::INPUT_BYTES_MAX)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new("run", path.display(), expected, error))
}
