//! A feature list as a database gave it, and every check that it passes before it is used.
//!
//! The query is scoped by database; nothing here relies on that. Whatever the query was, and
//! whatever the server let it see, the rows are held against each other, against the features that
//! the trees need, and against what was published last.

use hedgerow::limits::FEATURES_MAX;
use hedgerow::schema::check_name;
use hedgerow::{Feature, FeatureKind};
use hedgerow_cli::failure::Failure;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// The database that it belongs to, where the query says so.
    #[serde(default)]
    pub database: Option<String>,
    /// The table, where the query says so.
    #[serde(default)]
    pub table: Option<String>,
    /// The feature's name.
    pub name: String,
    /// The database's type.
    pub r#type: String,
}

/// Where the list belongs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

/// What a table says of the list that it was made with, in its provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Where it came from.
    #[serde(flatten)]
    pub place: Place,
    /// When it was read, in seconds since 1970.
    pub read_at: u64,
    /// Each feature's name and the database's type of it.
    pub types: BTreeMap<String, String>,
}

/// What was published last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// What it is called in refusals.
    pub name: String,
    /// Its features.
    pub features: Vec<Feature>,
    /// The list that it was made with, where it was made with one.
    pub recorded: Option<Recorded>,
}

/// How lists are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// By how large a share the count may differ from the last one's.
    pub change_max: f64,
    /// Whether columns that the trees do not use are passed over.
    pub unused: bool,
    /// Whether types that differ from the last table's are taken.
    pub types: bool,
}

macro_rules! problems {
    ($($(#[doc = $doc:literal])+ $problem:ident = $code:literal, $name:literal;)+) => {
        /// What can be wrong with a list. Codes are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Problem { $($(#[doc = $doc])+ $problem = $code,)+ }

        impl Problem {
            /// Every problem, ascending by code.
            #[cfg(test)]
            pub const ALL: &'static [Problem] = &[$(Problem::$problem,)+];

            /// The stable name.
            pub fn name(self) -> &'static str {
                match self { $(Problem::$problem => $name,)+ }
            }
        }
    };
}

problems! {
    /// The server cannot be reached, refuses, or answers with something else than rows.
    Database = 701, "list-database";
    /// No rows: a wrong name, or a permission that was lost.
    Empty = 702, "list-empty";
    /// Rows of another database or table.
    Foreign = 703, "list-foreign";
    /// A name that is no feature's.
    Name = 704, "list-name";
    /// A name twice.
    Duplicate = 705, "list-duplicate";
    /// More rows than a table has room for.
    OverCapacity = 706, "list-over-capacity";
    /// A feature that the trees need and the list lacks.
    Vanished = 707, "list-vanished";
    /// A column that the trees do not know.
    Unknown = 708, "list-unknown";
    /// A type that holds no values of the feature's kind.
    Type = 709, "list-type";
    /// Another type than in the table that was published last.
    TypeChanged = 710, "list-type-changed";
    /// The number of features changed by more than the bound.
    CountChanged = 711, "list-count-changed";
}

impl Problem {
    /// The failure that says so.
    pub fn at(self, at: impl ToString, expected: impl ToString, got: impl ToString) -> Failure {
        Failure {
            code: self as u16,
            ..Failure::new(self.name(), at, expected, got)
        }
    }
}

/// Rows that a refusal names, at most.
const NAMED_MAX: usize = 8;

/// Names some of what is wrong, and says how many there are.
fn named(all: &[String], what: &str) -> String {
    let shown: Vec<&str> = all.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = match all.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{} {what}: {}{more}", all.len(), shown.join(", "))
}

/// How a row is called: its place in the answer, and where it says that it belongs.
fn row(index: usize, column: &Column) -> String {
    let name = &column.name;
    let at = index.saturating_add(1);
    match (&column.database, &column.table) {
        (Some(database), Some(table)) => format!("row {at} {database}.{table}.{name}"),
        (Some(database), None) => format!("row {at} {name} of the database {database}"),
        _ => format!("row {at} {name}"),
    }
}

/// Holds a list against everything that it must be.
///
/// # Errors
/// The first problem, in the order of their codes, naming rows.
pub fn check(
    columns: &[Column],
    place: &Place,
    features: &[Feature],
    last: Option<&Last>,
    bounds: Bounds,
) -> Result<Recorded, Failure> {
    let at = format!("{}.{}", place.database, place.table);
    if columns.is_empty() {
        let expected = "the features' columns";
        let got = "no rows: the table is not there, or the user may not see it";
        return Err(Problem::Empty.at(at, expected, got));
    }
    foreign(columns, place, &at)?;
    names(columns, &at)?;
    if columns.len() > FEATURES_MAX {
        let expected = format!("at most {FEATURES_MAX} features (capacity)");
        return Err(Problem::OverCapacity.at(at, expected, format!("{} rows", columns.len())));
    }
    let types: BTreeMap<String, String> = columns
        .iter()
        .map(|column| (column.name.clone(), column.r#type.clone()))
        .collect();
    vanished(columns, features, bounds, &at)?;
    kinds(columns, features, &at)?;
    if let Some(last) = last {
        if !bounds.types {
            changed(columns, features, last, &at)?;
        }
        count(columns.len(), last, bounds, &at)?;
    }
    Ok(Recorded {
        place: place.clone(),
        read_at: 0,
        types,
    })
}

fn foreign(columns: &[Column], place: &Place, at: &str) -> Result<(), Failure> {
    let strange = |column: &&Column| {
        let database = column.database.as_ref();
        let table = column.table.as_ref();
        database.is_some_and(|database| *database != place.database)
            || table.is_some_and(|table| *table != place.table)
    };
    let all: Vec<String> = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| strange(column))
        .map(|(index, column)| row(index, column))
        .collect();
    match all.is_empty() {
        true => Ok(()),
        false => {
            let expected = format!("rows of {at} alone");
            Err(Problem::Foreign.at(at, expected, named(&all, "rows of another table")))
        }
    }
}

fn names(columns: &[Column], at: &str) -> Result<(), Failure> {
    for (index, column) in columns.iter().enumerate() {
        if let Err(problem) = check_name(column.name.as_bytes()) {
            let got = format!("{:?} in row {}, which {problem}", column.name, index + 1);
            return Err(Problem::Name.at(at, "a feature's name", got));
        }
    }
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut twice = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        match first.get(column.name.as_str()) {
            Some(before) => {
                let earlier = row(*before, columns.get(*before).unwrap_or(column));
                twice.push(format!("{earlier} and {}", row(index, column)));
            }
            None => _ = first.insert(&column.name, index),
        }
    }
    match twice.is_empty() {
        true => Ok(()),
        false => {
            let got = named(&twice, "names that stand again");
            let got = format!("{} rows, {got}", columns.len());
            Err(Problem::Duplicate.at(at, "each feature once", got))
        }
    }
}

fn vanished(
    columns: &[Column],
    features: &[Feature],
    bounds: Bounds,
    at: &str,
) -> Result<(), Failure> {
    let listed: BTreeSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let needed: BTreeSet<&str> = features.iter().map(|f| f.name.as_str()).collect();
    let gone: Vec<String> = needed
        .difference(&listed)
        .map(ToString::to_string)
        .collect();
    if !gone.is_empty() {
        let expected = format!("the {} features that the trees use", needed.len());
        return Err(Problem::Vanished.at(at, expected, named(&gone, "that are not there")));
    }
    let rows = columns.iter().enumerate();
    let unknown: Vec<String> = rows
        .filter(|(_, column)| !needed.contains(column.name.as_str()))
        .map(|(index, column)| row(index, column))
        .collect();
    if !unknown.is_empty() && !bounds.unused {
        let expected = "features that the trees use (--unused passes over others)";
        return Err(Problem::Unknown.at(at, expected, named(&unknown, "others")));
    }
    Ok(())
}

/// The kinds whose values a type can hold; none where it holds no numbers.
fn kinds_of(r#type: &str) -> &'static [FeatureKind] {
    use FeatureKind::{Category, Flag, Number};
    let inner = |wrapper: &str| {
        let rest = r#type.strip_prefix(wrapper)?.strip_prefix('(')?;
        rest.strip_suffix(')')
    };
    if let Some(inner) = inner("Nullable").or_else(|| inner("LowCardinality")) {
        return kinds_of(inner);
    }
    let base = r#type.split('(').next().unwrap_or_default();
    match base {
        "Bool" => &[Flag],
        "UInt8" => &[Number, Flag, Category],
        "UInt16" | "UInt32" | "UInt64" | "Int8" | "Int16" | "Int32" | "Int64" => {
            &[Number, Category]
        }
        "Float32" | "Float64" | "Decimal" | "Decimal32" | "Decimal64" => &[Number],
        "Enum8" | "Enum16" => &[Category],
        _ => &[],
    }
}

fn kinds(columns: &[Column], features: &[Feature], at: &str) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let feature = features.iter().find(|feature| feature.name == column.name);
        let Some(feature) = feature else { continue };
        if !kinds_of(&column.r#type).contains(&feature.kind) {
            let (kind, got) = (feature.kind.name(), &column.r#type);
            wrong.push(format!(
                "{} is {got} and holds no {kind}",
                row(index, column)
            ));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let expected = "types that hold the features' kinds";
            Err(Problem::Type.at(at, expected, named(&wrong, "that do not")))
        }
    }
}

fn changed(columns: &[Column], features: &[Feature], last: &Last, at: &str) -> Result<(), Failure> {
    let mut wrong = Vec::new();
    for (index, column) in columns.iter().enumerate() {
        let recorded = last.recorded.as_ref();
        let before = recorded.and_then(|recorded| recorded.types.get(&column.name));
        if let Some(before) = before.filter(|before| **before != column.r#type) {
            let now = &column.r#type;
            wrong.push(format!("{} was {before} and is {now}", row(index, column)));
        }
    }
    for feature in features {
        let before = last
            .features
            .iter()
            .find(|before| before.name == feature.name);
        if let Some(before) = before.filter(|before| before.kind != feature.kind) {
            let (name, was, is) = (&feature.name, before.kind.name(), feature.kind.name());
            wrong.push(format!("{name} was a {was} and is a {is}"));
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => {
            let expected = format!("the types of {} (--accept-types takes others)", last.name);
            Err(Problem::TypeChanged.at(at, expected, named(&wrong, "that changed")))
        }
    }
}

fn count(now: usize, last: &Last, bounds: Bounds, at: &str) -> Result<(), Failure> {
    let recorded = last.recorded.as_ref().map(|recorded| recorded.types.len());
    let before = recorded.unwrap_or(last.features.len());
    let change = (now as f64 - before as f64).abs() / (before.max(1)) as f64;
    if change <= bounds.change_max {
        return Ok(());
    }
    let most = bounds.change_max * 100.0;
    let expected = format!(
        "{before} features as in {}, give or take {most} %",
        last.name
    );
    Err(Problem::CountChanged.at(at, expected, now))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
