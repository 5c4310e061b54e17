//! Writes the seeds of all fuzz targets: `seeds CORPUS MODELS`, as `ci/fuzz.sh` calls it.
//!
//! CORPUS gets a folder for each target; MODELS holds the small models of the importers' tests.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/gate/tables.rs"]
mod tables;

use hedgerow_import::IMPORTERS;
use std::path::Path;

/// Requests in the form that the target `extract` reads: 21 bytes of kinds, flags and an address,
/// then lines.
const REQUESTS: [&[u8]; 3] = [
    b"\x00\x02\x02\x13\x02\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\x00\x71\x07GET\n/shop?page=2\nh2\n\
      Host:shop.example\nUser-Agent:Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 \
      Firefox/140.0\nAccept:text/html,*/*;q=0.8\nAccept-Language:de,en;q=0.5\n\
      Accept-Encoding:gzip, deflate, br\nSec-Fetch-Mode:navigate\nCookie:a=b; c=d",
    b"\x01\x02\x01\x00\x00\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01POST\n/login\n\n\
      Host:a.example\nUser-Agent:curl/8.5.0\nContent-Type:application/json\nContent-Length:2\n\
      Accept:*/*",
    b"\x03\x00\x00\x00\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0GET\n/\n\n\
      User-Agent:Mozilla/5.0 (compatible; EXAMPLEbot/2.1; +https://bot.example/)",
];

fn tables(folder: &Path) -> std::io::Result<()> {
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
            // The lowest bit of the generation asks the target for repairs.
            seed[40] = repaired;
            std::fs::write(folder.join(format!("{name}-{repaired}.hedge")), seed)?;
        }
    }
    Ok(())
}

/// Copies the models, each behind the byte that chooses its importer.
fn models(models: &Path, folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(models)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let name = name.to_string_lossy();
        if name.ends_with(".expected.json") {
            continue;
        }
        let model = std::fs::read(path)?;
        for (choice, importer) in (0u8..).zip(IMPORTERS) {
            if model.starts_with(importer.sign.start()) {
                let seed = [&[choice], model.as_slice()].concat();
                std::fs::write(folder.join(format!("{}-{name}", importer.name)), seed)?;
            }
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(corpus), Some(data), None) = (arguments.next(), arguments.next(), arguments.next())
    else {
        eprintln!("usage: seeds CORPUS MODELS");
        std::process::exit(2);
    };
    let folder = |target: &str| {
        let folder = Path::new(&corpus).join(target);
        std::fs::create_dir_all(&folder).map(|()| folder)
    };
    tables(&folder("table")?)?;
    for (at, request) in REQUESTS.iter().enumerate() {
        std::fs::write(folder("extract")?.join(format!("request-{at}")), request)?;
    }
    models(Path::new(&data), &folder("models")?)?;
    Ok(())
}
