//! Checks detections and their conditions.

use super::{Check, Sections, at_most, exactly};
use crate::limits::*;
use crate::refusal::RefusalKind;
use crate::schema::check_name;
use crate::table::detections::ConditionTest;
use crate::table::format::*;
use std::collections::HashMap;

/// Holds the counts against the capacities.
pub(super) fn check_counts(detections: usize, conditions: usize) -> Check<()> {
    at_most("detections", DETECTIONS_MAX, detections)?;
    at_most("conditions", CONDITIONS_MAX, conditions)
}

pub(super) fn check_detections(sections: &Sections<'_>) -> Check<()> {
    let detections: &[DetectionRecord] = sections.records(Section::Detections)?;
    let conditions: &[ConditionRecord] = sections.records(Section::Conditions)?;
    let mut names = HashMap::with_capacity(detections.len());
    let (mut before, mut start) = (None, 0usize);
    for (index, detection) in detections.iter().enumerate() {
        let at = |field: &str| format!("detections[{index}].{field}");
        if let Some(before) = before.filter(|before| detection.id <= *before) {
            let above = format!("above {before}");
            return Err(RefusalKind::DetectionId.at(at("id"), above, detection.id));
        }
        before = Some(detection.id);
        check_text(
            &detection.name,
            detection.name_bytes,
            || at("name"),
            &mut names,
            RefusalKind::DetectionName,
        )?;
        check_fields(detection, at)?;
        exactly(&at("start"), start, detection.start as usize)?;
        start = start.saturating_add(usize::from(detection.conditions));
    }
    exactly("conditions", start, conditions.len())?;
    let features = sections.records::<FeatureRecord>(Section::Features)?.len();
    conditions
        .iter()
        .enumerate()
        .try_for_each(|(index, condition)| check_condition(index, condition, features))
}

/// Checks a name that is padded with zeros, and that it is not among `names`.
pub(super) fn check_text<'a>(
    field: &'a [u8],
    bytes: u8,
    at: impl Fn() -> String,
    names: &mut HashMap<&'a [u8], String>,
    kind: RefusalKind,
) -> Check<()> {
    let Some((name, rest)) = field.split_at_checked(usize::from(bytes)) else {
        let most = format!("a name of at most {} bytes", field.len());
        return Err(kind.at(at(), most, bytes));
    };
    if let Err(problem) = check_name(name) {
        let got = format!("a name that {problem}");
        return Err(kind.at(at(), "a well-formed name", got));
    }
    check_zero(rest, &at)?;
    if let Some(first) = names.insert(name, at()) {
        let got = format!("\"{}\" also at {first}", String::from_utf8_lossy(name));
        return Err(kind.at(at(), "a name of its own", got));
    }
    Ok(())
}

pub(super) fn check_zero(bytes: &[u8], at: impl Fn() -> String) -> Check<()> {
    if bytes.iter().any(|byte| *byte != 0) {
        return Err(RefusalKind::Reserved.at(at(), "zero", "another value"));
    }
    Ok(())
}

fn check_fields(detection: &DetectionRecord, at: impl Fn(&str) -> String) -> Check<()> {
    let most = DETECTION_CONDITIONS_MAX as u8;
    for (field, least, most, got) in [
        ("conditions", 1, most, detection.conditions),
        ("score", 1, 99, detection.score),
        ("active", 0, 1, detection.active),
    ] {
        if !(least..=most).contains(&got) {
            return Err(RefusalKind::Detection.at(at(field), format!("{least} to {most}"), got));
        }
    }
    check_zero(&detection.zero, || at("zero"))
}

fn check_condition(index: usize, condition: &ConditionRecord, features: usize) -> Check<()> {
    let at = |field: &str| format!("conditions[{index}].{field}");
    if usize::from(condition.feature) >= features {
        let below = format!("below {features}");
        return Err(RefusalKind::FeatureIndex.at(at("feature"), below, condition.feature));
    }
    let value = condition.value;
    let Some(test) = ConditionTest::from_parts(condition.operator, value) else {
        return Err(RefusalKind::Condition.at(at("operator"), "0 to 4", condition.operator));
    };
    // The value of an operator without a bound is +0.0, to the bit.
    let (good, expected) = match test.has_bound() {
        true => (value.is_finite(), "a finite number"),
        false => (value.to_bits() == 0, "0"),
    };
    if !good {
        return Err(RefusalKind::Condition.at(at("value"), expected, value));
    }
    check_zero(&condition.zero, || at("zero"))
}
