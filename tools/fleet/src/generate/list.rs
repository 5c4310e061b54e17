//! The checks of a feature list that a database gave.
//!
//! The query is scoped by database, but the checks do not rely on it: rows are compared with each
//! other, with the features of the trees, and with the last list.

use hedgerow::RefusalKind::{
    ListCountChanged, ListDuplicate, ListEmpty, ListForeign, ListName, ListOverCapacity, ListType,
    ListTypeChanged, ListUnknown, ListVanished,
};
use hedgerow::limits::FEATURES_MAX;
use hedgerow::schema::check_name;
use hedgerow::{Feature, FeatureKind, Refusal, RefusalKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Column {
    /// The database, if the query returns it.
    #[serde(default)]
    pub database: Option<String>,
    /// The table, if the query returns it.
    #[serde(default)]
    pub table: Option<String>,
    /// The feature's name.
    pub name: String,
    /// The database's type.
    pub r#type: String,
}

/// The table whose columns are the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
}

/// The list of a table, in its provenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The database's table.
    #[serde(flatten)]
    pub place: Place,
    /// When it was read, in seconds since 1970.
    pub read_at: u64,
    /// Each feature's name, and its type in the database.
    pub types: BTreeMap<String, String>,
}

/// The table that was published last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Its name in refusals.
    pub name: String,
    /// Its features.
    pub features: Vec<Feature>,
    /// Its list, if it was made with one.
    pub recorded: Option<Recorded>,
}

/// The bounds of the checks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The largest change of the count, as a share of the last one.
    pub change_max: f64,
    /// Whether columns that the trees do not use are passed over.
    pub unused: bool,
    /// Whether types that differ from the last table's are taken.
    pub types: bool,
}

/// Rows that a refusal names, at most.
const NAMED_MAX: usize = 8;

/// Names the first of some faults, and their number. `None` if there is none.
fn named(all: impl IntoIterator<Item = String>, what: &str) -> Option<String> {
    let all: Vec<String> = all.into_iter().collect();
    let (count, shown) = (all.len(), all.len().min(NAMED_MAX));
    let shown = all.get(..shown).unwrap_or_default().join(", ");
    let more = match count.saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (count > 0).then(|| format!("{count} {what}: {shown}{more}"))
}

/// A list under check, and the place that refusals name.
#[derive(Clone, Copy)]
struct Check<'a> {
    columns: &'a [Column],
    at: &'a str,
}

impl<'a> Check<'a> {
    /// Returns each column, and how a refusal calls its row.
    fn rows(self) -> impl Iterator<Item = (String, &'a Column)> {
        let rows = self.columns.iter().enumerate();
        rows.map(|(index, column)| (row(index, column), column))
    }

    /// Refuses a list with faults.
    fn none(
        self,
        kind: RefusalKind,
        expected: impl ToString,
        faults: Option<String>,
    ) -> Result<(), Refusal> {
        match faults {
            Some(faults) => Err(kind.at(self.at, expected, faults)),
            None => Ok(()),
        }
    }
}

/// Returns how a refusal calls a row: its place in the answer, and the table that it names.
fn row(index: usize, column: &Column) -> String {
    let name = &column.name;
    let at = index.saturating_add(1);
    match (&column.database, &column.table) {
        (Some(database), Some(table)) => format!("row {at} {database}.{table}.{name}"),
        (Some(database), None) => format!("row {at} {name} of the database {database}"),
        _ => format!("row {at} {name}"),
    }
}

/// Checks a list against itself, the features of the trees, and the last list.
///
/// # Errors
/// The first problem, in the order of their codes, with the rows.
pub fn check(
    columns: &[Column],
    place: &Place,
    features: &[Feature],
    last: Option<&Last>,
    bounds: Bounds,
) -> Result<Recorded, Refusal> {
    let at = format!("{}.{}", place.database, place.table);
    let check = Check { columns, at: &at };
    if columns.is_empty() {
        let expected = "the features' columns";
        let got = "no rows: the table is not there, or the user may not see it";
        return Err(ListEmpty.at(at, expected, got));
    }
    check.foreign(place)?;
    check.names()?;
    if columns.len() > FEATURES_MAX {
        let expected = format!("at most {FEATURES_MAX} features (capacity)");
        return Err(ListOverCapacity.at(at, expected, format!("{} rows", columns.len())));
    }
    check.features(features, bounds)?;
    check.kinds(features)?;
    if let Some(last) = last {
        if !bounds.types {
            check.unchanged(features, last)?;
        }
        check.count(last, bounds)?;
    }
    let types = columns.iter();
    let types = types.map(|column| (column.name.clone(), column.r#type.clone()));
    Ok(Recorded {
        place: place.clone(),
        read_at: 0,
        types: types.collect(),
    })
}

/// Returns the kinds whose values a type can hold; none if it holds no numbers.
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

impl Check<'_> {
    fn foreign(self, place: &Place) -> Result<(), Refusal> {
        let is_other =
            |got: &Option<String>, own: &String| got.as_ref().is_some_and(|it| it != own);
        let foreign = self.rows().filter(|(_, column)| {
            is_other(&column.database, &place.database) || is_other(&column.table, &place.table)
        });
        let foreign = foreign.map(|(row, _)| row);
        let expected = format!("rows of {} alone", self.at);
        let faults = named(foreign, "rows of another table");
        self.none(ListForeign, expected, faults)
    }

    fn names(self) -> Result<(), Refusal> {
        let mut first: BTreeMap<&str, String> = BTreeMap::new();
        let mut twice = Vec::new();
        for (index, (row, column)) in self.rows().enumerate() {
            let name = column.name.as_str();
            if let Err(problem) = check_name(name.as_bytes()) {
                let got = format!("{name:?} in row {}, which {problem}", index + 1);
                return Err(ListName.at(self.at, "a feature's name", got));
            }
            match first.get(name) {
                Some(before) => twice.push(format!("{before} and {row}")),
                None => _ = first.insert(name, row),
            }
        }
        let faults = named(twice, "names that stand again");
        let faults = faults.map(|faults| format!("{} rows, {faults}", self.columns.len()));
        self.none(ListDuplicate, "each feature once", faults)
    }

    fn features(self, features: &[Feature], bounds: Bounds) -> Result<(), Refusal> {
        let listed: BTreeSet<&str> = self.columns.iter().map(|it| it.name.as_str()).collect();
        let needed: BTreeSet<&str> = features.iter().map(|it| it.name.as_str()).collect();
        let gone = needed.difference(&listed).map(ToString::to_string);
        let expected = format!("the {} features that the trees use", needed.len());
        self.none(ListVanished, expected, named(gone, "that are not there"))?;
        if bounds.unused {
            return Ok(());
        }
        let unknown = self
            .rows()
            .filter(|(_, it)| !needed.contains(it.name.as_str()));
        let expected = "features that the trees use (--unused passes over others)";
        let faults = named(unknown.map(|(row, _)| row), "others");
        self.none(ListUnknown, expected, faults)
    }

    fn kinds(self, features: &[Feature]) -> Result<(), Refusal> {
        let wrong = self.rows().filter_map(|(row, column)| {
            let feature = features
                .iter()
                .find(|feature| feature.name == column.name)?;
            let (kind, got) = (feature.kind, &column.r#type);
            let fits = kinds_of(got).contains(&kind);
            (!fits).then(|| format!("{row} is {got} and holds no {}", kind.name()))
        });
        let expected = "types that hold the features' kinds";
        self.none(ListType, expected, named(wrong, "that do not"))
    }

    fn unchanged(self, features: &[Feature], last: &Last) -> Result<(), Refusal> {
        let types = self.rows().filter_map(|(row, column)| {
            let (before, now) = (
                last.recorded.as_ref()?.types.get(&column.name)?,
                &column.r#type,
            );
            (before != now).then(|| format!("{row} was {before} and is {now}"))
        });
        let kinds = features.iter().filter_map(|feature| {
            let before = last.features.iter().find(|it| it.name == feature.name)?;
            let (name, was, is) = (&feature.name, before.kind, feature.kind);
            (was != is).then(|| format!("{name} was a {} and is a {}", was.name(), is.name()))
        });
        let expected = format!("the types of {} (--accept-types takes others)", last.name);
        let faults = named(types.chain(kinds), "that changed");
        self.none(ListTypeChanged, expected, faults)
    }

    fn count(self, last: &Last, bounds: Bounds) -> Result<(), Refusal> {
        let now = self.columns.len();
        let recorded = last.recorded.as_ref().map(|recorded| recorded.types.len());
        let before = recorded.unwrap_or(last.features.len());
        let change = (now as f64 - before as f64).abs() / before.max(1) as f64;
        if change <= bounds.change_max {
            return Ok(());
        }
        let most = bounds.change_max * 100.0;
        let expected = format!(
            "{before} features as in {}, give or take {most} %",
            last.name
        );
        Err(ListCountChanged.at(self.at, expected, now))
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
