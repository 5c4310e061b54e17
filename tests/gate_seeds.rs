//! Writes the seeds of the fuzzer: `cargo test --release --test gate_seeds -- --ignored`.

mod common;
#[path = "gate/tables.rs"]
mod tables;

use std::path::Path;

#[test]
#[ignore = "writes files, for the fuzzer"]
fn write_seeds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/table");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut seeds: Vec<_> = tables::small_tables()
        .into_iter()
        .map(|(name, _, bytes)| (name.replace(' ', "-"), bytes))
        .collect();
    let mut random = common::Random::new(31);
    for at in 0..6 {
        let ensemble = common::random_ensemble(&mut random);
        let options = tables::with_golden(&ensemble, at);
        seeds.push((format!("random-{at}"), tables::table(&ensemble, &options)));
    }
    for (name, bytes) in seeds.iter().filter(|(_, bytes)| bytes.len() < 32 * 1024) {
        for repaired in [0u8, 1] {
            let mut seed = bytes.clone();
            // The lowest bit of the generation: see the fuzz target.
            seed[40] = repaired;
            let path = folder.join(format!("{name}-{repaired}.hedge"));
            std::fs::write(path, seed).expect("a seed");
        }
    }
}
