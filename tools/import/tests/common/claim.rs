//! What is claimed of any bytes whatever that are given to an importer, for tests and fuzzers.

use hedgerow::Table;
use hedgerow::model::{BuildOptions, build};
use hedgerow_import::import;

/// What became of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The importer refuses them.
    Refused,
    /// They are an ensemble, for which a table has no room.
    Unbuilt,
    /// They are an ensemble that becomes a table.
    Built,
}

/// Imports bytes: they are refused in a few words that name the place, or they are well-formed
/// trees of finite leaves and ascending edges, which become a table that passes every check, or are
/// refused by name there.
pub fn claim(bytes: &[u8]) -> Fate {
    let imported = match import(bytes) {
        Ok(imported) => imported,
        Err(error) => {
            for part in [error.at(), error.expected(), error.got()] {
                assert!(!part.is_empty(), "{error:?}");
                assert!(part.len() < 2_000, "{error}");
            }
            return Fate::Refused;
        }
    };
    let ensemble = &imported.ensemble;
    assert!(ensemble.bias.is_finite());
    assert_eq!(ensemble.trees.len(), imported.leaf_order.len());
    for tree in &ensemble.trees {
        assert_eq!(tree.check(), Ok(()));
        assert!(tree.leaves().all(f64::is_finite));
        for split in tree.splits() {
            let edges = split.test.edges();
            assert!(usize::from(split.feature) < ensemble.features.len());
            assert!(edges.iter().all(|edge| edge.is_finite()), "{edges:?}");
            assert!(edges.is_sorted_by(|a, b| a < b), "{edges:?}");
        }
    }
    assert!(imported.provenance().to_string().len() < 1 << 20);
    match build(ensemble, &BuildOptions::default()) {
        Ok(built) => {
            Table::from_bytes(&built.bytes).expect("what was built passes every check");
            Fate::Built
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Fate::Unbuilt
        }
    }
}
