//! Tables like those that libraries train, made from a seed: for sizes that nobody has at hand.

use super::statistics::Random;
use crate::failure::Failure;
use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};
use hedgerow::{Feature, FeatureKind, Row, Table};

/// Features of every made table.
const FEATURES: u64 = 200;

/// Borders of a feature.
const BORDERS: u64 = 8;

/// Trees of a made table, at most: as many as a table may have.
const TREES_MAX: usize = 8_192;

/// The trees of a name such as `made:1000`; none where it is another kind of name.
pub fn trees(name: &str) -> Option<Result<usize, Failure>> {
    let count = name.strip_prefix("made:")?;
    Some(match count.parse() {
        Ok(trees @ 1..=TREES_MAX) => Ok(trees),
        _ => {
            let expected = format!("made:1 to made:{TREES_MAX}, a number of trees");
            Err(Failure::usage("TABLE", expected, name))
        }
    })
}

/// A table of so many oblivious trees of depth 6 over 200 features.
pub fn table(trees: usize) -> Result<Table, Failure> {
    let random = &mut Random::new(1);
    let mut tree = |_| Tree::Oblivious {
        splits: (0..6).map(|_| split(random)).collect(),
        // Small, so that scores stay off the ends.
        leaves: (0..64).map(|_| (random.unit() - 0.5) / 8.0).collect(),
        weights: Vec::new(),
    };
    let feature = |at| Feature {
        name: format!("f{at}"),
        kind: FeatureKind::Number,
    };
    let ensemble = Ensemble {
        features: (0..FEATURES).map(feature).collect(),
        trees: (0..trees).map(&mut tree).collect(),
        bias: 0.0,
    };
    let golden = { 0..4u64 }
        .map(|seed| values(&mut Random::new(seed)))
        .collect();
    let options = BuildOptions {
        golden,
        ..BuildOptions::default()
    };
    let built = build(&ensemble, &options)?;
    Table::from_bytes(&built.bytes).map_err(|refused| Failure::refused("made table", refused))
}

/// Most splits are near an end of their feature's values, so that most rows go one way, as in
/// trained ensembles.
fn split(random: &mut Random) -> Split {
    let skewed = random.unit().powi(3) / 2.0;
    let rank = (skewed * BORDERS as f64) as u64;
    let rank = match random.below(2) {
        0 => rank,
        _ => BORDERS - 1 - rank,
    };
    Split {
        feature: random.below(FEATURES) as u16,
        test: Test::Above((rank as f32 + 0.5) / BORDERS as f32),
        missing: Missing::Left,
        zero_is_missing: false,
    }
}

fn values(random: &mut Random) -> Vec<f32> {
    (0..FEATURES).map(|_| random.unit() as f32).collect()
}

/// So many rows for made tables, each value even between 0 and 1.
pub fn rows(count: usize) -> Vec<Row> {
    let random = &mut Random::new(2);
    { 0..count }
        .map(|_| Row::from_slice(&values(random)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_tables_have_their_trees_and_score_all_over() {
        for trees in [1, 100] {
            let table = table(trees).unwrap();
            assert_eq!(table.tree_count(), trees);
            assert_eq!(table.features().len(), FEATURES as usize);
        }
        assert!(trees("default").is_none());
        assert_eq!(trees("made:7").unwrap().unwrap(), 7);
        for wrong in [
            "made:",
            "made:0",
            "made:-1",
            "made:8193",
            "made:x",
            "made:1e3",
        ] {
            assert!(trees(wrong).unwrap().is_err(), "{wrong}");
        }
    }
}
