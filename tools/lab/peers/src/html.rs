//! The same run as one page: horizontal bars for each measure of each model, without any network.

use crate::report::{LEGEND, Report};
use crate::results::{Figure, Measure, ModelResults, Outcome, grouped};
use hedgerow_cli::drawing::plot::{HorizontalBar, horizontal_bars};
use hedgerow_cli::drawing::{self, escaped, facts, figures, table, time};

/// One measure of one model: a bar for each subject, its median, and its range down to the minimum.
fn chart(model: &ModelResults, measure: Measure) -> drawing::Figure {
    let title = match measure {
        Measure::Batch(_) => "in batches".to_string(),
        other => other.name(),
    };
    let of = |figure: &&Figure| same_chart(figure.measure, measure);
    let bars: Vec<HorizontalBar> = { model.figures.iter().filter(of) }
        .map(|figure| HorizontalBar {
            name: labelled(figure),
            value: figure.median,
            range: Some((figure.min, figure.median)),
            class: if figure.kernel.is_some() {
                "fill a"
            } else {
                "fill g"
            },
            note: { model.times(figure) }.map_or(String::new(), |times| format!("({times:.1}×)")),
        })
        .collect();
    let rows = bars.iter().map(|bar| {
        let least = bar.range.map_or(bar.value, |(least, _)| least);
        vec![
            bar.name.clone(),
            time(bar.value),
            time(least),
            bar.note.clone(),
        ]
    });
    drawing::Figure {
        id: format!("{} {title}", model.name)
            .to_lowercase()
            .replace(' ', "-"),
        svg: horizontal_bars(&title, &bars, true),
        table: (vec!["", "median", "least", "× hedgerow"], rows.collect()),
        title,
        ..drawing::Figure::default()
    }
}

/// Measures with one for all batches.
fn merged(model: &ModelResults) -> Vec<Measure> {
    let mut measures = model.measures();
    measures.dedup_by(|one, other| same_chart(*one, *other));
    measures
}

fn same_chart(a: Measure, b: Measure) -> bool {
    matches!((a, b), (Measure::Batch(_), Measure::Batch(_))) || a == b
}

/// The name of a subject's bar: in the chart of all batches it says how many rows.
fn labelled(figure: &Figure) -> String {
    match figure.measure {
        Measure::Batch(rows) => format!("{}, {} rows", figure.name, grouped(rows as f64)),
        _ => figure.name.clone(),
    }
}

fn targets(outcomes: &[Outcome]) -> String {
    let row = |outcome: &Outcome| {
        let measured = match (outcome.measured, outcome.kernel) {
            (Some(ratio), Some(kernel)) => format!("{ratio:.1}× ({kernel})"),
            _ => "–".into(),
        };
        let at_least = format!("{}×", outcome.at_least);
        vec![
            outcome.target.clone(),
            at_least,
            measured,
            outcome.outcome.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = outcomes.iter().map(row).collect();
    table(&["target", "at least", "measured", "outcome"], &rows)
}

/// The page.
pub fn page(title: &str, report: &Report) -> String {
    let mut body = format!(
        "<h1>{}</h1>\n{}<p>{LEGEND} Bars are medians on a logarithmic scale, with the range down \
         to the minimum; hedgerow's kernels have a colour of their own.</p>\n<h2>Targets</h2>\n{}",
        escaped(title),
        facts(report.facts),
        targets(report.outcomes)
    );
    for model in report.models {
        let charts: Vec<_> = { merged(model).into_iter() }
            .map(|measure| chart(model, measure))
            .collect();
        let (name, about) = (escaped(&model.name), escaped(&model.about));
        body += &format!("<h2>{name}: {about}</h2>\n{}", figures(&charts));
    }
    body += "<h2>How each was called</h2>\n<ul>\n";
    for way in report.ways {
        let measures: Vec<String> = way.measures.iter().map(|m| m.name()).collect();
        let (subject, how) = (escaped(&way.subject), escaped(way.how));
        body += &format!(
            "<li><b>{subject}</b> ({}): {how}.</li>\n",
            measures.join("; ")
        );
    }
    drawing::page(title, &(body + "</ul>\n"))
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
        for outside in ["http:", "https:", "src=", "@import", "<script", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        let inside = page.matches("href=\"data:,\"").count();
        assert_eq!(page.matches("<link").count(), inside);
        assert_eq!(page.matches("<svg").count(), 2);
        assert_eq!(page.matches("</svg>").count(), 2);
    }

    #[test]
    fn longer_times_have_longer_bars_within_the_chart() {
        let svg = chart(&models()[0], Measure::One).svg;
        let widths: Vec<f64> = { svg.split(" width=\"").skip(1) }
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(widths.len(), 3, "{svg}");
        assert!(widths.is_sorted(), "{widths:?}");
        let most = hedgerow_cli::drawing::plot::WIDTH - 128.0;
        assert!(
            widths.iter().all(|width| *width > 0.0 && *width <= most),
            "{widths:?}"
        );
    }
}
