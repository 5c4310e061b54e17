//! The same run as one page: a bar chart a model, on a logarithmic scale, without any network.
//!
//! A subject's name stands above its bar, so that the chart is as narrow as a phone.

use crate::report::{LEGEND, Report};
use crate::results::{Figure, Measure, ModelResults, Outcome, grouped};
use std::fmt::Write;

const WIDTH: f64 = 460.0;
/// Room for the figure behind a bar.
const FIGURE: f64 = 120.0;
const LINE: f64 = 34.0;

const STYLE: &str = "
body { font: 16px/1.45 system-ui, sans-serif; color: #1b1b1b; background: #fff;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: .5rem 0; break-inside: avoid; }
figcaption { font-weight: 600; margin-bottom: .2rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr));
  gap: 0 2rem; }
svg { width: 100%; height: auto; display: block; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #ccc;
  vertical-align: top; overflow-wrap: anywhere; }
.missed { font-weight: 700; color: #9c1c1c; }
li { margin-bottom: .4rem; }
@media print { body { font-size: 10pt; max-width: none; } }
";

/// Text that may stand in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The powers of ten around some figures.
fn decades(figures: &[&Figure]) -> (i32, i32) {
    let logs = figures.iter().map(|figure| figure.median.max(1e-3).log10());
    let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), log| {
        (low.min(log), high.max(log))
    });
    let low = low.floor() as i32;
    (low, (high.ceil() as i32).max(low + 1))
}

/// One measure of one model: a bar for each subject, its median, and a mark at its minimum.
fn chart(model: &ModelResults, figures: &[&Figure]) -> String {
    let (low, high) = decades(figures);
    let span = WIDTH - FIGURE;
    let place = |ns: f64| {
        let part = (ns.max(1e-3).log10() - f64::from(low)) / f64::from(high - low);
        part.clamp(0.0, 1.0) * span
    };
    let height = LINE * figures.len() as f64 + 22.0;
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\">\n"
    );
    for power in low..=high {
        let x = place(10f64.powi(power));
        let label = grouped(10f64.powi(power));
        let anchor = if power == low { "start" } else { "middle" };
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{:.1}\" stroke=\"#d5d5d5\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"11\" fill=\"#555\" \
             text-anchor=\"{anchor}\">{label} ns</text>",
            height - 16.0,
            height - 4.0
        );
    }
    for (at, figure) in figures.iter().enumerate() {
        let top = at as f64 * LINE;
        let (bar, least) = (place(figure.median), place(figure.min));
        let colour = if figure.kernel.is_some() {
            "#1d6b3a"
        } else {
            "#8a8f98"
        };
        let times = model.times(figure).map(|times| format!(" ({times:.1}×)"));
        let _ = writeln!(
            out,
            "<text x=\"2\" y=\"{:.1}\">{}</text>\
             <rect x=\"0\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\" fill=\"{colour}\"/>\
             <line x1=\"{least:.1}\" x2=\"{least:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" \
             stroke=\"#fff\" stroke-width=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}{}</text>",
            top + 13.0,
            escaped(&figure.name),
            top + 17.0,
            bar.max(1.0),
            top + 17.0,
            top + 29.0,
            bar + 5.0,
            top + 28.0,
            grouped(figure.median),
            times.unwrap_or_default()
        );
    }
    out + "</svg>\n"
}

/// A model's charts, one a measure.
fn charts(model: &ModelResults) -> String {
    let mut out = format!(
        "<h2>{}: {}</h2>\n<div class=\"charts\">\n",
        escaped(&model.name),
        escaped(&model.about)
    );
    for measure in merged(model) {
        let of = |figure: &&Figure| same_chart(figure.measure, measure);
        let figures: Vec<Figure> = model.figures.iter().filter(of).cloned().collect();
        let named: Vec<Figure> = figures.into_iter().map(|f| labelled(f, measure)).collect();
        let title = match measure {
            Measure::Batch(_) => "in batches".to_string(),
            other => other.name(),
        };
        let _ = writeln!(
            out,
            "<figure><figcaption>{title}</figcaption>\n{}</figure>",
            chart(model, &named.iter().collect::<Vec<_>>())
        );
    }
    out + "</div>\n"
}

/// Measures with one for all batches.
fn merged(model: &ModelResults) -> Vec<Measure> {
    let mut measures = model.measures();
    let mut batches = 0;
    measures.retain(|measure| match measure {
        Measure::Batch(_) => {
            batches += 1;
            batches == 1
        }
        _ => true,
    });
    measures
}

fn same_chart(a: Measure, b: Measure) -> bool {
    matches!((a, b), (Measure::Batch(_), Measure::Batch(_))) || a == b
}

/// In the chart of all batches a subject's name says how many rows.
fn labelled(mut figure: Figure, chart: Measure) -> Figure {
    if let (Measure::Batch(_), Measure::Batch(rows)) = (chart, figure.measure) {
        figure.name += &format!(", {} rows", grouped(rows as f64));
    }
    figure
}

fn targets(outcomes: &[Outcome]) -> String {
    let mut out = String::from(
        "<h2>Targets</h2>\n<table><tr><th>target</th><th>at least</th><th>measured</th>\
         <th>outcome</th></tr>\n",
    );
    for outcome in outcomes {
        let class = if outcome.outcome == "NOT MET" {
            "missed"
        } else {
            ""
        };
        let measured = match (outcome.measured, outcome.kernel) {
            (Some(ratio), Some(kernel)) => format!("{ratio:.1}× ({kernel})"),
            _ => "–".into(),
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{}×</td><td>{measured}</td><td class=\"{class}\">{}</td></tr>",
            escaped(&outcome.target),
            outcome.at_least,
            escaped(&outcome.outcome)
        );
    }
    out + "</table>\n"
}

/// The page.
pub fn page(title: &str, report: &Report) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n<h1>{0}</h1>\n<dl>\n",
        escaped(title)
    );
    for (name, value) in report.facts {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    }
    let _ = writeln!(
        out,
        "</dl>\n<p>{LEGEND} Bars are medians on a logarithmic scale, the white mark is the \
         minimum; hedgerow's kernels are dark.</p>"
    );
    out += &targets(report.outcomes);
    for model in report.models {
        out += &charts(model);
    }
    out += "<h2>How each was called</h2>\n<ul>\n";
    for way in report.ways {
        let measures: Vec<String> = way.measures.iter().map(|m| m.name()).collect();
        let _ = writeln!(
            out,
            "<li><b>{}</b> ({}): {}.</li>",
            escaped(&way.subject),
            measures.join("; "),
            escaped(way.how)
        );
    }
    out + "</ul>\n</html>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::models;

    #[test]
    fn the_page_needs_no_network_and_names_every_subject() {
        let models = models();
        let report = Report {
            facts: &vec![("machine", "a <machine>".into())],
            models: &models,
            outcomes: &[],
            ways: &[],
        };
        let page = page("Peers", &report);
        for name in models[0].subjects() {
            assert!(page.contains(name), "{name}");
        }
        assert!(page.contains("a model &lt;of trees&gt;") && page.contains("a &lt;machine&gt;"));
        for outside in ["http:", "https:", "src=", "@import", "<script", "<link"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(page.matches("</svg>").count(), 2);
    }

    #[test]
    fn longer_times_have_longer_bars_within_the_chart() {
        let model = &models()[0];
        let ones: Vec<&Figure> = model
            .figures
            .iter()
            .filter(|figure| figure.measure == Measure::One)
            .collect();
        assert_eq!(decades(&ones), (3, 6));
        let svg = chart(model, &ones);
        let widths: Vec<f64> = svg
            .split("width=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .filter(|width| *width != 2.0)
            .collect();
        assert_eq!(widths.len(), ones.len());
        assert!(widths.is_sorted(), "{widths:?}");
        assert!(
            widths
                .iter()
                .all(|width| *width > 0.0 && *width <= WIDTH - FIGURE)
        );
    }
}
