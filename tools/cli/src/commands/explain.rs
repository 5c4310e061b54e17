//! `explain`: what a row's margin is made of, and which detections it matches.

use crate::failure::Failure;
use crate::rows::{Absent, Rows};
use crate::tables::{feature_name, feature_names, source};
use crate::{Report, tables};
use hedgerow::refusal::printable;
use hedgerow::{PreparedTable, Source};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;

/// Show what a row's margin is made of, and which detections it matches
///
/// Example: hedgerow extract requests.ndjson | hedgerow explain default - --row 3 --top 5
///
/// Each tree starts at the mean of its leaves; each split on the row's way moves it to the mean of
/// the leaves still ahead, and the move counts for the split's feature. Leaves weigh the same.
/// The base (bias and means) and the contributions of all features add up to the margin exactly.
/// Positive contributions speak for a human, negative ones for a bot.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: OsString,
    /// CSV (header = feature names; empty or nan = missing) or NPY (float32, 2-D, columns in the
    /// table's feature order); `-` for standard input
    rows: PathBuf,
    /// Which row, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    row: usize,
    /// How many features to show, those that moved the margin most; 0 for all
    #[arg(long, value_name = "K", default_value_t = 10)]
    top: usize,
}

/// Explains a row.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let prepared = tables::open_prepared(&args.table, None)?;
    let names = feature_names(&prepared);
    let rows = Rows::read(&args.rows, &names, Absent::Refuse)?;
    let chosen = args.row.checked_sub(1).and_then(|at| rows.iter().nth(at));
    let Some(values) = chosen else {
        let expected = format!("a row of 1 to {}", rows.count());
        return Err(Failure::usage("--row", expected, args.row));
    };
    let (text, mut json) = explained(&prepared, &names, values, args.top);
    json["row"] = json!(args.row);
    Ok(Report::done(text, json))
}

/// A value as it stands in a CSV file.
fn shown(value: f32) -> String {
    if value.is_nan() {
        "missing".into()
    } else {
        value.to_string()
    }
}

/// Returns the `top` contributions to the margin of a row (0: all) and the detections, as text and
/// as JSON.
pub(super) fn explained(
    prepared: &PreparedTable,
    names: &[String],
    values: &[f32],
    top: usize,
) -> (String, Value) {
    let row = prepared.row(values);
    let explanation = prepared.explain(&row);
    let scored = prepared.scored(&row, explanation.margin, 0);
    let units = |fixed: i64| prepared.table().margin_f64(fixed);
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(explanation.contributions[*at].unsigned_abs()));
    let top = if top == 0 { names.len() } else { top };
    let (top, rest) = order.split_at(top.min(order.len()));
    let rest: i64 = rest.iter().map(|at| explanation.contributions[*at]).sum();

    let mut text = String::new();
    let mut line = |fixed: i64, what: &str| {
        text += &format!("{:>12.6}  {what}\n", units(fixed));
    };
    line(
        explanation.base,
        "base: bias and the mean leaf of each tree",
    );
    for at in top {
        let what = format!("{} = {}", names[*at], shown(values[*at]));
        line(explanation.contributions[*at], &what);
    }
    if top.len() < names.len() {
        line(
            rest,
            &format!("the other {} features", names.len() - top.len()),
        );
    }
    let source = source(scored.source);
    line(
        explanation.margin,
        &format!("margin; score {} by {source}", scored.score),
    );
    let (lines, detections) = detections(&explanation, scored.source);
    text += &lines;
    let contribution = |at: &usize| {
        let (fixed, value) = (explanation.contributions[*at], values[*at]);
        json!({ "feature": names[*at], "value": value, "contribution": units(fixed) })
    };
    let json = json!({
        "score": scored.score.get(),
        "source": source,
        "margin": units(explanation.margin),
        "base": units(explanation.base),
        "contributions": top.iter().map(contribution).collect::<Vec<_>>(),
        "other_contributions": units(rest),
        "detections": detections,
    });
    (text, json)
}

/// Every detection with its conditions and the row's values.
fn detections(explanation: &hedgerow::Explanation, decided: Source) -> (String, Vec<Value>) {
    let (mut text, mut list) = (String::new(), Vec::new());
    for explained in &explanation.detections {
        let (detection, matches) = (&explained.detection, explained.matches());
        let decides = decided == Source::Detection(detection.id);
        let outcome = match (matches, detection.active) {
            (false, _) => "no match",
            (true, false) => "match, a shadow",
            (true, true) if decides => "match, decides",
            (true, true) => "match",
        };
        let (id, name) = (detection.id, printable(&detection.name));
        text += &format!("detection {id} \"{name}\": {outcome}\n");
        let conditions = detection.conditions.iter().zip(&explained.conditions);
        let mut held = Vec::new();
        for (condition, (value, holds)) in conditions {
            let (feature, test) = (feature_name(&condition.feature), &condition.test);
            let sign = if *holds { "holds" } else { "fails" };
            if matches {
                text += &format!("    {feature} {test}: {sign}, it is {}\n", shown(*value));
            }
            let test = test.to_string();
            held.push(json!({ "feature": feature, "test": test, "value": value, "holds": holds }));
        }
        list.push(json!({
            "id": id,
            "name": detection.name,
            "active": detection.active,
            "score": detection.score,
            "matches": matches,
            "decides": decides,
            "conditions": held,
        }));
    }
    (text, list)
}
