//! Writes detections: checks them, and makes their records.

use super::error::{BuildError, at_most};
use crate::limits::{DETECTION_CONDITIONS_MAX, DETECTION_NAME_BYTES_MAX, DETECTIONS_MAX};
use crate::schema::{Feature, check_name};
use crate::table::detections::{Condition, Detection, FeatureRef};
use crate::table::format::{ConditionRecord, DetectionRecord};
use bytemuck::Zeroable;
use std::collections::HashSet;

/// The records of detections, ascending by id, and of their conditions.
pub(super) fn records(
    detections: &[Detection],
    features: &[Feature],
) -> Result<(Vec<DetectionRecord>, Vec<ConditionRecord>), BuildError> {
    at_most("detections", DETECTIONS_MAX, detections.len())?;
    let mut sorted: Vec<&Detection> = detections.iter().collect();
    sorted.sort_by_key(|detection| detection.id);
    let mut names = HashSet::new();
    let mut before = None;
    let (mut records, mut conditions) = (Vec::new(), Vec::new());
    for detection in sorted {
        let problem = |problem: String| BuildError::Detection {
            id: detection.id,
            problem,
        };
        if before == Some(detection.id) {
            return Err(problem("expected an id of its own, got it twice".into()));
        }
        before = Some(detection.id);
        if !names.insert(detection.name.as_str()) {
            let got = format!("\"{}\" twice", detection.name);
            return Err(problem(format!("expected a name of its own, got {got}")));
        }
        let mut record = record(detection).map_err(problem)?;
        record.start = conditions.len() as u32;
        for condition in &detection.conditions {
            conditions.push(self::condition(condition, features).map_err(problem)?);
        }
        records.push(record);
    }
    Ok((records, conditions))
}

fn record(detection: &Detection) -> Result<DetectionRecord, String> {
    let (name, count) = (detection.name.as_bytes(), detection.conditions.len());
    check_name(name).map_err(|problem| format!("the name {problem}"))?;
    let mut record = DetectionRecord::zeroed();
    let Some(place) = record.name.get_mut(..name.len()) else {
        let got = name.len();
        return Err(format!(
            "expected a name of at most {DETECTION_NAME_BYTES_MAX} bytes, got {got}"
        ));
    };
    place.copy_from_slice(name);
    if !(1..=99).contains(&detection.score) {
        return Err(format!(
            "expected a score of 1 to 99, got {}",
            detection.score
        ));
    }
    if !(1..=DETECTION_CONDITIONS_MAX).contains(&count) {
        return Err(format!(
            "expected 1 to {DETECTION_CONDITIONS_MAX} conditions, got {count}"
        ));
    }
    record.id = detection.id;
    record.name_bytes = name.len() as u8;
    record.conditions = count as u8;
    record.score = detection.score;
    record.active = u8::from(detection.active);
    Ok(record)
}

fn condition(condition: &Condition, features: &[Feature]) -> Result<ConditionRecord, String> {
    let count = features.len();
    let at = match &condition.feature {
        FeatureRef::Index(index) => {
            let index = usize::from(*index);
            (index < count)
                .then_some(index)
                .ok_or_else(|| format!("expected a feature below {count}, got {index}"))?
        }
        FeatureRef::Name(name) => features
            .iter()
            .position(|feature| feature.name == *name)
            .ok_or_else(|| format!("expected one of the {count} features, got \"{name}\""))?,
    };
    let (operator, value) = condition.test.parts();
    if !value.is_finite() {
        return Err(format!("expected a finite bound, got {value}"));
    }
    let feature =
        u8::try_from(at).map_err(|_| format!("expected a feature below 256, got {at}"))?;
    Ok(ConditionRecord {
        feature,
        operator,
        zero: [0; 2],
        value,
    })
}
