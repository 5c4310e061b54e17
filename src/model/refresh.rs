//! Writes a table again with another description of its features, and the same trees.

use super::error::{BuildError, at_most};
use super::sections::SectionWriter;
use crate::limits::PROVENANCE_BYTES_MAX;
use crate::schema::{Feature, SchemaError, check_features};
use crate::table::Table;
use crate::table::format::*;
use bytemuck::Zeroable;

/// The parts of a table that a refresh replaces.
#[derive(Debug, Clone, PartialEq)]
pub struct Refresh {
    /// The publisher's running number; 0 if it has none.
    pub generation: u64,
    /// Seconds since 1970.
    pub created_at: u64,
    /// The table's features, by the same names in the same order; their kinds may differ.
    pub features: Vec<Feature>,
    /// JSON, for people.
    pub provenance: String,
}

/// Writes a table again with other kinds of features and another provenance. Trees, score map,
/// golden rows, detections and bots stay byte for byte; a signature goes.
///
/// # Errors
/// Where the features are no schema, or not the table's by name and place, or the provenance is
/// too long.
pub fn refresh(table: &Table, with: Refresh) -> Result<Vec<u8>, BuildError> {
    check_features(&with.features).map_err(BuildError::Features)?;
    let own = table.features();
    let same = own
        .iter()
        .map(|f| &f.name)
        .eq(with.features.iter().map(|f| &f.name));
    if !same {
        let pairs = own.iter().zip(&with.features);
        let index = pairs.take_while(|(own, new)| own.name == new.name).count();
        let problem = "is not the table's at that position";
        return Err(BuildError::Features(SchemaError::Name { index, problem }));
    }
    at_most(
        "bytes of provenance",
        PROVENANCE_BYTES_MAX,
        with.provenance.len(),
    )?;
    let mut sections = SectionWriter::copied(table);
    for section in [Section::Features, Section::Provenance] {
        sections.clear(section);
    }
    sections.add_features(&with.features);
    sections.header = Header {
        generation: with.generation,
        created_at: with.created_at,
        signature: Zeroable::zeroed(),
        content_hash: Zeroable::zeroed(),
        ..sections.header
    };
    sections.lay_out(&with.provenance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_TABLE, FeatureKind};

    fn with(table: &Table) -> Refresh {
        Refresh {
            generation: table.header().generation,
            created_at: table.header().created_at,
            features: table.features(),
            provenance: table.provenance().into(),
        }
    }

    #[test]
    fn the_same_description_gives_the_same_bytes() {
        let table = Table::from_bytes(DEFAULT_TABLE).unwrap();
        assert_eq!(refresh(&table, with(&table)).unwrap(), DEFAULT_TABLE);
    }

    #[test]
    fn another_description_leaves_everything_else() {
        let table = Table::from_bytes(DEFAULT_TABLE).unwrap();
        let mut other = with(&table);
        other.features[3].kind = match other.features[3].kind {
            FeatureKind::Category => FeatureKind::Number,
            _ => FeatureKind::Category,
        };
        other.provenance = "{\"a\": \"much longer than a line, and another alignment\"}".into();
        other.generation = 9;
        let again = Table::from_bytes(&refresh(&table, other.clone()).unwrap()).unwrap();
        assert_eq!(again.features(), other.features);
        assert_eq!(again.provenance(), other.provenance);
        assert_eq!(again.header().generation, 9);
        assert_ne!(again.header().fingerprint, table.header().fingerprint);
        let golden = |table: &Table| {
            table
                .golden_rows()
                .map(|row| row.margin)
                .collect::<Vec<_>>()
        };
        assert_eq!(golden(&again), golden(&table));
        assert_eq!(again.detections(), table.detections());
        assert_eq!(again.score_map(), table.score_map());
    }

    #[test]
    fn other_features_are_refused() {
        let table = Table::from_bytes(DEFAULT_TABLE).unwrap();
        let mut swapped = with(&table);
        swapped.features.swap(2, 5);
        let refused = refresh(&table, swapped).unwrap_err();
        assert!(refused.to_string().contains("position 2"), "{refused}");
        let mut fewer = with(&table);
        fewer.features.pop();
        assert!(refresh(&table, fewer).is_err());
        let mut long = with(&table);
        long.provenance = "x".repeat(crate::limits::PROVENANCE_BYTES_MAX + 1);
        assert!(matches!(
            refresh(&table, long),
            Err(BuildError::OverCapacity { .. })
        ));
    }
}
