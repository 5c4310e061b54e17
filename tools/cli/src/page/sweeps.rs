//! The plots of a sweep: throughput against latency, a figure for each axis.

use crate::drawing::plot::{BOTTOM, HEIGHT, LEFT, Plot, RIGHT, Scale, TOP};
use crate::drawing::{Figure, count, time};
use crate::harness::run::{Curve, Point, Run};

/// Colours of the curves of a sweep.
const CURVES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// The names of an axis's figure, its title, and each of its curves by its value.
fn axis_names(axis: &str) -> (&'static str, &'static str, fn(f64) -> String) {
    match axis {
        "cores" => (
            "sweep-cores",
            "Throughput and latency by cores",
            |n| match n {
                1.0 => "1 core".into(),
                n => format!("{n} cores"),
            },
        ),
        "batch" => ("sweep-batch", "… by batch limit", |n| {
            format!("up to {n} at once")
        }),
        "swaps" => ("sweep-swaps", "… by swap rate", |n| {
            format!("{n} tables a second")
        }),
        _ => ("sweep-trees", "… by table size", |n| format!("{n} trees")),
    }
}

/// The figures of a curve.
fn curve_rows(curve: &Curve, name: &str) -> Vec<Vec<String>> {
    let row = |what: &str, offered: f64, answered: f64, times: [String; 3]| {
        let rate = vec![format!("{name}{what}"), count(offered), count(answered)];
        [rate, times.to_vec()].concat()
    };
    let points = curve.points.iter().map(|point| {
        let times = [point.p50, point.p99, point.p999].map(|nanos| time(nanos as f64));
        row("", point.offered, point.answered, times)
    });
    let (most, none) = (curve.saturation, ["–"; 3].map(String::from));
    points
        .chain([row(", without a pause", most, most, none)])
        .collect()
}

/// A curve's median and p99, and its knee.
fn draw(plot: &mut Plot, curve: &Curve, class: &str, name: &str) {
    let values = |of: fn(&Point) -> u64| -> Vec<(f64, f64)> {
        let points = curve.points.iter();
        points
            .map(|point| (point.answered, of(point) as f64))
            .collect()
    };
    let (p50, p99) = (values(|point| point.p50), values(|point| point.p99));
    plot.line(&p99, &format!("line thin dashed {class}"));
    plot.line(&p50, &format!("line {class}"));
    for (at, point) in p50.iter().enumerate() {
        let words = format!("{name}: {} a second, p50 {}", count(point.0), time(point.1));
        match curve.knee == Some(at) {
            true => plot.dot(
                *point,
                5.5,
                &format!("knee {class}"),
                &format!("knee, {words}"),
            ),
            false => plot.dot(*point, 2.0, &format!("dot {class}"), &words),
        }
    }
}

/// Throughput against latency along one axis.
pub fn sweep(run: &Run, axis: &str) -> Option<Figure> {
    let curves = run.sweep.iter().filter(|curve| curve.axis == axis);
    let curves: Vec<&Curve> = curves.collect();
    let first = curves.first()?;
    let (id, title, unit) = axis_names(axis);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let rates = points().map(|point| point.answered);
    let x = match axis {
        "trees" | "batch" => Scale::log(rates, LEFT, RIGHT),
        _ => Scale::linear(rates.fold(0.0, f64::max) * 1.05, LEFT, RIGHT),
    };
    let values = points().flat_map(|point| [point.p50 as f64, point.p99 as f64]);
    let y = Scale::log(values, BOTTOM, TOP);
    let mut plot = Plot::new(title, "verdicts a second", (x, &count), (y, &time), HEIGHT);
    let (mut legend, mut rows) = (Vec::new(), Vec::new());
    for (curve, class) in curves.iter().zip(CURVES.iter().cycle()) {
        let name = unit(curve.value);
        draw(&mut plot, curve, class, &name);
        let knee = curve.knee.and_then(|at| curve.points.get(at));
        let knee = knee.map_or("none".into(), |point| count(point.answered));
        legend.push((class.to_string(), format!("{name}: knee {knee}")));
        rows.extend(curve_rows(curve, &name));
    }
    Some(Figure {
        id: id.into(),
        title: title.into(),
        about: format!(
            "{}. Full lines are the median, dashed ones p99; the ring is the knee: the last rate \
             at which the median is at most twice that of the lightest load, and nothing is left \
             over.",
            first.about
        ),
        legend,
        svg: plot.end(),
        table: (vec!["", "offered", "answered", "p50", "p99", "p99.9"], rows),
    })
}
