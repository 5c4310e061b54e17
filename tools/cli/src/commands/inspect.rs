//! `inspect`: what is in a table.

use crate::failure::{self, Failure};
use crate::tables::{feature_name, headroom, headroom_json};
use crate::{Report, tables};
use hedgerow::Table;
use hedgerow::table::bots::Bot;
use hedgerow::table::detections::{Condition, Detection};
use serde_json::{Value, json};
use std::fmt::Write;

/// Show what is in a table
///
/// Example: hedgerow inspect default
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The table, or `default`
    table: String,
}

/// Describes a table.
pub fn run(args: &Args) -> Result<Report, Failure> {
    let table = tables::open(&args.table)?;
    let header = table.header();
    let (min, max) = table.margin_range();
    let features = table.features();
    let provenance: Value = serde_json::from_str(table.provenance())
        .unwrap_or_else(|_| Value::String(table.provenance().into()));

    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("table", args.table.clone());
    line("id", table.content_id());
    line("format", format!("version {}", header.format_version));
    line(
        "number",
        format!("{} (the publisher's own)", header.generation),
    );
    line("created", date(header.created_at));
    line("fingerprint", format!("{:016x}", header.fingerprint));
    line("trees", trees(&table));
    line("scores", scores(&table));
    line(
        "margins",
        format!(
            "{min:.4} to {max:.4}, in steps of 2^-{}",
            header.margin_shift
        ),
    );
    line("golden rows", table.golden_rows().count().to_string());
    line("provenance", failure::harmless(&provenance.to_string()));
    text.push_str("\nheadroom\n");
    text.push_str(&headroom(&table));
    let _ = writeln!(text, "\nfeatures");
    for (index, feature) in features.iter().enumerate() {
        let _ = writeln!(
            text,
            "{index:>4}  {:<40} {}",
            feature.name,
            feature.kind.name()
        );
    }
    let named = features
        .iter()
        .map(|f| json!({ "name": f.name, "kind": f.kind.name() }));
    let (detections, bots) = (table.detections(), table.bots());
    text.push_str(&detection_lines(&detections));
    text.push_str(&bot_lines(&bots));
    let json = json!({
        "table": args.table,
        "content_id": table.content_id(),
        "format_version": header.format_version,
        "generation": header.generation,
        "created_at": header.created_at,
        "fingerprint": format!("{:016x}", header.fingerprint),
        "trees": { "oblivious": header.oblivious_trees, "any": any_trees(&table) },
        "margin_shift": header.margin_shift,
        "margin_min": min,
        "margin_max": max,
        "golden_rows": table.golden_rows().count(),
        "headroom": headroom_json(&table),
        "features": named.collect::<Vec<_>>(),
        "detections": detections.iter().map(detection_json).collect::<Vec<_>>(),
        "verified_bots": bots.iter().map(bot_json).collect::<Vec<_>>(),
        "provenance": provenance,
    });
    Ok(Report::done(text, json))
}

/// A detection on one line.
pub fn detection_line(detection: &Detection) -> String {
    let conditions = detection.conditions.iter();
    let conditions: Vec<String> = conditions
        .map(|condition| format!("{} {}", feature_name(&condition.feature), condition.test))
        .collect();
    let state = if detection.active { "active" } else { "shadow" };
    let (id, name, score) = (detection.id, &detection.name, detection.score);
    let name = failure::harmless(name);
    format!(
        "{id:>6}  {state}  score {score:>2}  {name}: {}",
        conditions.join(" and ")
    )
}

fn detection_lines(detections: &[Detection]) -> String {
    let lines = detections.iter().map(detection_line);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\ndetections\n{lines}")
    }
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

fn bot_lines(bots: &[Bot]) -> String {
    let line = |bot: &Bot| {
        let (name, category) = (failure::harmless(&bot.name), bot.category.name());
        let agent = bot.agent.as_ref();
        let agent = agent.map_or("any agent".into(), |agent| {
            format!("agent with \"{agent}\"")
        });
        let ranges = bot.ranges.len();
        format!("  {name:<32} {category:<14} {ranges:>5} ranges, {agent}\n")
    };
    let lines: String = bots.iter().map(line).collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\nverified bots\n{lines}")
    }
}

fn bot_json(bot: &Bot) -> Value {
    json!({
        "name": bot.name,
        "category": bot.category.name(),
        "agent": bot.agent,
        "ranges": bot.ranges.iter().map(|range| range.to_string()).collect::<Vec<_>>(),
    })
}

/// A moment as people write it, in UTC; the years of a calendar are 400 years of 146,097 days, over
/// and over.
fn date(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, so that a leap day ends a year.
    let day = day + 719_468;
    let (cycle, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = 400 * cycle + year + next;
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC ({seconds})")
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

fn trees(table: &Table) -> String {
    format!(
        "{} oblivious, {} of any shape",
        table.header().oblivious_trees,
        any_trees(table)
    )
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
