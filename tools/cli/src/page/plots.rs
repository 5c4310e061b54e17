//! The plots of the report, each from a run's result.

use super::sweeps::sweep;
use crate::drawing::{
    Axis, BOTTOM, Figure, HEIGHT, LEFT, Lying, Plot, RIGHT, Scale, TOP, WIDTH, lying, time,
};
use crate::harness::run::{Distribution, Interval, Manner, Run};
use crate::harness::statistics::median;
use serde_json::Value;

/// A time of something measured.
type Of<T> = fn(&T) -> u64;

fn legend(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(class, name)| (class.to_string(), name.to_string()))
        .collect()
}

/// Latency by percentile, the axis running towards 100 % by nines.
pub fn percentiles(run: &Run) -> Figure {
    let (latency, service) = (&run.latency, &run.service);
    // A share's place is by one over what is above it.
    let above = |share: f64| 1.0 / (1.0 - share).max(1e-12);
    let points = |of: &Distribution| -> Vec<(f64, f64)> {
        of.curve
            .iter()
            .map(|(share, nanos)| (above(*share), *nanos as f64))
            .collect()
    };
    let (first, second) = (points(latency), points(service));
    let most = first.iter().map(|point| point.0).fold(1e3, f64::max);
    let mut x = Scale::log([1.0, most], LEFT, RIGHT);
    x.only_decades();
    let values = first.iter().chain(&second).map(|point| point.1);
    let y = Scale::log(values, BOTTOM, TOP);
    let percent = |value: f64| match value.log10().round() as usize {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        nines => format!("99.{} %", "9".repeat(nines - 2)),
    };
    let names = (
        Axis {
            name: "share of requests that took at most so long",
            show: &percent,
        },
        Axis {
            name: "",
            show: &time,
        },
    );
    let mut plot = Plot::new("Latency by percentile", (x, y), names, HEIGHT);
    plot.line(&second, "line b");
    plot.line(&first, "line a");
    let row = |name: &str, share: f64, of: [u64; 2]| {
        let [latency, service] = of.map(|nanos| time(nanos as f64));
        plot_dot(&mut plot, (above(share), of[0] as f64), name);
        vec![name.to_string(), latency, service]
    };
    let rows = percentile_rows(latency, service, row);
    Figure {
        id: "percentiles",
        title: "Latency by percentile".into(),
        about:
            "From the moment a request was due to its verdict: a stall counts for every request \
                that it delays. Below it, the time at work on a request alone."
                .into(),
        legend: legend(&[("a", "due to verdict"), ("b", "begun to verdict")]),
        svg: plot.end(),
        table: (
            vec!["percentile", "due to verdict", "begun to verdict"],
            rows,
        ),
    }
}

fn plot_dot(plot: &mut Plot, at: (f64, f64), name: &str) {
    plot.dot(at, 3.0, "dot a", &format!("{name}: {}", time(at.1)));
}

fn percentile_rows(
    latency: &Distribution,
    service: &Distribution,
    mut row: impl FnMut(&str, f64, [u64; 2]) -> Vec<String>,
) -> Vec<Vec<String>> {
    let all: [(&str, f64, Of<Distribution>); 5] = [
        ("50 %", 0.5, |of| of.p50),
        ("90 %", 0.9, |of| of.p90),
        ("99 %", 0.99, |of| of.p99),
        ("99.9 %", 0.999, |of| of.p999),
        ("99.99 %", 0.9999, |of| of.p9999),
    ];
    let enough = |share: f64| latency.count as f64 * (1.0 - share) >= 1.0;
    let mut rows: Vec<Vec<String>> = all
        .into_iter()
        .filter(|(_, share, _)| enough(*share))
        .map(|(name, share, of)| row(name, share, [of(latency), of(service)]))
        .collect();
    rows.push(vec![
        "all".into(),
        time(latency.max as f64),
        time(service.max as f64),
    ]);
    rows
}

/// Latency over time, with what was published and refused.
pub fn over_time(run: &Run) -> Figure {
    let length = run.asked.seconds / run.intervals.len().max(1) as f64;
    let middle = |at: f64| at + length / 2.0;
    let kept: Vec<_> = run
        .intervals
        .iter()
        .filter(|it| it.had_requests())
        .collect();
    let x = Scale::linear(
        run.asked.seconds.min(run.totals.seconds.max(length)),
        LEFT,
        RIGHT,
    );
    let values = kept.iter().flat_map(|it| [it.p50 as f64, it.max as f64]);
    let y = Scale::log(values, BOTTOM, TOP);
    let seconds = |value: f64| format!("{} s", (value * 1e3).round() / 1e3);
    let names = (
        Axis {
            name: "",
            show: &seconds,
        },
        Axis {
            name: "",
            show: &time,
        },
    );
    let mut plot = Plot::new("Latency over time", (x, y), names, HEIGHT + 22.0);
    let series: [(Of<Interval>, &str); 4] = [
        (|it| it.max, "line thin d"),
        (|it| it.p999, "line c"),
        (|it| it.p99, "line b"),
        (|it| it.p50, "line a"),
    ];
    for (of, class) in series {
        let values = kept.iter().map(|it| (middle(it.at), of(it) as f64));
        plot.line(&values.collect::<Vec<_>>(), class);
    }
    lanes(&mut plot, run);
    let rows = kept.iter().map(|it| {
        let times = [it.p50, it.p99, it.p999, it.max].map(|nanos| time(nanos as f64));
        [
            vec![format!("{:.2} s", it.at), it.answered.to_string()],
            times.to_vec(),
        ]
        .concat()
    });
    Figure {
        id: "over-time",
        title: "Latency over time".into(),
        about: "The same latency in pieces of the run. Marks below are tables that were published \
                under it, refused, or held back while old ones were still seen."
            .into(),
        legend: legend(&[("a", "p50"), ("b", "p99"), ("c", "p99.9"), ("d", "max")]),
        table: (
            vec!["from", "answered", "p50", "p99", "p99.9", "max"],
            rows.collect(),
        ),
        svg: plot.end(),
    }
}

/// Below the axis, a lane of marks for each thing that happened to tables.
fn lanes(plot: &mut Plot, run: &Run) {
    for (at, (what, class)) in [
        ("published", "good"),
        ("refused", "bad"),
        ("held-back", "held"),
    ]
    .into_iter()
    .enumerate()
    {
        let top = BOTTOM + 24.0 + 12.0 * at as f64;
        let marks = run
            .events
            .iter()
            .filter(|event| event.what == what && event.at >= 0.0);
        for event in marks {
            let why = event.why.as_deref().unwrap_or_default();
            let words = format!("{what} at {:.2} s {why}", event.at);
            let place = plot.x.at(event.at);
            plot.bar((place - 0.8, top), (1.6, 9.0), class, words.trim());
        }
        let lane = what.replace('-', " ");
        plot.text((LEFT - 6.0, top + 9.0), &lane, "tick end");
    }
}

/// How scores are spread.
pub fn scores(run: &Run) -> Figure {
    const WIDE: usize = 5;
    let all = [
        ("a", "humans", &run.scores.humans),
        ("b", "bots", &run.scores.bots),
        ("c", "without a label", &run.scores.unlabelled),
    ];
    let kept: Vec<_> = all
        .into_iter()
        .filter(|(_, _, counts)| counts.iter().any(|n| *n > 0))
        .collect();
    let share = |counts: &[u64], bin: usize| {
        let of: u64 = counts.iter().skip(bin * WIDE).take(WIDE).sum();
        100.0 * of as f64 / counts.iter().sum::<u64>().max(1) as f64
    };
    let bins = 100 / WIDE;
    let shares = kept
        .iter()
        .flat_map(|(_, _, counts)| (0..bins).map(|bin| share(counts, bin)));
    let y = Scale::linear(shares.fold(0.0, f64::max) * 1.05, BOTTOM, TOP);
    let x = Scale::linear(100.0, LEFT, RIGHT);
    let percent = |value: f64| format!("{value} %");
    let plain = |value: f64| format!("{value}");
    let name = "score: 1 certainly automated, 99 certainly human";
    let (of_x, of_y) = (
        Axis { name, show: &plain },
        Axis {
            name: "",
            show: &percent,
        },
    );
    let names = (of_x, of_y);
    let mut plot = Plot::new("Score distribution", (x, y), names, HEIGHT);
    let wide = (RIGHT - LEFT) / bins as f64;
    let each = (wide - 3.0) / kept.len().max(1) as f64;
    let mut rows = Vec::new();
    for bin in 0..bins {
        let range = format!("{} to {}", (bin * WIDE).max(1), bin * WIDE + WIDE - 1);
        let mut row = vec![range.clone()];
        for (at, (class, name, counts)) in kept.iter().enumerate() {
            let share = share(counts, bin);
            let left = LEFT + bin as f64 * wide + 1.5 + at as f64 * each;
            let top = plot.y.at(share);
            let class = format!("fill {class}");
            plot.bar(
                (left, top),
                (each, BOTTOM - top),
                &class,
                &format!("{name}, {range}: {share:.1} %"),
            );
            row.push(format!("{name} {share:.1} %"));
        }
        rows.push(row);
    }
    let head = ["score", "", "", ""]
        .into_iter()
        .take(kept.len() + 1)
        .collect();
    Figure {
        id: "scores",
        title: "Score distribution".into(),
        about: "What the requests of this run were scored, as shares of each kind.".into(),
        legend: kept
            .iter()
            .map(|(class, name, _)| (class.to_string(), name.to_string()))
            .collect(),
        svg: plot.end(),
        table: (head, rows),
    }
}

/// Every kernel, in three manners.
pub fn kernels(run: &Run) -> Option<Figure> {
    let manners: [(&str, &'static str, Manner); 3] = [
        ("one row", "fill a", |it| &it.row),
        ("batch of 64, a row", "fill b", |it| &it.batch_row),
        ("one row, caches cold", "fill c", |it| &it.cold_row),
    ];
    let mut bars = Vec::new();
    for kernel in &run.kernels {
        for (manner, class, of) in manners {
            let rounds = of(kernel);
            let low = rounds.iter().copied().fold(f64::MAX, f64::min);
            let high = rounds.iter().copied().fold(0.0, f64::max);
            bars.push(Lying {
                name: format!("{}, {manner}", kernel.name),
                value: median(rounds),
                range: Some((low, high)),
                class,
                note: String::new(),
            });
        }
    }
    let rows = bars.iter().map(|bar| {
        let (low, high) = bar.range.unwrap_or_default();
        vec![bar.name.clone(), time(bar.value), time(low), time(high)]
    });
    let rows: Vec<_> = rows.collect();
    let rounds = run.kernels.first()?.row.len();
    Some(Figure {
        id: "kernels",
        title: "Kernels".into(),
        about: format!(
            "From a filled row to its score on {}, on one thread; medians of {rounds} rounds by \
             turns, and the range of the rounds. Cold: 4 MiB of other work are read before each.",
            run.asked.table
        ),
        legend: Vec::new(),
        svg: lying("Kernels", &bars, false),
        table: (vec!["", "median", "least", "most"], rows),
    })
}

/// Other libraries on one model, from a record of `tools/lab/peers`.
pub fn peers(record: &Value, model: &Value) -> Option<Figure> {
    let text = |value: &Value| value.as_str().map(str::to_string);
    let mut bars = Vec::new();
    let mut rows = Vec::new();
    for figure in model["figures"].as_array()? {
        if figure["measure"] != "one row" {
            continue;
        }
        let (Some(name), Some(median)) = (text(&figure["subject"]), figure["median_ns"].as_f64())
        else {
            continue;
        };
        let least = figure["min_ns"].as_f64().unwrap_or(median);
        let times = figure["times_hedgerow"].as_f64();
        let is_own = figure["kernel"].is_string();
        let note = times
            .filter(|_| !is_own)
            .map_or(String::new(), |times| format!("({times:.1} ×)"));
        rows.push(vec![name.clone(), time(median), time(least), note.clone()]);
        bars.push(Lying {
            name,
            value: median,
            range: None,
            class: if is_own { "fill a" } else { "fill g" },
            note,
        });
    }
    if bars.is_empty() {
        return None;
    }
    bars.sort_by(|one, other| one.value.total_cmp(&other.value));
    let (id, name) = match model["name"].as_str() {
        Some("R1") => ("peers-r1", "CatBoost's trees"),
        Some("R2") => ("peers-r2", "LightGBM's trees"),
        Some("R3") => ("peers-r3", "XGBoost's trees"),
        _ => ("peers", "another model"),
    };
    Some(Figure {
        id,
        title: format!("Peers: {name}"),
        about: format!(
            "One row, median, logarithmic: {}. Not of this run: recorded on {} by {}.",
            text(&model["about"]).unwrap_or_default(),
            text(&record["run"]["date"]).unwrap_or_default(),
            text(&record["run"]["command"]).unwrap_or_default()
        ),
        legend: legend(&[("a", "hedgerow"), ("g", "others")]),
        svg: lying(name, &bars, true),
        table: (vec!["", "median", "least", "× hedgerow"], rows),
    })
}

/// All figures that a run has something for.
pub fn all(run: &Run, record: Option<&Value>) -> Vec<Figure> {
    let mut figures = vec![percentiles(run), over_time(run)];
    figures.extend(
        ["cores", "batch", "swaps", "trees"]
            .into_iter()
            .filter_map(|axis| sweep(run, axis)),
    );
    figures.push(scores(run));
    figures.extend(kernels(run));
    if let Some(record) = record {
        let models = record["models"].as_array();
        figures.extend({ models.into_iter().flatten() }.filter_map(|model| peers(record, model)));
    }
    figures
}

const _: () = assert!(LEFT < RIGHT && RIGHT < WIDTH);
