//! The plots of the page, each from a run's result.

use super::sweeps::sweep;
use crate::drawing::plot::{
    BOTTOM, HEIGHT, HorizontalBar, LEFT, Plot, RIGHT, Scale, TOP, horizontal_bars,
};
use crate::drawing::{Figure, time};
use crate::harness::run::{Distribution, Interval, Manner, Run};
use crate::harness::statistics::median;
use serde_json::Value;

/// A time of something measured.
type Of<T> = fn(&T) -> u64;

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(class, name)| (class.to_string(), name.to_string()))
        .collect()
}

/// All figures that a run has something for.
pub fn all(run: &Run, record: Option<&Value>) -> Vec<Figure> {
    let mut figures = vec![percentiles(run), over_time(run)];
    let axes = ["cores", "batch", "swaps", "trees"];
    figures.extend(axes.into_iter().filter_map(|axis| sweep(run, axis)));
    figures.push(scores(run));
    figures.extend(kernels(run));
    if let Some(record) = record {
        let models = record["models"].as_array();
        figures.extend({ models.into_iter().flatten() }.filter_map(|model| peers(record, model)));
    }
    figures
}

/// Latency by percentile, the axis running towards 100 % by nines.
fn percentiles(run: &Run) -> Figure {
    let (latency, service) = (&run.latency, &run.service);
    // A share's place is by one over what is above it.
    let above = |share: f64| 1.0 / (1.0 - share).max(1e-12);
    let points = |of: &Distribution| -> Vec<(f64, f64)> {
        let curve = of.curve.iter();
        curve
            .map(|(share, nanos)| (above(*share), *nanos as f64))
            .collect()
    };
    let (first, second) = (points(latency), points(service));
    let most = first.iter().map(|point| point.0).fold(1e3, f64::max);
    let x = Scale::log([1.0, most], LEFT, RIGHT).only_decades();
    let y = Scale::log(
        first.iter().chain(&second).map(|point| point.1),
        BOTTOM,
        TOP,
    );
    let percent = |value: f64| match value.log10().round() as usize {
        0 => "0 %".into(),
        1 => "90 %".into(),
        2 => "99 %".into(),
        nines => format!("99.{} %", "9".repeat(nines - 2)),
    };
    let (title, name) = (
        "Latency by percentile",
        "share of requests that took at most so long",
    );
    let mut plot = Plot::new(title, name, (x, &percent), (y, &time), HEIGHT);
    plot.line(&second, "line b");
    plot.line(&first, "line a");
    let all: [(&str, f64, Of<Distribution>); 5] = [
        ("50 %", 0.5, |of| of.p50),
        ("90 %", 0.9, |of| of.p90),
        ("99 %", 0.99, |of| of.p99),
        ("99.9 %", 0.999, |of| of.p999),
        ("99.99 %", 0.9999, |of| of.p9999),
    ];
    let row = |name: &str, of: Of<Distribution>| {
        let [latency, service] = [latency, service].map(|times| time(of(times) as f64));
        vec![name.to_string(), latency, service]
    };
    let mut rows = Vec::new();
    for (name, share, of) in all {
        if latency.count as f64 * (1.0 - share) >= 1.0 {
            let nanos = of(latency) as f64;
            let words = format!("{name}: {}", time(nanos));
            plot.dot((above(share), nanos), 3.0, "dot a", &words);
            rows.push(row(name, of));
        }
    }
    rows.push(row("all", |of| of.max));
    Figure {
        id: "percentiles".into(),
        title: title.into(),
        about: "From the moment a request was due to its verdict: a stall counts for every \
                request that it delays. Below it, the time at work on a request alone."
            .into(),
        legend: owned(&[("a", "due to verdict"), ("b", "begun to verdict")]),
        svg: plot.end(),
        table: (
            vec!["percentile", "due to verdict", "begun to verdict"],
            rows,
        ),
    }
}

/// Latency over time, with what was published and refused.
fn over_time(run: &Run) -> Figure {
    let length = run.asked.seconds / run.intervals.len().max(1) as f64;
    let kept = run.intervals.iter().filter(|it| it.had_requests());
    let kept: Vec<&Interval> = kept.collect();
    let end = run.asked.seconds.min(run.totals.seconds.max(length));
    let x = Scale::linear(end, LEFT, RIGHT);
    let values = kept.iter().flat_map(|it| [it.p50 as f64, it.max as f64]);
    let y = Scale::log(values, BOTTOM, TOP);
    let seconds = |value: f64| format!("{} s", (value * 1e3).round() / 1e3);
    let title = "Latency over time";
    let mut plot = Plot::new(title, "", (x, &seconds), (y, &time), HEIGHT + 22.0);
    let series: [(Of<Interval>, &str); 4] = [
        (|it| it.max, "line thin d"),
        (|it| it.p999, "line c"),
        (|it| it.p99, "line b"),
        (|it| it.p50, "line a"),
    ];
    for (of, class) in series {
        let values = kept.iter().map(|it| (it.at + length / 2.0, of(it) as f64));
        plot.line(&values.collect::<Vec<_>>(), class);
    }
    lanes(&mut plot, run);
    let rows = kept.iter().map(|it| {
        let times = [it.p50, it.p99, it.p999, it.max].map(|nanos| time(nanos as f64));
        let row = vec![format!("{:.2} s", it.at), it.answered.to_string()];
        [row, times.to_vec()].concat()
    });
    let head = vec!["from", "answered", "p50", "p99", "p99.9", "max"];
    Figure {
        id: "over-time".into(),
        title: title.into(),
        about: "The same latency in pieces of the run. Marks below are tables that were published \
                under it, refused, or held back while old ones were still seen."
            .into(),
        legend: owned(&[("a", "p50"), ("b", "p99"), ("c", "p99.9"), ("d", "max")]),
        table: (head, rows.collect()),
        svg: plot.end(),
    }
}

/// Below the axis, a lane of marks for each thing that happened to tables.
fn lanes(plot: &mut Plot, run: &Run) {
    let mut top = BOTTOM + 24.0;
    for (what, class) in [
        ("published", "good"),
        ("refused", "bad"),
        ("held-back", "held"),
    ] {
        let marks = run.events.iter();
        for event in marks.filter(|event| event.what == what && event.at >= 0.0) {
            let why = event.why.as_deref().unwrap_or_default();
            let words = format!("{what} at {:.2} s {why}", event.at);
            let place = plot.x.at(event.at);
            plot.bar((place - 0.8, top), (1.6, 9.0), class, words.trim());
        }
        plot.text((LEFT - 6.0, top + 9.0), &what.replace('-', " "), "tick end");
        top += 12.0;
    }
}

/// How scores are spread.
fn scores(run: &Run) -> Figure {
    const WIDE: usize = 5;
    let all = [
        ("a", "humans", &run.scores.humans),
        ("b", "bots", &run.scores.bots),
        ("c", "without a label", &run.scores.unlabelled),
    ];
    let any = |counts: &Vec<u64>| counts.iter().any(|count| *count > 0);
    let kept: Vec<_> = all
        .into_iter()
        .filter(|(_, _, counts)| any(counts))
        .collect();
    let share = |counts: &[u64], bin: usize| {
        let of: u64 = counts.iter().skip(bin * WIDE).take(WIDE).sum();
        100.0 * of as f64 / counts.iter().sum::<u64>().max(1) as f64
    };
    let bins = 100 / WIDE;
    let shares = { kept.iter() }.flat_map(|(_, _, counts)| (0..bins).map(|bin| share(counts, bin)));
    let y = Scale::linear(shares.fold(0.0, f64::max) * 1.05, BOTTOM, TOP);
    let x = Scale::linear(100.0, LEFT, RIGHT);
    let percent = |value: f64| format!("{value} %");
    let plain = |value: f64| format!("{value}");
    let (title, name) = (
        "Score distribution",
        "score: 1 certainly automated, 99 certainly human",
    );
    let mut plot = Plot::new(title, name, (x, &plain), (y, &percent), HEIGHT);
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
            let words = format!("{name}, {range}: {share:.1} %");
            let class = format!("fill {class}");
            plot.bar((left, top), (each, BOTTOM - top), &class, &words);
            row.push(format!("{name} {share:.1} %"));
        }
        rows.push(row);
    }
    let head = ["score", "", "", ""].into_iter().take(kept.len() + 1);
    let legend: Vec<_> = kept
        .iter()
        .map(|(class, name, _)| (*class, *name))
        .collect();
    Figure {
        id: "scores".into(),
        title: title.into(),
        about: "What the requests of this run were scored, as shares of each kind.".into(),
        legend: owned(&legend),
        svg: plot.end(),
        table: (head.collect(), rows),
    }
}

/// Every kernel, in three manners.
fn kernels(run: &Run) -> Option<Figure> {
    let manners: [(&str, &'static str, Manner); 3] = [
        ("one row", "fill a", |it| &it.row),
        ("batch of 64, a row", "fill b", |it| &it.batch_row),
        ("one row, caches cold", "fill c", |it| &it.cold_row),
    ];
    let (mut bars, mut rows) = (Vec::new(), Vec::new());
    for kernel in &run.kernels {
        for (manner, class, of) in manners {
            let (rounds, name) = (of(kernel), format!("{}, {manner}", kernel.name));
            let low = rounds.iter().copied().fold(f64::MAX, f64::min);
            let high = rounds.iter().copied().fold(0.0, f64::max);
            let (value, range, note) = (median(rounds), Some((low, high)), String::new());
            rows.push(vec![name.clone(), time(value), time(low), time(high)]);
            bars.push(HorizontalBar {
                name,
                value,
                range,
                class,
                note,
            });
        }
    }
    let rounds = run.kernels.first()?.row.len();
    Some(Figure {
        id: "kernels".into(),
        title: "Kernels".into(),
        about: format!(
            "From a filled row to its score on {}, on one thread; medians of {rounds} rounds by \
             turns, and the range of the rounds. Cold: 4 MiB of other work are read before each.",
            run.asked.table
        ),
        legend: Vec::new(),
        svg: horizontal_bars("Kernels", &bars, false),
        table: (vec!["", "median", "least", "most"], rows),
    })
}

/// Other libraries on one model, from a record of `tools/lab/peers`.
fn peers(record: &Value, model: &Value) -> Option<Figure> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let (mut bars, mut rows) = (Vec::new(), Vec::new());
    for figure in model["figures"].as_array()? {
        let (Some(name), Some(value)) = (figure["subject"].as_str(), figure["median_ns"].as_f64())
        else {
            continue;
        };
        if figure["measure"] != "one row" {
            continue;
        }
        let least = figure["min_ns"].as_f64().unwrap_or(value);
        let (class, note) = match (&figure["kernel"], figure["times_hedgerow"].as_f64()) {
            (Value::String(_), _) => ("fill a", String::new()),
            (_, Some(times)) => ("fill g", format!("({times:.1} ×)")),
            (_, None) => ("fill g", String::new()),
        };
        rows.push(vec![name.into(), time(value), time(least), note.clone()]);
        let (name, range) = (name.to_string(), None);
        bars.push(HorizontalBar {
            name,
            value,
            range,
            class,
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
    let [about, date, command] = [
        &model["about"],
        &record["run"]["date"],
        &record["run"]["command"],
    ]
    .map(text);
    Some(Figure {
        id: id.into(),
        title: format!("Peers: {name}"),
        about: format!(
            "One row, median, logarithmic: {about}. Not of this run: recorded on {date} by \
             {command}."
        ),
        legend: owned(&[("a", "hedgerow"), ("g", "others")]),
        svg: horizontal_bars(name, &bars, true),
        table: (vec!["", "median", "least", "× hedgerow"], rows),
    })
}
