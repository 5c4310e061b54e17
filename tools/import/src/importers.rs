//! The registry of importers: how each kind of model file is recognised, exported and imported.
//!
//! Recognition, the tests of formats and of mutations, and the fuzz target `models` go through
//! [`IMPORTERS`]: a new importer is a row here.

use crate::{Imported, catboost, lightgbm, xgboost};
use hedgerow::Refusal;

/// One kind of model file that is imported.
pub struct Importer {
    /// The name by which tests and fuzzers choose it.
    pub name: &'static str,
    /// The kind of file, in words.
    pub description: &'static str,
    /// The call of the library that writes such a file.
    pub export: &'static str,
    /// The sign by which such a file is recognised.
    pub sign: Sign,
    pub(crate) import: fn(&[u8]) -> Result<Imported, Refusal>,
}

/// The sign by which a kind of file is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A JSON object with one of these keys at its top level.
    Keys(&'static [&'static str]),
    /// Text that starts with one of these.
    Start(&'static [&'static str]),
    /// A UBJSON object: a brace, then a typed length.
    Ubj,
}

/// Every importer. The signs exclude each other, except that the first of two JSON keys counts.
pub static IMPORTERS: &[Importer] = &[
    Importer {
        name: "catboost-json",
        description: "a CatBoost model in JSON",
        export: "model.save_model(\"model.json\", format=\"json\")",
        sign: Sign::Keys(&["oblivious_trees", "features_info"]),
        import: catboost::import,
    },
    Importer {
        name: "xgboost-json",
        description: "an XGBoost model in JSON",
        export: "booster.save_model(\"model.json\")",
        sign: Sign::Keys(&["learner"]),
        import: xgboost::import_json,
    },
    Importer {
        name: "xgboost-ubj",
        description: "an XGBoost model in UBJSON",
        export: "booster.save_model(\"model.json\")",
        sign: Sign::Ubj,
        import: xgboost::import_ubj,
    },
    Importer {
        name: "lightgbm-text",
        description: "a LightGBM model in text form",
        export: "booster.save_model(\"model.txt\")",
        sign: Sign::Start(&["tree\n", "tree\r\n"]),
        import: lightgbm::import,
    },
];

impl std::fmt::Debug for Importer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Importer({})", self.name)
    }
}

impl Sign {
    /// Returns the bytes that start every file with this sign, for tests and fuzzers.
    pub fn start(self) -> &'static [u8] {
        match self {
            Sign::Keys(_) => b"{",
            Sign::Start(starts) => starts.first().map_or(b"", |start| start.as_bytes()),
            Sign::Ubj => b"{L",
        }
    }

    /// Returns `true` for a file whose first bytes are `start` and that has this sign there.
    pub(crate) fn starts(self, start: &[u8]) -> bool {
        match self {
            Sign::Keys(_) => false,
            Sign::Start(starts) => starts.iter().any(|one| start.starts_with(one.as_bytes())),
            // UBJSON goes on with a typed length where JSON has a key, a space or the end.
            Sign::Ubj => matches!(start, [b'{', next, ..] if b"iUIlL$#".contains(next)),
        }
    }

    /// Returns `true` for a JSON object with this key.
    pub(crate) fn has_key(self, key: &str) -> bool {
        matches!(self, Sign::Keys(keys) if keys.contains(&key))
    }
}
