//! Writes what the C test is given into a folder: `given FOLDER`.

use hedgerow::model::{BuildOptions, Ensemble, Missing, Split, Test, Tree, build};
use hedgerow::watch::SecretKey;
use hedgerow::{DEFAULT_TABLE, Feature, FeatureKind};
use std::error::Error;
use std::path::{Path, PathBuf};

/// Files in the order of the C test's arguments.
pub const GIVEN: [&str; 6] = [
    "good.hedge",
    "bad.hedge",
    "watched",
    "key.pub",
    "signed.hedge",
    "own.hedge",
];

/// Writes them: a good table, one with a flipped byte, an empty directory, a key, a table that it
/// signed, and one that uses a host's features.
pub fn write(folder: &Path) -> Result<[PathBuf; GIVEN.len()], Box<dyn Error>> {
    let paths = GIVEN.map(|name| folder.join(name));
    let [good, bad, watched, public, signed, own] = &paths;
    std::fs::write(good, DEFAULT_TABLE)?;
    let mut damaged = DEFAULT_TABLE.to_vec();
    if let Some(byte) = damaged.get_mut(4_096) {
        *byte ^= 0xff;
    }
    std::fs::write(bad, damaged)?;
    if watched.exists() {
        std::fs::remove_dir_all(watched)?;
    }
    std::fs::create_dir(watched)?;
    let key = SecretKey::new("ops")?;
    std::fs::write(public, key.public().text())?;
    std::fs::write(signed, key.sign(DEFAULT_TABLE))?;
    std::fs::write(own, table()?)?;
    Ok(paths)
}

/// One for a login, and one for more than five orders.
fn table() -> Result<Vec<u8>, Box<dyn Error>> {
    let names = [
        ("shop_orders", FeatureKind::Number, 5.0),
        ("shop_logged_in", FeatureKind::Flag, 0.5),
    ];
    let tree = |feature, border| Tree::Oblivious {
        splits: vec![Split {
            feature,
            test: Test::Above(border),
            missing: Missing::Left,
            zero_is_missing: false,
        }],
        leaves: vec![0.0, 1.0],
        weights: Vec::new(),
    };
    let ensemble = Ensemble {
        features: { names.iter() }
            .map(|(name, kind, _)| Feature {
                name: (*name).into(),
                kind: *kind,
            })
            .collect(),
        trees: { (0..).zip(&names) }
            .map(|(at, (_, _, border))| tree(at, *border))
            .collect(),
        bias: 0.0,
    };
    Ok(build(&ensemble, &BuildOptions::default())?.bytes)
}

#[allow(dead_code, reason = "the tests take the functions")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("expected a folder")?;
    write(Path::new(&folder)).map(drop)
}
