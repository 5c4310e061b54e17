//! Files of a watched directory on disk: bounded reads, durable replacement, and the lock.

use super::time;
use crate::refusal::{Refusal, RefusalKind};
use rustix::fs::OFlags;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The most bytes that are read of `active`, `switches`, `shadows` or a `health`: 256 KiB.
const SMALL_BYTES_MAX: u64 = 256 * 1024;

/// Reads a small file whole; `None` if it is not there. A pipe in its place is not waited for.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, Refusal> {
    read_at_most(path, SMALL_BYTES_MAX)
}

/// Reads a file of at most `max` bytes, like [`read_small`].
pub(super) fn read_at_most(path: &Path, max: u64) -> Result<Option<Vec<u8>>, Refusal> {
    let failed = |error: io::Error| Refusal::directory(path, "a readable file", error);
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    let mut bounded = file.take(max.saturating_add(1));
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        let most = format!("at most {max} bytes");
        return Err(RefusalKind::Directory.at(path.display(), most, "more"));
    }
    Ok(Some(bytes))
}

/// Opens a file for reading. A pipe in its place is not waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let nonblock = OFlags::NONBLOCK.bits() as i32;
    File::options().read(true).custom_flags(nonblock).open(path)
}

/// The end of the name of a file that is being written. The holder of the lock may remove it.
const PARTIAL: &str = ".partial";

/// Replaces a file: writes a new one, makes it durable and renames it into place. On an error
/// nothing of it stays, and the old file is as it was. If the new file is in place and its name
/// cannot be made durable, it is done, and returns that refusal.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<Option<Refusal>, Refusal> {
    let failed = |error: io::Error| Refusal::directory(path, "a writable folder", error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = folder.join(format!(".{name}{PARTIAL}"));
    let written = || -> io::Result<()> {
        // One writer holds the lock: a file of this name was left by a writer that was killed.
        remove_if_there(&partial)?;
        let mut file = File::create_new(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    written().map_err(|error| {
        let _ = fs::remove_file(&partial);
        failed(error)
    })?;
    let expected = "a folder that can be synced: it is done, and a power cut may undo it";
    let synced = sync_folder(folder);
    Ok(synced
        .err()
        .map(|error| Refusal::directory(path, expected, error)))
}

/// Makes a folder's names durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all().or_else(unless_unknown)
}

/// Passes the errors of file systems without fsync of a folder: there is nothing more to do.
fn unless_unknown(error: io::Error) -> io::Result<()> {
    match rustix::io::Errno::from_io_error(&error) {
        Some(rustix::io::Errno::INVAL | rustix::io::Errno::BADF) => Ok(()),
        _ => Err(error),
    }
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the unfinished files of killed writers. The caller holds the lock.
pub(crate) fn remove_partials(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with('.') && text.ends_with(PARTIAL) {
            remove_if_there(&folder.join(&name))?;
        }
    }
    Ok(())
}

/// The right to write in a folder. It ends with its process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// The interval in which a waiting publisher tries again.
const LOCK_POLL: Duration = Duration::from_millis(5);

impl Lock {
    /// Takes the lock of a folder, waiting for it no longer than `wait`. `holder` is for the
    /// messages of others.
    pub(crate) fn take(
        folder: &Path,
        wait: Duration,
        holder: impl fmt::Display,
    ) -> Result<Lock, Refusal> {
        let path = folder.join("lock");
        let failed = |error: io::Error| Refusal::directory(&path, "a writable folder", error);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        let until = Instant::now().checked_add(wait);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(failed(error));
                }
                Err(_) => {}
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(busy(&path, &file, wait));
            }
            thread::sleep(LOCK_POLL);
        }
        // For messages alone: if there is no room for the name, the lock still holds.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{holder}, {}", time::now()));
        Ok(Lock { _file: file })
    }

    /// Returns whether a process holds the lock of a folder now.
    pub(crate) fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::open(folder.join("lock")) else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

/// Returns the refusal of a lock that another process holds.
fn busy(path: &Path, file: &File, wait: Duration) -> Refusal {
    let mut holder = String::new();
    let _ = file.take(1_024).read_to_string(&mut holder);
    let got = match holder.trim() {
        "" => "another process that holds it".into(),
        holder => format!("{holder}, who holds it"),
    };
    let expected = format!("the lock within {} s", wait.as_secs_f64());
    RefusalKind::Busy.at(path.display(), expected, got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_knows_no_fsync_is_no_failure_and_a_broken_disk_is() {
        use rustix::io::Errno;
        for (errno, done) in [
            (Errno::INVAL, true),
            (Errno::BADF, true),
            (Errno::IO, false),
            (Errno::NOSPC, false),
        ] {
            assert_eq!(unless_unknown(errno.into()).is_ok(), done, "{errno}");
        }
        assert!(unless_unknown(io::ErrorKind::NotFound.into()).is_err());
        sync_folder(&std::env::temp_dir()).unwrap();
    }
}
