//! Where a CatBoost model came from: what its `model_info` says, which no margin depends on.

use crate::{Link, Source};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Reads the provenance, and what a margin is. What is missing or malformed is left out: it is for
/// people, and no reason to refuse a model.
pub(super) fn read(raw: Option<&RawValue>) -> Source {
    let info: Value = raw
        .map(RawValue::get)
        .filter(|text| text.len() <= INFO_BYTES_MAX)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let version = info
        .get("catboost_version_info")
        .and_then(Value::as_str)
        .and_then(version);
    let mut parameters = Map::new();
    for (name, pointer) in PARAMETERS {
        if let Some(value) = info.pointer(pointer) {
            parameters.insert((*name).to_owned(), value.clone());
        }
    }
    let loss = info.pointer("/params/loss_function/type");
    let link = match loss.and_then(Value::as_str) {
        Some("Logloss" | "CrossEntropy") => Link::LOG_ODDS,
        Some(other) => Link::other(other),
        None => Link::Unknown,
    };
    Source {
        library: "catboost",
        link,
        version,
        parameters: Value::Object(parameters),
    }
}

/// The version in CatBoost's description of its build: `Branch: tags/v1.2.10`, or
/// `Summary: CatBoost release 1.2.10.`.
fn version(text: &str) -> Option<String> {
    let rest = ["tags/v", "release ", "RELEASE-"]
        .iter()
        .find_map(|mark| text.split_once(mark))?
        .1;
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(rest.len());
    let digits = rest.get(..end)?.trim_end_matches('.');
    (!digits.is_empty() && digits.len() <= 32).then(|| digits.to_owned())
}

/// Bytes of `model_info` that are read: in real models it is about 10 KB.
const INFO_BYTES_MAX: usize = 1024 * 1024;

/// What is kept of it.
const PARAMETERS: &[(&str, &str)] = &[
    ("loss_function", "/params/loss_function"),
    ("given", "/params/flat_params"),
    ("random_seed", "/params/random_seed"),
    ("class_names", "/class_params/class_names"),
    ("model_guid", "/model_guid"),
    ("train_finish_time", "/train_finish_time"),
];
