//! Reads files within a bound, and writes files that are either whole or not there.

use crate::failure::Failure;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of a file of rows or of requests that is held in memory, 512 MiB: its contents take up
/// to ten times as much once they are parsed.
pub const INPUT_BYTES_MAX: u64 = 512 << 20;

/// Bytes of a schema, a score map or a provenance, 16 MiB: each is a page of text.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Opens a file, or standard input by the name `-`. A file that is known to be too long is not
/// read at all.
pub fn open(path: &Path, max: u64) -> Result<Box<dyn BufRead>, Failure> {
    let failed = |error| Failure::io(path, "a readable file", error);
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let meta = fs::metadata(path).map_err(failed)?;
    if meta.is_dir() {
        return Err(Failure::new("io", path.display(), "a file", "a directory"));
    }
    if meta.len() > max {
        return Err(too_long(path, max, format!("{} bytes", meta.len())));
    }
    Ok(Box::new(BufReader::new(File::open(path).map_err(failed)?)))
}

/// Reads a whole file of at most `max` bytes; `-` is standard input.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    open(path, max)?
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(path, "a readable file", error))?;
    if bytes.len() as u64 > max {
        return Err(too_long(path, max, "more".into()));
    }
    Ok(bytes)
}

/// Reads a whole text file, without the byte order mark that some editors put first.
pub fn read_text(path: &Path, area: &'static str, expected: &str) -> Result<String, Failure> {
    let bytes = read(path, TEXT_BYTES_MAX)?;
    let text = std::str::from_utf8(without_mark(&bytes))
        .map_err(|error| Failure::new(area, path.display(), expected, error))?;
    Ok(text.to_string())
}

/// Reads TOML or JSON, distinguished by the first character.
pub fn parse<T: DeserializeOwned>(
    path: &Path,
    area: &'static str,
    expected: &str,
) -> Result<T, Failure> {
    let (text, at) = (read_text(path, area, expected)?, path.display());
    // A TOML file may begin with `[[detections]]`; a JSON array begins with one bracket.
    let start = text.trim_start();
    if start.starts_with("[[") || !start.starts_with(['{', '[']) {
        let short = |error: toml::de::Error| Failure::new(area, at, expected, error.message());
        return toml::from_str(&text).map_err(short);
    }
    serde_json::from_str(&text).map_err(|error| Failure::new(area, at, expected, error))
}

/// Holds a file with a secret to a mode in which nobody else can read it. What is no file, as a
/// pipe, is not asked.
///
/// # Errors
/// Where others can read it.
pub fn check_private(path: &Path, area: &'static str) -> Result<(), Failure> {
    let meta = fs::metadata(path).map_err(|error| Failure::io(path, "a readable file", error))?;
    let mode = meta.mode() & 0o777;
    if meta.is_file() && mode & 0o077 != 0 {
        let (expected, got) = ("the mode 0600 (chmod 600)", format!("the mode {mode:04o}"));
        return Err(Failure::new(area, path.display(), expected, got));
    }
    Ok(())
}

/// Bytes without a byte order mark at their start.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

fn too_long(path: &Path, max: u64, got: String) -> Failure {
    Failure::new("io", path.display(), format!("at most {max} bytes"), got)
}

/// Whether a path stands for standard input or output.
pub fn is_stream(path: &Path) -> bool {
    // The system's name for it leads to a file or a pipe, which must be neither replaced nor mixed
    // with the report.
    [Path::new("-"), Path::new("/dev/stdout")].contains(&path)
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub fn print(fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error| Failure::io(Path::new("standard output"), "a writable stream", error);
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let written = fill(&mut out).and_then(|()| out.flush().map_err(failed));
    // What a failed write left in the buffer is not tried again.
    let _ = out.into_parts();
    match written {
        Err(failure) if failure.is_closed_pipe() => Ok(()),
        written => written,
    }
}

/// Refuses, before any work is done, a file that could not be written in the end, and one that
/// would take the place of what is read.
pub fn check_output(output: &Path, read: &[&Path]) -> Result<(), Failure> {
    let there = fs::metadata(output).ok();
    if there.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(Failure::new(
            "io",
            output.display(),
            "a file",
            "a directory",
        ));
    }
    if there.as_ref().is_none_or(fs::Metadata::is_file) {
        let target = fs::canonicalize(output).unwrap_or_else(|_| output.to_path_buf());
        let failed = |error| Failure::io(output, "a writable file", error);
        temporary(&target).map_err(failed)?;
    }
    let file = |of: fs::Metadata| of.is_file().then(|| (of.dev(), of.ino()));
    let Some(there) = there.and_then(file) else {
        return Ok(());
    };
    let same = |path: &&&Path| fs::metadata(path).ok().and_then(file) == Some(there);
    match read.iter().find(same) {
        Some(path) => {
            let expected = "another file than those that are read";
            let got = format!("the same file as {}", path.display());
            Err(Failure::new("io", output.display(), expected, got))
        }
        None => Ok(()),
    }
}

/// Writes a file under a temporary name in its folder, and renames it into place when it is whole.
/// If `fill` fails, nothing stays, and a file that was there before is left as it was.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let failed = |error| Failure::io(path, "a writable file", error);
    let present = fs::metadata(path).ok();
    // A device or a pipe is written to, never replaced.
    if present.as_ref().is_some_and(|meta| !meta.is_file()) {
        let device = File::options().write(true).open(path).map_err(failed)?;
        let mut writer = BufWriter::new(device);
        return fill(&mut writer).and_then(|()| writer.flush().map_err(failed));
    }
    // A link stays a link: the file that it leads to is replaced.
    let target = match &present {
        Some(_) => fs::canonicalize(path).map_err(failed)?,
        None => path.to_path_buf(),
    };
    let mut writer = BufWriter::new(temporary(&target).map_err(failed)?);
    fill(&mut writer)?;
    let file = writer.into_inner();
    let file = file.map_err(|error| failed(error.into_error()))?;
    if let Some(meta) = &present {
        file.as_file()
            .set_permissions(meta.permissions())
            .map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Writes bytes as [`write_whole`] does.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error| Failure::io(path, "a writable file", error);
    write_whole(path, |out| out.write_all(bytes).map_err(failed))
}

/// Creates a new file in the same folder, which is removed unless it is persisted. Its name does
/// not grow with the target's, which may be as long as names can be.
fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    let mut named = tempfile::Builder::new();
    let named = named.prefix(".hedgerow-").suffix(".partial");
    named.make_in(target.with_file_name(""), |path| File::create_new(path))
}
