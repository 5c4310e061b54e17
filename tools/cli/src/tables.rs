//! Opens the table that a command names, and the schemas that it may be prepared to.

use crate::failure::{self, Failure};
use crate::files;
use hedgerow::table::Usage;
use hedgerow::table::detections::FeatureRef;
use hedgerow::{Feature, FeatureKind, PreparedTable, Refusal, RefusalKind, Schema, Source, Table};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;

/// Opens a table file, or the bundled one by the word `default`.
pub fn open(name: impl AsRef<Path>) -> Result<Table, Failure> {
    let name = name.as_ref();
    let opened = match is_default(name) {
        true => Table::from_bytes(hedgerow::DEFAULT_TABLE),
        false => Table::open(name),
    };
    opened.map_err(|refused| Failure::refused(name, refused))
}

/// Whether a name is that of the bundled table.
pub fn is_default(name: impl AsRef<Path>) -> bool {
    name.as_ref() == Path::new("default")
}

/// Opens a table and binds it to its own feature list, so that rows stand in its order.
pub fn open_prepared(
    name: impl AsRef<Path>,
    kernel: Option<&str>,
) -> Result<PreparedTable, Failure> {
    let name = name.as_ref();
    let table = open(name)?;
    let features = table.features();
    let schema = Schema::new(features).map_err(|error| failure::schema(name.display(), &error))?;
    PreparedTable::with_kernel(table, &schema, kernel)
        .map_err(|refused| Failure::refused(name, refused))
}

/// The failure of a refusal for a schema. It names the schema's nearest feature if the table needs
/// one that the schema does not have, and how to name another schema.
pub fn refused(file: impl AsRef<Path>, refusal: Refusal, schema: &Schema) -> Failure {
    if !refusal.is(RefusalKind::FeatureUnknown) {
        return Failure::refused(file, refusal);
    }
    let missing = refusal.got().split('"').nth(1);
    let near = missing.and_then(|missing| nearest(schema, missing));
    let near = near.map_or(String::new(), |near| format!(", such as \"{near}\""));
    let expected = format!("{}{near}{OTHER_SCHEMA}", refusal.expected());
    Failure::refused(
        file,
        RefusalKind::FeatureUnknown.at(refusal.at(), expected, refusal.got()),
    )
}

/// What to do where a table needs features that the schema does not have.
pub const OTHER_SCHEMA: &str = " (where the engines fill other features, say which: --schema \
    http-traffic, --schema FILE, or --schema model for the table's own)";

/// The feature whose name is closest to a missing one: at most a third of its letters differ.
fn nearest<'a>(schema: &'a Schema, missing: &str) -> Option<&'a str> {
    let most = missing.chars().count() / 3;
    let names = schema.features().iter().map(|known| known.name.as_str());
    let near = names.map(|name| (strsim::levenshtein(missing, name), name));
    let (_, name) = near.filter(|(distance, _)| *distance <= most).min()?;
    Some(name)
}

/// A schema file: `features = [{ name = "…", kind = "number" }]` in TOML, the same in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaFile {
    features: Vec<SchemaEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SchemaEntry {
    name: String,
    #[serde(default)]
    kind: Option<String>,
}

/// The schema of a name, `model` for the table's own features.
pub fn schema_for(name: impl AsRef<Path>, table: &Table) -> Result<Schema, Failure> {
    match is_model(&name) {
        true => Schema::new(table.features()).map_err(|error| failure::schema("model", &error)),
        false => schema(name),
    }
}

/// Whether a schema's name stands for the table's own features.
pub fn is_model(name: impl AsRef<Path>) -> bool {
    name.as_ref() == Path::new("model")
}

/// The schema of a name: `http`, `http-traffic`, or a file in TOML or JSON.
pub fn schema(name: impl AsRef<Path>) -> Result<Schema, Failure> {
    let path = name.as_ref();
    match path.to_str() {
        Some("http") => return Ok(Schema::http()),
        Some("http-traffic") => return Ok(Schema::http_with_traffic()),
        _ => {}
    }
    let name = path.display();
    if path != Path::new("-") && !path.exists() {
        let expected = "http, http-traffic, model or a schema file that is there";
        return Err(Failure::new("schema", name, expected, "no such file"));
    }
    let expected = "features = [{ name, kind }, …] in TOML or JSON";
    let file: SchemaFile = files::parse(path, "schema", expected)?;
    let mut features = Vec::with_capacity(file.features.len());
    for (index, entry) in file.features.into_iter().enumerate() {
        let kind = entry.kind.as_deref().unwrap_or("number");
        let Some(kind) = FeatureKind::from_name(kind) else {
            let at = format!("{name}: features[{index}].kind");
            return Err(Failure::new("schema", at, "number, flag or category", kind));
        };
        features.push(Feature {
            name: entry.name,
            kind,
        });
    }
    Schema::new(features).map_err(|error| failure::schema(name, &error))
}

/// The names of a table's features, in its order.
pub fn feature_names(prepared: &PreparedTable) -> Vec<String> {
    let features = prepared.table().features().into_iter();
    features.map(|feature| feature.name).collect()
}

/// What decided a score, as it stands in a column: `ensemble`, or `detection:7`.
pub fn source(source: Source) -> String {
    match source {
        Source::Ensemble => source.name().into(),
        Source::Detection(id) => format!("{}:{id}", source.name()),
    }
}

/// The name of a condition's feature.
pub fn feature_name(feature: &FeatureRef) -> String {
    match feature {
        FeatureRef::Name(name) => name.clone(),
        FeatureRef::Index(index) => index.to_string(),
    }
}

/// Use against capacity, a line each.
pub fn headroom(table: &Table) -> String {
    let line = |usage: &Usage| {
        let Usage { name, used, max } = usage;
        let share = 100.0 * *used as f64 / *max as f64;
        format!("  {name:<17} {used:>9} of {max:>9}  {share:>5.1} %\n")
    };
    table.usage().iter().map(line).collect()
}

/// Use against capacity, for machines.
pub fn headroom_json(table: &Table) -> Value {
    let rows = table.usage().into_iter();
    rows.map(|u| json!({ "name": u.name, "used": u.used, "max": u.max }))
        .collect()
}
