//! Admission: the checks of a candidate before it is made live.
//!
//! In this order, each with its own codes: size, seal (1xx), format, hash, signature (2xx),
//! structure and limits (3xx), schema (4xx), golden rows on the kernel that will run (5xx). The
//! steps up to the signature read lengths and hashes alone; no offset in an untrusted file is
//! followed.

use super::keys::Keys;
use crate::engine::Engine;
use crate::ids::ContentId;
use crate::refusal::{Refusal, RefusalKind};
use crate::score::PreparedTable;
use crate::table::Table;
use crate::table::sealed::Sealed;
use std::path::Path;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The host's part of the checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// The keys whose signatures are trusted.
    pub keys: Keys,
    /// The name of the kernel to run; `None` for the best one.
    pub kernel: Option<String>,
}

/// A candidate that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The refusal.
    pub refusal: Refusal,
    /// XXH3-128 of the file as it was read; 0 if it could not be.
    pub artefact: u128,
    /// `true` for errors of the system (I/O, memory): the same file is tried again.
    pub transient: bool,
}

impl Admission {
    /// Runs every check on a file. Returns a table that is prepared for the engine's schema, and
    /// not live yet. The engine counts a refusal of the table.
    ///
    /// # Errors
    /// The refusal of the first check that fails.
    pub fn admit(
        &self,
        engine: &Engine,
        path: &Path,
        content_id: Option<ContentId>,
    ) -> Result<Arc<PreparedTable>, Box<Rejected>> {
        let mut artefact = 0;
        let rejected = |refusal: Refusal, artefact| {
            use RefusalKind::{Changing, Io, Seal};
            engine.count(&refusal);
            Box::new(Rejected {
                transient: matches!(refusal.kind(), Some(Io | Changing | Seal)),
                refusal,
                artefact,
            })
        };
        let sealed = Sealed::from_file(path).map_err(|refused| rejected(refused, artefact))?;
        artefact = xxh3_128(sealed.bytes());
        let table = Table::from_sealed_with(sealed, |file| self.keys.check(file))
            .map_err(|refused| rejected(refused, artefact))?;
        let got = table.content_id();
        if let Some(expected) = content_id.filter(|expected| *expected != got) {
            return Err(Box::new(Rejected {
                refusal: RefusalKind::PointerContent.at(path.display(), expected, got),
                artefact,
                transient: false,
            }));
        }
        let prepared = PreparedTable::with_kernel(table, engine.schema(), self.kernel.as_deref());
        prepared
            .map(Arc::new)
            .map_err(|refused| rejected(refused, artefact))
    }
}

/// Returns the refusal of a table whose own running number is below `last`, the number of the table
/// before it.
pub(super) fn replayed(table: &Table, last: u64, at: ContentId) -> Option<Refusal> {
    let own = table.header().generation;
    let expected = || format!("a table numbered {last} or above (or a rollback)");
    let refused = || RefusalKind::Replayed.at(at, expected(), own);
    (own < last).then(refused)
}
