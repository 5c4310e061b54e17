//! Detections: conjunctions over features that give a score of their own, or only watch.

use super::build::BuildError;
use super::format::{ConditionRecord, DetectionRecord, FeatureRecord};
use crate::limits::*;
use crate::schema::{Feature, check_name};
use bytemuck::Zeroable;

/// A rule on a row's values: it matches where all of its conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Its number, by which verdicts and counters name it: unique within a table, and best never
    /// used for another rule.
    pub id: u32,
    /// What people call it: 1 to [`DETECTION_NAME_BYTES_MAX`] bytes, see [`check_name`].
    pub name: String,
    /// The score that it gives, 1 to 99.
    pub score: u8,
    /// Whether it decides. A shadow is counted and reported, and changes no score.
    pub active: bool,
    /// 1 to [`DETECTION_CONDITIONS_MAX`] conditions, the rarest first.
    pub conditions: Vec<Condition>,
}

/// One condition of a detection.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The feature whose value is tested.
    pub feature: FeatureRef,
    /// What must hold of it.
    pub test: ConditionTest,
}

/// A feature of a table, by name or by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureRef {
    /// By its name.
    Name(String),
    /// By its position in the ensemble's list of features.
    Index(u16),
}

/// What a condition holds a value against, in `f32`. A missing value is neither above, at most nor
/// equal to anything.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConditionTest {
    /// The value is above a finite number.
    Above(f32),
    /// The value is a finite number or below it.
    AtMost(f32),
    /// The value is a finite number.
    Equals(f32),
    /// The value is missing (NaN).
    Missing,
    /// The value is not missing.
    Present,
}

impl ConditionTest {
    /// Whether it holds for a value: the definition that the hot path is tested against.
    pub fn holds(self, value: f32) -> bool {
        match self {
            ConditionTest::Above(bound) => value > bound,
            ConditionTest::AtMost(bound) => value <= bound,
            ConditionTest::Equals(bound) => value == bound,
            ConditionTest::Missing => value.is_nan(),
            ConditionTest::Present => !value.is_nan(),
        }
    }

    /// The number that stands in a table for the operator, and the value beside it.
    pub fn parts(self) -> (u8, f32) {
        match self {
            ConditionTest::Above(bound) => (0, bound),
            ConditionTest::AtMost(bound) => (1, bound),
            ConditionTest::Equals(bound) => (2, bound),
            ConditionTest::Missing => (3, 0.0),
            ConditionTest::Present => (4, 0.0),
        }
    }

    /// The test of a table's operator and value.
    pub fn from_parts(operator: u8, value: f32) -> Option<ConditionTest> {
        match operator {
            0 => Some(ConditionTest::Above(value)),
            1 => Some(ConditionTest::AtMost(value)),
            2 => Some(ConditionTest::Equals(value)),
            3 => Some(ConditionTest::Missing),
            4 => Some(ConditionTest::Present),
            _ => None,
        }
    }

    /// Whether the test has a bound, so that a value stands beside its operator.
    pub fn has_bound(self) -> bool {
        !matches!(self, ConditionTest::Missing | ConditionTest::Present)
    }

    /// The operator's name in files of detections.
    pub fn name(self) -> &'static str {
        match self {
            ConditionTest::Above(_) => "above",
            ConditionTest::AtMost(_) => "at_most",
            ConditionTest::Equals(_) => "equals",
            ConditionTest::Missing => "missing",
            ConditionTest::Present => "present",
        }
    }
}

impl std::fmt::Display for ConditionTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConditionTest::Above(bound) => write!(f, "above {bound}"),
            ConditionTest::AtMost(bound) => write!(f, "at most {bound}"),
            ConditionTest::Equals(bound) => write!(f, "equal to {bound}"),
            ConditionTest::Missing => f.write_str("missing"),
            ConditionTest::Present => f.write_str("present"),
        }
    }
}

/// The records of detections, ascending by id, and of their conditions.
pub(super) fn records(
    detections: &[Detection],
    features: &[Feature],
) -> Result<(Vec<DetectionRecord>, Vec<ConditionRecord>), BuildError> {
    if detections.len() > DETECTIONS_MAX {
        return Err(BuildError::OverCapacity {
            what: "detections".into(),
            max: DETECTIONS_MAX,
            got: detections.len(),
        });
    }
    let mut sorted: Vec<&Detection> = detections.iter().collect();
    sorted.sort_by_key(|detection| detection.id);
    let mut names = std::collections::HashSet::new();
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

/// The detections of validated records.
pub(super) fn read(
    records: &[DetectionRecord],
    conditions: &[ConditionRecord],
    features: &[FeatureRecord],
) -> Vec<Detection> {
    let condition = |record: &ConditionRecord| {
        let feature = features.get(usize::from(record.feature))?;
        let test = ConditionTest::from_parts(record.operator, record.value)?;
        let feature = FeatureRef::Name(text(&feature.name, feature.name_bytes));
        Some(Condition { feature, test })
    };
    let detection = |record: &DetectionRecord| Detection {
        id: record.id,
        name: text(&record.name, record.name_bytes),
        score: record.score,
        active: record.active != 0,
        conditions: own(record, conditions)
            .iter()
            .filter_map(condition)
            .collect(),
    };
    records.iter().map(detection).collect()
}

/// The conditions of one detection.
pub(crate) fn own<'a>(
    record: &DetectionRecord,
    conditions: &'a [ConditionRecord],
) -> &'a [ConditionRecord] {
    let start = record.start as usize;
    let end = start.saturating_add(usize::from(record.conditions));
    conditions.get(start..end).unwrap_or_default()
}

/// The text of a field that is padded with zeros.
pub(super) fn text(field: &[u8], bytes: u8) -> String {
    let field = field.get(..usize::from(bytes)).unwrap_or_default();
    String::from_utf8_lossy(field).into_owned()
}
