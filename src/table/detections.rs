//! Detections: conjunctions over features that give a score of their own, or only watch.

use super::format::{ConditionRecord, DetectionRecord, FeatureRecord, text};

/// A rule on a row's values: it matches where all of its conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Its number, by which verdicts and counters name it: unique within a table, and best never
    /// used for another rule.
    pub id: u32,
    /// What people call it: 1 to
    /// [`DETECTION_NAME_BYTES_MAX`](crate::limits::DETECTION_NAME_BYTES_MAX) bytes, see
    /// [`check_name`](crate::schema::check_name).
    pub name: String,
    /// The score that it gives, 1 to 99.
    pub score: u8,
    /// Whether it decides. A shadow is counted and reported, and changes no score.
    pub active: bool,
    /// 1 to [`DETECTION_CONDITIONS_MAX`](crate::limits::DETECTION_CONDITIONS_MAX) conditions, the
    /// rarest first.
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

/// A condition's test of a value, in `f32`. A missing value is neither above, at most nor equal to
/// anything.
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

    /// The operator's number in a table, and the value next to it.
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

    /// Returns `true` if the test has a bound.
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
