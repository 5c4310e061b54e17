//! Reads what stands in a table beside the ensemble: detections and verified bots.

use crate::failure::Failure;
use crate::files;
use hedgerow::table::bots::{AddressRange, Bot, Category};
use hedgerow::table::detections::{Condition, ConditionTest, Detection, FeatureRef};
use hedgerow::{Feature, Schema};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectionFile {
    detections: Vec<DetectionEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectionEntry {
    id: u32,
    name: String,
    score: u8,
    #[serde(default)]
    active: bool,
    conditions: Vec<ConditionEntry>,
}

/// A feature, and exactly one test.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionEntry {
    feature: String,
    above: Option<f64>,
    at_most: Option<f64>,
    equals: Option<f64>,
    missing: Option<bool>,
    present: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BotEntry {
    name: String,
    category: String,
    #[serde(default)]
    agent: Option<String>,
    ranges: Vec<String>,
}

/// The detections of a file in TOML or JSON.
pub fn detections(path: &Path) -> Result<Vec<Detection>, Failure> {
    let expected = "detections = [{ id, name, score, active, conditions }, …] in TOML or JSON";
    let file: DetectionFile = files::parse(path, "detections", expected)?;
    let entries = file.detections.into_iter();
    entries
        .map(|entry| {
            let at = format!("{}: detection {}", path.display(), entry.id);
            let conditions = entry.conditions.iter();
            Ok(Detection {
                id: entry.id,
                name: entry.name,
                score: entry.score,
                active: entry.active,
                conditions: conditions
                    .map(|entry| condition(entry, &at))
                    .collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

fn condition(entry: &ConditionEntry, at: &str) -> Result<Condition, Failure> {
    let narrow = |bound: f64| bound as f32;
    let holds = |wanted: Option<bool>, test, other| match wanted {
        Some(true) => Some(test),
        Some(false) => Some(other),
        None => None,
    };
    let (missing, present) = (ConditionTest::Missing, ConditionTest::Present);
    let tests = [
        entry.above.map(|bound| ConditionTest::Above(narrow(bound))),
        entry
            .at_most
            .map(|bound| ConditionTest::AtMost(narrow(bound))),
        entry
            .equals
            .map(|bound| ConditionTest::Equals(narrow(bound))),
        holds(entry.missing, missing, present),
        holds(entry.present, present, missing),
    ];
    let given: Vec<ConditionTest> = tests.into_iter().flatten().collect();
    let [test] = given[..] else {
        let at = format!("{at}: condition on \"{}\"", entry.feature);
        let expected = "one of above, at_most, equals, missing and present";
        return Err(Failure::new("detections", at, expected, given.len()));
    };
    let feature = FeatureRef::Name(entry.feature.clone());
    Ok(Condition { feature, test })
}

/// Adds the features that detections test and a model does not have, from a schema that has them.
pub fn adopt_features(features: &mut Vec<Feature>, detections: &[Detection], schema: &Schema) {
    for condition in detections
        .iter()
        .flat_map(|detection| &detection.conditions)
    {
        let FeatureRef::Name(name) = &condition.feature else {
            continue;
        };
        if features.iter().any(|feature| feature.name == *name) {
            continue;
        }
        let known = schema.features().iter().find(|known| known.name == *name);
        features.extend(known.cloned());
    }
}

/// The verified bots of a JSON file.
pub fn bots(path: &Path) -> Result<Vec<Bot>, Failure> {
    let expected = "[{ \"name\", \"category\", \"agent\", \"ranges\" }, …] in JSON";
    let entries: Vec<BotEntry> = files::parse(path, "verified-bots", expected)?;
    entries.into_iter().map(|entry| bot(entry, path)).collect()
}

fn bot(entry: BotEntry, path: &Path) -> Result<Bot, Failure> {
    let at = |field: &str| format!("{}: bot \"{}\": {field}", path.display(), entry.name);
    let Some(category) = Category::from_name(&entry.category) else {
        let all: Vec<&str> = Category::ALL.iter().map(|known| known.name()).collect();
        let expected = format!("one of {}", all.join(", "));
        return Err(Failure::new(
            "verified-bots",
            at("category"),
            expected,
            entry.category,
        ));
    };
    let mut ranges = Vec::with_capacity(entry.ranges.len());
    for (index, text) in entry.ranges.iter().enumerate() {
        let parsed = AddressRange::parse(text);
        ranges.push(parsed.map_err(|problem| {
            let at = at(&format!("ranges[{index}]"));
            Failure::new("verified-bots", &at, "a range of addresses", text)
                .with_message(format!("{at}: {problem}"))
        })?);
    }
    Ok(Bot {
        name: entry.name,
        category,
        agent: entry.agent,
        ranges,
    })
}
