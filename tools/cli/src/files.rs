//! Reads whole files within a bound, and writes files that are either whole or not there.

use crate::failure::Failure;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of an input file, 2 GiB: everything is held in memory.
pub const INPUT_BYTES_MAX: u64 = 2 << 30;

/// Reads a whole file; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::io(path, "a readable file", error);
    let mut bytes = Vec::new();
    let most = INPUT_BYTES_MAX + 1;
    if is_stream(path) {
        std::io::stdin()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        if fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(Failure::new("io", path.display(), "a file", "a directory"));
        }
        File::open(path)
            .map_err(failed)?
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    }
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        let expected = format!("at most {INPUT_BYTES_MAX} bytes");
        return Err(Failure::new("io", path.display(), expected, "more"));
    }
    Ok(bytes)
}

/// Whether a path stands for standard input or output.
pub fn is_stream(path: &Path) -> bool {
    path == Path::new("-")
}

/// Writes a file under a temporary name beside it, and renames it into place when it is whole.
/// Where `fill` fails, nothing stays.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error| Failure::io(path, "a writable file", error);
    // A device or a pipe is written to, never replaced.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let mut device = File::options().write(true).open(path).map_err(failed)?;
        return fill(&mut device);
    }
    let temporary = temporary(path);
    let file = File::create_new(&temporary).map_err(failed)?;
    let mut writer = std::io::BufWriter::new(file);
    let written = fill(&mut writer).and_then(|()| {
        let file = writer
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        fs::rename(&temporary, path).map_err(failed)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", std::process::id()));
    path.with_file_name(name)
}
