//! `inspect`: what is in a table.

use super::compile::meaning;
use crate::failure::Failure;
use crate::tables::{feature_name, headroom, headroom_json};
use crate::text::Columns;
use crate::{Report, tables};
use hedgerow::refusal::printable;
use hedgerow::table::bots::Bot;
use hedgerow::table::detections::{Condition, Detection};
use hedgerow::watch::time;
use hedgerow::{Feature, Table};
use serde_json::{Value, json};
use std::ffi::OsString;

/// Show what is in a table
///
/// Example: hedgerow inspect default
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: OsString,
}

/// Describes a table.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let table = tables::open(&args.table)?;
    let header = table.header();
    let (min, max) = table.margin_range();
    let features = table.features();
    let provenance: Value = serde_json::from_str(table.provenance())
        .unwrap_or_else(|_| Value::String(table.provenance().into()));

    let (detections, bots) = (table.detections(), table.bots());
    let mut text = Columns::new(12);
    text.line("table", args.table.display());
    text.line("id", table.content_id());
    text.line("format", format!("version {}", header.format_version));
    text.line(
        "number",
        format!("{} (the publisher's own)", header.generation),
    );
    text.line("created", date(header.created_at));
    text.line("fingerprint", format!("{:016x}", header.fingerprint));
    let (oblivious, any) = (header.oblivious_trees, any_trees(&table));
    text.line(
        "trees",
        format!("{oblivious} oblivious, {any} of any shape"),
    );
    text.line("scores", scores(&table));
    let meaning = meaning(&provenance);
    text.line(
        "meaning",
        meaning.unwrap_or("99 = human, 1 = bot; the model's class 1 is not noted"),
    );
    let step = header.margin_shift;
    text.line(
        "margins",
        format!("{min:.4} to {max:.4}, in steps of 2^-{step}"),
    );
    text.line("golden rows", table.golden_rows().count());
    text.line("provenance", printable(&provenance.to_string()));
    text.add(&section("headroom", [headroom(&table)]));
    let feature = |(index, feature): (usize, &Feature)| {
        format!("{index:>4}  {:<40} {}\n", feature.name, feature.kind.name())
    };
    text.add(&section(
        "features",
        features.iter().enumerate().map(feature),
    ));
    text.add(&section(
        "detections",
        detections.iter().map(detection_line),
    ));
    text.add(&section("verified bots", bots.iter().map(bot_line)));
    let json = json(args, &table, meaning, &provenance);
    Ok(Report::done(text.end(), json))
}

/// The same as JSON.
fn json(args: &Args, table: &Table, meaning: Option<&str>, provenance: &Value) -> Value {
    let header = table.header();
    let (min, max) = table.margin_range();
    let named = table
        .features()
        .into_iter()
        .map(|f| json!({ "name": f.name, "kind": f.kind.name() }));
    json!({
        "table": args.table.display().to_string(),
        "content_id": table.content_id(),
        "format_version": header.format_version,
        "generation": header.generation,
        "created_at": header.created_at,
        "fingerprint": format!("{:016x}", header.fingerprint),
        "trees": { "oblivious": header.oblivious_trees, "any": any_trees(table) },
        "score_meaning": meaning,
        "margin_shift": header.margin_shift,
        "margin_min": min,
        "margin_max": max,
        "golden_rows": table.golden_rows().count(),
        "headroom": headroom_json(table),
        "features": named.collect::<Vec<_>>(),
        "detections": table.detections().iter().map(detection_json).collect::<Vec<_>>(),
        "verified_bots": table.bots().iter().map(bot_json).collect::<Vec<_>>(),
        "provenance": provenance,
    })
}

/// Lines under a title, if there are any.
fn section(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let lines: String = lines.into_iter().collect();
    match lines.is_empty() {
        true => lines,
        false => format!("\n{title}\n{lines}"),
    }
}

/// A detection on one line.
fn detection_line(detection: &Detection) -> String {
    let conditions = detection.conditions.iter();
    let conditions: Vec<String> = conditions
        .map(|condition| format!("{} {}", feature_name(&condition.feature), condition.test))
        .collect();
    let state = if detection.active { "active" } else { "shadow" };
    let (id, name, score) = (detection.id, printable(&detection.name), detection.score);
    let conditions = conditions.join(" and ");
    format!("{id:>6}  {state}  score {score:>2}  {name}: {conditions}\n")
}

fn detection_json(detection: &Detection) -> Value {
    let condition = |condition: &Condition| {
        let (_, value) = condition.test.parts();
        let value = condition.test.has_bound().then_some(value);
        let feature = feature_name(&condition.feature);
        json!({ "feature": feature, "test": condition.test.name(), "value": value })
    };
    json!({
        "id": detection.id,
        "name": detection.name,
        "score": detection.score,
        "active": detection.active,
        "conditions": detection.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

fn bot_line(bot: &Bot) -> String {
    let (name, category, ranges) = (printable(&bot.name), bot.category.name(), bot.ranges.len());
    let agent = match &bot.agent {
        None => "any agent".into(),
        Some(agent) => format!("agent with \"{agent}\""),
    };
    format!("  {name:<32} {category:<14} {ranges:>5} ranges, {agent}\n")
}

fn bot_json(bot: &Bot) -> Value {
    json!({
        "name": bot.name,
        "category": bot.category.name(),
        "agent": bot.agent,
        "ranges": bot.ranges.iter().map(|range| range.to_string()).collect::<Vec<_>>(),
    })
}

/// Seconds since 1970 as people write them, in UTC.
fn date(seconds: u64) -> String {
    let moment = time::utc(seconds.saturating_mul(1_000));
    let (day, hour) = moment.split_once('T').unwrap_or((&moment, ""));
    format!(
        "{day} {} UTC ({seconds})",
        hour.get(..5).unwrap_or_default()
    )
}

/// The scores that the attainable margins span, whether a row exists for each or not.
fn scores(table: &Table) -> String {
    let map = table.score_map();
    let score = |margin: i64| 1 + map.iter().filter(|entry| **entry <= margin).count();
    let header = table.header();
    let (low, high) = (score(header.margin_min), score(header.margin_max));
    let warning = if low == high {
        ": every row gets the same"
    } else {
        ""
    };
    format!("{low} to {high}{warning}")
}

fn any_trees(table: &Table) -> usize {
    table.tree_count() - table.header().oblivious_trees as usize
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, want) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (951_868_799, "2000-02-29 23:59"),
            (4_107_542_400, "2100-03-01 00:00"),
            (1_700_000_000, "2023-11-14 22:13"),
        ] {
            assert!(date(seconds).starts_with(want), "{}", date(seconds));
        }
        // Whatever a file says.
        date(u64::MAX);
    }
}
